/* The one that runs checks, over real sockets of the loopback interface: what is shared, what states come of it, and when it
 * asks. */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/probes.h"

#define INTERVAL 100u
#define TIMEOUT	 60u
#define LATE	 200u /* that a busy machine may be */

/* ---- the stage --------------------------------------------------------------------------------------------------------- */

struct stage {
	uv_loop_t loop;
	struct probes *probes;
	unsigned int states, reaches; /* told of */
	enum check_way way;
	unsigned int asked; /* for a way */
	uint16_t port;
	int fd; /* listens; -1: not */
};

static struct config_health quick = {.references = 1, .type = CONFIG_PROBE_TCP, .via_backend = true,
					   .interval_ms = INTERVAL, .doubt_ms = 25, .timeout_ms = TIMEOUT, .rise = 2, .fall = 3};

static enum check_way way(void *context, const struct check_key *key, uint32_t *mark, struct err *e)
{
	struct stage *stage = context;

	stage->asked++;
	*mark = 0;
	if (stage->way == CHECK_WAY_LOST || stage->way == CHECK_WAY_CLOSED)
		err_set(e, -1, "because");
	return stage->way;
}

static void changed(void *context, struct check *check, bool is_state)
{
	struct stage *stage = context;

	stage->states += is_state;
	stage->reaches += !is_state;
}

/* Listen on the port, or on any when it is 0. Connections wait unaccepted, which is enough for a probe of tcp. */
static void listen_on(struct stage *stage, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
	socklen_t bytes = sizeof(at);
	int on = 1;

	stage->fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(stage->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(stage->fd, (struct sockaddr *)&at, bytes), 0);
	assert_int_equal(listen(stage->fd, 4096), 0);
	getsockname(stage->fd, (struct sockaddr *)&at, &bytes);
	stage->port = ntohs(at.sin_port);
}

static void stop_listening(struct stage *stage)
{
	if (stage->fd >= 0)
		close(stage->fd);
	stage->fd = -1;
}

static void open_stage(struct stage *stage)
{
	const struct probes_events events = {.context = stage, .way = way, .changed = changed};

	memset(stage, 0, sizeof(*stage));
	assert_int_equal(uv_loop_init(&stage->loop), 0);
	stage->probes = probes_create(&stage->loop, &events);
	assert_non_null(stage->probes);
	listen_on(stage, 0);
}

/* Nothing may be left in the loop. */
static void close_stage(struct stage *stage)
{
	stop_listening(stage);
	probes_destroy(stage->probes);
	uv_run(&stage->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&stage->loop), 0);
}

static struct check_key key_of(const struct stage *stage, uint32_t number)
{
	struct check_key key;

	memset(&key, 0, sizeof(key));
	assert_true(ip_parse(&key.backend, "127.0.0.1"));
	if (number)
		assert_true(ip_parse(&key.vip, "127.0.0.2"));
	key.number = number;
	key.port = stage->port;
	return key;
}

static struct check *take(struct stage *stage, struct config_health *health, uint32_t number)
{
	struct check_key key = key_of(stage, number);
	struct check *check = probes_take(stage->probes, health, &key, HEALTH_STATE_UNKNOWN);

	assert_non_null(check);
	return check;
}

static void wake(uv_timer_t *timer)
{
}

/* Let the loop run for so long, or until the check is in the state. Returns how long it was. */
static uint64_t run(struct stage *stage, uint64_t most_ms, const struct check *check, enum health_state state)
{
	uint64_t begin = uv_hrtime() / 1000000, now = begin;
	uv_timer_t timer;

	uv_timer_init(&stage->loop, &timer);
	uv_timer_start(&timer, wake, 1, 1);
	while (now - begin < most_ms && !(check && check_health(check)->state == state)) {
		uv_run(&stage->loop, UV_RUN_ONCE);
		now = uv_hrtime() / 1000000;
	}
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&stage->loop, UV_RUN_NOWAIT);
	return now - begin;
}

/* ---- what is to hold --------------------------------------------------------------------------------------------------- */

static void who_asks_the_same_asks_once(void **state)
{
	struct config_health twin = quick, slower = quick;
	struct probes_facts facts;
	struct check *first, *second;
	struct stage stage;

	open_stage(&stage);
	slower.interval_ms *= 2;
	first = take(&stage, &quick, 0);
	assert_ptr_equal(take(&stage, &twin, 0), first);
	assert_ptr_not_equal(take(&stage, &slower, 0), first);
	second = take(&stage, &quick, 7); /* by a VIP */
	assert_ptr_not_equal(second, first);
	assert_ptr_not_equal(take(&stage, &quick, 8), second);
	probes_facts(stage.probes, &facts);
	assert_int_equal(facts.checks, 4);
	probes_drop(stage.probes, first);
	assert_ptr_equal(take(&stage, &quick, 0), first);
	probes_drop(stage.probes, first);
	probes_drop(stage.probes, first);
	probes_facts(stage.probes, &facts);
	assert_int_equal(facts.checks, 3);
	close_stage(&stage);
}

static void a_server_that_ends_and_comes_again(void **state)
{
	struct stage stage;
	struct check *check;
	uint64_t took;

	open_stage(&stage);
	check = take(&stage, &quick, 0);
	assert_int_equal(check_health(check)->state, HEALTH_STATE_UNKNOWN);
	assert_null(check_last(check));
	assert_true(run(&stage, 2000, check, HEALTH_STATE_UP) < LATE);
	assert_int_equal(check_reach(check), CHECK_REACH_YES);
	run(&stage, 2 * INTERVAL, NULL, 0);
	stop_listening(&stage);
	took = run(&stage, 5000, check, HEALTH_STATE_FAILING);
	assert_true(took <= INTERVAL * quick.fall + TIMEOUT + LATE);
	assert_int_equal(check_last(check)->answer, HEALTH_REFUSED);
	assert_int_equal(check_reach(check), CHECK_REACH_YES); /* somebody refused */
	assert_null(check_own(check));
	listen_on(&stage, stage.port);
	assert_true(run(&stage, 5000, check, HEALTH_STATE_UP) <= INTERVAL * 2 + LATE);
	assert_int_equal(stage.states, 3);
	probes_drop(stage.probes, check);
	close_stage(&stage);
}

static void one_that_is_known_is_up_until_it_fails(void **state)
{
	struct check_key key;
	struct stage stage;
	struct check *check;

	open_stage(&stage);
	stop_listening(&stage);
	key = key_of(&stage, 0);
	check = probes_take(stage.probes, &quick, &key, HEALTH_STATE_UP);
	assert_int_equal(check_health(check)->state, HEALTH_STATE_UP);
	run(&stage, 5000, check, HEALTH_STATE_FAILING);
	assert_int_equal(stage.states, 1);
	assert_ptr_equal(probes_take(stage.probes, &quick, &key, HEALTH_STATE_UP), check); /* its state is its own */
	assert_int_equal(check_health(check)->state, HEALTH_STATE_FAILING);
	probes_drop(stage.probes, check);
	close_stage(&stage);
}

static void a_way_is_waited_for(void **state)
{
	struct probes_facts facts;
	struct stage stage;
	struct check *check;

	open_stage(&stage);
	stage.way = CHECK_WAY_PENDING;
	check = take(&stage, &quick, 7);
	run(&stage, 120, NULL, 0);
	assert_true(stage.asked > 1);
	probes_facts(stage.probes, &facts);
	assert_int_equal(facts.begun, 0);
	assert_false(check_health(check)->is_answered);
	stage.way = CHECK_WAY_LOST;
	run(&stage, 5000, check, HEALTH_STATE_FAILING);
	assert_int_equal(check_last(check)->answer, HEALTH_NO_HOST);
	assert_string_equal(check_last(check)->text, "because");
	run(&stage, 300, NULL, 0);
	assert_int_equal(check_reach(check), CHECK_REACH_YES); /* its own address, the loopback's, answers */
	assert_non_null(check_own(check));
	probes_drop(stage.probes, check);
	close_stage(&stage);
}

static void what_this_host_cannot_send_fails_nobody(void **state)
{
	struct check_key key;
	struct probes_facts facts;
	struct stage stage;
	struct check *check;

	open_stage(&stage);
	stage.way = CHECK_WAY_CLOSED;
	key = key_of(&stage, 7);
	check = probes_take(stage.probes, &quick, &key, HEALTH_STATE_UP);
	run(&stage, 5 * INTERVAL, NULL, 0);
	assert_int_equal(check_health(check)->state, HEALTH_STATE_UP);
	assert_int_equal(check_last(check)->answer, HEALTH_LOCAL);
	probes_facts(stage.probes, &facts);
	assert_int_equal(facts.local, 1);
	assert_string_equal(facts.local_text, "because");
	probes_drop(stage.probes, check);
	probes_facts(stage.probes, &facts);
	assert_int_equal(facts.local, 0);
	close_stage(&stage);
}

/* Many that come in one: none begins with more than a few others, and each has a rhythm of its own. */
static void many_do_not_beat_together(void **state)
{
	enum { MANY = 500, PARTS = 10 };
	struct config_health slow = quick;
	unsigned int parts[PARTS] = {0};
	struct check *checks[MANY];
	struct probes_facts facts;
	struct stage stage;
	uint64_t now;

	open_stage(&stage);
	slow.interval_ms = 60000;
	slow.doubt_ms = 1000;
	slow.timeout_ms = 1000;
	for (uint32_t i = 0; i < MANY; i++)
		checks[i] = take(&stage, &slow, i + 1);
	uv_run(&stage.loop, UV_RUN_NOWAIT);
	probes_facts(stage.probes, &facts);
	assert_true(facts.begun < MANY / 2);
	run(&stage, 1500, NULL, 0);
	probes_facts(stage.probes, &facts);
	assert_in_range(facts.begun, MANY, MANY + MANY / 5); /* a phase shortens the first interval */
	assert_int_equal(facts.running, 0);
	now = uv_now(&stage.loop);
	for (uint32_t i = 0; i < MANY; i++) {
		uint64_t left = check_health(checks[i])->due_ms > now ? check_health(checks[i])->due_ms - now : 0;

		assert_int_equal(check_health(checks[i])->state, HEALTH_STATE_UP);
		parts[left * PARTS / 60001]++;
	}
	for (size_t p = 0; p < PARTS; p++)
		assert_in_range(parts[p], MANY / PARTS / 3, MANY / PARTS * 3);
	close_stage(&stage);
}

static void an_end_with_probes_under_way_leaves_nothing(void **state)
{
	struct stage stage;

	open_stage(&stage);
	for (uint32_t i = 0; i < 50; i++)
		take(&stage, &quick, i + 1);
	run(&stage, 5, NULL, 0);
	close_stage(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_asks_the_same_asks_once),
		cmocka_unit_test(a_server_that_ends_and_comes_again),
		cmocka_unit_test(one_that_is_known_is_up_until_it_fails),
		cmocka_unit_test(a_way_is_waited_for),
		cmocka_unit_test(what_this_host_cannot_send_fails_nobody),
		cmocka_unit_test(many_do_not_beat_together),
		cmocka_unit_test(an_end_with_probes_under_way_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

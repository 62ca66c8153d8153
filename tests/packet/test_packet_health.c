/* What the health of backends makes of packets: who gets new flows, where old ones stay, what panic does, and what a daemon
 * that starts anew takes over. The checks are the test's: it says what comes of them. */
#include "packet/lab.h"

#define FLOWS 120
#define SYN 0x02
#define ACK 0x10
#define CHECKS 32

/* ---- checks ------------------------------------------------------------------------------------------------------------- */

static struct check {
	const struct fleet_backend *backend;
	struct health health;
	unsigned int references;
} checks[CHECKS];

static void *take_check(void *context, const struct config_ask *ask, const struct ip *vip,
			const struct fleet_backend *backend, enum health_state state)
{
	struct check *free = NULL;

	for (size_t i = 0; i < CHECKS; i++) {
		if (checks[i].references && checks[i].backend == backend) {
			checks[i].references++;
			return &checks[i];
		}
		if (!checks[i].references)
			free = &checks[i];
	}
	assert_non_null(free);
	*free = (struct check){.backend = backend, .references = 1};
	health_begin(&free->health, state, 0, 0);
	return free;
}

static void drop_check(void *context, void *check)
{
	assert_true(((struct check *)check)->references--);
}

static const struct health *health_of(const void *check)
{
	return &((const struct check *)check)->health;
}

/* The check of the backend 10.3.0.N has come to a state. */
static void set(struct lab *lab, uint8_t last, enum health_state state)
{
	struct err e;

	for (size_t i = 0; i < CHECKS; i++)
		if (checks[i].references && checks[i].backend->identity.address.byte[15] == last) {
			checks[i].health.state = state;
			checks[i].health.is_answered = true;
			fleet_health_changed(lab->fleet, &checks[i]);
		}
	assert_int_equal(fleet_flush(lab->fleet, &e), 0);
}

static struct fleet_backend *backend_of(struct lab *lab, uint8_t last)
{
	struct fleet_backend *backend = lab->fleet->backends;

	while (backend && backend->identity.address.byte[15] != last)
		backend = backend->hh.next;
	assert_non_null(backend);
	return backend;
}

static void set_dead(struct lab *lab, uint8_t last, bool is_dead)
{
	struct err e;

	fleet_backend_dead(lab->fleet, backend_of(lab, last), is_dead);
	assert_int_equal(fleet_flush(lab->fleet, &e), 0);
}

/* ---- the lab -------------------------------------------------------------------------------------------------------- */

#define SERVICE(more) \
	"services:\n- {name: web, vip: 10.2.0.1, port: 80, forward: ipip, health: {type: tcp}, " more \
	"backends: [10.3.0.1, 10.3.0.2, 10.3.0.3]}\n"

static struct lab *open_lab(const char *text)
{
	struct lab *lab;
	void *state;

	memset(checks, 0, sizeof(checks));
	assert_int_equal(lab_open_beside(&state), 0);
	lab = state;
	lab->keeps_moving = true;
	lab->fleet->hooks.take_check = take_check;
	lab->fleet->hooks.drop_check = drop_check;
	lab->fleet->hooks.health_of = health_of;
	lab_apply(lab, text);
	lab_resolve_all(lab);
	return lab;
}

static void all_up(struct lab *lab)
{
	for (uint8_t last = 1; last <= 3; last++)
		set(lab, last, HEALTH_STATE_UP);
	lab_rest(lab);
}

static void close_lab(struct lab *lab)
{
	void *state = lab;

	lab_close(&state);
	for (size_t i = 0; i < CHECKS; i++)
		assert_int_equal(checks[i].references, 0);
}

/* The backends, by their last byte, that so many flows reach; 0: nobody. Returns which, a bit each. */
static unsigned int send_all(struct lab *lab, uint16_t first, uint8_t flags, int reached[static FLOWS])
{
	unsigned int all = 0;

	for (uint16_t i = 0; i < FLOWS; i++) {
		struct wire_spec spec = {.from = CLIENT4, .to = VIP4, .from_port = first + i, .to_port = 80};
		struct lab_end end;
		struct wire in;

		wire_make(&in, &spec);
		in.byte[in.l4 + 13] = flags;
		lab_run(lab, &in, &end);
		reached[i] = end.verdict == HP_FORWARDED ? end.frame.byte[14 + 19] : 0;
		all |= 1u << reached[i];
	}
	return all;
}

#define NOBODY 0x1u
#define B1 0x2u
#define B2 0x4u
#define B3 0x8u
#define B9 0x200u

static void expect(const char *says, unsigned int got, unsigned int wanted)
{
	if (got != wanted)
		fail_msg("%s: 0x%x instead of 0x%x", says, got, wanted);
}

static bool is_up(const struct lab *lab)
{
	return lab->fleet->services->vip->up;
}

/* ---- what is to hold -------------------------------------------------------------------------------------------------- */

static void the_unknown_get_no_flows(void **state)
{
	struct lab *lab = open_lab(SERVICE(""));
	int reached[FLOWS];

	expect("nobody has answered", send_all(lab, 10000, SYN, reached), NOBODY);
	assert_false(is_up(lab));
	usleep(1000 * 2100); /* it is waited for the others no longer than that */
	set(lab, 2, HEALTH_STATE_UP);
	expect("one has", send_all(lab, 10000, SYN, reached), B2);
	assert_true(is_up(lab));
	all_up(lab);
	expect("all have", send_all(lab, 20000, SYN, reached), B1 | B2 | B3);
	close_lab(lab);
}

static void a_failing_one_keeps_its_flows(void **state)
{
	struct lab *lab = open_lab(SERVICE(""));
	int before[FLOWS], reached[FLOWS];

	all_up(lab);
	send_all(lab, 10000, SYN, before);
	set(lab, 2, HEALTH_STATE_FAILING);
	expect("new flows", send_all(lab, 20000, SYN, reached), B1 | B3);
	send_all(lab, 10000, ACK, reached);
	assert_memory_equal(before, reached, sizeof(before));
	assert_int_equal(lab->fleet->departing, 1);
	assert_int_equal(lab->fleet->services->departures->deadline_s, 0);
	set(lab, 2, HEALTH_STATE_UP);
	assert_int_equal(lab->fleet->departing, 0);
	expect("it is back", send_all(lab, 30000, SYN, reached), B1 | B2 | B3);
	send_all(lab, 10000, ACK, reached);
	assert_memory_equal(before, reached, sizeof(before));
	close_lab(lab);
}

static void a_dead_one_loses_them_as_long(void **state)
{
	struct lab *lab = open_lab(SERVICE(""));
	int before[FLOWS], reached[FLOWS];

	all_up(lab);
	send_all(lab, 10000, SYN, before);
	set(lab, 2, HEALTH_STATE_FAILING);
	set_dead(lab, 2, true);
	expect("old flows", send_all(lab, 10000, ACK, reached), B1 | B3);
	for (int i = 0; i < FLOWS; i++)
		assert_true(before[i] == 2 || reached[i] == before[i]);
	assert_int_equal(lab->plane.backends[backend_of(lab, 2)->number].adjacency, 0);
	assert_int_not_equal(lab->plane.backends[backend_of(lab, 2)->number].way, 0);
	set_dead(lab, 2, false); /* it answers, and not well */
	expect("new flows", send_all(lab, 20000, SYN, reached), B1 | B3);
	send_all(lab, 10000, ACK, reached);
	assert_memory_equal(before, reached, sizeof(before));
	close_lab(lab);
}

static void the_way_of_a_dead_one_goes_on(void **state)
{
	struct lab *lab = open_lab(SERVICE(""));
	struct adjacency facts = lab_facts(lab, "10.3.0.2");
	struct fleet_backend *backend = backend_of(lab, 2);
	const struct hp_backend *seen = &lab->plane.backends[backend->number];
	uint32_t way;

	all_up(lab);
	set(lab, 2, HEALTH_STATE_FAILING);
	set_dead(lab, 2, true);
	way = seen->way;
	facts.mac_destination[5]++;
	lab_resolve(lab, "10.3.0.2", &facts);
	assert_int_equal(seen->adjacency, 0);
	assert_int_not_equal(seen->way, way);
	lab_resolve(lab, "10.3.0.2", NULL);
	assert_int_equal(seen->way, 0);
	lab_resolve(lab, "10.3.0.2", &facts);
	assert_int_equal(seen->adjacency, 0);
	set_dead(lab, 2, false);
	assert_int_equal(seen->adjacency, seen->way);
	close_lab(lab);
}

static void flows_are_reset_where_it_says_so(void **state)
{
	struct lab *lab = open_lab(SERVICE("on_down: reset, "));
	int reached[FLOWS];

	all_up(lab);
	expect("before", send_all(lab, 10000, SYN, reached), B1 | B2 | B3);
	set(lab, 2, HEALTH_STATE_FAILING);
	lab_sweep(lab);
	expect("old flows", send_all(lab, 10000, ACK, reached), B1 | B3);
	close_lab(lab);
}

static void too_few_are_none(void **state)
{
	struct lab *lab = open_lab(SERVICE("min_up: 2, "));
	int before[FLOWS], reached[FLOWS];

	all_up(lab);
	send_all(lab, 10000, SYN, before);
	set(lab, 1, HEALTH_STATE_FAILING);
	expect("two of three", send_all(lab, 20000, SYN, reached), B2 | B3);
	set(lab, 2, HEALTH_STATE_FAILING);
	expect("one of three", send_all(lab, 30000, SYN, reached), NOBODY);
	assert_int_equal(lab->fleet->services->quorum.verdict, QUORUM_DROPS);
	send_all(lab, 10000, ACK, reached);
	assert_memory_equal(before, reached, sizeof(before));
	set(lab, 1, HEALTH_STATE_UP);
	expect("two again", send_all(lab, 40000, SYN, reached), B1 | B3);
	close_lab(lab);
}

static void in_panic_all_get_flows(void **state)
{
	struct lab *lab = open_lab(SERVICE("when_all_down: all, "));
	int reached[FLOWS];

	expect("nobody has answered", send_all(lab, 10000, SYN, reached), NOBODY);
	all_up(lab);
	set(lab, 1, HEALTH_STATE_FAILING);
	set(lab, 2, HEALTH_STATE_FAILING);
	expect("one is up", send_all(lab, 20000, SYN, reached), B3);
	set(lab, 3, HEALTH_STATE_FAILING);
	assert_int_equal(lab->fleet->services->quorum.verdict, QUORUM_PANICS);
	expect("none is", send_all(lab, 30000, SYN, reached), B1 | B2 | B3);
	lab_resolve(lab, "10.3.0.1", NULL);
	expect("and one cannot be reached", send_all(lab, 40000, SYN, reached), B2 | B3);
	close_lab(lab);
}

static void the_fallback_serves_in_panic_alone(void **state)
{
	struct lab *lab = open_lab(SERVICE("when_all_down: fallback, fallback: 10.3.0.9, "));
	int before[FLOWS], reached[FLOWS];

	assert_null(lab->fleet->services->checks[3]);
	all_up(lab);
	expect("all are up", send_all(lab, 10000, SYN, before), B1 | B2 | B3);
	for (uint8_t last = 1; last <= 3; last++)
		set(lab, last, HEALTH_STATE_FAILING);
	expect("none is", send_all(lab, 20000, SYN, reached), B9);
	send_all(lab, 10000, ACK, reached);
	assert_memory_equal(before, reached, sizeof(before));
	set(lab, 1, HEALTH_STATE_UP);
	expect("one is again", send_all(lab, 30000, SYN, reached), B1);
	expect("flows of the fallback", send_all(lab, 20000, ACK, reached), B9);
	close_lab(lab);
}

/* What is asked otherwise, or asked at last, is up until it is proven otherwise; what failed goes on failing. */
static void another_health_begins_with_what_is_known(void **state)
{
	struct lab *lab = open_lab(SERVICE(""));
	int reached[FLOWS];

	all_up(lab);
	set(lab, 2, HEALTH_STATE_FAILING);
	lab_apply(lab, "services:\n- {name: web, vip: 10.2.0.1, port: 80, forward: ipip, backends: [10.3.0.1, 10.3.0.2, "
		       "10.3.0.3]}\n");
	expect("nothing is asked", send_all(lab, 10000, SYN, reached), B1 | B2 | B3);
	lab_apply(lab, SERVICE(""));
	expect("it is asked anew", send_all(lab, 20000, SYN, reached), B1 | B2 | B3);
	set(lab, 2, HEALTH_STATE_FAILING);
	lab_apply(lab, SERVICE("slow_start: 3s, "));
	expect("something else has changed", send_all(lab, 30000, SYN, reached), B1 | B3);
	close_lab(lab);
}

/* A new backend is waited for, but not when another one fails meanwhile. */
static void a_failing_one_is_not_waited_with(void **state)
{
	struct lab *lab = open_lab("services:\n- {name: web, vip: 10.2.0.1, port: 80, forward: ipip, health: {type: tcp}, "
				   "backends: [10.3.0.1, 10.3.0.2]}\n");
	int reached[FLOWS];

	set(lab, 1, HEALTH_STATE_UP);
	set(lab, 2, HEALTH_STATE_UP);
	lab_apply(lab, SERVICE(""));
	lab_resolve_all(lab);
	expect("the third has not answered", send_all(lab, 10000, SYN, reached), B1 | B2);
	set(lab, 2, HEALTH_STATE_FAILING);
	expect("the second fails", send_all(lab, 20000, SYN, reached), B1);
	set(lab, 3, HEALTH_STATE_UP);
	expect("the third answers", send_all(lab, 30000, SYN, reached), B1 | B3);
	close_lab(lab);
}

static unsigned int references_of(uint8_t last)
{
	for (size_t i = 0; i < CHECKS; i++)
		if (checks[i].references && checks[i].backend->identity.address.byte[15] == last)
			return checks[i].references;
	return 0;
}

/* Its flows need not wait for one that is dead. */
static void one_that_is_taken_out_is_asked_on(void **state)
{
	struct lab *lab = open_lab(SERVICE(""));
	int before[FLOWS], reached[FLOWS];

	all_up(lab);
	send_all(lab, 10000, SYN, before);
	lab_apply(lab, "services:\n- {name: web, vip: 10.2.0.1, port: 80, forward: ipip, health: {type: tcp}, "
		       "backends: [10.3.0.1, 10.3.0.3]}\n");
	expect("new flows", send_all(lab, 20000, SYN, reached), B1 | B3);
	send_all(lab, 10000, ACK, reached);
	assert_memory_equal(before, reached, sizeof(before));
	assert_int_equal(references_of(2), 1);
	set_dead(lab, 2, true);
	expect("old flows", send_all(lab, 10000, ACK, reached), B1 | B3);
	set_dead(lab, 2, false);
	lab_apply(lab, SERVICE(""));
	assert_int_equal(references_of(2), 1); /* the service's own */
	expect("it is listed again", send_all(lab, 30000, SYN, reached), B1 | B2 | B3);
	lab_apply(lab, "services:\n- {name: web, vip: 10.2.0.1, port: 80, forward: ipip, health: {type: tcp}, "
		       "backends: [10.3.0.1, 10.3.0.3]}\n");
	lab_rest(lab);
	lab_end_windows(lab);
	assert_int_equal(references_of(2), 0);
	close_lab(lab);
}

static void start_anew(struct lab *lab)
{
	struct fleet_hooks hooks = lab->fleet->hooks;
	struct err e;

	fleet_destroy(lab->fleet);
	memset(checks, 0, sizeof(checks));
	lab->fleet = fleet_create(&lab->plane, &hooks, &e);
	assert_non_null(lab->fleet);
}

/* A daemon that starts anew: who is in the live ring is up, who was dead is dead, and the others have to answer. */
static void what_packets_see_is_taken_over(void **state)
{
	struct lab *lab = open_lab(SERVICE(""));
	int before[FLOWS], reached[FLOWS];

	all_up(lab);
	send_all(lab, 10000, SYN, before);
	set(lab, 1, HEALTH_STATE_FAILING);
	set(lab, 2, HEALTH_STATE_FAILING);
	set_dead(lab, 2, true);
	start_anew(lab);
	lab_apply(lab, SERVICE(""));
	assert_true(backend_of(lab, 2)->is_dead);
	lab_resolve_all(lab);
	assert_int_equal(lab->plane.backends[backend_of(lab, 2)->number].adjacency, 0);
	expect("new flows", send_all(lab, 20000, SYN, reached), B3);
	expect("old flows", send_all(lab, 10000, ACK, reached), B1 | B3);
	for (int i = 0; i < FLOWS; i++)
		assert_true(before[i] == 2 || reached[i] == before[i]);
	set(lab, 1, HEALTH_STATE_UP);
	expect("one answers", send_all(lab, 30000, SYN, reached), B1 | B3);
	close_lab(lab);
}

/* Maps of a daemon before there were probes hold no ways for them. */
static void ways_are_made_of_adjacencies(void **state)
{
	struct lab *lab = open_lab(SERVICE(""));
	struct adjacency facts = lab_facts(lab, "10.3.0.2");
	struct hp_backend *seen = &lab->plane.backends[backend_of(lab, 2)->number];
	uint32_t adjacency = seen->adjacency;

	seen->way = 0;
	start_anew(lab);
	assert_int_equal(seen->way, adjacency);
	lab_apply(lab, SERVICE(""));
	assert_false(backend_of(lab, 2)->is_dead);
	facts.mac_destination[5]++;
	lab_resolve(lab, "10.3.0.2", &facts);
	assert_int_not_equal(seen->adjacency, adjacency); /* what packets may be reading is not written to */
	assert_int_equal(seen->way, seen->adjacency);
	close_lab(lab);
}

/* A daemon that starts anew in panic knows nothing of those that failed, and the fallback serves on meanwhile. */
static void the_fallback_serves_through_a_restart(void **state)
{
	static const char text[] = SERVICE("when_all_down: fallback, fallback: 10.3.0.9, ");
	struct lab *lab = open_lab(text);
	int reached[FLOWS];

	all_up(lab);
	for (uint8_t last = 1; last <= 3; last++)
		set(lab, last, HEALTH_STATE_FAILING);
	expect("in panic", send_all(lab, 10000, SYN, reached), B9);
	start_anew(lab);
	lab_apply(lab, text);
	lab_resolve_all(lab);
	for (uint8_t last = 1; last <= 3; last++)
		set(lab, last, HEALTH_STATE_UNKNOWN); /* the first answers were bad, and too few to tell */
	expect("nothing is known", send_all(lab, 20000, SYN, reached), B9);
	for (uint8_t last = 1; last <= 3; last++)
		set(lab, last, HEALTH_STATE_FAILING);
	expect("in panic again", send_all(lab, 30000, SYN, reached), B9);
	set(lab, 2, HEALTH_STATE_UP);
	expect("no more", send_all(lab, 40000, SYN, reached), B2);
	close_lab(lab);
}

static bool is_pending(void *context, const struct fleet_backend *backend)
{
	return !backend->adjacency;
}

/* All backends are others: those of before serve until one of the new ones answers, or all have failed. */
static void a_replacement_leaves_no_gap(void **state)
{
	static const char other[] = "services:\n- {name: web, vip: 10.2.0.1, port: 80, forward: ipip, health: {type: tcp}, "
				    "backends: [10.3.0.7, 10.3.0.8]}\n";
	struct lab *lab = open_lab(SERVICE(""));
	int reached[FLOWS];

	all_up(lab);
	lab->fleet->hooks.is_pending = is_pending;
	lab_apply(lab, other);
	lab_resolve_all(lab);
	set(lab, 7, HEALTH_STATE_UNKNOWN);
	set(lab, 8, HEALTH_STATE_UNKNOWN);
	expect("the first answers were bad", send_all(lab, 10000, SYN, reached), B1 | B2 | B3);
	set(lab, 7, HEALTH_STATE_UP);
	expect("one is up", send_all(lab, 20000, SYN, reached), 1u << 7);
	set(lab, 7, HEALTH_STATE_FAILING);
	expect("it fails, and the other is not known", send_all(lab, 30000, SYN, reached), NOBODY);
	close_lab(lab);
}

/* One who is not known yet is no reason to send flows nowhere where they are to go to all rather than that. */
static void a_new_one_does_not_end_panic(void **state)
{
	struct lab *lab = open_lab("services:\n- {name: web, vip: 10.2.0.1, port: 80, forward: ipip, health: {type: tcp}, "
				   "when_all_down: all, backends: [10.3.0.1, 10.3.0.2]}\n");
	int reached[FLOWS];

	set(lab, 1, HEALTH_STATE_UP);
	set(lab, 2, HEALTH_STATE_UP);
	set(lab, 1, HEALTH_STATE_FAILING);
	set(lab, 2, HEALTH_STATE_FAILING);
	expect("in panic", send_all(lab, 10000, SYN, reached), B1 | B2);
	lab_apply(lab, SERVICE("when_all_down: all, "));
	lab_resolve_all(lab);
	expect("a third comes", send_all(lab, 20000, SYN, reached), B1 | B2);
	set(lab, 3, HEALTH_STATE_UNKNOWN);
	expect("its first answer was bad", send_all(lab, 30000, SYN, reached), B1 | B2);
	set(lab, 3, HEALTH_STATE_FAILING);
	expect("it fails as well", send_all(lab, 40000, SYN, reached), B1 | B2 | B3);
	close_lab(lab);
}

static int make_ports(void **state)
{
	return unshare(CLONE_NEWNET) ||
	       system("ip link add in0 type veth peer name in1 && ip link add out0 type veth peer name out1");
}

/* Flows that are left are worth a route where an operator gives their backend no new ones, and not where it fails: the VIP is
 * answered for in its segment all the same. */
static void only_the_failing_are_worth_no_route(void **state)
{
	struct lab *lab = open_lab(SERVICE(""));
	const struct fleet_vip *vip = lab->fleet->services->vip;
	int reached[FLOWS];
	struct err e;

	assert_false(fleet_vip_is_served(vip));
	all_up(lab);
	assert_true(fleet_vip_is_served(vip));
	send_all(lab, 10000, SYN, reached);
	set(lab, 1, HEALTH_STATE_FAILING);
	set(lab, 2, HEALTH_STATE_FAILING);
	assert_true(fleet_vip_is_served(vip));
	set(lab, 3, HEALTH_STATE_FAILING);
	assert_true(fleet_vip_is_up(vip));
	assert_false(fleet_vip_is_served(vip));
	set(lab, 3, HEALTH_STATE_UP);
	assert_true(fleet_vip_is_served(vip));
	lab_apply(lab, "services:\n- {name: web, vip: 10.2.0.1, port: 80, forward: ipip, health: {type: tcp}, "
		       "backends: [10.3.0.1, 10.3.0.2, {address: 10.3.0.3, weight: 0}]}\n");
	assert_int_equal(fleet_flush(lab->fleet, &e), 0);
	assert_null(lab->fleet->services->ring);
	assert_true(fleet_vip_is_served(vip));
	set(lab, 3, HEALTH_STATE_FAILING);
	assert_int_equal(fleet_tick(lab->fleet, &e), 0);
	assert_true(fleet_vip_is_up(vip));
	assert_false(fleet_vip_is_served(vip));
	close_lab(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_failing_are_worth_no_route),
		cmocka_unit_test(the_unknown_get_no_flows),
		cmocka_unit_test(a_failing_one_keeps_its_flows),
		cmocka_unit_test(a_dead_one_loses_them_as_long),
		cmocka_unit_test(the_way_of_a_dead_one_goes_on),
		cmocka_unit_test(flows_are_reset_where_it_says_so),
		cmocka_unit_test(too_few_are_none),
		cmocka_unit_test(in_panic_all_get_flows),
		cmocka_unit_test(the_fallback_serves_in_panic_alone),
		cmocka_unit_test(another_health_begins_with_what_is_known),
		cmocka_unit_test(a_failing_one_is_not_waited_with),
		cmocka_unit_test(one_that_is_taken_out_is_asked_on),
		cmocka_unit_test(what_packets_see_is_taken_over),
		cmocka_unit_test(ways_are_made_of_adjacencies),
		cmocka_unit_test(the_fallback_serves_through_a_restart),
		cmocka_unit_test(a_replacement_leaves_no_gap),
		cmocka_unit_test(a_new_one_does_not_end_panic),
	};

	return cmocka_run_group_tests(tests, make_ports, NULL);
}

/* Groups: a client has one backend on all ports of a group's services, through changes, drains and failing checks. */
#include "packet/lab.h"

#define CHECKS 32
#define CLIENTS 60
#define ALL "[10.3.0.1, 10.3.0.2, 10.3.0.3, 10.3.0.4]"
#define OF_GROUP "group: ftp, vip: [10.2.0.1, \"fd00:2::1\"], forward: ipip, "
#define GROUP(more, backends)                                                                  \
	"services:\n"                                                                          \
	"- {name: control, " OF_GROUP "port: 21, " more "backends: " backends "}\n"            \
	"- {name: data, " OF_GROUP "port: 50000-51000, backends: " backends "}\n"              \
	"- {name: log, " OF_GROUP "port: 514, protocol: udp, backends: " backends "}\n"

/* ---- checks --------------------------------------------------------------------------------------------------------- */

static struct check {
	const struct fleet_backend *backend;
	uint16_t port;
	struct health health;
	unsigned int references;
} checks[CHECKS];

static void *take_check(void *context, const struct config_ask *ask, const struct ip *vip, const struct fleet_backend *backend,
			enum health_state state)
{
	struct check *free = NULL;

	for (size_t i = 0; i < CHECKS; i++) {
		if (checks[i].references && checks[i].backend == backend && checks[i].port == ask->port) {
			checks[i].references++;
			return &checks[i];
		}
		if (!checks[i].references)
			free = &checks[i];
	}
	assert_non_null(free);
	*free = (struct check){.backend = backend, .port = ask->port, .references = 1};
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

/* The checks of these ports (0: all) at the backend (0: all) have come to a state. Returns how many they are. */
static unsigned int set(struct lab *lab, uint16_t port, uint8_t last, enum health_state state)
{
	unsigned int count = 0;
	struct err e;

	for (size_t i = 0; i < CHECKS; i++) {
		if (!checks[i].references || (port && checks[i].port != port) ||
		    (last && checks[i].backend->identity.address.byte[15] != last))
			continue;
		checks[i].health.state = state;
		checks[i].health.is_answered = true;
		fleet_health_changed(lab->fleet, &checks[i]);
		count++;
	}
	assert_int_equal(fleet_flush(lab->fleet, &e), 0);
	return count;
}

/* ---- clients -------------------------------------------------------------------------------------------------------- */

#define SYN 0x02
#define ACK 0x10

/* Where client number n gets by a packet to this port: the last byte of a backend, 0: nowhere. */
static int ask(struct lab *lab, unsigned int n, uint8_t protocol, uint16_t from, uint16_t port, uint8_t flags)
{
	char client[48];
	struct lab_end end;
	struct wire in;

	snprintf(client, sizeof(client), n & 1 ? "192.168.8.%u" : "fd00:8::%x", n);
	wire_make(&in, &(struct wire_spec){.from = client, .to = n & 1 ? VIP4 : VIP6, .protocol = protocol, .from_port = from,
					   .to_port = port, .payload = 20});
	if (protocol == IPPROTO_TCP)
		in.byte[in.l4 + 13] = flags;
	lab_run(lab, &in, &end);
	return end.verdict == HP_FORWARDED ? end.frame.byte[14 + 19] : 0;
}

/* The client's backend, the same by a connection under way, a new one of data, and UDP. */
static int ask_all(struct lab *lab, unsigned int n)
{
	int control = ask(lab, n, IPPROTO_TCP, 1000, 21, ACK);

	assert_int_equal(ask(lab, n, IPPROTO_TCP, (uint16_t)(2000 + n), (uint16_t)(50000 + n * 4), SYN), control);
	assert_int_equal(ask(lab, n, IPPROTO_TCP, (uint16_t)(2000 + n), (uint16_t)(50000 + n * 4), ACK), control);
	assert_int_equal(ask(lab, n, IPPROTO_UDP, 514, 514, 0), control);
	assert_int_equal(ask(lab, n, IPPROTO_TCP, 1001, 21, SYN), control);
	return control;
}

/* All clients ask. Returns which backends they reached, a bit each; *moved: clients that have another than in `was`. */
static unsigned int ask_each(struct lab *lab, int was[static CLIENTS], unsigned int *moved)
{
	unsigned int all = 0;

	*moved = 0;
	for (unsigned int n = 0; n < CLIENTS; n++) {
		int backend = ask_all(lab, n);

		*moved += backend != was[n];
		was[n] = backend;
		all |= 1u << backend;
	}
	return all;
}

static struct lab *open_lab(const char *text)
{
	struct lab *lab;
	void *state;

	memset(checks, 0, sizeof(checks));
	assert_int_equal(lab_open_beside(&state), 0);
	lab = state;
	lab->fleet->hooks.take_check = take_check;
	lab->fleet->hooks.drop_check = drop_check;
	lab->fleet->hooks.health_of = health_of;
	lab_apply(lab, text);
	lab_resolve_all(lab);
	set(lab, 0, 0, HEALTH_STATE_UP);
	lab_rest(lab);
	lab->keeps_moving = true;
	return lab;
}

static void close_lab(struct lab *lab)
{
	void *state = lab;

	lab_close(&state);
	for (size_t i = 0; i < CHECKS; i++)
		assert_int_equal(checks[i].references, 0);
}

static int open_network(void **state)
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	return system("ip link add in0 type veth peer name in1 && ip link add out0 type veth peer name out1");
}

/* ---- tests ----------------------------------------------------------------------------------------------------------- */

static void a_client_has_one_backend(void **state)
{
	struct lab *lab = open_lab(GROUP("", ALL));
	int was[CLIENTS] = {0};
	unsigned int moved;

	assert_int_equal(ask_each(lab, was, &moved), 0x1e);
	close_lab(lab);
}

/* A change: whoever spoke or was silent before stays, on all ports, as long as the window is; then those who spoke stay. */
static void a_client_stays_through_changes(void **state)
{
	struct lab *lab = open_lab(GROUP("", ALL));
	int was[CLIENTS] = {0};
	unsigned int moved, spoke = 0, silent = 0;

	ask_each(lab, was, &moved);
	lab_apply(lab, GROUP("", "[10.3.0.1, 10.3.0.2]"));
	ask_each(lab, was, &moved);
	assert_int_equal(moved, 0);
	lab_apply(lab, GROUP("", "[10.3.0.1, 10.3.0.2, 10.3.0.4]"));
	ask_each(lab, was, &moved);
	assert_int_equal(moved, 0);
	for (unsigned int n = CLIENTS; n < 2 * CLIENTS; n++)
		silent |= 1u << ask(lab, n, IPPROTO_UDP, 514, 514, 0);
	assert_int_equal(silent, 0x1e); /* who is not known may be of before */
	lab_end_windows(lab);
	lab_sweep(lab);
	for (struct fleet_service *s = lab->fleet->services; s; s = s->hh.next)
		assert_true(s->motion.flags & HP_MOTION_SETTLING); /* all of them wait for the group's clients */
	for (unsigned int n = 0; n < CLIENTS; n++)
		spoke += ask_all(lab, n) != was[n];
	assert_int_equal(spoke, 0);
	for (unsigned int n = 150; n < 250; n++) {
		int backend = ask_all(lab, n);

		assert_true(backend && backend != 3);
	}
	lab_rest(lab);
	ask_each(lab, was, &moved);
	assert_true(moved > 0);
	close_lab(lab);
}

/* A service that joins while the others move finds their clients where they are. */
static void a_service_joins_in_motion(void **state)
{
	static const char more[] = "- {name: late, group: ftp, vip: [10.2.0.1, \"fd00:2::1\"], port: 22, forward: ipip, "
				   "backends: [10.3.0.1, 10.3.0.2]}\n";
	struct lab *lab = open_lab(GROUP("", ALL));
	int was[CLIENTS] = {0};
	unsigned int moved;
	char text[2048];

	ask_each(lab, was, &moved);
	snprintf(text, sizeof(text), "%s%s", GROUP("", "[10.3.0.1, 10.3.0.2]"), more);
	lab_apply(lab, GROUP("", "[10.3.0.1, 10.3.0.2]"));
	lab_apply(lab, text);
	ask_each(lab, was, &moved);
	assert_int_equal(moved, 0);
	for (unsigned int n = 0; n < CLIENTS; n++)
		assert_int_equal(ask(lab, n, IPPROTO_TCP, 5, 22, SYN), was[n]);
	close_lab(lab);
}

/* A check of one service speaks for all, and clients of who fails go elsewhere at once, and together. */
static void who_fails_in_one_is_out_in_all(void **state)
{
	struct lab *lab = open_lab(GROUP("health: {type: tcp}, ", ALL));
	int was[CLIENTS] = {0}, before[CLIENTS];
	unsigned int moved, others = 0;

	assert_int_equal(ask_each(lab, was, &moved), 0x1e);
	memcpy(before, was, sizeof(before));
	assert_int_equal(set(lab, 21, 3, HEALTH_STATE_FAILING), 2); /* of both VIPs' methods */
	assert_int_equal(ask_each(lab, was, &moved), 0x16);
	for (unsigned int n = 0; n < CLIENTS; n++)
		others += before[n] != 3 && was[n] != before[n];
	assert_int_equal(others, 0);
	assert_true(moved > 0);
	set(lab, 21, 3, HEALTH_STATE_UP);
	assert_int_equal(ask_each(lab, was, &moved) & 0x08, 0); /* they stay where they went */
	lab_rest(lab);
	assert_int_equal(ask_each(lab, was, &moved), 0x1e);
	assert_memory_equal(was, before, sizeof(was));
	close_lab(lab);
}

/* The checks of several services: each has a word, and a backend is known when all are. */
static void each_check_has_a_word(void **state)
{
	static const char text[] =
		"services:\n"
		"- {name: http, group: web, vip: 10.2.0.1, port: 80, forward: ipip, health: {type: tcp}, backends: " ALL "}\n"
		"- {name: https, group: web, vip: 10.2.0.1, port: 443, forward: ipip, health: {type: tcp}, backends: " ALL "}\n";
	struct lab *lab = open_lab(text);

	for (uint8_t last = 1; last <= 4; last++) {
		struct fleet_service *s;

		assert_int_equal(set(lab, last & 1 ? 80 : 443, last, HEALTH_STATE_FAILING), 1);
		for (s = lab->fleet->services; s; s = s->hh.next)
			assert_false(s->members[last - 1].takes);
		assert_int_equal(set(lab, last & 1 ? 443 : 80, last, HEALTH_STATE_FAILING), 1);
		assert_int_equal(set(lab, last & 1 ? 80 : 443, last, HEALTH_STATE_UP), 1);
		for (s = lab->fleet->services; s; s = s->hh.next)
			assert_false(s->members[last - 1].takes);
		assert_int_equal(set(lab, 0, last, HEALTH_STATE_UP), 2);
		for (s = lab->fleet->services; s; s = s->hh.next)
			assert_true(s->members[last - 1].takes);
	}
	assert_ptr_equal(lab->fleet->services->ring, ((struct fleet_service *)lab->fleet->services->hh.next)->ring);
	close_lab(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_has_one_backend),
		cmocka_unit_test(a_client_stays_through_changes),
		cmocka_unit_test(a_service_joins_in_motion),
		cmocka_unit_test(who_fails_in_one_is_out_in_all),
		cmocka_unit_test(each_check_has_a_word),
	};

	return cmocka_run_group_tests_name("groups", tests, open_network, NULL);
}

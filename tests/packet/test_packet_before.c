/* A director that starts in the middle of a change, without memory of it but with the former configuration: flows under way
 * go where that sent them, new ones where the configuration says, both from the first packet on. */
#include "packet/lab.h"

#define FLOWS 150
#define PORT 40000
#define SYN 0x02
#define ACK 0x10

/* Backends of the services of a configuration: "12" is 10.3.0.1 and 10.3.0.2; "0" in front of one: it has weight 0. */
struct row {
	const char *says;
	const char *former, *now;
	const char *former_more, *now_more; /* more lines of the service */
	bool moves;
};

static const struct row rows[] = {
	{"a backend was added", "12", "123", "", "", true},
	{"one was taken out", "123", "12", "", "", true},
	{"one was drained", "123", "1203", "", "", true},
	{"all are others", "12", "34", "", "", true},
	{"all were drained", "12", "0102", "", "", true},
	{"the ring has another size and seed", "12", "123", "slots: 257, seed: 5,", "slots: 1009,", true},
	{"nothing was changed", "12", "12", "", "", false},
	{"nobody served before", "0102", "12", "", "", false},
};

/* ---- configurations ---------------------------------------------------------------------------------------------------- */

static void write_text(char *text, size_t room, const char *backends, const char *more, unsigned int port)
{
	size_t at = (size_t)snprintf(text, room,
				     "interfaces: [in0]\nservices:\n"
				     "- {vip: [%s, \"%s\"], port: %u, forward: ipip, %s backends: [",
				     VIP4, VIP6, port, more);
	bool is_drained = false;

	for (; *backends; backends++) {
		if (*backends != '0')
			at += (size_t)snprintf(text + at, room - at, "{address: 10.3.0.%c, weight: %d}, ", *backends,
					       !is_drained);
		is_drained = *backends == '0';
	}
	snprintf(text + at, room - at, "]}\n");
}

static struct config *parse(const char *text)
{
	struct problems problems = {0};
	struct config *config = config_parse(text, strlen(text), &problems);

	if (!config)
		problems_print(stderr, "before", text, strlen(text), &problems);
	problems_free(&problems);
	assert_non_null(config);
	return config;
}

static struct config *config_of(const char *backends, const char *more)
{
	char text[2000];

	write_text(text, sizeof(text), backends, more, 80);
	return parse(text);
}

static void apply(struct lab *lab, const char *backends, const char *more)
{
	struct err e;

	config_free(lab->config);
	lab->config = config_of(backends, more);
	if (fleet_apply(lab->fleet, lab->config, &e))
		fail_msg("%s", e.text);
	assert_int_equal(fleet_flush(lab->fleet, &e), 0);
	lab->rows = 3;
}

/* ---- a lab whose backends' ways are not known at once ----------------------------------------------------------------- */

static bool is_pending(void *context, const struct fleet_backend *backend)
{
	return !backend->adjacency;
}

static struct lab *open_one(void)
{
	void *state;

	assert_int_equal(lab_open_beside(&state), 0);
	((struct lab *)state)->keeps_moving = true;
	((struct lab *)state)->fleet->hooks.is_pending = is_pending;
	return state;
}

static void close_one(struct lab *lab)
{
	void *state = lab;

	lab_close(&state);
}

/* Where packets of so many flows go: by the last byte of the outer header's destination; 0: nowhere. */
static void send_all(struct lab *lab, uint16_t first, uint8_t flags, int reached[static FLOWS])
{
	for (uint16_t i = 0; i < FLOWS; i++) {
		struct wire_spec spec = {.from = i % 2 ? CLIENT6 : CLIENT4, .to = i % 2 ? VIP6 : VIP4, .from_port = first + i,
					 .to_port = 80};
		struct lab_end end;
		struct wire in;

		wire_make(&in, &spec);
		in.byte[in.l4 + 13] = flags;
		lab_run(lab, &in, &end);
		reached[i] = end.verdict == HP_FORWARDED ? end.frame.byte[14 + 19] : 0;
	}
}

/* Where a director sends new flows that has never known another configuration. */
static void ask_steady(const char *backends, const char *more, int reached[static FLOWS])
{
	struct lab *lab = open_one();

	apply(lab, backends, more);
	lab_resolve_all(lab);
	send_all(lab, PORT, SYN, reached);
	close_one(lab);
}

static struct lab *open_after(const struct row *row)
{
	struct config *former = config_of(row->former, row->former_more);
	struct lab *lab = open_one();
	struct err e;

	assert_int_equal(fleet_expect_formers(lab->fleet, former, &e), 0);
	config_free(former);
	apply(lab, row->now, row->now_more);
	return lab;
}

static int compare(const char *says, const char *which, const int wanted[static FLOWS], const int got[static FLOWS])
{
	for (int i = 0; i < FLOWS; i++)
		if (wanted[i] != got[i]) {
			print_error("    WRONG: %s, %s: flow %d reached %d instead of %d\n", says, which, i, got[i], wanted[i]);
			return 1;
		}
	return 0;
}

static struct fleet_service *service_of(const struct lab *lab)
{
	return lab->fleet->services;
}

/* ---- what is to hold ------------------------------------------------------------------------------------------------- */

static int try(const struct row *row)
{
	int before[FLOWS], now[FLOWS], got[FLOWS], wrong = 0;
	struct lab *lab;

	ask_steady(row->former, row->former_more, before);
	ask_steady(row->now, row->now_more, now);
	lab = open_after(row);
	assert_int_equal(lab->plane.services[service_of(lab)->number].now, 0);
	assert_int_equal(lab->plane.services[service_of(lab)->number].before, 0);
	lab_resolve_all(lab);
	if (row->moves != !motion_is_steady(&service_of(lab)->motion)) {
		print_error("    WRONG: %s: %s\n", row->says, motion_name(&service_of(lab)->motion));
		wrong++;
	}
	assert_int_equal(service_of(lab)->motion.flags & HP_MOTION_ASKS, 0);
	send_all(lab, PORT, ACK, got);
	wrong += compare(row->says, "under way", row->moves ? before : now, got);
	lab_forget_all(lab);
	send_all(lab, PORT, SYN, got);
	wrong += compare(row->says, "new", now, got);
	send_all(lab, PORT, ACK, got);
	if (now[0]) /* what nobody took was not opened */
		wrong += compare(row->says, "new and under way", now, got);
	lab_rest(lab);
	send_all(lab, PORT, ACK, got);
	wrong += compare(row->says, "in the end", now, got);
	lab->keeps_moving = false;
	lab_apply(lab, "services: []\n");
	lab_sweep(lab);
	assert_int_equal(HASH_COUNT(lab->fleet->backends), 0);
	assert_int_equal(HASH_COUNT(lab->fleet->rings), 0);
	assert_int_equal(lab->fleet->departing, 0);
	close_one(lab);
	return wrong;
}

static void flows_go_where_they_went(void **state)
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		wrong += try(&rows[i]);
	assert_int_equal(wrong, 0);
}

static void resolve(struct lab *lab, const char *address)
{
	struct adjacency facts = lab_facts(lab, address);

	lab_resolve(lab, address, &facts);
}

/* Both rings appear in one: not before the ways to the former backends are known, too. */
static void the_former_backends_are_waited_for(void **state)
{
	struct lab *lab = open_after(&(struct row){.former = "12", .now = "34", .former_more = "", .now_more = ""});
	const struct hp_service *record = &lab->plane.services[service_of(lab)->number];

	resolve(lab, "10.3.0.3");
	resolve(lab, "10.3.0.4");
	resolve(lab, "10.3.0.1");
	assert_int_equal(record->now | record->before, 0);
	resolve(lab, "10.3.0.2");
	assert_int_not_equal(record->now, 0);
	assert_int_equal(record->before & HP_MOTION_ANY, HP_MOTION_MOVING);
	assert_int_not_equal(record->before & HP_BLOCK_MASK, 0);
	close_one(lab);
}

/* ... but not for ever. */
static void nobody_is_waited_for_for_ever(void **state)
{
	int before[FLOWS], got[FLOWS];
	struct lab *lab;
	struct err e;

	ask_steady("1", "", before);
	lab = open_after(&(struct row){.former = "12", .now = "34", .former_more = "", .now_more = ""});
	resolve(lab, "10.3.0.3");
	resolve(lab, "10.3.0.1");
	usleep(1100000);
	assert_int_equal(fleet_tick(lab->fleet, &e), 0);
	send_all(lab, PORT, ACK, got);
	assert_int_equal(compare("a backend that never came", "under way", before, got), 0);
	close_one(lab);
}

/* Those that only the former configuration names depart, and can be cut off. */
static void former_backends_depart(void **state)
{
	struct lab *lab = open_after(
		&(struct row){.former = "12", .now = "13", .former_more = "", .now_more = "deadline: 100s,"});
	struct ip backend = lab_ip("10.3.0.2");
	uint64_t now_s = dataplane_boot_ns() / 1000000000;
	int got[FLOWS];
	bool is_over;
	struct err e;

	lab_resolve_all(lab);
	assert_int_equal(lab->fleet->departing, 2); /* of the VIP of either family */
	assert_in_range(service_of(lab)->departures->deadline_s, now_s + 99, now_s + 102);
	send_all(lab, PORT, ACK, got);
	lab_sweep(lab);
	assert_true(fleet_flows_of(lab->fleet, lab->config->services[0], &backend, &is_over) > 20);
	assert_false(is_over);
	assert_int_equal(fleet_cut(lab->fleet, lab->config->services[0], &backend, &e), 0);
	lab_sweep(lab);
	send_all(lab, PORT, ACK, got);
	for (int i = 0; i < FLOWS; i++)
		assert_int_not_equal(got[i], 2);
	close_one(lab);
}

/* A change that comes while the first ring waits: flows are still of the former configuration. */
static void a_change_while_it_waits(void **state)
{
	int before[FLOWS], now[FLOWS], got[FLOWS];
	struct lab *lab;

	ask_steady("12", "", before);
	ask_steady("34", "", now);
	lab = open_after(&(struct row){.former = "12", .now = "123", .former_more = "", .now_more = ""});
	resolve(lab, "10.3.0.3");
	apply(lab, "34", "");
	lab_resolve_all(lab);
	send_all(lab, PORT, ACK, got);
	assert_int_equal(compare("a change while it waits", "under way", before, got), 0);
	lab_forget_all(lab);
	send_all(lab, PORT, SYN, got);
	assert_int_equal(compare("a change while it waits", "new", now, got), 0);
	close_one(lab);
}

static void an_end_while_it_waits(void **state)
{
	struct lab *lab = open_after(&(struct row){.former = "12", .now = "123", .former_more = "", .now_more = ""});

	lab->keeps_moving = false;
	lab_apply(lab, "services: []\n");
	assert_int_equal(HASH_COUNT(lab->fleet->backends), 0);
	close_one(lab);
}

/* Only the first configuration's services, and only those with the same key, have formers. */
static void only_the_same_key(void **state)
{
	struct config *former;
	struct lab *lab = open_one();
	char text[2000];
	struct err e;

	write_text(text, sizeof(text), "12", "", 443);
	former = parse(text);
	assert_int_equal(fleet_expect_formers(lab->fleet, former, &e), 0);
	config_free(former);
	apply(lab, "34", "");
	assert_int_equal(lab->fleet->former_count, 0);
	assert_int_equal(HASH_COUNT(lab->fleet->backends), 4); /* each by two methods */
	lab_apply(lab, text + strlen("interfaces: [in0]\n"));
	lab_resolve_all(lab);
	assert_true(motion_is_steady(&service_of(lab)->motion));
	close_one(lab);
}

/* Of a service that lives through nothing there is nothing to remember. */
static void nothing_is_lived_through(void **state)
{
	static const char text[] = "interfaces: [in0]\nservices:\n- {vip: 10.2.0.1, port: 53, protocol: udp, affinity: none,"
				   " forward: ipip, backends: [10.3.0.%d]}\n";
	struct lab *lab = open_one();
	struct config *former;
	char one[400], other[400];
	struct err e;

	snprintf(one, sizeof(one), text, 1);
	snprintf(other, sizeof(other), text, 2);
	former = parse(one);
	assert_int_equal(fleet_expect_formers(lab->fleet, former, &e), 0);
	config_free(former);
	lab_apply(lab, other + strlen("interfaces: [in0]\n"));
	assert_int_equal(lab->fleet->former_count, 0);
	lab_resolve_all(lab);
	assert_true(motion_is_steady(&service_of(lab)->motion));
	assert_non_null(service_of(lab)->ring);
	close_one(lab);
}

/* What does not fit is refused, and nothing is left of it. */
static void too_many_former_backends(void **state)
{
	char text[20000];
	size_t at = (size_t)sprintf(text, "interfaces: [in0]\nservices:\n- {vip: %s, port: 80, forward: ipip, backends: [", VIP4);
	struct lab *lab = open_one();
	struct config *former;
	struct err e;

	for (int i = 0; i < 300; i++)
		at += (size_t)sprintf(text + at, "10.4.%d.%d, ", i / 200, i % 200 + 1);
	sprintf(text + at, "]}\n");
	former = parse(text);
	assert_int_equal(fleet_expect_formers(lab->fleet, former, &e), 0);
	config_free(former);
	lab->config = config_of("12", "");
	assert_int_equal(fleet_apply(lab->fleet, lab->config, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "raise limits.backends"));
	assert_int_equal(HASH_COUNT(lab->fleet->backends), 0);
	assert_int_equal(HASH_COUNT(lab->fleet->services), 0);
	close_one(lab);
}

static int make_ports(void **state)
{
	return unshare(CLONE_NEWNET) ||
	       system("ip link add in0 type veth peer name in1 && ip link add out0 type veth peer name out1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flows_go_where_they_went),
		cmocka_unit_test(the_former_backends_are_waited_for),
		cmocka_unit_test(nobody_is_waited_for_for_ever),
		cmocka_unit_test(former_backends_depart),
		cmocka_unit_test(a_change_while_it_waits),
		cmocka_unit_test(an_end_while_it_waits),
		cmocka_unit_test(only_the_same_key),
		cmocka_unit_test(nothing_is_lived_through),
		cmocka_unit_test(too_many_former_backends),
	};

	return cmocka_run_group_tests(tests, make_ports, NULL);
}

/* Lists and ranges of ports: which service a port belongs to, and that flows stay where they are while lists change. */
#include "packet/lab.h"

/* The last byte of the address of the backend that a frame goes to, or 0 and its verdict. */
static unsigned int backend_of(struct lab *lab, const char *vip, uint8_t protocol, uint16_t from, uint16_t port, uint8_t flags,
			       enum hp_verdict *verdict)
{
	struct lab_end end;
	struct wire in;

	wire_make(&in, &(struct wire_spec){.from = wire_is4(vip) ? CLIENT4 : CLIENT6, .to = vip, .protocol = protocol,
					   .from_port = from, .to_port = port, .payload = 20});
	in.byte[in.l4 + 13] = flags;
	lab_run(lab, &in, &end);
	*verdict = end.verdict;
	if (end.verdict != HP_FORWARDED) {
		assert_true(lab_same(&in, &end.frame));
		return 0;
	}
	return end.frame.byte[5];
}

static const char services[] =
	"services:\n"
	"  - {name: a, vip: [10.2.0.1, \"fd00:2::1\"], port: [80, 443, 8000-8100], forward: ipip, backends: [10.3.0.1]}\n"
	"  - {name: b, vip: 10.2.0.1, port: [81-90, 1024-7999], backends: [10.3.0.2]}\n"
	"  - {name: c, vip: 10.2.0.1, port: any, backends: [10.3.0.3]}\n"
	"  - {name: d, vip: 10.2.0.1, protocol: udp, port: 8050, backends: [10.3.0.4]}\n"
	"  - {name: e, vip: \"fd00:2::1\", port: [1-79, 9000-65535], backends: [\"fd00:3::5\"]}\n"
	"  - {name: f, vip: 10.2.0.2, port: 1-65535, backends: [10.3.0.6]}\n";

static void ports_find_their_service(void **state)
{
	static const struct {
		const char *says, *vip;
		uint8_t protocol;
		uint16_t port;
		const char *service; /* NULL: passed */
		enum hp_verdict verdict;
	} rows[] = {
		{"the first of a list", VIP4, IPPROTO_TCP, 80, "a", HP_FORWARDED},
		{"the second of a list", VIP4, IPPROTO_TCP, 443, "a", HP_FORWARDED},
		{"the first of a range", VIP4, IPPROTO_TCP, 8000, "a", HP_FORWARDED},
		{"the middle of a range", VIP4, IPPROTO_TCP, 8063, "a", HP_FORWARDED},
		{"behind its largest block", VIP4, IPPROTO_TCP, 8064, "a", HP_FORWARDED},
		{"the last of a range", VIP4, IPPROTO_TCP, 8100, "a", HP_FORWARDED},
		{"behind a range is any port's", VIP4, IPPROTO_TCP, 8101, "c", HP_FORWARDED},
		{"before a range is another's", VIP4, IPPROTO_TCP, 7999, "b", HP_FORWARDED},
		{"a short range, its first", VIP4, IPPROTO_TCP, 81, "b", HP_FORWARDED},
		{"a short range, its last", VIP4, IPPROTO_TCP, 90, "b", HP_FORWARDED},
		{"behind it", VIP4, IPPROTO_TCP, 91, "c", HP_FORWARDED},
		{"a long range, its first", VIP4, IPPROTO_TCP, 1024, "b", HP_FORWARDED},
		{"port 0 is any port's", VIP4, IPPROTO_TCP, 0, "c", HP_FORWARDED},
		{"a range is of its protocol", VIP4, IPPROTO_UDP, 8050, "d", HP_FORWARDED},
		{"and of no other", VIP4, IPPROTO_UDP, 8051, NULL, HP_VIP_OTHER},
		{"IPv6, a list", VIP6, IPPROTO_TCP, 443, "a", HP_FORWARDED},
		{"IPv6, a range", VIP6, IPPROTO_TCP, 8077, "a", HP_FORWARDED},
		{"IPv6, the last port", VIP6, IPPROTO_TCP, 65535, "e", HP_FORWARDED},
		{"IPv6, the first port", VIP6, IPPROTO_TCP, 1, "e", HP_FORWARDED},
		{"IPv6, port 0", VIP6, IPPROTO_TCP, 0, NULL, HP_VIP_OTHER},
		{"IPv6, between ranges", VIP6, IPPROTO_TCP, 8101, NULL, HP_VIP_OTHER},
		{"all ports, the first", "10.2.0.2", IPPROTO_TCP, 1, "f", HP_FORWARDED},
		{"all ports, the last", "10.2.0.2", IPPROTO_TCP, 65535, "f", HP_FORWARDED},
		{"all ports, but 0", "10.2.0.2", IPPROTO_TCP, 0, NULL, HP_VIP_OTHER},
		{"no VIP", "10.2.0.3", IPPROTO_TCP, 8050, NULL, HP_NOT_VIP},
	};
	struct lab *lab = *state;
	int wrong = 0;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *name = "none";
		struct lab_end end;
		struct wire in;

		wire_make(&in, &(struct wire_spec){.from = wire_is4(rows[i].vip) ? CLIENT4 : CLIENT6, .to = rows[i].vip,
						   .protocol = rows[i].protocol, .from_port = 9, .to_port = rows[i].port,
						   .payload = 20});
		if (!rows[i].service) {
			wrong += lab_try_pass(lab, rows[i].says, &in, rows[i].verdict);
			continue;
		}
		lab_run(lab, &in, &end);
		if (end.service)
			name = lab->fleet->service_by_number[end.service]->config->name;
		if (end.verdict == HP_FORWARDED && !strcmp(name, rows[i].service))
			continue;
		print_error("    WRONG: %s: %s, service %s\n", rows[i].says, lab_verdict_name(end.verdict), name);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* A later fragment names no port, and so lies in no range. */
static void later_fragments_are_of_no_range(void **state)
{
	struct lab *lab = *state;
	struct wire in;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	wire_make(&in, &(struct wire_spec){.from = CLIENT4, .to = "10.2.0.2", .protocol = IPPROTO_TCP, .fragment = 100,
					   .payload = 20});
	assert_int_equal(lab_try_drop(lab, "a later fragment", &in, HP_FRAGMENT), 0);
}

#define ONE(ports, backend) "  - {name: one, vip: 10.2.0.1, port: " ports ", backends: [10.3.0." #backend "]}\n"
#define TWO(ports, backend) "  - {name: two, vip: 10.2.0.1, port: " ports ", backends: [10.3.0." #backend "]}\n"

/* What was opened before a change stays with its backend, whatever service its port belongs to then. */
static void flows_stay_while_lists_change(void **state)
{
	static const struct {
		const char *says, *before, *after;
		uint16_t port;
		unsigned int was, is; /* backend; is 0: of no service any more */
	} rows[] = {
		{"a port joins a list", ONE("80", 1), ONE("[80, 443]", 1), 80, 1, 1},
		{"a port goes from one list to another", ONE("[80, 443]", 1) TWO("81", 2), ONE("80", 1) TWO("[81, 443]", 2), 443,
		 1, 2},
		{"a port is cut out of a range", ONE("8000-8100", 1), ONE("[8000-8049, 8051-8100]", 1) TWO("8050", 2), 8050, 1,
		 2},
		{"beside it", ONE("8000-8100", 1), ONE("[8000-8049, 8051-8100]", 1) TWO("8050", 2), 8049, 1, 1},
		{"behind it", ONE("8000-8100", 1), ONE("[8000-8049, 8051-8100]", 1) TWO("8050", 2), 8051, 1, 1},
		{"a range grows", ONE("8000-8100", 1), ONE("8000-9000", 2), 8090, 1, 2},
		{"a range shrinks", ONE("8000-9000", 1), ONE("8000-8100", 2), 8090, 1, 2},
		{"a range is cut in two", ONE("8000-8100", 1), ONE("8000-8070", 1) TWO("8071-8100", 2), 8080, 1, 2},
		{"a range is cut out of any port", ONE("any", 1), ONE("any", 1) TWO("1024-65535", 2), 5000, 1, 2},
		{"a port becomes part of a range", ONE("8000", 1), ONE("8000-8100", 2), 8000, 1, 2},
		{"a short range becomes a long one", ONE("8000-8007", 1), ONE("8000-8100", 2), 8005, 1, 2},
		{"a long range becomes a short one", ONE("8000-8100", 1), ONE("8000-8007", 2), 8005, 1, 2},
		{"a port leaves a list", ONE("[80, 443]", 1), ONE("80", 1), 443, 1, 0},
		{"a range goes", ONE("[80, 8000-8100]", 1), ONE("80", 1), 8064, 1, 0},
	};
	struct lab *lab = *state;
	char text[512];
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint16_t from = (uint16_t)(1000 + i);
		enum hp_verdict verdict;
		unsigned int got[3];

		lab->keeps_moving = false;
		lab_apply(lab, "services: []\n");
		snprintf(text, sizeof(text), "services:\n%s", rows[i].before);
		lab_apply(lab, text);
		lab_resolve_all(lab);
		got[0] = backend_of(lab, VIP4, IPPROTO_TCP, from, rows[i].port, 0x02, &verdict);
		lab->keeps_moving = true;
		snprintf(text, sizeof(text), "services:\n%s", rows[i].after);
		lab_apply(lab, text);
		lab_resolve_all(lab);
		got[1] = backend_of(lab, VIP4, IPPROTO_TCP, from, rows[i].port, 0x10, &verdict);
		got[2] = backend_of(lab, VIP4, IPPROTO_TCP, (uint16_t)(from + 1000), rows[i].port, 0x02, &verdict);
		if (got[0] == rows[i].was && got[1] == (rows[i].is ? rows[i].was : 0) && got[2] == rows[i].is)
			continue;
		print_error("    WRONG: %s: opened with %u, went on with %u, another with %u\n", rows[i].says, got[0], got[1],
			    got[2]);
		wrong++;
	}
	lab->keeps_moving = false;
	assert_int_equal(wrong, 0);
}

/* A daemon that starts anew finds services of ranges whole, and takes away all of their keys when they go. */
static void ranges_are_adopted(void **state)
{
	struct lab *lab = *state;
	const struct fleet_hooks hooks = lab->fleet->hooks;
	const struct fleet_service *service;
	enum hp_verdict verdict;
	uint32_t number, used;
	struct err e;

	lab_apply(lab, "services: []\n");
	dataplane_grace(&lab->plane);
	used = lab->plane.keys4.used;
	lab_apply(lab, "services:\n" ONE("[80, 8000-8100]", 1) TWO("9000-9009", 2));
	lab_resolve_all(lab);
	number = dataplane_service_of(&lab->plane, &lab->config->services[0]->vips[0], IPPROTO_TCP, 8050);
	fleet_destroy(lab->fleet);
	lab->fleet = fleet_create(&lab->plane, &hooks, &e);
	assert_non_null(lab->fleet);
	assert_int_equal(HASH_COUNT(lab->fleet->services), 3);
	service = fleet_unit(lab->fleet, lab->config->services[0], 1);
	assert_non_null(service);
	assert_int_equal(service->number, number);
	assert_non_null(fleet_unit(lab->fleet, lab->config->services[1], 0));
	lab_apply(lab, "services:\n" ONE("[80, 8000-8100]", 1) TWO("9000-9009", 2));
	lab_resolve_all(lab);
	assert_int_equal(dataplane_service_of(&lab->plane, &lab->config->services[0]->vips[0], IPPROTO_TCP, 8050), number);
	assert_int_equal(backend_of(lab, VIP4, IPPROTO_TCP, 1, 8099, 0x02, &verdict), 1);
	assert_int_equal(backend_of(lab, VIP4, IPPROTO_TCP, 1, 9009, 0x02, &verdict), 2);
	lab_apply(lab, "services: []\n");
	assert_int_equal(lab->plane.keys4.used, used);
}

/* More keys than half of the table: refused before anything has changed. */
static void a_change_without_room_for_its_keys_is_refused(void **state)
{
	struct lab *lab = *state;
	struct problems problems = {0};
	char text[16384] = "interfaces: [in0]\nservices:\n";
	size_t at = strlen(text);
	struct config *config;
	enum hp_verdict verdict;
	struct err e;

	lab_apply(lab, "services:\n" ONE("[80, 8000-8100]", 1));
	lab_resolve_all(lab);
	for (unsigned int i = 0; i < 20; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "  - {vip: 10.2.1.%u, port: 1-65534, backends: [10.3.0.1]}\n", i);
	config = config_parse(text, at, &problems);
	assert_non_null(config);
	assert_int_equal(fleet_apply(lab->fleet, config, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "raise limits.services"));
	config_free(config);
	problems_free(&problems);
	assert_int_equal(backend_of(lab, VIP4, IPPROTO_TCP, 1, 8099, 0x02, &verdict), 1);
	assert_int_equal(HASH_COUNT(lab->fleet->services), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_find_their_service),
		cmocka_unit_test(later_fragments_are_of_no_range),
		cmocka_unit_test(flows_stay_while_lists_change),
		cmocka_unit_test(ranges_are_adopted),
		cmocka_unit_test(a_change_without_room_for_its_keys_is_refused),
	};

	return cmocka_run_group_tests_name("ports", tests, lab_open, lab_close);
}

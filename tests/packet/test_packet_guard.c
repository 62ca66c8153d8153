/* Guard: who may use a service, by lists of prefixes; sets of them that come, go, are shared, and change under packets. */
#include "packet/lab.h"

#define SERVICE "- {vip: [10.2.0.1, \"fd00:2::1\"], port: 80, forward: ipip, slots: 101, backends: [10.3.0.1], "

static void apply(struct lab *lab, const char *lists)
{
	char text[8192];

	snprintf(text, sizeof(text), "services:\n" SERVICE "%s}\n", lists);
	lab_apply(lab, text);
	lab_resolve_all(lab);
}

/* The verdict on a packet of this source. */
static enum hp_verdict ask(struct lab *lab, const char *from, uint8_t flags)
{
	bool is4 = wire_is4(from);
	struct lab_end end;
	struct wire in;

	wire_make(&in, &(struct wire_spec){.from = from, .to = is4 ? VIP4 : VIP6, .from_port = 4000, .to_port = 80});
	in.byte[in.l4 + 13] = flags;
	lab_run(lab, &in, &end);
	return end.verdict;
}

static void the_longest_prefix_judges(void **state)
{
	static const struct {
		const char *says, *lists, *from;
		enum hp_verdict verdict;
	} rows[] = {
		{"nobody is asked", "", CLIENT4, HP_FORWARDED},
		{"a denied address", "deny: 192.168.1.1", CLIENT4, HP_DENIED},
		{"its neighbour", "deny: 192.168.1.1", "192.168.1.2", HP_FORWARDED},
		{"the first of a denied prefix", "deny: [192.168.0.0/23]", "192.168.0.0", HP_DENIED},
		{"its last", "deny: [192.168.0.0/23]", "192.168.1.255", HP_DENIED},
		{"just behind it", "deny: [192.168.0.0/23]", "192.168.2.0", HP_FORWARDED},
		{"just before it", "deny: [192.168.2.0/23]", "192.168.1.255", HP_FORWARDED},
		{"whom an allow list names", "allow: [192.168.1.0/24]", CLIENT4, HP_FORWARDED},
		{"whom it does not name", "allow: [192.168.1.0/24]", "192.168.2.1", HP_DENIED},
		{"nor one of the other family", "allow: [192.168.1.0/24]", CLIENT6, HP_DENIED},
		{"a hole in what is denied", "deny: [192.168.0.0/16], allow: [192.168.1.0/24]", CLIENT4, HP_FORWARDED},
		{"beside the hole", "deny: [192.168.0.0/16], allow: [192.168.1.0/24]", "192.168.3.1", HP_DENIED},
		{"a hole in what is allowed", "allow: [192.168.0.0/16], deny: [192.168.1.0/24]", CLIENT4, HP_DENIED},
		{"beside it", "allow: [192.168.0.0/16], deny: [192.168.1.0/24]", "192.168.3.1", HP_FORWARDED},
		{"a hole in a hole", "deny: [192.168.0.0/16, 192.168.1.1], allow: [192.168.1.0/24]", CLIENT4, HP_DENIED},
		{"all of IPv4", "deny: [0.0.0.0/0]", CLIENT4, HP_DENIED},
		{"and no IPv6", "deny: [0.0.0.0/0]", CLIENT6, HP_FORWARDED},
		{"all of IPv6", "deny: [\"::/0\"]", CLIENT6, HP_DENIED},
		{"and no IPv4", "deny: [\"::/0\"]", CLIENT4, HP_FORWARDED},
		{"all, but one", "deny: [0.0.0.0/0], allow: [192.168.1.1]", CLIENT4, HP_FORWARDED},
		{"all of one family may", "allow: [\"::/0\"]", CLIENT6, HP_FORWARDED},
		{"and none of the other", "allow: [\"::/0\"]", CLIENT4, HP_DENIED},
		{"a denied IPv6 address", "deny: [\"fd00:1::1\"]", CLIENT6, HP_DENIED},
		{"its neighbour", "deny: [\"fd00:1::1\"]", "fd00:1::2", HP_FORWARDED},
		{"an IPv6 prefix that ends within a byte", "deny: [\"fd00:1:8000::/33\"]", "fd00:1:8000::9", HP_DENIED},
		{"beside it", "deny: [\"fd00:1:8000::/33\"]", "fd00:1:7fff::9", HP_FORWARDED},
		{"an IPv6 prefix is no IPv4 prefix of the same bits", "deny: [\"c0a8:101::/32\"]", CLIENT4, HP_FORWARDED},
		{"nor the other way about", "deny: [192.168.1.1]", "c0a8:101::1", HP_FORWARDED},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum hp_verdict verdict;

		apply(lab, rows[i].lists);
		verdict = ask(lab, rows[i].from, 0x02);
		if (verdict == rows[i].verdict && ask(lab, rows[i].from, 0x10) == verdict)
			continue;
		print_error("    WRONG: %s: %s\n", rows[i].says, lab_verdict_name(verdict));
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* The set that a service's packets are judged by; 0: none. */
static uint32_t set_of(const struct lab *lab, const char *vip, uint16_t port)
{
	struct dataplane_key key = {.vip = lab_ip(vip), .port = port, .protocol = IPPROTO_TCP};
	const struct fleet_service *service = fleet_service_find(lab->fleet, &key);
	uint32_t guard = lab->plane.terms[service->number].guard;
	bool is_guarded = lab->plane.services[service->number].before & HP_SERVICE_GUARDED;

	assert_int_equal(is_guarded, guard != 0);
	return guard;
}

static int count_row(void *context, const struct guard_row *row)
{
	++*(unsigned int *)context;
	return 0;
}

static unsigned int rows_in(struct lab *lab)
{
	unsigned int rows = 0;

	assert_int_equal(dataplane_guards_each(&lab->plane, count_row, &rows, NULL), 0);
	return rows;
}

static void equal_lists_share_a_set(void **state)
{
	struct lab *lab = *state;
	uint32_t first, other;

	lab_apply(lab, "services:\n"
		       "- {vip: 10.2.0.1, port: 80, backends: [10.3.0.1], deny: [192.0.2.0/24, 198.51.100.0/24]}\n"
		       "- {vip: 10.2.0.1, port: 81, backends: [10.3.0.1], deny: [198.51.100.0/24, 192.0.2.0/24]}\n"
		       "- {vip: 10.2.0.1, port: 82, backends: [10.3.0.1], allow: [198.51.100.0/24, 192.0.2.0/24]}\n"
		       "- {vip: 10.2.0.1, port: 83, backends: [10.3.0.1]}\n");
	first = set_of(lab, VIP4, 80);
	other = set_of(lab, VIP4, 82);
	assert_int_not_equal(first, 0);
	assert_int_equal(set_of(lab, VIP4, 81), first);
	assert_int_not_equal(other, first);
	assert_int_equal(set_of(lab, VIP4, 83), 0);
	fleet_reclaim(lab->fleet);
	assert_int_equal(rows_in(lab), 2 * (2 + 2));
	lab_apply(lab, "services:\n- {vip: 10.2.0.1, port: 82, backends: [10.3.0.1], allow: [198.51.100.0/24, 192.0.2.0/24]}\n");
	assert_int_equal(set_of(lab, VIP4, 82), other);
	assert_true(fleet_wants_reclaim(lab->fleet));
	fleet_reclaim(lab->fleet);
	assert_int_equal(rows_in(lab), 4);
	lab_apply(lab, "services: []\n");
	fleet_reclaim(lab->fleet);
	assert_int_equal(rows_in(lab), 0);
}

/* A change of the lists alone touches no ring, and no flow but those that come to be denied. */
static void lists_change_under_flows(void **state)
{
	struct lab *lab = *state;
	uint64_t built;
	uint32_t first;

	apply(lab, "deny: [192.0.2.0/24]");
	first = set_of(lab, VIP4, 80);
	built = lab->fleet->rings_built;
	assert_int_equal(ask(lab, CLIENT4, 0x02), HP_FORWARDED);
	lab->keeps_moving = true;
	apply(lab, "deny: [192.0.2.0/24, 192.168.1.2]");
	assert_int_not_equal(set_of(lab, VIP4, 80), first);
	assert_int_equal(set_of(lab, VIP6, 80), set_of(lab, VIP4, 80));
	assert_int_equal(ask(lab, CLIENT4, 0x10), HP_FORWARDED);
	assert_int_equal(ask(lab, "192.168.1.2", 0x10), HP_DENIED);
	apply(lab, "");
	assert_int_equal(ask(lab, "192.168.1.2", 0x10), HP_FORWARDED);
	assert_int_equal(lab->fleet->rings_built, built);
	assert_int_equal(lab->fleet->unsteady, 0);
	lab->keeps_moving = false;
}

/* A service that lives through a change judges all the same, and those whom it lets in keep their backends. */
static void a_moving_service_is_guarded(void **state)
{
	struct lab *lab = *state;
	struct err e;

	lab->keeps_moving = true;
	lab_apply(lab, "services:\n- {vip: 10.2.0.1, port: 80, slots: 101, backends: [10.3.0.1], deny: [192.0.2.0/24]}\n");
	lab_resolve_all(lab);
	lab_apply(lab, "services:\n- {vip: 10.2.0.1, port: 80, slots: 101, backends: [10.3.0.1, 10.3.0.2], "
		       "deny: [192.0.2.0/24]}\n");
	lab_resolve_all(lab);
	assert_int_equal(lab->fleet->unsteady, 1);
	for (int i = 0; i < 50; i++) {
		char from[40];

		snprintf(from, sizeof(from), "192.0.2.%d", i);
		assert_int_equal(ask(lab, from, i % 2 ? 0x02 : 0x10), HP_DENIED);
	}
	for (uint16_t port = 1000; port < 1050; port++) {
		struct lab_end end;
		struct wire in;

		wire_make(&in, &(struct wire_spec){.from = CLIENT4, .to = VIP4, .from_port = port, .to_port = 80});
		in.byte[in.l4 + 13] = 0x10; /* was under way before the change */
		lab_run(lab, &in, &end);
		assert_int_equal(end.verdict, HP_FORWARDED);
		assert_int_equal(end.frame.byte[5], 1);
	}
	lab->keeps_moving = false;
	assert_int_equal(fleet_flush(lab->fleet, &e), 0);
	lab_rest(lab);
}

/* What an error is about decides, and not the router that tells it. */
static void an_error_is_judged_by_its_flow(void **state)
{
	static const struct {
		const char *says, *router, *client;
		enum hp_verdict verdict;
	} rows[] = {
		{"of an allowed client", "192.0.2.1", CLIENT4, HP_ICMP_FORWARDED},
		{"of a denied one", CLIENT4, "192.0.2.1", HP_DENIED},
	};
	struct lab *lab = *state;
	int wrong = 0;

	apply(lab, "deny: [192.0.2.0/24]");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire quoted, in;
		struct lab_end end;

		wire_make(&quoted, &(struct wire_spec){.from = VIP4, .to = rows[i].client, .from_port = 80, .to_port = 4000});
		wire_make(&in, &(struct wire_spec){.from = rows[i].router, .to = VIP4, .protocol = IPPROTO_ICMP, .type = 3,
						   .code = 4, .quote = quoted.byte + quoted.l3, .payload = 28});
		lab_run(lab, &in, &end);
		if (end.verdict == rows[i].verdict)
			continue;
		print_error("    WRONG: %s: %s\n", rows[i].says, lab_verdict_name(end.verdict));
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* Lists that do not fit are refused, and those that were there go on. */
static void too_many_prefixes_are_refused(void **state)
{
	static char text[1u << 16];
	struct lab *lab = *state;
	struct problems problems = {0};
	struct config *config;
	struct err e;
	size_t at;

	apply(lab, "deny: [192.0.2.0/24]");
	at = (size_t)snprintf(text, sizeof(text), "interfaces: [in0]\nservices:\n" SERVICE "deny: [");
	for (unsigned int i = 0; i < 600; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "172.%u.%u.0/24, ", 16 + i / 256, i % 256);
	at += (size_t)snprintf(text + at, sizeof(text) - at, "192.168.1.1]}\n");
	config = config_parse(text, at, &problems);
	assert_non_null(config);
	assert_int_equal(fleet_apply(lab->fleet, config, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "no room for 603 more prefixes of allow and deny: raise limits.prefixes"));
	config_free(config);
	problems_free(&problems);
	assert_int_equal(ask(lab, "192.0.2.1", 0x02), HP_DENIED);
	assert_int_equal(ask(lab, CLIENT4, 0x02), HP_FORWARDED);
	fleet_reclaim(lab->fleet);
	assert_int_equal(rows_in(lab), 3);
}

/* A daemon that starts anew finds what it has written, and takes away what nobody names. */
static void sets_are_adopted(void **state)
{
	static const struct fleet_hooks hooks = {.watch = lab_watch};
	struct guard_row stray = {{.bits = HP_GUARD_SET_BITS, .set = hp_guard_set(77, 0)}, HP_GUARD_REST};
	struct lab *lab = *state;
	uint32_t set;
	struct err e;

	apply(lab, "deny: [192.0.2.0/24], allow: [192.168.0.0/16]");
	fleet_reclaim(lab->fleet);
	set = set_of(lab, VIP4, 80);
	assert_int_equal(dataplane_guard_write(&lab->plane, &stray, 1, &e), 0);
	fleet_destroy(lab->fleet);
	lab->fleet = fleet_create(&lab->plane, &hooks, &e);
	assert_non_null(lab->fleet);
	assert_int_equal(ask(lab, CLIENT4, 0x10), HP_FORWARDED);
	assert_int_equal(ask(lab, "10.9.9.9", 0x10), HP_DENIED);
	apply(lab, "allow: [192.168.0.0/16], deny: [192.0.2.0/24]");
	assert_int_equal(set_of(lab, VIP4, 80), set);
	fleet_reclaim(lab->fleet);
	assert_int_equal(rows_in(lab), 4);
}

/* The twin tells which prefix has judged. */
static void trace_tells_who_judged(void **state)
{
	static const struct {
		const char *from;
		uint32_t guard;
	} rows[] = {
		{CLIENT4, HP_GUARD_LISTED | 24},
		{"192.168.2.2", HP_GUARD_LISTED | HP_GUARD_DENIES | 16},
		{"10.0.0.1", HP_GUARD_REST | HP_GUARD_DENIES},
	};
	struct lab *lab = *state;

	apply(lab, "deny: [192.168.0.0/16], allow: [192.168.1.0/24]");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hp_trace record;
		struct wire in;
		struct err e;
		int action;

		wire_make(&in, &(struct wire_spec){.from = rows[i].from, .to = VIP4, .to_port = 80});
		action = dataplane_run(&lab->plane, in.byte, &in.bytes, WIRE_ROOM_BYTES, lab->in, &record, &e);
		assert_int_equal(record.guard, rows[i].guard);
		assert_int_equal(record.verdict, rows[i].guard & HP_GUARD_DENIES ? HP_DENIED : HP_FORWARDED);
		assert_int_equal(action, rows[i].guard & HP_GUARD_DENIES ? XDP_DROP : XDP_TX);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_prefix_judges),
		cmocka_unit_test(equal_lists_share_a_set),
		cmocka_unit_test(lists_change_under_flows),
		cmocka_unit_test(a_moving_service_is_guarded),
		cmocka_unit_test(an_error_is_judged_by_its_flow),
		cmocka_unit_test(too_many_prefixes_are_refused),
		cmocka_unit_test(sets_are_adopted),
		cmocka_unit_test(trace_tells_who_judged),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}

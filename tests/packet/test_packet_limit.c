/* Limit: how many flows a source may open of a service. Time is moved by what is written down of a source. */
#include "packet/lab.h"

#include <bpf/bpf.h>

#include "director.skel.h"

#define HOUR_NS UINT64_C(3600000000000)

/* Three flows an hour, all at once, so that no test is slow enough to be given another. */
#define WEB "- {name: web, vip: [10.2.0.1, \"fd00:2::1\"], port: 80, forward: ipip, slots: 101, backends: [10.3.0.1], "
#define THREE "limit: {new_flows: 3, per: 1h}"

#define SYN 0x02
#define ACK 0x10

static void apply(struct lab *lab, const char *text)
{
	char whole[2048];

	snprintf(whole, sizeof(whole), "services:\n%s", text);
	lab_apply(lab, whole);
	lab_resolve_all(lab);
	fleet_reclaim(lab->fleet);
}

/* Nobody has opened anything yet. */
static void forget(struct lab *lab)
{
	int fd = bpf_map__fd(lab->plane.live->maps.sources);
	struct hp_source key;

	while (!bpf_map_get_next_key(fd, NULL, &key))
		assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
}

static enum hp_verdict send_spec(struct lab *lab, const struct wire_spec *spec, uint8_t flags)
{
	struct lab_end end;
	struct wire in;

	wire_make(&in, spec);
	if (flags)
		in.byte[in.l4 + 13] = flags;
	lab_run(lab, &in, &end);
	return end.verdict;
}

static enum hp_verdict ask(struct lab *lab, const char *from, uint16_t port, uint8_t flags)
{
	struct wire_spec spec = {.from = from, .to = wire_is4(from) ? VIP4 : VIP6, .from_port = 4000, .to_port = port};

	return send_spec(lab, &spec, flags);
}

/* How many of so many SYNs go through; none fails for another reason. */
static int opened(struct lab *lab, const char *from, uint16_t port, int tries)
{
	int through = 0;

	for (int i = 0; i < tries; i++) {
		enum hp_verdict verdict = ask(lab, from, port, SYN);

		assert_true(verdict == HP_FORWARDED || verdict == HP_LIMITED);
		through += verdict == HP_FORWARDED;
	}
	return through;
}

static void a_source_opens_what_it_may(void **state)
{
	static const struct {
		const char *says, *service, *from;
		int through; /* of ten */
	} rows[] = {
		{"no limit", WEB "}", CLIENT4, 10},
		{"three an hour", WEB THREE "}", CLIENT4, 3},
		{"by IPv6", WEB THREE "}", CLIENT6, 3},
		{"one at once", WEB "limit: {new_flows: 3, per: 1h, burst: 1}}", CLIENT4, 1},
		{"more at once than in an hour", WEB "limit: {new_flows: 1, per: 1h, burst: 7}}", CLIENT4, 7},
		{"a million a second", WEB "limit: {new_flows: 1000000}}", CLIENT4, 10},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int through;

		forget(lab);
		apply(lab, rows[i].service);
		through = opened(lab, rows[i].from, 80, 10);
		if (through != rows[i].through) {
			print_error("    WRONG: %s: %d, not %d\n", rows[i].says, through, rows[i].through);
			wrong++;
		}
		for (int n = 0; n < 10; n++)
			assert_int_equal(ask(lab, rows[i].from, 80, ACK), HP_FORWARDED); /* what is under way goes on */
	}
	assert_int_equal(wrong, 0);
}

static void sources_are_told_apart(void **state)
{
	static const struct {
		const char *says, *from;
		int through; /* of ten */
	} rows[] = {
		{"the first", CLIENT4, 3},
		{"once more", CLIENT4, 0},
		{"its neighbour", "192.168.1.2", 3},
		{"an IPv6 address", "fd00:1:0:1::1", 3},
		{"another one of its network", "fd00:1:0:1:ffff::7", 0},
		{"one of the next network", "fd00:1:0:2::1", 3},
		{"an IPv6 network that reads like an IPv4 address", "c0a8:103::1", 3},
		{"that IPv4 address", "192.168.1.3", 3},
	};
	struct lab *lab = *state;
	int wrong = 0;

	forget(lab);
	apply(lab, WEB THREE "}\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int through = opened(lab, rows[i].from, 80, 10);

		if (through == rows[i].through)
			continue;
		print_error("    WRONG: %s: %d, not %d\n", rows[i].says, through, rows[i].through);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* A service's VIPs share its limit; another service has its own. */
static void a_limit_is_its_service_s(void **state)
{
	struct lab *lab = *state;
	struct wire_spec other = {.from = CLIENT4, .to = "10.2.0.2", .from_port = 4000, .to_port = 80};

	forget(lab);
	apply(lab, "- {name: a, vip: [10.2.0.1, 10.2.0.2], port: 80, backends: [10.3.0.1], " THREE "}\n"
		   "- {name: b, vip: 10.2.0.1, port: 81, backends: [10.3.0.1], " THREE "}\n");
	assert_int_equal(opened(lab, CLIENT4, 80, 2), 2);
	assert_int_equal(send_spec(lab, &other, SYN), HP_FORWARDED);
	assert_int_equal(send_spec(lab, &other, SYN), HP_LIMITED);
	assert_int_equal(opened(lab, CLIENT4, 80, 1), 0);
	assert_int_equal(opened(lab, CLIENT4, 81, 10), 3);
}

static void what_opens_no_flow_is_not_counted(void **state)
{
	static const uint8_t flags[] = {0x10, 0x12, 0x11, 0x04, 0x14, 0x18};
	struct lab *lab = *state;
	struct wire_spec later = {.from = CLIENT4, .to = "10.2.0.3", .protocol = IPPROTO_UDP, .fragment = 100, .payload = 20};
	struct wire quoted;

	forget(lab);
	apply(lab, WEB THREE "}\n"
		   "- {vip: 10.2.0.3, protocol: udp, port: any, hash: source, affinity: none, backends: [10.3.0.1], " THREE
		   "}\n");
	wire_make(&quoted, &(struct wire_spec){.from = VIP4, .to = CLIENT4, .from_port = 80, .to_port = 4000});
	quoted.byte[quoted.l4 + 13] = SYN;
	for (int n = 0; n < 5; n++) {
		struct wire_spec error = {.from = "192.0.2.1", .to = VIP4, .protocol = IPPROTO_ICMP, .type = 3, .code = 4,
					  .quote = quoted.byte + quoted.l3, .payload = 40};

		assert_int_equal(send_spec(lab, &error, 0), HP_ICMP_FORWARDED);
		assert_int_equal(send_spec(lab, &later, 0), HP_FORWARDED);
		for (size_t i = 0; i < sizeof(flags); i++)
			assert_int_equal(ask(lab, CLIENT4, 80, flags[i]), HP_FORWARDED);
	}
	assert_int_equal(opened(lab, CLIENT4, 80, 10), 3);
	later.fragment = 0;
	for (int n = 0; n < 5; n++)
		assert_int_equal(send_spec(lab, &later, 0), n < 3 ? HP_FORWARDED : HP_LIMITED);
}

/* Let time pass for every source. */
static void age(struct lab *lab, uint64_t ns)
{
	int fd = bpf_map__fd(lab->plane.live->maps.sources);
	struct hp_source key, *at = NULL;
	uint64_t value;

	while (!bpf_map_get_next_key(fd, at, &key)) {
		assert_int_equal(bpf_map_lookup_elem(fd, &key, &value), 0);
		value = value > ns ? value - ns : 0;
		assert_int_equal(bpf_map_update_elem(fd, &key, &value, BPF_EXIST), 0);
		at = &key;
	}
}

static void time_gives_back(void **state)
{
	struct lab *lab = *state;

	forget(lab);
	apply(lab, WEB THREE "}\n");
	assert_int_equal(opened(lab, CLIENT4, 80, 10), 3);
	age(lab, HOUR_NS / 3);
	assert_int_equal(opened(lab, CLIENT4, 80, 10), 1);
	age(lab, HOUR_NS / 3 * 2);
	assert_int_equal(opened(lab, CLIENT4, 80, 10), 2);
	age(lab, HOUR_NS * 100);
	assert_int_equal(opened(lab, CLIENT4, 80, 10), 3); /* and no more than a burst */
}

/* Neither a change of the limit nor of what is denied touches a ring; who is denied pays nothing. */
static void limits_change_under_flows(void **state)
{
	struct lab *lab = *state;
	uint64_t built;

	forget(lab);
	apply(lab, WEB THREE ", deny: [192.168.1.2]}\n");
	built = lab->fleet->rings_built;
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask(lab, "192.168.1.2", 80, SYN), HP_DENIED);
	assert_int_equal(opened(lab, CLIENT4, 80, 10), 3);
	lab->keeps_moving = true;
	apply(lab, WEB "limit: {new_flows: 10, per: 1h}, deny: [192.168.1.3]}\n");
	assert_int_equal(ask(lab, "192.168.1.3", 80, SYN), HP_DENIED);
	assert_int_equal(opened(lab, "192.168.1.2", 80, 20), 10);
	apply(lab, WEB "}\n");
	assert_int_equal(opened(lab, CLIENT4, 80, 10), 10);
	assert_int_equal(lab->fleet->services->flags, 0);
	assert_int_equal(lab->fleet->rings_built, built);
	assert_int_equal(lab->fleet->unsteady, 0);
	lab->keeps_moving = false;
}

/* Sources without end are let in, and wear out nothing but the table of sources. */
static void a_flood_of_sources_wears_out_nothing_else(void **state)
{
	struct lab *lab = *state;
	int fd, count = 0;
	struct hp_source key, *at = NULL;

	forget(lab);
	apply(lab, WEB THREE "}\n");
	for (unsigned int i = 0; i < 20 * LAB_SOURCES; i++) {
		char from[40];

		snprintf(from, sizeof(from), "172.16.%u.%u", i / 256, i % 256);
		assert_int_equal(ask(lab, from, 80, SYN), HP_FORWARDED);
	}
	fd = bpf_map__fd(lab->plane.live->maps.sources);
	for (; !bpf_map_get_next_key(fd, at, &key); at = &key)
		count++;
	assert_in_range(count, 1, LAB_SOURCES);
	assert_int_equal(lab_forget_all(lab), 0);
}

/* The twin tells what a source owes, and takes nothing from it. */
static void trace_pays_nothing(void **state)
{
	struct lab *lab = *state;

	forget(lab);
	apply(lab, WEB THREE "}\n");
	for (int i = 0; i < 6; i++) {
		struct hp_trace record;
		struct wire in;
		struct err e;

		for (int n = 0; n < 3; n++) {
			wire_make(&in, &(struct wire_spec){.from = CLIENT4, .to = VIP4, .to_port = 80});
			in.byte[in.l4 + 13] = SYN;
			dataplane_run(&lab->plane, in.byte, &in.bytes, WIRE_ROOM_BYTES, lab->in, &record, &e);
			assert_int_equal(record.counts, 1);
			assert_int_equal(record.verdict, i < 3 ? HP_FORWARDED : HP_LIMITED);
			assert_int_equal((record.owed_ns + HOUR_NS / 6) / (HOUR_NS / 3), i < 3 ? i : 3);
		}
		assert_int_equal(ask(lab, CLIENT4, 80, SYN), i < 3 ? HP_FORWARDED : HP_LIMITED);
	}
}

/* What was owed under a tight limit is no more under a loose one than that lets anybody owe. */
static void a_looser_limit_forgives(void **state)
{
	struct lab *lab = *state;
	int fd = bpf_map__fd(lab->plane.live->maps.sources);
	struct hp_source key;
	uint64_t paid_ns;

	apply(lab, WEB "limit: {new_flows: 1, per: 1h, burst: 1000}}");
	forget(lab);
	assert_int_equal(opened(lab, CLIENT4, 80, 1000), 1000);
	apply(lab, WEB "limit: {new_flows: 1000, per: 1s}}");
	ask(lab, CLIENT4, 80, SYN);
	assert_int_equal(bpf_map_get_next_key(fd, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &paid_ns), 0);
	assert_true(paid_ns < dataplane_boot_ns() + 2 * UINT64_C(1000000000));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_opens_what_it_may),
		cmocka_unit_test(sources_are_told_apart),
		cmocka_unit_test(a_limit_is_its_service_s),
		cmocka_unit_test(what_opens_no_flow_is_not_counted),
		cmocka_unit_test(time_gives_back),
		cmocka_unit_test(limits_change_under_flows),
		cmocka_unit_test(a_flood_of_sources_wears_out_nothing_else),
		cmocka_unit_test(a_looser_limit_forgives),
		cmocka_unit_test(trace_pays_nothing),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}

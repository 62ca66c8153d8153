/* Samples: what is dropped is kept with its reason, now and then, and nothing else is. */
#include "packet/lab.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "director.skel.h"

static const char services[] =
	"services:\n"
	"  - {vip: [10.2.0.1, \"fd00:2::1\"], port: 80, forward: ipip, backends: [10.3.0.1], oversize: drop, "
	"deny: [192.0.2.0/24, \"2001:db8::/32\"]}\n"
	"  - {vip: 10.2.0.2, port: 80, backends: [{address: 10.3.0.2, weight: 0}]}\n"
	"  - {vip: 10.2.0.3, port: 80, backends: [10.3.0.3]}\n"
	"  - {vip: 10.2.0.5, port: 80, forward: ipip, backends: [10.3.0.1]}\n"
	"  - {vip: 10.2.0.4, port: 80, backends: [10.3.0.1], limit: {new_flows: 1, per: 1h}}\n";

/* As if so much time had passed since each reason was last sampled. */
static void wait_out(struct lab *lab)
{
	int cpus = libbpf_num_possible_cpus(), fd = bpf_map__fd(lab->plane.live->maps.sample_turns);
	uint64_t *never = calloc((size_t)cpus, sizeof(*never));

	assert_non_null(never);
	for (uint32_t verdict = 0; verdict < HP_SERVICE_CELLS; verdict++)
		assert_int_equal(bpf_map_update_elem(fd, &verdict, never, BPF_ANY), 0);
	free(never);
}

static uint64_t taken(const struct lab *lab)
{
	uint64_t sum = 0;

	for (uint32_t verdict = 0; verdict < HP_SERVICE_CELLS; verdict++)
		sum += lab->plane.samples[verdict].taken;
	return sum;
}

static uint32_t number_of(const struct lab *lab, const char *vip)
{
	struct dataplane_key key = {.vip = lab_ip(vip), .port = 80, .protocol = IPPROTO_TCP};

	return fleet_service_find(lab->fleet, &key)->number;
}

static void open_services(struct lab *lab)
{
	struct adjacency facts;

	lab_apply(lab, services);
	facts = lab_facts(lab, "10.3.0.1");
	lab_resolve(lab, "10.3.0.1", &facts);
	facts = lab_facts(lab, "10.3.0.3");
	lab_resolve(lab, "10.3.0.3", &facts);
}

static void what_is_dropped_is_kept(void **state)
{
	static const uint8_t backend_mac[6] = {2, 0, 0, 0, 3, 3};
	static const struct {
		const char *says;
		struct wire_spec spec;
		enum hp_verdict verdict; /* one that drops is kept */
		const char *vip;	 /* of its service; NULL: none */
	} rows[] = {
		{"a packet that is sent", {.from = CLIENT4, .to = VIP4, .to_port = 80}, HP_FORWARDED, VIP4},
		{"a denied one", {.from = "192.0.2.9", .to = VIP4, .to_port = 80, .payload = 10}, HP_DENIED, VIP4},
		{"a long one, by IPv6", {.from = "2001:db8::9", .to = VIP6, .to_port = 80, .payload = 500}, HP_DENIED, VIP6},
		{"a tagged one", {.from = "192.0.2.9", .to = VIP4, .to_port = 80, .tags = "aq"}, HP_DENIED, VIP4},
		{"one of no backend", {.from = CLIENT4, .to = "10.2.0.2", .to_port = 80}, HP_NO_BACKEND, "10.2.0.2"},
		{"one that came back", {.from = CLIENT4, .to = "10.2.0.3", .to_port = 80, .mac_from = backend_mac}, HP_LOOPED,
		 "10.2.0.3"},
		{"one too long", {.from = CLIENT4, .to = VIP4, .to_port = 80, .payload = 1450}, HP_TOO_BIG, VIP4},
		{"one whose sender is told", {.from = CLIENT4, .to = "10.2.0.5", .to_port = 80, .payload = 1450}, HP_TOO_BIG_TOLD,
		 "10.2.0.5"},
		{"a later fragment", {.from = CLIENT4, .to = VIP4, .fragment = 100, .payload = 20}, HP_FRAGMENT, NULL},
		{"the last flow in the limit", {.from = CLIENT4, .to = "10.2.0.4", .to_port = 80}, HP_FORWARDED, "10.2.0.4"},
		{"the next", {.from = CLIENT4, .to = "10.2.0.4", .to_port = 80}, HP_LIMITED, "10.2.0.4"},
	};
	struct lab *lab = *state;

	open_services(lab);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hp_sample sample[HP_SAMPLES_KEPT];
		bool is_kept = lab_verdict_action(rows[i].verdict) == XDP_DROP;
		uint64_t before = taken(lab);
		struct lab_end end;
		struct wire in;

		wire_make(&in, &rows[i].spec);
		in.byte[in.l4 + 13] = 0x02;
		wait_out(lab);
		lab_run(lab, &in, &end);
		if (end.verdict != rows[i].verdict || taken(lab) != before + is_kept)
			fail_msg("%s: %s, %llu kept", rows[i].says, lab_verdict_name(end.verdict),
				 (unsigned long long)(taken(lab) - before));
		if (!is_kept)
			continue;
		assert_in_range(dataplane_samples(&lab->plane, rows[i].verdict, sample), 1, HP_SAMPLES_KEPT);
		assert_int_equal(sample->verdict, rows[i].verdict);
		assert_int_equal(sample->service, rows[i].vip ? number_of(lab, rows[i].vip) : 0);
		assert_int_equal(sample->bytes, in.bytes);
		assert_int_equal(sample->ifindex, lab->in);
		assert_in_range(dataplane_boot_ns() - sample->time_ns, 0, UINT64_C(60000000000));
		assert_memory_equal(sample->frame, in.byte, in.bytes < HP_SAMPLE_BYTES ? in.bytes : HP_SAMPLE_BYTES);
	}
}

static void what_passes_is_not(void **state)
{
	static const struct wire_spec specs[] = {
		{.from = CLIENT4, .to = "10.9.9.9", .to_port = 80},
		{.from = CLIENT4, .to = VIP4, .to_port = 81},
		{.from = CLIENT4, .to = VIP4, .protocol = IPPROTO_ICMP, .type = 8},
	};
	struct lab *lab = *state;
	uint64_t before;

	open_services(lab);
	before = taken(lab);
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		struct lab_end end;
		struct wire in;

		wait_out(lab);
		wire_make(&in, &specs[i]);
		lab_run(lab, &in, &end);
		assert_int_not_equal(end.action, XDP_DROP);
	}
	assert_int_equal(taken(lab), before);
}

/* A flood of one reason leaves a sample now and then, and other reasons theirs; the twin leaves none. */
static void a_flood_is_sampled_now_and_then(void **state)
{
	struct lab *lab = *state;
	struct hp_trace record;
	uint64_t before, began = dataplane_boot_ns(), denied, turns;
	struct lab_end end;
	struct wire in, other;
	struct err e;

	open_services(lab);
	wire_make(&in, &(struct wire_spec){.from = "192.0.2.9", .to = VIP4, .to_port = 80});
	wire_make(&other, &(struct wire_spec){.from = CLIENT4, .to = "10.2.0.2", .to_port = 80});
	wait_out(lab);
	before = taken(lab);
	dataplane_run(&lab->plane, in.byte, &in.bytes, WIRE_ROOM_BYTES, lab->in, &record, &e);
	assert_int_equal(record.verdict, HP_DENIED);
	assert_int_equal(taken(lab), before);
	denied = lab->plane.samples[HP_DENIED].taken;
	for (int i = 0; i < 1000; i++)
		lab_run(lab, &in, &end);
	turns = (dataplane_boot_ns() - began) / 64000000 + 2; /* of 1 ms a tick, which no kernel has less of */
	assert_in_range(lab->plane.samples[HP_DENIED].taken - denied, 1, turns * (uint64_t)libbpf_num_possible_cpus());
	before = lab->plane.samples[HP_NO_BACKEND].taken;
	lab_run(lab, &other, &end);
	assert_int_equal(lab->plane.samples[HP_NO_BACKEND].taken, before + 1);
}

/* The last ones are kept, newest first. */
static void the_last_are_kept(void **state)
{
	struct hp_sample sample[HP_SAMPLES_KEPT];
	struct lab *lab = *state;
	struct lab_end end;
	struct wire in;

	open_services(lab);
	for (uint16_t port = 1; port <= 2 * HP_SAMPLES_KEPT + 3; port++) {
		wire_make(&in, &(struct wire_spec){.from = "192.0.2.9", .to = VIP4, .from_port = port, .to_port = 80});
		wait_out(lab);
		lab_run(lab, &in, &end);
	}
	assert_int_equal(dataplane_samples(&lab->plane, HP_DENIED, sample), HP_SAMPLES_KEPT);
	for (uint16_t i = 0; i < HP_SAMPLES_KEPT; i++)
		assert_int_equal(wire_get16(sample[i].frame + in.l4), 2 * HP_SAMPLES_KEPT + 3 - i);
	lab->plane.samples[HP_DENIED].sample[0].number = 0; /* being written */
	assert_int_equal(dataplane_samples(&lab->plane, HP_DENIED, sample), HP_SAMPLES_KEPT - 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_dropped_is_kept),
		cmocka_unit_test(what_passes_is_not),
		cmocka_unit_test(a_flood_is_sampled_now_and_then),
		cmocka_unit_test(the_last_are_kept),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}

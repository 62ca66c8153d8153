/* Trace: the twin of the program says of a frame what the live program does with it, and leaves no mark. */
#include "packet/lab.h"

#include <bpf/bpf.h>

#include "director.skel.h"
#include "rules.h"

static const char services[] =
	"services:\n"
	"  - {vip: 10.2.0.1, port: 80, slots: 1009, backends: [{address: 10.3.0.1}, {address: 10.3.0.2}]}\n"
	"  - {vip: 10.2.0.1, port: any, slots: 101, forward: ipip, oversize: drop, backends: [{address: \"fd00:3::7\"}]}\n"
	"  - {vip: \"fd00:2::1\", port: 80, slots: 1009, forward: ipip, backends: [{address: 10.3.0.1}, "
	"{address: 10.3.0.2}]}\n"
	"  - {vip: 10.2.0.9, port: 80, backends: [{address: 10.3.0.9, weight: 0}]}\n";

static const uint8_t backend_mac[6] = {2, 0, 0, 0, 3, 7};

static const struct {
	const char *says;
	struct wire_spec spec;
	enum hp_verdict verdict;
	uint32_t size;	  /* of the ring that was read; 0: none was */
	uint8_t any_port; /* as in the record */
} rows[] = {
	{"one port", {.from = CLIENT4, .to = VIP4, .to_port = 80}, HP_FORWARDED, 1009, 0},
	{"one port, tagged", {.from = CLIENT4, .to = VIP4, .to_port = 80, .tags = "aq"}, HP_FORWARDED, 1009, 0},
	{"any port", {.from = CLIENT4, .to = VIP4, .to_port = 81}, HP_FORWARDED, 101, 1},
	{"one port of IPv6", {.from = CLIENT6, .to = VIP6, .to_port = 80}, HP_FORWARDED, 1009, 0},
	{"a port of no service", {.from = CLIENT6, .to = VIP6, .to_port = 81}, HP_VIP_OTHER, 0, 0},
	{"no VIP", {.from = CLIENT4, .to = "10.2.0.2", .to_port = 80}, HP_NOT_VIP, 0, 0},
	{"no backend", {.from = CLIENT4, .to = "10.2.0.9", .to_port = 80}, HP_NO_BACKEND, 0, 0},
	{"too long", {.from = CLIENT4, .to = VIP4, .to_port = 81, .payload = 1421}, HP_TOO_BIG, 101, 1},
	{"a loop", {.from = CLIENT4, .to = VIP4, .to_port = 81, .mac_from = backend_mac}, HP_LOOPED, 101, 1},
	{"a ping", {.from = CLIENT4, .to = VIP4, .protocol = IPPROTO_ICMP, .type = 8}, HP_ANSWERED_ECHO, 0, 0},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Compare what the twin recorded with what the live program did. */
static void check_record(const char *says, const struct hp_trace *record, const struct lab_end *end)
{
	if (record->verdict != end->verdict || record->service != end->service)
		fail_msg("%s: traced %s of service %u; it was %s of service %u", says, lab_verdict_name(record->verdict),
			 record->service, lab_verdict_name(end->verdict), end->service);
}

static void trace_tells_what_the_program_does(void **state)
{
	struct lab *lab = *state;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	for (unsigned int n = 0; n < ROWS * 50; n++) {
		struct wire_spec spec = rows[n % ROWS].spec;
		struct hp_trace record;
		struct lab_end end;
		struct wire in, traced;
		struct err e;
		int action;

		spec.from_port = (uint16_t)(1000 + n);
		wire_make(&in, &spec);
		traced = in;
		action = dataplane_run(&lab->plane, traced.byte, &traced.bytes, WIRE_ROOM_BYTES, lab->in, &record, &e);
		lab_run(lab, &in, &end);
		check_record(rows[n % ROWS].says, &record, &end);
		assert_int_equal(end.verdict, rows[n % ROWS].verdict);
		assert_int_equal(action, end.action);
		assert_true(lab_same(&traced, &end.frame));
		assert_int_equal(record.size, rows[n % ROWS].size);
		assert_int_equal(record.any_port, rows[n % ROWS].any_port);
		assert_int_equal(record.backend != 0, rows[n % ROWS].size != 0);
		assert_int_equal(record.adjacency != 0, rows[n % ROWS].size != 0);
		if (record.size)
			assert_in_range(record.slot, 0, record.size - 1);
	}
}

/* The number that the trace names is that of the backend whose address the frame bears. */
static void trace_names_the_backend(void **state)
{
	struct lab *lab = *state;
	uint32_t numbers[2] = {0, 0};

	lab_apply(lab, services);
	lab_resolve_all(lab);
	for (unsigned int n = 0; n < 100; n++) {
		struct wire_spec spec = rows[0].spec;
		struct hp_trace record;
		struct wire frame;
		struct err e;
		unsigned int backend;

		spec.from_port = (uint16_t)(1000 + n);
		wire_make(&frame, &spec);
		assert_int_equal(
			dataplane_run(&lab->plane, frame.byte, &frame.bytes, WIRE_ROOM_BYTES, lab->in, &record, &e), XDP_TX);
		backend = frame.byte[5] - 1u; /* by its MAC address: see lab_mac */
		assert_in_range(backend, 0, 1);
		if (!numbers[backend])
			numbers[backend] = record.backend;
		assert_int_equal(record.backend, numbers[backend]);
	}
	assert_true(numbers[0] && numbers[1] && numbers[0] != numbers[1]);
}

static void trace_counts_nothing(void **state)
{
	struct lab *lab = *state;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	lab_count(lab);
	for (size_t i = 0; i < ROWS; i++) {
		struct hp_trace record;
		struct wire frame;
		struct err e;

		wire_make(&frame, &rows[i].spec);
		assert_true(dataplane_run(&lab->plane, frame.byte, &frame.bytes, WIRE_ROOM_BYTES, lab->in, &record, &e) >= 0);
	}
	for (uint32_t number = 0; number < lab->rows; number++) {
		uint64_t now[HP_SERVICE_CELLS];

		dataplane_service_sum(&lab->plane, number, now);
		assert_memory_equal(now, lab->cell[number], sizeof(now));
	}
}

/* ---- while a service lives through changes -------------------------------------------------------------------------- */

#define ROWS_MOST 16

/* All that is remembered, and what packets did to it. */
struct memory {
	struct dataplane_flow rows[DATAPLANE_TABLE_COUNT][ROWS_MOST];
	int count[DATAPLANE_TABLE_COUNT];
	uint64_t events[HP_FLOW_EVENT_COUNT];
};

static void remember(struct lab *lab, struct memory *out)
{
	struct err e;

	memset(out, 0, sizeof(*out));
	for (int table = 0; table < DATAPLANE_TABLE_COUNT; table++) {
		struct dataplane_walk walk = {0};
		int count;

		while ((count = dataplane_walk_flows(&lab->plane, (enum dataplane_table)table, &walk, &e)) > 0) {
			assert_true(out->count[table] + count <= ROWS_MOST);
			memcpy(out->rows[table] + out->count[table], walk.rows, (size_t)count * sizeof(*walk.rows));
			out->count[table] += count;
		}
		assert_int_equal(count, 0);
		dataplane_walk_end(&walk);
	}
	for (int event = 0; event < HP_FLOW_EVENT_COUNT; event++)
		out->events[event] = dataplane_flow_events(&lab->plane, (enum hp_flow_event)event);
}

/* What is remembered of the client's port, and in which table. */
static const struct hp_remembered *of_port(const struct memory *memory, uint16_t port, enum dataplane_table *table)
{
	for (int t = 0; t < DATAPLANE_TABLE_COUNT; t++)
		for (int i = 0; i < memory->count[t]; i++)
			if (memory->rows[t][i].key.source_port == htons(port)) {
				*table = (enum dataplane_table)t;
				return &memory->rows[t][i].value;
			}
	*table = DATAPLANE_TABLE_COUNT;
	return NULL;
}

/* Two seconds pass for all that is remembered. */
static void age(struct lab *lab)
{
	const struct director_bpf *live = lab->plane.live;
	struct memory memory;

	remember(lab, &memory);
	for (int t = 0; t < DATAPLANE_TABLE_COUNT; t++)
		for (int i = 0; i < memory.count[t]; i++) {
			const struct bpf_map *map = t == DATAPLANE_FLOWS ? live->maps.flows : live->maps.unproven;
			struct hp_remembered value = memory.rows[t][i].value;

			value.since_ns -= 2000000000u;
			value.seen_ns -= 2000000000u;
			assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &memory.rows[t][i].key, &value, BPF_EXIST), 0);
		}
}

/* The tables after a packet are what the trace said that it would make of them. */
static void check_deed(const struct hp_trace *record, uint16_t port, const struct memory *was, const struct memory *is)
{
	enum dataplane_table from, in;
	const struct hp_remembered *before = of_port(was, port, &from), *after = of_port(is, port, &in);

	assert_int_equal(record->known, record->asked && before ? before->backend : 0);
	switch ((enum hp_deed)record->deed) {
	case HP_DEED_NONE:
		assert_memory_equal(was->rows, is->rows, sizeof(was->rows));
		return;
	case HP_DEED_REMEMBER:
		assert_true(after && in == DATAPLANE_UNPROVEN && after->backend == record->backend);
		return;
	case HP_DEED_REFRESH:
		assert_true(before && after && in == from && after->seen_ns > before->seen_ns);
		return;
	case HP_DEED_MARK:
		assert_true(before && after && in == from && after->seen_ns == before->seen_ns);
		return;
	case HP_DEED_PROMOTE:
		assert_true(before && from == DATAPLANE_UNPROVEN && after && in == DATAPLANE_FLOWS);
		return;
	case HP_DEED_FORGET:
		assert_true(before && !after);
		return;
	}
	fail_msg("deed %u", record->deed);
}

/* One packet, by the twin and then by the program itself. */
static void walk_twice(struct lab *lab, uint16_t port, uint8_t flags, unsigned int seen[static 8])
{
	struct wire_spec spec = {.from = CLIENT4, .to = VIP4, .from_port = port, .to_port = 80};
	struct memory was, traced_memory, is;
	struct hp_trace record;
	struct wire in, traced;
	struct lab_end end;
	struct err e;
	int action;

	wire_make(&in, &spec);
	in.byte[in.l4 + 13] = flags;
	traced = in;
	remember(lab, &was);
	action = dataplane_run(&lab->plane, traced.byte, &traced.bytes, WIRE_ROOM_BYTES, lab->in, &record, &e);
	remember(lab, &traced_memory);
	assert_memory_equal(&was, &traced_memory, sizeof(was));
	lab_run(lab, &in, &end);
	remember(lab, &is);
	assert_int_equal(action, end.action);
	assert_int_equal(record.verdict, end.verdict);
	assert_true(action == XDP_DROP || lab_same(&traced, &end.frame));
	check_deed(&record, port, &was, &is);
	seen[record.deed]++;
}

static void change_to(struct lab *lab, unsigned int backends)
{
	static const char *const lists[] = {"{address: 10.3.0.1, weight: 0}", "{address: 10.3.0.1}", "{address: 10.3.0.2}",
					    "{address: 10.3.0.1}, {address: 10.3.0.2}"};
	char text[300];

	snprintf(text, sizeof(text), "services:\n  - {vip: 10.2.0.1, port: 80, slots: 1009, backends: [%s]}\n", lists[backends]);
	lab_apply(lab, text);
	lab_resolve_all(lab);
}

/* The way to the last backend of the service is lost. */
static void lose_last(struct lab *lab)
{
	const struct config_service *config = lab->config->services[0];
	char address[IP_TEXT_BYTES];

	lab_resolve(lab, ip_format(&config->backends[config->backend_count - 1].address, address), NULL);
}

/* Changes, deaths, windows' ends and packets in any order. */
static void trace_writes_nothing_in_a_change(void **state)
{
	static const uint8_t flags[] = {0x02, 0x10, 0x10, 0x10, 0x11, 0x04};
	struct lab *lab = *state;
	unsigned int seen[8] = {0}, seed = 4;

	change_to(lab, 1);
	lab->keeps_moving = true;
	for (unsigned int n = 0; n < 4000; n++) {
		unsigned int what = (unsigned int)rand_r(&seed) % 100;

		if (what < 5)
			change_to(lab, (unsigned int)rand_r(&seed) % 4);
		else if (what < 7)
			lose_last(lab);
		else if (what < 9)
			lab_end_windows(lab);
		else if (what < 15)
			age(lab);
		else
			walk_twice(lab, (uint16_t)(40000 + (unsigned int)rand_r(&seed) % 6),
				   flags[(unsigned int)rand_r(&seed) % sizeof(flags)], seen);
	}
	lab->keeps_moving = false;
	lab_rest(lab);
	for (int deed = HP_DEED_NONE; deed <= HP_DEED_FORGET; deed++)
		if (!seen[deed])
			fail_msg("deed %d never came", deed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trace_tells_what_the_program_does),
		cmocka_unit_test(trace_names_the_backend),
		cmocka_unit_test(trace_counts_nothing),
		cmocka_unit_test(trace_writes_nothing_in_a_change),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}

/* Trace: the twin of the program says of a frame what the live program does with it, and leaves no mark. */
#include "packet/lab.h"

static const char services[] =
	"services:\n"
	"  - {vip: 10.2.0.1, port: 80, slots: 1009, backends: [{address: 10.3.0.1}, {address: 10.3.0.2}]}\n"
	"  - {vip: 10.2.0.1, port: any, slots: 101, forward: ipip, backends: [{address: \"fd00:3::7\"}]}\n"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trace_tells_what_the_program_does),
		cmocka_unit_test(trace_names_the_backend),
		cmocka_unit_test(trace_counts_nothing),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}

/* Nanoseconds a packet: the director's own program over its own maps, filled by its own fleet, beside an empty
 * program, a floor and a bare forwarder, all in the same wrapper and in turn: see wrapper.h and bare.bpf.c. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>

#include "bench_measured.h"

/* One class with all that is measured of it. */
struct row {
	struct bench_measured subjects[BENCH_SUBJECT_COUNT];
};

static bool is_wanted(int subject)
{
	return subject != BENCH_LRU && (subject != BENCH_FORMER || bench_former);
}

static int open_row(struct row *row, const struct bench_class *class, const struct bench_plane *plane, struct err *e)
{
	int code = 0;

	for (int subject = 0; !code && subject < BENCH_SUBJECT_COUNT; subject++)
		if (is_wanted(subject))
			code = bench_measured_open(&row->subjects[subject], plane, class, (enum bench_subject)subject, e);
	return code;
}

static void close_row(struct row *row)
{
	for (int subject = 0; subject < BENCH_SUBJECT_COUNT; subject++)
		bench_measured_close(&row->subjects[subject]);
}

static int measure_one(struct bench_measured *measured, int round, struct err *e)
{
	double ns;
	int code = bench_measured_run(measured, BENCH_PACKETS, &ns, e);

	if (!code && round >= 0)
		bench_measured_keep(measured, ns);
	return code;
}

/* All subjects of all classes in turn, so that the machine's moods meet them alike and none for long; a first round
 * only warms up. */
static int measure(struct row *rows, struct err *e)
{
	int code = 0;

	for (int round = -1; round < BENCH_ROUNDS; round++)
		for (size_t i = 0; i < bench_class_count; i++)
			for (int subject = 0; !code && subject < BENCH_SUBJECT_COUNT; subject++)
				if (is_wanted(subject))
					code = measure_one(&rows[i].subjects[subject], round, e);
	return code;
}

/* What another build does not know is no fault of this one. */
static int check(const struct row *row, struct err *e)
{
	int code = 0;

	for (int subject = 0; !code && subject < BENCH_SUBJECT_COUNT; subject++)
		if (subject != BENCH_FORMER && is_wanted(subject))
			code = bench_measured_check(&row->subjects[subject], e);
	return code;
}

static json_t *row_json(struct row *row)
{
	const struct bench_class *class = row->subjects->class;
	double ns[BENCH_SUBJECT_COUNT] = {0};
	json_t *out;

	for (int subject = 0; subject < BENCH_SUBJECT_COUNT; subject++)
		if (is_wanted(subject))
			ns[subject] = bench_measured_ns(&row->subjects[subject]);
	out = json_pack("{s:s, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f}", "forward", class->forward, "protocol",
			class->mss ? "mss" : class->protocol, "family", class->family, "flows", (int)class->flows, "ns",
			ns[BENCH_OURS], "empty_ns", ns[BENCH_EMPTY], "floor_ns", ns[BENCH_FLOOR], "bare_ns", ns[BENCH_BARE],
			"ratio",
			(ns[BENCH_OURS] - ns[BENCH_EMPTY]) / (ns[BENCH_BARE] - ns[BENCH_EMPTY]));
	if (bench_former && !bench_measured_check(&row->subjects[BENCH_FORMER], NULL))
		json_object_set_new(out, "former_ns", json_real(ns[BENCH_FORMER]));
	return out;
}

json_t *bench_packets(struct err *e)
{
	struct bench_plane *plane = bench_plane_open(bench_classes, bench_class_count, e);
	struct row *rows = calloc(bench_class_count, sizeof(*rows));
	int code = plane && rows ? 0 : -ENOMEM;
	json_t *out = json_array();

	for (size_t i = 0; !code && i < bench_class_count; i++)
		code = open_row(&rows[i], &bench_classes[i], plane, e);
	if (!code)
		code = measure(rows, e);
	for (size_t i = 0; !code && i < bench_class_count; i++) {
		code = check(&rows[i], e);
		json_array_append_new(out, row_json(&rows[i]));
	}
	for (size_t i = 0; rows && i < bench_class_count; i++)
		close_row(&rows[i]);
	free(rows);
	bench_plane_close(plane);
	if (!code)
		return out;
	json_decref(out);
	return NULL;
}

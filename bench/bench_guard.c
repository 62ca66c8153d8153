/* Nanoseconds a packet of services that ask who their clients are: lists of prefixes, limits, and packets that are dropped,
 * of which one is sampled now and then; beside the same frames to a plain service. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "bench_measured.h"

#define SOME (1u << 16) /* sources that open flows: each less than it may */
#define LIMIT "limit: {new_flows: 1000000}, "

/* ---- what there is to measure ---------------------------------------------------------------------------------------------- */

/* Each with a VIP of its own, by its place. */
static const struct story {
	const char *name;
	unsigned int prefixes; /* none of which holds a source that asks */
	const char *options;   /* more of them */
	bool is_dropped, is_under_way;
	uint32_t flows; /* of its second row */
	bool is_known_before; /* to another build, too */
} stories[] = {
	{"plain", 0, "", false, true, BENCH_MANY, true},
	{"10 prefixes", 10, "", false, true, BENCH_MANY, false},
	{"1,000 prefixes", 1000, "", false, true, BENCH_MANY, false},
	{"20,000 prefixes", 20000, "", false, true, BENCH_MANY, false},
	{"limit, under way", 0, LIMIT, false, true, BENCH_MANY, false},
	{"limit, new flows", 0, LIMIT, false, false, SOME, false},
	{"denied of 1,000", 1000, "deny: [\"0.0.0.0/0\", \"::/0\"], ", true, true, BENCH_MANY, false},
	{"no backend", 0, NULL, true, true, BENCH_MANY, true},
};

#define STORIES (sizeof(stories) / sizeof(stories[0]))

static const int families[] = {4, 6};

#define FAMILIES 2
#define ROWS (STORIES * FAMILIES)

struct row {
	const struct story *story;
	char vip[32];
	struct bench_class class, open_class; /* that class's many flows, and one, which stands for its service */
	struct bench_measured subjects[BENCH_SUBJECT_COUNT];
	struct bench_measured one;
};

/* ---- the plane ------------------------------------------------------------------------------------------------------------- */

/* The service's options, owned by the caller. */
static char *options_of(const struct story *story, int family)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	const char *deny = family == 4 ? "\"0.0.0.0/0\", " : "\"::/0\", ";

	if (!out)
		return NULL;
	if (!story->prefixes)
		fprintf(out, "%s", story->options ? story->options : "");
	else
		fprintf(out, "deny: [%s", story->is_dropped ? deny : "");
	for (unsigned int n = 0; n < story->prefixes; n++)
		fprintf(out, family == 4 ? "100.%u.%u.0/24, " : "\"2001:db8:%x%02x::/48\", ", 64 + n / 256, n % 256);
	fprintf(out, "%s", story->prefixes ? "], " : "");
	return fclose(out) ? NULL : text;
}

static void plan_row(struct row *row, const struct story *story, int family)
{
	row->story = story;
	snprintf(row->vip, sizeof(row->vip), family == 4 ? "10.2.0.%zu" : "fd00:2::%zu", (size_t)(story - stories) + 1);
	row->class = (struct bench_class){
		.forward = "ipip",
		.protocol = "tcp",
		.family = family,
		.flows = story->flows,
		.vip = row->vip,
		.is_vip = true,
		.is_under_way = story->is_under_way,
		.is_dropped = story->is_dropped,
		.has_no_backend = !story->options,
		.options = options_of(story, family),
	};
	row->open_class = row->class;
	row->open_class.flows = 1;
}

static struct bench_plane *open_plane(struct row *rows, struct err *e)
{
	struct bench_class classes[ROWS];

	for (size_t i = 0; i < ROWS; i++)
		classes[i] = rows[i].open_class;
	return bench_plane_open(classes, ROWS, e);
}

/* ---- measuring -------------------------------------------------------------------------------------------------------*/

static bool is_wanted(const struct row *row, int subject)
{
	if (subject == BENCH_FORMER)
		return bench_former && row->story->is_known_before;
	return subject == BENCH_OURS || (subject == BENCH_EMPTY && !row->story->is_dropped);
}

static int open_row(struct row *row, const struct bench_plane *plane, struct err *e)
{
	int code = 0;

	for (int subject = 0; !code && subject < BENCH_SUBJECT_COUNT; subject++)
		if (is_wanted(row, subject))
			code = bench_measured_open(&row->subjects[subject], plane, &row->class, (enum bench_subject)subject, e);
	return code ? code : bench_measured_open(&row->one, plane, &row->open_class, BENCH_OURS, e);
}

static int measure_one(struct bench_measured *measured, int round, struct err *e)
{
	double ns;
	int code = bench_measured_run(measured, BENCH_PACKETS, &ns, e);

	if (!code && round >= 0)
		bench_measured_keep(measured, ns);
	return code;
}

static int measure(struct row *rows, struct err *e)
{
	int code = 0;

	for (int round = -1; round < BENCH_ROUNDS; round++)
		for (size_t i = 0; i < ROWS; i++) {
			for (int subject = 0; !code && subject < BENCH_SUBJECT_COUNT; subject++)
				if (is_wanted(&rows[i], subject))
					code = measure_one(&rows[i].subjects[subject], round, e);
			if (!code && rows[i].story->is_under_way)
				code = measure_one(&rows[i].one, round, e);
		}
	return code;
}

/* A plain service's empty program stands for those whose packets are dropped, as it drops nothing. */
static void put_row(struct row *rows, size_t i, json_t *out)
{
	struct row *row = &rows[i], *plain = &rows[i / STORIES * STORIES];
	double empty = bench_measured_ns(&plain->subjects[BENCH_EMPTY]);
	json_t *one = row->story->is_under_way ? json_real(bench_measured_ns(&row->one) - empty) : json_null();
	json_t *former = json_null();

	if (is_wanted(row, BENCH_FORMER))
		former = json_real(bench_measured_ns(&row->subjects[BENCH_FORMER]) - empty);
	json_array_append_new(out, json_pack("{s:s, s:i, s:o, s:i, s:f, s:o}", "service", row->story->name, "family",
					     row->class.family, "one_ns", one, "flows", (int)row->class.flows, "ns",
					     bench_measured_ns(&row->subjects[BENCH_OURS]) - empty, "former_ns", former));
}

static void close_rows(struct row *rows)
{
	for (size_t i = 0; i < ROWS; i++) {
		for (int subject = 0; subject < BENCH_SUBJECT_COUNT; subject++)
			bench_measured_close(&rows[i].subjects[subject]);
		bench_measured_close(&rows[i].one);
		free((char *)rows[i].class.options);
	}
}

json_t *bench_guard(struct err *e)
{
	auto_free struct row *rows = calloc(ROWS, sizeof(*rows));
	struct bench_plane *plane = NULL;
	json_t *out = json_array();
	int code = 0;

	if (!rows)
		return NULL;
	for (size_t i = 0; i < ROWS; i++)
		plan_row(&rows[i], &stories[i % STORIES], families[i / STORIES]);
	plane = open_plane(rows, e);
	code = plane ? 0 : -ENOMEM;
	for (size_t i = 0; !code && i < ROWS; i++)
		code = open_row(&rows[i], plane, e);
	if (!code)
		code = measure(rows, e);
	for (size_t i = 0; !code && i < ROWS; i++) {
		code = bench_measured_check(&rows[i].subjects[BENCH_OURS], e);
		put_row(rows, i, out);
	}
	close_rows(rows);
	bench_plane_close(plane);
	if (!code)
		return out;
	json_decref(out);
	return NULL;
}

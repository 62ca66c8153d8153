/* Nanoseconds a packet of services that live through a change, or keep the ring of the last one for a second chance,
 * beside the same program with a steady service, a bare forwarder, and a bare forwarder that remembers every flow. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench_change.h"
#include "bench_measured.h"

#define FEW (1u << 16)	     /* new flows a round: few enough for the table of unproven flows to hold, and for less than a
			      * second, after which they would be proven */
#define NEVER_AGAIN (1u << 23) /* flows of which none comes twice */
#define CELLS_MOST 96
#define TRIES 5
#define TOLERANCE 100 /* one packet in so many may go otherwise than its row says */

/* ---- what there is to measure ---------------------------------------------------------------------------------------------- */

enum service {
	STEADY,
	DIFFER, /* its two rings name no backend in common */
	AGREE,	/* they name the same backends, in blocks of their own */
	SERVICES
};

enum memory {
	NOTHING,
	NEW,	  /* each packet opens a flow */
	UNPROVEN, /* the flows that NEW has just opened, or one */
	PROVEN,
};

struct story {
	const char *name;
	enum service service;
	uint32_t flags; /* HP_MOTION_* */
	enum memory memory;
	bool is_gue;
};

static const struct story stories[] = {
	{"moving, rings agree", AGREE, HP_MOTION_MOVING, NOTHING, false},
	{"moving, asks in vain", AGREE, HP_MOTION_MOVING | HP_MOTION_ASKS, NOTHING, false},
	{"moving, new", DIFFER, HP_MOTION_MOVING, NEW, false},
	{"moving, unproven", DIFFER, HP_MOTION_MOVING, UNPROVEN, false},
	{"moving, proven", DIFFER, HP_MOTION_MOVING, PROVEN, false},
	{"settling, unknown", DIFFER, HP_MOTION_SETTLING, NOTHING, false},
	{"settling, proven", DIFFER, HP_MOTION_SETTLING, PROVEN, false},
	{"steady, rings agree", AGREE, 0, NOTHING, true},
	{"steady, rings differ", DIFFER, 0, NOTHING, true},
};

#define STORIES (sizeof(stories) / sizeof(stories[0]))

/* What a row stands beside: the same frames to a steady service. */
static const struct story steady = {"steady", STEADY, 0, NOTHING, false}, steady_new = {"steady, new", STEADY, 0, NEW, false};

static const struct story *beside_of(const struct story *story)
{
	return story->memory == NEW ? &steady_new : &steady;
}

/* Flows of a story's second row. */
static uint32_t many(const struct story *story)
{
	return story->memory == NEW || story->memory == UNPROVEN ? FEW : BENCH_MANY;
}

/* One method and family. */
struct group {
	const char *forward;
	int family;
	const char *vips[SERVICES];
};

static const struct group groups[] = {
	{"l2", 4, {"10.2.0.1", "10.2.0.2", "10.2.0.3"}},
	{"l2", 6, {"fd00:2::1", "fd00:2::2", "fd00:2::3"}},
	{"ipip", 4, {"10.2.0.1", "10.2.0.2", "10.2.0.3"}},
	{"ipip", 6, {"fd00:2::1", "fd00:2::2", "fd00:2::3"}},
	{"gue", 4, {"10.2.0.1", "10.2.0.2", "10.2.0.3"}},
	{"gue", 6, {"fd00:2::1", "fd00:2::2", "fd00:2::3"}},
};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

/* A story with so many flows, and a program that it is measured with. */
struct cell {
	const struct story *story;
	struct bench_class class;
	enum bench_subject subject;
	uint32_t flows; /* that a round has */
	struct bench_measured measured;
	struct cell *opened_by; /* of unproven flows */
	uint32_t opened_at;	/* the first flow of its last round */
};

struct run {
	const struct group *group;
	struct bench_plane *plane;
	struct cell cells[CELLS_MOST];
	size_t count;
};

/* ---- the plane ------------------------------------------------------------------------------------------------------------- */

static struct bench_class class_of(const struct group *group, enum service service, uint32_t flows)
{
	return (struct bench_class){
		.forward = group->forward,
		.protocol = "tcp",
		.family = group->family,
		.flows = flows,
		.vip = group->vips[service],
		.is_vip = true,
		.is_under_way = true,
	};
}

/* What is proven takes a port of its own, that the flows of no other row are known. */
static struct bench_class proven_class(const struct group *group, uint32_t flows)
{
	struct bench_class class = class_of(group, DIFFER, flows);

	class.source_port = 50000;
	return class;
}

static int open_plane(struct run *run, struct err *e)
{
	const char *moved[] = {run->group->vips[DIFFER], run->group->vips[AGREE], NULL};
	struct bench_class classes[SERVICES], proven = proven_class(run->group, BENCH_MANY);
	int code;

	for (int i = 0; i < SERVICES; i++)
		classes[i] = class_of(run->group, (enum service)i, 1);
	run->plane = bench_plane_open(classes, SERVICES, e);
	if (!run->plane)
		return -ENOMEM;
	code = bench_plane_apply(run->plane, classes, SERVICES, moved, e);
	if (!code)
		code = bench_change_agree(run->plane, &classes[AGREE], e);
	return code ? code : bench_change_remember(run->plane, &proven, e);
}

/* ---- cells ----------------------------------------------------------------------------------------------------------------- */

static struct cell *find(struct run *run, const struct story *story, uint32_t flows, enum bench_subject subject)
{
	for (size_t i = 0; i < run->count; i++)
		if (run->cells[i].story == story && run->cells[i].flows == flows && run->cells[i].subject == subject)
			return &run->cells[i];
	return NULL;
}

/* New flows of two programs are of two ports: what one has opened is not new to the other. */
static struct bench_class cell_class(const struct group *group, const struct cell *cell)
{
	const struct story *story = cell->story;
	struct bench_class class = class_of(group, story->service, cell->flows);

	switch (story->memory) {
	case NOTHING:
		break;
	case PROVEN:
		return proven_class(group, cell->flows);
	case NEW:
	case UNPROVEN:
		class.is_under_way = story->memory == UNPROVEN;
		class.source_port = (uint16_t)(41000 + cell->subject);
		if (cell->flows > 1)
			class.flows = NEVER_AGAIN;
		else
			class.source_port += 1000;
		break;
	}
	return class;
}

static struct cell *opener_of(struct run *run, const struct cell *cell)
{
	for (size_t i = 0; i < run->count; i++)
		if (run->cells[i].story->memory == NEW && run->cells[i].story->service == cell->story->service &&
		    run->cells[i].subject == cell->subject)
			return &run->cells[i];
	return NULL;
}

static int add(struct run *run, const struct story *story, uint32_t flows, enum bench_subject subject, struct err *e)
{
	struct cell *cell = &run->cells[run->count];

	if (find(run, story, flows, subject) || (subject == BENCH_FORMER && !bench_former))
		return 0;
	if (run->count == CELLS_MOST)
		return err_set(e, -ENOSPC, "more than %d cells", CELLS_MOST);
	*cell = (struct cell){.story = story, .flows = flows, .subject = subject};
	cell->class = cell_class(run->group, cell);
	if (story->memory == UNPROVEN && flows > 1)
		cell->opened_by = opener_of(run, cell);
	run->count++;
	return bench_measured_open(&cell->measured, run->plane, &cell->class, subject, e);
}

/* A row's own cells, and those that it stands beside, which it may share with other rows. */
static int add_row(struct run *run, const struct story *story, uint32_t flows, struct err *e)
{
	static const enum bench_subject beside[] = {BENCH_EMPTY, BENCH_BARE, BENCH_LRU, BENCH_OURS};
	int code = 0;

	for (size_t i = 0; !code && i < sizeof(beside) / sizeof(beside[0]); i++)
		code = add(run, beside_of(story), flows, beside[i], e);
	if (!code)
		code = add(run, story, flows, BENCH_OURS, e);
	return code ? code : add(run, story, flows, BENCH_FORMER, e);
}

static bool is_of_group(const struct story *story, const struct group *group)
{
	return story->is_gue == !strcmp(group->forward, "gue");
}

static int add_rows(struct run *run, struct err *e)
{
	int code = 0;

	for (size_t i = 0; !code && i < STORIES; i++) {
		if (!is_of_group(&stories[i], run->group))
			continue;
		if (stories[i].memory != NEW)
			code = add_row(run, &stories[i], 1, e);
		if (!code)
			code = add_row(run, &stories[i], many(&stories[i]), e);
	}
	return code;
}

/* ---- rounds ---------------------------------------------------------------------------------------------------------------- */

static uint64_t events(const struct run *run)
{
	uint64_t sum = 0;

	for (int event = 0; event < HP_FLOW_EVENT_COUNT; event++)
		sum += dataplane_flow_events(&run->plane->plane, (enum hp_flow_event)event);
	return sum;
}

static int prepare(struct run *run, struct cell *cell, struct err *e)
{
	struct bench_measured *measured = &cell->measured;
	double ns;
	int code = 0;

	if (cell->story->service != STEADY)
		bench_change_flags(run->plane, &cell->class, cell->story->flags);
	if (cell->story->memory == UNPROVEN && !cell->opened_by) {
		bench_change_forget(run->plane, &cell->class);
		code = bench_measured_run(measured, 1, &ns, e);
	}
	if (cell->opened_by)
		measured->progress->next = cell->opened_by->opened_at;
	cell->opened_at = measured->progress->next;
	return code;
}

/* What a round makes of the tables: a new flow is remembered, or missed by the bare forwarder's table, and nothing else
 * happens. */
static uint64_t made(const struct run *run, const struct cell *cell)
{
	return cell->subject == BENCH_LRU ? bench_measured_missed(&cell->measured) : events(run);
}

static bool is_remembering(const struct cell *cell)
{
	return cell->story->memory == NEW && (cell->subject == BENCH_LRU || cell->story->service != STEADY);
}

/* Returns 1 when the round went as its row says; 0 when it did not, as the machine was too busy: it leaves no figure. */
static int try_round(struct run *run, struct cell *cell, double *ns, struct err *e)
{
	uint32_t packets = cell->flows == FEW ? FEW : BENCH_PACKETS;
	uint64_t told = is_remembering(cell) ? packets : 0, before, off;
	int code = prepare(run, cell, e);

	if (code)
		return code;
	before = made(run, cell);
	code = bench_measured_run(&cell->measured, packets, ns, e);
	off = made(run, cell) - before - told;
	off = off > packets ? -off : off;
	return code ? code : off * TOLERANCE <= packets;
}

/* Flows that were opened more than a second ago are opened anew. */
static int measure_cell(struct run *run, struct cell *cell, int round, struct err *e)
{
	double ns, ignored;
	int code = try_round(run, cell, &ns, e);

	for (int again = 0; !code && cell->opened_by && again < TRIES; again++) {
		code = try_round(run, cell->opened_by, &ignored, e);
		code = code < 0 ? code : try_round(run, cell, &ns, e);
	}
	if (code > 0 && round >= 0)
		bench_measured_keep(&cell->measured, ns);
	return code < 0 ? code : 0;
}

/* Tables are as full as they get before the first round. */
static int warm(struct run *run, struct cell *cell, struct err *e)
{
	uint32_t packets = 0;
	double ns;
	int code;

	if (is_remembering(cell))
		packets = cell->subject == BENCH_LRU ? 3 * BENCH_MANY / 2 : run->plane->plane.limits.unproven / 2 * 3;
	code = packets ? prepare(run, cell, e) : 0;
	return packets && !code ? bench_measured_run(&cell->measured, packets, &ns, e) : code;
}

static int measure(struct run *run, struct err *e)
{
	int code = 0;

	for (size_t i = 0; !code && i < run->count; i++)
		code = warm(run, &run->cells[i], e);
	for (int round = -1; round < BENCH_ROUNDS; round++)
		for (size_t i = 0; !code && i < run->count; i++)
			code = measure_cell(run, &run->cells[i], round, e);
	return code;
}

static int check(const struct run *run, struct err *e)
{
	for (size_t i = 0; i < run->count; i++) {
		const struct cell *cell = &run->cells[i];
		int code = bench_measured_check(&cell->measured, e);

		if (code)
			return code;
		if (cell->measured.rounds < BENCH_ROUNDS / 2)
			return err_set(e, -EAGAIN, "%s IPv%d, %s, %u flows, subject %d: only %d of %d rounds went as told",
				       run->group->forward, run->group->family, cell->story->name, cell->flows, cell->subject,
				       cell->measured.rounds, BENCH_ROUNDS);
	}
	return 0;
}

/* ---- figures --------------------------------------------------------------------------------------------------------------- */

static json_t *figure(struct run *run, const struct story *story, uint32_t flows, enum bench_subject subject)
{
	struct cell *cell = find(run, story, flows, subject);

	return cell ? json_real(bench_measured_ns(&cell->measured)) : json_null();
}

static void put_row(struct run *run, const struct story *story, uint32_t flows, json_t *out)
{
	const struct story *beside = beside_of(story);

	json_array_append_new(out, json_pack("{s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "service", story->name,
					     "forward",
					     run->group->forward, "family", run->group->family, "flows", (int)flows, "ns",
					     figure(run, story, flows, BENCH_OURS), "empty_ns",
					     figure(run, beside, flows, BENCH_EMPTY), "steady_ns",
					     figure(run, beside, flows, BENCH_OURS), "bare_ns",
					     figure(run, beside, flows, BENCH_BARE), "lru_ns",
					     figure(run, beside, flows, BENCH_LRU), "former_ns",
					     figure(run, story, flows, BENCH_FORMER)));
}

static void put_rows(struct run *run, json_t *out)
{
	for (size_t i = 0; i < STORIES; i++) {
		if (!is_of_group(&stories[i], run->group))
			continue;
		if (stories[i].memory != NEW)
			put_row(run, &stories[i], 1, out);
		put_row(run, &stories[i], many(&stories[i]), out);
	}
}

static int measure_group(const struct group *group, json_t *out, struct err *e)
{
	auto_free struct run *run = calloc(1, sizeof(*run));
	int code;

	if (!run)
		return err_set(e, -ENOMEM, "%m");
	run->group = group;
	code = open_plane(run, e);
	if (!code)
		code = add_rows(run, e);
	if (!code)
		code = measure(run, e);
	if (!code)
		code = check(run, e);
	if (!code)
		put_rows(run, out);
	for (size_t i = 0; i < run->count; i++)
		bench_measured_close(&run->cells[i].measured);
	bench_plane_close(run->plane);
	return code;
}

json_t *bench_motion(struct err *e)
{
	json_t *out = json_array();
	int code = 0;

	for (size_t i = 0; !code && i < GROUPS; i++)
		code = measure_group(&groups[i], out, e);
	if (!code)
		return out;
	json_decref(out);
	return NULL;
}

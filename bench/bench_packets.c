/* Nanoseconds a packet: the director's own program over its own maps, filled by its own fleet, beside an empty
 * program, a floor and a bare forwarder, all in the same wrapper and in turn: see wrapper.h and bare.bpf.c. */
#include "bench.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "setting.h"

#include "bare.skel.h"
#include "bench_frame.h"
#include "bench_plane.h"
#include "ours.skel.h"

#define ROUNDS 21
#define PACKETS_A_ROUND 150000

/* One program in a wrapper of its own. */
struct measured {
	struct bare_bpf *bare;	/* holds empty, floor and bare */
	struct ours_bpf *ours;
	int program_fd;
	const struct bench_progress *progress;
	double ns[ROUNDS];
};

static void close_measured(struct measured *measured)
{
	bare_bpf__destroy(measured->bare);
	ours_bpf__destroy(measured->ours);
}

/* The action that a subject has to answer for the class. */
static uint32_t wanted_action(const struct bench_class *class, enum bench_subject subject)
{
	bool is_forwarder = subject == BENCH_BARE || subject == BENCH_OURS;

	return is_forwarder && !class->is_vip ? XDP_PASS : XDP_TX;
}

static struct bench_setting setting_of(const struct bench_class *class, enum bench_subject subject)
{
	struct bench_setting setting = {
		.flows = class->flows,
		.action = wanted_action(class, subject),
		.is_answered = !strcmp(class->protocol, "arp"),
		.is_moved = bench_class_outer(class) != 0,
		.subject = subject,
	};
	struct bench_frame frame;

	bench_frame_make(class, &frame);
	memcpy(setting.frame, frame.byte, sizeof(setting.frame));
	setting.bytes = frame.bytes;
	setting.address_at = frame.address_at;
	return setting;
}

static int open_ours(struct measured *measured, const struct bench_plane *plane, const struct bench_class *class)
{
	struct ours_bpf *ours = ours_bpf__open();
	struct bench_setting setting = setting_of(class, BENCH_OURS);
	int code;

	if (!ours)
		return -errno;
	measured->ours = ours;
	bpf_program__set_autoload(ours->progs.pass, false);
	bpf_program__set_autoload(ours->progs.halfproxy, false);
	memcpy((void *)&ours->rodata->bench_setting, &setting, sizeof(setting));
	code = bench_plane_share(plane, ours);
	if (!code)
		code = ours_bpf__load(ours);
	if (code)
		return code;
	measured->program_fd = bpf_program__fd(ours->progs.bench_wrapper);
	measured->progress = &ours->bss->bench_progress;
	return 0;
}

static int open_bare(struct measured *measured, const struct bench_plane *plane, const struct bench_class *class,
		     enum bench_subject subject)
{
	struct bare_bpf *bare = bare_bpf__open();
	struct bench_setting setting = setting_of(class, subject);
	int code;

	if (!bare)
		return -errno;
	measured->bare = bare;
	memcpy((void *)&bare->rodata->bench_setting, &setting, sizeof(setting));
	code = bench_plane_size_bare(plane, class, bare);
	if (!code)
		code = bare_bpf__load(bare);
	if (!code)
		code = bench_plane_fill_bare(plane, class, bare);
	if (code)
		return code;
	measured->program_fd = bpf_program__fd(bare->progs.bench_wrapper);
	measured->progress = &bare->bss->bench_progress;
	return 0;
}

static int run(const struct measured *measured, const struct bench_class *class, double *ns)
{
	struct bench_frame frame;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.byte, .repeat = PACKETS_A_ROUND);
	double begin;
	int code;

	bench_frame_make(class, &frame);
	options.data_size_in = frame.bytes;
	begin = bench_cpu_s();
	code = bpf_prog_test_run_opts(measured->program_fd, &options);
	*ns = (bench_cpu_s() - begin) * 1e9 / PACKETS_A_ROUND;
	return code;
}

/* One class with all that is measured of it. */
struct row {
	const struct bench_class *class;
	struct measured subjects[BENCH_SUBJECT_COUNT];
};

static int open_row(struct row *row, const struct bench_plane *plane, struct err *e)
{
	int code = 0;

	for (int subject = 0; !code && subject < BENCH_SUBJECT_COUNT; subject++)
		code = subject == BENCH_OURS
			       ? open_ours(&row->subjects[subject], plane, row->class)
			       : open_bare(&row->subjects[subject], plane, row->class, (enum bench_subject)subject);
	return code ? err_set(e, code, "loading what is measured: %m") : 0;
}

static void close_row(struct row *row)
{
	for (int subject = 0; subject < BENCH_SUBJECT_COUNT; subject++)
		close_measured(&row->subjects[subject]);
}

/* All subjects of all classes in turn, so that the machine's moods meet them alike and none for long; a first round
 * only warms up. */
static int measure(struct row *rows, struct err *e)
{
	double ignored;

	for (int round = -1; round < ROUNDS; round++)
		for (size_t i = 0; i < bench_class_count; i++)
			for (int subject = 0; subject < BENCH_SUBJECT_COUNT; subject++) {
				struct measured *measured = &rows[i].subjects[subject];

				if (run(measured, rows[i].class, round < 0 ? &ignored : &measured->ns[round]))
					return err_set(e, -errno, "running the wrapper: %m");
			}
	return 0;
}

/* A figure of packets that were not treated as they have to be is none. */
static int check(const struct row *row, struct err *e)
{
	for (int subject = 0; subject < BENCH_SUBJECT_COUNT; subject++)
		if (row->subjects[subject].progress->wrong)
			return err_set(e, -EPROTO, "%s %s IPv%d: subject %d answered %llu packets otherwise than it has to",
				       row->class->forward, row->class->protocol, row->class->family, subject,
				       (unsigned long long)row->subjects[subject].progress->wrong);
	return 0;
}

static json_t *row_json(struct row *row)
{
	const struct bench_class *class = row->class;
	double ns[BENCH_SUBJECT_COUNT];

	for (int subject = 0; subject < BENCH_SUBJECT_COUNT; subject++)
		ns[subject] = bench_median(row->subjects[subject].ns, ROUNDS);
	return json_pack("{s:s, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f}", "forward", class->forward, "protocol",
			 class->protocol, "family", class->family, "flows", (int)class->flows, "ns", ns[BENCH_OURS],
			 "empty_ns", ns[BENCH_EMPTY], "floor_ns", ns[BENCH_FLOOR], "bare_ns", ns[BENCH_BARE], "ratio",
			 (ns[BENCH_OURS] - ns[BENCH_EMPTY]) / (ns[BENCH_BARE] - ns[BENCH_EMPTY]));
}

json_t *bench_packets(struct err *e)
{
	struct bench_plane *plane = bench_plane_open(e);
	struct row *rows = calloc(bench_class_count, sizeof(*rows));
	int code = plane && rows ? 0 : -ENOMEM;
	json_t *out = json_array();

	for (size_t i = 0; !code && i < bench_class_count; i++) {
		rows[i].class = &bench_classes[i];
		code = open_row(&rows[i], plane, e);
	}
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

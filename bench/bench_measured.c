/* One measured program: see bench_measured.h. */
#include "bench_measured.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "bare.skel.h"
#include "bench.h"
#include "bench_object.h"
#include "ours.skel.h"

const char *bench_former;

/* The action that a subject has to answer for the class. */
static uint32_t wanted_action(const struct bench_class *class, enum bench_subject subject)
{
	bool is_simple = subject == BENCH_EMPTY || subject == BENCH_FLOOR;

	if (class->is_dropped && !is_simple)
		return XDP_DROP;
	return is_simple || class->is_vip ? XDP_TX : XDP_PASS;
}

static struct bench_setting setting_of(const struct bench_measured *measured)
{
	const struct bench_class *class = measured->class;
	struct bench_setting setting = {
		.flows = class->flows,
		.action = wanted_action(class, measured->subject),
		.is_answered = !strcmp(class->protocol, "arp"),
		.is_moved = bench_class_outer(class) != 0,
		.subject = measured->subject,
		.bytes = measured->frame.bytes,
		.address_at = measured->frame.address_at,
	};

	memcpy(setting.frame, measured->frame.byte, sizeof(setting.frame));
	return setting;
}

/* Ours, of this build or of another. */
static struct bpf_object *open_object(enum bench_subject subject)
{
	size_t bytes;
	const void *elf = ours_bpf__elf_bytes(&bytes);

	return subject == BENCH_FORMER ? bpf_object__open(bench_former) : bpf_object__open_mem(elf, bytes, NULL);
}

static int open_ours(struct bench_measured *measured, const struct bench_plane *plane, const struct bench_setting *setting)
{
	struct bpf_object *ours = open_object(measured->subject);
	struct bpf_program *program;
	int code;

	if (!ours)
		return -errno;
	measured->ours = ours;
	bpf_object__for_each_program(program, ours)
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), "bench_wrapper"));
	code = bench_object_set(ours, "bench_setting", setting, sizeof(*setting));
	if (!code)
		code = bench_plane_share(plane, ours);
	if (!code)
		code = bpf_object__load(ours);
	if (code)
		return code;
	measured->program_fd = bpf_program__fd(bpf_object__find_program_by_name(ours, "bench_wrapper"));
	measured->progress = bench_object_variable(ours, "bench_progress", sizeof(*measured->progress));
	return measured->progress ? 0 : -EPROTO;
}

static int open_bare(struct bench_measured *measured, const struct bench_plane *plane, const struct bench_setting *setting)
{
	struct bare_bpf *bare = bare_bpf__open();
	int code;

	if (!bare)
		return -errno;
	measured->bare = bare;
	memcpy((void *)&bare->rodata->bench_setting, setting, sizeof(*setting));
	code = bench_plane_size_bare(plane, measured->class, bare);
	if (!code)
		code = bare_bpf__load(bare);
	if (!code)
		code = bench_plane_fill_bare(plane, measured->class, bare);
	if (code)
		return code;
	measured->program_fd = bpf_program__fd(bare->progs.bench_wrapper);
	measured->progress = &bare->bss->bench_progress;
	return 0;
}

int bench_measured_open(struct bench_measured *measured, const struct bench_plane *plane, const struct bench_class *class,
			enum bench_subject subject, struct err *e)
{
	struct bench_setting setting;
	int code;

	measured->class = class;
	measured->subject = subject;
	bench_frame_make(class, &measured->frame);
	setting = setting_of(measured);
	if (subject == BENCH_OURS || subject == BENCH_FORMER)
		code = open_ours(measured, plane, &setting);
	else
		code = open_bare(measured, plane, &setting);
	return code ? err_set(e, code, "loading %s: %m", subject == BENCH_FORMER ? bench_former : "what is measured") : 0;
}

void bench_measured_close(struct bench_measured *measured)
{
	bare_bpf__destroy(measured->bare);
	bpf_object__close(measured->ours);
}

int bench_measured_run(struct bench_measured *measured, uint32_t packets, double *ns, struct err *e)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = measured->frame.byte, .data_size_in = measured->frame.bytes,
		    .repeat = (int)packets);
	double begin = bench_cpu_s();
	int code = bpf_prog_test_run_opts(measured->program_fd, &options);

	*ns = (bench_cpu_s() - begin) * 1e9 / packets;
	return code ? err_set(e, -errno, "running the wrapper: %m") : 0;
}

uint64_t bench_measured_missed(const struct bench_measured *measured)
{
	return measured->bare->bss->bare_missed;
}

void bench_measured_keep(struct bench_measured *measured, double ns)
{
	if (measured->rounds < BENCH_ROUNDS)
		measured->ns[measured->rounds++] = ns;
}

double bench_measured_ns(struct bench_measured *measured)
{
	return bench_median(measured->ns, (size_t)measured->rounds);
}

int bench_measured_check(const struct bench_measured *measured, struct err *e)
{
	static const char *const names[BENCH_SUBJECT_COUNT] = {
		[BENCH_EMPTY] = "the empty program", [BENCH_FLOOR] = "the floor", [BENCH_BARE] = "the bare forwarder",
		[BENCH_LRU] = "the bare forwarder with a table",
		[BENCH_OURS] = "ours", [BENCH_FORMER] = "ours of the other build",
	};
	const struct bench_class *class = measured->class;

	if (!measured->progress->wrong)
		return 0;
	return err_set(e, -EPROTO, "%s %s IPv%d: %s answered %llu packets otherwise than it has to", class->forward,
		       class->protocol, class->family, names[measured->subject], (unsigned long long)measured->progress->wrong);
}

/* One program in a wrapper of its own, run many times over, and its figures: see wrapper.h. */
#ifndef HP_BENCH_MEASURED_H
#define HP_BENCH_MEASURED_H

#include <stdint.h>

#include "base/err.h"
#include "bench_frame.h"
#include "bench_plane.h"
#include "setting.h"

#define BENCH_ROUNDS 21
#define BENCH_PACKETS 150000 /* a round */

struct bare_bpf;
struct bpf_object;

struct bench_measured {
	const struct bench_class *class;
	enum bench_subject subject;
	struct bench_frame frame;
	struct bare_bpf *bare;	 /* what is not ours */
	struct bpf_object *ours; /* of this build or another */
	int program_fd;
	struct bench_progress *progress; /* the wrapper's */
	double ns[BENCH_ROUNDS];
	int rounds; /* that are kept */
};

/* ours.bpf.o of another build, which BENCH_FORMER loads over the same maps; NULL: none. */
extern const char *bench_former;

/* Load the wrapper with the subject inside, for the class's frames. Needs all zero. Returns 0, or -errno with *e
 * written; bench_measured_close is needed either way. */
int bench_measured_open(struct bench_measured *measured, const struct bench_plane *plane, const struct bench_class *class,
			enum bench_subject subject, struct err *e);
void bench_measured_close(struct bench_measured *measured);

/* Run so many packets. Returns 0 with *ns, a packet's share of this thread's CPU time, or -errno with *e written. */
int bench_measured_run(struct bench_measured *measured, uint32_t packets, double *ns, struct err *e);

/* Packets whose flow the bare forwarder's table did not know. */
uint64_t bench_measured_missed(const struct bench_measured *measured);

/* Keep a round's figure. At most BENCH_ROUNDS are kept. */
void bench_measured_keep(struct bench_measured *measured, double ns);

/* The median of those that are kept. */
double bench_measured_ns(struct bench_measured *measured);

/* A figure of packets that were not treated as they have to be is none. Returns 0 or -EPROTO with *e written. */
int bench_measured_check(const struct bench_measured *measured, struct err *e);

#endif

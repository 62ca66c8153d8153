/* Services in motion on a plane: what its changes made of them, and what packets would have put into the tables of flows
 * by then. */
#ifndef HP_BENCH_CHANGE_H
#define HP_BENCH_CHANGE_H

#include "bench_plane.h"

/* Let the ring `before` of a class's service name the same backends as `now`, in blocks of its own. Returns 0 or -errno
 * with *e written. */
int bench_change_agree(struct bench_plane *plane, const struct bench_class *class, struct err *e);

/* Let packets of a class's service see it move, ask, settle or rest (HP_MOTION_*), with the two rings that it has. */
void bench_change_flags(struct bench_plane *plane, const struct bench_class *class, uint32_t flags);

/* Let all flows of a class be remembered and proven, with the backends that `before` names. Returns 0 or -errno with *e
 * written. */
int bench_change_remember(struct bench_plane *plane, const struct bench_class *class, struct err *e);

/* Forget a class's first flow. */
void bench_change_forget(struct bench_plane *plane, const struct bench_class *class);

#endif

/* The motion of a service: steady, moving, settling, and what a change or the time makes of it.
 *
 * The daemon's half of continuity; a packet's is bpf/rules.h. Rings themselves are the caller's: this says what becomes
 * of `before`. Pure; time is passed in, by the boot clock, in whole seconds that have passed.
 *
 * The caller sees to the order of things, and tests/unit/test_continuity.c shows what happens else: until_s is stored
 * before the service's record; flags, `now` and `before` are one store. */
#ifndef HP_CORE_MOTION_H
#define HP_CORE_MOTION_H

#include <stdbool.h>
#include <stdint.h>

struct motion {
	uint32_t flags;	  /* HP_MOTION_*; 0: steady */
	uint64_t until_s; /* while moving: when the window ends */
};

/* What a step does with the ring `before`. */
enum motion_before {
	MOTION_KEEP,
	MOTION_TAKE, /* it becomes the ring that was `now` until this change */
	MOTION_DROP,
};

/* The service gets another ring.
 *
 * had_ring  it had one: without, no flow can be at risk.
 * window_s  how long after a change unknown flows under way are taken to be of before it; 0: nothing is lived through,
 *           and the caller drops what is remembered of the service, or it would mislead the next motion. */
enum motion_before motion_change(struct motion *motion, bool had_ring, uint32_t window_s, uint64_t now_s);

/* The service comes into being where another served its packets until now, whose motion is `former`: a port split off a
 * service of any port. `before` is then the other's `before` if that moves, else its `now`. */
void motion_split(struct motion *motion, const struct motion *former, uint32_t window_s, uint64_t now_s);

/* The window is over, if it is: the service settles. Nothing ends while the table of flows is full: who was not taken
 * into it would be lost. Returns whether the service now settles. */
bool motion_end_window(struct motion *motion, bool table_is_full, uint64_t now_s);

/* A service that settles has no remembered flow left: it is steady. The caller has looked through both tables, through
 * the unproven flows first, as a flow may be promoted meanwhile, and began a grace period after the window's end.
 * Returns what becomes of `before`, which a service with a second chance keeps until the next change. */
enum motion_before motion_rest(struct motion *motion, bool keeps_before);

static inline bool motion_is_steady(const struct motion *motion)
{
	return !motion->flags;
}

/* "steady", "moving" or "settling". */
const char *motion_name(const struct motion *motion);

#endif

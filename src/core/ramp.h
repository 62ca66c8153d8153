/* Slow starts: the weight of a backend that has come rises in steps to its whole.
 *
 * A step is a ring; rings have no common factor in their weights, so that the last step's is the one that is there
 * without a slow start. Pure; time is passed in, by the boot clock, in whole seconds. */
#ifndef HP_CORE_RAMP_H
#define HP_CORE_RAMP_H

#include <stddef.h>
#include <stdint.h>

#include "core/ring.h"

#define RAMP_STEPS 10 /* the last is the whole weight */

/* The step, 1 to RAMP_STEPS, of a backend that came at came_s; of one that never did (0), the last. */
uint32_t ramp_step(uint32_t came_s, uint32_t slow_start_s, uint64_t now_s);

/* When a backend came that begins this step now. */
uint32_t ramp_came(uint32_t step, uint32_t slow_start_s, uint64_t now_s);

/* Give members so many RAMP_STEPS-ths of their weights beside each other; those of any weight keep some. */
void ramp_scale(struct ring_member *members, const uint32_t *steps, size_t count);

/* Guess the steps out of a ring: whoever has fewer slots for its weight than others is on its way.
 *
 * slots  how many of the ring's slots each member has. */
void ramp_guess(const struct ring_member *members, const uint32_t *slots, size_t count, uint32_t *steps);

#endif

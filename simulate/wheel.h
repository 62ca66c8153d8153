/* A timing wheel: which flows have a packet in which millisecond. Flows are linked by their numbers; number 0 is none. */
#ifndef HP_SIMULATE_WHEEL_H
#define HP_SIMULATE_WHEEL_H

#include "flow.h"

#define WHEEL_SLOTS 4096u

struct wheel {
	uint32_t near[WHEEL_SLOTS]; /* a millisecond each */
	uint32_t far[WHEEL_SLOTS];  /* WHEEL_SLOTS ms each */
	uint32_t beyond;
	uint32_t now_ms;
};

/* Put a flow in, by its due_ms, which is after the wheel's now. */
void wheel_add(struct wheel *wheel, struct flow *flows, uint32_t number);

/* Go on to the next millisecond. Returns the first of the flows that are due then, taken out. */
uint32_t wheel_turn(struct wheel *wheel, struct flow *flows);

#endif

/* A timing wheel: see wheel.h. */
#include "wheel.h"

void wheel_add(struct wheel *wheel, struct flow *flows, uint32_t number)
{
	uint32_t due = flows[number].due_ms, *list = &wheel->beyond;

	if (due / WHEEL_SLOTS == wheel->now_ms / WHEEL_SLOTS)
		list = &wheel->near[due % WHEEL_SLOTS];
	else if (due / WHEEL_SLOTS - wheel->now_ms / WHEEL_SLOTS < WHEEL_SLOTS)
		list = &wheel->far[due / WHEEL_SLOTS % WHEEL_SLOTS];
	flows[number].next = *list;
	*list = number;
}

static void spread(struct wheel *wheel, struct flow *flows, uint32_t *list)
{
	uint32_t number = *list;

	*list = 0;
	while (number) {
		uint32_t next = flows[number].next;

		wheel_add(wheel, flows, number);
		number = next;
	}
}

uint32_t wheel_turn(struct wheel *wheel, struct flow *flows)
{
	uint32_t first;

	wheel->now_ms++;
	if (wheel->now_ms % WHEEL_SLOTS == 0) {
		if (wheel->now_ms / WHEEL_SLOTS % WHEEL_SLOTS == 0)
			spread(wheel, flows, &wheel->beyond);
		spread(wheel, flows, &wheel->far[wheel->now_ms / WHEEL_SLOTS % WHEEL_SLOTS]);
	}
	first = wheel->near[wheel->now_ms % WHEEL_SLOTS];
	wheel->near[wheel->now_ms % WHEEL_SLOTS] = 0;
	return first;
}

/* Slow starts: see ramp.h. */
#include "core/ramp.h"

uint32_t ramp_step(uint32_t came_s, uint32_t slow_start_s, uint64_t now_s)
{
	uint64_t passed_s = now_s > came_s ? now_s - came_s : 0;

	if (!came_s || passed_s >= slow_start_s)
		return RAMP_STEPS;
	return 1 + (uint32_t)((RAMP_STEPS - 1) * passed_s / slow_start_s);
}

uint32_t ramp_came(uint32_t step, uint32_t slow_start_s, uint64_t now_s)
{
	uint64_t passed_s = ((uint64_t)(step - 1) * slow_start_s + RAMP_STEPS - 2) / (RAMP_STEPS - 1);

	if (step >= RAMP_STEPS)
		return 0;
	return now_s > passed_s ? (uint32_t)(now_s - passed_s) : 1;
}

/* Weights grow to have steps between them, as far as there is room. */
void ramp_scale(struct ring_member *members, const uint32_t *steps, size_t count)
{
	uint32_t heaviest = 1, factor = 1;

	for (size_t i = 0; i < count; i++) {
		if (members[i].weight > heaviest)
			heaviest = members[i].weight;
		if (steps[i] < RAMP_STEPS)
			factor = RAMP_STEPS;
	}
	if (factor > RING_WEIGHT_MOST / heaviest)
		factor = RING_WEIGHT_MOST / heaviest;
	for (size_t i = 0; i < count; i++) {
		uint64_t weight = (uint64_t)members[i].weight * factor * steps[i] / RAMP_STEPS;

		members[i].weight = weight || !members[i].weight ? (uint32_t)weight : 1;
	}
}

void ramp_guess(const struct ring_member *members, const uint32_t *slots, size_t count, uint32_t *steps)
{
	double most = 0;

	for (size_t i = 0; i < count; i++)
		if (members[i].weight && slots[i] / (double)members[i].weight > most)
			most = slots[i] / (double)members[i].weight;
	for (size_t i = 0; i < count; i++) {
		double share = members[i].weight && most > 0 ? slots[i] / (members[i].weight * most) : 1;
		uint32_t step = (uint32_t)(share * RAMP_STEPS + 0.5);

		steps[i] = step ? step : 1;
	}
}

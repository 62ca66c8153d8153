/* Slow starts: steps in time, weights, and steps guessed out of a ring. Pure. */
#include "unit/unit.h"

#include "abi.h"
#include "base/cleanup.h"
#include "core/ramp.h"

static const struct {
	const char *what;
	uint32_t came_s, slow_start_s;
	uint64_t now_s;
	uint32_t step;
} step_rows[] = {
	{"never came", 0, 30, 1000, 10},
	{"just came", 1000, 30, 1000, 1},
	{"a third of a step", 1000, 30, 1001, 1},
	{"the second step", 1000, 30, 1004, 2},
	{"half way", 1000, 30, 1015, 5},
	{"the last but one", 1000, 30, 1029, 9},
	{"the whole", 1000, 30, 1030, 10},
	{"long ago", 1000, 30, 100000, 10},
	{"a clock behind", 1000, 30, 999, 1},
	{"no slow start", 1000, 0, 1000, 10},
	{"one second, at once", 1000, 1, 1000, 1},
	{"one second, over", 1000, 1, 1001, 10},
	{"an hour, near its end", 1, 3600, 3600, 9},
	{"late on the clock", UINT32_MAX - 5, 3600, UINT32_MAX + 395ULL, 2},
};

static void steps_follow_the_time(void **state)
{
	for (size_t i = 0; i < COUNT(step_rows); i++) {
		uint32_t step = ramp_step(step_rows[i].came_s, step_rows[i].slow_start_s, step_rows[i].now_s);

		if (step != step_rows[i].step)
			fail_msg("%s: step %u", step_rows[i].what, step);
	}
}

/* Whatever the length: every step comes, in order, and who is said to begin a step is in it. */
static void every_step_comes(void **state)
{
	static const uint32_t lengths[] = {9, 10, 11, 30, 3600};

	for (size_t l = 0; l < COUNT(lengths); l++) {
		uint32_t former = 1;

		for (uint32_t t = 0; t <= lengths[l]; t++) {
			uint32_t step = ramp_step(5000, lengths[l], 5000 + t);

			assert_in_range(step, former, former + 1);
			former = step;
		}
		assert_int_equal(former, RAMP_STEPS);
		for (uint32_t step = 1; step <= RAMP_STEPS; step++)
			assert_int_equal(ramp_step(ramp_came(step, lengths[l], 7000), lengths[l], 7000), step);
	}
	assert_int_equal(ramp_came(RAMP_STEPS, 30, 7000), 0);
	assert_int_equal(ramp_came(9, 3600, 5), 1); /* not before the boot */
}

static const struct {
	const char *what;
	uint32_t weights[3], steps[3], scaled[3];
} scale_rows[] = {
	{"nobody on the way", {1, 2, 3}, {10, 10, 10}, {1, 2, 3}},
	{"one at the beginning", {1, 1, 1}, {10, 10, 1}, {10, 10, 1}},
	{"one half way", {1, 2, 4}, {10, 10, 5}, {10, 20, 20}},
	{"two at different steps", {3, 3, 3}, {10, 7, 2}, {30, 21, 6}},
	{"all at one step", {1, 2, 3}, {4, 4, 4}, {4, 8, 12}},
	{"a weight of 0 stays out", {0, 1, 1}, {1, 10, 3}, {0, 10, 3}},
	{"room for a factor of 6", {10000, 1, 10000}, {10, 10, 5}, {60000, 6, 30000}},
	{"no room for a factor", {65535, 1, 65535}, {10, 1, 1}, {65535, 1, 6553}},
	{"nobody", {0, 0, 0}, {10, 1, 10}, {0, 0, 0}},
};

static void weights_are_shares_of_steps(void **state)
{
	for (size_t i = 0; i < COUNT(scale_rows); i++) {
		struct ring_member members[3];

		memset(members, 0, sizeof(members));
		for (size_t m = 0; m < 3; m++)
			members[m].weight = scale_rows[i].weights[m];
		ramp_scale(members, scale_rows[i].steps, 3);
		for (size_t m = 0; m < 3; m++)
			if (members[m].weight != scale_rows[i].scaled[m])
				fail_msg("%s: weight %zu is %u", scale_rows[i].what, m, members[m].weight);
	}
}

static void set_members(struct ring_member *members, const uint32_t *weights, size_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t address[4] = {10, 3, 0, (uint8_t)(i + 1)};

		members[i] = (struct ring_member){ip_from4(address), HP_METHOD_L2, weights[i], i};
	}
}

/* Build the ring of some steps, count its slots, and guess. */
static void assert_guessed(const uint32_t *weights, const uint32_t *steps, size_t count, uint32_t size)
{
	auto_free uint32_t *slots = calloc(size, sizeof(*slots));
	struct ring_member members[8] = {0}, scaled[8];
	struct ring_spec spec = {.members = scaled, .count = count, .size = size, .seed = 42};
	uint32_t counts[8] = {0}, guessed[8];
	struct err e;

	set_members(members, weights, count);
	memcpy(scaled, members, sizeof(scaled));
	ramp_scale(scaled, steps, count);
	assert_int_equal(ring_build(&spec, slots, &e), 0);
	for (uint32_t i = 0; i < size; i++)
		counts[slots[i]]++;
	ramp_guess(members, counts, count, guessed);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(guessed[i], steps[i]);
}

static void steps_are_read_out_of_a_ring(void **state)
{
	static const uint32_t equal[8] = {1, 1, 1, 1, 1, 1, 1, 1}, uneven[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	for (uint32_t step = 1; step <= RAMP_STEPS; step++)
		for (uint32_t other = 1; other <= RAMP_STEPS; other++) {
			const uint32_t steps[8] = {10, 10, step, 10, other, 10, 10, step};

			assert_guessed(equal, steps, 8, 1009);
			assert_guessed(uneven, steps, 8, 16381);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_follow_the_time),
		cmocka_unit_test(every_step_comes),
		cmocka_unit_test(weights_are_shares_of_steps),
		cmocka_unit_test(steps_are_read_out_of_a_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Extents against a naive bitmap that does the same: random takes, places, returns, grace periods. Pure. */
#include "unit/unit.h"

#include <stdlib.h>

#include "core/extents.h"

#define FIRST 1
#define LIMIT 400
#define STEPS 20000
#define HELD_MOST 200

enum use {
	FREE,
	USED,
	RETIRED,
};

struct model {
	enum use use[LIMIT];
	struct extent held[HELD_MOST]; /* taken and not yet returned */
	size_t held_count;
};

static uint32_t seed;

static uint32_t chance(uint32_t range)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % range;
}

static bool all_free(const struct model *model, uint32_t at, uint32_t count)
{
	if (at < FIRST || at + count > LIMIT)
		return false;
	for (uint32_t i = at; i < at + count; i++)
		if (model->use[i] != FREE)
			return false;
	return true;
}

static void set(struct model *model, uint32_t at, uint32_t count, enum use use)
{
	for (uint32_t i = at; i < at + count; i++)
		model->use[i] = use;
}

static uint32_t model_take(const struct model *model, uint32_t count)
{
	for (uint32_t at = FIRST; at + count <= LIMIT; at++)
		if (all_free(model, at, count))
			return at;
	return 0;
}

/* Free extents are sorted, apart, and just the free blocks of the model. */
static void assert_same(const struct extents *extents, const struct model *model)
{
	uint32_t used = 0, at = FIRST;

	for (uint32_t i = FIRST; i < LIMIT; i++)
		used += model->use[i] != FREE;
	assert_int_equal(extents->used, used);
	for (size_t i = 0; i < extents->free_count; i++) {
		assert_true(extents->free[i].count > 0);
		for (; at < extents->free[i].at; at++)
			assert_int_not_equal(model->use[at], FREE);
		assert_true(at == extents->free[i].at && (!i || model->use[at - 1] != FREE));
		for (; at < extents->free[i].at + extents->free[i].count; at++)
			assert_int_equal(model->use[at], FREE);
	}
	for (; at < LIMIT; at++)
		assert_int_not_equal(model->use[at], FREE);
}

static void hold(struct model *model, uint32_t at, uint32_t count)
{
	set(model, at, count, USED);
	model->held[model->held_count++] = (struct extent){at, count};
}

static void step(struct extents *extents, struct model *model)
{
	uint32_t count = 1 + chance(chance(4) ? 6 : 60), at;
	size_t which;

	switch (chance(8)) {
	case 0:
	case 1:
	case 2:
		at = model_take(model, count);
		if (model->held_count == HELD_MOST)
			return;
		assert_int_equal(extents_take(extents, count), at);
		if (at)
			hold(model, at, count);
		return;
	case 3:
		at = chance(LIMIT + 5);
		if (model->held_count == HELD_MOST)
			return;
		assert_int_equal(extents_take_at(extents, at, count), all_free(model, at, count));
		if (all_free(model, at, count))
			hold(model, at, count);
		return;
	case 4:
		extents_reclaim(extents);
		for (uint32_t i = FIRST; i < LIMIT; i++)
			if (model->use[i] == RETIRED)
				model->use[i] = FREE;
		assert_false(extents_any_retired(extents));
		return;
	default:
		if (!model->held_count)
			return;
		which = chance((uint32_t)model->held_count);
		set(model, model->held[which].at, model->held[which].count, RETIRED);
		extents_retire(extents, model->held[which].at, model->held[which].count);
		model->held[which] = model->held[--model->held_count];
		assert_true(extents_any_retired(extents));
	}
}

static void any_walk_agrees_with_a_bitmap(void **state)
{
	for (uint32_t round = 0; round < 5; round++) {
		struct model model = {.held_count = 0};
		struct extents extents;

		seed = round;
		assert_int_equal(extents_init(&extents, FIRST, LIMIT), 0);
		for (int i = 0; i < STEPS; i++) {
			step(&extents, &model);
			assert_same(&extents, &model);
		}
		while (model.held_count) {
			struct extent last = model.held[--model.held_count];

			extents_retire(&extents, last.at, last.count);
		}
		extents_reclaim(&extents);
		assert_int_equal(extents.used, 0);
		assert_int_equal(extents.free_count, 1);
		assert_int_equal(extents.free[0].count, LIMIT - FIRST);
		extents_destroy(&extents);
	}
}

static void what_is_retired_is_not_free_yet(void **state)
{
	struct extents extents;

	assert_int_equal(extents_init(&extents, 1, 11), 0);
	assert_int_equal(extents_take(&extents, 10), 1);
	assert_int_equal(extents_take(&extents, 1), 0);
	extents_retire(&extents, 1, 10);
	assert_int_equal(extents_take(&extents, 1), 0);
	assert_false(extents_take_at(&extents, 1, 1));
	assert_int_equal(extents.used, 10);
	extents_reclaim(&extents);
	assert_int_equal(extents_take(&extents, 11), 0);
	assert_int_equal(extents_take(&extents, 10), 1);
	extents_destroy(&extents);
}

static void the_end_is_above_the_highest_in_use(void **state)
{
	struct extents extents;

	assert_int_equal(extents_init(&extents, 1, 11), 0);
	assert_int_equal(extents_end(&extents), 1);
	assert_true(extents_take_at(&extents, 7, 2));
	assert_int_equal(extents_end(&extents), 9);
	assert_int_equal(extents_take(&extents, 3), 1);
	assert_int_equal(extents_end(&extents), 9);
	assert_true(extents_take_at(&extents, 9, 2));
	assert_int_equal(extents_end(&extents), 11);
	extents_retire(&extents, 7, 4);
	assert_int_equal(extents_end(&extents), 11);
	extents_reclaim(&extents);
	assert_int_equal(extents_end(&extents), 4);
	extents_destroy(&extents);
}

static void room_for_nothing_gives_nothing(void **state)
{
	struct extents extents;

	assert_int_equal(extents_init(&extents, 1, 1), 0);
	assert_int_equal(extents_take(&extents, 1), 0);
	assert_false(extents_take_at(&extents, 1, 1));
	extents_reclaim(&extents);
	extents_destroy(&extents);
}

/* The largest array: nothing overflows at its end. */
static void the_end_of_the_largest_range(void **state)
{
	struct extents extents;

	assert_int_equal(extents_init(&extents, 1, UINT32_MAX), 0);
	assert_true(extents_take_at(&extents, UINT32_MAX - 1, 1));
	assert_false(extents_take_at(&extents, UINT32_MAX - 1, 1));
	assert_false(extents_take_at(&extents, UINT32_MAX - 2, 2));
	assert_true(extents_take_at(&extents, UINT32_MAX - 2, 1));
	assert_false(extents_take_at(&extents, 5, UINT32_MAX));
	assert_int_equal(extents_take(&extents, UINT32_MAX), 0);
	extents_retire(&extents, UINT32_MAX - 1, 1);
	extents_retire(&extents, UINT32_MAX - 2, 1);
	extents_reclaim(&extents);
	assert_int_equal(extents.free_count, 1);
	assert_int_equal(extents.free[0].count, UINT32_MAX - 1);
	extents_destroy(&extents);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_walk_agrees_with_a_bitmap),
		cmocka_unit_test(what_is_retired_is_not_free_yet),
		cmocka_unit_test(the_end_is_above_the_highest_in_use),
		cmocka_unit_test(room_for_nothing_gives_nothing),
		cmocka_unit_test(the_end_of_the_largest_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

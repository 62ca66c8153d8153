/* Continuity: the rules of packets (bpf/rules.h) and of the daemon (src/core/motion.h) together, in a small world, through
 * all short sequences of what can happen and many long ones. Pure; needs no privilege.
 *
 * The world and the sentence that is held stand in continuity_world.h. */
#include "continuity_search.h"

#ifdef __SANITIZE_ADDRESS__ /* slower, and it looks for other mistakes */
#define SHALLOWER 1
#define SEQUENCES 300
#else
#define SHALLOWER 0
#define SEQUENCES 5000
#endif

#define MUTANT_SEQUENCES 2000
#define SEED 20260101

static const struct scene short_scenes[] = {
	{.name = "a flow, three backends", .flows = 1, .backends = 3, .unproven_most = 1, .flows_most = 1, .depth = 7},
	{.name = "two flows, two backends", .flows = 2, .backends = 2, .unproven_most = 1, .flows_most = 1, .depth = 6},
	{.name = "a flow of UDP", .flows = 1, .backends = 3, .unproven_most = 1, .flows_most = 1, .is_udp = true,
	 .depth = 7},
	{.name = "a flow with a second chance", .flows = 1, .backends = 3, .unproven_most = 1, .flows_most = 1,
	 .has_chance = true, .depth = 6},
};

static const struct scene long_scenes[] = {
	{.name = "rings", .flows = 6, .backends = 4, .unproven_most = 4, .flows_most = 4, .has_rings = true},
	{.name = "rings, large tables", .flows = 8, .backends = 3, .unproven_most = 8, .flows_most = 8, .has_rings = true},
	{.name = "rings and UDP", .flows = 6, .backends = 4, .unproven_most = 4, .flows_most = 4, .has_rings = true,
	 .is_udp = true},
	{.name = "rings and a second chance", .flows = 6, .backends = 4, .unproven_most = 4, .flows_most = 4,
	 .has_rings = true, .has_chance = true},
};

static void all_short_sequences_hold(void **state)
{
	struct finding finding;

	for (unsigned int i = 0; i < COUNT(short_scenes); i++) {
		scene = &short_scenes[i];
		if (search_all(scene->depth - SHALLOWER, &finding)) {
			print_finding(&finding);
			fail();
		}
	}
}

static void long_random_sequences_hold(void **state)
{
	struct finding finding;

	for (unsigned int i = 0; i < COUNT(long_scenes); i++) {
		scene = &long_scenes[i];
		if (search_random(SEED, SEQUENCES, &finding)) {
			print_finding(&finding);
			fail();
		}
	}
}

static bool is_found(void)
{
	struct finding finding;

	for (unsigned int i = 0; i < COUNT(long_scenes); i++) {
		scene = &long_scenes[i];
		if (search_random(SEED, MUTANT_SEQUENCES, &finding))
			return true;
	}
	for (unsigned int i = 0; i < COUNT(short_scenes); i++) {
		scene = &short_scenes[i];
		if (search_all(4, &finding))
			return true;
	}
	return false;
}

/* Without this nobody would know whether the two tests above can fail. */
static void every_mutant_is_found(void **state)
{
	unsigned int missed = 0;

	for (unsigned int m = NO_MUTANT + 1; m < MUTANTS; m++) {
		mutant = (enum mutant)m;
		if (is_found())
			continue;
		print_message("not found: %s\n", mutant_names[m]);
		missed++;
	}
	mutant = NO_MUTANT;
	assert_int_equal(missed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_short_sequences_hold),
		cmocka_unit_test(long_random_sequences_hold),
		cmocka_unit_test(every_mutant_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

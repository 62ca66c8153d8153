/* The simulator: what must hold whatever the figures are, on runs of a few seconds. Pure but for the picture, which is
 * written into a file. */
#include "unit.h"

#include <unistd.h>

#include "report.h"

static const struct options small = {
	.backends = 40, .flows = 40000, .hours = 2, .window_s = 1800, .warm_s = 1200, .every_s = 120, .changes = 15,
	.share = 0.05, .kinds = {true, true, true, true, true}, .traffic = {50, 20, 30}, .flood_rate = 2000, .flood_s = 600,
	.seed = 7,
};

/* Broken flows that had been silent for no longer than the window. */
static uint64_t broken_within(const struct outcome *outcome)
{
	return report_broken(outcome) - outcome->broken[SILENT_LONGER];
}

static void nothing_of_ours_breaks_within_the_window(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct options options = small;
		struct result result;

		options.seed = seed;
		result = run(&options, NULL);
		assert_int_equal(broken_within(&result.outcomes[SCHEME_OURS]), 0);
		assert_int_equal(broken_within(&result.outcomes[SCHEME_CHANCE]), 0);
		assert_true(report_broken(&result.outcomes[SCHEME_CHANCE]) <= report_broken(&result.outcomes[SCHEME_OURS]));
		assert_true(result.is_steady || result.outcomes[SCHEME_OURS].entries);
	}
}

/* Or the test above says nothing. */
static void others_break(void **state)
{
	struct result result = run(&small, NULL);

	assert_true(result.flows > 39000 && result.flows < 41000);
	assert_true(result.rings >= small.changes);
	assert_true(broken_within(&result.outcomes[SCHEME_MAGLEV]) > 20);
	assert_true(report_broken(&result.outcomes[SCHEME_MODULO]) > 10 * report_broken(&result.outcomes[SCHEME_MAGLEV]));
	assert_true(broken_within(&result.outcomes[SCHEME_LRU_ALIVE]) > 0);
	assert_int_equal(broken_within(&result.outcomes[SCHEME_LRU_WINDOW]), 0);
	assert_true(result.passed_on > 0);
}

static void ours_remembers_a_tenth_of_what_an_lru_must(void **state)
{
	struct result result = run(&small, NULL);

	assert_true(result.outcomes[SCHEME_OURS].entries > 0);
	assert_true(result.outcomes[SCHEME_OURS].flow_bytes * 10 < result.outcomes[SCHEME_LRU_WINDOW].flow_bytes);
}

/* What JET promises, it keeps: it is made for backends that come, and die. */
static void jet_lives_through_what_it_was_told_of(void **state)
{
	static const enum change_of kinds[] = {CHANGES_GROW, CHANGES_FAILURE};

	for (unsigned int i = 0; i < COUNT(kinds); i++) {
		struct options options = small;
		struct result result;

		memset(options.kinds, 0, sizeof(options.kinds));
		options.kinds[kinds[i]] = true;
		result = run(&options, NULL);
		assert_int_equal(broken_within(&result.outcomes[SCHEME_JET]), 0);
		assert_true(broken_within(&result.outcomes[SCHEME_MAGLEV]) > 0);
	}
}

static void every_kind_of_change_is_lived_through(void **state)
{
	for (int kind = 0; kind < CHANGE_KINDS; kind++) {
		struct options options = small;
		struct result result;

		memset(options.kinds, 0, sizeof(options.kinds));
		options.kinds[kind] = true;
		result = run(&options, NULL);
		assert_int_equal(broken_within(&result.outcomes[SCHEME_OURS]), 0);
	}
}

/* Of ours it can break only who was opened during the flood and is pushed out before its proof. */
static void a_flood_wears_out_an_lru_and_not_ours(void **state)
{
	struct result calm = run(&small, NULL), flooded;
	struct room room = room_for_flood(&small, &calm);

	flooded = run(&small, &room);
	assert_int_equal(flooded.flows, calm.flows);
	assert_int_equal(flooded.packets, calm.packets);
	assert_int_equal(flooded.strangers, 600 * 2000);
	assert_true(broken_within(&flooded.outcomes[SCHEME_LRU_WINDOW]) > 10 * broken_within(&flooded.outcomes[SCHEME_OURS]));
	assert_true(broken_within(&flooded.outcomes[SCHEME_CHANCE]) <= broken_within(&flooded.outcomes[SCHEME_OURS]));
}

static void equal_seeds_give_equal_results(void **state)
{
	struct result first = run(&small, NULL), second = run(&small, NULL);

	assert_memory_equal(first.outcomes, second.outcomes, sizeof(first.outcomes));
	assert_int_equal(first.packets, second.packets);
}

static void the_picture_is_whole(void **state)
{
	struct report report = {.options = small, .calm = run(&small, NULL)};
	char path[] = "/tmp/test_simulate.XXXXXX", text[65536];
	int fd = mkstemp(path);
	ssize_t length;

	assert_true(fd >= 0);
	report.flooded = report.calm;
	assert_int_equal(plot_write(path, &report, 1), 0);
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	unlink(path);
	assert_true(length > 0);
	text[length] = '\0';
	assert_int_equal(strncmp(text, "<svg ", 5), 0);
	assert_string_equal(text + length - 7, "</svg>\n");
	for (int i = 0; i < SCHEMES; i++)
		assert_holds("picture", text, scheme_names[i]);
	assert_int_equal(plot_write("/nowhere/at/all.svg", &report, 1), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_of_ours_breaks_within_the_window),
		cmocka_unit_test(others_break),
		cmocka_unit_test(ours_remembers_a_tenth_of_what_an_lru_must),
		cmocka_unit_test(jet_lives_through_what_it_was_told_of),
		cmocka_unit_test(every_kind_of_change_is_lived_through),
		cmocka_unit_test(a_flood_wears_out_an_lru_and_not_ours),
		cmocka_unit_test(equal_seeds_give_equal_results),
		cmocka_unit_test(the_picture_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

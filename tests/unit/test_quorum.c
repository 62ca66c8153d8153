/* Who of a service's backends gets new flows, and whether it is up. Pure. */
#include "unit/unit.h"

#include "core/quorum.h"

/* Backends, a letter each: U up, D down, ? unknown, f fails and can be reached (as D, but packets get there), u up with
 * weight 0, F a fallback that can be reached, X one that cannot. Results: a letter each, t takes flows. */
static const struct {
	const char *what;
	uint32_t min_up;
	bool is_percent;
	enum config_all_down when;
	const char *backends, *takes;
	enum quorum_verdict verdict;
} rows[] = {
	{"all are up", 1, false, CONFIG_ALL_DOWN_DROP, "UUU", "ttt", QUORUM_SERVES},
	{"those that are up", 1, false, CONFIG_ALL_DOWN_DROP, "UfD?", "t---", QUORUM_SERVES},
	{"one without weight", 1, false, CONFIG_ALL_DOWN_DROP, "Uu", "t-", QUORUM_SERVES},
	{"none is up", 1, false, CONFIG_ALL_DOWN_DROP, "ffD", "---", QUORUM_DROPS},
	{"no backend has weight", 1, false, CONFIG_ALL_DOWN_DROP, "uu", "--", QUORUM_DROPS},
	{"nothing is known yet", 1, false, CONFIG_ALL_DOWN_DROP, "??", "--", QUORUM_WAITS},
	{"too few, and no more to come", 2, false, CONFIG_ALL_DOWN_DROP, "UfD", "---", QUORUM_DROPS},
	{"too few, and more may come", 2, false, CONFIG_ALL_DOWN_DROP, "U?D", "t--", QUORUM_WAITS},
	{"just enough", 2, false, CONFIG_ALL_DOWN_DROP, "UUD", "tt-", QUORUM_SERVES},
	{"half of four", 50, true, CONFIG_ALL_DOWN_DROP, "UUff", "tt--", QUORUM_SERVES},
	{"less than half of four", 50, true, CONFIG_ALL_DOWN_DROP, "Ufff", "----", QUORUM_DROPS},
	{"half of three is two", 50, true, CONFIG_ALL_DOWN_DROP, "Uff", "---", QUORUM_DROPS},
	{"half of those with weight", 50, true, CONFIG_ALL_DOWN_DROP, "Ufuu", "t---", QUORUM_SERVES},
	{"one in a hundred is one", 1, true, CONFIG_ALL_DOWN_DROP, "fff", "---", QUORUM_DROPS},
	{"all of them", 100, true, CONFIG_ALL_DOWN_DROP, "UUf", "---", QUORUM_DROPS},
	{"none is up, and all get flows", 1, false, CONFIG_ALL_DOWN_ALL, "ffD", "tt-", QUORUM_PANICS},
	{"too few, and all get flows", 2, false, CONFIG_ALL_DOWN_ALL, "Ufu", "tt-", QUORUM_PANICS},
	{"nobody can be reached", 1, false, CONFIG_ALL_DOWN_ALL, "DD", "--", QUORUM_PANICS},
	{"no panic before they have been asked", 1, false, CONFIG_ALL_DOWN_ALL, "?f", "--", QUORUM_WAITS},
	{"one is up, and no panic", 1, false, CONFIG_ALL_DOWN_ALL, "Uff", "t--", QUORUM_SERVES},
	{"the fallback rests", 1, false, CONFIG_ALL_DOWN_FALLBACK, "UfF", "t--", QUORUM_SERVES},
	{"the fallback serves", 1, false, CONFIG_ALL_DOWN_FALLBACK, "ffFF", "--tt", QUORUM_PANICS},
	{"and it alone", 2, false, CONFIG_ALL_DOWN_FALLBACK, "UfF", "--t", QUORUM_PANICS},
	{"the fallback waits with the others", 1, false, CONFIG_ALL_DOWN_FALLBACK, "?fF", "---", QUORUM_WAITS},
	{"the fallback cannot be reached", 1, false, CONFIG_ALL_DOWN_FALLBACK, "fX", "--", QUORUM_PANICS},
	{"a fallback counts for no share", 50, true, CONFIG_ALL_DOWN_FALLBACK, "UfFFF", "t----", QUORUM_SERVES},
	{"drained by hand, and the fallback serves", 1, false, CONFIG_ALL_DOWN_FALLBACK, "uF", "-t", QUORUM_PANICS},
};

static void set(char letter, struct config_backend *backend, struct quorum_member *member)
{
	*backend = (struct config_backend){.weight = letter != 'u', .is_fallback = letter == 'F' || letter == 'X'};
	*member = (struct quorum_member){
		.state = strchr("UuFX", letter) ? QUORUM_UP : letter == '?' ? QUORUM_UNKNOWN : QUORUM_DOWN,
		.is_reachable = !strchr("DX", letter),
	};
}

static void flows_go_to_who_is_up(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t count = strlen(rows[i].backends);
		struct config_backend backends[8];
		struct quorum_member members[8];
		const struct config_service config = {.backends = backends, .backend_count = count, .min_up = rows[i].min_up,
						      .min_up_is_percent = rows[i].is_percent, .when_all_down = rows[i].when};
		struct quorum quorum;
		char takes[9] = "";

		for (size_t b = 0; b < count; b++)
			set(rows[i].backends[b], &backends[b], &members[b]);
		quorum = quorum_judge(&config, members);
		for (size_t b = 0; b < count; b++)
			takes[b] = members[b].takes ? 't' : '-';
		assert_text(rows[i].what, takes, rows[i].takes);
		assert_text(rows[i].what, quorum_verdict_name(quorum.verdict), quorum_verdict_name(rows[i].verdict));
		if (quorum.is_up != (strchr(takes, 't') != NULL))
			fail_msg("%s: up %d", rows[i].what, quorum.is_up);
	}
}

static void what_is_needed_is_told(void **state)
{
	struct config_backend backends[3] = {{.weight = 1}, {.weight = 1}, {.weight = 1}};
	struct quorum_member members[3] = {{QUORUM_UP, true, false, false}, {QUORUM_UP, false, false, false},
					   {QUORUM_DOWN, true, false, false}};
	const struct config_service config = {.backends = backends, .backend_count = 3, .min_up = 51, .min_up_is_percent = true};
	struct quorum quorum = quorum_judge(&config, members);

	assert_int_equal(quorum.count, 3);
	assert_int_equal(quorum.needed, 2);
	assert_int_equal(quorum.up, 1); /* the second is up, and packets do not get there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flows_go_to_who_is_up),
		cmocka_unit_test(what_is_needed_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

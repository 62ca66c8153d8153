/* Which word somebody may have meant. Pure. */
#include "unit/unit.h"

#include "base/nearest.h"

static const char *const words[] = {"interfaces", "services", "vip", "port", "protocol", "seed", "slots", NULL};

static const struct {
	const char *what, *word, *near; /* NULL: none */
} rows[] = {
	{"the word itself", "vip", "vip"},
	{"neighbours swapped in a short word", "vpi", "vip"},
	{"neighbours swapped in a long word", "serivces", "services"},
	{"a letter left out", "inerfaces", "interfaces"},
	{"a letter too many", "ports", "port"},
	{"two letters left out of a long word", "intrfaes", "interfaces"},
	{"two letters changed in a long word", "sarvicas", "services"},
	{"three letters changed are too many", "sarvacas", NULL},
	{"a short word with another first letter", "zip", "vip"},
	{"two letters of three changed are too many", "vat", NULL},
	{"a word of another meaning", "backend", NULL},
	{"no letters at all", "", NULL},
	{"one letter is near nothing", "v", NULL},
	{"capitals are no other letters", "VIP", "vip"},
	{"a word of 32 letters", "abcdefghijklmnopqrstuvwxyzabcdef", NULL},
	{"a word longer than any", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", NULL},
	{"bytes beyond ASCII count each", "v\xc3\xadp", "vip"},
};

static void the_nearest_is_named(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *near = nearest_word(rows[i].word, words);

		if (!rows[i].near ? near != NULL : !near || strcmp(near, rows[i].near) != 0)
			fail_msg("%s: \"%s\" gave %s", rows[i].what, rows[i].word, near ? near : "none");
	}
}

static void the_first_of_equally_near_ones_wins(void **state)
{
	static const char *const twins[] = {"rise", "wise", NULL};

	assert_string_equal(nearest_word("fise", twins), "rise");
	assert_string_equal(nearest_word("wisee", twins), "wise");
}

static void no_words_no_answer(void **state)
{
	static const char *const none[] = {NULL};

	assert_null(nearest_word("vip", none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nearest_is_named),
		cmocka_unit_test(the_first_of_equally_near_ones_wins),
		cmocka_unit_test(no_words_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

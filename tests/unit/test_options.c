/* Mistaken options, as getopt_long finds them. Pure. */
#include "unit/unit.h"

#include <string.h>

#include "base/options.h"

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},  {"pins", required_argument, NULL, 'p'},
	{"forward", required_argument, NULL, 'f'}, {"from", required_argument, NULL, 'r'},
	{"unload", no_argument, NULL, 'u'},	   {NULL, 0, NULL, 0},
};

static const struct {
	const char *what, *words[4], *sentence; /* NULL: nothing is wrong */
} rows[] = {
	{"nothing wrong", {"-c", "a", "--pins=b"}, NULL},
	{"the beginning of an option", {"--unl"}, NULL},
	{"a letter too many", {"--pinss"}, "x: there is no option \"--pinss\": did you mean \"--pins\"?"},
	{"with a value", {"word", "--confg=a.yaml"}, "x: there is no option \"--confg\": did you mean \"--config\"?"},
	{"behind a word and before another", {"word", "--unlaod", "word"},
	 "x: there is no option \"--unlaod\": did you mean \"--unload\"?"},
	{"an option that is none", {"--nonsense"}, "x: there is no option \"--nonsense\"; `x --help` lists them"},
	{"a letter that is none", {"-x"}, "x: there is no option \"-x\"; `x --help` lists them"},
	{"a letter among others", {"-ux"}, "x: there is no option \"-x\"; `x --help` lists them"},
	{"the beginning of two", {"--f", "l2"}, "x: \"--f\" may be any of --forward, --from"},
	{"no value", {"--pins"}, "x: --pins needs a value; `x --help` says which"},
	{"no value of a short one", {"-c"}, "x: --config needs a value; `x --help` says which"},
	{"a value that is not taken", {"--unload=yes"}, "x: --unload takes no value"},
	{"longer than all", {"--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	 "x: there is no option \"--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"; `x --help` lists them"},
};

static void mistakes_are_told(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *argv[6] = {strdup("x")}, sentence[256] = "";
		int argc = 1, option;

		for (; argc < 5 && rows[i].words[argc - 1]; argc++)
			argv[argc] = strdup(rows[i].words[argc - 1]);
		optind = 0; /* begin anew */
		while ((option = getopt_long(argc, argv, ":c:u", options, NULL)) != -1)
			if (option == '?' || option == ':') {
				options_mistake("x", argv, options, option, sentence, sizeof(sentence));
				break;
			}
		assert_text(rows[i].what, sentence, rows[i].sentence ? rows[i].sentence : "");
		while (argc--)
			free(argv[argc]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The list of causes: every line whole, and commands as a shell takes them. */
#include "unit/unit.h"

#include <ctype.h>

#include "core/causes.h"

static void every_line_is_whole(void **state)
{
	for (int i = CAUSE_NONE + 1; i < CAUSE_COUNT; i++) {
		const struct cause_text *text = cause_text((enum cause)i);

		assert_true(*text->name && *text->symptom && *text->cause && *text->mend);
		assert_true(islower((unsigned char)text->mend[0]));
		for (int j = CAUSE_NONE + 1; j < i; j++)
			assert_string_not_equal(text->name, cause_text((enum cause)j)->name);
	}
	assert_text("no cause", cause_text(CAUSE_NONE)->name, "");
}

static const struct {
	const char *what;
	enum cause cause;
	const char *words[7];
	const char *command;
} rows[] = {
	{"every word is filled in", CAUSE_VIP_ON_NETWORK, {"vip", "10.2.0.1", "bits", "24", "if", "eth0"},
	 "ip address del 10.2.0.1/24 dev eth0"},
	{"what is not said stays in capitals", CAUSE_VIP_ON_NETWORK, {"if", "eth0"}, "ip address del VIP/BITS dev eth0"},
	{"up is told what it needs", CAUSE_VIP_MISSING, {"up", " --vip fd00:2::1 --forward ipip"},
	 "halfproxy-backend up --vip fd00:2::1 --forward ipip"},
	{"up alone, which remembers", CAUSE_VIP_MISSING, {"up", ""}, "halfproxy-backend up"},
	{"up in general", CAUSE_VIP_MISSING, {NULL}, "halfproxy-backend up --vip VIP --forward METHOD"},
	{"no command", CAUSE_NOT_LISTENING, {"vip", "10.2.0.1"}, ""},
	{"an interface's name is quoted for the shell", CAUSE_INTERFACE_DOWN, {"if", "e;rm -r 'x"},
	 "ip link set dev 'e;rm -r '\\''x' up"},
	{"an empty word is a word", CAUSE_INTERFACE_DOWN, {"if", ""}, "ip link set dev '' up"},
	{"a whole command", CAUSE_HALF_OPEN_DROPPED, {"command", "nft insert rule a b c accept"},
	 "nft insert rule a b c accept"},
};

static void commands_are_filled_in(void **state)
{
	char out[CAUSE_COMMAND_BYTES], longest[600];

	for (size_t i = 0; i < COUNT(rows); i++)
		assert_text(rows[i].what, cause_command(rows[i].cause, rows[i].words, out), rows[i].command);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_text("half a command is none",
		    cause_command(CAUSE_HALF_OPEN_DROPPED, (const char *const[]){"command", longest, NULL}, out), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_line_is_whole), cmocka_unit_test(commands_are_filled_in)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

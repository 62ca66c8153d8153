/* Print docs/troubleshooting.md: the list of causes (src/core/causes.h) as a page for people. `./run docs` writes it. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/causes.h"

static const char head[] =
	"# What goes wrong, and what mends it\n"
	"\n"
	"This page is made from the list that `halfproxy doctor`, `halfproxy-backend doctor` and the verdicts on backends share\n"
	"(`src/core/causes.h`; `./run docs` writes it anew). Each of them names a cause by the word in the first column.\n"
	"\n"
	"Start with the doctors: `halfproxy doctor` on the director, `halfproxy-backend doctor` on each backend. They say what is\n"
	"wrong, by what they saw, and the command that mends it; `--fix` applies what is safe. The words in capitals below stand\n"
	"for what is meant at your place.\n";

/* A pipe would end the cell. */
static void print_cell(const char *text)
{
	printf(" ");
	for (; *text; text++) {
		if (*text == '|')
			putchar('\\');
		putchar(*text);
	}
	printf(" |");
}

static void print_mend(const struct cause_text *text, enum cause cause)
{
	char command[CAUSE_COMMAND_BYTES], cell[2 * CAUSE_COMMAND_BYTES];

	cause_command(cause, NULL, command);
	/* A command that depends on what is found is printed by the doctor alone. */
	if (!*command || !strcmp(command, "COMMAND"))
		snprintf(cell, sizeof(cell), "%s", text->mend);
	else
		snprintf(cell, sizeof(cell), "%s: `%s`", text->mend, command);
	print_cell(cell);
}

static void print_section(const char *title, const char *lead, unsigned int found_by, unsigned int and_not)
{
	printf("\n## %s\n\n%s\n\n| name | symptom | cause | check | mend |\n| --- | --- | --- | --- | --- |\n", title, lead);
	for (int i = CAUSE_NONE + 1; i < CAUSE_COUNT; i++) {
		const struct cause_text *text = cause_text((enum cause)i);
		bool is_here = found_by ? text->found_by & found_by : !text->found_by;

		if (!is_here || text->found_by & and_not)
			continue;
		printf("| %s |", text->name);
		print_cell(text->symptom);
		print_cell(text->cause);
		print_cell(text->check);
		print_mend(text, (enum cause)i);
		printf("\n");
	}
}

int main(void)
{
	fputs(head, stdout);
	print_section("On a backend", "`halfproxy-backend doctor` finds these; some of them show in a check's verdict as well.",
		      CAUSE_BACKEND, 0);
	print_section("On the director", "`halfproxy doctor` finds these, and those of the first table that a host of either kind "
					 "can have.",
		      CAUSE_DIRECTOR, CAUSE_BACKEND);
	print_section("In the verdict on a backend", "What a check says of a backend, when it is none of the above.", CAUSE_PROBE,
		      CAUSE_BACKEND | CAUSE_DIRECTOR);
	print_section("In the configuration", "", CAUSE_CHECK, CAUSE_BACKEND | CAUSE_DIRECTOR | CAUSE_PROBE);
	print_section("Elsewhere", "Nothing here can see these.", 0, 0);
	return 0;
}

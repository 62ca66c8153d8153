/* Mistaken options: see options.h. */
#include "base/options.h"

#include <stdio.h>
#include <string.h>

#include "base/nearest.h"

#define OPTIONS_MOST 32
#define NAME_MOST 64 /* shown of what was typed */

static const struct option *with_value(const struct option *rows, int value)
{
	while (rows->name && rows->val != value)
		rows++;
	return rows->name ? rows : NULL;
}

/* A long option as it was typed, without what stands behind an equals sign. */
static void take_name(const char *typed, char name[static NAME_MOST])
{
	size_t length = strcspn(typed, "=");

	snprintf(name, NAME_MOST, "%.*s", length < NAME_MOST ? (int)length : NAME_MOST - 1, typed);
}

/* Options that begin so: getopt takes the beginning of one for the whole. */
static size_t list_begun(const struct option *rows, const char *name, char *list, size_t room)
{
	size_t count = 0, at = 0;

	list[0] = '\0';
	for (; rows->name; rows++)
		if (!strncmp(rows->name, name, strlen(name)) && at < room) {
			at += (size_t)snprintf(list + at, room - at, "%s--%s", count ? ", " : "", rows->name);
			count++;
		}
	return count;
}

static void no_such(const char *program, const char *name, const struct option *rows, char *sentence, size_t room)
{
	const char *names[OPTIONS_MOST + 1] = {NULL}, *near;
	char begun[256];

	for (size_t i = 0; i < OPTIONS_MOST && rows[i].name; i++)
		names[i] = rows[i].name;
	near = nearest_word(name, names);
	if (*name && list_begun(rows, name, begun, sizeof(begun)) > 1)
		snprintf(sentence, room, "%s: \"--%s\" may be any of %s", program, name, begun);
	else if (near)
		snprintf(sentence, room, "%s: there is no option \"--%s\": did you mean \"--%s\"?", program, name, near);
	else
		snprintf(sentence, room, "%s: there is no option \"--%s\"; `%s --help` lists them", program, name, program);
}

void options_mistake(const char *program, char *const *argv, const struct option *rows, int option, char *sentence,
		     size_t room)
{
	const struct option *row = optopt ? with_value(rows, optopt) : NULL;
	const char *typed = argv[optind - 1];
	char name[NAME_MOST] = "";

	if (!strncmp(typed, "--", 2))
		take_name(typed + 2, name);
	if (row && option == ':')
		snprintf(sentence, room, "%s: --%s needs a value; `%s --help` says which", program, row->name, program);
	else if (row && *name)
		snprintf(sentence, room, "%s: --%s takes no value", program, row->name);
	else if (optopt)
		snprintf(sentence, room, "%s: there is no option \"-%c\"; `%s --help` lists them", program, optopt, program);
	else
		no_such(program, name, rows, sentence, room);
}

/* Causes: see causes.h. */
#include "core/causes.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct cause_text texts[CAUSE_COUNT] = {
	[CAUSE_NONE] = {"", 0, "", "", "", "", ""},
#define CAUSE_ROW(name, found_by, symptom, cause, check, mend, command)                                           \
	[CAUSE_##name] = {#name, found_by, symptom, cause, check, mend, command},
	CAUSES(CAUSE_ROW)
#undef CAUSE_ROW
};

const struct cause_text *cause_text(enum cause cause)
{
	return &texts[cause];
}

enum cause cause_named(const char *name)
{
	for (int i = CAUSE_NONE + 1; i < CAUSE_COUNT; i++)
		if (!strcmp(texts[i].name, name))
			return (enum cause)i;
	return CAUSE_NONE;
}

/* ---- commands ---------------------------------------------------------------------------------------------------------- */

/* What is written so far; overflows once. */
struct writer {
	char *out;
	size_t room, at;
};

static void put(struct writer *writer, char c)
{
	if (writer->at + 1 < writer->room)
		writer->out[writer->at] = c;
	writer->at++;
}

static void put_text(struct writer *writer, const char *text)
{
	while (*text)
		put(writer, *text++);
}

/* A name of an interface or a table may hold anything, and the command is to be run by a shell. */
static void put_word(struct writer *writer, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/@%+=,-";

	if (*text && strspn(text, plain) == strlen(text)) {
		put_text(writer, text);
		return;
	}
	put(writer, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			put_text(writer, "'\\'");
		put(writer, *text);
	}
	put(writer, '\'');
}

static const char *find_word(const char *const *words, const char *name, size_t length)
{
	for (; words && words[0] && words[1]; words += 2)
		if (strlen(words[0]) == length && !strncmp(words[0], name, length))
			return words[1];
	return NULL;
}

/* What `up` is told stands behind a blank of its own, which is missing when it is told nothing. */
static void put_name(struct writer *writer, const char *name, size_t length)
{
	if (length == 2 && !strncmp(name, "up", 2)) {
		put_text(writer, " --vip VIP --forward METHOD");
		return;
	}
	while (length--)
		put(writer, (char)toupper((unsigned char)*name++));
}

const char *cause_command(enum cause cause, const char *const *words, char out[static CAUSE_COMMAND_BYTES])
{
	struct writer writer = {out, CAUSE_COMMAND_BYTES, 0};

	for (const char *at = texts[cause].command; *at; at++) {
		const char *end = *at == '{' ? strchr(at, '}') : NULL, *name = at + 1;
		size_t length = end ? (size_t)(end - name) : 0;
		const char *word = end ? find_word(words, name, length) : NULL;
		bool is_raw = end && (!strncmp(name, "up", length) || !strncmp(name, "command", length));

		if (!end)
			put(&writer, *at);
		else if (!word)
			put_name(&writer, name, length);
		else if (is_raw)
			put_text(&writer, word);
		else
			put_word(&writer, word);
		at = end ? end : at;
	}
	out[writer.at < writer.room ? writer.at : 0] = '\0';
	return out;
}

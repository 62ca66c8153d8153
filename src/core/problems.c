/* Problems of a text: collecting and printing them, see config_parse.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_parse.h"

#define LINE_SHOWN_MOST 160

void problems_free(struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		free(problems->list[i].text);
	free(problems->list);
	*problems = (struct problems){0};
}

static int later(const struct problem *a, const struct problem *b)
{
	return a->line != b->line ? a->line > b->line : a->column > b->column;
}

void problems_add(struct problems *problems, enum problem_kind kind, uint32_t line, uint32_t column, const char *format,
		  ...)
{
	struct problem *list = realloc(problems->list, (problems->count + 1) * sizeof(*list));
	struct problem new = {.kind = kind, .line = line, .column = column};
	size_t at = problems->count;
	va_list args;

	va_start(args, format);
	if (!list || vasprintf(&new.text, format, args) < 0)
		abort();
	va_end(args);
	for (; at > 0 && later(&list[at - 1], &new); at--)
		list[at] = list[at - 1];
	list[at] = new;
	problems->list = list;
	problems->count++;
	problems->errors += kind == PROBLEM_ERROR;
}

/* The line of that number, without its end. */
static const char *find_line(const char *text, size_t bytes, uint32_t line, size_t *length)
{
	const char *at = text, *end = text + bytes, *stop;

	for (; line > 1 && at < end; line--) {
		const char *next = memchr(at, '\n', (size_t)(end - at));

		at = next ? next + 1 : end;
	}
	stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
	*length = (size_t)((stop ? stop : end) - at);
	if (*length && at[*length - 1] == '\r')
		--*length;
	return at;
}

/* Bytes of the first `characters` characters of a UTF-8 text. */
static size_t skip(const char *text, size_t length, uint32_t characters)
{
	size_t at = 0;

	while (at < length && characters--)
		for (at++; at < length && ((unsigned char)text[at] & 0xc0) == 0x80;)
			at++;
	return at;
}

static void print_place(FILE *out, const char *line, size_t length, uint32_t column)
{
	size_t place = skip(line, length, column - 1);
	size_t first = place > LINE_SHOWN_MOST / 2 ? place - LINE_SHOWN_MOST / 2 : 0;
	size_t last = length - first > LINE_SHOWN_MOST ? first + LINE_SHOWN_MOST : length;

	while (first > 0 && ((unsigned char)line[first] & 0xc0) == 0x80)
		first--;
	while (last < length && ((unsigned char)line[last] & 0xc0) == 0x80)
		last++;
	fprintf(out, "    ");
	for (size_t i = first; i < last; i++)
		fputc((unsigned char)line[i] < ' ' && line[i] != '\t' ? '?' : line[i], out);
	fprintf(out, "\n    ");
	for (size_t i = first; i < place; i++)
		if (((unsigned char)line[i] & 0xc0) != 0x80)
			fputc(line[i] == '\t' ? '\t' : ' ', out);
	fprintf(out, "^\n");
}

void problems_print(FILE *out, const char *file, const char *text, size_t bytes, const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *problem = &problems->list[i];
		size_t length;
		const char *line = find_line(text, bytes, problem->line, &length);

		fprintf(out, "%s:%u:%u: %s: %s\n", file, problem->line, problem->column,
			problem->kind == PROBLEM_ERROR ? "error" : "warning", problem->text);
		print_place(out, line, length, problem->column);
	}
}

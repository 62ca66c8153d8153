/* Problems of a text: collecting and printing them, see config_parse.h. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_parse.h"

#define CHARACTERS_SHOWN_MOST 160
#define TEXT_BYTES_MOST 1000
#define TEXT_BYTES_SIDE 480 /* of a longer one, kept at either end */

void problems_free(struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		free(problems->list[i].text);
	free(problems->list);
	*problems = (struct problems){0};
}

/* ---- characters ------------------------------------------------------------------------------------------------- */

struct span {
	const char *at, *end;
};

/* Bytes of the character at the span's beginning, 1 when it is not UTF-8. *code is 0 for what must not reach a
 * terminal: controls (the tab excepted) and what is not UTF-8. */
static size_t read_character(struct span span, uint32_t *code)
{
	static const uint8_t lead_bits[] = {0x7f, 0x1f, 0x0f, 0x07};
	const uint8_t lead = (uint8_t)*span.at;
	size_t more = lead < 0x80 ? 0 : lead < 0xc2 ? 4 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 4;

	*code = 0;
	if (more == 4 || more >= (size_t)(span.end - span.at))
		return 1;
	*code = lead & lead_bits[more];
	for (size_t i = 1; i <= more; i++) {
		uint8_t byte = (uint8_t)span.at[i];

		if ((byte & 0xc0) != 0x80) {
			*code = 0;
			return 1;
		}
		*code = *code << 6 | (byte & 0x3f);
	}
	if ((*code < ' ' && *code != '\t') || (*code >= 0x7f && *code < 0xa0))
		*code = 0;
	return more + 1;
}

/* Columns of a terminal that a character takes: East Asian wide forms two, combining marks none. */
static unsigned int columns_of(uint32_t code)
{
	static const struct {
		uint32_t first, last;
		unsigned int columns;
	} rows[] = {
		{0x300, 0x36f, 0},   {0x1100, 0x115f, 2}, {0x200b, 0x200f, 0}, {0x2e80, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},
		{0xf900, 0xfaff, 2}, {0xfe00, 0xfe0f, 0}, {0xfe30, 0xfe6f, 2}, {0xfeff, 0xfeff, 0},   {0xff00, 0xff60, 2},
		{0xffe0, 0xffe6, 2}, {0x1f300, 0x1f64f, 2}, {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (code >= rows[i].first && code <= rows[i].last)
			return rows[i].columns;
	return 1;
}

/* Bytes of the line break at the span's beginning, 0 for none: those that YAML 1.1 knows, so that lines are counted
 * as its parser counts them. */
static size_t break_bytes(struct span span)
{
	size_t left = (size_t)(span.end - span.at);

	if (*span.at == '\n')
		return 1;
	if (*span.at == '\r')
		return left > 1 && span.at[1] == '\n' ? 2 : 1;
	if (left > 1 && !memcmp(span.at, "\xc2\x85", 2))
		return 2;
	if (left > 2 && (!memcmp(span.at, "\xe2\x80\xa8", 3) || !memcmp(span.at, "\xe2\x80\xa9", 3)))
		return 3;
	return 0;
}

void problems_locate(const char *text, size_t bytes, size_t offset, uint32_t *line, uint32_t *column)
{
	struct span span = {text, text + bytes};
	const char *place = text + (offset < bytes ? offset : bytes);
	uint32_t code;

	*line = *column = 1;
	if (place - text >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		span.at += 3;
	while (span.at < place) {
		size_t ends = break_bytes(span);

		*column = ends ? 1 : *column + 1;
		*line += ends > 0;
		span.at += ends ? ends : read_character(span, &code);
	}
}

/* ---- collecting ----------------------------------------------------------------------------------------------------- */

static bool is_inside(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Leave out the middle of a long text, as a value that it quotes may be of any length. */
static void shorten(char *text)
{
	size_t length = strlen(text), head = TEXT_BYTES_SIDE, tail = length - TEXT_BYTES_SIDE;

	if (length <= TEXT_BYTES_MOST)
		return;
	while (head && is_inside(text[head]))
		head--;
	while (is_inside(text[tail]))
		tail++;
	memcpy(text + head, "\xe2\x80\xa6", 3);
	memmove(text + head + 3, text + tail, length - tail + 1);
}

/* A value that the text quotes may hold anything, and the text is for terminals and logs. */
static void clean(char *text)
{
	struct span span = {text, text + strlen(text)};
	char *to = text;
	uint32_t code;

	while (span.at < span.end) {
		size_t bytes = read_character(span, &code);

		if (code && code != '\t') {
			memmove(to, span.at, bytes);
			to += bytes;
		} else {
			*to++ = '?';
		}
		span.at += bytes;
	}
	*to = '\0';
}

void problems_add_list(struct problems *problems, enum problem_kind kind, uint32_t line, uint32_t column,
		       const char *format, va_list args)
{
	struct problem *list = problems->list;
	struct problem new = {.kind = kind, .line = line, .column = column, .found = problems->count};
	size_t of_kind = kind == PROBLEM_ERROR ? problems->errors++ : problems->warnings++;

	if (of_kind > PROBLEMS_MOST)
		return;
	if (of_kind == PROBLEMS_MOST)
		format = "here and elsewhere is more: mend these first";
	/* Grown at powers of two. */
	if (!(problems->count & (problems->count - 1)))
		list = realloc(list, (problems->count ? problems->count * 2 : 1) * sizeof(*list));
	if (!list || vasprintf(&new.text, format, args) < 0)
		abort();
	clean(new.text);
	shorten(new.text);
	list[problems->count++] = new;
	problems->list = list;
}

void problems_add(struct problems *problems, enum problem_kind kind, uint32_t line, uint32_t column, const char *format,
		  ...)
{
	va_list args;

	va_start(args, format);
	problems_add_list(problems, kind, line, column, format, args);
	va_end(args);
}

static int compare(const void *left, const void *right)
{
	const struct problem *a = left, *b = right;

	if (a->line != b->line)
		return a->line > b->line ? 1 : -1;
	if (a->column != b->column)
		return a->column > b->column ? 1 : -1;
	return a->found > b->found ? 1 : -1;
}

void problems_sort(struct problems *problems)
{
	if (problems->count)
		qsort(problems->list, problems->count, sizeof(*problems->list), compare);
}

/* ---- printing ------------------------------------------------------------------------------------------------------- */

/* A line of the text, found by walking on from the last one. */
struct walk {
	struct span line; /* without its end */
	const char *next, *end;
	uint32_t number; /* of line; 0 before the first */
};

static bool step(struct walk *walk)
{
	struct span rest = {walk->next, walk->end};
	size_t ends = 0;

	if (walk->number && !walk->next)
		return false;
	walk->line.at = rest.at;
	while (rest.at < rest.end && !(ends = break_bytes(rest)))
		rest.at++;
	walk->line.end = rest.at;
	walk->next = ends ? rest.at + ends : NULL;
	walk->number++;
	return true;
}

/* The line of that number; behind the last one, an empty line. */
static struct span find_line(struct walk *walk, const char *text, size_t bytes, uint32_t number)
{
	if (!walk->number || number < walk->number)
		*walk = (struct walk){.next = text, .end = text + bytes};
	while (walk->number < number)
		if (!step(walk))
			return (struct span){walk->end, walk->end};
	if (walk->number == 1 && walk->line.end - walk->line.at >= 3 && !memcmp(walk->line.at, "\xef\xbb\xbf", 3))
		return (struct span){walk->line.at + 3, walk->line.end};
	return walk->line;
}

static struct span skip(struct span span, uint32_t characters)
{
	uint32_t code;

	while (span.at < span.end && characters--)
		span.at += read_character(span, &code);
	return span;
}

static void print_place(FILE *out, struct span line, uint32_t column)
{
	const char *place = skip(line, column - 1).at;
	uint32_t first = place < line.end && column > CHARACTERS_SHOWN_MOST / 2 ? column - CHARACTERS_SHOWN_MOST / 2 : 0;
	struct span shown = skip(line, first);
	uint32_t code;

	fprintf(out, "    ");
	for (struct span rest = shown, end = skip(shown, CHARACTERS_SHOWN_MOST); rest.at < end.at;) {
		size_t bytes = read_character(rest, &code);

		if (code)
			fwrite(rest.at, 1, bytes, out);
		else
			fputc('?', out);
		rest.at += bytes;
	}
	fprintf(out, "\n    ");
	while (shown.at < place) {
		shown.at += read_character(shown, &code);
		if (code == '\t')
			fputc('\t', out);
		else
			fprintf(out, "%*s", (int)columns_of(code), "");
	}
	fprintf(out, "^\n");
}

static void print_problem(FILE *out, const char *file, const struct problem *problem, struct span line)
{
	if (!problem->line) { /* of the whole */
		fprintf(out, "%s: %s: %s\n", file, problem->kind == PROBLEM_ERROR ? "error" : "warning", problem->text);
		return;
	}
	fprintf(out, "%s:%u:%u: %s: %s\n", file, problem->line, problem->column,
		problem->kind == PROBLEM_ERROR ? "error" : "warning", problem->text);
	print_place(out, line, problem->column);
}

void problems_print(FILE *out, const char *file, const char *text, size_t bytes, const struct problems *problems)
{
	struct walk walk = {0};
	char *printed = NULL;
	size_t count;
	/* Written at once: standard error has no buffer, and would take a system call for each character. */
	FILE *memory = open_memstream(&printed, &count);

	if (!memory)
		abort();
	for (size_t i = 0; i < problems->count; i++)
		print_problem(memory, file, &problems->list[i], find_line(&walk, text, bytes, problems->list[i].line));
	if (fclose(memory))
		abort();
	fwrite(printed, 1, count, out);
	free(printed);
}

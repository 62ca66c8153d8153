/* Findings: see findings.h. */
#include "core/findings.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *shown;
} levels[] = {
	[FINDING_OK] = {"ok", "ok"}, [FINDING_WARNING] = {"warning", "warning"}, [FINDING_WRONG] = {"wrong", "WRONG"}};

void findings_free(struct findings *findings)
{
	free(findings->items);
	*findings = (struct findings){0};
}

/* ---- adding ---------------------------------------------------------------------------------------------------------------- */

static struct finding *take(struct findings *findings)
{
	size_t room = findings->room ? findings->room * 2 : 64;
	struct finding *grown;

	if (findings->count == findings->room) {
		grown = realloc(findings->items, room * sizeof(*grown));
		if (!grown) {
			findings->is_cut = true;
			return &findings->spare;
		}
		findings->items = grown;
		findings->room = room;
	}
	return &findings->items[findings->count++];
}

/* Names of interfaces, rules and files come from anywhere. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static void write_text(char *out, size_t room, const char *format, va_list args)
{
	vsnprintf(out, room, format, args);
	clean(out);
}

static struct finding *add(struct findings *findings, enum finding_level level, enum cause cause, const char *item,
			       const char *format, va_list args)
{
	struct finding *row = take(findings);

	memset(row, 0, sizeof(*row));
	row->level = level;
	row->cause = cause;
	snprintf(row->item, sizeof(row->item), "%s", item);
	clean(row->item);
	write_text(row->text, sizeof(row->text), format, args);
	return row;
}

void findings_ok(struct findings *findings, const char *item, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(findings, FINDING_OK, CAUSE_NONE, item, format, args);
	va_end(args);
}

struct finding *findings_add(struct findings *findings, enum finding_level level, enum cause cause, const char *item,
				 const char *format, ...)
{
	struct finding *row;
	va_list args;

	va_start(args, format);
	row = add(findings, level, cause, item, format, args);
	va_end(args);
	return row;
}

void finding_evidence(struct finding *item, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_text(item->evidence, sizeof(item->evidence), format, args);
	va_end(args);
}

void finding_mend(struct finding *item, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_text(item->mend, sizeof(item->mend), format, args);
	va_end(args);
}

static const char *mend_of(const struct finding *row)
{
	return *row->mend ? row->mend : cause_text(row->cause)->mend;
}

void finding_command(struct finding *item, const char *const *words)
{
	cause_command(item->cause, words, item->command);
}

void finding_fix(struct finding *item, enum finding_fix fix, const char *path, const char *value)
{
	item->fix = fix;
	snprintf(item->path, sizeof(item->path), "%s", path ? path : "");
	snprintf(item->value, sizeof(item->value), "%s", value ? value : "");
}

void finding_sysctl(struct finding *item, const char *path, const char *value)
{
	finding_fix(item, FINDING_FIX_SYSCTL, path, value);
	snprintf(item->command, sizeof(item->command), "sysctl -w '%s=%s'", path, value);
}

/* ---- telling --------------------------------------------------------------------------------------------------------------- */

size_t findings_count(const struct findings *findings, enum finding_level level)
{
	size_t count = 0;

	for (size_t i = 0; i < findings->count; i++)
		count += findings->items[i].level == level;
	return count;
}

int findings_status(const struct findings *findings)
{
	if (findings_count(findings, FINDING_WRONG))
		return 2;
	return findings_count(findings, FINDING_WARNING) || findings->is_cut;
}

void findings_print(const struct findings *findings, FILE *out)
{
	size_t warnings = findings_count(findings, FINDING_WARNING);

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *row = &findings->items[i];
		const struct cause_text *cause = cause_text(row->cause);

		fprintf(out, "%-8s %-16s %s%s%s%s\n", levels[row->level].shown, row->item, row->text, *cause->name ? " [" : "",
			cause->name, *cause->name ? "]" : "");
		if (*row->evidence)
			fprintf(out, "%-8s %-16s seen: %s\n", "", "", row->evidence);
		if (row->level != FINDING_OK)
			fprintf(out, "%-8s %-16s mend it: %s\n", "", "", *row->command ? row->command : mend_of(row));
	}
	if (findings->is_cut)
		fprintf(out, "there was no memory for more\n");
	fprintf(out, "%zu wrong, %zu warning%s, %zu ok\n", findings_count(findings, FINDING_WRONG), warnings,
		warnings == 1 ? "" : "s",
		findings_count(findings, FINDING_OK));
}

/* A name that is not UTF-8 must not cost the whole item. */
static json_t *text_json(const char *text)
{
	json_t *out = json_string(text);

	return out ? out : json_string("(not UTF-8)");
}

json_t *findings_json(const struct findings *findings, json_t *fixed)
{
	json_t *items = json_array();

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *row = &findings->items[i];
		const struct cause_text *cause = cause_text(row->cause);

		json_array_append_new(items, json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:o, s:b}", "level",
						       levels[row->level].name, "id", cause->name, "item", text_json(row->item),
						       "text", text_json(row->text), "evidence", text_json(row->evidence),
						       "mend", mend_of(row), "command", text_json(row->command), "safe",
						       row->fix != FINDING_FIX_NONE));
	}
	return json_pack("{s:b, s:I, s:I, s:o, s:o}", "ok", !findings_status(findings), "wrong",
			 (json_int_t)findings_count(findings, FINDING_WRONG), "warnings",
			 (json_int_t)findings_count(findings, FINDING_WARNING), "fixed", fixed ? fixed : json_array(), "items",
				items);
}

/* From the text of a halfproxy.yaml to a struct config, with every mistake found in one go.
 *
 * Pure: reads a buffer, and knows of files and the host what it is told. The rules are docs: man/halfproxy.yaml.5. */
#ifndef HP_CORE_CONFIG_PARSE_H
#define HP_CORE_CONFIG_PARSE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "core/config.h"

enum problem_kind {
	PROBLEM_ERROR,
	PROBLEM_WARNING,
};

struct problem {
	enum problem_kind kind;
	uint32_t line;	 /* from 1 */
	uint32_t column; /* from 1, in characters */
	char *text;	 /* what is wrong, and what would be right; UTF-8 without control characters, not much over 1000 bytes */
	size_t found;	 /* how many were found before it */
};

#define PROBLEMS_MOST 1000 /* listed of each kind, so that warnings leave room for errors */

struct problems {
	struct problem *list; /* by place once sorted; config_parse leaves it so */
	size_t count;
	size_t errors, warnings; /* also of those that are not listed */
};

void problems_free(struct problems *problems);

/* Note a problem, printf-wise; after PROBLEMS_MOST of its kind only that there are more. Out of memory ends the program: nothing
 * sensible could be said. */
void problems_add(struct problems *problems, enum problem_kind kind, uint32_t line, uint32_t column, const char *format,
		  ...) __attribute__((format(printf, 5, 6)));
void problems_add_list(struct problems *problems, enum problem_kind kind, uint32_t line, uint32_t column,
		       const char *format, va_list args) __attribute__((format(printf, 5, 0)));

/* Put them in order of place, those of one place in the order in which they were found. */
void problems_sort(struct problems *problems);

/* The line and the column, from 1, of a byte of the text. A byte order mark at the beginning takes no column. */
void problems_locate(const char *text, size_t bytes, size_t offset, uint32_t *line, uint32_t *column);

/* What is asked of the host that a text is judged on. */
struct config_host {
	/* Whether a file can be read or, with is_run, run as a program. Returns 0, or -errno with *e written. */
	int (*look)(const char *path, bool is_run, struct err *e);
	enum problem_kind unusable;  /* what a file of a check is that cannot be */
	enum problem_kind forbidden; /* and where it is the one who judges that may not (-EACCES) */
};

/* Parse and validate.
 *
 * text      borrowed, `bytes` long, no terminating zero needed.
 * problems  must be empty; filled with errors and warnings, also on success. The caller frees it.
 * returns   the configuration, owned by the caller; or NULL, when problems->errors is positive. */
struct config *config_parse(const char *text, size_t bytes, struct problems *problems);

/* The same, and have the host look at the files that it names. host  borrowed; NULL: it is not asked. */
struct config *config_parse_on(const char *text, size_t bytes, const struct config_host *host, struct problems *problems);

/* Print every problem as FILE:LINE:COLUMN: error: TEXT, the line itself and a caret below the place. */
void problems_print(FILE *out, const char *file, const char *text, size_t bytes, const struct problems *problems);

#endif

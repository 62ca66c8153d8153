/* A text with one mistake, and where it has to be named: for the tests of what config_parse refuses. */
#ifndef HP_TESTS_MISTAKE_H
#define HP_TESTS_MISTAKE_H

#include "unit/unit.h"

#include "core/config_parse.h"

#define HEAD	"interfaces: [eth0]\nservices:\n"
#define WEB(t)	TEXT(HEAD "- {vip: 10.2.0.1, port: 80, backends: [10.3.0.1], " t "}\n")
#define TEXT(t) .text = (t), .bytes = sizeof(t) - 1

/* Where the value stands in the texts of WEB. */
#define WEB_COLUMN 51

struct mistake {
	const char *what, *text;
	size_t bytes;
	uint32_t line, column; /* of the only error */
	const char *piece;
};

/* Whether it is named there, in words that hold the piece, and is the only one; says how not. */
static inline bool mistake_holds(const struct mistake *row)
{
	struct problems problems = {0};
	struct config *config = config_parse(row->text, row->bytes, &problems);
	const struct problem *error = NULL;
	bool fine;

	for (size_t p = 0; p < problems.count; p++)
		if (problems.list[p].kind == PROBLEM_ERROR && !error)
			error = &problems.list[p];
	fine = !config && error && problems.errors == 1 && error->line == row->line && error->column == row->column &&
	       strstr(error->text, row->piece);
	if (!fine)
		print_error("%s: %zu errors, the first at %u:%u, not %u:%u: %s\n", row->what, problems.errors,
			    error ? error->line : 0, error ? error->column : 0, row->line, row->column,
			    error ? error->text : "none");
	problems_free(&problems);
	config_free(config);
	return fine;
}

#endif

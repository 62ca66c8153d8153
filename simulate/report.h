/* What runs found: as a table, as JSON, as a picture. */
#ifndef HP_SIMULATE_REPORT_H
#define HP_SIMULATE_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "run.h"

/* The two runs of one number of backends; `flooded` counts only where options.flood_rate is not 0. */
struct report {
	struct options options;
	struct result calm, flooded;
};

void report_table(FILE *out, const struct report *report);

/* A new value. */
json_t *report_json(const struct report *report);

/* Broken flows and memory of every scheme, a panel of bars for each report, as SVG. Returns 0, or -1 with errno. */
int plot_write(const char *path, const struct report *reports, size_t count);

/* "12.3 MB" into text, which has room for 16. */
const char *report_bytes(uint64_t bytes, char text[static 16]);

static inline uint64_t report_broken(const struct outcome *outcome)
{
	uint64_t sum = 0;

	for (int i = 0; i < SILENCES; i++)
		sum += outcome->broken[i];
	return sum;
}

#endif

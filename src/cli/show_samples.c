/* Dropped packets, each with its reason and its headers: see show.h. */
#include <string.h>

#include "cli/reply.h"
#include "cli/show.h"

static void show_sample(FILE *out, const json_t *row)
{
	const char *service = reply_text(row, "service"), *interface = reply_text(row, "interface");
	char age[SHOW_TIME_BYTES];
	const json_t *header;
	size_t i;

	fprintf(out, "%s ago  %s: %s\n  %.0f bytes%s%s%s%s\n", show_time(reply_seconds(row, "age_s"), age),
		reply_text(row, "reason"), reply_text(row, "text"), reply_number(row, "bytes"), *interface ? " by " : "",
		interface, *service ? ", service " : "", service);
	REPLY_EACH(json_object_get(row, "headers"), i, header)
		fprintf(out, "  %s\n", json_is_string(header) ? json_string_value(header) : "?");
}

void show_samples(FILE *out, const json_t *body)
{
	const json_t *list = json_object_get(body, "samples"), *row;
	size_t i;

	REPLY_EACH(list, i, row)
		show_sample(out, row);
	if (!json_array_size(list))
		fprintf(out, "no packet was dropped\n");
}

/* Remembered flows as a table, beneath what services live through: see show.h. */
#include <stdbool.h>
#include <string.h>

#include "cli/reply.h"
#include "cli/show.h"

static void show_services(FILE *out, const json_t *body)
{
	const json_t *list = json_object_get(body, "services"), *row;
	double steady = reply_number(body, "steady");
	char before[80];
	size_t i;

	REPLY_EACH(list, i, row) {
		const json_t *motion = json_object_get(row, "motion");

		snprintf(before, sizeof(before), "%s: ", reply_text(row, "name"));
		show_motion(out, before, motion);
		if (!strcmp(reply_text(motion, "state"), "steady"))
			fprintf(out, "%ssteady\n", before);
	}
	if (steady > 0)
		fprintf(out, "%.0f%s service%s %s steady\n", steady, json_array_size(list) ? " other" : "",
			steady == 1 ? "" : "s", steady == 1 ? "is" : "are");
}

static void show_table(FILE *out, const char *name, const json_t *use)
{
	fprintf(out, "%s: %.0f of %.0f\n", name, reply_number(use, "used"), reply_number(use, "limit"));
}

static void show_events(FILE *out, const json_t *events)
{
	const json_t *row;
	const char *name;

	json_object_foreach((json_t *)events, name, row)
		if (reply_number(row, "count") > 0)
			fprintf(out, "  %-16s %15.0f  %s\n", name, reply_number(row, "count"), reply_text(row, "text"));
}

static const char *end_text(const json_t *row, const char *address, const char *port, char *text, size_t room)
{
	const char *ip = reply_text(row, address);

	snprintf(text, room, strchr(ip, ':') ? "[%s]:%.0f" : "%s:%.0f", ip, reply_number(row, port));
	return text;
}

static void show_flow(FILE *out, const json_t *row)
{
	char client[64], vip[64], title[80], age[SHOW_TIME_BYTES], idle[SHOW_TIME_BYTES];

	snprintf(title, sizeof(title), "%s %s", reply_text(row, "protocol"), end_text(row, "vip", "port", vip, sizeof(vip)));
	fprintf(out, "%-24s %-24s %-18s %-8s %-8s %9s %9s  %s\n", end_text(row, "client", "client_port", client, sizeof(client)),
		title, reply_text(row, "backend"), reply_text(row, "state"),
		!strcmp(reply_text(row, "why"), "met") ? "met" : "opened", show_time(reply_seconds(row, "age_s"), age),
		show_time(reply_seconds(row, "idle_s"), idle), reply_text(row, "service"));
}

void show_flows(FILE *out, const json_t *body)
{
	const json_t *tables = json_object_get(body, "tables"), *list = json_object_get(body, "flows"), *row;
	size_t i;

	show_services(out, body);
	show_table(out, "proven", json_object_get(tables, "proven"));
	show_table(out, "unproven", json_object_get(tables, "unproven"));
	show_full(out, tables);
	show_events(out, json_object_get(body, "events"));
	if (json_array_size(list))
		fprintf(out, "\n%-24s %-24s %-18s %-8s %-8s %9s %9s  %s\n", "CLIENT", "VIP", "BACKEND", "STATE", "WHY", "AGE",
			"SILENT", "SERVICE");
	REPLY_EACH(list, i, row)
		show_flow(out, row);
	if (json_is_true(json_object_get(body, "more")))
		fprintf(out, "there are more: --limit N lists so many\n");
}

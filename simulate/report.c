/* What runs found: see report.h. */
#include "report.h"

#include <inttypes.h>

static const char *const silence_names[SILENCES] = {"< 1 s", "< 1 min", "< 1 h", "<= W", "> W"};
static const char *const silence_keys[SILENCES] = {"below_1_s", "below_1_min", "below_1_h", "within_window", "longer"};

const char *report_bytes(uint64_t bytes, char text[static 16])
{
	double mb = (double)bytes / 1e6;

	if (bytes < 100000)
		snprintf(text, 16, "%.2f kB", (double)bytes / 1e3);
	else
		snprintf(text, 16, mb < 10 ? "%.2f MB" : mb < 100 ? "%.1f MB" : "%.0f MB", mb);
	return text;
}

static void show_result(FILE *out, const struct report *report, const struct result *result)
{
	char flows[16], rings[16];

	fprintf(out, "%" PRIu64 " flows, at most %u at a time; %" PRIu64 " packets; %" PRIu64 " SYNs of a flood;\n",
		result->flows, result->alive, result->packets, result->strangers);
	fprintf(out, "%u rings of %u slots, of which at most %.1f %% differ from before\n\n%-17s %9s", result->rings,
		result->size, 100 * result->differ, "", "broken");
	for (int silence = 0; silence < SILENCES; silence++)
		fprintf(out, " %8s", silence_names[silence]);
	fprintf(out, " %10s %9s %9s\n", "entries", "memory", "rings");
	for (int i = 0; i < SCHEMES; i++) {
		const struct outcome *outcome = &result->outcomes[i];

		fprintf(out, "%-17s %9" PRIu64, scheme_names[i], report_broken(outcome));
		for (int silence = 0; silence < SILENCES; silence++)
			fprintf(out, " %8" PRIu64, outcome->broken[silence]);
		fprintf(out, " %10u %9s %9s\n", outcome->entries, report_bytes(outcome->flow_bytes, flows),
			report_bytes(outcome->ring_bytes, rings));
	}
}

void report_table(FILE *out, const struct report *report)
{
	fprintf(out, "%u backends, W = %u s, broken by how long they had been silent\n\nWithout a flood: ",
		report->options.backends, report->options.window_s);
	show_result(out, report, &report->calm);
	if (report->options.flood_rate) {
		fprintf(out, "\nWith a flood: ");
		show_result(out, report, &report->flooded);
	}
}

static json_t *outcome_json(const struct outcome *outcome, const char *name)
{
	json_t *broken = json_object();

	for (int silence = 0; silence < SILENCES; silence++)
		json_object_set_new(broken, silence_keys[silence], json_integer((json_int_t)outcome->broken[silence]));
	return json_pack("{s:s, s:I, s:o, s:I, s:I, s:I, s:I}", "scheme", name, "broken", (json_int_t)report_broken(outcome),
			 "broken_by_silence", broken, "entries", (json_int_t)outcome->entries, "flow_bytes",
			 (json_int_t)outcome->flow_bytes, "ring_bytes", (json_int_t)outcome->ring_bytes, "evicted",
			 (json_int_t)outcome->evicted);
}

static json_t *result_json(const struct result *result)
{
	json_t *schemes = json_array();

	for (int i = 0; i < SCHEMES; i++)
		json_array_append_new(schemes, outcome_json(&result->outcomes[i], scheme_names[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:b, s:o}", "flows", (json_int_t)result->flows,
			 "flows_at_a_time", (json_int_t)result->alive, "packets", (json_int_t)result->packets, "rings",
			 (json_int_t)result->rings, "slots", (json_int_t)result->size, "differ", result->differ,
			 "flood_packets", (json_int_t)result->strangers, "passed_on", (json_int_t)result->passed_on,
			 "steady_at_the_end", result->is_steady, "schemes", schemes);
}

json_t *report_json(const struct report *report)
{
	const struct options *options = &report->options;
	json_t *out = json_pack("{s:I, s:I, s:f, s:I, s:I, s:I, s:o}", "backends", (json_int_t)options->backends, "window_s",
				(json_int_t)options->window_s, "hours", options->hours, "flood_rate",
				(json_int_t)options->flood_rate, "seed", (json_int_t)options->seed, "changes",
				(json_int_t)options->changes, "calm", result_json(&report->calm));

	if (options->flood_rate)
		json_object_set_new(out, "flooded", result_json(&report->flooded));
	return out;
}

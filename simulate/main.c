/* halfproxy-simulate: broken flows and memory of known ways to balance, and of ours, while backends change.
 *
 * On the real ring (src/core/ring.h) and the real rules (bpf/rules.h, src/core/motion.h). docs/continuity.md says what is
 * compared and what came out. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "report.h"

#define REPORTS_MOST  8
#define BACKENDS_MOST 65535u /* as numbers are 16 bits here */

struct job {
	struct options options;
	uint32_t backends[REPORTS_MOST];
	size_t count;
	bool as_json;
	const char *plot;
};

static const char usage_text[] =
	"usage: halfproxy-simulate [OPTION...]\n"
	"  --backends N[,N...]  how many; a run for each (default 100)\n"
	"  --flows N            in all, on average; k and M are known (default 200k)\n"
	"  --hours H            that are simulated (default 6)\n"
	"  --window S           W, the window of a change (default 7200)\n"
	"  --changes N          how many (default 24)\n"
	"  --every S            seconds from one change to the next (default 300)\n"
	"  --share PERCENT      of the backends that a change is about, at least one (default 1)\n"
	"  --kinds KIND[,KIND...]\n"
	"                       of changes, in turn: grow, shrink, weight, upgrade, failure (default all)\n"
	"  --traffic W,W,W      shares of web, datacentre and interactive flows (default 65,30,5)\n"
	"  --flood RATE         a second run with so many SYNs a second, for ten minutes from the first change on\n"
	"  --seed N             of all that is random (default 1)\n"
	"  --json               print JSON\n"
	"  --svg FILE           draw a picture\n"
	"  --help\n";

static int fail(const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, "halfproxy-simulate: --%s \"%s\": %s\n", option, value, wanted);
	return -1;
}

/* A number from least to most, with k or M behind it. */
static int read_number(const char *option, const char *text, double least, double most, double *out)
{
	char wanted[64], *end;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (end != text && (*end == 'k' || *end == 'M'))
		value *= *end++ == 'k' ? 1e3 : 1e6;
	if (end == text || *end || errno || !(value >= least && value <= most)) {
		snprintf(wanted, sizeof(wanted), "a number from %.10g to %.10g is needed", least, most);
		return fail(option, text, wanted);
	}
	*out = value;
	return 0;
}

static int read_u32(const char *option, const char *text, double least, double most, uint32_t *out)
{
	double value;

	if (read_number(option, text, least, most, &value))
		return -1;
	*out = (uint32_t)value;
	return 0;
}

static int read_backends(const char *text, struct job *job)
{
	char *list = strdup(text), *rest = list;
	int error = 0;

	job->count = 0;
	for (const char *word; list && !error && (word = strsep(&rest, ","));) {
		if (job->count == REPORTS_MOST)
			error = fail("backends", text, "at most 8 runs");
		else
			error = read_u32("backends", word, 2, 20000, &job->backends[job->count++]);
	}
	free(list);
	return error;
}

static int read_kinds(const char *text, struct options *options)
{
	char *list = strdup(text), *rest = list;
	int error = 0;

	memset(options->kinds, 0, sizeof(options->kinds));
	for (const char *word; list && !error && (word = strsep(&rest, ","));) {
		int kind = 0;

		while (kind < CHANGE_KINDS && strcmp(word, change_names[kind]) != 0)
			kind++;
		if (kind == CHANGE_KINDS)
			error = fail("kinds", word, "known are grow, shrink, weight, upgrade and failure");
		else
			options->kinds[kind] = true;
	}
	free(list);
	return error;
}

static int read_traffic(const char *text, struct options *options)
{
	uint32_t *weights = options->traffic;
	int end = 0;

	if (sscanf(text, "%9u,%9u,%9u%n", &weights[0], &weights[1], &weights[2], &end) != 3 || text[end] ||
	    !(weights[0] + weights[1] + weights[2]))
		return fail("traffic", text, "three numbers are needed, not all 0: web,datacentre,interactive");
	return 0;
}

enum option_value {
	OPTION_BACKENDS,
	OPTION_FLOWS,
	OPTION_HOURS,
	OPTION_WINDOW,
	OPTION_CHANGES,
	OPTION_EVERY,
	OPTION_SHARE,
	OPTION_KINDS,
	OPTION_TRAFFIC,
	OPTION_FLOOD,
	OPTION_SEED,
	OPTION_JSON,
	OPTION_SVG,
	OPTION_HELP,
};

static const struct option longs[] = {
	{"backends", required_argument, NULL, OPTION_BACKENDS}, {"flows", required_argument, NULL, OPTION_FLOWS},
	{"hours", required_argument, NULL, OPTION_HOURS},	{"window", required_argument, NULL, OPTION_WINDOW},
	{"changes", required_argument, NULL, OPTION_CHANGES},	{"every", required_argument, NULL, OPTION_EVERY},
	{"share", required_argument, NULL, OPTION_SHARE},	{"kinds", required_argument, NULL, OPTION_KINDS},
	{"traffic", required_argument, NULL, OPTION_TRAFFIC},	{"flood", required_argument, NULL, OPTION_FLOOD},
	{"seed", required_argument, NULL, OPTION_SEED},		{"json", no_argument, NULL, OPTION_JSON},
	{"svg", required_argument, NULL, OPTION_SVG},		{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static int read_option(int option, const char *text, struct job *job)
{
	struct options *options = &job->options;
	double value;

	switch (option) {
	case OPTION_BACKENDS:
		return read_backends(text, job);
	case OPTION_FLOWS:
		if (read_number("flows", text, 1, 1e9, &value))
			return -1;
		options->flows = (uint64_t)value;
		return 0;
	case OPTION_HOURS:
		return read_number("hours", text, 0.01, 1000, &options->hours);
	case OPTION_WINDOW:
		return read_u32("window", text, 1, 1e6, &options->window_s);
	case OPTION_CHANGES:
		return read_u32("changes", text, 0, 10000, &options->changes);
	case OPTION_EVERY:
		return read_u32("every", text, 1, 1e6, &options->every_s);
	case OPTION_SHARE:
		if (read_number("share", text, 0, 50, &value))
			return -1;
		options->share = value / 100;
		return 0;
	case OPTION_KINDS:
		return read_kinds(text, options);
	case OPTION_TRAFFIC:
		return read_traffic(text, options);
	case OPTION_FLOOD:
		return read_u32("flood", text, 0, 1e7, &options->flood_rate);
	case OPTION_SEED:
		if (read_number("seed", text, 0, 1e15, &value))
			return -1;
		options->seed = (uint64_t)value;
		return 0;
	case OPTION_JSON:
		job->as_json = true;
		return 0;
	case OPTION_SVG:
		job->plot = text;
		return 0;
	}
	return -1;
}

static int read_command_line(int argc, char **argv, struct job *job)
{
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == OPTION_HELP) {
			fputs(usage_text, stdout);
			exit(0);
		}
		if (option == '?' || read_option(option, optarg, job))
			return -1;
	}
	if (optind < argc) {
		fprintf(stderr, "halfproxy-simulate: \"%s\" is no option\n", argv[optind]);
		return -1;
	}
	for (size_t i = 0; i < job->count; i++) {
		uint32_t each = (uint32_t)(job->options.share * job->backends[i]);

		if (job->backends[i] + (uint64_t)job->options.changes * (each ? each : 1) > BACKENDS_MOST) {
			fprintf(stderr, "halfproxy-simulate: that would be more than %u backends, with all that are added\n",
				BACKENDS_MOST);
			return -1;
		}
	}
	return 0;
}

static struct report simulate(const struct job *job, uint32_t backends)
{
	struct report report = {.options = job->options};

	report.options.backends = backends;
	report.calm = run(&report.options, NULL);
	if (report.options.flood_rate) {
		struct room room = room_for_flood(&report.options, &report.calm);

		report.flooded = run(&report.options, &room);
	}
	return report;
}

int main(int argc, char **argv)
{
	struct job job = {
		.options = {.flows = 200000, .hours = 6, .window_s = 7200, .warm_s = 3600, .every_s = 300, .changes = 24,
			    .share = 0.01, .kinds = {true, true, true, true, true}, .traffic = {65, 30, 5}, .flood_s = 600,
			    .seed = 1},
		.backends = {100},
		.count = 1,
	};
	struct report reports[REPORTS_MOST];
	json_t *whole = json_array();

	if (read_command_line(argc, argv, &job)) {
		fputs("halfproxy-simulate --help says what is known\n", stderr);
		return 2;
	}
	for (size_t i = 0; i < job.count; i++) {
		reports[i] = simulate(&job, job.backends[i]);
		if (job.as_json)
			json_array_append_new(whole, report_json(&reports[i]));
		else
			report_table(stdout, &reports[i]);
	}
	if (job.as_json) {
		json_dumpf(whole, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
		putchar('\n');
	}
	json_decref(whole);
	if (job.plot && plot_write(job.plot, reports, job.count)) {
		fprintf(stderr, "halfproxy-simulate: %s: %s\n", job.plot, strerror(errno));
		return 1;
	}
	return fflush(stdout) ? 1 : 0;
}

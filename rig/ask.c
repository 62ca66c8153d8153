/* ask: one probe of a service's `health`, asked at once, and its answer. For tests of the kinds of probes.
 *
 *     ask [--mark MARK] [--backend ADDRESS] [--times N [--together M]] ADDRESS PORT HEALTH [HEALTH...]
 *
 * HEALTH is the mapping as it stands in a configuration: '{type: http, path: /healthz}'. Prints one line:
 *
 *     ANSWER [from ADDRESS] [: TEXT]
 *
 * With --times it asks so often, M at a time, and prints how often each such line came, and then what was not there
 * before:
 *
 *     held N descriptors, N children, at most N KB more memory
 *
 * where the first part of the answers, up to a quarter, is not measured. With more than one HEALTH these are asked one after
 * another in this process, as a daemon does it, and each gets a line. Exits with 0 whatever was answered. */
#include <dirent.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/ip.h"
#include "core/config_parse.h"
#include "daemon/probe.h"

#define LINES_MOST 64

struct line {
	char text[400];
	unsigned int count;
};

static struct {
	struct probe_target target;
	const struct config_health *health;
	struct probe_shared *shared;
	unsigned int times, together, begun, over;
	struct line lines[LINES_MOST];
	long memory_kb, descriptors;
} asker = {.times = 1, .together = 1};

/* ---- what this process holds -------------------------------------------------------------------------------------------- */

static long memory_kb(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static long descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	long count = -3; /* itself, and both dots */

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

/* A service with this health, as a configuration that is read like any other. */
static struct config *read_health(const char *health)
{
	struct problems problems = {0};
	struct config *config;
	char text[8192];
	int bytes = snprintf(
		text, sizeof(text),
		"interfaces: [eth0]\nservices:\n  - vip: 192.0.2.1\n    protocol: %s\n    port: 1\n    forward: l2\n"
		"    backends: [{address: 192.0.2.2}]\n    health: %s\n",
		strstr(health, "dns") || strstr(health, "udp") ? "udp" : "tcp", health);

	config = config_parse(text, (size_t)bytes, &problems);
	if (!config)
		problems_print(stderr, "ask", text, (size_t)bytes, &problems);
	problems_free(&problems);
	return config;
}

/* ---- asking ------------------------------------------------------------------------------------------------------------- */

static void note(const struct health_result *result)
{
	char from[IP_TEXT_BYTES] = "", text[400];

	snprintf(text, sizeof(text), "%s%s%s%s%s", health_answer_name(result->answer),
		 ip_is_unspecified(&result->from) ? "" : " from ",
		 ip_is_unspecified(&result->from) ? "" : ip_format(&result->from, from), *result->text ? ": " : "",
		 result->text);
	for (struct line *line = asker.lines; line < asker.lines + LINES_MOST; line++) {
		if (line->count && strcmp(line->text, text) != 0)
			continue;
		snprintf(line->text, sizeof(line->text), "%s", text);
		line->count++;
		return;
	}
}

static void answered(void *context, const struct health_result *result);

static void begin(void)
{
	const struct probe_kind *kind = probe_kinds[asker.health->type];
	struct health_result here = {.answer = HEALTH_LOCAL};
	struct err e = {""};

	asker.begun++;
	if (kind->start(asker.shared, asker.health, &asker.target, answered, NULL, &e))
		return;
	snprintf(here.text, sizeof(here.text), "%.*s", HEALTH_TEXT_BYTES - 1, e.text);
	note(&here);
	asker.over++;
}

static void answered(void *context, const struct health_result *result)
{
	(void)context;
	note(result);
	asker.over++;
	if (asker.over == asker.times / 4) {
		asker.memory_kb = memory_kb();
		asker.descriptors = descriptors();
	}
	while (asker.begun < asker.times && asker.begun - asker.over < asker.together)
		begin();
}

static void show(void)
{
	for (const struct line *line = asker.lines; line < asker.lines + LINES_MOST && line->count; line++)
		if (asker.times > 1)
			printf("%u %s\n", line->count, line->text);
		else
			puts(line->text);
	if (asker.times == 1)
		return;
	asker.descriptors = descriptors() - asker.descriptors;
	printf("held %ld descriptors, %s children, at most %ld KB more memory\n",
	       asker.descriptors < 0 ? 0 : asker.descriptors, waitpid(-1, NULL, WNOHANG) < 0 ? "no" : "some",
	       memory_kb() - asker.memory_kb);
}

static void ask_all(uv_loop_t *loop)
{
	memset(asker.lines, 0, sizeof(asker.lines));
	asker.begun = asker.over = 0;
	while (asker.begun < asker.times && asker.begun - asker.over < asker.together)
		begin();
	while (asker.over < asker.times)
		uv_run(loop, UV_RUN_ONCE);
}

static int ask(char *const *healths)
{
	uv_loop_t loop;

	uv_loop_init(&loop);
	asker.shared = probe_shared_create(&loop);
	for (; *healths; healths++) {
		struct config *config = read_health(*healths);

		if (!config)
			return 2;
		asker.health = config->services[0]->health;
		ask_all(&loop);
		if (healths[1])
			show();
		config_free(config);
	}
	probe_shared_destroy(asker.shared);
	uv_run(&loop, UV_RUN_DEFAULT);
	show();
	if (!uv_loop_close(&loop))
		return 0;
	fputs("ask: the loop still holds a handle\n", stderr);
	return 1;
}

/* ---- the command line --------------------------------------------------------------------------------------------------- */

static int usage(void)
{
	fputs("usage: ask [--mark MARK] [--backend ADDRESS] [--times N [--together M]] ADDRESS PORT HEALTH [HEALTH...]\n", stderr);
	return 2;
}

static bool read_options(int count, char **words)
{
	static const struct option options[] = {{"mark", required_argument, NULL, 'm'},
						{"backend", required_argument, NULL, 'b'},
						{"times", required_argument, NULL, 't'},
						{"together", required_argument, NULL, 'g'},
						{NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(count, words, "", options, NULL)) >= 0) {
		if (option == 'm')
			asker.target.mark = (uint32_t)strtoul(optarg, NULL, 0);
		else if (option == 't')
			asker.times = (unsigned int)atoi(optarg);
		else if (option == 'g')
			asker.together = (unsigned int)atoi(optarg);
		else if (option != 'b' || !ip_parse(&asker.target.backend, optarg))
			return false;
	}
	return count - optind >= 3 && asker.times && asker.together;
}

int main(int count, char **words)
{
	if (!read_options(count, words) || !ip_parse(&asker.target.address, words[optind]))
		return usage();
	asker.target.port = (uint16_t)atoi(words[optind + 1]);
	if (ip_is_unspecified(&asker.target.backend))
		asker.target.backend = asker.target.address;
	return ask(words + optind + 2);
}

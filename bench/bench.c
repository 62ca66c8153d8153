/* bench: what packets, rings, configurations and probes cost on this machine, as a table or as JSON. */
#include "bench.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_measured.h"
#include "bench_site.h"

static double clock_s(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double bench_cpu_s(void)
{
	return clock_s(CLOCK_THREAD_CPUTIME_ID);
}

double bench_wall_s(void)
{
	return clock_s(CLOCK_MONOTONIC);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *figures, size_t count)
{
	qsort(figures, count, sizeof(*figures), compare);
	return count % 2 ? figures[count / 2] : (figures[count / 2 - 1] + figures[count / 2]) / 2;
}

static double number(const json_t *row, const char *key)
{
	return json_number_value(json_object_get(row, key));
}

static const char *text(const json_t *row, const char *key)
{
	return json_string_value(json_object_get(row, key));
}

static void show_packets(const json_t *rows)
{
	const json_t *row;
	size_t i;

	printf("Nanoseconds a packet, medians of one run; net is less the empty program, ratio is net to the bare\n"
	       "forwarder's net%s.\n\n"
	       "%-8s %-5s %-5s %8s %8s %8s %8s %8s %8s %6s%s\n",
	       bench_former ? ", and more than the other build" : "", "forward", "proto", "IP", "flows", "ours", "empty",
	       "floor", "bare", "net", "ratio", bench_former ? "     more" : "");
	json_array_foreach(rows, i, row) {
		printf("%-8s %-5s IPv%.0f %8.0f %8.1f %8.1f %8.1f %8.1f %8.1f %6.2f", text(row, "forward"),
		       text(row, "protocol"), number(row, "family"), number(row, "flows"), number(row, "ns"),
		       number(row, "empty_ns"), number(row, "floor_ns"), number(row, "bare_ns"),
		       number(row, "ns") - number(row, "empty_ns"), number(row, "ratio"));
		if (json_object_get(row, "former_ns"))
			printf(" %8.1f", number(row, "ns") - number(row, "former_ns"));
		putchar('\n');
	}
}

static void show_motion(const json_t *rows)
{
	const json_t *row;
	size_t i;

	printf("\nNanoseconds a packet of services that live through a change, less the empty program: ours; ours with a steady\n"
	       "service; the bare forwarder; the same with an LRU table of all flows; and the ratio to that%s.\n\n"
	       "%-21s %-7s %-4s %8s %8s %8s %8s %8s %6s%s\n",
	       bench_former ? ", and more than the other build" : "", "service", "forward", "IP", "flows", "ours", "steady",
	       "bare", "bare+LRU", "ratio", bench_former ? "     more" : "");
	json_array_foreach(rows, i, row) {
		double empty = number(row, "empty_ns"), ours = number(row, "ns") - empty, lru = number(row, "lru_ns") - empty;

		printf("%-21s %-7s IPv%.0f %8.0f %8.1f %8.1f %8.1f %8.1f %6.2f", text(row, "service"), text(row, "forward"),
		       number(row, "family"), number(row, "flows"), ours, number(row, "steady_ns") - empty,
		       number(row, "bare_ns") - empty, lru, ours / lru);
		if (json_is_number(json_object_get(row, "former_ns")))
			printf(" %8.1f", number(row, "ns") - number(row, "former_ns"));
		putchar('\n');
	}
}

static void show_guard(const json_t *rows)
{
	const json_t *row;
	size_t i;

	printf("\nNanoseconds a packet of services that ask who their clients are, less the empty program, by ipip%s.\n\n"
	       "%-18s %-4s %10s %8s %8s%s\n",
	       bench_former ? "; and more than the other build" : "", "service", "IP", "one source", "sources", "ns",
	       bench_former ? "     more" : "");
	json_array_foreach(rows, i, row) {
		printf("%-18s IPv%.0f %10.1f %8.0f %8.1f", text(row, "service"), number(row, "family"), number(row, "one_ns"),
		       number(row, "flows"), number(row, "ns"));
		if (json_is_number(json_object_get(row, "former_ns")))
			printf(" %8.1f", number(row, "ns") - number(row, "former_ns"));
		putchar('\n');
	}
}

static void show_maglev(const json_t *maglev)
{
	const json_t *row;
	size_t i;

	printf("\nMilliseconds a ring\n\n%8s %8s %8s\n", "backends", "slots", "ms");
	json_array_foreach(json_object_get(maglev, "rings"), i, row)
		printf("%8.0f %8.0f %8.2f\n", number(row, "backends"), number(row, "slots"), number(row, "ms"));
}

static void show_configuration(const json_t *configuration)
{
	const char *key;
	json_t *value;

	printf("\nA configuration of many services\n\n");
	json_object_foreach((json_t *)configuration, key, value)
		printf("%-20s %10.*f\n", key, json_is_integer(value) ? 0 : 2, json_number_value(value));
}

static void show_probes(const json_t *rows)
{
	const json_t *row;
	size_t i;

	printf("\nProbes by one CPU, how many of the backends answered, and how long after it was due each began\n\n"
	       "%-6s %8s %12s %8s %9s %6s %9s %10s %8s %8s\n",
	       "kind", "backends", "every ms", "up", "probes/s", "CPU", "us a probe", "late: half", "99 %", "worst ms");
	json_array_foreach(rows, i, row)
		printf("%-6s %8.0f %12.0f %8.0f %9.0f %4.0f %% %9.1f %10.2f %8.2f %8.2f\n", text(row, "kind"),
		       number(row, "checks"), number(row, "interval_ms"), number(row, "up"), number(row, "probes_s"),
		       number(row, "cpu_share") * 100, number(row, "cpu_us"), number(row, "late_median_ms"),
		       number(row, "late_99_ms"), number(row, "late_worst_ms"));
}

struct part {
	const char *name;
	json_t *(*measure)(struct err *e);
	void (*show)(const json_t *figures);
};

static const struct part parts[] = {
	{"packets", bench_packets, show_packets},
	{"motion", bench_motion, show_motion},
	{"guard", bench_guard, show_guard},
	{"maglev", bench_maglev, show_maglev},
	{"configuration", bench_configuration, show_configuration},
	{"probes", bench_probes, show_probes},
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

static const struct part *find_part(const char *name)
{
	for (size_t i = 0; i < PARTS; i++)
		if (!strcmp(parts[i].name, name))
			return &parts[i];
	return NULL;
}

static int usage(const char *wrong)
{
	bool is_asked = !strcmp(wrong, "--help") || !strcmp(wrong, "-h");

	if (!is_asked)
		fprintf(stderr, "bench: \"%s\" is no part and no option\n", wrong);
	fprintf(is_asked ? stdout : stderr,
		"usage: bench [--json] [--against OURS.BPF.O] [packets] [motion] [guard] [maglev] [configuration] [probes]\n\n"
		"All parts when none is named, each printed when it is measured: packets and motion take some minutes.\n");
	return is_asked ? 0 : 2;
}

static int measure(const bool *wanted, bool is_all, bool as_json)
{
	json_t *whole = json_object();
	struct err e = {""};

	for (size_t i = 0; i < PARTS; i++) {
		json_t *figures = is_all || wanted[i] ? parts[i].measure(&e) : json_null();

		if (!figures) {
			fprintf(stderr, "bench: %s: %s\n", parts[i].name, e.text);
			return 1;
		}
		if (!as_json && !json_is_null(figures))
			parts[i].show(figures);
		json_object_set_new(whole, parts[i].name, figures);
	}
	if (as_json) {
		json_dumpf(whole, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
		putchar('\n');
	}
	json_decref(whole);
	return fflush(stdout) ? 1 : 0;
}

/* Wait for the process that measures, end it when this one is told to end, and remove what it left. */
static int keep(pid_t child, const sigset_t *signals)
{
	int signal, status;

	do {
		sigwait(signals, &signal);
		if (signal != SIGCHLD)
			kill(child, SIGKILL);
	} while (waitpid(child, &status, signal == SIGCHLD ? WNOHANG : 0) != child);
	bench_site_clear(child);
	if (signal != SIGCHLD)
		return 128 + signal;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* What the command line asks for. Returns -1 to go on, or the exit code with the usage told. */
static int read_arguments(char **argument, bool *wanted, bool *is_all, bool *as_json)
{
	*is_all = true;
	while (*++argument) {
		if (!strcmp(*argument, "--json")) {
			*as_json = true;
		} else if (!strcmp(*argument, "--against") && argument[1]) {
			bench_former = *++argument;
		} else if (find_part(*argument)) {
			wanted[find_part(*argument) - parts] = true;
			*is_all = false;
		} else {
			return usage(*argument);
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	bool as_json = false, is_all, wanted[PARTS] = {false};
	int code = read_arguments(argv, wanted, &is_all, &as_json);
	sigset_t signals;
	pid_t child;

	if (code >= 0)
		return code;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	child = fork();
	if (child < 0) {
		perror("bench");
		return 1;
	}
	if (child)
		return keep(child, &signals);
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	return measure(wanted, is_all, as_json);
}

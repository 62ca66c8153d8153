/* What probes cost: ten thousand backends asked every two seconds, by the daemon's scheduler and its kinds, on one CPU; and how
 * late they are asked. The backends are addresses of the loopback interface; their servers are another process, whose CPU is not
 * counted, while the kernel's work on both ends of a packet mostly is, as it is done for whoever sends. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/cleanup.h"
#include "bench_servers.h"
#include "daemon/probes.h"

#define CHECKS 10000u
#define INTERVAL_MS 2000u
#define SETTLE_MS 5000u /* until they are spread over the interval */
#define MEASURE_MS 10000u
#define LATE_MOST (2 * CHECKS * MEASURE_MS / INTERVAL_MS)

static struct config_health healths[] = {
	{.type = CONFIG_PROBE_TCP},
	{.type = CONFIG_PROBE_HTTP, .path = (char *)"/", .status = {{200, 399}}, .status_count = 1},
	{.type = CONFIG_PROBE_UDP, .send = (char *)"ping", .send_bytes = 4, .expect = (char *)"ping", .expect_bytes = 4},
	{.type = CONFIG_PROBE_ICMP},
};

struct run {
	uv_loop_t loop;
	uv_timer_t timer;
	struct probes *probes;
	struct check *checks[CHECKS];
	double *late_ms; /* of each probe that was begun while it is measured */
	size_t late_count;
	bool is_measuring;
	double cpu_s, wall_s;
	struct probes_facts before, after;
};

/* Called by the scheduler when a probe begins, to learn its way. */
static enum check_way way(void *context, const struct check_key *key, uint32_t *mark, struct err *e)
{
	struct run *run = context;
	const struct check *check = run->checks[key->number - 1];

	(void)e;
	*mark = 0;
	if (run->is_measuring && check && run->late_count < LATE_MOST)
		run->late_ms[run->late_count++] = (double)uv_hrtime() / 1e6 - (double)check_health(check)->due_ms;
	return CHECK_WAY_OPEN;
}

static void changed(void *context, struct check *check, bool is_state)
{
	(void)context;
	(void)check;
	(void)is_state;
}

static void measured(uv_timer_t *timer)
{
	struct run *run = timer->data;

	run->is_measuring = false;
	run->cpu_s = bench_cpu_s() - run->cpu_s;
	run->wall_s = bench_wall_s() - run->wall_s;
	probes_facts(run->probes, &run->after);
	uv_stop(&run->loop);
}

static void settled(uv_timer_t *timer)
{
	struct run *run = timer->data;

	run->is_measuring = true;
	probes_facts(run->probes, &run->before);
	run->wall_s = bench_wall_s();
	run->cpu_s = bench_cpu_s();
	uv_timer_start(timer, measured, MEASURE_MS, 0);
}

static int take_checks(struct run *run, struct config_health *health, uint16_t port, struct err *e)
{
	for (uint32_t i = 0; i < CHECKS; i++) {
		uint32_t address = htonl(INADDR_LOOPBACK + 1 + i);
		struct check_key key = {.vip = ip_from4(&address), .backend = ip_from4(&address), .number = i + 1, .port = port};

		run->checks[i] = probes_take(run->probes, health, &key, HEALTH_STATE_UNKNOWN);
		if (!run->checks[i])
			return err_set(e, -ENOMEM, "%m");
	}
	return 0;
}

static unsigned int count_up(const struct run *run)
{
	unsigned int up = 0;

	for (uint32_t i = 0; i < CHECKS; i++)
		up += check_health(run->checks[i])->state == HEALTH_STATE_UP;
	return up;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static json_t *report(struct run *run, const struct config_health *health)
{
	uint64_t begun = run->after.begun - run->before.begun;
	size_t count = run->late_count;

	qsort(run->late_ms, count, sizeof(*run->late_ms), compare);
	return json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "kind", config_probe_name(health->type), "checks",
			 (int)CHECKS, "interval_ms", (int)INTERVAL_MS, "up", (int)count_up(run), "probes_s",
			 (double)begun / run->wall_s, "cpu_share", run->cpu_s / run->wall_s, "cpu_us",
			 begun ? run->cpu_s * 1e6 / (double)begun : 0.0, "late_median_ms", count ? run->late_ms[count / 2] : 0.0,
			 "late_99_ms", count ? run->late_ms[count * 99 / 100] : 0.0, "late_worst_ms",
			 count ? run->late_ms[count - 1] : 0.0);
}

static json_t *run_kind(struct config_health *health, uint16_t port, struct err *e)
{
	auto_free struct run *run = calloc(1, sizeof(*run));
	const struct probes_events events = {.context = run, .way = way, .changed = changed};
	json_t *row = NULL;

	if (!run || !(run->late_ms = calloc(LATE_MOST, sizeof(*run->late_ms)))) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	health->interval_ms = health->doubt_ms = INTERVAL_MS;
	health->timeout_ms = INTERVAL_MS / 2;
	health->rise = health->fall = 1;
	health->references = 1;
	uv_loop_init(&run->loop);
	run->timer.data = run;
	uv_timer_init(&run->loop, &run->timer);
	run->probes = probes_create(&run->loop, &events);
	if (run->probes && !take_checks(run, health, port, e)) {
		uv_timer_start(&run->timer, settled, SETTLE_MS, 0);
		uv_run(&run->loop, UV_RUN_DEFAULT);
		row = report(run, health);
	}
	uv_close((uv_handle_t *)&run->timer, NULL);
	probes_destroy(run->probes);
	uv_run(&run->loop, UV_RUN_DEFAULT);
	uv_loop_close(&run->loop);
	free(run->late_ms);
	return row;
}

json_t *bench_probes(struct err *e)
{
	struct bench_servers servers;
	json_t *rows = json_array();

	if (bench_servers_start(&servers, e)) {
		json_decref(rows);
		return NULL;
	}
	for (size_t i = 0; rows && i < sizeof(healths) / sizeof(healths[0]); i++) {
		json_t *row = run_kind(&healths[i], healths[i].type == CONFIG_PROBE_UDP ? servers.echo : servers.web, e);

		if (row && !json_array_append_new(rows, row))
			continue;
		json_decref(rows);
		rows = NULL;
	}
	bench_servers_stop(&servers);
	return rows;
}

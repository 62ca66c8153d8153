/* The kinds as a table, and the life of a probe, the same for all: see probe.h and probe_internal.h. */
#include "daemon/probe_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define LAST_LOOK_MS 1

const struct probe_kind *const probe_kinds[CONFIG_PROBE_COUNT] = {
	[CONFIG_PROBE_TCP] = &probe_tcp,
	[CONFIG_PROBE_HTTP] = &probe_http,
	[CONFIG_PROBE_HTTPS] = &probe_https,
	[CONFIG_PROBE_UDP] = &probe_udp,
	[CONFIG_PROBE_DNS] = &probe_dns,
	[CONFIG_PROBE_ICMP] = &probe_icmp,
	[CONFIG_PROBE_SCRIPT] = &probe_script,
};

/* Ten thousand probes that hang are ten thousand descriptors. The soft limit is for programs that use select(2). */
static void allow_descriptors(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

struct probe_shared *probe_shared_create(uv_loop_t *loop)
{
	struct probe_shared *shared = calloc(1, sizeof(*shared));

	if (!shared)
		return NULL;
	shared->loop = loop;
	allow_descriptors();
	return shared;
}

void probe_shared_destroy(struct probe_shared *shared)
{
	if (!shared)
		return;
	probe_curl_destroy(shared->curl);
	probe_echo_destroy(shared->echo[0]);
	probe_echo_destroy(shared->echo[1]);
	free(shared);
}

/* ---- life --------------------------------------------------------------------------------------------------------------- */

/* The loop may have been kept busy by others for so long that an answer lies unread: it is looked at once more. */
static void due(uv_timer_t *timer)
{
	struct probe *probe = timer->data;

	if (!probe->is_last_look) {
		probe->is_last_look = true;
		uv_timer_start(timer, due, LAST_LOOK_MS, 0);
		return;
	}
	probe->deeds->late(probe);
	probe_finish(probe);
}

void probe_begin(struct probe *probe, struct probe_shared *shared, const struct config_health *health,
		 const struct probe_target *target, const struct probe_deeds *deeds, probe_done *done, void *context)
{
	probe->shared = shared;
	probe->health = health;
	probe->target = target;
	probe->deeds = deeds;
	probe->done = done;
	probe->context = context;
	probe->begun_ns = uv_hrtime();
	probe->timer.data = probe;
	probe->open_handles = 1;
	uv_timer_init(shared->loop, &probe->timer);
	uv_update_time(shared->loop);
	uv_timer_start(&probe->timer, due, health->timeout_ms, 0);
}

static void closed(uv_handle_t *handle)
{
	struct probe *probe = handle->data;

	if (!--probe->open_handles)
		free(probe);
}

void probe_close(struct probe *probe, uv_handle_t *handle)
{
	handle->data = probe;
	uv_close(handle, closed);
}

int probe_watch(struct probe *probe, uv_poll_t *poll, int fd, int events, uv_poll_cb ready)
{
	int code = uv_poll_init(probe->shared->loop, poll, fd);

	if (code)
		return code;
	poll->data = probe;
	probe->open_handles++;
	return uv_poll_start(poll, events, ready);
}

void probe_time(struct probe *probe, uv_timer_t *timer)
{
	uv_timer_init(probe->shared->loop, timer);
	timer->data = probe;
	probe->open_handles++;
}

void probe_end(struct probe *probe)
{
	probe->deeds->release(probe);
	probe_close(probe, (uv_handle_t *)&probe->timer);
}

void probe_finish(struct probe *probe)
{
	probe->result.took_us = (uint32_t)((uv_hrtime() - probe->begun_ns) / 1000);
	probe_end(probe);
	probe->done(probe->context, &probe->result);
}

/* ---- words -------------------------------------------------------------------------------------------------------------- */

void probe_say(struct probe *probe, enum health_answer answer, const char *format, ...)
{
	va_list values;

	probe->result.answer = answer;
	va_start(values, format);
	vsnprintf(probe->result.text, sizeof(probe->result.text), format, values);
	va_end(values);
	for (char *c = probe->result.text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

const char *probe_allowed(const struct probe *probe, char text[static PROBE_TIME_BYTES])
{
	uint32_t ms = probe->health->timeout_ms;

	if (ms < 1000)
		snprintf(text, PROBE_TIME_BYTES, "%u ms", ms);
	else
		snprintf(text, PROBE_TIME_BYTES, "%g s", ms / 1000.0);
	return text;
}

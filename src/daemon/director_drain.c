/* When drains end: nothing of the backend's flows is left, or its deadline has come: see director_internal.h. */
#include "daemon/director_internal.h"

#include <errno.h>

#include "base/log.h"

#define LOOK_EVERY_MS 1000
#define CUT_AGAIN_S 5 /* when there was no room to build what packets are to see */

/* Cut what is left. Returns whether the row says something else now. */
static bool cut(struct director *director, const struct config_service *service, struct state_override *row, uint64_t flows,
		const char *address)
{
	struct err e;
	int code = fleet_cut(director->fleet, service, &row->backend, &e);

	if (code == -EAGAIN)
		return false; /* a ring is about to be built: in a second */
	if (code && code != -ENOENT) {
		log_event(LOG_ERR, "cut_failed service=%s backend=%s error=\"%s\" again_in_s=%d", service->name, address, e.text,
			  CUT_AGAIN_S);
		row->deadline_s = state_boot_s() + CUT_AGAIN_S;
		return false;
	}
	row->drain = code ? STATE_DRAIN_EMPTY : STATE_DRAIN_CUT;
	log_event(LOG_NOTICE, "drain_deadline service=%s backend=%s flows=%llu", service->name, address,
		  (unsigned long long)flows);
	return true;
}

/* A drain of what the configuration lacks rests. */
static bool look_at(struct director *director, struct state_override *row)
{
	ptrdiff_t index = director_find_service(director, row->service);
	const struct config_service *service = index < 0 ? NULL : director->running->services[index];
	char address[IP_TEXT_BYTES];
	uint64_t flows;
	bool is_over;

	if (!service || director_find_backend(service, &row->backend) < 0)
		return false;
	ip_format(&row->backend, address);
	flows = fleet_flows_of(director->fleet, service, &row->backend, &is_over);
	if (row->deadline_s && state_boot_s() >= row->deadline_s)
		return cut(director, service, row, flows, address);
	if (!is_over)
		return false;
	row->drain = STATE_DRAIN_EMPTY;
	log_event(LOG_NOTICE, "drained service=%s backend=%s", row->service, address);
	return true;
}

static bool has_drains(const struct state *state)
{
	for (size_t i = 0; i < state->override_count; i++)
		if (state->overrides[i].drain == STATE_DRAIN_ON)
			return true;
	return false;
}

static void look(uv_timer_t *timer)
{
	struct director *director = timer->data;
	struct state *state = &director->state;
	bool has_changed = false;

	for (size_t i = 0; i < state->override_count; i++)
		if (state->overrides[i].drain == STATE_DRAIN_ON)
			has_changed |= look_at(director, &state->overrides[i]);
	if (has_changed)
		director_save(director);
	if (!has_drains(state))
		uv_timer_stop(timer);
}

/* What was remembered with a backend that was cut off is forgotten by a sweep, which the former daemon may not have come
 * to. Where it did, there is nothing to cut. */
void director_resume_drains(struct director *director)
{
	const struct state *state = &director->state;

	for (size_t i = 0; i < state->override_count; i++) {
		ptrdiff_t index = director_find_service(director, state->overrides[i].service);

		if (index >= 0 && state->overrides[i].drain == STATE_DRAIN_CUT)
			fleet_cut(director->fleet, director->running->services[index], &state->overrides[i].backend, NULL);
	}
	director_watch_drains(director);
}

void director_watch_drains(struct director *director)
{
	if (has_drains(&director->state) && !uv_is_active((uv_handle_t *)&director->drain_timer))
		uv_timer_start(&director->drain_timer, look, LOOK_EVERY_MS, LOOK_EVERY_MS);
}

/* Slow starts of a service's backends: who is on its way, and how far.
 *
 * A backend has come when a ring is to be built that names it and the one that packets see does not: it is new, was
 * drained, had weight 0, failed its checks, or could not be reached. With the first ring of a service nobody has. What
 * core/ramp.h makes of the time is built as any other change is. */
#include "daemon/fleet_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/ramp.h"

/* Who is on its way stays so in another order of backends. */
static void inherit(struct fleet *fleet, const struct fleet_service *service, struct fleet_backend *const *backends,
		    struct fleet_ramp *ramps, size_t count)
{
	size_t former = service->config ? service->config->backend_count : 0;
	uint64_t first = fleet->stamp + 1;

	if (!service->ramps)
		return;
	fleet->stamp += former;
	for (size_t i = 0; i < former; i++)
		service->backends[i]->stamp = first + i;
	for (size_t i = 0; i < count; i++)
		if (backends[i]->stamp - first < former)
			ramps[i] = service->ramps[backends[i]->stamp - first];
}

static void count_slots(struct fleet *fleet, const struct fleet_ring *ring, struct fleet_backend *const *backends,
			size_t count, uint32_t *slots_of)
{
	const uint32_t *slots = fleet->plane->blocks[ring->at + 1].slot;
	uint64_t first = fleet->stamp + 1;

	fleet->stamp += count;
	for (size_t i = 0; i < count; i++)
		backends[i]->stamp = first + i;
	for (uint32_t s = 0; s < ring->size; s++) {
		const struct fleet_backend *backend =
			slots[s] < fleet->plane->limits.backends ? fleet->by_number[slots[s]] : NULL;

		if (backend && backend->stamp - first < count)
			slots_of[backend->stamp - first]++;
	}
}

/* A daemon that starts anew finds in the ring how far they were. What is guessed holds if it makes that very ring. */
static void resume(struct fleet *fleet, const struct fleet_service *service, const struct config_service *config,
		   struct fleet_backend *const *backends, const struct quorum_member *judged, struct fleet_ramp *ramps,
		   uint64_t now_s)
{
	size_t count = config->backend_count;
	struct ring_fingerprint plain = fleet_fingerprint(config, backends, judged, NULL), guessed;
	auto_free struct ring_member *members = calloc(count, sizeof(*members));
	auto_free uint32_t *slots_of = calloc(count, sizeof(*slots_of)), *steps = calloc(count, sizeof(*steps));

	if (!members || !slots_of || !steps || !memcmp(&plain, &service->ring->fingerprint, sizeof(plain)))
		return;
	count_slots(fleet, service->ring, backends, count, slots_of);
	for (size_t i = 0; i < count; i++)
		members[i].weight = slots_of[i] ? config->backends[i].weight : 0;
	ramp_guess(members, slots_of, count, steps);
	for (size_t i = 0; i < count; i++)
		ramps[i] = (struct fleet_ramp){ramp_came(steps[i], config->slow_start_s, now_s), steps[i]};
	guessed = fleet_fingerprint(config, backends, judged, ramps);
	if (memcmp(&guessed, &service->ring->fingerprint, sizeof(guessed)) != 0)
		memset(ramps, 0, count * sizeof(*ramps));
}

/* Go on in time. Returns whether anybody is on its way. */
static bool go_on(struct fleet *fleet, const struct fleet_ring *ring, const struct config_service *config,
		  struct fleet_backend *const *backends, const struct quorum_member *judged, struct fleet_ramp *ramps,
		  uint64_t now_s)
{
	uint64_t stamp = ++fleet->stamp;
	bool is_any = false;

	for (size_t i = 0; i < ring->member_count; i++)
		ring->members[i]->stamp = stamp;
	for (size_t i = 0; i < config->backend_count; i++) {
		if (!judged[i].takes)
			ramps[i].came_s = 0;
		else if (backends[i]->stamp != stamp)
			ramps[i].came_s = (uint32_t)now_s;
		ramps[i].step = ramp_step(ramps[i].came_s, config->slow_start_s, now_s);
		if (ramps[i].step == RAMP_STEPS)
			ramps[i].came_s = 0;
		is_any |= ramps[i].came_s != 0;
	}
	return is_any;
}

struct fleet_ramp *fleet_ramps_plan(struct fleet *fleet, const struct fleet_service *service,
				    const struct config_service *config, struct fleet_backend *const *backends,
				    const struct quorum_member *judged)
{
	uint64_t now_s = fleet_now_s();
	struct fleet_ramp *ramps;

	if (!config->slow_start_s || !service || !service->ring)
		return NULL;
	ramps = calloc(config->backend_count, sizeof(*ramps));
	if (!ramps)
		return NULL;
	inherit(fleet, service, backends, ramps, config->backend_count);
	if (!service->config)
		resume(fleet, service, config, backends, judged, ramps, now_s);
	if (go_on(fleet, service->ring, config, backends, judged, ramps, now_s))
		return ramps;
	free(ramps);
	return NULL;
}

void fleet_ramps_set(struct fleet *fleet, struct fleet_service *service, struct fleet_ramp *ramps)
{
	fleet->ramping += (size_t)(ramps != NULL) - (size_t)(service->ramps != NULL);
	free(service->ramps);
	service->ramps = ramps;
}

bool fleet_ramps_scale(const struct config_service *config, const struct fleet_ramp *ramps, struct ring_member *members)
{
	auto_free uint32_t *steps = calloc(config->backend_count, sizeof(*steps));

	for (size_t i = 0; steps && i < config->backend_count; i++)
		steps[i] = ramps[i].step;
	if (steps)
		ramp_scale(members, steps, config->backend_count);
	return steps != NULL;
}

static bool has_stepped(const struct fleet_service *service, uint64_t now_s)
{
	for (size_t i = 0; i < service->config->backend_count; i++)
		if (ramp_step(service->ramps[i].came_s, service->config->slow_start_s, now_s) != service->ramps[i].step)
			return true;
	return false;
}

bool fleet_ramps_tick(struct fleet *fleet)
{
	uint64_t now_s = fleet_now_s();
	bool is_any = false;

	if (!fleet->ramping)
		return false;
	for (struct fleet_service *s = fleet->services; s; s = s->hh.next) {
		if (!s->ramps || s->is_dirty || !has_stepped(s, now_s))
			continue;
		fleet_mark(fleet, s);
		is_any = true;
	}
	return is_any;
}

uint32_t fleet_ramp_of(const struct fleet_service *service, size_t backend, uint64_t *left_s)
{
	uint64_t now_s = fleet_now_s(), until_s;

	*left_s = 0;
	if (!service->ramps || !service->ramps[backend].came_s)
		return RAMP_STEPS;
	until_s = (uint64_t)service->ramps[backend].came_s + service->config->slow_start_s;
	*left_s = until_s > now_s ? until_s - now_s : 0;
	return service->ramps[backend].step;
}

/* VIPs of the fleet: up while a service of theirs is, known when it may be said to the world, answered for unless another
 * director does: see fleet.h. */
#include "daemon/fleet_internal.h"

#include <stdlib.h>

struct fleet_vip *fleet_vip_take(struct fleet *fleet, const struct ip *address)
{
	struct fleet_vip *vip;

	HASH_FIND(hh, fleet->vips, address, sizeof(*address), vip);
	if (!vip) {
		vip = calloc(1, sizeof(*vip));
		if (!vip)
			return NULL;
		vip->address = *address;
		vip->written = UINT32_MAX;
		vip->is_known = !fleet->hooks.is_known;
		vip->came_ms = fleet_now_ms();
		HASH_ADD(hh, fleet->vips, address, sizeof(vip->address), vip);
		fleet->vip_changes++;
	}
	vip->references++;
	return vip;
}

void fleet_vip_drop(struct fleet *fleet, struct fleet_vip *vip)
{
	if (!vip || --vip->references)
		return;
	if (vip->written != UINT32_MAX)
		dataplane_vip_clear(fleet->plane, &vip->address);
	HASH_DEL(fleet->vips, vip);
	free(vip);
	fleet->vip_changes++;
}

bool fleet_vip_is_up(const struct fleet_vip *vip)
{
	return vip->up && vip->is_known;
}

bool fleet_vip_is_served(const struct fleet_vip *vip)
{
	return vip->is_served && fleet_vip_is_up(vip);
}

void fleet_vip_write(struct fleet *fleet, struct fleet_vip *vip)
{
	uint32_t flags = fleet_vip_is_up(vip) && !fleet->is_silent ? HP_VIP_UP : 0;

	for (uint32_t bits = 1; bits <= HP_BLOCK_BITS_MOST; bits++)
		flags |= vip->blocks[bits] ? 1u << (HP_VIP_BLOCKS_SHIFT + bits) : 0;

	if (vip->written != flags && !dataplane_vip_set(fleet->plane, &vip->address, flags, NULL))
		vip->written = flags;
}

static bool is_up(const struct fleet_service *service)
{
	const struct fleet_departure *departure = service->departures;

	while (departure && (departure->is_cut || !departure->backend->adjacency))
		departure = departure->next;
	return service->ring || (departure && !motion_is_steady(&service->motion));
}

void fleet_vip_follow(struct fleet *fleet, struct fleet_service *service)
{
	bool was_up = service->is_up;

	service->is_up = is_up(service);
	fleet->vip_changes += was_up != service->is_up;
	service->vip->up += (unsigned int)service->is_up - (unsigned int)was_up;
	fleet_vip_write(fleet, service->vip);
}

void fleet_silence(struct fleet *fleet, bool is_silent)
{
	fleet->is_silent = is_silent;
	if (fleet->is_adopted)
		return; /* what packets see stays until it is known what is to be */
	for (struct fleet_vip *vip = fleet->vips; vip; vip = vip->hh.next)
		fleet_vip_write(fleet, vip);
}

/* ---- which are served -------------------------------------------------------------------------------------------- */

/* Whether it fails its checks: as one that is listed, or as one that was taken out and is asked on. */
static bool departs_failing(const struct fleet *fleet, const struct fleet_service *service,
			    const struct fleet_departure *departure)
{
	if (departure->check)
		return fleet->hooks.health_of(departure->check)->state == HEALTH_STATE_FAILING;
	return service->config && fleet_is_failing(service, departure->backend);
}

static bool is_served(const struct fleet *fleet, const struct fleet_service *service)
{
	const struct fleet_departure *departure = service->departures;

	if (service->ring || !service->is_up)
		return service->ring != NULL;
	while (departure && (departure->is_cut || !departure->backend->adjacency ||
			     departs_failing(fleet, service, departure)))
		departure = departure->next;
	return departure;
}

void fleet_vips_serve(struct fleet *fleet)
{
	uint64_t stamp;

	if (!fleet->departing && !fleet->had_departing && fleet->served_at == fleet->vip_changes)
		return;
	fleet->had_departing = fleet->departing > 0;
	stamp = ++fleet->stamp;
	for (struct fleet_service *service = fleet->services; service; service = service->hh.next)
		if (is_served(fleet, service))
			service->vip->served_in = stamp;
	for (struct fleet_vip *vip = fleet->vips; vip; vip = vip->hh.next) {
		fleet->vip_changes += vip->is_served != (vip->served_in == stamp);
		vip->is_served = vip->served_in == stamp;
	}
	fleet->served_at = fleet->vip_changes;
}

/* ---- which are known ------------------------------------------------------------------------------------------------ */

/* A VIP is not known while one of its services is not. Those are noted by the fleet's next stamp. */
static void note_waiting(struct fleet *fleet, uint64_t now_ms, uint64_t stamp)
{
	for (struct fleet_service *service = fleet->services; service; service = service->hh.next) {
		struct fleet_vip *vip = service->vip;

		if (vip->is_known || vip->waits == stamp || now_ms - vip->came_ms >= fleet->warmup_ms)
			continue;
		if (!service->config || !fleet->hooks.is_known(fleet->hooks.context, service, now_ms - vip->came_ms))
			vip->waits = stamp;
	}
}

void fleet_vips_know(struct fleet *fleet)
{
	uint64_t now_ms = fleet_now_ms(), stamp;
	struct fleet_vip *vip = fleet->vips;

	while (vip && vip->is_known)
		vip = vip->hh.next;
	if (!vip || fleet->is_adopted)
		return;
	stamp = ++fleet->stamp;
	note_waiting(fleet, now_ms, stamp);
	for (; vip; vip = vip->hh.next) {
		if (vip->is_known || vip->waits == stamp)
			continue;
		vip->is_known = true;
		fleet->vip_changes++;
		fleet_vip_write(fleet, vip);
	}
}

/* ---- adoption --------------------------------------------------------------------------------------------------------- */

struct fleet_vip *fleet_vip_adopt(struct fleet *fleet, const struct ip *address)
{
	struct fleet_vip *vip = fleet_vip_take(fleet, address);

	if (vip && (dataplane_vip_flags(fleet->plane, address) & HP_VIP_UP))
		vip->is_known = true;
	return vip;
}

/* VIPs that the map has and the mirror has not. */
struct strays {
	struct fleet *fleet;
	struct ip *list;
	size_t count;
};

static void note_stray(void *context, const struct ip *address)
{
	struct strays *strays = context;
	struct fleet_vip *vip;
	struct ip *grown;

	HASH_FIND(hh, strays->fleet->vips, address, sizeof(*address), vip);
	grown = vip ? NULL : realloc(strays->list, (strays->count + 1) * sizeof(*grown));
	if (!grown)
		return;
	strays->list = grown;
	grown[strays->count++] = *address;
}

void fleet_vips_settle(struct fleet *fleet)
{
	struct strays strays = {.fleet = fleet};

	dataplane_each_vip(fleet->plane, note_stray, &strays);
	for (size_t i = 0; i < strays.count; i++)
		dataplane_vip_clear(fleet->plane, &strays.list[i]);
	free(strays.list);
	for (struct fleet_vip *vip = fleet->vips; vip; vip = vip->hh.next)
		fleet_vip_write(fleet, vip);
}

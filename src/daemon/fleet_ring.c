/* Rings of the fleet, their publication, and VIPs that follow them up and down: see fleet.h. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

uint32_t fleet_ring_blocks(uint32_t size)
{
	return 1 + (size + HP_SLOTS_PER_BLOCK - 1) / HP_SLOTS_PER_BLOCK;
}

enum hp_method fleet_method(const struct config_service *service, const struct ip *vip, const struct ip *backend)
{
	return adjacency_method(service->forward, ip_is4(vip), ip_is4(backend));
}

/* Members of a service's ring: those of its backends that are usable, or all of them. */
static size_t list_members(const struct config_service *config, struct fleet_backend *const *backends, bool all,
			   struct ring_member *members)
{
	size_t count = 0;

	for (size_t i = 0; i < config->backend_count; i++) {
		if (!config->backends[i].weight || (!all && !backends[i]->adjacency))
			continue;
		members[count++] = (struct ring_member){
			.address = backends[i]->identity.address,
			.method = backends[i]->identity.method,
			.weight = config->backends[i].weight,
			.number = backends[i]->number,
		};
	}
	return count;
}

static struct ring_spec spec_of(const struct config_service *config, const struct ring_member *members, size_t count)
{
	return (struct ring_spec){
		.members = members,
		.count = count,
		.size = config->slots,
		.hash = config->hash,
		.seed = config->seed,
	};
}

struct ring_fingerprint fleet_configured_fingerprint(const struct fleet_service *service)
{
	auto_free struct ring_member *members = calloc(service->config->backend_count, sizeof(*members));
	struct ring_fingerprint none = {{0, 0}};
	struct ring_spec spec;

	if (!members)
		return none;
	spec = spec_of(service->config, members, list_members(service->config, service->backends, true, members));
	return ring_fingerprint(&spec);
}

static int build(struct fleet *fleet, const struct ring_spec *spec, struct fleet_ring *ring, struct err *e)
{
	uint32_t blocks = fleet_ring_blocks(spec->size);
	union hp_block *at;
	int code;

	ring->at = fleet_take(fleet, &fleet->blocks, blocks);
	if (!ring->at)
		return err_set(e, -ENOSPC,
			       "no room for a ring of %u slots: %u of %u blocks of %d are taken; raise limits.slots, then "
			       "restart after `halfproxyd --unload`",
			       spec->size, fleet->blocks.used, fleet->blocks.limit, HP_SLOTS_PER_BLOCK);
	at = fleet->plane->blocks + ring->at;
	code = ring_build(spec, at[1].slot, e);
	if (code) {
		extents_retire(&fleet->blocks, ring->at, blocks);
		return code;
	}
	at->head = (struct hp_ring_head){.seed = spec->seed, .size = spec->size, .hash = spec->hash};
	memcpy(at->head.fingerprint, &ring->fingerprint, sizeof(at->head.fingerprint));
	fleet->rings_built++;
	return 0;
}

int fleet_ring_take(struct fleet *fleet, const struct config_service *config, struct fleet_backend *const *backends,
		    struct fleet_ring **out, struct err *e)
{
	auto_free struct ring_member *members = calloc(config->backend_count, sizeof(*members));
	struct ring_fingerprint fingerprint;
	struct fleet_ring *ring;
	struct ring_spec spec;
	int code;

	if (!members)
		return err_set(e, -ENOMEM, "%m");
	spec = spec_of(config, members, list_members(config, backends, false, members));
	if (!spec.count) {
		*out = NULL;
		return 0;
	}
	fingerprint = ring_fingerprint(&spec);
	HASH_FIND(hh, fleet->rings, &fingerprint, sizeof(fingerprint), ring);
	if (!ring) {
		ring = calloc(1, sizeof(*ring));
		if (!ring)
			return err_set(e, -ENOMEM, "%m");
		ring->fingerprint = fingerprint;
		ring->size = spec.size;
		code = build(fleet, &spec, ring, e);
		if (code) {
			free(ring);
			return code;
		}
		HASH_ADD(hh, fleet->rings, fingerprint, sizeof(ring->fingerprint), ring);
	}
	ring->references++;
	*out = ring;
	return 0;
}

void fleet_ring_drop(struct fleet *fleet, struct fleet_ring *ring)
{
	if (!ring || --ring->references)
		return;
	extents_retire(&fleet->blocks, ring->at, fleet_ring_blocks(ring->size));
	HASH_DEL(fleet->rings, ring);
	free(ring);
}

/* ---- VIPs ------------------------------------------------------------------------------------------------------ */

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
		HASH_ADD(hh, fleet->vips, address, sizeof(vip->address), vip);
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
}

static void write_vip(struct fleet *fleet, struct fleet_vip *vip)
{
	uint32_t flags = vip->up ? HP_VIP_UP : 0;

	if (vip->written != flags && !dataplane_vip_set(fleet->plane, &vip->address, flags, NULL))
		vip->written = flags;
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
		write_vip(fleet, vip);
}

/* A backend's record stands before a ring names it, and a ring before a service names it. */
void fleet_publish(struct fleet *fleet, struct fleet_service *service, struct fleet_ring *ring)
{
	struct hp_service record = {.now = ring ? ring->at : 0};
	uint64_t word;

	memcpy(&word, &record, sizeof(word));
	__atomic_store_n((uint64_t *)(void *)&fleet->plane->services[service->number], word, __ATOMIC_RELEASE);
	service->vip->up += (ring != NULL) - (service->ring != NULL);
	fleet_ring_drop(fleet, service->ring);
	service->ring = ring;
	write_vip(fleet, service->vip);
}

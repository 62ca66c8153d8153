/* Rings of the fleet: see fleet.h. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

uint32_t fleet_ring_blocks(uint32_t size)
{
	return hp_ring_blocks(size);
}

enum hp_method fleet_method(const struct config_service *service, const struct ip *vip, const struct ip *backend)
{
	return adjacency_method(service->forward, ip_is4(vip), ip_is4(backend));
}

/* Members of a service's ring: those of its backends that take flows, or, with judged NULL, all but the fallbacks. */
static size_t list_members(const struct config_service *config, struct fleet_backend *const *backends,
			   const struct quorum_member *judged, const struct fleet_ramp *ramps, struct ring_member *members)
{
	size_t count = 0;

	for (size_t i = 0; i < config->backend_count; i++) {
		bool takes = judged ? judged[i].takes : !config->backends[i].is_fallback;

		members[i] = (struct ring_member){
			.address = backends[i]->identity.address,
			.method = backends[i]->identity.method,
			.weight = takes ? config->backends[i].weight : 0,
			.number = backends[i]->number,
		};
	}
	if (ramps)
		fleet_ramps_scale(config, ramps, members);
	for (size_t i = 0; i < config->backend_count; i++)
		if (members[i].weight)
			members[count++] = members[i];
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

struct ring_fingerprint fleet_fingerprint(const struct config_service *config, struct fleet_backend *const *backends,
					  const struct quorum_member *judged, const struct fleet_ramp *ramps)
{
	auto_free struct ring_member *members = calloc(config->backend_count, sizeof(*members));
	struct ring_spec spec;

	if (!members)
		return (struct ring_fingerprint){{0, 0}};
	spec = spec_of(config, members, list_members(config, backends, judged, ramps, members));
	return ring_fingerprint(&spec);
}

struct ring_fingerprint fleet_configured_fingerprint(const struct fleet_service *service)
{
	return fleet_fingerprint(service->config, service->backends, NULL, NULL);
}

static int take_blocks(struct fleet *fleet, struct fleet_ring *ring, struct err *e)
{
	ring->at = fleet_take(fleet, &fleet->blocks, fleet_ring_blocks(ring->size));
	return ring->at ? 0
			: err_set(e, -ENOSPC,
				  "no room for a ring of %u slots: %u of %u blocks of %d are taken; raise limits.slots, then "
				  "restart the daemon",
				  ring->size, fleet->blocks.used, fleet->blocks.limit, HP_SLOTS_PER_BLOCK);
}

/* Members are held before the ring is seen, so that a number that it names stays whose it is. */
static int hold_members(struct fleet *fleet, struct fleet_ring *ring, const struct ring_member *members, size_t count,
			struct err *e)
{
	ring->members = calloc(count + 1, sizeof(struct fleet_backend *));
	if (!ring->members)
		return err_set(e, -ENOMEM, "%m");
	for (size_t i = 0; i < count; i++) {
		ring->members[i] = fleet->by_number[members[i].number];
		ring->members[i]->references++;
	}
	ring->member_count = count;
	return 0;
}

static void release_members(struct fleet *fleet, struct fleet_ring *ring)
{
	for (size_t i = 0; i < ring->member_count; i++)
		fleet_backend_drop(fleet, ring->members[i]);
	free(ring->members);
}

static int build(struct fleet *fleet, const struct ring_spec *spec, struct fleet_ring *ring, struct err *e)
{
	uint32_t blocks = fleet_ring_blocks(spec->size);
	union hp_block *at;
	int code = take_blocks(fleet, ring, e);

	if (code)
		return code;
	at = fleet->plane->blocks + ring->at;
	code = ring_build(spec, at[1].slot, e);
	if (code) {
		extents_retire(&fleet->blocks, ring->at, blocks);
		ring->at = 0;
		return code;
	}
	at->head = (struct hp_ring_head){.seed = spec->seed, .size = spec->size, .hash = spec->hash};
	memcpy(at->head.fingerprint, &ring->fingerprint, sizeof(at->head.fingerprint));
	fleet->rings_built++;
	return 0;
}

int fleet_ring_take(struct fleet *fleet, const struct config_service *config, struct fleet_backend *const *backends,
		    const struct quorum_member *judged, const struct fleet_ramp *ramps, struct fleet_ring **out,
		    struct err *e)
{
	auto_free struct ring_member *members = calloc(config->backend_count, sizeof(*members));
	struct ring_fingerprint fingerprint;
	struct fleet_ring *ring;
	struct ring_spec spec;
	int code;

	if (!members)
		return err_set(e, -ENOMEM, "%m");
	spec = spec_of(config, members, list_members(config, backends, judged, ramps, members));
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
		if (!code)
			code = hold_members(fleet, ring, members, spec.count, e);
		if (code) {
			if (ring->at)
				extents_retire(&fleet->blocks, ring->at, fleet_ring_blocks(ring->size));
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
	release_members(fleet, ring);
	free(ring);
}

/* The fingerprint of a ring without one of its backends; that of the set itself would be a ring with its slots shared
 * out among the others. */
static struct ring_fingerprint fingerprint_without(const struct fleet_ring *ring, const struct fleet_backend *backend)
{
	struct ring_fingerprint fingerprint = ring->fingerprint;

	fingerprint.word[0] ^= hp_mix(backend->number);
	fingerprint.word[1] += hp_mix(~(uint64_t)backend->number);
	return fingerprint;
}

static void copy_without(struct fleet *fleet, const struct fleet_ring *from, struct fleet_ring *to, uint32_t number)
{
	const union hp_block *old = fleet->plane->blocks + from->at;
	union hp_block *new = fleet->plane->blocks + to->at;

	new->head = old->head;
	memcpy(new->head.fingerprint, &to->fingerprint, sizeof(new->head.fingerprint));
	for (uint32_t i = 0; i < from->size; i++)
		new[1].slot[i] = old[1].slot[i] == number ? 0 : old[1].slot[i];
	for (size_t i = 0; i < from->member_count; i++)
		if (from->members[i]->number != number) {
			to->members[to->member_count++] = from->members[i];
			from->members[i]->references++;
		}
}

int fleet_ring_without(struct fleet *fleet, const struct fleet_ring *ring, const struct fleet_backend *backend,
		       struct fleet_ring **out, struct err *e)
{
	struct ring_fingerprint fingerprint = fingerprint_without(ring, backend);
	struct fleet_ring *found;
	int code;

	HASH_FIND(hh, fleet->rings, &fingerprint, sizeof(fingerprint), found);
	if (!found) {
		found = calloc(1, sizeof(*found));
		if (!found)
			return err_set(e, -ENOMEM, "%m");
		found->fingerprint = fingerprint;
		found->size = ring->size;
		found->members = calloc(ring->member_count + 1, sizeof(struct fleet_backend *));
		code = found->members ? take_blocks(fleet, found, e) : err_set(e, -ENOMEM, "%m");
		if (code) {
			free(found->members);
			free(found);
			return code;
		}
		copy_without(fleet, ring, found, backend->number);
		HASH_ADD(hh, fleet->rings, fingerprint, sizeof(found->fingerprint), found);
	}
	found->references++;
	*out = found;
	return 0;
}

bool fleet_ring_members(struct fleet *fleet, struct fleet_ring *ring)
{
	const uint32_t *slots = fleet->plane->blocks[ring->at + 1].slot;
	uint64_t stamp = ++fleet->stamp;
	struct fleet_backend **grown;

	for (uint32_t i = 0; i < ring->size; i++) {
		struct fleet_backend *backend = slots[i] < fleet->plane->limits.backends ? fleet->by_number[slots[i]] : NULL;

		if (!backend || backend->stamp == stamp)
			continue;
		backend->stamp = stamp;
		if (!(ring->member_count & (ring->member_count - 1))) {
			grown = realloc(ring->members, (ring->member_count ? ring->member_count * 2 : 1) * sizeof(*grown));
			if (!grown)
				return false;
			ring->members = grown;
		}
		ring->members[ring->member_count++] = backend;
		backend->references++;
	}
	return true;
}

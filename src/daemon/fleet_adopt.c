/* The fleet as maps have it that were there before this daemon: backends, services with their rings, VIPs: see fleet.h. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A daemon before probes wrote no way. One with a way and no adjacency was dead by its checks. */
static void adopt_way(struct fleet *fleet, struct fleet_backend *backend, const struct hp_backend *seen)
{
	uint32_t way = seen->way ? seen->way : seen->adjacency;

	if (way / HP_ADJACENCIES_PER_BACKEND != backend->number)
		return;
	backend->way = way;
	backend->adjacency = seen->adjacency ? way : 0;
	backend->is_dead = !seen->adjacency;
	if (!seen->way)
		fleet_backend_write(fleet, backend);
}

static int adopt_backends(struct fleet *fleet)
{
	struct dataplane *plane = fleet->plane;

	for (uint32_t number = 1; number < plane->limits.backends; number++) {
		const struct hp_identity *record = &plane->identities[number];
		const struct hp_backend *seen = &plane->backends[number];
		struct fleet_identity identity;
		struct fleet_backend *backend;

		if (record->method == HP_METHOD_NONE || record->method >= HP_METHOD_COUNT)
			continue;
		memset(&identity, 0, sizeof(identity));
		memcpy(identity.address.byte, record->address, sizeof(record->address));
		identity.method = record->method;
		if (fleet_backend_find(fleet, &identity) || !extents_take_at(&fleet->backend_numbers, number, 1))
			continue;
		backend = fleet_backend_insert(fleet, &identity, number);
		if (!backend)
			return -ENOMEM;
		backend->is_new = backend->is_adopted = true;
		backend->references = 1;
		adopt_way(fleet, backend, seen);
	}
	return 0;
}

/* The ring that a service's record names, found or taken over, with a reference more. NULL: none, or nonsense. */
static struct fleet_ring *adopt_ring(struct fleet *fleet, uint32_t at)
{
	const struct hp_ring_head *head;
	struct ring_fingerprint fingerprint;
	struct fleet_ring *ring;

	if (!at || at >= fleet->plane->limits.blocks)
		return NULL;
	head = &fleet->plane->blocks[at].head;
	memcpy(&fingerprint, head->fingerprint, sizeof(fingerprint));
	HASH_FIND(hh, fleet->rings, &fingerprint, sizeof(fingerprint), ring);
	if (ring && ring->at == at)
		ring->references++;
	if (ring)
		return ring->at == at ? ring : NULL;
	if (!head->size || head->size > RING_SIZE_MOST ||
	    !extents_take_at(&fleet->blocks, at, fleet_ring_blocks(head->size)))
		return NULL;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return NULL;
	ring->fingerprint = fingerprint;
	ring->at = at;
	ring->size = head->size;
	ring->references = 1;
	HASH_ADD(hh, fleet->rings, fingerprint, sizeof(ring->fingerprint), ring);
	fleet_ring_members(fleet, ring);
	return ring;
}

static void adopt_service(struct fleet *fleet, const struct dataplane_key *key, uint32_t number)
{
	struct fleet_service *service = calloc(1, sizeof(*service));

	if (!service)
		return;
	service->key = *key;
	service->number = number;
	service->ring = adopt_ring(fleet, fleet->plane->services[number].now);
	service->before = adopt_ring(fleet, fleet->plane->services[number].before & HP_BLOCK_MASK);
	fleet_motion_adopt(fleet, service);
	fleet_terms_adopt(fleet, service);
	service->vip = fleet_vip_adopt(fleet, &key->vip);
	service->is_up = service->vip && service->ring;
	if (service->vip)
		service->vip->up += service->is_up;
	fleet_insert(fleet, service);
}

/* The keys that say the same number are the parts of a range. */
struct parts {
	struct fleet *fleet;
	struct dataplane_key *keys; /* by number */
};

static void adopt_key(void *context, const struct dataplane_key *key, uint32_t number)
{
	const struct parts *parts = context;
	struct dataplane_key *whole = &parts->keys[number];
	uint32_t last = key->port + key->more, end;

	if (!number || number >= parts->fleet->plane->limits.services)
		return;
	if (extents_take_at(&parts->fleet->service_numbers, number, 1)) {
		whole->vip = key->vip;
		whole->port = key->port;
		whole->protocol = key->protocol;
		whole->more = key->more;
		return;
	}
	end = whole->port + whole->more;
	whole->port = key->port < whole->port ? key->port : whole->port;
	whole->more = (uint16_t)((last > end ? last : end) - whole->port);
}

static int adopt_services(struct fleet *fleet)
{
	struct parts parts = {fleet, calloc(fleet->plane->limits.services, sizeof(*parts.keys))};

	if (!parts.keys)
		return -ENOMEM;
	dataplane_each_key(fleet->plane, adopt_key, &parts);
	for (uint32_t number = 1; number < fleet->plane->limits.services; number++)
		if (parts.keys[number].protocol)
			adopt_service(fleet, &parts.keys[number], number);
	free(parts.keys);
	return 0;
}

int fleet_adopt(struct fleet *fleet, struct err *e)
{
	int code = adopt_backends(fleet) ? err_set(e, -ENOMEM, "%m") : fleet_guards_adopt(fleet, e);

	if (!code)
		code = fleet_quic_adopt(fleet, e);
	if (code)
		return code;
	return adopt_services(fleet) ? err_set(e, -ENOMEM, "%m") : 0;
}

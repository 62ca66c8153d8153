/* The fleet's mirror: making it from the maps, finding things in it, backends that come and go: see fleet.h. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

uint32_t fleet_take(struct fleet *fleet, struct extents *from, uint32_t count)
{
	uint32_t at = extents_take(from, count);

	if (at || !extents_any_retired(from))
		return at;
	fleet_reclaim(fleet);
	return extents_take(from, count);
}

bool fleet_wants_reclaim(const struct fleet *fleet)
{
	return extents_any_retired(&fleet->service_numbers) || extents_any_retired(&fleet->backend_numbers) ||
	       extents_any_retired(&fleet->blocks) || fleet->retired_guards;
}

void fleet_reclaim(struct fleet *fleet)
{
	dataplane_grace(fleet->plane);
	fleet->epoch++;
	fleet_guards_reclaim(fleet);
	extents_reclaim(&fleet->service_numbers);
	extents_reclaim(&fleet->backend_numbers);
	extents_reclaim(&fleet->blocks);
}

struct fleet_service *fleet_service_find(const struct fleet *fleet, const struct dataplane_key *key)
{
	struct dataplane_key clean;
	struct fleet_service *service;

	memset(&clean, 0, sizeof(clean));
	clean.vip = key->vip;
	clean.port = key->port;
	clean.protocol = key->protocol;
	clean.more = key->more;
	HASH_FIND(hh, fleet->services, &clean, sizeof(clean), service);
	return service;
}

size_t fleet_unit_count(const struct config_service *config)
{
	return config->vip_count * config->port_count;
}

struct dataplane_key fleet_unit_key(const struct config_service *config, size_t unit)
{
	const struct config_ports *ports = &config->ports[unit % config->port_count];
	struct dataplane_key key;

	memset(&key, 0, sizeof(key));
	key.vip = config->vips[unit / config->port_count];
	key.port = ports->first;
	key.more = (uint16_t)(ports->last - ports->first);
	key.protocol = config->protocol;
	return key;
}

struct fleet_service *fleet_unit(const struct fleet *fleet, const struct config_service *config, size_t unit)
{
	struct dataplane_key key = fleet_unit_key(config, unit);

	return fleet_service_find(fleet, &key);
}

struct fleet_backend *fleet_backend_find(const struct fleet *fleet, const struct fleet_identity *identity)
{
	struct fleet_backend *backend;

	HASH_FIND(hh, fleet->backends, identity, sizeof(*identity), backend);
	return backend;
}

static void count_blocks(struct fleet_service *service, unsigned int change)
{
	uint32_t blocks = dataplane_key_blocks(&service->key);

	for (uint32_t bits = 1; service->vip && bits <= HP_BLOCK_BITS_MOST; bits++)
		service->vip->blocks[bits] += blocks >> bits & 1 ? change : 0;
}

void fleet_insert(struct fleet *fleet, struct fleet_service *service)
{
	HASH_ADD(hh, fleet->services, key, sizeof(service->key), service);
	fleet->service_by_number[service->number] = service;
	count_blocks(service, 1);
}

void fleet_remove(struct fleet *fleet, struct fleet_service *service)
{
	HASH_DEL(fleet->services, service);
	fleet->service_by_number[service->number] = NULL;
	count_blocks(service, UINT_MAX);
}

/* ---- backends ------------------------------------------------------------------------------------------------ */

struct fleet_backend *fleet_backend_insert(struct fleet *fleet, const struct fleet_identity *identity, uint32_t number)
{
	struct fleet_backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return NULL;
	backend->identity = *identity;
	backend->number = number;
	fleet->by_number[number] = backend;
	HASH_ADD(hh, fleet->backends, identity, sizeof(backend->identity), backend);
	return backend;
}

struct fleet_backend *fleet_backend_take(struct fleet *fleet, const struct fleet_identity *identity, struct err *e)
{
	struct fleet_backend *backend = fleet_backend_find(fleet, identity);
	struct hp_identity record = {.method = identity->method};
	uint32_t number;

	if (backend) {
		backend->references++;
		backend->left_in = 0;
		return backend;
	}
	number = fleet_take(fleet, &fleet->backend_numbers, 1);
	if (!number) {
		err_set(e, -ENOSPC,
			"the data plane has room for %u backends and all are taken: raise limits.backends, then restart "
			"the daemon",
			fleet->plane->limits.backends - 1);
		return NULL;
	}
	backend = fleet_backend_insert(fleet, identity, number);
	if (!backend) {
		extents_retire(&fleet->backend_numbers, number, 1);
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	backend->references = 1;
	backend->is_new = true;
	memcpy(record.address, identity->address.byte, sizeof(record.address));
	dataplane_backend_zero(fleet->plane, number);
	fleet->plane->backends[number] = (struct hp_backend){0};
	fleet->plane->identities[number] = record;
	return backend;
}

void fleet_backend_drop(struct fleet *fleet, struct fleet_backend *backend)
{
	if (--backend->references)
		return;
	if (!fleet->pass.may_find) {
		fleet_backend_free(fleet, backend);
		return;
	}
	backend->left_in = fleet->pass.number + 1;
	fleet->pass.wants_grace = true;
}

void fleet_backend_free(struct fleet *fleet, struct fleet_backend *backend)
{
	fleet->by_number[backend->number] = NULL;
	fleet_quic_backend_gone(fleet, backend->number);
	if (!backend->is_new && fleet->hooks.unwatch)
		fleet->hooks.unwatch(fleet->hooks.context, backend);
	fleet->plane->identities[backend->number] = (struct hp_identity){0};
	extents_retire(&fleet->backend_numbers, backend->number, 1);
	HASH_DEL(fleet->backends, backend);
	free(backend->services);
	free(backend);
}

int fleet_backends_take(struct fleet *fleet, const struct config_service *config, const struct ip *vip,
			struct fleet_backend ***backends, size_t *count, struct err *e)
{
	struct fleet_backend **list = calloc(config->backend_count, sizeof(*list));

	if (!list)
		return err_set(e, -ENOMEM, "%m");
	*backends = list;
	for (*count = 0; *count < config->backend_count; ++*count) {
		const struct ip *address = &config->backends[*count].address;
		struct fleet_identity identity;

		memset(&identity, 0, sizeof(identity));
		identity.address = *address;
		identity.method = fleet_method(config, vip, address);
		list[*count] = fleet_backend_take(fleet, &identity, e);
		if (!list[*count])
			return -ENOSPC;
	}
	return 0;
}

bool fleet_backend_join(struct fleet_backend *backend, struct fleet_service *service)
{
	size_t room = backend->service_room ? backend->service_room * 2 : 2;
	struct fleet_service **grown;

	if (backend->service_count == backend->service_room) {
		grown = realloc(backend->services, room * sizeof(struct fleet_service *));
		if (!grown)
			return false;
		backend->services = grown;
		backend->service_room = room;
	}
	backend->services[backend->service_count++] = service;
	return true;
}

void fleet_backend_part(struct fleet_backend *backend, struct fleet_service *service)
{
	for (size_t i = 0; i < backend->service_count; i++)
		if (backend->services[i] == service) {
			backend->services[i] = backend->services[--backend->service_count];
			return;
		}
}

void fleet_mark(struct fleet *fleet, struct fleet_service *service)
{
	size_t room = fleet->dirty_room ? fleet->dirty_room * 2 : 64;
	struct fleet_service **grown;

	if (service->is_dirty)
		return;
	if (fleet->dirty_count == fleet->dirty_room) {
		grown = realloc(fleet->dirty, room * sizeof(struct fleet_service *));
		if (!grown)
			return;
		fleet->dirty = grown;
		fleet->dirty_room = room;
	}
	service->is_dirty = true;
	fleet->dirty[fleet->dirty_count++] = service;
}

/* The record that packets see is never written to: its twin is, once no packet can still be reading that. */
static void write_adjacency(struct fleet *fleet, struct fleet_backend *backend, const struct hp_adjacency *record)
{
	uint32_t first = backend->number * HP_ADJACENCIES_PER_BACKEND;
	const struct hp_backend *published = &fleet->plane->backends[backend->number];
	uint32_t seen = published->way ? published->way : published->adjacency;
	uint32_t index = seen == first ? first + 1 : first;

	if (backend->flipped == fleet->epoch)
		fleet_reclaim(fleet);
	fleet->plane->adjacencies[index] = *record;
	backend->way = index;
	backend->adjacency = backend->is_dead ? 0 : index;
	fleet_backend_write(fleet, backend);
}

/* What is replaced, a packet in flight may have found just before. */
void fleet_backend_write(struct fleet *fleet, struct fleet_backend *backend)
{
	struct hp_backend record = {.adjacency = backend->adjacency, .way = backend->way};
	uint64_t word;

	memcpy(&word, &record, sizeof(word));
	__atomic_store_n((uint64_t *)(void *)&fleet->plane->backends[backend->number], word, __ATOMIC_RELEASE);
	backend->flipped = fleet->epoch;
}

/* A backend that is lost is taken from packets when no ring names it any more; one that departs from all services is named
 * by rings `before` alone, and by remembered flows. */
static void usable_changed(struct fleet *fleet, struct fleet_backend *backend, bool was_usable)
{
	bool is_usable = backend->adjacency != 0;

	if (was_usable != is_usable)
		for (size_t i = 0; i < backend->service_count; i++)
			fleet_mark(fleet, backend->services[i]);
	if (!is_usable && (!was_usable || !backend->service_count))
		fleet_backend_write(fleet, backend);
}

void fleet_backend_resolved(struct fleet *fleet, struct fleet_backend *backend, const struct hp_adjacency *record)
{
	bool was_usable = backend->adjacency != 0;

	if (record && backend->way && !memcmp(&fleet->plane->adjacencies[backend->way], record, sizeof(*record)))
		return;
	if (record)
		write_adjacency(fleet, backend, record);
	else
		backend->adjacency = backend->way = 0; /* packets see it until the rings are rebuilt without it */
	usable_changed(fleet, backend, was_usable);
}

void fleet_backend_dead(struct fleet *fleet, struct fleet_backend *backend, bool is_dead)
{
	bool was_usable = backend->adjacency != 0;

	backend->is_dead = is_dead;
	backend->adjacency = is_dead ? 0 : backend->way;
	if (backend->adjacency)
		fleet_backend_write(fleet, backend); /* before a ring names it */
	usable_changed(fleet, backend, was_usable);
}

/* ---- flushing what is marked ---------------------------------------------------------------------------------- */

/* A ring that waits for ways that will be known in a moment saves a change, and flows what a change puts at risk. */
static bool is_held(const struct fleet *fleet, const struct fleet_service *service)
{
	const struct fleet_former *former = service->former;

	return service->held_until_ms > fleet_now_ms() &&
	       (fleet_is_waiting(fleet, service->config, service->backends, service->checks) ||
		(former && fleet_is_waiting(fleet, former->config, former->backends, NULL)));
}

static int show_next(struct fleet *fleet, struct fleet_service *service, struct err *e)
{
	struct quorum_member *members =
		fleet_judge(fleet, service->config, service->backends, service->checks, &service->quorum, e);
	struct fleet_ramp *ramps;
	struct fleet_ring *ring;
	int code;

	if (!members)
		return -ENOMEM;
	free(service->members);
	service->members = members;
	fleet_judged(fleet, service);
	if (service->former)
		return fleet_former_show(fleet, service, e);
	if (fleet_keeps_ring(fleet, service, service->config, service->backends, members, &service->quorum))
		return 0;
	ramps = fleet_ramps_plan(fleet, service, service->config, service->backends, members);
	code = fleet_ring_take(fleet, service->config, service->backends, members, ramps, &ring, e);
	if (code) {
		free(ramps);
		return code;
	}
	fleet_ramps_set(fleet, service, ramps);
	if (ring == service->ring) {
		fleet_ring_drop(fleet, ring);
		return 0;
	}
	fleet_departures_update(fleet, service, service->config, service->backends, members);
	fleet_publish(fleet, service, ring);
	return 0;
}

static int flush_one(struct fleet *fleet, struct fleet_service *service, struct err *e)
{
	int code;

	if (is_held(fleet, service)) {
		if (!fleet->flush_at_ms || service->held_until_ms < fleet->flush_at_ms)
			fleet->flush_at_ms = service->held_until_ms;
		return 0;
	}
	code = show_next(fleet, service, e);
	if (code)
		return code;
	service->is_dirty = false;
	code = fleet_reset_failing(fleet, service, e);
	service->is_dirty = code != 0;
	return code;
}

/* What the rings no longer name, packets need no longer find. A packet in flight may have found it just before. */
static void clear_lost(struct fleet *fleet, const struct fleet_service *service)
{
	for (size_t i = 0; i < service->config->backend_count; i++) {
		struct fleet_backend *backend = service->backends[i];

		if (!backend->adjacency && fleet->plane->backends[backend->number].adjacency)
			fleet_backend_write(fleet, backend);
	}
}

int fleet_flush(struct fleet *fleet, struct err *e)
{
	size_t kept = 0;
	int failed = 0;

	for (size_t i = 0; i < fleet->dirty_count; i++)
		fleet_forget_stale(fleet, fleet->dirty[i]);
	for (size_t i = 0; i < fleet->dirty_count; i++) {
		int code = flush_one(fleet, fleet->dirty[i], e);

		if (!code)
			continue;
		failed = code;
		err_add(e, code, "service %s keeps its ring", fleet->dirty[i]->config->name);
	}
	for (size_t i = 0; i < fleet->dirty_count; i++) {
		if (fleet->dirty[i]->is_dirty)
			fleet->dirty[kept++] = fleet->dirty[i];
		else
			clear_lost(fleet, fleet->dirty[i]);
	}
	fleet->dirty_count = kept;
	fleet_vips_serve(fleet);
	fleet_vips_know(fleet);
	return failed;
}

/* ---- making and ending it -------------------------------------------------------------------------------------- */

struct fleet *fleet_create(struct dataplane *plane, const struct fleet_hooks *hooks, struct err *e)
{
	struct fleet *fleet = calloc(1, sizeof(*fleet));

	if (!fleet || extents_init(&fleet->service_numbers, 1, plane->limits.services) ||
	    extents_init(&fleet->backend_numbers, 1, plane->limits.backends) ||
	    extents_init(&fleet->blocks, 1, plane->limits.blocks) ||
	    extents_init(&fleet->guard_numbers, 1, plane->limits.prefixes / 2 + 2) ||
	    !(fleet->by_number = calloc(plane->limits.backends, sizeof(struct fleet_backend *))) ||
	    !(fleet->service_by_number = calloc(plane->limits.services, sizeof(struct fleet_service *)))) {
		free(fleet);
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	fleet->plane = plane;
	fleet->hooks = *hooks;
	fleet->epoch = 1;
	fleet->is_adopted = true;
	fleet->pass.may_find = plane->adopted;
	fleet->pass.not_promoted = dataplane_flow_events(plane, HP_FLOW_NOT_PROMOTED_EVENT);
	if (fleet_adopt(fleet, e)) {
		fleet_destroy(fleet);
		return NULL;
	}
	return fleet;
}

static void forget_departures(struct fleet *fleet, struct fleet_service *service)
{
	while (service->departures) {
		struct fleet_departure *departure = service->departures;

		service->departures = departure->next;
		if (departure->check)
			fleet->hooks.drop_check(fleet->hooks.context, departure->check);
		free(departure);
	}
}

void fleet_destroy(struct fleet *fleet)
{
	struct fleet_service *service, *next_service;
	struct fleet_backend *backend, *next_backend;
	struct fleet_ring *ring, *next_ring;
	struct fleet_vip *vip, *next_vip;

	if (!fleet)
		return;
	HASH_ITER(hh, fleet->services, service, next_service) {
		HASH_DEL(fleet->services, service);
		forget_departures(fleet, service);
		fleet_former_free(service->former);
		fleet_checks_part(fleet, service->checks, fleet_check_count(service->config), service);
		fleet_checks_drop(fleet, service->checks, fleet_check_count(service->config));
		free(service->backends);
		config_service_drop(service->config);
		free(service->members);
		free(service->ramps);
		free(service);
	}
	HASH_ITER(hh, fleet->backends, backend, next_backend) {
		HASH_DEL(fleet->backends, backend);
		free(backend->services);
		free(backend);
	}
	HASH_ITER(hh, fleet->rings, ring, next_ring) {
		HASH_DEL(fleet->rings, ring);
		free(ring->members);
		free(ring);
	}
	HASH_ITER(hh, fleet->vips, vip, next_vip) {
		HASH_DEL(fleet->vips, vip);
		free(vip);
	}
	extents_destroy(&fleet->service_numbers);
	extents_destroy(&fleet->backend_numbers);
	extents_destroy(&fleet->blocks);
	extents_destroy(&fleet->guard_numbers);
	fleet_guards_forget(fleet);
	fleet_quic_forget(fleet);
	dataplane_walk_end(&fleet->pass.walk);
	fleet_forget_formers(fleet);
	free(fleet->by_number);
	free(fleet->service_by_number);
	free(fleet->applied);
	free(fleet->dirty);
	free(fleet);
}

/* Room for a configuration in a new data plane: see fleet.h.
 *
 * Services with equal backends share one ring and the backends' numbers, so the room for all of them apart may be a
 * thousand times what is needed. It is given as long as it costs little, since services that are equal now may differ
 * after the next change. Rings have room three times: `now`, `before`, and the next one while it is made. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SERVICES_LEAST 1024
#define BACKENDS_LEAST 4096
#define BLOCKS_LEAST 65536
#define BACKENDS_SPARE_MOST (1u << 18) /* some 110 MB, with counters for 2 CPUs */
#define BLOCKS_SPARE_MOST (1u << 21)   /* 128 MB */
#define BLOCKS_MOST HP_BLOCKS_MOST     /* what limits.slots may say */
#define PREFIXES_LEAST 65536 /* memory is taken when one is written */
#define SOURCES_AUTO 65536 /* 7 MB */
#define FLOWS_AUTO (1u << 20)
#define FRAGMENTS_AUTO (1u << 16) /* 9 MB: 200 ms of 10 Gbit/s in datagrams of 4,000 bytes */
#define UNPROVEN_AUTO (1u << 18) /* 32 MB: a flood of 87,000 flows a second on slots that differ, for 3 s */

/* What was counted already. */
struct counted {
	union {
		struct ring_fingerprint ring;
		struct fleet_identity backend;
		struct guard_fingerprint guard;
	} key;
	UT_hash_handle hh;
};

struct needs {
	uint64_t services, backends, blocks;	/* shared where they will be */
	uint64_t backends_apart, blocks_apart;	/* as if no two services shared any */
	uint64_t prefixes;
	struct counted *rings, *known_backends, *guards;
};

/* Note a key. Returns 1 when it is new, 0 when not, or -ENOMEM. */
static int note(struct counted **table, const struct counted *row)
{
	struct counted *found;

	HASH_FIND(hh, *table, &row->key, sizeof(row->key), found);
	if (found)
		return 0;
	found = malloc(sizeof(*found));
	if (!found)
		return -ENOMEM;
	*found = *row;
	HASH_ADD(hh, *table, key, sizeof(found->key), found);
	return 1;
}

static void forget(struct counted **table)
{
	struct counted *row, *next;

	HASH_ITER(hh, *table, row, next) {
		HASH_DEL(*table, row);
		free(row);
	}
}

static int count_backends(struct needs *needs, const struct ring_member *members, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct counted row;
		int is_new;

		memset(&row, 0, sizeof(row));
		row.key.backend.address = members[i].address;
		row.key.backend.method = members[i].method;
		is_new = note(&needs->known_backends, &row);
		if (is_new < 0)
			return is_new;
		needs->backends += (uint64_t)is_new;
	}
	return 0;
}

/* What one VIP of a service needs. members: room for its backends. */
static int count_vip(struct needs *needs, const struct config_service *service, const struct ip *vip,
		     struct ring_member *members)
{
	struct ring_spec spec = {members, service->backend_count, service->slots, service->hash, service->seed};
	struct counted row;
	int is_new;

	for (size_t i = 0; i < service->backend_count; i++)
		members[i] = (struct ring_member){
			.address = service->backends[i].address,
			.method = fleet_method(service, vip, &service->backends[i].address),
			.weight = service->backends[i].weight,
		};
	memset(&row, 0, sizeof(row));
	row.key.ring = ring_fingerprint(&spec);
	is_new = note(&needs->rings, &row);
	if (is_new > 0)
		needs->blocks += fleet_ring_blocks(service->slots);
	return is_new < 0 ? is_new : count_backends(needs, members, service->backend_count);
}

static int count_guard(struct needs *needs, const struct guard *guard)
{
	struct guard_row *rows = guard ? calloc(guard_rows_most(guard), sizeof(*rows)) : NULL;
	size_t count = rows ? guard_rows(guard, 0, rows) : 0;
	struct counted row;
	int is_new = 0;

	memset(&row, 0, sizeof(row));
	for (size_t i = 0; i < count; i++)
		guard_fingerprint_add(&row.key.guard, &rows[i]);
	if (count)
		is_new = note(&needs->guards, &row);
	if (is_new > 0)
		needs->prefixes += count;
	free(rows);
	return is_new < 0 || (guard && !rows) ? -ENOMEM : 0;
}

static int count_service(struct needs *needs, const struct config_service *service)
{
	struct ring_member *members = calloc(service->backend_count + 1, sizeof(*members));
	size_t units = fleet_unit_count(service);
	int code = members ? 0 : -ENOMEM;

	for (size_t unit = 0; unit < units; unit++) {
		struct dataplane_key key = fleet_unit_key(service, unit);

		needs->services += (dataplane_key_count(&key) + 1) / 2;
	}
	needs->backends_apart += (uint64_t)units * service->backend_count;
	needs->blocks_apart += (uint64_t)units * fleet_ring_blocks(service->slots);
	for (size_t v = 0; !code && v < service->vip_count; v++)
		code = count_vip(needs, service, &service->vips[v], members);
	free(members);
	if (!code)
		code = count_guard(needs, service->guard);
	return code;
}

static uint32_t room(uint64_t needed, uint64_t apart, uint32_t times, uint64_t spare_most, uint64_t least, uint64_t most)
{
	uint64_t size = apart * times < spare_most ? apart * times : spare_most;

	if (size < needed * times)
		size = needed * times;
	if (size < least)
		size = least;
	return (uint32_t)(size < most ? size : most);
}

static void say(uint32_t said, uint32_t size, uint32_t flag, uint32_t *out, struct dataplane_limits *limits)
{
	if (!said)
		return;
	*out = size;
	limits->said |= flag;
}

static void use_said(const struct config_limits *said, struct dataplane_limits *out)
{
	say(said->services, said->services + 1, DATAPLANE_SAYS_SERVICES, &out->services, out);
	say(said->backends, said->backends + 1, DATAPLANE_SAYS_BACKENDS, &out->backends, out);
	say(said->slots, said->slots / HP_SLOTS_PER_BLOCK + 1, DATAPLANE_SAYS_BLOCKS, &out->blocks, out);
	say(said->flows, said->flows, DATAPLANE_SAYS_FLOWS, &out->flows, out);
	say(said->unproven, said->unproven, DATAPLANE_SAYS_UNPROVEN, &out->unproven, out);
	say(said->prefixes, said->prefixes, DATAPLANE_SAYS_PREFIXES, &out->prefixes, out);
	say(said->sources, said->sources, DATAPLANE_SAYS_SOURCES, &out->sources, out);
	say(said->fragments, said->fragments, DATAPLANE_SAYS_FRAGMENTS, &out->fragments, out);
}

int fleet_room(const struct config *config, struct dataplane_limits *out)
{
	struct needs needs = {.services = 1, .backends = 1, .blocks = 1, .backends_apart = 1, .blocks_apart = 1};
	int code = 0;

	for (size_t i = 0; !code && i < config->service_count; i++)
		code = count_service(&needs, config->services[i]);
	forget(&needs.rings);
	forget(&needs.known_backends);
	forget(&needs.guards);
	if (code)
		return code;
	*out = (struct dataplane_limits){0};
	out->flows = FLOWS_AUTO;
	out->unproven = UNPROVEN_AUTO;
	out->sources = SOURCES_AUTO;
	out->fragments = FRAGMENTS_AUTO;
	out->services = room(needs.services, 0, 2, 0, SERVICES_LEAST, UINT32_MAX);
	out->backends = room(needs.backends, needs.backends_apart, 2, BACKENDS_SPARE_MOST, BACKENDS_LEAST, UINT32_MAX);
	out->prefixes = room(needs.prefixes, 0, 2, 0, PREFIXES_LEAST, UINT32_MAX);
	out->blocks = room(needs.blocks, needs.blocks_apart, 3, BLOCKS_SPARE_MOST, BLOCKS_LEAST, BLOCKS_MOST);
	use_said(&config->limits, out);
	return 0;
}

/* Migration: what maps hold is taken over into maps of another size, or of another ABI version's records.
 *
 * The daemon's own records are copied once, as no daemon writes to them meanwhile. Packets go on writing counters and
 * remembered flows to the old maps until every link runs the new program, so these are taken over before that, so that no
 * packet of the new program misses one, and once more after it. Counters go to a row that no packet writes to: the
 * sum can be written again and again, and is exact when the old maps have come to rest.
 *
 * The steps, and what a start finds that comes after a kill at each:
 *
 *   copy, pin the new set beside    the old set, untouched; what is beside it is thrown away
 *   exchange the two folders        the new set, with the replaced maps in maps/former: it goes on from here
 *   links, flows again, counters    the same
 *   remove maps/former/meta         the new set, and nothing to do */
#include "daemon/dataplane_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "director.skel.h"

/* An entry that a packet was about to write when its part of the table was walked. */
#define IN_FLIGHT_NS 1000000000u

/* Ranges of ports take more than one. */
#define KEYS_A_SERVICE 4

static uint64_t before_flight(uint64_t ns)
{
	return ns > IN_FLIGHT_NS ? ns - IN_FLIGHT_NS : 0;
}

/* ---- what is in use --------------------------------------------------------------------------------------------- */

struct use {
	const struct dataplane_set *set;
	uint32_t services, backends, blocks; /* the highest number, and one more */
};

static void use_ring(struct use *use, uint32_t at)
{
	union hp_block room;
	const union hp_block *head;

	if (!at || at >= use->set->map[DATAPLANE_SLOTS].entries)
		return;
	head = dataplane_set_record(use->set, DATAPLANE_SLOTS, at, &room);
	if (head->head.size < HP_BLOCKS_MOST && at + hp_ring_blocks(head->head.size) > use->blocks)
		use->blocks = at + hp_ring_blocks(head->head.size);
}

static void use_key(void *context, const struct ip *vip, uint32_t what, uint32_t number)
{
	struct use *use = context;
	const struct hp_service *service;
	struct hp_service room;

	if (what == HP_WHAT_VIP || number >= use->set->map[DATAPLANE_SERVICES].entries)
		return;
	if (number >= use->services)
		use->services = number + 1;
	service = dataplane_set_record(use->set, DATAPLANE_SERVICES, number, &room);
	use_ring(use, service->now);
	use_ring(use, service->before & HP_BLOCK_MASK);
}

static struct use look(const struct dataplane_set *set)
{
	struct use use = {set, 1, 1, 1};

	for (int id = DATAPLANE_KEYS4; id <= DATAPLANE_KEYS6; id++) {
		struct keys keys;

		keys_open(&keys, set->map[id].at, set->map[id].entries, id == DATAPLANE_KEYS4);
		keys_each(&keys, use_key, &use);
		if (keys.used / KEYS_A_SERVICE >= use.services)
			use.services = keys.used / KEYS_A_SERVICE + 1;
	}
	for (uint32_t number = 1; number < set->map[DATAPLANE_IDENTITIES].entries; number++) {
		struct hp_identity room;
		const struct hp_identity *identity = dataplane_set_record(set, DATAPLANE_IDENTITIES, number, &room);

		if (identity->method != HP_METHOD_NONE)
			use.backends = number + 1;
	}
	return use;
}

/* Flows in a table, and an eighth more: packets bring others while they are copied. */
static int look_at_table(const struct dataplane_set *set, enum dataplane_map_id id, uint32_t *in_use, struct err *e)
{
	struct dataplane_walk walk = {.value_bytes = set->map[id].value_bytes};
	uint32_t flows = 0;
	int count = 0;

	while (set->map[id].fd >= 0 && (count = dataplane_walk_table(set->map[id].fd, &walk, e)) > 0)
		flows += (uint32_t)count;
	dataplane_walk_end(&walk);
	*in_use = flows + flows / 8;
	return count;
}

/* The size of one kind. unit and extra: the configuration's number is (size - extra) x unit. */
static uint32_t choose(struct dataplane_migration *migration, const char *limit, uint32_t unit, uint32_t extra,
		       uint32_t wanted, uint32_t is, uint32_t in_use, bool is_said)
{
	if (wanted >= is)
		return wanted;
	if (!is_said)
		return is;
	if (in_use <= wanted)
		return wanted;
	migration->kept[migration->kept_count++] = (struct dataplane_kept){
		.limit = limit,
		.wanted = (wanted - extra) * unit,
		.in_use = (in_use - extra) * unit,
		.is = (is - extra) * unit,
	};
	return is;
}

int dataplane_choose_limits(struct dataplane *plane, const struct dataplane_set *set, const struct dataplane_limits *wanted,
			    struct dataplane_limits *out, struct err *e)
{
	struct dataplane_limits is = dataplane_set_limits(set, wanted);
	struct dataplane_migration *migration = &plane->migration;
	uint32_t flows = 0, unproven = 0, prefixes = 0, said = wanted->said;
	struct use use = look(set);
	int code = 0;

	if (said & DATAPLANE_SAYS_FLOWS && wanted->flows < is.flows)
		code = look_at_table(set, DATAPLANE_FLOWS_MAP, &flows, e);
	if (!code && said & DATAPLANE_SAYS_UNPROVEN && wanted->unproven < is.unproven)
		code = look_at_table(set, DATAPLANE_UNPROVEN_MAP, &unproven, e);
	if (!code && said & DATAPLANE_SAYS_PREFIXES && wanted->prefixes < is.prefixes)
		code = dataplane_guards_count(set->map[DATAPLANE_GUARDS].fd, &prefixes, e);
	if (code)
		return code;
	*out = (struct dataplane_limits){
		.services = choose(migration, "services", 1, 1, wanted->services, is.services, use.services,
				   said & DATAPLANE_SAYS_SERVICES),
		.backends = choose(migration, "backends", 1, 1, wanted->backends, is.backends, use.backends,
				   said & DATAPLANE_SAYS_BACKENDS),
		.blocks = choose(migration, "slots", HP_SLOTS_PER_BLOCK, 1, wanted->blocks, is.blocks, use.blocks,
				 said & DATAPLANE_SAYS_BLOCKS),
		.flows = choose(migration, "flows", 1, 0, wanted->flows, is.flows, flows, said & DATAPLANE_SAYS_FLOWS),
		.unproven = choose(migration, "unproven", 1, 0, wanted->unproven, is.unproven, unproven,
				   said & DATAPLANE_SAYS_UNPROVEN),
		.prefixes = choose(migration, "prefixes", 1, 0, wanted->prefixes, is.prefixes, prefixes,
				   said & DATAPLANE_SAYS_PREFIXES),
		.sources = choose(migration, "sources", 1, 0, wanted->sources, is.sources, 0, said & DATAPLANE_SAYS_SOURCES),
		.fragments = choose(migration, "fragments", 1, 0, wanted->fragments, is.fragments, 0,
				    said & DATAPLANE_SAYS_FRAGMENTS),
	};
	return 0;
}

/* ---- the daemon's own records -------------------------------------------------------------------------------------- */

/* Where plane has a map mapped. */
static void *mapped(const struct dataplane *plane, enum dataplane_map_id id)
{
	return *(void *const *)((const char *)plane + dataplane_maps[id].pointer_at);
}

static uint32_t entries(const struct dataplane *plane, enum dataplane_map_id id)
{
	return bpf_map__max_entries(bpf_object__find_map_by_name(plane->live->obj, dataplane_maps[id].name));
}

static void copy_records(const struct dataplane *plane, const struct dataplane_set *set, enum dataplane_map_id id)
{
	uint32_t count = entries(plane, id), value_bytes = dataplane_maps[id].value_bytes;
	char *to = mapped(plane, id);

	if (count > set->map[id].entries)
		count = set->map[id].entries;
	for (uint32_t i = 0; i < count; i++) {
		const void *record = dataplane_set_record(set, id, i, to + (size_t)i * value_bytes);

		if (record != to + (size_t)i * value_bytes)
			memcpy(to + (size_t)i * value_bytes, record, value_bytes);
	}
}

struct rehash {
	struct keys *to;
	int code;
};

static void copy_key(void *context, const struct ip *vip, uint32_t what, uint32_t number)
{
	struct rehash *rehash = context;

	if (!rehash->code)
		rehash->code = keys_set(rehash->to, vip, what, number);
}

static int copy_keys(struct dataplane *plane, const struct dataplane_set *set, enum dataplane_map_id id, struct err *e)
{
	struct rehash rehash = {id == DATAPLANE_KEYS4 ? &plane->keys4 : &plane->keys6, 0};
	struct keys from;

	keys_open(&from, set->map[id].at, set->map[id].entries, id == DATAPLANE_KEYS4);
	keys_each(&from, copy_key, &rehash);
	return rehash.code ? err_set(e, rehash.code, "the VIPs and ports that are in use do not fit into a table of %u: raise "
						     "limits.services", entries(plane, id))
			   : 0;
}

/* ---- counters ---------------------------------------------------------------------------------------------------- */

/* Counters of number `number`, over all rows of the old map, into the daemon's row of the new one. */
static void sum_counts(const struct dataplane_set *set, enum dataplane_map_id id, uint32_t stride, uint32_t number,
		       uint64_t *cells, size_t cell_count)
{
	uint64_t room[DATAPLANE_RECORD_BYTES_MOST / sizeof(uint64_t)];

	memset(cells, 0, cell_count * sizeof(*cells));
	for (uint32_t at = number; at < set->map[id].entries; at += stride) {
		const uint64_t *row = dataplane_set_record(set, id, at, room);

		for (size_t i = 0; i < cell_count; i++)
			cells[i] += __atomic_load_n(&row[i], __ATOMIC_RELAXED);
	}
}

static void take_counts(struct dataplane *plane, const struct dataplane_set *set, enum dataplane_map_id id)
{
	uint32_t old_stride = id == DATAPLANE_SERVICE_COUNTS ? set->meta.service_stride : set->meta.backend_stride;
	uint32_t stride = id == DATAPLANE_SERVICE_COUNTS ? plane->meta->service_stride : plane->meta->backend_stride;
	size_t cell_count = dataplane_maps[id].value_bytes / sizeof(uint64_t);
	uint64_t *to = mapped(plane, id);

	if (id == DATAPLANE_FLOW_COUNTS)
		old_stride = stride = 1;
	if (!old_stride)
		return;
	for (uint32_t number = 0; number < stride && number < old_stride; number++)
		sum_counts(set, id, old_stride, number, to + ((size_t)plane->meta->cpus * stride + number) * cell_count,
			   cell_count);
}

static void take_all_counts(struct dataplane *plane, const struct dataplane_set *set)
{
	for (int i = 0; i < DATAPLANE_MAP_COUNT; i++) {
		enum dataplane_map_id id = (enum dataplane_map_id)i;

		if (dataplane_maps[id].copy == DATAPLANE_COPY_COUNTS && set->map[id].is_replaced)
			take_counts(plane, set, id);
	}
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int copy_guards(struct dataplane *plane, const struct dataplane_set *set, struct err *e)
{
	return dataplane_guards_copy(set->map[DATAPLANE_GUARDS].fd, bpf_map__fd(plane->live->maps.guards), e);
}

static int copy_own(struct dataplane *plane, const struct dataplane_set *set, struct err *e)
{
	int code = 0;

	for (int i = 0; !code && i < DATAPLANE_MAP_COUNT; i++) {
		enum dataplane_map_id id = (enum dataplane_map_id)i;

		if (!set->map[id].is_replaced)
			continue;
		if (dataplane_maps[id].copy == DATAPLANE_COPY_RECORDS)
			copy_records(plane, set, id);
		else if (dataplane_maps[id].copy == DATAPLANE_COPY_KEYS)
			code = copy_keys(plane, set, id, e);
		else if (dataplane_maps[id].copy == DATAPLANE_COPY_GUARDS)
			code = copy_guards(plane, set, e);
		else if (dataplane_maps[id].copy == DATAPLANE_COPY_QUIC)
			code = dataplane_quic_copy(set->map[id].fd, bpf_map__fd(plane->live->maps.quic_servers), e);
	}
	return code;
}

/* changed_ns: what packets did to the old tables before has been taken over. untouched_ns: since then, packets of the
 * new program may have come. */
static int take_over(struct dataplane *plane, struct dataplane_set *former, uint64_t changed_ns, uint64_t untouched_ns,
		     struct err *e)
{
	uint64_t taken_ns = plane->meta->taken_ns, now_ns = dataplane_boot_ns();
	int code = dataplane_merge_flows(plane, former, before_flight(changed_ns), before_flight(taken_ns), e);

	if (!code)
		code = dataplane_merge_forgotten(plane, former, taken_ns, untouched_ns, e);
	if (code)
		return code;
	if (untouched_ns > now_ns)
		untouched_ns = now_ns; /* no link has run the new program yet */
	dataplane_links_renew(plane);
	dataplane_grace(plane);
	code = dataplane_merge_flows(plane, former, before_flight(now_ns), before_flight(taken_ns), e);
	if (!code)
		code = dataplane_merge_forgotten(plane, former, taken_ns, untouched_ns, e);
	if (code)
		return code;
	take_all_counts(plane, former);
	dataplane_former_remove(plane->pins);
	return 0;
}

int dataplane_migrate(struct dataplane *plane, struct dataplane_set *set, struct err *e)
{
	uint64_t began_ns = dataplane_boot_ns();
	int code = copy_own(plane, set, e);

	if (!code) {
		plane->meta->taken_ns = began_ns;
		code = dataplane_merge_flows(plane, set, 0, 0, e);
	}
	if (code)
		return code;
	take_all_counts(plane, set);
	plane->meta->abi = HP_ABI_VERSION;
	code = dataplane_set_exchange(plane, set, e);
	if (code)
		return code;
	plane->migration.is_done = true;
	plane->migration.abi = set->meta.abi;
	return take_over(plane, set, began_ns, UINT64_MAX, e);
}

int dataplane_migrate_on(struct dataplane *plane, struct dataplane_set *former, struct err *e)
{
	for (int id = 0; id < DATAPLANE_MAP_COUNT; id++)
		former->map[id].is_replaced = former->map[id].fd >= 0;
	plane->migration.is_done = plane->migration.was_cut_short = true;
	plane->migration.abi = former->meta.abi;
	return take_over(plane, former, plane->meta->taken_ns, plane->meta->taken_ns, e);
}

/* Sets of maps: what the maps of a data plane are, and those that are pinned in a folder: opened, judged, and one set put
 * in place of another. What they hold is copied by dataplane_migrate.c.
 *
 * At any time PINS/maps is one whole set. Another is pinned beside it, and the two folders change places in one step. */
#include "daemon/dataplane_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/keys.h"
#include "director.skel.h"

#define CELLS_PER_PAGE(type) (4096u / (uint32_t)sizeof(type))
#define MAPPED(member, type, since, copy) {#member, offsetof(struct dataplane, member), sizeof(type), since, copy}

const struct dataplane_map dataplane_maps[DATAPLANE_MAP_COUNT] = {
	[DATAPLANE_PORTS] = {"ports", 0, sizeof(struct bpf_devmap_val), 1, DATAPLANE_COPY_NOTHING},
	[DATAPLANE_KEYS4] = {"keys4", offsetof(struct dataplane, buckets4), sizeof(struct hp_bucket4), 1, DATAPLANE_COPY_KEYS},
	[DATAPLANE_KEYS6] = {"keys6", offsetof(struct dataplane, buckets6), sizeof(struct hp_bucket6), 1, DATAPLANE_COPY_KEYS},
	[DATAPLANE_SERVICES] = MAPPED(services, struct hp_service, 1, DATAPLANE_COPY_RECORDS),
	[DATAPLANE_SLOTS] = {"slots", offsetof(struct dataplane, blocks), sizeof(union hp_block), 1, DATAPLANE_COPY_RECORDS},
	[DATAPLANE_BACKENDS] = MAPPED(backends, struct hp_backend, 1, DATAPLANE_COPY_RECORDS),
	[DATAPLANE_ADJACENCIES] = MAPPED(adjacencies, struct hp_adjacency, 1, DATAPLANE_COPY_RECORDS),
	[DATAPLANE_IDENTITIES] = MAPPED(identities, struct hp_identity, 1, DATAPLANE_COPY_RECORDS),
	[DATAPLANE_SERVICE_COUNTS] = MAPPED(service_counts, struct hp_service_counts, 1, DATAPLANE_COPY_COUNTS),
	[DATAPLANE_BACKEND_COUNTS] = MAPPED(backend_counts, struct hp_backend_counts, 1, DATAPLANE_COPY_COUNTS),
	[DATAPLANE_INTERFACES] = MAPPED(interfaces, struct hp_interface_row, 1, DATAPLANE_COPY_RECORDS),
	[DATAPLANE_META] = MAPPED(meta, struct hp_meta, 1, DATAPLANE_COPY_NOTHING),
	[DATAPLANE_FLOWS_MAP] = {"flows", 0, sizeof(struct hp_remembered), 2, DATAPLANE_COPY_FLOWS},
	[DATAPLANE_UNPROVEN_MAP] = {"unproven", 0, sizeof(struct hp_remembered), 2, DATAPLANE_COPY_FLOWS},
	[DATAPLANE_MOTIONS] = MAPPED(motions, struct hp_motion, 2, DATAPLANE_COPY_RECORDS),
	[DATAPLANE_FLOW_COUNTS] = MAPPED(flow_counts, struct hp_flow_counts, 2, DATAPLANE_COPY_COUNTS),
	[DATAPLANE_HINTS] = MAPPED(hints, uint64_t, 2, DATAPLANE_COPY_NOTHING),
	[DATAPLANE_TERMS] = MAPPED(terms, struct hp_terms, 3, DATAPLANE_COPY_RECORDS),
	[DATAPLANE_GUARDS] = {"guards", 0, sizeof(uint32_t), 3, DATAPLANE_COPY_GUARDS},
	[DATAPLANE_SOURCES] = {"sources", 0, sizeof(uint64_t), 3, DATAPLANE_COPY_NOTHING},
	[DATAPLANE_SAMPLES] = MAPPED(samples, struct hp_sample_row, 3, DATAPLANE_COPY_NOTHING),
	[DATAPLANE_FRAGMENTS] = {"fragments", 0, sizeof(struct hp_fragment), 3, DATAPLANE_COPY_NOTHING},
	[DATAPLANE_QUIC_SERVERS] = {"quic_servers", 0, sizeof(uint32_t), 3, DATAPLANE_COPY_QUIC},
};

/* ---- sizes ------------------------------------------------------------------------------------------------------ */

static uint32_t round_up(uint32_t n, uint32_t step)
{
	return (n + step - 1) / step * step;
}

uint32_t dataplane_service_stride(const struct dataplane_limits *limits)
{
	return round_up(limits->services, CELLS_PER_PAGE(struct hp_service_counts));
}

uint32_t dataplane_backend_stride(const struct dataplane_limits *limits)
{
	return round_up(limits->backends, CELLS_PER_PAGE(struct hp_backend_counts));
}

/* A table of keys: each service has a key, and may have a VIP of its own; all of them may be of one family. */
uint32_t dataplane_entries(enum dataplane_map_id id, const struct dataplane_limits *limits)
{
	uint32_t count_rows = (uint32_t)libbpf_num_possible_cpus() + 1;

	switch (id) {
	case DATAPLANE_PORTS:
		return DATAPLANE_PORTS_MOST;
	case DATAPLANE_KEYS4:
	case DATAPLANE_KEYS6:
		return keys_buckets(limits->services * 2);
	case DATAPLANE_SERVICES:
	case DATAPLANE_MOTIONS:
	case DATAPLANE_TERMS:
		return limits->services;
	case DATAPLANE_SLOTS:
		return limits->blocks;
	case DATAPLANE_BACKENDS:
	case DATAPLANE_IDENTITIES:
		return limits->backends;
	case DATAPLANE_ADJACENCIES:
		return limits->backends * HP_ADJACENCIES_PER_BACKEND;
	case DATAPLANE_SERVICE_COUNTS:
		return dataplane_service_stride(limits) * count_rows;
	case DATAPLANE_BACKEND_COUNTS:
		return dataplane_backend_stride(limits) * count_rows;
	case DATAPLANE_INTERFACES:
		return HP_INTERFACES_MOST;
	case DATAPLANE_META:
		return 1;
	case DATAPLANE_FLOWS_MAP:
		return limits->flows;
	case DATAPLANE_UNPROVEN_MAP:
		return limits->unproven;
	case DATAPLANE_FLOW_COUNTS:
		return count_rows;
	case DATAPLANE_HINTS:
		return HP_HINT_WORDS;
	case DATAPLANE_GUARDS:
		return limits->prefixes;
	case DATAPLANE_SOURCES:
		return limits->sources;
	case DATAPLANE_SAMPLES:
		return HP_SERVICE_CELLS;
	case DATAPLANE_FRAGMENTS:
		return limits->fragments;
	case DATAPLANE_QUIC_SERVERS: /* a backend has one in most cases, and another for VIPs of the other family */
		return limits->backends * 2;
	case DATAPLANE_MAP_COUNT:
		break;
	}
	return 0;
}

/* Entries of a map of the set, or what is wanted where it has no such map. */
static uint32_t entries_of(const struct dataplane_set *set, enum dataplane_map_id id, uint32_t wanted)
{
	return set->map[id].fd < 0 ? wanted : set->map[id].entries;
}

struct dataplane_limits dataplane_set_limits(const struct dataplane_set *set, const struct dataplane_limits *wanted)
{
	return (struct dataplane_limits){
		.services = set->map[DATAPLANE_SERVICES].entries,
		.backends = set->map[DATAPLANE_BACKENDS].entries,
		.blocks = set->map[DATAPLANE_SLOTS].entries,
		.flows = entries_of(set, DATAPLANE_FLOWS_MAP, wanted->flows),
		.unproven = entries_of(set, DATAPLANE_UNPROVEN_MAP, wanted->unproven),
		.prefixes = entries_of(set, DATAPLANE_GUARDS, wanted->prefixes),
		.sources = entries_of(set, DATAPLANE_SOURCES, wanted->sources),
		.fragments = entries_of(set, DATAPLANE_FRAGMENTS, wanted->fragments),
	};
}

static bool fits(const struct dataplane_set *set, enum dataplane_map_id id, const struct dataplane_limits *limits)
{
	const struct dataplane_pinned *map = &set->map[id];

	return map->fd >= 0 && map->value_bytes == dataplane_maps[id].value_bytes && !map->conversion &&
	       map->entries == dataplane_entries(id, limits);
}

bool dataplane_set_fits(const struct dataplane_set *set, const struct dataplane_limits *limits)
{
	bool all = set->meta.abi == HP_ABI_VERSION;

	for (int id = 0; all && id < DATAPLANE_MAP_COUNT; id++)
		all = fits(set, (enum dataplane_map_id)id, limits);
	return all;
}

/* A set has a meta of its own. */
bool dataplane_map_fits(const struct dataplane_set *set, enum dataplane_map_id id, const struct dataplane_limits *limits)
{
	if (id == DATAPLANE_META)
		return dataplane_set_fits(set, limits);
	if (id == DATAPLANE_FLOWS_MAP || id == DATAPLANE_UNPROVEN_MAP)
		return fits(set, DATAPLANE_FLOWS_MAP, limits) && fits(set, DATAPLANE_UNPROVEN_MAP, limits);
	return fits(set, id, limits);
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static const struct dataplane_conversion *find_conversion(const struct dataplane_conversion *list, enum dataplane_map_id id,
							  uint32_t abi)
{
	const struct dataplane_conversion *found = NULL;

	for (; list && list->convert; list++)
		if (list->map == id && list->abi_last >= abi && (!found || list->abi_last < found->abi_last))
			found = list;
	return found;
}

static size_t mapped_bytes(const struct dataplane_pinned *map)
{
	return (size_t)round_up(map->value_bytes, 8) * map->entries;
}

/* Read what the pinned map is, and map it for reading if it is an array. */
static int open_map(struct dataplane_pinned *map, enum dataplane_map_id id, const char *path, struct err *e)
{
	struct bpf_map_info info = {0};
	uint32_t info_bytes = sizeof(info);
	void *at;

	if (bpf_obj_get_info_by_fd(map->fd, &info, &info_bytes) < 0)
		return err_set(e, -errno, "pinned map %s: %m", path);
	map->entries = info.max_entries;
	map->value_bytes = info.value_size;
	if (info.value_size != (map->conversion ? map->conversion->value_bytes : dataplane_maps[id].value_bytes) ||
	    (info.type == BPF_MAP_TYPE_ARRAY) != (dataplane_maps[id].pointer_at != 0))
		return err_set(e, -EPROTO,
			       "pinned map %s is not one of this version's (type %u, records of %u bytes): take it away with "
			       "`halfproxyd --unload` (packets stop until the next start)",
			       path, info.type, info.value_size);
	if (info.type != BPF_MAP_TYPE_ARRAY)
		return 0;
	at = mmap(NULL, mapped_bytes(map), PROT_READ, MAP_SHARED, map->fd, 0);
	if (at == MAP_FAILED)
		return err_set(e, -errno, "mapping of %s, %zu bytes: %m", path, mapped_bytes(map));
	map->at = at;
	return 0;
}

/* What older versions left of it is shorter. */
static int open_meta(struct dataplane_set *set, const char *path, struct err *e)
{
	struct dataplane_pinned *map = &set->map[DATAPLANE_META];
	struct bpf_map_info info = {0};
	uint32_t info_bytes = sizeof(info), zero = 0;
	int failed = bpf_obj_get_info_by_fd(map->fd, &info, &info_bytes) ? -errno : 0;

	if (!failed && (info.value_size < sizeof(set->meta.abi) || info.value_size > sizeof(set->meta)))
		failed = -EPROTO;
	if (!failed && bpf_map_lookup_elem(map->fd, &zero, &set->meta) < 0)
		failed = -errno;
	map->entries = info.max_entries;
	map->value_bytes = info.value_size;
	return failed ? err_set(e, failed, "pinned map %s: %m", path) : 0;
}

static int open_one(struct dataplane_set *set, const struct dataplane *plane, const char *folder, enum dataplane_map_id id,
		    bool is_whole, const struct dataplane_conversion *conversions, struct err *e)
{
	const struct dataplane_map *row = &dataplane_maps[id];
	struct dataplane_pinned *map = &set->map[id];
	char path[DATAPLANE_PATH_BYTES];

	dataplane_path(plane, folder, row->name, path);
	map->fd = bpf_obj_get(path);
	if (map->fd < 0 && errno == ENOENT && (!is_whole || row->since > set->meta.abi))
		return 0;
	if (map->fd < 0)
		return err_set(e, -errno, "pinned map %s: %m; `halfproxyd --unload` starts anew", path);
	if (id == DATAPLANE_META)
		return open_meta(set, path, e);
	map->conversion = find_conversion(conversions, id, set->meta.abi);
	return open_map(map, id, path, e);
}

int dataplane_set_open(struct dataplane_set *set, const struct dataplane *plane, const char *folder, bool is_whole,
		       const struct dataplane_conversion *conversions, struct err *e)
{
	int code;

	memset(set, 0, sizeof(*set));
	for (int id = 0; id < DATAPLANE_MAP_COUNT; id++)
		set->map[id].fd = -1;
	code = open_one(set, plane, folder, DATAPLANE_META, is_whole, conversions, e);
	for (int id = 0; !code && id < DATAPLANE_MAP_COUNT; id++)
		if (id != DATAPLANE_META)
			code = open_one(set, plane, folder, (enum dataplane_map_id)id, is_whole, conversions, e);
	if (code)
		dataplane_set_close(set);
	return code;
}

void dataplane_set_close(struct dataplane_set *set)
{
	for (int id = 0; id < DATAPLANE_MAP_COUNT; id++) {
		struct dataplane_pinned *map = &set->map[id];

		if (map->at)
			munmap(map->at, mapped_bytes(map));
		if (map->fd >= 0)
			close(map->fd);
		map->at = NULL;
		map->fd = -1;
	}
}

const void *dataplane_set_record(const struct dataplane_set *set, enum dataplane_map_id id, uint32_t index, void *room)
{
	const struct dataplane_pinned *map = &set->map[id];
	const void *record = (const char *)map->at + (size_t)round_up(map->value_bytes, 8) * index;

	if (!map->conversion)
		return record;
	map->conversion->convert(record, room);
	return room;
}

/* ---- one set in place of another ---------------------------------------------------------------------------------- */

void dataplane_next_remove(const char *pins)
{
	dataplane_pins_remove(pins, DATAPLANE_MAPS_NEXT "/former");
	dataplane_pins_remove(pins, DATAPLANE_MAPS_NEXT);
}

void dataplane_maps_remove(const char *pins)
{
	dataplane_next_remove(pins);
	dataplane_pins_remove(pins, DATAPLANE_MAPS_FORMER);
	dataplane_pins_remove(pins, DATAPLANE_MAPS);
}

/* Its meta goes first: former maps without it have been taken over. */
void dataplane_former_remove(const char *pins)
{
	char path[DATAPLANE_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/" DATAPLANE_MAPS_FORMER "/%s", pins, dataplane_maps[DATAPLANE_META].name);
	unlink(path);
	dataplane_pins_remove(pins, DATAPLANE_MAPS_FORMER);
}

bool dataplane_has_former(const struct dataplane *plane)
{
	char path[DATAPLANE_PATH_BYTES];

	dataplane_path(plane, DATAPLANE_MAPS_FORMER, dataplane_maps[DATAPLANE_META].name, path);
	return !access(path, F_OK);
}

static int pin(const struct dataplane *plane, const char *folder, enum dataplane_map_id id, int fd, struct err *e)
{
	char path[DATAPLANE_PATH_BYTES];

	dataplane_path(plane, folder, dataplane_maps[id].name, path);
	return bpf_obj_pin(fd, path) < 0 ? err_set(e, -errno, "pinning %s: %m", path) : 0;
}

static int pin_next(const struct dataplane *plane, const struct dataplane_set *set, struct err *e)
{
	char folder[DATAPLANE_PATH_BYTES], former[DATAPLANE_PATH_BYTES];
	int code;

	dataplane_path(plane, DATAPLANE_MAPS_NEXT, "", folder);
	dataplane_path(plane, DATAPLANE_MAPS_NEXT, "former", former);
	code = dataplane_pins_make(folder, e);
	if (!code)
		code = dataplane_pins_make(former, e);
	for (int i = 0; !code && i < DATAPLANE_MAP_COUNT; i++) {
		enum dataplane_map_id id = (enum dataplane_map_id)i;

		code = pin(plane, DATAPLANE_MAPS_NEXT, id,
			   bpf_map__fd(bpf_object__find_map_by_name(plane->live->obj, dataplane_maps[id].name)), e);
		if (!code && set->map[id].is_replaced)
			code = pin(plane, DATAPLANE_MAPS_NEXT "/former", id, set->map[id].fd, e);
	}
	return code;
}

int dataplane_set_exchange(const struct dataplane *plane, const struct dataplane_set *set, struct err *e)
{
	char next[DATAPLANE_PATH_BYTES], maps[DATAPLANE_PATH_BYTES];
	int code;

	dataplane_path(plane, DATAPLANE_MAPS_NEXT, "", next);
	dataplane_path(plane, DATAPLANE_MAPS, "", maps);
	code = pin_next(plane, set, e);
	if (!code && renameat2(AT_FDCWD, next, AT_FDCWD, maps, RENAME_EXCHANGE) < 0)
		code = err_set(e, -errno, "exchanging %s and %s: %m", next, maps);
	dataplane_next_remove(plane->pins);
	return code;
}

/* What the files of the data plane share among themselves. */
#ifndef HP_DAEMON_DATAPLANE_INTERNAL_H
#define HP_DAEMON_DATAPLANE_INTERNAL_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "daemon/dataplane.h"

#define DATAPLANE_PATH_BYTES 320

/* PINS/FOLDER/NAME, with the dots that bpffs refuses written as colons, which no interface's name holds. */
void dataplane_path(const struct dataplane *plane, const char *folder, const char *name,
		    char path[static DATAPLANE_PATH_BYTES]);

/* Load this version's program over the maps of `plane`, into live or twin. */
int dataplane_load_twin(struct dataplane *plane, struct err *e);

/* The folder must lie in a bpffs; said before anything is made. Returns 0 or -errno with *e written. */
int dataplane_pins_check(const char *pins, struct err *e);

/* Make a folder that may be there. */
int dataplane_pins_make(const char *path, struct err *e);

/* Hold the folder until the descriptor that is returned is closed; -EBUSY when another process does. */
int dataplane_pins_lock(const char *pins, struct err *e);

/* Remove PINS/FOLDER with all its pins. */
void dataplane_pins_remove(const char *pins, const char *folder);

/* Make every pinned link of a way in run this version's program. One that cannot is left to dataplane_attach. */
void dataplane_links_renew(const struct dataplane *plane);

/* ---- maps, in dataplane_set.c ----------------------------------------------------------------------------------- */

enum dataplane_map_id {
	DATAPLANE_PORTS,
	DATAPLANE_KEYS4,
	DATAPLANE_KEYS6,
	DATAPLANE_SERVICES,
	DATAPLANE_SLOTS,
	DATAPLANE_BACKENDS,
	DATAPLANE_ADJACENCIES,
	DATAPLANE_IDENTITIES,
	DATAPLANE_SERVICE_COUNTS,
	DATAPLANE_BACKEND_COUNTS,
	DATAPLANE_INTERFACES,
	DATAPLANE_META,
	DATAPLANE_FLOWS_MAP,
	DATAPLANE_UNPROVEN_MAP,
	DATAPLANE_MOTIONS,
	DATAPLANE_FLOW_COUNTS,
	DATAPLANE_HINTS,
	DATAPLANE_TERMS,
	DATAPLANE_GUARDS,
	DATAPLANE_SOURCES,
	DATAPLANE_SAMPLES,
	DATAPLANE_FRAGMENTS,
	DATAPLANE_QUIC_SERVERS,
	DATAPLANE_MAP_COUNT
};

/* How what a map holds gets into another one that takes its place. */
enum dataplane_copy {
	DATAPLANE_COPY_NOTHING,
	DATAPLANE_COPY_RECORDS, /* each to where it was */
	DATAPLANE_COPY_KEYS,	/* where a key stands follows from the table's size */
	DATAPLANE_COPY_COUNTS,	/* sums, to the daemon's own row */
	DATAPLANE_COPY_GUARDS,	/* the same, which are no array's */
	DATAPLANE_COPY_QUIC,	/* and these */
	DATAPLANE_COPY_FLOWS,	/* what packets go on writing to until all links run the new program */
};

struct dataplane_map {
	const char *name;
	size_t pointer_at;    /* where struct dataplane has it mapped; 0: it is not mapped */
	uint32_t value_bytes; /* a record's */
	uint32_t since;	      /* the ABI version that brought it: pins of an older one get it made */
	enum dataplane_copy copy;
};

extern const struct dataplane_map dataplane_maps[DATAPLANE_MAP_COUNT];

#define DATAPLANE_RECORD_BYTES_MOST 4096

/* Records of an older ABI version, and what becomes of one. Zeroes must become zeroes. Keys, the members of hp_meta and
 * the map `ports` are not converted so. */
struct dataplane_conversion {
	enum dataplane_map_id map;
	uint32_t abi_last; /* the last version whose records are like that */
	uint32_t value_bytes;
	void (*convert)(const void *record, void *out); /* NULL: the end of a list */
};

/* A map of a set. */
struct dataplane_pinned {
	int fd; /* -1: there is none */
	uint32_t entries, value_bytes;
	void *at;	  /* mapped for reading; NULL: it is no array */
	bool is_replaced; /* the program that was loaded last has another in its place */
	const struct dataplane_conversion *conversion; /* of its records, NULL: they are of this version */
};

/* The maps that are pinned in a folder. */
struct dataplane_set {
	struct hp_meta meta;
	struct dataplane_pinned map[DATAPLANE_MAP_COUNT];
};

#define DATAPLANE_MAPS "maps"
#define DATAPLANE_MAPS_NEXT "maps_next"	      /* being made; takes the place of maps whole */
#define DATAPLANE_MAPS_FORMER "maps/former"   /* what was replaced, until all of it has been taken over */

/* Entries of a map in a data plane of this size. */
uint32_t dataplane_entries(enum dataplane_map_id id, const struct dataplane_limits *limits);
uint32_t dataplane_service_stride(const struct dataplane_limits *limits);
uint32_t dataplane_backend_stride(const struct dataplane_limits *limits);

/* Open the maps of PINS/FOLDER.
 *
 * is_whole     each map that the set's ABI version has must be there.
 * conversions  by which records of older versions may be read; borrowed for the set's life.
 * Returns 0, or -errno with *e written and nothing left open; -EPROTO when it holds what is not of this program. */
int dataplane_set_open(struct dataplane_set *set, const struct dataplane *plane, const char *folder, bool is_whole,
		       const struct dataplane_conversion *conversions, struct err *e);
void dataplane_set_close(struct dataplane_set *set);

/* The size of the data plane that the maps make up; for tables that are not there, that of `wanted`. */
struct dataplane_limits dataplane_set_limits(const struct dataplane_set *set, const struct dataplane_limits *wanted);

/* Whether all of the maps can be used as they are by a program for a data plane of this size. */
bool dataplane_set_fits(const struct dataplane_set *set, const struct dataplane_limits *limits);

/* Whether one can. The tables of flows, between which entries move, only together. */
bool dataplane_map_fits(const struct dataplane_set *set, enum dataplane_map_id id, const struct dataplane_limits *limits);

/* A record of a mapped map, as of this version. room: for one that has to be converted. */
const void *dataplane_set_record(const struct dataplane_set *set, enum dataplane_map_id id, uint32_t index, void *room);

/* Remove every folder of maps. */
void dataplane_maps_remove(const char *pins);

/* What a start that was cut short has left of maps in the making. */
void dataplane_next_remove(const char *pins);

/* Whether there are replaced maps of which not all has been taken over yet. */
bool dataplane_has_former(const struct dataplane *plane);

/* In one step, pin the maps that plane->live is loaded with in place of the set, and beside them as DATAPLANE_MAPS_FORMER
 * those of the set that were replaced. */
int dataplane_set_exchange(const struct dataplane *plane, const struct dataplane_set *set, struct err *e);

/* All has been taken over: remove the former maps. */
void dataplane_former_remove(const char *pins);

/* ---- migration, in dataplane_migrate.c and, of flows, dataplane_merge.c ------------------------------------------- */

/* The size that an adopted data plane gets: what is wanted, but no less than what is in use, and less than it has only
 * where the configuration says so. What stays larger is noted in plane->migration. */
int dataplane_choose_limits(struct dataplane *plane, const struct dataplane_set *set, const struct dataplane_limits *wanted,
			    struct dataplane_limits *out, struct err *e);

/* Take over all that the replaced maps of the set hold, while packets go on by the program that knows them; then let
 * the program that plane->live is loaded with take its place, in the pins and in the links.
 *
 * Cut short before the pins are exchanged it has done nothing; after that dataplane_migrate_on goes on. */
int dataplane_migrate(struct dataplane *plane, struct dataplane_set *set, struct err *e);

/* The pins have been exchanged: former holds what was replaced. */
int dataplane_migrate_on(struct dataplane *plane, struct dataplane_set *former, struct err *e);

/* Take flows of replaced tables over into those of plane->live.
 *
 * changed_ns  entries that no packet has written to since (boot clock) have been taken over before.
 * new_ns      those that were remembered before and are not there now were taken over, and forgotten since. */
int dataplane_merge_flows(struct dataplane *plane, const struct dataplane_set *former, uint64_t changed_ns, uint64_t new_ns,
			  struct err *e);

/* Forget the closing flows that were taken over and then forgotten in the replaced tables.
 *
 * taken_ns      what was remembered before was taken over.
 * untouched_ns  entries that a packet has written to since are packets' of the new program. */
int dataplane_merge_forgotten(struct dataplane *plane, const struct dataplane_set *former, uint64_t taken_ns,
			      uint64_t untouched_ns, struct err *e);

/* Rows of guards, of a map by its descriptor: how many there are; all of them into another. */
int dataplane_guards_count(int fd, uint32_t *count, struct err *e);
int dataplane_guards_copy(int from, int to, struct err *e);

/* Servers of QUIC, of a map by its descriptor, into another. */
int dataplane_quic_copy(int from, int to, struct err *e);

/* As dataplane_walk_flows, for a table by its descriptor. */
int dataplane_walk_table(int fd, struct dataplane_walk *walk, struct err *e);

/* dataplane_open with other conversions than those that there are. */
int dataplane_open_with(struct dataplane *plane, const char *pins, const struct dataplane_limits *limits,
			const struct dataplane_conversion *conversions, struct err *e);

#endif

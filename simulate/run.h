/* One run: flows come and go, backends change, and every scheme is asked about every packet. */
#ifndef HP_SIMULATE_RUN_H
#define HP_SIMULATE_RUN_H

#include "options.h"
#include "schemes.h"

/* What became of a scheme. */
struct outcome {
	uint64_t broken[SILENCES];
	uint32_t entries;	/* room of its tables: what it was given, else the most that it needed */
	uint64_t flow_bytes;	/* of these entries */
	uint64_t ring_bytes;
	uint64_t evicted;
};

struct result {
	struct outcome outcomes[SCHEMES];
	uint64_t flows, packets, strangers;
	uint32_t alive;	  /* the most at any one time */
	uint32_t rings;	  /* changes of the ring */
	uint32_t size;	  /* its slots */
	double differ;	  /* see struct schemes */
	uint64_t passed_on;
	bool is_steady;	  /* whether ours is, at the end */
};

/* Room of tables, for a run with a flood: what a run without needed, and what is added for it. */
struct room {
	uint32_t lru_window, jet, proven, unproven;
};

/* Run. room: NULL, or the bounds of the tables. Exits when there is no memory. */
struct result run(const struct options *options, const struct room *room);

/* What to give to the tables in a run with a flood: see docs/continuity.md. */
struct room room_for_flood(const struct options *options, const struct result *without);

#endif

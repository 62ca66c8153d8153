/* A flow as the simulator keeps it, and who of the schemes it belongs to. */
#ifndef HP_SIMULATE_FLOW_H
#define HP_SIMULATE_FLOW_H

#include "traffic.h"

/* What is compared. */
enum scheme_kind {
	SCHEME_MODULO,
	SCHEME_MAGLEV,
	SCHEME_LRU_ALIVE,
	SCHEME_LRU_TEN,
	SCHEME_LRU_WINDOW,
	SCHEME_JET,
	SCHEME_OURS,
	SCHEME_CHANCE,
	SCHEMES
};

/* How a new flow finds its backend: one of three ways, and what its opening packet reached by each. */
enum flow_way {
	WAY_MODULO,
	WAY_RING,
	WAY_JET,
	FLOW_WAYS
};

struct flow {
	uint32_t hash;
	uint32_t next; /* in the wheel, or among the free */
	uint32_t due_ms;
	uint32_t last_ms; /* its last packet */
	struct traffic traffic;
	uint32_t entry[SCHEMES]; /* where a scheme remembers it; 0: it does not */
	uint16_t home[FLOW_WAYS];
	uint8_t is_ending; /* its next packet is its last */
	uint8_t done;	   /* a bit for each scheme: broken, or its backend died */
};

_Static_assert(SCHEMES <= 8, "done has a bit for each scheme");

#endif

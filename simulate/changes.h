/* What becomes of the backends, and when: a list made in advance, so that a scheme that has to know the future can. */
#ifndef HP_SIMULATE_CHANGES_H
#define HP_SIMULATE_CHANGES_H

#include <stddef.h>

#include "options.h"

#define WEIGHT_FIRST 10 /* of every backend */
#define WEIGHT_MOST  20

enum change_deed {
	DEED_LIST,    /* into the rings, with a weight */
	DEED_UNLIST,  /* out of the rings; it still answers */
	DEED_DIE,     /* it no longer answers */
	DEED_LIVE,    /* it answers again */
	DEED_GIVE_UP, /* the deadline of its removal is over */
};

struct change {
	uint32_t at_ms;
	uint32_t order; /* of changes at one time */
	uint16_t backend;
	uint8_t deed; /* enum change_deed */
	uint8_t weight;
};

struct changes {
	struct change *list; /* by time */
	size_t count, room;
	uint32_t backends_most; /* the highest number that is ever used */
};

/* The list for these options; freed with changes_destroy. Exits when there is no memory. */
struct changes changes_make(const struct options *options);
void changes_destroy(struct changes *changes);

#endif

/* What is simulated. */
#ifndef HP_SIMULATE_OPTIONS_H
#define HP_SIMULATE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "traffic.h"

/* Kinds of changes, of which a run takes a turn each. */
enum change_of {
	CHANGES_GROW,	 /* backends are added, for good */
	CHANGES_SHRINK,	 /* backends are removed, and given up half an hour later */
	CHANGES_WEIGHT,	 /* a backend gets another weight */
	CHANGES_UPGRADE, /* backends in turn are drained for five minutes, away for one, and back */
	CHANGES_FAILURE, /* backends die, and are back a minute later */
	CHANGE_KINDS
};

extern const char *const change_names[CHANGE_KINDS];

struct options {
	uint32_t backends;
	uint64_t flows;		 /* in all, on average */
	double hours;
	uint32_t window_s;
	uint32_t warm_s;	 /* before the first change */
	uint32_t every_s;	 /* from one change to the next */
	uint32_t changes;	 /* how many; what a change brings with it later is not counted */
	double share;		 /* of the backends, at least one, that each change is about */
	bool kinds[CHANGE_KINDS];
	uint32_t traffic[TRAFFIC_KINDS]; /* weights */
	uint32_t flood_rate;	 /* SYNs a second; 0: no flood */
	uint32_t flood_s;	 /* how long, from the first change on */
	uint64_t seed;
};

#endif

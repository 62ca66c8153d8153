/* When the packets of a flow come: flows of three kinds, after published measurements. */
#ifndef HP_SIMULATE_TRAFFIC_H
#define HP_SIMULATE_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "random.h"

enum traffic_kind {
	TRAFFIC_WEB,
	TRAFFIC_DATACENTRE,
	TRAFFIC_INTERACTIVE,
	TRAFFIC_KINDS
};

/* What is left of a flow. */
struct traffic {
	uint32_t left_ms;
	uint32_t pace_ms;
	uint16_t left;
	uint8_t left_inner;
	uint8_t kind;
};

extern const char *const traffic_names[TRAFFIC_KINDS];

/* A new flow of a kind; its opening packet comes now. */
struct traffic traffic_open(struct random *random, enum traffic_kind kind);

/* The silence before its next packet, in ms. *is_last: that packet ends it. */
uint32_t traffic_next(struct random *random, struct traffic *traffic, bool *is_last);

#endif

/* What the files of the trace share among themselves. */
#ifndef HP_DAEMON_TRACE_INTERNAL_H
#define HP_DAEMON_TRACE_INTERNAL_H

#include <jansson.h>

#include "daemon/fleet.h"

/* Who walked, and what the walk left. */
struct trace_walk {
	const struct fleet *fleet;
	const struct fleet_service *service; /* that the packet met; NULL: none */
	const struct hp_trace *record;
	bool has_chance; /* the packet that leaves names the record's alternate */
	uint64_t now_ns; /* boot clock */
	const struct ip *source; /* of the packet */
};

/* Append a line to what people read. */
void trace_step(json_t *steps, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The backend of a number, also one that no configuration names any more; NULL: none. */
const struct fleet_backend *trace_backend(const struct fleet *fleet, uint32_t number);

/* Whether the packet came to where changes are lived through: its service is not steady, or keeps the ring of before. */
bool trace_has_continuity(const struct hp_trace *record);

/* Tell who judged the source, and whether it may open another flow, for people in `steps`. Returns the same as a new object,
 * null when the service asks nobody. */
json_t *trace_guard(const struct trace_walk *walk, json_t *steps);

/* Tell what both rings say, what is remembered, and why the packet goes where it goes, for people in `steps`. Returns the
 * same as a new object, null when the service is steady and there is nothing to tell. */
json_t *trace_continuity(const struct trace_walk *walk, json_t *steps);

#endif

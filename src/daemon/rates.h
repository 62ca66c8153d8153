/* Rates: packets and bytes a second of every service and backend, from two looks at the counters. */
#ifndef HP_DAEMON_RATES_H
#define HP_DAEMON_RATES_H

#include <stdint.h>
#include <uv.h>

#include "daemon/dataplane.h"

#define RATES_PERIOD_MS 2000

struct rates;

struct rate {
	double packets_per_s;
	double bytes_per_s;
};

/* Look at the counters every RATES_PERIOD_MS. plane and loop are borrowed. NULL when memory is out. */
struct rates *rates_create(uv_loop_t *loop, const struct dataplane *plane);

/* Stop; the handle closes in the loop's next turn, and the memory goes with it. */
void rates_destroy(struct rates *rates);

/* How far the numbers in use go, so that no more are looked at. */
void rates_watch(struct rates *rates, uint32_t services, uint32_t backends);

/* Call back for each backend from which packets have come back since the last such call, with how many. */
void rates_each_looped(struct rates *rates, void (*each)(void *context, uint32_t number, uint64_t packets), void *context);

struct rate rates_service(const struct rates *rates, uint32_t number);
struct rate rates_backend(const struct rates *rates, uint32_t number);

#endif

/* Pings that must not be fragmented, to measure which lengths arrive. */
#ifndef HP_DOCTOR_PING_H
#define HP_DOCTOR_PING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "core/judge_path.h"

/* Find for each path whether it answers and the longest packet that does, as judge_path wants them; backend and mtu are
 * given. All are asked at once. Takes half a second where all is well, and some seconds where full size does not arrive.
 * Needs CAP_NET_RAW. Returns 0 or -errno. */
int ping_measure(struct judge_path *paths, size_t count, struct err *e);

#endif

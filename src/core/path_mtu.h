/* What an ICMP error about a tunnel's packet says of the path's MTU, and whether it is believed. Pure. */
#ifndef HP_CORE_PATH_MTU_H
#define HP_CORE_PATH_MTU_H

#include <stdint.h>

#include "core/icmp_quote.h"

/* Less than this is said by mistake, or to do harm (RFC 791: what every host takes; RFC 8201, 4). */
#define PATH_MTU_LEAST4 576
#define PATH_MTU_LEAST6 1280

/* The path's MTU, outer header included, as of an error.
 *
 * present  what the path is thought to take so far.
 * Returns less than `present`, or 0 when it is nothing new or not to be believed: the packet that is quoted would have gone
 * through, or the length is one that every path takes. A router that does not say how much it takes (RFC 1191, 5) is
 * thought to take the next length below the quoted packet's that links are known to have. */
uint16_t path_mtu_judge(const struct icmp_quote *quote, uint16_t present);

#endif

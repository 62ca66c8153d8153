/* A tap: whether packets from a VIP reach this host, whatever becomes of them further up.
 *
 * A packet socket sees what XDP passes before the routing, reverse path filter and packet filter of the host do; so an answer
 * that it sees and that the socket which asked does not is lost here and not on its way. Opened for the time of a question. */
#ifndef HP_DAEMON_TAP_H
#define HP_DAEMON_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/ip.h"

struct tap;

/* What the tap listens for. */
struct tap_wish {
	struct ip from;
	uint8_t protocol; /* IPPROTO_... */
	uint16_t port;	  /* that they come from, host order */
	uint16_t to_port; /* that they go to: of the socket that asked */
	bool (*is_own)(void *context, const struct ip *address); /* whether packets to this address are for this host */
	void *context;
};

/* loop borrowed, *wish copied. Needs CAP_NET_RAW. Returns the tap, owned by the caller, or NULL with *e written. */
struct tap *tap_open(uv_loop_t *loop, const struct tap_wish *wish, struct err *e);

/* Whether such a packet has come so far. */
bool tap_has_seen(struct tap *tap);

/* NULL is fine. The memory is freed in a later turn of the loop. */
void tap_close(struct tap *tap);

#endif

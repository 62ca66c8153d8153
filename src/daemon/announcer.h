/* The announcer: tells the world which VIPs are here. Routes to them, which BIRD or FRR export, and gratuitous ARP and ND on
 * their segments follow what the fleet says of each VIP, and what operators say of this director.
 *
 * Decides only: routes are the resolver's, frames are gratuitous.h's, and whether ARP, ND and ping are answered is the fleet's
 * business. Both outlive the daemon, as the data plane does. */
#ifndef HP_DAEMON_ANNOUNCER_H
#define HP_DAEMON_ANNOUNCER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/err.h"
#include "base/ip.h"
#include "core/config.h"
#include "daemon/fleet.h"
#include "daemon/ports.h"
#include "daemon/resolver.h"

struct announcer;

/* What it does at the moment. */
struct announcer_state {
	const char *interface; /* that the routes name; NULL: none, as no way in is up */
	size_t wanted, there;  /* routes */
	const char *error;     /* what is wrong with them, or with gratuitous frames; "": nothing */
};

/* fleet, resolver, ports  borrowed for its life.
 * is_adopting             what is up has been told to the segments before.
 * Returns NULL without memory. */
struct announcer *announcer_create(uv_loop_t *loop, struct fleet *fleet, struct resolver *resolver, const struct ports *ports,
				   bool is_adopting);
/* Routes stay. Run the loop once afterwards. NULL is fine. */
void announcer_destroy(struct announcer *announcer);

/* How: borrowed until the next call, or the announcer's end. */
void announcer_configure(struct announcer *announcer, const struct config *config);

/* maintenance: no routes, so that routers lead packets to others; segments are told on, as nobody else is there.
 * standby: another director is there. */
void announcer_set(struct announcer *announcer, bool is_maintenance, bool is_standby);

/* Tell the segments of every VIP as if it were new here. */
void announcer_tell_again(struct announcer *announcer);

/* Look what has changed: to be called when something may have. Cheap when nothing has. Needs a configuration. */
void announcer_follow(struct announcer *announcer);

/* Needs a configuration. */
void announcer_state(const struct announcer *announcer, struct announcer_state *out);

#endif

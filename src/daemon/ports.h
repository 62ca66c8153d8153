/* Ports: the interfaces that packets come in by, as configured, and those that they leave by, as the ways to
 * backends have it. Keeps the program attached while interfaces vanish and come again. */
#ifndef HP_DAEMON_PORTS_H
#define HP_DAEMON_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/config.h"
#include "daemon/dataplane.h"
#include "daemon/resolver.h"

enum port_state {
	PORT_ATTACHED,
	PORT_MISSING, /* there is no such interface now */
	PORT_FAILED,  /* it is there and the program is not on it */
};

struct port {
	char name[16];
	uint32_t ifindex; /* 0 while missing */
	enum dataplane_role role;
	enum config_mode mode;
	bool announce;
	bool native; /* of an attached one */
	enum port_state state;
	char reason[512]; /* why it is not attached, or not native */
};

struct ports {
	struct dataplane *plane;   /* borrowed */
	struct resolver *resolver; /* borrowed */
	struct port *list;
	size_t count;
};

/* plane, resolver  borrowed for its life. */
struct ports *ports_create(struct dataplane *plane, struct resolver *resolver);
void ports_destroy(struct ports *ports);

/* Whether these interfaces can be used here: there, of a kind that XDP sees, not twice the same.
 * tolerate_missing: an absent one is no error; one that is a way in already and has vanished is never one. Returns 0
 * or -errno with *e written. */
int ports_check(const struct ports *ports, const struct config *config, bool tolerate_missing, struct err *e);

/* Attach to the interfaces of a configuration that are not attached yet, with their settings. On failure those
 * attached by this call are detached again, and *e says which refused and why. */
int ports_attach(struct ports *ports, const struct config *config, bool tolerate_missing, struct err *e);

/* Detach from ways in that the configuration does not name, but for those that packets leave by, as is_way_out says:
 * these become ways out. */
void ports_trim(struct ports *ports, const struct config *config, bool (*is_way_out)(void *context, uint32_t ifindex),
		void *context);

/* Detach from pinned links of an earlier daemon that are no port's any more. To be called when the ways to all
 * backends are known: until then packets may still leave by them. */
void ports_sweep(struct ports *ports);

/* Packets are to leave by this interface: make it a port. A refusal is no error of the caller's: it is kept in
 * the port's state. */
void ports_leave_by(struct ports *ports, uint32_t ifindex);

/* A link came, changed or went. Returns the port it concerns when its state changed, else NULL. */
const struct port *ports_link_changed(struct ports *ports, const struct resolver_link *link);

#endif

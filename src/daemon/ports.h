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
#include "daemon/vlan_offload.h"

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
	enum config_vlan vlan;
	bool native; /* of an attached one */
	enum port_state state;
	bool was_linked; /* its link was pinned before this daemon had to do with it */
	char reason[512]; /* why it is not attached, or not native, or does not see VLAN tags */
};

struct ports {
	struct dataplane *plane;   /* borrowed */
	struct resolver *resolver; /* borrowed */
	struct vlan_offload *offload;
	struct port *list;
	size_t count;
};

/* plane, resolver  borrowed for its life.
 * folder           of the state: what is changed of interfaces is remembered there until it is restored. */
struct ports *ports_create(struct dataplane *plane, struct resolver *resolver, const char *folder);
void ports_destroy(struct ports *ports);

/* Packets came in by an interface of this name before this daemon started: if it is not there now, it has vanished, and
 * is attached again when it is back. Ports that the next configuration does not name are forgotten by ports_trim. */
void ports_remember(struct ports *ports, const char *name);

/* Whether these interfaces can be used here: there, of a kind that XDP sees, not twice the same.
 * tolerate_missing: an absent one is no error; one that is a way in already and has vanished is never one. Returns 0
 * or -errno with *e written. */
int ports_check(const struct ports *ports, const struct config *config, bool tolerate_missing, struct err *e);

/* Attach to the interfaces of a configuration that are not attached yet, with their settings. On failure those
 * attached by this call are detached again, but for links that were pinned before, and *e says which refused and why. */
int ports_attach(struct ports *ports, const struct config *config, bool tolerate_missing, struct err *e);

/* Detach from interfaces that the configuration does not name and no backend is reached by; also from those of an
 * earlier daemon. Those that backends are still reached by become, or stay, ways out. */
void ports_trim(struct ports *ports, const struct config *config);

/* Packets are to leave by this interface: make it a port. A refusal is no error of the caller's: it is kept in
 * the port's state. */
void ports_leave_by(struct ports *ports, uint32_t ifindex);

/* A link came, changed or went. Returns the port it concerns when its state changed, else NULL. A way out that went
 * is forgotten: the backends behind it are resolved anew, and name another. */
const struct port *ports_link_changed(struct ports *ports, const struct resolver_link *link);

#endif

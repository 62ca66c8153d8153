/* What speaks rtnetlink, but for the way of probes (probe_netlink.h): keeps the way to every backend true while routes,
 * neighbours and links change, and knows which interfaces there are.
 *
 * Tells the daemon by callbacks from the event loop; writes no map. Single-threaded. */
#ifndef HP_DAEMON_RESOLVER_H
#define HP_DAEMON_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/ip.h"
#include "core/adjacency.h"
#include "core/icmp_quote.h"

struct resolver;
struct resolver_target;

enum resolver_state {
	RESOLVER_PENDING, /* asked, no answer yet */
	RESOLVER_READY,	  /* resolver_target_facts is valid */
	RESOLVER_FAILED,  /* resolver_target_reason says why; it is tried again for ever */
};

struct resolver_link {
	uint32_t ifindex;
	char name[16];
	uint8_t mac[6];
	uint32_t mtu;
	bool up; /* administratively up, with carrier */
};

/* A path's MTU, outer header included. */
struct resolver_mtu {
	uint16_t mtu;
	uint16_t route_mtu; /* that of this host's end: the route's or the interface's */
	struct ip from;	    /* who told that it is less; of the next three nothing where nobody did */
	uint64_t age_s, left_s; /* since when, and how long it holds from now on */
};

struct resolver_events {
	void *context;
	/* A target's state or facts changed. Not called from within resolver_watch. Many may come in one turn of
	 * the loop; `idle` follows when a burst has been worked off. */
	void (*target_changed)(void *context, struct resolver_target *target, void *user);
	/* A link came, changed (index, MAC, MTU, up) or went (link->ifindex == 0, name set). */
	void (*link_changed)(void *context, const struct resolver_link *link);
	void (*idle)(void *context);
	/* The MTU of the path to an address was learned, or what was learned is over; `was` is what held before. */
	void (*mtu_changed)(void *context, const struct ip *address, uint16_t was, const struct resolver_mtu *now);
	/* Routes, rules, addresses or links may have changed; called a moment after the last change, and now and then. */
	void (*surroundings_changed)(void *context);
};

/* Open the sockets, read links, addresses and neighbours once, and join the groups.
 *
 * loop    borrowed; runs the events.
 * events  copied.
 * Returns the resolver, owned by the caller, or NULL with *e written. */
struct resolver *resolver_create(uv_loop_t *loop, const struct resolver_events *events, struct err *e);

/* Close the sockets; watched targets are freed. Neighbours that were put into the kernel stay, so that packets
 * flow on while no daemon runs. The handles close in the loop's next turn: run it once more afterwards. */
void resolver_destroy(struct resolver *resolver);

/* Keep the way to an address resolved.
 *
 * method  HP_METHOD_L2 needs the backend itself as neighbour: behind a gateway the target fails, in words that
 *         name the gateway.
 * Returns the target, owned by the resolver until resolver_unwatch, or NULL when memory is out. Its state is
 * RESOLVER_PENDING, and a callback follows. */
struct resolver_target *resolver_watch(struct resolver *resolver, const struct ip *address, enum hp_method method,
				       void *user);
void resolver_unwatch(struct resolver *resolver, struct resolver_target *target);

/* Whether the configuration names the outer source of tunnels of each family. Where it does not, a tunnel's target
 * fails while its route names no address to send from. Both are false at the start. */
void resolver_sources(struct resolver *resolver, bool has_source4, bool has_source6);

enum resolver_state resolver_target_state(const struct resolver_target *target);
const struct adjacency *resolver_target_facts(const struct resolver_target *target);
const char *resolver_target_reason(const struct resolver_target *target);

/* An error about a tunnel's packet of ours to an address that is watched. Where the path's MTU is less than was known, tunnels'
 * targets there change, and again when what was learned is over: after net.ipv4.route.mtu_expires or
 * net.ipv6.route.mtu_expires seconds. */
void resolver_learn_mtu(struct resolver *resolver, const struct icmp_quote *quote, const struct ip *from);

/* Whether the target's MTU was learned; *out is untouched otherwise. */
bool resolver_target_mtu(const struct resolver *resolver, const struct resolver_target *target, struct resolver_mtu *out);

/* The link of that name. Returns false when there is none. */
bool resolver_link_named(const struct resolver *resolver, const char *name, struct resolver_link *out);
bool resolver_link_numbered(const struct resolver *resolver, uint32_t ifindex, struct resolver_link *out);

/* The names of all links but the loopback, in words for a message: "eth0, eth1", or "none". */
void resolver_link_names(const struct resolver *resolver, char *text, size_t bytes);

/* Whether there are VLANs on this link, in this network namespace. */
bool resolver_link_has_vlans(const struct resolver *resolver, uint32_t ifindex);

/* Those VLANs, `room` of them at most. Returns how many. */
size_t resolver_link_vlans(const struct resolver *resolver, uint32_t ifindex, struct resolver_link *out, size_t room);

/* Whether packets that come in on this link can be seen by XDP there: false, with *e written in words that say
 * what to name instead, for a VLAN (its physical port), a bond, a bridge, or anything without Ethernet frames. A
 * port of a bridge or a bond is usable: XDP sees its packets before the bridge or bond does. */
bool resolver_link_usable(const struct resolver *resolver, const char *name, struct err *e);

/* Whether the address is one of this host's own. */
bool resolver_is_local(const struct resolver *resolver, const struct ip *address);

/* ---- routes to VIPs ----
 *
 * Keep, in this routing table, a route to just the VIPs that are named between begin and end, by this interface, until the
 * next begin; table 0 or ifindex 0: none. Routes of protocol RESOLVER_PROTOCOL to single addresses that are in another table,
 * or are not wanted, are taken out: a former daemon left them. What somebody else takes out is put in again. The kernel is
 * asked in the loop's next turn, and after that the routes stay there, also after resolver_destroy. */
#define RESOLVER_PROTOCOL 217
void resolver_vips_begin(struct resolver *resolver, uint32_t table, uint32_t ifindex);
/* Returns false when memory is out. */
bool resolver_vips_add(struct resolver *resolver, const struct ip *vip);
void resolver_vips_end(struct resolver *resolver);

/* Whether the kernel has the route to a VIP. */
bool resolver_vips_has(const struct resolver *resolver, const struct ip *vip);
/* How many routes are wanted, and how many the kernel has. */
void resolver_vips_count(const struct resolver *resolver, size_t *wanted, size_t *there);
/* What is wrong with them; "" when nothing is. */
const char *resolver_vips_error(const struct resolver *resolver);

/* Remove those routes. For --unload; opens its own socket. */
int resolver_forget_vips(struct err *e);

/* Remove every neighbour that a daemon of ours has put into this network namespace's kernel tables (those with
 * the protocol number RESOLVER_PROTOCOL). For --unload; opens its own socket. */
int resolver_forget_neighbours(struct err *e);

#endif

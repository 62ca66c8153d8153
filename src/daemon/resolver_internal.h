/* What the resolver's files share: tables of links, neighbours and hosts, and the sockets. */
#ifndef HP_DAEMON_RESOLVER_INTERNAL_H
#define HP_DAEMON_RESOLVER_INTERNAL_H

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <uthash.h>
#include <utlist.h>

#include "daemon/resolver.h"

#define RESOLVER_BUFFER_BYTES 65536
#define RESOLVER_REASON_BYTES 320
#define RESOLVER_KIND_BYTES 16

/* The attributes of a message, and those inside another: libmnl's loops without their narrowing conversion. */
#define EACH_ATTRIBUTE(attr, message, header_bytes)                                                      \
	for (attr = mnl_nlmsg_get_payload_offset(message, header_bytes);                                 \
	     mnl_attr_ok(attr, (int)((const char *)mnl_nlmsg_get_payload_tail(message) - (const char *)attr)); \
	     attr = mnl_attr_next(attr))
#define EACH_NESTED(attr, nest)                                                                                 \
	for (attr = mnl_attr_get_payload(nest);                                                                 \
	     mnl_attr_ok(attr, (int)((const char *)mnl_attr_get_payload(nest) + mnl_attr_get_payload_len(nest) - \
				     (const char *)attr));                                                      \
	     attr = mnl_attr_next(attr))

struct link {
	uint32_t ifindex; /* key */
	char name[IFNAMSIZ];
	char kind[RESOLVER_KIND_BYTES]; /* of IFLA_LINKINFO; "" for physical ones */
	uint8_t mac[6];
	uint32_t mtu;
	uint16_t type;	/* ARPHRD_… */
	uint32_t flags; /* IFF_… */
	uint32_t lower; /* ifindex it stands on; 0: none */
	bool is_lower_here; /* the lower one is of this network namespace */
	uint16_t vlan_id, vlan_protocol; /* host order; of kind vlan */
	uint32_t generation; /* of this name on this link; grows when it is made anew or renamed */
	uint32_t reading;    /* the last of resolver->reading that found it */
	UT_hash_handle hh;
};

struct neighbour_key {
	struct ip address;
	uint32_t ifindex;
};

struct host;

struct neighbour {
	struct neighbour_key key;
	uint16_t state; /* NUD_…; 0: the kernel has none */
	uint8_t protocol; /* RESOLVER_PROTOCOL: put there by us */
	uint8_t mac[6];
	bool has_mac;
	bool is_ext_learned; /* the garbage collector leaves it alone */
	bool is_managed;     /* the kernel keeps it fresh */
	bool is_to_be_asked; /* by the next work on its hosts */
	struct host *hosts;  /* that need it; list by next_there */
	uint64_t asked_ms;   /* loop time when it was last asked for; 0: never */
	uint32_t reading;
	UT_hash_handle hh;
};

enum route_state {
	ROUTE_UNKNOWN,
	ROUTE_FOUND,
	ROUTE_REFUSED, /* reason says why */
};

struct route {
	enum route_state state;
	uint32_t ifindex;
	bool has_gateway;
	struct ip gateway;
	struct ip source;
	uint32_t mtu; /* 0: the link's */
	char reason[96];
};

/* What a router told of a path. */
struct learned_mtu {
	uint16_t mtu; /* 0: nothing */
	struct ip from;
	uint64_t at_ms, until_ms; /* loop time */
};

/* An address whose way is kept known, for one target or more. */
struct host {
	struct ip address; /* key */
	struct route route;
	uint16_t route_mtu; /* of this host's end; 0: not known yet */
	struct learned_mtu learned;
	struct neighbour *neighbour; /* next hop; NULL while there is no route */
	struct host *next_there, *prev_there;
	struct host *next_dirty;
	bool is_dirty;
	struct resolver_target *targets;
	UT_hash_handle hh;
};

struct resolver_target {
	struct host *host;
	enum hp_method method;
	void *user;
	enum resolver_state state;
	bool is_told; /* a first callback has been made */
	uint32_t port_generation; /* of the physical port's link, when last told */
	struct adjacency facts;
	char *reason; /* of a failed one */
	struct resolver_target *prev, *next;
};

struct local_address {
	struct neighbour_key key; /* address and ifindex */
	uint32_t reading;
	UT_hash_handle hh;
};

struct vip_route;

/* The routes to VIPs: what is wanted, and what is known of the kernel's. */
struct vip_routes {
	struct vip_route *routes;
	uint32_t table, ifindex;
	uint64_t round;	   /* of resolver_vips_begin; 0: nothing is wanted yet, and nothing touched */
	uint32_t reading;  /* counts the times that the table was read */
	bool is_table_new; /* a former daemon's routes may be in another one */
	bool is_walking;   /* over the routes, in the middle of them: the next turn goes on */
	bool is_doubtful;  /* somebody else may have changed them: they must be read */
	uint64_t audited_ms; /* loop time when they were read last */
	struct err error;  /* of the last work on them; empty: none */
	uv_timer_t work;
};

struct resolver {
	uv_loop_t *loop;
	struct resolver_events events;
	struct mnl_socket *listener; /* notifications */
	struct mnl_socket *asker;    /* requests, answered at once */
	uv_poll_t poll;
	uv_timer_t work;    /* works off dirty hosts */
	uv_timer_t resync;  /* routes are asked anew, a little after the last change */
	uv_timer_t patience; /* ticks while something is awaited */
	uv_timer_t forget_mtu; /* of the hosts, when the first of what was learned is over */
	unsigned int open_handles;
	struct link *links;
	struct neighbour *neighbours;
	struct host *hosts;
	struct local_address *locals;
	struct host *dirty_first, **dirty_last;
	struct vip_routes vips;
	uint32_t sequence;
	uint32_t generation; /* of links */
	uint32_t reading;    /* counts the times that whole tables were read */
	uint64_t resynced_ms; /* loop time of the last resync */
	bool is_resync_due;  /* soon, and not only as a matter of course */
	bool has_lost_news;  /* tables must be read anew */
	bool is_managed_proven;	 /* the kernel keeps entries with NTF_MANAGED */
	bool is_managed_refused; /* it does not know the flag */
	bool has_source4, has_source6; /* tunnels have a configured one */
	bool has_news; /* callbacks were made since the last idle */
	bool is_closing;
	char buffer[RESOLVER_BUFFER_BYTES];
};

/* ---- resolver.c ---- */
void host_mark(struct resolver *resolver, struct host *host);
void host_evaluate(struct resolver *resolver, struct host *host);
void resolver_routes_changed(struct resolver *resolver);
/* Have the clock tick while something is awaited. */
void resolver_be_patient(struct resolver *resolver);

/* ---- resolver_mtu.c ---- */
void mtu_open(struct resolver *resolver);
/* What tunnels to a host may fill, that of this host's end being route_mtu. */
uint16_t mtu_of(struct host *host, uint16_t route_mtu);

/* ---- resolver_netlink.c ---- */
int netlink_open(struct resolver *resolver, struct err *e);
/* Make the tables what the kernel's are now: what came is added, what went is removed. Returns 0 or -errno with *e
 * written, and then what was not read is as it was. */
int netlink_read_all(struct resolver *resolver, struct err *e);
/* Send one request, which gets a sequence number, and wait for its answer or acknowledgement.
 *
 * Overwrites resolver->buffer: not for use by what takes messages out of it. Returns the length of the answer in
 * resolver->buffer, 0 for a bare acknowledgement, or -errno. */
ssize_t netlink_ask(struct resolver *resolver, struct nlmsghdr *message);
/* Take the notifications that are there. When some were lost, resolver->has_lost_news is set. */
void netlink_receive(struct resolver *resolver);

/* ---- resolver_link.c ---- */
void link_take(struct resolver *resolver, const struct nlmsghdr *message);
struct link *link_find(const struct resolver *resolver, uint32_t ifindex);
/* Remove what the last reading of the tables did not find. */
void link_sweep(struct resolver *resolver);
void local_sweep(struct resolver *resolver);
/* The physical port below an egress link, with the tags on the way. False with *reason written. */
bool link_resolve(const struct resolver *resolver, const struct link *egress, struct adjacency *facts, uint32_t *mtu,
		  char reason[static RESOLVER_REASON_BYTES]);
void link_table_free(struct resolver *resolver);
void local_take(struct resolver *resolver, const struct nlmsghdr *message);

/* ---- resolver_neighbour.c ---- */
void neighbour_take(struct resolver *resolver, const struct nlmsghdr *message);
/* The kernel has none of those that the last reading of the tables did not find. */
void neighbour_sweep(struct resolver *resolver);
/* Ask again for those on this link that have not answered: it came up. */
void neighbour_retry(struct resolver *resolver, uint32_t ifindex);
/* The next hop of a host from now on; NULL: none. Neighbours that nobody needs any more leave the kernel. */
void neighbour_use(struct resolver *resolver, struct host *host, const struct neighbour_key *key);
bool neighbour_is_usable(const struct neighbour *neighbour);
/* Have the kernel resolve it and keep it. */
void neighbour_want(struct resolver *resolver, struct neighbour *neighbour);
void neighbour_table_free(struct resolver *resolver);

/* ---- resolver_vip.c ---- */
void vip_open(struct resolver *resolver);
/* Take a notification of a route. Returns whether it is of the VIPs' table, which leads to no backend. */
bool vip_take(struct resolver *resolver, const struct nlmsghdr *message);
/* Routes to VIPs may have changed without a notification. */
void vip_doubt(struct resolver *resolver);
void vip_table_free(struct resolver *resolver);

/* ---- resolver_route.c ---- */
/* Ask for the routes of `count` hosts at once. Those that get no answer stay ROUTE_UNKNOWN. */
void route_ask(struct resolver *resolver, struct host **hosts, size_t count);

#endif

/* What the way of a probe asks of rtnetlink: rules, routes, neighbours and addresses, read, made and removed. What is made has
 * the protocol number RESOLVER_PROTOCOL. Knows what they are, not what they are for (probe_way.c does). Calls wait for the
 * kernel's answer, which comes at once. */
#ifndef HP_DAEMON_PROBE_NETLINK_H
#define HP_DAEMON_PROBE_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "daemon/resolver.h"

struct probe_netlink;

/* Families are AF_INET and AF_INET6. Every function that returns an int returns 0 or -errno, and what it reads it hands to
 * `each` row by row. -EINTR: it has changed meanwhile, and is to be read again from the beginning. */

struct probe_rule {
	int family;
	uint32_t priority, mark, mask, table; /* mask 0: no mark is asked for */
	uint8_t protocol;
};

struct probe_route {
	int family;
	uint32_t table, ifindex;
	struct ip gateway, source; /* zeros: none */
	bool is_default;
	uint8_t protocol;
};

struct probe_neighbour {
	struct ip address;
	uint32_t ifindex;
	uint8_t mac[6];
	bool is_permanent;
	uint8_t protocol;
};

struct probe_address {
	struct ip address;
	uint32_t ifindex;
	bool is_global; /* not of a link or of this host alone */
	bool is_ready;	/* neither tentative nor a duplicate */
	bool is_lasting; /* neither secondary, temporary nor deprecated */
};

struct probe_netlink *probe_netlink_open(struct err *e);
void probe_netlink_close(struct probe_netlink *netlink);

int probe_netlink_rules(struct probe_netlink *netlink, int family,
			void (*each)(void *context, const struct probe_rule *rule), void *context);
/* Rules that lead to a table. Made: one that is there is no error; removed: neither is one that is not. */
int probe_netlink_rule_make(struct probe_netlink *netlink, const struct probe_rule *rule);
int probe_netlink_rule_remove(struct probe_netlink *netlink, const struct probe_rule *rule);

/* table: 0: those of all tables with our protocol number. A table that is not there has no routes. */
int probe_netlink_routes(struct probe_netlink *netlink, int family, uint32_t table,
			 void (*each)(void *context, const struct probe_route *route), void *context);
/* A default route; takes the place of another default route of that table. */
int probe_netlink_route_make(struct probe_netlink *netlink, const struct probe_route *route);
int probe_netlink_route_remove(struct probe_netlink *netlink, const struct probe_route *route);

/* Those with our protocol number. */
int probe_netlink_neighbours(struct probe_netlink *netlink, int family,
			     void (*each)(void *context, const struct probe_neighbour *neighbour), void *context);
/* Permanent ones. */
int probe_netlink_neighbour_make(struct probe_netlink *netlink, const struct probe_neighbour *neighbour);
int probe_netlink_neighbour_remove(struct probe_netlink *netlink, const struct probe_neighbour *neighbour);
/* The entry of neighbour->address and ->ifindex; -ENOENT: the kernel has none. */
int probe_netlink_neighbour_read(struct probe_netlink *netlink, struct probe_neighbour *neighbour);

/* ifindex: 0: those of all interfaces. */
int probe_netlink_addresses(struct probe_netlink *netlink, int family, uint32_t ifindex,
			    void (*each)(void *context, const struct probe_address *address), void *context);

/* Whether the clsact qdisc of an interface has filters, of anybody. True where that cannot be known. */
bool probe_netlink_has_filters(struct probe_netlink *netlink, uint32_t ifindex);

#endif

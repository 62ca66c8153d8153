/* The host as the agent finds and changes it: addresses, links, routes and settings. The only speaker of rtnetlink
 * and /proc/sys here. */
#ifndef HP_BACKEND_HOST_H
#define HP_BACKEND_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"

#define HOST_ADDRESSES_MOST 4096
#define HOST_INTERFACES_MOST 1024
#define HOST_VLANS_MOST 1024

struct host_address {
	struct ip ip;
	uint8_t bits;
	uint32_t ifindex;
	char interface[16];
};

struct host_addresses {
	struct host_address list[HOST_ADDRESSES_MOST];
	size_t count;
};

/* All addresses of this network namespace. */
int host_read_addresses(struct host_addresses *out, struct err *e);

/* Put an address on lo, /32 or /128, such that the host's own connections never choose it as their source: IPv4 of
 * scope host, IPv6 deprecated at once and without duplicate address detection. One there already is no error. */
int host_add_vip(const struct ip *vip, struct err *e);
int host_remove_vip(const struct ip *vip, struct err *e);

/* Take an address of any length off an interface; its ifindex does not matter. One that is not there is no error. */
int host_remove_address(const struct host_address *address, struct err *e);

/* Take 127.0.0.1/8, which the kernel gives lo when it first comes up, off it again. */
int host_remove_loopback_address(struct err *e);

/* Whether an interface answers neighbour solicitations for the address on somebody's behalf (`ip neigh add proxy`). */
bool host_has_proxy(const struct ip *ip, char interface[static 16]);

/* The interface that the route to an address leaves by. false with *e written when there is none. */
bool host_route_interface(const struct ip *to, char interface[static 16], struct err *e);

uint32_t host_ifindex(const char *interface);
uint32_t host_mtu(const char *interface);
bool host_is_up(const char *interface);
int host_set_up(const char *interface, bool up, struct err *e);

/* Whether frames with Ethernet headers arrive by it. */
bool host_is_ethernet(const char *interface);

/* All interfaces but lo: their names, as an array and its length, or as a text for messages. */
size_t host_read_interfaces(char names[static HOST_INTERFACES_MOST][16]);
void host_list_interfaces(char *out, size_t room);

/* The VLANs on an interface that have an interface of their own in this network namespace. Returns how many. */
struct host_vlan {
	uint16_t protocol; /* of the tag, network order */
	uint16_t number;
	uint32_t ifindex;
};

size_t host_read_vlans(const char *interface, struct host_vlan list[static HOST_VLANS_MOST]);

/* Whether an address belongs to another network namespace, one that a link of ours but `except` leads to (a veth pair with
 * a container, say); names that link. */
bool host_is_elsewhere(const struct ip *ip, const char *except, char interface[static 16]);

/* Read or write a setting below /proc/sys, a line without its end. */
int host_read_sysctl(const char *path, char *out, size_t room, struct err *e);
int host_write_sysctl(const char *path, const char *value, struct err *e);
long host_sysctl_number(const char *path);

bool host_has_sysctl(const char *path);

/* The cookie of this network namespace, by which state and pins of several on one machine are kept apart. Unlike an
 * inode's number, which stands in for it before Linux 5.14, it never comes back within a boot. */
uint64_t host_namespace(void);

/* The identifier of this boot; "" when the kernel tells none. */
void host_read_boot(char *out, size_t room);

/* Whether the interface has a qdisc of that kind. */
bool host_has_qdisc(const char *interface, const char *kind);

/* How many filters hang on an interface's clsact, ingress and egress together. */
size_t host_count_filters(const char *interface);

#endif

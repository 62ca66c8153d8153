/* A backend's setup as the command line asks for it and as the state file keeps it. Pure data. */
#ifndef HP_BACKEND_SETUP_H
#define HP_BACKEND_SETUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"

#define SETUP_LIST_MOST 256
#define SETUP_L2 1u
#define SETUP_IPIP 2u
#define SETUP_GUE 4u
#define SETUP_GRE 8u
#define SETUP_TUNNELS (SETUP_IPIP | SETUP_GUE | SETUP_GRE)
#define SETUP_METHODS 4
#define SETUP_METHODS_BYTES 32
#define SETUP_MAPS_MOST 64

/* One VIP with all methods that its packets come by. */
struct setup_vip {
	struct ip address;
	uint32_t methods; /* SETUP_… */
	bool is_ours;	  /* we put it on lo */
};

/* A kernel setting that was changed: path below /proc/sys, what it was, what we wrote. */
struct setup_sysctl {
	char path[128];
	char was[32];
	char set[32];
};

/* Clients ask `port` of any VIP, the server listens on `server`. */
struct setup_map {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP; 0: both */
	uint16_t port, server;
};

struct setup {
	struct setup_vip vips[SETUP_LIST_MOST];
	size_t vip_count;
	struct prefix senders[SETUP_LIST_MOST]; /* --from */
	size_t sender_count;
	struct setup_sysctl sysctls[SETUP_LIST_MOST];
	size_t sysctl_count;
	struct setup_map maps[SETUP_MAPS_MOST]; /* --map */
	size_t map_count;
	char boot[40];		 /* the boot that this is true of */
	char interface[16];	 /* where packets arrive */
	uint32_t ifindex;	 /* of the interface; another one under the same name is a stranger */
	uint32_t mtu;		 /* of the path from the directors; 0: the interface's */
	bool has_gre_key;	 /* only packets with it are opened; else only those without one */
	uint32_t gre_key;	 /* host order */
	uint32_t mss;		 /* that VIPs advertise at most; 0: what the MTU leaves to those of tunnels */
	bool is_chance_off;	 /* packets with a second chance stay here, whatever sockets there are */
	bool has_tunnel_parts;	 /* programs, pins or filters may be there */
	bool is_clsact_ours;	 /* we made its clsact qdisc */
	bool is_lo_ours;	 /* we brought lo up */
	bool is_lo_address_ours; /* whereby it got 127.0.0.1 */
};

/* NULL when it is none of the setup's. */
const struct setup_vip *setup_find_vip(const struct setup *setup, const struct ip *address);

/* Whether any VIP comes by one of these methods; by a tunnel. */
bool setup_has_method(const struct setup *setup, uint32_t methods);
bool setup_has_tunnel(const struct setup *setup);

/* Whether packets with a second chance are passed on. */
bool setup_passes_on(const struct setup *setup);

/* Whether the MSS of what leaves is bounded; whether any BPF program is needed at all. */
bool setup_bounds_mss(const struct setup *setup);
bool setup_has_programs(const struct setup *setup);

/* Whether any VIP is of the family, 4 or 6. */
bool setup_has_family(const struct setup *setup, int family);

/* The name of method number `i`, SETUP_L2 being number 0, as --forward takes it. */
const char *setup_method_name(size_t i);

/* The method by which a VIP's tunnel comes; of several the last. */
const char *setup_tunnel_name(const struct setup_vip *vip);

/* The methods' names as --forward takes them, joined by " and ". Returns text. */
const char *setup_methods_format(uint32_t methods, char text[static SETUP_METHODS_BYTES]);

/* Whether there is nothing to remember. */
bool setup_is_empty(const struct setup *setup);

/* The state file. Loading none gives an empty setup; one that was damaged is refused whole, since what it does not
 * tell could not be restored. Saving is atomic; an empty setup removes the file. */
int setup_load(struct setup *setup, const char *path, struct err *e);
int setup_save(const struct setup *setup, const char *path, struct err *e);

#endif

/* From the facts of a route and its neighbour to the record that a packet's header is copied from.
 *
 * Pure: the facts come from the resolver. */
#ifndef HP_CORE_ADJACENCY_H
#define HP_CORE_ADJACENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "base/ip.h"
#include "core/config.h"

struct adjacency {
	uint32_t ifindex; /* the physical port */
	uint16_t mtu;	  /* of the path, outer header included */
	uint8_t mac_destination[6];
	uint8_t mac_source[6];
	uint8_t tag_count; /* 0 to 2 */
	struct {
		uint16_t protocol; /* 0x8100 or 0x88a8, host order */
		uint16_t id;	   /* 1 to 4094 */
	} tag[2];		   /* the outer tag first */
	bool on_link;		   /* the backend itself is the neighbour */
	struct ip source;	   /* the address that the route prefers; for tunnels */
};

/* The method that the data plane uses for a VIP of one family at a backend of another. HP_METHOD_NONE when l2 is
 * asked for across families. */
enum hp_method adjacency_method(enum config_forward forward, bool vip_is4, bool backend_is4);

/* What the configuration calls a method. */
enum config_forward adjacency_forward(enum hp_method method);

/* Header bytes that the method puts in front of the inner packet: 0, 20 or 40, and with gue 12, with gre 4 or with
 * a key 8 more. */
uint32_t adjacency_overhead(enum hp_method method, bool has_gre_key);

/* What a path whose own end takes route_mtu has to take for packets of the method, whatever a router says: IPv6 cannot be cut
 * below 1280 bytes (RFC 8200, 5), so that to believe less would lose packets in silence. 0: IPv4 within. */
uint16_t adjacency_least_mtu(enum hp_method method, uint16_t route_mtu);

/* Fill the record.
 *
 * facts, backend  the way to it, and its address.
 * tunnel          the configuration's outer sources, of which that of the backend's family counts, and its GRE key.
 * number          the backend's.
 * The outer header: TTL 64, DF set, ID 0 (RFC 6864), length 0, DSCP and ECN 0; of UDP source port and length 0. */
void adjacency_record(struct hp_adjacency *out, const struct adjacency *facts, enum hp_method method,
		      const struct ip *backend, const struct config_tunnel *tunnel, uint32_t number);

/* Whether a tunnel's packet from this address may be one of the record's: a client's, or a probe. */
bool adjacency_sends_from(const struct hp_adjacency *record, const struct ip *source);

#endif

/* What the backend's BPF programs and halfproxy-backend agree on. */
#ifndef HP_BACKEND_ABI_H
#define HP_BACKEND_ABI_H

#include <linux/types.h>

#include "gre.h"
#include "gue.h"

#define HPB_SENDERS_MOST 1024
#define HPB_VIPS_MOST 1024
#define HPB_VLANS_MOST 1024
#define HPB_PORTS_MOST 256
#define HPB_SOCKETS_MOST 65536

/* One list: name, what it says. */
#define HPB_COUNTERS(X)                                                                                                   \
	X(DECAPSULATED, "tunnelled packets for a VIP, outer header taken off")                                            \
	X(REFUSED_SENDER, "tunnelled packets for a VIP from a sender that --from does not name")                          \
	X(OTHER_TUNNEL, "tunnelled packets for another address, or by another method than the VIP's, left to the kernel") \
	X(OTHER_GUE, "GUE packets of another kind than directors send, left to the kernel")                               \
	X(OTHER_GRE, "GRE packets of another kind than directors send, or with another key, left to the kernel")           \
	X(FRAGMENT, "tunnelled packets that came in fragments, left to the kernel")                                       \
	X(MALFORMED, "tunnelled packets that are cut short or do not add up")                                             \
	X(KEPT, "packets with a second chance that stay here")                                                            \
	X(PASSED_ON, "packets without a connection here, passed on to the backend that may have it")                      \
	X(TAKEN_OVER, "packets that another backend passed on to this one")                                               \
	X(FORGED, "packets that came with the mark of those that leave here, dropped")                                    \
	X(STRANDED, "packets to pass on for which there was no way, dropped")                                             \
	X(MSS_LOWERED, "SYN and SYN-ACK segments of a VIP whose MSS was lowered")                                           \
	X(ASKED, "questions of directors whether GUE is opened here, dropped, which says that it is")                       \
	X(MAPPED, "connections and datagrams to a mapped port whose server was found")                                      \
	X(UNSERVED, "connections and datagrams to a mapped port for which no server was found")                             \
	X(ANSWERED, "datagrams of servers that left from the mapped port")                                      \
	X(CONGESTED, "tunnelled packets marked as having met congestion, whose senders do not know of marks, dropped")

enum hpb_counter {
#define HPB_COUNTER_ENUM(name, text) HPB_##name,
	HPB_COUNTERS(HPB_COUNTER_ENUM)
#undef HPB_COUNTER_ENUM
		HPB_COUNTER_COUNT
};

/* Keys of the longest-prefix tries. */
struct hpb_prefix4 {
	__u32 bits;
	__be32 address;
};

struct hpb_prefix6 {
	__u32 bits;
	__be32 address[4];
};

struct hpb_address6 {
	__be32 word[4];
};

/* The key of a VLAN: what its tag says. Protocol in network order, number in host order; number 0 is no VLAN. */
static inline __attribute__((always_inline)) __u32 hpb_vlan(__be16 protocol, __u16 number)
{
	return (__u32)protocol << 16 | (number & 0xfff);
}

#define HPB_VLAN_NUMBER(vlan) ((vlan) & 0xfff)

/* The last sender refused, by outer family: IPv4 in the first word, and when, by the monotonic clock; 0: never. */
struct hpb_refused {
	__u64 at_ns;
	__be32 address[4];
};

#define HPB_REFUSED4 0
#define HPB_REFUSED6 1
#define HPB_REFUSED_COUNT 2

/* What a VIP's packets come by; bits of a map's value. */
#define HPB_VIP_L2 1u
#define HPB_VIP_IPIP 2u
#define HPB_VIP_GUE 4u
#define HPB_VIP_GRE 8u
#define HPB_VIP_TUNNELS (HPB_VIP_IPIP | HPB_VIP_GUE | HPB_VIP_GRE)

/* A port of every VIP, by protocol: what clients ask, or what a server of UDP answers from. Its value is the other of the
 * two ports, in host order, with marks. */
struct hpb_port {
	__u8 protocol;
	__u8 is_answer;
	__be16 port;
};

#define HPB_PORT_NUMBER 0xffffu
#define HPB_PORT_BY_PACKET 0x10000u /* its server is in no map: each packet that opens a connection is handed to it */

/* Where a VIP is asked: the key of the sockets that are found by sk_lookup. IPv4 as ::ffff:a.b.c.d. */
struct hpb_endpoint {
	__be32 address[4];
	__be16 port;
	__u16 protocol;
};

#define HPB_TAKES_GUE 1u /* some VIP comes by gue */
#define HPB_PASSES_ON 2u /* second chances are taken */
#define HPB_TAKES_GRE 4u /* some VIP comes by gre */
#define HPB_GRE_KEYED 8u /* with gre_key, else without a key */
#define HPB_BOUNDS_ALL 16u /* the MSS of every VIP is bounded, not of tunnelled ones only */

/* One element. The largest MSS that a VIP of each family may advertise, host order; 0: as it is. */
struct hpb_settings {
	__u16 mss4;
	__u16 mss6;
	__u32 flags; /* HPB_TAKES_GUE and those that follow it */
	__be32 gre_key;
};

#endif

/* GUE as both ends of our tunnels speak it (draft-ietf-intarea-gue): UDP to port 6080, a header of one word, the packet.
 * Where a flow may live on another backend than the one picked, private data in between names it: the second chance.
 *
 * Both ABIs include this; it includes nothing but the kernel's type names. */
#ifndef HP_GUE_H
#define HP_GUE_H

#include <linux/types.h>

#define HP_GUE_PORT 6080

struct hp_gue {
	__u8 form;     /* version (2 bits), control (1), words that follow the header (5) */
	__u8 protocol; /* IPPROTO_IPIP or IPPROTO_IPV6 */
	__be16 flags;  /* 0: no optional field */
};

/* UDP header and GUE header. The UDP checksum is 0: the packet within has its own, and what stands before it is looked
 * at as RFC 6936 (4, 5) wants it: the backend checks lengths, addresses and form. */
#define HP_GUE_BYTES (8 + 4)

/* Forms: version 0, no control message. */
#define HP_GUE_PLAIN 0
#define HP_GUE_WITH_CHANCE 5

/* A control message, of a type without a meaning of its own: the question of a director whether anybody here opens GUE. Whoever
 * does takes it in silence, the kernel's own tunnels as well; where nobody does, the kernel answers "port unreachable", over IPv6
 * too, as this datagram has a checksum. */
#define HP_GUE_CONTROL 0x20
#define HP_GUE_QUESTION 0

/* The private data: where a backend that has no socket for the packet passes it on to, once. */
struct hp_gue_chance {
	__u8 magic;
	__u8 version;
	__u8 hops; /* HP_CHANCE_… */
	__u8 zero;
	__be32 alternate[4]; /* a backend's address, of the outer header's family; IPv4 as mapped IPv6 */
};

#define HP_CHANCE_MAGIC 'H'
#define HP_CHANCE_VERSION 1
#define HP_CHANCE_FRESH 0  /* as the director sent it */
#define HP_CHANCE_PASSED 1 /* a backend passed it on: never again */
#define HP_CHANCE_LEAVES 2 /* within a backend alone, from its XDP program to its tc program */

_Static_assert(sizeof(struct hp_gue) == 4, "hp_gue is a word");
_Static_assert(sizeof(struct hp_gue_chance) == HP_GUE_WITH_CHANCE * 4, "hp_gue_chance is five");

/* The UDP source port of a flow, host order: the low bits of its hash, since the high ones chose the backend and are
 * much alike for all its flows. */
static inline __attribute__((always_inline)) __u16 hp_gue_source_port(__u32 hash)
{
	return (__u16)(0xc000 | (hash & 0x3fff));
}

#endif

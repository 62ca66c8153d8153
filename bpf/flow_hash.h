/* The flow, and its hash: a part of abi.h, which alone includes it. */
#ifndef HP_FLOW_HASH_H
#define HP_FLOW_HASH_H

#include <linux/types.h>

enum hp_hash {
	HP_HASH_FLOW,	/* addresses, ports and protocol */
	HP_HASH_SOURCE, /* the client's address */
	HP_HASH_QUIC,	/* as HP_HASH_FLOW, for what names no server by its connection ID */
};

/* 64 bits out of two words; a load when they are neighbours in memory. */
static inline __attribute__((always_inline)) __u64 hp_pair(__u32 low, __u32 high)
{
	return (__u64)high << 32 | low;
}

/* The flow as the hash sees it: the client's address and, for HP_HASH_FLOW, both ends and the protocol. An
 * IPv4 address fills the last word; words and ports are as they lie in the packet. */
struct hp_flow {
	__be32 source[4];
	__be32 destination[4];
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 is_ipv6;
	__u8 zero[2];
};

/* Whether a protocol's packets begin with a source and a destination port (RFC 9293, RFC 768, RFC 9260). The ports of all
 * others' flows are 0, and their later fragments are told from the first ones by nothing that a flow has. */
static inline __attribute__((always_inline)) int hp_has_ports(__u8 protocol)
{
	return protocol == 6 || protocol == 17 || protocol == 132;
}

/* The finalizer of 64-bit mixers: each input bit reaches each output bit (Stafford's variant 13 of Appleby's
 * MurmurHash3 finalizer). Invertible, so that no two words collide before the fold to 32 bits. */
static inline __attribute__((always_inline)) __u64 hp_mix(__u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* The hash of a flow.
 *
 * What differs between packets of one service is multiplied into place and goes through hp_mix once: every bit
 * of the result depends on every bit of the client's address and port. Not a defence against a client that
 * knows the seed. Equal on all directors with equal seeds (and equal byte order). */
static inline __attribute__((always_inline)) __u32 hp_flow_hash(const struct hp_flow *flow, __u32 hash, __u64 seed)
{
	__u64 x = seed;

	if (flow->is_ipv6)
		x ^= hp_mix(hp_pair(flow->source[0], flow->source[1])) +
		     hp_pair(flow->source[2], flow->source[3]) * 0x9e3779b97f4a7c15ULL;
	else
		x ^= (__u64)flow->source[3] << 32;
	if (hash != HP_HASH_SOURCE) {
		x ^= (__u32)flow->source_port << 16 | flow->destination_port;
		x += (hp_pair(flow->destination[3], flow->protocol)) * 0xd6e8feb86659fd93ULL;
	}
	return (__u32)(hp_mix(x) >> 32);
}

/* The slot of a hash in a ring of `size` slots: its share of the hash's range (Lemire, "Fast Random Integer
 * Generation in an Interval", 2019), which a multiplication gives where a modulus needs a division. */
static inline __attribute__((always_inline)) __u32 hp_slot(__u32 hash, __u32 size)
{
	return (__u32)(((__u64)hash * size) >> 32);
}

/* What tells the entry of a flow from one that was reused for another. */
static inline __attribute__((always_inline)) __u32 hp_flow_check(const struct hp_flow *flow)
{
	return hp_flow_hash(flow, HP_HASH_FLOW, 0x6f6e65666c6f7721ULL);
}

#endif

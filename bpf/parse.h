/* Parse: Ethernet and up to two VLAN tags, IPv4 with options, IPv6 with a bounded chain of extension headers,
 * TCP, UDP, and the flow that an ICMP or ICMPv6 error quotes.
 *
 * A frame that is cut short or does not add up is HP_MALFORMED, which passes: the kernel may judge it. */
#ifndef HP_PARSE_H
#define HP_PARSE_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "packet.h"

#define PARSE_TAGS_MOST 2
#define PARSE_EXTENSIONS_MOST 6
#define PARSE_L4_MASK 0x7fff /* above two headers and two chains, the quoted one's too */
#define PARSE_TCP_BYTES 20
#define PARSE_UDP_BYTES 8
#define PARSE_CUT 255 /* in place of the upper protocol: a first fragment ends before it does */
#define PARSE_SCTP_BYTES 12
#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_MORE 0x2000
#define IPV6_OFFSET_MASK 0xfff8
#define IPV6_MORE 0x0001

struct vlan_tag {
	__be16 id;
	__be16 ethertype;
};

struct extension {
	__u8 next;
	__u8 length; /* in 8 bytes beyond the first 8; of AH: in 4 bytes, less 2 */
	__be16 offset; /* of the fragment header */
	__be32 id;
};

/* ICMP and ICMPv6 begin alike (RFC 792, RFC 4443). <linux/icmp.h> would drag in the C library. */
struct icmp_head {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

struct ports {
	__be16 source;
	__be16 destination;
};

/* What stands at l4_offset. The chain's bound keeps the offset below the mask, which tells the verifier so. */
static ALWAYS_INLINE void *parse_l4(const struct packet *pkt)
{
	return pkt->l3 + (pkt->l4_offset & PARSE_L4_MASK);
}

/* A length field in host order. Older verifiers (6.1) take a swapped value for unbounded, and refuse to add it to a
 * pointer; the mask tells them, and is written so because the compiler knows that it changes nothing. */
static ALWAYS_INLINE __u32 parse_length(__be16 field)
{
	__u32 bytes = bpf_ntohs(field);

	asm volatile("%0 &= 0xffff" : "+r"(bytes));
	return bytes;
}

static ALWAYS_INLINE int parse_is_tag(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

/* Ethernet and tags. Sets l3, l3_offset, ethertype, is_group. */
static ALWAYS_INLINE enum hp_verdict parse_link(struct packet *pkt)
{
	struct ethhdr *eth = pkt->data;
	void *cursor = eth + 1;

	if (cursor > pkt->end)
		return HP_MALFORMED;
	pkt->ethertype = *(__be16 *)(pkt->data + 2 * ETH_ALEN); /* struct ethhdr is packed, and read byte by byte */
	pkt->is_group = eth->h_dest[0] & 1;
	pkt->l3_offset = ETH_HLEN;
	if (unlikely(parse_is_tag(pkt->ethertype))) {
#pragma unroll
		for (int i = 0; i < PARSE_TAGS_MOST; i++) {
			struct vlan_tag *tag = cursor;

			if (!parse_is_tag(pkt->ethertype))
				break;
			cursor = tag + 1;
			if (cursor > pkt->end)
				return HP_MALFORMED;
			pkt->ethertype = tag->ethertype;
			pkt->l3_offset += sizeof(*tag);
		}
	}
	pkt->l3 = cursor;
	return HP_CONTINUE;
}

/* IPv4 header. Sets l4_offset, ip_bytes, the flow's addresses and protocol, the fragment marks. */
static ALWAYS_INLINE enum hp_verdict parse_ipv4(struct packet *pkt)
{
	struct iphdr *ip = pkt->l3;
	__u32 header_bytes;

	if ((void *)(ip + 1) > pkt->end)
		return HP_MALFORMED;
	header_bytes = ip->ihl * 4;
	pkt->ip_bytes = parse_length(ip->tot_len);
	if (ip->version != 4 || header_bytes < sizeof(*ip) || pkt->ip_bytes < header_bytes)
		return HP_MALFORMED;
	if (pkt->l3 + pkt->ip_bytes > pkt->end)
		return HP_MALFORMED;
	pkt->l4_offset = header_bytes;
	pkt->is_later_fragment = (ip->frag_off & bpf_htons(IPV4_OFFSET_MASK)) != 0;
	pkt->is_fragment = (ip->frag_off & bpf_htons(IPV4_OFFSET_MASK | IPV4_MORE)) != 0;
	pkt->flow.source[3] = ip->saddr;
	pkt->flow.destination[3] = ip->daddr;
	pkt->flow.protocol = ip->protocol;
	pkt->flow.is_ipv6 = 0;
	return HP_CONTINUE;
}

/* What a walk of extension headers has come to, in one word; negative: malformed. */
#define CHAIN(at, next, is_fragment, is_later) \
	(int)((at) | (__u32)(next) << 16 | (__u32)(is_fragment) << 24 | (__u32)(is_later) << 25)
#define CHAIN_AT(chain) ((__u32)(chain) & 0xffff)
#define CHAIN_NEXT(chain) ((__u8)((chain) >> 16))
#define CHAIN_IS_FRAGMENT(chain) ((chain) >> 24 & 1)
#define CHAIN_IS_LATER(chain) ((chain) >> 25 & 1)
#define CHAIN_MALFORMED -1

/* Walk IPv6 extension headers. `at` is where the first stands, from the frame's beginning; `next` is its kind.
 *
 * Returns a CHAIN of where the walk ended: at the upper layer's header, or at the first header that is none of those
 * known, or behind the bound. A function of its own, which the verifier looks at once and not for each caller's past. */
__attribute__((noinline)) int parse_chain(struct xdp_md *ctx, __u32 at, __u32 next)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	int is_fragment = 0, is_later = 0;

	for (int i = 0; i < PARSE_EXTENSIONS_MOST && !is_later; i++) {
		struct extension *extension = data + (at & PARSE_L4_MASK);
		__u32 bytes;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT && next != IPPROTO_AH)
			break;
		if ((void *)(extension + 1) > end)
			return is_fragment ? CHAIN(at & 0xffff, PARSE_CUT, 1, 0) : CHAIN_MALFORMED;
		bytes = (extension->length + 1) * 8;
		if (next == IPPROTO_AH)
			bytes = (extension->length + 2) * 4;
		if (next == IPPROTO_FRAGMENT) {
			bytes = sizeof(*extension);
			is_fragment |= (extension->offset & bpf_htons(IPV6_OFFSET_MASK | IPV6_MORE)) != 0;
			is_later = (extension->offset & bpf_htons(IPV6_OFFSET_MASK)) != 0;
		}
		next = extension->next;
		at += bytes;
	}
	return CHAIN(at & 0xffff, next & 0xff, is_fragment, is_later);
}

/* The same from l4_offset on. Leaves l4_offset and *next at the end, and sets the fragment marks. */
static ALWAYS_INLINE enum hp_verdict parse_extensions(struct packet *pkt, __u8 *next)
{
	int chain = parse_chain(pkt->ctx, pkt->l3_offset + pkt->l4_offset, *next);

	if (chain < 0)
		return HP_MALFORMED;
	*next = CHAIN_NEXT(chain);
	pkt->l4_offset = CHAIN_AT(chain) - pkt->l3_offset;
	pkt->is_fragment = CHAIN_IS_FRAGMENT(chain);
	pkt->is_later_fragment = CHAIN_IS_LATER(chain);
	return HP_CONTINUE;
}

/* IPv6 header and extensions: as parse_ipv4. */
static ALWAYS_INLINE enum hp_verdict parse_ipv6(struct packet *pkt)
{
	struct ipv6hdr *ip = pkt->l3;
	enum hp_verdict verdict = HP_CONTINUE;
	__u8 next;

	if ((void *)(ip + 1) > pkt->end || ip->version != 6)
		return HP_MALFORMED;
	pkt->ip_bytes = parse_length(ip->payload_len) + sizeof(*ip);
	if (pkt->l3 + pkt->ip_bytes > pkt->end)
		return HP_MALFORMED;
	__builtin_memcpy(pkt->flow.source, &ip->saddr, sizeof(pkt->flow.source));
	__builtin_memcpy(pkt->flow.destination, &ip->daddr, sizeof(pkt->flow.destination));
	pkt->flow.is_ipv6 = 1;
	pkt->l4_offset = sizeof(*ip);
	next = ip->nexthdr;
	if (unlikely(next != IPPROTO_TCP && next != IPPROTO_UDP && next != IPPROTO_ICMPV6))
		verdict = parse_extensions(pkt, &next);
	pkt->flow.protocol = next;
	return verdict;
}

/* Ports of a TCP, UDP or SCTP header, which must lie whole in the packet. */
static ALWAYS_INLINE enum hp_verdict parse_ports(struct packet *pkt)
{
	__u32 least = pkt->flow.protocol == IPPROTO_TCP ? PARSE_TCP_BYTES : PARSE_UDP_BYTES;
	struct ports *ports = parse_l4(pkt);

	if (unlikely(pkt->flow.protocol == IPPROTO_SCTP))
		least = PARSE_SCTP_BYTES;
	if ((void *)(ports + 1) > pkt->end || pkt->l4_offset + least > pkt->ip_bytes)
		return HP_MALFORMED;
	pkt->flow.source_port = ports->source;
	pkt->flow.destination_port = ports->destination;
	return HP_CONTINUE;
}

#endif

/* Forward: put the header that the daemon prepared in front of the packet, or over its MAC addresses, and send it.
 *
 * From its IP header on the packet stays as it came. */
#ifndef HP_FORWARD_H
#define HP_FORWARD_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "packet.h"

#define FORWARD_TAG_BYTES 4

/* Copy a constant, even number of bytes in the widest steps; the compiler's own copy of bytes goes one by one. */
static ALWAYS_INLINE void forward_copy(void *to, const void *from, __u32 bytes)
{
	__u32 at = 0;

#pragma unroll
	for (; at + 8 <= bytes; at += 8)
		*(__u64 *)(to + at) = *(const __u64 *)(from + at);
	if (bytes & 4) {
		*(__u32 *)(to + at) = *(const __u32 *)(from + at);
		at += 4;
	}
	if (bytes & 2)
		*(__u16 *)(to + at) = *(const __u16 *)(from + at);
}

/* The frame came from the very backend that it is about to be sent to, and not from that host itself: it lacks
 * the VIP and routed the packet back. */
static ALWAYS_INLINE int forward_is_loop(const struct packet *pkt, const struct hp_adjacency *adjacency)
{
	const __u8 *source = pkt->data + ETH_ALEN;
	const struct iphdr *ip4 = pkt->l3;
	const struct ipv6hdr *ip6 = pkt->l3;
	const __be32 *address = adjacency->address;

	/* The last bytes of MAC addresses differ most. */
	if (likely(*(__u16 *)(source + 4) != *(__u16 *)(adjacency->l2 + 4)) ||
	    *(__u32 *)source != *(__u32 *)adjacency->l2 || !adjacency->on_link)
		return 0;
	/* The packet's own source: of an ICMP error the flow has another. */
	if (!pkt->flow.is_ipv6)
		return ip4->saddr != address[3];
	return ip6->saddr.in6_u.u6_addr32[0] != address[0] || ip6->saddr.in6_u.u6_addr32[1] != address[1] ||
	       ip6->saddr.in6_u.u6_addr32[2] != address[2] || ip6->saddr.in6_u.u6_addr32[3] != address[3];
}

/* The outer IPv4 header (RFC 2003): the template, the length, the varied bits of the source, the checksum. */
static ALWAYS_INLINE void forward_outer4(const struct packet *pkt, const struct hp_adjacency *adjacency, void *outer)
{
	struct iphdr *ip = outer;
	__u16 length = bpf_htons((__u16)(pkt->ip_bytes + sizeof(*ip)));
	__be32 varied = pkt->hash & adjacency->source_mask;
	__u32 sum = (__u32)adjacency->outer_sum + length + (varied & 0xffff) + (varied >> 16);

	forward_copy(ip, adjacency->outer, sizeof(*ip));
	ip->tot_len = length;
	ip->saddr |= varied;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = (__u16)~sum;
}

/* The outer IPv6 header (RFC 2473). */
static ALWAYS_INLINE void forward_outer6(const struct packet *pkt, const struct hp_adjacency *adjacency, void *outer)
{
	struct ipv6hdr *ip = outer;

	forward_copy(ip, adjacency->outer, sizeof(*ip));
	ip->payload_len = bpf_htons((__u16)pkt->ip_bytes);
	ip->saddr.in6_u.u6_addr32[3] |= pkt->hash & adjacency->source_mask;
}

/* Write the headers, l2_bytes and outer_bytes long, which the caller passes as constants. */
static ALWAYS_INLINE enum hp_verdict forward_put(const struct packet *pkt, const struct hp_adjacency *adjacency,
						 __u32 l2_bytes, __u32 outer_bytes)
{
	void *data = (void *)(long)pkt->ctx->data;
	void *end = (void *)(long)pkt->ctx->data_end;

	if (data + l2_bytes + outer_bytes > end)
		return HP_NO_HEADROOM;
	forward_copy(data, adjacency->l2, l2_bytes);
	if (outer_bytes == sizeof(struct iphdr))
		forward_outer4(pkt, adjacency, data + l2_bytes);
	if (outer_bytes == sizeof(struct ipv6hdr))
		forward_outer6(pkt, adjacency, data + l2_bytes);
	return HP_FORWARDED;
}

static ALWAYS_INLINE enum hp_verdict forward_put_outer(const struct packet *pkt, const struct hp_adjacency *adjacency,
						       __u32 l2_bytes)
{
	switch (adjacency->outer_bytes) {
	case 0:
		return forward_put(pkt, adjacency, l2_bytes, 0);
	case sizeof(struct iphdr):
		return forward_put(pkt, adjacency, l2_bytes, sizeof(struct iphdr));
	default:
		return forward_put(pkt, adjacency, l2_bytes, sizeof(struct ipv6hdr));
	}
}

static ALWAYS_INLINE enum hp_verdict forward_headers(const struct packet *pkt, const struct hp_adjacency *adjacency)
{
	switch (adjacency->l2_bytes) {
	case ETH_HLEN:
		return forward_put_outer(pkt, adjacency, ETH_HLEN);
	case ETH_HLEN + FORWARD_TAG_BYTES:
		return forward_put_outer(pkt, adjacency, ETH_HLEN + FORWARD_TAG_BYTES);
	default:
		return forward_put_outer(pkt, adjacency, ETH_HLEN + 2 * FORWARD_TAG_BYTES);
	}
}

/* Where the packet leaves: by the interface that it came in by, or another. */
static ALWAYS_INLINE enum hp_verdict forward_exit(struct packet *pkt, const struct hp_adjacency *adjacency)
{
	pkt->action = XDP_TX;
	if (adjacency->ifindex == pkt->ctx->ingress_ifindex)
		return HP_FORWARDED;
	pkt->action = XDP_REDIRECT;
	return bpf_redirect_map(&ports, adjacency->ifindex, XDP_ABORTED) == XDP_REDIRECT ? HP_FORWARDED : HP_NO_PORT;
}

static ALWAYS_INLINE void forward_trace(__u32 adjacency)
{
	struct hp_trace *record = trace_record();

	if (record)
		record->adjacency = adjacency;
}

/* Send the packet to its backend. Needs backend, hash, data, l3_offset, ip_bytes. Sets action; moves the head. */
static ALWAYS_INLINE enum hp_verdict forward(struct packet *pkt)
{
	__u32 index, number = pkt->backend;
	struct hp_backend *backend = bpf_map_lookup_elem(&backends, &number);
	struct hp_adjacency *adjacency;
	enum hp_verdict verdict;
	int delta;

	if (!backend)
		return HP_UNRESOLVED;
	index = *(volatile __u32 *)&backend->adjacency;
	adjacency = bpf_map_lookup_elem(&adjacencies, &index);
	if (!adjacency || !index)
		return HP_UNRESOLVED;
	forward_trace(index);
	if (pkt->ip_bytes + adjacency->outer_bytes > adjacency->mtu)
		return HP_TOO_BIG;
	if (unlikely(forward_is_loop(pkt, adjacency)))
		return HP_LOOPED;
	delta = (int)pkt->l3_offset - adjacency->l2_bytes - adjacency->outer_bytes;
	if (delta && bpf_xdp_adjust_head(pkt->ctx, delta))
		return HP_NO_HEADROOM;
	verdict = forward_headers(pkt, adjacency);
	return verdict == HP_FORWARDED ? forward_exit(pkt, adjacency) : verdict;
}

#endif

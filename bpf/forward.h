/* Forward: put the header that the daemon prepared in front of the packet, or over its MAC addresses, and send it.
 *
 * From its IP header on the packet stays as it came. */
#ifndef HP_FORWARD_H
#define HP_FORWARD_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "packet.h"
#include "oversize.h"

#define FORWARD_TAG_BYTES 4
#define FORWARD_OUTER4 sizeof(struct iphdr)
#define FORWARD_OUTER6 sizeof(struct ipv6hdr)
#define FORWARD_HEADERS_MASK 127 /* above all of link, outer IP, GRE or GUE header */

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
	/* The parse has seen these headers whole, if in another function than the verifier looks at. */
	if ((void *)(ip4 + 1) > (void *)(long)pkt->ctx->data_end)
		return 0;
	/* The packet's own source: of an ICMP error the flow has another. */
	if (!pkt->flow.is_ipv6)
		return ip4->saddr != address[3];
	if ((void *)(ip6 + 1) > (void *)(long)pkt->ctx->data_end)
		return 0;
	return ip6->saddr.in6_u.u6_addr32[0] != address[0] || ip6->saddr.in6_u.u6_addr32[1] != address[1] ||
	       ip6->saddr.in6_u.u6_addr32[2] != address[2] || ip6->saddr.in6_u.u6_addr32[3] != address[3];
}

/* UDP of GUE: the flow's port, so that routers and NICs spread flows (RFC 7510, 3), and the length. */
static ALWAYS_INLINE void forward_udp(const struct packet *pkt, struct udphdr *udp)
{
	udp->source = bpf_htons(hp_gue_source_port(pkt->hash));
	udp->len = bpf_htons((__u16)(pkt->ip_bytes + pkt->chance_bytes + HP_GUE_BYTES));
}

/* DSCP and ECN of the packet, which the outer header bears as well: ECN as RFC 6040 (4.1, normal mode) has it, DSCP by the
 * uniform model of RFC 2983, so that the packet is treated on its way as without a tunnel. Needs l3, the flow's family. */
static ALWAYS_INLINE __u32 forward_class(const struct packet *pkt)
{
	const __u8 *first = pkt->l3;

	barrier_var(first);
	if ((void *)(first + 2) > (void *)(long)pkt->ctx->data_end)
		return 0; /* cannot be: the parse has seen it */
	return pkt->flow.is_ipv6 ? (first[0] << 4 | first[1] >> 4) & 0xff : first[1];
}

/* The outer IPv4 header (RFC 2003) and what of GRE or GUE follows: the template, the length, DSCP and ECN, the varied bits of the
 * source, the checksum. */
static ALWAYS_INLINE void forward_outer4(const struct packet *pkt, const struct hp_adjacency *adjacency, void *outer,
					 __u32 outer_bytes, __u32 class)
{
	struct iphdr *ip = outer;
	__u16 length = bpf_htons((__u16)(pkt->ip_bytes + pkt->chance_bytes + outer_bytes));
	__be32 varied = pkt->hash & adjacency->source_mask;
	__u32 sum = (__u32)adjacency->outer_sum + bpf_htons((__u16)class) + length + (varied & 0xffff) + (varied >> 16);

	forward_copy(ip, adjacency->outer, outer_bytes);
	ip->tos = (__u8)class;
	ip->tot_len = length;
	ip->saddr |= varied;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = (__u16)~sum;
	if (outer_bytes == FORWARD_OUTER4 + HP_GUE_BYTES)
		forward_udp(pkt, (void *)(ip + 1));
}

/* The outer IPv6 header (RFC 2473) and what of GRE or GUE follows. */
static ALWAYS_INLINE void forward_outer6(const struct packet *pkt, const struct hp_adjacency *adjacency, void *outer,
					 __u32 outer_bytes, __u32 class)
{
	struct ipv6hdr *ip = outer;

	forward_copy(ip, adjacency->outer, outer_bytes);
	*(__be16 *)ip = bpf_htons((__u16)(6 << 12 | class << 4));
	ip->payload_len = bpf_htons((__u16)(pkt->ip_bytes + pkt->chance_bytes + outer_bytes - FORWARD_OUTER6));
	ip->saddr.in6_u.u6_addr32[3] |= pkt->hash & adjacency->source_mask;
	if (outer_bytes == FORWARD_OUTER6 + HP_GUE_BYTES)
		forward_udp(pkt, (void *)(ip + 1));
}

/* Write the headers, l2_bytes and outer_bytes long, which the caller passes as constants. */
static ALWAYS_INLINE enum hp_verdict forward_put(const struct packet *pkt, const struct hp_adjacency *adjacency,
						 __u32 l2_bytes, __u32 outer_bytes, __u32 class)
{
	void *data = (void *)(long)pkt->ctx->data;
	void *end = (void *)(long)pkt->ctx->data_end;

	if (data + l2_bytes + outer_bytes > end)
		return HP_NO_HEADROOM;
	forward_copy(data, adjacency->l2, l2_bytes);
	if (outer_bytes && outer_bytes < FORWARD_OUTER6)
		forward_outer4(pkt, adjacency, data + l2_bytes, outer_bytes, class);
	else if (outer_bytes)
		forward_outer6(pkt, adjacency, data + l2_bytes, outer_bytes, class);
	return HP_FORWARDED;
}

static ALWAYS_INLINE enum hp_verdict forward_put_outer(const struct packet *pkt, const struct hp_adjacency *adjacency,
						       __u32 l2_bytes, __u32 class)
{
	switch (adjacency->outer_bytes) {
	case 0:
		return forward_put(pkt, adjacency, l2_bytes, 0, class);
	case FORWARD_OUTER4:
		return forward_put(pkt, adjacency, l2_bytes, FORWARD_OUTER4, class);
	case FORWARD_OUTER4 + HP_GUE_BYTES:
		return forward_put(pkt, adjacency, l2_bytes, FORWARD_OUTER4 + HP_GUE_BYTES, class);
	case FORWARD_OUTER6:
		return forward_put(pkt, adjacency, l2_bytes, FORWARD_OUTER6, class);
	case FORWARD_OUTER6 + HP_GUE_BYTES:
		return forward_put(pkt, adjacency, l2_bytes, FORWARD_OUTER6 + HP_GUE_BYTES, class);
	case FORWARD_OUTER4 + HP_GRE_BYTES:
		return forward_put(pkt, adjacency, l2_bytes, FORWARD_OUTER4 + HP_GRE_BYTES, class);
	case FORWARD_OUTER4 + HP_GRE_KEYED_BYTES:
		return forward_put(pkt, adjacency, l2_bytes, FORWARD_OUTER4 + HP_GRE_KEYED_BYTES, class);
	case FORWARD_OUTER6 + HP_GRE_BYTES:
		return forward_put(pkt, adjacency, l2_bytes, FORWARD_OUTER6 + HP_GRE_BYTES, class);
	default:
		return forward_put(pkt, adjacency, l2_bytes, FORWARD_OUTER6 + HP_GRE_KEYED_BYTES, class);
	}
}

static ALWAYS_INLINE enum hp_verdict forward_headers(const struct packet *pkt, const struct hp_adjacency *adjacency, __u32 class)
{
	switch (adjacency->l2_bytes) {
	case ETH_HLEN:
		return forward_put_outer(pkt, adjacency, ETH_HLEN, class);
	case ETH_HLEN + FORWARD_TAG_BYTES:
		return forward_put_outer(pkt, adjacency, ETH_HLEN + FORWARD_TAG_BYTES, class);
	default:
		return forward_put_outer(pkt, adjacency, ETH_HLEN + 2 * FORWARD_TAG_BYTES, class);
	}
}

/* Cut off what stands behind the packet: a short one was padded to fill a frame, and with a header more it need not be. Returns
 * 0 on success. */
static ALWAYS_INLINE int forward_cut(const struct packet *pkt)
{
	__u32 bytes = pkt->l3_offset + pkt->ip_bytes;
	long whole = (void *)(long)pkt->ctx->data_end - (void *)(long)pkt->ctx->data;

	barrier_var(whole);
	return likely((__u32)whole == bytes) ? 0 : (int)bpf_xdp_adjust_tail(pkt->ctx, (int)bytes - (int)whole);
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

/* The family of the address of a backend that is reached by GUE, 4 or 6; 0 for any other, which opens no GUE: so for the
 * same host, when a service's method has changed. A function of its own, as the next, for the few packets that need it. */
__attribute__((noinline)) int forward_family(__u32 number)
{
	struct hp_identity *identity = bpf_map_lookup_elem(&identities, &number);

	if (!identity || !hp_method_is_gue(identity->method))
		return 0;
	if (identity->address[0] || identity->address[1] || identity->address[2] != bpf_htonl(0xffff))
		return 6;
	return 4;
}

/* Write the second chance behind the GUE header, which stands `at` bytes from the frame's beginning. Returns 0 on success. */
__attribute__((noinline)) int forward_put_chance(struct xdp_md *ctx, __u32 at, __u32 number)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct hp_identity *identity = bpf_map_lookup_elem(&identities, &number);
	struct hp_gue *gue = data + (at & FORWARD_HEADERS_MASK);
	struct hp_gue_chance *chance = (void *)(gue + 1);

	if (!identity || (void *)(chance + 1) > end)
		return -1;
	gue->form = HP_GUE_WITH_CHANCE;
	chance->magic = HP_CHANCE_MAGIC;
	chance->version = HP_CHANCE_VERSION;
	chance->hops = HP_CHANCE_FRESH;
	chance->zero = 0;
	__builtin_memcpy(chance->alternate, identity->address, sizeof(chance->alternate));
	return 0;
}

/* Bytes that the second chance takes: none where no backend would look at it, where it leads to no GUE of the outer
 * header's family, and where it would make the packet too long for a path that takes it without. */
static ALWAYS_INLINE __u32 forward_chance_bytes(const struct packet *pkt, const struct hp_adjacency *adjacency)
{
	__u32 bytes = pkt->ip_bytes + adjacency->outer_bytes + sizeof(struct hp_gue_chance);
	int family;

	if (adjacency->outer_bytes == FORWARD_OUTER4 + HP_GUE_BYTES)
		family = 4;
	else if (adjacency->outer_bytes == FORWARD_OUTER6 + HP_GUE_BYTES)
		family = 6;
	else
		return 0;
	return bytes <= adjacency->mtu && forward_family(pkt->alternate) == family ? sizeof(struct hp_gue_chance) : 0;
}

/* Send the packet to its backend. Needs backend, alternate, hash, data, l3_offset, ip_bytes. Sets action; moves the
 * head. */
static ALWAYS_INLINE enum hp_verdict forward(struct packet *pkt)
{
	__u32 index, number = pkt->backend;
	struct hp_backend *backend = bpf_map_lookup_elem(&backends, &number);
	struct hp_adjacency *adjacency;
	enum hp_verdict verdict;
	__u32 class = 0;
	int delta;

	if (!backend)
		return HP_UNRESOLVED;
	index = *(volatile __u32 *)&backend->adjacency;
	adjacency = bpf_map_lookup_elem(&adjacencies, &index);
	if (!adjacency || !index)
		return HP_UNRESOLVED;
	forward_trace(index);
	if (unlikely(forward_is_loop(pkt, adjacency)))
		return HP_LOOPED;
	if (unlikely(pkt->ip_bytes + adjacency->outer_bytes > adjacency->mtu))
		return oversize_tell(pkt->ctx, (__u32)adjacency->mtu - adjacency->outer_bytes, pkt->service) ? HP_TOO_BIG_TOLD
													     : HP_TOO_BIG;
	if (adjacency->outer_bytes) {
		class = forward_class(pkt);
		if (forward_cut(pkt))
			return HP_NO_HEADROOM;
	}
	if (unlikely(pkt->alternate))
		pkt->chance_bytes = forward_chance_bytes(pkt, adjacency);
	delta = (int)pkt->l3_offset - adjacency->l2_bytes - adjacency->outer_bytes - (int)pkt->chance_bytes;
	if (delta && bpf_xdp_adjust_head(pkt->ctx, delta))
		return HP_NO_HEADROOM;
	verdict = forward_headers(pkt, adjacency, class);
	if (unlikely(pkt->chance_bytes) && verdict == HP_FORWARDED &&
	    forward_put_chance(pkt->ctx, adjacency->l2_bytes + adjacency->outer_bytes - sizeof(struct hp_gue), pkt->alternate))
		return HP_NO_HEADROOM;
	return verdict == HP_FORWARDED ? forward_exit(pkt, adjacency) : verdict;
}

#endif

/* Decap: take the outer headers off a tunnelled packet that a named director sent for one of our VIPs, unless its second
 * chance is better. A director's question whether we are here is dropped; everything else is the kernel's, untouched.
 *
 * The inner packet stays as it is, but for a congestion mark that the outer header got on its way. */
#ifndef HP_DECAP_H
#define HP_DECAP_H

#include "chance.h"
#include "ecn.h"
#include "tunnel.h"

#define DECAP_LINK_MOST 22

/* Set before loading: packets may lie in several buffers, of which data_end closes the first only. */
const volatile __u8 is_multi_buffer = 0;

/* Remember the sender for status. Two CPUs may write at once; a mixed address is replaced by the next packet's. */
static __always_inline void decap_note_refused(const struct tunnel *t)
{
	__u32 family = t->ethertype == bpf_htons(ETH_P_IP) ? HPB_REFUSED4 : HPB_REFUSED6;
	struct hpb_refused *last = bpf_map_lookup_elem(&refused, &family);
	struct ipv6hdr *ip6 = tunnel_outer(t);
	struct iphdr *ip4 = (void *)ip6;

	if (!last)
		return;
	if (family == HPB_REFUSED4 && (void *)(ip4 + 1) <= t->end)
		last->address[0] = ip4->saddr;
	if (family == HPB_REFUSED6 && (void *)(ip6 + 1) <= t->end)
		__builtin_memcpy(last->address, &ip6->saddr, sizeof(last->address));
	last->at_ns = bpf_ktime_get_ns();
}

/* Move the link header, tags and all, up to the inner packet. link_bytes is a constant. */
static __always_inline int decap_shift(struct xdp_md *ctx, const struct tunnel *t, __u32 link_bytes)
{
	__be16 ethertype = t->inner_protocol == IPPROTO_IPIP ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	__u8 link[DECAP_LINK_MOST];
	void *data = t->data;

	if (data + link_bytes > t->end)
		return XDP_PASS;
	__builtin_memcpy(link, data, link_bytes);
	if (bpf_xdp_adjust_head(ctx, (int)t->outer_bytes))
		return XDP_PASS;
	data = (void *)(long)ctx->data;
	if (data + link_bytes > (void *)(long)ctx->data_end)
		return XDP_DROP;
	__builtin_memcpy(data, link, link_bytes);
	*(__be16 *)(data + link_bytes - sizeof(ethertype)) = ethertype;
	backend_count(HPB_DECAPSULATED);
	return XDP_PASS;
}

static __always_inline int decap_open(struct xdp_md *ctx, const struct tunnel *t)
{
	if (t->l3_offset == ETH_HLEN)
		return decap_shift(ctx, t, ETH_HLEN);
	if (t->l3_offset == ETH_HLEN + 4)
		return decap_shift(ctx, t, ETH_HLEN + 4);
	return decap_shift(ctx, t, ETH_HLEN + 8);
}

static __always_inline int decap(struct xdp_md *ctx)
{
	struct tunnel t = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	enum hpb_counter verdict;

	t.bytes = is_multi_buffer ? bpf_xdp_get_buff_len(ctx) : (__u32)(t.end - t.data);
	tunnel_link(&t);
	verdict = tunnel_headers(&t);
	if (verdict == TUNNEL_IS_NONE)
		return XDP_PASS;
	/* The mark of those that leave is our own; from outside it would make us anybody's relay. */
	if (verdict == TUNNEL_IS_OURS && t.has_chance && t.hops >= HP_CHANCE_LEAVES) {
		backend_count(HPB_FORGED);
		return XDP_DROP;
	}
	if (verdict == TUNNEL_IS_OURS)
		verdict = tunnel_judge(&t);
	if (verdict != TUNNEL_IS_OURS) {
		backend_count(verdict);
		if (verdict == HPB_REFUSED_SENDER)
			decap_note_refused(&t);
		return verdict == HPB_ASKED ? XDP_DROP : XDP_PASS;
	}
	if (t.has_chance) {
		if (chance_leaves(ctx, &t))
			return XDP_PASS;
		backend_count(t.hops == HP_CHANCE_FRESH ? HPB_KEPT : HPB_TAKEN_OVER);
	}
	if (!ecn_carry(&t)) {
		backend_count(HPB_CONGESTED);
		return XDP_DROP;
	}
	return decap_open(ctx, &t);
}

#endif

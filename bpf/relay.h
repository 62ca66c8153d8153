/* Relay: send packets that the XDP program marked to leave to the backend whose address it wrote into them. The kernel
 * finds route and neighbour; the packet leaves by the interface, or the VLAN on it, that it came in by.
 *
 * Whoever comes with the mark from outside does not get here: the XDP program read the same bytes by the same rules, and
 * dropped it. */
#ifndef HP_RELAY_H
#define HP_RELAY_H

#include "tunnel.h"

#define RELAY_HEADERS_MOST 138 /* link, outer IPv4 with options, UDP, GUE, second chance, inner header */
#define RELAY_NEXT -1 /* TC_ACT_UNSPEC: the next filter, as if this one were not there */
#define RELAY_DROP 2 /* TC_ACT_SHOT */

/* Whether the packet is UDP, told from one byte, since everything that arrives passes here. */
static __always_inline int relay_is_udp(struct __sk_buff *skb)
{
	__u32 at = skb->protocol == bpf_htons(ETH_P_IP) ? __builtin_offsetof(struct iphdr, protocol) :
							  __builtin_offsetof(struct ipv6hdr, nexthdr);
	__u8 protocol;

	if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6))
		return 0;
	return !bpf_skb_load_bytes_relative(skb, at, &protocol, sizeof(protocol), BPF_HDR_START_NET) &&
	       protocol == IPPROTO_UDP;
}

/* Bytes of link header before the packet: none where generic XDP had the packet copied and the kernel lost count of them
 * (seen in Linux 6.18). */
static __always_inline __u32 relay_link_bytes(struct __sk_buff *skb, const void *data, const void *end)
{
	__u64 begin[2] = {}; /* of the link header: both addresses */
	const __u32 *is = data;
	const __u32 *mac = (const void *)begin;

	if ((const void *)(is + 3) > end || bpf_skb_load_bytes_relative(skb, 0, begin, 2 * ETH_ALEN, BPF_HDR_START_MAC))
		return 0;
	return is[0] == mac[0] && is[1] == mac[1] && is[2] == mac[2] ? ETH_HLEN : 0;
}

/* The interface that the packet belongs to; a tag is taken off, which a VLAN's interface puts on again. 0: not known. */
static __always_inline __u32 relay_interface(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex, vlan, *found;

	if (!skb->vlan_present)
		return ifindex;
	vlan = hpb_vlan((__be16)skb->vlan_proto, (__u16)skb->vlan_tci);
	if (HPB_VLAN_NUMBER(vlan)) {
		found = bpf_map_lookup_elem(&vlans, &vlan);
		ifindex = found ? *found : 0;
	}
	return bpf_skb_vlan_pop(skb) ? 0 : ifindex;
}

/* Send the packet, which has a second chance at `at`. A link header that the kernel takes for absent is put there anew: it
 * will be written over. */
static __always_inline int relay_send(struct __sk_buff *skb, __u32 ifindex, __u32 at, __u32 link_bytes)
{
	__u8 hops = HP_CHANCE_PASSED;

	if (!ifindex || bpf_skb_store_bytes(skb, at + __builtin_offsetof(struct hp_gue_chance, hops), &hops, sizeof(hops), 0) ||
	    (!link_bytes && bpf_skb_change_head(skb, ETH_HLEN, 0))) {
		backend_count(HPB_STRANDED);
		return RELAY_DROP;
	}
	backend_count(HPB_PASSED_ON);
	return (int)bpf_redirect_neigh(ifindex, NULL, 0, 0);
}

static __always_inline int relay(struct __sk_buff *skb)
{
	struct tunnel t = {.bytes = skb->len, .ethertype = (__be16)skb->protocol};
	__u32 ifindex;

	if (!relay_is_udp(skb))
		return RELAY_NEXT;
	if (skb->data_end - skb->data < RELAY_HEADERS_MOST)
		bpf_skb_pull_data(skb, skb->len < RELAY_HEADERS_MOST ? skb->len : RELAY_HEADERS_MOST);
	t.data = (void *)(long)skb->data;
	t.end = (void *)(long)skb->data_end;
	t.l3_offset = relay_link_bytes(skb, t.data, t.end);
	if (tunnel_headers(&t) != TUNNEL_IS_OURS || !t.has_chance || t.hops != HP_CHANCE_LEAVES)
		return RELAY_NEXT;
	ifindex = tunnel_judge(&t) == TUNNEL_IS_OURS ? relay_interface(skb) : 0;
	return relay_send(skb, ifindex, t.l3_offset + t.outer_bytes - sizeof(struct hp_gue_chance), t.l3_offset);
}

#endif

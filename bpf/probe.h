/* Probe: what this host itself sends to a VIP, at tc egress of the interface that probes leave by (src/daemon/probe_way.h).
 *
 * The mark of the socket names the backend. The packet gets the headers that the forward step would put in front of it and
 * may be forwarded no more, and leaves by the same port; nothing is picked, remembered or counted for a service. What bears
 * no mark is dropped: it would come back from the router as a client's, or find no way at all. Packets of anybody else are
 * not touched. */
#ifndef HP_PROBE_H
#define HP_PROBE_H

#include "packet.h"
#include "parse.h"
#include "service.h"
#include "forward.h"

#define PROBE_NEXT -1 /* TC_ACT_UNSPEC: the next filter, as if this one were not there */
#define PROBE_DROP 2 /* TC_ACT_SHOT */

struct probe_tcp {
	__be16 source, destination;
	__be32 sequence, acknowledged;
	__u8 offset; /* in the high half: words of the header */
};

/* Not for a packet that is passed on untouched. Returns what becomes of the others. */
static ALWAYS_INLINE int probe_count(enum hp_probe_event event)
{
	__u32 at = event;
	__u64 *count = bpf_map_lookup_elem(&probe_counts, &at);

	if (count)
		*count += 1;
	return PROBE_DROP;
}

/* Addresses, family, protocol and the place of the upper header. Loads copy: a program that writes to packets directly would
 * have the kernel unshare each packet that leaves here. Returns 0 for what is no IP packet. */
static ALWAYS_INLINE int probe_parse(struct __sk_buff *skb, struct packet *pkt)
{
	struct ipv6hdr ip6;
	struct iphdr ip4;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip4, sizeof(ip4)))
			return 0;
		pkt->l4_offset = ip4.ihl * 4;
		pkt->is_later_fragment = (ip4.frag_off & bpf_htons(IPV4_OFFSET_MASK)) != 0;
		pkt->flow.source[3] = ip4.saddr;
		pkt->flow.destination[3] = ip4.daddr;
		pkt->flow.protocol = ip4.protocol;
		return 1;
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6) || bpf_skb_load_bytes(skb, ETH_HLEN, &ip6, sizeof(ip6)))
		return 0;
	pkt->l4_offset = sizeof(ip6);
	__builtin_memcpy(pkt->flow.source, &ip6.saddr, sizeof(pkt->flow.source));
	__builtin_memcpy(pkt->flow.destination, &ip6.daddr, sizeof(pkt->flow.destination));
	pkt->flow.protocol = ip6.nexthdr;
	pkt->flow.is_ipv6 = 1;
	return 1;
}

/* The hash that GUE's source port comes from. Rings have seeds of their own; a probe is of none. */
static ALWAYS_INLINE void probe_hash(struct __sk_buff *skb, struct packet *pkt)
{
	struct ports ports = {};

	if ((pkt->flow.protocol == IPPROTO_TCP || pkt->flow.protocol == IPPROTO_UDP) && !pkt->is_later_fragment)
		bpf_skb_load_bytes(skb, ETH_HLEN + pkt->l4_offset, &ports, sizeof(ports));
	pkt->flow.source_port = ports.source;
	pkt->flow.destination_port = ports.destination;
	pkt->hash = hp_flow_check(&pkt->flow);
}

/* The longest IP packet that it becomes: what the kernel has not cut into segments yet will be. */
static ALWAYS_INLINE __u32 probe_segment_bytes(struct __sk_buff *skb, const struct packet *pkt)
{
	struct probe_tcp tcp = {};

	if (!skb->gso_size)
		return skb->len - ETH_HLEN;
	if (pkt->flow.protocol != IPPROTO_TCP)
		return pkt->l4_offset + PARSE_UDP_BYTES + skb->gso_size;
	bpf_skb_load_bytes(skb, ETH_HLEN + pkt->l4_offset, &tcp, sizeof(tcp));
	return pkt->l4_offset + (tcp.offset >> 4) * 4 + skb->gso_size;
}

/* The backend's adjacency, also where packets of clients have none, as it is dead; or NULL. */
static ALWAYS_INLINE struct hp_adjacency *probe_adjacency(__u32 number)
{
	struct hp_backend *backend = bpf_map_lookup_elem(&backends, &number);
	__u32 index;

	if (!backend || !number)
		return NULL;
	index = *(volatile __u32 *)&backend->way;
	return index ? bpf_map_lookup_elem(&adjacencies, &index) : NULL;
}

/* An outer source that varies with the flow is none that errors find back to: this host's own stands in its place. */
static ALWAYS_INLINE void probe_own_source(struct hp_adjacency *adjacency)
{
	int is_4 = adjacency->outer_bytes < FORWARD_OUTER6;
	__u32 sum = 0;

	adjacency->source_mask = 0;
	if (!(adjacency->own[0] | adjacency->own[1] | adjacency->own[2] | adjacency->own[3]))
		return;
	if (!is_4) {
		__builtin_memcpy(adjacency->outer + __builtin_offsetof(struct ipv6hdr, saddr), adjacency->own,
				 sizeof(adjacency->own));
		return;
	}
	*(__be32 *)(adjacency->outer + __builtin_offsetof(struct iphdr, saddr)) = adjacency->own[3];
#pragma unroll
	for (__u32 at = 0; at < FORWARD_OUTER4; at += 2)
		sum += *(__u16 *)(adjacency->outer + at);
	sum = (sum & 0xffff) + (sum >> 16);
	adjacency->outer_sum = (__u16)((sum & 0xffff) + (sum >> 16));
}

/* Put the outer header in front, outer_bytes long, which the caller passes as a constant; kind: what the kernel is told of it,
 * so that it cuts segments and fills in checksums where they belong. Returns 0 on success. */
static ALWAYS_INLINE int probe_put_outer(struct __sk_buff *skb, const struct packet *pkt, const struct hp_adjacency *adjacency,
					 __u32 outer_bytes, __u64 kind)
{
	__u64 outer[(HP_OUTER_BYTES + 7) / 8];

	if (bpf_skb_adjust_room(skb, (__s32)outer_bytes, BPF_ADJ_ROOM_MAC, kind | BPF_F_ADJ_ROOM_FIXED_GSO))
		return -1;
	if (outer_bytes < FORWARD_OUTER6)
		forward_outer4(pkt, adjacency, outer, outer_bytes, 0);
	else
		forward_outer6(pkt, adjacency, outer, outer_bytes, 0);
	return (int)bpf_skb_store_bytes(skb, ETH_HLEN, outer, outer_bytes, 0);
}

static ALWAYS_INLINE int probe_outer(struct __sk_buff *skb, const struct packet *pkt, const struct hp_adjacency *adjacency)
{
	switch (adjacency->outer_bytes) {
	case 0:
		return 0;
	case FORWARD_OUTER4:
		return probe_put_outer(skb, pkt, adjacency, FORWARD_OUTER4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4);
	case FORWARD_OUTER4 + HP_GUE_BYTES:
		return probe_put_outer(skb, pkt, adjacency, FORWARD_OUTER4 + HP_GUE_BYTES,
				       BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP);
	case FORWARD_OUTER6:
		return probe_put_outer(skb, pkt, adjacency, FORWARD_OUTER6, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6);
	case FORWARD_OUTER6 + HP_GUE_BYTES:
		return probe_put_outer(skb, pkt, adjacency, FORWARD_OUTER6 + HP_GUE_BYTES,
				       BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP);
	case FORWARD_OUTER4 + HP_GRE_BYTES:
		return probe_put_outer(skb, pkt, adjacency, FORWARD_OUTER4 + HP_GRE_BYTES,
				       BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE);
	case FORWARD_OUTER4 + HP_GRE_KEYED_BYTES:
		return probe_put_outer(skb, pkt, adjacency, FORWARD_OUTER4 + HP_GRE_KEYED_BYTES,
				       BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE);
	case FORWARD_OUTER6 + HP_GRE_BYTES:
		return probe_put_outer(skb, pkt, adjacency, FORWARD_OUTER6 + HP_GRE_BYTES,
				       BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE);
	default:
		return probe_put_outer(skb, pkt, adjacency, FORWARD_OUTER6 + HP_GRE_KEYED_BYTES,
				       BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE);
	}
}

/* MAC addresses, ethertype and tags, the inner tag first. Returns 0 on success. */
static ALWAYS_INLINE int probe_link(struct __sk_buff *skb, const struct hp_adjacency *adjacency)
{
	const __be16 *word = (const void *)adjacency->l2;
	__u32 tags = ((__u32)adjacency->l2_bytes - ETH_HLEN) / FORWARD_TAG_BYTES;
	struct ethhdr eth;

	__builtin_memcpy(&eth, adjacency->l2, 2 * ETH_ALEN);
	eth.h_proto = tags == 0 ? word[6] : tags == 1 ? word[8] : word[10];
	if (bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0))
		return -1;
	if (tags > 1 && bpf_skb_vlan_push(skb, word[8], bpf_ntohs(word[9])))
		return -1;
	return tags > 0 && bpf_skb_vlan_push(skb, word[6], bpf_ntohs(word[7])) ? -1 : 0;
}

/* A backend takes what is for itself whatever its TTL, and one without the VIP that forwards what has a TTL of 1 sends ICMP time
 * exceeded by its own address, instead of the probe to the router, by whom it might come to another backend and be answered.
 * Returns 0 on success. */
static ALWAYS_INLINE int probe_last_hop(struct __sk_buff *skb, const struct packet *pkt, __u8 hops)
{
	struct {
		__u8 ttl, protocol;
	} was, now = {hops, pkt->flow.protocol};
	__u32 at = ETH_HLEN + __builtin_offsetof(struct iphdr, ttl);

	if (pkt->flow.is_ipv6)
		return (int)bpf_skb_store_bytes(skb, ETH_HLEN + __builtin_offsetof(struct ipv6hdr, hop_limit), &now.ttl,
						sizeof(now.ttl), 0);
	if (bpf_skb_load_bytes(skb, at, &was, sizeof(was)) ||
	    bpf_l3_csum_replace(skb, ETH_HLEN + __builtin_offsetof(struct iphdr, check), *(__u16 *)&was, *(__u16 *)&now,
				sizeof(now)))
		return -1;
	return (int)bpf_skb_store_bytes(skb, at, &now, sizeof(now), 0);
}

/* A probe of a backend. Returns the action. */
static ALWAYS_INLINE int probe_send(struct __sk_buff *skb, struct packet *pkt, __u8 hops)
{
	struct hp_adjacency *found = probe_adjacency(pkt->backend), adjacency;

	if (!found)
		return probe_count(HP_PROBE_UNRESOLVED);
	__builtin_memcpy(&adjacency, found, sizeof(adjacency));
	if (probe_segment_bytes(skb, pkt) + adjacency.outer_bytes > adjacency.mtu)
		return probe_count(HP_PROBE_TOO_BIG);
	pkt->ip_bytes = skb->len - ETH_HLEN;
	probe_hash(skb, pkt);
	probe_own_source(&adjacency);
	if (probe_last_hop(skb, pkt, hops) || probe_outer(skb, pkt, &adjacency) || probe_link(skb, &adjacency))
		return probe_count(HP_PROBE_NO_ROOM);
	probe_count(HP_PROBE_SENT);
	return adjacency.ifindex == skb->ifindex ? PROBE_NEXT : (int)bpf_redirect(adjacency.ifindex, 0);
}

/* No probe, and for a VIP. What came in elsewhere than it leaves may have its reasons. */
static ALWAYS_INLINE int probe_refuse(const struct __sk_buff *skb)
{
	if (!skb->ingress_ifindex)
		return probe_count(HP_PROBE_UNMARKED);
	return skb->ingress_ifindex == skb->ifindex ? probe_count(HP_PROBE_LOOPED) : PROBE_NEXT;
}

static ALWAYS_INLINE int probe(struct __sk_buff *skb)
{
	struct packet pkt = {};
	__u32 zero = 0, is_marked;
	struct hp_probe_marks *marks = bpf_map_lookup_elem(&probe_marks, &zero);
	__u64 both = marks ? *(volatile __u64 *)marks : 0;

	if (!probe_parse(skb, &pkt))
		return PROBE_NEXT;
	is_marked = (__u32)both && (skb->mark & (__u32)(both >> 32)) == (__u32)both;
	if (!service_is_vip(&pkt))
		return is_marked ? probe_count(HP_PROBE_NOT_VIP) : PROBE_NEXT;
	if (!is_marked)
		return probe_refuse(skb);
	pkt.backend = skb->mark & ~(__u32)(both >> 32);
	return probe_send(skb, &pkt, marks ? (__u8)marks->hops : 1);
}

#endif

/* Tunnel: what a frame that came through a tunnel consists of, and whether it is for us: link header, outer IP header
 * (RFC 2003, 4213, 2473), UDP and GUE (see gue.h) or GRE (see gre.h). Reads and judges, changes and counts nothing. */
#ifndef HP_TUNNEL_H
#define HP_TUNNEL_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "backend_abi.h"
#include "backend_maps.h"

#define TUNNEL_TAGS_MOST 2
#define TUNNEL_OFFSET_MASK 0x7f
#define TUNNEL_FRAGMENT 0x3fff /* more fragments, or an offset */
#define TUNNEL_LATER_FRAGMENT 0x1fff
#define TUNNEL_IP4_WORDS_MOST 30 /* 16-bit words of the longest IPv4 header */

/* A verdict is the counter that says what is wrong, or one of these. */
#define TUNNEL_IS_OURS ((enum hpb_counter)HPB_COUNTER_COUNT)
#define TUNNEL_IS_NONE ((enum hpb_counter)(HPB_COUNTER_COUNT + 1)) /* a frame of no tunnel */

struct tunnel {
	void *data, *end;
	__u32 bytes; /* of the whole frame */
	__u32 l3_offset;
	__u32 vlan; /* key of the first tag; 0 without one */
	__u32 outer_bytes; /* all that stands before the inner packet: IP; UDP, GUE, second chance; GRE */
	__u32 inner_bytes; /* bytes that the outer headers say follow them */
	__be16 ethertype;
	__u8 inner_protocol; /* IPPROTO_IPIP or IPPROTO_IPV6 */
	__u8 is_gue;
	__u8 is_gre;
	__u8 is_allowed; /* the sender is named */
	__u8 has_chance;
	__u8 hops; /* of the second chance */
};

struct tunnel_tag {
	__be16 id;
	__be16 ethertype;
};

/* Ethernet and up to two tags. The EtherType behind them is 0 for a frame cut short. */
static __always_inline void tunnel_link(struct tunnel *t)
{
	struct ethhdr *eth = t->data;

	if ((void *)(eth + 1) > t->end)
		return;
	t->ethertype = eth->h_proto;
	t->l3_offset = sizeof(*eth);
#pragma unroll
	for (int i = 0; i < TUNNEL_TAGS_MOST; i++) {
		struct tunnel_tag *tag = t->data + t->l3_offset;

		if (t->ethertype != bpf_htons(ETH_P_8021Q) && t->ethertype != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > t->end) {
			t->ethertype = 0;
			break;
		}
		if (!i)
			t->vlan = hpb_vlan(t->ethertype, bpf_ntohs(tag->id));
		t->ethertype = tag->ethertype;
		t->l3_offset += sizeof(*tag);
	}
}

/* Whether the header's checksum holds. Nobody looks at it after us, and it guards the sender's address. */
static __always_inline int tunnel_sum4(const struct iphdr *ip, const void *end)
{
	const __u16 *word = (const void *)ip;
	__u32 sum = 0;

	for (int i = 0; i < TUNNEL_IP4_WORDS_MOST && i < ip->ihl * 2; i++) {
		if ((const void *)(word + i + 1) > end)
			return 0;
		sum += word[i];
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return (sum & 0xffff) == 0xffff;
}

static __always_inline void *tunnel_outer(const struct tunnel *t)
{
	return t->data + (t->l3_offset & TUNNEL_OFFSET_MASK);
}

/* What stands behind the outer headers that were read so far; the inner packet at last. */
static __always_inline void *tunnel_inner(const struct tunnel *t)
{
	return t->data + ((t->l3_offset + t->outer_bytes) & TUNNEL_OFFSET_MASK);
}

/* The second chance, which stands right before the inner packet; it has one. */
static __always_inline struct hp_gue_chance *tunnel_chance(const struct tunnel *t)
{
	return t->data + ((t->l3_offset + t->outer_bytes - sizeof(struct hp_gue_chance)) & TUNNEL_OFFSET_MASK);
}

static __always_inline const struct hpb_settings *tunnel_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

/* Whether the host is set up as a flag says. */
static __always_inline int tunnel_has(__u32 flag)
{
	const struct hpb_settings *found = tunnel_settings();

	return found && found->flags & flag;
}

/* Whether UDP behind the outer IP header is for the port of GUE, and anybody here wants that. */
static __always_inline int tunnel_is_gue(const struct tunnel *t)
{
	struct udphdr *udp = tunnel_inner(t);

	if ((void *)(udp + 1) > t->end || udp->dest != bpf_htons(HP_GUE_PORT))
		return 0;
	return tunnel_has(HPB_TAKES_GUE);
}

/* Whether a tunnel's packet stands behind the outer IP header: that of an IP-in-IP tunnel, or of GUE or GRE, which have
 * their own header next. */
static __always_inline int tunnel_is_known(struct tunnel *t, __u8 protocol)
{
	t->inner_protocol = protocol;
	if (protocol == IPPROTO_UDP)
		return t->is_gue = tunnel_is_gue(t) != 0;
	if (protocol == IPPROTO_GRE)
		return t->is_gre = tunnel_has(HPB_TAKES_GRE) != 0;
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

/* Outer IPv4 header. Options are skipped; fragments are the kernel's, of which a later one of UDP names no port. */
static __always_inline enum hpb_counter tunnel_outer4(struct tunnel *t)
{
	struct hpb_prefix4 key = {.bits = 32};
	struct iphdr *ip = tunnel_outer(t);

	if ((void *)(ip + 1) > t->end || ip->version != 4 || ip->ihl < 5)
		return TUNNEL_IS_NONE;
	t->outer_bytes = ip->ihl * 4;
	if (ip->protocol == IPPROTO_UDP && ip->frag_off & bpf_htons(TUNNEL_LATER_FRAGMENT))
		return TUNNEL_IS_NONE;
	if (!tunnel_is_known(t, ip->protocol))
		return TUNNEL_IS_NONE;
	if (ip->frag_off & bpf_htons(TUNNEL_FRAGMENT))
		return HPB_FRAGMENT;
	if (bpf_ntohs(ip->tot_len) < t->outer_bytes || !tunnel_sum4(ip, t->end))
		return HPB_MALFORMED;
	t->inner_bytes = bpf_ntohs(ip->tot_len) - t->outer_bytes;
	key.address = ip->saddr;
	t->is_allowed = bpf_map_lookup_elem(&senders4, &key) != NULL;
	return TUNNEL_IS_OURS;
}

static __always_inline enum hpb_counter tunnel_outer6(struct tunnel *t)
{
	struct hpb_prefix6 key = {.bits = 128};
	struct ipv6hdr *ip = tunnel_outer(t);

	if ((void *)(ip + 1) > t->end || ip->version != 6)
		return TUNNEL_IS_NONE;
	t->outer_bytes = sizeof(*ip);
	if (!tunnel_is_known(t, ip->nexthdr))
		return TUNNEL_IS_NONE;
	t->inner_bytes = bpf_ntohs(ip->payload_len);
	__builtin_memcpy(key.address, &ip->saddr, sizeof(key.address));
	t->is_allowed = bpf_map_lookup_elem(&senders6, &key) != NULL;
	return TUNNEL_IS_OURS;
}

/* UDP and GUE, plain or with a second chance, which outer_bytes and inner_bytes then take in.
 *
 * What directors do not send is the kernel's: other control messages than their question, optional fields, private data of
 * others, and a UDP checksum, which nobody would look at after us. A sender that is not named is told by the kernel that it asks
 * in vain. */
static __always_inline enum hpb_counter tunnel_gue(struct tunnel *t)
{
	struct udphdr *udp = tunnel_inner(t);
	struct hp_gue *gue = (void *)(udp + 1);
	struct hp_gue_chance *chance = (void *)(gue + 1);
	__u32 bytes = HP_GUE_BYTES;

	if ((void *)(gue + 1) > t->end || bpf_ntohs(udp->len) > t->inner_bytes || bpf_ntohs(udp->len) < HP_GUE_BYTES)
		return HPB_MALFORMED;
	if (gue->form == HP_GUE_CONTROL && gue->protocol == HP_GUE_QUESTION && !gue->flags && t->is_allowed)
		return HPB_ASKED;
	if (udp->check || gue->flags || (gue->protocol != IPPROTO_IPIP && gue->protocol != IPPROTO_IPV6))
		return HPB_OTHER_GUE;
	t->inner_protocol = gue->protocol;
	if (gue->form == HP_GUE_WITH_CHANCE) {
		bytes += sizeof(*chance);
		if ((void *)(chance + 1) > t->end || bpf_ntohs(udp->len) < HP_GUE_BYTES + sizeof(*chance))
			return HPB_MALFORMED;
		if (chance->magic != HP_CHANCE_MAGIC || chance->version != HP_CHANCE_VERSION)
			return HPB_OTHER_GUE;
		t->has_chance = 1;
		t->hops = chance->hops;
	} else if (gue->form != HP_GUE_PLAIN) {
		return HPB_OTHER_GUE;
	}
	t->inner_bytes = bpf_ntohs(udp->len) - bytes;
	t->outer_bytes += bytes;
	return TUNNEL_IS_OURS;
}

/* GRE with the key that is set up or, if none is, without one. Checksums, sequence numbers, other keys and other
 * protocols are the kernel's. */
static __always_inline enum hpb_counter tunnel_gre(struct tunnel *t)
{
	const struct hpb_settings *wanted = tunnel_settings();
	struct hp_gre *gre = tunnel_inner(t);
	__be32 *key = (void *)(gre + 1);
	__u32 bytes = HP_GRE_BYTES;

	if (!wanted || (void *)(gre + 1) > t->end || t->inner_bytes < HP_GRE_BYTES)
		return HPB_MALFORMED;
	if (gre->flags != (wanted->flags & HPB_GRE_KEYED ? bpf_htons(HP_GRE_KEY) : 0))
		return HPB_OTHER_GRE;
	if (gre->protocol == bpf_htons(ETH_P_IP))
		t->inner_protocol = IPPROTO_IPIP;
	else if (gre->protocol == bpf_htons(ETH_P_IPV6))
		t->inner_protocol = IPPROTO_IPV6;
	else
		return HPB_OTHER_GRE;
	if (wanted->flags & HPB_GRE_KEYED) {
		if ((void *)(key + 1) > t->end || t->inner_bytes < HP_GRE_KEYED_BYTES)
			return HPB_MALFORMED;
		if (*key != wanted->gre_key)
			return HPB_OTHER_GRE;
		bytes = HP_GRE_KEYED_BYTES;
	}
	t->inner_bytes -= bytes;
	t->outer_bytes += bytes;
	return TUNNEL_IS_OURS;
}

/* The outer headers, link header aside, up to the inner packet. Needs data, end, ethertype, l3_offset; the rest is 0. */
static __always_inline enum hpb_counter tunnel_headers(struct tunnel *t)
{
	enum hpb_counter verdict = TUNNEL_IS_NONE;

	if (t->ethertype == bpf_htons(ETH_P_IP))
		verdict = tunnel_outer4(t);
	else if (t->ethertype == bpf_htons(ETH_P_IPV6))
		verdict = tunnel_outer6(t);
	if (verdict != TUNNEL_IS_OURS)
		return verdict;
	return t->is_gue ? tunnel_gue(t) : t->is_gre ? tunnel_gre(t) : verdict;
}

/* Whether the inner packet is whole, for a VIP that comes by this method, and from a sender that is named. */
static __always_inline enum hpb_counter tunnel_judge(const struct tunnel *t)
{
	__u32 method = t->is_gue ? HPB_VIP_GUE : t->is_gre ? HPB_VIP_GRE : HPB_VIP_IPIP, *flags;
	struct ipv6hdr *ip6 = tunnel_inner(t);
	struct iphdr *ip4 = (void *)ip6;

	if (t->l3_offset + t->outer_bytes + t->inner_bytes > t->bytes)
		return HPB_MALFORMED;
	if (t->inner_protocol == IPPROTO_IPIP) {
		if ((void *)(ip4 + 1) > t->end || ip4->version != 4 || bpf_ntohs(ip4->tot_len) > t->inner_bytes)
			return HPB_MALFORMED;
		flags = bpf_map_lookup_elem(&vips4, &ip4->daddr);
	} else {
		if ((void *)(ip6 + 1) > t->end || ip6->version != 6 ||
		    bpf_ntohs(ip6->payload_len) + sizeof(*ip6) > t->inner_bytes)
			return HPB_MALFORMED;
		flags = bpf_map_lookup_elem(&vips6, &ip6->daddr);
	}
	if (!flags || !(*flags & method))
		return HPB_OTHER_TUNNEL;
	return t->is_allowed ? TUNNEL_IS_OURS : HPB_REFUSED_SENDER;
}

#endif

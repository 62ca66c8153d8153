/* Decap: take the outer header off a tunnelled packet (RFC 2003, 4213, 2473; GUE, see gue.h) that a named director sent
 * for one of our VIPs. Everything else is the kernel's, untouched.
 *
 * The inner packet stays as it is, its ECN bits too: our directors send the outer header as Not-ECT, which no router
 * marks (RFC 6040, compatibility mode). */
#ifndef HP_DECAP_H
#define HP_DECAP_H

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

#define DECAP_TAGS_MOST 2
#define DECAP_LINK_MOST 22
#define DECAP_OFFSET_MASK 0x7f
#define DECAP_FRAGMENT 0x3fff /* more fragments, or an offset */
#define DECAP_LATER_FRAGMENT 0x1fff
#define DECAP_IP4_WORDS_MOST 30 /* 16-bit words of the longest IPv4 header */

/* Set before loading: packets may lie in several buffers, of which data_end closes the first only. */
const volatile __u8 is_multi_buffer = 0;

struct decap {
	void *data, *end;
	__u32 bytes; /* of the whole frame */
	__u32 l3_offset;
	__u32 outer_bytes;
	__u32 inner_bytes; /* bytes that the outer header says follow it */
	__u8 inner_protocol; /* IPPROTO_IPIP or IPPROTO_IPV6 */
	__u8 is_gue;
	__u8 is_allowed; /* the sender is named */
};

struct decap_tag {
	__be16 id;
	__be16 ethertype;
};

/* Ethernet and up to two tags. Returns the EtherType behind them in network order; 0 for a frame cut short. */
static __always_inline __be16 decap_link(struct decap *d)
{
	struct ethhdr *eth = d->data;
	__be16 ethertype;

	if ((void *)(eth + 1) > d->end)
		return 0;
	ethertype = eth->h_proto;
	d->l3_offset = sizeof(*eth);
#pragma unroll
	for (int i = 0; i < DECAP_TAGS_MOST; i++) {
		struct decap_tag *tag = d->data + d->l3_offset;

		if (ethertype != bpf_htons(ETH_P_8021Q) && ethertype != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > d->end)
			return 0;
		ethertype = tag->ethertype;
		d->l3_offset += sizeof(*tag);
	}
	return ethertype;
}

/* Whether the header's checksum holds. Nobody looks at it after us, and it guards the sender's address. */
static __always_inline int decap_sum4(const struct iphdr *ip, const void *end)
{
	const __u16 *word = (const void *)ip;
	__u32 sum = 0;

	for (int i = 0; i < DECAP_IP4_WORDS_MOST && i < ip->ihl * 2; i++) {
		if ((const void *)(word + i + 1) > end)
			return 0;
		sum += word[i];
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return (sum & 0xffff) == 0xffff;
}

/* What stands behind the outer IP header. */
static __always_inline void *decap_behind(const struct decap *d)
{
	return d->data + ((d->l3_offset + d->outer_bytes) & DECAP_OFFSET_MASK);
}

/* Whether UDP behind the outer IP header is for the port of GUE, and anybody here wants that. */
static __always_inline int decap_is_gue(const struct decap *d)
{
	struct udphdr *udp = decap_behind(d);
	struct hpb_settings *found;
	__u32 zero = 0;

	if ((void *)(udp + 1) > d->end || udp->dest != bpf_htons(HP_GUE_PORT))
		return 0;
	found = bpf_map_lookup_elem(&settings, &zero);
	return found && (found->flags & HPB_TAKES_GUE);
}

/* Whether a tunnel's packet stands behind the outer IP header: that of an IP-in-IP tunnel, or of GUE, which has its own
 * header next. */
static __always_inline int decap_is_tunnel(struct decap *d, __u8 protocol)
{
	d->inner_protocol = protocol;
	if (protocol == IPPROTO_UDP)
		return d->is_gue = (__u8)decap_is_gue(d);
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

/* Outer header. Returns 0 when it is none of a tunnel's. Options are skipped; fragments are the kernel's, of which a later
 * one of UDP names no port. */
static __always_inline int decap_outer4(struct decap *d)
{
	struct iphdr *ip = d->data + (d->l3_offset & DECAP_OFFSET_MASK);
	struct hpb_prefix4 key = {.bits = 32};

	if ((void *)(ip + 1) > d->end || ip->version != 4 || ip->ihl < 5)
		return 0;
	d->outer_bytes = ip->ihl * 4;
	if (ip->protocol == IPPROTO_UDP && ip->frag_off & bpf_htons(DECAP_LATER_FRAGMENT))
		return 0;
	if (!decap_is_tunnel(d, ip->protocol))
		return 0;
	if (ip->frag_off & bpf_htons(DECAP_FRAGMENT)) {
		backend_count(HPB_FRAGMENT);
		return 0;
	}
	if (bpf_ntohs(ip->tot_len) < d->outer_bytes || !decap_sum4(ip, d->end)) {
		backend_count(HPB_MALFORMED);
		return 0;
	}
	d->inner_bytes = bpf_ntohs(ip->tot_len) - d->outer_bytes;
	key.address = ip->saddr;
	d->is_allowed = bpf_map_lookup_elem(&senders4, &key) != NULL;
	return 1;
}

static __always_inline int decap_outer6(struct decap *d)
{
	struct ipv6hdr *ip = d->data + (d->l3_offset & DECAP_OFFSET_MASK);
	struct hpb_prefix6 key = {.bits = 128};

	if ((void *)(ip + 1) > d->end || ip->version != 6)
		return 0;
	d->outer_bytes = sizeof(*ip);
	if (!decap_is_tunnel(d, ip->nexthdr))
		return 0;
	d->inner_bytes = bpf_ntohs(ip->payload_len);
	__builtin_memcpy(key.address, &ip->saddr, sizeof(key.address));
	d->is_allowed = bpf_map_lookup_elem(&senders6, &key) != NULL;
	return 1;
}

/* UDP and GUE, plain or with a second chance, which outer_bytes and inner_bytes then take in. HPB_COUNTER_COUNT: well.
 *
 * What directors do not send is the kernel's: control packets, optional fields, private data of others, and a UDP
 * checksum, which nobody would look at after us. */
static __always_inline enum hpb_counter decap_gue(struct decap *d)
{
	struct udphdr *udp = decap_behind(d);
	struct hp_gue *gue = (void *)(udp + 1);
	struct hp_gue_chance *chance = (void *)(gue + 1);
	__u32 bytes = HP_GUE_BYTES;

	if ((void *)(gue + 1) > d->end || bpf_ntohs(udp->len) > d->inner_bytes || bpf_ntohs(udp->len) < HP_GUE_BYTES)
		return HPB_MALFORMED;
	if (udp->check || gue->flags || (gue->protocol != IPPROTO_IPIP && gue->protocol != IPPROTO_IPV6))
		return HPB_OTHER_GUE;
	d->inner_protocol = gue->protocol;
	if (gue->form == HP_GUE_WITH_CHANCE) {
		bytes += sizeof(*chance);
		if ((void *)(chance + 1) > d->end || bpf_ntohs(udp->len) < HP_GUE_BYTES + sizeof(*chance))
			return HPB_MALFORMED;
		if (chance->magic != HP_CHANCE_MAGIC || chance->version != HP_CHANCE_VERSION)
			return HPB_OTHER_GUE;
	} else if (gue->form != HP_GUE_PLAIN) {
		return HPB_OTHER_GUE;
	}
	d->inner_bytes = bpf_ntohs(udp->len) - bytes;
	d->outer_bytes += bytes;
	return HPB_COUNTER_COUNT;
}

/* Whether the inner packet is whole and for a VIP that is tunnelled. HPB_COUNTER_COUNT: yes. */
static __always_inline enum hpb_counter decap_judge(struct decap *d)
{
	__u32 method = d->is_gue ? HPB_VIP_GUE : HPB_VIP_IPIP, *flags;
	struct ipv6hdr *ip6 = decap_behind(d);
	struct iphdr *ip4 = (void *)ip6;

	if (d->l3_offset + d->outer_bytes + d->inner_bytes > d->bytes)
		return HPB_MALFORMED;
	if (d->inner_protocol == IPPROTO_IPIP) {
		if ((void *)(ip4 + 1) > d->end || ip4->version != 4 || bpf_ntohs(ip4->tot_len) > d->inner_bytes)
			return HPB_MALFORMED;
		flags = bpf_map_lookup_elem(&vips4, &ip4->daddr);
	} else {
		if ((void *)(ip6 + 1) > d->end || ip6->version != 6 ||
		    bpf_ntohs(ip6->payload_len) + sizeof(*ip6) > d->inner_bytes)
			return HPB_MALFORMED;
		flags = bpf_map_lookup_elem(&vips6, &ip6->daddr);
	}
	if (!flags || !(*flags & method))
		return HPB_OTHER_TUNNEL;
	return d->is_allowed ? HPB_COUNTER_COUNT : HPB_REFUSED_SENDER;
}

/* Remember the sender for status. Two CPUs may write at once; a mixed address is replaced by the next packet's. */
static __always_inline void decap_note_refused(const struct decap *d, __u32 family)
{
	struct hpb_refused *last = bpf_map_lookup_elem(&refused, &family);
	struct iphdr *ip4 = d->data + (d->l3_offset & DECAP_OFFSET_MASK);
	struct ipv6hdr *ip6 = (void *)ip4;

	if (!last)
		return;
	if (family == HPB_REFUSED4 && (void *)(ip4 + 1) <= d->end)
		last->address[0] = ip4->saddr;
	if (family == HPB_REFUSED6 && (void *)(ip6 + 1) <= d->end)
		__builtin_memcpy(last->address, &ip6->saddr, sizeof(last->address));
	last->at_ns = bpf_ktime_get_ns();
}

/* Move the link header, tags and all, up to the inner packet. link_bytes is a constant. */
static __always_inline int decap_shift(struct xdp_md *ctx, const struct decap *d, __u32 link_bytes)
{
	__be16 ethertype = d->inner_protocol == IPPROTO_IPIP ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	__u8 link[DECAP_LINK_MOST];
	void *data = d->data;

	if (data + link_bytes > d->end)
		return XDP_PASS;
	__builtin_memcpy(link, data, link_bytes);
	if (bpf_xdp_adjust_head(ctx, (int)d->outer_bytes))
		return XDP_PASS;
	data = (void *)(long)ctx->data;
	if (data + link_bytes > (void *)(long)ctx->data_end)
		return XDP_DROP;
	__builtin_memcpy(data, link, link_bytes);
	*(__be16 *)(data + link_bytes - sizeof(ethertype)) = ethertype;
	backend_count(HPB_DECAPSULATED);
	return XDP_PASS;
}

static __always_inline int decap(struct xdp_md *ctx)
{
	struct decap d = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
	__be16 ethertype = decap_link(&d);
	enum hpb_counter judged;
	int is_tunnel = 0;

	d.bytes = is_multi_buffer ? bpf_xdp_get_buff_len(ctx) : (__u32)(d.end - d.data);
	if (ethertype == bpf_htons(ETH_P_IP))
		is_tunnel = decap_outer4(&d);
	else if (ethertype == bpf_htons(ETH_P_IPV6))
		is_tunnel = decap_outer6(&d);
	if (!is_tunnel)
		return XDP_PASS;
	judged = d.is_gue ? decap_gue(&d) : HPB_COUNTER_COUNT;
	if (judged == HPB_COUNTER_COUNT)
		judged = decap_judge(&d);
	if (judged != HPB_COUNTER_COUNT) {
		backend_count(judged);
		if (judged == HPB_REFUSED_SENDER)
			decap_note_refused(&d, ethertype == bpf_htons(ETH_P_IP) ? HPB_REFUSED4 : HPB_REFUSED6);
		return XDP_PASS;
	}
	if (d.l3_offset == ETH_HLEN)
		return decap_shift(ctx, &d, ETH_HLEN);
	if (d.l3_offset == ETH_HLEN + 4)
		return decap_shift(ctx, &d, ETH_HLEN + 4);
	return decap_shift(ctx, &d, ETH_HLEN + 8);
}

#endif

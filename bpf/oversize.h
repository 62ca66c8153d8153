/* Oversize: what becomes of a packet that is longer than the path to its backend takes.
 *
 * Its sender is told by ICMP "fragmentation needed" (RFC 1191) or ICMPv6 "packet too big" (RFC 4443), in the VIP's name; that of
 * an IPv4 packet without DF as well, unless its service says else, so that the sender cuts what nobody here does. So many are
 * told a second and no more; the others' packets are dropped without a word, and so are packets that no error may answer (RFC
 * 1122, 3.2.2; RFC 4443, 2.4): errors, later fragments, what no host can have sent. */
#ifndef HP_OVERSIZE_H
#define HP_OVERSIZE_H

#include "packet.h"
#include "parse.h"
#include "answer.h"

/* Bytes that are quoted, so that an error has at most 576 (RFC 1812, 4.3.2.3) or 1280 (RFC 4443, 2.4), in steps that a checksum
 * is made of. */
#define OVERSIZE_QUOTE4 544
#define OVERSIZE_STEP4 136
#define OVERSIZE_QUOTE6 1232
#define OVERSIZE_STEP6 176
#define OVERSIZE_PRECEDENCE 0xc0 /* internetwork control (RFC 1812, 4.3.2.5) */
#define OVERSIZE_LEAST6 1280	 /* no host takes an IPv6 path for narrower (RFC 8201, 4) */
#define ICMP4_NEEDS_FRAGMENTS 4	 /* the code */
#define IPV4_KEEP_WHOLE 0x4000

struct oversize_error4 {
	struct iphdr ip;
	struct icmp_head icmp;
};

struct oversize_error6 {
	struct ipv6hdr ip;
	struct icmp_head icmp;
};

/* ---- how many are told -------------------------------------------------------------------------------------------- */

/* A bucket of `most` tokens, one more every `every_ns`; it keeps when it will be full again. Returns whether there was one. */
static ALWAYS_INLINE int oversize_take(__u32 at, __u64 now, __u64 every_ns, __u64 most)
{
	__u64 *full = bpf_map_lookup_elem(&tellings, &at), from;

	if (!full)
		return 0;
	from = *full > now ? *full : now;
	if (from - now > every_ns * (most - 1))
		return 0;
	*full = from + every_ns;
	return 1;
}

/* Whether this sender may be told: one of a /64 counts as all of it. The twin takes nothing. */
static ALWAYS_INLINE int oversize_may_tell(const struct packet *pkt)
{
	__u64 from = pkt->flow.is_ipv6 ? hp_pair(pkt->flow.source[0], pkt->flow.source[1]) : pkt->flow.source[3];
	__u64 now;

	if (hp_tracing)
		return 1;
	now = bpf_ktime_get_ns();
	return oversize_take(1 + (__u32)(hp_mix(from) % HP_TELLINGS_SENDERS), now, 1000000000 / HP_TELLINGS_OF_ONE,
			     HP_TELLINGS_OF_ONE) &&
	       oversize_take(0, now, 1000000000 / HP_TELLINGS_OF_ALL, HP_TELLINGS_OF_ALL);
}

/* ---- the error ------------------------------------------------------------------------------------------------------ */

/* Cut the packet to what is quoted, and make room for `head_bytes` in front. Returns 0 on success. */
static ALWAYS_INLINE int oversize_resize(const struct packet *pkt, __u32 quote_bytes, __u32 head_bytes)
{
	int more = (int)(pkt->l3_offset + quote_bytes) - (int)(pkt->end - pkt->data);

	if (more && bpf_xdp_adjust_tail(pkt->ctx, more))
		return -1;
	return (int)bpf_xdp_adjust_head(pkt->ctx, -(int)head_bytes);
}

/* Back to where the packet came from, by the same tags. */
static ALWAYS_INLINE void oversize_put_link(void *to, const void *from, __u32 bytes)
{
	answer_copy_mac(to, from + ETH_ALEN);
	answer_copy_mac(to + ETH_ALEN, from);
#pragma unroll
	for (__u32 at = 2 * ETH_ALEN; at < ETH_HLEN + PARSE_TAGS_MOST * sizeof(struct vlan_tag); at += 2)
		if (at < bytes)
			*(__u16 *)(to + at) = *(const __u16 *)(from + at);
}

/* Sum of the words from `at` on, in steps, which bounds what a helper takes at once. */
static ALWAYS_INLINE __u32 oversize_sum(__u32 sum, void *at, __u32 bytes, __u32 step)
{
#pragma unroll
	for (__u32 done = 0; done < bytes; done += step)
		sum = (__u32)bpf_csum_diff(NULL, 0, at + done, step, sum);
	return sum;
}

static ALWAYS_INLINE int oversize_tell4(const struct packet *pkt, __u32 mtu)
{
	__u32 l3_offset = pkt->l3_offset & ANSWER_L3_MASK, sum;
	struct oversize_error4 *error;
	void *data, *end;

	if (oversize_resize(pkt, OVERSIZE_QUOTE4, sizeof(*error)))
		return 0;
	data = (void *)(long)pkt->ctx->data;
	end = (void *)(long)pkt->ctx->data_end;
	error = data + l3_offset;
	if ((void *)(error + 1) + OVERSIZE_QUOTE4 > end)
		return 0;
	oversize_put_link(data, data + sizeof(*error), pkt->l3_offset);
	error->ip = (struct iphdr){
		.version = 4,
		.ihl = sizeof(error->ip) / 4,
		.tos = OVERSIZE_PRECEDENCE,
		.tot_len = bpf_htons(sizeof(*error) + OVERSIZE_QUOTE4),
		.frag_off = bpf_htons(IPV4_KEEP_WHOLE),
		.ttl = ANSWER_TTL,
		.protocol = IPPROTO_ICMP,
		.saddr = pkt->flow.destination[3],
		.daddr = pkt->flow.source[3],
	};
	error->ip.check = answer_fold((__u64)bpf_csum_diff(NULL, 0, (void *)&error->ip, sizeof(error->ip), 0));
	error->icmp = (struct icmp_head){ICMP4_UNREACHABLE, ICMP4_NEEDS_FRAGMENTS, 0, bpf_htonl(mtu)};
	sum = (__u32)bpf_csum_diff(NULL, 0, (void *)&error->icmp, sizeof(error->icmp), 0);
	error->icmp.checksum = answer_fold(oversize_sum(sum, error + 1, OVERSIZE_QUOTE4, OVERSIZE_STEP4));
	return 1;
}

static ALWAYS_INLINE int oversize_tell6(const struct packet *pkt, __u32 mtu)
{
	__u32 l3_offset = pkt->l3_offset & ANSWER_L3_MASK, sum;
	struct oversize_error6 *error;
	void *data, *end;

	if (oversize_resize(pkt, OVERSIZE_QUOTE6, sizeof(*error)))
		return 0;
	data = (void *)(long)pkt->ctx->data;
	end = (void *)(long)pkt->ctx->data_end;
	error = data + l3_offset;
	if ((void *)(error + 1) + OVERSIZE_QUOTE6 > end)
		return 0;
	oversize_put_link(data, data + sizeof(*error), pkt->l3_offset);
	error->ip = (struct ipv6hdr){
		.version = 6,
		.payload_len = bpf_htons(sizeof(error->icmp) + OVERSIZE_QUOTE6),
		.nexthdr = IPPROTO_ICMPV6,
		.hop_limit = ANSWER_TTL,
	};
	__builtin_memcpy(&error->ip.saddr, pkt->flow.destination, sizeof(error->ip.saddr));
	__builtin_memcpy(&error->ip.daddr, pkt->flow.source, sizeof(error->ip.daddr));
	error->icmp = (struct icmp_head){ICMP6_TOO_BIG, 0, 0, bpf_htonl(mtu)};
	/* The addresses and what follows, and of the pseudo header what is left. */
	sum = (__u32)bpf_csum_diff(NULL, 0, (void *)&error->ip.saddr, sizeof(error->ip.saddr) * 2 + sizeof(error->icmp),
				   bpf_htonl(sizeof(error->icmp) + OVERSIZE_QUOTE6 + IPPROTO_ICMPV6));
	error->icmp.checksum = answer_fold(oversize_sum(sum, error + 1, OVERSIZE_QUOTE6, OVERSIZE_STEP6));
	return 1;
}

/* ---- what may be answered --------------------------------------------------------------------------------------------- */

/* Whether the sender of a packet without DF is to be told. */
static ALWAYS_INLINE int oversize_says_icmp(__u32 service)
{
	struct hp_terms *of = bpf_map_lookup_elem(&terms, &service);

	return of && *(volatile __u8 *)&of->oversize == HP_OVERSIZE_ICMP;
}

static ALWAYS_INLINE int oversize4(struct packet *pkt, __u32 room, __u32 service)
{
	const struct iphdr *ip = pkt->l3;

	if (parse_ipv4(pkt) != HP_CONTINUE || pkt->ip_bytes < OVERSIZE_QUOTE4)
		return 0;
	if (!(ip->frag_off & bpf_htons(IPV4_KEEP_WHOLE)) && !oversize_says_icmp(service))
		return 0;
	if (pkt->is_later_fragment || pkt->flow.protocol == IPPROTO_ICMP || !answer_is_host4(pkt) || !oversize_may_tell(pkt))
		return 0;
	return oversize_tell4(pkt, room);
}

/* A path that does not take what every IPv6 path has to is none that a sender can be told of. */
static ALWAYS_INLINE int oversize6(struct packet *pkt, __u32 room)
{
	if (parse_ipv6(pkt) != HP_CONTINUE || pkt->ip_bytes <= OVERSIZE_LEAST6)
		return 0;
	if (pkt->is_later_fragment || pkt->flow.protocol == IPPROTO_ICMPV6 || !answer_is_host6(pkt) || !oversize_may_tell(pkt))
		return 0;
	return oversize_tell6(pkt, room < OVERSIZE_LEAST6 ? OVERSIZE_LEAST6 : room);
}

/* Tell the sender of an IP packet, which is longer than `room`, or not. Returns whether it was told: the frame is the error then.
 * A function of its own, that reads the packet anew: the others carry nothing for it. */
__attribute__((noinline)) int oversize_tell(struct xdp_md *ctx, __u32 room, __u32 service)
{
	struct packet pkt = {
		.ctx = ctx,
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};

	if (parse_link(&pkt) != HP_CONTINUE)
		return 0;
	return pkt.ethertype == bpf_htons(ETH_P_IP) ? oversize4(&pkt, room, service) : oversize6(&pkt, room);
}

#endif

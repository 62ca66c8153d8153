/* Moving: the walk of a packet from the pick on, when its service lives through a change or keeps the ring of the last
 * one.
 *
 * In functions of their own that read the packet anew: a packet of a steady service carries nothing for them, and the
 * verifier looks at each once, and not once for every way in which a packet comes here. What one has found out it hands
 * to the next in a struct continuity. */
#ifndef HP_MOVING_H
#define HP_MOVING_H

#include "packet.h"
#include "parse.h"
#include "answer.h"
#include "pick.h"
#include "continuity.h"
#include "forward.h"
#include "quic.h"
#include "count.h"
#include "clamp.h"

#define MOVING_L3_MASK 63 /* above a link header with all its tags */

/* Ports, or the flow that an ICMP error quotes; other protocols have neither. */
static ALWAYS_INLINE enum hp_verdict moving_parse_transport(struct packet *pkt)
{
	if (hp_has_ports(pkt->flow.protocol))
		return parse_ports(pkt);
	if (pkt->flow.is_ipv6)
		return pkt->flow.protocol == IPPROTO_ICMPV6 ? answer_quote6(pkt) : HP_CONTINUE;
	return pkt->flow.protocol == IPPROTO_ICMP ? answer_quote4(pkt) : HP_CONTINUE;
}

static ALWAYS_INLINE enum hp_verdict moving_parse(struct packet *pkt)
{
	enum hp_verdict verdict = parse_link(pkt);

	if (verdict == HP_CONTINUE)
		verdict = pkt->ethertype == bpf_htons(ETH_P_IP) ? parse_ipv4(pkt) : parse_ipv6(pkt);
	return verdict == HP_CONTINUE ? moving_parse_transport(pkt) : verdict;
}

static ALWAYS_INLINE __u32 moving_sticks(__u32 service)
{
	struct hp_motion *motion = bpf_map_lookup_elem(&motions, &service);

	return motion ? *(volatile __u32 *)&motion->sticks : 0;
}

/* What the service's ring `now` says, and which is its ring `before`. Needs flow; sets before, sticks, backend, hash, verdict. */
static ALWAYS_INLINE void moving_pick(struct packet *pkt, __u64 rings, struct continuity *out)
{
	out->before = (__u32)(rings >> 32);
	out->sticks = moving_sticks(pkt->service);
	out->verdict = pick(pkt, (__u32)rings);
	out->backend = pkt->backend;
	out->hash = pkt->backend ? pkt->hash : hp_flow_check(&pkt->flow); /* tunnels vary with it, also without a ring `now` */
}

/* Fill `out` in: the flow, the packet's kind, and what the service's ring `now` says. Returns 0. */
__attribute__((noinline)) int moving_read(struct xdp_md *ctx, __u32 service, struct continuity *out)
{
	struct packet pkt = {
		.ctx = ctx,
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
		.service = service,
	};
	__u64 rings = pick_rings(&pkt);

	if (!out)
		return 0;
	out->verdict = moving_parse(&pkt);
	if (out->verdict != HP_CONTINUE)
		return 0;
	out->kind = continuity_kind(&pkt);
	if (pkt.flow.protocol == IPPROTO_UDP && !pkt.is_quoted && !pkt.is_later_fragment)
		out->payload = pkt.l3_offset + pkt.l4_offset + PARSE_UDP_BYTES;
	out->flow = pkt.flow;
	moving_pick(&pkt, rings, out);
	return 0;
}

/* Where a packet's parts stand, and which they are, in one word. */
#define MOVING_IS_QUOTED (1u << 8)
#define MOVING_IS_IPV6 (1u << 9)

static ALWAYS_INLINE __u64 moving_place(const struct packet *pkt)
{
	__u32 marks = (pkt->is_quoted ? MOVING_IS_QUOTED : 0) | (pkt->flow.is_ipv6 ? MOVING_IS_IPV6 : 0);

	return hp_pair(pkt->ip_bytes, pkt->l3_offset | marks);
}

/* Send a packet and count it. place: as moving_place says. Returns the action. */
__attribute__((noinline)) int moving_send(struct xdp_md *ctx, __u32 service, __u64 place, const struct continuity *picked)
{
	__u32 marks = (__u32)(place >> 32);
	struct packet pkt = {
		.ctx = ctx,
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
		.l3_offset = marks & MOVING_L3_MASK,
		.ip_bytes = (__u32)place,
		.is_quoted = (marks & MOVING_IS_QUOTED) != 0,
		.service = service,
	};
	enum hp_verdict verdict;

	if (!picked || packet_ends_before(&pkt, pkt.data + ETH_HLEN))
		return XDP_ABORTED; /* cannot be, which the verifier does not know */
	pkt.l3 = pkt.data + pkt.l3_offset;
	pkt.flow.is_ipv6 = (marks & MOVING_IS_IPV6) != 0;
	pkt.backend = picked->backend;
	pkt.alternate = picked->alternate;
	pkt.hash = picked->hash;
	verdict = (enum hp_verdict)picked->verdict;
	if (verdict == HP_CONTINUE && picked->before & HP_SERVICE_CLAMPS && picked->kind == HP_PACKET_OPENING)
		clamp(ctx, service, picked->backend);
	if (verdict == HP_CONTINUE)
		verdict = forward(&pkt);
	return count_served(&pkt, verdict == HP_FORWARDED && pkt.is_quoted ? HP_ICMP_FORWARDED : verdict);
}

/* Whether a service with these words lives through a change, or keeps a ring `before`. */
static ALWAYS_INLINE int moving_concerns(__u64 rings)
{
	return ((__u32)(rings >> 32) & ~HP_SERVICE_FLAGS) != 0;
}

/* Whether the change makes no difference to a packet: both rings name the same backend, and no table is to be asked. It is
 * then as one of a steady service, but for the twin, which has to say why. */
static ALWAYS_INLINE int moving_agrees(const struct packet *pkt, __u64 rings)
{
	__u32 before = (__u32)(rings >> 32);

	if (hp_tracing || (before & HP_MOTION_ASKS && before & HP_MOTION_ANY))
		return 0;
	return continuity_slot(&pkt->flow, (__u32)rings) == continuity_slot(&pkt->flow, before & HP_BLOCK_MASK);
}

/* What the functions hand on: one for each CPU, as guard_room. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct continuity);
} moving_room SEC(".maps");

/* All of it; of a steady service, whose packet comes here for its MSS or its connection ID, what the ring says. Needs
 * service, l3_offset, ip_bytes, is_quoted, the flow's family. Returns the action. */
static ALWAYS_INLINE int moving(const struct packet *pkt)
{
	__u32 zero = 0;
	struct continuity *picked = bpf_map_lookup_elem(&moving_room, &zero);

	if (!picked)
		return XDP_ABORTED; /* cannot be, which the verifier does not know */
	__builtin_memset(picked, 0, sizeof(*picked));
	moving_read(pkt->ctx, pkt->service, picked);
	if (picked->before & HP_SERVICE_QUIC)
		quic(pkt->ctx, pkt->service, picked);
	if (picked->before & ~HP_SERVICE_FLAGS && (picked->verdict == HP_CONTINUE || picked->verdict == HP_NO_BACKEND))
		continuity(picked);
	return moving_send(pkt->ctx, pkt->service, moving_place(pkt), picked);
}

#endif

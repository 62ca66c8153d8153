/* The director's XDP program: parse -> answer -> service -> guard -> pick -> forward -> count.
 *
 * Each step is one header with one entry function, and a packet never goes back to an earlier step. A step
 * returns HP_CONTINUE or the verdict; the verdict is counted and becomes an action in one place. */
#include "packet.h"
#include "parse.h"
#include "answer.h"
#include "service.h"
#include "guard.h"
#include "pick.h"
#include "forward.h"
#include "count.h"
#include "clamp.h"
#include "moving.h"
#include "fragment.h"
#include "probe.h"

#define STEP(step)                              \
	do {                                    \
		verdict = (step);               \
		if (verdict != HP_CONTINUE)     \
			return verdict;         \
	} while (0)

/* Layer 4: ports, or what ICMP has to say. */
static ALWAYS_INLINE enum hp_verdict parse_transport(struct packet *pkt)
{
	if (likely(pkt->flow.protocol == IPPROTO_TCP || pkt->flow.protocol == IPPROTO_UDP))
		return parse_ports(pkt);
	if (pkt->flow.protocol == IPPROTO_ICMP && !pkt->flow.is_ipv6)
		return answer_icmp4(pkt);
	if (pkt->flow.protocol == IPPROTO_ICMPV6 && pkt->flow.is_ipv6)
		return answer_icmp6(pkt);
	if (pkt->flow.protocol == IPPROTO_SCTP)
		return parse_ports(pkt);
	pkt->is_portless = 1;
	return HP_CONTINUE;
}

/* Steps that know no service yet. Sets service exactly when HP_CONTINUE is returned. */
static ALWAYS_INLINE enum hp_verdict find(struct packet *pkt)
{
	enum hp_verdict verdict;

	STEP(parse_transport(pkt));
	return service(pkt);
}

/* Steps of a steady service's packet. */
static ALWAYS_INLINE enum hp_verdict serve(struct packet *pkt, __u32 ring)
{
	enum hp_verdict verdict;

	STEP(pick(pkt, ring));
	verdict = forward(pkt);
	return verdict == HP_FORWARDED && pkt->is_quoted ? HP_ICMP_FORWARDED : verdict;
}

static ALWAYS_INLINE int walk(struct packet *pkt, enum hp_verdict parsed)
{
	enum hp_verdict verdict = parsed;
	__u64 rings;

	if (unlikely(pkt->is_fragment) && verdict == HP_CONTINUE)
		return fragment(pkt->ctx);
	if (verdict == HP_CONTINUE)
		verdict = find(pkt);
	if (verdict != HP_CONTINUE)
		return count_stranger(pkt->ctx, verdict);
	rings = pick_rings(pkt);
	if (unlikely(rings >> 32)) {
		verdict = guard(pkt, rings);
		if (verdict != HP_CONTINUE)
			return count_served(pkt, verdict);
		if (clamp_concerns(pkt, rings) || quic_concerns(rings) || (moving_concerns(rings) && !moving_agrees(pkt, rings)))
			return moving(pkt);
	}
	return count_served(pkt, serve(pkt, (__u32)rings));
}

/* Each family walks code of its own, in which the compiler knows it. */
static ALWAYS_INLINE int director(struct xdp_md *ctx)
{
	struct packet pkt = {
		.ctx = ctx,
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	enum hp_verdict verdict = parse_link(&pkt);

	if (unlikely(verdict != HP_CONTINUE))
		return count_stranger(ctx, verdict);
	if (likely(pkt.ethertype == bpf_htons(ETH_P_IP)))
		return walk(&pkt, parse_ipv4(&pkt));
	if (likely(pkt.ethertype == bpf_htons(ETH_P_IPV6)))
		return walk(&pkt, parse_ipv6(&pkt));
	if (pkt.ethertype == bpf_htons(ETH_P_ARP))
		return count_stranger(ctx, answer_arp(&pkt));
	return count_stranger(ctx, HP_NOT_IP);
}

SEC("xdp")
int halfproxy(struct xdp_md *ctx)
{
	return director(ctx);
}

/* On interfaces that packets only leave by: redirect wants an XDP program there on many drivers. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* At tc egress, where probes leave. */
SEC("tc")
int probe_out(struct __sk_buff *skb)
{
	return probe(skb);
}

char LICENSE[] SEC("license") = "GPL";

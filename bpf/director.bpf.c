/* The director's XDP program: parse -> answer -> service -> pick -> forward.
 *
 * Each step is one header with one entry function, and a packet never goes back to an earlier step. A step
 * returns HP_CONTINUE or the verdict; the verdict is counted and becomes an action in one place. */
#include "packet.h"
#include "parse.h"
#include "answer.h"
#include "service.h"
#include "pick.h"
#include "forward.h"
#include "count.h"

#define STEP(step)                              \
	do {                                    \
		verdict = (step);               \
		if (verdict != HP_CONTINUE)     \
			return verdict;         \
	} while (0)

/* Layer 3: addresses, protocol, lengths. */
static ALWAYS_INLINE enum hp_verdict parse_network(struct packet *pkt)
{
	if (likely(pkt->ethertype == bpf_htons(ETH_P_IP)))
		return parse_ipv4(pkt);
	if (likely(pkt->ethertype == bpf_htons(ETH_P_IPV6)))
		return parse_ipv6(pkt);
	return HP_NOT_IP;
}

/* Layer 4: ports, or what ICMP has to say. */
static ALWAYS_INLINE enum hp_verdict parse_transport(struct packet *pkt)
{
	if (unlikely(pkt->is_later_fragment))
		return HP_CONTINUE;
	if (likely(pkt->flow.protocol == IPPROTO_TCP || pkt->flow.protocol == IPPROTO_UDP))
		return parse_ports(pkt);
	if (pkt->flow.protocol == IPPROTO_ICMP && !pkt->flow.is_ipv6)
		return answer_icmp4(pkt);
	if (pkt->flow.protocol == IPPROTO_ICMPV6 && pkt->flow.is_ipv6)
		return answer_icmp6(pkt);
	return service_vip(pkt) ? HP_VIP_OTHER : HP_NOT_VIP;
}

static ALWAYS_INLINE enum hp_verdict walk(struct packet *pkt)
{
	enum hp_verdict verdict;

	STEP(parse_link(pkt));
	if (unlikely(pkt->ethertype == bpf_htons(ETH_P_ARP)))
		return answer_arp(pkt);
	STEP(parse_network(pkt));
	STEP(parse_transport(pkt));
	STEP(service(pkt));
	STEP(pick(pkt));
	verdict = forward(pkt);
	return verdict == HP_FORWARDED && pkt->is_quoted ? HP_ICMP_FORWARDED : verdict;
}

static ALWAYS_INLINE void record_end(const struct packet *pkt, enum hp_verdict verdict)
{
	struct hp_trace *record = trace_record();

	if (!record)
		return;
	record->verdict = verdict;
	record->service = pkt->service;
	record->ip_bytes = pkt->ip_bytes;
	record->l3_offset = pkt->l3_offset;
	record->protocol = pkt->flow.protocol;
	record->quoted = pkt->is_quoted;
}

static ALWAYS_INLINE int director(struct xdp_md *ctx)
{
	struct packet pkt = {
		.ctx = ctx,
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	enum hp_verdict verdict = walk(&pkt);

	if (hp_tracing)
		record_end(&pkt, verdict);
	else
		count(&pkt, verdict);
	return count_action(&pkt, verdict);
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

char LICENSE[] SEC("license") = "GPL";

/* Limit: whether a source may open one flow more of a service now.
 *
 * TCP: a SYN opens a flow, also one that is sent again. UDP: each packet does; only services whose packets belong to no flow
 * have a limit. What is about a flow, an ICMP error or a later fragment, is no matter of it. */
#ifndef HP_LIMIT_H
#define HP_LIMIT_H

#include "packet.h"
#include "parse.h"
#include "rules.h"

static ALWAYS_INLINE void limit_trace(__u64 owed_ns)
{
	struct hp_trace *record = trace_record();

	if (!record)
		return;
	record->counts = 1;
	record->owed_ns = owed_ns;
}

/* Needs l4_offset and the flow's protocol. */
static ALWAYS_INLINE int limit_counts(const struct packet *pkt)
{
	const __u8 *tcp = parse_l4(pkt);

	if (pkt->is_later_fragment)
		return 0;
	if (pkt->flow.protocol != IPPROTO_TCP)
		return 1;
	if (packet_ends_before(pkt, (void *)tcp + PARSE_TCP_BYTES))
		return 0;
	return hp_tcp_kind(tcp[13]) == HP_PACKET_OPENING;
}

static ALWAYS_INLINE void limit_source(const struct packet *pkt, __u32 limit, struct hp_source *source)
{
	source->limit = limit;
	source->is_ipv6 = pkt->flow.is_ipv6;
	source->address[0] = pkt->flow.is_ipv6 ? pkt->flow.source[0] : pkt->flow.source[3];
	source->address[1] = pkt->flow.is_ipv6 ? pkt->flow.source[1] : 0;
}

/* Let the source pay for a flow, if it may open one. */
static ALWAYS_INLINE enum hp_verdict limit_pay(const struct hp_source *source, __u64 cost_ns, __u64 burst_ns)
{
	__u64 now_ns = bpf_ktime_get_boot_ns(), paid_ns = now_ns, *known = bpf_map_lookup_elem(&sources, source);

	if (known)
		paid_ns = *(volatile __u64 *)known;
	if (paid_ns < now_ns)
		paid_ns = now_ns;
	if (paid_ns - now_ns > burst_ns + cost_ns) { /* owed under another limit, which counts as the most under this one */
		paid_ns = now_ns + burst_ns + cost_ns;
		if (known && !hp_tracing)
			*(volatile __u64 *)known = paid_ns;
	}
	limit_trace(paid_ns - now_ns);
	if (paid_ns - now_ns > burst_ns)
		return HP_LIMITED;
	paid_ns += cost_ns;
	if (hp_tracing)
		return HP_CONTINUE;
	if (known)
		*(volatile __u64 *)known = paid_ns;
	else
		bpf_map_update_elem(&sources, source, &paid_ns, BPF_ANY);
	return HP_CONTINUE;
}

/* Judge a packet that is no ICMP error by the terms of its service. A function of its own, which reads the packet anew. Returns
 * HP_CONTINUE or HP_LIMITED. */
__attribute__((noinline)) int limit_judge(struct xdp_md *ctx, __u32 service)
{
	struct packet pkt = {
		.ctx = ctx,
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	struct hp_terms *of = bpf_map_lookup_elem(&terms, &service);
	struct hp_source source;
	enum hp_verdict verdict = parse_link(&pkt);
	__u32 limit;

	if (!of || verdict != HP_CONTINUE)
		return HP_CONTINUE;
	limit = *(volatile __u32 *)&of->limit;
	verdict = pkt.ethertype == bpf_htons(ETH_P_IP) ? parse_ipv4(&pkt) : parse_ipv6(&pkt);
	if (!limit || verdict != HP_CONTINUE || !limit_counts(&pkt))
		return HP_CONTINUE;
	limit_source(&pkt, limit, &source);
	return limit_pay(&source, *(volatile __u64 *)&of->cost_ns, *(volatile __u64 *)&of->burst_ns);
}

#endif

/* Count: the one place where a verdict becomes a number and an XDP action; in the tracing twin, the trace's end. */
#ifndef HP_COUNT_H
#define HP_COUNT_H

#include "packet.h"
#include "sample.h"

/* The XDP action of a verdict, as the list in abi.h says; a forwarded packet leaves as the forward step said. */
static ALWAYS_INLINE int count_action(enum hp_verdict verdict)
{
	switch (verdict) {
#define HP_VERDICT_ACTION(name, action, text) \
	case HP_##name:                       \
		return action;
		HP_VERDICTS(HP_VERDICT_ACTION)
#undef HP_VERDICT_ACTION
	case HP_VERDICT_COUNT:
		break;
	}
	return XDP_PASS;
}

/* The twin writes the trace and nothing else. */
static ALWAYS_INLINE void count_trace(__u32 service, enum hp_verdict verdict)
{
	struct hp_trace *record = trace_record();

	if (!record)
		return;
	record->verdict = verdict;
	record->service = service;
}

/* Plain additions: no other program runs on this CPU meanwhile, and each CPU has rows of its own. */
static ALWAYS_INLINE void count_service(__u32 cpu, __u32 number, enum hp_verdict verdict, __u64 bytes)
{
	__u32 row = cpu * hp_service_stride + number;
	struct hp_service_counts *counts = bpf_map_lookup_elem(&service_counts, &row);

	if (!counts)
		return;
	if (bytes)
		counts->cell[HP_CELL_BYTES] += bytes;
	counts->cell[verdict % HP_SERVICE_CELLS] += 1;
}

static ALWAYS_INLINE void count_backend(__u32 cpu, __u32 number, enum hp_verdict verdict, __u64 bytes)
{
	__u32 row = cpu * hp_backend_stride + number;
	struct hp_backend_counts *counts = bpf_map_lookup_elem(&backend_counts, &row);

	if (!counts)
		return;
	if (bytes)
		counts->cell[HP_CELL_BYTES] += bytes;
	counts->cell[verdict % HP_BACKEND_CELLS] += 1;
}

/* The end of a packet of no service: row 0. Returns the action. */
static ALWAYS_INLINE int count_stranger(struct xdp_md *ctx, enum hp_verdict verdict)
{
	int action = count_action(verdict);

	if (hp_tracing) {
		count_trace(0, verdict);
		return action;
	}
	count_service(bpf_get_smp_processor_id(), 0, verdict, 0);
	if (unlikely(action == XDP_DROP))
		sample(ctx, 0, verdict);
	return action;
}

/* A packet that was sent: called with a constant for each of the two verdicts. */
static ALWAYS_INLINE int count_sent(const struct packet *pkt, enum hp_verdict verdict)
{
	__u32 cpu = bpf_get_smp_processor_id();

	count_service(cpu, pkt->service, verdict, pkt->ip_bytes);
	count_backend(cpu, pkt->backend, verdict, pkt->ip_bytes);
	return pkt->action;
}

/* The end of a service's packet: its row and, after a pick, its backend's. Returns the action. */
static ALWAYS_INLINE int count_served(const struct packet *pkt, enum hp_verdict verdict)
{
	__u32 cpu;
	int action;

	if (hp_tracing) {
		count_trace(pkt->service, verdict);
		return verdict == HP_FORWARDED || verdict == HP_ICMP_FORWARDED ? pkt->action : count_action(verdict);
	}
	if (likely(verdict == HP_FORWARDED))
		return count_sent(pkt, HP_FORWARDED);
	if (verdict == HP_ICMP_FORWARDED)
		return count_sent(pkt, HP_ICMP_FORWARDED);
	cpu = bpf_get_smp_processor_id();
	count_service(cpu, pkt->service, verdict, 0);
	if (pkt->backend && verdict < HP_BACKEND_CELLS)
		count_backend(cpu, pkt->backend, verdict, 0);
	action = count_action(verdict);
	if (action == XDP_DROP)
		sample(pkt->ctx, pkt->service, verdict);
	return action;
}

#endif

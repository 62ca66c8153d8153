/* Count: the one place where a verdict becomes a number and an XDP action. */
#ifndef HP_COUNT_H
#define HP_COUNT_H

#include "packet.h"

/* Add the packet to its service's row of this CPU and, after a pick, to its backend's.
 *
 * Plain additions: no other program runs on this CPU meanwhile, and each CPU has rows of its own. */
static ALWAYS_INLINE void count(const struct packet *pkt, enum hp_verdict verdict)
{
	__u32 cpu = bpf_get_smp_processor_id();
	__u32 row = cpu * hp_service_stride + pkt->service;
	struct hp_service_counts *service = bpf_map_lookup_elem(&service_counts, &row);
	struct hp_backend_counts *backend;
	__u64 bytes = verdict <= HP_ICMP_FORWARDED ? pkt->ip_bytes : 0;

	if (!service)
		return;
	service->cell[HP_CELL_BYTES] += bytes;
	service->cell[verdict % HP_SERVICE_CELLS] += 1;
	if (!pkt->backend || verdict >= HP_BACKEND_CELLS)
		return;
	row = cpu * hp_backend_stride + pkt->backend;
	backend = bpf_map_lookup_elem(&backend_counts, &row);
	if (!backend)
		return;
	backend->cell[HP_CELL_BYTES] += bytes;
	backend->cell[verdict % HP_BACKEND_CELLS] += 1;
}

/* The XDP action of a verdict, as the list in abi.h says; a forwarded packet leaves as the forward step said. */
static ALWAYS_INLINE int count_action(const struct packet *pkt, enum hp_verdict verdict)
{
	if (likely(verdict == HP_FORWARDED || verdict == HP_ICMP_FORWARDED))
		return pkt->action;
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

#endif

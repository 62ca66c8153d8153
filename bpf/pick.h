/* Pick: hash the flow, read one slot of the service's ring. */
#ifndef HP_PICK_H
#define HP_PICK_H

#include "packet.h"

static ALWAYS_INLINE void pick_trace(const struct packet *pkt, __u32 ring, __u32 size, __u32 slot)
{
	struct hp_trace *record = trace_record();

	if (!record)
		return;
	record->ring = ring;
	record->size = size;
	record->hash = pkt->hash;
	record->slot = slot;
	record->backend = pkt->backend;
}

/* Both words of the service's record, read as one: the block of its ring `now` and, above it, the word `before`. */
static ALWAYS_INLINE __u64 pick_rings(const struct packet *pkt)
{
	__u32 number = pkt->service;
	struct hp_service *record = bpf_map_lookup_elem(&services, &number);

	return record ? *(volatile __u64 *)record : 0;
}

/* Choose the backend of a flow.
 *
 * A steady slot needs no table: every director computes the same answer. Needs flow, service. Sets hash and
 * backend, which is not 0 exactly when HP_CONTINUE is returned. */
static ALWAYS_INLINE enum hp_verdict pick(struct packet *pkt, __u32 ring)
{
	union hp_block *head = bpf_map_lookup_elem(&slots, &ring), *block;
	__u32 slot, at;

	if (!head || !ring)
		return HP_NO_BACKEND;
	pkt->hash = hp_flow_hash(&pkt->flow, head->head.hash, head->head.seed);
	slot = hp_slot(pkt->hash, head->head.size);
	at = ring + 1 + slot / HP_SLOTS_PER_BLOCK;
	block = bpf_map_lookup_elem(&slots, &at);
	if (!block)
		return HP_NO_BACKEND;
	pkt->backend = block->slot[slot % HP_SLOTS_PER_BLOCK];
	pick_trace(pkt, ring, head->head.size, slot);
	return pkt->backend ? HP_CONTINUE : HP_NO_BACKEND;
}

#endif

/* Continuity: the backend of a packet whose service lives through a change. The rules are in rules.h; here are the ring
 * `before` and the tables of flows that they ask.
 *
 * A steady service's packets do not come here, unless it keeps a ring `before` for the second chance. */
#ifndef HP_CONTINUITY_H
#define HP_CONTINUITY_H

#include <linux/tcp.h>

#include "packet.h"
#include "parse.h"
#include "rules.h"

/* What is remembered of the flow, copied so that it stays what it was. */
struct known {
	struct hp_remembered *entry; /* NULL: nothing */
	struct hp_remembered value;
};

static ALWAYS_INLINE void continuity_count(enum hp_flow_event event)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct hp_flow_counts *counts = bpf_map_lookup_elem(&flow_counts, &cpu);

	if (counts)
		counts->cell[event] += 1;
}

/* The backend that a ring names for a flow, 0: none. Only a ring that is indexed by source can place what names no
 * port, a later fragment. */
static ALWAYS_INLINE __u32 continuity_slot(const struct hp_flow *flow, __u32 ring)
{
	union hp_block *head = bpf_map_lookup_elem(&slots, &ring), *block;
	__u32 slot, at;

	if (!head || !ring)
		return 0;
	if (!flow->destination_port && head->head.hash != HP_HASH_SOURCE && hp_has_ports(flow->protocol))
		return 0;
	slot = hp_slot(hp_flow_hash(flow, head->head.hash, head->head.seed), head->head.size);
	at = ring + 1 + slot / HP_SLOTS_PER_BLOCK;
	block = bpf_map_lookup_elem(&slots, &at);
	return block ? block->slot[slot % HP_SLOTS_PER_BLOCK] : 0;
}

/* Only a backend without an adjacency is dead. */
static ALWAYS_INLINE __u8 continuity_lives(__u32 number)
{
	struct hp_backend *backend = bpf_map_lookup_elem(&backends, &number);

	return number && backend && *(volatile __u32 *)&backend->adjacency;
}

/* Copy an entry, unless it is no longer this flow's: whoever reuses it writes backend and check in one. */
static ALWAYS_INLINE int continuity_read(struct hp_remembered *entry, __u32 check, struct hp_remembered *out)
{
	__u64 word;

	out->since_ns = entry->since_ns;
	out->seen_ns = entry->seen_ns;
	out->marks = entry->marks;
	barrier();
	word = *(volatile __u64 *)&entry->backend;
	out->backend = (__u32)word;
	out->check = check;
	out->zero = 0;
	return word >> 32 == check;
}

/* Whether the table of proven flows may hold a flow of this check. */
static ALWAYS_INLINE int continuity_may_be_proven(__u32 check)
{
	__u32 at = hp_hint_word(check);
	__u64 *word = bpf_map_lookup_elem(&hints, &at);

	return word && *(volatile __u64 *)word & hp_hint_bit(check);
}

/* It is about to. */
static ALWAYS_INLINE void continuity_hint(__u32 check)
{
	__u32 at = hp_hint_word(check);
	__u64 *word = bpf_map_lookup_elem(&hints, &at), bit = hp_hint_bit(check);

	if (word && !(*(volatile __u64 *)word & bit))
		__sync_fetch_and_or(word, bit);
}

/* Sets the check in any case. */
static ALWAYS_INLINE int continuity_look_up(const struct hp_flow *flow, struct hp_situation *s, struct known *known)
{
	__u32 check = hp_flow_check(flow);

	known->value.check = check;
	if (continuity_may_be_proven(check)) {
		known->entry = bpf_map_lookup_elem(&flows, flow);
		if (known->entry && continuity_read(known->entry, check, &known->value))
			return 1;
	}
	s->is_unproven = 1;
	known->entry = bpf_map_lookup_elem(&unproven, flow);
	return known->entry && continuity_read(known->entry, check, &known->value);
}

static ALWAYS_INLINE void continuity_remember(const struct hp_flow *flow, const struct hp_situation *s,
					      struct hp_remembered *value)
{
	if (s->is_known && !s->is_unproven)
		bpf_map_delete_elem(&flows, flow);
	if (s->is_known)
		continuity_count(HP_FLOW_REOPENED_EVENT);
	if (bpf_map_update_elem(&unproven, flow, value, BPF_ANY))
		continuity_count(HP_FLOW_NOT_REMEMBERED_EVENT);
	else
		continuity_count(HP_FLOW_REMEMBERED_EVENT);
}

/* In the table of proven flows before it leaves the other, so that a sweep of the other and then of that one meets it. */
static ALWAYS_INLINE int continuity_promote(const struct hp_flow *flow, struct hp_remembered *value)
{
	continuity_hint(value->check);
	if (bpf_map_update_elem(&flows, flow, value, BPF_ANY)) {
		continuity_count(HP_FLOW_NOT_PROMOTED_EVENT);
		return 0;
	}
	bpf_map_delete_elem(&unproven, flow);
	continuity_count(HP_FLOW_PROMOTED_EVENT);
	return 1;
}

/* Marks are written by replacing the entry, as it may be another flow's by now; that its time is then too late does not
 * matter. */
static ALWAYS_INLINE void continuity_refresh(const struct hp_flow *flow, const struct hp_situation *s,
					     const struct known *known, struct hp_remembered *value)
{
	if (value->marks == s->marks) {
		known->entry->seen_ns = value->seen_ns;
		return;
	}
	if (s->is_unproven)
		bpf_map_update_elem(&unproven, flow, value, BPF_EXIST);
	else
		bpf_map_update_elem(&flows, flow, value, BPF_EXIST);
}

/* Do what follows from the decision. The clock is read for those alone who are remembered. */
static ALWAYS_INLINE void continuity_do(const struct hp_flow *flow, const struct hp_situation *s,
					const struct hp_choice *choice, struct known *known)
{
	struct hp_remembered *value = &known->value;
	__u64 now_ns;

	if (!s->is_known && choice->deed == HP_DEED_NONE)
		return;
	now_ns = s->is_known ? value->since_ns + s->age_ns : bpf_ktime_get_boot_ns();
	value->marks = choice->marks;
	if (choice->deed != HP_DEED_MARK)
		value->seen_ns = now_ns;
	switch (choice->deed) {
	case HP_DEED_REMEMBER:
		value->backend = choice->backend;
		value->since_ns = now_ns;
		continuity_remember(flow, s, value);
		break;
	case HP_DEED_PROMOTE:
		if (continuity_promote(flow, value))
			break;
		continuity_refresh(flow, s, known, value);
		break;
	case HP_DEED_REFRESH:
	case HP_DEED_MARK:
		continuity_refresh(flow, s, known, value);
		break;
	case HP_DEED_FORGET:
		bpf_map_delete_elem(&flows, flow);
		bpf_map_delete_elem(&unproven, flow);
		continuity_count(HP_FLOW_FORGOTTEN_EVENT);
		break;
	}
	if (s->is_known && !s->known_lives)
		continuity_count(HP_FLOW_STRANDED_EVENT);
}

static ALWAYS_INLINE void continuity_trace(const struct hp_situation *s, const struct known *known,
					   const struct hp_choice *choice, __u32 asked, __u32 alternate)
{
	struct hp_trace *record = trace_record();

	if (!record)
		return;
	record->backend = choice->backend;
	record->motion = s->motion;
	record->now = s->now;
	record->before = s->before;
	record->before_lives = s->before_lives;
	record->asked = asked;
	record->known = s->is_known ? s->known : 0;
	record->known_lives = s->known_lives;
	record->is_unproven = s->is_unproven;
	record->marks = s->marks;
	record->kind = s->kind;
	record->deed = choice->deed;
	record->alternate = alternate;
	if (s->is_known) {
		record->since_ns = known->value.since_ns;
		record->seen_ns = known->value.seen_ns;
	}
}

/* Ask the tables, and decide. */
static ALWAYS_INLINE void continuity_decide(const struct hp_flow *flow, struct hp_situation *s, struct known *known,
					    struct hp_choice *choice)
{
	s->is_known = (__u8)continuity_look_up(flow, s, known);
	if (s->is_known) {
		s->known = known->value.backend;
		s->known_lives = continuity_lives(s->known);
		s->marks = known->value.marks;
		s->age_ns = bpf_ktime_get_boot_ns() - known->value.since_ns;
	}
	*choice = hp_rule(s);
}

/* Only a segment under way can be told from one that belongs elsewhere; and an error about one, which a later fragment, that
 * names no port, is not. */
static ALWAYS_INLINE int continuity_has_chance(const struct hp_flow *flow, __u32 kind)
{
	if (kind == HP_PACKET_ABOUT)
		return flow->protocol == IPPROTO_TCP && flow->destination_port;
	return kind == HP_PACKET_UNDER_WAY || kind == HP_PACKET_FIN || kind == HP_PACKET_RST;
}

/* What the packet is to its flow. Needs l4_offset, where parse_ports has seen a whole header. */
static ALWAYS_INLINE __u32 continuity_kind(const struct packet *pkt)
{
	const __u8 *tcp = parse_l4(pkt);

	if (pkt->is_quoted || pkt->is_later_fragment)
		return HP_PACKET_ABOUT;
	if (pkt->flow.protocol != IPPROTO_TCP)
		return HP_PACKET_EITHER;
	if (packet_ends_before(pkt, (void *)tcp + PARSE_TCP_BYTES))
		return HP_PACKET_UNDER_WAY;
	return hp_tcp_kind(tcp[13]);
}

/* The client of a group, in place of its flow: to the port and protocol that the group's clients are remembered under. */
static ALWAYS_INLINE void continuity_stick(struct hp_flow *flow, __u32 sticks)
{
	flow->source_port = 0;
	flow->destination_port = hp_key_port(sticks);
	flow->protocol = hp_key_protocol(sticks);
}

/* A packet of a service that lives through a change, as the functions that it takes know it. */
struct continuity {
	struct hp_flow flow;
	__u32 kind;	 /* enum hp_packet_kind */
	__u32 before;	 /* the service's word of that name */
	__u32 sticks;	 /* as in struct hp_motion */
	__u32 backend;	 /* that its ring `now` names, 0: none; then the one that is chosen */
	__u32 alternate; /* as in struct packet */
	__u32 hash;
	__u32 verdict; /* enum hp_verdict, so far */
	__u32 payload; /* of UDP: where it begins, from the frame's beginning; 0: it is not here */
};

/* Choose the backend of a packet by both rings. Needs of it all but alternate; sets backend, alternate, verdict. Returns 0.
 *
 * A function of its own, which the verifier looks at once, and not for each kind of packet. */
__attribute__((noinline)) int continuity(struct continuity *packet)
{
	struct hp_choice choice = {.deed = HP_DEED_NONE};
	struct known known = {.entry = NULL};
	struct hp_situation s = {0};
	struct hp_flow flow;
	__u32 asks;

	if (!packet)
		return 0;
	flow = packet->flow; /* older verifiers (6.1) take keys from this function's own stack only */
	choice.backend = s.now = packet->backend;
	s.kind = (__u8)packet->kind;
	s.motion = packet->before & HP_MOTION_FLAGS;
	s.before = continuity_slot(&flow, packet->before & HP_BLOCK_MASK);
	s.before_lives = continuity_lives(s.before);
	if (packet->sticks) {
		continuity_stick(&flow, packet->sticks);
		s.kind = s.kind == HP_PACKET_ABOUT ? HP_PACKET_ABOUT : HP_PACKET_EITHER;
	}
	asks = s.motion & HP_MOTION_ANY && (s.motion & HP_MOTION_ASKS || s.before != s.now);
	if (asks)
		continuity_decide(&flow, &s, &known, &choice);
	packet->backend = choice.backend;
	packet->verdict = packet->backend ? HP_CONTINUE : HP_NO_BACKEND;
	if (continuity_has_chance(&packet->flow, packet->kind))
		packet->alternate = hp_rule_alternate(choice.backend, s.now, s.before, s.before_lives);
	continuity_trace(&s, &known, &choice, asks, packet->alternate);
	if (asks && !hp_tracing)
		continuity_do(&flow, &s, &choice, &known);
	return 0;
}

#endif

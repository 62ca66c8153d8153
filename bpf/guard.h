/* Guard: whether a service takes packets of this source, and more of its flows. What a service has beyond the plain is asked
 * for here.
 *
 * In functions of their own: a plain service's packet carries nothing for them. Packets of flows that are under way are
 * judged as well, so that a prefix that comes to be denied is denied at once. */
#ifndef HP_GUARD_H
#define HP_GUARD_H

#include "packet.h"
#include "limit.h"

static ALWAYS_INLINE void guard_trace(__u32 judged)
{
	struct hp_trace *record = trace_record();

	if (record)
		record->guard = judged;
}

/* What the longest prefix of a set that holds the flow's source says: HP_GUARD_*. A set always holds one. */
static ALWAYS_INLINE __u32 guard_look_up(const struct hp_flow *flow, __u32 number)
{
	struct hp_guard_key key = {.set = hp_guard_set(number, flow->is_ipv6)};
	__u32 *judged;

	if (flow->is_ipv6) {
		key.bits = HP_GUARD_SET_BITS + 128;
		__builtin_memcpy(key.address, flow->source, sizeof(key.address));
	} else {
		key.bits = HP_GUARD_SET_BITS + 32;
		key.address[0] = flow->source[3];
	}
	judged = bpf_map_lookup_elem(&guards, &key);
	return judged ? *judged : HP_GUARD_DENIES;
}

/* Judge the source of a flow by the terms of a service. quotes: it is that of a packet that an ICMP error quotes. Returns
 * HP_CONTINUE or the verdict. */
__attribute__((noinline)) int guard_judge(struct xdp_md *ctx, __u32 service, const struct hp_flow *flow, __u32 quotes)
{
	struct hp_terms *of = bpf_map_lookup_elem(&terms, &service);
	__u32 number, judged;

	if (!of || !flow)
		return HP_CONTINUE;
	number = *(volatile __u32 *)&of->guard;
	if (number) {
		judged = guard_look_up(flow, number);
		guard_trace(judged);
		if (judged & HP_GUARD_DENIES)
			return HP_DENIED;
	}
	if (quotes || !*(volatile __u32 *)&of->limit)
		return HP_CONTINUE;
	return limit_judge(ctx, service);
}

/* The flow that is judged: one for each CPU, where no other packet comes meanwhile. On the stack, those of all functions together
 * would be too deep for Linux 6.1. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hp_flow);
} guard_room SEC(".maps");

/* rings: the words of the service's record. Needs service, flow, is_quoted. What comes back is compared, as the verifier knows
 * nothing of a function's return. */
static ALWAYS_INLINE enum hp_verdict guard(const struct packet *pkt, __u64 rings)
{
	if (rings >> 32 & HP_SERVICE_GUARDED) {
		__u32 zero = 0;
		struct hp_flow *flow = bpf_map_lookup_elem(&guard_room, &zero);
		int verdict, is_limited;

		if (!flow)
			return HP_DENIED; /* cannot be, which the verifier does not know */
		*flow = pkt->flow;
		verdict = guard_judge(pkt->ctx, pkt->service, flow, pkt->is_quoted);
		is_limited = verdict == HP_LIMITED;
		barrier_var(is_limited); /* nor must the compiler know what the verifier does not */
		if (verdict != HP_CONTINUE)
			return is_limited ? HP_LIMITED : HP_DENIED;
	}
	return HP_CONTINUE;
}

#endif

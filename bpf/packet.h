/* The packet on its way through the steps: what each step has found out so far. */
#ifndef HP_PACKET_H
#define HP_PACKET_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "maps.h"

#define ALWAYS_INLINE __always_inline
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* No pointer into it is handed to a helper, so that its fields live in registers: keys are copied first. */
struct packet {
	struct xdp_md *ctx;
	void *data; /* the frame; void once a step moves its head */
	void *end;
	void *l3;
	struct hp_flow flow; /* of the packet or, for an ICMP error, of the packet that it quotes */
	__u32 l3_offset; /* from data */
	__u32 l4_offset; /* from l3 */
	__u32 ip_bytes;	 /* IP header to the end of its payload, padding left out */
	__u16 ethertype; /* behind the tags, network order */
	__u8 is_group;	 /* the destination MAC is broadcast or multicast */
	__u8 is_later_fragment;
	__u8 is_fragment; /* the first one or a later one */
	__u8 is_portless; /* the flow's protocol has no ports */
	__u8 is_quoted;	  /* the flow is one that an ICMP error quotes */
	__u32 service;	  /* number; 0 until found */
	__u32 hash;
	__u32 backend;	 /* number; 0 until picked */
	__u32 alternate; /* number of the backend that gue names as the second chance; 0: none */
	__u32 chance_bytes; /* of the second chance in front of the packet: 0 until the forward step puts one there */
	int action; /* of HP_FORWARDED: XDP_TX or XDP_REDIRECT */
};

/* Whether the frame ends before `stop`. The compiler must not see that another check implies this one: the verifier
 * would miss it. */
static ALWAYS_INLINE int packet_ends_before(const struct packet *pkt, void *stop)
{
	barrier_var(stop);
	return stop > pkt->end;
}

/* The tracing twin's record. NULL in the live program, where the verifier removes whatever depends on it. */
static ALWAYS_INLINE struct hp_trace *trace_record(void)
{
	if (hp_tracing) {
		__u32 zero = 0;

		return bpf_map_lookup_elem(&trace, &zero);
	}
	return NULL;
}

#endif

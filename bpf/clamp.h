/* Clamp: lower the MSS that a client advertises in its SYN, where its service says so, so that no segment of the backend's is
 * longer. The one thing that the director ever changes of a client's packet.
 *
 * SYNs of such services take the way of packets that live through a change (moving.h), so that all others carry nothing for
 * this. */
#ifndef HP_CLAMP_H
#define HP_CLAMP_H

#include "packet.h"
#include "parse.h"
#include "answer.h"

#define CLAMP_OPTIONS_MOST 40 /* of TCP, in bytes and so in options */
#define CLAMP_OFFSET_MASK 127 /* above a TCP header */
#define CLAMP_END 0
#define CLAMP_NOP 1
#define CLAMP_MSS 2
#define CLAMP_MSS_BYTES 4
#define TCP_FLAGS_AT 13
#define TCP_CHECKSUM_AT 16
#define TCP_SYN 0x02

/* Whether the packet is one whose MSS may have to be lowered. rings: the words of the service's record. */
static ALWAYS_INLINE int clamp_concerns(const struct packet *pkt, __u64 rings)
{
	__u8 *tcp = parse_l4(pkt);

	if (!(rings >> 32 & HP_SERVICE_CLAMPS) || pkt->flow.protocol != IPPROTO_TCP || pkt->is_quoted || pkt->is_later_fragment)
		return 0;
	return !packet_ends_before(pkt, tcp + PARSE_TCP_BYTES) && tcp[TCP_FLAGS_AT] & TCP_SYN;
}

/* The largest MSS that a client may advertise; 0: any. is_ipv6: of the client's packet. */
static ALWAYS_INLINE __u32 clamp_most(__u32 service, __u32 number, __u32 is_ipv6)
{
	__u32 headers = (is_ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) + PARSE_TCP_BYTES, index;
	struct hp_terms *of = bpf_map_lookup_elem(&terms, &service);
	struct hp_adjacency *adjacency;
	struct hp_backend *backend;
	__u32 most = of ? *(volatile __u16 *)&of->mss : 0;

	if (most != HP_MSS_AUTO)
		return most;
	backend = bpf_map_lookup_elem(&backends, &number);
	if (!backend)
		return 0;
	index = *(volatile __u32 *)&backend->adjacency;
	adjacency = bpf_map_lookup_elem(&adjacencies, &index);
	if (!adjacency || !index || adjacency->mtu < adjacency->outer_bytes + headers)
		return 0;
	return adjacency->mtu - adjacency->outer_bytes - headers;
}

/* Whether the checksum is still to be filled in, as of a packet from the same machine in generic XDP: what stands there is the
 * sum of the pseudo-header alone, to which the options will be added as they are then. */
static ALWAYS_INLINE int clamp_is_partial(const struct packet *pkt, const __u8 *tcp)
{
	__u32 sum = bpf_htons(IPPROTO_TCP) + bpf_htons((__u16)(pkt->ip_bytes - pkt->l4_offset));

#pragma unroll
	for (int i = 0; i < 4; i++) {
		if (!pkt->flow.is_ipv6 && i < 3)
			continue;
		sum += (pkt->flow.source[i] & 0xffff) + (pkt->flow.source[i] >> 16);
		sum += (pkt->flow.destination[i] & 0xffff) + (pkt->flow.destination[i] >> 16);
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return *(const __u16 *)(tcp + TCP_CHECKSUM_AT) == (__u16)sum;
}

/* Lower the value at `option`, `at` bytes into the TCP header, and mend the checksum: a value at an odd place adds to it with
 * its bytes swapped (RFC 1071). */
static ALWAYS_INLINE void clamp_lower(__u8 *tcp, __u8 *option, __u32 at, __u32 most, int is_partial)
{
	__u16 *checksum = (__u16 *)(tcp + TCP_CHECKSUM_AT);
	__u16 was = (__u16)(option[2] << 8 | option[3]);

	if (was <= most)
		return;
	option[2] = (__u8)(most >> 8);
	option[3] = (__u8)most;
	if (is_partial)
		return;
	if (at & 1)
		*checksum = answer_mend(*checksum, was, (__u16)most);
	else
		*checksum = answer_mend(*checksum, bpf_htons(was), bpf_htons((__u16)most));
}

/* The next option. No offset reaches the mask, but with it the verifier need not tell the walks apart (Linux 6.1). Written so
 * because the compiler knows that it changes nothing. */
static ALWAYS_INLINE __u32 clamp_step(__u32 at, __u32 bytes)
{
	at += bytes;
	asm volatile("%0 &= 0x7f" : "+r"(at));
	return at;
}

/* Walk the options of the TCP header. */
static ALWAYS_INLINE void clamp_options(const struct packet *pkt, __u8 *tcp, __u32 most)
{
	__u32 at = PARSE_TCP_BYTES, end = (tcp[12] >> 4) * 4;
	int is_partial = clamp_is_partial(pkt, tcp);

	for (int i = 0; i < CLAMP_OPTIONS_MOST && at + CLAMP_MSS_BYTES <= end; i++) {
		__u8 *option = tcp + (at & CLAMP_OFFSET_MASK);

		if (packet_ends_before(pkt, option + CLAMP_MSS_BYTES) || option[0] == CLAMP_END)
			return;
		if (option[0] == CLAMP_NOP) {
			at = clamp_step(at, 1);
			continue;
		}
		if (option[0] == CLAMP_MSS && option[1] == CLAMP_MSS_BYTES) {
			clamp_lower(tcp, option, at, most, is_partial);
			return;
		}
		if (option[1] < 2)
			return;
		at = clamp_step(at, option[1]);
	}
}

/* Clamp a SYN for the backend of this number. Returns 0. A function of its own, that reads the packet anew. */
__attribute__((noinline)) int clamp(struct xdp_md *ctx, __u32 service, __u32 number)
{
	struct packet pkt = {
		.ctx = ctx,
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	enum hp_verdict verdict = parse_link(&pkt);
	__u32 most;
	__u8 *tcp;

	if (verdict == HP_CONTINUE)
		verdict = pkt.ethertype == bpf_htons(ETH_P_IP) ? parse_ipv4(&pkt) : parse_ipv6(&pkt);
	if (verdict != HP_CONTINUE)
		return 0;
	most = clamp_most(service, number, pkt.flow.is_ipv6);
	tcp = parse_l4(&pkt);
	barrier_var(tcp); /* checked and read by one pointer, which the verifier has to see */
	if (most && !packet_ends_before(&pkt, tcp + PARSE_TCP_BYTES))
		clamp_options(&pkt, tcp, most);
	return 0;
}

#endif

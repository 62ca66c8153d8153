/* ECN: what of the outer header's congestion mark goes into the inner packet when a tunnel is opened (RFC 6040, 4.2). Directors
 * copy a packet's own ECN field out, so routers on the way mark what its sender said may be marked. */
#ifndef HP_ECN_H
#define HP_ECN_H

#include "tunnel.h"

#define ECN_MASK 3u
#define ECN_NOT_ECT 0u
#define ECN_ECT_1 1u
#define ECN_ECT_0 2u
#define ECN_CE 3u

/* The second byte of an IP header, of which IPv4 has the ECN field in the low bits and IPv6 four above. */
static __always_inline __u32 ecn_of(const void *ip, int is4)
{
	__u8 byte = ((const __u8 *)ip)[1];

	return (is4 ? byte : byte >> 4) & ECN_MASK;
}

static __always_inline void ecn_put4(struct iphdr *ip, __u32 ecn)
{
	__u8 class = (__u8)((ip->tos & ~ECN_MASK) | ecn);
	__u32 sum = (__u16)~ip->check + (__u16)~bpf_htons(ip->tos) + bpf_htons(class); /* RFC 1624, equation 3 */

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = (__u16)~sum;
	ip->tos = class;
}

static __always_inline void ecn_put6(struct ipv6hdr *ip, __u32 ecn)
{
	__u8 *byte = (__u8 *)ip + 1;

	*byte = (__u8)((*byte & ~(ECN_MASK << 4)) | ecn << 4);
}

/* Carry the mark over, into the inner packet's ECN field alone. Returns 0 for a packet that was marked and whose sender does not
 * know of marks: it has to be dropped, which is how such a sender learns of congestion. */
static __always_inline int ecn_carry(const struct tunnel *t)
{
	int is4 = t->inner_protocol == IPPROTO_IPIP;
	void *outer = tunnel_outer(t), *inner = tunnel_inner(t);
	__u32 mark, is;

	if (outer + sizeof(struct iphdr) > t->end || inner + sizeof(struct iphdr) > t->end)
		return 1;
	mark = ecn_of(outer, t->ethertype == bpf_htons(ETH_P_IP));
	is = ecn_of(inner, is4);
	if (mark == is || mark == ECN_NOT_ECT || mark == ECN_ECT_0 || (mark == ECN_ECT_1 && is != ECN_ECT_0))
		return 1;
	if (is == ECN_NOT_ECT)
		return 0;
	if (is4)
		ecn_put4(inner, mark);
	else
		ecn_put6(inner, mark);
	return 1;
}

#endif

/* MSS: lower what a VIP advertises in its SYN and SYN-ACK segments, so that a client's full segment still fits the
 * path to this backend once the director has put an outer header in front of it. SYN cookies change nothing: they are about
 * what the client advertised. */
#ifndef HP_MSS_H
#define HP_MSS_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "backend_abi.h"
#include "backend_maps.h"

#define MSS_OPTIONS_MOST 40
#define MSS_KIND 2
#define MSS_KIND_END 0
#define MSS_KIND_NOP 1
#define MSS_LATER_FRAGMENT 0x1fff /* an offset: no TCP header here */

struct mss {
	__u32 tcp; /* offset of the TCP header in the packet */
	__u16 most; /* largest MSS that may be advertised */
};

/* Whether the packet is TCP from a VIP whose MSS is bounded; tells where and how much. */
static __always_inline int mss_find(struct __sk_buff *skb, struct mss *found)
{
	__u32 zero = 0, *flags = NULL, l3 = ETH_HLEN;
	struct hpb_settings *limits = bpf_map_lookup_elem(&settings, &zero);
	struct hpb_address6 source;
	struct ipv6hdr ip6;
	struct iphdr ip4;

	if (!limits)
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, l3, &ip4, sizeof(ip4)) || ip4.protocol != IPPROTO_TCP || ip4.ihl < 5)
			return 0;
		if (ip4.frag_off & bpf_htons(MSS_LATER_FRAGMENT))
			return 0;
		flags = bpf_map_lookup_elem(&vips4, &ip4.saddr);
		found->tcp = l3 + ip4.ihl * 4;
		found->most = limits->mss4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(skb, l3, &ip6, sizeof(ip6)) || ip6.nexthdr != IPPROTO_TCP)
			return 0;
		__builtin_memcpy(&source, &ip6.saddr, sizeof(source));
		flags = bpf_map_lookup_elem(&vips6, &source);
		found->tcp = l3 + sizeof(ip6);
		found->most = limits->mss6;
	}
	return flags && (*flags & HPB_VIP_TUNNELS || limits->flags & HPB_BOUNDS_ALL) && found->most;
}

/* Lower the value at `at`, and mend the checksum. A value that begins at an odd byte is summed with its bytes
 * swapped (RFC 1071). */
static __always_inline void mss_lower(struct __sk_buff *skb, const struct mss *found, __u32 at)
{
	__be16 was, now = bpf_htons(found->most);
	__u32 is_odd = (at - found->tcp) & 1;

	if (bpf_skb_load_bytes(skb, at, &was, sizeof(was)) || bpf_ntohs(was) <= found->most)
		return;
	if (bpf_skb_store_bytes(skb, at, &now, sizeof(now), 0))
		return;
	if (is_odd)
		bpf_l4_csum_replace(skb, found->tcp + __builtin_offsetof(struct tcphdr, check), __builtin_bswap16(was),
				    __builtin_bswap16(now), sizeof(now));
	else
		bpf_l4_csum_replace(skb, found->tcp + __builtin_offsetof(struct tcphdr, check), was, now, sizeof(now));
	backend_count(HPB_MSS_LOWERED);
}

/* The next option. No offset that passes the loop's condition reaches the mask; but with it the verifier can compare
 * an offset with the end only at run time, and so need not tell the walks apart: Linux 6.1 gave up after a million
 * instructions. Written so because the compiler knows that it changes nothing. */
static __always_inline __u32 mss_step(__u32 at, __u32 bytes)
{
	at += bytes;
	asm volatile("%0 &= 0x3ff" : "+r"(at));
	return at;
}

static __always_inline int mss(struct __sk_buff *skb)
{
	struct mss found;
	struct tcphdr tcp;
	__u32 at, end;

	if (!mss_find(skb, &found) || bpf_skb_load_bytes(skb, found.tcp, &tcp, sizeof(tcp)) || !tcp.syn)
		return 0;
	at = found.tcp + sizeof(tcp);
	end = found.tcp + tcp.doff * 4;
	for (int i = 0; i < MSS_OPTIONS_MOST && at + 4 <= end; i++) {
		__u8 option[2];

		if (bpf_skb_load_bytes(skb, at, option, sizeof(option)) || option[0] == MSS_KIND_END)
			return 0;
		if (option[0] == MSS_KIND_NOP) {
			at = mss_step(at, 1);
			continue;
		}
		if (option[1] < 2)
			return 0;
		if (option[0] == MSS_KIND && option[1] == 4) {
			mss_lower(skb, &found, at + 2);
			return 0;
		}
		at = mss_step(at, option[1]);
	}
	return 0;
}

#endif

/* Answer: ARP requests, IPv6 neighbour solicitations and pings for a VIP that is up, in the VIP's name, since no
 * host holds it; and the flow that an ICMP error about a VIP's packet quotes. */
#ifndef HP_ANSWER_H
#define HP_ANSWER_H

#include "packet.h"
#include "parse.h"
#include "service.h"

#define ANSWER_TTL 64
#define ANSWER_L3_MASK 31 /* 14, 18 or 22, said in a way that the verifier remembers */
#define ARP_HARDWARE_ETHERNET 1
#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ICMP4_ECHO_REPLY 0
#define ICMP4_UNREACHABLE 3
#define ICMP4_ECHO 8
#define ICMP4_TIME_EXCEEDED 11
#define ICMP4_PARAMETER_PROBLEM 12
#define ICMP6_UNREACHABLE 1
#define ICMP6_TOO_BIG 2
#define ICMP6_TIME_EXCEEDED 3
#define ICMP6_PARAMETER_PROBLEM 4
#define ICMP6_ECHO 128
#define ICMP6_ECHO_REPLY 129
#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_HOP_LIMIT 255
#define ND_SOLICITED_OVERRIDE 0x60000000
#define ND_OVERRIDE 0x20000000
#define ND_OPTION_TARGET_MAC 2

struct arp_ipv4 {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_bytes;
	__u8 protocol_bytes;
	__be16 operation;
	__u8 sender_mac[ETH_ALEN];
	__be32 sender;
	__u8 target_mac[ETH_ALEN];
	__be32 target;
} __attribute__((packed, aligned(2)));

/* Neighbour advertisement with the target's link-layer address (RFC 4861, 4.4), and where a solicitation has its
 * header and target. */
struct nd_message {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 flags;
	__be32 target[4];
	__u8 option;
	__u8 option_length; /* in 8 bytes */
	__u8 option_mac[ETH_ALEN];
};

#define ND_BARE_BYTES 24 /* without the option */

/* The row of an interface in its table; HP_INTERFACES_MOST: it has none. */
__attribute__((noinline)) int answer_row(__u32 ifindex)
{
	for (int i = 0; i < HP_INTERFACES_MOST; i++) {
		__u32 at = (__u32)i;
		struct hp_interface_row *row = bpf_map_lookup_elem(&interfaces, &at);

		if (row && row->ifindex == ifindex)
			return i;
	}
	return HP_INTERFACES_MOST;
}

/* The arriving interface's record, if VIPs are announced there. */
static ALWAYS_INLINE struct hp_interface *answer_interface(const struct packet *pkt)
{
	__u32 at = (__u32)answer_row(pkt->ctx->ingress_ifindex);
	struct hp_interface_row *row = bpf_map_lookup_elem(&interfaces, &at);

	return row && row->interface.announce ? &row->interface : NULL;
}

/* The compiler copies bytes of unknown alignment one by one. */
static ALWAYS_INLINE void answer_copy_mac(void *to, const void *from)
{
	*(__u32 *)to = *(const __u32 *)from;
	*(__u16 *)(to + 4) = *(const __u16 *)(from + 4);
}

/* Whether the flow's source is an address that a host can ask from, and not the VIP itself: others get no answer, which
 * would go to a group or nowhere (RFC 1122, 3.2.1.3; RFC 4291, 2.5 and 2.7). */
static ALWAYS_INLINE int answer_is_host4(const struct packet *pkt)
{
	__u32 first = bpf_ntohl(pkt->flow.source[3]) >> 24;

	return first != 0 && first != 127 && first < 224 && pkt->flow.source[3] != pkt->flow.destination[3];
}

static ALWAYS_INLINE int answer_is_host6(const struct packet *pkt)
{
	const __be32 *source = pkt->flow.source, *vip = pkt->flow.destination;

	if (!(source[0] | source[1] | source[2]) || (bpf_ntohl(source[0]) >> 24) == 0xff)
		return 0;
	return source[0] != vip[0] || source[1] != vip[1] || source[2] != vip[2] || source[3] != vip[3];
}

/* Duplicate address detection asks from no address at all. */
static ALWAYS_INLINE int answer_is_nobody6(const struct packet *pkt)
{
	return !(pkt->flow.source[0] | pkt->flow.source[1] | pkt->flow.source[2] | pkt->flow.source[3]);
}

static ALWAYS_INLINE void answer_swap_macs(struct ethhdr *eth)
{
	__u8 mac[ETH_ALEN];

	answer_copy_mac(mac, eth->h_source);
	answer_copy_mac(eth->h_source, eth->h_dest);
	answer_copy_mac(eth->h_dest, mac);
}

/* ARP (RFC 826). A request whose sender is the VIP itself announces and asks nothing. */
static ALWAYS_INLINE enum hp_verdict answer_arp(struct packet *pkt)
{
	struct arp_ipv4 *arp = pkt->l3;
	struct ethhdr *eth = pkt->data;
	struct hp_interface *interface;
	__be32 vip;
	int flags;

	if ((void *)(arp + 1) > pkt->end)
		return HP_MALFORMED;
	if (arp->hardware != bpf_htons(ARP_HARDWARE_ETHERNET) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->hardware_bytes != ETH_ALEN || arp->protocol_bytes != sizeof(vip) ||
	    arp->operation != bpf_htons(ARP_REQUEST))
		return HP_NOT_VIP;
	vip = arp->target;
	flags = service_look_up4(vip, HP_WHAT_VIP);
	if (flags == SERVICE_NO_KEY)
		return HP_NOT_VIP;
	interface = answer_interface(pkt);
	if (!(flags & HP_VIP_UP) || !interface || arp->sender == vip)
		return HP_VIP_SILENT;
	answer_copy_mac(eth->h_dest, eth->h_source);
	answer_copy_mac(eth->h_source, interface->mac);
	arp->operation = bpf_htons(ARP_REPLY);
	answer_copy_mac(arp->target_mac, arp->sender_mac);
	arp->target = arp->sender;
	answer_copy_mac(arp->sender_mac, interface->mac);
	arp->sender = vip;
	return HP_ANSWERED_ARP;
}

/* Fold a sum of 16-bit words to the Internet checksum (RFC 1071). */
static ALWAYS_INLINE __u16 answer_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* A checksum after one of the words below it has changed (RFC 1624, equation 2). Never 0, which is wrong where all
 * the words are 0, and means the same as 0xffff everywhere else. */
static ALWAYS_INLINE __u16 answer_mend(__u16 checksum, __be16 was, __be16 now)
{
	return (__u16)~answer_fold((__u64)checksum + was + (__u16)~now);
}

static ALWAYS_INLINE void answer_all_nodes(struct ethhdr *eth, struct ipv6hdr *ip)
{
	static const __u8 mac[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};

	answer_copy_mac(eth->h_dest, mac);
	ip->daddr.in6_u.u6_addr32[0] = bpf_htonl(0xff020000);
	ip->daddr.in6_u.u6_addr32[1] = 0;
	ip->daddr.in6_u.u6_addr32[2] = 0;
	ip->daddr.in6_u.u6_addr32[3] = bpf_htonl(1);
}

/* Write an advertisement over the solicitation, whose packet has been brought to the right length. An asker
 * without an address (duplicate address detection) is answered at all nodes, unsolicited (RFC 4861, 7.2.4). */
static ALWAYS_INLINE enum hp_verdict answer_nd_write(struct packet *pkt, const struct hp_interface *interface)
{
	struct ethhdr *eth = (void *)(long)pkt->ctx->data;
	void *end = (void *)(long)pkt->ctx->data_end;
	struct ipv6hdr *ip = (void *)eth + (pkt->l3_offset & ANSWER_L3_MASK);
	struct nd_message *nd = (void *)(ip + 1);
	__s64 sum;

	if ((void *)(eth + 1) > end || (void *)(nd + 1) > end)
		return HP_MALFORMED;
	nd->flags = bpf_htonl(ND_SOLICITED_OVERRIDE);
	answer_copy_mac(eth->h_dest, eth->h_source);
	ip->daddr = ip->saddr;
	if (answer_is_nobody6(pkt)) {
		nd->flags = bpf_htonl(ND_OVERRIDE);
		answer_all_nodes(eth, ip);
	}
	answer_copy_mac(eth->h_source, interface->mac);
	__builtin_memcpy(&ip->saddr, nd->target, sizeof(ip->saddr));
	ip->payload_len = bpf_htons(sizeof(*nd));
	nd->type = ND_ADVERTISEMENT;
	nd->checksum = 0;
	nd->option = ND_OPTION_TARGET_MAC;
	nd->option_length = 1;
	answer_copy_mac(nd->option_mac, interface->mac);
	sum = bpf_csum_diff(NULL, 0, (void *)&ip->saddr, sizeof(ip->saddr) * 2 + sizeof(*nd),
			    bpf_htonl(sizeof(*nd) + IPPROTO_ICMPV6));
	nd->checksum = answer_fold((__u64)sum);
	return HP_ANSWERED_ND;
}

/* Neighbour solicitation (RFC 4861, 7.1.1 and 7.2.3): the flow's destination becomes the target. */
static ALWAYS_INLINE enum hp_verdict answer_nd(struct packet *pkt)
{
	const struct ipv6hdr *ip = pkt->l3;
	const struct nd_message *nd = (void *)(ip + 1);
	struct hp_interface *interface;
	int grow = (int)(sizeof(*ip) + sizeof(*nd)) - (int)pkt->ip_bytes;
	int flags;

	if (packet_ends_before(pkt, (void *)nd + ND_BARE_BYTES) || grow > (int)sizeof(*nd) - ND_BARE_BYTES)
		return HP_MALFORMED;
	if (pkt->l4_offset != sizeof(*ip) || ip->hop_limit != ND_HOP_LIMIT || nd->code)
		return HP_NOT_VIP;
	__builtin_memcpy(pkt->flow.destination, nd->target, sizeof(nd->target));
	flags = service_vip_flags(pkt);
	if (flags == SERVICE_NO_KEY)
		return HP_NOT_VIP;
	interface = answer_interface(pkt);
	if (!(flags & HP_VIP_UP) || !interface || !(answer_is_host6(pkt) || answer_is_nobody6(pkt)))
		return HP_VIP_SILENT;
	if (grow && bpf_xdp_adjust_tail(pkt->ctx, grow))
		return HP_VIP_SILENT;
	return answer_nd_write(pkt, interface);
}

/* Turn an echo request round (RFC 792, RFC 4443): the checksum changes by what the type does.
 *
 * Only a plain one. With IP options or extension headers an answer would have to mend them: record the route, turn
 * a source route round, leave a routing header out. */
static ALWAYS_INLINE enum hp_verdict answer_echo4(struct packet *pkt)
{
	struct ethhdr *eth = pkt->data;
	struct iphdr *ip = pkt->l3;
	struct icmp_head *icmp = parse_l4(pkt);
	__be32 source = ip->saddr;
	int flags = service_vip_flags(pkt);

	if (flags == SERVICE_NO_KEY)
		return HP_NOT_VIP;
	if (!(flags & HP_VIP_UP) || pkt->is_group || !answer_is_host4(pkt) ||
	    pkt->l4_offset != sizeof(*ip))
		return HP_VIP_SILENT;
	if ((void *)(icmp + 1) > pkt->end)
		return HP_MALFORMED;
	answer_swap_macs(eth);
	ip->saddr = ip->daddr;
	ip->daddr = source;
	ip->check = answer_mend(ip->check, bpf_htons(ip->ttl << 8), bpf_htons(ANSWER_TTL << 8));
	ip->ttl = ANSWER_TTL;
	icmp->type = ICMP4_ECHO_REPLY;
	icmp->checksum = answer_mend(icmp->checksum, bpf_htons(ICMP4_ECHO << 8), bpf_htons(ICMP4_ECHO_REPLY << 8));
	return HP_ANSWERED_ECHO;
}

static ALWAYS_INLINE enum hp_verdict answer_echo6(struct packet *pkt)
{
	struct ethhdr *eth = pkt->data;
	struct ipv6hdr *ip = pkt->l3;
	struct icmp_head *icmp = parse_l4(pkt);
	int flags = service_vip_flags(pkt);

	if (flags == SERVICE_NO_KEY)
		return HP_NOT_VIP;
	if (!(flags & HP_VIP_UP) || pkt->is_group || !answer_is_host6(pkt) ||
	    pkt->l4_offset != sizeof(*ip))
		return HP_VIP_SILENT;
	if ((void *)(icmp + 1) > pkt->end)
		return HP_MALFORMED;
	answer_swap_macs(eth);
	__builtin_memcpy(&ip->saddr, pkt->flow.destination, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, pkt->flow.source, sizeof(ip->daddr));
	ip->hop_limit = ANSWER_TTL;
	icmp->type = ICMP6_ECHO_REPLY;
	icmp->checksum = answer_mend(icmp->checksum, bpf_htons(ICMP6_ECHO << 8), bpf_htons(ICMP6_ECHO_REPLY << 8));
	return HP_ANSWERED_ECHO;
}

/* Take the quoted packet's flow as this packet's: the VIP's answer that met the error, turned round. */
static ALWAYS_INLINE enum hp_verdict answer_quote_ports(struct packet *pkt, __u8 protocol)
{
	struct ports *ports = parse_l4(pkt);

	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return HP_VIP_OTHER; /* an answer of this director's */
	pkt->flow.protocol = protocol;
	pkt->is_quoted = 1;
	pkt->is_portless = !hp_has_ports(protocol);
	if (pkt->is_portless)
		return HP_CONTINUE;
	barrier_var(ports); /* checked and read by one pointer, which the verifier has to see */
	if ((void *)(ports + 1) > pkt->end || pkt->l4_offset + sizeof(*ports) > pkt->ip_bytes)
		return HP_MALFORMED;
	pkt->flow.source_port = ports->destination;
	pkt->flow.destination_port = ports->source;
	return HP_CONTINUE;
}

/* The flow of an ICMP error to a VIP. Needs the flow's destination, l4_offset; sets what else of the flow there is,
 * l4_offset where the quoted packet's is, is_quoted. */
static ALWAYS_INLINE enum hp_verdict answer_quote4(struct packet *pkt)
{
	struct iphdr *quote = parse_l4(pkt) + sizeof(struct icmp_head);

	if ((void *)(quote + 1) > pkt->end || quote->version != 4 || quote->ihl < 5)
		return HP_MALFORMED;
	if (quote->saddr != pkt->flow.destination[3] || quote->frag_off & bpf_htons(IPV4_OFFSET_MASK))
		return HP_VIP_OTHER;
	pkt->flow.source[3] = quote->daddr;
	pkt->l4_offset += sizeof(struct icmp_head) + quote->ihl * 4;
	return answer_quote_ports(pkt, quote->protocol);
}

static ALWAYS_INLINE enum hp_verdict answer_quote6(struct packet *pkt)
{
	struct ipv6hdr *quote = parse_l4(pkt) + sizeof(struct icmp_head);
	const __be32 *source = quote->saddr.in6_u.u6_addr32;
	const __be32 *vip = pkt->flow.destination;
	enum hp_verdict verdict;
	__u8 next;

	if ((void *)(quote + 1) > pkt->end || quote->version != 6)
		return HP_MALFORMED;
	if (source[0] != vip[0] || source[1] != vip[1] || source[2] != vip[2] || source[3] != vip[3])
		return HP_VIP_OTHER;
	__builtin_memcpy(pkt->flow.source, &quote->daddr, sizeof(quote->daddr));
	next = quote->nexthdr;
	pkt->l4_offset += sizeof(struct icmp_head) + sizeof(*quote);
	verdict = parse_extensions(pkt, &next);
	if (verdict != HP_CONTINUE)
		return verdict;
	return pkt->is_later_fragment ? HP_VIP_OTHER : answer_quote_ports(pkt, next);
}

/* What ICMP for a VIP becomes: an answer, a flow to go on with (HP_CONTINUE), or none of ours. */
static ALWAYS_INLINE enum hp_verdict answer_icmp4(struct packet *pkt)
{
	struct icmp_head *icmp = parse_l4(pkt);

	if ((void *)(icmp + 1) > pkt->end || pkt->l4_offset + sizeof(*icmp) > pkt->ip_bytes)
		return HP_MALFORMED;
	switch (icmp->type) {
	case ICMP4_ECHO:
		return answer_echo4(pkt);
	case ICMP4_UNREACHABLE:
	case ICMP4_TIME_EXCEEDED:
	case ICMP4_PARAMETER_PROBLEM:
		return service_is_vip(pkt) ? answer_quote4(pkt) : HP_NOT_VIP;
	default:
		return service_is_vip(pkt) ? HP_VIP_OTHER : HP_NOT_VIP;
	}
}

static ALWAYS_INLINE enum hp_verdict answer_icmp6(struct packet *pkt)
{
	struct icmp_head *icmp = parse_l4(pkt);

	if ((void *)(icmp + 1) > pkt->end || pkt->l4_offset + sizeof(*icmp) > pkt->ip_bytes)
		return HP_MALFORMED;
	switch (icmp->type) {
	case ND_SOLICITATION:
		return answer_nd(pkt);
	case ICMP6_ECHO:
		return answer_echo6(pkt);
	case ICMP6_UNREACHABLE:
	case ICMP6_TOO_BIG:
	case ICMP6_TIME_EXCEEDED:
	case ICMP6_PARAMETER_PROBLEM:
		return service_is_vip(pkt) ? answer_quote6(pkt) : HP_NOT_VIP;
	default:
		return service_is_vip(pkt) ? HP_VIP_OTHER : HP_NOT_VIP;
	}
}

#endif

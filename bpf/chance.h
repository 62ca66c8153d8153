/* Chance: whether a packet that came with a second chance belongs to this backend. It does when it opens a connection,
 * when a socket here has its connection, and when it carries a good SYN cookie. Else the connection may be the
 * alternate's, and the packet is marked to leave: relay.h sends it there, once. */
#ifndef HP_CHANCE_H
#define HP_CHANCE_H

#include <linux/tcp.h>

#include "tunnel.h"

#define CHANCE_ICMP4_BYTES 8
#define CHANCE_ICMP4_UNREACHABLE 3
#define CHANCE_ICMP4_TIME_EXCEEDED 11
#define CHANCE_ICMP4_PARAMETER_PROBLEM 12
#define CHANCE_ICMP6_PARAMETER_PROBLEM 4 /* the last of the errors that are told */

struct chance_ports {
	__be16 source, destination;
};

/* Whether the listener gave out the packet's cookie; tcp is NULL where there is none to look at. */
static __always_inline int chance_has_cookie(struct bpf_sock *sk, void *ip, __u32 ip_bytes, struct tcphdr *tcp)
{
	return tcp && sk->state == BPF_TCP_LISTEN && !bpf_tcp_check_syncookie(sk, ip, ip_bytes, tcp, sizeof(*tcp));
}

/* The same of a server that listens on another port than was asked, where ports.h has not told the kernel of it. */
static __always_inline int chance_has_server(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_bytes, void *ip,
					     __u32 ip_bytes, struct tcphdr *tcp)
{
	__be16 *port = tuple_bytes == sizeof(tuple->ipv4) ? &tuple->ipv4.dport : &tuple->ipv6.dport;
	struct hpb_port key = {.protocol = IPPROTO_TCP, .port = *port};
	__u32 *row = bpf_map_lookup_elem(&ports, &key);
	struct bpf_sock *sk;
	int has;

	if (!row)
		return 0;
	*port = bpf_htons(*row & HPB_PORT_NUMBER);
	sk = bpf_skc_lookup_tcp(ctx, tuple, tuple_bytes, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	has = chance_has_cookie(sk, ip, ip_bytes, tcp);
	bpf_sk_release(sk);
	return has;
}

/* Whether a socket has the connection. A listener alone has it when the packet's cookie is one that it gave out. */
static __always_inline int chance_has_socket(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_bytes, void *ip,
					     __u32 ip_bytes, struct tcphdr *tcp)
{
	struct bpf_sock *sk = bpf_skc_lookup_tcp(ctx, tuple, tuple_bytes, BPF_F_CURRENT_NETNS, 0);
	int has;

	if (!sk)
		return tcp ? chance_has_server(ctx, tuple, tuple_bytes, ip, ip_bytes, tcp) : 0;
	has = sk->state != BPF_TCP_LISTEN || chance_has_cookie(sk, ip, ip_bytes, tcp);
	bpf_sk_release(sk);
	return has;
}

/* An ICMP error belongs where the connection is that it quotes: a VIP's answer, so the quoted source is our end. */
static __always_inline int chance_quoted4(struct xdp_md *ctx, const struct tunnel *t, void *icmp)
{
	struct iphdr *quote = icmp + CHANCE_ICMP4_BYTES;
	struct chance_ports *ports = (void *)(quote + 1);
	struct bpf_sock_tuple tuple = {};
	__u8 *type = icmp;

	if ((void *)(ports + 1) > t->end || quote->version != 4 || quote->ihl != 5 || quote->protocol != IPPROTO_TCP)
		return 1;
	if (*type != CHANCE_ICMP4_UNREACHABLE && *type != CHANCE_ICMP4_TIME_EXCEEDED &&
	    *type != CHANCE_ICMP4_PARAMETER_PROBLEM)
		return 1;
	tuple.ipv4.saddr = quote->daddr;
	tuple.ipv4.daddr = quote->saddr;
	tuple.ipv4.sport = ports->destination;
	tuple.ipv4.dport = ports->source;
	return chance_has_socket(ctx, &tuple, sizeof(tuple.ipv4), quote, sizeof(*quote), NULL);
}

static __always_inline int chance_quoted6(struct xdp_md *ctx, const struct tunnel *t, void *icmp)
{
	struct ipv6hdr *quote = icmp + CHANCE_ICMP4_BYTES;
	struct chance_ports *ports = (void *)(quote + 1);
	struct bpf_sock_tuple tuple = {};
	__u8 *type = icmp;

	if ((void *)(ports + 1) > t->end || quote->version != 6 || quote->nexthdr != IPPROTO_TCP)
		return 1;
	if (!*type || *type > CHANCE_ICMP6_PARAMETER_PROBLEM)
		return 1;
	__builtin_memcpy(tuple.ipv6.saddr, &quote->daddr, sizeof(tuple.ipv6.saddr));
	__builtin_memcpy(tuple.ipv6.daddr, &quote->saddr, sizeof(tuple.ipv6.daddr));
	tuple.ipv6.sport = ports->destination;
	tuple.ipv6.dport = ports->source;
	return chance_has_socket(ctx, &tuple, sizeof(tuple.ipv6), quote, sizeof(*quote), NULL);
}

/* Whether the inner packet belongs here. What is neither TCP nor an error about it, fragments, and what hides behind
 * extension headers does. */
static __always_inline int chance_belongs4(struct xdp_md *ctx, const struct tunnel *t)
{
	struct iphdr *ip = tunnel_inner(t);
	struct bpf_sock_tuple tuple = {};
	struct tcphdr *tcp;

	if ((void *)(ip + 1) > t->end || ip->ihl < 5 || ip->frag_off & bpf_htons(TUNNEL_FRAGMENT))
		return 1;
	tcp = (void *)ip + ip->ihl * 4;
	if (ip->protocol == IPPROTO_ICMP)
		return chance_quoted4(ctx, t, tcp);
	if (ip->protocol != IPPROTO_TCP || (void *)(tcp + 1) > t->end || (tcp->syn && !tcp->ack))
		return 1;
	tuple.ipv4.saddr = ip->saddr;
	tuple.ipv4.daddr = ip->daddr;
	tuple.ipv4.sport = tcp->source;
	tuple.ipv4.dport = tcp->dest;
	return chance_has_socket(ctx, &tuple, sizeof(tuple.ipv4), ip, sizeof(*ip), tcp);
}

static __always_inline int chance_belongs6(struct xdp_md *ctx, const struct tunnel *t)
{
	struct ipv6hdr *ip = tunnel_inner(t);
	struct tcphdr *tcp = (void *)(ip + 1);
	struct bpf_sock_tuple tuple = {};

	if ((void *)(ip + 1) > t->end)
		return 1;
	if (ip->nexthdr == IPPROTO_ICMPV6)
		return chance_quoted6(ctx, t, tcp);
	if (ip->nexthdr != IPPROTO_TCP || (void *)(tcp + 1) > t->end || (tcp->syn && !tcp->ack))
		return 1;
	__builtin_memcpy(tuple.ipv6.saddr, &ip->saddr, sizeof(tuple.ipv6.saddr));
	__builtin_memcpy(tuple.ipv6.daddr, &ip->daddr, sizeof(tuple.ipv6.daddr));
	tuple.ipv6.sport = tcp->source;
	tuple.ipv6.dport = tcp->dest;
	return chance_has_socket(ctx, &tuple, sizeof(tuple.ipv6), ip, sizeof(*ip), tcp);
}

/* Write the alternate over the outer destination, and mark the packet to leave. 0 when it cannot go there: the alternate
 * is this very backend, or of another family than the outer header, whose source, the director, has to stay. */
static __always_inline int chance_turn4(const struct tunnel *t, struct hp_gue_chance *chance)
{
	struct iphdr *ip = tunnel_outer(t);
	__be32 to = chance->alternate[3];
	__u32 sum;

	if ((void *)(ip + 1) > t->end || chance->alternate[0] || chance->alternate[1] ||
	    chance->alternate[2] != bpf_htonl(0xffff) || to == ip->daddr)
		return 0;
	/* RFC 1624, equation 3 */
	sum = (__u16)~ip->check + (__u16)~(ip->daddr & 0xffff) + (__u16)~(ip->daddr >> 16) + (to & 0xffff) + (to >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = (__u16)~sum;
	ip->daddr = to;
	chance->hops = HP_CHANCE_LEAVES;
	return 1;
}

static __always_inline int chance_turn6(const struct tunnel *t, struct hp_gue_chance *chance)
{
	struct ipv6hdr *ip = tunnel_outer(t);
	__be32 *own = ip->daddr.in6_u.u6_addr32, *to = chance->alternate;

	if ((void *)(ip + 1) > t->end || (!to[0] && !to[1] && to[2] == bpf_htonl(0xffff)))
		return 0;
	if (to[0] == own[0] && to[1] == own[1] && to[2] == own[2] && to[3] == own[3])
		return 0;
	__builtin_memcpy(own, to, sizeof(chance->alternate));
	chance->hops = HP_CHANCE_LEAVES;
	return 1;
}

/* Whether the relay will find the way: it sees no more than one tag, and needs to know that VLAN's interface. */
static __always_inline int chance_has_way(const struct tunnel *t)
{
	if (!HPB_VLAN_NUMBER(t->vlan))
		return t->l3_offset <= ETH_HLEN + sizeof(struct tunnel_tag);
	return t->l3_offset == ETH_HLEN + sizeof(struct tunnel_tag) && bpf_map_lookup_elem(&vlans, &t->vlan);
}

/* Whether the packet, which is from a named sender and for a VIP, leaves for its alternate; it is marked then. */
static __always_inline int chance_leaves(struct xdp_md *ctx, const struct tunnel *t)
{
	struct hp_gue_chance *chance = tunnel_chance(t);
	int belongs;

	if (t->hops != HP_CHANCE_FRESH || !tunnel_has(HPB_PASSES_ON) || !chance_has_way(t))
		return 0;
	belongs = t->inner_protocol == IPPROTO_IPIP ? chance_belongs4(ctx, t) : chance_belongs6(ctx, t);
	if (belongs || (void *)(chance + 1) > t->end)
		return 0;
	return t->ethertype == bpf_htons(ETH_P_IP) ? chance_turn4(t, chance) : chance_turn6(t, chance);
}

#endif

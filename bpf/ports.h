/* Ports: clients ask a port of a VIP, the server listens on another. No packet that arrives is changed: the kernel is told
 * which socket takes it, and a TCP connection answers from the port that was asked by itself.
 *
 * Which socket that is, only tc and XDP can ask the kernel, and only sk_lookup is asked wherever a socket is searched: for a
 * segment, a datagram, an ICMP error, the other programs here. So at tc's ingress each packet that opens something looks for
 * the server (ports_find) and puts its socket where sk_lookup finds it (ports_lookup). A server that starts anew is found by
 * the next such packet.
 *
 * A UDP socket answers from its own port, whoever was asked; what leaves from there is given the VIP's port (ports_answer). */
#ifndef HP_PORTS_H
#define HP_PORTS_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "backend_abi.h"
#include "backend_maps.h"

#define PORTS_FRAGMENT4 0x1fff
#define PORTS_FRAGMENT6 0xfff8
#define PORTS_FAMILY4 2 /* AF_INET */
#define PORTS_FLAGS 13 /* of TCP: offset of the byte */
#define PORTS_OPENS 0x02 /* SYN, and not */
#define PORTS_OPENS_NOT 0x10 /* ACK */

/* The packet's two ends: ours is a VIP. */
struct ports {
	struct hpb_endpoint vip;
	__be32 client[4];
	__be16 client_port;
	__u32 transport; /* offset of the header with the ports */
	__u8 is4;
};

struct ports_fragment6 {
	__u8 next, reserved;
	__be16 offset;
	__be32 id;
};

static __always_inline void ports_address4(__be32 out[static 4], __be32 address)
{
	out[2] = bpf_htonl(0xffff);
	out[3] = address;
}

static __always_inline int ports_read4(struct __sk_buff *skb, struct ports *p, int arrives)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.ihl < 5 || ip.frag_off & bpf_htons(PORTS_FRAGMENT4))
		return 0;
	p->is4 = 1;
	p->vip.protocol = ip.protocol;
	p->transport = ETH_HLEN + ip.ihl * 4;
	ports_address4(p->vip.address, arrives ? ip.daddr : ip.saddr);
	ports_address4(p->client, arrives ? ip.saddr : ip.daddr);
	return bpf_map_lookup_elem(&vips4, &p->vip.address[3]) != NULL;
}

static __always_inline int ports_read6(struct __sk_buff *skb, struct ports *p, int arrives)
{
	struct ports_fragment6 fragment;
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return 0;
	p->vip.protocol = ip.nexthdr;
	p->transport = ETH_HLEN + sizeof(ip);
	if (ip.nexthdr == IPPROTO_FRAGMENT) {
		if (bpf_skb_load_bytes(skb, p->transport, &fragment, sizeof(fragment)) ||
		    fragment.offset & bpf_htons(PORTS_FRAGMENT6))
			return 0;
		p->vip.protocol = fragment.next;
		p->transport += sizeof(fragment);
	}
	__builtin_memcpy(p->vip.address, arrives ? &ip.daddr : &ip.saddr, sizeof(p->vip.address));
	__builtin_memcpy(p->client, arrives ? &ip.saddr : &ip.daddr, sizeof(p->client));
	return bpf_map_lookup_elem(&vips6, p->vip.address) != NULL;
}

/* Whether the packet is TCP or UDP to a VIP or, when it does not arrive, from one; later fragments are not. */
static __always_inline int ports_read(struct __sk_buff *skb, struct ports *p, int arrives)
{
	__be16 both[2];
	int is_ours = 0;

	if (skb->protocol == bpf_htons(ETH_P_IP))
		is_ours = ports_read4(skb, p, arrives);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		is_ours = ports_read6(skb, p, arrives);
	if (!is_ours || (p->vip.protocol != IPPROTO_TCP && p->vip.protocol != IPPROTO_UDP) ||
	    bpf_skb_load_bytes(skb, p->transport, both, sizeof(both)))
		return 0;
	p->vip.port = both[arrives ? 1 : 0];
	p->client_port = both[arrives ? 0 : 1];
	return 1;
}

static __always_inline __u32 *ports_row(const struct hpb_endpoint *vip, __u8 is_answer)
{
	struct hpb_port key = {.protocol = (__u8)vip->protocol, .is_answer = is_answer, .port = vip->port};

	return bpf_map_lookup_elem(&ports, &key);
}

/* The tuple for a search at a port of the VIP: by the client, or by nobody, whose packets only a socket that waits for
 * everybody takes. Returns its length. */
static __always_inline __u32 ports_tuple(const struct ports *p, __be16 port, int by_client, struct bpf_sock_tuple *tuple)
{
	if (p->is4) {
		tuple->ipv4.daddr = p->vip.address[3];
		tuple->ipv4.dport = port;
		tuple->ipv4.saddr = by_client ? p->client[3] : 0;
		tuple->ipv4.sport = by_client ? p->client_port : 0;
		return sizeof(tuple->ipv4);
	}
	__builtin_memcpy(tuple->ipv6.daddr, p->vip.address, sizeof(tuple->ipv6.daddr));
	tuple->ipv6.dport = port;
	if (by_client)
		__builtin_memcpy(tuple->ipv6.saddr, p->client, sizeof(tuple->ipv6.saddr));
	tuple->ipv6.sport = by_client ? p->client_port : 0;
	return sizeof(tuple->ipv6);
}

/* Put the socket where sk_lookup finds it, unless it is there. Some are in nobody's map: those of MPTCP, and those that
 * another map or the kernel has the use of. */
static __always_inline int ports_keep(const struct hpb_endpoint *vip, struct bpf_sock *sk)
{
	struct bpf_sock *known = bpf_map_lookup_elem(&sockets, vip);
	int is_known = known == sk;

	if (known)
		bpf_sk_release(known);
	if (is_known || !bpf_map_update_elem(&sockets, vip, sk, BPF_ANY))
		return 1;
	bpf_map_delete_elem(&sockets, vip);
	return 0;
}

/* Whether a socket has the very connection of the packet: the kernel finds it by itself. */
static __always_inline int ports_has_connection(struct __sk_buff *skb, const struct ports *p)
{
	struct bpf_sock_tuple tuple = {};
	__u32 bytes = ports_tuple(p, p->vip.port, 1, &tuple);
	struct bpf_sock *sk = bpf_skc_lookup_tcp(skb, &tuple, bytes, BPF_F_CURRENT_NETNS, 0);
	int has;

	if (!sk)
		return 0;
	has = sk->state != BPF_TCP_LISTEN;
	bpf_sk_release(sk);
	return has;
}

/* A SYN looks for the listener. Where that is in no map, packets that open a connection are handed to it one by one: SYNs,
 * and what may carry a SYN cookie. */
static __always_inline void ports_find_tcp(struct __sk_buff *skb, const struct ports *p, __u32 *row)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	__u32 bytes;
	__u8 flags;
	int opens;

	if (bpf_skb_load_bytes(skb, p->transport + PORTS_FLAGS, &flags, sizeof(flags)))
		return;
	opens = (flags & (PORTS_OPENS | PORTS_OPENS_NOT)) == PORTS_OPENS;
	if (!opens && (!(*row & HPB_PORT_BY_PACKET) || ports_has_connection(skb, p)))
		return;
	bytes = ports_tuple(p, bpf_htons(*row & HPB_PORT_NUMBER), 0, &tuple);
	sk = bpf_sk_lookup_tcp(skb, &tuple, bytes, BPF_F_CURRENT_NETNS, 0);
	if (opens)
		backend_count(sk ? HPB_MAPPED : HPB_UNSERVED);
	if (!sk) {
		bpf_map_delete_elem(&sockets, &p->vip);
		return;
	}
	if (!ports_keep(&p->vip, sk)) {
		*row |= HPB_PORT_BY_PACKET;
		if (!opens || !ports_has_connection(skb, p))
			bpf_sk_assign(skb, sk, 0);
	}
	bpf_sk_release(sk);
}

/* A datagram looks for the server's socket. One that is connected to this client takes it at once; of those that wait for
 * everybody, several may share the port, and any of them stands for all. */
static __always_inline void ports_find_udp(struct __sk_buff *skb, const struct ports *p, const __u32 *row)
{
	struct bpf_sock_tuple tuple = {}, anybody = {};
	__be16 server = bpf_htons(*row & HPB_PORT_NUMBER);
	__u32 bytes = ports_tuple(p, server, 1, &tuple);
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, &tuple, bytes, BPF_F_CURRENT_NETNS, 0);

	if (sk && sk->state == BPF_TCP_ESTABLISHED) {
		bpf_sk_assign(skb, sk, 0);
		bpf_sk_release(sk);
		backend_count(HPB_MAPPED);
		return;
	}
	if (sk)
		bpf_sk_release(sk);
	bytes = ports_tuple(p, server, 0, &anybody);
	sk = bpf_sk_lookup_udp(skb, &anybody, bytes, BPF_F_CURRENT_NETNS, 0);
	backend_count(sk ? HPB_MAPPED : HPB_UNSERVED);
	if (!sk) {
		bpf_map_delete_elem(&sockets, &p->vip);
		return;
	}
	if (!ports_keep(&p->vip, sk))
		bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
}

static __always_inline void ports_find(struct __sk_buff *skb)
{
	struct ports p = {};
	__u32 *row;

	if (!ports_read(skb, &p, 1))
		return;
	row = ports_row(&p.vip, 0);
	if (!row)
		return;
	if (p.vip.protocol == IPPROTO_TCP)
		ports_find_tcp(skb, &p, row);
	else
		ports_find_udp(skb, &p, row);
}

/* All is read before any is chosen: the compiler would choose between offsets, and the verifier takes constant ones only. */
static __always_inline void ports_asked(const volatile struct bpf_sk_lookup *ctx, __be32 address[static 4])
{
	__be32 address4 = ctx->local_ip4;

	for (int i = 0; i < 4; i++)
		address[i] = ctx->local_ip6[i]; /* zeros where the packet is IPv4 */
	if (ctx->family == PORTS_FAMILY4)
		ports_address4(address, address4);
}

/* What another program chose stands; without a server the search goes on, and ends where it would without us. */
static __always_inline void ports_lookup(struct bpf_sk_lookup *ctx)
{
	struct hpb_endpoint vip = {.port = bpf_htons((__u16)ctx->local_port), .protocol = (__u16)ctx->protocol};
	struct bpf_sock *sk;

	if (ctx->sk || !ports_row(&vip, 0))
		return;
	ports_asked(ctx, vip.address);
	sk = bpf_map_lookup_elem(&sockets, &vip);
	if (!sk)
		return;
	bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
}

/* A datagram of a server leaves from the port that clients ask. The checksum is mended; it holds no port while the card is
 * to fill it in, and stays absent where there is none. */
static __always_inline void ports_answer(struct __sk_buff *skb)
{
	struct ports p = {};
	__be16 now;
	__u32 *row;

	if (!ports_read(skb, &p, 0) || p.vip.protocol != IPPROTO_UDP)
		return;
	row = ports_row(&p.vip, 1);
	if (!row)
		return;
	now = bpf_htons(*row & HPB_PORT_NUMBER);
	if (bpf_skb_store_bytes(skb, p.transport, &now, sizeof(now), 0))
		return;
	bpf_l4_csum_replace(skb, p.transport + __builtin_offsetof(struct udphdr, check), p.vip.port, now,
			    BPF_F_MARK_MANGLED_0 | sizeof(now));
	backend_count(HPB_ANSWERED);
}

#endif

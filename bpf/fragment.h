/* Fragment: the walk of a fragment, IPv4 or IPv6.
 *
 * Only the first fragment of a datagram names ports. It takes the steps of any packet, and where it goes is noted under what
 * all fragments of the datagram have in common; later ones follow it there, whatever becomes of their service meanwhile. A
 * later one that comes before its first goes where its source points, in a service that hashes by source, or nowhere.
 *
 * In functions of their own that read the packet anew, as in moving.h: whole packets carry nothing for them. */
#ifndef HP_FRAGMENT_H
#define HP_FRAGMENT_H

#include "packet.h"
#include "parse.h"
#include "service.h"
#include "guard.h"
#include "pick.h"
#include "continuity.h"
#include "moving.h"

#define FRAGMENT_TCP_BYTES 24 /* a TCP header, in the steps of 8 that offsets have: no later fragment begins before */

/* A fragment, as the functions that it takes know it. */
struct fragment {
	struct continuity packet;
	struct hp_fragment_key key;
	__u32 is_later;
	__u32 service;
	__u64 place; /* as moving_place says */
};

/* One for each CPU, as guard_room. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fragment);
} fragment_room SEC(".maps");

/* Where the fragment header stands in a chain that begins at `at`, from the frame's beginning, with a header of the kind
 * `next`. parse_chain has seen it there. */
__attribute__((noinline)) int fragment_header(struct xdp_md *ctx, __u32 at, __u32 next)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	for (int i = 0; i < PARSE_EXTENSIONS_MOST && next != IPPROTO_FRAGMENT; i++) {
		struct extension *extension = data + (at & PARSE_L4_MASK);

		if ((void *)(extension + 1) > end)
			break;
		at += next == IPPROTO_AH ? (extension->length + 2) * 4 : (extension->length + 1) * 8;
		next = extension->next;
	}
	return (int)(at & PARSE_L4_MASK);
}

/* What an IP header says of the fragment: its datagram, and where it stands in it, in bytes. Needs l3, the flow. */
static ALWAYS_INLINE enum hp_verdict fragment_of4(const struct packet *pkt, struct hp_fragment_key *key, __u32 *offset)
{
	const struct iphdr *ip = pkt->l3;

	if (packet_ends_before(pkt, (void *)(ip + 1)))
		return HP_MALFORMED;
	key->id = ip->id;
	key->protocol = ip->protocol;
	*offset = (bpf_ntohs(ip->frag_off) & IPV4_OFFSET_MASK) * 8;
	return HP_CONTINUE;
}

static ALWAYS_INLINE enum hp_verdict fragment_of6(const struct packet *pkt, struct hp_fragment_key *key, __u32 *offset)
{
	const struct ipv6hdr *ip = pkt->l3;
	const struct extension *header;
	__u32 at;

	if (packet_ends_before(pkt, (void *)(ip + 1)))
		return HP_MALFORMED;
	at = (__u32)fragment_header(pkt->ctx, pkt->l3_offset + sizeof(*ip), ip->nexthdr);
	barrier_var(at); /* the mask is for the verifier, and the compiler knows that the function has applied it */
	header = pkt->data + (at & PARSE_L4_MASK);
	if (packet_ends_before(pkt, (void *)(header + 1)))
		return HP_MALFORMED;
	key->id = header->id;
	key->is_ipv6 = 1;
	*offset = bpf_ntohs(header->offset) & IPV6_OFFSET_MASK;
	return HP_CONTINUE;
}

/* Ports of the first fragment. TCP and UDP are told from fragments that hold their headers whole (RFC 1858, 3128; RFC 7112
 * of IPv6, with all that stands before): what comes in smaller pieces might have them put together otherwise than they were
 * read here, and has no use but that. A ping in pieces gets no answer, and ICMP errors are too short to come in any. */
static ALWAYS_INLINE enum hp_verdict fragment_transport(struct packet *pkt, __u32 offset)
{
	__u8 protocol = pkt->flow.protocol;

	if (pkt->is_group)
		return HP_NOT_IP;
	if (!service_is_vip(pkt))
		return HP_NOT_VIP;
	if (pkt->is_later_fragment)
		return protocol == IPPROTO_TCP && offset < FRAGMENT_TCP_BYTES ? HP_FRAGMENT_TINY : HP_CONTINUE;
	if (hp_has_ports(protocol))
		return parse_ports(pkt) == HP_CONTINUE ? HP_CONTINUE : HP_FRAGMENT_TINY;
	if (protocol == PARSE_CUT && pkt->flow.is_ipv6)
		return HP_FRAGMENT_TINY;
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return HP_VIP_SILENT;
	pkt->is_portless = 1;
	return HP_CONTINUE;
}

/* Read the packet. Sets all but service and what is picked. Returns 0. */
__attribute__((noinline)) int fragment_read(struct xdp_md *ctx, struct fragment *out)
{
	struct packet pkt = {
		.ctx = ctx,
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	enum hp_verdict verdict = parse_link(&pkt);
	__u32 offset = 0;
	int is4 = pkt.ethertype == bpf_htons(ETH_P_IP);

	if (!out)
		return 0;
	if (verdict == HP_CONTINUE)
		verdict = is4 ? parse_ipv4(&pkt) : parse_ipv6(&pkt);
	if (verdict == HP_CONTINUE)
		verdict = is4 ? fragment_of4(&pkt, &out->key, &offset) : fragment_of6(&pkt, &out->key, &offset);
	if (verdict == HP_CONTINUE)
		verdict = fragment_transport(&pkt, offset);
	out->packet.verdict = verdict;
	if (verdict != HP_CONTINUE)
		return 0;
	out->is_later = pkt.is_later_fragment;
	out->place = moving_place(&pkt);
	out->packet.flow = pkt.flow;
	out->packet.kind = continuity_kind(&pkt);
	__builtin_memcpy(out->key.source, pkt.flow.source, sizeof(out->key.source));
	__builtin_memcpy(out->key.destination, pkt.flow.destination, sizeof(out->key.destination));
	return 0;
}

/* What tells an entry from one that was reused for another datagram, and its backend from one that has got the number of a
 * former one since. */
static ALWAYS_INLINE __u32 fragment_check(const struct hp_fragment_key *key, __u32 number)
{
	struct hp_identity *identity = bpf_map_lookup_elem(&identities, &number);
	__u64 x = hp_pair(key->id, key->protocol);

	if (!number || !identity)
		return 0;
	x += hp_mix(hp_pair(identity->address[0], identity->address[1]) + identity->method);
	x += hp_mix(hp_pair(identity->address[2], identity->address[3]) ^ hp_pair(key->source[3], key->destination[3]));
	return (__u32)(hp_mix(x) >> 32) | 1;
}

/* A datagram's entry, copied so that it stays what it was. Returns whether there is one that counts yet. */
static ALWAYS_INLINE int fragment_look_up(const struct hp_fragment_key *key, __u64 now_ns, struct hp_fragment *out)
{
	struct hp_fragment *entry = bpf_map_lookup_elem(&fragments, key);
	__u64 word;

	if (!entry)
		return 0;
	out->first_ns = entry->first_ns;
	out->service = entry->service;
	out->hash = entry->hash;
	barrier();
	word = *(volatile __u64 *)&entry->backend;
	out->backend = (__u32)word;
	out->check = (__u32)(word >> 32);
	return now_ns - out->first_ns < HP_FRAGMENT_NS && out->check == fragment_check(key, out->backend);
}

/* Send a later fragment where its first one went. Returns whether that is known; sets service, before, of which the flags alone,
 * backend and hash then. */
__attribute__((noinline)) int fragment_follow(struct fragment *f)
{
	struct hp_fragment first = {0};
	struct hp_fragment_key key;
	struct hp_service *service;
	struct hp_trace *record;

	if (!f)
		return 0;
	key = f->key; /* older verifiers (6.1) take keys from this function's own stack only */
	if (!fragment_look_up(&key, bpf_ktime_get_boot_ns(), &first))
		return 0;
	service = bpf_map_lookup_elem(&services, &first.service);
	f->service = first.service;
	f->packet.before = service ? *(volatile __u32 *)&service->before & HP_SERVICE_FLAGS : 0;
	f->packet.backend = first.backend;
	f->packet.hash = first.hash;
	if ((record = trace_record())) {
		record->backend = first.backend;
		record->first_ns = first.first_ns;
	}
	if (!hp_tracing)
		continuity_count(HP_FLOW_FOLLOWED_EVENT);
	return 1;
}

/* Whether a ring is indexed by what a later fragment does not name. */
static ALWAYS_INLINE int fragment_lacks_port(__u32 ring)
{
	union hp_block *head = bpf_map_lookup_elem(&slots, &ring);

	return head && ring && head->head.hash != HP_HASH_SOURCE;
}

/* Whether a later fragment of this protocol may be of a service; behind extension headers it names the first of them. */
static ALWAYS_INLINE int fragment_may_be_ours(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_DSTOPTS ||
	       protocol == IPPROTO_ROUTING || protocol == IPPROTO_AH;
}

/* Find the service, and pick by its ring `now`. A later fragment names no port: only a service of any port can be its own.
 * Sets service, the packet's before, backend, hash and verdict. Returns 0. */
__attribute__((noinline)) int fragment_pick(struct fragment *f)
{
	struct packet pkt = {0};
	enum hp_verdict verdict;
	__u64 rings;

	if (!f)
		return 0;
	pkt.flow = f->packet.flow;
	pkt.is_later_fragment = f->is_later != 0;
	pkt.is_portless = !hp_has_ports(pkt.flow.protocol);
	verdict = pkt.is_later_fragment ? service_of_rest(&pkt) : service(&pkt);
	if (verdict == HP_VIP_OTHER && pkt.is_later_fragment && fragment_may_be_ours(pkt.flow.protocol))
		verdict = HP_FRAGMENT;
	f->service = pkt.service;
	f->packet.verdict = verdict;
	if (verdict != HP_CONTINUE)
		return 0;
	rings = pick_rings(&pkt);
	if (pkt.is_later_fragment && !pkt.is_portless && fragment_lacks_port((__u32)rings))
		f->packet.verdict = HP_FRAGMENT;
	else
		moving_pick(&pkt, rings, &f->packet);
	return 0;
}

/* Note where the first fragment of a datagram goes.
 *
 * Where an entry says another backend, the ID was used again, or somebody has sent two beginnings of one datagram. For
 * HP_FRAGMENT_OWN_NS the first of them has it, and the other is dropped, as what follows belongs to one of the two alone; after
 * that the later one has it. Sets the packet's verdict. Returns 0. */
__attribute__((noinline)) int fragment_lead(struct fragment *f)
{
	struct hp_fragment entry = {0}, other = {0};
	struct hp_fragment_key key;

	if (!f)
		return 0;
	key = f->key;
	entry.first_ns = bpf_ktime_get_boot_ns();
	if (fragment_look_up(&key, entry.first_ns, &other) && other.backend != f->packet.backend &&
	    entry.first_ns - other.first_ns < HP_FRAGMENT_OWN_NS)
		f->packet.verdict = HP_FRAGMENT_CLASH;
	if (hp_tracing || f->packet.verdict != HP_CONTINUE)
		return 0;
	entry.backend = f->packet.backend;
	entry.check = fragment_check(&key, f->packet.backend);
	entry.service = f->service;
	entry.hash = f->packet.hash;
	bpf_map_update_elem(&fragments, &key, &entry, BPF_ANY);
	return 0;
}

/* The terms of the service: its lists judge every fragment, its limit counts first ones. Sets the packet's verdict. */
static ALWAYS_INLINE void fragment_guard(struct xdp_md *ctx, struct fragment *f)
{
	int verdict;

	if (!(f->packet.before & HP_SERVICE_GUARDED))
		return;
	verdict = guard_judge(ctx, f->service, &f->packet.flow, f->is_later);
	barrier_var(verdict);
	if (verdict == HP_LIMITED)
		f->packet.verdict = HP_LIMITED;
	else if (verdict != HP_CONTINUE)
		f->packet.verdict = HP_DENIED;
}

/* All of it. A fragment gets no second chance: a backend that has not the connection could not tell by a later one. Returns
 * the action. */
static ALWAYS_INLINE int fragment(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct fragment *f = bpf_map_lookup_elem(&fragment_room, &zero);

	if (!f)
		return XDP_ABORTED; /* cannot be, which the verifier does not know */
	__builtin_memset(f, 0, sizeof(*f));
	fragment_read(ctx, f);
	if (f->packet.verdict == HP_CONTINUE && !(f->is_later && fragment_follow(f)))
		fragment_pick(f);
	if (f->packet.verdict == HP_CONTINUE || f->packet.verdict == HP_NO_BACKEND)
		fragment_guard(ctx, f);
	if (f->packet.before & ~HP_SERVICE_FLAGS && (f->packet.verdict == HP_CONTINUE || f->packet.verdict == HP_NO_BACKEND))
		continuity(&f->packet);
	if (f->packet.verdict == HP_CONTINUE && !f->is_later)
		fragment_lead(f);
	f->packet.alternate = 0;
	return moving_send(ctx, f->service, f->place, &f->packet);
}

#endif

/* Service: which service the flow belongs to; and what of a VIP's traffic belongs to none.
 *
 * Keys are looked up in tables of our own (abi.h): one line of cache where the kernel's hash table takes a call, a
 * longer hash and a list. */
#ifndef HP_SERVICE_H
#define HP_SERVICE_H

#include "packet.h"
#include "parse.h"

#define SERVICE_NO_KEY -1

/* Each returns the number that belongs to the key, or SERVICE_NO_KEY. */
static ALWAYS_INLINE int service_in_bucket4(const struct hp_bucket4 *bucket, __u64 key)
{
#pragma unroll
	for (int i = 0; i < HP_KEYS_A_BUCKET; i++)
		if (hp_pair(bucket->entry[i].vip, bucket->entry[i].what) == key)
			return (int)bucket->entry[i].number;
	return SERVICE_NO_KEY;
}

static ALWAYS_INLINE int service_in_bucket6(const struct hp_bucket6 *bucket, __u64 high, __u64 low, __u32 what)
{
#pragma unroll
	for (int i = 0; i < HP_KEYS_A_BUCKET; i++) {
		const struct hp_entry6 *entry = &bucket->entry[i];

		if (entry->what == what && hp_pair(entry->vip[2], entry->vip[3]) == low &&
		    hp_pair(entry->vip[0], entry->vip[1]) == high)
			return (int)entry->number;
	}
	return SERVICE_NO_KEY;
}

/* The buckets behind the first, for keys that passed it. Functions of their own, which the verifier looks at once. */
__attribute__((noinline)) int service_probe4(__u32 at, __u64 key)
{
	for (int i = 0; i < HP_PROBES_MOST; i++) {
		struct hp_bucket4 *bucket;
		int number;

		at = (at + 1) & (__u32)(~0ULL >> hp_key_shift);
		bucket = bpf_map_lookup_elem(&keys4, &at);
		if (!bucket)
			break;
		number = service_in_bucket4(bucket, key);
		if (number != SERVICE_NO_KEY || !bucket->entry[0].passed)
			return number;
	}
	return SERVICE_NO_KEY;
}

__attribute__((noinline)) int service_probe6(__u32 at, __u64 high, __u64 low, __u32 what)
{
	for (int i = 0; i < HP_PROBES_MOST; i++) {
		struct hp_bucket6 *bucket;
		int number;

		at = (at + 1) & (__u32)(~0ULL >> hp_key_shift);
		bucket = bpf_map_lookup_elem(&keys6, &at);
		if (!bucket)
			break;
		number = service_in_bucket6(bucket, high, low, what);
		if (number != SERVICE_NO_KEY || !bucket->entry[0].passed)
			return number;
	}
	return SERVICE_NO_KEY;
}

static ALWAYS_INLINE int service_look_up4(__be32 vip, __u32 what)
{
	__u32 at = hp_key4_bucket(vip, what, hp_key_shift);
	struct hp_bucket4 *bucket = bpf_map_lookup_elem(&keys4, &at);
	int number;

	if (!bucket)
		return SERVICE_NO_KEY;
	number = service_in_bucket4(bucket, hp_pair(vip, what));
	if (number != SERVICE_NO_KEY || likely(!bucket->entry[0].passed))
		return number;
	return service_probe4(at, hp_pair(vip, what));
}

static ALWAYS_INLINE int service_look_up6(const __be32 *vip, __u32 what)
{
	__u32 at = hp_key6_bucket(vip, what, hp_key_shift);
	struct hp_bucket6 *bucket = bpf_map_lookup_elem(&keys6, &at);
	__u64 high = hp_pair(vip[0], vip[1]), low = hp_pair(vip[2], vip[3]);
	int number;

	if (!bucket)
		return SERVICE_NO_KEY;
	number = service_in_bucket6(bucket, high, low, what);
	if (number != SERVICE_NO_KEY || likely(!bucket->entry[0].passed))
		return number;
	return service_probe6(at, high, low, what);
}

static ALWAYS_INLINE int service_look_up(const struct packet *pkt, __u32 what)
{
	if (pkt->flow.is_ipv6)
		return service_look_up6(pkt->flow.destination, what);
	return service_look_up4(pkt->flow.destination[3], what);
}

/* Flags of the flow's destination if it is a VIP, else SERVICE_NO_KEY. */
static ALWAYS_INLINE int service_vip_flags(const struct packet *pkt)
{
	return service_look_up(pkt, HP_WHAT_VIP);
}

static ALWAYS_INLINE int service_is_vip(const struct packet *pkt)
{
	return service_vip_flags(pkt) != SERVICE_NO_KEY;
}

/* The number of the block of ports that the port, in host order, lies in; the smallest first. blocks: bits of those that
 * there may be. Functions of their own: a plain service's packets do not come here. */
__attribute__((noinline)) int service_in_blocks4(__be32 vip, __u32 port, __u32 protocol, __u32 blocks)
{
	for (__u32 bits = 1; bits <= HP_BLOCK_BITS_MOST; bits++) {
		int number = SERVICE_NO_KEY;

		if (blocks >> bits & 1)
			number = service_look_up4(vip, hp_key_block(bits, port, (__u8)protocol));
		if (number != SERVICE_NO_KEY)
			return number;
	}
	return SERVICE_NO_KEY;
}

__attribute__((noinline)) int service_in_blocks6(__u64 high, __u64 low, __u32 port, __u32 protocol, __u32 blocks)
{
	__be32 vip[4] = {(__be32)high, (__be32)(high >> 32), (__be32)low, (__be32)(low >> 32)};

	for (__u32 bits = 1; bits <= HP_BLOCK_BITS_MOST; bits++) {
		int number = SERVICE_NO_KEY;

		if (blocks >> bits & 1)
			number = service_look_up6(vip, hp_key_block(bits, port, (__u8)protocol));
		if (number != SERVICE_NO_KEY)
			return number;
	}
	return SERVICE_NO_KEY;
}

/* The service of a range of ports that the flow's port lies in. flags: of its VIP. */
static ALWAYS_INLINE int service_in_blocks(const struct packet *pkt, int flags)
{
	__u32 blocks = (__u32)flags >> HP_VIP_BLOCKS_SHIFT, port = bpf_ntohs(pkt->flow.destination_port);
	const __be32 *vip = pkt->flow.destination;

	if (!blocks || pkt->is_later_fragment || pkt->is_portless)
		return SERVICE_NO_KEY;
	if (pkt->flow.is_ipv6)
		return service_in_blocks6(hp_pair(vip[0], vip[1]), hp_pair(vip[2], vip[3]), port, pkt->flow.protocol,
					  blocks);
	return service_in_blocks4(vip[3], port, pkt->flow.protocol, blocks);
}

/* The service of any port, or of every protocol. */
static ALWAYS_INLINE int service_of_protocol(const struct packet *pkt)
{
	__u8 protocol = pkt->flow.protocol;
	int number = SERVICE_NO_KEY;

	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return SERVICE_NO_KEY;
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
		number = service_look_up(pkt, hp_key_what(0, protocol));
	return number == SERVICE_NO_KEY ? service_look_up(pkt, hp_key_what(0, HP_PROTOCOL_ANY)) : number;
}

/* The service of a range of ports, or of any port, for what no service claims by its port. Needs the flow's destination and
 * protocol. */
static ALWAYS_INLINE enum hp_verdict service_of_rest(struct packet *pkt)
{
	int number, flags = service_vip_flags(pkt);
	struct hp_trace *record;

	if (flags == SERVICE_NO_KEY)
		return HP_NOT_VIP;
	number = service_in_blocks(pkt, flags);
	if (number != SERVICE_NO_KEY) {
		pkt->service = (__u32)number;
		return HP_CONTINUE;
	}
	number = service_of_protocol(pkt);
	if (number == SERVICE_NO_KEY)
		return HP_VIP_OTHER;
	pkt->service = (__u32)number;
	if ((record = trace_record()))
		record->any_port = 1;
	return HP_CONTINUE;
}

/* Find the service of a packet, or of the flow that an ICMP error quotes.
 *
 * Needs flow. Sets service, which is not 0 exactly when HP_CONTINUE is returned. */
static ALWAYS_INLINE enum hp_verdict service(struct packet *pkt)
{
	int number;

	if (unlikely(pkt->is_group))
		return HP_NOT_IP;
	if (unlikely(pkt->is_portless))
		return service_of_rest(pkt);
	number = service_look_up(pkt, hp_key_what(pkt->flow.destination_port, pkt->flow.protocol));
	if (unlikely(number == SERVICE_NO_KEY))
		return service_of_rest(pkt);
	pkt->service = (__u32)number;
	return HP_CONTINUE;
}

#endif

/* What the director's program is measured against: an empty program, a floor that only swaps the MAC addresses, and a
 * bare forwarder: service lookup, hash, ring slot, copy of a prepared header, two counters, TX; nothing else. Beside it
 * stand the same with a table of all flows, as forwarders have it that remember every one: an LRU hash by the five-tuple,
 * asked first and filled from the ring; and a bare answer to ARP: the VIP looked up, the reply written, one counter.
 *
 * The bare forwarder checks no lengths, knows no options, fragments, tags, path MTU or loops, and
 * leaves lengths, checksum and UDP source port of the outer headers as they are prepared. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "setting.h"

const volatile struct bench_setting bench_setting;

#define BARE_HEADER_BYTES 80

/* Hashed whole, in words of four bytes, and written so. */
struct bare_key4 {
	__be32 vip;
	__u32 what;
};

struct bare_key6 {
	__be32 vip[4];
	__u32 what;
};

struct bare_backend {
	__u8 header[BARE_HEADER_BYTES]; /* Ethernet, and the outer headers of a tunnel */
};

struct bare_count {
	__u64 packets, bytes;
};

#define BARE_MAP(name_, type_, flags_, key_, value_)  \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_##type_);   \
		__uint(max_entries, 1);               \
		__uint(map_flags, flags_);            \
		__type(key, key_);                    \
		__type(value, value_);                \
	} name_ SEC(".maps")

BARE_MAP(bare_services4, HASH, BPF_F_NO_PREALLOC, struct bare_key4, __u32);
BARE_MAP(bare_services6, HASH, BPF_F_NO_PREALLOC, struct bare_key6, __u32);
BARE_MAP(bare_flows, LRU_HASH, 0, struct hp_flow, __u32);
BARE_MAP(bare_ring, ARRAY, 0, __u32, __u32);
BARE_MAP(bare_backends, ARRAY, 0, __u32, struct bare_backend);
BARE_MAP(bare_service_counts, PERCPU_ARRAY, 0, __u32, struct bare_count);
BARE_MAP(bare_backend_counts, PERCPU_ARRAY, 0, __u32, struct bare_count);

const volatile __u32 bare_size = 1; /* slots of the ring */
__u64 bare_missed;		    /* packets whose flow was not in the table */
const volatile __u8 bare_outer;	    /* bytes of outer header: 0, 20, 32, 40 or 52 */

static __always_inline int bare_floor(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	__u16 *mac = data, saved[3];

	if (data + ETH_HLEN > (void *)(long)ctx->data_end)
		return XDP_DROP;
	__builtin_memcpy(saved, mac, ETH_ALEN);
	__builtin_memcpy(mac, mac + 3, ETH_ALEN);
	__builtin_memcpy(mac + 3, saved, ETH_ALEN);
	return XDP_TX;
}

static __always_inline void add(void *map, __u32 key, __u64 bytes)
{
	struct bare_count *count = bpf_map_lookup_elem(map, &key);

	if (!count)
		return;
	count->packets++;
	count->bytes += bytes;
}

static __always_inline __u32 *lookup4(void *data, void *end, struct hp_flow *flow)
{
	struct iphdr *ip = data + ETH_HLEN;
	__be16 *ports = (void *)(ip + 1);

	if ((void *)(ports + 2) > end)
		return NULL;
	flow->source[3] = ip->saddr;
	flow->destination[3] = ip->daddr;
	flow->protocol = ip->protocol;
	flow->source_port = ports[0];
	flow->destination_port = ports[1];

	struct bare_key4 key = {.vip = ip->daddr, .what = hp_key_what(ports[1], ip->protocol)};

	return bpf_map_lookup_elem(&bare_services4, &key);
}

static __always_inline __u32 *lookup6(void *data, void *end, struct hp_flow *flow)
{
	struct ipv6hdr *ip = data + ETH_HLEN;
	__be16 *ports = (void *)(ip + 1);

	if ((void *)(ports + 2) > end)
		return NULL;
	__builtin_memcpy(flow->source, &ip->saddr, sizeof(flow->source));
	__builtin_memcpy(flow->destination, &ip->daddr, sizeof(flow->destination));
	flow->protocol = ip->nexthdr;
	flow->source_port = ports[0];
	flow->destination_port = ports[1];
	flow->is_ipv6 = 1;

	struct bare_key6 key = {.what = hp_key_what(ports[1], ip->nexthdr)};

	__builtin_memcpy(key.vip, &ip->daddr, sizeof(key.vip));
	return bpf_map_lookup_elem(&bare_services6, &key);
}

struct bare_arp {
	__be16 hardware, protocol;
	__u8 lengths[2];
	__be16 operation;
	__be16 sender_mac[3], sender[2], target_mac[3], target[2];
};

static __always_inline int bare_answer(void *data, void *end)
{
	static const __be16 own_mac[3] = {bpf_htons(0x0200), 0, bpf_htons(2)};
	struct bare_arp *arp = data + ETH_HLEN;
	__be16 *eth = data;
	struct bare_key4 key = {.what = HP_WHAT_VIP};

	if ((void *)(arp + 1) > end)
		return XDP_PASS;
	__builtin_memcpy(&key.vip, arp->target, sizeof(key.vip));
	if (!bpf_map_lookup_elem(&bare_services4, &key))
		return XDP_PASS;
	__builtin_memcpy(eth, eth + 3, ETH_ALEN);
	__builtin_memcpy(eth + 3, own_mac, ETH_ALEN);
	arp->operation = bpf_htons(2);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, ETH_ALEN);
	__builtin_memcpy(arp->target, arp->sender, sizeof(arp->sender));
	__builtin_memcpy(arp->sender_mac, own_mac, ETH_ALEN);
	__builtin_memcpy(arp->sender, &key.vip, sizeof(key.vip));
	add(&bare_service_counts, 0, 0);
	return XDP_TX;
}

static __always_inline int put(struct xdp_md *ctx, const struct bare_backend *backend, __u32 outer)
{
	void *data;

	if (outer && bpf_xdp_adjust_head(ctx, -(int)outer))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	if (data + ETH_HLEN + outer > (void *)(long)ctx->data_end)
		return XDP_DROP;
	for (__u32 at = 0; at + 8 <= ETH_HLEN + outer; at += 8)
		*(__u64 *)(data + at) = *(const __u64 *)(backend->header + at);
	if ((ETH_HLEN + outer) & 4)
		*(__u32 *)(data + ((ETH_HLEN + outer) & ~7u)) =
			*(const __u32 *)(backend->header + ((ETH_HLEN + outer) & ~7u));
	*(__u16 *)(data + ETH_HLEN + outer - 2) = *(const __u16 *)(backend->header + ETH_HLEN + outer - 2);
	return XDP_TX;
}

static __always_inline __u32 *bare_slot(const struct hp_flow *flow)
{
	__u32 slot = hp_slot(hp_flow_hash(flow, HP_HASH_FLOW, 1), bare_size);

	return bpf_map_lookup_elem(&bare_ring, &slot);
}

static __always_inline __u32 *bare_remembered(const struct hp_flow *flow)
{
	__u32 *number = bpf_map_lookup_elem(&bare_flows, flow);

	if (number)
		return number;
	bare_missed++;
	number = bare_slot(flow);
	if (number)
		bpf_map_update_elem(&bare_flows, flow, number, BPF_ANY);
	return number;
}

static __always_inline int bare_forward(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 bytes = (__u64)(end - data);
	struct bare_backend *backend;
	struct hp_flow flow = {};
	__u32 *service, *number;
	__be16 *ethertype = data + 2 * ETH_ALEN;

	if ((void *)(ethertype + 1) > end)
		return XDP_PASS;
	if (*ethertype == bpf_htons(ETH_P_IP))
		service = lookup4(data, end, &flow);
	else if (*ethertype == bpf_htons(ETH_P_IPV6))
		service = lookup6(data, end, &flow);
	else if (*ethertype == bpf_htons(ETH_P_ARP))
		return bare_answer(data, end);
	else
		return XDP_PASS;
	if (!service)
		return XDP_PASS;
	number = bench_setting.subject == BENCH_LRU ? bare_remembered(&flow) : bare_slot(&flow);
	if (!number)
		return XDP_DROP;
	backend = bpf_map_lookup_elem(&bare_backends, number);
	if (!backend)
		return XDP_DROP;
	add(&bare_service_counts, *service, bytes);
	add(&bare_backend_counts, *number, bytes);
	if (bare_outer == sizeof(struct iphdr))
		return put(ctx, backend, sizeof(struct iphdr));
	if (bare_outer == sizeof(struct ipv6hdr))
		return put(ctx, backend, sizeof(struct ipv6hdr));
	if (bare_outer == sizeof(struct iphdr) + HP_GUE_BYTES)
		return put(ctx, backend, sizeof(struct iphdr) + HP_GUE_BYTES);
	if (bare_outer == sizeof(struct ipv6hdr) + HP_GUE_BYTES)
		return put(ctx, backend, sizeof(struct ipv6hdr) + HP_GUE_BYTES);
	return put(ctx, backend, 0);
}

/* The verifier leaves only the one that is asked for. */
__attribute__((noinline)) int bench_target(struct xdp_md *ctx)
{
	if (bench_setting.subject == BENCH_FLOOR)
		return bare_floor(ctx);
	if (bench_setting.subject == BENCH_BARE || bench_setting.subject == BENCH_LRU)
		return bare_forward(ctx);
	return XDP_TX;
}

#include "wrapper.h"

char LICENSE[] SEC("license") = "GPL";

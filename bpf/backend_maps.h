/* The maps of the backend's programs, pinned by halfproxy-backend. */
#ifndef HP_BACKEND_MAPS_H
#define HP_BACKEND_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "backend_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HPB_VIPS_MOST);
	__type(key, __be32);
	__type(value, __u32);
} vips4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HPB_VIPS_MOST);
	__type(key, struct hpb_address6);
	__type(value, __u32);
} vips6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, HPB_SENDERS_MOST);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hpb_prefix4);
	__type(value, __u32);
} senders4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, HPB_SENDERS_MOST);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hpb_prefix6);
	__type(value, __u32);
} senders6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hpb_settings);
} settings SEC(".maps");

/* VLANs on the interface: the ifindex of their own. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HPB_VLANS_MOST);
	__type(key, __u32);
	__type(value, __u32);
} vlans SEC(".maps");

/* Ports of VIPs whose servers listen on another. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HPB_PORTS_MOST);
	__type(key, struct hpb_port);
	__type(value, __u32);
} ports SEC(".maps");

/* Their servers' sockets, as they were last found. A socket that is closed leaves by itself. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, HPB_SOCKETS_MOST);
	__type(key, struct hpb_endpoint);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HPB_COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HPB_REFUSED_COUNT);
	__type(key, __u32);
	__type(value, struct hpb_refused);
} refused SEC(".maps");

static __always_inline void backend_count(enum hpb_counter counter)
{
	__u32 key = counter;
	__u64 *count = bpf_map_lookup_elem(&counters, &key);

	if (count)
		++*count;
}

#endif

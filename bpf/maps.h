/* The maps of the director's data plane. Sizes are set by the daemon before the load; all but `trace`, `probe_marks`,
 * `probe_counts`, `tellings`, `sample_turns` and the rooms of guard.h, moving.h and fragment.h are pinned.
 *
 * Layouts and rules of publication are in abi.h. */
#ifndef HP_MAPS_H
#define HP_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

#define HP_MAPPED_ARRAY(name_, value_)                  \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_ARRAY);       \
		__uint(max_entries, 1);                 \
		__uint(map_flags, BPF_F_MMAPABLE);      \
		__type(key, __u32);                     \
		__type(value, value_);                  \
	} name_ SEC(".maps")

HP_MAPPED_ARRAY(keys4, struct hp_bucket4);
HP_MAPPED_ARRAY(keys6, struct hp_bucket6);
HP_MAPPED_ARRAY(services, struct hp_service);
HP_MAPPED_ARRAY(slots, union hp_block);
HP_MAPPED_ARRAY(backends, struct hp_backend);
HP_MAPPED_ARRAY(adjacencies, struct hp_adjacency);
HP_MAPPED_ARRAY(identities, struct hp_identity);
HP_MAPPED_ARRAY(interfaces, struct hp_interface_row);
HP_MAPPED_ARRAY(meta, struct hp_meta);
HP_MAPPED_ARRAY(service_counts, struct hp_service_counts);
HP_MAPPED_ARRAY(backend_counts, struct hp_backend_counts);
HP_MAPPED_ARRAY(motions, struct hp_motion);
HP_MAPPED_ARRAY(flow_counts, struct hp_flow_counts);
HP_MAPPED_ARRAY(hints, __u64);
HP_MAPPED_ARRAY(terms, struct hp_terms);
HP_MAPPED_ARRAY(samples, struct hp_sample_row);
HP_MAPPED_ARRAY(trace, struct hp_trace);

/* The two of the program for probes are its own, as `trace` is the twin's. */
HP_MAPPED_ARRAY(probe_marks, struct hp_probe_marks);
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HP_PROBE_EVENT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} probe_counts SEC(".maps");

/* Buckets of tokens, for senders that are told of packets too big: the first for all, then one for each sender, or a few that
 * share it. The time of the monotonic clock when each is full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 + HP_TELLINGS_SENDERS);
	__type(key, __u32);
	__type(value, __u64);
} tellings SEC(".maps");

/* By verdict: when a packet that was dropped with it was last kept. The program's own, too. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HP_SERVICE_CELLS);
	__type(key, __u32);
	__type(value, __u64);
} sample_turns SEC(".maps");

/* Remembered flows that are proven. Memory is taken when one is remembered, so that a steady director needs little. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hp_flow);
	__type(value, struct hp_remembered);
} flows SEC(".maps");

/* Remembered flows that are not proven: what a flood wears out. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct hp_flow);
	__type(value, struct hp_remembered);
} unproven SEC(".maps");

/* Sets of prefixes, which judge sources. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hp_guard_key);
	__type(value, __u32);
} guards SEC(".maps");

/* Sources that open flows of services with a limit: what a flood from many wears out. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct hp_source);
	__type(value, __u64);
} sources SEC(".maps");

/* Where the first fragments of datagrams went. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct hp_fragment_key);
	__type(value, struct hp_fragment);
} fragments SEC(".maps");

/* Servers by their IDs in connection IDs of QUIC. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hp_quic_server);
	__type(value, __u32);
} quic_servers SEC(".maps");

/* Ports that packets may be redirected to, keyed by ifindex. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} ports SEC(".maps");

/* Known at load, so that the verifier prunes what they switch off. */
const volatile __u32 hp_key_shift = 63; /* 64 less the logarithm of a key table's buckets; both have as many */
const volatile __u32 hp_service_stride = 1;
const volatile __u32 hp_backend_stride = 1;
const volatile __u8 hp_tracing = 0; /* the twin: writes the trace, and nothing else */

#endif

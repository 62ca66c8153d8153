/* The maps of the director's data plane. Sizes are set by the daemon before the load; all but `trace` are pinned.
 *
 * Layouts and rules of publication are in abi.h. */
#ifndef HP_MAPS_H
#define HP_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

#define HP_HASH_MAP(name_, key_, value_)                \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_HASH);        \
		__uint(max_entries, 1);                 \
		__uint(map_flags, BPF_F_NO_PREALLOC);   \
		__type(key, key_);                      \
		__type(value, value_);                  \
	} name_ SEC(".maps")

#define HP_MAPPED_ARRAY(name_, value_)                  \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_ARRAY);       \
		__uint(max_entries, 1);                 \
		__uint(map_flags, BPF_F_MMAPABLE);      \
		__type(key, __u32);                     \
		__type(value, value_);                  \
	} name_ SEC(".maps")

struct hp_address6 {
	__be32 word[4];
};

HP_HASH_MAP(services4, struct hp_key4, __u32);
HP_HASH_MAP(services6, struct hp_key6, __u32);
HP_HASH_MAP(vips4, __be32, __u32);
HP_HASH_MAP(vips6, struct hp_address6, __u32);
HP_HASH_MAP(interfaces, __u32, struct hp_interface);

HP_MAPPED_ARRAY(services, struct hp_service);
HP_MAPPED_ARRAY(slots, union hp_block);
HP_MAPPED_ARRAY(backends, struct hp_backend);
HP_MAPPED_ARRAY(adjacencies, struct hp_adjacency);
HP_MAPPED_ARRAY(identities, struct hp_identity);
HP_MAPPED_ARRAY(meta, struct hp_meta);
HP_MAPPED_ARRAY(service_counts, struct hp_service_counts);
HP_MAPPED_ARRAY(backend_counts, struct hp_backend_counts);
HP_MAPPED_ARRAY(trace, struct hp_trace);

/* Ports that packets may be redirected to, keyed by ifindex. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} ports SEC(".maps");

/* Known at load, so that the verifier prunes what they switch off. */
const volatile __u32 hp_service_stride = 1;
const volatile __u32 hp_backend_stride = 1;
const volatile __u8 hp_tracing = 0; /* the twin: writes the trace, and nothing else */

#endif

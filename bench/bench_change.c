/* Services in motion on a plane: see bench_change.h. */
#include "bench_change.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/fleet_internal.h"
#include "director.skel.h"

#define BATCH 4096u

int bench_change_agree(struct bench_plane *bench, const struct bench_class *class, struct err *e)
{
	struct fleet_service *service = bench_plane_service(bench, class);
	struct fleet_ring *copy;
	int code;

	/* Without a backend that it does not name a ring is what it was. */
	code = fleet_ring_without(bench->fleet, service->ring, service->before->members[0], &copy, e);
	if (!code)
		fleet_before_replace(bench->fleet, service, copy);
	return code;
}

void bench_change_flags(struct bench_plane *bench, const struct bench_class *class, uint32_t flags)
{
	uint32_t *before = &bench->plane.services[bench_plane_service(bench, class)->number].before;

	__atomic_store_n(before, (*before & HP_BLOCK_MASK) | flags, __ATOMIC_RELEASE);
}

static uint32_t before_of(const struct bench_plane *bench, const struct fleet_service *service, const struct hp_flow *flow)
{
	const union hp_block *ring = &bench->plane.blocks[service->before->at];
	const struct hp_ring_head *head = &ring->head;

	return ring[1].slot[hp_slot(hp_flow_hash(flow, head->hash, head->seed), head->size)];
}

int bench_change_remember(struct bench_plane *bench, const struct bench_class *class, struct err *e)
{
	int table = bpf_map__fd(bench->plane.live->maps.flows);
	const struct fleet_service *service = bench_plane_service(bench, class);
	auto_free struct hp_flow *keys = calloc(BATCH, sizeof(*keys));
	auto_free struct hp_remembered *values = calloc(BATCH, sizeof(*values));
	uint64_t now_ns = dataplane_boot_ns();

	if (!keys || !values)
		return err_set(e, -ENOMEM, "%m");
	for (uint32_t at = 0; at < class->flows;) {
		uint32_t count = 0;
		int code;

		for (; count < BATCH && at < class->flows; count++, at++) {
			keys[count] = bench_frame_flow(class, at);
			values[count] = (struct hp_remembered){
				.since_ns = now_ns,
				.seen_ns = now_ns,
				.backend = before_of(bench, service, &keys[count]),
				.check = hp_flow_check(&keys[count]),
			};
		}
		for (uint32_t i = 0; i < count; i++)
			bench->plane.hints[hp_hint_word(values[i].check)] |= hp_hint_bit(values[i].check);
		code = bpf_map_update_batch(table, keys, values, &count, NULL);
		if (code)
			return err_set(e, code, "filling the table of flows: %m");
	}
	return 0;
}

void bench_change_forget(struct bench_plane *bench, const struct bench_class *class)
{
	struct hp_flow flow = bench_frame_flow(class, 0);

	bpf_map_delete_elem(bpf_map__fd(bench->plane.live->maps.flows), &flow);
	bpf_map_delete_elem(bpf_map__fd(bench->plane.live->maps.unproven), &flow);
}

/* Flows that are remembered in tables which others replace: taken over while packets go on with both.
 *
 * Of two entries of a flow the one that was remembered later is right, and of one and the same the one that a packet came
 * to later. An entry moves on from unproven to proven; it may stand in both for a moment, and then the proven one
 * counts, as it does for packets. */
#include "daemon/dataplane_internal.h"

#include <errno.h>

#include "director.skel.h"

struct merge {
	struct dataplane *plane;
	const struct dataplane_set *former;
	uint64_t changed_ns, new_ns;
	int flows, unproven; /* the new tables */
};

static bool is_of(const struct hp_remembered *value, const struct hp_flow *key)
{
	return value->check == hp_flow_check(key);
}

static bool look_up(int fd, const struct hp_flow *key, struct hp_remembered *value)
{
	return !bpf_map_lookup_elem(fd, key, value) && is_of(value, key);
}

static bool is_later(const struct hp_remembered *a, const struct hp_remembered *b)
{
	return a->since_ns != b->since_ns ? a->since_ns > b->since_ns : a->seen_ns > b->seen_ns;
}

static void insert(struct merge *merge, int fd, const struct dataplane_flow *flow)
{
	if (bpf_map_update_elem(fd, &flow->key, &flow->value, BPF_NOEXIST) < 0 && errno != EEXIST)
		merge->plane->migration.flows_lost++;
}

/* Proven in the old tables, and not yet so in the new ones. Proven first: who looks in between finds it. */
static void promote(struct merge *merge, const struct dataplane_flow *flow, const struct hp_remembered *unproven)
{
	struct dataplane_flow later = *flow;

	if (is_later(unproven, &flow->value))
		later.value = *unproven;
	insert(merge, merge->flows, &later);
	bpf_map_delete_elem(merge->unproven, &flow->key);
}

static void merge_one(struct merge *merge, bool is_proven, const struct dataplane_flow *flow)
{
	struct hp_remembered there;

	if (flow->value.seen_ns < merge->changed_ns || !is_of(&flow->value, &flow->key))
		return;
	if (look_up(merge->flows, &flow->key, &there)) {
		if (is_later(&flow->value, &there))
			bpf_map_update_elem(merge->flows, &flow->key, &flow->value, BPF_EXIST);
	} else if (look_up(merge->unproven, &flow->key, &there)) {
		if (is_proven)
			promote(merge, flow, &there);
		else if (is_later(&flow->value, &there))
			bpf_map_update_elem(merge->unproven, &flow->key, &flow->value, BPF_EXIST);
	} else if (flow->value.since_ns >= merge->new_ns) {
		insert(merge, is_proven ? merge->flows : merge->unproven, flow);
	}
}

static int merge_table(struct merge *merge, enum dataplane_map_id id, struct err *e)
{
	const struct dataplane_pinned *map = &merge->former->map[id];
	struct dataplane_walk walk = {.value_bytes = map->value_bytes,
				      .convert = map->conversion ? map->conversion->convert : NULL};
	int count = 0;

	while (map->fd >= 0 && (count = dataplane_walk_table(map->fd, &walk, e)) > 0)
		for (int i = 0; i < count; i++)
			merge_one(merge, id == DATAPLANE_FLOWS_MAP, &walk.rows[i]);
	dataplane_walk_end(&walk);
	return count;
}

/* In the order in which entries move, so that none is missed. */
int dataplane_merge_flows(struct dataplane *plane, const struct dataplane_set *former, uint64_t changed_ns, uint64_t new_ns,
			  struct err *e)
{
	struct merge merge = {plane, former, changed_ns, new_ns, bpf_map__fd(plane->live->maps.flows),
			      bpf_map__fd(plane->live->maps.unproven)};
	int code;

	if (!former->map[DATAPLANE_FLOWS_MAP].is_replaced)
		return 0;
	code = merge_table(&merge, DATAPLANE_UNPROVEN_MAP, e);
	return code ? code : merge_table(&merge, DATAPLANE_FLOWS_MAP, e);
}

/* ---- what was forgotten meanwhile ----------------------------------------------------------------------------------- */

static bool is_there(const struct dataplane_set *former, const struct hp_flow *key)
{
	char value[DATAPLANE_RECORD_BYTES_MOST];

	return !bpf_map_lookup_elem(former->map[DATAPLANE_FLOWS_MAP].fd, key, value) ||
	       !bpf_map_lookup_elem(former->map[DATAPLANE_UNPROVEN_MAP].fd, key, value);
}

static int forget_in(struct dataplane *plane, const struct dataplane_set *former, enum dataplane_table table,
		     uint64_t taken_ns, uint64_t untouched_ns, struct err *e)
{
	struct dataplane_walk walk = {0};
	int count;

	while ((count = dataplane_walk_flows(plane, table, &walk, e)) > 0)
		for (int i = 0; i < count; i++) {
			const struct hp_remembered *value = &walk.rows[i].value;

			if (value->marks & HP_FLOW_CLOSING && value->since_ns < taken_ns && value->seen_ns < untouched_ns &&
			    !is_there(former, &walk.rows[i].key))
				dataplane_flow_forget(plane, table, &walk.rows[i]);
		}
	dataplane_walk_end(&walk);
	return count;
}

/* A closing flow that is opened anew may need no memory any more; what was taken over would lead it astray. */
int dataplane_merge_forgotten(struct dataplane *plane, const struct dataplane_set *former, uint64_t taken_ns,
			      uint64_t untouched_ns, struct err *e)
{
	int code;

	if (!former->map[DATAPLANE_FLOWS_MAP].is_replaced)
		return 0;
	code = forget_in(plane, former, DATAPLANE_UNPROVEN, taken_ns, untouched_ns, e);
	return code ? code : forget_in(plane, former, DATAPLANE_FLOWS, taken_ns, untouched_ns, e);
}

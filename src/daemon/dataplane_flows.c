/* The tables of remembered flows, as the daemon walks them: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "director.skel.h"

uint64_t dataplane_boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int table_fd(const struct dataplane *plane, enum dataplane_table table)
{
	return bpf_map__fd(table == DATAPLANE_FLOWS ? plane->live->maps.flows : plane->live->maps.unproven);
}

void dataplane_walk_end(struct dataplane_walk *walk)
{
	free(walk->rows);
	free(walk->keys);
	free(walk->values);
	*walk = (struct dataplane_walk){0};
}

/* Room for a step; more than before when a single bucket holds more than that. */
static int make_room(struct dataplane_walk *walk, uint32_t room, struct err *e)
{
	free(walk->rows);
	free(walk->keys);
	free(walk->values);
	walk->room = room;
	walk->rows = malloc(room * sizeof(*walk->rows));
	walk->keys = malloc(room * sizeof(*walk->keys));
	walk->values = malloc((size_t)room * (walk->value_bytes ? walk->value_bytes : sizeof(struct hp_remembered)));
	return walk->rows && walk->keys && walk->values ? 0 : err_set(e, -ENOMEM, "%m");
}

/* One batch. Returns how many, with *is_last set at the table's end. */
static int read_batch(int fd, struct dataplane_walk *walk, bool *is_last, struct err *e)
{
	for (;;) {
		uint32_t count = walk->room, next = 0;
		int code = bpf_map_lookup_batch(fd, walk->is_begun ? &walk->batch : NULL, &next, walk->keys, walk->values, &count,
						NULL);

		if (code == -ENOSPC && walk->room < 1u << 20) {
			code = make_room(walk, walk->room * 2, e);
			if (code)
				return code;
			continue;
		}
		if (code && code != -ENOENT)
			return err_set(e, code, "reading the table of flows: %m");
		*is_last = code == -ENOENT;
		walk->batch = next;
		walk->is_begun = true;
		return (int)count;
	}
}

static void convert_row(struct dataplane_walk *walk, int i)
{
	walk->rows[i].key = walk->keys[i];
	if (walk->convert)
		walk->convert((const char *)walk->values + (size_t)i * walk->value_bytes, &walk->rows[i].value);
	else
		walk->rows[i].value = ((const struct hp_remembered *)walk->values)[i];
}

int dataplane_walk_table(int fd, struct dataplane_walk *walk, struct err *e)
{
	bool is_last = false;
	int count = walk->rows ? 0 : make_room(walk, DATAPLANE_FLOWS_A_STEP, e);

	if (count)
		return count;
	while (!count && !walk->is_over) {
		count = read_batch(fd, walk, &is_last, e);
		if (count < 0)
			return count;
		walk->is_over = is_last;
	}
	for (int i = 0; i < count; i++)
		convert_row(walk, i);
	return count;
}

int dataplane_walk_flows(struct dataplane *plane, enum dataplane_table table, struct dataplane_walk *walk, struct err *e)
{
	return dataplane_walk_table(table_fd(plane, table), walk, e);
}

/* Taken out whole and looked at: a packet may have come between the reading and now. */
bool dataplane_flow_forget(struct dataplane *plane, enum dataplane_table table, const struct dataplane_flow *flow)
{
	struct hp_remembered value;
	int fd = table_fd(plane, table);

	if (bpf_map_lookup_and_delete_elem(fd, &flow->key, &value))
		return true;
	if (value.seen_ns == flow->value.seen_ns && value.since_ns == flow->value.since_ns && value.marks == flow->value.marks)
		return true;
	bpf_map_update_elem(fd, &flow->key, &value, BPF_NOEXIST);
	return false;
}

void dataplane_hints_clear(struct dataplane *plane)
{
	memset(plane->hints, 0, HP_HINT_WORDS * sizeof(*plane->hints));
}

uint64_t dataplane_flow_events(const struct dataplane *plane, enum hp_flow_event event)
{
	uint64_t sum = 0;

	for (uint32_t row = 0; row <= plane->meta->cpus; row++)
		sum += __atomic_load_n(&plane->flow_counts[row].cell[event], __ATOMIC_RELAXED);
	return sum;
}

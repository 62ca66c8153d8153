/* The program for probes: its marks, its counters, and the filter by which tc runs it: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "director.skel.h"

/* Where the filter stands: first of all, since it passes on what is none of its business. */
#define FILTER_PRIORITY 1
#define FILTER_HANDLE 0x4848
#define FILTER_PROGRAM "probe_out"

void dataplane_probe_marks(struct dataplane *plane, const struct config_probes *probes)
{
	struct hp_probe_marks marks = {probes->mark, probes->mask, probes->hops, 0};
	uint32_t zero = 0;

	bpf_map_update_elem(bpf_map__fd(plane->live->maps.probe_marks), &zero, &marks, BPF_ANY);
}

void dataplane_probe_counts(const struct dataplane *plane, uint64_t count[static HP_PROBE_EVENT_COUNT])
{
	size_t cpus = (size_t)libbpf_num_possible_cpus();
	auto_free uint64_t *each = calloc(cpus, sizeof(*each));

	memset(count, 0, HP_PROBE_EVENT_COUNT * sizeof(*count));
	for (uint32_t event = 0; each && event < HP_PROBE_EVENT_COUNT; event++) {
		if (bpf_map_lookup_elem(bpf_map__fd(plane->live->maps.probe_counts), &event, each))
			continue;
		for (size_t cpu = 0; cpu < cpus; cpu++)
			count[event] += each[cpu];
	}
}

int dataplane_probe_program(const struct dataplane *plane)
{
	return bpf_program__fd(plane->live->progs.probe_out);
}

/* ---- the filter ------------------------------------------------------------------------------------------------ */

/* Whose program the filter in our place runs: its id, and what it is called; 0: there is none. */
static uint32_t find(const struct bpf_tc_hook *hook, char name[static BPF_OBJ_NAME_LEN])
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	struct bpf_prog_info info = {0};
	uint32_t info_bytes = sizeof(info);
	auto_close int fd = -1;
	libbpf_print_fn_t print = libbpf_set_print(NULL); /* that there is none it says aloud */
	int failed = bpf_tc_query(hook, &opts);

	libbpf_set_print(print);
	name[0] = '\0';
	if (failed)
		return 0;
	fd = bpf_prog_get_fd_by_id(opts.prog_id);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &info_bytes))
		memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	return opts.prog_id;
}

static uint32_t id_of(int program)
{
	struct bpf_prog_info info = {0};
	uint32_t info_bytes = sizeof(info);

	return bpf_obj_get_info_by_fd(program, &info, &info_bytes) ? 0 : info.id;
}

int dataplane_probe_attach(struct dataplane *plane, const char *name, uint32_t ifindex, bool *made_qdisc, struct err *e)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY,
		    .prog_fd = dataplane_probe_program(plane));
	char found[BPF_OBJ_NAME_LEN];
	int code = bpf_tc_hook_create(&hook);
	uint32_t id;

	if (code && code != -EEXIST)
		return err_set(e, code, "interface %s takes no clsact qdisc: %m (the kernel needs CONFIG_NET_CLS_ACT and "
					"CONFIG_NET_SCH_INGRESS)", name);
	if (!code)
		*made_qdisc = true;
	id = find(&hook, found);
	if (id && id == id_of(opts.prog_fd))
		return 0;
	if (id && strcmp(found, FILTER_PROGRAM) != 0)
		return err_set(e, -EBUSY, "interface %s runs somebody else's program \"%s\" (id %u) at tc egress, priority %d, "
					  "handle 0x%x", name, found, id, FILTER_PRIORITY, FILTER_HANDLE);
	if (id)
		opts.flags = BPF_TC_F_REPLACE;
	code = bpf_tc_attach(&hook, &opts);
	return code ? err_set(e, code, "interface %s takes no filter at tc egress, priority %d: %m (an ingress qdisc, or a "
				       "filter of another kind, may be in the way: `tc qdisc show dev %s`)",
			      name, FILTER_PRIORITY, name)
		    : 0;
}

bool dataplane_probe_detach(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	char found[BPF_OBJ_NAME_LEN];

	if (!find(&hook, found) || strcmp(found, FILTER_PROGRAM) != 0)
		return false;
	return !bpf_tc_detach(&hook, &opts);
}

void dataplane_qdisc_remove(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	bpf_tc_hook_destroy(&hook);
}

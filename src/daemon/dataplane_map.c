/* Keys, counters and test runs of the data plane: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "director.skel.h"

/* A key in the form of its family's map. */
union wire_key {
	struct hp_key4 v4;
	struct hp_key6 v6;
};

static struct bpf_map *wire(const struct dataplane *plane, const struct dataplane_key *key, union wire_key *out)
{
	memset(out, 0, sizeof(*out));
	if (ip_is4(&key->vip)) {
		memcpy(&out->v4.vip, ip_bytes4(&key->vip), sizeof(out->v4.vip));
		out->v4.what = hp_key_what(htons(key->port), key->protocol);
		return plane->live->maps.services4;
	}
	memcpy(out->v6.vip, key->vip.byte, sizeof(out->v6.vip));
	out->v6.what = hp_key_what(htons(key->port), key->protocol);
	return plane->live->maps.services6;
}

int dataplane_key_set(struct dataplane *plane, const struct dataplane_key *key, uint32_t number, struct err *e)
{
	union wire_key wired;
	struct bpf_map *map = wire(plane, key, &wired);

	if (bpf_map_update_elem(bpf_map__fd(map), &wired, &number, BPF_ANY) < 0)
		return err_set(e, -errno, "key of service %u: %m", number);
	return 0;
}

void dataplane_key_clear(struct dataplane *plane, const struct dataplane_key *key)
{
	union wire_key wired;
	struct bpf_map *map = wire(plane, key, &wired);

	bpf_map_delete_elem(bpf_map__fd(map), &wired);
}

static int vip_map(const struct dataplane *plane, const struct ip *vip, const void **key)
{
	*key = ip_is4(vip) ? ip_bytes4(vip) : vip->byte;
	return bpf_map__fd(ip_is4(vip) ? plane->live->maps.vips4 : plane->live->maps.vips6);
}

int dataplane_vip_set(struct dataplane *plane, const struct ip *vip, uint32_t flags, struct err *e)
{
	const void *key;
	int fd = vip_map(plane, vip, &key);

	if (bpf_map_update_elem(fd, key, &flags, BPF_ANY) < 0)
		return err_set(e, -errno, "VIP's record: %m");
	return 0;
}

void dataplane_vip_clear(struct dataplane *plane, const struct ip *vip)
{
	const void *key;
	int fd = vip_map(plane, vip, &key);

	bpf_map_delete_elem(fd, key);
}

void dataplane_each_key(struct dataplane *plane,
			void (*each)(void *context, const struct dataplane_key *key, uint32_t number), void *context)
{
	int fd4 = bpf_map__fd(plane->live->maps.services4), fd6 = bpf_map__fd(plane->live->maps.services6);
	struct dataplane_key found;
	struct hp_key4 key4;
	struct hp_key6 key6;
	uint32_t number;

	for (void *at = NULL; !bpf_map_get_next_key(fd4, at, &key4); at = &key4) {
		if (bpf_map_lookup_elem(fd4, &key4, &number))
			continue;
		found = (struct dataplane_key){ip_from4(&key4.vip), ntohs(hp_key_port(key4.what)),
					       hp_key_protocol(key4.what)};
		each(context, &found, number);
	}
	for (void *at = NULL; !bpf_map_get_next_key(fd6, at, &key6); at = &key6) {
		if (bpf_map_lookup_elem(fd6, &key6, &number))
			continue;
		found = (struct dataplane_key){ip_from6(key6.vip), ntohs(hp_key_port(key6.what)),
					       hp_key_protocol(key6.what)};
		each(context, &found, number);
	}
}

void dataplane_each_vip(struct dataplane *plane, void (*each)(void *context, const struct ip *vip), void *context)
{
	int fd4 = bpf_map__fd(plane->live->maps.vips4), fd6 = bpf_map__fd(plane->live->maps.vips6);
	uint8_t key4[4], key6[16];
	struct ip vip;

	for (void *at = NULL; !bpf_map_get_next_key(fd4, at, key4); at = key4) {
		vip = ip_from4(key4);
		each(context, &vip);
	}
	for (void *at = NULL; !bpf_map_get_next_key(fd6, at, key6); at = key6) {
		vip = ip_from6(key6);
		each(context, &vip);
	}
}

/* MEMBARRIER_CMD_GLOBAL is synchronize_rcu() on more than one CPU. With one CPU, or where it is refused (kernels
 * booted with nohz_full), sleeping through several ticks lets every softirq end that could hold a packet. */
void dataplane_grace(void)
{
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		usleep(100000);
}

static void sum(uint64_t *cells, size_t count, const uint64_t *first, size_t stride, uint32_t cpus)
{
	memset(cells, 0, count * sizeof(*cells));
	for (uint32_t cpu = 0; cpu < cpus; cpu++)
		for (size_t i = 0; i < count; i++)
			cells[i] += __atomic_load_n(first + cpu * stride * count + i, __ATOMIC_RELAXED);
}

void dataplane_service_sum(const struct dataplane *plane, uint32_t number, uint64_t cell[static HP_SERVICE_CELLS])
{
	sum(cell, HP_SERVICE_CELLS, (const uint64_t *)plane->service_counts[number].cell, plane->meta->service_stride,
	    plane->meta->cpus);
}

void dataplane_backend_sum(const struct dataplane *plane, uint32_t number, uint64_t cell[static HP_BACKEND_CELLS])
{
	sum(cell, HP_BACKEND_CELLS, (const uint64_t *)plane->backend_counts[number].cell, plane->meta->backend_stride,
	    plane->meta->cpus);
}

void dataplane_service_zero(struct dataplane *plane, uint32_t number)
{
	for (uint32_t cpu = 0; cpu < plane->meta->cpus; cpu++)
		memset(&plane->service_counts[cpu * plane->meta->service_stride + number], 0,
		       sizeof(struct hp_service_counts));
}

void dataplane_backend_zero(struct dataplane *plane, uint32_t number)
{
	for (uint32_t cpu = 0; cpu < plane->meta->cpus; cpu++)
		memset(&plane->backend_counts[cpu * plane->meta->backend_stride + number], 0,
		       sizeof(struct hp_backend_counts));
}

int dataplane_run(struct dataplane *plane, void *frame, uint32_t *bytes, uint32_t room, uint32_t ifindex,
		  struct hp_trace *record, struct err *e)
{
	struct xdp_md context = {.data_end = *bytes, .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = *bytes, .data_out = frame,
		    .data_size_out = room, .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1);
	struct director_bpf *skel = plane->live;
	uint32_t zero = 0;
	int code;

	if (record) {
		struct hp_trace blank = {0};

		code = dataplane_load_twin(plane, e);
		if (code)
			return code;
		skel = plane->twin;
		bpf_map_update_elem(bpf_map__fd(skel->maps.trace), &zero, &blank, BPF_ANY);
	}
	code = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.halfproxy), &run);
	if (code)
		return err_set(e, code, "running the program on a frame of %u bytes: %m", *bytes);
	*bytes = run.data_size_out;
	if (record && bpf_map_lookup_elem(bpf_map__fd(skel->maps.trace), &zero, record))
		return err_set(e, -errno, "reading the trace: %m");
	return (int)run.retval;
}

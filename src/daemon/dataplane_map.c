/* Keys, counters and test runs of the data plane: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "director.skel.h"

/* ---- keys ----------------------------------------------------------------------------------------------------------- */

static struct keys *table(struct dataplane *plane, const struct ip *vip)
{
	return ip_is4(vip) ? &plane->keys4 : &plane->keys6;
}

/* Entries that were just taken away can be had again after a grace period. */
static int set(struct dataplane *plane, const struct ip *vip, uint32_t what, uint32_t number, struct err *e)
{
	struct keys *keys = table(plane, vip);
	int code = keys_set(keys, vip, what, number);

	if (code && keys->gone_count) {
		dataplane_grace(plane);
		code = keys_set(keys, vip, what, number);
	}
	return code ? err_set(e, code, "the table of VIPs and ports is full: raise limits.services, then restart the "
				       "daemon")
		    : 0;
}

static size_t keys_of(const struct dataplane_key *key, uint32_t what[static KEYS_A_RANGE])
{
	return keys_of_range(key->port, (uint16_t)(key->port + key->more), key->protocol, what);
}

int dataplane_key_set(struct dataplane *plane, const struct dataplane_key *key, uint32_t number, struct err *e)
{
	uint32_t what[KEYS_A_RANGE];
	size_t count = keys_of(key, what);
	int code = 0;

	for (size_t i = 0; !code && i < count; i++)
		code = set(plane, &key->vip, what[i], number, e);
	return code;
}

void dataplane_key_clear(struct dataplane *plane, const struct dataplane_key *key, uint32_t number)
{
	struct keys *keys = table(plane, &key->vip);
	uint32_t what[KEYS_A_RANGE];
	size_t count = keys_of(key, what);

	for (size_t i = 0; i < count; i++) {
		const uint32_t *found = keys_find(keys, &key->vip, what[i]);

		if (found && *found == number)
			keys_clear(keys, &key->vip, what[i]);
	}
}

uint32_t dataplane_key_count(const struct dataplane_key *key)
{
	uint32_t what[KEYS_A_RANGE];

	return (uint32_t)keys_of(key, what);
}

uint32_t dataplane_key_blocks(const struct dataplane_key *key)
{
	uint32_t what[KEYS_A_RANGE], blocks = 0;
	size_t count = keys_of(key, what);

	for (size_t i = 0; i < count; i++)
		blocks |= 1u << hp_key_bits(what[i]);
	return blocks & ~1u;
}

bool dataplane_keys_fit(const struct dataplane *plane, uint64_t more4, uint64_t more6)
{
	return keys_have_room(&plane->keys4, more4) && keys_have_room(&plane->keys6, more6);
}

uint32_t dataplane_service_of(struct dataplane *plane, const struct ip *vip, uint8_t protocol, uint16_t port)
{
	const struct keys *keys = table(plane, vip);
	uint32_t blocks = dataplane_vip_flags(plane, vip) >> HP_VIP_BLOCKS_SHIFT | 1;
	const uint32_t *found = NULL;

	for (uint32_t bits = 0; port && !found && bits <= HP_BLOCK_BITS_MOST; bits++)
		if (blocks >> bits & 1)
			found = keys_find(keys, vip, hp_key_block(bits, port, protocol));
	if (!found)
		found = keys_find(keys, vip, hp_key_what(0, protocol));
	if (!found && protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6)
		found = keys_find(keys, vip, hp_key_what(0, HP_PROTOCOL_ANY));
	return found ? *found : 0;
}

int dataplane_vip_set(struct dataplane *plane, const struct ip *vip, uint32_t flags, struct err *e)
{
	return set(plane, vip, HP_WHAT_VIP, flags, e);
}

uint32_t dataplane_vip_flags(struct dataplane *plane, const struct ip *vip)
{
	const uint32_t *flags = keys_find(table(plane, vip), vip, HP_WHAT_VIP);

	return flags ? *flags : 0;
}

void dataplane_vip_clear(struct dataplane *plane, const struct ip *vip)
{
	keys_clear(table(plane, vip), vip, HP_WHAT_VIP);
}

struct walk {
	void (*each)(void *context, const struct dataplane_key *key, uint32_t number);
	void *context;
};

static void walk_key(void *context, const struct ip *vip, uint32_t what, uint32_t number)
{
	const struct walk *walk = context;
	struct dataplane_key key = {.vip = *vip, .protocol = hp_key_protocol(what)};
	uint16_t last;

	if (what == HP_WHAT_VIP)
		return;
	keys_range_of(what, &key.port, &last);
	key.more = (uint16_t)(last - key.port);
	walk->each(walk->context, &key, number);
}

void dataplane_each_key(struct dataplane *plane,
			void (*each)(void *context, const struct dataplane_key *key, uint32_t number), void *context)
{
	struct walk walk = {each, context};

	keys_each(&plane->keys4, walk_key, &walk);
	keys_each(&plane->keys6, walk_key, &walk);
}

struct vip_walk {
	void (*each)(void *context, const struct ip *vip);
	void *context;
};

static void walk_vip(void *context, const struct ip *vip, uint32_t what, uint32_t number)
{
	const struct vip_walk *walk = context;

	(void)number;
	if (what == HP_WHAT_VIP)
		walk->each(walk->context, vip);
}

void dataplane_each_vip(struct dataplane *plane, void (*each)(void *context, const struct ip *vip), void *context)
{
	struct vip_walk walk = {each, context};

	keys_each(&plane->keys4, walk_vip, &walk);
	keys_each(&plane->keys6, walk_vip, &walk);
}

/* ---- grace ------------------------------------------------------------------------------------------------------------ */

/* MEMBARRIER_CMD_GLOBAL is synchronize_rcu() on more than one CPU. With one CPU, or where it is refused (kernels
 * booted with nohz_full), sleeping through several ticks lets every softirq end that could hold a packet. */
void dataplane_grace(struct dataplane *plane)
{
	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		usleep(100000);
	keys_reclaim(&plane->keys4);
	keys_reclaim(&plane->keys6);
}

/* ---- counters --------------------------------------------------------------------------------------------------------- */

/* A row for each CPU, and one of the daemon's. */
static void sum(uint64_t *cells, size_t count, const uint64_t *first, size_t stride, uint32_t cpus)
{
	memset(cells, 0, count * sizeof(*cells));
	for (uint32_t row = 0; row <= cpus; row++)
		for (size_t i = 0; i < count; i++)
			cells[i] += __atomic_load_n(first + row * stride * count + i, __ATOMIC_RELAXED);
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
	for (uint32_t row = 0; row <= plane->meta->cpus; row++)
		memset(&plane->service_counts[row * plane->meta->service_stride + number], 0,
		       sizeof(struct hp_service_counts));
}

void dataplane_backend_zero(struct dataplane *plane, uint32_t number)
{
	for (uint32_t row = 0; row <= plane->meta->cpus; row++)
		memset(&plane->backend_counts[row * plane->meta->backend_stride + number], 0,
		       sizeof(struct hp_backend_counts));
}

/* A sample as it was written, or false when one is being written over it. */
static bool read_sample(const struct hp_sample *from, struct hp_sample *to)
{
	uint64_t number = __atomic_load_n(&from->number, __ATOMIC_ACQUIRE);

	memcpy(to, from, sizeof(*to));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return number && __atomic_load_n(&from->number, __ATOMIC_ACQUIRE) == number;
}

size_t dataplane_samples(const struct dataplane *plane, enum hp_verdict verdict, struct hp_sample out[static HP_SAMPLES_KEPT])
{
	const struct hp_sample_row *row = &plane->samples[verdict];
	uint64_t taken = __atomic_load_n(&row->taken, __ATOMIC_ACQUIRE);
	size_t count = 0;

	for (uint64_t back = 1; back <= HP_SAMPLES_KEPT && back <= taken; back++)
		count += read_sample(&row->sample[(taken - back) % HP_SAMPLES_KEPT], &out[count]);
	return count;
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

/* Opening, adopting and closing the data plane: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/kernel.h"
#include "director.skel.h"

#define ABI_LEAST 1u /* the oldest pins that are adopted */
#define CELLS_PER_PAGE(type) (4096u / (uint32_t)sizeof(type))

/* A map and where it is mapped; pointer_at 0: not mapped (the first member of struct dataplane is no pointer). */
struct map_row {
	const char *name;
	size_t pointer_at;
	uint32_t value_bytes;
	uint32_t since; /* the ABI version that brought it: pins of an older one get it made */
};

#define MAPPED_SINCE(abi, member, type) {#member, offsetof(struct dataplane, member), sizeof(type), abi}
#define MAPPED(member, type) MAPPED_SINCE(1, member, type)

static const struct map_row map_rows[] = {
	{"ports", 0, 0, 1},
	{"keys4", offsetof(struct dataplane, buckets4), sizeof(struct hp_bucket4), 1},
	{"keys6", offsetof(struct dataplane, buckets6), sizeof(struct hp_bucket6), 1},
	MAPPED(services, struct hp_service),
	{"slots", offsetof(struct dataplane, blocks), sizeof(union hp_block), 1},
	MAPPED(backends, struct hp_backend),
	MAPPED(adjacencies, struct hp_adjacency),
	MAPPED(identities, struct hp_identity),
	MAPPED(service_counts, struct hp_service_counts),
	MAPPED(backend_counts, struct hp_backend_counts),
	MAPPED(interfaces, struct hp_interface_row),
	MAPPED(meta, struct hp_meta),
	{"flows", 0, 0, 2},
	{"unproven", 0, 0, 2},
	MAPPED_SINCE(2, motions, struct hp_motion),
	MAPPED_SINCE(2, flow_counts, struct hp_flow_counts),
};

#define MAP_ROWS (sizeof(map_rows) / sizeof(map_rows[0]))

/* What libbpf said first, for an error's sentence; "" for nothing. */
static char first_words[400];

/* The line of a verifier's log that says why: the last one before its statistics. */
static void keep_reason(char *log)
{
	char *end = strstr(log, "\nprocessed "), *line;

	if (!end)
		return;
	*end = '\0';
	line = strrchr(log, '\n');
	snprintf(first_words + strlen(first_words), sizeof(first_words) - strlen(first_words), "; %.200s", line ? line + 1 : log);
}

/* libbpf's first complaint names the cause, those after it only what failed in consequence. */
static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
{
	auto_free char *text = NULL;

	if (level != LIBBPF_WARN || vasprintf(&text, format, args) < 0)
		return 0;
	if (strstr(text, "-- BEGIN PROG LOAD LOG --"))
		keep_reason(text);
	else if (!first_words[0] && !strstr(text, "Retrying"))
		snprintf(first_words, sizeof(first_words), "%.*s", (int)strcspn(text, "\n"), text);
	return 0;
}

void dataplane_path(const struct dataplane *plane, const char *folder, const char *name,
		    char path[static DATAPLANE_PATH_BYTES])
{
	int at = snprintf(path, DATAPLANE_PATH_BYTES, "%s/%s/", plane->pins, folder);

	snprintf(path + at, DATAPLANE_PATH_BYTES - (size_t)at, "%s", name);
	for (char *c = path + at; *c; c++)
		if (*c == '.')
			*c = ':';
}

static uint32_t round_up(uint32_t n, uint32_t step)
{
	return (n + step - 1) / step * step;
}

/* ---- loading ------------------------------------------------------------------------------------------------ */

static int load_error(struct err *e, int code)
{
	struct utsname kernel = {0};

	uname(&kernel);
	switch (-code) {
	case ENOSYS:
		return err_set(e, code,
			       "this kernel (Linux %s) was built without bpf(2): Linux " KERNEL_LEAST
			       " or newer with CONFIG_BPF_SYSCALL is needed",
			       kernel.release);
	case EPERM:
		return err_set(e, code,
			       "the kernel refuses the data plane, though the capabilities are there: look for lockdown, a "
			       "security module, a container or a limit on locked memory (%s)",
			       first_words);
	case ENOMEM:
	case E2BIG:
		return err_set(e, code,
			       "no memory for the data plane: %m; lower limits.services, limits.backends or limits.slots (%s)",
			       first_words);
	default:
		return err_set(e, code,
			       "this kernel (Linux %s) does not take the program: %m; Linux " KERNEL_LEAST
			       " or newer with BPF, XDP and BTF is needed (%s)",
			       kernel.release, first_words);
	}
}

/* Each service has a key, and may have a VIP of its own; all of them may be of one family. */
static uint32_t key_buckets(const struct dataplane_limits *limits)
{
	return keys_buckets(limits->services * 2);
}

/* The program's constants; those of maps that are adopted follow from their sizes as they did at the making. */
static void set_constants(struct director_bpf *skel, const struct dataplane_limits *limits)
{
	skel->rodata->hp_key_shift = keys_shift(key_buckets(limits));
	skel->rodata->hp_service_stride = round_up(limits->services, CELLS_PER_PAGE(struct hp_service_counts));
	skel->rodata->hp_backend_stride = round_up(limits->backends, CELLS_PER_PAGE(struct hp_backend_counts));
}

static int map_entries(struct director_bpf *skel, const struct dataplane_limits *limits)
{
	uint32_t cpus = (uint32_t)libbpf_num_possible_cpus();
	int failed = 0;

	set_constants(skel, limits);

	failed |= bpf_map__set_max_entries(skel->maps.keys4, key_buckets(limits));
	failed |= bpf_map__set_max_entries(skel->maps.keys6, key_buckets(limits));
	failed |= bpf_map__set_max_entries(skel->maps.interfaces, HP_INTERFACES_MOST);
	failed |= bpf_map__set_max_entries(skel->maps.services, limits->services);
	failed |= bpf_map__set_max_entries(skel->maps.slots, limits->blocks);
	failed |= bpf_map__set_max_entries(skel->maps.backends, limits->backends);
	failed |= bpf_map__set_max_entries(skel->maps.adjacencies, limits->backends * HP_ADJACENCIES_PER_BACKEND);
	failed |= bpf_map__set_max_entries(skel->maps.identities, limits->backends);
	failed |= bpf_map__set_max_entries(skel->maps.service_counts, skel->rodata->hp_service_stride * cpus);
	failed |= bpf_map__set_max_entries(skel->maps.backend_counts, skel->rodata->hp_backend_stride * cpus);
	failed |= bpf_map__set_max_entries(skel->maps.motions, limits->services);
	failed |= bpf_map__set_max_entries(skel->maps.flow_counts, cpus);
	failed |= bpf_map__set_max_entries(skel->maps.flows, limits->flows);
	failed |= bpf_map__set_max_entries(skel->maps.unproven, limits->unproven);
	return failed ? -EINVAL : 0;
}

/* Let the object use the maps that are pinned. Their sizes say what the limits were. Maps that came after the pins'
 * version are made. */
static int reuse_pinned(struct dataplane *plane, struct director_bpf *skel, struct err *e)
{
	char path[DATAPLANE_PATH_BYTES];

	for (size_t i = 0; i < MAP_ROWS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, map_rows[i].name);
		auto_close int fd = -1;
		int failed;

		dataplane_path(plane, "maps", map_rows[i].name, path);
		fd = bpf_obj_get(path);
		if (fd < 0 && errno == ENOENT && map_rows[i].since > plane->abi)
			continue;
		if (fd < 0)
			return err_set(e, -errno, "pinned map %s: %m; `halfproxyd --unload` starts anew", path);
		failed = bpf_map__reuse_fd(map, fd);
		if (failed)
			return err_set(e, failed, "pinned map %s: %m", path);
	}
	plane->limits.services = bpf_map__max_entries(skel->maps.services);
	plane->limits.backends = bpf_map__max_entries(skel->maps.backends);
	plane->limits.blocks = bpf_map__max_entries(skel->maps.slots);
	plane->limits.flows = bpf_map__max_entries(skel->maps.flows);
	plane->limits.unproven = bpf_map__max_entries(skel->maps.unproven);
	bpf_map__set_max_entries(skel->maps.motions, plane->limits.services);
	return 0;
}

static int map_all(struct dataplane *plane, struct director_bpf *skel, struct err *e)
{
	for (size_t i = 0; i < MAP_ROWS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, map_rows[i].name);
		size_t bytes = (size_t)map_rows[i].value_bytes * bpf_map__max_entries(map);
		void *at;

		if (!map_rows[i].pointer_at)
			continue;
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
		if (at == MAP_FAILED)
			return err_set(e, -errno, "mapping of %s, %zu bytes: %m", map_rows[i].name, bytes);
		*(void **)((char *)plane + map_rows[i].pointer_at) = at;
	}
	return 0;
}

static void unmap_all(struct dataplane *plane)
{
	for (size_t i = 0; i < MAP_ROWS; i++) {
		void **at = (void **)((char *)plane + map_rows[i].pointer_at);
		struct bpf_map *map;

		if (!map_rows[i].pointer_at || !*at)
			continue;
		map = bpf_object__find_map_by_name(plane->live->obj, map_rows[i].name);
		munmap(*at, (size_t)map_rows[i].value_bytes * bpf_map__max_entries(map));
		*at = NULL;
	}
}

/* Pin the maps that came after ABI version `abi`; 0: all. One of them may be there since a start that was cut short. */
static int pin_newer(struct dataplane *plane, uint32_t abi, struct err *e)
{
	char path[DATAPLANE_PATH_BYTES];

	for (size_t i = 0; i < MAP_ROWS; i++) {
		int failed;

		dataplane_path(plane, "maps", map_rows[i].name, path);
		if (map_rows[i].since <= abi || !access(path, F_OK))
			continue;
		failed = bpf_map__pin(bpf_object__find_map_by_name(plane->live->obj, map_rows[i].name), path);
		if (failed)
			return err_set(e, failed, "pinning %s: %m", path);
	}
	return 0;
}

/* Whether finished maps are pinned and serve packets: 1, 0, or -EPROTO when they are of an ABI that is not known. Maps of a start
 * that was cut short are removed: no link points at them, and their sizes may be those of another file. */
static int find_pinned(struct dataplane *plane, struct err *e)
{
	struct bpf_map_info info = {0};
	uint32_t info_bytes = sizeof(info);
	char path[DATAPLANE_PATH_BYTES];
	auto_close int fd = -1;
	bool is_serving = dataplane_is_serving(plane->pins);
	struct hp_meta meta = {0};
	uint32_t zero = 0;

	dataplane_path(plane, "maps", "meta", path);
	fd = bpf_obj_get(path);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &info_bytes) && info.value_size >= sizeof(meta.abi) &&
	    info.value_size <= sizeof(meta) && !bpf_map_lookup_elem(fd, &zero, &meta) && meta.abi >= ABI_LEAST &&
	    meta.abi <= HP_ABI_VERSION && is_serving) {
		plane->abi = meta.abi;
		return 1;
	}
	if (fd >= 0 && meta.abi && is_serving)
		return err_set(e, -EPROTO,
			       "the data plane at %s has ABI %u and this halfproxyd knows %u to %u: run the version that "
			       "made it, or take it away with `halfproxyd --unload` (packets stop until the next start)",
			       plane->pins, meta.abi, ABI_LEAST, HP_ABI_VERSION);
	if (fd >= 0 && info.value_size && info.value_size != sizeof(meta) && is_serving)
		return err_set(e, -EPROTO, "%s is not a map of halfproxy's: take it away with `halfproxyd --unload`",
			       path);
	dataplane_pins_remove(plane->pins, "maps");
	return 0;
}

static int load(struct dataplane *plane, const struct dataplane_limits *limits, bool adopt, bool tracing,
		struct director_bpf **out, struct err *e)
{
	struct director_bpf *skel;
	int failed;

	first_words[0] = '\0';
	skel = director_bpf__open();
	if (!skel)
		return load_error(e, -errno);
	skel->rodata->hp_tracing = tracing;
	bpf_program__set_autoload(skel->progs.pass, !tracing);
	failed = map_entries(skel, limits) ? err_set(e, -EINVAL, "map sizes: %s", first_words) : 0;
	if (!failed && adopt)
		failed = reuse_pinned(plane, skel, e);
	if (!failed && adopt)
		set_constants(skel, &plane->limits);
	if (!failed) {
		failed = director_bpf__load(skel);
		if (failed)
			load_error(e, failed);
	}
	if (failed) {
		director_bpf__destroy(skel);
		return failed;
	}
	*out = skel;
	return 0;
}

int dataplane_load_twin(struct dataplane *plane, struct err *e)
{
	return plane->twin ? 0 : load(plane, &plane->limits, true, true, &plane->twin, e);
}

static int finish_open(struct dataplane *plane, struct err *e)
{
	uint32_t buckets = key_buckets(&plane->limits);
	int failed = map_all(plane, plane->live, e);

	if (failed)
		return failed;
	keys_open(&plane->keys4, plane->buckets4, buckets, true);
	keys_open(&plane->keys6, plane->buckets6, buckets, false);
	if (plane->adopted) {
		dataplane_grace(plane);
		keys_reclaim_all(&plane->keys4);
		keys_reclaim_all(&plane->keys6);
		failed = pin_newer(plane, plane->abi, e);
		if (!failed)
			__atomic_store_n(&plane->meta->abi, HP_ABI_VERSION, __ATOMIC_RELEASE);
		return failed;
	}
	plane->meta->cpus = (uint32_t)libbpf_num_possible_cpus();
	plane->meta->service_stride = plane->live->rodata->hp_service_stride;
	plane->meta->backend_stride = plane->live->rodata->hp_backend_stride;
	failed = pin_newer(plane, 0, e);
	if (failed)
		return failed;
	__atomic_store_n(&plane->meta->abi, HP_ABI_VERSION, __ATOMIC_RELEASE);
	return 0;
}

int dataplane_open(struct dataplane *plane, const char *pins, const struct dataplane_limits *limits, struct err *e)
{
	struct dataplane made = {.limits = *limits, .lock_fd = -1};
	char folder[DATAPLANE_PATH_BYTES];
	int code;

	libbpf_set_print(keep_words);
	if (strlen(pins) >= sizeof(made.pins))
		return err_set(e, -ENAMETOOLONG, "pins folder %s: %m", pins);
	snprintf(made.pins, sizeof(made.pins), "%s", pins);
	if ((code = dataplane_pins_check(pins, e)) || (code = dataplane_pins_make(pins, e)))
		return code;
	made.lock_fd = dataplane_pins_lock(pins, e);
	if (made.lock_fd < 0)
		return made.lock_fd;
	code = find_pinned(&made, e);
	made.adopted = code == 1;
	for (int i = 0; code >= 0 && i < 2; i++) {
		snprintf(folder, sizeof(folder), "%s/%s", pins, i ? "links" : "maps");
		code = dataplane_pins_make(folder, e);
	}
	if (code >= 0)
		code = load(&made, limits, made.adopted, false, &made.live, e);
	if (!code)
		code = finish_open(&made, e);
	if (code) {
		dataplane_close(&made);
		return code;
	}
	*plane = made;
	return 0;
}

void dataplane_close(struct dataplane *plane)
{
	keys_close(&plane->keys4);
	keys_close(&plane->keys6);
	if (plane->live)
		unmap_all(plane);
	director_bpf__destroy(plane->live);
	director_bpf__destroy(plane->twin);
	if (plane->lock_fd >= 0)
		close(plane->lock_fd);
	plane->live = plane->twin = NULL;
	plane->lock_fd = -1;
}

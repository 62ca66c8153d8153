/* Opening, adopting, closing and unloading the data plane: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "director.skel.h"

#define CELLS_PER_PAGE(type) (4096u / (uint32_t)sizeof(type))

/* A map and where it is mapped; pointer_at 0: not mapped (the first member of struct dataplane is no pointer). */
struct map_row {
	const char *name;
	size_t pointer_at;
	uint32_t value_bytes;
};

#define MAPPED(member, type) {#member, offsetof(struct dataplane, member), sizeof(type)}

static const struct map_row map_rows[] = {
	{"interfaces", 0, 0},
	{"ports", 0, 0},
	{"keys4", offsetof(struct dataplane, buckets4), sizeof(struct hp_bucket4)},
	{"keys6", offsetof(struct dataplane, buckets6), sizeof(struct hp_bucket6)},
	MAPPED(services, struct hp_service),
	{"slots", offsetof(struct dataplane, blocks), sizeof(union hp_block)},
	MAPPED(backends, struct hp_backend),
	MAPPED(adjacencies, struct hp_adjacency),
	MAPPED(identities, struct hp_identity),
	MAPPED(service_counts, struct hp_service_counts),
	MAPPED(backend_counts, struct hp_backend_counts),
	MAPPED(meta, struct hp_meta),
};

#define MAP_ROWS (sizeof(map_rows) / sizeof(map_rows[0]))

static char last_words[400];

const char *dataplane_last_words(void)
{
	return last_words;
}

static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN && strncmp(format, "libbpf: prog '%s': -- BEGIN", 27) != 0)
		vsnprintf(last_words, sizeof(last_words), format, args);
	last_words[strcspn(last_words, "\n")] = '\0';
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

/* ---- the pins' folder --------------------------------------------------------------------------------------- */

/* The folder must lie in a bpffs; said before anything is made. */
static int check_bpffs(const char *pins, struct err *e)
{
	char parent[256];
	struct statfs fs;
	char *slash;

	snprintf(parent, sizeof(parent), "%s", pins);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return err_set(e, -EINVAL, "pins folder %s: must be a path inside a BPF file system", pins);
	*slash = '\0';
	if (statfs(parent, &fs) < 0)
		return err_set(e, -errno, "pins folder %s: %m", parent);
	if (fs.f_type != BPF_FS_MAGIC)
		return err_set(e, -ENODEV, "no BPF file system is mounted at %s: mount -t bpf bpf %s", parent, parent);
	return 0;
}

static int make_folder(const char *path, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "folder %s: %m", path);
	return 0;
}

static int lock_pins(const char *pins, struct err *e)
{
	auto_close int fd = open(pins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, -errno, "pins folder %s: %m", pins);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, errno == EWOULDBLOCK ? -EBUSY : -errno,
			       "another halfproxyd holds the data plane at %s: one a machine; stop it first, or give "
			       "this one other --pins, --state and api.socket",
			       pins);
	return take_fd(&fd);
}

static void remove_in(const char *pins, const char *folder)
{
	char path[DATAPLANE_PATH_BYTES * 2];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", pins, folder);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", pins, folder, entry->d_name);
		unlink(path);
	}
	closedir(dir);
	snprintf(path, sizeof(path), "%s/%s", pins, folder);
	rmdir(path);
}

int dataplane_unload(const char *pins, struct err *e)
{
	struct stat st;
	int fd;

	if (stat(pins, &st) < 0)
		return err_set(e, -errno, "nothing is loaded: %s: %m", pins);
	fd = lock_pins(pins, e);
	if (fd < 0)
		return fd;
	remove_in(pins, "links");
	remove_in(pins, "maps");
	close(fd);
	if (rmdir(pins) < 0)
		return err_set(e, -errno, "pins folder %s: %m", pins);
	return 0;
}

/* ---- loading ------------------------------------------------------------------------------------------------ */

static int load_error(struct err *e, int code)
{
	if (code == -EPERM || code == -EACCES)
		return err_set(e, code,
			       "the kernel refuses the program: halfproxyd needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, "
			       "which root has (%s)",
			       last_words);
	return err_set(e, code,
		       "the kernel does not take the program; Linux " DATAPLANE_KERNEL_LEAST
		       " or newer with BPF, XDP and JIT is needed: %m (%s)",
		       last_words);
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
	failed |= bpf_map__set_max_entries(skel->maps.interfaces, DATAPLANE_PORTS_MOST);
	failed |= bpf_map__set_max_entries(skel->maps.services, limits->services);
	failed |= bpf_map__set_max_entries(skel->maps.slots, limits->blocks);
	failed |= bpf_map__set_max_entries(skel->maps.backends, limits->backends);
	failed |= bpf_map__set_max_entries(skel->maps.adjacencies, limits->backends * HP_ADJACENCIES_PER_BACKEND);
	failed |= bpf_map__set_max_entries(skel->maps.identities, limits->backends);
	failed |= bpf_map__set_max_entries(skel->maps.service_counts, skel->rodata->hp_service_stride * cpus);
	failed |= bpf_map__set_max_entries(skel->maps.backend_counts, skel->rodata->hp_backend_stride * cpus);
	return failed ? -EINVAL : 0;
}

/* Let the object use the maps that are pinned. Their sizes say what the limits were. */
static int reuse_pinned(struct dataplane *plane, struct director_bpf *skel, struct err *e)
{
	char path[DATAPLANE_PATH_BYTES];

	for (size_t i = 0; i < MAP_ROWS; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(skel->obj, map_rows[i].name);
		auto_close int fd = -1;
		int failed;

		dataplane_path(plane, "maps", map_rows[i].name, path);
		fd = bpf_obj_get(path);
		if (fd < 0)
			return err_set(e, -errno, "pinned map %s: %m; `halfproxyd --unload` starts anew", path);
		failed = bpf_map__reuse_fd(map, fd);
		if (failed)
			return err_set(e, failed, "pinned map %s: %m", path);
	}
	plane->limits.services = bpf_map__max_entries(skel->maps.services);
	plane->limits.backends = bpf_map__max_entries(skel->maps.backends);
	plane->limits.blocks = bpf_map__max_entries(skel->maps.slots);
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

static int pin_all(struct dataplane *plane, struct err *e)
{
	char path[DATAPLANE_PATH_BYTES];

	for (size_t i = 0; i < MAP_ROWS; i++) {
		int failed;

		dataplane_path(plane, "maps", map_rows[i].name, path);
		failed = bpf_map__pin(bpf_object__find_map_by_name(plane->live->obj, map_rows[i].name), path);
		if (failed)
			return err_set(e, failed, "pinning %s: %m", path);
	}
	return 0;
}

/* Whether finished maps are pinned: 1, 0, or -EPROTO when they are not of this ABI. Maps whose making was cut
 * short are removed: no link can point at them yet. */
static int find_pinned(struct dataplane *plane, struct err *e)
{
	struct bpf_map_info info = {0};
	uint32_t info_bytes = sizeof(info);
	char path[DATAPLANE_PATH_BYTES];
	auto_close int fd = -1;
	struct hp_meta meta = {0};
	uint32_t zero = 0;

	dataplane_path(plane, "maps", "meta", path);
	fd = bpf_obj_get(path);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &info_bytes) && info.value_size >= sizeof(meta.abi) &&
	    info.value_size <= sizeof(meta) && !bpf_map_lookup_elem(fd, &zero, &meta) && meta.abi == HP_ABI_VERSION)
		return 1;
	if (fd >= 0 && meta.abi)
		return err_set(e, -EPROTO,
			       "the data plane at %s has ABI %u and this halfproxyd has %u: run the version that made "
			       "it, or take it away with `halfproxyd --unload` (packets stop until the next start)",
			       plane->pins, meta.abi, HP_ABI_VERSION);
	if (fd >= 0 && info.value_size && info.value_size != sizeof(meta))
		return err_set(e, -EPROTO, "%s is not a map of halfproxy's: take it away with `halfproxyd --unload`",
			       path);
	remove_in(plane->pins, "maps");
	return 0;
}

static int load(struct dataplane *plane, const struct dataplane_limits *limits, bool adopt, bool tracing,
		struct director_bpf **out, struct err *e)
{
	struct director_bpf *skel = director_bpf__open();
	int failed;

	if (!skel)
		return load_error(e, -errno);
	skel->rodata->hp_tracing = tracing;
	bpf_program__set_autoload(skel->progs.pass, !tracing);
	failed = map_entries(skel, limits) ? err_set(e, -EINVAL, "map sizes: %s", last_words) : 0;
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
		return 0;
	}
	plane->meta->cpus = (uint32_t)libbpf_num_possible_cpus();
	plane->meta->service_stride = plane->live->rodata->hp_service_stride;
	plane->meta->backend_stride = plane->live->rodata->hp_backend_stride;
	failed = pin_all(plane, e);
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
	last_words[0] = '\0';
	if (strlen(pins) >= sizeof(made.pins))
		return err_set(e, -ENAMETOOLONG, "pins folder %s: %m", pins);
	snprintf(made.pins, sizeof(made.pins), "%s", pins);
	if ((code = check_bpffs(pins, e)) || (code = make_folder(pins, e)))
		return code;
	made.lock_fd = lock_pins(pins, e);
	if (made.lock_fd < 0)
		return made.lock_fd;
	code = find_pinned(&made, e);
	made.adopted = code == 1;
	for (int i = 0; code >= 0 && i < 2; i++) {
		snprintf(folder, sizeof(folder), "%s/%s", pins, i ? "links" : "maps");
		code = make_folder(folder, e);
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

/* Opening, adopting and closing the data plane: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/kernel.h"
#include "director.skel.h"

#define ABI_LEAST 1u /* the oldest pins that are adopted */

/* Verdicts as the cells of ABI 1 and 2 had them. */
static const uint8_t cells_2[] = {
	HP_CELL_BYTES,	HP_FORWARDED,	HP_ICMP_FORWARDED, HP_TOO_BIG,	    HP_LOOPED,	       HP_UNRESOLVED,
	HP_NO_HEADROOM, HP_NO_PORT,	HP_NO_BACKEND,	   HP_FRAGMENT,	    HP_ANSWERED_ARP,   HP_ANSWERED_ND,
	HP_ANSWERED_ECHO, HP_VIP_SILENT, HP_VIP_OTHER,	   HP_NOT_VIP,	    HP_NOT_IP,	       HP_MALFORMED,
};

static void convert_counts_2(const void *record, void *out)
{
	const struct hp_service_counts *from = record;
	struct hp_service_counts *to = out;

	memset(to, 0, sizeof(*to));
	for (size_t i = 0; i < sizeof(cells_2) / sizeof(cells_2[0]); i++)
		to->cell[cells_2[i]] = __atomic_load_n(&from->cell[i], __ATOMIC_RELAXED);
}

/* Records that changed since a version whose pins are adopted. What is new in ABI 2 are maps, and members where zeroes were;
 * in ABI 3 also verdicts among those of before. */
static const struct dataplane_conversion conversions_known[] = {
	{DATAPLANE_SERVICE_COUNTS, 2, sizeof(struct hp_service_counts), convert_counts_2},
	{.convert = NULL},
};

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
			       "no memory for the data plane: %m; lower limits.services, backends, slots, flows, unproven, "
			       "prefixes or sources (%s)",
			       first_words);
	default:
		return err_set(e, code,
			       "this kernel (Linux %s) does not take the program: %m; Linux " KERNEL_LEAST
			       " or newer with BPF, XDP and BTF is needed (%s)",
			       kernel.release, first_words);
	}
}

/* The program's constants follow from the maps' sizes. */
static void set_constants(struct director_bpf *skel, const struct dataplane_limits *limits)
{
	skel->rodata->hp_key_shift = keys_shift(dataplane_entries(DATAPLANE_KEYS4, limits));
	skel->rodata->hp_service_stride = dataplane_service_stride(limits);
	skel->rodata->hp_backend_stride = dataplane_backend_stride(limits);
}

static struct bpf_map *map_of(const struct director_bpf *skel, enum dataplane_map_id id)
{
	return bpf_object__find_map_by_name(skel->obj, dataplane_maps[id].name);
}

/* Let the object use what fits of the set, and make the rest. */
static int choose_maps(struct director_bpf *skel, const struct dataplane_limits *limits, struct dataplane_set *set,
		       struct err *e)
{
	int failed = 0;

	for (int i = 0; !failed && i < DATAPLANE_MAP_COUNT; i++) {
		enum dataplane_map_id id = (enum dataplane_map_id)i;
		bool is_used = set && dataplane_map_fits(set, id, limits);

		if (set)
			set->map[id].is_replaced = set->map[id].fd >= 0 && !is_used;
		failed = is_used ? bpf_map__reuse_fd(map_of(skel, id), set->map[id].fd)
				 : bpf_map__set_max_entries(map_of(skel, id), dataplane_entries(id, limits));
		if (failed)
			err_set(e, failed, "map %s: %m", dataplane_maps[id].name);
	}
	return failed;
}

/* set: maps that are there; NULL: none. */
static int load(const struct dataplane_limits *limits, struct dataplane_set *set, bool tracing, struct director_bpf **out,
		struct err *e)
{
	struct director_bpf *skel;
	int failed;

	first_words[0] = '\0';
	skel = director_bpf__open();
	if (!skel)
		return load_error(e, -errno);
	skel->rodata->hp_tracing = tracing;
	set_constants(skel, limits);
	bpf_program__set_autoload(skel->progs.pass, !tracing);
	bpf_program__set_autoload(skel->progs.probe_out, !tracing);
	failed = choose_maps(skel, limits, set, e);
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
	struct dataplane_set set;
	int code;

	if (plane->twin)
		return 0;
	code = dataplane_set_open(&set, plane, DATAPLANE_MAPS, true, NULL, e);
	if (code)
		return code;
	code = load(&plane->limits, &set, true, &plane->twin, e);
	dataplane_set_close(&set);
	return code;
}

static int map_all(struct dataplane *plane, struct err *e)
{
	for (int i = 0; i < DATAPLANE_MAP_COUNT; i++) {
		const struct dataplane_map *row = &dataplane_maps[i];
		struct bpf_map *map = map_of(plane->live, (enum dataplane_map_id)i);
		size_t bytes = (size_t)row->value_bytes * bpf_map__max_entries(map);
		void *at;

		if (!row->pointer_at)
			continue;
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
		if (at == MAP_FAILED)
			return err_set(e, -errno, "mapping of %s, %zu bytes: %m", row->name, bytes);
		*(void **)((char *)plane + row->pointer_at) = at;
	}
	return 0;
}

static void drop_program(struct dataplane *plane)
{
	keys_close(&plane->keys4);
	keys_close(&plane->keys6);
	for (int i = 0; plane->live && i < DATAPLANE_MAP_COUNT; i++) {
		const struct dataplane_map *row = &dataplane_maps[i];
		void **at = (void **)((char *)plane + row->pointer_at);

		if (!row->pointer_at || !*at)
			continue;
		munmap(*at, (size_t)row->value_bytes * bpf_map__max_entries(map_of(plane->live, (enum dataplane_map_id)i)));
		*at = NULL;
	}
	director_bpf__destroy(plane->live);
	plane->live = NULL;
}

/* Load the program for a data plane of this size over what fits of the set, and map what it uses. */
static int open_program(struct dataplane *plane, const struct dataplane_limits *limits, struct dataplane_set *set,
			struct err *e)
{
	uint32_t buckets = dataplane_entries(DATAPLANE_KEYS4, limits);
	bool is_new = !set || !dataplane_set_fits(set, limits);
	int code = load(limits, set, false, &plane->live, e);

	if (!code)
		code = map_all(plane, e);
	if (code) {
		drop_program(plane);
		return code;
	}
	plane->limits = *limits;
	if (set) /* flows may be remembered, or will be put into a table that takes another's place */
		memset(plane->hints, 0xff, HP_HINT_WORDS * sizeof(*plane->hints));
	keys_open(&plane->keys4, plane->buckets4, buckets, true);
	keys_open(&plane->keys6, plane->buckets6, buckets, false);
	if (is_new) {
		plane->meta->cpus = (uint32_t)libbpf_num_possible_cpus();
		plane->meta->service_stride = dataplane_service_stride(limits);
		plane->meta->backend_stride = dataplane_backend_stride(limits);
	}
	return 0;
}

/* ---- making and adopting ------------------------------------------------------------------------------------------- */

/* The ABI version stands in the maps when all of them are pinned. */
static int make(struct dataplane *plane, const struct dataplane_limits *limits, struct err *e)
{
	char path[DATAPLANE_PATH_BYTES];
	int code;

	dataplane_path(plane, DATAPLANE_MAPS, "", path);
	code = dataplane_pins_make(path, e);
	if (!code)
		code = open_program(plane, limits, NULL, e);
	for (int i = 0; !code && i < DATAPLANE_MAP_COUNT; i++) {
		dataplane_path(plane, DATAPLANE_MAPS, dataplane_maps[i].name, path);
		code = bpf_map__pin(map_of(plane->live, (enum dataplane_map_id)i), path);
		if (code)
			err_set(e, code, "pinning %s: %m", path);
	}
	if (!code)
		__atomic_store_n(&plane->meta->abi, HP_ABI_VERSION, __ATOMIC_RELEASE);
	return code;
}

/* Finish what a start that was killed has begun: the maps of the set are in place already. */
static int finish_migration(struct dataplane *plane, struct dataplane_set *set, const struct dataplane_limits *limits,
			    const struct dataplane_conversion *conversions, struct err *e)
{
	struct dataplane_set former;
	int code;

	if (!dataplane_set_fits(set, limits))
		return err_set(e, -EPROTO,
			       "another version of halfproxyd, which knows ABI %u, was replacing the maps at %s: start that one "
			       "first, or take them away with `halfproxyd --unload` (packets stop until the next start)",
			       set->meta.abi, plane->pins);
	code = dataplane_set_open(&former, plane, DATAPLANE_MAPS_FORMER, false, conversions, e);
	if (code)
		return code;
	code = open_program(plane, limits, set, e);
	if (!code)
		code = dataplane_migrate_on(plane, &former, e);
	dataplane_set_close(&former);
	return code;
}

/* Adopt the set at the size that is wanted; where that cannot be had, as it is. */
static int adopt_set(struct dataplane *plane, struct dataplane_set *set, const struct dataplane_limits *is,
		     const struct dataplane_limits *chosen, struct err *e)
{
	int code;

	if (plane->live && dataplane_set_fits(set, chosen))
		return 0;
	drop_program(plane);
	code = open_program(plane, chosen, set, e);
	if (!code && !dataplane_set_fits(set, chosen))
		code = dataplane_migrate(plane, set, e);
	if (!code || plane->migration.is_done || !dataplane_set_fits(set, is))
		return code;
	plane->migration.why_not = *e;
	drop_program(plane);
	return open_program(plane, is, set, e);
}

static int adopt(struct dataplane *plane, const struct dataplane_limits *wanted,
		 const struct dataplane_conversion *conversions, struct err *e)
{
	struct dataplane_limits is, chosen;
	struct dataplane_set set;
	int code;

	dataplane_next_remove(plane->pins);
	code = dataplane_set_open(&set, plane, DATAPLANE_MAPS, true, conversions, e);
	if (code)
		return code;
	is = dataplane_set_limits(&set, wanted);
	if (dataplane_has_former(plane))
		code = finish_migration(plane, &set, &is, conversions, e);
	dataplane_former_remove(plane->pins);
	if (!code)
		code = dataplane_choose_limits(plane, &set, wanted, &chosen, e);
	if (!code)
		code = adopt_set(plane, &set, &is, &chosen, e);
	dataplane_set_close(&set);
	if (code)
		return code;
	dataplane_grace(plane);
	keys_reclaim_all(&plane->keys4);
	keys_reclaim_all(&plane->keys6);
	return 0;
}

/* Whether finished maps are pinned and serve packets: 1, 0, or -EPROTO when they are of an ABI that is not known. Maps of
 * a start that was cut short are removed: no link points at them, and their sizes may be those of another file. */
static int find_pinned(const struct dataplane *plane, struct err *e)
{
	struct bpf_map_info info = {0};
	uint32_t info_bytes = sizeof(info);
	char path[DATAPLANE_PATH_BYTES];
	auto_close int fd = -1;
	bool is_serving = dataplane_is_serving(plane->pins);
	struct hp_meta meta = {0};
	uint32_t zero = 0;

	dataplane_path(plane, DATAPLANE_MAPS, dataplane_maps[DATAPLANE_META].name, path);
	fd = bpf_obj_get(path);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &info_bytes) && info.value_size >= sizeof(meta.abi) &&
	    info.value_size <= sizeof(meta) && !bpf_map_lookup_elem(fd, &zero, &meta) && meta.abi >= ABI_LEAST &&
	    meta.abi <= HP_ABI_VERSION && is_serving)
		return 1;
	if (fd >= 0 && meta.abi && is_serving)
		return err_set(e, -EPROTO,
			       "the data plane at %s has ABI %u and this halfproxyd knows %u to %u: run the version that "
			       "made it, or take it away with `halfproxyd --unload` (packets stop until the next start)",
			       plane->pins, meta.abi, ABI_LEAST, HP_ABI_VERSION);
	if (fd >= 0 && info.value_size && info.value_size != sizeof(meta) && is_serving)
		return err_set(e, -EPROTO, "%s is not a map of halfproxy's: take it away with `halfproxyd --unload`",
			       path);
	dataplane_maps_remove(plane->pins);
	return 0;
}

int dataplane_open_with(struct dataplane *plane, const char *pins, const struct dataplane_limits *limits,
			const struct dataplane_conversion *conversions, struct err *e)
{
	struct dataplane made = {.lock_fd = -1};
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
	if (code >= 0) {
		dataplane_path(&made, "links", "", folder);
		code = dataplane_pins_make(folder, e);
	}
	if (!code)
		code = made.adopted ? adopt(&made, limits, conversions, e) : make(&made, limits, e);
	if (code) {
		dataplane_close(&made);
		return code;
	}
	*plane = made;
	return 0;
}

int dataplane_open(struct dataplane *plane, const char *pins, const struct dataplane_limits *limits, struct err *e)
{
	return dataplane_open_with(plane, pins, limits, conversions_known, e);
}

void dataplane_close(struct dataplane *plane)
{
	drop_program(plane);
	director_bpf__destroy(plane->twin);
	if (plane->lock_fd >= 0)
		close(plane->lock_fd);
	plane->twin = NULL;
	plane->lock_fd = -1;
}

/* Variables of a BPF object: see bench_object.h. */
#include "bench_object.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where a variable of that size stands in a section; -1: it is not there. */
static long find(const struct bpf_object *object, const char *section, const char *name, size_t bytes)
{
	const struct btf *btf = bpf_object__btf(object);
	int id = btf ? btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC) : -1;
	const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(btf, (uint32_t)id);
	const struct btf_var_secinfo *row = type ? btf_var_secinfos(type) : NULL;

	for (uint32_t i = 0; row && i < btf_vlen(type); i++) {
		const struct btf_type *variable = btf__type_by_id(btf, row[i].type);

		if (!strcmp(btf__name_by_offset(btf, variable->name_off), name))
			return row[i].size == bytes ? (long)row[i].offset : -1;
	}
	return -1;
}

int bench_object_set(struct bpf_object *object, const char *name, const void *value, size_t bytes)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
	long at = find(object, ".rodata", name, bytes);
	size_t whole;

	if (!map || at < 0)
		return -EPROTO;
	memcpy((uint8_t *)(uintptr_t)bpf_map__initial_value(map, &whole) + at, value, bytes);
	return 0;
}

void *bench_object_variable(struct bpf_object *object, const char *name, size_t bytes)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(object, ".bss");
	long at = find(object, ".bss", name, bytes);
	uint8_t *page;

	if (!map || at < 0)
		return NULL;
	page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	return page == MAP_FAILED ? NULL : page + at;
}

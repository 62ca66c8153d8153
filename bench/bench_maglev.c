/* Milliseconds a ring: how long building one takes. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>

#include "abi.h"
#include "base/cleanup.h"
#include "core/ring.h"

#define ROUNDS 21

static const struct {
	uint32_t backends, slots;
} sizes[] = {{10, 1009}, {100, 16381}, {1000, 65537}, {1000, 131071}};

static void make_members(struct ring_member *members, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		members[i] = (struct ring_member){
			.address = ip_from4((uint8_t[]){10, 3, (uint8_t)(i >> 8), (uint8_t)i}),
			.method = HP_METHOD_L2,
			.weight = 1 + i % 4,
			.number = 1 + i,
		};
}

static json_t *measure(uint32_t backends, uint32_t slots, struct err *e)
{
	auto_free struct ring_member *members = calloc(backends, sizeof(*members));
	auto_free uint32_t *ring = calloc(slots, sizeof(*ring));
	struct ring_spec spec = {.members = members, .count = backends, .size = slots, .seed = 1};
	double ms[ROUNDS];

	if (!members || !ring) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	make_members(members, backends);
	for (int round = 0; round < ROUNDS; round++) {
		double begin = bench_cpu_s();

		if (ring_build(&spec, ring, e))
			return NULL;
		ms[round] = (bench_cpu_s() - begin) * 1e3;
	}
	return json_pack("{s:i, s:i, s:f}", "backends", (int)backends, "slots", (int)slots, "ms", bench_median(ms, ROUNDS));
}

json_t *bench_maglev(struct err *e)
{
	json_t *rows = json_array(), *out;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		json_t *row = measure(sizes[i].backends, sizes[i].slots, e);

		if (!row) {
			json_decref(rows);
			return NULL;
		}
		json_array_append_new(rows, row);
	}
	/* The one that is aimed at stands for all. */
	out = json_deep_copy(json_array_get(rows, 2));
	json_object_set_new(out, "rings", rows);
	return out;
}

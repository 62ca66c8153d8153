/* Extents of an array of blocks, and numbers from a range: who gives them out, and when one may be had again.
 *
 * Both hand out the lowest that is free, and both know "retired": given back, but perhaps still seen by a packet in
 * flight, until the caller has waited a grace period. Pure. */
#ifndef HP_CORE_EXTENTS_H
#define HP_CORE_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct extent {
	uint32_t at;
	uint32_t count;
};

/* Free extents, sorted by place, neighbours merged. */
struct extents {
	struct extent *free;
	size_t free_count, free_room;
	struct extent *retired;
	size_t retired_count, retired_room;
	uint32_t limit;
	uint32_t used; /* blocks given out, retired ones too */
};

/* All blocks from `first` to below `limit` are free. Returns 0 or -ENOMEM. */
int extents_init(struct extents *extents, uint32_t first, uint32_t limit);
void extents_destroy(struct extents *extents);

/* Take `count` blocks, first fit. Returns where they begin, or 0 when no run of free blocks is long enough. */
uint32_t extents_take(struct extents *extents, uint32_t count);

/* Take just these blocks, as found in use at adoption. Returns false when not all of them are free. */
bool extents_take_at(struct extents *extents, uint32_t at, uint32_t count);

/* Give blocks back: to be free after extents_reclaim. */
void extents_retire(struct extents *extents, uint32_t at, uint32_t count);

/* A grace period has passed: what was retired is free. */
void extents_reclaim(struct extents *extents);

/* One above the highest block that is given out, or was when the last extents_reclaim came. */
uint32_t extents_end(const struct extents *extents);

static inline bool extents_any_retired(const struct extents *extents)
{
	return extents->retired_count > 0;
}

#endif

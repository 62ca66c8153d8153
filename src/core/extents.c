/* Extents: see extents.h. */
#include "core/extents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool grow(struct extent **list, size_t count, size_t *room)
{
	struct extent *grown;

	if (count < *room)
		return true;
	grown = realloc(*list, (*room ? *room * 2 : 16) * sizeof(**list));
	if (!grown)
		return false;
	*list = grown;
	*room = *room ? *room * 2 : 16;
	return true;
}

static bool insert(struct extents *extents, size_t index, uint32_t at, uint32_t count)
{
	if (!grow(&extents->free, extents->free_count, &extents->free_room))
		return false;
	memmove(extents->free + index + 1, extents->free + index, (extents->free_count - index) * sizeof(*extents->free));
	extents->free[index] = (struct extent){at, count};
	extents->free_count++;
	return true;
}

static void erase(struct extents *extents, size_t index)
{
	extents->free_count--;
	memmove(extents->free + index, extents->free + index + 1, (extents->free_count - index) * sizeof(*extents->free));
}

int extents_init(struct extents *extents, uint32_t first, uint32_t limit)
{
	memset(extents, 0, sizeof(*extents));
	extents->limit = limit;
	if (limit > first && !insert(extents, 0, first, limit - first))
		return -ENOMEM;
	return 0;
}

void extents_destroy(struct extents *extents)
{
	free(extents->free);
	free(extents->retired);
	memset(extents, 0, sizeof(*extents));
}

uint32_t extents_take(struct extents *extents, uint32_t count)
{
	for (size_t i = 0; i < extents->free_count; i++) {
		struct extent *extent = &extents->free[i];
		uint32_t at = extent->at;

		if (extent->count < count)
			continue;
		extent->at += count;
		extent->count -= count;
		if (!extent->count)
			erase(extents, i);
		extents->used += count;
		return at;
	}
	return 0;
}

/* The first free extent that ends behind `at`. */
static size_t find(const struct extents *extents, uint32_t at)
{
	size_t low = 0, high = extents->free_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (extents->free[middle].at + extents->free[middle].count <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool extents_take_at(struct extents *extents, uint32_t at, uint32_t count)
{
	size_t i = find(extents, at);
	struct extent extent;

	if (i == extents->free_count)
		return false;
	extent = extents->free[i];
	if (extent.at > at || extent.at + extent.count - at < count)
		return false;
	if (extent.at + extent.count > at + count &&
	    !insert(extents, i + 1, at + count, extent.at + extent.count - at - count))
		return false;
	extents->free[i].count = at - extent.at;
	if (!extents->free[i].count)
		erase(extents, i);
	extents->used += count;
	return true;
}

void extents_retire(struct extents *extents, uint32_t at, uint32_t count)
{
	/* Without memory for the note the blocks are lost until the next adoption, which finds them free. */
	if (grow(&extents->retired, extents->retired_count, &extents->retired_room))
		extents->retired[extents->retired_count++] = (struct extent){at, count};
}

uint32_t extents_end(const struct extents *extents)
{
	const struct extent *last = extents->free + extents->free_count - 1;

	return extents->free_count && last->at + last->count == extents->limit ? last->at : extents->limit;
}

static void give_back(struct extents *extents, struct extent back)
{
	size_t i = find(extents, back.at);
	bool joins_left = i > 0 && extents->free[i - 1].at + extents->free[i - 1].count == back.at;
	bool joins_right = i < extents->free_count && back.at + back.count == extents->free[i].at;

	extents->used -= back.count;
	if (joins_left) {
		extents->free[i - 1].count += back.count;
		if (joins_right) {
			extents->free[i - 1].count += extents->free[i].count;
			erase(extents, i);
		}
	} else if (joins_right) {
		extents->free[i].at = back.at;
		extents->free[i].count += back.count;
	} else {
		insert(extents, i, back.at, back.count);
	}
}

void extents_reclaim(struct extents *extents)
{
	for (size_t i = 0; i < extents->retired_count; i++)
		give_back(extents, extents->retired[i]);
	extents->retired_count = 0;
}

/* Tables of keys: see keys.h. */
#include "core/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SINGLE_MOST 16 /* so many ports of a range have a key each, and are found as fast as single ones */

/* An entry of either family. */
struct entry {
	__be32 *vip;
	size_t vip_bytes;
	uint32_t *what, *number, *passed;
};

uint32_t keys_buckets(uint32_t keys)
{
	uint32_t buckets = 2;

	while (buckets < keys && buckets < 1u << 31)
		buckets *= 2;
	return buckets;
}

uint32_t keys_shift(uint32_t buckets)
{
	return 64 - (uint32_t)__builtin_ctz(buckets);
}

static void count_one(void *context, const struct ip *vip, uint32_t what, uint32_t number)
{
	uint32_t *used = context;

	(void)vip;
	(void)what;
	(void)number;
	*used += 1;
}

void keys_open(struct keys *keys, void *buckets, uint32_t count, bool is4)
{
	*keys = (struct keys){.buckets = buckets, .shift = keys_shift(count), .is4 = is4};
	keys_each(keys, count_one, &keys->used);
}

void keys_close(struct keys *keys)
{
	free(keys->gone);
	memset(keys, 0, sizeof(*keys));
}

/* ---- entries ---------------------------------------------------------------------------------------------------------- */

static uint32_t entry_count(const struct keys *keys)
{
	return (uint32_t)(~UINT64_C(0) >> keys->shift) * HP_KEYS_A_BUCKET + HP_KEYS_A_BUCKET;
}

static struct entry entry_of(const struct keys *keys, uint32_t number)
{
	struct hp_entry4 *entry4 = (struct hp_entry4 *)keys->buckets + number;
	struct hp_entry6 *entry6 = (struct hp_entry6 *)keys->buckets + number;

	if (keys->is4)
		return (struct entry){&entry4->vip, sizeof(entry4->vip), &entry4->what, &entry4->number, &entry4->passed};
	return (struct entry){entry6->vip, sizeof(entry6->vip), &entry6->what, &entry6->number, &entry6->passed};
}

static const void *address(const struct keys *keys, const struct ip *vip)
{
	return keys->is4 ? ip_bytes4(vip) : vip->byte;
}

static uint32_t first_bucket(const struct keys *keys, const struct ip *vip, uint32_t what)
{
	__be32 words[4];

	memcpy(words, vip->byte, sizeof(words));
	return keys->is4 ? hp_key4_bucket(words[3], what, keys->shift) : hp_key6_bucket(words, what, keys->shift);
}

static uint32_t probed(const struct keys *keys, uint32_t first, uint32_t probe)
{
	return (first + probe) & (uint32_t)(~UINT64_C(0) >> keys->shift);
}

/* Count a key in, or out of, the buckets that it passes. */
static void count_passing(const struct keys *keys, uint32_t first, uint32_t probes, uint32_t change)
{
	for (uint32_t probe = 0; probe < probes; probe++) {
		struct entry entry = entry_of(keys, probed(keys, first, probe) * HP_KEYS_A_BUCKET);

		__atomic_store_n(entry.passed, *entry.passed + change, __ATOMIC_RELEASE);
	}
}

struct place {
	uint32_t first, probe; /* buckets */
	uint32_t number;       /* entry */
};

/* The entry whose `what` is as asked for and, unless that is HP_WHAT_FREE, whose VIP is. */
static bool search(const struct keys *keys, const struct ip *vip, uint32_t what, uint32_t wanted, struct place *place)
{
	place->first = first_bucket(keys, vip, what);
	for (place->probe = 0; place->probe <= HP_PROBES_MOST; place->probe++) {
		uint32_t bucket = probed(keys, place->first, place->probe) * HP_KEYS_A_BUCKET;

		for (place->number = bucket; place->number < bucket + HP_KEYS_A_BUCKET; place->number++) {
			struct entry entry = entry_of(keys, place->number);

			if (*entry.what != wanted)
				continue;
			if (wanted == HP_WHAT_FREE || !memcmp(entry.vip, address(keys, vip), entry.vip_bytes))
				return true;
		}
		if (wanted != HP_WHAT_FREE && !*entry_of(keys, bucket).passed)
			return false;
	}
	return false;
}

bool keys_have_room(const struct keys *keys, uint64_t more)
{
	return keys->used + more <= entry_count(keys) / 2;
}

/* ---- keys ------------------------------------------------------------------------------------------------------------- */

int keys_set(struct keys *keys, const struct ip *vip, uint32_t what, uint32_t number)
{
	struct place place;
	struct entry entry;

	if (search(keys, vip, what, what, &place)) {
		__atomic_store_n(entry_of(keys, place.number).number, number, __ATOMIC_RELEASE);
		return 0;
	}
	if (!search(keys, vip, what, HP_WHAT_FREE, &place))
		return -ENOSPC;
	entry = entry_of(keys, place.number);
	count_passing(keys, place.first, place.probe, 1);
	memcpy(entry.vip, address(keys, vip), entry.vip_bytes);
	*entry.number = number;
	__atomic_store_n(entry.what, what, __ATOMIC_RELEASE);
	keys->used++;
	return 0;
}

/* Without memory for the note the entry stays unused until keys_reclaim_all. */
static void note_gone(struct keys *keys, uint32_t number)
{
	size_t room = keys->gone_room ? keys->gone_room * 2 : 64;
	uint32_t *grown;

	if (keys->gone_count == keys->gone_room) {
		grown = realloc(keys->gone, room * sizeof(*grown));
		if (!grown)
			return;
		keys->gone = grown;
		keys->gone_room = room;
	}
	keys->gone[keys->gone_count++] = number;
}

bool keys_clear(struct keys *keys, const struct ip *vip, uint32_t what)
{
	struct place place;

	if (!search(keys, vip, what, what, &place))
		return false;
	__atomic_store_n(entry_of(keys, place.number).what, HP_WHAT_GONE, __ATOMIC_RELEASE);
	count_passing(keys, place.first, place.probe, UINT32_MAX);
	keys->used--;
	note_gone(keys, place.number);
	return true;
}

const uint32_t *keys_find(const struct keys *keys, const struct ip *vip, uint32_t what)
{
	struct place place;

	return search(keys, vip, what, what, &place) ? entry_of(keys, place.number).number : NULL;
}

static void reclaim(const struct keys *keys, uint32_t number)
{
	struct entry entry = entry_of(keys, number);

	if (*entry.what != HP_WHAT_GONE)
		return;
	memset(entry.vip, 0, entry.vip_bytes);
	*entry.number = 0;
	__atomic_store_n(entry.what, HP_WHAT_FREE, __ATOMIC_RELEASE);
}

void keys_reclaim(struct keys *keys)
{
	while (keys->gone_count)
		reclaim(keys, keys->gone[--keys->gone_count]);
}

void keys_reclaim_all(struct keys *keys)
{
	keys->gone_count = 0;
	for (uint32_t number = 0; number < entry_count(keys); number++)
		reclaim(keys, number);
}

void keys_each(const struct keys *keys,
	       void (*each)(void *context, const struct ip *vip, uint32_t what, uint32_t number), void *context)
{
	for (uint32_t number = 0; number < entry_count(keys); number++) {
		struct entry entry = entry_of(keys, number);
		struct ip vip;

		if (*entry.what == HP_WHAT_FREE || *entry.what == HP_WHAT_GONE)
			continue;
		vip = keys->is4 ? ip_from4(entry.vip) : ip_from6(entry.vip);
		each(context, &vip, *entry.what, *entry.number);
	}
}

/* ---- ranges of ports -------------------------------------------------------------------------------------------------- */

/* The greatest block that begins here and ends within the range: its bits. */
static uint32_t block_at(uint32_t first, uint32_t last)
{
	uint32_t bits = 0;

	while (bits < HP_BLOCK_BITS_MOST && !(first & ((2u << bits) - 1)) && first + (2u << bits) - 1 <= last)
		bits++;
	return bits;
}

size_t keys_of_range(uint16_t first, uint16_t last, uint8_t protocol, uint32_t out[static KEYS_A_RANGE])
{
	bool are_few = last - first < SINGLE_MOST;
	size_t count = 0;

	for (uint32_t port = first, bits; port <= last; port += 1u << bits) {
		bits = are_few ? 0 : block_at(port, last);
		out[count++] = hp_key_block(bits, port, protocol);
	}
	return count;
}

void keys_range_of(uint32_t what, uint16_t *first, uint16_t *last)
{
	*first = (uint16_t)((what & 0xff) << 8 | (what >> 8 & 0xff));
	*last = (uint16_t)(*first + (1u << hp_key_bits(what)) - 1);
}

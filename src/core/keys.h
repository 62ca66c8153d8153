/* A table of keys as packets look them up: which service a VIP's packet belongs to, which addresses are VIPs.
 *
 * The layout and how it is read stand in abi.h. Written here while packets read: nothing is moved, an entry becomes
 * visible by one store, and one that was taken away is not used again before keys_reclaim. Pure: works on the memory
 * it is given. Single-threaded but for the packets. */
#ifndef HP_CORE_KEYS_H
#define HP_CORE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "base/ip.h"

struct keys {
	void *buckets; /* struct hp_bucket4 or hp_bucket6, borrowed */
	uint32_t shift;
	bool is4;
	uint32_t used; /* keys that are there */
	uint32_t *gone; /* numbers of entries */
	size_t gone_count, gone_room;
};

/* Buckets for so many keys: a power of two, at most one key a bucket when all are there. */
uint32_t keys_buckets(uint32_t keys);

/* 64 less the logarithm of a number of buckets, which is a power of two. */
uint32_t keys_shift(uint32_t buckets);

/* Over memory that is zero, or a table written earlier. */
void keys_open(struct keys *keys, void *buckets, uint32_t count, bool is4);
void keys_close(struct keys *keys);

/* Set a key's number, whether it is there or not. what: hp_key_what() or HP_WHAT_VIP. Returns 0, or -ENOSPC when
 * HP_PROBES_MOST buckets are full: with some entries gone (keys->gone_count), keys_reclaim may help. */
int keys_set(struct keys *keys, const struct ip *vip, uint32_t what, uint32_t number);

/* Whether so many more keys find room, however their places fall: half of the table stays free. */
bool keys_have_room(const struct keys *keys, uint64_t more);

/* Take a key away. Returns false when it is not there. */
bool keys_clear(struct keys *keys, const struct ip *vip, uint32_t what);

/* The number of a key, or NULL. */
const uint32_t *keys_find(const struct keys *keys, const struct ip *vip, uint32_t what);

/* A grace period has passed since the last keys_clear: what was taken away may be used again. */
void keys_reclaim(struct keys *keys);

/* The same for entries that an earlier owner of the table took away. */
void keys_reclaim_all(struct keys *keys);

#define KEYS_A_RANGE 32 /* at most, of the keys that serve a range of ports */

/* The keys (`what`) of the ports from first to last, which are in host order, into out: one each where they are few, else
 * those of the fewest blocks; of any port where both are 0. Returns how many. */
size_t keys_of_range(uint16_t first, uint16_t last, uint8_t protocol, uint32_t out[static KEYS_A_RANGE]);

/* The ports that a key stands for, as above. Not for HP_WHAT_VIP. */
void keys_range_of(uint32_t what, uint16_t *first, uint16_t *last);

/* Call back for every key. The callback must not change them. */
void keys_each(const struct keys *keys,
	       void (*each)(void *context, const struct ip *vip, uint32_t what, uint32_t number), void *context);

#endif

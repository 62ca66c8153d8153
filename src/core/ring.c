/* Weighted Maglev rings: see ring.h.
 *
 * Rounds are counted, not walked member by member: a member whose weight is the largest takes a turn in every
 * round, a lighter one waits in a wheel of queues for the round of its next turn. So the work is one step a slot,
 * however far the weights lie apart. Who comes when depends on the member itself and the largest weight alone. */
#include "core/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL /* a hash state on the stack is only for those who take the code from the header */
#include <xxhash.h>

#include "base/cleanup.h"

#define IDENTITY_BYTES 20
#define NONE	       UINT32_MAX

struct turn {
	uint32_t position; /* the next slot of the member's permutation */
	uint32_t skip;
	int32_t weight;
	int32_t credit; /* in 1/heaviest of a turn; negative: the first turn was a loan */
	uint32_t number;
	uint32_t next; /* the member behind it in the queue of its round; behind the last, the first */
};

struct wheel {
	uint32_t *last; /* of the queue of a round, or NONE; a power of two of them */
	uint32_t mask;
};

static const uint32_t steps[] = {1009, 4093, 16381, 65537, 262139, 1048573, 4194301, RING_SIZE_MOST};

#define STEPS	   (sizeof(steps) / sizeof(steps[0]))
#define SLOTS_EACH 100

static void put_le(uint8_t *out, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

static void identity_pack(const struct ring_member *member, uint8_t out[static IDENTITY_BYTES])
{
	memcpy(out, member->address.byte, sizeof(member->address.byte));
	put_le(out + sizeof(member->address.byte), member->method, 4);
}

static int compare_u32(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

/* By identity; weight and number only keep the order total should an identity appear twice. */
static int compare_members(const void *left, const void *right)
{
	const struct ring_member *a = *(const struct ring_member *const *)left;
	const struct ring_member *b = *(const struct ring_member *const *)right;
	int order = ip_compare(&a->address, &b->address);

	if (!order)
		order = compare_u32(a->method, b->method);
	if (!order)
		order = compare_u32(a->weight, b->weight);
	return order ? order : compare_u32(a->number, b->number);
}

/* The members of positive weight, sorted; owned by the caller. NULL when there is no memory. */
static const struct ring_member **sorted_members(const struct ring_spec *spec, size_t *count)
{
	const struct ring_member **sorted = calloc(spec->count + 1, sizeof(const struct ring_member *));
	size_t n = 0;

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < spec->count; i++)
		if (spec->members[i].weight)
			sorted[n++] = &spec->members[i];
	qsort(sorted, n, sizeof(const struct ring_member *), compare_members);
	*count = n;
	return sorted;
}

static int check(const struct ring_spec *spec, uint32_t *heaviest, struct err *e)
{
	size_t positive = 0;

	*heaviest = 0;
	if (!ring_size_valid(spec->size))
		return err_set(e, -EINVAL, "ring size %u is not a prime from %u to %u; the nearest is %u", spec->size,
			       RING_SIZE_LEAST, RING_SIZE_MOST, ring_size_near(spec->size));
	for (size_t i = 0; i < spec->count; i++) {
		uint32_t weight = spec->members[i].weight;

		if (weight > RING_WEIGHT_MOST)
			return err_set(e, -EINVAL, "weight %u is above %d", weight, RING_WEIGHT_MOST);
		if (weight > *heaviest)
			*heaviest = weight;
		positive += weight > 0;
	}
	if (!positive)
		return err_set(e, -EINVAL, "no backend has a positive weight");
	if (positive > spec->size)
		return err_set(e, -EINVAL, "%zu backends do not fit into a ring of %u slots", positive, spec->size);
	return 0;
}

/* What all positive weights can be divided by: only their ratios count. 1 when there is none. */
static uint32_t common_factor(const struct ring_spec *spec)
{
	uint32_t factor = 0;

	for (size_t i = 0; i < spec->count && factor != 1; i++)
		for (uint32_t a = spec->members[i].weight, rest; a; a = rest) {
			rest = factor % a;
			factor = a;
		}
	return factor ? factor : 1;
}

/* A 32-bit hash spread over 0 .. range-1. */
static uint32_t scale(uint64_t hash32, uint32_t range)
{
	return (uint32_t)((hash32 * range) >> 32);
}

/* The phase of its turns is a member's own: were it one for all, members of one weight would take their turns in
 * the same round, and where the ring is full they all would have one too many or none has. */
static struct turn first_turn(const struct ring_member *member, const struct ring_spec *spec, uint32_t factor,
			      uint32_t heaviest)
{
	uint32_t weight = member->weight / factor;
	uint8_t identity[IDENTITY_BYTES];
	uint32_t phase;
	uint64_t hash;

	identity_pack(member, identity);
	hash = XXH3_64bits_withSeed(identity, sizeof(identity), spec->seed);
	phase = scale(XXH3_64bits_withSeed(identity, sizeof(identity), ~spec->seed) >> 32, heaviest);
	return (struct turn){
	    .position = scale(hash >> 32, spec->size),
	    .skip = 1 + scale(hash & UINT32_MAX, spec->size - 1),
	    .weight = (int32_t)weight,
	    .credit = (int32_t)phase - (int32_t)heaviest + (int32_t)weight,
	    .number = member->number,
	    .next = NONE,
	};
}

/* Claim the member's next free slot: there is one, and skip and the prime size see to it that it is found. */
static void take_slot(struct turn *turn, uint64_t *taken, uint32_t *slots, uint32_t size)
{
	uint32_t at = turn->position;
	uint32_t skip = turn->skip;

	while (taken[at / 64] >> (at % 64) & 1) {
		at += skip;
		at = at >= size ? at - size : at;
	}
	taken[at / 64] |= UINT64_C(1) << (at % 64);
	slots[at] = turn->number;
	turn->position = at;
}

/* Pay for a turn and return after how many rounds the next is due: from 1 to 2 * heaviest. */
static uint32_t pay_turn(struct turn *turn, int32_t heaviest)
{
	int32_t gap;

	turn->credit -= heaviest;
	gap = (turn->weight - 1 - turn->credit) / turn->weight;
	turn->credit += gap * turn->weight;
	return (uint32_t)gap;
}

static void enqueue(struct turn *turns, uint32_t *last, uint32_t i)
{
	if (*last == NONE) {
		turns[i].next = i;
	} else {
		turns[i].next = turns[*last].next;
		turns[*last].next = i;
	}
	*last = i;
}

/* Open the queue of this round's members and leave it empty for a later round. Returns the first, or NONE. */
static uint32_t dequeue_all(struct turn *turns, uint32_t *last)
{
	uint32_t first;

	if (*last == NONE)
		return NONE;
	first = turns[*last].next;
	turns[*last].next = NONE;
	*last = NONE;
	return first;
}

/* In the first round everyone takes a turn, so everyone has a slot; who is too light for it repays by waiting. */
static void fill(struct turn *turns, struct wheel *wheel, uint64_t *taken, uint32_t *slots, uint32_t size,
		 int32_t heaviest)
{
	uint32_t left = size;

	for (uint32_t round = 0;; round++) {
		uint32_t i = dequeue_all(turns, &wheel->last[round & wheel->mask]);

		while (i != NONE) {
			uint32_t behind = turns[i].next;
			uint32_t due;

			take_slot(&turns[i], taken, slots, size);
			if (--left == 0)
				return;
			due = round + pay_turn(&turns[i], heaviest);
			enqueue(turns, &wheel->last[due & wheel->mask], i);
			i = behind;
		}
	}
}

/* A wheel with a queue for each round that a turn may be put off to; last is NULL when there is no memory. */
static struct wheel wheel_new(uint32_t heaviest)
{
	uint32_t queues = 1;
	struct wheel wheel;

	while (queues <= 2 * heaviest)
		queues *= 2;
	wheel.mask = queues - 1;
	wheel.last = malloc(queues * sizeof(*wheel.last));
	for (uint32_t i = 0; wheel.last && i < queues; i++)
		wheel.last[i] = NONE;
	return wheel;
}

int ring_build(const struct ring_spec *spec, uint32_t *slots, struct err *e)
{
	uint32_t heaviest, factor = common_factor(spec);
	size_t count = 0;
	int error = check(spec, &heaviest, e);

	if (error)
		return error;
	heaviest /= factor;

	struct wheel wheel = wheel_new(heaviest);
	auto_free uint32_t *queues = wheel.last;
	auto_free const struct ring_member **sorted = sorted_members(spec, &count);
	auto_free struct turn *turns = calloc(count + 1, sizeof(*turns));
	auto_free uint64_t *taken = calloc(spec->size / 64 + 1, sizeof(*taken));

	if (!queues || !sorted || !turns || !taken)
		return err_set(e, -ENOMEM, "ring of %u slots: %m", spec->size);
	for (uint32_t i = 0; i < count; i++) {
		turns[i] = first_turn(sorted[i], spec, factor, heaviest);
		enqueue(turns, &queues[0], i);
	}
	fill(turns, &wheel, taken, slots, spec->size, (int32_t)heaviest);
	return 0;
}

static void fingerprint_member(XXH3_state_t *state, const struct ring_member *member, uint32_t factor)
{
	uint8_t packed[IDENTITY_BYTES + 4];

	identity_pack(member, packed);
	put_le(packed + IDENTITY_BYTES, member->weight / factor, 4);
	XXH3_128bits_update(state, packed, sizeof(packed));
}

/* Without memory to sort in, the members go in as they come: two equal rings may then look different, which costs
 * a comparison; two different ones never look equal. */
struct ring_fingerprint ring_fingerprint(const struct ring_spec *spec)
{
	uint8_t rest[16];
	size_t count = 0;
	uint32_t factor = common_factor(spec);
	auto_free const struct ring_member **sorted = sorted_members(spec, &count);
	XXH128_hash_t hash;
	XXH3_state_t state;

	XXH3_INITSTATE(&state);
	XXH3_128bits_reset(&state);
	put_le(rest, spec->size, 4);
	put_le(rest + 4, spec->hash, 4);
	put_le(rest + 8, spec->seed, 8);
	XXH3_128bits_update(&state, rest, sizeof(rest));
	for (size_t i = 0; i < count; i++)
		fingerprint_member(&state, sorted[i], factor);
	for (size_t i = 0; !sorted && i < spec->count; i++)
		if (spec->members[i].weight)
			fingerprint_member(&state, &spec->members[i], factor);
	hash = XXH3_128bits_digest(&state);
	return (struct ring_fingerprint){.word = {hash.low64, hash.high64}};
}

uint32_t ring_size_auto(size_t configured)
{
	for (size_t i = 0; i < STEPS; i++)
		if (configured <= steps[i] / SLOTS_EACH)
			return steps[i];
	return RING_SIZE_MOST;
}

bool ring_size_valid(uint64_t n)
{
	if (n < RING_SIZE_LEAST || n > RING_SIZE_MOST || n % 2 == 0)
		return false;
	for (uint64_t d = 3; d * d <= n; d += 2)
		if (n % d == 0)
			return false;
	return true;
}

uint32_t ring_size_near(uint64_t n)
{
	if (n <= RING_SIZE_LEAST)
		return RING_SIZE_LEAST;
	if (n >= RING_SIZE_MOST)
		return RING_SIZE_MOST;
	for (uint64_t away = 0;; away++) {
		if (ring_size_valid(n - away))
			return (uint32_t)(n - away);
		if (ring_size_valid(n + away))
			return (uint32_t)(n + away);
	}
}

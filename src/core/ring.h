/* Weighted Maglev rings: a set of backends with weights becomes a table of slots.
 *
 * A pure function of the set: the order of input does not matter, nor do a backend's number and its past, nor a factor
 * that all weights have in common, so that any number of directors agree (Eisenbud et al., "Maglev: A Fast and Reliable
 * Software Network Load Balancer", NSDI 2016, section 3.4). Knows no map and no memory but the caller's. */
#ifndef HP_CORE_RING_H
#define HP_CORE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"

#define RING_WEIGHT_MOST 65535
#define RING_SIZE_LEAST 7u
#define RING_SIZE_MOST 16777213u /* the largest prime below 2^24 */

struct ring_member {
	struct ip address;
	uint32_t method; /* enum hp_method */
	uint32_t weight; /* 0: no slots; at most RING_WEIGHT_MOST */
	uint32_t number; /* what is written into its slots; of no influence on which slots these are */
};

struct ring_spec {
	const struct ring_member *members; /* borrowed */
	size_t count;
	uint32_t size; /* slots, a prime from RING_SIZE_LEAST to RING_SIZE_MOST */
	uint32_t hash; /* enum hp_hash; only part of the fingerprint */
	uint64_t seed; /* of the flow's hash and of the permutations */
};

struct ring_fingerprint {
	uint64_t word[2];
};

/* Fill slots[0 .. size).
 *
 * Every member of positive weight gets its share of slots, within one turn of weight/sum. When no member has a
 * positive weight, or there are more members than slots, -EINVAL is returned with *e written; -ENOMEM likewise.
 * slots is untouched on failure. */
int ring_build(const struct ring_spec *spec, uint32_t *slots, struct err *e);

/* What makes two rings equal: all of spec but the numbers, the order and the weights' common factor. Members of weight 0
 * count as absent. */
struct ring_fingerprint ring_fingerprint(const struct ring_spec *spec);

/* The size for a number of configured backends when the configuration says `auto`: a prime, in steps of about
 * four, at least a hundred slots a backend (Maglev, 5.3), up to RING_SIZE_MOST. */
uint32_t ring_size_auto(size_t configured);

/* Whether n is a prime that may be a ring's size. */
bool ring_size_valid(uint64_t n);

/* The valid size nearest to n, for messages. */
uint32_t ring_size_near(uint64_t n);

#endif

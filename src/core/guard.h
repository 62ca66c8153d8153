/* Guards: who may use a service, by prefixes of the source's address.
 *
 * A guard is a list of prefixes that are allowed or denied. The longest prefix that holds an address judges it. Where none
 * does, it is denied if there are prefixes that are allowed, else allowed. Pure; sets as packets see them are in abi.h. */
#ifndef HP_CORE_GUARD_H
#define HP_CORE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "base/ip.h"

struct guard_rule {
	struct prefix prefix;
	bool denies;
};

/* Immutable once it is made. Counted references, as copies of a service share it. */
struct guard {
	unsigned int references;
	struct guard_rule *rules; /* by prefix, no two of the same */
	size_t count;
};

/* Make a guard of these rules, in any order; two of the same prefix are the caller's to find (guard_rule_compare). One
 * reference is the caller's. NULL without memory. */
struct guard *guard_make(const struct guard_rule *rules, size_t count);
struct guard *guard_hold(struct guard *guard);
void guard_drop(struct guard *guard);

/* Whether two judge the same; either may be NULL, which is equal to NULL only. */
bool guard_equal(const struct guard *a, const struct guard *b);

/* Prefixes that are denied. */
size_t guard_denied(const struct guard *guard);

/* The order of prefixes; 0: they are the same. */
int guard_rule_compare(const struct guard_rule *a, const struct guard_rule *b);

/* A row of the map `guards`. */
struct guard_row {
	struct hp_guard_key key;
	uint32_t value;
};

/* Room for the rows of a guard's set. */
static inline size_t guard_rows_most(const struct guard *guard)
{
	return guard->count + 2;
}

/* Write the rows of the set `number`. Those for the rest come first: of IPv4, of IPv6. Returns how many there are. */
size_t guard_rows(const struct guard *guard, uint32_t number, struct guard_row *rows);

/* What tells sets apart, whatever the order of their rows and the number that they have. */
struct guard_fingerprint {
	uint64_t word[2];
	uint64_t count;
};

/* Count a row in; a fingerprint begins as zeros. */
void guard_fingerprint_add(struct guard_fingerprint *fingerprint, const struct guard_row *row);

#endif

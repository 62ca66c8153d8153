/* Guards as values, and as the rows that packets see: see guard.h. */
#include "core/guard.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int guard_rule_compare(const struct guard_rule *a, const struct guard_rule *b)
{
	int order = ip_compare(&a->prefix.ip, &b->prefix.ip);

	return order ? order : (int)a->prefix.bits - (int)b->prefix.bits;
}

static int compare(const void *a, const void *b)
{
	return guard_rule_compare(a, b);
}

struct guard *guard_make(const struct guard_rule *rules, size_t count)
{
	struct guard *guard = calloc(1, sizeof(*guard));

	if (!guard)
		return NULL;
	guard->references = 1;
	guard->count = count;
	guard->rules = calloc(count + 1, sizeof(*rules));
	if (!guard->rules) {
		free(guard);
		return NULL;
	}
	if (count)
		memcpy(guard->rules, rules, count * sizeof(*rules));
	qsort(guard->rules, count, sizeof(*rules), compare);
	return guard;
}

struct guard *guard_hold(struct guard *guard)
{
	guard->references++;
	return guard;
}

void guard_drop(struct guard *guard)
{
	if (!guard || --guard->references)
		return;
	free(guard->rules);
	free(guard);
}

bool guard_equal(const struct guard *a, const struct guard *b)
{
	if (a == b || !a || !b)
		return a == b;
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->rules[i].denies != b->rules[i].denies || guard_rule_compare(&a->rules[i], &b->rules[i]))
			return false;
	return true;
}

size_t guard_denied(const struct guard *guard)
{
	size_t denied = 0;

	for (size_t i = 0; i < guard->count; i++)
		denied += guard->rules[i].denies;
	return denied;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------- */

static void write_rule(const struct guard_rule *rule, uint32_t number, struct guard_row *row)
{
	bool is4 = ip_is4(&rule->prefix.ip);

	memset(row, 0, sizeof(*row));
	row->key.bits = HP_GUARD_SET_BITS + rule->prefix.bits;
	row->key.set = hp_guard_set(number, !is4);
	if (is4)
		memcpy(row->key.address, ip_bytes4(&rule->prefix.ip), 4);
	else
		memcpy(row->key.address, rule->prefix.ip.byte, sizeof(row->key.address));
	row->value = HP_GUARD_LISTED | (rule->denies ? HP_GUARD_DENIES : 0) | rule->prefix.bits;
}

/* A prefix of no bits that a list names is written over the one for the rest. */
static size_t place_of(const struct guard_rule *rule, size_t next)
{
	if (rule->prefix.bits)
		return next;
	return ip_is4(&rule->prefix.ip) ? 0 : 1;
}

size_t guard_rows(const struct guard *guard, uint32_t number, struct guard_row *rows)
{
	uint32_t rest = HP_GUARD_REST | (guard_denied(guard) < guard->count ? HP_GUARD_DENIES : 0);
	size_t next = 2;

	memset(rows, 0, guard_rows_most(guard) * sizeof(*rows));
	for (uint8_t is_ipv6 = 0; is_ipv6 < 2; is_ipv6++)
		rows[is_ipv6] = (struct guard_row){{.bits = HP_GUARD_SET_BITS, .set = hp_guard_set(number, is_ipv6)}, rest};
	for (size_t i = 0; i < guard->count; i++) {
		size_t at = place_of(&guard->rules[i], next);

		write_rule(&guard->rules[i], number, &rows[at]);
		next += at == next;
	}
	return next;
}

/* A sum, so that the order does not matter. */
void guard_fingerprint_add(struct guard_fingerprint *fingerprint, const struct guard_row *row)
{
	struct guard_row bare = *row;
	XXH128_hash_t hash;

	bare.key.set &= 1; /* the family */
	hash = XXH3_128bits(&bare, sizeof(bare));
	fingerprint->word[0] += hash.low64;
	fingerprint->word[1] += hash.high64;
	fingerprint->count++;
}

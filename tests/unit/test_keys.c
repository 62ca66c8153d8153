/* Tables of keys: what is set is found, what is cleared is not, through any sequence, and packets' way of reading agrees.
 * Pure; needs no privilege. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/keys.h"

struct table {
	struct keys keys;
	void *memory;
	bool is4;
};

static struct table table_new(uint32_t buckets, bool is4)
{
	struct table table = {.is4 = is4};

	table.memory = aligned_alloc(128, buckets * (is4 ? sizeof(struct hp_bucket4) : sizeof(struct hp_bucket6)));
	assert_non_null(table.memory);
	memset(table.memory, 0, buckets * (is4 ? sizeof(struct hp_bucket4) : sizeof(struct hp_bucket6)));
	keys_open(&table.keys, table.memory, buckets, is4);
	return table;
}

static void table_free(struct table *table)
{
	keys_close(&table->keys);
	free(table->memory);
}

/* VIP number n of the table's family. */
static struct ip vip(const struct table *table, uint32_t n)
{
	uint8_t bytes[16] = {0xfd, [12] = 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

	return table->is4 ? ip_from4(bytes + 12) : ip_from6(bytes);
}

static uint32_t web(void)
{
	return hp_key_what(htons(80), IPPROTO_TCP);
}

/* The way that a packet goes, written again after the text in abi.h. */
static int64_t read_as_packet(const struct table *table, const struct ip *address, uint32_t what)
{
	uint32_t mask = (uint32_t)(~UINT64_C(0) >> table->keys.shift), at;
	__be32 words[4];

	memcpy(words, address->byte, sizeof(words));
	at = table->is4 ? hp_key4_bucket(words[3], what, table->keys.shift)
			: hp_key6_bucket(words, what, table->keys.shift);
	for (int probe = 0; probe <= HP_PROBES_MOST; probe++, at = (at + 1) & mask) {
		const struct hp_bucket4 *four = (const struct hp_bucket4 *)table->memory + at;
		const struct hp_bucket6 *six = (const struct hp_bucket6 *)table->memory + at;

		for (int i = 0; i < HP_KEYS_A_BUCKET; i++) {
			if (table->is4 && four->entry[i].what == what && four->entry[i].vip == words[3])
				return four->entry[i].number;
			if (!table->is4 && six->entry[i].what == what && !memcmp(six->entry[i].vip, words, sizeof(words)))
				return six->entry[i].number;
		}
		if (!(table->is4 ? four->entry[0].passed : six->entry[0].passed))
			return -1;
	}
	return -1;
}

static void each_family(void (*test)(struct table *table), uint32_t buckets)
{
	for (int is4 = 0; is4 < 2; is4++) {
		struct table table = table_new(buckets, is4);

		test(&table);
		table_free(&table);
	}
}

static void ports_and_protocols_are_told_apart_in(struct table *table)
{
	const uint32_t whats[] = {hp_key_what(htons(80), IPPROTO_TCP), hp_key_what(htons(80), IPPROTO_UDP),
				  hp_key_what(htons(443), IPPROTO_TCP), hp_key_what(0, IPPROTO_TCP), HP_WHAT_VIP};
	struct ip address = vip(table, 1), other = vip(table, 2);

	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(keys_set(&table->keys, &address, whats[i], 10 + i), 0);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(read_as_packet(table, &address, whats[i]), 10 + i);
		assert_int_equal(read_as_packet(table, &other, whats[i]), -1);
	}
}

static void ports_and_protocols_are_told_apart(void **state)
{
	each_family(ports_and_protocols_are_told_apart_in, 64);
}

static void setting_again_replaces_the_number_in(struct table *table)
{
	struct ip address = vip(table, 1);

	assert_int_equal(keys_set(&table->keys, &address, web(), 1), 0);
	assert_int_equal(keys_set(&table->keys, &address, web(), 0), 0);
	assert_int_equal(read_as_packet(table, &address, web()), 0);
	assert_true(keys_clear(&table->keys, &address, web()));
	assert_int_equal(read_as_packet(table, &address, web()), -1);
	assert_false(keys_clear(&table->keys, &address, web()));
}

static void setting_again_replaces_the_number(void **state)
{
	each_family(setting_again_replaces_the_number_in, 2);
}

/* Two buckets hold eight keys, and not one more until a grace period has passed. */
static void an_entry_is_not_used_again_before_the_grace_period_in(struct table *table)
{
	struct ip address;

	for (uint32_t n = 0; n < 8; n++) {
		address = vip(table, n);
		assert_int_equal(keys_set(&table->keys, &address, web(), n), 0);
	}
	address = vip(table, 8);
	assert_int_equal(keys_set(&table->keys, &address, web(), 8), -ENOSPC);
	address = vip(table, 3);
	assert_true(keys_clear(&table->keys, &address, web()));
	address = vip(table, 8);
	assert_int_equal(keys_set(&table->keys, &address, web(), 8), -ENOSPC);
	keys_reclaim(&table->keys);
	assert_int_equal(keys_set(&table->keys, &address, web(), 8), 0);
	for (uint32_t n = 0; n < 9; n++) {
		address = vip(table, n);
		assert_int_equal(read_as_packet(table, &address, web()), n == 3 ? -1 : (int)n);
	}
}

static void an_entry_is_not_used_again_before_the_grace_period(void **state)
{
	each_family(an_entry_is_not_used_again_before_the_grace_period_in, 2);
}

#define KEYS 600u

/* Keys come and go at random in a crowded table; a plain array says what should be there. */
static void any_sequence_agrees_with_a_plain_array_in(struct table *table)
{
	int64_t model[KEYS];
	uint32_t random = 5;

	memset(model, 0xff, sizeof(model));
	for (uint32_t step = 0; step < 60000; step++) {
		struct ip address;
		uint32_t n;

		random = random * 1664525u + 1013904223u;
		n = (random >> 8) % KEYS;
		address = vip(table, n);
		if (random >> 30) {
			assert_int_equal(keys_clear(&table->keys, &address, web()), model[n] >= 0);
			model[n] = -1;
		} else if (!keys_set(&table->keys, &address, web(), step)) {
			model[n] = step;
		}
		assert_int_equal(read_as_packet(table, &address, web()), model[n]);
		if (step % 97 == 0)
			keys_reclaim(&table->keys);
		if (step % 5000 == 0)
			for (uint32_t i = 0; i < KEYS; i++) {
				address = vip(table, i);
				assert_int_equal(read_as_packet(table, &address, web()), model[i]);
			}
	}
}

static void any_sequence_agrees_with_a_plain_array(void **state)
{
	each_family(any_sequence_agrees_with_a_plain_array_in, 128);
}

struct seen {
	uint32_t count;
	uint64_t sum;
};

static void see(void *context, const struct ip *address, uint32_t what, uint32_t number)
{
	struct seen *seen = context;

	assert_true(what == web() || what == HP_WHAT_VIP);
	seen->count++;
	seen->sum += number;
}

/* As full as limits.services lets it be, with addresses in a row. */
static void a_full_table_takes_every_key_in(struct table *table)
{
	const uint32_t services = 10000;
	struct seen seen = {0};
	uint32_t crowded = 0;

	for (uint32_t n = 0; n < services; n++) {
		struct ip address = vip(table, n);

		assert_int_equal(keys_set(&table->keys, &address, web(), n), 0);
		assert_int_equal(keys_set(&table->keys, &address, HP_WHAT_VIP, n), 0);
	}
	keys_each(&table->keys, see, &seen);
	assert_int_equal(seen.count, 2 * services);
	assert_int_equal(seen.sum, (uint64_t)services * (services - 1));
	for (uint32_t n = 0; n < 32768; n++)
		crowded += table->is4 ? ((struct hp_bucket4 *)table->memory)[n].entry[0].passed > 0
				      : ((struct hp_bucket6 *)table->memory)[n].entry[0].passed > 0;
	assert_in_range(crowded, 0, 32768 / 50);
}

static void a_full_table_takes_every_key(void **state)
{
	assert_int_equal(keys_buckets(20000), 32768);
	each_family(a_full_table_takes_every_key_in, keys_buckets(20000));
}

static void another_owner_finds_what_was_set(void **state)
{
	struct table table = table_new(64, true);
	struct ip address = vip(&table, 1), gone = vip(&table, 2);
	struct keys later;

	keys_set(&table.keys, &address, web(), 7);
	keys_set(&table.keys, &gone, web(), 8);
	keys_clear(&table.keys, &gone, web());
	keys_open(&later, table.memory, 64, true);
	keys_reclaim_all(&later);
	assert_non_null(keys_find(&later, &address, web()));
	assert_int_equal(*keys_find(&later, &address, web()), 7);
	assert_null(keys_find(&later, &gone, web()));
	keys_close(&later);
	table_free(&table);
}

/* Which of the keys a port finds, the smallest block first, as packets look; -1: none. */
static int found_by(const uint32_t *what, size_t count, uint32_t port)
{
	for (uint32_t bits = 0; bits <= HP_BLOCK_BITS_MOST; bits++)
		for (size_t i = 0; i < count; i++)
			if (what[i] == hp_key_block(bits, port, IPPROTO_TCP))
				return (int)i;
	return -1;
}

static void a_range_is_found_by_its_ports_alone(void **state)
{
	static const struct {
		uint16_t first, last;
		size_t most;
	} rows[] = {{80, 80, 1},     {8000, 8001, 2},  {8000, 8015, 16},  {8000, 8016, 2},   {8000, 8100, 4},	{1, 65535, 16},
		    {1, 65534, 30}, {1024, 65535, 6}, {49152, 65535, 1}, {32768, 65535, 1}, {32767, 32790, 5}, {1, 16, 16}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t what[KEYS_A_RANGE];
		size_t count = keys_of_range(rows[i].first, rows[i].last, IPPROTO_TCP, what);
		uint64_t ports = 0;

		assert_in_range(count, 1, rows[i].most);
		for (size_t k = 0; k < count; k++) {
			uint16_t first, last;

			assert_int_equal(hp_key_protocol(what[k]), IPPROTO_TCP);
			assert_int_not_equal(what[k], HP_WHAT_FREE);
			keys_range_of(what[k], &first, &last);
			assert_true(first >= rows[i].first && last <= rows[i].last && first <= last);
			ports += last - first + 1u;
		}
		assert_int_equal(ports, rows[i].last - rows[i].first + 1);
		for (uint32_t port = 0; port <= 65535; port++)
			assert_int_equal(found_by(what, count, port) >= 0, port >= rows[i].first && port <= rows[i].last);
	}
}

static void any_port_is_one_key(void **state)
{
	uint32_t what[KEYS_A_RANGE];
	uint16_t first = 1, last = 1;

	assert_int_equal(keys_of_range(0, 0, IPPROTO_UDP, what), 1);
	assert_int_equal(what[0], hp_key_what(0, IPPROTO_UDP));
	keys_range_of(what[0], &first, &last);
	assert_true(!first && !last);
	assert_int_equal(hp_key_block(0, 80, IPPROTO_TCP), web());
}

static void half_of_a_table_stays_free(void **state)
{
	struct table table = table_new(64, true);
	struct keys later;

	assert_true(keys_have_room(&table.keys, 128));
	assert_false(keys_have_room(&table.keys, 129));
	for (uint32_t n = 0; n < 100; n++) {
		struct ip address = vip(&table, n);

		assert_int_equal(keys_set(&table.keys, &address, web(), n), 0);
		assert_int_equal(keys_set(&table.keys, &address, web(), n + 1), 0);
	}
	for (uint32_t n = 0; n < 10; n++) {
		struct ip address = vip(&table, n);

		assert_true(keys_clear(&table.keys, &address, web()));
		assert_false(keys_clear(&table.keys, &address, web()));
	}
	assert_true(keys_have_room(&table.keys, 38));
	assert_false(keys_have_room(&table.keys, 39));
	keys_open(&later, table.memory, 64, true);
	assert_true(keys_have_room(&later, 38));
	assert_false(keys_have_room(&later, 39));
	keys_close(&later);
	table_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_and_protocols_are_told_apart),
		cmocka_unit_test(setting_again_replaces_the_number),
		cmocka_unit_test(an_entry_is_not_used_again_before_the_grace_period),
		cmocka_unit_test(any_sequence_agrees_with_a_plain_array),
		cmocka_unit_test(a_full_table_takes_every_key),
		cmocka_unit_test(another_owner_finds_what_was_set),
		cmocka_unit_test(a_range_is_found_by_its_ports_alone),
		cmocka_unit_test(any_port_is_one_key),
		cmocka_unit_test(half_of_a_table_stays_free),
	};

	return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}

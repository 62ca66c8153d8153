/* The room that a new data plane gets: twice what a configuration needs, thrice of rings, what equal services share
 * counted once. */
#include "unit/unit.h"

#include "core/config_parse.h"
#include "daemon/fleet.h"

#define PREFIXES 65536, 65536, 65536 /* and sources, and fragments */
#define FLOWS (1u << 20), (1u << 18), PREFIXES /* auto */
#define SAYS_SIZES (DATAPLANE_SAYS_SERVICES | DATAPLANE_SAYS_BACKENDS | DATAPLANE_SAYS_BLOCKS)
#define SAYS_FLOWS (DATAPLANE_SAYS_FLOWS | DATAPLANE_SAYS_UNPROVEN | DATAPLANE_SAYS_FRAGMENTS)
#define BLOCKS(slots) (1 + ((slots) + HP_SLOTS_PER_BLOCK - 1) / HP_SLOTS_PER_BLOCK)

struct row {
	const char *sentence;
	unsigned int services; /* each on a port of its own */
	bool are_equal;	       /* or each with a backend of its own */
	const char *service, *rest;
	struct dataplane_limits room;
};

static const struct row rows[] = {
	{"a small file gets the floor", 3, true, "", "", {1024, 4096, 65536, FLOWS, 0}},
	{"services that differ have room for a ring each, thrice", 100, false, "slots: 65537,", "",
	 {1024, 4096, (100 * BLOCKS(65537) + 1) * 3, FLOWS, 0}},
	{"services that share a large ring do not", 10000, true, "slots: 65537,", "", {20002, 20002, 1 << 21, FLOWS, 0}},
	{"nor those that share a small one, while there is plenty", 10000, true, "slots: 1009,", "",
	 {20002, 20002, (10000 * BLOCKS(1009) + 1) * 3, FLOWS, 0}},
	{"what the file says is what it gets", 1000, true, "", "limits: {services: 5000, backends: 70, slots: 16000000}",
	 {5001, 71, 1000001, FLOWS, SAYS_SIZES}},
	{"of flows too", 3, true, "", "limits: {flows: 2048, unproven: 18000, fragments: 90}",
	 {1024, 4096, 65536, 2048, 18000, 65536, 65536, 90, SAYS_FLOWS}},
	{"of prefixes and sources", 3, true, "deny: [192.0.2.0/24],", "limits: {prefixes: 7, sources: 70}",
	 {1024, 4096, 65536, 1u << 20, 1u << 18, 7, 70, 1u << 16, DATAPLANE_SAYS_PREFIXES | DATAPLANE_SAYS_SOURCES}},
	{"what no array could hold is no small number", 5000, false, "slots: 16777213,", "", {10002, 10002, 1 << 26, FLOWS, 0}},
};

static struct config *config_of(const struct row *row)
{
	char *text = malloc(row->services * 200 + 1000);
	struct problems problems = {0};
	struct config *config;
	size_t at = 0;

	assert_non_null(text);
	at += (size_t)sprintf(text + at, "interfaces: [eth0]\n%s\nservices:\n", row->rest);
	for (unsigned int i = 0; i < row->services; i++)
		at += (size_t)sprintf(text + at, "- {vip: 10.2.0.1, port: %u, %s backends: [10.%u.%u.1]}\n", i + 1, row->service,
				      row->are_equal ? 3 : 4 + i / 256, row->are_equal ? 3 : i % 256);
	config = config_parse(text, at, &problems);
	assert_non_null(config);
	problems_free(&problems);
	free(text);
	return config;
}

static void room_is_twice_the_need(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config *config = config_of(&rows[i]);
		struct dataplane_limits room;

		assert_int_equal(fleet_room(config, &room), 0);
		if (memcmp(&room, &rows[i].room, sizeof(room)) != 0)
			fail_msg("%s: %u services, %u backends, %u blocks", rows[i].sentence, room.services, room.backends,
				 room.blocks);
		config_free(config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_is_twice_the_need),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* --map as a text, and what several of them may not mean together. */
#include "unit/unit.h"

#include <netinet/in.h>

#include "backend/portmap.h"

static void texts_are_read(void **state)
{
	static const char *const good[] = {"443:8443", "tcp/1:65535", "udp/53:5353"};
	static const char *const bad[] = {
		"", "443", "443:", ":8443", "443:0", "0:443", "443:65536", "443:443", "443:8443 ", " 443:8443", "443:-1",
		"+443:1", "tcp443:1", "sctp/443:1", "tcp/", "443:84x", "443:8443:1", "99999999999999999999:1", "TCP/1:2",
		"tcp/udp/1:2",
	};
	char text[PORTMAP_TEXT_BYTES];
	struct setup_map map;

	for (size_t i = 0; i < COUNT(good); i++) {
		assert_true(portmap_parse(&map, good[i]));
		assert_text(good[i], portmap_format(&map, text), good[i]);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		if (portmap_parse(&map, bad[i]))
			fail_msg("\"%s\" was read", bad[i]);
}

static void some_do_not_stand_together(void **state)
{
	static const struct {
		const char *maps[3], *wrong; /* NULL: they do */
	} rows[] = {
		{{"443:8443", "80:8080"}, NULL},
		{{"tcp/443:8443", "udp/443:9443"}, NULL},
		{{"tcp/443:8443", "tcp/80:8443"}, NULL},
		{{"tcp/80:81", "udp/81:82"}, NULL},
		{{"443:8443", "tcp/443:9443"}, "--map 443:8443 and --map tcp/443:9443 give port 443 two servers"},
		{{"80:81", "443:8443", "81:82"}, "what comes for port 81 goes to another port"},
		{{"81:82", "80:81"}, "what comes for port 81 goes to another port"},
		{{"80:443", "443:80"}, "so no server of a map can have it"},
		{{"udp/53:5353", "udp/54:5353"}, "answers of a UDP server leave from one port"},
		{{"80:8080", "81:8080"}, "if they are for TCP, say tcp/80:8080 and tcp/81:8080"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct setup_map maps[3];
		struct err e = {""};
		size_t count = 0;

		for (; count < 3 && rows[i].maps[count]; count++)
			assert_true(portmap_parse(&maps[count], rows[i].maps[count]));
		assert_int_equal(!portmap_check(maps, count, &e), !rows[i].wrong);
		if (rows[i].wrong && !strstr(e.text, rows[i].wrong))
			fail_msg("\"%s\" does not say \"%s\"", e.text, rows[i].wrong);
	}
}

static void the_other_port_is_found(void **state)
{
	struct setup_map maps[2];

	assert_true(portmap_parse(&maps[0], "80:8080") && portmap_parse(&maps[1], "tcp/443:8443"));
	assert_int_equal(portmap_row_count(maps, 2), 4);
	assert_int_equal(portmap_other(maps, 2, IPPROTO_TCP, false, 80), 8080);
	assert_int_equal(portmap_other(maps, 2, IPPROTO_UDP, false, 80), 8080);
	assert_int_equal(portmap_other(maps, 2, IPPROTO_UDP, true, 8080), 80);
	assert_int_equal(portmap_other(maps, 2, IPPROTO_TCP, true, 8080), 0);
	assert_int_equal(portmap_other(maps, 2, IPPROTO_TCP, false, 443), 8443);
	assert_int_equal(portmap_other(maps, 2, IPPROTO_UDP, false, 443), 0);
	assert_int_equal(portmap_other(maps, 2, IPPROTO_TCP, false, 8443), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(texts_are_read), cmocka_unit_test(some_do_not_stand_together),
					   cmocka_unit_test(the_other_port_is_found)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

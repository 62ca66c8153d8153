/* Addresses and prefixes: what is one, how it is written, what kind it is. Pure. */
#include "unit/unit.h"

#include "base/ip.h"

static const struct {
	const char *what, *text, *written; /* NULL: no address */
	bool is4;
} address_rows[] = {
	{"IPv4", "10.2.0.1", "10.2.0.1", true},
	{"the largest IPv4", "255.255.255.255", "255.255.255.255", true},
	{"IPv6", "2001:db8::1", "2001:db8::1", false},
	{"IPv6 is written short", "2001:0DB8:0:0:0:0:0:0001", "2001:db8::1", false},
	{"IPv4-mapped IPv6 is IPv4", "::ffff:10.2.0.1", "10.2.0.1", true},
	{"IPv4-mapped in hexadecimal is IPv4", "::ffff:a02:1", "10.2.0.1", true},
	{"IPv4-compatible IPv6 is IPv6", "::10.2.0.1", "::10.2.0.1", false},
	{"the longest text", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
	{"a leading zero is no decimal", "10.2.0.01", NULL, false},
	{"three parts", "10.2.1", NULL, false},
	{"five parts", "10.2.0.1.1", NULL, false},
	{"256", "10.2.0.256", NULL, false},
	{"a blank behind", "10.2.0.1 ", NULL, false},
	{"a blank before", " 10.2.0.1", NULL, false},
	{"hexadecimal IPv4", "0x0a.2.0.1", NULL, false},
	{"two gaps", "2001::db8::1", NULL, false},
	{"a zone", "fe80::1%eth0", NULL, false},
	{"brackets", "[2001:db8::1]", NULL, false},
	{"nothing", "", NULL, false},
	{"a colon", ":", NULL, false},
	{"a prefix", "10.2.0.0/16", NULL, false},
};

static void addresses_are_read_and_written(void **state)
{
	for (size_t i = 0; i < COUNT(address_rows); i++) {
		struct ip ip, before;
		char text[IP_TEXT_BYTES];

		memset(&ip, 0x5a, sizeof(ip));
		before = ip;
		if (ip_parse(&ip, address_rows[i].text) != (address_rows[i].written != NULL))
			fail_msg("%s: \"%s\"", address_rows[i].what, address_rows[i].text);
		if (!address_rows[i].written) {
			assert_memory_equal(&ip, &before, sizeof(ip));
			continue;
		}
		assert_text(address_rows[i].what, ip_format(&ip, text), address_rows[i].written);
		assert_int_equal(ip_is4(&ip), address_rows[i].is4);
	}
}

static const struct {
	const char *what, *text, *written;
} prefix_rows[] = {
	{"an address is a prefix of all its bits", "10.2.0.1", "10.2.0.1/32"},
	{"an IPv6 address too", "2001:db8::1", "2001:db8::1/128"},
	{"a network", "10.2.0.0/16", "10.2.0.0/16"},
	{"bits within a byte", "10.2.128.0/17", "10.2.128.0/17"},
	{"everything", "0.0.0.0/0", "0.0.0.0/0"},
	{"everything in IPv6", "::/0", "::/0"},
	{"an IPv6 network", "fd00:9::/96", "fd00:9::/96"},
	{"a mapped address counts IPv4 bits", "::ffff:10.2.0.0/16", "10.2.0.0/16"},
	{"a mapped one has no IPv6 bits", "::ffff:10.2.0.0/112", NULL},
	{"host bits", "10.2.0.1/16", NULL},
	{"one host bit within a byte", "10.2.64.0/17", NULL},
	{"33 bits", "10.2.0.0/33", NULL},
	{"129 bits", "::/129", NULL},
	{"no bits behind the slash", "10.2.0.0/", NULL},
	{"a sign", "10.2.0.0/+16", NULL},
	{"a negative number", "10.2.0.0/-1", NULL},
	{"more digits than a number holds", "10.2.0.0/99999999999999999999999", NULL},
	{"2^32 bits do not wrap", "10.2.0.0/4294967312", NULL},
	{"letters behind", "10.2.0.0/16x", NULL},
	{"a mask", "10.2.0.0/255.255.0.0", NULL},
	{"two slashes", "10.2.0.0/16/8", NULL},
	{"a slash alone", "/", NULL},
	{"longer than any address", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555/1", NULL},
};

static void prefixes_are_read_and_written(void **state)
{
	for (size_t i = 0; i < COUNT(prefix_rows); i++) {
		struct prefix prefix;
		char text[PREFIX_TEXT_BYTES];

		if (prefix_parse(&prefix, prefix_rows[i].text) != (prefix_rows[i].written != NULL))
			fail_msg("%s: \"%s\"", prefix_rows[i].what, prefix_rows[i].text);
		if (prefix_rows[i].written)
			assert_text(prefix_rows[i].what, prefix_format(&prefix, text), prefix_rows[i].written);
	}
}

static const struct {
	const char *what, *prefix, *address;
	bool is_in;
} in_rows[] = {
	{"the network's own address", "10.2.0.0/16", "10.2.0.0", true},
	{"its last address", "10.2.0.0/16", "10.2.255.255", true},
	{"the next network", "10.2.0.0/16", "10.3.0.0", false},
	{"the last bit of a prefix within a byte", "10.2.128.0/17", "10.2.128.1", true},
	{"the bit is not set", "10.2.128.0/17", "10.2.127.255", false},
	{"one address", "10.2.0.1/32", "10.2.0.1", true},
	{"its neighbour", "10.2.0.1/32", "10.2.0.0", false},
	{"everything of IPv4", "0.0.0.0/0", "203.0.113.9", true},
	{"everything of IPv4 is nothing of IPv6", "0.0.0.0/0", "2001:db8::1", false},
	{"everything of IPv6 is nothing of IPv4", "::/0", "10.2.0.1", false},
	{"everything of IPv6", "::/0", "2001:db8::1", true},
	{"one IPv6 address", "2001:db8::1/128", "2001:db8::1", true},
	{"its neighbour", "2001:db8::1/128", "2001:db8::2", false},
	{"an IPv6 prefix within a byte", "2001:db8:8000::/33", "2001:db8:8000::1", true},
	{"beside it", "2001:db8:8000::/33", "2001:db8:7fff::1", false},
};

static void a_prefix_holds_its_addresses(void **state)
{
	for (size_t i = 0; i < COUNT(in_rows); i++) {
		struct prefix prefix;
		struct ip ip;

		assert_true(prefix_parse(&prefix, in_rows[i].prefix));
		assert_true(ip_parse(&ip, in_rows[i].address));
		if (ip_in_prefix(&ip, &prefix) != in_rows[i].is_in)
			fail_msg("%s: %s in %s", in_rows[i].what, in_rows[i].address, in_rows[i].prefix);
	}
}

#define UNSPECIFIED 1
#define MULTICAST   2
#define LOOPBACK    4
#define LINK_LOCAL  8

static const struct {
	const char *address;
	int kinds;
} kind_rows[] = {
	{"0.0.0.0", UNSPECIFIED},   {"::", UNSPECIFIED},	{"0.0.0.1", 0},	     {"::1", LOOPBACK},
	{"127.0.0.1", LOOPBACK},    {"127.255.255.255", LOOPBACK}, {"128.0.0.1", 0},    {"224.0.0.1", MULTICAST},
	{"239.255.255.255", MULTICAST}, {"240.0.0.1", 0},		{"223.255.255.255", 0}, {"ff02::1", MULTICAST},
	{"fe80::1", LINK_LOCAL},    {"febf::1", LINK_LOCAL},	{"fec0::1", 0},	     {"169.254.1.1", LINK_LOCAL},
	{"169.253.1.1", 0},	    {"10.2.0.1", 0},		{"2001:db8::1", 0},
};

static void an_address_is_of_its_kind_only(void **state)
{
	for (size_t i = 0; i < COUNT(kind_rows); i++) {
		struct ip ip;
		int kinds;

		assert_true(ip_parse(&ip, kind_rows[i].address));
		kinds = (ip_is_unspecified(&ip) ? UNSPECIFIED : 0) | (ip_is_multicast(&ip) ? MULTICAST : 0) |
			(ip_is_loopback(&ip) ? LOOPBACK : 0) | (ip_is_link_local(&ip) ? LINK_LOCAL : 0);
		if (kinds != kind_rows[i].kinds)
			fail_msg("%s is of kinds %d, not %d", kind_rows[i].address, kinds, kind_rows[i].kinds);
	}
}

static void bytes_in_memory_become_addresses(void **state)
{
	static const uint8_t four[] = {10, 2, 0, 1};
	static const uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	struct ip a = ip_from4(four), b = ip_from6(six), parsed;

	assert_true(ip_parse(&parsed, "10.2.0.1"));
	assert_true(ip_equal(&a, &parsed));
	assert_memory_equal(ip_bytes4(&a), four, 4);
	assert_true(ip_parse(&parsed, "2001:db8::1"));
	assert_true(ip_equal(&b, &parsed));
	assert_true(ip_compare(&a, &b) < 0 && ip_compare(&b, &a) > 0 && !ip_compare(&a, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_and_written), cmocka_unit_test(prefixes_are_read_and_written),
		cmocka_unit_test(a_prefix_holds_its_addresses),	  cmocka_unit_test(an_address_is_of_its_kind_only),
		cmocka_unit_test(bytes_in_memory_become_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

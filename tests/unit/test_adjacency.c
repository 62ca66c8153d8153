/* The records that packets' headers are copied from, byte for byte. Pure. */
#include "unit/unit.h"

#include <arpa/inet.h>

#include "core/adjacency.h"

#define L2_MACS	    "020000000002020000000001"
#define OUTER4(to)  "4500000000004000400400000a010001" to
#define OUTER4_6(to) "4500000000004000402900000a010001" to
#define OUTER4_GUE(to) "4500000000004000401100000a010001" to "000017c000000000"
#define OUTER4_GRE(to) "4500000000004000402f00000a010001" to
#define OUTER6_GRE "6000000000002f4020010db800010000000000000000000120010db8000300000000000000000001"
#define OUTER6_GUE "600000000000114020010db800010000000000000000000120010db8000300000000000000000001000017c000000000"

struct row {
	const char *what;
	enum hp_method method;
	uint8_t tags;
	uint16_t tag[2][2]; /* protocol, id */
	const char *backend, *route_source, *configured; /* configured source or NULL */
	const char *l2, *outer, *mask;			  /* hexadecimal, as they lie in memory */
	uint32_t key;					  /* of GRE; 0: none */
};

static const struct row rows[] = {
	{"l2, IPv4", HP_METHOD_L2, 0, {{0}}, "10.3.0.1", "10.1.0.1", NULL, L2_MACS "0800", "", "00000000", 0},
	{"l2, IPv6", HP_METHOD_L2, 0, {{0}}, "2001:db8:3::1", "2001:db8:1::1", NULL, L2_MACS "86dd", "", "00000000", 0},
	{"l2, a VLAN", HP_METHOD_L2, 1, {{0x8100, 100}}, "10.3.0.1", "10.1.0.1", NULL, L2_MACS "810000640800", "", "00000000", 0},
	{"l2, QinQ: the outer tag first", HP_METHOD_L2, 2, {{0x88a8, 4094}, {0x8100, 1}}, "10.3.0.1", "10.1.0.1", NULL,
	 L2_MACS "88a80ffe810000010800", "", "00000000", 0},
	{"l2 needs no source, whatever is configured", HP_METHOD_L2, 0, {{0}}, "10.3.0.1", "10.1.0.1", "10.9.0.0/16",
	 L2_MACS "0800", "", "00000000", 0},
	{"IPv4 in IPv4", HP_METHOD_IPIP_4_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", NULL, L2_MACS "0800", OUTER4("0a030001"),
	 "00000000", 0},
	{"IPv6 in IPv4", HP_METHOD_IPIP_6_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", NULL, L2_MACS "0800", OUTER4_6("0a030001"),
	 "00000000", 0},
	{"IPv4 in IPv6", HP_METHOD_IPIP_4_IN_6, 0, {{0}}, "2001:db8:3::1", "2001:db8:1::1", NULL, L2_MACS "86dd",
	 "600000000000044020010db800010000000000000000000120010db8000300000000000000000001", "00000000", 0},
	{"IPv6 in IPv6", HP_METHOD_IPIP_6_IN_6, 0, {{0}}, "2001:db8:3::1", "2001:db8:1::1", NULL, L2_MACS "86dd",
	 "600000000000294020010db800010000000000000000000120010db8000300000000000000000001", "00000000", 0},
	{"GUE, IPv4 in IPv4", HP_METHOD_GUE_4_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", NULL, L2_MACS "0800",
	 OUTER4_GUE("0a030001") "00040000", "00000000", 0},
	{"GUE, IPv6 in IPv4", HP_METHOD_GUE_6_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", NULL, L2_MACS "0800",
	 OUTER4_GUE("0a030001") "00290000", "00000000", 0},
	{"GUE, IPv4 in IPv6", HP_METHOD_GUE_4_IN_6, 0, {{0}}, "2001:db8:3::1", "2001:db8:1::1", NULL, L2_MACS "86dd",
	 OUTER6_GUE "00040000", "00000000", 0},
	{"GUE, IPv6 in IPv6", HP_METHOD_GUE_6_IN_6, 0, {{0}}, "2001:db8:3::1", "2001:db8:1::1", NULL, L2_MACS "86dd",
	 OUTER6_GUE "00290000", "00000000", 0},
	{"GRE, IPv4 in IPv4", HP_METHOD_GRE_4_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", NULL, L2_MACS "0800",
	 OUTER4_GRE("0a030001") "00000800", "00000000", 0},
	{"GRE, IPv6 in IPv4", HP_METHOD_GRE_6_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", NULL, L2_MACS "0800",
	 OUTER4_GRE("0a030001") "000086dd", "00000000", 0},
	{"GRE, IPv4 in IPv6", HP_METHOD_GRE_4_IN_6, 0, {{0}}, "2001:db8:3::1", "2001:db8:1::1", NULL, L2_MACS "86dd",
	 OUTER6_GRE "00000800", "00000000", 0},
	{"GRE with a key, IPv6 in IPv4", HP_METHOD_GRE_6_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", NULL, L2_MACS "0800",
	 OUTER4_GRE("0a030001") "200086dd01020304", "00000000", 0x01020304},
	{"GRE with a key, IPv6 in IPv6", HP_METHOD_GRE_6_IN_6, 0, {{0}}, "2001:db8:3::1", "2001:db8:1::1", NULL, L2_MACS "86dd",
	 OUTER6_GRE "200086ddffffffff", "00000000", 0xffffffff},
	{"a key that ipip has no place for", HP_METHOD_IPIP_4_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", NULL, L2_MACS "0800",
	 OUTER4("0a030001"), "00000000", 7},
	{"a tunnel within QinQ", HP_METHOD_IPIP_4_IN_4, 2, {{0x88a8, 10}, {0x8100, 20}}, "10.3.0.1", "10.1.0.1", NULL,
	 L2_MACS "88a8000a810000140800", OUTER4("0a030001"), "00000000", 0},
	{"a configured source address", HP_METHOD_IPIP_4_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", "192.0.2.7", L2_MACS "0800",
	 "450000000000400040040000c00002070a030001", "00000000", 0},
	{"a source that varies in 16 bits", HP_METHOD_IPIP_4_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", "10.9.0.0/16",
	 L2_MACS "0800", "4500000000004000400400000a0900000a030001", "0000ffff", 0},
	{"a source that varies in 1 bit", HP_METHOD_IPIP_4_IN_4, 0, {{0}}, "10.3.0.1", "10.1.0.1", "10.9.0.0/31",
	 L2_MACS "0800", "4500000000004000400400000a0900000a030001", "00000001", 0},
	{"an IPv6 source that varies in 32 bits", HP_METHOD_IPIP_6_IN_6, 0, {{0}}, "2001:db8:3::1", "2001:db8:1::1",
	 "fd00:9::/96", L2_MACS "86dd",
	 "6000000000002940fd00000900000000000000000000000020010db8000300000000000000000001", "ffffffff", 0},
	{"an IPv6 source that varies in 8 bits", HP_METHOD_IPIP_6_IN_6, 0, {{0}}, "2001:db8:3::1", "2001:db8:1::1",
	 "fd00:9::/120", L2_MACS "86dd",
	 "6000000000002940fd00000900000000000000000000000020010db8000300000000000000000001", "000000ff", 0},
};

#define VARIED 21 /* the row whose source varies in 16 bits */

static char *hex(const void *bytes, size_t count)
{
	static char text[512];

	text[0] = '\0';
	for (size_t i = 0; i < count; i++)
		snprintf(text + 2 * i, 3, "%02x", ((const uint8_t *)bytes)[i]);
	return text;
}

static struct hp_adjacency made(const struct row *row)
{
	struct adjacency facts = {.ifindex = 7, .mtu = 1500, .mac_destination = {2, 0, 0, 0, 0, 2},
				  .mac_source = {2, 0, 0, 0, 0, 1}, .tag_count = row->tags, .on_link = true};
	struct config_tunnel tunnel = {.has_gre_key = row->key != 0, .gre_key = row->key};
	struct config_source *source = strchr(row->backend, ':') ? &tunnel.source6 : &tunnel.source4;
	struct hp_adjacency record;
	struct ip backend;

	assert_true(ip_parse(&backend, row->backend) && ip_parse(&facts.source, row->route_source));
	for (size_t i = 0; i < row->tags; i++) {
		facts.tag[i].protocol = row->tag[i][0];
		facts.tag[i].id = row->tag[i][1];
	}
	source->set = row->configured != NULL;
	if (row->configured)
		assert_true(prefix_parse(&source->prefix, row->configured));
	memset(&record, 0xff, sizeof(record));
	adjacency_record(&record, &facts, row->method, &backend, &tunnel, 42);
	return record;
}

/* The header's sum by the book (RFC 1071): words in network order, carries added at the end. */
static uint16_t sum_of(const uint8_t *header, size_t bytes)
{
	unsigned long sum = 0;

	for (size_t i = 0; i < bytes; i += 2)
		sum += (unsigned long)header[i] << 8 | header[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)sum);
}

static void records_are_right_byte_for_byte(void **state)
{
	static const uint8_t zero[64];

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct hp_adjacency record = made(&rows[i]);
		size_t outer = strlen(rows[i].outer) / 2;
		struct ip own = {{0}}; /* probes need another source only where the packets' varies */

		assert_text(rows[i].what, hex(record.l2, record.l2_bytes), rows[i].l2);
		assert_memory_equal(record.l2 + record.l2_bytes, zero, sizeof(record.l2) - record.l2_bytes);
		assert_int_equal(record.outer_bytes, outer);
		assert_int_equal(adjacency_overhead(rows[i].method, rows[i].key != 0), outer);
		assert_text(rows[i].what, hex(record.outer, outer), rows[i].outer);
		assert_memory_equal(record.outer + outer, zero, sizeof(record.outer) - outer);
		assert_text(rows[i].what, hex(&record.source_mask, 4), rows[i].mask);
		assert_int_equal(record.outer_sum, outer && outer < 40 ? sum_of(record.outer, 20) : 0);
		assert_int_equal(record.ifindex, 7);
		assert_int_equal(record.backend, 42);
		assert_int_equal(record.mtu, 1500);
		assert_int_equal(record.method, rows[i].method);
		assert_int_equal(record.on_link, 1);
		if (record.source_mask)
			assert_true(ip_parse(&own, rows[i].route_source));
		assert_memory_equal(record.own, own.byte, sizeof(record.own));
	}
}

/* What the packet path makes of the template: length and varied bits added to the sum give a right checksum. */
static void the_sum_finishes_to_a_right_checksum(void **state)
{
	assert_text("the row", rows[VARIED].what, "a source that varies in 16 bits");
	for (uint32_t i = 0; i < 100000; i++) {
		struct hp_adjacency record = made(&rows[VARIED]);
		uint16_t length = htons((uint16_t)(i * 7919)), check;
		uint32_t varied = (i * 2654435761u) & record.source_mask, source;
		uint32_t sum = (uint32_t)record.outer_sum + length + (varied & 0xffff) + (varied >> 16);

		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		check = (uint16_t)~sum;
		memcpy(record.outer + 2, &length, 2);
		memcpy(&source, record.outer + 12, 4);
		source |= varied;
		memcpy(record.outer + 12, &source, 4);
		memcpy(record.outer + 10, &check, 2);
		assert_int_equal(sum_of(record.outer, 20), 0xffff);
	}
}

static void a_method_follows_from_both_families(void **state)
{
	static const struct {
		enum config_forward forward;
		bool vip4, backend4;
		enum hp_method method;
	} pairs[] = {
		{CONFIG_FORWARD_L2, true, true, HP_METHOD_L2},
		{CONFIG_FORWARD_L2, false, false, HP_METHOD_L2},
		{CONFIG_FORWARD_L2, true, false, HP_METHOD_NONE},
		{CONFIG_FORWARD_L2, false, true, HP_METHOD_NONE},
		{CONFIG_FORWARD_IPIP, true, true, HP_METHOD_IPIP_4_IN_4},
		{CONFIG_FORWARD_IPIP, false, true, HP_METHOD_IPIP_6_IN_4},
		{CONFIG_FORWARD_IPIP, true, false, HP_METHOD_IPIP_4_IN_6},
		{CONFIG_FORWARD_IPIP, false, false, HP_METHOD_IPIP_6_IN_6},
		{CONFIG_FORWARD_GUE, true, true, HP_METHOD_GUE_4_IN_4},
		{CONFIG_FORWARD_GUE, false, true, HP_METHOD_GUE_6_IN_4},
		{CONFIG_FORWARD_GUE, true, false, HP_METHOD_GUE_4_IN_6},
		{CONFIG_FORWARD_GUE, false, false, HP_METHOD_GUE_6_IN_6},
		{CONFIG_FORWARD_GRE, true, true, HP_METHOD_GRE_4_IN_4},
		{CONFIG_FORWARD_GRE, false, true, HP_METHOD_GRE_6_IN_4},
		{CONFIG_FORWARD_GRE, true, false, HP_METHOD_GRE_4_IN_6},
		{CONFIG_FORWARD_GRE, false, false, HP_METHOD_GRE_6_IN_6},
	};

	for (size_t i = 0; i < COUNT(pairs); i++) {
		assert_int_equal(adjacency_method(pairs[i].forward, pairs[i].vip4, pairs[i].backend4), pairs[i].method);
		if (pairs[i].method != HP_METHOD_NONE)
			assert_int_equal(adjacency_forward(pairs[i].method), pairs[i].forward);
	}
	assert_int_equal(adjacency_overhead(HP_METHOD_NONE, true), 0);
	assert_int_equal(adjacency_overhead(HP_METHOD_L2, true), 0);
}

/* Whose outer packets an error may be about. */
static void a_source_is_known_again(void **state)
{
	static const struct {
		const char *backend, *source, *own, *from;
		enum hp_method method;
		bool is_ours;
	} tries[] = {
		{"10.3.0.1", NULL, "10.2.0.10", "10.2.0.10", HP_METHOD_IPIP_4_IN_4, true},
		{"10.3.0.1", NULL, "10.2.0.10", "10.2.0.11", HP_METHOD_IPIP_4_IN_4, false},
		{"10.3.0.1", "10.9.0.0/16", "10.2.0.10", "10.9.1.2", HP_METHOD_GUE_4_IN_4, true},
		{"10.3.0.1", "10.9.0.0/16", "10.2.0.10", "10.2.0.10", HP_METHOD_GUE_4_IN_4, true},
		{"10.3.0.1", "10.9.0.0/16", "10.2.0.10", "10.8.1.2", HP_METHOD_GUE_4_IN_4, false},
		{"10.3.0.1", "10.9.0.0/16", "10.2.0.10", "::", HP_METHOD_GUE_4_IN_4, false},
		{"10.3.0.1", "10.9.0.1/32", "10.2.0.10", "10.9.0.1", HP_METHOD_GUE_4_IN_4, true},
		{"10.3.0.1", NULL, "10.2.0.10", "10.2.0.10", HP_METHOD_L2, false},
		{"fd00:3::1", NULL, "fd00:2::a", "fd00:2::a", HP_METHOD_IPIP_6_IN_6, true},
		{"fd00:3::1", NULL, "fd00:2::a", "fd00:2::b", HP_METHOD_IPIP_6_IN_6, false},
		{"fd00:3::1", "fd00:9::/112", "fd00:2::a", "fd00:9::1234", HP_METHOD_GUE_6_IN_6, true},
		{"fd00:3::1", "fd00:9::/112", "fd00:2::a", "fd00:9::1:1234", HP_METHOD_GUE_6_IN_6, false},
		{"fd00:3::1", "fd00:9::/112", "fd00:2::a", "fd00:2::a", HP_METHOD_GUE_6_IN_6, true},
	};

	for (size_t i = 0; i < COUNT(tries); i++) {
		struct adjacency facts = {.ifindex = 2, .mtu = 1500};
		struct config_source source = {.set = tries[i].source != NULL};
		struct config_tunnel tunnel = {.has_gre_key = false};
		struct hp_adjacency record;
		struct ip backend, from;

		assert_true(ip_parse(&backend, tries[i].backend) && ip_parse(&from, tries[i].from));
		assert_true(ip_parse(&facts.source, tries[i].own));
		assert_true(!source.set || prefix_parse(&source.prefix, tries[i].source));
		tunnel.source4 = tunnel.source6 = source;
		adjacency_record(&record, &facts, tries[i].method, &backend, &tunnel, 1);
		if (adjacency_sends_from(&record, &from) != tries[i].is_ours)
			fail_msg("row %zu: %s", i, tries[i].from);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_right_byte_for_byte),
		cmocka_unit_test(the_sum_finishes_to_a_right_checksum),
		cmocka_unit_test(a_method_follows_from_both_families),
		cmocka_unit_test(a_source_is_known_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

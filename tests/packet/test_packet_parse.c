/* Parse: frames that are cut, odd or not ours. They pass to the kernel as they came, whatever stands in them. */
#include "packet/lab.h"

static int open_with_services(void **state)
{
	int failed = lab_open(state);

	if (failed)
		return failed;
	lab_apply(*state, "services:\n"
			  "  - {vip: 10.2.0.1, port: 80, backends: [{address: 10.3.0.1}]}\n"
			  "  - {vip: 10.2.0.1, protocol: udp, port: any, hash: source, backends: [{address: 10.3.0.1}]}\n"
			  "  - {vip: \"fd00:2::1\", port: 80, backends: [{address: \"fd00:3::1\"}]}\n"
			  "  - {vip: \"fd00:2::1\", protocol: udp, port: any, hash: source, "
			  "backends: [{address: \"fd00:3::1\"}]}\n");
	lab_resolve_all(*state);
	return 0;
}

/* Fill in what a row leaves out: from the client to the VIP's service. */
static struct wire_spec whole(struct wire_spec spec, bool is6)
{
	spec.from = spec.from ? spec.from : is6 ? CLIENT6 : CLIENT4;
	spec.to = spec.to ? spec.to : is6 ? VIP6 : VIP4;
	spec.from_port = 40000;
	spec.to_port = 80;
	return spec;
}

/* The way of a packet of either family to the one backend. */
static void forwarded(struct wire *out, const struct wire *in, bool is6)
{
	uint8_t mac[6];

	lab_mac(is6 ? "fd00:3::1" : "10.3.0.1", mac);
	wire_forward(out, in, &(struct wire_way){.mac_to = mac, .mac_from = wire_mac_director});
}

static const struct {
	const char *says;
	bool is6;
	struct wire_spec spec;
} packets[] = {
	{"TCP", false, {.payload = 5}},
	{"TCP, tagged", false, {.tags = "q", .payload = 5}},
	{"TCP, tagged twice", false, {.tags = "aq", .payload = 5}},
	{"TCP with IP options", false, {.options = 16, .payload = 5}},
	{"UDP", false, {.protocol = IPPROTO_UDP, .payload = 5}},
	{"first fragment", false, {.protocol = IPPROTO_UDP, .fragment = WIRE_IP4_MORE, .payload = 24}},
	{"later fragment", false, {.protocol = IPPROTO_UDP, .fragment = 3, .payload = 24}},
	{"echo request", false, {.protocol = IPPROTO_ICMP, .type = 8, .payload = 5}},
	{"TCP over IPv6", true, {.payload = 5}},
	{"TCP over IPv6, tagged twice", true, {.tags = "aq", .payload = 5}},
	{"TCP behind every kind of extension header", true, {.chain = "hdraf", .payload = 5}},
	{"UDP over IPv6", true, {.protocol = IPPROTO_UDP, .payload = 5}},
	{"later IPv6 fragment", true, {.protocol = IPPROTO_UDP, .chain = "f", .fragment = 3, .payload = 24}},
	{"IPv6 echo request", true, {.protocol = IPPROTO_ICMPV6, .type = 128, .payload = 5}},
};

#define PACKETS (sizeof(packets) / sizeof(packets[0]))

/* At every length from an Ethernet header on: as long as a byte of the packet is missing, the kernel may judge it. */
static void frame_cut_anywhere_passes(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < PACKETS; i++) {
		struct wire_spec spec = whole(packets[i].spec, packets[i].is6);
		struct wire in;

		wire_make(&in, &spec);
		for (uint32_t cut = in.bytes - 1; cut >= 14; cut--) {
			char says[128];

			snprintf(says, sizeof(says), "%s, cut to %u of %u", packets[i].says, cut, in.bytes);
			in.bytes = cut;
			wrong += lab_try_pass(lab, says, &in, HP_MALFORMED);
		}
		wire_make(&in, &spec);
		wrong += lab_try(lab, packets[i].says, &in,
				 &(struct lab_want){XDP_TX, spec.type ? HP_ANSWERED_ECHO : HP_FORWARDED, NULL});
	}
	assert_int_equal(wrong, 0);
}

static void set_ip_bytes(struct wire *frame, bool is6, uint32_t bytes)
{
	if (is6)
		wire_put16(frame->byte + frame->l3 + 4, bytes - 40);
	else
		wire_put16(frame->byte + frame->l3 + 2, bytes);
}

/* The IP header says that the packet ends sooner than the frame: what is behind is padding, and no header is read out
 * of it. */
static void padding_is_not_read(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < PACKETS; i++) {
		struct wire_spec spec = whole(packets[i].spec, packets[i].is6);
		uint32_t ip_bytes;
		struct wire in;

		wire_make(&in, &spec);
		if (spec.fragment || spec.type)
			continue;
		for (ip_bytes = packets[i].is6 ? 40 : 0; ip_bytes < in.ip_bytes - 5; ip_bytes++) {
			char says[128];

			snprintf(says, sizeof(says), "%s, its length said to be %u of %u", packets[i].says, ip_bytes,
				 in.ip_bytes);
			set_ip_bytes(&in, packets[i].is6, ip_bytes);
			wrong += lab_try_pass(lab, says, &in, HP_MALFORMED);
		}
		for (; ip_bytes <= in.ip_bytes; ip_bytes++) {
			struct wire out;

			set_ip_bytes(&in, packets[i].is6, ip_bytes);
			forwarded(&out, &in, packets[i].is6);
			wrong += lab_try(lab, packets[i].says, &in, &(struct lab_want){XDP_TX, HP_FORWARDED, &out});
		}
		set_ip_bytes(&in, packets[i].is6, in.ip_bytes + 1);
		wrong += lab_try_pass(lab, "its length said to be one more than there is", &in, HP_MALFORMED);
	}
	assert_int_equal(wrong, 0);
}

/* One or two bytes of a good packet changed. */
static void headers_that_do_not_add_up_pass(void **state)
{
	static const struct {
		const char *says;
		bool is6;
		struct wire_spec spec;
		unsigned int at; /* from the IP header */
		uint8_t value;
		enum hp_verdict verdict;
	} rows[] = {
		{"version 0", false, {0}, 0, 0x05, HP_MALFORMED},
		{"version 5", false, {0}, 0, 0x55, HP_MALFORMED},
		{"version 6 behind the type of IPv4", false, {0}, 0, 0x65, HP_MALFORMED},
		{"a header of no words", false, {0}, 0, 0x40, HP_MALFORMED},
		{"a header of 4 words", false, {0}, 0, 0x44, HP_MALFORMED},
		{"a header longer than the packet", false, {0}, 0, 0x4f, HP_MALFORMED},
		{"a header that ends in the TCP header", false, {.options = 4}, 0, 0x48, HP_MALFORMED},
		{"a length of 0x00xx", false, {.payload = 300}, 2, 0, HP_FORWARDED},
		{"a length of 0xffxx", false, {0}, 2, 0xff, HP_MALFORMED},
		{"a protocol without services", false, {0}, 9, 47, HP_VIP_OTHER},
		{"ICMPv6 in IPv4", false, {0}, 9, IPPROTO_ICMPV6, HP_VIP_OTHER},
		{"version 4 behind the type of IPv6", true, {0}, 0, 0x40, HP_MALFORMED},
		{"version 7", true, {0}, 0, 0x70, HP_MALFORMED},
		{"a length of 0xffxx", true, {0}, 4, 0xff, HP_MALFORMED},
		{"no payload, which would be a jumbogram's", true, {0}, 5, 0, HP_MALFORMED},
		{"ICMP in IPv6", true, {0}, 6, IPPROTO_ICMP, HP_VIP_OTHER},
		{"no next header", true, {0}, 6, 59, HP_VIP_OTHER},
		{"an extension header that is not known", true, {.chain = "h"}, 40, 135, HP_VIP_OTHER},
		{"an extension header longer than the packet", true, {.chain = "h"}, 41, 200, HP_MALFORMED},
		{"an AH longer than the packet", true, {.chain = "a"}, 41, 255, HP_MALFORMED},
		{"an extension header that ends in the TCP header", true, {.chain = "h"}, 41, 1, HP_MALFORMED},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_spec spec = whole(rows[i].spec, rows[i].is6);
		struct wire in;

		wire_make(&in, &spec);
		in.byte[in.l3 + rows[i].at] = rows[i].value;
		if (rows[i].verdict == HP_FORWARDED)
			wrong += lab_try(lab, rows[i].says, &in, &(struct lab_want){XDP_TX, HP_FORWARDED, NULL});
		else
			wrong += lab_try_pass(lab, rows[i].says, &in, rows[i].verdict);
	}
	assert_int_equal(wrong, 0);
}

/* IPv6 extension headers are followed up to a bound, and what lies behind is the kernel's. */
static void chains_are_followed_to_the_bound(void **state)
{
	static const struct {
		const char *says, *chain;
		enum hp_verdict verdict;
	} rows[] = {
		{"none", "", HP_FORWARDED},
		{"one hop-by-hop", "h", HP_FORWARDED},
		{"one destination options", "d", HP_FORWARDED},
		{"one long destination options", "D", HP_FORWARDED},
		{"one routing", "r", HP_FORWARDED},
		{"one AH", "a", HP_FORWARDED},
		{"an atomic fragment", "f", HP_FORWARDED},
		{"five", "hdraD", HP_FORWARDED},
		{"six", "hdrfaD", HP_FORWARDED},
		{"seven", "hdrfaDd", HP_VIP_OTHER},
		{"eight", "hdrfaDdD", HP_VIP_OTHER},
		{"six long ones", "DDDDDD", HP_FORWARDED},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_spec spec = whole((struct wire_spec){.chain = rows[i].chain, .payload = 9}, true);
		struct wire in, out;

		wire_make(&in, &spec);
		forwarded(&out, &in, true);
		if (rows[i].verdict == HP_FORWARDED)
			wrong += lab_try(lab, rows[i].says, &in, &(struct lab_want){XDP_TX, HP_FORWARDED, &out});
		else
			wrong += lab_try_pass(lab, rows[i].says, &in, rows[i].verdict);
		spec.to = "fd00:2::99";
		wire_make(&in, &spec);
		wrong += lab_try_pass(lab, "the same for no VIP", &in, HP_NOT_VIP);
	}
	assert_int_equal(wrong, 0);
}

/* Frames for a VIP that are not for this host alone, or hidden deeper than is looked. */
static void group_and_deep_frames_pass(void **state)
{
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255}, group4[6] = {1, 0, 0x5e, 1, 2, 3},
			     group6[6] = {0x33, 0x33, 0, 0, 0, 1};
	static const struct {
		const char *says;
		bool is6;
		struct wire_spec spec;
	} rows[] = {
		{"to the broadcast MAC", false, {.mac_to = broadcast}},
		{"to a multicast MAC", false, {.mac_to = group4}},
		{"to a multicast MAC, tagged", false, {.mac_to = group4, .tags = "q"}},
		{"to a multicast MAC", true, {.mac_to = group6}},
		{"behind three tags", false, {.tags = "aqq"}},
		{"behind three tags", true, {.tags = "aaq"}},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_spec spec = whole(rows[i].spec, rows[i].is6);
		struct wire in;

		wire_make(&in, &spec);
		wrong += lab_try_pass(lab, rows[i].says, &in, HP_NOT_IP);
	}
	assert_int_equal(wrong, 0);
}

/* What has an EtherType of its own is not looked into, though its bytes are a packet for the VIP. */
static void other_ethertypes_pass(void **state)
{
	static const uint16_t types[] = {0x0000, 0x0026, 0x05dc, 0x0801, 0x8035, 0x8847, 0x8863, 0x8864, 0x88cc, 0x9100, 0xffff};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct wire_spec spec = whole((struct wire_spec){.payload = 9, .tags = i % 2 ? "q" : ""}, false);
		struct wire in;

		wire_make(&in, &spec);
		wire_put16(in.byte + in.l3 - 2, types[i]);
		wrong += lab_try_pass(lab, "another EtherType", &in, HP_NOT_IP);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_cut_anywhere_passes),
		cmocka_unit_test(padding_is_not_read),
		cmocka_unit_test(headers_that_do_not_add_up_pass),
		cmocka_unit_test(chains_are_followed_to_the_bound),
		cmocka_unit_test(group_and_deep_frames_pass),
		cmocka_unit_test(other_ethertypes_pass),
	};

	return cmocka_run_group_tests(tests, open_with_services, lab_close);
}

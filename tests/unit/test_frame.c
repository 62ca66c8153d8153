/* Frames for a trace: made with right checksums, and read back as lines. Pure. */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "daemon/frame.h"

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1}, mac_b[6] = {2, 0, 0, 0, 0, 2};

#define ETHERNET "Ethernet 02:00:00:00:00:01 > 02:00:00:00:00:02"

static const struct {
	const char *what, *source, *destination;
	uint8_t protocol;
	uint16_t source_port, destination_port;
	bool is_under_way;
	uint32_t bytes;
	const char *lines;
} rows[] = {
	{"a SYN over IPv4", "192.168.1.1", "10.2.0.1", IPPROTO_TCP, 40000, 80, false, 54,
	 ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\nTCP 40000 > 80, SYN\n"},
	{"an ACK over IPv4", "192.168.1.1", "10.2.0.1", IPPROTO_TCP, 40000, 80, true, 54,
	 ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\nTCP 40000 > 80, ACK\n"},
	{"a datagram over IPv4", "192.168.1.1", "10.2.0.1", IPPROTO_UDP, 1, 65535, false, 42,
	 ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 17, ttl 64, 28 bytes\nUDP 1 > 65535\n"},
	{"a SYN over IPv6", "2001:db8:1::1", "2001:db8::1", IPPROTO_TCP, 40000, 80, false, 74,
	 ETHERNET "\nIPv6 2001:db8:1::1 > 2001:db8::1, next header 6, hop limit 64, 60 bytes\nTCP 40000 > 80, SYN\n"},
	{"an ACK over IPv6", "2001:db8:1::1", "2001:db8::1", IPPROTO_TCP, 40000, 80, true, 74,
	 ETHERNET "\nIPv6 2001:db8:1::1 > 2001:db8::1, next header 6, hop limit 64, 60 bytes\nTCP 40000 > 80, ACK\n"},
	{"a datagram over IPv6", "2001:db8:1::1", "2001:db8::1", IPPROTO_UDP, 53, 53, false, 62,
	 ETHERNET "\nIPv6 2001:db8:1::1 > 2001:db8::1, next header 17, hop limit 64, 48 bytes\nUDP 53 > 53\n"},
};

static struct frame made(size_t row)
{
	struct frame_flow flow = {.source_port = rows[row].source_port, .destination_port = rows[row].destination_port,
				  .protocol = rows[row].protocol, .is_under_way = rows[row].is_under_way};
	struct frame frame;

	assert_true(ip_parse(&flow.source, rows[row].source) && ip_parse(&flow.destination, rows[row].destination));
	memset(&frame, 0xff, sizeof(frame));
	frame_make(&frame, &flow, mac_a, mac_b);
	return frame;
}

static void assert_lines(const char *what, const struct frame *frame, const char *expected)
{
	json_t *lines = frame_headers(frame), *line;
	char text[1024] = "";
	size_t i;

	json_array_foreach(lines, i, line) {
		strcat(text, json_string_value(line));
		strcat(text, "\n");
	}
	json_decref(lines);
	assert_text(what, text, expected);
}

/* The sum by the book: what is summed with its checksum gives all ones. */
static unsigned long sum_of(unsigned long sum, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i += 2)
		sum += (unsigned long)bytes[i] << 8 | (i + 1 < count ? bytes[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void frames_are_made_with_right_checksums(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct frame frame = made(i);
		const uint8_t *ip = frame.byte + 14;
		bool is4 = ip[0] >> 4 == 4;
		size_t header = is4 ? 20 : 40, addresses = is4 ? 8 : 32;
		unsigned long pseudo;

		assert_int_equal(frame.bytes, rows[i].bytes);
		assert_memory_equal(frame.byte, mac_b, 6);
		assert_memory_equal(frame.byte + 6, mac_a, 6);
		if (is4)
			assert_int_equal(sum_of(0, ip, header), 0xffff);
		pseudo = sum_of(rows[i].protocol + frame.bytes - 14 - header, ip + header - addresses, addresses);
		assert_int_equal(sum_of(pseudo, ip + header, frame.bytes - 14 - header), 0xffff);
		assert_lines(rows[i].what, &frame, rows[i].lines);
	}
}

/* Whatever is missing at the end, the headers before it are told. */
static void a_cut_frame_tells_its_whole_headers(void **state)
{
	static const struct {
		uint32_t bytes;
		const char *lines;
	} cuts[] = {
		{0, ""},
		{13, ""},
		{14, ETHERNET "\n"},
		{33, ETHERNET "\n"},
		{34, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\n"},
		{37, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\n"},
		{38, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\nTCP 40000 > 80\n"},
		{47, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\nTCP 40000 > 80\n"},
		{48, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\nTCP 40000 > 80, SYN\n"},
	};

	for (size_t i = 0; i < COUNT(cuts); i++) {
		struct frame frame = made(0);

		frame.bytes = cuts[i].bytes;
		assert_lines("a cut frame", &frame, cuts[i].lines);
	}
}

/* Two tags and a tunnel, as a director sends them. */
static void tags_and_tunnels_are_told_outermost_first(void **state)
{
	static const uint8_t front[] = {2,    0,    0, 0, 0, 2,	2, 0,	 0, 0, 0, 1,	0x88, 0xa8, 0x0f, 0xfe, 0x81, 0x00,
	 0xe0, 0x01,
					0x08, 0x00, 0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 4, 0, 0, 10, 1, 0, 1, 10, 3, 0, 1};
	struct frame frame = made(0);

	memmove(frame.byte + sizeof(front), frame.byte + 14, 40);
	memcpy(frame.byte, front, sizeof(front));
	frame.bytes = sizeof(front) + 40;
	assert_lines("a tunnel within QinQ", &frame,
		     ETHERNET "\nVLAN 4094 (802.1ad)\nVLAN 1\nIPv4 10.1.0.1 > 10.3.0.1, protocol 4, ttl 64, 60 bytes\n"
			      "IPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\nTCP 40000 > 80, SYN\n");
}

/* GUE as directors send it, and what only looks like it. */
static void gue_is_told_with_its_second_chance(void **state)
{
	static const struct {
		const char *what;
		uint8_t gue[24];
		size_t bytes;
		const char *lines;
	} headers[] = {
		{"plain", {0, 4}, 4,
		 "GUE, protocol 4\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\nTCP 40000 > 80, SYN\n"},
		{"with a second chance", {5, 4, 0, 0, 'H', 1, [18] = 0xff, 0xff, 10, 3, 0, 2}, 24,
		 "GUE, protocol 4, second chance at 10.3.0.2\n"
		 "IPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\nTCP 40000 > 80, SYN\n"},
		{"private data of others", {1, 4, 0, 0, 1, 2, 3, 4}, 8, "GUE, protocol 4\n"},
	};
	static const uint8_t ip[20] = {0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 3, 0, 1};
	static const uint8_t udp[8] = {0xd0, 0x00, 0x17, 0xc0};

	for (size_t i = 0; i < COUNT(headers); i++) {
		struct frame whole = made(0), frame = whole;
		char lines[512];

		memcpy(frame.byte + 14, ip, sizeof(ip));
		memcpy(frame.byte + 34, udp, sizeof(udp));
		memcpy(frame.byte + 42, headers[i].gue, headers[i].bytes);
		memcpy(frame.byte + 42 + headers[i].bytes, whole.byte + 14, 40);
		frame.bytes = (uint32_t)(42 + headers[i].bytes + 40);
		snprintf(lines, sizeof(lines), ETHERNET "\nIPv4 10.1.0.1 > 10.3.0.1, protocol 17, ttl 64, 60 bytes\n"
			 "UDP 53248 > 6080\n%s", headers[i].lines);
		assert_lines(headers[i].what, &frame, lines);
		frame.bytes = 42 + 3;
		*strstr(lines, "GUE") = '\0';
		assert_lines("a cut GUE header", &frame, lines);
	}
}

/* What stands behind options is found; a later fragment names no port. */
static void options_and_fragments_are_told(void **state)
{
	struct frame whole = made(0), frame = whole;

	frame.byte[14] = 0x47;
	memset(frame.byte + 34, 1, 8);
	memcpy(frame.byte + 42, whole.byte + 34, 20);
	frame.bytes = 62;
	assert_lines("options", &frame, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\n"
						 "8 bytes of options\nTCP 40000 > 80, SYN\n");
	frame.bytes = 41;
	assert_lines("cut options", &frame, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\n"
						     "8 bytes of options\n");
	frame = whole;
	frame.byte[20] = 0x20;
	assert_lines("a first fragment", &frame, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\n"
							  "fragment from byte 0 on\nTCP 40000 > 80, SYN\n");
	frame.byte[20] = 0;
	frame.byte[21] = 3;
	assert_lines("a later fragment", &frame, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\n"
							  "fragment from byte 24 on, which names no port\n");
	frame = whole;
	frame.byte[23] = IPPROTO_ICMP;
	frame.byte[34] = 3;
	frame.byte[35] = 4;
	assert_lines("an error", &frame, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 1, ttl 64, 40 bytes\n"
						  "ICMP type 3, code 4\n");
}

/* Every flag by its bit (RFC 9293, 3.1). */
static void flags_are_told(void **state)
{
	struct frame frame = made(0);

	frame.byte[47] = 0xff;
	assert_lines("all flags", &frame, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\n"
		     "TCP 40000 > 80, FIN, SYN, RST, PSH, ACK, URG\n");
	frame.byte[47] = 0;
	assert_lines("no flag", &frame, ETHERNET "\nIPv4 192.168.1.1 > 10.2.0.1, protocol 6, ttl 64, 40 bytes\n"
		     "TCP 40000 > 80\n");
}

static void bytes_are_shown_in_hexadecimal(void **state)
{
	struct frame frame = made(0);
	json_t *hex = frame_hex(&frame);

	assert_int_equal(json_string_length(hex), frame.bytes * 2);
	assert_int_equal(strncmp(json_string_value(hex), "0200000000020200000000010800450000280000400040", 46), 0);
	json_decref(hex);
	frame.bytes = FRAME_ROOM_BYTES;
	hex = frame_hex(&frame);
	assert_int_equal(json_string_length(hex), FRAME_ROOM_BYTES * 2);
	json_decref(hex);
	frame.bytes = 0;
	hex = frame_hex(&frame);
	assert_string_equal(json_string_value(hex), "");
	json_decref(hex);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_made_with_right_checksums),
		cmocka_unit_test(a_cut_frame_tells_its_whole_headers),
		cmocka_unit_test(tags_and_tunnels_are_told_outermost_first),
		cmocka_unit_test(gue_is_told_with_its_second_chance),
		cmocka_unit_test(flags_are_told),
		cmocka_unit_test(options_and_fragments_are_told),
		cmocka_unit_test(bytes_are_shown_in_hexadecimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* ICMP errors about tunnels' packets, read from their bytes. Pure. */
#include "unit/unit.h"

#include "core/icmp_quote.h"

#define V4(rest)     "45000400" "00004000" "40" rest /* outer: length, id, flags, time to live; then protocol, checksum */
#define ENDS4	     "0a02000a" "0a030001"
#define IPIP	     V4("040000" ENDS4)
#define SIT	     V4("290000" ENDS4)
#define GUE	     V4("110000" ENDS4) "c00017c004000000"
#define DNS	     V4("110000" ENDS4) "c000003504000000"
#define TCP	     V4("060000" ENDS4) "c000005000000000"
#define V6(next)     "60000000" "0400" next "40"
#define ENDS6	     "fd000002000000000000000000000010" "fd000003000000000000000000000001"
#define SIX(next)    V6(next) ENDS6
#define SAYS4	     " 10.2.0.10 10.3.0.1"
#define SAYS6	     " fd00:2::10 fd00:3::1"

static const struct row {
	const char *what;
	bool is4;
	const char *hex;  /* the message */
	const char *says; /* error, mtu, ends; "": it is none of these */
} rows[] = {
	{"protocol unreachable", true, "0302000000000000" IPIP, "no_protocol 0" SAYS4},
	{"port unreachable, about GUE", true, "0303000000000000" GUE, "no_port 0" SAYS4},
	{"host unreachable", true, "0301000000000000" SIT, "no_host 0" SAYS4},
	{"network unreachable", true, "0300000000000000" IPIP, "no_host 0" SAYS4},
	{"source route failed, and any other code", true, "0305000000000000" IPIP, "no_host 0" SAYS4},
	{"communication administratively prohibited", true, "030d000000000000" IPIP, "prohibited 0" SAYS4},
	{"network prohibited", true, "0309000000000000" IPIP, "prohibited 0" SAYS4},
	{"host prohibited", true, "030a000000000000" IPIP, "prohibited 0" SAYS4},
	{"fragmentation needed, with the MTU", true, "0304000000000514" IPIP, "too_big 1300" SAYS4},
	{"fragmentation needed, of an old router", true, "0304000000000000" IPIP, "too_big 0" SAYS4},
	{"time exceeded", true, "0b00000000000000" IPIP, "expired 0" SAYS4},
	{"an unused field elsewhere is no MTU", true, "0301000000000514" IPIP, "no_host 0" SAYS4},
	{"about a packet with options", true, "0302000000000000" "47000400" "00004000" "40040000" ENDS4 "0101010101010101",
	 "no_protocol 0" SAYS4},
	{"about a later fragment", true, "0302000000000000" "45000400" "00000010" "40040000" ENDS4, ""},
	{"about a name server", true, "0303000000000000" DNS, ""},
	{"about TCP", true, "0301000000000000" TCP, ""},
	{"an echo reply", true, "0000000000000000" IPIP, ""},
	{"a redirect", true, "05010000" "0a0200fe" IPIP, ""},
	{"a source quench", true, "0400000000000000" IPIP, ""},
	{"IPv6 quoted in ICMP", true, "0302000000000000" SIX("29"), ""},
	{"a quote cut in its header", true, "0302000000000000" "4500040000004000400400000a02000a0a0300", ""},
	{"GUE cut before its port", true, "0303000000000000" V4("110000" ENDS4) "c00017", ""},
	{"options beyond the quote", true, "0302000000000000" "4f000400" "00004000" "40040000" ENDS4, ""},
	{"a message cut in its own header", true, "03020000", ""},
	{"nothing", true, "", ""},

	{"IPv6: unrecognized next header", false, "0401000000000006" SIX("29"), "no_protocol 0" SAYS6},
	{"IPv6: IPv4 within", false, "0401000000000006" SIX("04"), "no_protocol 0" SAYS6},
	{"IPv6: port unreachable, about GUE", false, "0104000000000000" SIX("11") "c00017c004000000", "no_port 0" SAYS6},
	{"IPv6: no route", false, "0100000000000000" SIX("29"), "no_host 0" SAYS6},
	{"IPv6: address unreachable", false, "0103000000000000" SIX("29"), "no_host 0" SAYS6},
	{"IPv6: administratively prohibited", false, "0101000000000000" SIX("29"), "prohibited 0" SAYS6},
	{"IPv6: the source failed a policy", false, "0105000000000000" SIX("29"), "prohibited 0" SAYS6},
	{"IPv6: a route that rejects", false, "0106000000000000" SIX("29"), "prohibited 0" SAYS6},
	{"IPv6: packet too big", false, "0200000000000514" SIX("29"), "too_big 1300" SAYS6},
	{"IPv6: hop limit exceeded", false, "0300000000000000" SIX("29"), "expired 0" SAYS6},
	{"IPv6: another parameter problem", false, "0400000000000006" SIX("29"), ""},
	{"IPv6: about TCP", false, "0104000000000000" SIX("06") "c000005000000000", ""},
	{"IPv6: a solicitation", false, "8700000000000000" SIX("29"), ""},
	{"IPv6: a quote cut in its header", false, "0100000000000000" "60000000" "0400" "2940" "fd00000200", ""},
	{"IPv6: IPv4 quoted in ICMPv6", false, "0100000000000000" IPIP, ""},
};

static size_t bytes_of(const char *hex, uint8_t *out)
{
	size_t count = strlen(hex) / 2;

	for (size_t i = 0; i < count; i++) {
		char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

		out[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return count;
}

static void messages_are_read_or_refused(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		char says[160] = "", from[IP_TEXT_BYTES], to[IP_TEXT_BYTES];
		size_t bytes = strlen(rows[i].hex) / 2;
		uint8_t *message = malloc(bytes ? bytes : 1); /* of its own size, for the sanitizer */
		struct icmp_quote quote;

		assert_non_null(message);
		bytes_of(rows[i].hex, message);
		if (icmp_quote_parse(message, bytes, rows[i].is4, &quote)) {
			assert_int_equal(quote.bytes, rows[i].is4 ? 1024 : 40 + 1024);
			snprintf(says, sizeof(says), "%s %u %s %s", icmp_error_name(quote.error), quote.mtu,
				 ip_format(&quote.source, from), ip_format(&quote.destination, to));
		}
		free(message);
		assert_text(rows[i].what, says, rows[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_read_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

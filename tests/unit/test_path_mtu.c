/* Which ICMP errors lower a path's MTU, and to what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/path_mtu.h"

static const struct row {
	const char *says;
	bool is6;
	uint32_t bytes, mtu;
	uint16_t present, becomes; /* 0: stays */
	enum icmp_error error;
} rows[] = {
	{"a router with a smaller cable", false, 1500, 1400, 1500, 1400, ICMP_ERROR_TOO_BIG},
	{"IPv6", true, 1500, 1400, 1500, 1400, ICMP_ERROR_TOO_BIG},
	{"a second one that is smaller still", false, 1400, 1300, 1400, 1300, ICMP_ERROR_TOO_BIG},
	{"another error", false, 1500, 1400, 1500, 0, ICMP_ERROR_NO_HOST},
	{"what is known", false, 1500, 1400, 1400, 0, ICMP_ERROR_TOO_BIG},
	{"more than is known", false, 1500, 1450, 1400, 0, ICMP_ERROR_TOO_BIG},
	{"the quoted packet would have gone through", false, 1300, 1400, 1500, 0, ICMP_ERROR_TOO_BIG},
	{"to the byte", false, 1400, 1400, 1500, 0, ICMP_ERROR_TOO_BIG},
	{"and a byte more", false, 1401, 1400, 1500, 1400, ICMP_ERROR_TOO_BIG},
	{"too little to be true", false, 1500, 68, 1500, 576, ICMP_ERROR_TOO_BIG},
	{"of a packet that every host takes", false, 576, 68, 1500, 0, ICMP_ERROR_TOO_BIG},
	{"what no IPv6 path has", true, 1500, 1279, 1500, 0, ICMP_ERROR_TOO_BIG},
	{"what every IPv6 path has", true, 1500, 1280, 1500, 1280, ICMP_ERROR_TOO_BIG},
	{"of a packet that every IPv6 path takes", true, 1280, 1280, 1500, 0, ICMP_ERROR_TOO_BIG},
	{"IPv6 without a length", true, 1500, 0, 1500, 0, ICMP_ERROR_TOO_BIG},
	{"an old router, on Ethernet", false, 1500, 0, 1500, 1492, ICMP_ERROR_TOO_BIG},
	{"an old router, below that", false, 1492, 0, 1492, 1006, ICMP_ERROR_TOO_BIG},
	{"an old router, jumbo frames", false, 9000, 0, 9000, 8166, ICMP_ERROR_TOO_BIG},
	{"an old router, as little as can be", false, 577, 0, 1006, 576, ICMP_ERROR_TOO_BIG},
	{"an old router, and a packet that every host takes", false, 576, 0, 1006, 0, ICMP_ERROR_TOO_BIG},
	{"more than 16 bits hold", true, 1500, 65536 + 1400, 1500, 0, ICMP_ERROR_TOO_BIG},
	{"below what the interface has, above what was sent", false, 1000, 1000, 900, 0, ICMP_ERROR_TOO_BIG},
};

static void errors_lower_the_mtu(void **state)
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct icmp_quote quote = {.error = rows[i].error, .mtu = rows[i].mtu, .bytes = rows[i].bytes};
		uint16_t is;

		assert_true(ip_parse(&quote.destination, rows[i].is6 ? "fd00:3::1" : "10.3.0.1"));
		is = path_mtu_judge(&quote, rows[i].present);
		if (is != rows[i].becomes) {
			print_error("    WRONG: %s: %u, wanted %u\n", rows[i].says, is, rows[i].becomes);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(errors_lower_the_mtu)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is wrong with ports, protocols and groups of services: each mistake at its line and column. Pure. */
#include "unit/mistake.h"

#define PORT(t) TEXT(HEAD "- {vip: 10.2.0.1, port: " t ", backends: [10.3.0.1]}\n")
#define PORT_COLUMN 25 /* where the value stands */

static const struct mistake rows[] = {
	{"port 0", PORT("0"), 3, PORT_COLUMN, "0 is out of range: 1 to 65535"},
	{"port 65536", PORT("65536"), 3, PORT_COLUMN, "65536 is out of range: 1 to 65535"},
	{"a port of many digits", PORT("99999999999999999999999"), 3, PORT_COLUMN, "is out of range"},
	{"a negative port", PORT("-80"), 3, PORT_COLUMN, "must be a whole number from 1 to 65535, not \"-80\""},
	{"a port with a sign", PORT("+80"), 3, PORT_COLUMN, "must be a whole number"},
	{"a port with an exponent", PORT("1e3"), 3, PORT_COLUMN, "must be a whole number from 1 to 65535, not \"1e3\""},
	{"a port with a fraction", PORT("80.0"), 3, PORT_COLUMN, "must be a whole number"},
	{"a port of 0x alone", PORT("0x"), 3, PORT_COLUMN, "must be a whole number"},
	{"a negative number in hexadecimal", PORT("0x-5"), 3, PORT_COLUMN,
	 "must be a whole number from 1 to 65535, not \"0x-5\""},
	{"a port with garbage behind", PORT("80tcp"), 3, PORT_COLUMN, "must be a whole number"},
	{"a port's name", PORT("http"), 3, PORT_COLUMN, "must be a whole number from 1 to 65535, not \"http\""},
	{"a range that runs backwards", PORT("90-80"), 3, PORT_COLUMN, "port range 90-80 runs backwards: write 80-90"},
	{"a range from 0", PORT("0-80"), 3, PORT_COLUMN, "port range 0-80 is out of range: 1 to 65535"},
	{"a range to 65536", PORT("80-65536"), 3, PORT_COLUMN, "port range 80-65536 is out of range"},
	{"a range of many digits", PORT("1-99999999999999999999999"), 3, PORT_COLUMN, "is out of range"},
	{"a range without an end", PORT("80-"), 3, PORT_COLUMN, "must be a whole number from 1 to 65535, not \"80-\""},
	{"a range of three", PORT("80-90-99"), 3, PORT_COLUMN, "must be a whole number"},
	{"a range with blanks", PORT("80 - 90"), 3, PORT_COLUMN, "must be a whole number"},
	{"a list in words", PORT("\"80,443\""), 3, PORT_COLUMN, "a list of them, or `any`"},
	{"an empty list of ports", PORT("[]"), 3, PORT_COLUMN, "port is an empty list"},
	{"any in a list", PORT("[80, any]"), 3, PORT_COLUMN + 5, "any is every port: it stands alone"},
	{"a port of every protocol", TEXT(HEAD "- {vip: 10.2.0.1, protocol: any, port: 80, backends: [10.3.0.1]}\n"), 3, 40,
	 "protocol: any is by address, as most protocols have no ports: leave port out, or name tcp or udp"},
	{"every protocol twice",
	 TEXT(HEAD "- {name: a, vip: 10.2.0.1, protocol: any, backends: [10.3.0.1]}\n"
		   "- {name: b, vip: 10.2.0.1, protocol: any, port: any, backends: [10.3.0.1]}\n"), 4, 18,
	 "10.2.0.1 any port any is served on line 3 already"},
	{"every protocol and no port to ask",
	 TEXT(HEAD "- {vip: 10.2.0.1, protocol: any, health: {type: tcp}, backends: [10.3.0.1]}\n"), 3, 42,
	 "health of type tcp lacks \"port\""},
	{"a group with other backends",
	 TEXT(HEAD "- {name: a, group: g, vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"
		   "- {name: b, group: g, vip: 10.2.0.1, port: 81, backends: [10.3.0.2], window: 60s}\n"), 4, 20,
	 "group \"g\": not the same as in the service on line 3: backends, window. Services of a group differ in"},
	{"a group with another order",
	 TEXT(HEAD "- {name: a, group: g, vip: 10.2.0.1, port: 80, backends: [10.3.0.1, 10.3.0.2]}\n"
		   "- {name: b, group: g, vip: 10.2.0.1, port: 81, backends: [10.3.0.2, 10.3.0.1]}\n"), 4, 20,
	 "on line 3: backends. Services of a group differ in name, protocol, port and health only, and list backends in one "
	 "order"},
	{"a group with another VIP",
	 TEXT(HEAD "- {name: a, group: g, vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"
		   "- {name: b, group: g, vip: 10.2.0.2, port: 80, forward: ipip, backends: [10.3.0.1]}\n"), 4, 20,
	 "on line 3: vip, forward."},
	{"a group by flow", TEXT(HEAD "- {vip: 10.2.0.1, port: 80, group: g, hash: flow, backends: [10.3.0.1]}\n"), 3, 45,
	 "a group keeps a client on one backend, so its hash is source: leave hash out"},
	{"a group without affinity",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: 80, protocol: udp, group: g, affinity: none, backends: [10.3.0.1]}\n"), 3, 64,
	 "a group keeps a client on one backend through changes: leave affinity out"},
	{"a group's name with blanks", TEXT(HEAD "- {vip: 10.2.0.1, port: 80, group: a b, backends: [10.3.0.1]}\n"), 3, 36,
	 "a group's name"},
	{"a port twice in a list", PORT("[80, 80]"), 3, PORT_COLUMN + 5, "port 80 stands in this list already, in 80"},
	{"a port in a range of the list", PORT("[80-90, 85]"), 3, PORT_COLUMN + 8,
	 "port 85 stands in this list already, in 80-90"},
	{"a bad port in a list", PORT("[80, http]"), 3, PORT_COLUMN + 5, "must be a whole number"},
	{"a port in another service's range",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: 80-90, backends: [10.3.0.1]}\n"
		   "- {vip: 10.2.0.1, port: 85, backends: [10.3.0.1]}\n"), 4, 9,
	 "10.2.0.1 tcp port 85 overlaps with port 80-90, which is served on line 3 already"},
	{"a range over another service's port",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: [1, 85], backends: [10.3.0.1]}\n"
		   "- {vip: 10.2.0.1, port: 80-90, backends: [10.3.0.1]}\n"), 4, 9,
	 "10.2.0.1 tcp port 80-90 overlaps with port 85, which is served on line 3 already"},
	{"ranges that overlap behind a shorter one",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: 1-9999, backends: [10.3.0.1]}\n"
		   "- {name: b, vip: 10.2.0.2, port: 5, backends: [10.3.0.1]}\n"
		   "- {vip: [10.2.0.3, 10.2.0.1], port: 9999-10000, backends: [10.3.0.1]}\n"), 5, 20,
	 "10.2.0.1 tcp port 9999-10000 overlaps with port 1-9999, which is served on line 3 already"},
	{"a mapping as port", PORT("{a: b}"), 3, PORT_COLUMN, "must be a single value, not a mapping"},
	{"no value of port", PORT("~"), 3, PORT_COLUMN, "has no value"},
};

static void each_mistake_is_named_at_its_place(void **state)
{
	size_t fine = 0;

	for (size_t i = 0; i < COUNT(rows); i++)
		fine += mistake_holds(&rows[i]);
	assert_int_equal(fine, COUNT(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_is_named_at_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

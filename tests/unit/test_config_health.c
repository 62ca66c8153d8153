/* What is wrong with a service's health, and with what it says of backends that are down: each mistake at its line and
 * column. Pure. */
#include "unit/mistake.h"

static const struct mistake rows[] = {
	{"an unknown kind of health", WEB("health: {type: htp}"), 3, WEB_COLUMN + 15, "did you mean \"http\"?"},
	{"a duration without a unit", WEB("health: {type: tcp, interval: 2}"), 3, WEB_COLUMN + 30,
	 "\"2\" is not a duration, as it lacks a unit: did you mean 2s?"},
	{"a duration of half nothing", WEB("health: {type: tcp, interval: 0.5}"), 3, WEB_COLUMN + 30, "did you mean 0.5s?"},
	{"a duration of no unit at a point", WEB("health: {type: tcp, interval: 1.}"), 3, WEB_COLUMN + 30,
	 "\"1.\" is not a duration: a number and"},
	{"a duration with two points", WEB("health: {type: tcp, interval: 1..2s}"), 3, WEB_COLUMN + 30, "is not a duration"},
	{"a duration of a point", WEB("health: {type: tcp, interval: .s}"), 3, WEB_COLUMN + 30, "is not a duration"},
	{"a duration that stops at the point", WEB("health: {type: tcp, interval: 1.s}"), 3, WEB_COLUMN + 30,
	 "is not a duration"},
	{"rise of zero", WEB("health: {type: tcp, rise: 0}"), 3, WEB_COLUMN + 26, "is out of range: 1 to 1000"},
	{"fall of many", WEB("health: {type: tcp, fall: 1001}"), 3, WEB_COLUMN + 26, "is out of range: 1 to 1000"},
	{"health without a type", WEB("health: {rise: 1}"), 3, WEB_COLUMN + 8, "health lacks \"type\""},
	{"health a word", WEB("health: tcp"), 3, WEB_COLUMN + 8, "health must be a mapping"},
	{"an interval of no time", WEB("health: {type: tcp, interval: 9ms}"), 3, WEB_COLUMN + 30,
	 "health.interval 9ms is out of range: 10ms to 1h"},
	{"an interval finer than milliseconds", WEB("health: {type: tcp, interval: 10.5ms}"), 3, WEB_COLUMN + 30,
	 "health.interval 10.5ms is not a whole number of milliseconds"},
	{"a timeout without end", WEB("health: {type: tcp, interval: 10m, timeout: 61s}"), 3, WEB_COLUMN + 44,
	 "health.timeout 61s is out of range: 1ms to 1m"},
	{"a timeout beyond the next probe", WEB("health: {type: tcp, interval: 500ms, timeout: 501ms}"), 3, WEB_COLUMN + 46,
	 "health.timeout 501ms is longer than the interval, 500ms"},
	{"a timeout beyond the usual interval", WEB("health: {type: tcp, timeout: 2.5s}"), 3, WEB_COLUMN + 29,
	 "health.timeout 2500ms is longer than the interval, 2s"},
	{"doubt that takes longer", WEB("health: {type: tcp, doubt: 3s}"), 3, WEB_COLUMN + 27,
	 "health.doubt 3s is longer than the interval, 2s"},
	{"an unknown way", WEB("health: {type: tcp, via: vips}"), 3, WEB_COLUMN + 25, "did you mean \"vip\"?"},
	{"a port of zero in health", WEB("health: {type: tcp, port: 0}"), 3, WEB_COLUMN + 26, "health.port 0 is out of range"},
	{"a port of icmp", WEB("health: {type: icmp, port: 80}"), 3, WEB_COLUMN + 27,
	 "health.port is of every type but icmp, which has no ports, and the type is icmp"},
	{"a path of tcp", WEB("health: {type: tcp, path: /}"), 3, WEB_COLUMN + 26,
	 "health.path is of http and https, and the type is tcp"},
	{"a relative path", WEB("health: {type: http, path: healthz}"), 3, WEB_COLUMN + 27,
	 "health.path \"healthz\" must begin with /"},
	{"a path with a blank", WEB("health: {type: http, path: \"/a b\"}"), 3, WEB_COLUMN + 27, "hold no blanks"},
	{"a host with a port", WEB("health: {type: http, host: \"a:80\"}"), 3, WEB_COLUMN + 27, "a host's name without a port"},
	{"a host of udp", WEB("health: {type: udp, send: x, host: a}"), 3, WEB_COLUMN + 35, "health.host is of http and https"},
	{"a code of two digits", WEB("health: {type: http, status: 99}"), 3, WEB_COLUMN + 29,
	 "health.status \"99\" must be a code of HTTP, 100 to 599"},
	{"a code too high", WEB("health: {type: http, status: 600}"), 3, WEB_COLUMN + 29, "health.status \"600\" must be"},
	{"codes in the wrong order", WEB("health: {type: http, status: 399-200}"), 3, WEB_COLUMN + 29,
	 "health.status \"399-200\""},
	{"codes without an end", WEB("health: {type: http, status: 200-}"), 3, WEB_COLUMN + 29, "health.status \"200-\""},
	{"codes in the hundreds", WEB("health: {type: http, status: 2xx}"), 3, WEB_COLUMN + 29, "health.status \"2xx\""},
	{"three codes", WEB("health: {type: http, status: 200-201-202}"), 3, WEB_COLUMN + 29, "health.status \"200-201-202\""},
	{"udp without a word", WEB("health: {type: udp}"), 3, WEB_COLUMN + 8, "health of type udp needs \"send\" or \"expect\""},
	{"odd digits", WEB("health: {type: udp, send: \"hex:abc\"}"), 3, WEB_COLUMN + 26, "two digits for each"},
	{"no hexadecimal digits", WEB("health: {type: udp, send: \"hex:ab0g\"}"), 3, WEB_COLUMN + 26,
	 "health.send: \"0g\" are no hexadecimal digits"},
	{"nothing to send", WEB("health: {type: udp, send: \"hex:\"}"), 3, WEB_COLUMN + 26,
	 "health.send must be 1 to 1024 bytes"},
	{"expect of tcp", WEB("health: {type: tcp, expect: a}"), 3, WEB_COLUMN + 28,
	 "health.expect is of udp, dns, http and https, and the type is tcp"},
	{"dns without a name", WEB("health: {type: dns}"), 3, WEB_COLUMN + 8, "health of type dns lacks \"name\""},
	{"no name of DNS", WEB("health: {type: dns, name: a..b}"), 3, WEB_COLUMN + 26, "health.name \"a..b\" is no name of DNS"},
	{"a record in small letters", WEB("health: {type: dns, name: a, record: a}"), 3, WEB_COLUMN + 37,
	 "health.record must be one of A, AAAA, NS,"},
	{"expect of another record", WEB("health: {type: dns, name: a, record: TXT, expect: 10.0.0.1}"), 3, WEB_COLUMN + 50,
	 "only records A and AAAA hold"},
	{"expect of the other family", WEB("health: {type: dns, name: a, record: AAAA, expect: 10.0.0.1}"), 3, WEB_COLUMN + 51,
	 "health.expect \"10.0.0.1\" must be an IPv6 address, as record: AAAA is asked for"},
	{"a script without a command", WEB("health: {type: script}"), 3, WEB_COLUMN + 8,
	 "health of type script lacks \"command\""},
	{"a command for a shell", WEB("health: {type: script, command: \"/bin/true now\"}"), 3, WEB_COLUMN + 32,
	 "no shell reads it"},
	{"a command to be looked for", WEB("health: {type: script, command: [check, a]}"), 3, WEB_COLUMN + 32,
	 "must be a program's absolute path"},
	{"a command of lists", WEB("health: {type: script, command: [/c, [a]]}"), 3, WEB_COLUMN + 37,
	 "health.command is a list of words: here is a list"},
	{"a certificate without its key", WEB("health: {type: https, certificate: /c.pem}"), 3, WEB_COLUMN + 35,
	 "health.certificate needs health.key"},
	{"a key without its certificate", WEB("health: {type: https, key: /k.pem}"), 3, WEB_COLUMN + 27,
	 "health.key needs health.certificate"},
	{"a relative file", WEB("health: {type: https, ca: ca.pem}"), 3, WEB_COLUMN + 26,
	 "health.ca \"ca.pem\" must be an absolute path"},
	{"ca and nothing to check", WEB("health: {type: https, ca: /ca.pem, verify: false}"), 3, WEB_COLUMN + 26,
	 "health.ca has no use with verify: false"},
	{"verify of http", WEB("health: {type: http, verify: false}"), 3, WEB_COLUMN + 29, "health.verify is of https"},
	{"verify in another word", WEB("health: {type: https, verify: no}"), 3, WEB_COLUMN + 30,
	 "health.verify must be one of true, false"},
	{"which port of any", TEXT(HEAD "- {vip: 10.2.0.1, port: any, health: {type: tcp}, backends: [10.3.0.1]}\n"), 3, 38,
	 "health of type tcp lacks \"port\": the service has any"},

	/* backends that are down */
	{"more up than there are", WEB("min_up: 2"), 3, WEB_COLUMN + 8,
	 "min_up is 2, and the service has 1 backend: it could never be up"},
	{"min_up that was meant as a share", WEB("min_up: 50"), 3, WEB_COLUMN + 8,
	 "min_up is 50, and the service has 1 backend: it could never be up; a share of them is 50%"},
	{"none up", WEB("min_up: 0"), 3, WEB_COLUMN + 8, "is out of range: 1 to"},
	{"no share", WEB("min_up: 0%"), 3, WEB_COLUMN + 8, "min_up \"0%\" must be a share from 1% to 100%"},
	{"more than all", WEB("min_up: 101%"), 3, WEB_COLUMN + 8, "min_up \"101%\" must be a share"},
	{"a share with a point", WEB("min_up: 50.5%"), 3, WEB_COLUMN + 8, "min_up \"50.5%\" must be a share"},
	{"a share and more", WEB("min_up: 50%%"), 3, WEB_COLUMN + 8, "min_up \"50%%\" must be a share"},
	{"an unknown policy", WEB("when_all_down: none"), 3, WEB_COLUMN + 15, "must be one of drop, all, fallback"},
	{"no fallback", WEB("when_all_down: fallback"), 3, WEB_COLUMN + 15, "when_all_down: fallback needs \"fallback\""},
	{"a fallback for nothing", WEB("fallback: 10.3.0.9"), 3, WEB_COLUMN + 10, "fallback is for when_all_down: fallback"},
	{"an empty fallback", WEB("when_all_down: fallback, fallback: []"), 3, WEB_COLUMN + 35, "fallback is an empty list"},
	{"a fallback that is a backend", WEB("when_all_down: fallback, fallback: [10.3.0.9, 10.3.0.1]"), 3, WEB_COLUMN + 46,
	 "backend 10.3.0.1 is listed twice"},
	{"a fallback that is the VIP", WEB("when_all_down: fallback, fallback: 10.2.0.1"), 3, WEB_COLUMN + 35,
	 "backend 10.2.0.1 is a VIP itself"},
	{"a fallback of the other family", WEB("when_all_down: fallback, fallback: \"fd00::1\""), 3, WEB_COLUMN + 35,
	 "of different families, which l2 cannot join"},
	{"reset of what never fails", WEB("on_down: reset"), 3, WEB_COLUMN + 9, "on_down: reset needs \"health\""},
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

/* What people type: endpoints, times, query values. Pure. */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "cli/announce.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/drain_wait.h"

static const struct {
	const char *what, *text, *address; /* NULL: refused */
	int port;
} endpoint_rows[] = {
	{"an address alone", "10.2.0.1", "10.2.0.1", -1},
	{"an address and a port", "10.2.0.1:80", "10.2.0.1", 80},
	{"port 0", "10.2.0.1:0", "10.2.0.1", 0},
	{"the highest port", "10.2.0.1:65535", "10.2.0.1", 65535},
	{"a port too high", "10.2.0.1:65536", NULL, 0},
	{"a port of many digits", "10.2.0.1:99999999999999999999999", NULL, 0},
	{"a colon without a port", "10.2.0.1:", NULL, 0},
	{"a port with a sign", "10.2.0.1:+80", NULL, 0},
	{"a negative port", "10.2.0.1:-1", NULL, 0},
	{"a port with garbage behind", "10.2.0.1:80x", NULL, 0},
	{"a bare IPv6 address", "2001:db8::1", "2001:db8::1", -1},
	{"IPv6 in brackets", "[2001:db8::1]", "2001:db8::1", -1},
	{"IPv6 in brackets with a port", "[2001:db8::1]:443", "2001:db8::1", 443},
	{"brackets that are not closed", "[2001:db8::1", NULL, 0},
	{"brackets with garbage behind", "[2001:db8::1]443", NULL, 0},
	{"brackets with a colon alone", "[2001:db8::1]:", NULL, 0},
	{"empty brackets", "[]", NULL, 0},
	{"empty brackets with a port", "[]:80", NULL, 0},
	{"nothing", "", NULL, 0},
	{"a port alone", ":80", NULL, 0},
	{"63 letters fit", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", -1},
	{"64 letters do not", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, 0},
};

static void endpoints_are_read(void **state)
{
	for (size_t i = 0; i < COUNT(endpoint_rows); i++) {
		char address[64] = "";
		int port = -2;
		bool fine = command_endpoint(endpoint_rows[i].text, address, &port);

		if (fine != (endpoint_rows[i].address != NULL))
			fail_msg("%s: \"%s\"", endpoint_rows[i].what, endpoint_rows[i].text);
		if (!fine)
			continue;
		assert_text(endpoint_rows[i].what, address, endpoint_rows[i].address);
		assert_int_equal(port, endpoint_rows[i].port);
	}
}

static const struct {
	const char *text;
	unsigned long seconds;
} second_rows[] = {
	{"60", 60},	    {"60s", 60},     {"10m", 600},	{"1h", 3600},	{"24h", 86400}, {"86400", 86400}, {"1440m",
	 86400},
	{"25h", 0},	    {"86400h", 0},   {"86401", 0},	{"1441m", 0},	{"0", 0},	{"", 0},	  {"s", 0},
	{"1d", 86400},	    {"2d", 0},	     {"1.5h", 5400},	{"90000ms", 90}, {"1.5s", 0},	{"500ms", 0},	  {"1w", 0},
	{"1 h", 0},	     {" 1h", 0},	{"-1", 0},	{"+1", 0},	{"1.h", 0},	  {"1hh", 0},
	{"99999999999999999999999h", 0}, {"0x10", 0}, {"99999999999999999999999999999999999999999", 0}, {"00000060", 60},
};

static void times_are_read(void **state)
{
	for (size_t i = 0; i < COUNT(second_rows); i++)
		if (command_seconds(second_rows[i].text, 86400) != second_rows[i].seconds)
			fail_msg("\"%s\" gave %lu", second_rows[i].text, command_seconds(second_rows[i].text, 86400));
	assert_int_equal(command_seconds("30d", 2592000), 2592000);
	assert_int_equal(command_seconds("721h", 2592000), 0);
}

#define STATUS(backend, motion)                                                                                          \
	"{'services': [{'name': 'web', 'backends': [{'address': '10.3.0.9', 'drain': {'state': 'cut'}}, " backend "]" motion \
	"}]}"
#define DRAIN(more) "{'address': '10.3.0.1', 'drain': {'state': 'draining', 'since_s': 3" more "}}"

static const struct {
	const char *what, *status;
	enum drain_progress progress;
	const char *sentence;
} drain_rows[] = {
	{"flows and a deadline",
	 STATUS(DRAIN(", 'flows': 12, 'deadline_left_s': 599"), ", 'motion': {'state': 'moving', 'left_s': 9}"),
	 DRAIN_GOES_ON, "web 10.3.0.1: 12 flows left; cut in 9m 59s"},
	{"one flow, and a window", STATUS(DRAIN(", 'flows': 1, 'deadline_left_s': null"), ", 'motion': {'state': 'moving', "
	 "'left_s': 7199}"), DRAIN_GOES_ON, "web 10.3.0.1: 1 flow left; silent ones may be left for another 1h 59m"},
	{"a window that cannot end", STATUS(DRAIN(", 'flows': 1, 'deadline_left_s': null"), ", 'motion': {'state': 'moving', "
	 "'left_s': 0, 'waits_for_room': true}"), DRAIN_GOES_ON,
	 "web 10.3.0.1: 1 flow left; silent ones may be left until the table of flows has room"},
	{"the window over", STATUS(DRAIN(", 'flows': 2"), ", 'motion': {'state': 'settling', 'left_s': null}"), DRAIN_GOES_ON,
	 "web 10.3.0.1: 2 flows left"},
	{"flows that are not counted yet", STATUS(DRAIN(", 'flows': null, 'deadline_left_s': 60"), ""), DRAIN_GOES_ON,
	 "web 10.3.0.1: its flows are being counted; cut in 1m"},
	{"no flow left", STATUS("{'address': '10.3.0.1', 'drain': {'state': 'empty'}}", ""), DRAIN_OVER,
	 "web 10.3.0.1: drained; no flow is left"},
	{"the deadline passed", STATUS("{'address': '10.3.0.1', 'drain': {'state': 'cut'}}", ""), DRAIN_OVER,
	 "web 10.3.0.1: drained; its deadline has cut the flows that were left"},
	{"undrained", STATUS("{'address': '10.3.0.1', 'drain': null}", ""), DRAIN_ENDED, "web 10.3.0.1: it was undrained"},
	{"taken out of the file", STATUS("{'address': '10.3.0.10'}", ""), DRAIN_ENDED,
	 "web 10.3.0.1: it is not in the service any more"},
	{"taken out of the file, with flows",
	 STATUS("{'address': '10.3.0.10'}", ", 'removed': [{'address': '10.3.0.1', 'flows': 3, 'deadline_left_s': 86399}]"),
	 DRAIN_ENDED, "web 10.3.0.1: it was removed from the service; 3 flows left, cut in 23h 59m"},
	{"nothing", "{}", DRAIN_ENDED, " 10.3.0.1: it is not in the service any more"},
	{"other types", "{'services': {'a': 1}}", DRAIN_ENDED, " 10.3.0.1: it is not in the service any more"},
};

static void progress_of_a_drain_is_told(void **state)
{
	for (size_t i = 0; i < COUNT(drain_rows); i++) {
		auto_free char *text = strdup(drain_rows[i].status);
		char sentence[256] = "";
		json_t *status;

		for (char *c = text; *c; c++)
			if (*c == '\'')
				*c = '"';
		status = json_loads(text, 0, NULL);
		assert_non_null(status);
		if (drain_progress(status, "10.3.0.1", sentence, sizeof(sentence)) != drain_rows[i].progress)
			fail_msg("%s: \"%s\"", drain_rows[i].what, sentence);
		assert_text(drain_rows[i].what, sentence, drain_rows[i].sentence);
		json_decref(status);
	}
}

#define ROUTES(wanted, there, up) \
	"{'announce': {'up': " #up ", 'routes': {'wanted': " #wanted ", 'there': " #there "}}, 'services': []}"
#define PACKETS(n) "{'services': [{'packets': " #n "}, {'packets': 5}]}"

/* Looks, one after another; one with a time of 0 begins anew. */
static const struct {
	const char *what;
	bool is_on;
	uint64_t at_ms;
	const char *status;
	bool is_over;
} announce_rows[] = {
	{"maintenance: the first look", true, 0, PACKETS(10), false},
	{"packets come", true, 2000, PACKETS(11), false},
	{"none since then, for too short a time", true, 4900, PACKETS(11), false},
	{"one more", true, 5000, PACKETS(12), false},
	{"none for three seconds", true, 8000, PACKETS(12), true},
	{"counters that begin anew are a change", true, 9000, PACKETS(0), false},
	{"no services", true, 0, "{}", false},
	{"still none", true, 3000, "{}", true},
	{"the end of it: VIPs that are not up have no route", false, 0, ROUTES(2, 2, 2), true},
	{"a VIP that waits for its interface", false, 0, ROUTES(0, 0, 2), false},
	{"a route that is not there yet", false, 0, ROUTES(2, 1, 2), false},
	{"none is up", false, 0, ROUTES(0, 0, 0), true},
};

static void announcements_are_waited_for(void **state)
{
	struct announce_watch watch;

	for (size_t i = 0; i < COUNT(announce_rows); i++) {
		auto_free char *text = strdup(announce_rows[i].status);
		char sentence[256] = "";
		json_t *status;

		for (char *c = text; *c; c++)
			if (*c == '\'')
				*c = '"';
		status = json_loads(text, 0, NULL);
		assert_non_null(status);
		if (!announce_rows[i].at_ms)
			watch = (struct announce_watch){.is_on = announce_rows[i].is_on};
		if (announce_is_over(&watch, status, announce_rows[i].at_ms, sentence, sizeof(sentence)) !=
		    announce_rows[i].is_over)
			fail_msg("%s: \"%s\"", announce_rows[i].what, sentence);
		assert_true(sentence[0]);
		json_decref(status);
	}
}

static const struct {
	const char *what, *value, *encoded;
} encode_rows[] = {
	{"letters, digits and what is never reserved", "aZ09-._~", "aZ09-._~"},
	{"what has a meaning in a query", "a&b=c?d#e/f+g", "a%26b%3Dc%3Fd%23e%2Ff%2Bg"},
	{"blanks, percent signs and line breaks", "a b%c\r\n", "a%20b%25c%0D%0A"},
	{"bytes beyond ASCII", "\xc3\xa9\xff", "%C3%A9%FF"},
	{"nothing", "", ""},
};

static void values_are_encoded(void **state)
{
	for (size_t i = 0; i < COUNT(encode_rows); i++) {
		char target[128] = "/v1?a=", expected[128];

		client_encode(target, sizeof(target), encode_rows[i].value);
		snprintf(expected, sizeof(expected), "/v1?a=%s", encode_rows[i].encoded);
		assert_text(encode_rows[i].what, target, expected);
	}
}

static void a_full_target_holds_whole_codes(void **state)
{
	for (size_t room = 8; room < 40; room++) {
		char *target = malloc(room);
		size_t length;

		strcpy(target, "/v1?");
		client_encode(target, room, "                ");
		length = strlen(target);
		assert_true(length < room);
		assert_int_equal((length - 4) % 3, 0);
		free(target);
	}
}

static const struct {
	const char *what, *reply;
	unsigned int status; /* 0: refused */
	const char *piece;   /* of the error */
} reply_rows[] = {
	{"an answer", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, NULL},
	{"a refusal", "HTTP/1.1 422 Unprocessable\r\n\r\n{\"error\": \"x\"}", 422, NULL},
	{"a bare value", "HTTP/1.0 200 OK\r\n\r\n3", 200, NULL},
	{"nothing", "", 0, "the answer is not HTTP"},
	{"another protocol", "SSH-2.0-OpenSSH\r\n\r\n", 0, "does another program own the socket?"},
	{"a head without an end", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", 0, "the answer is not HTTP"},
	{"a negative status", "HTTP/1.1 -08 OK\r\n\r\n{}", 0, "the answer is not HTTP"},
	{"no status", "HTTP/1.1 OK\r\n\r\n{}", 0, "the answer is not HTTP"},
	{"an answer cut short", "HTTP/1.1 200 OK\r\n\r\n{\"a\": ", 0, "the answer (status 200) is not JSON"},
	{"a page", "HTTP/1.1 404 Not Found\r\n\r\n<html>", 0, "the answer (status 404) is not JSON"},
	{"garbage behind the answer", "HTTP/1.1 200 OK\r\n\r\n{} x", 0, "is not JSON"},
	{"no body", "HTTP/1.1 200 OK\r\n\r\n", 0, "is not JSON"},
};

static void replies_are_understood(void **state)
{
	for (size_t i = 0; i < COUNT(reply_rows); i++) {
		struct client_reply reply = {0};
		struct err e = {""};
		int code = client_read_reply(reply_rows[i].reply, strlen(reply_rows[i].reply), &reply, &e);

		if ((code == 0) != (reply_rows[i].status != 0) || reply.status != reply_rows[i].status)
			fail_msg("%s: %d, status %u, %s", reply_rows[i].what, code, reply.status, e.text);
		if (code)
			assert_holds(reply_rows[i].what, e.text, reply_rows[i].piece);
		json_decref(reply.body);
	}
}

static void every_command_has_its_help(void **state)
{
	size_t count = 0;

	for (const struct command *row = command_table; row->name; row++, count++) {
		assert_true(row->run && row->help[0] && row->least <= row->most);
		for (const struct command *other = command_table; other < row; other++)
			assert_string_not_equal(row->name, other->name);
	}
	assert_true(count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_are_read),		   cmocka_unit_test(times_are_read),
		cmocka_unit_test(values_are_encoded),		   cmocka_unit_test(a_full_target_holds_whole_codes),
		cmocka_unit_test(replies_are_understood),	   cmocka_unit_test(every_command_has_its_help),
		cmocka_unit_test(progress_of_a_drain_is_told),	   cmocka_unit_test(announcements_are_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

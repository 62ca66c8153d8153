/* How what is wrong with a text is printed, also where there is much of it. Pure. */
#include "unit/mistake.h"

#include <time.h>

#include "base/cleanup.h"

/* What `halfproxy check` prints of a text. */
static char *printed(const char *text, size_t bytes)
{
	struct problems problems = {0};
	struct config *config = config_parse(text, bytes, &problems);
	char *out = NULL;
	size_t count;
	FILE *file = open_memstream(&out, &count);

	problems_print(file, "f", text, bytes, &problems);
	fclose(file);
	problems_free(&problems);
	config_free(config);
	return out;
}

static const struct {
	const char *what, *text;
	size_t bytes;
	const char *printed;
} print_rows[] = {
	{"nothing wrong", TEXT("interfaces: [eth0]\nservices: []\n"), ""},
	{"a line and a caret", TEXT("interfaces: [eth0]\nservices: 1\n"),
	 "f:2:11: error: services must be a list (- name: …), not a value\n"
	 "    services: 1\n"
	 "              ^\n"},
	{"tabs stay tabs, above and below", TEXT("interfaces: [eth0]\nservices:\t\t1\n"),
	 "f:2:12: error: services must be a list (- name: …), not a value\n"
	 "    services:\t\t1\n"
	 "             \t\t^\n"},
	{"accents take one column", TEXT("{\"\xc3\xa9\xc3\xa9\": 1, interfaces: [eth0], services: 1}"),
	 "f:1:2: error: the configuration has no key \"\xc3\xa9\xc3\xa9\": its keys are interfaces, services, seed, slots, "
	 "limits, tunnel, probes, announce, api\n"
	 "    {\"\xc3\xa9\xc3\xa9\": 1, interfaces: [eth0], services: 1}\n"
	 "     ^\n"
	 "f:1:41: error: services must be a list (- name: …), not a value\n"
	 "    {\"\xc3\xa9\xc3\xa9\": 1, interfaces: [eth0], services: 1}\n"
	 "                                            ^\n"},
	{"wide characters take two columns", TEXT("interfaces: [\xe6\xbc\xa2\xe5\xad\x97, lo]\nservices: []\n"),
	 "f:1:18: error: lo gets no client's packets: name the interface that faces the router\n"
	 "    interfaces: [\xe6\xbc\xa2\xe5\xad\x97, lo]\n"
	 "                       ^\n"},
	{"combining marks take none", TEXT("interfaces: [e\xcc\x81, lo]\nservices: []\n"),
	 "f:1:18: error: lo gets no client's packets: name the interface that faces the router\n"
	 "    interfaces: [e\xcc\x81, lo]\n"
	 "                    ^\n"},
	{"CR LF is the end of a line", TEXT("interfaces: [eth0]\r\nservices: 1\r\n"),
	 "f:2:11: error: services must be a list (- name: …), not a value\n"
	 "    services: 1\n"
	 "              ^\n"},
	{"CR alone is one too", TEXT("interfaces: [eth0]\rservices: 1\r"),
	 "f:2:11: error: services must be a list (- name: …), not a value\n"
	 "    services: 1\n"
	 "              ^\n"},
	{"so is the line separator", TEXT("# a\xe2\x80\xa8# b\xc2\x85interfaces: [eth0]\nservices: 1\n"),
	 "f:4:11: error: services must be a list (- name: …), not a value\n"
	 "    services: 1\n"
	 "              ^\n"},
	{"a byte order mark takes no column", TEXT("\xef\xbb\xbfinterfaces: 1\nservices: []\n"),
	 "f:1:13: error: interfaces must be a list, such as [eth0]\n"
	 "    interfaces: 1\n"
	 "                ^\n"},
	{"bytes that are no text are shown as ?", TEXT("# a\xff\x1b[31m\xc2\x9b\n"),
	 "f:1:4: error: not a text in UTF-8: invalid leading UTF-8 octet (byte 3)\n"
	 "    # a??[31m?\n"
	 "       ^\n"},
	{"an empty file has an empty line", TEXT(""),
	 "f:1:1: error: the file is empty: it needs at least `interfaces: [eth0]` and `services: []`\n"
	 "    \n"
	 "    ^\n"},
	{"a place behind the end", TEXT("interfaces: [\"eth0\n"),
	 "f:2:1: error: not valid YAML: found unexpected end of stream, while scanning a quoted scalar (tabs must not indent; a "
	 "colon wants a blank behind it)\n"
	 "    \n"
	 "    ^\n"},
	{"two mistakes at one place, in the order found", TEXT("interfases: [eth0]\nservices: []\n"),
	 "f:1:1: error: the configuration has no key \"interfases\": did you mean \"interfaces\"?\n"
	 "    interfases: [eth0]\n"
	 "    ^\n"
	 "f:1:1: error: the configuration lacks \"interfaces\": the interfaces that clients' packets come in by, such as "
	 "[eth0]\n"
	 "    interfases: [eth0]\n"
	 "    ^\n"},
	{"every mistake of a file, by place, warnings between",
	 TEXT("slots: 1000\n"
	      "interfaces: [lo]\n"
	      "services:\n"
	      "  - {vip: 10.2.0.1, port: 0, backends: []}\n"
	      "  - {vip: 10.2.0.1, port: 80, slots: 97, backends: [bad, 10.2.0.1]}\n"),
	 "f:1:8: error: slots 1000 is no prime, which a Maglev ring needs: 997 is one, or write auto\n"
	 "    slots: 1000\n"
	 "           ^\n"
	 "f:2:14: error: lo gets no client's packets: name the interface that faces the router\n"
	 "    interfaces: [lo]\n"
	 "                 ^\n"
	 "f:4:27: error: port (a number, a range, a list of them, or `any`) 0 is out of range: 1 to 65535\n"
	 "      - {vip: 10.2.0.1, port: 0, backends: []}\n"
	 "                              ^\n"
	 "f:4:40: error: backends is empty: a service needs at least one\n"
	 "      - {vip: 10.2.0.1, port: 0, backends: []}\n"
	 "                                           ^\n"
	 "f:5:38: warning: 97 slots for 2 backends: below a hundred a backend the shares are uneven; auto takes 1009\n"
	 "      - {vip: 10.2.0.1, port: 80, slots: 97, backends: [bad, 10.2.0.1]}\n"
	 "                                         ^\n"
	 "f:5:53: error: backend address \"bad\" is not an IPv4 or IPv6 address, such as 10.2.0.1 or 2001:db8::1 (no leading "
	 "zeros)\n"
	 "      - {vip: 10.2.0.1, port: 80, slots: 97, backends: [bad, 10.2.0.1]}\n"
	 "                                                        ^\n"
	 "f:5:58: error: backend 10.2.0.1 is a VIP itself (line 4): packets would never arrive\n"
	 "      - {vip: 10.2.0.1, port: 80, slots: 97, backends: [bad, 10.2.0.1]}\n"
	 "                                                             ^\n"},
	{"bad keys of services do not make doubles of them",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: 0, backends: [10.3.0.1]}\n"
		   "- {vip: 10.2.0.1, protocol: upd, port: 80, backends: [10.3.0.1]}\n"
		   "- {vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"),
	 "f:3:25: error: port (a number, a range, a list of them, or `any`) 0 is out of range: 1 to 65535\n"
	 "    - {vip: 10.2.0.1, port: 0, backends: [10.3.0.1]}\n"
	 "                            ^\n"
	 "f:4:29: error: protocol must be one of tcp, udp, any, not \"upd\": did you mean \"udp\"?\n"
	 "    - {vip: 10.2.0.1, protocol: upd, port: 80, backends: [10.3.0.1]}\n"
	 "                                ^\n"},
};

static void problems_are_printed_byte_for_byte(void **state)
{
	for (size_t i = 0; i < COUNT(print_rows); i++) {
		auto_free char *out = printed(print_rows[i].text, print_rows[i].bytes);

		assert_text(print_rows[i].what, out, print_rows[i].printed);
	}
}

/* A long line is shown around the place. */
static void the_caret_of_a_long_line_is_near(void **state)
{
	auto_free char *text = NULL, *out = NULL;
	const char *line, *below;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	fprintf(file, HEAD "- {vip: 10.2.0.1, port: 80, backends: [");
	for (int i = 0; i < 200; i++)
		fprintf(file, "10.3.0.%d, ", i + 1);
	fprintf(file, "here, ");
	for (int i = 0; i < 200; i++)
		fprintf(file, "10.4.0.%d, ", i + 1);
	fprintf(file, "]}\n");
	fclose(file);
	out = printed(text, bytes);
	line = strchr(out, '\n') + 1;
	below = strchr(line, '\n') + 1;
	assert_true(below - line <= 4 + 160 + 1);
	assert_true(strchr(below, '^') - below < 4 + 100);
	assert_int_equal(strncmp(line + (strchr(below, '^') - below), "here", 4), 0);
}

/* A value of any length leaves room for what would be right, and whole characters. */
static void a_long_value_is_shortened_in_its_middle(void **state)
{
	for (size_t pad = 0; pad < 3; pad++) {
		auto_free char *text = NULL;
		struct problems problems = {0};
		size_t bytes;
		FILE *file = open_memstream(&text, &bytes);

		fprintf(file, HEAD "- {vip: %.*s", (int)pad, "xxx");
		for (int i = 0; i < 5000; i++)
			fprintf(file, "\xc3\xa9");
		fprintf(file, ", port: 80, backends: [10.3.0.1]}\n");
		fclose(file);
		assert_null(config_parse(text, bytes, &problems));
		assert_true(strlen(problems.list[0].text) < 1010);
		assert_holds("its beginning", problems.list[0].text, "vip \"");
		assert_holds("its end", problems.list[0].text, "\xc3\xa9\" is a name: write its address");
		for (const char *c = problems.list[0].text; *c; c++)
			if ((unsigned char)*c == 0xc3)
				assert_int_equal((unsigned char)c[1], 0xa9);
		problems_free(&problems);
	}
}

/* A service of each of many addresses, then `last`. */
static char *many_services(int count, const char *each, const char *last, size_t *bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, bytes);

	fprintf(out, HEAD);
	for (int i = 0; i < count; i++)
		fprintf(out, "- {vip: 10.2.%d.%d, port: 80, backends: [10.3.0.1], %s}\n", i / 250, i % 250 + 1, each);
	fprintf(out, "%s", last);
	fclose(out);
	return text;
}

/* 100,000 mistakes, half of them found when the text has been read through once: counted all, listed a thousand, in a
 * second or two. */
static void many_mistakes_take_no_minutes(void **state)
{
	auto_free char *text = NULL, *out = NULL;
	struct problems problems = {0};
	clock_t begin = clock();
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	fprintf(file, HEAD "- vip: 10.2.0.1\n  port: 80\n  backends:\n");
	for (int i = 0; i < 50000; i++)
		fprintf(file, "  - {address: 10.3.0.1, weight: 65536}\n");
	fclose(file);
	assert_null(config_parse(text, bytes, &problems));
	assert_int_equal(problems.errors, 50000 + 49999);
	assert_int_equal(problems.count, PROBLEMS_MOST + 1);
	assert_holds("the last one", problems.list[PROBLEMS_MOST].text, "here and elsewhere is more");
	for (size_t i = 1; i < problems.count; i++)
		assert_true(problems.list[i - 1].line <= problems.list[i].line);
	problems_free(&problems);
	out = printed(text, bytes);
	assert_true(clock() - begin < 20 * CLOCKS_PER_SEC);
}

static void many_warnings_leave_room_for_errors(void **state)
{
	auto_free char *text = NULL;
	struct problems problems = {0};
	size_t bytes, errors = 0;

	text = many_services(1500, "slots: 97", "- {vip: 10.2.0.1, port: 80, backends: [10.3.0.1], name: a}\n", &bytes);
	assert_null(config_parse(text, bytes, &problems));
	assert_int_equal(problems.warnings, 1500);
	assert_int_equal(problems.errors, 1);
	for (size_t i = 0; i < problems.count; i++)
		errors += problems.list[i].kind == PROBLEM_ERROR;
	assert_int_equal(errors, 1);
	assert_holds("the error", problems.list[problems.count - 1].text, "10.2.0.1 tcp port 80 is served on line 3 already");
	problems_free(&problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(problems_are_printed_byte_for_byte),
		cmocka_unit_test(the_caret_of_a_long_line_is_near),
		cmocka_unit_test(a_long_value_is_shortened_in_its_middle),
		cmocka_unit_test(many_mistakes_take_no_minutes),
		cmocka_unit_test(many_warnings_leave_room_for_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

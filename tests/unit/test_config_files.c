/* The files that a check uses: each that cannot be used is named at its place, and is an error or a warning by who asks. */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_look.h"
#include "core/config_parse.h"

static char folder[] = "/tmp/halfproxy-files-XXXXXX";

static void make(const char *name, const char *content, mode_t mode)
{
	char path[100];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(content, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

static void each_file(void (*deed)(const char *name, const char *content, mode_t mode))
{
	deed("pem", "PEM\n", 0600);
	deed("plain", "#!/bin/sh\n", 0644);
	deed("good", "#!/bin/sh\n", 0755);
	deed("env", "#! /usr/bin/env python3\n", 0755);
	deed("lost", "#!/usr/bin/no-such-shell -e\n", 0755);
	deed("dos", "#!/bin/sh\r\n", 0755);
	deed("binary", "\177ELF", 0755);
}

static void remove_one(const char *name, const char *content, mode_t mode)
{
	char path[100];

	(void)content;
	(void)mode;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	each_file(make);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	each_file(remove_one);
	return rmdir(folder);
}

/* The problems of a check with such options, one a line; * stands for the folder. */
static const char *judged(const char *options, const struct config_host *host, char out[static 1000])
{
	struct problems problems = {0};
	struct config *config;
	char text[600], named[400];
	size_t at = 0;

	for (; *options; options++)
		at += (size_t)snprintf(named + at, sizeof(named) - at, *options == '*' ? "%s" : "%.1s",
				       *options == '*' ? folder : options);
	snprintf(text, sizeof(text), "interfaces: [eth0]\nservices:\n- vip: 10.2.0.1\n  port: 80\n  backends: [10.3.0.1]\n"
				     "  health:\n    %s\n", named);
	config = config_parse_on(text, strlen(text), host, &problems);
	assert_int_equal(config == NULL, problems.errors > 0);
	out[0] = '\0';
	for (size_t i = 0, end = 0; i < problems.count; i++) {
		const struct problem *row = &problems.list[i];
		const char *behind = strstr(row->text, folder);

		end += (size_t)snprintf(out + end, 1000 - end, "%s%s %u %.*s%s", i ? "\n" : "",
					row->kind == PROBLEM_ERROR ? "error" : "warning", row->line,
					(int)(behind ? behind - row->text : 200), row->text,
					behind ? behind + strlen(folder) : "");
	}
	problems_free(&problems);
	config_free(config);
	return out;
}

static const struct {
	const char *options, *problems;
} rows[] = {
	{"type: script\n    command: '*/good'", ""},
	{"type: script\n    command: ['*/env', '*/none']", ""},
	{"type: script\n    command: '*/binary'", ""},
	{"type: https\n    ca: '*/pem'\n    certificate: '*/pem'\n    key: '*/pem'", ""},
	{"type: script\n    command: '*/none'", "error 8 health.command /none: there is no such file"},
	{"type: script\n    command: ['*/none/x', y]", "error 8 health.command /none/x: there is no such file"},
	{"type: script\n    command: '*/good/x'", "error 8 health.command /good/x: there is no such file"},
	{"type: script\n    command: '*'", "error 8 health.command : it is a directory, not a file"},
	{"type: script\n    command: '*/plain'",
	 "error 8 health.command /plain: it is not executable (`chmod +x` makes it so)"},
	{"type: script\n    command: '*/lost'",
	 "error 8 health.command /lost: its first line names \"/usr/bin/no-such-shell\", and there is no such program"},
	{"type: script\n    command: '*/dos'",
	 "error 8 health.command /dos: its first line ends with a carriage return (CR), as on other systems: take it out"},
	{"type: script\n    command: /dev/null", "error 8 health.command /dev/null: it is no regular file"},
	{"type: https\n    key: '*/key'\n    ca: '*'\n    certificate: '*/crt'",
	 "error 8 health.key /key: there is no such file\nerror 9 health.ca : it is a directory, not a file\n"
	 "error 10 health.certificate /crt: there is no such file"},
};

static void test_each_is_named(void **state)
{
	const struct config_host host = {file_look, PROBLEM_ERROR, PROBLEM_ERROR};
	char out[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(judged(rows[i].options, &host, out), rows[i].problems);
}

static void test_nobody_is_asked(void **state)
{
	char out[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(judged(rows[i].options, NULL, out), "");
}

static int closed(const char *path, bool is_run, struct err *e)
{
	(void)path;
	return err_set(e, is_run ? -ENOENT : -EACCES, "no");
}

static void test_what_they_are(void **state)
{
	const struct config_host guest = {closed, PROBLEM_ERROR, PROBLEM_WARNING};
	const struct config_host start = {closed, PROBLEM_WARNING, PROBLEM_WARNING};
	char out[1000];

	(void)state;
	assert_string_equal(judged("type: https\n    ca: /a", &guest, out), "warning 8 health.ca /a: no");
	assert_string_equal(judged("type: script\n    command: /a", &guest, out), "error 8 health.command /a: no");
	assert_string_equal(judged("type: script\n    command: /a", &start, out), "warning 8 health.command /a: no");
}

/* root may read everything, so that another has to look. */
static void test_what_is_closed(void **state)
{
	struct err e;
	char path[100];

	(void)state;
	snprintf(path, sizeof(path), "%s/pem", folder);
	assert_int_equal(file_look(path, false, &e), 0);
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(file_look(path, false, &e), -EACCES);
	assert_int_equal(seteuid(0), 0);
	assert_string_equal(e.text, "it cannot be read: Permission denied");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_named),
		cmocka_unit_test(test_nobody_is_asked),
		cmocka_unit_test(test_what_they_are),
		cmocka_unit_test(test_what_is_closed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* What all kinds of probes have in common, and tcp, icmp and script: answers, times, and that nothing is left behind.
 */
#include "probe_lab.h"

#include <signal.h>
#include <sys/wait.h>

#define TIMEOUT_MS 200
#define MANY	   200
#ifdef __SANITIZE_ADDRESS__ /* which keeps for a while what is freed */
#define MEMORY_MOST_KB 65536
#else
#define MEMORY_MOST_KB 2048
#endif

static void serve_nothing(const void *context, int fd)
{
	(void)context;
	(void)fd;
}

static void every_kind_has_its_name(void **state)
{
	(void)state;
	for (enum config_probe i = CONFIG_PROBE_TCP; i < CONFIG_PROBE_COUNT; i++)
		assert_text("name", probe_kinds[i]->name, config_probe_name(i));
}

static void tcp(void **state)
{
	const struct config_health health = {.type = CONFIG_PROBE_TCP, .timeout_ms = TIMEOUT_MS};
	struct lab_server server;
	struct lab lab;

	(void)state;
	lab_open(&lab);
	lab_begin(&server, SOCK_STREAM, serve_nothing, NULL);
	lab_ask(&lab, &health, "127.0.0.1", server.port);
	lab_end(&server);
	lab_expect(&lab, "accepted", HEALTH_GOOD, "");
	lab_ask(&lab, &health, "127.0.0.1", server.port);
	lab_expect(&lab, "closed", HEALTH_REFUSED, "connection refused (RST)");
	lab_close(&lab);
}

/* A listener whose queue is full answers no SYN. */
static void tcp_silent(void **state)
{
	const struct config_health health = {.type = CONFIG_PROBE_TCP, .timeout_ms = TIMEOUT_MS};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0), full[2];
	struct lab lab;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&at, bytes) | listen(fd, 0), 0);
	getsockname(fd, (struct sockaddr *)&at, &bytes);
	for (int i = 0; i < 2; i++) {
		full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(full[i], (struct sockaddr *)&at, bytes);
	}
	lab_open(&lab);
	lab_ask(&lab, &health, "127.0.0.1", ntohs(at.sin_port));
	lab_expect(&lab, "no SYN is answered", HEALTH_SILENT, "no answer within 200 ms");
	assert_in_range(lab.result.took_us, TIMEOUT_MS * 1000, TIMEOUT_MS * 1000 + 500000);
	lab_close(&lab);
	close(full[0]);
	close(full[1]);
	close(fd);
}

/* An answer that has come while the loop was busy with something else was in time. */
static void a_busy_loop_is_no_silence(void **state)
{
	const struct config_health health = {.type = CONFIG_PROBE_TCP, .timeout_ms = 10};
	struct probe_target target = {0};
	struct lab_server server;
	struct lab lab;
	struct err e;

	(void)state;
	lab_open(&lab);
	lab_begin(&server, SOCK_STREAM, serve_nothing, NULL);
	ip_parse(&target.address, "127.0.0.1");
	target.port = server.port;
	assert_non_null(probe_kinds[CONFIG_PROBE_TCP]->start(lab.shared, &health, &target, lab_answered, &lab, &e));
	usleep(100000);
	while (!lab.answers)
		uv_run(&lab.loop, UV_RUN_ONCE);
	lab_end(&server);
	lab_expect(&lab, "answered before it was looked at", HEALTH_GOOD, "");
	lab_close(&lab);
}

static void icmp(void **state)
{
	const struct config_health health = {.type = CONFIG_PROBE_ICMP, .timeout_ms = TIMEOUT_MS};
	struct lab lab;

	(void)state;
	lab_open(&lab);
	lab_ask(&lab, &health, "127.0.0.1", 0);
	lab_expect(&lab, "IPv4", HEALTH_GOOD, "");
	lab_ask(&lab, &health, "::1", 0);
	lab_expect(&lab, "IPv6", HEALTH_GOOD, "");
	lab_ask(&lab, &health, "192.0.2.1", 0);
	lab_expect(&lab, "no route", HEALTH_LOCAL, "sending an echo request: Network is unreachable");
	lab_close(&lab);
}

/* ---- script ------------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *sentence, *command;
	enum health_answer answer;
	const char *text;
} scripts[] = {
	{"exit 0 is good", "echo whatever; exit 0", HEALTH_GOOD, ""},
	{"the last line is told", "echo one; echo two >&2; exit 1", HEALTH_WRONG, "two"},
	{"also one without an end", "printf 'one\\ntwo'; exit 1", HEALTH_WRONG, "two"},
	{"empty lines do not count", "printf 'one\\n\\n\\n'; exit 1", HEALTH_WRONG, "one"},
	{"what cannot be printed is not", "printf 'a\\001\\tb\\377'; exit 1", HEALTH_WRONG, "a??b?"},
	{"a long line is cut", "printf 'x%0200d' 1; exit 1", HEALTH_WRONG,
	 "x000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"},
	{"no output", "exit 7", HEALTH_WRONG, "the command ended with status 7"},
	{"a signal", "kill -TERM $$", HEALTH_WRONG, "the command was killed by signal 15 (Terminated)"},
	{"no end", "sleep 60", HEALTH_SLOW, "the command did not end within 200 ms"},
	{"children that do not end are killed too", "sleep 60 & exit 0", HEALTH_GOOD, ""},
	{"a flood is read and dropped",
	 "i=0; while [ $i -lt 300 ]; do printf '%04096d\\n' 1; i=$((i+1)); done; echo end; exit 1", HEALTH_WRONG, "end"},
	{"a flood without an end is ended", "while :; do echo flood; done", HEALTH_SLOW,
	 "the command did not end within 200 ms"},
	{"the environment is this alone",
	 "env | cut -d= -f1 | grep -v -e PWD -e SHLVL -e '^_$' | sort | tr '\\n' ' '; exit 1", HEALTH_WRONG,
	 "HALFPROXY_ADDRESS HALFPROXY_BACKEND HALFPROXY_MARK HALFPROXY_PORT PATH "},
	{"it says what to ask", "echo $HALFPROXY_ADDRESS $HALFPROXY_PORT $HALFPROXY_BACKEND $HALFPROXY_MARK; exit 1",
	 HEALTH_WRONG, "127.0.0.1 80 127.0.0.1 0"},
	{"no descriptor is handed on",
	 "for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do [ -e /proc/$$/fd/$i ] && printf \"$i \"; done; exit 1", HEALTH_WRONG,
	 "0 1 2 "},
	{"there is nothing to read", "read x || echo empty; exit 1", HEALTH_WRONG, "empty"},
	{"it leads a session of its own", "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leads; exit 1", HEALTH_WRONG,
	 "leads"},
	{"signals that this process ignores end it", "kill -USR1 $$; sleep 60", HEALTH_WRONG,
	 "the command was killed by signal 10 (User defined signal 1)"},
};

static void script(void **state)
{
	char *words[] = {(char *)"/bin/sh", (char *)"-c", NULL, NULL};
	struct config_health health = {.type = CONFIG_PROBE_SCRIPT, .command = words};
	unsigned int descriptors;
	struct lab lab;

	(void)state;
	signal(SIGUSR1, SIG_IGN);
	lab_open(&lab);
	descriptors = lab_descriptors();
	for (size_t i = 0; i < COUNT(scripts); i++) {
		words[2] = (char *)scripts[i].command;
		health.timeout_ms = scripts[i].answer == HEALTH_SLOW ? TIMEOUT_MS : 10000;
		lab_ask(&lab, &health, "127.0.0.1", 80);
		lab_expect(&lab, scripts[i].sentence, scripts[i].answer, scripts[i].text);
	}
	usleep(50000);
	uv_run(&lab.loop, UV_RUN_NOWAIT);
	assert_int_equal(lab_descriptors(), descriptors);
	assert_true(waitpid(-1, NULL, WNOHANG) < 0); /* no zombie, no child */
	lab_close(&lab);
}

/* The pipe takes the last two descriptors: the command runs, and none is left to wait for it by. */
static void a_script_that_cannot_be_waited_for(void **state)
{
	char *words[] = {(char *)"/bin/sleep", (char *)"60", NULL};
	const struct config_health health = {.type = CONFIG_PROBE_SCRIPT, .command = words, .timeout_ms = 10000};
	const struct probe_target target = {.port = 0};
	struct rlimit former, few;
	struct err e;
	struct lab lab;
	int ends[2];

	(void)state;
	lab_open(&lab);
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	close(ends[1]);
	getrlimit(RLIMIT_NOFILE, &former);
	few = former;
	few.rlim_cur = (rlim_t)ends[1] + 1;
	setrlimit(RLIMIT_NOFILE, &few);
	assert_null(probe_kinds[CONFIG_PROBE_SCRIPT]->start(lab.shared, &health, &target, NULL, NULL, &e));
	setrlimit(RLIMIT_NOFILE, &former);
	assert_holds("no descriptor", e.text, "waiting for /bin/sleep");
	while (waitid(P_ALL, 0, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) == 0)
		uv_run(&lab.loop, UV_RUN_ONCE);
	lab_close(&lab);
}

static void a_script_whose_end_is_ignored(void **state)
{
	char *words[] = {(char *)"/bin/true", NULL};
	const struct config_health health = {.type = CONFIG_PROBE_SCRIPT, .command = words, .timeout_ms = 10000};
	struct lab lab;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	lab_open(&lab);
	lab_ask(&lab, &health, "127.0.0.1", 80);
	lab_expect(&lab, "ignored by whoever started the daemon", HEALTH_GOOD, "");
	lab_close(&lab);
}

static void a_script_that_is_none(void **state)
{
	char *words[] = {(char *)"/nowhere/check", NULL};
	const struct config_health health = {.type = CONFIG_PROBE_SCRIPT, .command = words, .timeout_ms = TIMEOUT_MS};
	struct lab lab;

	(void)state;
	lab_open(&lab);
	lab_ask(&lab, &health, "127.0.0.1", 80);
	lab_expect(&lab, "no such file", HEALTH_LOCAL, "/nowhere/check: No such file or directory");
	lab_close(&lab);
}

/* ---- many --------------------------------------------------------------------------------------------------------------- */

static void probes_can_be_given_up(void **state)
{
	char *words[] = {(char *)"/bin/sleep", (char *)"60", NULL};
	struct config_health health = {
		.path = (char *)"/", .name = (char *)"a.test", .record = 1, .command = words, .timeout_ms = TIMEOUT_MS};
	struct probe_target target = {.port = 9};
	struct lab lab;
	struct err e;

	(void)state;
	lab_open(&lab);
	ip_parse(&target.address, "127.0.0.1");
	for (enum config_probe i = CONFIG_PROBE_TCP; i < CONFIG_PROBE_COUNT; i++) {
		struct probe *probe;

		health.type = i;
		probe = probe_kinds[i]->start(lab.shared, &health, &target, lab_answered, &lab, &e);
		assert_non_null(probe);
		probe_kinds[i]->end(probe);
	}
	uv_run(&lab.loop, UV_RUN_NOWAIT);
	assert_int_equal(lab.answers, 0);
	lab_close(&lab);
}

static void nothing_grows(void **state)
{
	char *words[] = {(char *)"/bin/true", NULL};
	struct config_health health = {.command = words, .timeout_ms = 1000};
	static const enum config_probe kinds[] = {CONFIG_PROBE_TCP, CONFIG_PROBE_ICMP, CONFIG_PROBE_SCRIPT};
	unsigned int descriptors = 0;
	long memory_kb = 0;
	struct lab lab;

	(void)state;
	lab_open(&lab);
	for (int i = 0; i < MANY; i++) {
		health.type = kinds[i % 3];
		lab_ask(&lab, &health, "127.0.0.1", 9);
		assert_int_equal(lab.result.answer, health.type == CONFIG_PROBE_TCP ? HEALTH_REFUSED : HEALTH_GOOD);
		if (i == MANY / 4) {
			memory_kb = lab_memory_kb();
			descriptors = lab_descriptors();
		}
	}
	assert_int_equal(lab_descriptors(), descriptors);
	assert_in_range(lab_memory_kb() - memory_kb, 0, MEMORY_MOST_KB);
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_has_its_name),
		cmocka_unit_test(tcp),
		cmocka_unit_test(tcp_silent),
		cmocka_unit_test(a_busy_loop_is_no_silence),
		cmocka_unit_test(icmp),
		cmocka_unit_test(script),
		cmocka_unit_test(a_script_whose_end_is_ignored),
		cmocka_unit_test(a_script_that_is_none),
		cmocka_unit_test(a_script_that_cannot_be_waited_for),
		cmocka_unit_test(probes_can_be_given_up),
		cmocka_unit_test(nothing_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What all kinds of probes have in common, and tcp and icmp: answers, times, and that nothing is left behind.
 */
#include "probe_lab.h"

#define TIMEOUT_MS 200

static void serve_nothing(const void *context, int fd)
{
	(void)context;
	(void)fd;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp),
		cmocka_unit_test(tcp_silent),
		cmocka_unit_test(a_busy_loop_is_no_silence),
		cmocka_unit_test(icmp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

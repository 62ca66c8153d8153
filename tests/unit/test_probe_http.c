/* http and https asked of servers that misbehave: each gets a clear answer, none costs memory without bound, and
 * whatever one sends, the probe is over when its time is. */
#include "probe_lab.h"

#include <signal.h>
#include <time.h>

#define TIMEOUT_MS 300
#define MANY	   25
#ifdef __SANITIZE_ADDRESS__ /* which keeps for a while what is freed */
#define MEMORY_MOST_KB 262144
#else
#define MEMORY_MOST_KB 6144
#endif

enum then { THEN_CLOSE, THEN_RESET, THEN_HOLD, THEN_AGAIN, THEN_DRIP };

struct row {
	const char *sentence;
	const char *says; /* whatever it was asked */
	enum then then;
	const char *again; /* THEN_AGAIN, THEN_DRIP: repeated until the other side is gone */
	enum health_answer answer;
	const char *text;
	const char *expect;
	struct config_codes status[3]; /* none: 200 to 399 */
	bool is_tls;
};

static const struct row rows[] = {
	{"a whole answer is good", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", .answer = HEALTH_GOOD, .text = ""},
	{"an answer may end with the connection", "HTTP/1.0 200 OK\r\n\r\nhello", .answer = HEALTH_GOOD, .text = ""},
	{"a text is found in chunks",
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", .expect = "hello",
	 .answer = HEALTH_GOOD, .text = ""},
	{"a text that lacks is wrong", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", .expect = "hello",
	 .answer = HEALTH_WRONG, .text = "HTTP 200, but the body does not hold \"hello\""},
	{"a bad code is said", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", .answer = HEALTH_WRONG,
	 .text = "HTTP 503 for /, not 200-399"},
	{"one good code is said as one", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", .status = {{204, 204}},
	 .answer = HEALTH_WRONG, .text = "HTTP 200 for /, not 204"},
	{"a redirection is not followed", "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
	 .answer = HEALTH_GOOD, .text = ""},
	{"nor is it taken for good where it may not be",
	 "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", .status = {{200, 204}},
	 .answer = HEALTH_WRONG, .text = "HTTP 302 for /, not 200-204"},
	{"one of several codes is good", "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", .status = {{200, 204}, {401, 401}},
	 .answer = HEALTH_GOOD, .text = ""},
	{"what lies between them is not", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
	 .status = {{200, 204}, {300, 300}, {401, 401}}, .answer = HEALTH_WRONG, .text = "HTTP 302 for /, not 200-204, 300, 401"},
	{"garbage is not HTTP", "\001\002garbage, and nothing else\r\n\r\n", .answer = HEALTH_WRONG, .text = "not HTTP"},
	{"ssh is not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", THEN_HOLD, .answer = HEALTH_WRONG, .text = "not HTTP"},
	{"HTTP/0.9 is not HTTP", "<html>hello</html>", .answer = HEALTH_WRONG, .text = "not HTTP"},
	{"endless garbage is not HTTP", "x", THEN_AGAIN, .again = "garbage without an end ", .answer = HEALTH_WRONG,
	 .text = "not HTTP"},
	{"a code that is none", "HTTP/1.1 9x9 What\r\n\r\n", .answer = HEALTH_WRONG, .text = "not HTTP"},
	{"accepted and reset", "", THEN_RESET, .answer = HEALTH_RESET, .text = "connection closed without an answer"},
	{"accepted and closed", "", THEN_CLOSE, .answer = HEALTH_RESET, .text = "connection closed without an answer"},
	{"cut off in the middle", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", .answer = HEALTH_RESET,
	 .text = "HTTP 200, but the connection closed before the answer was complete"},
	{"cut off by RST", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", THEN_RESET, .answer = HEALTH_RESET,
	 .text = "HTTP 200, but the connection closed before the answer was complete"},
	{"accepted and silent", "", THEN_HOLD, .answer = HEALTH_SLOW, .text = "connected, but no answer within 300 ms"},
	{"silent in the middle", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", THEN_HOLD, .answer = HEALTH_SLOW,
	 .text = "HTTP 200, but the answer was not complete within 300 ms"},
	{"a byte at a time", "HTTP/1.1 200 OK\r\n", THEN_DRIP, .again = "x", .answer = HEALTH_SLOW,
	 .text = "HTTP 200, but the answer was not complete within 300 ms"},
	{"a body of 100 MB is cut", "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\nneedle", THEN_AGAIN,
	 .again = "hay hay hay ", .answer = HEALTH_GOOD, .text = ""},
	{"and searched as far as it was read", "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\nneedle", THEN_AGAIN,
	 .again = "hay ", .answer = HEALTH_GOOD, .text = "", .expect = "needle"},
	{"but no further", "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\nneedle", THEN_AGAIN, .again = "hay ",
	 .answer = HEALTH_WRONG, .text = "HTTP 200, but the first 64 KB of the body do not hold \"pin\"", .expect = "pin"},
	{"a code is judged of a long body too", "HTTP/1.1 404 No\r\nContent-Length: 104857600\r\n\r\n", THEN_AGAIN,
	 .again = "hay ", .answer = HEALTH_WRONG, .text = "HTTP 404 for /, not 200-399"},
	{"headers without an end", "HTTP/1.1 200 OK\r\n", THEN_AGAIN, .again = "X-More: and more of it\r\n",
	 .answer = HEALTH_WRONG, .text = "more than 64 KB of headers"},
	{"a header without an end", "HTTP/1.1 200 OK\r\nX-Long: ", THEN_AGAIN, .again = "and longer ",
	 .answer = HEALTH_WRONG, .text = "more than 64 KB of headers"},
	{"answers to come without an end", "", THEN_AGAIN, .again = "HTTP/1.1 100 Continue\r\n\r\n", .answer = HEALTH_WRONG,
	 .text = "more than 64 KB of headers"},
	{"trailers without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", THEN_AGAIN,
	 .again = "X-More: and more of it\r\n", .answer = HEALTH_WRONG, .text = "more than 64 KB of headers"},
	{"a chunk's extension without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", THEN_AGAIN,
	 .again = "more of it ", .answer = HEALTH_WRONG, .text = "more than 1 MB came, and no whole answer"},
	{"chunks that are none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", THEN_HOLD,
	 .answer = HEALTH_WRONG, .text = "not HTTP: Illegal or missing hexadecimal sequence in chunked-encoding"},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", THEN_HOLD, .answer = HEALTH_WRONG,
	 .text = "not HTTP"},
	{"TLS asked of HTTP", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", .answer = HEALTH_WRONG,
	 .text = "not TLS", .is_tls = true},
	{"TLS asked of garbage", "\001\002garbage, and nothing else\r\n\r\n", THEN_AGAIN, .again = "garbage ",
	 .answer = HEALTH_WRONG, .text = "not TLS", .is_tls = true},
	{"TLS asked of the silent", "", THEN_HOLD, .answer = HEALTH_SLOW,
	 .text = "connected, but the TLS handshake was not complete within 300 ms", .is_tls = true},
	{"TLS asked of one that closes", "", THEN_CLOSE, .answer = HEALTH_RESET,
	 .text = "connection closed during the TLS handshake", .is_tls = true},
	{"TLS asked of one that resets", "", THEN_RESET, .answer = HEALTH_RESET,
	 .text = "connection closed during the TLS handshake", .is_tls = true},
	{"a record of TLS that has no end", "\026\003\003\100\000\002\000\377\377\003\003", THEN_AGAIN, .again = "xxxxxxxx",
	 .answer = HEALTH_WRONG, .text = "not TLS", .is_tls = true},
	{"an alert is told", "\025\003\003\000\002\002\050", THEN_HOLD, .answer = HEALTH_WRONG,
	 .text = "TLS: the server says: handshake failure", .is_tls = true},
};

static size_t length(const struct row *row)
{
	/* The one text that holds a zero. */
	return row->says[0] == '\026' ? 11 : row->says[0] == '\025' ? 7 : strlen(row->says);
}

static void serve(const void *context, int fd)
{
	const struct row *row = context;
	const struct linger reset = {.l_onoff = 1};
	const struct timespec pause = {.tv_nsec = 20000000};
	char request[4096], block[8192] = "";

	if (row->then != THEN_RESET || *row->says)
		recv(fd, request, sizeof(request), 0);
	if (send(fd, row->says, length(row), MSG_NOSIGNAL) < 0)
		return;
	while (row->then == THEN_AGAIN && strlen(block) + strlen(row->again) < sizeof(block))
		strcat(block, row->again);
	while (row->then == THEN_AGAIN && send(fd, block, strlen(block), MSG_NOSIGNAL) > 0)
		;
	while (row->then == THEN_DRIP && send(fd, row->again, 1, MSG_NOSIGNAL) > 0)
		nanosleep(&pause, NULL);
	if (row->then == THEN_RESET) {
		nanosleep(&pause, NULL);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		return;
	}
	if (row->then == THEN_CLOSE)
		shutdown(fd, SHUT_WR);
	while (recv(fd, request, sizeof(request), 0) > 0) /* until the other side is gone */
		;
}

static struct config_health health_of(const struct row *row)
{
	const struct config_codes *codes = row->status;
	struct config_health health = {
		.type = row->is_tls ? CONFIG_PROBE_HTTPS : CONFIG_PROBE_HTTP,
		.path = (char *)"/",
		.status = {{200, 399}},
		.status_count = 1,
		.expect = (char *)row->expect,
		.expect_bytes = row->expect ? strlen(row->expect) : 0,
		.timeout_ms = TIMEOUT_MS,
	};

	for (health.status_count = codes->first == 0; codes < row->status + COUNT(row->status) && codes->first; codes++)
		health.status[health.status_count++] = *codes;
	return health;
}

static void every_server_gets_its_answer(void **state)
{
	struct lab lab;

	(void)state;
	lab_open(&lab);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config_health health = health_of(&rows[i]);
		struct lab_server server;

		lab_begin(&server, SOCK_STREAM, serve, &rows[i]);
		lab_ask(&lab, &health, "127.0.0.1", server.port);
		lab_end(&server);
		lab_expect(&lab, rows[i].sentence, rows[i].answer, rows[i].text);
		if (lab.result.took_us > (TIMEOUT_MS + 200) * 1000)
			fail_msg("%s: took %u us", rows[i].sentence, lab.result.took_us);
	}
	lab_close(&lab);
}

/* Those that send without end, many times over. */
static void nothing_grows(void **state)
{
	struct lab lab;
	unsigned int descriptors = 0;
	long memory_kb = 0;

	(void)state;
	lab_open(&lab);
	for (int round = 0; round < MANY; round++) {
		if (round == 1) {
			memory_kb = lab_memory_kb();
			descriptors = lab_descriptors();
		}
		for (size_t i = 0; i < COUNT(rows); i++) {
			struct config_health health = health_of(&rows[i]);
			struct lab_server server;

			if (rows[i].then != THEN_AGAIN && rows[i].then != THEN_RESET)
				continue;
			lab_begin(&server, SOCK_STREAM, serve, &rows[i]);
			lab_ask(&lab, &health, "127.0.0.1", server.port);
			lab_end(&server);
		}
		uv_run(&lab.loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(lab_descriptors(), descriptors);
	assert_in_range(lab_memory_kb() - memory_kb, 0, MEMORY_MOST_KB);
	lab_close(&lab);
}

static void a_probe_can_be_given_up(void **state)
{
	const struct row silent = {.says = "", .then = THEN_HOLD};
	struct config_health health = health_of(&silent);
	struct probe_target target = {0};
	struct lab_server server;
	struct lab lab;
	struct err e;

	(void)state;
	lab_open(&lab);
	lab_begin(&server, SOCK_STREAM, serve, &silent);
	ip_parse(&target.address, "127.0.0.1");
	target.port = server.port;
	for (int turns = 0; turns < 5; turns++) {
		struct probe *probe =
			probe_kinds[CONFIG_PROBE_HTTP]->start(lab.shared, &health, &target, lab_answered, &lab, &e);

		assert_non_null(probe);
		for (int i = 0; i < turns; i++)
			uv_run(&lab.loop, UV_RUN_NOWAIT);
		probe_kinds[CONFIG_PROBE_HTTP]->end(probe);
	}
	lab_end(&server);
	lab_close(&lab);
	assert_int_equal(lab.answers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_server_gets_its_answer),
		cmocka_unit_test(nothing_grows),
		cmocka_unit_test(a_probe_can_be_given_up),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

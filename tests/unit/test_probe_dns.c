/* dns and udp asked of servers that lie: an answer counts if it is to the question that was asked, comes from where it
 * was asked, and says what it should. */
#include "probe_lab.h"

#include <ares.h>
#include <ares_dns.h>
#include <arpa/nameser.h>
#include <sys/socket.h>

#define TIMEOUT_MS 200
#define NAME	   "www.halfproxy.test"
#define GOOD4	   "192.0.2.7"
#define MANY	   300
#define DAMAGED	   2000
#ifdef __SANITIZE_ADDRESS__ /* which keeps for a while what is freed */
#define MEMORY_MOST_KB 65536
#else
#define MEMORY_MOST_KB 2048
#endif

enum lie {
	LIE_NONE,
	LIE_ID,	      /* another id */
	LIE_ID_FIRST, /* another id, and then the right answer */
	LIE_QUESTION, /* another name in the question */
	LIE_TYPE,     /* another type in it */
	LIE_NO_QUESTION,
	LIE_ECHO,    /* the question itself, which is no answer */
	LIE_SHORT,   /* cut within the header */
	LIE_CUT,     /* cut within the answer */
	LIE_LOOP,    /* a name that points to itself */
	LIE_NOTHING, /* no error, and no record */
	LIE_MANY,    /* says it has 65535 answers */
	LIE_SILENT,
	LIE_DAMAGE, /* bytes changed and cut off at random, but for the id */
	LIE_FLOOD, /* 200 datagrams of another id, which a socket has room for */
};

struct row {
	const char *sentence;
	enum lie lie;
	uint8_t rcode;
	enum health_answer answer;
	const char *text;
	const char *expect;
};

static const struct row rows[] = {
	{.sentence = "a record is good", .answer = HEALTH_GOOD, .text = ""},
	{.sentence = "the expected address is found", .expect = GOOD4, .answer = HEALTH_GOOD, .text = ""},
	{.sentence = "another address is not",
	 .expect = "192.0.2.8",
	 .answer = HEALTH_WRONG,
	 .text = "192.0.2.8 is not among the addresses of " NAME},
	{.sentence = "an error is said", .rcode = ns_r_servfail, .answer = HEALTH_WRONG, .text = "DNS SERVFAIL for " NAME},
	{.sentence = "and that there is no such name",
	 .rcode = ns_r_nxdomain,
	 .answer = HEALTH_WRONG,
	 .text = "DNS NXDOMAIN for " NAME},
	{.sentence = "another id is not believed",
	 .lie = LIE_ID,
	 .answer = HEALTH_WRONG,
	 .text = "the answer bears another id than the question"},
	{.sentence = "and does not spoil the answer", .lie = LIE_ID_FIRST, .answer = HEALTH_GOOD, .text = ""},
	{.sentence = "nor do two hundred", .lie = LIE_FLOOD, .answer = HEALTH_GOOD, .text = ""},
	{.sentence = "another name",
	 .lie = LIE_QUESTION,
	 .answer = HEALTH_WRONG,
	 .text = "the answer is to another question"},
	{.sentence = "another type", .lie = LIE_TYPE, .answer = HEALTH_WRONG, .text = "the answer is to another question"},
	{.sentence = "no question",
	 .lie = LIE_NO_QUESTION,
	 .answer = HEALTH_WRONG,
	 .text = "the answer is to another question"},
	{.sentence = "the question come back", .lie = LIE_ECHO, .answer = HEALTH_WRONG, .text = "the answer is not DNS"},
	{.sentence = "half a header", .lie = LIE_SHORT, .answer = HEALTH_WRONG, .text = "the answer is not DNS"},
	{.sentence = "half an answer holds no address",
	 .lie = LIE_CUT,
	 .expect = GOOD4,
	 .answer = HEALTH_WRONG,
	 .text = GOOD4 " is not among the addresses of " NAME},
	{.sentence = "a name without an end",
	 .lie = LIE_LOOP,
	 .answer = HEALTH_WRONG,
	 .text = "the answer is to another question"},
	{.sentence = "no record", .lie = LIE_NOTHING, .answer = HEALTH_WRONG, .text = NAME " has no A record"},
	{.sentence = "records that are not there",
	 .lie = LIE_MANY,
	 .expect = GOOD4,
	 .answer = HEALTH_WRONG,
	 .text = GOOD4 " is not among the addresses of " NAME},
	{.sentence = "no answer", .lie = LIE_SILENT, .answer = HEALTH_SILENT, .text = "no answer within 200 ms"},
};

/* The question becomes the answer: a pointer to its name, A, IN, a TTL, four bytes. */
static size_t make_answer(const struct row *row, uint8_t *message, size_t bytes, size_t question_end)
{
	static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7};

	(void)bytes;
	DNS_HEADER_SET_QR(message, 1);
	DNS_HEADER_SET_RCODE(message, row->rcode);
	DNS_HEADER_SET_ANCOUNT(message, row->rcode || row->lie == LIE_NOTHING ? 0 : row->lie == LIE_MANY ? 65535 : 1);
	DNS_HEADER_SET_ARCOUNT(message, 0);
	memcpy(message + question_end, record, sizeof(record));
	return question_end + (row->rcode || row->lie == LIE_NOTHING ? 0 : sizeof(record));
}

static size_t lie(const struct row *row, uint8_t *message, size_t bytes, size_t question_end)
{
	switch (row->lie) {
	case LIE_NONE:
	case LIE_NOTHING:
	case LIE_MANY:
	case LIE_SILENT:
		return bytes;
	case LIE_ID:
	case LIE_ID_FIRST:
	case LIE_FLOOD:
		message[0] ^= 1;
		return bytes;
	case LIE_QUESTION:
		message[13] = 'x';
		return bytes;
	case LIE_TYPE:
		message[question_end - 3] = 28;
		return bytes;
	case LIE_NO_QUESTION:
		DNS_HEADER_SET_QDCOUNT(message, 0);
		return bytes;
	case LIE_ECHO:
		message[2] &= 0x7f;
		return question_end;
	case LIE_SHORT:
		return 7;
	case LIE_CUT:
		return bytes - 3;
	case LIE_DAMAGE:
		for (long i = random() % 6; i >= 0; i--)
			message[2 + random() % (long)(bytes - 2)] = (uint8_t)(random() % 4 ? random() : 0xc0);
		return random() % 3 ? bytes : 2 + (size_t)random() % (bytes - 2);
	case LIE_LOOP:
		message[12] = 0xc0;
		message[13] = 12;
		return bytes;
	}
	return bytes;
}

static void serve(const void *context, int fd)
{
	const struct row *row = context;
	uint8_t message[2048];
	struct sockaddr_in from;
	socklen_t from_bytes = sizeof(from);
	ssize_t got = recvfrom(fd, message, 1024, 0, (struct sockaddr *)&from, &from_bytes);
	size_t question_end = 12 + strlen(NAME) + 2 + 4, bytes;

	if (got < (ssize_t)question_end || row->lie == LIE_SILENT)
		return;
	bytes = make_answer(row, message, (size_t)got, question_end);
	bytes = lie(row, message, bytes, question_end);
	for (int i = 0; i < (row->lie == LIE_FLOOD ? 200 : 1); i++)
		sendto(fd, message, bytes, 0, (struct sockaddr *)&from, from_bytes);
	if (row->lie != LIE_ID_FIRST && row->lie != LIE_FLOOD)
		return;
	usleep(20000);
	message[0] ^= 1;
	sendto(fd, message, bytes, 0, (struct sockaddr *)&from, from_bytes);
}

static struct config_health health_of(const struct row *row)
{
	return (struct config_health){
		.type = CONFIG_PROBE_DNS,
		.name = (char *)NAME,
		.record = ns_t_a,
		.expect = (char *)row->expect,
		.expect_bytes = row->expect ? strlen(row->expect) : 0,
		.timeout_ms = TIMEOUT_MS,
	};
}

static void every_lie_is_found(void **state)
{
	struct lab lab;

	(void)state;
	lab_open(&lab);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config_health health = health_of(&rows[i]);
		struct lab_server server;

		lab_begin(&server, SOCK_DGRAM, serve, &rows[i]);
		lab_ask(&lab, &health, "127.0.0.1", server.port);
		lab_end(&server);
		lab_expect(&lab, rows[i].sentence, rows[i].answer, rows[i].text);
	}
	lab_close(&lab);
}

static void nothing_grows(void **state)
{
	struct config_health health = health_of(&rows[0]);
	struct lab_server server;
	struct lab lab;
	unsigned int descriptors = 0;
	long memory_kb = 0;

	(void)state;
	lab_open(&lab);
	lab_begin(&server, SOCK_DGRAM, serve, &rows[0]);
	for (int i = 0; i < MANY; i++) {
		lab_ask(&lab, &health, "127.0.0.1", server.port);
		if (i == MANY / 4) {
			memory_kb = lab_memory_kb();
			descriptors = lab_descriptors();
		}
	}
	assert_int_equal(lab_descriptors(), descriptors);
	assert_in_range(lab_memory_kb() - memory_kb, 0, MEMORY_MOST_KB);
	lab_end(&server);
	lab_close(&lab);
}

/* Anything may come. Whatever it is taken for, reading it stays within it; the sanitizers judge. */
static void damaged_answers_are_read(void **state)
{
	static const struct row damaged = {.lie = LIE_DAMAGE, .expect = GOOD4};
	struct config_health health = health_of(&damaged);
	struct lab_server server;
	struct lab lab;

	(void)state;
	lab_open(&lab);
	lab_begin(&server, SOCK_DGRAM, serve, &damaged);
	for (int i = 0; i < DAMAGED; i++)
		lab_ask(&lab, &health, "127.0.0.1", server.port);
	lab_end(&server);
	lab_close(&lab);
}

static void a_name_that_is_none_is_refused_here(void **state)
{
	struct config_health health = {
		.type = CONFIG_PROBE_DNS, .name = (char *)"a..b", .record = ns_t_a, .timeout_ms = TIMEOUT_MS};
	struct lab lab;

	(void)state;
	lab_open(&lab);
	lab_ask(&lab, &health, "127.0.0.1", 53);
	lab_expect(&lab, "a name that is none", HEALTH_LOCAL, "a question for a..b: Misformatted domain name");
	lab_close(&lab);
}

/* ---- udp ---------------------------------------------------------------------------------------------------------------- */

struct udp_row {
	const char *sentence, *send, *says, *expect;
	size_t says_bytes;
	bool is_elsewhere; /* answers from another address and another port */
	enum health_answer answer;
	const char *text; /* %u is the server's port */
};

static const struct udp_row udp_rows[] = {
	{.sentence = "any answer is good",
	 .send = "hello",
	 .says = "what",
	 .says_bytes = 4,
	 .answer = HEALTH_GOOD,
	 .text = ""},
	{.sentence = "an empty one as well", .send = "", .says = "", .answer = HEALTH_GOOD, .text = ""},
	{.sentence = "the beginning counts",
	 .send = "a",
	 .says = "pong 12",
	 .says_bytes = 7,
	 .expect = "pong",
	 .answer = HEALTH_GOOD,
	 .text = ""},
	{.sentence = "another beginning is wrong",
	 .send = "a",
	 .says = "ping",
	 .says_bytes = 4,
	 .expect = "pong",
	 .answer = HEALTH_WRONG,
	 .text = "the answer, of 4 bytes, does not begin as expected"},
	{.sentence = "less than expected is wrong",
	 .send = "a",
	 .says = "po",
	 .says_bytes = 2,
	 .expect = "pong",
	 .answer = HEALTH_WRONG,
	 .text = "the answer, of 2 bytes, does not begin as expected"},
	{.sentence = "whoever answers from elsewhere is named",
	 .send = "a",
	 .says = "pong",
	 .says_bytes = 4,
	 .expect = "pong",
	 .is_elsewhere = true,
	 .answer = HEALTH_STRANGER,
	 .text = "the answer came from 127.0.0.2 port 4, not from 127.0.0.1 port %u"},
	{.sentence = "unless it is no answer",
	 .send = "a",
	 .says = "ping",
	 .says_bytes = 4,
	 .expect = "pong",
	 .is_elsewhere = true,
	 .answer = HEALTH_SILENT,
	 .text = "no answer within 200 ms"},
};

static void serve_udp(const void *context, int fd)
{
	const struct udp_row *row = context;
	struct sockaddr_in from,
		own = {.sin_family = AF_INET, .sin_port = htons(4), .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
	socklen_t from_bytes = sizeof(from);
	char question[100];
	int other;

	if (recvfrom(fd, question, sizeof(question), 0, (struct sockaddr *)&from, &from_bytes) < 0)
		return;
	if (!row->is_elsewhere) {
		sendto(fd, row->says, row->says_bytes, 0, (struct sockaddr *)&from, from_bytes);
		return;
	}
	other = socket(AF_INET, SOCK_DGRAM, 0);
	if (!bind(other, (struct sockaddr *)&own, sizeof(own)))
		sendto(other, row->says, row->says_bytes, 0, (struct sockaddr *)&from, from_bytes);
	close(other);
}

static void every_answer_is_judged(void **state)
{
	struct lab lab;
	char text[200];

	(void)state;
	lab_open(&lab);
	for (size_t i = 0; i < COUNT(udp_rows); i++) {
		const struct udp_row *row = &udp_rows[i];
		struct config_health health = {.type = CONFIG_PROBE_UDP,
					       .send = (char *)row->send,
					       .send_bytes = strlen(row->send),
					       .expect = (char *)row->expect,
					       .timeout_ms = TIMEOUT_MS,
					       .expect_bytes = row->expect ? strlen(row->expect) : 0};
		struct lab_server server;

		lab_begin(&server, SOCK_DGRAM, serve_udp, row);
		lab_ask(&lab, &health, "127.0.0.1", server.port);
		lab_end(&server);
		if (strchr(row->text, '%'))
			snprintf(text, sizeof(text), "%.*s%u", (int)strcspn(row->text, "%"), row->text, server.port);
		else
			snprintf(text, sizeof(text), "%s", row->text);
		lab_expect(&lab, row->sentence, row->answer, text);
	}
	lab_close(&lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_lie_is_found),
		cmocka_unit_test(nothing_grows),
		cmocka_unit_test(damaged_answers_are_read),
		cmocka_unit_test(a_name_that_is_none_is_refused_here),
		cmocka_unit_test(every_answer_is_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

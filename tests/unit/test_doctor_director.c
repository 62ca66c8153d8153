/* The director's doctor: questions to the segment and their answers as frames, and what pings say of a path. Pure. */
#include "unit/judged.h"

#include "cli/doctor.h"
#include "core/judge_path.h"
#include "doctor/segment.h"

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1}, other[6] = {2, 0, 0, 0, 0, 9};

static void a_question_by_arp_tells_no_address(void **state)
{
	static const uint8_t frame[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, /* broadcast */
					  0, 1, 8, 0, 6, 4, 0, 1,				     /* a request */
					  2, 0, 0, 0, 0, 1, 0, 0, 0, 0,			     /* from 0.0.0.0 */
					  0, 0, 0, 0, 0, 0, 10, 2, 0, 1};			     /* for 10.2.0.1 */
	uint8_t out[SEGMENT_QUESTION_BYTES];
	struct ip ip;

	assert_true(ip_parse(&ip, "10.2.0.1"));
	assert_int_equal(segment_question(mac, &ip, out), sizeof(frame));
	assert_memory_equal(out, frame, sizeof(frame));
}

/* The bytes of the checksum were made by scapy. */
static void a_question_by_nd_tells_no_address(void **state)
{
	static const uint8_t head[22] = {0x33, 0x33, 0xff, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255};
	uint8_t out[SEGMENT_QUESTION_BYTES];
	struct ip ip, from, to, target;

	assert_true(ip_parse(&ip, "fd00:2::1"));
	assert_int_equal(segment_question(mac, &ip, out), SEGMENT_QUESTION_BYTES);
	assert_memory_equal(out, head, sizeof(head));
	from = ip_from6(out + 22);
	to = ip_from6(out + 38);
	target = ip_from6(out + 62);
	assert_true(ip_is_unspecified(&from) && ip_equal(&target, &ip));
	assert_true(ip_parse(&ip, "ff02::1:ff00:1") && ip_equal(&to, &ip));
	assert_int_equal(out[54] << 8 | out[55], 135 << 8);
	assert_int_equal(out[56] << 8 | out[57], 0x7da3);
}

static void answers_are_read(void **state)
{
	uint8_t arp[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 8, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9, 10, 2, 0, 1};
	uint8_t nd[78] = {0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 58, 255, [54] = 136};
	struct segment_answer answer;
	struct ip ip;

	assert_true(segment_read(arp, sizeof(arp), &answer) && ip_parse(&ip, "10.2.0.1") && ip_equal(&answer.ip, &ip));
	assert_memory_equal(answer.mac, other, 6);
	assert_true(ip_parse(&ip, "fd00:2::1"));
	memcpy(nd + 62, ip.byte, 16);
	assert_true(segment_read(nd, sizeof(nd), &answer) && ip_equal(&answer.ip, &ip));
	assert_memory_equal(answer.mac, other, 6);
	for (size_t bytes = 0; bytes < 42; bytes++)
		assert_false(segment_read(arp, bytes, &answer));
	for (size_t bytes = 0; bytes < sizeof(nd); bytes++)
		assert_false(segment_read(nd, bytes, &answer));
	arp[21] = 1; /* a request claims nothing */
	nd[54] = 135;
	assert_false(segment_read(arp, sizeof(arp), &answer) || segment_read(nd, sizeof(nd), &answer));
}

static const struct {
	const char *what;
	struct judge_path path;
	const char *found, *seen;
} rows[] = {
	{"full size arrives", {.mtu = 1500, .answers = true, .largest = 1500}, "", ""},
	{"who answers no ping is not judged", {.mtu = 1500}, "", ""},
	{"less arrives", {.mtu = 1500, .answers = true, .largest = 1400}, "PATH_MTU",
	 "with DF set, 1400 bytes are answered and 1401 are not"},
	{"less arrives through a tunnel", {.mtu = 1500, .answers = true, .largest = 1400, .is_tunnelled = true}, "PATH_MTU",
	 "with DF set, 1400 bytes are answered and 1401 are not; "
	 "there, `halfproxy-backend up --mtu 1400` makes clients send less"},
};

static void paths_are_judged(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct judge_path path = rows[i].path;
		struct findings findings = {0};

		assert_true(ip_parse(&path.backend, "10.3.0.1"));
		judge_path(&path, &findings);
		assert_judged(rows[i].what, &findings, rows[i].found);
		assert_text(rows[i].what, findings.items[0].evidence, rows[i].seen);
		findings_free(&findings);
	}
}

/* Halving ends, at the very length. */
static void lengths_are_found_by_halves(void **state)
{
	for (uint32_t largest = 100; largest < 9000; largest++) {
		uint32_t arrives = 100, lost = 9000, rounds = 0;

		for (uint32_t next; (next = judge_path_next(arrives, lost)); rounds++)
			*(next <= largest ? &arrives : &lost) = next;
		assert_int_equal(arrives, largest);
		assert_true(rounds <= 14);
	}
}

#define SERVICE "{\"name\":\"web\",\"vips\":[\"10.2.0.1\"],\"port\":80,\"forward\":\"ipip\"}"
#define HEALTH(state, verdict)                                                                        \
	"{\"address\":\"10.3.0.1\",\"health\":{\"state\":\"" state "\",\"type\":\"tcp\",\"via\":\"vip\"," \
	"\"last\":null,\"own\":null,\"verdict\":" verdict "}}"
#define VERDICT(cause) "{\"cause\":\"" cause "\",\"certain\":true,\"text\":\"it is so\"}"

static const struct {
	const char *what, *backend, *found, *text;
} health_rows[] = {
	{"no check", "{\"address\":\"10.3.0.1\",\"health\":null}", "", ""},
	{"up", HEALTH("up", "null"), "", ""},
	{"not asked yet", HEALTH("unknown", "null"), "", ""},
	{"failing, and not judged", HEALTH("failing", "null"), "", ""},
	{"failing", HEALTH("failing", VERDICT("NOT_LISTENING")), "WRONG NOT_LISTENING",
	 "10.3.0.1 of service web is failing: it is so"},
	{"dead", HEALTH("dead", VERDICT("BACKEND_SILENT")), "WRONG BACKEND_SILENT", "10.3.0.1 of service web is dead: it is so"},
	{"up, with a doubt", HEALTH("up", VERDICT("PATH_MTU")), "PATH_MTU", "10.3.0.1 of service web is up: it is so"},
	{"a cause of a later version", HEALTH("failing", VERDICT("BORED")), "", ""},
	{"nothing that makes sense", "{\"health\":{\"state\":\"failing\",\"verdict\":[]}}", "", ""},
};

static void failing_checks_are_judged(void **state)
{
	for (size_t i = 0; i < COUNT(health_rows); i++) {
		json_t *service = json_loads(SERVICE, 0, NULL), *backend = json_loads(health_rows[i].backend, 0, NULL);
		struct findings findings = {0};
		const struct doctor doctor = {.findings = &findings};

		assert_non_null(backend);
		doctor_health(&doctor, service, backend);
		assert_judged(health_rows[i].what, &findings, health_rows[i].found);
		if (health_rows[i].text && *health_rows[i].text)
			assert_text(health_rows[i].what, findings.items[0].text, health_rows[i].text);
		findings_free(&findings);
		json_decref(service);
		json_decref(backend);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_by_arp_tells_no_address), cmocka_unit_test(a_question_by_nd_tells_no_address),
		cmocka_unit_test(answers_are_read), cmocka_unit_test(paths_are_judged),
		cmocka_unit_test(lengths_are_found_by_halves), cmocka_unit_test(failing_checks_are_judged)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Verdicts: a row is a sentence that the evidence says. Pure. */
#include "unit/unit.h"

#include "core/verdict.h"

#define VIP "10.2.0.1"
#define BACKEND "10.3.0.1"
#define ROUTER "10.3.0.254"

struct row {
	const char *what;
	struct verdict_evidence evidence; /* without addresses */
	const char *from, *icmp_from;	  /* NULL: nobody */
	enum cause cause;
	const char *text; /* a piece of it, or "" for none at all */
};

static const struct row rows[] = {
	{"a good answer is no cause", {.result.answer = HEALTH_GOOD}, .cause = CAUSE_NONE, .text = ""},
	{"a good answer belies what came back before", {.result.answer = HEALTH_GOOD, .came_back = true}, .cause = CAUSE_NONE,
	 .text = ""},
	{"a good answer while the own address is silent is healthy with a warning",
	 {.result.answer = HEALTH_GOOD, .own = VERDICT_SILENT}, .cause = CAUSE_OWN_ADDRESS_SILENT,
	 .text = "healthy, though 10.3.0.1 itself does not answer"},
	{"small packets arrive and large ones do not", {.result.answer = HEALTH_GOOD, .full = VERDICT_SILENT},
	 .cause = CAUSE_PATH_MTU, .text = "full-size packets do not arrive (path MTU)"},

	{"a RST", {.result.answer = HEALTH_REFUSED, .port = 80}, .from = VIP, .cause = CAUSE_NOT_LISTENING,
	 .text = "nothing listens on 10.2.0.1:80 (RST from the VIP)"},
	{"a RST of the VIP, while the backend's own address accepts",
	 {.result.answer = HEALTH_REFUSED, .port = 80, .own = VERDICT_ANSWERS, .own_accepts = true}, .from = VIP,
	 .cause = CAUSE_OWN_ADDRESS_ONLY,
	 .text = "the service listens on 10.3.0.1 only: 10.2.0.1:80 refuses connections (RST from the VIP)"},
	{"what TCP says of a port is nothing about UDP",
	 {.result.answer = HEALTH_REFUSED, .port = 53, .is_udp = true, .own = VERDICT_ANSWERS, .own_accepts = true}, .from = VIP,
	 .cause = CAUSE_NOT_LISTENING, .text = "nothing listens on 10.2.0.1:53 (ICMP port unreachable from the VIP)"},
	{"a RST of the VIP belies what ICMP said before of the tunnel",
	 {.result.answer = HEALTH_REFUSED, .method = "ipip", .port = 80, .icmp = VERDICT_NO_PROTOCOL, .came_back = true},
	 .from = VIP, .icmp_from = BACKEND, .cause = CAUSE_NOT_LISTENING, .text = "nothing listens on 10.2.0.1:80"},
	{"so does what a server says", {.result = {.answer = HEALTH_WRONG, .text = "HTTP 503"}, .icmp = VERDICT_NO_HOST},
	 .icmp_from = ROUTER, .cause = CAUSE_WRONG_ANSWER, .text = "HTTP 503"},
	{"but not what a script says",
	 {.result = {.answer = HEALTH_WRONG, .text = "no answer"}, .is_script = true, .method = "ipip",
	  .icmp = VERDICT_NO_PROTOCOL},
	 .icmp_from = BACKEND, .cause = CAUSE_NOT_DECAPSULATED, .text = "tunnel is not decapsulated"},
	{"a UDP port unreachable", {.result.answer = HEALTH_REFUSED, .port = 53, .is_udp = true}, .from = VIP,
	 .cause = CAUSE_NOT_LISTENING, .text = "nothing listens on 10.2.0.1:53 (ICMP port unreachable from the VIP)"},
	{"a RST of the backend's own address", {.result.answer = HEALTH_REFUSED, .port = 80, .is_via_backend = true},
	 .cause = CAUSE_NOT_LISTENING, .text = "nothing listens on 10.3.0.1:80 (RST from it)"},
	{"another address answers", {.result.answer = HEALTH_STRANGER, .port = 53, .is_udp = true}, .from = BACKEND,
	 .cause = CAUSE_WRONG_SOURCE, .text = "answers come from 10.3.0.1 and not from the VIP"},
	{"an HTTP status", {.result = {.answer = HEALTH_WRONG, .text = "HTTP 503"}}, .cause = CAUSE_WRONG_ANSWER,
	 .text = "HTTP 503"},
	{"a wrong answer without words", {.result.answer = HEALTH_WRONG}, .cause = CAUSE_WRONG_ANSWER,
	 .text = "the answer is not as expected"},
	{"a certificate", {.result = {.answer = HEALTH_CERTIFICATE, .text = "certificate expired 2026-01-02"}},
	 .cause = CAUSE_CERTIFICATE, .text = "certificate expired 2026-01-02"},
	{"too slow", {.result = {.answer = HEALTH_SLOW, .took_us = 1200000}, .timeout_ms = 1000}, .cause = CAUSE_TOO_SLOW,
	 .text = "too slow (1.2 s of 1 s allowed)"},
	{"too slow, by half a second", {.result = {.answer = HEALTH_SLOW, .took_us = 512345}, .timeout_ms = 500},
	 .cause = CAUSE_TOO_SLOW, .text = "too slow (0.5 s of 0.5 s allowed)"},
	{"an answer that stops where packets get large",
	 {.result = {.answer = HEALTH_SLOW, .took_us = 1000000}, .timeout_ms = 1000, .full = VERDICT_SILENT},
	 .cause = CAUSE_PATH_MTU, .text = "full-size packets do not arrive (path MTU)"},
	{"accepted and cut off", {.result.answer = HEALTH_RESET, .port = 443}, .cause = CAUSE_CUT_OFF,
	 .text = "10.2.0.1:443 accepts connections and cuts them off"},
	{"this host cannot send", {.result = {.answer = HEALTH_LOCAL, .text = "no port is free"}}, .cause = CAUSE_PROBE_NOT_SENT,
	 .text = "no port is free"},

	{"the packet came back", {.result.answer = HEALTH_SILENT, .own = VERDICT_ANSWERS, .came_back = true},
	 .cause = CAUSE_VIP_MISSING, .text = "VIP 10.2.0.1 is not on the backend (packet came back)"},
	{"the backend says unreachable", {.result.answer = HEALTH_NO_HOST}, .from = BACKEND, .cause = CAUSE_VIP_MISSING,
	 .text = "VIP 10.2.0.1 is not on the backend (ICMP unreachable from 10.3.0.1)"},
	{"a router says unreachable", {.result.answer = HEALTH_NO_HOST}, .from = ROUTER, .cause = CAUSE_NO_WAY,
	 .text = "no way leads to 10.3.0.1 (ICMP unreachable from 10.3.0.254)"},
	{"a router says it of the outer packet", {.result.answer = HEALTH_SILENT, .method = "ipip", .icmp = VERDICT_NO_HOST},
	 .icmp_from = ROUTER, .cause = CAUSE_NO_WAY, .text = "no way leads to 10.3.0.1 (ICMP unreachable from 10.3.0.254)"},
	{"nobody takes the tunnel's protocol",
	 {.result.answer = HEALTH_SILENT, .method = "ipip", .own = VERDICT_ANSWERS, .icmp = VERDICT_NO_PROTOCOL},
	 .icmp_from = BACKEND, .cause = CAUSE_NOT_DECAPSULATED,
	 .text = "tunnel is not decapsulated (ICMP protocol unreachable from 10.3.0.1)"},
	{"nobody takes the tunnel of a probe, whose source is not that of clients' packets",
	 {.result.answer = HEALTH_SILENT, .method = "gue", .icmp = VERDICT_NO_PORT,
	  .probe_source = {{[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 2, [15] = 10}}},
	 .icmp_from = BACKEND, .cause = CAUSE_NOT_DECAPSULATED,
	 .text = "or not for probes: besides the prefix of clients' packets, --from there has to name 10.2.0.10"},
	{"the probe's own socket is told so", {.result.answer = HEALTH_NO_PROTOCOL, .method = "ipip"}, .from = BACKEND,
	 .cause = CAUSE_NOT_DECAPSULATED, .text = "tunnel is not decapsulated (ICMP protocol unreachable from 10.3.0.1)"},
	{"nobody takes the tunnel's port",
	 {.result.answer = HEALTH_SILENT, .method = "gue", .own = VERDICT_ANSWERS, .icmp = VERDICT_NO_PORT}, .icmp_from = BACKEND,
	 .cause = CAUSE_NOT_DECAPSULATED, .text = "tunnel is not decapsulated (ICMP port unreachable from 10.3.0.1)"},
	{"a filter rejects the outer packet", {.result.answer = HEALTH_SILENT, .method = "gue", .icmp = VERDICT_PROHIBITED},
	 .icmp_from = ROUTER, .cause = CAUSE_FILTERED, .text = "a packet filter rejects it (ICMP prohibited from 10.3.0.254)"},
	{"a filter rejects the probe", {.result.answer = HEALTH_PROHIBITED}, .from = ROUTER, .cause = CAUSE_FILTERED,
	 .text = "a packet filter rejects it (ICMP prohibited from 10.3.0.254)"},
	{"the outer packet is too big", {.result.answer = HEALTH_SLOW, .method = "ipip", .icmp = VERDICT_TOO_BIG},
	 .icmp_from = ROUTER, .cause = CAUSE_PATH_MTU,
	 .text = "full-size packets do not arrive (path MTU; ICMP from 10.3.0.254)"},
	{"the probe is too big", {.result.answer = HEALTH_TOO_BIG}, .from = ROUTER, .cause = CAUSE_PATH_MTU,
	 .text = "full-size packets do not arrive (path MTU; ICMP from 10.3.0.254)"},

	{"the VIP is this host's own, where nothing listens",
	 {.result.answer = HEALTH_REFUSED, .port = 80, .is_vip_local = true}, .from = VIP,
	 .cause = CAUSE_VIP_LOCAL, .text = "VIP 10.2.0.1 is an address of this host"},
	{"the VIP is this host's own, and whatever answers there is none of the backends",
	 {.result.answer = HEALTH_GOOD, .port = 80, .is_vip_local = true}, .from = VIP, .cause = CAUSE_VIP_LOCAL,
	 .text = "so that probes do not leave it: nothing is known of 10.3.0.1"},
	{"the VIP is this host's own, and the check asks the backend's",
	 {.result.answer = HEALTH_REFUSED, .port = 80, .is_vip_local = true, .is_via_backend = true}, .from = BACKEND,
	 .cause = CAUSE_NOT_LISTENING, .text = "nothing listens on 10.3.0.1:80"},

	{"silence, and the next hop does not resolve", {.result.answer = HEALTH_SILENT, .is_unresolved = true},
	 .cause = CAUSE_NEXT_HOP_UNRESOLVED, .text = "next hop does not resolve"},
	{"silence of everything", {.result.answer = HEALTH_SILENT, .own = VERDICT_SILENT}, .cause = CAUSE_BACKEND_SILENT,
	 .text = "10.3.0.1 does not answer at all"},
	{"silence, and the rest is not known yet", {.result.answer = HEALTH_SILENT, .port = 80}, .cause = CAUSE_BACKEND_SILENT,
	 .text = "nothing comes from 10.2.0.1:80"},
	{"silence of the VIP alone", {.result.answer = HEALTH_SILENT, .own = VERDICT_ANSWERS, .echo = VERDICT_SILENT},
	 .cause = CAUSE_VIP_MISSING,
	 .text = "VIP 10.2.0.1 is not on the backend (silence, while 10.3.0.1 answers), or its rp_filter drops what arrives, or "
		 "its answers are lost on the way back"},
	{"silence of the VIP alone, through a tunnel",
	 {.result.answer = HEALTH_SILENT, .method = "ipip", .own = VERDICT_ANSWERS, .echo = VERDICT_SILENT},
	 .cause = CAUSE_VIP_MISSING,
	 .text = "VIP 10.2.0.1 is not on the backend (silence, while 10.3.0.1 answers), or the tunnel is not decapsulated"},
	{"silence of the port alone",
	 {.result.answer = HEALTH_SILENT, .port = 80, .own = VERDICT_ANSWERS, .echo = VERDICT_ANSWERS},
	 .cause = CAUSE_PORT_SILENT, .text = "nothing comes from 10.2.0.1:80, though 10.2.0.1 answers ping"},
	{"silence of the port, whose backend answers nothing of its own",
	 {.result.answer = HEALTH_SILENT, .port = 80, .own = VERDICT_SILENT, .echo = VERDICT_ANSWERS},
	 .cause = CAUSE_PORT_SILENT, .text = "10.2.0.1 answers ping"},
	{"silence of a port of the own address", {.result.answer = HEALTH_SILENT, .port = 80, .is_via_backend = true,
						  .own = VERDICT_ANSWERS},
	 .cause = CAUSE_PORT_SILENT, .text = "nothing comes from 10.3.0.1:80"},
	{"an answer that no socket of this host got",
	 {.result.answer = HEALTH_SILENT, .own = VERDICT_ANSWERS, .answer_arrived = true}, .cause = CAUSE_ANSWERS_LOST,
	 .text = "answers are lost on the way back (they reach this host"},
};

static void judge(const struct row *row, const char *vip, const char *backend, struct verdict *out)
{
	struct verdict_evidence evidence = row->evidence;

	assert_true(ip_parse(&evidence.vip, vip) && ip_parse(&evidence.backend, backend));
	if (!evidence.method)
		evidence.method = "l2";
	if (row->from)
		assert_true(ip_parse(&evidence.result.from, row->from));
	if (row->icmp_from)
		assert_true(ip_parse(&evidence.icmp_from, row->icmp_from));
	verdict_judge(&evidence, out);
}

static void evidence_names_the_cause(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct verdict out;

		judge(&rows[i], VIP, BACKEND, &out);
		if (out.cause != rows[i].cause)
			fail_msg("%s: %s, and not %s (%s)", rows[i].what, cause_text(out.cause)->name,
				 cause_text(rows[i].cause)->name, out.text);
		if (*rows[i].text)
			assert_holds(rows[i].what, out.text, rows[i].text);
		else
			assert_text(rows[i].what, out.text, "");
		assert_true(out.cause == CAUSE_NONE || cause_text(out.cause)->found_by & CAUSE_PROBE);
	}
}

/* However the evidence is put together, a failure has a cause and a sentence that fits and is whole. */
static void every_failure_has_a_sentence(void **state)
{
	static const char *const methods[] = {"l2", "ipip", "gue"};
	struct verdict_evidence evidence = {.port = 65535, .timeout_ms = 60000, .result.took_us = UINT32_MAX};
	struct verdict out;

	assert_true(ip_parse(&evidence.vip, "2001:db8:1111:2222:3333:4444:5555:6666"));
	evidence.backend = evidence.icmp_from = evidence.result.from = evidence.vip;
	evidence.backend.byte[15] = 0x77;
	memset(evidence.result.text, 'x', sizeof(evidence.result.text) - 1);
	for (uint32_t n = 0; n < HEALTH_ANSWER_COUNT * 6u * 27u * 3u * 64u; n++) {
		uint32_t rest = n;

#define NEXT(count) ({ uint32_t digit = rest % (count); rest /= (count); digit; })
		evidence.result.answer = (enum health_answer)NEXT(HEALTH_ANSWER_COUNT);
		evidence.icmp = (enum verdict_icmp)NEXT(6);
		evidence.own = (enum verdict_known)NEXT(3);
		evidence.echo = (enum verdict_known)NEXT(3);
		evidence.full = (enum verdict_known)NEXT(3);
		evidence.method = methods[NEXT(3)];
		evidence.came_back = NEXT(2);
		evidence.answer_arrived = NEXT(2);
		evidence.is_unresolved = NEXT(2);
		evidence.is_via_backend = NEXT(2);
		evidence.own_accepts = NEXT(2);
		evidence.is_script = NEXT(2);
#undef NEXT
		verdict_judge(&evidence, &out);
		assert_true(out.cause != CAUSE_NONE || evidence.result.answer == HEALTH_GOOD);
		assert_true((out.cause == CAUSE_NONE) == !*out.text);
		assert_true(strlen(out.text) < VERDICT_TEXT_BYTES - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(evidence_names_the_cause),
					   cmocka_unit_test(every_failure_has_a_sentence)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

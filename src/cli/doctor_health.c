/* The doctor on backends that fail their checks: the daemon's last answers, judged: see doctor.h. */
#include <stdio.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/reply.h"
#include "core/verdict.h"

/* false for what is no answer. */
static bool read_answer(const json_t *row, struct health_result *out)
{
	const char *name = reply_text(row, "answer");

	*out = (struct health_result){.took_us = (uint32_t)(reply_number(row, "took_ms") * 1000)};
	ip_parse(&out->from, reply_text(row, "from"));
	snprintf(out->text, sizeof(out->text), "%s", reply_text(row, "text"));
	for (int i = 0; i < HEALTH_ANSWER_COUNT; i++) {
		out->answer = (enum health_answer)i;
		if (!strcmp(health_answer_name(out->answer), name))
			return true;
	}
	return false;
}

/* Who refuses answers, too. */
static enum verdict_known read_own(const json_t *row)
{
	struct health_result own;

	if (!json_is_object(row) || !read_answer(row, &own) || own.answer == HEALTH_LOCAL)
		return VERDICT_UNKNOWN;
	return health_is_silence(own.answer) ? VERDICT_SILENT : VERDICT_ANSWERS;
}

/* The service's VIP of the backend's family, or its first. */
static void read_vip(const json_t *service, struct verdict_evidence *evidence)
{
	const json_t *vip;
	size_t i;

	REPLY_EACH(json_object_get(service, "vips"), i, vip) {
		struct ip ip;

		if (json_is_string(vip) && ip_parse(&ip, json_string_value(vip)) &&
		    (!i || ip_is4(&ip) == ip_is4(&evidence->backend)))
			evidence->vip = ip;
	}
}

void doctor_health(const struct doctor *doctor, const json_t *service, const json_t *backend)
{
	const json_t *health = json_object_get(backend, "health"), *last = json_object_get(health, "last");
	const char *state = reply_text(health, "state"), *type = reply_text(health, "type");
	struct verdict_evidence evidence = {
		.method = reply_text(service, "forward"),
		.port = (uint16_t)reply_number(service, "port"),
		.is_via_backend = !strcmp(reply_text(health, "via"), "backend"),
		.is_udp = !strcmp(type, "udp") || !strcmp(type, "dns"),
		.own = read_own(json_object_get(health, "own")),
		.timeout_ms = (uint32_t)reply_number(last, "took_ms"),
	};
	struct verdict verdict;

	if ((strcmp(state, "failing") != 0 && strcmp(state, "dead") != 0) || !read_answer(last, &evidence.result) ||
	    !ip_parse(&evidence.backend, reply_text(backend, "address")))
		return;
	read_vip(service, &evidence);
	verdict_judge(&evidence, &verdict);
	if (!verdict.cause)
		return;
	finding_evidence(findings_add(doctor->findings, FINDING_WRONG, verdict.cause, "backend", "%s of service %s is %s: %s",
				      reply_text(backend, "address"), reply_text(service, "name"), state, verdict.text),
			 "the last %s check: %s", type, reply_text(last, "text"));
}

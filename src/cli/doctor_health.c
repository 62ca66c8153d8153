/* Checks of backends, as the daemon has judged them: it has asked around, and nobody here can ask down the same path. */
#include <string.h>

#include "cli/doctor.h"
#include "cli/reply.h"
#include "core/causes.h"

/* The command is for another host, so that it is words here, and nobody runs it on this one. */
static void mend_there(struct finding *item, const json_t *service, const json_t *backend)
{
	const char *method = reply_text(service, "forward"), *source = reply_text(backend, "source");
	const char *own = reply_text(backend, "probe_source");
	bool is_tunnel = strcmp(method, "l2") != 0;

	finding_mend(item, "on %s: `halfproxy-backend up --vip %s --forward %s%s%s%s%s`", reply_text(backend, "address"),
		     json_string_value(json_array_get(json_object_get(service, "vips"), 0)), method,
		     is_tunnel ? " --from " : "", !is_tunnel ? "" : *source ? source : "DIRECTOR", *own ? " " : "", own);
}

bool doctor_health(const struct doctor *doctor, const json_t *service, const json_t *backend)
{
	const json_t *health = json_object_get(backend, "health"), *verdict = json_object_get(health, "verdict");
	const char *state = reply_text(health, "state"), *last = reply_text(json_object_get(health, "last"), "text");
	enum cause cause = cause_named(reply_text(verdict, "cause"));
	struct finding *item;
	bool fails = !strcmp(state, "failing") || !strcmp(state, "dead");

	if (!cause)
		return false;
	if (cause == CAUSE_VIP_LOCAL) /* this host's own fault is told once, with what mends it */
		return fails;
	item = findings_add(doctor->findings, fails ? FINDING_WRONG : FINDING_WARNING, cause, "backend",
			    "%s of service %s is %s: %s", reply_text(backend, "address"), reply_text(service, "name"), state,
			    reply_text(verdict, "text"));
	finding_evidence(item, "the last %s check: %s", reply_text(health, "type"), last);
	if (cause == CAUSE_NOT_DECAPSULATED || cause == CAUSE_VIP_MISSING)
		mend_there(item, service, backend);
	return fails;
}

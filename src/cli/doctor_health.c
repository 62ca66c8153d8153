/* Checks of backends, as the daemon has judged them: it has asked around, and nobody here can ask down the same path. */
#include <string.h>

#include "cli/doctor.h"
#include "cli/reply.h"
#include "core/causes.h"

void doctor_health(const struct doctor *doctor, const json_t *service, const json_t *backend)
{
	const json_t *health = json_object_get(backend, "health"), *verdict = json_object_get(health, "verdict");
	const char *state = reply_text(health, "state"), *last = reply_text(json_object_get(health, "last"), "text");
	enum cause cause = cause_named(reply_text(verdict, "cause"));
	bool fails = !strcmp(state, "failing") || !strcmp(state, "dead");

	if (!cause)
		return;
	finding_evidence(findings_add(doctor->findings, fails ? FINDING_WRONG : FINDING_WARNING, cause, "backend",
				      "%s of service %s is %s: %s", reply_text(backend, "address"), reply_text(service, "name"),
				      state, reply_text(verdict, "text")),
			 "the last %s check: %s", reply_text(health, "type"), last);
}

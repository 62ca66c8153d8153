/* What the status says of health: of a backend, its check; of a service, whether enough are up: see api_routes.h. */
#include "daemon/api_routes.h"
#include "daemon/director_internal.h"

static const char *state_name(const struct fleet_backend *backend, const struct check *check)
{
	return backend->is_dead ? "dead" : health_state_name(check_health(check)->state);
}

static json_t *result_json(const struct health_result *result)
{
	const char *text = result && !result->text[0] ? health_answer_text(result->answer) : "";
	char from[IP_TEXT_BYTES] = "";

	if (!result)
		return json_null();
	if (!ip_is_unspecified(&result->from))
		ip_format(&result->from, from);
	return json_pack("{s:s, s:s, s:s, s:f}", "answer", health_answer_name(result->answer), "text",
			 result->text[0] ? result->text : text, "from", from, "took_ms", result->took_us / 1000.0);
}

static json_t *verdict_json(const struct verdict *verdict)
{
	if (!verdict)
		return json_null();
	return json_pack("{s:s, s:b, s:s}", "cause", cause_text(verdict->cause)->name, "certain", verdict->is_certain, "text",
			 verdict->text);
}

/* How many changes within the last minute, where that is too many; else null. */
static json_t *flapping_json(const struct director *director, const struct check *check)
{
	char words[FLAPS_KEY_BYTES];
	unsigned int changes = 0;

	if (flaps_any(director->flaps))
		changes = flaps_of(director->flaps, director_check_words(check, words));
	return changes ? json_integer(changes) : json_null();
}

json_t *status_health(const struct director *director, const struct fleet_service *service, size_t backend)
{
	const struct check *check = director_check(service, backend);
	const struct config_health *policy;

	if (!check)
		return json_null();
	policy = check_policy(check);
	return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "state",
			 state_name(service->backends[backend], check), "type", config_probe_name(policy->type), "via",
			 policy->via_backend ? "backend" : "vip", "since_s",
			 (json_int_t)(check_age_ms(director->probes, check) / 1000), "last", result_json(check_last(check)),
			 "own", result_json(check_own(check)), "verdict",
			 verdict_json(diagnoses_of(director->diagnoses, check)), "flapping",
			 flapping_json(director, check));
}

json_t *status_quorum(const struct fleet_service *service)
{
	const struct quorum *quorum = &service->quorum;

	return json_pack("{s:s, s:I, s:I, s:I, s:s}", "verdict", quorum_verdict_name(quorum->verdict), "up",
			 (json_int_t)quorum->up, "needed", (json_int_t)quorum->needed, "of", (json_int_t)quorum->count,
			 "when_all_down", config_all_down_name(service->config->when_all_down));
}

json_t *status_probes(const struct director *director)
{
	struct probes_facts facts;

	probes_facts(director->probes, &facts);
	return json_pack("{s:I, s:I, s:I, s:I, s:f, s:I, s:s}", "checks", (json_int_t)facts.checks, "running",
			 (json_int_t)facts.running, "begun", (json_int_t)facts.begun, "not_sent", (json_int_t)facts.local,
			 "late_ms", facts.begun ? (double)facts.late_ms / (double)facts.begun : 0.0, "latest_ms",
			 (json_int_t)facts.latest_ms, "reason", facts.local ? facts.local_text : "");
}

/* What a trace tells of the guard: which prefix judged the source, and whether it may open another flow. */
#include "daemon/trace_internal.h"

#include <stdio.h>

#include "base/duration.h"

/* The prefix that judged; "" when none held the source. */
static const char *prefix_of(const struct trace_walk *walk, char text[static PREFIX_TEXT_BYTES])
{
	struct prefix prefix = {*walk->source, (uint8_t)(walk->record->guard & HP_GUARD_BITS)};

	if (!(walk->record->guard & HP_GUARD_LISTED))
		return "";
	ip_clear_host(&prefix.ip, prefix.bits);
	return prefix_format(&prefix, text);
}

static void tell_prefix(const struct trace_walk *walk, json_t *steps)
{
	bool denies = walk->record->guard & HP_GUARD_DENIES;
	char text[PREFIX_TEXT_BYTES];
	const char *prefix = prefix_of(walk, text);

	if (*prefix)
		trace_step(steps, "guard", "%s of %s is the longest prefix that holds the source", prefix,
			   denies ? "deny" : "allow");
	else
		trace_step(steps, "guard", "no prefix of allow or deny holds the source, %s",
			   denies ? "and whom allow does not name may not" : "so it may");
}

/* How long until the source may open one more flow, in ms, rounded up. */
static uint64_t waits_ms(const struct trace_walk *walk, const struct hp_terms *terms)
{
	uint64_t owed_ns = walk->record->owed_ns;

	return owed_ns > terms->burst_ns ? (owed_ns - terms->burst_ns + 999999) / 1000000 : 0;
}

static void tell_limit(const struct trace_walk *walk, const struct hp_terms *terms, json_t *steps)
{
	const struct config_limit *limit = &walk->service->config->limit;
	uint64_t left = (terms->burst_ns + terms->cost_ns - walk->record->owed_ns) / (terms->cost_ns ? terms->cost_ns : 1);
	char wait[DURATION_TEXT_BYTES], per[DURATION_TEXT_BYTES];

	duration_format(limit->per_s, per);
	if (waits_ms(walk, terms))
		trace_step(steps, "limit", "the source has opened all that it may, %u in %s and %u at once: another in %s",
			   limit->new_flows, per, limit->burst, duration_format_ms(waits_ms(walk, terms), wait));
	else
		trace_step(steps, "limit", "it opens a flow, of which the source may open %llu now, and %u in %s",
			   (unsigned long long)left, limit->new_flows, per);
}

json_t *trace_guard(const struct trace_walk *walk, json_t *steps)
{
	const struct hp_trace *record = walk->record;
	char text[PREFIX_TEXT_BYTES];
	const char *prefix;
	json_t *limit = json_null();

	if (!walk->service || !(record->guard || record->counts))
		return json_null();
	if (record->guard)
		tell_prefix(walk, steps);
	if (record->counts) {
		const struct hp_terms *terms = &walk->fleet->plane->terms[walk->service->number];

		tell_limit(walk, terms, steps);
		limit = json_pack("{s:b, s:I}", "reached", record->verdict == HP_LIMITED, "wait_ms",
				  (json_int_t)waits_ms(walk, terms));
	}
	prefix = prefix_of(walk, text);
	return json_pack("{s:b, s:o, s:o}", "denied", (record->guard & HP_GUARD_DENIES) != 0, "prefix",
			 *prefix ? json_string(prefix) : json_null(), "limit", limit);
}

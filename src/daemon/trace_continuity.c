/* A packet of a service that lives through a change, told in words: which ring says what, what is remembered, and which
 * of the rules in bpf/rules.h decided. Writes nothing, as the trace itself. */
#include "daemon/trace_internal.h"

#include "base/duration.h"

/* One list: name, what it says. Why a packet goes where it goes. */
#define RULES(X)                                                                                                      \
	X(STEADY, "steady", "a steady service's packets go where the ring says")                                      \
	X(AGREE, "agree", "the ring says the same as before, so nothing needs to be remembered")                      \
	X(OPENING, "opening", "an opening packet goes where the ring says")                                           \
	X(REMEMBERED, "remembered", "a remembered flow goes to its backend")                                          \
	X(STRANDED, "stranded", "the backend of the remembered flow is dead, so it goes where the ring says")         \
	X(BEFORE, "before",                                                                                           \
	  "a flow that is not remembered may be from before the change, and goes where the ring said then")           \
	X(LOST, "lost",                                                                                               \
	  "a flow that is not remembered may be from before the change, but has no living backend there, so it goes " \
	  "where the ring says")                                                                                      \
	X(LATE, "late", "since the window is over, a flow that is not remembered goes where the ring says")

enum rule {
#define RULE_ENUM(rule, name, text) RULE_##rule,
	RULES(RULE_ENUM)
#undef RULE_ENUM
};

static const struct {
	const char *name, *text;
} rules[] = {
#define RULE_ROW(rule, name, text) {name, text},
	RULES(RULE_ROW)
#undef RULE_ROW
};

static const struct {
	const char *name, *text;
} deeds[] = {
	[HP_DEED_NONE] = {"nothing", "such a packet writes nothing"},
	[HP_DEED_REMEMBER] = {"remember", "such a packet would have the flow remembered so, not yet proven"},
	[HP_DEED_REFRESH] = {"refresh", "such a packet would refresh what is remembered"},
	[HP_DEED_MARK] = {"mark", "such a packet would mark what is remembered"},
	[HP_DEED_PROMOTE] = {"promote", "such a packet would prove the flow"},
	[HP_DEED_FORGET] = {"forget", "such a packet would have what is remembered forgotten"},
};

static const char *const kinds[] = {
	[HP_PACKET_UNDER_WAY] = "under_way", [HP_PACKET_OPENING] = "opening", [HP_PACKET_FIN] = "fin",
	[HP_PACKET_RST] = "rst",	     [HP_PACKET_EITHER] = "either",   [HP_PACKET_ABOUT] = "about",
};

/* Which rule it was: in the order of hp_rule, behind what keeps a packet from coming there. */
static enum rule rule_of(const struct hp_trace *r)
{
	if (!r->asked)
		return r->motion & HP_MOTION_ANY ? RULE_AGREE : RULE_STEADY;
	if (r->kind == HP_PACKET_OPENING && (!r->known || !r->known_lives || r->marks & HP_FLOW_CLOSING))
		return RULE_OPENING;
	if (r->known)
		return r->known_lives ? RULE_REMEMBERED : RULE_STRANDED;
	if (!(r->motion & HP_MOTION_MOVING))
		return RULE_LATE;
	return r->before && r->before_lives ? RULE_BEFORE : RULE_LOST;
}

static const char *name_of(const struct trace_walk *walk, uint32_t number, char text[static IP_TEXT_BYTES])
{
	const struct fleet_backend *backend = trace_backend(walk->fleet, number);

	return backend ? ip_format(&backend->identity.address, text) : "none";
}

static json_t *address_json(const struct trace_walk *walk, uint32_t number)
{
	char text[IP_TEXT_BYTES];

	return trace_backend(walk->fleet, number) ? json_string(name_of(walk, number, text)) : json_null();
}

static double seconds_since(const struct trace_walk *walk, uint64_t ns)
{
	return walk->now_ns > ns ? (double)(walk->now_ns - ns) / 1e9 : 0;
}

/* Until the service settles; 0: it does not move, or it waits for room in the table of flows. */
static uint64_t left_s(const struct trace_walk *walk)
{
	uint64_t now_s = walk->now_ns / 1000000000u, until_s = walk->service->motion.until_s;

	return until_s > now_s ? until_s - now_s : 0;
}

static bool waits_for_room(const struct trace_walk *walk)
{
	return walk->record->motion & HP_MOTION_MOVING && !left_s(walk) && fleet_table_is_full(walk->fleet);
}

/* ---- for people ------------------------------------------------------------------------------------------------------ */

static void tell_rings(json_t *steps, const struct trace_walk *walk, const struct motion *motion)
{
	const struct hp_trace *r = walk->record;
	char now[IP_TEXT_BYTES], before[IP_TEXT_BYTES], left[DURATION_TEXT_BYTES];
	bool is_timed = motion->flags & HP_MOTION_MOVING && !waits_for_room(walk);

	trace_step(steps, "continuity", "%s%s%s%s: the ring says %s, before the change it said %s%s", motion_name(motion),
		   is_timed ? " for another " : "", is_timed ? duration_format(left_s(walk), left) : "",
		   waits_for_room(walk) ? " until the table of flows has room" : "", name_of(walk, r->now, now),
		   name_of(walk, r->before, before), r->before && !r->before_lives ? ", which is dead" : "");
}

static void tell_asked(json_t *steps, const struct trace_walk *walk)
{
	const struct hp_trace *r = walk->record;
	const char *why = "the rings differ";

	if (!r->asked)
		return;
	if (r->now == r->before)
		why = "flows from an earlier change may be remembered where the rings agree";
	trace_step(steps, "continuity", "the tables of flows are asked, as %s", why);
}

static void tell_remembered(json_t *steps, const struct trace_walk *walk)
{
	const struct hp_trace *r = walk->record;
	char address[IP_TEXT_BYTES];

	if (!r->asked)
		return;
	if (!r->known) {
		trace_step(steps, "continuity", "the flow is not remembered");
		return;
	}
	trace_step(steps, "continuity", "the flow is remembered with %s%s for %.1f s, %s; %s, silent for %.1f s%s%s",
		   name_of(walk, r->known, address), r->known_lives ? "" : ", which is dead,",
		   seconds_since(walk, r->since_ns), r->marks & HP_FLOW_OPENED ? "since it was opened" : "met under way",
		   r->is_unproven ? "not yet proven" : "proven", seconds_since(walk, r->seen_ns),
		   r->marks & HP_FLOW_FIN ? "; closing, by a FIN" : "", r->marks & HP_FLOW_RST ? "; closing, by an RST" : "");
}

static void tell_rule(json_t *steps, const struct trace_walk *walk)
{
	const struct hp_trace *r = walk->record;
	char address[IP_TEXT_BYTES];

	trace_step(steps, "continuity", "%s: %s%s%s", rules[rule_of(r)].text, name_of(walk, r->backend, address),
		   r->asked ? "; " : "", r->asked ? deeds[r->deed].text : "");
}

static bool is_by_gue(const struct trace_walk *walk)
{
	const struct fleet_backend *backend = trace_backend(walk->fleet, walk->record->backend);

	return backend && hp_method_is_gue(backend->identity.method);
}

static void tell_chance(json_t *steps, const struct trace_walk *walk)
{
	const struct hp_trace *r = walk->record;
	char address[IP_TEXT_BYTES];

	if (!r->alternate || !is_by_gue(walk))
		return;
	if (walk->has_chance)
		trace_step(steps, "continuity", "gue names %s for a second chance", name_of(walk, r->alternate, address));
	else
		trace_step(steps, "continuity", "gue names no second chance at %s: it is of another family, or the path's MTU "
			   "leaves no room", name_of(walk, r->alternate, address));
}

/* ---- as values ------------------------------------------------------------------------------------------------------- */

static json_t *remembered_json(const struct trace_walk *walk)
{
	const struct hp_trace *r = walk->record;

	if (!r->known)
		return json_null();
	return json_pack("{s:o, s:b, s:b, s:b, s:b, s:b, s:f, s:f}", "backend", address_json(walk, r->known), "lives",
			 r->known_lives, "opened", (r->marks & HP_FLOW_OPENED) != 0, "proven", !r->is_unproven, "fin",
			 (r->marks & HP_FLOW_FIN) != 0, "rst", (r->marks & HP_FLOW_RST) != 0, "age_s",
			 seconds_since(walk, r->since_ns), "silent_s", seconds_since(walk, r->seen_ns));
}

json_t *trace_continuity(const struct trace_walk *walk, json_t *steps)
{
	const struct hp_trace *r = walk->record;
	const struct motion motion = {.flags = r->motion};

	if (!trace_has_continuity(r) || !walk->service)
		return json_null();
	tell_rings(steps, walk, &motion);
	tell_asked(steps, walk);
	tell_remembered(steps, walk);
	tell_rule(steps, walk);
	tell_chance(steps, walk);
	return json_pack("{s:s, s:o, s:b, s:b, s:s, s:o, s:o, s:b, s:b, s:o, s:s, s:s, s:o}", "state", motion_name(&motion),
			 "left_s", r->motion & HP_MOTION_MOVING ? json_integer((json_int_t)left_s(walk)) : json_null(),
			 "waits_for_room", waits_for_room(walk), "asks", (r->motion & HP_MOTION_ASKS) != 0, "packet",
			 kinds[r->kind], "now", address_json(walk, r->now), "before", address_json(walk, r->before),
			 "before_lives", r->before_lives, "asked", r->asked, "remembered", remembered_json(walk), "rule",
			 rules[rule_of(r)].name, "writes", deeds[r->deed].name, "alternate",
			 walk->has_chance ? address_json(walk, r->alternate) : json_null());
}

/* The parts of the status report about the way of probes, and about what was heard on it. */
#include "daemon/api_routes.h"

#include "daemon/director.h"

static json_t *family_json(const struct probe_way_facts *facts, size_t f)
{
	char source[IP_TEXT_BYTES] = "";

	if (!facts->reason[f])
		ip_format(&facts->source[f], source);
	return json_pack("{s:s, s:s, s:s}", "state", facts->reason[f] ? "closed" : "open", "source", source, "reason",
			 facts->reason[f] ? facts->reason[f] : "");
}

static json_t *events_json(const struct probe_way_facts *facts)
{
	static const struct {
		const char *name, *text;
	} events[] = {
#define EVENT(name, text) {#name, text},
		HP_PROBE_EVENTS(EVENT)
#undef EVENT
	};
	json_t *out = json_object();

	for (size_t i = 0; i < HP_PROBE_EVENT_COUNT; i++)
		json_object_set_new(out, events[i].name, json_pack("{s:I, s:s}", "count", (json_int_t)facts->packets[i], "text",
								   events[i].text));
	return out;
}

json_t *status_icmp(const struct director *director, const struct ip *backend)
{
	struct icmp_evidence_item item;
	char from[IP_TEXT_BYTES];

	if (!icmp_evidence_of(director->icmp, backend, 0, &item))
		return json_null();
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "error", icmp_error_name(item.error), "text",
			 icmp_error_text(item.error), "from", ip_format(&item.from, from), "mtu", (json_int_t)item.mtu, "age_s",
			 (json_int_t)((uv_now(director->loop) - item.at_ms) / 1000), "count", (json_int_t)item.count);
}

json_t *status_probe_way(const struct director *director)
{
	struct probe_way_facts facts;

	probe_way_facts(director->probe_way, &facts);
	return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:s, s:o}", "interface", facts.interface, "mark",
			 (json_int_t)facts.probes.mark, "mask", (json_int_t)facts.probes.mask, "table",
			 (json_int_t)facts.probes.table, "ipv4", family_json(&facts, 0), "ipv6", family_json(&facts, 1),
			 "warning", facts.warning, "events", events_json(&facts));
}

json_t *status_path_mtu(const struct director *director, const struct fleet_backend *backend)
{
	struct resolver_mtu learned;
	char from[IP_TEXT_BYTES];

	if (!backend->target || !resolver_target_mtu(director->resolver, backend->target, &learned))
		return json_null();
	return json_pack("{s:i, s:i, s:s, s:I, s:I}", "mtu", (int)learned.mtu, "route_mtu", (int)learned.route_mtu, "from",
			 ip_format(&learned.from, from), "age_s", (json_int_t)learned.age_s, "left_s",
			 (json_int_t)learned.left_s);
}

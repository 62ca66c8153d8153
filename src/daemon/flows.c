/* The report on remembered flows: which services live through a change, how full the tables are, and the flows
 * themselves: see api_routes.h. */
#include <arpa/inet.h>
#include <string.h>

#include "daemon/api_routes.h"

#define LOOKED_AT_MOST (1u << 18) /* entries, so that a full table does not hold up the loop for long */

static const struct {
	const char *name, *text;
} events[HP_FLOW_EVENT_COUNT] = {
#define EVENT_ROW(name, text) {#name, text},
	HP_FLOW_EVENTS(EVENT_ROW)
#undef EVENT_ROW
};

/* What is being listed. */
struct listing {
	const struct director *director;
	const char *service; /* NULL: of all */
	uint64_t now_ns;
	uint32_t looked_at, limit;
	json_t *list;
	bool is_cut; /* there are more, or may be */
};

static json_t *address_json(const __be32 *words, bool is_ipv6)
{
	struct ip ip = is_ipv6 ? ip_from6(words) : ip_from4(&words[3]);
	char text[IP_TEXT_BYTES];

	return json_string(ip_format(&ip, text));
}

static json_t *backend_json(const struct director *director, uint32_t number)
{
	struct ip ip;
	char text[IP_TEXT_BYTES];

	if (number >= director->plane.limits.backends || !director->plane.identities[number].method)
		return json_null();
	memcpy(ip.byte, director->plane.identities[number].address, sizeof(ip.byte));
	return json_string(ip_format(&ip, text));
}

static const char *state_name(enum dataplane_table table, uint32_t marks)
{
	if (marks & HP_FLOW_CLOSING)
		return "closing";
	return table == DATAPLANE_UNPROVEN ? "unproven" : "proven";
}

static double seconds_since(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0.0;
}

static void list_flow(struct listing *listing, enum dataplane_table table, const struct dataplane_flow *flow)
{
	const struct fleet_service *service = fleet_service_of(listing->director->fleet, &flow->key);
	const char *name = service && service->config ? service->config->name : NULL;
	bool is_ipv6 = flow->key.is_ipv6;

	if (listing->service && (!name || strcmp(name, listing->service) != 0))
		return;
	if (json_array_size(listing->list) == listing->limit) {
		listing->is_cut = true;
		return;
	}
	json_array_append_new(
		listing->list,
		json_pack("{s:o, s:i, s:o, s:i, s:s, s:s?, s:o, s:s, s:s, s:f, s:f}", "client",
			  address_json(flow->key.source, is_ipv6), "client_port", (int)ntohs(flow->key.source_port), "vip",
			  address_json(flow->key.destination, is_ipv6), "port", (int)ntohs(flow->key.destination_port),
			  "protocol", config_protocol_name(flow->key.protocol), "service", name, "backend",
			  backend_json(listing->director, flow->value.backend), "why",
			  flow->value.marks & HP_FLOW_OPENED ? "opened" : "met", "state",
			  state_name(table, flow->value.marks), "age_s", seconds_since(listing->now_ns, flow->value.since_ns),
			  "idle_s", seconds_since(listing->now_ns, flow->value.seen_ns)));
}

static int list_table(struct listing *listing, struct dataplane *plane, enum dataplane_table table, struct err *e)
{
	struct dataplane_walk walk = {0};
	int count = 0;

	while (!listing->is_cut && (count = dataplane_walk_flows(plane, table, &walk, e)) > 0) {
		for (int i = 0; i < count && !listing->is_cut; i++)
			list_flow(listing, table, &walk.rows[i]);
		listing->looked_at += (uint32_t)count;
		listing->is_cut |= listing->looked_at >= LOOKED_AT_MOST;
	}
	dataplane_walk_end(&walk);
	return count < 0 ? count : 0;
}

/* ---- the head ------------------------------------------------------------------------------------------------------ */

/* Those that are not steady, or the one that was asked for. */
static json_t *services_json(const struct director *director, const char *only, size_t *steady)
{
	struct status_memo memo = {0};
	json_t *list = json_array();

	*steady = 0;
	for (size_t i = 0; i < director->running->service_count; i++) {
		const struct config_service *service = director->running->services[i];
		json_t *motion;

		if (only && strcmp(only, service->name) != 0)
			continue;
		motion = status_motion(director, service, &memo);
		if (!only && !strcmp(json_string_value(json_object_get(motion, "state")), "steady")) {
			++*steady;
			json_decref(motion);
			continue;
		}
		json_array_append_new(list, json_pack("{s:s, s:o}", "name", service->name, "motion", motion));
	}
	return list;
}

static json_t *events_json(const struct director *director)
{
	json_t *out = json_object();

	for (uint32_t i = 0; i < HP_FLOW_EVENT_COUNT; i++)
		json_object_set_new(out, events[i].name,
				    json_pack("{s:I, s:s}", "count",
					      (json_int_t)dataplane_flow_events(&director->plane, (enum hp_flow_event)i),
					      "text", events[i].text));
	return out;
}

json_t *flows_report(struct director *director, const char *service, uint32_t limit, struct err *e)
{
	struct listing listing = {.director = director, .service = service, .now_ns = dataplane_boot_ns(), .limit = limit,
				  .list = json_array()};
	size_t steady;
	json_t *services;
	int code = list_table(&listing, &director->plane, DATAPLANE_FLOWS, e);

	if (!code)
		code = list_table(&listing, &director->plane, DATAPLANE_UNPROVEN, e);
	if (code) {
		json_decref(listing.list);
		return NULL;
	}
	services = services_json(director, service, &steady);
	return json_pack("{s:o, s:I, s:o, s:o, s:o, s:b}", "services", services, "steady", (json_int_t)steady, "tables",
			 status_tables(director), "events", events_json(director), "flows", listing.list, "more",
			 listing.is_cut);
}

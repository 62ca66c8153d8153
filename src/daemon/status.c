/* The status of services and their backends: in what state they are, and how much goes there: see api_routes.h. */
#include <arpa/inet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/ramp.h"
#include "daemon/api_routes.h"

static const struct {
	const char *name, *text;
} verdicts[HP_VERDICT_COUNT] = {
#define VERDICT_ROW(name, action, text) {#name, text},
	HP_VERDICTS(VERDICT_ROW)
#undef VERDICT_ROW
};

const char *status_verdict_name(uint32_t verdict)
{
	return verdict < HP_VERDICT_COUNT ? verdicts[verdict].name : "UNKNOWN";
}

const char *status_verdict_text(uint32_t verdict)
{
	return verdict < HP_VERDICT_COUNT ? verdicts[verdict].text : "";
}

static json_t *fingerprint_json(const struct ring_fingerprint *fingerprint)
{
	char text[33];

	snprintf(text, sizeof(text), "%016llx%016llx", (unsigned long long)fingerprint->word[0],
		 (unsigned long long)fingerprint->word[1]);
	return json_string(text);
}

static json_t *mac_json(const uint8_t *mac)
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return json_string(text);
}

static void put_counts(json_t *into, uint64_t packets, uint64_t bytes, struct rate rate)
{
	json_object_set_new(into, "packets", json_integer((json_int_t)packets));
	json_object_set_new(into, "bytes", json_integer((json_int_t)bytes));
	json_object_set_new(into, "packets_per_s", json_real(rate.packets_per_s));
	json_object_set_new(into, "bytes_per_s", json_real(rate.bytes_per_s));
}

/* Those verdicts that any packet ended with; cells as in abi.h. */
static json_t *counts_json(const uint64_t *cell, uint32_t cells)
{
	json_t *out = json_object();

	for (uint32_t v = 1; v < cells && v < HP_VERDICT_COUNT; v++)
		if (cell[v])
			json_object_set_new(out, verdicts[v].name, json_integer((json_int_t)cell[v]));
	return out;
}

/* Flows that a drain has left; none of what the configuration lacks. Null until they have been counted. */
static json_t *flows_left(const struct director *director, const struct state_override *row)
{
	ptrdiff_t index = row->drain == STATE_DRAIN_ON ? director_find_service(director, row->service) : -1;
	const struct config_service *service;
	bool is_over;

	if (index < 0)
		return json_integer(0);
	service = director->running->services[index];
	if (!fleet_flows_are_counted(director->fleet, service, &row->backend))
		return json_null();
	return json_integer((json_int_t)fleet_flows_of(director->fleet, service, &row->backend, &is_over));
}

json_t *status_override_drain(const struct director *director, const struct state_override *row)
{
	uint64_t now = state_boot_s();
	json_t *left = json_null();

	if (!row || !row->drain)
		return left;
	if (row->deadline_s)
		left = json_integer(row->deadline_s > now ? (json_int_t)(row->deadline_s - now) : 0);
	return json_pack("{s:s, s:I, s:o, s:o}", "state", state_drain_name(row->drain), "since_s",
			 (json_int_t)(now > row->since_s ? now - row->since_s : 0), "deadline_left_s", left, "flows",
			 flows_left(director, row));
}

json_t *status_drain(const struct director *director, const char *service, const struct ip *backend)
{
	return status_override_drain(director, state_override_find(&director->state, service, backend));
}

/* ---- backends ----------------------------------------------------------------------------------------------------- */

static const char *backend_state(const struct fleet_backend *backend)
{
	if (backend->way)
		return "ready";
	if (!backend->target || resolver_target_state(backend->target) == RESOLVER_PENDING)
		return "pending";
	return "failed";
}

/* Slots of each of a service's backends, by its place in the configuration. */
static void count_slots(const struct director *director, const struct fleet_service *service, uint32_t *shares)
{
	const union hp_block *ring = director->plane.blocks + service->ring->at;
	const uint32_t *slots = ring[1].slot;
	uint32_t last = 0;
	size_t at = 0;

	for (uint32_t i = 0; i < service->ring->size; i++) {
		if (slots[i] != last) {
			last = slots[i];
			for (at = 0; at < service->config->backend_count; at++)
				if (service->backends[at]->number == last)
					break;
		}
		if (at < service->config->backend_count)
			shares[at]++;
	}
}

/* The address that a tunnel's outer header bears, or the prefix that it varies within; NULL where there is none. */
static json_t *source_json(const struct hp_adjacency *adjacency)
{
	struct prefix source = {.bits = (uint8_t)(32 - __builtin_popcount(adjacency->source_mask))};
	struct ip address = ip_from6(adjacency->address);
	char text[PREFIX_TEXT_BYTES];

	if (!adjacency->outer_bytes)
		return NULL;
	if (ip_is4(&address)) {
		source.ip = ip_from4(adjacency->outer + offsetof(struct iphdr, saddr));
	} else {
		source.ip = ip_from6(adjacency->outer + offsetof(struct ipv6hdr, saddr));
		source.bits += 96;
	}
	return json_string(adjacency->source_mask ? prefix_format(&source, text) : ip_format(&source.ip, text));
}

static void put_way(const struct director *director, json_t *into, const struct fleet_backend *backend)
{
	const struct hp_adjacency *adjacency = &director->plane.adjacencies[backend->way];
	struct ip own = ip_from6(adjacency->own);
	struct resolver_link link;
	char text[IP_TEXT_BYTES];

	if (!backend->way)
		return;
	if (resolver_link_numbered(director->resolver, adjacency->ifindex, &link))
		json_object_set_new(into, "interface", json_string(link.name));
	json_object_set_new(into, "mac", mac_json(adjacency->l2));
	json_object_set_new(into, "mtu", json_integer(adjacency->mtu));
	json_object_set_new(into, "path_mtu", status_path_mtu(director, backend));
	if (adjacency->outer_bytes)
		json_object_set_new(into, "source", source_json(adjacency));
	if (!ip_is_unspecified(&own))
		json_object_set_new(into, "probe_source", json_string(ip_format(&own, text)));
}

/* How far a slow start is; null when the backend has its whole weight. */
static json_t *ramp_json(const struct fleet_service *service, size_t index)
{
	uint64_t left_s;
	uint32_t step = fleet_ramp_of(service, index, &left_s);

	if (step == RAMP_STEPS)
		return json_null();
	return json_pack("{s:i, s:i, s:I}", "step", (int)step, "steps", RAMP_STEPS, "left_s", (json_int_t)left_s);
}

/* written: what the running text says of the service, beneath its overrides. */
static json_t *backend_json(const struct director *director, const struct fleet_service *service,
			    const struct config_service *written, size_t index, uint32_t slots)
{
	const struct fleet_backend *backend = service->backends[index];
	const struct config_backend *configured = &service->config->backends[index];
	uint64_t cell[HP_BACKEND_CELLS];
	char address[IP_TEXT_BYTES], id[CONFIG_QUIC_ID_TEXT_BYTES];
	json_t *out = json_pack("{s:s, s:i, s:i, s:s, s:s, s:f}", "address", ip_format(&configured->address, address),
				"weight", (int)configured->weight, "configured_weight",
				(int)written->backends[index].weight, "state", backend_state(backend),
				"reason",
				backend->target && !backend->way ? resolver_target_reason(backend->target) : "", "share",
				service->ring ? (double)slots / service->ring->size : 0.0);

	dataplane_backend_sum(&director->plane, backend->number, cell);
	put_counts(out, dataplane_sent(cell), cell[HP_CELL_BYTES], rates_backend(director->rates, backend->number));
	json_object_set_new(out, "verdicts", counts_json(cell, HP_BACKEND_CELLS));
	put_way(director, out, backend);
	json_object_set_new(out, "fallback", json_boolean(configured->is_fallback));
	json_object_set_new(out, "quic_id", configured->quic_bytes ?
			    json_string(config_quic_id_format(configured, id)) : json_null());
	json_object_set_new(out, "health", status_health(director, service, index));
	json_object_set_new(out, "mark", json_integer(probe_way_mark(director->probe_way, backend->number)));
	json_object_set_new(out, "icmp", status_icmp(director, &configured->address));
	json_object_set_new(out, "ramp", ramp_json(service, index));
	json_object_set_new(out, "drain", status_drain(director, service->config->name, &configured->address));
	return out;
}

/* ---- services --------------------------------------------------------------------------------------------------------- */

/* Sums over the VIPs and ports of a service. */
static void put_sums(const struct director *director, const struct config_service *config, json_t *out)
{
	uint64_t total[HP_SERVICE_CELLS] = {0}, cell[HP_SERVICE_CELLS];
	struct rate rate = {0, 0};

	for (size_t unit = 0; unit < fleet_unit_count(config); unit++) {
		const struct fleet_service *service = fleet_unit(director->fleet, config, unit);
		struct rate one;

		if (!service)
			continue;
		dataplane_service_sum(&director->plane, service->number, cell);
		for (size_t i = 0; i < HP_SERVICE_CELLS; i++)
			total[i] += cell[i];
		one = rates_service(director->rates, service->number);
		rate.packets_per_s += one.packets_per_s;
		rate.bytes_per_s += one.bytes_per_s;
	}
	put_counts(out, dataplane_sent(total), total[HP_CELL_BYTES], rate);
	json_object_set_new(out, "verdicts", counts_json(total, HP_SERVICE_CELLS));
}

bool status_port_is_up(const struct director *director, const struct port *port)
{
	struct resolver_link link;

	return port->ifindex && resolver_link_numbered(director->resolver, port->ifindex, &link) && link.up;
}

static bool has_way_in(const struct director *director)
{
	for (size_t i = 0; i < director->ports->count; i++) {
		const struct port *port = &director->ports->list[i];

		if (port->role == DATAPLANE_INGRESS && port->state == PORT_ATTACHED && status_port_is_up(director, port))
			return true;
	}
	return false;
}

static const char *panic_text(const struct fleet_service *service)
{
	return service->config->when_all_down == CONFIG_ALL_DOWN_FALLBACK ? "PANIC: too few backends are up, the fallback serves"
									  : "PANIC: too few backends are up, all get flows";
}

static const char *service_state(const struct director *director, const struct fleet_service *service, const char **reason)
{
	bool is_pending = false, has_weight = false;

	*reason = "no interface takes packets in";
	if (!has_way_in(director))
		return "down";
	*reason = service->ring && service->quorum.verdict == QUORUM_PANICS ? panic_text(service) : "";
	if (service->ring)
		return "up";
	if (config_is_probed(service->config) && service->quorum.verdict == QUORUM_WAITS) {
		*reason = "no backend has answered yet";
		return "starting";
	}
	for (size_t i = 0; i < service->config->backend_count; i++) {
		is_pending |= !strcmp(backend_state(service->backends[i]), "pending");
		has_weight |= service->config->backends[i].weight > 0;
	}
	*reason = !has_weight		      ? "every backend has weight 0 or is drained"
		  : service->quorum.needed > 1 ? "too few backends are usable"
					       : "no backend is usable";
	return is_pending ? "starting" : "down";
}

static json_t *backends_json(const struct director *director, const struct fleet_service *service,
			     const struct config_service *written)
{
	auto_free uint32_t *shares = calloc(service->config->backend_count, sizeof(*shares));
	json_t *list = json_array();

	if (service->ring && shares)
		count_slots(director, service, shares);
	for (size_t i = 0; i < service->config->backend_count; i++)
		json_array_append_new(list, backend_json(director, service, written, i, shares ? shares[i] : 0));
	return list;
}

static double difference(const struct director *director, const struct fleet_service *service, struct status_memo *memo)
{
	if (memo->now != service->ring || memo->before != service->before)
		*memo = (struct status_memo){service->ring, service->before, fleet_difference(director->fleet, service)};
	return memo->differs;
}

/* VIPs of both families may differ: the one that lives through the most speaks for all. */
json_t *status_motion(const struct director *director, const struct config_service *config, struct status_memo *memo)
{
	struct motion most = {0};
	uint64_t flows = 0, now_s = state_boot_s(), left_s;
	double differs = 0;
	bool is_moving;

	for (size_t unit = 0; unit < fleet_unit_count(config); unit++) {
		const struct fleet_service *service = fleet_unit(director->fleet, config, unit);

		if (!service || motion_is_steady(&service->motion))
			continue;
		flows += service->flows;
		if ((service->motion.flags & HP_MOTION_ANY) > (most.flags & HP_MOTION_ANY) ||
		    service->motion.until_s > most.until_s)
			most = service->motion;
		if (difference(director, service, memo) > differs)
			differs = memo->differs;
	}
	is_moving = most.flags & HP_MOTION_MOVING;
	left_s = most.until_s > now_s ? most.until_s - now_s : 0;
	return json_pack("{s:s, s:f, s:I, s:o, s:b}", "state", motion_name(&most), "differs", differs, "flows", (json_int_t)flows,
			 "left_s", is_moving ? json_integer((json_int_t)left_s) : json_null(), "waits_for_room",
			 is_moving && !left_s && fleet_table_is_full(director->fleet));
}

/* Backends that the service lists no more and whose flows have not been cut: how many are left, and for how long. Summed
 * over its VIPs and ports. */
static json_t *removed_json(const struct director *director, const struct config_service *config)
{
	json_t *rows = json_object(), *list = json_array(), *row;
	uint64_t now_s = state_boot_s();
	const char *address;

	for (size_t unit = 0; unit < fleet_unit_count(config); unit++) {
		const struct fleet_service *service = fleet_unit(director->fleet, config, unit);

		for (const struct fleet_departure *d = service ? service->departures : NULL; d; d = d->next) {
			char text[IP_TEXT_BYTES];
			json_int_t flows = (json_int_t)d->flows;

			if (!d->deadline_s || d->is_cut)
				continue;
			ip_format(&d->backend->identity.address, text);
			flows += json_integer_value(json_object_get(json_object_get(rows, text), "flows"));
			json_object_set_new(rows, text,
					    json_pack("{s:s, s:I, s:I}", "address", text, "flows", flows, "deadline_left_s",
						      d->deadline_s > now_s ? (json_int_t)(d->deadline_s - now_s) : 0));
		}
	}
	json_object_foreach(rows, address, row)
		json_array_append(list, row);
	json_decref(rows);
	return list;
}

/* How flows live through a change. */
static void put_continuity(const struct director *director, const struct config_service *config,
			   struct status_memo *memo, json_t *out)
{
	json_object_set_new(out, "motion", status_motion(director, config, memo));
	json_object_set_new(out, "removed", removed_json(director, config));
	json_object_set_new(out, "affinity", json_string(config_affinity_name(config->affinity)));
	json_object_set_new(out, "window_s", json_integer(config->window_s));
	json_object_set_new(out, "slow_start_s", json_integer(config->slow_start_s));
	json_object_set_new(out, "deadline_s", json_integer(config->deadline_s));
}

/* The first VIP of the service speaks for it; VIPs of both families may differ in method, which `vips` shows. */
json_t *status_service(const struct director *director, size_t index, struct status_memo *memo)
{
	const struct config_service *config = director->running->services[index];
	const struct fleet_service *service = fleet_unit(director->fleet, config, 0);
	struct ring_fingerprint configured, none = {{0, 0}};
	json_t *vips = json_array(), *local_vips = json_array(), *announced_vips = json_array(), *out;
	char address[IP_TEXT_BYTES], ports[CONFIG_PORTS_TEXT_BYTES];
	const char *reason, *state;

	for (size_t v = 0; v < config->vip_count; v++) {
		ip_format(&config->vips[v], address);
		json_array_append_new(vips, json_string(address));
		if (resolver_is_local(director->resolver, &config->vips[v]))
			json_array_append_new(local_vips, json_string(address));
		if (resolver_vips_has(director->resolver, &config->vips[v]))
			json_array_append_new(announced_vips, json_string(address));
	}
	if (!service)
		return json_pack("{s:s, s:o, s:o, s:o, s:s, s:s}", "name", config->name, "vips", vips, "local_vips", local_vips,
				 "announced_vips", announced_vips, "state", "failed", "reason", "not in the data plane");
	configured = fleet_configured_fingerprint(service);
	state = service_state(director, service, &reason);
	out = json_pack("{s:s, s:s, s:i, s:o, s:s, s:s, s:s, s:s, s:{s:i, s:o, s:o}, s:o}", "name", config->name, "protocol",
			config_protocol_name(config->protocol), "port", (int)config->ports[0].first, "vips", vips, "forward",
			config_forward_name(config->forward), "hash", config_hash_name(config->hash), "state", state, "reason",
			reason, "ring", "size", (int)config->slots, "configured", fingerprint_json(&configured), "live",
			fingerprint_json(service->ring ? &service->ring->fingerprint : &none), "backends",
			backends_json(director, service, director->base->services[index]));
	json_object_set_new(out, "ports", json_string(config_ports_format(config, ports)));
	json_object_set_new(out, "local_vips", local_vips);
	json_object_set_new(out, "announced_vips", announced_vips);
	json_object_set_new(out, "group", config->group ? json_string(config->group) : json_null());
	json_object_set_new(out, "quorum", status_quorum(service));
	json_object_set_new(out, "guard", status_guard(config));
	put_continuity(director, config, memo, out);
	put_sums(director, config, out);
	return out;
}

/* The walk over remembered flows: who is over is forgotten, who is left is counted, and what waits for nobody being left
 * goes on. It costs no packet: the tables are read in batches, a bucket's lock at a time. */
#include "daemon/fleet_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define PASS_EVERY_NS 1000000000u
#define PASS_SHARE 20 /* of the time at most one part in so many is spent on passes */

struct fleet_service *fleet_service_of(const struct fleet *fleet, const struct hp_flow *flow)
{
	struct ip vip = flow->is_ipv6 ? ip_from6((const uint8_t *)flow->destination)
				      : ip_from4((const uint8_t *)&flow->destination[3]);

	return fleet_server_of(fleet, &vip, flow->protocol, ntohs(flow->destination_port));
}

struct fleet_service *fleet_server_of(const struct fleet *fleet, const struct ip *vip, uint8_t protocol, uint16_t port)
{
	uint32_t number = dataplane_service_of(fleet->plane, vip, protocol, port);

	return number < fleet->plane->limits.services ? fleet->service_by_number[number] : NULL;
}

static bool is_over(const struct fleet_service *service, const struct fleet_departure *departure,
		    const struct hp_remembered *flow, uint64_t now_ns)
{
	/* The last packet may have come since now_ns was read. A difference that wraps also holds for times before the boot. */
	int64_t difference_ns = (int64_t)(now_ns - flow->seen_ns);
	uint64_t silent_ns = difference_ns > 0 ? (uint64_t)difference_ns : 0;

	if (!service || motion_is_steady(&service->motion) || (departure && departure->is_cut))
		return true;
	if (flow->marks & HP_FLOW_CLOSING && silent_ns > HP_CLOSING_NS)
		return true;
	return service->config && silent_ns > service->config->window_s * (uint64_t)1000000000;
}

static void look_at(struct fleet *fleet, const struct dataplane_flow *flow, uint64_t now_ns)
{
	struct fleet_service *service = fleet_service_of(fleet, &flow->key);
	struct fleet_backend *backend =
		flow->value.backend < fleet->plane->limits.backends ? fleet->by_number[flow->value.backend] : NULL;
	struct fleet_departure *departure = service && backend ? fleet_departure_of(fleet, service, backend) : NULL;

	if (is_over(service, departure, &flow->value, now_ns) &&
	    dataplane_flow_forget(fleet->plane, fleet->pass.table, flow))
		return;
	fleet->pass.found[fleet->pass.table]++;
	if (service)
		service->counting++;
	if (departure)
		departure->counting++;
	if (backend)
		backend->counting++;
}

/* What was published before now is what every packet sees from here on. */
static void begin(struct fleet *fleet, uint64_t now_ns)
{
	struct fleet_pass *pass = &fleet->pass;

	if (pass->wants_grace)
		fleet_reclaim(fleet);
	pass->wants_grace = false;
	for (struct fleet_service *s = fleet->services; s; s = s->hh.next) {
		s->counting = 0;
		for (struct fleet_departure *d = s->departures; d; d = d->next)
			d->counting = 0;
	}
	for (struct fleet_backend *b = fleet->backends; b; b = b->hh.next)
		b->counting = 0;
	memset(pass->found, 0, sizeof(pass->found));
	pass->number++;
	pass->is_running = true;
	pass->is_clean = !fleet->unsteady;
	pass->table = DATAPLANE_UNPROVEN;
	pass->began_ns = now_ns;
}

bool fleet_table_is_full(const struct fleet *fleet)
{
	return fleet->pass.table_is_full ||
	       dataplane_flow_events(fleet->plane, HP_FLOW_NOT_PROMOTED_EVENT) != fleet->pass.not_promoted;
}

/* Flows that a service lives through its motion for. Those of a group are all found with its first service. */
static uint64_t counted(const struct fleet *fleet, const struct fleet_service *service)
{
	const struct config_service *config = service->config;
	const struct fleet_service *lead = NULL;

	if (config && config->group)
		lead = fleet_server_of(fleet, &service->key.vip, config->lead_protocol, config->lead_port);
	return lead && lead->counting > service->counting ? lead->counting : service->counting;
}

static void end_services(struct fleet *fleet)
{
	for (struct fleet_service *s = fleet->services; s; s = s->hh.next) {
		s->flows = s->counting;
		if (s->motion.flags & HP_MOTION_SETTLING && !counted(fleet, s) && s->settles_in <= fleet->pass.number)
			fleet_rest(fleet, s);
		if (s->departures)
			fleet_departures_pass(fleet, s);
		if (s->stale_in <= fleet->pass.number)
			s->stale_in = 0;
	}
	if (fleet->pass.withdrawn_in <= fleet->pass.number)
		fleet->pass.withdrawn_in = 0;
}

static void end_backends(struct fleet *fleet)
{
	struct fleet_backend *backend, *next;

	HASH_ITER(hh, fleet->backends, backend, next) {
		backend->flows = backend->counting;
		if (backend->left_in && backend->left_in <= fleet->pass.number && !backend->flows)
			fleet_backend_free(fleet, backend);
	}
}

static void end(struct fleet *fleet, uint64_t now_ns)
{
	struct fleet_pass *pass = &fleet->pass;
	uint64_t took_ns = now_ns - pass->began_ns;
	bool was_full = pass->table_is_full;

	dataplane_walk_end(&pass->walk);
	memcpy(pass->count, pass->found, sizeof(pass->count));
	pass->is_running = false;
	pass->table_is_full = false;
	pass->table_is_full = fleet_table_is_full(fleet);
	pass->not_promoted = dataplane_flow_events(fleet->plane, HP_FLOW_NOT_PROMOTED_EVENT);
	if (pass->table_is_full && !was_full)
		log_event(LOG_WARNING, "flows_full flows=%llu limit=%u", (unsigned long long)pass->count[DATAPLANE_FLOWS],
			  fleet->plane->limits.flows);
	pass->next_ns = now_ns + (took_ns * PASS_SHARE > PASS_EVERY_NS ? took_ns * PASS_SHARE : PASS_EVERY_NS);
	end_services(fleet);
	end_backends(fleet);
	if (pass->is_clean && !pass->count[DATAPLANE_UNPROVEN] && !pass->count[DATAPLANE_FLOWS]) {
		pass->may_find = false;
		dataplane_hints_clear(fleet->plane);
	}
}

bool fleet_sweep(struct fleet *fleet)
{
	struct fleet_pass *pass = &fleet->pass;
	uint64_t now_ns = dataplane_boot_ns();
	struct err e;
	int count;

	if (!pass->may_find || (!pass->is_running && now_ns < pass->next_ns))
		return false;
	if (!pass->is_running)
		begin(fleet, now_ns);
	count = dataplane_walk_flows(fleet->plane, pass->table, &pass->walk, &e);
	for (int i = 0; i < count; i++)
		look_at(fleet, &pass->walk.rows[i], now_ns);
	if (count > 0)
		return true;
	dataplane_walk_end(&pass->walk);
	if (count < 0) { /* nothing is concluded from half a pass */
		log_event(LOG_ERR, "sweep_failed error=\"%s\"", e.text);
		pass->is_running = false;
		pass->next_ns = now_ns + PASS_EVERY_NS;
		return false;
	}
	if (pass->table == DATAPLANE_UNPROVEN) {
		pass->table = DATAPLANE_FLOWS;
		return true;
	}
	end(fleet, dataplane_boot_ns());
	return false;
}

void fleet_forget_stale(struct fleet *fleet, const struct fleet_service *service)
{
	/* The first ring of a service begins no motion. One pass may have begun before. */
	for (int passes = 0; service->ring && service->stale_in && passes < 2;) {
		fleet->pass.next_ns = 0;
		passes += !fleet_sweep(fleet);
	}
}

/* A configuration becomes the fleet: compare, prepare aside, publish: see fleet.h.
 *
 * What is prepared is not visible to packets, and all of it can be given back. */
#include "daemon/fleet_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One service that comes, or changes. */
struct step {
	struct dataplane_key key;
	struct config_service *config; /* borrowed from the configuration */
	struct fleet_service *service; /* NULL: it comes */
	uint32_t number;	       /* of one that comes */
	struct fleet_backend **backends; /* a reference each */
	size_t backend_count;
	void **checks; /* a reference each */
	struct quorum_member *members; /* owned */
	struct quorum quorum;
	struct fleet_ramp *ramps; /* owned */
	struct fleet_ring *ring; /* a reference */
	struct fleet_guard *guard; /* the same */
	bool is_held; /* the ring is what it was: another is made when the ways to new backends are known */
};

#define HOLD_MS 1000

struct plan {
	struct step *steps;
	size_t count, room;
};

static struct step *plan_add(struct plan *plan)
{
	size_t room = plan->room ? plan->room * 2 : 64;
	struct step *grown;

	if (plan->count == plan->room) {
		grown = realloc(plan->steps, room * sizeof(*grown));
		if (!grown)
			return NULL;
		plan->steps = grown;
		plan->room = room;
	}
	memset(&plan->steps[plan->count], 0, sizeof(*plan->steps));
	return &plan->steps[plan->count++];
}

/* ---- compare --------------------------------------------------------------------------------------------------- */

/* Services that stand where they stood in the last configuration are not looked up: nothing of them changes. */
static int compare(struct fleet *fleet, const struct config *config, struct plan *plan, size_t *found, struct err *e)
{
	fleet->comparison++;
	*found = 0;
	for (size_t i = 0; i < config->service_count; i++) {
		struct config_service *wanted = config->services[i];

		if (i < fleet->applied_count && fleet->applied[i].service == wanted) {
			*found += fleet->applied[i].unit_count;
			continue;
		}
		for (size_t unit = 0; unit < fleet_unit_count(wanted); unit++) {
			struct dataplane_key key = fleet_unit_key(wanted, unit);
			struct fleet_service *service = fleet_service_find(fleet, &key);
			struct step *step;

			*found += service != NULL;
			if (service && service->config == wanted)
				continue;
			step = plan_add(plan);
			if (!step)
				return err_set(e, -ENOMEM, "%m");
			step->key = key;
			step->config = wanted;
			step->service = service;
		}
	}
	return 0;
}

/* ---- prepare --------------------------------------------------------------------------------------------------- */

static void hold_ring(struct step *step)
{
	step->is_held = true;
	step->ring = step->service ? step->service->ring : NULL;
	if (step->ring)
		step->ring->references++;
}

/* Another service of the group at this VIP that is served, or NULL. */
static const struct fleet_service *companion_of(const struct fleet *fleet, const struct step *step)
{
	const struct fleet_service *service = step->config->group ? fleet->services : NULL;

	while (service && (!service->config || service->number == step->number ||
			   !config_is_together(service->config, step->config) || !ip_equal(&service->key.vip, &step->key.vip)))
		service = service->hh.next;
	return service;
}

/* Who serves a new key's packets so far, the service of a range, of any port or every protocol; or whose clients are to
 * find it where they are, one of its group. NULL: nobody. */
static const struct fleet_service *server_of(const struct fleet *fleet, const struct step *step)
{
	const struct dataplane_key *key = &step->key;
	const struct fleet_service *companion = companion_of(fleet, step);

	if (companion || key->protocol == HP_PROTOCOL_ANY)
		return companion;
	return fleet_server_of(fleet, &key->vip, key->protocol, key->port);
}

/* The longest that a check of a service waits. */
static uint32_t timeout_ms(const struct config_service *config)
{
	uint32_t longest = config->health ? config->health->timeout_ms : 0;

	for (size_t i = 0; i < config->peer_count; i++)
		if (config->peers[i].health->timeout_ms > longest)
			longest = config->peers[i].health->timeout_ms;
	return longest;
}

/* Backends, how they are, and the ring of those that take flows. */
static int prepare_ring(struct fleet *fleet, struct step *step, struct err *e)
{
	const struct fleet_service *former = step->service ? step->service : server_of(fleet, step);
	int code = fleet_backends_take(fleet, step->config, &step->key.vip, &step->backends, &step->backend_count, e);

	if (!code)
		code = fleet_checks_take(fleet, step->config, &step->key.vip, step->backends, former, &step->checks, e);
	if (code)
		return code;
	step->members = fleet_judge(fleet, step->config, step->backends, step->checks, &step->quorum, e);
	if (!step->members)
		return -ENOMEM;
	step->ramps = fleet_ramps_plan(fleet, step->service, step->config, step->backends, step->members);
	if ((!step->service || !step->service->former) &&
	    !fleet_is_waiting(fleet, step->config, step->backends, step->checks) &&
	    !fleet_keeps_ring(fleet, step->service, step->config, step->backends, step->members, &step->quorum))
		return fleet_ring_take(fleet, step->config, step->backends, step->members, step->ramps, &step->ring, e);
	hold_ring(step);
	return 0;
}

static int prepare(struct fleet *fleet, struct step *step, struct err *e)
{
	int code = fleet_guard_take(fleet, step->config->guard, &step->guard, e);

	if (!code)
		code = prepare_ring(fleet, step, e);
	if (code || step->service)
		return code;
	step->number = fleet_take(fleet, &fleet->service_numbers, 1);
	if (!step->number)
		return err_set(e, -ENOSPC,
			       "the data plane has room for %u services and all are taken: raise limits.services, then "
			       "restart the daemon",
			       fleet->plane->limits.services - 1);
	step->service = calloc(1, sizeof(*step->service));
	if (!step->service || !(step->service->vip = fleet_vip_take(fleet, &step->key.vip)))
		return err_set(e, -ENOMEM, "%m");
	step->service->key = step->key;
	step->service->number = step->number;
	code = fleet_former_take(fleet, step->service, step->config, e);
	if (!code && step->service->former) {
		fleet_ring_drop(fleet, step->ring);
		step->ring = NULL;
		step->is_held = true;
	}
	return code;
}

static void give_back(struct fleet *fleet, struct step *step)
{
	for (size_t i = 0; i < step->backend_count; i++)
		fleet_backend_drop(fleet, step->backends[i]);
	free(step->backends);
	fleet_checks_drop(fleet, step->checks, fleet_check_count(step->config));
	free(step->members);
	free(step->ramps);
	fleet_ring_drop(fleet, step->ring);
	fleet_guard_drop(fleet, step->guard);
	if (!step->number)
		return;
	extents_retire(&fleet->service_numbers, step->number, 1);
	if (step->service) {
		fleet_former_end(fleet, step->service);
		fleet_vip_drop(fleet, step->service->vip);
	}
	free(step->service);
}

/* ---- publish --------------------------------------------------------------------------------------------------- */

static void replace_backends(struct fleet *fleet, struct fleet_service *service, struct step *step)
{
	struct fleet_backend **old = service->backends;
	size_t old_count = service->config ? service->config->backend_count : 0;

	for (size_t i = 0; i < step->backend_count; i++)
		fleet_backend_join(step->backends[i], service);
	for (size_t i = 0; i < old_count; i++) {
		fleet_backend_part(old[i], service);
		fleet_backend_drop(fleet, old[i]);
	}
	free(old);
	fleet_checks_join(fleet, step->checks, fleet_check_count(step->config), service);
	fleet_checks_part(fleet, service->checks, fleet_check_count(service->config), service);
	fleet_checks_drop(fleet, service->checks, fleet_check_count(service->config));
	free(service->members);
	service->backends = step->backends;
	service->checks = step->checks;
	service->members = step->members;
	service->quorum = step->quorum;
	fleet_judged(fleet, service);
	fleet_ramps_set(fleet, service, step->ramps);
	config_service_drop(service->config);
	service->config = config_service_hold(step->config);
}

static void publish_new(struct fleet *fleet, struct fleet_service *service)
{
	dataplane_service_zero(fleet->plane, service->number);
	fleet->plane->services[service->number] = (struct hp_service){0};
	fleet_terms_clear(fleet, service);
	fleet_insert(fleet, service);
	service->stale_in = fleet->pass.withdrawn_in; /* it may have been here before */
}

/* The motion follows the new configuration, so that comes first; but for the departures, who are found in the rings. */
static void publish_change(struct fleet *fleet, struct fleet_service *service, struct step *step)
{
	struct config_service *former = service->config;

	fleet_departures_update(fleet, service, step->config, step->backends, step->members);
	service->config = step->config;
	if (step->ring != service->ring)
		fleet_publish(fleet, service, step->ring);
	else
		fleet_ring_drop(fleet, step->ring);
	fleet_follow_window(fleet, service);
	fleet_vip_follow(fleet, service);
	service->config = former;
}

/* A port that is split off goes on with the ring that served it while its own waits for the ways to its backends. Who is
 * only in that ring departs. */
static void begin(struct fleet *fleet, struct fleet_service *service, struct step *step)
{
	const struct fleet_service *former = service->former ? NULL : server_of(fleet, step);
	struct fleet_ring *ring = step->ring;

	if (step->is_held && former && former->ring && step->config->window_s) {
		ring = former->ring;
		ring->references++;
	}
	fleet_begin(fleet, service, former, step->config->window_s, ring);
	fleet_departures_update(fleet, service, step->config, step->backends, step->members);
}

static void publish(struct fleet *fleet, struct step *step, struct err *e)
{
	struct fleet_service *service = step->service;

	fleet->plane->motions[service->number].sticks =
		step->config->group ? hp_key_what(htons(step->config->lead_port), step->config->lead_protocol) : 0;
	if (step->number) {
		publish_new(fleet, service);
		fleet_terms_set(fleet, service, step->config, step->guard);
		begin(fleet, service, step);
	} else {
		fleet_terms_set(fleet, service, step->config, step->guard);
		publish_change(fleet, service, step);
	}
	/* There is room for its keys. Of a range that is adopted, some may be missing. */
	if (step->number || !service->config)
		dataplane_key_set(fleet->plane, &service->key, service->number, e);
	replace_backends(fleet, service, step);
	if (step->is_held) {
		service->held_until_ms =
			fleet_now_ms() + HOLD_MS + timeout_ms(step->config);
		fleet_mark(fleet, service);
	}
	for (size_t i = 0; i < step->backend_count; i++)
		if (service->backends[i]->is_new) {
			service->backends[i]->is_new = false;
			fleet->hooks.watch(fleet->hooks.context, service->backends[i]);
		}
	if (step->number && service->former)
		fleet_former_join(fleet, service);
}

static void remove_service(struct fleet *fleet, struct fleet_service *service)
{
	dataplane_key_clear(fleet->plane, &service->key, service->number);
	fleet_departures_end(fleet, service);
	fleet_former_end(fleet, service);
	fleet_withdraw(fleet, service);
	fleet_guard_drop(fleet, service->guard);
	fleet_remove(fleet, service);
	fleet_vip_write(fleet, service->vip);
	fleet_vip_drop(fleet, service->vip);
	fleet_forget_judged(fleet, service);
	fleet_checks_part(fleet, service->checks, fleet_check_count(service->config), service);
	fleet_checks_drop(fleet, service->checks, fleet_check_count(service->config));
	for (size_t i = 0; service->config && i < service->config->backend_count; i++) {
		fleet_backend_part(service->backends[i], service);
		fleet_backend_drop(fleet, service->backends[i]);
	}
	for (size_t i = 0; i < fleet->dirty_count; i++)
		if (fleet->dirty[i] == service)
			fleet->dirty[i] = fleet->dirty[--fleet->dirty_count];
	extents_retire(&fleet->service_numbers, service->number, 1);
	config_service_drop(service->config);
	fleet_ramps_set(fleet, service, NULL);
	free(service->backends);
	free(service->members);
	free(service);
}

/* Mark all that the configuration names. */
static void mark_wanted(struct fleet *fleet, const struct config *config)
{
	for (size_t i = 0; i < config->service_count; i++)
		for (size_t unit = 0; unit < fleet_unit_count(config->services[i]); unit++)
			fleet_unit(fleet, config->services[i], unit)->seen = fleet->comparison;
}

/* Take away what the configuration does not name; after the first one, also adopted backends that nobody lists. */
static void remove_rest(struct fleet *fleet, const struct config *config, size_t wanted)
{
	struct fleet_service *service, *next_service;
	struct fleet_backend *backend, *next_backend;

	if (HASH_COUNT(fleet->services) != wanted) {
		mark_wanted(fleet, config);
		HASH_ITER(hh, fleet->services, service, next_service)
			if (service->seen != fleet->comparison)
				remove_service(fleet, service);
	}
	if (!fleet->is_adopted)
		return;
	fleet->is_adopted = false;
	HASH_ITER(hh, fleet->backends, backend, next_backend)
		if (backend->is_adopted) {
			backend->is_adopted = false;
			fleet_backend_drop(fleet, backend);
		}
	/* What is left and listed nowhere departs, and its way is to be kept until it has gone. */
	HASH_ITER(hh, fleet->backends, backend, next_backend)
		if (backend->is_new) {
			backend->is_new = false;
			fleet->hooks.watch(fleet->hooks.context, backend);
		}
	fleet_vips_settle(fleet);
	fleet_guards_settle(fleet);
}

/* Note which services stand where. Without memory for the note the next configuration is looked up whole. */
static void remember(struct fleet *fleet, const struct config *config)
{
	struct fleet_applied *applied = realloc(fleet->applied, (config->service_count + 1) * sizeof(*applied));

	fleet->applied = applied ? applied : fleet->applied;
	if (!applied)
		fleet->applied_count = 0;
	for (size_t i = 0; applied && i < config->service_count; i++) {
		if (i < fleet->applied_count && applied[i].service == config->services[i])
			continue;
		applied[i] = (struct fleet_applied){config->services[i],
						       fleet_unit_count(config->services[i])};
	}
	fleet->applied_count = applied ? config->service_count : 0;
}

/* New services have keys, and a VIP each, at most. Those that go take theirs away after the others have come. */
static int check_room(const struct fleet *fleet, const struct plan *plan, struct err *e)
{
	uint64_t more4 = 0, more6 = 0;

	for (size_t i = 0; i < plan->count; i++)
		if (!plan->steps[i].service)
			*(ip_is4(&plan->steps[i].key.vip) ? &more4 : &more6) += dataplane_key_count(&plan->steps[i].key) + 1;
	if (dataplane_keys_fit(fleet->plane, more4, more6))
		return 0;
	return err_set(e, -ENOSPC, "the data plane has no room for all VIPs with their ports, of which a range takes up to %d: "
				   "raise limits.services, then restart the daemon",
		       KEYS_A_RANGE);
}

int fleet_apply(struct fleet *fleet, const struct config *config, struct err *e)
{
	struct plan plan = {0};
	size_t prepared = 0, wanted;
	int code = compare(fleet, config, &plan, &wanted, e);

	if (!code)
		code = check_room(fleet, &plan, e);
	for (size_t i = 0; !code && i < plan.count; i++)
		if (plan.steps[i].service)
			fleet_forget_stale(fleet, plan.steps[i].service);
	while (!code && prepared < plan.count) {
		code = prepare(fleet, &plan.steps[prepared], e);
		prepared++;
		if (code)
			err_add(e, code, "service %s", plan.steps[prepared - 1].config->name);
	}
	if (code) {
		while (prepared--)
			give_back(fleet, &plan.steps[prepared]);
		free(plan.steps);
		return code;
	}
	for (size_t i = 0; i < plan.count; i++) {
		wanted += plan.steps[i].number != 0;
		publish(fleet, &plan.steps[i], e);
	}
	fleet->warmup_ms = config->announce.warmup_s * 1000ull;
	remove_rest(fleet, config, wanted);
	fleet_quic_settle(fleet);
	remember(fleet, config);
	fleet_forget_formers(fleet);
	free(plan.steps);
	return 0;
}

/* Backends that depart: a service gives them no new flows any more, and its old ones may still be with them.
 *
 * One that fails its checks does so for as long, and so does one that others take flows instead of, in panic or after it.
 * One that was taken out of the configuration has a deadline; for one that was drained or has weight 0 the director may
 * set one. When it has come, what is left is cut off: `before` no longer names the backend, and remembered flows with it
 * are forgotten by the next sweep. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REMEMBERED_NS 1000000000u /* flows are remembered when their next packet comes, most of them by then */

static struct fleet_departure *find(const struct fleet_service *service, const struct fleet_backend *backend)
{
	struct fleet_departure *departure = service->departures;

	while (departure && departure->backend != backend)
		departure = departure->next;
	return departure;
}

static void drop_check(struct fleet *fleet, struct fleet_departure *departure)
{
	if (departure->check)
		fleet->hooks.drop_check(fleet->hooks.context, departure->check);
	departure->check = NULL;
}

/* Who is taken out is asked on, so that its flows need not wait for one that is dead. service is as it was before. */
static void keep_check(struct fleet *fleet, const struct fleet_service *service, struct fleet_departure *departure)
{
	struct config_ask ask;

	if (!service->checks || !service->config->health)
		return;
	ask = config_own_ask(service->config);
	for (size_t i = 0; !departure->check && i < service->config->backend_count; i++)
		if (service->backends[i] == departure->backend && service->checks[i])
			departure->check = fleet->hooks.take_check(fleet->hooks.context, &ask, &service->key.vip,
								   departure->backend,
								   fleet->hooks.health_of(service->checks[i])->state);
}

static void end(struct fleet *fleet, struct fleet_departure **at)
{
	struct fleet_departure *departure = *at;

	drop_check(fleet, departure);
	*at = departure->next;
	fleet->departing--;
	fleet->plane->identities[departure->backend->number].departed_s = 0; /* of another departure it dates too late at most */
	fleet_backend_drop(fleet, departure->backend);
	free(departure);
}

void fleet_departures_end(struct fleet *fleet, struct fleet_service *service)
{
	while (service->departures)
		end(fleet, &service->departures);
}

/* When the backend was last taken out of a service lies in the maps, so that a daemon that starts anew keeps to the
 * deadline. */
static uint64_t deadline(struct fleet *fleet, const struct fleet_backend *backend, uint32_t deadline_s, bool is_known)
{
	struct hp_identity *identity = &fleet->plane->identities[backend->number];

	if (!is_known || !identity->departed_s)
		identity->departed_s = (uint32_t)fleet_now_s();
	return (uint64_t)identity->departed_s + deadline_s;
}

static struct fleet_departure *begin(struct fleet *fleet, struct fleet_service *service, struct fleet_backend *backend)
{
	struct fleet_departure *departure = calloc(1, sizeof(*departure));

	if (!departure)
		return NULL;
	departure->backend = backend;
	departure->begun_ns = dataplane_boot_ns();
	departure->next = service->departures;
	service->departures = departure;
	backend->references++;
	backend->left_in = 0;
	fleet->departing++;
	return departure;
}

static bool is_listed(const struct fleet_backend *backend, const struct fleet_service *service)
{
	for (size_t i = 0; i < backend->service_count; i++)
		if (backend->services[i] == service)
			return true;
	return false;
}

struct fleet_departure *fleet_departure_of(struct fleet *fleet, struct fleet_service *service,
					   struct fleet_backend *backend)
{
	struct fleet_departure *departure = find(service, backend);

	if (departure || !service->config || motion_is_steady(&service->motion) || is_listed(backend, service))
		return departure;
	departure = begin(fleet, service, backend);
	if (departure)
		departure->deadline_s = deadline(fleet, backend, service->config->deadline_s, true);
	return departure;
}

/* listed: the configuration names it, with no weight. Without memory it departs without being seen to. */
static void depart(struct fleet *fleet, struct fleet_service *service, struct fleet_backend *backend,
		   const struct config_service *config, bool listed)
{
	struct fleet_departure *departure = find(service, backend);

	if (departure && listed == !departure->deadline_s)
		return;
	if (!departure) {
		departure = begin(fleet, service, backend);
		if (!departure)
			return;
		departure->flows = backend->flows; /* at most, until the next pass has counted */
	}
	departure->deadline_s = listed ? 0 : deadline(fleet, backend, config->deadline_s, !service->config);
	if (listed)
		drop_check(fleet, departure);
	else
		keep_check(fleet, service, departure);
}

/* Listed backends bear `stamp`, those with weight the stamp after it. */
static void depart_from(struct fleet *fleet, struct fleet_service *service, const struct fleet_ring *ring,
			const struct config_service *config, uint64_t stamp)
{
	for (size_t i = 0; ring && i < ring->member_count; i++)
		if (ring->members[i]->stamp != stamp + 1)
			depart(fleet, service, ring->members[i], config, ring->members[i]->stamp == stamp);
}

/* Listed, and gives up its flows. One that merely cannot be reached keeps them. */
static bool is_drained(const struct config_service *config, size_t i, const struct quorum_member *member)
{
	return !config->backends[i].weight || (!member->takes && (member->is_reachable || member->is_failing));
}

void fleet_departures_update(struct fleet *fleet, struct fleet_service *service, const struct config_service *config,
			     struct fleet_backend *const *backends, const struct quorum_member *members)
{
	uint64_t stamp = fleet->stamp + 1;
	struct fleet_departure **at = &service->departures;

	fleet->stamp += 2;
	for (size_t i = 0; i < config->backend_count; i++)
		backends[i]->stamp = stamp + !is_drained(config, i, &members[i]);
	if (config->window_s) {
		depart_from(fleet, service, service->ring, config, stamp);
		depart_from(fleet, service, service->before, config, stamp);
	}
	/* Flows that were opened with it while the service moved are with one that no ring names. */
	for (size_t i = 0; !service->config && !motion_is_steady(&service->motion) && i < config->backend_count; i++)
		if (is_drained(config, i, &members[i]))
			depart(fleet, service, backends[i], config, true);
	while (*at) {
		bool listed = (*at)->backend->stamp == stamp;

		if ((*at)->backend->stamp == stamp + 1) {
			end(fleet, at);
			continue;
		}
		depart(fleet, service, (*at)->backend, config, listed);
		at = &(*at)->next;
	}
}

/* Whether `before`, which a steady service keeps for second chances, names the one that was taken out: flows that were
 * silent for longer than the window may be with it until its deadline. */
static bool has_chance(const struct fleet_service *service, const struct fleet_departure *departure)
{
	const struct fleet_ring *before = departure->deadline_s && !departure->is_cut ? service->before : NULL;

	for (size_t i = 0; before && i < before->member_count; i++)
		if (before->members[i] == departure->backend)
			return true;
	return false;
}

/* Whether no more flows can come to be with the one who departs. A service whose next ring waits is still steady, and its
 * ring still names it. */
static bool may_end(const struct fleet_service *service, const struct fleet_departure *departure)
{
	return motion_is_steady(&service->motion) && !service->is_dirty && !has_chance(service, departure);
}

void fleet_departures_settle(struct fleet *fleet, struct fleet_service *service)
{
	struct fleet_departure **at = &service->departures;

	while (*at)
		if (may_end(service, *at))
			end(fleet, at);
		else
			at = &(*at)->next;
}

void fleet_departures_pass(struct fleet *fleet, struct fleet_service *service)
{
	struct fleet_departure **at = &service->departures;

	while (*at) {
		struct fleet_departure *departure = *at;
		bool may_grow = departure->is_cut ? departure->cut_in > fleet->pass.number : !may_end(service, departure);

		departure->flows = departure->counting;
		departure->is_counted |= fleet->pass.began_ns >= departure->begun_ns + REMEMBERED_NS;
		if (departure->flows || may_grow)
			at = &departure->next;
		else
			end(fleet, at);
	}
	fleet_vip_follow(fleet, service);
}

int fleet_departure_cut(struct fleet *fleet, struct fleet_service *service, struct fleet_departure *departure,
			struct err *e)
{
	struct fleet_ring *without = NULL;

	if (service->is_dirty) /* the ring that names it is `now` still, and `before` then */
		return err_set(e, -EAGAIN, "service %s waits for its next ring", service->config->name);
	if (service->before) {
		int code = fleet_ring_without(fleet, service->before, departure->backend, &without, e);

		if (code)
			return code;
	}
	departure->is_cut = true;
	departure->cut_in = fleet->pass.number + 1;
	fleet_before_replace(fleet, service, without);
	return 0;
}

/* From this departure on the first of a backend with the address: it may depart by two methods, when that has changed. */
static struct fleet_departure *with_address(struct fleet_departure *departure, const struct ip *backend)
{
	while (departure && !ip_equal(&departure->backend->identity.address, backend))
		departure = departure->next;
	return departure;
}

/* The next of a service's units behind this one, or of all those of its group; NULL: the first, the last. */
static struct fleet_service *next_unit(const struct fleet *fleet, const struct config_service *config,
				       const struct fleet_service *service)
{
	struct fleet_service *next = service ? service->hh.next : fleet->services;

	while (next && (!next->config || !config_is_together(next->config, config)))
		next = next->hh.next;
	return next;
}

int fleet_cut(struct fleet *fleet, const struct config_service *config, const struct ip *backend, struct err *e)
{
	char address[IP_TEXT_BYTES];
	bool is_found = false;

	for (struct fleet_service *service = NULL; (service = next_unit(fleet, config, service));) {
		struct fleet_departure *departure = with_address(service->departures, backend);

		for (; departure; departure = with_address(departure->next, backend)) {
			int code = departure->is_cut ? 0 : fleet_departure_cut(fleet, service, departure, e);

			if (code)
				return code;
			is_found = true;
		}
	}
	return is_found ? 0 : err_set(e, -ENOENT, "no flow of service %s can be with %s", config->name,
				      ip_format(backend, address));
}

uint64_t fleet_flows_of(const struct fleet *fleet, const struct config_service *config, const struct ip *backend,
			bool *is_over)
{
	uint64_t flows = 0;

	*is_over = true;
	for (const struct fleet_service *service = NULL; (service = next_unit(fleet, config, service));) {
		struct fleet_departure *departure = with_address(service->departures, backend);

		for (; departure; departure = with_address(departure->next, backend)) {
			*is_over = false;
			flows += departure->flows;
		}
	}
	return flows;
}

bool fleet_flows_are_counted(const struct fleet *fleet, const struct config_service *config, const struct ip *backend)
{
	for (const struct fleet_service *service = NULL; (service = next_unit(fleet, config, service));) {
		struct fleet_departure *departure = with_address(service->departures, backend);

		for (; departure; departure = with_address(departure->next, backend))
			if (!departure->is_counted)
				return false;
	}
	return true;
}

bool fleet_has_removed(const struct fleet *fleet, const struct config_service *config, const struct ip *backend,
		       uint64_t *flows, uint64_t *deadline_s)
{
	bool is_found = false;

	*flows = *deadline_s = 0;
	for (const struct fleet_service *service = NULL; (service = next_unit(fleet, config, service));) {
		struct fleet_departure *departure = with_address(service->departures, backend);

		for (; departure; departure = with_address(departure->next, backend)) {
			is_found |= departure->deadline_s != 0;
			*flows += departure->flows;
			if (!departure->is_cut && departure->deadline_s > *deadline_s)
				*deadline_s = departure->deadline_s;
		}
	}
	return is_found;
}

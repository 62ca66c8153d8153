/* What health makes of a service: its checks, who of its backends takes flows, and flows that are reset: see fleet.h.
 *
 * Checks are made and run by whoever is behind the hooks; who takes flows is core/quorum.h's to say. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <stdlib.h>

#define RESET_AGAIN_MS 5000

static const struct health *health_of(const struct fleet *fleet, const void *check)
{
	return check ? fleet->hooks.health_of(check) : NULL;
}

/* ---- checks ------------------------------------------------------------------------------------------------------------- */

/* Let backends of `former` bear stamps from `first` on, by their places; or those of its ring bear `first`, where it was
 * adopted. Returns how many stamps there are. */
static size_t stamp_former(struct fleet *fleet, const struct fleet_service *former, uint64_t first)
{
	size_t count = former && former->config ? former->config->backend_count : 0;

	for (size_t i = 0; i < count; i++)
		former->backends[i]->stamp = first + i;
	if (former && !former->config && former->ring) {
		count = 1;
		for (size_t i = 0; i < former->ring->member_count; i++)
			former->ring->members[i]->stamp = first;
	}
	fleet->stamp = first + count;
	return count;
}

static enum health_state known_state(const struct fleet *fleet, const struct fleet_service *former, size_t place)
{
	const struct health *health;

	if (!former->config)
		return HEALTH_STATE_UP;
	health = former->checks ? health_of(fleet, former->checks[place]) : NULL;
	if (health)
		return health->state;
	return former->members && former->members[place].takes ? HEALTH_STATE_UP : HEALTH_STATE_UNKNOWN;
}

size_t fleet_check_count(const struct config_service *config)
{
	return config ? config->backend_count * (1 + config->peer_count) : 0;
}

/* What number `i` of a service's checks asks; health NULL: nothing. */
static struct config_ask ask_of(const struct config_service *config, size_t i)
{
	size_t whose = i / config->backend_count;

	return whose ? config->peers[whose - 1] : config_own_ask(config);
}

int fleet_checks_take(struct fleet *fleet, const struct config_service *config, const struct ip *vip,
		      struct fleet_backend *const *backends, const struct fleet_service *former, void ***checks,
		      struct err *e)
{
	uint64_t first = fleet->stamp + 1;
	size_t known;
	void **list;

	if (!config_is_probed(config) || !fleet->hooks.take_check)
		return 0;
	list = calloc(fleet_check_count(config), sizeof(*list));
	if (!list)
		return err_set(e, -ENOMEM, "%m");
	known = stamp_former(fleet, former, first);
	for (size_t i = 0; i < fleet_check_count(config); i++) {
		size_t at = i % config->backend_count;
		uint64_t place = backends[at]->stamp - first;
		struct config_ask ask = ask_of(config, i);

		if (config->backends[at].is_fallback || !ask.health)
			continue;
		list[i] = fleet->hooks.take_check(fleet->hooks.context, &ask, vip, backends[at],
						  place < known ? known_state(fleet, former, place) : HEALTH_STATE_UNKNOWN);
		if (!list[i]) {
			fleet_checks_drop(fleet, list, i);
			return err_set(e, -ENOMEM, "%m");
		}
	}
	*checks = list;
	return 0;
}

void fleet_checks_drop(struct fleet *fleet, void **checks, size_t count)
{
	for (size_t i = 0; checks && i < count; i++)
		if (checks[i])
			fleet->hooks.drop_check(fleet->hooks.context, checks[i]);
	free(checks);
}

static struct fleet_check *row_of(struct fleet *fleet, const void *check)
{
	struct fleet_check *row;

	HASH_FIND_PTR(fleet->checks, &check, row);
	if (row)
		return row;
	row = calloc(1, sizeof(*row));
	if (!row)
		return NULL;
	row->check = check;
	HASH_ADD_PTR(fleet->checks, check, row);
	return row;
}

static void join(struct fleet *fleet, const void *check, struct fleet_service *service)
{
	struct fleet_check *row = row_of(fleet, check);
	struct fleet_service **grown;

	if (row && row->count == row->room) {
		size_t room = row->room ? row->room * 2 : 1;

		grown = realloc(row->services, room * sizeof(struct fleet_service *));
		if (!grown)
			return;
		row->services = grown;
		row->room = room;
	}
	if (row)
		row->services[row->count++] = service;
}

static void part(struct fleet *fleet, const void *check, const struct fleet_service *service)
{
	struct fleet_check *row;

	HASH_FIND_PTR(fleet->checks, &check, row);
	for (size_t i = 0; row && i < row->count; i++)
		if (row->services[i] == service) {
			row->services[i] = row->services[--row->count];
			break;
		}
	if (!row || row->count)
		return;
	HASH_DEL(fleet->checks, row);
	free(row->services);
	free(row);
}

void fleet_checks_join(struct fleet *fleet, void *const *checks, size_t count, struct fleet_service *service)
{
	for (size_t i = 0; checks && i < count; i++)
		if (checks[i])
			join(fleet, checks[i], service);
}

void fleet_checks_part(struct fleet *fleet, void *const *checks, size_t count, struct fleet_service *service)
{
	for (size_t i = 0; checks && i < count; i++)
		if (checks[i])
			part(fleet, checks[i], service);
}

/* ---- who takes flows ------------------------------------------------------------------------------------------------ */

bool fleet_way_is_pending(const struct fleet *fleet, const struct fleet_backend *backend)
{
	return !backend->adjacency && !backend->is_dead &&
	       (backend->is_new || (fleet->hooks.is_pending && fleet->hooks.is_pending(fleet->hooks.context, backend)));
}

/* What its checks say of a backend, all of a group's: the worst. */
static enum quorum_state checked_state(const struct fleet *fleet, const struct config_service *config, void *const *checks,
				       size_t backend)
{
	enum quorum_state state = QUORUM_UP;

	for (size_t i = backend; checks && i < fleet_check_count(config); i += config->backend_count) {
		const struct health *health = health_of(fleet, checks[i]);

		if (health && health->state == HEALTH_STATE_FAILING)
			return QUORUM_DOWN;
		if (health && health->state == HEALTH_STATE_UNKNOWN)
			state = QUORUM_UNKNOWN;
	}
	return state;
}

struct quorum_member *fleet_judge(const struct fleet *fleet, const struct config_service *config,
				  struct fleet_backend *const *backends, void *const *checks, struct quorum *quorum,
				  struct err *e)
{
	struct quorum_member *members = calloc(config->backend_count + 1, sizeof(*members));

	if (!members) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	for (size_t i = 0; i < config->backend_count; i++) {
		enum quorum_state state = checked_state(fleet, config, checks, i);

		members[i].is_reachable = backends[i]->adjacency != 0;
		members[i].is_failing = state == QUORUM_DOWN;
		if (!members[i].is_reachable)
			state = fleet_way_is_pending(fleet, backends[i]) ? QUORUM_UNKNOWN : QUORUM_DOWN;
		members[i].state = state;
	}
	*quorum = quorum_judge(config, members);
	return members;
}

/* Whether a check of a backend has had no answer yet. */
static bool is_unanswered(const struct fleet *fleet, const struct config_service *config, void *const *checks,
			  size_t backend)
{
	for (size_t i = backend; checks && i < fleet_check_count(config); i += config->backend_count) {
		const struct health *health = health_of(fleet, checks[i]);

		if (health && health->state == HEALTH_STATE_UNKNOWN && !health->is_answered)
			return true;
	}
	return false;
}

bool fleet_is_waiting(const struct fleet *fleet, const struct config_service *config,
		      struct fleet_backend *const *backends, void *const *checks)
{
	for (size_t i = 0; i < config->backend_count; i++) {
		if (!config->backends[i].weight || config->backends[i].is_fallback)
			continue;
		if (fleet_way_is_pending(fleet, backends[i]) ||
		    (backends[i]->adjacency && is_unanswered(fleet, config, checks, i)))
			return true;
	}
	return false;
}

bool fleet_keeps_ring(struct fleet *fleet, const struct fleet_service *service, const struct config_service *config,
		      struct fleet_backend *const *backends, const struct quorum_member *members,
		      const struct quorum *quorum)
{
	bool may_fail = config->when_all_down == CONFIG_ALL_DOWN_ALL; /* nobody is up, so flows would go to them anyway */
	uint64_t stamp = ++fleet->stamp;

	if (!config_is_probed(config) || !service || !service->ring || quorum->verdict != QUORUM_WAITS || quorum->is_up)
		return false;
	for (size_t i = 0; i < config->backend_count; i++)
		if ((members[i].is_failing && !may_fail) || !config->backends[i].weight)
			backends[i]->stamp = stamp;
	for (size_t i = 0; i < service->ring->member_count; i++)
		if (!service->ring->members[i]->adjacency || service->ring->members[i]->stamp == stamp)
			return false;
	return true;
}

bool fleet_service_is_waiting(const struct fleet *fleet, const struct fleet_service *service)
{
	return fleet_is_waiting(fleet, service->config, service->backends, service->checks);
}

/* ---- what follows --------------------------------------------------------------------------------------------------- */

void fleet_health_changed(struct fleet *fleet, const void *check)
{
	bool is_failing = health_of(fleet, check)->state == HEALTH_STATE_FAILING;
	struct fleet_check *row;

	HASH_FIND_PTR(fleet->checks, &check, row);
	for (size_t i = 0; row && i < row->count; i++) {
		if (is_failing)
			row->services[i]->held_until_ms = 0; /* nothing that may come is worth flows that get no answer */
		fleet_mark(fleet, row->services[i]);
	}
}

void fleet_judged(struct fleet *fleet, struct fleet_service *service)
{
	if (service->is_untold)
		return;
	service->is_untold = true;
	service->next_untold = fleet->untold;
	fleet->untold = service;
}

struct fleet_service *fleet_next_untold(struct fleet *fleet)
{
	struct fleet_service *service = fleet->untold;

	if (service) {
		fleet->untold = service->next_untold;
		service->is_untold = false;
	}
	return service;
}

void fleet_forget_judged(struct fleet *fleet, struct fleet_service *service)
{
	struct fleet_service **at = &fleet->untold;

	while (*at && *at != service)
		at = &(*at)->next_untold;
	if (*at)
		*at = service->next_untold;
}

bool fleet_is_failing(const struct fleet_service *service, const struct fleet_backend *backend)
{
	for (size_t i = 0; service->members && i < service->config->backend_count; i++)
		if (service->backends[i] == backend)
			return service->members[i].is_failing;
	return false;
}

int fleet_reset_failing(struct fleet *fleet, struct fleet_service *service, struct err *e)
{
	if (service->config->on_down != CONFIG_ON_DOWN_RESET)
		return 0;
	for (struct fleet_departure *d = service->departures; d; d = d->next) {
		int code = d->is_cut || !fleet_is_failing(service, d->backend) ? 0 : fleet_departure_cut(fleet, service, d, e);

		if (code) {
			fleet->flush_at_ms = fleet_now_ms() + RESET_AGAIN_MS;
			return code;
		}
	}
	return 0;
}

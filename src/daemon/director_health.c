/* From health to the ring: what comes of checks marks the services that they speak for, makes backends dead or alive, and is
 * told to the log. Checks are run by probes.h; who takes flows is the fleet's to say. */
#include "daemon/director_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define BURST_MS 1000

/* ---- what the fleet asks ------------------------------------------------------------------------------------------------ */

void *director_take_check(void *context, const struct config_ask *ask, const struct ip *vip,
			  const struct fleet_backend *backend, enum health_state state)
{
	struct director *director = context;
	struct check_key key;

	memset(&key, 0, sizeof(key));
	key.backend = backend->identity.address;
	if (!ask->health->via_backend) {
		key.vip = *vip;
		key.number = backend->number;
	}
	key.port = ask->port;
	return probes_take(director->probes, ask->health, &key, state);
}

void director_drop_check(void *context, void *check)
{
	struct director *director = context;

	probes_drop(director->probes, check);
}

const struct health *director_health_of(const void *check)
{
	return check_health(check);
}

const struct check *director_check(const struct fleet_service *service, size_t backend)
{
	const struct check *found = NULL;

	for (size_t i = backend; service->checks && i < fleet_check_count(service->config); i += service->config->backend_count) {
		const struct check *check = service->checks[i];

		if (check && check_health(check)->state == HEALTH_STATE_FAILING)
			return check;
		found = found ? found : check;
	}
	return found;
}

/* ---- who is dead ------------------------------------------------------------------------------------------------------- */

/* Whether its flows go to backends whatever their health; or went, and will unless one that is new is well. */
static bool is_to_all(const struct fleet_service *service)
{
	const struct quorum *quorum = &service->quorum;

	return service->config->when_all_down == CONFIG_ALL_DOWN_ALL &&
	       (quorum->verdict == QUORUM_PANICS || (quorum->verdict == QUORUM_WAITS && !quorum->up));
}

/* What a service says of a backend of it: one that is not probed, or that gets flows whatever its health, keeps it alive. */
static enum check_reach reach_by(const struct fleet_service *service, const struct fleet_backend *backend)
{
	const struct check *check = NULL;

	for (size_t i = 0; i < service->config->backend_count; i++)
		if (service->backends[i] == backend)
			check = director_check(service, i);
	if (!check || is_to_all(service))
		return CHECK_REACH_YES;
	return check_reach(check);
}

/* Whether what one says of it leaves it dead. */
static bool leaves_dead(const struct fleet_backend *backend, enum check_reach reach)
{
	switch (reach) {
	case CHECK_REACH_UNKNOWN:
		return backend->is_dead;
	case CHECK_REACH_YES:
		return false;
	case CHECK_REACH_NO:
		return true;
	}
	return false;
}

/* The same of the services that list it no more, and that it may have flows of. Returns how many there are, or -1 when one
 * keeps it alive. */
static int departures_leave_dead(const struct fleet *fleet, const struct fleet_backend *backend)
{
	int count = 0;

	for (const struct fleet_service *s = fleet->departing ? fleet->services : NULL; s; s = s->hh.next)
		for (const struct fleet_departure *d = s->departures; d; d = d->next) {
			if (d->backend != backend || d->is_cut || !d->deadline_s)
				continue;
			if (!leaves_dead(backend, d->check ? check_reach(d->check) : CHECK_REACH_YES))
				return -1;
			count++;
		}
	return count;
}

/* Dead when nobody hears of it; and until somebody does. */
static bool is_dead(const struct fleet *fleet, const struct fleet_backend *backend)
{
	int departures;

	for (size_t i = 0; i < backend->service_count; i++)
		if (!leaves_dead(backend, reach_by(backend->services[i], backend)))
			return false;
	departures = departures_leave_dead(fleet, backend);
	return departures > 0 || (!departures && backend->service_count > 0);
}

/* Returns whether it is another now. */
static bool judge_backend(struct director *director, struct fleet_backend *backend)
{
	bool dies = is_dead(director->fleet, backend);
	bool is_spared = director->burst_up + director->burst_failing > DIRECTOR_BURST_LOGGED;
	char address[IP_TEXT_BYTES], key[FLAPS_KEY_BYTES];

	if (dies == backend->is_dead)
		return false;
	fleet_backend_dead(director->fleet, backend, dies);
	snprintf(key, sizeof(key), "backend=%s forward=%s", ip_format(&backend->identity.address, address),
		 config_forward_name(adjacency_forward((enum hp_method)backend->identity.method)));
	if (dies)
		flaps_log(director->flaps, uv_now(director->loop), key, is_spared, LOG_WARNING,
			  "backend_dead %s reason=\"its checks and its own address are silent\"", key);
	else
		flaps_log(director->flaps, uv_now(director->loop), key, is_spared, LOG_NOTICE, "backend_alive %s", key);
	return true;
}

/* Every method that the address is used with. */
static bool judge_address(struct director *director, const struct ip *address)
{
	bool has_changed = false;

	for (uint32_t method = HP_METHOD_NONE + 1; method < HP_METHOD_COUNT; method++) {
		struct fleet_backend *backend;
		struct fleet_identity identity;

		memset(&identity, 0, sizeof(identity));
		identity.address = *address;
		identity.method = method;
		backend = fleet_backend_find(director->fleet, &identity);
		has_changed |= backend && judge_backend(director, backend);
	}
	return has_changed;
}

void director_judge_backends(struct director *director)
{
	for (struct fleet_backend *b = director->fleet->backends; b; b = b->hh.next)
		judge_backend(director, b);
}

/* ---- what comes of checks -------------------------------------------------------------------------------------------- */

static void flush(uv_timer_t *timer)
{
	director_flush(timer->data);
}

/* Changes of one turn of the loop are one. */
static void flush_soon(struct director *director)
{
	if (!uv_is_active((uv_handle_t *)&director->health_timer))
		uv_timer_start(&director->health_timer, flush, 0, 0);
}

static const char *place_text(const struct check *check, char *text, size_t room)
{
	const struct check_key *key = check_key(check);
	char address[IP_TEXT_BYTES], port[8] = "";

	ip_format(key->number ? &key->vip : &key->backend, address);
	if (key->port)
		snprintf(port, sizeof(port), ":%u", key->port);
	snprintf(text, room, key->port && strchr(address, ':') ? "[%s]%s" : "%s%s", address, port);
	return text;
}

/* Of what changes within a second so many are named, and the others counted. */
static void begin_burst(struct director *director)
{
	if (!(director->burst_up | director->burst_failing | director->burst_services))
		director->burst_ms = uv_now(director->loop);
}

static void end_burst(struct director *director)
{
	if (uv_now(director->loop) - director->burst_ms < BURST_MS)
		return;
	if (director->burst_up + director->burst_failing > DIRECTOR_BURST_LOGGED)
		log_event(LOG_NOTICE, "health_changed up=%u failing=%u", director->burst_up, director->burst_failing);
	if (director->burst_services > DIRECTOR_BURST_LOGGED)
		log_event(LOG_WARNING, "services_changed services=%u", director->burst_services);
	director->burst_up = director->burst_failing = director->burst_services = 0;
}

/* The words of an answer, as they can stand in a line of the log. */
static const char *answer_text(const struct health_result *result, char text[static HEALTH_TEXT_BYTES])
{
	snprintf(text, HEALTH_TEXT_BYTES, "%s", result->text[0] ? result->text : health_answer_text(result->answer));
	for (char *c = text; *c; c++)
		if (*c == '"')
			*c = '\'';
	return text;
}

const char *director_check_words(const struct check *check, char text[static FLAPS_KEY_BYTES])
{
	char backend[IP_TEXT_BYTES], place[IP_TEXT_BYTES + 12];

	snprintf(text, FLAPS_KEY_BYTES, "backend=%s asked=%s type=%s", ip_format(&check_key(check)->backend, backend),
		 place_text(check, place, sizeof(place)), config_probe_name(check_policy(check)->type));
	return text;
}

static void log_check(struct director *director, const struct check *check)
{
	const struct health_result *last = check_last(check);
	bool is_up = check_health(check)->state == HEALTH_STATE_UP, is_spared;
	char key[FLAPS_KEY_BYTES], text[HEALTH_TEXT_BYTES];

	begin_burst(director);
	director->burst_up += is_up;
	director->burst_failing += !is_up;
	is_spared = director->burst_up + director->burst_failing > DIRECTOR_BURST_LOGGED;
	director_check_words(check, key);
	if (is_up)
		flaps_log(director->flaps, uv_now(director->loop), key, is_spared, LOG_NOTICE, "backend_up %s took_ms=%.1f", key,
			  last->took_us / 1000.0);
	else
		flaps_log(director->flaps, uv_now(director->loop), key, is_spared, LOG_WARNING,
			  "backend_failing %s answer=%s reason=\"%s\" took_ms=%.1f", key, health_answer_name(last->answer),
			  answer_text(last, text), last->took_us / 1000.0);
}

static void changed(void *context, struct check *check, bool is_state)
{
	struct director *director = context;

	if (is_state) {
		log_check(director, check);
		fleet_health_changed(director->fleet, check);
		diagnoses_follow(director->diagnoses, check);
	}
	judge_address(director, &check_key(check)->backend);
	flush_soon(director);
}

/* What it inherited from another check, after a reload or a start, is to be explained all the same. */
static void stayed(void *context, struct check *check)
{
	struct director *director = context;

	diagnoses_follow(director->diagnoses, check);
}

static void ended(void *context, struct check *check)
{
	struct director *director = context;

	if (director->diagnoses)
		diagnoses_forget(director->diagnoses, check);
}

static enum check_way way(void *context, const struct check_key *key, uint32_t *mark, struct err *e)
{
	const struct director *director = context;
	const struct fleet_backend *backend = director->fleet->by_number[key->number];
	const char *reason = probe_way_reason(director->probe_way, &key->vip);

	*mark = probe_way_mark(director->probe_way, key->number);
	if (!reason && !*mark)
		reason = "the mask of `probes` has no room for the backend's number";
	if (reason) {
		err_set(e, -EHOSTUNREACH, "%s", reason);
		return CHECK_WAY_CLOSED;
	}
	if (!backend || backend->way)
		return CHECK_WAY_OPEN;
	if (!backend->target || resolver_target_state(backend->target) != RESOLVER_FAILED)
		return CHECK_WAY_PENDING;
	err_set(e, -EHOSTUNREACH, "no way: %s", resolver_target_reason(backend->target));
	return CHECK_WAY_LOST;
}

int director_open_probes(struct director *director, struct err *e)
{
	const struct probes_events events = {.context = director, .way = way, .changed = changed, .stayed = stayed,
					      .ended = ended};

	director->flaps = flaps_create();
	director->probes = probes_create(director->loop, &events);
	return director->probes && director->flaps ? director_open_diagnoses(director, e) : err_set(e, -ENOMEM, "%m");
}

/* ---- services ------------------------------------------------------------------------------------------------------- */

static void log_verdict(struct director *director, const struct fleet_service *service, bool is_spared)
{
	const struct quorum *quorum = &service->quorum;
	uint64_t now = uv_now(director->loop);
	char key[FLAPS_KEY_BYTES];

	snprintf(key, sizeof(key), "service=%s", service->config->name);
	switch (quorum->verdict) {
	case QUORUM_SERVES:
		flaps_log(director->flaps, now, key, is_spared, LOG_NOTICE, "service_up %s up=%zu needed=%zu", key, quorum->up,
			  quorum->needed);
		return;
	case QUORUM_PANICS:
		flaps_log(director->flaps, now, key, is_spared, LOG_ERR, "service_panics %s up=%zu needed=%zu flows_go_to=%s",
			  key, quorum->up, quorum->needed, config_all_down_name(service->config->when_all_down));
		return;
	case QUORUM_DROPS:
		flaps_log(director->flaps, now, key, is_spared, LOG_ERR, "service_down %s up=%zu needed=%zu", key, quorum->up,
			  quorum->needed);
		return;
	case QUORUM_WAITS:
		return;
	}
}

/* A service that begins well, or that is not known yet, is no news. */
static bool is_news(const struct fleet_service *service)
{
	bool was_bad = service->told == QUORUM_PANICS || service->told == QUORUM_DROPS;

	return service->quorum.verdict != QUORUM_WAITS && (was_bad || service->quorum.verdict != QUORUM_SERVES) &&
	       (config_is_probed(service->config) || service->quorum.verdict == QUORUM_PANICS);
}

/* What this host cannot ask for says nothing of backends, so that it has to be said here. */
static void tell_local(struct director *director)
{
	struct probes_facts facts;
	bool is_local;

	probes_facts(director->probes, &facts);
	is_local = facts.local > 0;
	if (is_local == director->is_local_told)
		return;
	director->is_local_told = is_local;
	if (is_local)
		log_event(LOG_ERR, "probes_not_sent checks=%llu reason=\"%s\"", (unsigned long long)facts.local,
			  facts.local_text);
	else
		log_event(LOG_NOTICE, "probes_sent_again");
}

bool director_follow_health(struct director *director)
{
	bool has_changed = false;
	struct fleet_service *s;

	while ((s = fleet_next_untold(director->fleet)) != NULL) {
		bool is_same = s->told == s->quorum.verdict && !s->has_waited;

		s->has_waited = s->quorum.verdict == QUORUM_WAITS;
		if (is_same || s->has_waited)
			continue;
		if (s->told != s->quorum.verdict && is_news(s)) {
			begin_burst(director);
			log_verdict(director, s, director->burst_services++ >= DIRECTOR_BURST_LOGGED);
		}
		s->told = s->quorum.verdict;
		for (size_t i = 0; config_is_probed(s->config) && i < s->config->backend_count; i++)
			has_changed |= judge_backend(director, s->backends[i]);
	}
	end_burst(director);
	tell_local(director);
	return has_changed;
}

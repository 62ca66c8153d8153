/* What operators override of backends, weights and drains, laid over the running text until they are reset: see director.h. */
#include "daemon/director_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/log.h"

#define BACKENDS_NAMED_MOST 8

ptrdiff_t director_find_backend(const struct config_service *service, const struct ip *address)
{
	for (size_t i = 0; i < service->backend_count; i++)
		if (ip_equal(&service->backends[i].address, address))
			return (ptrdiff_t)i;
	return -1;
}

/* Give the backend a weight in a service, and in all of its group. Returns false when memory is out. */
static bool lay(struct config *config, const struct state_override *row, uint32_t weight)
{
	ptrdiff_t at = config_find_service(config, row->service);

	for (size_t i = 0; at >= 0 && i < config->service_count; i++) {
		ptrdiff_t backend = config_is_together(config->services[i], config->services[at])
					    ? director_find_backend(config->services[i], &row->backend)
					    : -1;

		if (backend >= 0 && config->services[i]->backends[backend].weight != weight &&
		    !config_set_weight(config, i, (size_t)backend, weight))
			return false;
	}
	return true;
}

/* Drains come after weights: of a group's services each may have rows of its own. */
struct config *director_overlay(const struct config *base, const struct state *state, const char *but_for)
{
	struct config *config = config_copy(base);

	for (int drains = 0; drains <= 1; drains++)
		for (size_t i = 0; config && i < state->override_count; i++) {
			const struct state_override *row = &state->overrides[i];
			bool says_this = drains ? row->drain : row->has_weight;

			if (!says_this || (but_for && !strcmp(row->service, but_for)))
				continue;
			if (!lay(config, row, drains ? 0 : row->weight)) {
				config_free(config);
				return NULL;
			}
		}
	return config;
}

/* What became of a backend that the service lists no more, or -1 when nothing is known of it. */
static int removed_backend(const struct director *director, const struct config_service *service, const struct ip *backend,
			   struct err *e)
{
	uint64_t flows, deadline_s, now_s = state_boot_s();
	char address[IP_TEXT_BYTES], left[DURATION_ROUGH_BYTES];

	if (!fleet_has_removed(director->fleet, service, backend, &flows, &deadline_s))
		return -1;
	ip_format(backend, address);
	if (!deadline_s)
		return err_set(e, -ENOENT, "backend %s was removed from service %s: it takes no new flows, and those that it had "
			       "were cut, by `deadline`", address, service->name);
	return err_set(e, -ENOENT, "backend %s was removed from service %s: it takes no new flows, and those that it has (%llu "
		       "remembered) are cut in %s, by `deadline`", address, service->name, (unsigned long long)flows,
		       duration_rough(deadline_s > now_s ? deadline_s - now_s : 0, left));
}

static int no_backend(const struct config_service *service, const struct ip *backend, struct err *e)
{
	char list[BACKENDS_NAMED_MOST * (IP_TEXT_BYTES + 2) + 40] = "", address[IP_TEXT_BYTES];
	size_t at = 0;

	for (size_t i = 0; i < service->backend_count && i < BACKENDS_NAMED_MOST; i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "",
				       ip_format(&service->backends[i].address, address));
	if (service->backend_count > BACKENDS_NAMED_MOST)
		snprintf(list + at, sizeof(list) - at, " and %zu more", service->backend_count - BACKENDS_NAMED_MOST);
	return err_set(e, -ENOENT, "service %s has no backend %s: it has %s", service->name, ip_format(backend, address), list);
}

/* Lay the overrides over the base anew: after they changed, or but for those of a service. */
static int relay(struct director *director, const char *but_for, struct director_result *result, struct err *e)
{
	struct config *running = director_overlay(director->base, &director->state, but_for);
	int code = -ENOMEM;

	if (!running)
		return err_set(e, code, "%m");
	config_diff(director->running, running, &result->changes);
	code = director_program(director, running, true, e);
	if (code)
		config_free(running);
	return code;
}

/* What the running text says, beneath the overrides. */
static uint32_t written_weight(const struct director *director, ptrdiff_t index, const struct ip *backend)
{
	const struct config_service *service = director->base->services[index];

	return service->backends[director_find_backend(service, backend)].weight;
}

/* Where the configuration that runs has the backend, or -1 with *e written. */
static ptrdiff_t find(const struct director *director, const char *name, const struct ip *backend, struct err *e)
{
	ptrdiff_t index = director_find_service(director, name);
	ptrdiff_t at = index < 0 ? -1 : director_find_backend(director->running->services[index], backend);

	if (index < 0)
		director_no_service(director, name, e);
	else if (at < 0 && removed_backend(director, director->running->services[index], backend, e) == -1)
		no_backend(director->running->services[index], backend, e);
	return at < 0 ? -1 : index;
}

/* A row says something else now: lay the overrides, or, when that fails, let it be as it was. The row ends here. */
static int settle(struct director *director, struct state_override *row, const struct state_override *former,
		  struct director_result *result, struct err *e)
{
	int code = relay(director, NULL, result, e);

	if (code)
		*row = *former;
	state_override_trim(&director->state);
	director_save(director);
	return code;
}

/* What becomes of new flows of a service without enough backends that have weight, said to who took it. */
static void warn_of_few(const struct director *director, ptrdiff_t index, struct director_result *result)
{
	const struct config_service *service = director->running->services[index];
	size_t count = 0;

	for (size_t i = 0; i < service->backend_count; i++)
		count += service->backends[i].weight && !service->backends[i].is_fallback;
	if (!count && service->when_all_down != CONFIG_ALL_DOWN_FALLBACK)
		problems_add(&result->problems, PROBLEM_WARNING, 0, 0, "service %s has no backend left that takes new flows",
			     service->name);
	else if (!count || (!service->min_up_is_percent && count < service->min_up))
		problems_add(&result->problems, PROBLEM_WARNING, 0, 0,
			     "service %s has %zu backend%s left that may take new flows, and min_up is %u%s: when_all_down says "
			     "what becomes of them", service->name, count, count == 1 ? "" : "s", service->min_up,
			     service->min_up_is_percent ? "%" : "");
}

int director_weight(struct director *director, const char *service, const struct ip *backend, uint32_t weight,
		    struct director_result *result, struct err *e)
{
	ptrdiff_t index = find(director, service, backend, e);
	struct state_override *row, former;
	char address[IP_TEXT_BYTES];
	uint32_t was;
	int code;

	if (index < 0)
		return -ENOENT;
	row = state_override_take(&director->state, service, backend);
	if (!row)
		return err_set(e, -ENOMEM, "%m");
	former = *row;
	was = former.has_weight ? former.weight : written_weight(director, index, backend);
	row->has_weight = true;
	row->weight = weight;
	code = settle(director, row, &former, result, e);
	if (code)
		return code;
	ip_format(backend, address);
	if (former.drain)
		problems_add(&result->problems, PROBLEM_WARNING, 0, 0,
			     "backend %s is drained: the weight counts after `halfproxy undrain %s %s`", address, service,
			     address);
	warn_of_few(director, index, result);
	log_event(LOG_NOTICE, "weight service=%s backend=%s weight=%u was=%u", service, address, weight, was);
	return 0;
}

#define DEADLINE_BYTES (DURATION_ROUGH_BYTES + 4)

static const char *deadline_text(uint64_t deadline_s, uint64_t now_s, char text[static DEADLINE_BYTES])
{
	char left[DURATION_ROUGH_BYTES];

	if (!deadline_s)
		return "none";
	snprintf(text, DEADLINE_BYTES, "in %s", duration_rough(deadline_s > now_s ? deadline_s - now_s : 0, left));
	return text;
}

/* What a drain sets that makes no difference to the configuration. */
static void note_drain(struct director_result *result, const char *service, const struct state_override *former,
		       uint64_t deadline_s, uint64_t now_s)
{
	char address[IP_TEXT_BYTES], was[DEADLINE_BYTES], is[DEADLINE_BYTES], text[160] = "";

	ip_format(&former->backend, address);
	if (!former->drain && !result->changes.count)
		snprintf(text, sizeof(text), "backend %s drained, with weight 0 already", address);
	else if (former->drain && former->drain != STATE_DRAIN_ON)
		snprintf(text, sizeof(text), "backend %s drained again, deadline %s", address,
			 deadline_text(deadline_s, now_s, is));
	else if (former->drain && former->deadline_s != deadline_s)
		snprintf(text, sizeof(text), "backend %s drain, deadline %s -> %s", address,
			 deadline_text(former->deadline_s, now_s, was), deadline_text(deadline_s, now_s, is));
	if (*text)
		config_changes_add(&result->changes, service, text);
}

int director_drain(struct director *director, const char *service, const struct ip *backend, uint32_t deadline_s,
		   struct director_result *result, struct err *e)
{
	ptrdiff_t index = find(director, service, backend, e);
	struct state_override *row, former;
	char address[IP_TEXT_BYTES];
	uint64_t now = state_boot_s(), deadline_at_s;
	int code;

	if (index < 0)
		return -ENOENT;
	row = state_override_take(&director->state, service, backend);
	if (!row)
		return err_set(e, -ENOMEM, "%m");
	former = *row;
	if (!row->drain)
		row->since_s = now;
	row->drain = STATE_DRAIN_ON;
	row->deadline_s = deadline_s ? now + deadline_s : 0;
	deadline_at_s = row->deadline_s;
	code = settle(director, row, &former, result, e);
	if (code)
		return code;
	note_drain(result, service, &former, deadline_at_s, now);
	warn_of_few(director, index, result);
	director_watch_drains(director);
	ip_format(backend, address);
	if (deadline_s)
		log_event(LOG_NOTICE, "drain service=%s backend=%s deadline_s=%u", service, address, deadline_s);
	else
		log_event(LOG_NOTICE, "drain service=%s backend=%s", service, address);
	return 0;
}

int director_undrain(struct director *director, const char *service, const struct ip *backend,
		     struct director_result *result, struct err *e)
{
	struct state_override *row = state_override_find(&director->state, service, backend), former;
	char address[IP_TEXT_BYTES];
	int code;

	ip_format(backend, address);
	if (!row || !row->drain)
		return find(director, service, backend, e) < 0
			       ? -ENOENT
			       : err_set(e, -ENOENT, "backend %s of service %s is not drained", address, service);
	former = *row;
	row->drain = STATE_DRAIN_NONE;
	row->since_s = row->deadline_s = 0;
	code = settle(director, row, &former, result, e);
	if (!code)
		log_event(LOG_NOTICE, "undrain service=%s backend=%s", service, address);
	return code;
}

int director_reset(struct director *director, const char *service, struct director_result *result, struct err *e)
{
	bool has_some = false;
	int code;

	for (size_t i = 0; i < director->state.override_count; i++)
		has_some |= !strcmp(director->state.overrides[i].service, service);
	if (!has_some && director_find_service(director, service) < 0)
		return director_no_service(director, service, e);
	if (!has_some)
		return err_set(e, -ENOENT, "service %s has no overrides", service);
	code = relay(director, service, result, e);
	if (code)
		return code;
	state_override_drop(&director->state, service);
	director_save(director);
	log_event(LOG_NOTICE, "reset service=%s", service);
	return 0;
}

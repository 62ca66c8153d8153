/* Weights that operators override, laid over the running text until they are reset: see director.h. */
#include "daemon/director_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define BACKENDS_NAMED_MOST 8

static ptrdiff_t find_backend(const struct config_service *service, const struct ip *address)
{
	for (size_t i = 0; i < service->backend_count; i++)
		if (ip_equal(&service->backends[i].address, address))
			return (ptrdiff_t)i;
	return -1;
}

struct config *director_overlay(const struct config *base, const struct state *state, const char *but_for)
{
	struct config *config = config_copy(base);

	for (size_t i = 0; config && i < state->override_count; i++) {
		const struct state_override *row = &state->overrides[i];
		bool is_left_out = but_for && !strcmp(row->service, but_for);
		ptrdiff_t service = is_left_out ? -1 : config_find_service(config, row->service);
		ptrdiff_t backend = service < 0 ? -1 : find_backend(config->services[service], &row->backend);

		if (backend < 0 || config->services[service]->backends[backend].weight == row->weight)
			continue;
		if (!config_set_weight(config, (size_t)service, (size_t)backend, row->weight)) {
			config_free(config);
			return NULL;
		}
	}
	return config;
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

int director_weight(struct director *director, const char *service, const struct ip *backend, uint32_t weight,
		    struct director_result *result, struct err *e)
{
	ptrdiff_t index = director_find_service(director, service);
	char address[IP_TEXT_BYTES];
	ptrdiff_t at = index < 0 ? -1 : find_backend(director->running->services[index], backend);
	size_t former_count = director->state.override_count;
	uint32_t former;
	int code;

	if (index < 0)
		return director_no_service(director, service, e);
	if (at < 0)
		return no_backend(director->running->services[index], backend, e);
	former = director->running->services[index]->backends[at].weight;
	if (state_override_set(&director->state, service, backend, weight))
		return err_set(e, -ENOMEM, "%m");
	code = relay(director, NULL, result, e);
	if (code && director->state.override_count > former_count)
		state_override_pop(&director->state);
	else if (code)
		state_override_set(&director->state, service, backend, former);
	director_save(director);
	if (!code)
		log_event(LOG_NOTICE, "weight service=%s backend=%s weight=%u was=%u", service,
			  ip_format(backend, address), weight, former);
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

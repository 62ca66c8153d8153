/* Who served before this data plane was made: services of a former configuration, for a director that starts in the middle
 * of a change without memory of it.
 *
 * A service with the key of a former one starts moving: its first ring is shown together with a ring `before` of the former
 * one's backends. Until then it holds on to these, so that their ways become known; whoever of them it does not list departs
 * from then on. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct fleet_former_row {
	struct dataplane_key key;
	struct config_service *config; /* held */
	UT_hash_handle hh;
};

static int expect(struct fleet *fleet, struct config_service *config, size_t unit)
{
	struct fleet_former_row *row = calloc(1, sizeof(*row));

	if (!row)
		return -1;
	row->key = fleet_unit_key(config, unit);
	row->config = config_service_hold(config);
	HASH_ADD(hh, fleet->formers, key, sizeof(row->key), row);
	return 0;
}

int fleet_expect_formers(struct fleet *fleet, const struct config *former, struct err *e)
{
	for (size_t i = 0; i < former->service_count; i++)
		for (size_t unit = 0; unit < fleet_unit_count(former->services[i]); unit++)
			if (expect(fleet, former->services[i], unit)) {
				fleet_forget_formers(fleet);
				return err_set(e, -ENOMEM, "%m");
			}
	return 0;
}

void fleet_forget_formers(struct fleet *fleet)
{
	struct fleet_former_row *row, *next;

	HASH_ITER(hh, fleet->formers, row, next) {
		HASH_DEL(fleet->formers, row);
		config_service_drop(row->config);
		free(row);
	}
}

int fleet_former_take(struct fleet *fleet, struct fleet_service *service, const struct config_service *config, struct err *e)
{
	struct fleet_former_row *row;
	struct fleet_former *former;
	int code;

	HASH_FIND(hh, fleet->formers, &service->key, sizeof(service->key), row);
	if (!row || !config->window_s)
		return 0;
	former = calloc(1, sizeof(*former));
	if (!former)
		return err_set(e, -ENOMEM, "%m");
	former->config = config_service_hold(row->config);
	service->former = former;
	code = fleet_backends_take(fleet, former->config, &service->key.vip, &former->backends, &former->backend_count, e);
	if (code)
		fleet_former_end(fleet, service);
	return code;
}

void fleet_former_join(struct fleet *fleet, struct fleet_service *service)
{
	const struct fleet_former *former = service->former;

	for (size_t i = 0; i < former->backend_count; i++) {
		fleet_backend_join(former->backends[i], service);
		if (former->backends[i]->is_new) {
			former->backends[i]->is_new = false;
			fleet->hooks.watch(fleet->hooks.context, former->backends[i]);
		}
	}
	fleet->former_count++;
}

void fleet_former_end(struct fleet *fleet, struct fleet_service *service)
{
	struct fleet_former *former = service->former;

	service->former = NULL;
	if (!former)
		return;
	for (size_t i = 0; i < former->backend_count; i++) {
		fleet_backend_part(former->backends[i], service);
		fleet_backend_drop(fleet, former->backends[i]);
	}
	fleet_former_free(former);
}

void fleet_former_free(struct fleet_former *former)
{
	if (!former)
		return;
	config_service_drop(former->config);
	free(former->backends);
	free(former);
}

int fleet_former_show(struct fleet *fleet, struct fleet_service *service, struct err *e)
{
	const struct fleet_former *former = service->former;
	struct quorum quorum;
	auto_free struct quorum_member *members =
		fleet_judge(fleet, former->config, former->backends, NULL, &quorum, e);
	struct fleet_ring *ring, *before;
	int code = members ? fleet_ring_take(fleet, service->config, service->backends, service->members, NULL, &ring, e)
			   : -ENOMEM;

	if (code)
		return code;
	code = fleet_ring_take(fleet, former->config, former->backends, members, NULL, &before, e);
	if (code) {
		fleet_ring_drop(fleet, ring);
		return code;
	}
	fleet_begin_after(fleet, service, before, ring);
	fleet_departures_update(fleet, service, service->config, service->backends, service->members);
	fleet_vip_follow(fleet, service);
	fleet_former_end(fleet, service);
	return 0;
}

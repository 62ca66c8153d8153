/* What a service has beyond the plain, as packets see it: see fleet.h.
 *
 * Terms stand before the flag that makes packets look at them, and a flag that goes leaves them until a packet that saw it is
 * out of flight. */
#include "daemon/fleet_internal.h"

#include <string.h>
#include <xxhash.h>

/* All VIPs and ports of a service share its limit, now and when the daemon is started again: a hash of its name. */
static uint32_t limit_of(const struct config_service *config)
{
	uint32_t hash = XXH32(config->name, strlen(config->name), 0);

	return hash ? hash : 1;
}

/* What a packet reads first stands last. */
static void write_limit(struct hp_terms *terms, const struct config_service *config)
{
	uint64_t cost_ns = config_limit_cost_ns(&config->limit);

	if (cost_ns) {
		__atomic_store_n(&terms->cost_ns, cost_ns, __ATOMIC_RELEASE);
		__atomic_store_n(&terms->burst_ns, cost_ns * (config->limit.burst - 1), __ATOMIC_RELEASE);
	}
	__atomic_store_n(&terms->limit, cost_ns ? limit_of(config) : 0, __ATOMIC_RELEASE);
}

static void write_quic(struct hp_terms *terms, const struct config_service *config)
{
	uint8_t quic = (uint8_t)(config->quic_rotation << 5 | config->backends[0].quic_bytes);
	bool is_quic = config->hash == HP_HASH_QUIC;

	__atomic_store_n(&terms->quic_service, is_quic ? fleet_quic_service(config) : 0, __ATOMIC_RELEASE);
	__atomic_store_n(&terms->quic, is_quic ? quic : 0, __ATOMIC_RELEASE);
}

void fleet_terms_set(struct fleet *fleet, struct fleet_service *service, const struct config_service *config,
		     struct fleet_guard *guard)
{
	struct hp_terms *terms = &fleet->plane->terms[service->number];
	struct fleet_guard *former = service->guard;
	uint32_t flags = (guard || config->limit.new_flows ? HP_SERVICE_GUARDED : 0) | (config->mss ? HP_SERVICE_CLAMPS : 0) |
			 (config->hash == HP_HASH_QUIC ? HP_SERVICE_QUIC : 0);
	uint16_t mss = config->mss == CONFIG_MSS_AUTO ? HP_MSS_AUTO : config->mss;

	service->guard = guard;
	write_limit(terms, config);
	__atomic_store_n(&terms->guard, guard ? guard->number : 0, __ATOMIC_RELEASE);
	__atomic_store_n(&terms->mss, mss, __ATOMIC_RELEASE);
	write_quic(terms, config);
	__atomic_store_n(&terms->oversize, config->oversize, __ATOMIC_RELEASE);
	if (service->flags != flags) {
		service->flags = flags;
		fleet_record_write(fleet, service);
	}
	fleet_guard_drop(fleet, former);
}

void fleet_terms_clear(struct fleet *fleet, const struct fleet_service *service)
{
	fleet->plane->terms[service->number] = (struct hp_terms){0};
}

/* A set that is not there judges nobody to be allowed; so says the mirror, too, until a configuration is applied. */
void fleet_terms_adopt(struct fleet *fleet, struct fleet_service *service)
{
	uint32_t number = fleet->plane->terms[service->number].guard;

	service->flags = fleet->plane->services[service->number].before & HP_SERVICE_FLAGS;
	if (!(service->flags & HP_SERVICE_GUARDED))
		return;
	for (struct fleet_guard *guard = fleet->guards; guard && !service->guard; guard = guard->hh.next)
		if (guard->number == number)
			service->guard = guard;
	if (service->guard)
		service->guard->references++;
}

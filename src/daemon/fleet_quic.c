/* Which server has which ID in connection IDs of QUIC: see fleet.h.
 *
 * A server keeps its ID in the data plane as long as it has flows of the service: also while it departs, so that its
 * connections stay with it. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/log.h"

struct fleet_quic {
	struct hp_quic_server key;
	uint32_t backend; /* number */
	bool is_wanted;
	UT_hash_handle hh;
};

uint32_t fleet_quic_service(const struct config_service *config)
{
	uint32_t hash = XXH32(config->name, strlen(config->name), 0x71756963);

	return hash ? hash : 1;
}

static struct hp_quic_server key_of(const struct fleet_service *service, const struct config_backend *backend)
{
	struct hp_quic_server key;

	memset(&key, 0, sizeof(key));
	key.service = fleet_quic_service(service->config);
	key.is_ipv6 = !ip_is4(&service->key.vip);
	memcpy(key.id, backend->quic_id, backend->quic_bytes);
	return key;
}

static struct fleet_quic *note(struct fleet *fleet, const struct hp_quic_server *key, uint32_t backend)
{
	struct fleet_quic *row;

	HASH_FIND(hh, fleet->quic, key, sizeof(*key), row);
	if (row)
		return row;
	row = calloc(1, sizeof(*row));
	if (!row)
		return NULL;
	row->key = *key;
	row->backend = backend;
	HASH_ADD(hh, fleet->quic, key, sizeof(row->key), row);
	return row;
}

static void want(struct fleet *fleet, const struct fleet_service *service, size_t i)
{
	struct hp_quic_server key = key_of(service, &service->config->backends[i]);
	uint32_t number = service->backends[i]->number;
	struct fleet_quic *row = note(fleet, &key, 0);
	int code = row ? 0 : -ENOMEM;

	if (row && row->backend != number)
		code = dataplane_quic_set(fleet->plane, &key, number);
	if (row && !code) {
		row->backend = number;
		row->is_wanted = true;
	}
	if (code)
		log_event(LOG_ERR, "quic_id_lost service=%s error=\"%s\" text=\"raise limits.backends\"", service->config->name,
			  strerror(-code));
}

/* Whether a backend that has the ID still departs from a service. */
static bool departs(const struct fleet *fleet, const struct fleet_quic *row)
{
	for (const struct fleet_service *s = fleet->services; s; s = s->hh.next) {
		if (!s->config || s->config->hash != HP_HASH_QUIC || fleet_quic_service(s->config) != row->key.service)
			continue;
		for (const struct fleet_departure *d = s->departures; d; d = d->next)
			if (d->backend->number == row->backend)
				return true;
	}
	return false;
}

static void forget(struct fleet *fleet, struct fleet_quic *row)
{
	dataplane_quic_clear(fleet->plane, &row->key);
	HASH_DEL(fleet->quic, row);
	free(row);
}

void fleet_quic_settle(struct fleet *fleet)
{
	struct fleet_quic *row, *next;

	for (struct fleet_service *s = fleet->services; s; s = s->hh.next)
		for (size_t i = 0; s->config && s->config->hash == HP_HASH_QUIC && i < s->config->backend_count; i++)
			if (s->config->backends[i].quic_bytes)
				want(fleet, s, i);
	HASH_ITER(hh, fleet->quic, row, next) {
		if (!row->is_wanted && !departs(fleet, row))
			forget(fleet, row);
		else
			row->is_wanted = false;
	}
}

void fleet_quic_backend_gone(struct fleet *fleet, uint32_t number)
{
	struct fleet_quic *row, *next;

	HASH_ITER(hh, fleet->quic, row, next)
		if (row->backend == number)
			forget(fleet, row);
}

static int adopt(void *context, const struct hp_quic_server *key, uint32_t backend)
{
	return note(context, key, backend) ? 0 : -ENOMEM;
}

int fleet_quic_adopt(struct fleet *fleet, struct err *e)
{
	int code = dataplane_quic_each(fleet->plane, adopt, fleet);

	return code ? err_set(e, code, "%m") : 0;
}

void fleet_quic_forget(struct fleet *fleet)
{
	struct fleet_quic *row, *next;

	HASH_ITER(hh, fleet->quic, row, next) {
		HASH_DEL(fleet->quic, row);
		free(row);
	}
}

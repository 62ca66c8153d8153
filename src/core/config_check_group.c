/* Groups: services that keep a client on one backend over several ports and protocols: see config_schema.h.
 *
 * Their rings are equal because all that a ring is made of is, and so is how their backends are judged: each of them has
 * the checks of the others beside its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "abi.h"
#include "core/config_schema.h"

struct group {
	const char *name; /* key */
	struct config_draft **members; /* in the order of the file; the first one leads */
	size_t count;
	UT_hash_handle hh;
};

static void add_member(struct group **groups, struct config_draft *draft)
{
	struct config_draft **grown;
	struct group *group;

	HASH_FIND_STR(*groups, draft->service->group, group);
	if (!group) {
		group = calloc(1, sizeof(*group));
		if (!group)
			abort();
		group->name = draft->service->group;
		HASH_ADD_KEYPTR(hh, *groups, group->name, strlen(group->name), group);
	}
	grown = realloc(group->members, (group->count + 1) * sizeof(struct config_draft *));
	if (!grown)
		abort();
	group->members = grown;
	grown[group->count++] = draft;
}

static bool same_vips(const struct config_service *a, const struct config_service *b)
{
	return a->vip_count == b->vip_count && !memcmp(a->vips, b->vips, a->vip_count * sizeof(*a->vips));
}

static bool same_backends(const struct config_service *a, const struct config_service *b)
{
	return a->backend_count == b->backend_count &&
	       !memcmp(a->backends, b->backends, a->backend_count * sizeof(*a->backends));
}

/* What must be the same, and is not. */
static void compare(struct config_reader *reader, const struct config_draft *lead, const struct config_draft *draft)
{
	const struct config_service *a = lead->service, *b = draft->service;
	const struct {
		const char *name;
		bool is_same;
	} rows[] = {
		{"vip", same_vips(a, b)},
		{"backends", same_backends(a, b)},
		{"forward", a->forward == b->forward},
		{"slots", a->slots == b->slots},
		{"seed", a->seed == b->seed},
		{"window", a->window_s == b->window_s},
		{"slow_start", a->slow_start_s == b->slow_start_s},
		{"deadline", a->deadline_s == b->deadline_s},
		{"min_up", a->min_up == b->min_up && a->min_up_is_percent == b->min_up_is_percent},
		{"when_all_down", a->when_all_down == b->when_all_down},
		{"on_down", a->on_down == b->on_down},
	};
	char names[160] = "";
	size_t at = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!rows[i].is_same)
			at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "", rows[i].name);
	if (at)
		config_error(reader, draft->group,
			     "group \"%s\": not the same as in the service on line %u: %s. Services of a group differ in name, "
			     "protocol, port and health only, and list backends in one order",
			     b->group, lead->at->line, names);
}

static void check_member(struct config_reader *reader, const struct config_draft *draft)
{
	if (draft->hash && draft->service->hash != HP_HASH_SOURCE)
		config_error(reader, draft->hash, "a group keeps a client on one backend, so its hash is source: leave hash out");
	if (draft->affinity && draft->service->affinity == CONFIG_AFFINITY_NONE)
		config_error(reader, draft->affinity,
			     "a group keeps a client on one backend through changes: leave affinity out");
}

static bool knows(const struct config_service *service, const struct config_ask *ask)
{
	struct config_ask own = config_own_ask(service);

	if (own.port == ask->port && config_health_equal(own.health, ask->health))
		return true;
	for (size_t i = 0; i < service->peer_count; i++)
		if (service->peers[i].port == ask->port && config_health_equal(service->peers[i].health, ask->health))
			return true;
	return false;
}

/* Have a service ask what the others of its group do. */
static void add_peers(const struct group *group, struct config_service *service)
{
	service->peers = calloc(group->count, sizeof(*service->peers));
	if (!service->peers)
		abort();
	for (size_t i = 0; i < group->count; i++) {
		const struct config_service *other = group->members[i]->service;
		struct config_ask ask;

		if (!other->health || !other->port_count)
			continue;
		ask = config_own_ask(other);
		if (knows(service, &ask))
			continue;
		config_health_hold(ask.health);
		service->peers[service->peer_count++] = ask;
	}
}

static void join(struct config_reader *reader, const struct group *group)
{
	const struct config_service *lead = group->members[0]->service;
	bool is_probed = false;

	for (size_t i = 0; i < group->count; i++)
		is_probed |= group->members[i]->service->health != NULL;
	for (size_t i = 0; i < group->count; i++) {
		struct config_draft *draft = group->members[i];

		if (is_probed && !draft->on_down)
			draft->service->on_down = CONFIG_ON_DOWN_RESET;
		check_member(reader, draft);
		draft->service->lead_protocol = lead->protocol;
		draft->service->lead_port = lead->port_count ? lead->ports[0].first : 0;
		if (draft->service->port_count)
			add_peers(group, draft->service);
	}
	for (size_t i = 1; i < group->count; i++)
		compare(reader, group->members[0], group->members[i]);
}

void config_check_groups(struct config_reader *reader)
{
	struct group *groups = NULL, *group, *next;

	for (size_t i = 0; i < reader->draft_count; i++)
		if (reader->drafts[i].service->group)
			add_member(&groups, &reader->drafts[i]);
	HASH_ITER(hh, groups, group, next) {
		HASH_DEL(groups, group);
		join(reader, group);
		free(group->members);
		free(group);
	}
}

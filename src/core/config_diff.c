/* Differences between configurations: see config_diff.h. */
#include "core/config_diff.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/duration.h"
#include "core/guard.h"

struct named {
	const struct config_service *service;
	bool is_found;
	UT_hash_handle hh;
};

void config_changes_free(struct config_changes *changes)
{
	for (size_t i = 0; i < changes->count; i++) {
		free(changes->list[i].service);
		free(changes->list[i].text);
	}
	free(changes->list);
	*changes = (struct config_changes){0};
}

const char *config_change_name(enum config_change_kind kind)
{
	switch (kind) {
	case CONFIG_ADD:
		return "add";
	case CONFIG_REMOVE:
		return "remove";
	case CONFIG_CHANGE:
		return "change";
	}
	return "";
}

static void add(struct config_changes *changes, enum config_change_kind kind, const char *service, const char *format,
		...) __attribute__((format(printf, 4, 5)));

static void add(struct config_changes *changes, enum config_change_kind kind, const char *service, const char *format,
		...)
{
	struct config_change *list = changes->list;
	struct config_change new = {.kind = kind, .service = strdup(service)};
	va_list args;

	/* Grown at powers of two. */
	if (!(changes->count & (changes->count - 1)))
		list = realloc(list, (changes->count ? changes->count * 2 : 1) * sizeof(*list));
	va_start(args, format);
	if (!list || !new.service || vasprintf(&new.text, format, args) < 0)
		abort();
	va_end(args);
	list[changes->count++] = new;
	changes->list = list;
}

void config_changes_add(struct config_changes *changes, const char *service, const char *text)
{
	add(changes, CONFIG_CHANGE, service, "%s", text);
}

static void list_vips(const struct config_service *service, char *out, size_t room)
{
	char address[IP_TEXT_BYTES];
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < service->vip_count && at < room; i++)
		at += (size_t)snprintf(out + at, room - at, "%s%s", i ? ", " : "", ip_format(&service->vips[i], address));
}

static bool has_vip(const struct config_service *service, const struct ip *vip)
{
	for (size_t i = 0; i < service->vip_count; i++)
		if (ip_equal(&service->vips[i], vip))
			return true;
	return false;
}

/* One line when both have one VIP, else one for each that comes or goes. */
static void diff_vips(const struct config_service *a, const struct config_service *b, struct config_changes *out)
{
	char before[IP_TEXT_BYTES], after[IP_TEXT_BYTES];

	if (a->vip_count == 1 && b->vip_count == 1) {
		if (!ip_equal(&a->vips[0], &b->vips[0]))
			add(out, CONFIG_CHANGE, b->name, "vip %s -> %s", ip_format(&a->vips[0], before),
			    ip_format(&b->vips[0], after));
		return;
	}
	for (size_t i = 0; i < a->vip_count; i++)
		if (!has_vip(b, &a->vips[i]))
			add(out, CONFIG_CHANGE, b->name, "vip %s removed", ip_format(&a->vips[i], before));
	for (size_t i = 0; i < b->vip_count; i++)
		if (!has_vip(a, &b->vips[i]))
			add(out, CONFIG_CHANGE, b->name, "vip %s added", ip_format(&b->vips[i], after));
}

static const struct config_backend *find_backend(const struct config_service *service, const struct ip *address)
{
	for (size_t i = 0; i < service->backend_count; i++)
		if (ip_equal(&service->backends[i].address, address))
			return &service->backends[i];
	return NULL;
}

static const char *role(const struct config_backend *backend)
{
	return backend->is_fallback ? "fallback" : "backend";
}

static void diff_quic_id(const struct config_backend *a, const struct config_backend *b, const char *address,
			 const char *service, struct config_changes *out)
{
	char before[CONFIG_QUIC_ID_TEXT_BYTES], after[CONFIG_QUIC_ID_TEXT_BYTES];

	config_quic_id_format(a, before);
	config_quic_id_format(b, after);
	if (strcmp(before, after) != 0)
		add(out, CONFIG_CHANGE, service, "backend %s quic_id %s -> %s", address, *before ? before : "none",
		    *after ? after : "none");
}

static void diff_backends(const struct config_service *a, const struct config_service *b, struct config_changes *out)
{
	char address[IP_TEXT_BYTES];

	for (size_t i = 0; i < a->backend_count; i++)
		if (!find_backend(b, &a->backends[i].address))
			add(out, CONFIG_CHANGE, b->name, "%s %s removed", role(&a->backends[i]),
			    ip_format(&a->backends[i].address, address));
	for (size_t i = 0; i < b->backend_count; i++) {
		const struct config_backend *was = find_backend(a, &b->backends[i].address);

		ip_format(&b->backends[i].address, address);
		if (!was && b->backends[i].is_fallback)
			add(out, CONFIG_CHANGE, b->name, "fallback %s added", address);
		else if (!was)
			add(out, CONFIG_CHANGE, b->name, "backend %s added (weight %u)", address, b->backends[i].weight);
		else if (was->is_fallback != b->backends[i].is_fallback)
			add(out, CONFIG_CHANGE, b->name, "%s %s becomes a %s", role(was), address, role(&b->backends[i]));
		else if (was->weight != b->backends[i].weight)
			add(out, CONFIG_CHANGE, b->name, "backend %s weight %u -> %u", address, was->weight,
			    b->backends[i].weight);
		if (was)
			diff_quic_id(was, &b->backends[i], address, b->name, out);
	}
}

static void diff_seconds(const char *key, uint32_t a, uint32_t b, const char *service, struct config_changes *out)
{
	char before[DURATION_TEXT_BYTES], after[DURATION_TEXT_BYTES];

	if (a != b)
		add(out, CONFIG_CHANGE, service, "%s %s -> %s", key, duration_format(a, before), duration_format(b, after));
}

static const char *min_up_text(const struct config_service *service, char text[static 16])
{
	snprintf(text, 16, "%u%s", service->min_up, service->min_up_is_percent ? "%" : "");
	return text;
}

static void diff_health(const struct config_service *a, const struct config_service *b, struct config_changes *out)
{
	char before[16], after[16];

	if (!a->health != !b->health)
		add(out, CONFIG_CHANGE, b->name, "health %s", a->health ? "removed" : "added");
	else if (a->health && a->health->type != b->health->type)
		add(out, CONFIG_CHANGE, b->name, "health %s -> %s", config_probe_name(a->health->type),
		    config_probe_name(b->health->type));
	else if (!config_health_equal(a->health, b->health))
		add(out, CONFIG_CHANGE, b->name, "health changed");
	if (a->min_up != b->min_up || a->min_up_is_percent != b->min_up_is_percent)
		add(out, CONFIG_CHANGE, b->name, "min_up %s -> %s", min_up_text(a, before), min_up_text(b, after));
	if (a->when_all_down != b->when_all_down)
		add(out, CONFIG_CHANGE, b->name, "when_all_down %s -> %s", config_all_down_name(a->when_all_down),
		    config_all_down_name(b->when_all_down));
	if (a->on_down != b->on_down)
		add(out, CONFIG_CHANGE, b->name, "on_down %s -> %s", config_on_down_name(a->on_down),
		    config_on_down_name(b->on_down));
}

static void count_rules(const struct guard *guard, size_t *allowed, size_t *denied)
{
	*denied = guard ? guard_denied(guard) : 0;
	*allowed = guard ? guard->count - *denied : 0;
}

/* Lists may be long, so the numbers are told, and not each prefix. */
static void diff_guard(const struct config_service *a, const struct config_service *b, struct config_changes *out)
{
	size_t allowed[2], denied[2];

	if (guard_equal(a->guard, b->guard))
		return;
	count_rules(a->guard, &allowed[0], &denied[0]);
	count_rules(b->guard, &allowed[1], &denied[1]);
	if (allowed[0] || allowed[1])
		add(out, CONFIG_CHANGE, b->name, "allow %zu -> %zu prefixes", allowed[0], allowed[1]);
	if (denied[0] || denied[1])
		add(out, CONFIG_CHANGE, b->name, "deny %zu -> %zu prefixes", denied[0], denied[1]);
}

static const char *limit_text(const struct config_limit *limit, char text[static 80])
{
	char per[DURATION_TEXT_BYTES];

	if (limit->new_flows)
		snprintf(text, 80, "%u per %s, burst %u", limit->new_flows, duration_format(limit->per_s, per), limit->burst);
	return limit->new_flows ? text : "none";
}

static void diff_limit(const struct config_service *a, const struct config_service *b, struct config_changes *out)
{
	char before[80], after[80];

	if (memcmp(&a->limit, &b->limit, sizeof(a->limit)) != 0)
		add(out, CONFIG_CHANGE, b->name, "limit %s -> %s", limit_text(&a->limit, before), limit_text(&b->limit, after));
}

static const char *mss_text(uint16_t mss, char text[static 8])
{
	snprintf(text, 8, "%u", mss);
	return !mss ? "any" : mss == CONFIG_MSS_AUTO ? "auto" : text;
}

static void diff_lengths(const struct config_service *a, const struct config_service *b, struct config_changes *out)
{
	char was[8], now[8];

	if (a->oversize != b->oversize)
		add(out, CONFIG_CHANGE, b->name, "oversize %s -> %s", config_oversize_name(a->oversize),
		    config_oversize_name(b->oversize));
	if (a->mss != b->mss)
		add(out, CONFIG_CHANGE, b->name, "mss %s -> %s", mss_text(a->mss, was), mss_text(b->mss, now));
}

static void diff_service(const struct config_service *a, const struct config_service *b, struct config_changes *out)
{
	char before[CONFIG_PORTS_TEXT_BYTES], after[CONFIG_PORTS_TEXT_BYTES];

	diff_vips(a, b, out);
	if (a->protocol != b->protocol)
		add(out, CONFIG_CHANGE, b->name, "protocol %s -> %s", config_protocol_name(a->protocol),
		    config_protocol_name(b->protocol));
	if (strcmp(config_ports_format(a, before), config_ports_format(b, after)) != 0)
		add(out, CONFIG_CHANGE, b->name, "port %s -> %s", before, after);
	if (strcmp(a->group ? a->group : "none", b->group ? b->group : "none") != 0)
		add(out, CONFIG_CHANGE, b->name, "group %s -> %s", a->group ? a->group : "none", b->group ? b->group : "none");
	if (a->forward != b->forward)
		add(out, CONFIG_CHANGE, b->name, "forward %s -> %s", config_forward_name(a->forward),
		    config_forward_name(b->forward));
	if (a->hash != b->hash)
		add(out, CONFIG_CHANGE, b->name, "hash %s -> %s", config_hash_name(a->hash), config_hash_name(b->hash));
	if (a->quic_rotation != b->quic_rotation)
		add(out, CONFIG_CHANGE, b->name, "quic_rotation %u -> %u", a->quic_rotation, b->quic_rotation);
	if (a->slots != b->slots)
		add(out, CONFIG_CHANGE, b->name, "slots %u -> %u", a->slots, b->slots);
	if (a->seed != b->seed)
		add(out, CONFIG_CHANGE, b->name, "seed 0x%llx -> 0x%llx", (unsigned long long)a->seed,
		    (unsigned long long)b->seed);
	if (a->affinity != b->affinity)
		add(out, CONFIG_CHANGE, b->name, "affinity %s -> %s", config_affinity_name(a->affinity),
		    config_affinity_name(b->affinity));
	if (a->window_s && b->window_s)
		diff_seconds("window", a->window_s, b->window_s, b->name, out);
	diff_seconds("slow_start", a->slow_start_s, b->slow_start_s, b->name, out);
	diff_seconds("deadline", a->deadline_s, b->deadline_s, b->name, out);
	diff_health(a, b, out);
	diff_guard(a, b, out);
	diff_limit(a, b, out);
	diff_lengths(a, b, out);
	diff_backends(a, b, out);
}

static void diff_interface(const struct config_interface *a, const struct config_interface *b, struct config_changes *out)
{
	static const char *const modes[] = {
		[CONFIG_MODE_AUTO] = "auto", [CONFIG_MODE_NATIVE] = "native", [CONFIG_MODE_GENERIC] = "generic"};
	static const char *const vlans[] = {
		[CONFIG_VLAN_AUTO] = "auto", [CONFIG_VLAN_ON] = "on", [CONFIG_VLAN_OFF] = "off"};
	static const char *const announces[] = {"none", "all"};

	if (a->announce != b->announce)
		add(out, CONFIG_CHANGE, "interfaces", "%s: announce %s -> %s", b->name, announces[a->announce],
		    announces[b->announce]);
	if (a->mode != b->mode)
		add(out, CONFIG_CHANGE, "interfaces", "%s: mode %s -> %s", b->name, modes[a->mode], modes[b->mode]);
	if (a->vlan != b->vlan)
		add(out, CONFIG_CHANGE, "interfaces", "%s: vlan %s -> %s", b->name, vlans[a->vlan], vlans[b->vlan]);
}

static void diff_interfaces(const struct config *a, const struct config *b, struct config_changes *out)
{
	for (size_t i = 0; a && i < a->interface_count; i++) {
		bool is_found = false;

		for (size_t j = 0; j < b->interface_count; j++)
			is_found |= !strcmp(a->interfaces[i].name, b->interfaces[j].name);
		if (!is_found)
			add(out, CONFIG_REMOVE, "interfaces", "%s", a->interfaces[i].name);
	}
	for (size_t j = 0; j < b->interface_count; j++) {
		const struct config_interface *now = &b->interfaces[j], *was = NULL;

		for (size_t i = 0; a && i < a->interface_count; i++)
			if (!strcmp(a->interfaces[i].name, now->name))
				was = &a->interfaces[i];
		if (!was)
			add(out, CONFIG_ADD, "interfaces", "%s", now->name);
		else
			diff_interface(was, now, out);
	}
}

static const char *source_text(const struct config_source *source, char text[static PREFIX_TEXT_BYTES])
{
	return source->set ? prefix_format(&source->prefix, text) : "the route's";
}

static void diff_source(const char *key, const struct config_source *a, const struct config_source *b,
			struct config_changes *out)
{
	char before[PREFIX_TEXT_BYTES], after[PREFIX_TEXT_BYTES];

	if (!config_source_equal(a, b))
		add(out, CONFIG_CHANGE, "tunnel", "%s %s -> %s", key, source_text(a, before), source_text(b, after));
}

static const char *key_text(const struct config_tunnel *tunnel, char text[static 16])
{
	snprintf(text, 16, "none");
	if (tunnel->has_gre_key)
		snprintf(text, 16, "%u", tunnel->gre_key);
	return text;
}

static void diff_gre_key(const struct config_tunnel *a, const struct config_tunnel *b, struct config_changes *out)
{
	char before[16], after[16];

	if (a->has_gre_key != b->has_gre_key || a->gre_key != b->gre_key)
		add(out, CONFIG_CHANGE, "tunnel", "gre_key %s -> %s", key_text(a, before), key_text(b, after));
}

/* Of a mark, which people read as hexadecimal digits. */
static void diff_mark(const char *key, uint32_t a, uint32_t b, struct config_changes *out)
{
	if (a != b)
		add(out, CONFIG_CHANGE, "probes", "%s 0x%08x -> 0x%08x", key, a, b);
}

static void diff_announce(const struct config_announce *a, const struct config_announce *b, struct config_changes *out)
{
	static const char *const starts[] = {"active", "standby"};

	if (a->table != b->table)
		add(out, CONFIG_CHANGE, "announce", "table %u -> %u%s", a->table, b->table,
		    a->table && b->table ? "" : " (0 is none)");
	diff_seconds("warmup", a->warmup_s, b->warmup_s, "announce", out);
	diff_seconds("refresh", a->refresh_s, b->refresh_s, "announce", out);
	if (a->starts_standby != b->starts_standby)
		add(out, CONFIG_CHANGE, "announce", "start %s -> %s", starts[a->starts_standby], starts[b->starts_standby]);
}

static void diff_rest(const struct config *a, const struct config *b, struct config_changes *out)
{
	diff_source("source4", &a->tunnel.source4, &b->tunnel.source4, out);
	diff_source("source6", &a->tunnel.source6, &b->tunnel.source6, out);
	diff_gre_key(&a->tunnel, &b->tunnel, out);
	diff_announce(&a->announce, &b->announce, out);
	if (memcmp(&a->limits, &b->limits, sizeof(a->limits)) != 0)
		add(out, CONFIG_CHANGE, "limits", "take effect when the daemon is started again");
	diff_mark("mark", a->probes.mark, b->probes.mark, out);
	diff_mark("mask", a->probes.mask, b->probes.mask, out);
	if (a->probes.table != b->probes.table)
		add(out, CONFIG_CHANGE, "probes", "table %u -> %u", a->probes.table, b->probes.table);
	if (a->probes.hops != b->probes.hops)
		add(out, CONFIG_CHANGE, "probes", "hops %u -> %u", a->probes.hops, b->probes.hops);
	if (strcmp(a->api_socket, b->api_socket) != 0 || strcmp(a->api_group, b->api_group) != 0)
		add(out, CONFIG_CHANGE, "api", "takes effect when the daemon is started again");
}

static void added(const struct config_service *service, struct config_changes *out)
{
	size_t count = service->backend_count - service->fallback_count;
	char vips[200], ports[CONFIG_PORTS_TEXT_BYTES];

	list_vips(service, vips, sizeof(vips));
	add(out, CONFIG_ADD, service->name, "service %s port %s, %s, with %zu backend%s", vips,
	    config_ports_format(service, ports), config_forward_name(service->forward), count, count == 1 ? "" : "s");
}

/* The same service in the same place, as nearly all are: neither compared nor looked up. */
static bool is_shared(const struct config *former, const struct config *next, size_t i)
{
	return former && i < former->service_count && i < next->service_count && former->services[i] == next->services[i];
}

int config_diff(const struct config *former, const struct config *next, struct config_changes *changes)
{
	size_t count = former ? former->service_count : 0;
	struct named *rows = calloc(count + 1, sizeof(*rows)), *index = NULL, *found;

	if (!rows)
		return -ENOMEM;
	diff_interfaces(former, next, changes);
	if (former)
		diff_rest(former, next, changes);
	for (size_t i = 0; i < count; i++) {
		rows[i].service = former->services[i];
		rows[i].is_found = is_shared(former, next, i);
		if (rows[i].is_found)
			continue;
		HASH_ADD_KEYPTR(hh, index, rows[i].service->name, strlen(rows[i].service->name), &rows[i]);
	}
	for (size_t i = 0; i < next->service_count; i++) {
		if (is_shared(former, next, i))
			continue;
		HASH_FIND_STR(index, next->services[i]->name, found);
		if (!found) {
			added(next->services[i], changes);
			continue;
		}
		found->is_found = true;
		if (found->service != next->services[i])
			diff_service(found->service, next->services[i], changes);
	}
	for (size_t i = 0; i < count; i++)
		if (!rows[i].is_found)
			add(changes, CONFIG_REMOVE, rows[i].service->name, "service removed");
	HASH_CLEAR(hh, index);
	free(rows);
	return 0;
}

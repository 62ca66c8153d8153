/* What options mean together: families, duplicates, sizes: see config_schema.h. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "abi.h"
#include "core/config_schema.h"
#include "core/ring.h"

#define SLOTS_A_BACKEND 100
#define WINDOW_TCP_S 7200 /* what a kernel waits by default before it asks a silent peer (tcp_keepalive_time) */
#define WINDOW_UDP_S 120
#define WINDOW_GROUP_S 900 /* a client that is silent on all ports for so long may be another's */
#define PROBED_BACKENDS 4096 /* the least that a data plane has room for, where the file says auto */

/* A row of a table of what must not stand twice, a name, and of what no backend may be, a VIP. */
struct seen {
	struct {
		char name[64];
		struct ip vip;
		uint8_t what; /* 'n'ame or 'v'IP */
	} key;
	uint32_t line;
	UT_hash_handle hh;
};

static struct seen *find_or_add(struct seen **table, const struct seen *row, bool *is_new)
{
	struct seen *found;

	HASH_FIND(hh, *table, &row->key, sizeof(row->key), found);
	*is_new = !found;
	if (found)
		return found;
	found = malloc(sizeof(*found));
	if (!found)
		abort();
	*found = *row;
	HASH_ADD(hh, *table, key, sizeof(found->key), found);
	return found;
}

static void free_table(struct seen **table)
{
	struct seen *row, *next;

	HASH_ITER(hh, *table, row, next) {
		HASH_DEL(*table, row);
		free(row);
	}
}

/* The node of the first backend or VIP, of the only one when it is not a list. */
static const struct yaml_node *first_item(const struct yaml_node *list)
{
	return list && list->kind == YAML_LIST ? list->first : list;
}

/* An address whose mistake is noted. */
static bool is_blank(const struct ip *ip)
{
	static const struct ip blank;

	return ip_equal(ip, &blank);
}

/* What every protocol means for the ports and the hash. */
static void check_protocol(struct config_reader *reader, struct config_draft *draft)
{
	struct config_service *service = draft->service;

	if (!draft->hash && (service->protocol == HP_PROTOCOL_ANY || service->group))
		service->hash = HP_HASH_SOURCE;
	if (service->protocol != HP_PROTOCOL_ANY) {
		if (!draft->port && draft->at->kind == YAML_MAP)
			config_error(reader, draft->at, "a service lacks \"port\": the port that clients ask, a range, a list of "
							"both, or any");
		draft->is_key_wrong |= !draft->port;
		return;
	}
	if (!draft->port) {
		service->ports = calloc(1, sizeof(*service->ports));
		if (!service->ports)
			abort();
		service->port_count = 1;
	} else if (!draft->is_key_wrong && !config_has_any_port(service)) {
		config_error(reader, draft->port, "protocol: any is by address, as most protocols have no ports: leave port out, "
						  "or name tcp or udp");
		draft->is_key_wrong = true;
	}
}

static void default_name(const struct config_draft *draft)
{
	struct config_service *service = draft->service;
	char address[IP_TEXT_BYTES], ports[CONFIG_PORTS_TEXT_BYTES], name[64];
	bool is4;

	if (service->name || draft->is_key_wrong || !service->vip_count || is_blank(&service->vips[0]))
		return;
	is4 = ip_is4(&service->vips[0]);
	snprintf(name, sizeof(name), is4 ? "%s/%s:%s" : "%s/[%s]:%s", config_protocol_name(service->protocol),
		 ip_format(&service->vips[0], address), config_ports_format(service, ports));
	service->name = strdup(name);
	if (!service->name)
		abort();
}

static void check_name(struct config_reader *reader, struct config_draft *draft, struct seen **table)
{
	struct seen row, *found;
	bool is_new;

	default_name(draft);
	if (!draft->service->name)
		return;
	memset(&row, 0, sizeof(row));
	snprintf(row.key.name, sizeof(row.key.name), "%s", draft->service->name);
	row.key.what = 'n';
	row.line = draft->at->line;
	found = find_or_add(table, &row, &is_new);
	if (!is_new)
		config_error(reader, draft->name ? draft->name : draft->at,
			     "the service on line %u is called \"%s\" already: names must differ", found->line,
			     draft->service->name);
}

/* Note the VIPs. */
static void note_vips(const struct config_draft *draft, struct seen **table)
{
	const struct yaml_node *at = first_item(draft->vip);

	for (size_t i = 0; i < draft->service->vip_count; i++, at = at->next) {
		struct seen row;
		bool is_new;

		if (is_blank(&draft->service->vips[i]))
			continue;
		memset(&row, 0, sizeof(row));
		row.key.vip = draft->service->vips[i];
		row.key.what = 'v';
		row.line = at->line;
		find_or_add(table, &row, &is_new);
	}
}

static void check_family(struct config_reader *reader, const struct config_service *service, const struct ip *backend,
			 const struct yaml_node *at)
{
	bool is4 = ip_is4(backend);
	char a[IP_TEXT_BYTES], b[IP_TEXT_BYTES];

	for (size_t v = 0; service->forward == CONFIG_FORWARD_L2 && v < service->vip_count; v++)
		if (!is_blank(&service->vips[v]) && ip_is4(&service->vips[v]) != is4) {
			config_error(reader, at,
				     "backend %s and VIP %s are of different families, which l2 cannot join: use forward: "
				     "ipip, gue or gre, or the backend's %s address",
				     ip_format(backend, a), ip_format(&service->vips[v], b),
				     is4 ? "IPv6" : "IPv4");
			return;
		}
}

struct own {
	struct ip address;
	const struct yaml_node *at;
	UT_hash_handle hh;
};

/* One backend against the VIPs of the file and the backends before it. */
static void check_backend(struct config_reader *reader, const struct config_service *service, struct own *row,
			  struct own **index, struct seen *table)
{
	char address[IP_TEXT_BYTES];
	struct seen key, *vip;
	struct own *twin;

	ip_format(&row->address, address);
	memset(&key, 0, sizeof(key));
	key.key.vip = row->address;
	key.key.what = 'v';
	HASH_FIND(hh, table, &key.key, sizeof(key.key), vip);
	if (vip)
		config_error(reader, row->at, "backend %s is a VIP itself (line %u): packets would never arrive", address,
			     vip->line);
	HASH_FIND(hh, *index, &row->address, sizeof(row->address), twin);
	if (twin)
		config_error(reader, row->at, "backend %s is listed twice: it is also on line %u", address, twin->at->line);
	else
		HASH_ADD(hh, *index, address, sizeof(row->address), row);
	check_family(reader, service, &row->address, row->at);
}

/* Families, doubles, VIPs among the backends. */
static void check_backends(struct config_reader *reader, struct config_draft *draft, struct seen *table)
{
	const struct config_service *service = draft->service;
	const struct yaml_node *at = first_item(draft->backends);
	struct own *rows = calloc(service->backend_count + 1, sizeof(*rows)), *index = NULL;

	if (!rows)
		abort();
	for (size_t i = 0; i < service->backend_count; i++, at = at->next) {
		if (i == service->backend_count - service->fallback_count)
			at = first_item(draft->fallback);
		if (is_blank(&service->backends[i].address))
			continue;
		rows[i].address = service->backends[i].address;
		rows[i].at = at;
		check_backend(reader, service, &rows[i], &index, table);
	}
	HASH_CLEAR(hh, index);
	free(rows);
}

static void check_ring(struct config_reader *reader, struct config_draft *draft)
{
	struct config_service *service = draft->service;
	const struct yaml_node *at = draft->slots ? draft->slots : draft->at;
	size_t count = service->backend_count - service->fallback_count;
	uint64_t weights = 0;

	for (size_t i = 0; i < count; i++)
		weights += service->backends[i].weight;
	if (count && !weights)
		config_warning(reader, draft->backends, "every weight is 0: the service takes no new flows");
	if (service->slots == UINT32_MAX)
		service->slots = reader->slots;
	if (service->slots == CONFIG_SLOTS_AUTO) {
		service->slots = ring_size_auto(count);
		return;
	}
	if (service->slots < count)
		config_error(reader, at, "%u slots for %zu backends: a ring needs at least one a backend, and a hundred share "
					 "flows evenly; auto takes %u",
			     service->slots, count, ring_size_auto(count));
	else if (service->slots < count * SLOTS_A_BACKEND)
		config_warning(reader, at, "%u slots for %zu backends: below a hundred a backend the shares are uneven; auto "
					   "takes %u",
			       service->slots, count, ring_size_auto(count));
}

/* Servers of quic-cid: each has an ID, all of the same length, no two the same. */
static void check_quic(struct config_reader *reader, const struct config_draft *draft)
{
	const struct config_service *service = draft->service;
	const struct yaml_node *at = first_item(draft->backends);
	size_t count = service->backend_count - service->fallback_count;
	bool is_quic = service->hash == HP_HASH_QUIC;
	char text[CONFIG_QUIC_ID_TEXT_BYTES];

	if (is_quic && service->protocol != IPPROTO_UDP) {
		if (!draft->is_key_wrong)
			config_error(reader, draft->hash, "hash: quic-cid is for protocol: udp, by which QUIC goes");
		return;
	}
	if (!is_quic && draft->quic_rotation)
		config_error(reader, draft->quic_rotation, "quic_rotation is for hash: quic-cid");
	for (size_t i = 0; i < count; i++, at = at->next) {
		const struct config_backend *backend = &service->backends[i], *first = service->backends;

		config_quic_id_format(backend, text);
		if (!is_quic && backend->quic_bytes)
			config_error(reader, at, "quic_id is for services with hash: quic-cid");
		else if (is_quic && !backend->quic_bytes)
			config_error(reader, at, "with hash: quic-cid each backend needs a quic_id, the one that its server "
						 "puts into connection IDs");
		else if (backend->quic_bytes != first->quic_bytes && first->quic_bytes)
			config_error(reader, at, "quic_id %s is of %u bytes, and that of the first backend of %u: all of a "
						 "service must be of one length", text, backend->quic_bytes, first->quic_bytes);
		for (size_t j = 0; is_quic && backend->quic_bytes && j < i; j++)
			if (!memcmp(&backend->quic_bytes, &service->backends[j].quic_bytes, 1 + sizeof(backend->quic_id))) {
				config_error(reader, at, "quic_id %s is another backend's already", text);
				break;
			}
	}
}

static void check_window(struct config_reader *reader, struct config_draft *draft)
{
	struct config_service *service = draft->service;
	bool is_tcp = service->protocol == IPPROTO_TCP, is_udp = service->protocol == IPPROTO_UDP;

	if (draft->affinity && is_tcp && !draft->is_key_wrong)
		config_error(reader, draft->affinity,
			     "affinity is for protocol: udp and any: a flow of tcp stays with its backend through every change");
	if (service->affinity == CONFIG_AFFINITY_FLOW) {
		if (!draft->window)
			service->window_s = service->group ? WINDOW_GROUP_S : is_udp ? WINDOW_UDP_S : WINDOW_TCP_S;
		return;
	}
	if (draft->window && !is_tcp)
		config_error(reader, draft->window,
			     "window has no use with affinity: none, where every packet follows a change at once");
	service->window_s = 0;
}

static void check_lengths(struct config_reader *reader, const struct config_draft *draft)
{
	const struct config_service *service = draft->service;
	bool has_ipv4 = !service->vip_count;

	for (size_t i = 0; i < service->vip_count; i++)
		has_ipv4 |= ip_is4(&service->vips[i]);
	if (draft->oversize && !has_ipv4)
		config_error(reader, draft->oversize, "oversize is for IPv4, and no VIP of the service is: of IPv6 senders are "
						      "always told");
	if (draft->mss && draft->service->protocol == IPPROTO_UDP && !draft->is_key_wrong)
		config_error(reader, draft->mss, "mss is for protocol: tcp and any: UDP has no MSS");
}

static uint32_t blocks_of(uint32_t slots)
{
	return 1 + (slots + HP_SLOTS_PER_BLOCK - 1) / HP_SLOTS_PER_BLOCK;
}

/* Whether what the file asks for fits into the room that it gives. */
static void check_limits(struct config_reader *reader)
{
	const struct config *config = reader->config;
	uint64_t keys = 0, blocks = 1, most_backends = 0;

	if (!reader->limits)
		return;
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = config->services[i];

		keys += service->vip_count * service->port_count;
		if (service->backend_count > most_backends)
			most_backends = service->backend_count;
		if (blocks_of(service->slots) > blocks)
			blocks = blocks_of(service->slots);
	}
	if (config->limits.services && keys > config->limits.services)
		config_error(reader, reader->limits, "limits.services is %u, and the file has %llu VIPs with their ports",
			     config->limits.services, (unsigned long long)keys);
	if (config->limits.backends && most_backends > config->limits.backends)
		config_error(reader, reader->limits, "limits.backends is %u, and one service alone has %llu",
			     config->limits.backends, (unsigned long long)most_backends);
	if (config->limits.slots && blocks * HP_SLOTS_PER_BLOCK > config->limits.slots)
		config_error(reader, reader->limits,
			     "limits.slots is %u, and one ring alone takes %llu (its head and its last block counted whole)",
			     config->limits.slots, (unsigned long long)(blocks * HP_SLOTS_PER_BLOCK));
}

/* One within the mask that is as near to what was written as can be: its own bits there, or the number moved into it. */
static uint32_t mark_within(uint32_t mark, uint32_t mask)
{
	uint64_t moved = (uint64_t)mark << __builtin_ctz(mask);
	uint32_t own = mark & mask;

	if (own)
		return own;
	return moved <= mask ? (uint32_t)moved & mask : mask;
}

/* A mark tells probes from everything else by the mask's bits, and their backends apart by the others. */
static void check_probes(struct config_reader *reader)
{
	const struct config *config = reader->config;
	const struct config_probes *probes = &config->probes;
	uint32_t most = config->limits.backends ? config->limits.backends : PROBED_BACKENDS;

	if (probes->mark & ~probes->mask)
		config_error(reader, reader->probes_mark ? reader->probes_mark : reader->probes,
			     "probes.mark 0x%08x has bits where probes.mask 0x%08x has zeros, which are for the number of a "
			     "backend: write one within the mask, such as 0x%08x",
			     probes->mark, probes->mask, mark_within(probes->mark, probes->mask));
	if (~probes->mask < most)
		config_error(reader, reader->probes ? reader->probes : reader->limits,
			     "probes.mask 0x%08x leaves room for the numbers of %u backends, and %s %u: fewer ones in the mask "
			     "make more room",
			     probes->mask, ~probes->mask,
			     config->limits.backends ? "limits.backends is" : "there is to be room for", most);
	if (probes->table == config->announce.table)
		config_error(reader, reader->announce ? reader->announce : reader->probes,
			     "announce.table and probes.table are both %u: routes to VIPs and probes need a table each",
			     probes->table);
}

void config_check(struct config_reader *reader)
{
	struct seen *table = NULL;

	for (size_t i = 0; i < reader->draft_count; i++) {
		struct config_draft *draft = &reader->drafts[i];

		check_protocol(reader, draft);
		if (!draft->has_seed)
			draft->service->seed = reader->seed;
		check_name(reader, draft, &table);
		note_vips(draft, &table);
		check_ring(reader, draft);
		check_quic(reader, draft);
		check_window(reader, draft);
		check_lengths(reader, draft);
		config_check_health(reader, draft);
		config_check_guard(reader, draft);
	}
	config_check_keys(reader);
	config_check_groups(reader);
	for (size_t i = 0; i < reader->draft_count; i++)
		check_backends(reader, &reader->drafts[i], table);
	check_limits(reader);
	check_probes(reader);
	free_table(&table);
}

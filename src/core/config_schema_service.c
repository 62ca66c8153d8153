/* The options of a service and of its backends: see config_schema.h. Those of its health are in config_schema_health.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "core/config_read.h"
#include "core/ring.h"

#define HOUR_S 3600u
#define DAY_S  86400u

/* ---- backends --------------------------------------------------------------------------------------------------------- */

static void read_backend_address(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_backend *backend = target;

	config_read_address(reader, value, "backend address", &backend->address);
}

static void read_backend_weight(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_backend *backend = target;
	uint64_t weight;

	if (config_read_number(reader, value, 0, RING_WEIGHT_MOST, "weight", &weight))
		backend->weight = (uint32_t)weight;
}

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

static void read_quic_id(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	const char *text = config_read_word(reader, value, "quic_id");
	struct config_backend *backend = target;
	size_t length = text ? strlen(text) : 0;

	if (!text)
		return;
	for (size_t i = 0; i < length; i++)
		if (digit(text[i]) < 0)
			length = 1; /* which is wrong as well */
	if (!length || length % 2 || length > 2 * sizeof(backend->quic_id)) {
		config_error(reader, value, "quic_id \"%s\" must be 1 to 15 bytes in hexadecimal digits, two each, such as "
						    "0a1b", text);
		return;
	}
	backend->quic_bytes = (uint8_t)(length / 2);
	for (size_t i = 0; i < backend->quic_bytes; i++)
		backend->quic_id[i] = (uint8_t)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
}

static const struct config_option backend_options[] = {
	{"address", read_backend_address, true, "the address of the backend"},
	{"quic_id", read_quic_id, false, "with hash: quic-cid, the server's ID in connection IDs: 1 to 15 bytes in hexadecimal"},
	{"weight", read_backend_weight, false, "share of new flows; 0 takes none"},
	{"port", NULL, false, "Direct Server Return translates no port, so the backend listens on the service's, at the VIP"},
};

static void read_backends(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	struct config_service *service = draft->service;

	draft->backends = value;
	if (value->kind != YAML_LIST) {
		config_error(reader, value, "backends must be a list, such as [{address: 10.3.0.1, weight: 1}]");
		return;
	}
	if (!value->first)
		config_error(reader, value, "backends is empty: a service needs at least one");
	for (const struct yaml_node *node = value->first; node; node = node->next) {
		struct config_backend *backend;

		service->backends = config_read_grow(service->backends, service->backend_count, sizeof(*backend));
		backend = &service->backends[service->backend_count++];
		memset(backend, 0, sizeof(*backend));
		backend->weight = 1;
		if (node->kind == YAML_SCALAR)
			read_backend_address(reader, node, backend);
		else
			CONFIG_READ_MAP(reader, node, backend_options, backend, "a backend");
	}
}

/* ---- when backends are down -------------------------------------------------------------------------------------------- */

static void read_min_up(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	const char *text = config_read_word(reader, value, "min_up");
	unsigned int percent;
	uint64_t number;
	int end = 0;

	draft->min_up = value;
	if (!text)
		return;
	if (strchr(text, '%')) {
		if (text[0] < '0' || text[0] > '9' || sscanf(text, "%3u%%%n", &percent, &end) != 1 || !end || text[end] ||
		    !percent || percent > 100) {
			config_error(reader, value, "min_up \"%s\" must be a share from 1%% to 100%%, or a number of backends",
				     text);
			return;
		}
		draft->service->min_up = percent;
		draft->service->min_up_is_percent = true;
	} else if (config_read_number(reader, value, 1, 1u << 22, "min_up (a number of backends, or a share such as 50%)",
				      &number)) {
		draft->service->min_up = (uint32_t)number;
	}
}

static void read_when_all_down(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"drop", CONFIG_ALL_DOWN_DROP},
						    {"all", CONFIG_ALL_DOWN_ALL},
						    {"fallback", CONFIG_ALL_DOWN_FALLBACK},
						    {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	draft->when_all_down = value;
	if (config_read_choice(reader, value, words, "when_all_down", &choice))
		draft->service->when_all_down = (enum config_all_down)choice;
}

static void add_fallback(struct config_reader *reader, const struct yaml_node *value, struct config_draft *draft)
{
	struct config_backend *backend;

	draft->fallbacks = config_read_grow(draft->fallbacks, draft->service->fallback_count, sizeof(*backend));
	backend = &draft->fallbacks[draft->service->fallback_count++];
	memset(backend, 0, sizeof(*backend));
	backend->weight = 1;
	backend->is_fallback = 1;
	config_read_address(reader, value, "fallback", &backend->address);
}

static void read_fallback(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->fallback = value;
	if (value->kind != YAML_LIST) {
		add_fallback(reader, value, draft);
		return;
	}
	if (!value->first)
		config_error(reader, value, "fallback is an empty list: name at least one address, or leave it out");
	for (const struct yaml_node *node = value->first; node; node = node->next)
		add_fallback(reader, node, draft);
}

static void read_on_down(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {
		{"drain", CONFIG_ON_DOWN_DRAIN}, {"reset", CONFIG_ON_DOWN_RESET}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	draft->on_down = value;
	if (config_read_choice(reader, value, words, "on_down", &choice))
		draft->service->on_down = (enum config_on_down)choice;
}

/* ---- services ---------------------------------------------------------------------------------------------------------- */

static void read_service_name(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->name = value;
	config_read_name(reader, value, "a service's name", &draft->service->name);
}

static void read_group(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->group = value;
	config_read_name(reader, value, "a group's name", &draft->service->group);
}

static void add_vip(struct config_reader *reader, const struct yaml_node *value, struct config_service *service)
{
	struct ip vip;

	/* A bad one keeps its place as zeros, so that the others' places in the text are known. */
	memset(&vip, 0, sizeof(vip));
	config_read_address(reader, value, "vip", &vip);
	service->vips = config_read_grow(service->vips, service->vip_count, sizeof(vip));
	service->vips[service->vip_count++] = vip;
}

static void read_vip(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->vip = value;
	if (value->kind != YAML_LIST) {
		add_vip(reader, value, draft->service);
		return;
	}
	if (!value->first)
		config_error(reader, value, "vip is an empty list: a service needs at least one address");
	for (const struct yaml_node *node = value->first; node; node = node->next)
		add_vip(reader, node, draft->service);
}

static void read_protocol(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {
		{"tcp", 6}, {"udp", 17}, {"any", HP_PROTOCOL_ANY}, {"quic", -1}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	if (config_read_choice(reader, value, words, "protocol", &choice))
		draft->service->protocol = (uint8_t)choice;
	else
		draft->is_key_wrong = true;
}

static void read_forward(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {
		{"l2", CONFIG_FORWARD_L2}, {"ipip", CONFIG_FORWARD_IPIP}, {"gue", CONFIG_FORWARD_GUE},
		{"gre", CONFIG_FORWARD_GRE}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	if (config_read_choice(reader, value, words, "forward", &choice))
		draft->service->forward = (enum config_forward)choice;
}

static void read_hash(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {
		{"flow", HP_HASH_FLOW}, {"source", HP_HASH_SOURCE}, {"quic-cid", HP_HASH_QUIC}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	draft->hash = value;
	if (config_read_choice(reader, value, words, "hash", &choice))
		draft->service->hash = (uint32_t)choice;
}

static void read_quic_rotation(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	uint64_t number;

	draft->quic_rotation = value;
	if (config_read_number(reader, value, 0, 6, "quic_rotation", &number))
		draft->service->quic_rotation = (uint32_t)number;
}

static void read_service_slots(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->slots = value;
	config_read_slots(reader, value, &draft->service->slots);
}

static void read_service_seed(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->has_seed = config_read_number(reader, value, 0, UINT64_MAX, "seed", &draft->service->seed);
}

static void read_affinity(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"none", CONFIG_AFFINITY_NONE}, {"flow", CONFIG_AFFINITY_FLOW}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	draft->affinity = value;
	if (config_read_choice(reader, value, words, "affinity", &choice))
		draft->service->affinity = (enum config_affinity)choice;
}

static void read_window(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->window = value;
	config_read_seconds(reader, value, 1, 30 * DAY_S, "window", &draft->service->window_s);
}

static void read_slow_start(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	config_read_seconds(reader, value, 0, HOUR_S, "slow_start", &draft->service->slow_start_s);
}

static void read_deadline(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	config_read_seconds(reader, value, 0, 30 * DAY_S, "deadline", &draft->service->deadline_s);
}

static void read_mss(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	uint64_t mss;

	draft->mss = value;
	if (value->kind == YAML_SCALAR && !strcmp(value->text, "auto"))
		draft->service->mss = CONFIG_MSS_AUTO;
	else if (config_read_number(reader, value, CONFIG_MSS_LEAST, CONFIG_MSS_AUTO - 1, "mss (bytes, or auto)", &mss))
		draft->service->mss = (uint16_t)mss;
}

static void read_oversize(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"icmp", HP_OVERSIZE_ICMP}, {"drop", HP_OVERSIZE_DROP}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	draft->oversize = value;
	if (config_read_choice(reader, value, words, "oversize", &choice))
		draft->service->oversize = (uint8_t)choice;
}

static const struct config_option service_options[] = {
	{"name", read_service_name, false, "what the service is called; PROTOCOL/VIP:PORT by default"},
	{"group", read_group, false, "services with this name keep a client on one backend over all their ports"},
	{"vip", read_vip, true, "the virtual address that clients ask, or a list of them"},
	{"protocol", read_protocol, false, "tcp, udp or any; tcp by default"},
	{"port", config_schema_port, false, "the port that clients ask, a range, a list of both, or any"},
	{"forward", read_forward, false, "l2, ipip, gue or gre; l2 by default"},
	{"hash", read_hash, false, "flow, source or quic-cid; flow by default, source with protocol: any"},
	{"quic_rotation", read_quic_rotation, false, "of quic-cid: which connection IDs are looked into; 0 by default"},
	{"slots", read_service_slots, false, "the ring's size: auto or a prime"},
	{"seed", read_service_seed, false, "of the flow's hash; equal on all directors"},
	{"affinity", read_affinity, false, "of udp: flow stays with its backend through a change; none follows the ring"},
	{"window", read_window, false, "how long after a change flows that are not remembered follow the ring of before"},
	{"slow_start", read_slow_start, false, "how long a new or recovered backend's weight rises; 0 by default"},
	{"deadline", read_deadline, false, "how long flows may stay with a backend that was taken out; 24h by default"},
	{"allow", config_schema_allow, false, "prefixes of clients that may use it; all others may not then"},
	{"deny", config_schema_deny, false, "prefixes of clients that may not; of two prefixes the longer judges"},
	{"limit", config_schema_limit, false, "how many flows a client may open: {new_flows: 100, per: 1s, burst: 200}"},
	{"oversize", read_oversize, false, "of IPv4 without DF, too long for its path: icmp or drop; icmp by default"},
	{"mss", read_mss, false, "of tcp: the largest MSS that a client's SYN may have, or auto; it is let alone by default"},
	{"health", config_schema_health, false, "how backends are probed"},
	{"min_up", read_min_up, false, "how many backends, or which share, must be up for the service to be; 1 by default"},
	{"when_all_down", read_when_all_down, false, "drop, all or fallback: who gets flows then; drop by default"},
	{"fallback", read_fallback, false, "an address or a list of them, for when_all_down: fallback"},
	{"on_down", read_on_down, false, "drain or reset: the flows of a backend that fails its checks; drain by default"},
	{"backends", read_backends, true, "where flows go: a list of addresses with weights"},
};

static void append_fallbacks(struct config_draft *draft)
{
	struct config_service *service = draft->service;

	for (size_t i = 0; i < service->fallback_count; i++) {
		service->backends = config_read_grow(service->backends, service->backend_count, sizeof(*service->backends));
		service->backends[service->backend_count++] = draft->fallbacks[i];
	}
	free(draft->fallbacks);
	draft->fallbacks = NULL;
}

static void read_service(struct config_reader *reader, const struct yaml_node *node)
{
	struct config_draft *draft = &reader->drafts[reader->draft_count];
	struct config_service *service = calloc(1, sizeof(*service));

	if (!service)
		abort();
	*draft = (struct config_draft){.service = service, .at = node};
	service->references = 1;
	service->protocol = 6;
	service->slots = UINT32_MAX; /* the file's default */
	service->deadline_s = DAY_S;
	service->min_up = 1;
	service->line = node->line;
	reader->config->services[reader->draft_count] = service;
	reader->config->service_count = ++reader->draft_count;
	CONFIG_READ_MAP(reader, node, service_options, draft, "a service");
	append_fallbacks(draft);
}

void config_schema_services(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	size_t count = 0;

	(void)target;
	reader->services = value;
	if (config_read_is_empty(value))
		return;
	if (value->kind != YAML_LIST) {
		config_error(reader, value, "services must be a list (- name: …), not %s", yaml_kind_name(value->kind));
		return;
	}
	for (const struct yaml_node *node = value->first; node; node = node->next)
		count++;
	reader->drafts = calloc(count + 1, sizeof(*reader->drafts));
	reader->config->services = calloc(count + 1, sizeof(struct config_service *));
	if (!reader->drafts || !reader->config->services)
		abort();
	for (const struct yaml_node *node = value->first; node; node = node->next)
		read_service(reader, node);
}

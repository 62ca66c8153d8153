/* Options as tables: see config_schema.h. */
#include "core/config_schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "base/nearest.h"
#include "core/ring.h"

struct option {
	const char *name;
	/* Read a value into the target, which the table's owner knows; notes what is wrong with it. */
	void (*read)(struct config_reader *reader, const struct yaml_node *value, void *target);
	bool is_required;
	const char *help;
};

#define OPTIONS_MOST 16

/* ---- problems --------------------------------------------------------------------------------------------------- */

void config_error(struct config_reader *reader, const struct yaml_node *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	problems_add_list(reader->problems, PROBLEM_ERROR, at->line, at->column, format, args);
	va_end(args);
}

void config_warning(struct config_reader *reader, const struct yaml_node *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	problems_add_list(reader->problems, PROBLEM_WARNING, at->line, at->column, format, args);
	va_end(args);
}

/* ---- mappings by tables -------------------------------------------------------------------------------------------- */

static void list_names(const struct option *options, size_t count, char *out, size_t room)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < count && at < room; i++)
		at += (size_t)snprintf(out + at, room - at, "%s%s", i ? ", " : "", options[i].name);
}

static void unknown_key(struct config_reader *reader, const struct yaml_node *key, const struct option *options,
			size_t count, const char *what)
{
	const char *names[OPTIONS_MOST + 1] = {NULL};
	char all[300];
	const char *near;

	for (size_t i = 0; i < count; i++)
		names[i] = options[i].name;
	near = nearest_word(key->text, names);
	list_names(options, count, all, sizeof(all));
	if (near)
		config_error(reader, key, "%s has no key \"%s\": did you mean \"%s\"?", what, key->text, near);
	else
		config_error(reader, key, "%s has no key \"%s\": its keys are %s", what, key->text, all);
}

static const struct option *find_option(const struct option *options, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

static void report_missing(struct config_reader *reader, const struct yaml_node *map, const struct option *options,
			   size_t count, const struct yaml_node *const *seen, const char *what)
{
	for (size_t i = 0; i < count; i++)
		if (options[i].is_required && !seen[i])
			config_error(reader, map, "%s lacks \"%s\": %s", what, options[i].name, options[i].help);
}

/* Read a mapping by its table. `what` names it in messages. */
static void read_map(struct config_reader *reader, const struct yaml_node *map, const struct option *options,
		     size_t count, void *target, const char *what)
{
	const struct yaml_node *seen[OPTIONS_MOST] = {NULL};

	if (map->kind != YAML_MAP) {
		config_error(reader, map, "%s must be a mapping (key: value), not %s", what, yaml_kind_name(map->kind));
		return;
	}
	for (const struct yaml_node *key = map->first; key; key = key->next->next) {
		const struct option *option;

		if (key->kind != YAML_SCALAR) {
			config_error(reader, key, "a key must be a word, not %s", yaml_kind_name(key->kind));
			continue;
		}
		option = find_option(options, count, key->text);
		if (!option) {
			unknown_key(reader, key, options, count, what);
			continue;
		}
		if (seen[option - options]) {
			config_error(reader, key, "\"%s\" stands here twice: it is also on line %u", key->text,
				     seen[option - options]->line);
			continue;
		}
		seen[option - options] = key;
		option->read(reader, key->next, target);
	}
	report_missing(reader, map, options, count, seen, what);
}

#define READ_MAP(reader, map, options, target, what) \
	read_map(reader, map, options, sizeof(options) / sizeof((options)[0]), target, what)

/* ---- values ---------------------------------------------------------------------------------------------------------- */

static bool is_empty(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && !node->is_quoted &&
	       (!node->text[0] || !strcmp(node->text, "~") || !strcmp(node->text, "null"));
}

static const char *read_word(struct config_reader *reader, const struct yaml_node *value, const char *what)
{
	if (value->kind != YAML_SCALAR)
		config_error(reader, value, "%s must be a single value, not %s", what, yaml_kind_name(value->kind));
	else if (is_empty(value))
		config_error(reader, value, "%s has no value", what);
	else
		return value->text;
	return NULL;
}

/* A whole number, decimal or 0x hexadecimal. */
static bool read_number(struct config_reader *reader, const struct yaml_node *value, uint64_t low, uint64_t high,
			const char *what, uint64_t *out)
{
	const char *text = read_word(reader, value, what);
	unsigned long long number;
	char *end;

	if (!text)
		return false;
	errno = 0;
	number = strtoull(text, &end, strncmp(text, "0x", 2) ? 10 : 16);
	if (text[0] < '0' || text[0] > '9' || *end) {
		config_error(reader, value, "%s must be a whole number from %llu to %llu, not \"%s\"", what,
			     (unsigned long long)low, (unsigned long long)high, text);
		return false;
	}
	if (errno || number < low || number > high) {
		config_error(reader, value, "%s %s is out of range: %llu to %llu", what, text, (unsigned long long)low,
			     (unsigned long long)high);
		return false;
	}
	*out = number;
	return true;
}

struct word {
	const char *text;
	int value; /* negative: known, but not in this version */
};

/* One of a list of words (ended by NULL). */
static bool read_choice(struct config_reader *reader, const struct yaml_node *value, const struct word *words,
			const char *what, int *out)
{
	const char *text = read_word(reader, value, what);
	const char *names[OPTIONS_MOST + 1] = {NULL};
	char all[200] = "";
	size_t at = 0, count = 0;
	const char *near;

	if (!text)
		return false;
	for (const struct word *word = words; word->text; word++) {
		if (word->value >= 0) {
			at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", at ? ", " : "", word->text);
			names[count++] = word->text;
		}
		if (strcmp(word->text, text) != 0)
			continue;
		*out = word->value;
		if (word->value >= 0)
			return true;
		config_error(reader, value, "%s \"%s\" is not in this version of halfproxy: it knows %s", what, text, all);
		return false;
	}
	for (const struct word *word = words; word->text; word++)
		if (word->value < 0 && !strcmp(word->text, text))
			return false;
	near = nearest_word(text, names);
	config_error(reader, value, "%s must be one of %s, not \"%s\"%s%s%s", what, all, text,
		     near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return false;
}

static bool looks_like_host_name(const char *text)
{
	return strspn(text, "0123456789.:abcdefABCDEF/") != strlen(text) && !strchr(text, ':');
}

/* An address that a service or a backend may have. */
static bool read_address(struct config_reader *reader, const struct yaml_node *value, const char *what, struct ip *out)
{
	const char *text = read_word(reader, value, what);
	uint8_t broadcast[4] = {255, 255, 255, 255};
	const char *wrong = NULL;
	struct ip ip;

	if (!text)
		return false;
	if (!ip_parse(&ip, text)) {
		if (strchr(text, '/'))
			config_error(reader, value, "%s \"%s\" has a prefix length: write the address alone (this version "
						    "serves single addresses)", what, text);
		else if (looks_like_host_name(text))
			config_error(reader, value, "%s \"%s\" is a name: write its address, as names are not looked up",
				     what, text);
		else
			config_error(reader, value, "%s \"%s\" is not an IPv4 or IPv6 address, such as 10.2.0.1 or 2001:db8::1 "
						    "(no leading zeros)", what, text);
		return false;
	}
	if (ip_is_unspecified(&ip))
		wrong = "is the unspecified address";
	else if (ip_is_multicast(&ip))
		wrong = "is a multicast address";
	else if (ip_is_loopback(&ip))
		wrong = "is a loopback address";
	else if (ip_is_link_local(&ip))
		wrong = "is a link-local address, which no router forwards";
	else if (ip_is4(&ip) && !memcmp(ip_bytes4(&ip), broadcast, 4))
		wrong = "is the broadcast address";
	else if (ip_is4(&ip) && ip_bytes4(&ip)[0] >= 240)
		wrong = "is of the reserved class E";
	else if (ip_is4(&ip) && ip_bytes4(&ip)[0] == 0)
		wrong = "is of the network 0.0.0.0/8, which is no host's";
	if (wrong) {
		config_error(reader, value, "%s %s %s: a unicast address is needed", what, text, wrong);
		return false;
	}
	*out = ip;
	return true;
}

static void *grow_list(void *list, size_t count, size_t size)
{
	/* Powers of two: grown only when count is one. */
	if (count && (count & (count - 1)))
		return list;
	list = realloc(list, (count ? count * 2 : 1) * size);
	if (!list)
		abort();
	return list;
}

static char *copy_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			return true;
	return false;
}

/* A name of 1 to 63 bytes without blanks and control characters. */
static bool read_name(struct config_reader *reader, const struct yaml_node *value, const char *what, char **out)
{
	const char *text = read_word(reader, value, what);

	if (!text)
		return false;
	if (has_control(text) || strchr(text, ' ')) {
		config_error(reader, value, "%s \"%s\" must not hold blanks or control characters", what, text);
		return false;
	}
	if (!text[0] || strlen(text) > 63) {
		config_error(reader, value, "%s has %zu bytes: 1 to 63", what, strlen(text));
		return false;
	}
	free(*out);
	*out = copy_text(text);
	return true;
}

static void read_slots_value(struct config_reader *reader, const struct yaml_node *value, uint32_t *out)
{
	uint64_t number;

	if (value->kind == YAML_SCALAR && !strcmp(value->text, "auto")) {
		*out = CONFIG_SLOTS_AUTO;
		return;
	}
	if (!read_number(reader, value, RING_SIZE_LEAST, RING_SIZE_MOST, "slots (`auto`, or a prime)", &number))
		return;
	if (!ring_size_valid(number)) {
		config_error(reader, value, "slots %llu is no prime, which a Maglev ring needs: %u is one, or write auto",
			     (unsigned long long)number, ring_size_near(number));
		return;
	}
	*out = (uint32_t)number;
}

/* ---- backends --------------------------------------------------------------------------------------------------------- */

static void read_backend_address(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_backend *backend = target;

	read_address(reader, value, "backend address", &backend->address);
}

static void read_backend_weight(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_backend *backend = target;
	uint64_t weight;

	if (read_number(reader, value, 0, RING_WEIGHT_MOST, "weight", &weight))
		backend->weight = (uint32_t)weight;
}

static const struct option backend_options[] = {
	{"address", read_backend_address, true, "the address of the backend"},
	{"weight", read_backend_weight, false, "share of new flows; 0 takes none"},
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

		service->backends = grow_list(service->backends, service->backend_count, sizeof(*backend));
		backend = &service->backends[service->backend_count++];
		memset(backend, 0, sizeof(*backend));
		backend->weight = 1;
		if (node->kind == YAML_SCALAR)
			read_backend_address(reader, node, backend);
		else
			READ_MAP(reader, node, backend_options, backend, "a backend");
	}
}

/* ---- health: read and judged, but not acted on yet --------------------------------------------------------------- */

static void read_any_scalar(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	read_word(reader, value, target);
}

static void read_duration(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	const char *text = read_word(reader, value, target);
	size_t digits = text ? strspn(text, "0123456789") : 0;

	if (digits && text[digits] == '.')
		digits += 1 + strspn(text + digits + 1, "0123456789");
	if (text && (!digits || (strcmp(text + digits, "ms") && strcmp(text + digits, "s") && strcmp(text + digits, "m"))))
		config_error(reader, value, "\"%s\" is not a duration: a number and ms, s or m, such as 2s", text);
}

static void read_count(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	uint64_t number;

	read_number(reader, value, 1, 1000, target, &number);
}

static void read_health_type(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct word words[] = {{"tcp", 0}, {"http", 0}, {"https", 0},  {"udp", 0},
					    {"dns", 0}, {"icmp", 0}, {"script", 0}, {NULL, 0}};
	int choice;

	read_choice(reader, value, words, target, &choice);
}

static void read_health_via(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct word words[] = {{"vip", 0}, {"backend", 0}, {NULL, 0}};
	int choice;

	read_choice(reader, value, words, target, &choice);
}

static const struct option health_options[] = {
	{"type", read_health_type, true, "tcp, http, https, udp, dns, icmp or script"},
	{"via", read_health_via, false, "vip or backend"},
	{"path", read_any_scalar, false, "what an http probe asks for"},
	{"host", read_any_scalar, false, "the Host header"},
	{"port", read_any_scalar, false, "another port than the service's"},
	{"send", read_any_scalar, false, "what a udp probe sends"},
	{"expect", read_any_scalar, false, "what must come back"},
	{"command", read_any_scalar, false, "what a script probe runs"},
	{"interval", read_duration, false, "time between probes"},
	{"timeout", read_duration, false, "time for an answer"},
	{"rise", read_count, false, "good probes until up"},
	{"fall", read_count, false, "bad probes until down"},
};

static void read_health(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	size_t errors = reader->problems->errors;

	(void)target;
	READ_MAP(reader, value, health_options, "health", "health");
	if (reader->problems->errors == errors)
		config_warning(reader, value, "health is read but not acted on: this version does not probe, and every "
					      "backend whose way resolves gets flows");
}

/* ---- services ---------------------------------------------------------------------------------------------------------- */

static void read_service_name(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->name = value;
	read_name(reader, value, "a service's name", &draft->service->name);
}

static void add_vip(struct config_reader *reader, const struct yaml_node *value, struct config_service *service)
{
	struct ip vip;

	/* A bad one keeps its place as zeros, so that the others' places in the text are known. */
	memset(&vip, 0, sizeof(vip));
	read_address(reader, value, "vip", &vip);
	service->vips = grow_list(service->vips, service->vip_count, sizeof(vip));
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
	static const struct word words[] = {{"tcp", 6}, {"udp", 17}, {"quic", -1}, {"any", -1}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	if (read_choice(reader, value, words, "protocol", &choice))
		draft->service->protocol = (uint8_t)choice;
	else
		draft->is_key_wrong = true;
}

static void read_port(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	uint64_t port;

	draft->port = value;
	if (value->kind == YAML_SCALAR && !strcmp(value->text, "any"))
		return;
	if (value->kind == YAML_LIST || (value->kind == YAML_SCALAR && strchr(value->text, '-') > value->text)) {
		config_error(reader, value, "port ranges and lists are not in this version of halfproxy: write one port, or "
					    "any");
		draft->is_key_wrong = true;
		return;
	}
	if (read_number(reader, value, 1, 65535, "port (a number or `any`)", &port))
		draft->service->port = (uint16_t)port;
	else
		draft->is_key_wrong = true;
}

static void read_forward(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct word words[] = {
		{"l2", CONFIG_FORWARD_L2}, {"ipip", CONFIG_FORWARD_IPIP}, {"gue", -1}, {"gre", -1}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	if (read_choice(reader, value, words, "forward", &choice))
		draft->service->forward = (enum config_forward)choice;
}

static void read_hash(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct word words[] = {
		{"flow", HP_HASH_FLOW}, {"source", HP_HASH_SOURCE}, {"quic-cid", -1}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	if (read_choice(reader, value, words, "hash", &choice))
		draft->service->hash = (uint32_t)choice;
}

static void read_service_slots(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->slots = value;
	read_slots_value(reader, value, &draft->service->slots);
}

static void read_service_seed(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->has_seed = read_number(reader, value, 0, UINT64_MAX, "seed", &draft->service->seed);
}

static const struct option service_options[] = {
	{"name", read_service_name, false, "what the service is called; PROTOCOL/VIP:PORT by default"},
	{"vip", read_vip, true, "the virtual address that clients ask, or a list of them"},
	{"protocol", read_protocol, false, "tcp or udp; tcp by default"},
	{"port", read_port, true, "the port that clients ask, 1 to 65535, or any"},
	{"forward", read_forward, false, "l2 or ipip; l2 by default"},
	{"hash", read_hash, false, "flow or source; flow by default"},
	{"slots", read_service_slots, false, "the ring's size: auto or a prime"},
	{"seed", read_service_seed, false, "of the flow's hash; equal on all directors"},
	{"health", read_health, false, "how backends are probed"},
	{"backends", read_backends, true, "where flows go: a list of addresses with weights"},
};

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
	service->line = node->line;
	reader->config->services[reader->draft_count] = service;
	reader->config->service_count = ++reader->draft_count;
	READ_MAP(reader, node, service_options, draft, "a service");
}

static void read_services(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	size_t count = 0;

	(void)target;
	reader->services = value;
	if (is_empty(value))
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

/* ---- interfaces ---------------------------------------------------------------------------------------------------- */

static void read_interface_name(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_interface *interface = target;
	const char *text = read_word(reader, value, "an interface");

	if (!text)
		return;
	if (!text[0] || strlen(text) > 15 || strpbrk(text, "/: ") || has_control(text) || !strcmp(text, ".") ||
	    !strcmp(text, "..")) {
		config_error(reader, value, "\"%s\" is no interface's name: 1 to 15 characters without blanks, / and :", text);
		return;
	}
	if (!strcmp(text, "lo")) {
		config_error(reader, value, "lo gets no client's packets: name the interface that faces the router");
		return;
	}
	interface->name = copy_text(text);
}

static void read_announce(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct word words[] = {{"all", 1}, {"none", 0}, {NULL, 0}};
	struct config_interface *interface = target;
	int choice;

	if (read_choice(reader, value, words, "announce", &choice))
		interface->announce = choice;
}

static void read_mode(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct word words[] = {{"auto", CONFIG_MODE_AUTO},
					    {"native", CONFIG_MODE_NATIVE},
					    {"generic", CONFIG_MODE_GENERIC},
					    {NULL, 0}};
	struct config_interface *interface = target;
	int choice;

	if (read_choice(reader, value, words, "mode", &choice))
		interface->mode = (enum config_mode)choice;
}

static const struct option interface_options[] = {
	{"name", read_interface_name, true, "the interface's name, such as eth0"},
	{"announce", read_announce, false, "all answers ARP and ND for VIPs there; none leaves them to routes"},
	{"mode", read_mode, false, "auto, native or generic XDP"},
};

static void read_interface(struct config_reader *reader, const struct yaml_node *node)
{
	struct config_interface read = {.announce = true, .mode = CONFIG_MODE_AUTO};
	struct config *config = reader->config;

	if (node->kind == YAML_SCALAR)
		read_interface_name(reader, node, &read);
	else
		READ_MAP(reader, node, interface_options, &read, "an interface");
	if (!read.name)
		return;
	for (size_t i = 0; i < config->interface_count; i++)
		if (!strcmp(config->interfaces[i].name, read.name)) {
			config_error(reader, node, "interface %s is listed twice", read.name);
			free(read.name);
			return;
		}
	config->interfaces = grow_list(config->interfaces, config->interface_count, sizeof(read));
	config->interfaces[config->interface_count++] = read;
}

static void read_interfaces(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	reader->interfaces = value;
	if (value->kind != YAML_LIST) {
		config_error(reader, value, "interfaces must be a list, such as [eth0]");
		return;
	}
	if (!value->first)
		config_error(reader, value, "interfaces is empty: name those that clients' packets come in by");
	for (const struct yaml_node *node = value->first; node; node = node->next)
		read_interface(reader, node);
}

/* ---- the rest of the top level ------------------------------------------------------------------------------------ */

static void read_seed(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_number(reader, value, 0, UINT64_MAX, "seed", &reader->seed);
}

static void read_slots(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_slots_value(reader, value, &reader->slots);
}

static void read_limit(struct config_reader *reader, const struct yaml_node *value, uint64_t most, const char *what,
		       uint32_t *out)
{
	uint64_t number;

	if (value->kind == YAML_SCALAR && !strcmp(value->text, "auto"))
		*out = 0;
	else if (read_number(reader, value, 1, most, what, &number))
		*out = (uint32_t)number;
}

static void read_limit_services(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_limit(reader, value, 1u << 20, "limits.services", &reader->config->limits.services);
}

static void read_limit_backends(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_limit(reader, value, 1u << 22, "limits.backends", &reader->config->limits.backends);
}

static void read_limit_slots(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_limit(reader, value, 1u << 30, "limits.slots", &reader->config->limits.slots);
}

static const struct option limit_options[] = {
	{"services", read_limit_services, false, "VIPs with their ports"},
	{"backends", read_limit_backends, false, "different backends"},
	{"slots", read_limit_slots, false, "slots of all rings together, with room for those being replaced"},
};

static void read_limits(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	reader->limits = value;
	READ_MAP(reader, value, limit_options, NULL, "limits");
}

static void read_source(struct config_reader *reader, const struct yaml_node *value, bool is4, uint8_t least_bits,
			struct config_source *out)
{
	const char *what = is4 ? "tunnel.source4" : "tunnel.source6";
	const char *text = read_word(reader, value, what);
	struct prefix prefix;

	if (!text)
		return;
	if (!prefix_parse(&prefix, text) || ip_is4(&prefix.ip) != is4) {
		config_error(reader, value, "%s \"%s\" must be an %s address or prefix without host bits, such as %s", what,
			     text, is4 ? "IPv4" : "IPv6", is4 ? "10.9.0.0/16" : "fd00:9::/96");
		return;
	}
	if (prefix.bits < least_bits) {
		config_error(reader, value, "%s %s is too wide: /%u or longer", what, text, least_bits);
		return;
	}
	out->set = true;
	out->prefix = prefix;
}

static void read_source4(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_source(reader, value, true, 8, &reader->config->source4);
}

static void read_source6(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_source(reader, value, false, 96, &reader->config->source6);
}

static const struct option tunnel_options[] = {
	{"source4", read_source4, false, "outer IPv4 source: an address, or a prefix within which it varies"},
	{"source6", read_source6, false, "outer IPv6 source, the same"},
};

static void read_tunnel(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	READ_MAP(reader, value, tunnel_options, NULL, "tunnel");
}

static void read_socket(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	const char *text = read_word(reader, value, "api.socket");

	(void)target;
	if (text && (text[0] != '/' || strlen(text) > 107 || has_control(text))) {
		config_error(reader, value, "api.socket must be an absolute path of at most 107 bytes");
	} else if (text) {
		free(reader->config->api_socket);
		reader->config->api_socket = copy_text(text);
	}
}

static void read_group(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_name(reader, value, "api.group", &reader->config->api_group);
}

static const struct option api_options[] = {
	{"socket", read_socket, false, "path of the API's socket"},
	{"group", read_group, false, "who may use it besides root"},
};

static void read_api(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	READ_MAP(reader, value, api_options, NULL, "api");
}

static const struct option top_options[] = {
	{"interfaces", read_interfaces, true, "the interfaces that clients' packets come in by, such as [eth0]"},
	{"services", read_services, true, "the list of services; it may be empty: []"},
	{"seed", read_seed, false, "default of the services' seed"},
	{"slots", read_slots, false, "default of the services' slots"},
	{"limits", read_limits, false, "room in the data plane"},
	{"tunnel", read_tunnel, false, "outer source of tunnels"},
	{"api", read_api, false, "the API's socket"},
};

void config_read(struct config_reader *reader, const struct yaml_node *root)
{
	READ_MAP(reader, root, top_options, NULL, "the configuration");
}

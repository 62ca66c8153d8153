/* The options of the top level, of interfaces, limits, tunnels and the API: see config_schema.h. Those of a service
 * are in config_schema_service.c. */
#include "core/config_schema.h"

#include <stdlib.h>
#include <string.h>

#include "core/config_read.h"

#define FLOWS_MOST    (1u << 26)
#define PREFIXES_MOST (1u << 24)
#define SOURCES_MOST  (1u << 26)

/* ---- interfaces ---------------------------------------------------------------------------------------------------- */

static void read_interface_name(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_interface *interface = target;
	const char *text = config_read_word(reader, value, "an interface");

	if (!text)
		return;
	if (!text[0] || strlen(text) > 15 || strpbrk(text, "/: ") || config_has_control(text) || !strcmp(text, ".") ||
	    !strcmp(text, "..")) {
		config_error(reader, value, "\"%s\" is no interface's name: 1 to 15 characters without blanks, / and :", text);
		return;
	}
	if (!strcmp(text, "lo")) {
		config_error(reader, value, "lo gets no client's packets: name the interface that faces the router");
		return;
	}
	interface->name = config_read_copy(text);
}

static void read_announce(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"all", 1}, {"none", 0}, {NULL, 0}};
	struct config_interface *interface = target;
	int choice;

	if (config_read_choice(reader, value, words, "announce", &choice))
		interface->announce = choice;
}

static void read_mode(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"auto", CONFIG_MODE_AUTO},
					    {"native", CONFIG_MODE_NATIVE},
					    {"generic", CONFIG_MODE_GENERIC},
					    {NULL, 0}};
	struct config_interface *interface = target;
	int choice;

	if (config_read_choice(reader, value, words, "mode", &choice))
		interface->mode = (enum config_mode)choice;
}

static void read_vlan(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"auto", CONFIG_VLAN_AUTO},
						    {"on", CONFIG_VLAN_ON},
						    {"off", CONFIG_VLAN_OFF},
						    {NULL, 0}};
	struct config_interface *interface = target;
	int choice;

	if (config_read_choice(reader, value, words, "vlan", &choice))
		interface->vlan = (enum config_vlan)choice;
}

static const struct config_option interface_options[] = {
	{"name", read_interface_name, true, "the interface's name, such as eth0"},
	{"announce", read_announce, false, "all answers ARP and ND for VIPs there; none leaves them to routes"},
	{"mode", read_mode, false, "auto, native or generic XDP"},
	{"vlan", read_vlan, false, "on has VLAN tags reach XDP (rx-vlan-offload off); auto, where VLANs are on it; off"},
};

static void read_interface(struct config_reader *reader, const struct yaml_node *node)
{
	struct config_interface read = {.announce = true, .mode = CONFIG_MODE_AUTO, .vlan = CONFIG_VLAN_AUTO};
	struct config *config = reader->config;

	if (node->kind == YAML_SCALAR)
		read_interface_name(reader, node, &read);
	else
		CONFIG_READ_MAP(reader, node, interface_options, &read, "an interface");
	if (!read.name)
		return;
	for (size_t i = 0; i < config->interface_count; i++)
		if (!strcmp(config->interfaces[i].name, read.name)) {
			config_error(reader, node, "interface %s is listed twice", read.name);
			free(read.name);
			return;
		}
	config->interfaces = config_read_grow(config->interfaces, config->interface_count, sizeof(read));
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
	config_read_number(reader, value, 0, UINT64_MAX, "seed", &reader->seed);
}

static void read_slots(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	config_read_slots(reader, value, &reader->slots);
}

static void read_limit(struct config_reader *reader, const struct yaml_node *value, uint64_t most, const char *what,
		       uint32_t *out)
{
	uint64_t number;

	if (value->kind == YAML_SCALAR && !strcmp(value->text, "auto"))
		*out = 0;
	else if (config_read_number(reader, value, 1, most, what, &number))
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

static void read_limit_flows(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_limit(reader, value, FLOWS_MOST, "limits.flows", &reader->config->limits.flows);
}

static void read_limit_unproven(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_limit(reader, value, FLOWS_MOST, "limits.unproven", &reader->config->limits.unproven);
}

static void read_limit_prefixes(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_limit(reader, value, PREFIXES_MOST, "limits.prefixes", &reader->config->limits.prefixes);
}

static void read_limit_sources(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_limit(reader, value, SOURCES_MOST, "limits.sources", &reader->config->limits.sources);
}

static void read_limit_fragments(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_limit(reader, value, FLOWS_MOST, "limits.fragments", &reader->config->limits.fragments);
}

static const struct config_option limit_options[] = {
	{"services", read_limit_services, false, "VIPs with their ports"},
	{"backends", read_limit_backends, false, "different backends"},
	{"slots", read_limit_slots, false, "slots of all rings together, with room for those being replaced"},
	{"flows", read_limit_flows, false, "flows that are remembered through a change"},
	{"unproven", read_limit_unproven, false, "flows that were just remembered, and have yet to prove themselves"},
	{"prefixes", read_limit_prefixes, false, "prefixes of allow and deny, of all services that differ in them"},
	{"sources", read_limit_sources, false, "clients whose new flows are counted, for services with a limit"},
	{"fragments", read_limit_fragments, false, "datagrams in fragments whose first one has come"},
};

static void read_limits(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	reader->limits = value;
	CONFIG_READ_MAP(reader, value, limit_options, NULL, "limits");
}

static void read_source(struct config_reader *reader, const struct yaml_node *value, bool is4, uint8_t least_bits,
			struct config_source *out)
{
	const char *what = is4 ? "tunnel.source4" : "tunnel.source6";
	const char *text = config_read_word(reader, value, what);
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
	read_source(reader, value, true, 8, &reader->config->tunnel.source4);
}

static void read_source6(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	read_source(reader, value, false, 96, &reader->config->tunnel.source6);
}

static void read_gre_key(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_tunnel *tunnel = &reader->config->tunnel;
	uint64_t number;

	(void)target;
	tunnel->has_gre_key = config_read_number(reader, value, 0, UINT32_MAX, "tunnel.gre_key", &number);
	tunnel->gre_key = tunnel->has_gre_key ? (uint32_t)number : 0;
}

static const struct config_option tunnel_options[] = {
	{"source4", read_source4, false, "outer IPv4 source: an address, or a prefix within which it varies"},
	{"source6", read_source6, false, "outer IPv6 source, the same"},
	{"gre_key", read_gre_key, false, "the key in the headers of forward: gre; none by default"},
};

static void read_tunnel(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	CONFIG_READ_MAP(reader, value, tunnel_options, NULL, "tunnel");
}

static void read_mark(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	uint64_t number;

	(void)target;
	reader->probes_mark = value;
	if (config_read_number(reader, value, 1, UINT32_MAX, "probes.mark", &number))
		reader->config->probes.mark = (uint32_t)number;
}

/* The bits that it leaves free are the lowest, so that a mark reads as its two numbers. */
static void read_mask(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	uint64_t number;
	uint32_t rest;

	(void)target;
	if (!config_read_number(reader, value, 1, UINT32_MAX, "probes.mask", &number))
		return;
	rest = ~(uint32_t)number;
	if (rest & (rest + 1))
		config_error(reader, value,
			     "probes.mask 0x%08x must be ones and then zeros, such as 0xff000000: the zeros hold the number of a "
			     "backend",
			     (uint32_t)number);
	else
		reader->config->probes.mask = (uint32_t)number;
}

static void read_table(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	config_read_table(reader, value, 1, "probes.table", "a number that nobody uses, such as 4848",
			  &reader->config->probes.table);
}

static void read_hops(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	uint64_t hops;

	(void)target;
	if (config_read_number(reader, value, 1, 255, "probes.hops", &hops))
		reader->config->probes.hops = (uint32_t)hops;
}

static const struct config_option probe_options[] = {
	{"mark", read_mark, false, "the firewall mark of probes, but for the bits that hold the backend's number"},
	{"mask", read_mask, false, "which bits of a firewall mark are compared with it"},
	{"table", read_table, false, "the routing table that is theirs"},
	{"hops", read_hops, false, "the TTL that probes arrive with: 1, or as many hops more as a VIP is behind its backend"},
};

static void read_probes(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	reader->probes = value;
	CONFIG_READ_MAP(reader, value, probe_options, NULL, "probes");
}

static void read_socket(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	const char *text = config_read_word(reader, value, "api.socket");

	(void)target;
	if (text && (text[0] != '/' || strlen(text) > 107 || config_has_control(text))) {
		config_error(reader, value, "api.socket must be an absolute path of at most 107 bytes");
	} else if (text) {
		free(reader->config->api_socket);
		reader->config->api_socket = config_read_copy(text);
	}
}

static void read_group(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	config_read_name(reader, value, "api.group", &reader->config->api_group);
}

static const struct config_option api_options[] = {
	{"socket", read_socket, false, "path of the API's socket"},
	{"group", read_group, false, "who may use it besides root"},
};

static void read_api(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	CONFIG_READ_MAP(reader, value, api_options, NULL, "api");
}

static const struct config_option top_options[] = {
	{"interfaces", read_interfaces, true, "the interfaces that clients' packets come in by, such as [eth0]"},
	{"services", config_schema_services, true, "the list of services; it may be empty: []"},
	{"seed", read_seed, false, "default of the services' seed"},
	{"slots", read_slots, false, "default of the services' slots"},
	{"limits", read_limits, false, "room in the data plane"},
	{"tunnel", read_tunnel, false, "outer source of tunnels"},
	{"probes", read_probes, false, "how probes find their way to a VIP"},
	{"announce", config_schema_announce, false, "routes to VIPs, and who answers for them"},
	{"api", read_api, false, "the API's socket"},
};

void config_read(struct config_reader *reader, const struct yaml_node *root)
{
	CONFIG_READ_MAP(reader, root, top_options, NULL, "the configuration");
}

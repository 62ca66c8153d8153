/* Configurations as values: copying, sharing, comparing: see config.h. */
#include "core/config.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "core/guard.h"

struct config_service *config_service_hold(struct config_service *service)
{
	service->references++;
	return service;
}

void config_service_drop(struct config_service *service)
{
	if (!service || --service->references)
		return;
	for (size_t i = 0; i < service->peer_count; i++)
		config_health_drop(service->peers[i].health);
	free(service->peers);
	free(service->name);
	free(service->group);
	free(service->vips);
	free(service->ports);
	free(service->backends);
	config_health_drop(service->health);
	guard_drop(service->guard);
	free(service);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->interface_count; i++)
		free(config->interfaces[i].name);
	free(config->interfaces);
	for (size_t i = 0; i < config->service_count; i++)
		config_service_drop(config->services[i]);
	free(config->services);
	free(config->api_socket);
	free(config->api_group);
	free(config);
}

struct config *config_copy(const struct config *config)
{
	struct config *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *config;
	copy->interface_count = copy->service_count = 0;
	copy->interfaces = calloc(config->interface_count + 1, sizeof(*copy->interfaces));
	copy->services = calloc(config->service_count + 1, sizeof(struct config_service *));
	copy->api_socket = strdup(config->api_socket);
	copy->api_group = strdup(config->api_group);
	if (!copy->interfaces || !copy->services || !copy->api_socket || !copy->api_group) {
		config_free(copy);
		return NULL;
	}
	for (; copy->interface_count < config->interface_count; copy->interface_count++) {
		struct config_interface *to = &copy->interfaces[copy->interface_count];

		*to = config->interfaces[copy->interface_count];
		to->name = strdup(to->name);
		if (!to->name) {
			config_free(copy);
			return NULL;
		}
	}
	for (; copy->service_count < config->service_count; copy->service_count++)
		copy->services[copy->service_count] = config_service_hold(config->services[copy->service_count]);
	return copy;
}

static void *duplicate(const void *from, size_t bytes)
{
	void *to = malloc(bytes ? bytes : 1);

	return to && bytes ? memcpy(to, from, bytes) : to;
}

static struct config_service *copy_service(const struct config_service *service)
{
	struct config_service *copy = duplicate(service, sizeof(*service));

	if (!copy)
		return NULL;
	copy->references = 1;
	copy->name = strdup(service->name);
	copy->group = service->group ? strdup(service->group) : NULL;
	copy->peers = duplicate(service->peers, service->peer_count * sizeof(*service->peers));
	copy->peer_count = copy->peers ? service->peer_count : 0;
	for (size_t i = 0; i < copy->peer_count; i++)
		config_health_hold(copy->peers[i].health);
	copy->vips = duplicate(service->vips, service->vip_count * sizeof(*service->vips));
	copy->ports = duplicate(service->ports, service->port_count * sizeof(*service->ports));
	copy->backends = duplicate(service->backends, service->backend_count * sizeof(*service->backends));
	if (copy->health)
		config_health_hold(copy->health);
	if (copy->guard)
		guard_hold(copy->guard);
	if (copy->name && !copy->group == !service->group && copy->peers && copy->vips && copy->ports && copy->backends)
		return copy;
	config_service_drop(copy);
	return NULL;
}

bool config_set_weight(struct config *config, size_t index, size_t backend, uint32_t weight)
{
	struct config_service *service = copy_service(config->services[index]);

	if (!service)
		return false;
	service->backends[backend].weight = weight;
	config_service_drop(config->services[index]);
	config->services[index] = service;
	return true;
}

struct config_ask config_own_ask(const struct config_service *service)
{
	struct config_ask ask = {.health = service->health};

	if (ask.health && ask.health->type != CONFIG_PROBE_ICMP)
		ask.port = ask.health->port ? ask.health->port : service->ports[0].first;
	return ask;
}

bool config_is_probed(const struct config_service *service)
{
	return service->health || service->peer_count;
}

bool config_is_together(const struct config_service *a, const struct config_service *b)
{
	return a == b || (a->group && b->group && !strcmp(a->group, b->group));
}

static bool groups_equal(const struct config_service *a, const struct config_service *b)
{
	bool is_same = a->group && b->group ? !strcmp(a->group, b->group) && a->lead_port == b->lead_port &&
						      a->lead_protocol == b->lead_protocol && a->peer_count == b->peer_count
					    : a->group == b->group;

	for (size_t i = 0; is_same && i < a->peer_count; i++)
		is_same = a->peers[i].port == b->peers[i].port && config_health_equal(a->peers[i].health, b->peers[i].health);
	return is_same;
}

bool config_service_equal(const struct config_service *a, const struct config_service *b)
{
	return !strcmp(a->name, b->name) && groups_equal(a, b) && a->vip_count == b->vip_count && a->protocol == b->protocol &&
	       a->port_count == b->port_count && a->forward == b->forward && a->hash == b->hash && a->slots == b->slots &&
	       a->seed == b->seed && a->affinity == b->affinity && a->window_s == b->window_s &&
	       a->slow_start_s == b->slow_start_s && a->deadline_s == b->deadline_s && a->backend_count == b->backend_count &&
	       a->min_up == b->min_up && a->min_up_is_percent == b->min_up_is_percent &&
	       a->when_all_down == b->when_all_down && a->on_down == b->on_down && config_health_equal(a->health, b->health) &&
	       guard_equal(a->guard, b->guard) && !memcmp(&a->limit, &b->limit, sizeof(a->limit)) && a->mss == b->mss &&
	       a->quic_rotation == b->quic_rotation &&
	       a->oversize == b->oversize &&
	       !memcmp(a->vips, b->vips, a->vip_count * sizeof(*a->vips)) &&
	       !memcmp(a->ports, b->ports, a->port_count * sizeof(*a->ports)) &&
	       !memcmp(a->backends, b->backends, a->backend_count * sizeof(*a->backends));
}

bool config_source_equal(const struct config_source *a, const struct config_source *b)
{
	return a->set == b->set && (!a->set || (a->prefix.bits == b->prefix.bits && ip_equal(&a->prefix.ip, &b->prefix.ip)));
}

bool config_tunnel_equal(const struct config_tunnel *a, const struct config_tunnel *b)
{
	return config_source_equal(&a->source4, &b->source4) && config_source_equal(&a->source6, &b->source6) &&
	       a->has_gre_key == b->has_gre_key && a->gre_key == b->gre_key;
}

ptrdiff_t config_find_service(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (!strcmp(config->services[i]->name, name))
			return (ptrdiff_t)i;
	return -1;
}

uint64_t config_limit_cost_ns(const struct config_limit *limit)
{
	return limit->new_flows ? limit->per_s * UINT64_C(1000000000) / limit->new_flows : 0;
}

bool config_has_second_chance(const struct config_service *service)
{
	return service->forward == CONFIG_FORWARD_GUE && service->protocol == IPPROTO_TCP && service->window_s;
}

const char *config_port_format(const struct config_ports *ports, char text[static CONFIG_PORT_TEXT_BYTES])
{
	if (!ports->first)
		snprintf(text, CONFIG_PORT_TEXT_BYTES, "any");
	else if (ports->first == ports->last)
		snprintf(text, CONFIG_PORT_TEXT_BYTES, "%u", ports->first);
	else
		snprintf(text, CONFIG_PORT_TEXT_BYTES, "%u-%u", ports->first, ports->last);
	return text;
}

const char *config_ports_format(const struct config_service *service, char text[static CONFIG_PORTS_TEXT_BYTES])
{
	char one[CONFIG_PORT_TEXT_BYTES];
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < service->port_count && at < CONFIG_PORTS_TEXT_BYTES; i++)
		at += (size_t)snprintf(text + at, CONFIG_PORTS_TEXT_BYTES - at, "%s%s", i ? "," : "",
				       config_port_format(&service->ports[i], one));
	return text;
}

bool config_has_any_port(const struct config_service *service)
{
	return !service->ports[0].first;
}

const char *config_forward_name(enum config_forward forward)
{
	switch (forward) {
	case CONFIG_FORWARD_L2:
		return "l2";
	case CONFIG_FORWARD_IPIP:
		return "ipip";
	case CONFIG_FORWARD_GUE:
		return "gue";
	case CONFIG_FORWARD_GRE:
		return "gre";
	}
	return "";
}

const char *config_oversize_name(uint8_t oversize)
{
	return oversize == HP_OVERSIZE_DROP ? "drop" : "icmp";
}

const char *config_hash_name(uint32_t hash)
{
	return hash == HP_HASH_SOURCE ? "source" : hash == HP_HASH_QUIC ? "quic-cid" : "flow";
}

const char *config_quic_id_format(const struct config_backend *backend, char text[static CONFIG_QUIC_ID_TEXT_BYTES])
{
	text[0] = '\0';
	for (size_t i = 0; i < backend->quic_bytes; i++)
		snprintf(text + 2 * i, CONFIG_QUIC_ID_TEXT_BYTES - 2 * i, "%02x", backend->quic_id[i]);
	return text;
}

const char *config_affinity_name(enum config_affinity affinity)
{
	switch (affinity) {
	case CONFIG_AFFINITY_FLOW:
		return "flow";
	case CONFIG_AFFINITY_NONE:
		return "none";
	}
	return "";
}

const char *config_all_down_name(enum config_all_down what)
{
	switch (what) {
	case CONFIG_ALL_DOWN_DROP:
		return "drop";
	case CONFIG_ALL_DOWN_ALL:
		return "all";
	case CONFIG_ALL_DOWN_FALLBACK:
		return "fallback";
	}
	return "";
}

const char *config_on_down_name(enum config_on_down what)
{
	switch (what) {
	case CONFIG_ON_DOWN_DRAIN:
		return "drain";
	case CONFIG_ON_DOWN_RESET:
		return "reset";
	}
	return "";
}

const char *config_protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_SCTP:
		return "sctp";
	case IPPROTO_ESP:
		return "esp";
	case IPPROTO_AH:
		return "ah";
	case IPPROTO_GRE:
		return "gre";
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
		return "ipip";
	case HP_PROTOCOL_ANY:
		return "any";
	}
	return "other";
}

/* Ports: see ports.h. */
#include "daemon/ports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct ports *ports_create(struct dataplane *plane, struct resolver *resolver, const char *folder)
{
	struct ports *ports = calloc(1, sizeof(*ports));

	if (!ports)
		return NULL;
	ports->plane = plane;
	ports->resolver = resolver;
	ports->offload = vlan_offload_open(folder);
	if (!ports->offload) {
		free(ports);
		return NULL;
	}
	return ports;
}

void ports_destroy(struct ports *ports)
{
	if (!ports)
		return;
	vlan_offload_close(ports->offload);
	free(ports->list);
	free(ports);
}

static struct port *find(const struct ports *ports, const char *name)
{
	for (size_t i = 0; i < ports->count; i++)
		if (!strcmp(ports->list[i].name, name))
			return &ports->list[i];
	return NULL;
}

static struct port *add(struct ports *ports, const char *name, enum dataplane_role role)
{
	struct port *grown = realloc(ports->list, (ports->count + 1) * sizeof(*grown));

	if (!grown)
		return NULL;
	ports->list = grown;
	grown += ports->count++;
	memset(grown, 0, sizeof(*grown));
	snprintf(grown->name, sizeof(grown->name), "%s", name);
	grown->role = role;
	grown->state = PORT_MISSING;
	snprintf(grown->reason, sizeof(grown->reason), "there is no interface %s", name);
	grown->was_linked = dataplane_is_linked(ports->plane, name);
	return grown;
}

static void forget(struct ports *ports, struct port *port)
{
	size_t index = (size_t)(port - ports->list);

	memmove(port, port + 1, (ports->count - index - 1) * sizeof(*port));
	ports->count--;
}

/* The map of interfaces says where VIPs are announced, and by which MAC; a port is also one to redirect to. */
static int write_maps(struct ports *ports, const struct port *port, const struct resolver_link *link, struct err *e)
{
	struct hp_interface record = {.announce = port->announce};
	int code = dataplane_port_set(ports->plane, link->ifindex, e);

	if (code || port->role == DATAPLANE_EGRESS)
		return code;
	memcpy(record.mac, link->mac, sizeof(record.mac));
	return dataplane_interface_set(ports->plane, link->ifindex, &record, e);
}

/* A way in by which tagged packets come, as told or because it has VLANs on it. */
static bool wants_tags(const struct ports *ports, const struct port *port)
{
	if (port->role != DATAPLANE_INGRESS || port->state != PORT_ATTACHED)
		return false;
	return port->vlan == CONFIG_VLAN_ON ||
	       (port->vlan == CONFIG_VLAN_AUTO && resolver_link_has_vlans(ports->resolver, port->ifindex));
}

static void mind_tags(struct ports *ports, struct port *port)
{
	struct err why;
	size_t at;

	if (!wants_tags(ports, port)) {
		vlan_offload_restore(ports->offload, port->ifindex);
		return;
	}
	if (!vlan_offload_off(ports->offload, port->ifindex, &why) || strstr(port->reason, why.text))
		return;
	at = strlen(port->reason);
	snprintf(port->reason + at, sizeof(port->reason) - at, "%s%s", at ? "; " : "", why.text);
	log_event(LOG_WARNING, "vlan_tags_unseen interface=%s reason=\"%s\"", port->name, why.text);
}

/* Bring a port to what its interface allows now. */
static int refresh(struct ports *ports, struct port *port, struct err *e)
{
	struct resolver_link link;
	struct err why = {""};
	int code;

	if (!resolver_link_named(ports->resolver, port->name, &link)) {
		port->ifindex = 0;
		port->state = PORT_MISSING;
		snprintf(port->reason, sizeof(port->reason), "there is no interface %s", port->name);
		return err_set(e, -ENODEV, "there is no interface %s", port->name);
	}
	port->ifindex = link.ifindex;
	code = write_maps(ports, port, &link, &why);
	if (!code)
		code = dataplane_attach(ports->plane, port->name, link.ifindex, port->role, port->mode, &port->native, &why);
	port->state = code ? PORT_FAILED : PORT_ATTACHED;
	snprintf(port->reason, sizeof(port->reason), "%.500s", code || !port->native ? why.text : "");
	mind_tags(ports, port);
	return code ? err_set(e, code, "%s", why.text) : 0;
}

/* ---- ways in ---------------------------------------------------------------------------------------------------- */

static int no_such(const struct ports *ports, const char *name, struct err *e)
{
	char there[300];

	resolver_link_names(ports->resolver, there, sizeof(there));
	return err_set(e, -ENODEV, "there is no interface %s; there are: %s", name, there);
}

/* It was there, packets came in by it, and it will be attached again when it is back. */
static bool has_vanished(const struct ports *ports, const char *name)
{
	const struct port *port = find(ports, name);

	return port && port->role == DATAPLANE_INGRESS && port->state == PORT_MISSING;
}

void ports_remember(struct ports *ports, const char *name)
{
	struct resolver_link link;

	if (!resolver_link_named(ports->resolver, name, &link) && !find(ports, name))
		add(ports, name, DATAPLANE_INGRESS);
}

int ports_check(const struct ports *ports, const struct config *config, bool tolerate_missing, struct err *e)
{
	struct resolver_link link;

	for (size_t i = 0; i < config->interface_count; i++) {
		const char *name = config->interfaces[i].name;

		if (!resolver_link_named(ports->resolver, name, &link)) {
			if (tolerate_missing || has_vanished(ports, name))
				continue;
			return no_such(ports, name, e);
		}
		if (!resolver_link_usable(ports->resolver, name, e))
			return -EINVAL;
	}
	return 0;
}

/* Interfaces that a configuration brings in: attached already, or added by this call. */
static int attach_one(struct ports *ports, const struct config_interface *wanted, bool tolerate_missing, struct err *e)
{
	bool may_be_missing = tolerate_missing || has_vanished(ports, wanted->name);
	struct port *port = find(ports, wanted->name);
	int code;

	if (!port)
		port = add(ports, wanted->name, DATAPLANE_INGRESS);
	if (!port)
		return err_set(e, -ENOMEM, "%m");
	port->role = DATAPLANE_INGRESS;
	port->mode = wanted->mode;
	port->announce = wanted->announce;
	port->vlan = wanted->vlan;
	code = refresh(ports, port, e);
	return code == -ENODEV && may_be_missing ? 0 : code;
}

static bool wants(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->interface_count; i++)
		if (!strcmp(config->interfaces[i].name, name))
			return true;
	return false;
}

/* Take program and entries off an interface, and forget the port. */
static void release(struct ports *ports, struct port *port)
{
	dataplane_detach(ports->plane, port->name);
	if (port->ifindex) {
		vlan_offload_restore(ports->offload, port->ifindex);
		dataplane_interface_clear(ports->plane, port->ifindex);
		dataplane_port_clear(ports->plane, port->ifindex);
	}
	forget(ports, port);
}

static void roll_back(struct ports *ports, const struct port *former, size_t former_count)
{
	while (ports->count > former_count) {
		struct port *port = &ports->list[ports->count - 1];

		if (port->was_linked)
			forget(ports, port); /* packets came in by it before this daemon did, and shall go on to */
		else
			release(ports, port);
	}
	if (!former_count)
		return;
	memcpy(ports->list, former, former_count * sizeof(*former));
	for (size_t i = 0; i < former_count; i++)
		refresh(ports, &ports->list[i], NULL);
}

int ports_attach(struct ports *ports, const struct config *config, bool tolerate_missing, struct err *e)
{
	size_t former_count = ports->count;
	struct port *former = malloc((former_count + 1) * sizeof(*former));
	int code = 0;

	if (!former)
		return err_set(e, -ENOMEM, "%m");
	if (former_count)
		memcpy(former, ports->list, former_count * sizeof(*former));
	for (size_t i = 0; !code && i < config->interface_count; i++)
		code = attach_one(ports, &config->interfaces[i], tolerate_missing, e);
	if (code)
		roll_back(ports, former, former_count);
	free(former);
	return code;
}

/* Whether packets to any backend leave by this interface, as the data plane has it. */
static bool is_way_out(const struct ports *ports, uint32_t ifindex)
{
	const struct dataplane *plane = ports->plane;

	for (uint32_t number = 1; number < plane->limits.backends; number++) {
		uint32_t adjacency = plane->backends[number].adjacency;
		bool is_used = adjacency && plane->identities[number].method != HP_METHOD_NONE;

		if (is_used && plane->adjacencies[adjacency].ifindex == ifindex)
			return true;
	}
	return false;
}

struct trim {
	struct ports *ports;
	const struct config *config;
};

/* An earlier daemon's link. Packets that leave by it now shall go on to. */
static void trim_stranger(void *context, const char *name)
{
	struct trim *trim = context;
	struct resolver_link link;

	if (wants(trim->config, name) || find(trim->ports, name))
		return;
	if (resolver_link_named(trim->ports->resolver, name, &link) && is_way_out(trim->ports, link.ifindex))
		ports_leave_by(trim->ports, link.ifindex);
	else
		dataplane_detach(trim->ports->plane, name);
}

/* An entry of an interface that vanished, or was made anew, while no daemon ran. */
static void trim_entry(void *context, uint32_t ifindex)
{
	const struct ports *ports = context;

	for (size_t i = 0; i < ports->count; i++)
		if (ports->list[i].ifindex == ifindex && ports->list[i].role == DATAPLANE_INGRESS)
			return;
	dataplane_interface_clear(ports->plane, ifindex);
}

void ports_trim(struct ports *ports, const struct config *config)
{
	struct trim trim = {ports, config};

	for (size_t i = ports->count; i-- > 0;) {
		struct port *port = &ports->list[i];

		if (wants(config, port->name))
			continue;
		if (!port->ifindex || !is_way_out(ports, port->ifindex)) {
			release(ports, port);
			continue;
		}
		if (port->role == DATAPLANE_EGRESS)
			continue;
		/* Backends are still reached by it: packets leave, none are taken. */
		dataplane_interface_clear(ports->plane, port->ifindex);
		port->role = DATAPLANE_EGRESS;
		port->announce = false;
		port->mode = CONFIG_MODE_AUTO;
		refresh(ports, port, NULL);
	}
	dataplane_each_link(ports->plane, trim_stranger, &trim);
	dataplane_each_interface(ports->plane, trim_entry, ports);
}

/* ---- ways out, and changes of links --------------------------------------------------------------------------------- */

void ports_leave_by(struct ports *ports, uint32_t ifindex)
{
	struct resolver_link link;
	struct port *port;

	for (size_t i = 0; i < ports->count; i++)
		if (ports->list[i].ifindex == ifindex)
			return;
	if (!resolver_link_numbered(ports->resolver, ifindex, &link))
		return;
	port = find(ports, link.name);
	if (!port)
		port = add(ports, link.name, DATAPLANE_EGRESS);
	if (port)
		refresh(ports, port, NULL);
}

static void follow_link(struct ports *ports, struct port *port, const struct resolver_link *link)
{
	struct hp_interface record = {.announce = port->announce};

	if (link->ifindex != port->ifindex || port->state == PORT_FAILED) {
		refresh(ports, port, NULL);
		return;
	}
	memcpy(record.mac, link->mac, sizeof(record.mac));
	if (port->role == DATAPLANE_INGRESS)
		dataplane_interface_set(ports->plane, port->ifindex, &record, NULL);
}

static const struct port *follow_port(struct ports *ports, const struct resolver_link *link)
{
	struct port *port = find(ports, link->name);
	enum port_state before;

	if (!port)
		return NULL;
	if (!link->ifindex && port->role == DATAPLANE_EGRESS) {
		release(ports, port);
		return NULL;
	}
	before = port->state;
	if (port->ifindex && link->ifindex != port->ifindex) {
		dataplane_interface_clear(ports->plane, port->ifindex);
		dataplane_detach(ports->plane, port->name);
		vlan_offload_restore(ports->offload, port->ifindex); /* it may live on under another name */
	}
	follow_link(ports, port, link);
	return port->state == before ? NULL : port;
}

const struct port *ports_link_changed(struct ports *ports, const struct resolver_link *link)
{
	const struct port *changed = follow_port(ports, link);

	/* It may be a VLAN on a port. */
	for (size_t i = 0; i < ports->count; i++)
		if (ports->list[i].role == DATAPLANE_INGRESS)
			mind_tags(ports, &ports->list[i]);
	return changed;
}

/* Ports: see ports.h. */
#include "daemon/ports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ports *ports_create(struct dataplane *plane, struct resolver *resolver)
{
	struct ports *ports = calloc(1, sizeof(*ports));

	if (!ports)
		return NULL;
	ports->plane = plane;
	ports->resolver = resolver;
	return ports;
}

void ports_destroy(struct ports *ports)
{
	if (!ports)
		return;
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
	return code ? err_set(e, code, "%s", why.text) : 0;
}

/* ---- ways in ---------------------------------------------------------------------------------------------------- */

static int no_such(const struct ports *ports, const char *name, struct err *e)
{
	char there[300] = "";
	struct resolver_link link;
	size_t at = 0;

	for (uint32_t ifindex = 1; ifindex < 4096 && at < sizeof(there) - 20; ifindex++)
		if (resolver_link_numbered(ports->resolver, ifindex, &link) && strcmp(link.name, "lo") != 0)
			at += (size_t)snprintf(there + at, sizeof(there) - at, "%s%s", at ? ", " : "", link.name);
	return err_set(e, -ENODEV, "there is no interface %s; there are: %s", name, at ? there : "none");
}

/* It was there, packets came in by it, and it will be attached again when it is back. */
static bool has_vanished(const struct ports *ports, const char *name)
{
	const struct port *port = find(ports, name);

	return port && port->role == DATAPLANE_INGRESS && port->state == PORT_MISSING;
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

static void release(struct ports *ports, struct port *port)
{
	dataplane_detach(ports->plane, port->name);
	if (port->ifindex) {
		dataplane_interface_clear(ports->plane, port->ifindex);
		dataplane_port_clear(ports->plane, port->ifindex);
	}
	forget(ports, port);
}

static void roll_back(struct ports *ports, const struct port *former, size_t former_count)
{
	while (ports->count > former_count)
		release(ports, &ports->list[ports->count - 1]);
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

void ports_trim(struct ports *ports, const struct config *config, bool (*is_way_out)(void *context, uint32_t ifindex),
		void *context)
{
	for (size_t i = ports->count; i-- > 0;) {
		struct port *port = &ports->list[i];

		if (port->role == DATAPLANE_EGRESS || wants(config, port->name))
			continue;
		if (!port->ifindex || !is_way_out(context, port->ifindex)) {
			release(ports, port);
			continue;
		}
		/* Backends are reached by it: packets leave, none are taken. */
		dataplane_interface_clear(ports->plane, port->ifindex);
		port->role = DATAPLANE_EGRESS;
		port->announce = false;
		port->mode = CONFIG_MODE_AUTO;
		if (refresh(ports, port, NULL) == -ENODEV)
			forget(ports, port);
	}
}

static void detach_stranger(void *context, const char *name)
{
	struct ports *ports = context;

	if (!find(ports, name))
		dataplane_detach(ports->plane, name);
}

void ports_sweep(struct ports *ports)
{
	dataplane_each_link(ports->plane, detach_stranger, ports);
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

const struct port *ports_link_changed(struct ports *ports, const struct resolver_link *link)
{
	struct port *port = find(ports, link->name);
	enum port_state before;

	if (!port)
		return NULL;
	before = port->state;
	if (!link->ifindex || link->ifindex != port->ifindex) {
		if (port->ifindex) {
			dataplane_interface_clear(ports->plane, port->ifindex);
			dataplane_detach(ports->plane, port->name);
		}
		refresh(ports, port, NULL);
	} else {
		struct hp_interface record = {.announce = port->announce};

		memcpy(record.mac, link->mac, sizeof(record.mac));
		if (port->role == DATAPLANE_INGRESS)
			dataplane_interface_set(ports->plane, port->ifindex, &record, NULL);
	}
	return port->state == before ? NULL : port;
}

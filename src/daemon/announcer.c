/* Which VIPs are announced, and by which interfaces: see announcer.h. */
#include "daemon/announcer.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/gratuitous.h"

struct announcer {
	struct fleet *fleet;
	struct resolver *resolver;
	const struct ports *ports;
	struct gratuitous *gratuitous; /* NULL: it may not */
	struct err why_not;	       /* then */
	const struct config *config;
	bool is_maintenance, is_standby;
	bool is_adopting;
	bool is_changed;   /* what does not show in `seen` */
	uint64_t seen;	   /* the fleet's vip_changes at the last walk */
	uint32_t ifindex;  /* of the routes then */
	size_t wanted;	   /* routes then */
	struct err error;  /* that was logged last */
};

/* ---- by which interfaces ------------------------------------------------------------------------------------------- */

static const struct port *find_port(const struct announcer *announcer, const char *name)
{
	for (size_t i = 0; i < announcer->ports->count; i++)
		if (!strcmp(announcer->ports->list[i].name, name))
			return &announcer->ports->list[i];
	return NULL;
}

/* A way in that packets come in by now, or NULL. */
static const struct port *way_in(const struct announcer *announcer, size_t index, struct resolver_link *link)
{
	const struct port *port = find_port(announcer, announcer->config->interfaces[index].name);

	if (!port || port->state != PORT_ATTACHED || !resolver_link_numbered(announcer->resolver, port->ifindex, link))
		return NULL;
	return link->up ? port : NULL;
}

/* The first one is named by the routes: a route by one that is down is none. Returns it, or NULL. */
static const struct port *route_port(const struct announcer *announcer)
{
	const struct port *port = NULL;
	struct resolver_link link;

	for (size_t i = 0; !port && i < announcer->config->interface_count; i++)
		port = way_in(announcer, i, &link);
	return port;
}

static size_t add_port(struct gratuitous_port *ports, size_t count, const struct resolver_link *link)
{
	if (count == GRATUITOUS_PORTS_MOST || !link->up)
		return count;
	ports[count].ifindex = link->ifindex;
	memcpy(ports[count].mac, link->mac, sizeof(link->mac));
	return count + 1;
}

/* Every segment that asks for VIPs is behind a way in, untagged or as a VLAN that this host has there. */
static void choose_ports(struct announcer *announcer)
{
	struct gratuitous_port ports[GRATUITOUS_PORTS_MOST];
	struct resolver_link vlans[GRATUITOUS_PORTS_MOST], link;
	size_t count = 0;

	for (size_t i = 0; i < announcer->config->interface_count; i++) {
		const struct port *port = way_in(announcer, i, &link);
		size_t vlan_count;

		if (!port || !port->announce)
			continue;
		count = add_port(ports, count, &link);
		vlan_count = resolver_link_vlans(announcer->resolver, link.ifindex, vlans, GRATUITOUS_PORTS_MOST);
		for (size_t v = 0; v < vlan_count; v++)
			count = add_port(ports, count, &vlans[v]);
	}
	gratuitous_by(announcer->gratuitous, ports, count, announcer->config->announce.refresh_s);
}

/* ---- which VIPs ----------------------------------------------------------------------------------------------------- */

/* What is here is told to the segments; what was here before this daemon, not at once. */
static void tell_segments(struct announcer *announcer)
{
	gratuitous_begin(announcer->gratuitous);
	for (struct fleet_vip *vip = announcer->fleet->vips; vip; vip = vip->hh.next) {
		bool is_here = fleet_vip_is_up(vip) && !announcer->is_standby;

		if (is_here)
			gratuitous_keep(announcer->gratuitous, &vip->address, !vip->is_told && !announcer->is_adopting);
		vip->is_told = is_here;
	}
	gratuitous_end(announcer->gratuitous);
}

static void route(struct announcer *announcer)
{
	bool is_withdrawn = announcer->is_maintenance || announcer->is_standby;
	size_t wanted = 0;

	resolver_vips_begin(announcer->resolver, announcer->config->announce.table, announcer->ifindex);
	for (struct fleet_vip *vip = announcer->fleet->vips; vip && !is_withdrawn; vip = vip->hh.next)
		if (fleet_vip_is_served(vip))
			wanted += resolver_vips_add(announcer->resolver, &vip->address);
	resolver_vips_end(announcer->resolver);
	if (!announcer->config->announce.table || !announcer->ifindex)
		wanted = 0;
	if (wanted != announcer->wanted)
		log_event(LOG_INFO, "vips_announced routes=%zu were=%zu table=%u", wanted, announcer->wanted,
			  announcer->config->announce.table);
	announcer->wanted = wanted;
}

static const char *error_of(const struct announcer *announcer)
{
	const char *error = resolver_vips_error(announcer->resolver);

	return *error ? error : announcer->why_not.text;
}

static void log_trouble(struct announcer *announcer)
{
	const char *error = error_of(announcer);

	if (!strcmp(error, announcer->error.text))
		return;
	err_set(&announcer->error, 0, "%s", error);
	if (*error)
		log_event(LOG_WARNING, "announce_failed error=\"%s\"", error);
}

void announcer_follow(struct announcer *announcer)
{
	const struct port *port = route_port(announcer);
	uint32_t ifindex = port ? port->ifindex : 0;

	log_trouble(announcer);
	if (announcer->gratuitous)
		choose_ports(announcer);
	if (!announcer->is_changed && announcer->ifindex == ifindex && announcer->seen == announcer->fleet->vip_changes)
		return;
	announcer->ifindex = ifindex;
	announcer->seen = announcer->fleet->vip_changes;
	announcer->is_changed = false;
	route(announcer);
	if (announcer->gratuitous)
		tell_segments(announcer);
	announcer->is_adopting = false;
}

/* ---- settings ---------------------------------------------------------------------------------------------------------- */

void announcer_configure(struct announcer *announcer, const struct config *config)
{
	announcer->config = config;
	announcer->is_changed = true;
}

void announcer_set(struct announcer *announcer, bool is_maintenance, bool is_standby)
{
	announcer->is_maintenance = is_maintenance;
	announcer->is_standby = is_standby;
	announcer->is_changed = true;
}

void announcer_tell_again(struct announcer *announcer)
{
	for (struct fleet_vip *vip = announcer->fleet->vips; vip; vip = vip->hh.next)
		vip->is_told = false;
	announcer->is_changed = true;
}

void announcer_state(const struct announcer *announcer, struct announcer_state *out)
{
	const struct port *port = route_port(announcer);

	resolver_vips_count(announcer->resolver, &out->wanted, &out->there);
	out->error = error_of(announcer);
	out->interface = port ? port->name : NULL;
}

struct announcer *announcer_create(uv_loop_t *loop, struct fleet *fleet, struct resolver *resolver, const struct ports *ports,
				   bool is_adopting)
{
	struct announcer *announcer = calloc(1, sizeof(*announcer));

	if (!announcer)
		return NULL;
	announcer->fleet = fleet;
	announcer->resolver = resolver;
	announcer->ports = ports;
	announcer->is_adopting = is_adopting;
	announcer->gratuitous = gratuitous_create(loop, &announcer->why_not);
	return announcer;
}

void announcer_destroy(struct announcer *announcer)
{
	if (!announcer)
		return;
	gratuitous_destroy(announcer->gratuitous);
	free(announcer);
}

/* Links and local addresses as the resolver knows them: see resolver.h. */
#include "daemon/resolver_internal.h"

#include <errno.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#define TAGS_MOST 2
#define TAG_BYTES 4

struct link *link_find(const struct resolver *resolver, uint32_t ifindex)
{
	struct link *link;

	HASH_FIND(hh, resolver->links, &ifindex, sizeof(ifindex), link);
	return link;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static void take_vlan(const struct nlattr *data, struct link *link)
{
	const struct nlattr *attr;

	link->vlan_protocol = 0x8100;
	EACH_NESTED(attr, data) {
		if (mnl_attr_get_type(attr) == IFLA_VLAN_ID)
			link->vlan_id = mnl_attr_get_u16(attr);
		if (mnl_attr_get_type(attr) == IFLA_VLAN_PROTOCOL)
			link->vlan_protocol = ntohs(mnl_attr_get_u16(attr));
	}
}

static void take_info(const struct nlattr *info, struct link *link)
{
	const struct nlattr *attr;

	EACH_NESTED(attr, info)
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			snprintf(link->kind, sizeof(link->kind), "%s", mnl_attr_get_str(attr));
	EACH_NESTED(attr, info)
		if (mnl_attr_get_type(attr) == IFLA_INFO_DATA && !strcmp(link->kind, "vlan"))
			take_vlan(attr, link);
}

static void take_attributes(const struct nlmsghdr *message, struct link *link)
{
	const struct nlattr *attr;

	link->is_lower_here = true;
	EACH_ATTRIBUTE(attr, message, sizeof(struct ifinfomsg)) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			snprintf(link->name, sizeof(link->name), "%s", mnl_attr_get_str(attr));
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(attr) == sizeof(link->mac))
				memcpy(link->mac, mnl_attr_get_payload(attr), sizeof(link->mac));
			break;
		case IFLA_MTU:
			link->mtu = mnl_attr_get_u32(attr);
			break;
		case IFLA_LINK:
			link->lower = mnl_attr_get_u32(attr);
			break;
		case IFLA_LINK_NETNSID:
			link->is_lower_here = false;
			break;
		case IFLA_LINKINFO:
			take_info(attr, link);
			break;
		}
	}
}

static bool is_up(const struct link *link)
{
	return (link->flags & (IFF_UP | IFF_LOWER_UP)) == (IFF_UP | IFF_LOWER_UP);
}

static void publish(const struct link *link, struct resolver_link *out)
{
	memset(out, 0, sizeof(*out));
	out->ifindex = link->ifindex;
	out->mtu = link->mtu;
	out->up = is_up(link);
	memcpy(out->name, link->name, sizeof(out->name));
	memcpy(out->mac, link->mac, sizeof(out->mac));
}

static void tell(struct resolver *resolver, const struct link *link, bool is_gone)
{
	struct resolver_link event;

	publish(link, &event);
	if (is_gone)
		event.ifindex = 0;
	if (resolver->events.link_changed)
		resolver->events.link_changed(resolver->events.context, &event);
	resolver->has_news = true;
	vip_doubt(resolver);
	if (event.ifindex && event.up)
		neighbour_retry(resolver, link->ifindex);
	resolver_routes_changed(resolver);
}

static void remove_link(struct resolver *resolver, struct link *link)
{
	HASH_DEL(resolver->links, link);
	tell(resolver, link, true);
	free(link);
}

static bool differs(const struct link *a, const struct link *b)
{
	return memcmp(a->mac, b->mac, sizeof(a->mac)) || a->mtu != b->mtu || a->type != b->type ||
	       ((a->flags ^ b->flags) & (IFF_UP | IFF_LOWER_UP | IFF_LOOPBACK)) || a->lower != b->lower ||
	       a->is_lower_here != b->is_lower_here || strcmp(a->kind, b->kind) != 0 || a->vlan_id != b->vlan_id ||
	       a->vlan_protocol != b->vlan_protocol;
}

void link_take(struct resolver *resolver, const struct nlmsghdr *message)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct link *link = link_find(resolver, (uint32_t)info->ifi_index);
	struct link read = {.ifindex = (uint32_t)info->ifi_index, .type = info->ifi_type, .flags = info->ifi_flags};

	/* A bridge's messages about its ports come in the same group. */
	if (info->ifi_family != AF_UNSPEC)
		return;
	if (message->nlmsg_type == RTM_DELLINK) {
		if (link)
			remove_link(resolver, link);
		return;
	}
	take_attributes(message, &read);
	if (link && strcmp(link->name, read.name) != 0) {
		remove_link(resolver, link);
		link = NULL;
	}
	if (link)
		link->reading = resolver->reading;
	if (link && !differs(link, &read))
		return;
	read.reading = resolver->reading;
	if (!link) {
		link = calloc(1, sizeof(*link));
		if (!link)
			return;
		*link = read;
		link->generation = ++resolver->generation;
		HASH_ADD(hh, resolver->links, ifindex, sizeof(link->ifindex), link);
	} else {
		read.generation = link->generation;
		read.hh = link->hh;
		*link = read;
	}
	tell(resolver, link, false);
}

void link_sweep(struct resolver *resolver)
{
	struct link *link, *next;

	HASH_ITER(hh, resolver->links, link, next)
		if (link->reading != resolver->reading)
			remove_link(resolver, link);
}

void link_table_free(struct resolver *resolver)
{
	struct link *link, *next;
	struct local_address *local, *next_local;

	HASH_ITER(hh, resolver->links, link, next) {
		HASH_DEL(resolver->links, link);
		free(link);
	}
	HASH_ITER(hh, resolver->locals, local, next_local) {
		HASH_DEL(resolver->locals, local);
		free(local);
	}
}

/* ---- what a link is good for -------------------------------------------------------------------------------------- */

/* The longest IP packet that XDP may send out of a port. The kernel allows a frame one tag above the port's MTU and drops
 * a longer one without a word, so that a second tag comes off the packet. */
static uint32_t port_mtu(const struct link *port, uint32_t tag_count)
{
	return port->mtu - (tag_count > 1 ? (tag_count - 1) * TAG_BYTES : 0);
}

/* Why frames cannot be put on this link by XDP, or NULL. */
static const char *unfit(const struct link *link)
{
	static const struct {
		const char *kind, *why;
	} rows[] = {
		{"bond", "is a bond: XDP here cannot choose its port; route by a port of its own"},
		{"team", "is a team: XDP here cannot choose its port; route by a port of its own"},
		{"bridge", "is a bridge: XDP here cannot choose its port; give the director's address to a port outside the "
			   "bridge"},
		{"macvlan", "is a macvlan: use the interface below it"},
		{"ipvlan", "is an ipvlan: use the interface below it"},
		{"vrf", "is a VRF: route by an interface in it"},
		{"vxlan", "is a vxlan tunnel: use forward: ipip, gue or gre over the network below it"},
		{"geneve", "is a geneve tunnel: use forward: ipip, gue or gre over the network below it"},
		{"wireguard", "is a wireguard tunnel, which carries no Ethernet frames"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(link->kind, rows[i].kind))
			return rows[i].why;
	if (link->flags & IFF_LOOPBACK)
		return "is the loopback";
	if (link->type != ARPHRD_ETHER)
		return "carries no Ethernet frames: every way to forward needs an Ethernet interface";
	return NULL;
}

static bool refuse(char *reason, const struct link *link, const char *why)
{
	snprintf(reason, RESOLVER_REASON_BYTES, "interface %s %s", link->name, why);
	return false;
}

bool link_resolve(const struct resolver *resolver, const struct link *egress, struct adjacency *facts, uint32_t *mtu,
		  char reason[static RESOLVER_REASON_BYTES])
{
	const struct link *link = egress, *upper;

	*mtu = egress->mtu;
	memcpy(facts->mac_source, egress->mac, sizeof(facts->mac_source));
	facts->tag_count = 0;
	while (!strcmp(link->kind, "vlan")) {
		if (!is_up(link))
			return refuse(reason, link, "is down");
		if (facts->tag_count == TAGS_MOST)
			return refuse(reason, egress, "has more than two VLAN tags");
		/* Found from the inside outwards; the outer tag stands first on the wire. */
		facts->tag[1] = facts->tag[0];
		facts->tag[0].protocol = link->vlan_protocol;
		facts->tag[0].id = link->vlan_id;
		facts->tag_count++;
		upper = link;
		link = link->is_lower_here ? link_find(resolver, link->lower) : NULL;
		if (!link)
			return refuse(reason, upper, "stands on an interface of another network namespace");
	}
	if (unfit(link))
		return refuse(reason, link, unfit(link));
	if (!is_up(link))
		return refuse(reason, link, link->flags & IFF_UP ? "has no carrier" : "is down");
	if (port_mtu(link, facts->tag_count) < *mtu)
		*mtu = port_mtu(link, facts->tag_count);
	facts->ifindex = link->ifindex;
	return true;
}

static const struct link *find_named(const struct resolver *resolver, const char *name)
{
	for (const struct link *link = resolver->links; link; link = link->hh.next)
		if (!strcmp(link->name, name))
			return link;
	return NULL;
}

bool resolver_link_named(const struct resolver *resolver, const char *name, struct resolver_link *out)
{
	const struct link *link = find_named(resolver, name);

	if (link)
		publish(link, out);
	return link != NULL;
}

bool resolver_link_numbered(const struct resolver *resolver, uint32_t ifindex, struct resolver_link *out)
{
	const struct link *link = link_find(resolver, ifindex);

	if (link)
		publish(link, out);
	return link != NULL;
}

void resolver_link_names(const struct resolver *resolver, char *text, size_t bytes)
{
	size_t at = 0;

	snprintf(text, bytes, "none");
	for (const struct link *link = resolver->links; link && at + IFNAMSIZ + 2 < bytes; link = link->hh.next)
		if (!(link->flags & IFF_LOOPBACK))
			at += (size_t)snprintf(text + at, bytes - at, "%s%s", at ? ", " : "", link->name);
}

bool resolver_link_has_vlans(const struct resolver *resolver, uint32_t ifindex)
{
	for (const struct link *link = resolver->links; link; link = link->hh.next)
		if (!strcmp(link->kind, "vlan") && link->is_lower_here && link->lower == ifindex)
			return true;
	return false;
}

size_t resolver_link_vlans(const struct resolver *resolver, uint32_t ifindex, struct resolver_link *out, size_t room)
{
	size_t count = 0;

	for (const struct link *link = resolver->links; link && count < room; link = link->hh.next)
		if (!strcmp(link->kind, "vlan") && link->is_lower_here && link->lower == ifindex)
			publish(link, &out[count++]);
	return count;
}

bool resolver_link_usable(const struct resolver *resolver, const char *name, struct err *e)
{
	const struct link *link = find_named(resolver, name);
	const struct link *lower = link;

	if (!link) {
		err_set(e, -ENODEV, "there is no interface %s", name);
		return false;
	}
	while (lower && !strcmp(lower->kind, "vlan"))
		lower = lower->is_lower_here ? link_find(resolver, lower->lower) : NULL;
	if (lower != link) {
		err_set(e, -EINVAL, "interface %s is a VLAN, and XDP sees packets on the port below it: name %s instead (tags "
				    "are parsed)", name, lower ? lower->name : "that");
		return false;
	}
	if (!unfit(link))
		return true;
	err_set(e, -EINVAL, "interface %s %s", name, unfit(link));
	return false;
}

/* ---- local addresses ------------------------------------------------------------------------------------------------ */

void local_take(struct resolver *resolver, const struct nlmsghdr *message)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	struct local_address *local;
	struct neighbour_key key;
	const struct nlattr *attr;
	bool is_found = false;

	memset(&key, 0, sizeof(key));
	key.ifindex = info->ifa_index;
	EACH_ATTRIBUTE(attr, message, sizeof(*info)) {
		uint16_t type = mnl_attr_get_type(attr);

		if (type != IFA_LOCAL && (type != IFA_ADDRESS || is_found))
			continue;
		is_found = true;
		key.address = info->ifa_family == AF_INET ? ip_from4(mnl_attr_get_payload(attr))
							  : ip_from6(mnl_attr_get_payload(attr));
	}
	if (!is_found)
		return;
	HASH_FIND(hh, resolver->locals, &key, sizeof(key), local);
	if (message->nlmsg_type == RTM_NEWADDR && !local) {
		local = calloc(1, sizeof(*local));
		if (!local)
			return;
		local->key = key;
		HASH_ADD(hh, resolver->locals, key, sizeof(local->key), local);
	} else if (message->nlmsg_type == RTM_DELADDR && local) {
		HASH_DEL(resolver->locals, local);
		free(local);
		local = NULL;
	}
	if (local)
		local->reading = resolver->reading;
	resolver_routes_changed(resolver);
}

void local_sweep(struct resolver *resolver)
{
	struct local_address *local, *next;

	HASH_ITER(hh, resolver->locals, local, next) {
		if (local->reading == resolver->reading)
			continue;
		HASH_DEL(resolver->locals, local);
		free(local);
	}
}

bool resolver_is_local(const struct resolver *resolver, const struct ip *address)
{
	for (const struct local_address *local = resolver->locals; local; local = local->hh.next)
		if (ip_equal(&local->key.address, address))
			return true;
	return false;
}

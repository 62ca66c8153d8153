/* What hangs on the host's links: VLANs, and network namespaces behind them: see host.h. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "backend/host.h"
#include "backend/host_internal.h"

static int ask_links(mnl_cb_t callback, void *context)
{
	char buffer[128];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = RTM_GETLINK;
	message->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	return host_ask(message, callback, context);
}

/* ---- VLANs ------------------------------------------------------------------------------------------------------------- */

struct vlan_search {
	uint32_t below;
	struct host_vlan *list;
	size_t count;
};

static const struct nlattr *find_nested(const struct nlattr *outer, uint16_t type)
{
	const char *end = outer ? (const char *)outer + mnl_attr_get_len(outer) : NULL;

	for (const struct nlattr *attr = outer ? mnl_attr_get_payload(outer) : NULL;
	     attr && mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) == type)
			return attr;
	return NULL;
}

static int take_vlan(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *below = host_find_attribute(message, sizeof(*info), IFLA_LINK);
	const struct nlattr *details = host_find_attribute(message, sizeof(*info), IFLA_LINKINFO);
	const struct nlattr *kind = find_nested(details, IFLA_INFO_KIND), *data = find_nested(details, IFLA_INFO_DATA);
	const struct nlattr *number = find_nested(data, IFLA_VLAN_ID), *protocol = find_nested(data, IFLA_VLAN_PROTOCOL);
	struct vlan_search *search = context;

	if (!below || mnl_attr_get_u32(below) != search->below || host_find_attribute(message, sizeof(*info), IFLA_LINK_NETNSID))
		return MNL_CB_OK;
	if (!kind || strcmp(mnl_attr_get_str(kind), "vlan") != 0 || !number || !protocol)
		return MNL_CB_OK;
	if (search->count < HOST_VLANS_MOST)
		search->list[search->count++] = (struct host_vlan){mnl_attr_get_u16(protocol), mnl_attr_get_u16(number),
								   (uint32_t)info->ifi_index};
	return MNL_CB_OK;
}

size_t host_read_vlans(const char *interface, struct host_vlan list[static HOST_VLANS_MOST])
{
	struct vlan_search search = {.below = host_ifindex(interface), .list = list};

	if (search.below)
		ask_links(take_vlan, &search);
	return search.count;
}

/* ---- other namespaces -------------------------------------------------------------------------------------------------- */

/* The links whose other end is in another network namespace, by the number that this one knows it by. */
struct door {
	uint32_t ifindex;
	int32_t namespace;
};

struct doors {
	struct door list[HOST_INTERFACES_MOST];
	size_t count;
	uint32_t except;
};

static int take_door(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr = host_find_attribute(message, sizeof(*info), IFLA_LINK_NETNSID);
	struct doors *doors = context;

	if (!attr || (uint32_t)info->ifi_index == doors->except || doors->count == HOST_INTERFACES_MOST)
		return MNL_CB_OK;
	doors->list[doors->count++] = (struct door){(uint32_t)info->ifi_index, (int32_t)mnl_attr_get_u32(attr)};
	return MNL_CB_OK;
}

struct address_search {
	const struct ip *ip;
	bool is_found;
};

static int take_foreign(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr = host_find_attribute(message, sizeof(*info), IFA_LOCAL);
	struct address_search *search = context;
	struct ip ip;

	if (!attr)
		attr = host_find_attribute(message, sizeof(*info), IFA_ADDRESS);
	if (!attr || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return MNL_CB_OK;
	ip = info->ifa_family == AF_INET ? ip_from4(mnl_attr_get_payload(attr)) : ip_from6(mnl_attr_get_payload(attr));
	search->is_found |= ip_equal(&ip, search->ip);
	return MNL_CB_OK;
}

static bool has_address(int32_t namespace, const struct ip *ip)
{
	struct address_search search = {.ip = ip};
	char buffer[128];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *info;

	message->nlmsg_type = RTM_GETADDR;
	message->nlmsg_flags = NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifa_family = ip_is4(ip) ? AF_INET : AF_INET6;
	mnl_attr_put_u32(message, IFA_TARGET_NETNSID, (uint32_t)namespace);
	return !host_ask_strictly(message, take_foreign, &search) && search.is_found;
}

bool host_is_elsewhere(const struct ip *ip, const char *except, char interface[static 16])
{
	struct doors doors = {.except = host_ifindex(except)};

	ask_links(take_door, &doors);
	for (size_t i = 0; i < doors.count; i++)
		if (has_address(doors.list[i].namespace, ip) && if_indextoname(doors.list[i].ifindex, interface))
			return true;
	return false;
}

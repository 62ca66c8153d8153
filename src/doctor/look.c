/* Looking by rtnetlink: see look.h. */
#include "doctor/look.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/netlink.h"

/* ---- dumps ---------------------------------------------------------------------------------------------------------------- */

/* A list that grows by one; NULL when there is no memory. */
static void *grow(void *list_of, size_t *count, size_t bytes)
{
	char **list = list_of;
	char *grown = (*count & (*count - 1)) ? *list : realloc(*list, (*count ? 2 * *count : 1) * bytes);

	if (!grown)
		return NULL;
	*list = grown;
	return memset(grown + (*count)++ * bytes, 0, bytes);
}

static int dump(uint16_t type, size_t header, mnl_cb_t take, struct look *look, size_t *count)
{
	char bytes[128] = "";
	struct nlmsghdr *message = mnl_nlmsg_put_header(bytes);

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(message, header);
	return netlink_ask(&(struct netlink_question){
		.bus = NETLINK_ROUTE, .message = message, .take = take, .context = look, .count = count});
}

static const struct nlattr *find(const void *begin, const char *end, uint16_t type)
{
	for (const struct nlattr *attr = begin; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) == type)
			return attr;
	return NULL;
}

static const struct nlattr *find_in(const struct nlmsghdr *message, size_t header, uint16_t type)
{
	return find(mnl_nlmsg_get_payload_offset(message, header), mnl_nlmsg_get_payload_tail(message), type);
}

static const struct nlattr *find_nested(const struct nlattr *outer, uint16_t type)
{
	return outer ? find(mnl_attr_get_payload(outer), (const char *)outer + mnl_attr_get_len(outer), type) : NULL;
}

static uint32_t number(const struct nlattr *attr)
{
	return attr && mnl_attr_get_payload_len(attr) >= sizeof(uint32_t) ? mnl_attr_get_u32(attr) : 0;
}

static bool read_ip(struct ip *ip, int family, const struct nlattr *attr)
{
	if (!attr || mnl_attr_get_payload_len(attr) < (family == AF_INET ? 4 : 16))
		return false;
	*ip = family == AF_INET ? ip_from4(mnl_attr_get_payload(attr)) : ip_from6(mnl_attr_get_payload(attr));
	return true;
}

/* ---- links ---------------------------------------------------------------------------------------------------------------- */

static void read_xdp(struct look_link *link, const struct nlattr *xdp)
{
	const struct nlattr *mode = find_nested(xdp, IFLA_XDP_ATTACHED);
	uint8_t attached = mode ? mnl_attr_get_u8(mode) : XDP_ATTACHED_NONE;

	if (attached == XDP_ATTACHED_NONE)
		return;
	link->xdp = attached == XDP_ATTACHED_SKB ? JUDGE_XDP_GENERIC : JUDGE_XDP_NATIVE;
	link->xdp_program = number(find_nested(xdp, IFLA_XDP_PROG_ID));
}

static int take_link(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *name = find_in(message, sizeof(*info), IFLA_IFNAME);
	const struct nlattr *mac = find_in(message, sizeof(*info), IFLA_ADDRESS);
	const struct nlattr *kind = find_nested(find_in(message, sizeof(*info), IFLA_LINKINFO), IFLA_INFO_KIND);
	struct look *look = context;
	struct look_link *link = name ? grow(&look->links, &look->link_count, sizeof(*link)) : NULL;

	if (!link)
		return MNL_CB_OK;
	link->ifindex = (uint32_t)info->ifi_index;
	link->flags = info->ifi_flags;
	link->mtu = number(find_in(message, sizeof(*info), IFLA_MTU));
	link->is_ethernet = info->ifi_type == ARPHRD_ETHER;
	strncpy(link->name, mnl_attr_get_str(name), sizeof(link->name) - 1);
	if (kind)
		strncpy(link->kind, mnl_attr_get_str(kind), sizeof(link->kind) - 1);
	if (mac && mnl_attr_get_payload_len(mac) == sizeof(link->mac))
		memcpy(link->mac, mnl_attr_get_payload(mac), sizeof(link->mac));
	read_xdp(link, find_in(message, sizeof(*info), IFLA_XDP));
	return MNL_CB_OK;
}

/* ---- addresses, neighbours, rules ----------------------------------------------------------------------------------------- */

static int take_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *flags = find_in(message, sizeof(*info), IFA_FLAGS);
	struct look *look = context;
	struct look_address *row;
	struct ip ip;

	if (!read_ip(&ip, info->ifa_family, find_in(message, sizeof(*info), IFA_LOCAL)) &&
	    !read_ip(&ip, info->ifa_family, find_in(message, sizeof(*info), IFA_ADDRESS)))
		return MNL_CB_OK;
	row = grow(&look->addresses, &look->address_count, sizeof(*row));
	if (row)
		*row = (struct look_address){ip, info->ifa_prefixlen, info->ifa_index, flags ? number(flags) : info->ifa_flags};
	return MNL_CB_OK;
}

static int take_neighbour(const struct nlmsghdr *message, void *context)
{
	const struct ndmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *mac = find_in(message, sizeof(*info), NDA_LLADDR);
	struct look *look = context;
	struct look_neighbour *row;
	struct ip ip;

	if ((info->ndm_family != AF_INET && info->ndm_family != AF_INET6) || !mac || mnl_attr_get_payload_len(mac) != 6 ||
	    !read_ip(&ip, info->ndm_family, find_in(message, sizeof(*info), NDA_DST)))
		return MNL_CB_OK;
	row = grow(&look->neighbours, &look->neighbour_count, sizeof(*row));
	if (row) {
		row->ip = ip;
		row->ifindex = (uint32_t)info->ndm_ifindex;
		memcpy(row->mac, mnl_attr_get_payload(mac), sizeof(row->mac));
	}
	return MNL_CB_OK;
}

/* What a rule may ask for besides the mark. An input interface of lo is what all of a host's own packets have. */
static bool has_selector(const struct nlmsghdr *message, const struct fib_rule_hdr *info)
{
	static const uint16_t selectors[] = {FRA_OIFNAME, FRA_UID_RANGE, FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE,
					     FRA_TUN_ID};
	const struct nlattr *input = find_in(message, sizeof(*info), FRA_IIFNAME);

	for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++)
		if (find_in(message, sizeof(*info), selectors[i]))
			return true;
	return info->src_len || info->dst_len || info->tos || info->flags & FIB_RULE_INVERT ||
	       (input && strcmp(mnl_attr_get_str(input), "lo") != 0);
}

static int take_rule(const struct nlmsghdr *message, void *context)
{
	const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *mask = find_in(message, sizeof(*info), FRA_FWMASK);
	const struct nlattr *table = find_in(message, sizeof(*info), FRA_TABLE);
	struct look *look = context;
	struct judge_rule *row;

	if (info->family != AF_INET && info->family != AF_INET6)
		return MNL_CB_OK;
	row = grow(&look->rules, &look->rule_count, sizeof(*row));
	if (!row)
		return MNL_CB_OK;
	row->family = info->family;
	row->priority = number(find_in(message, sizeof(*info), FRA_PRIORITY));
	row->mark = number(find_in(message, sizeof(*info), FRA_FWMARK));
	row->mask = mask ? number(mask) : row->mark ? UINT32_MAX : 0;
	row->table = table ? number(table) : info->table;
	row->is_lookup = info->action == FR_ACT_TO_TBL;
	row->has_selector = has_selector(message, info);
	return MNL_CB_OK;
}

int look_at(struct look *out, struct err *e)
{
	int code;

	memset(out, 0, sizeof(*out));
	code = dump(RTM_GETLINK, sizeof(struct ifinfomsg), take_link, out, &out->link_count);
	if (!code)
		code = dump(RTM_GETADDR, sizeof(struct ifaddrmsg), take_address, out, &out->address_count);
	if (!code)
		code = dump(RTM_GETNEIGH, sizeof(struct ndmsg), take_neighbour, out, &out->neighbour_count);
	if (!code)
		code = dump(RTM_GETRULE, sizeof(struct fib_rule_hdr), take_rule, out, &out->rule_count);
	if (code)
		look_free(out);
	return code ? err_set(e, code, "looking at links, addresses and rules: %s", strerror(-code)) : 0;
}

void look_free(struct look *look)
{
	free(look->links);
	free(look->addresses);
	free(look->neighbours);
	free(look->rules);
	memset(look, 0, sizeof(*look));
}

const struct look_link *look_link_named(const struct look *look, const char *name)
{
	for (size_t i = 0; i < look->link_count; i++)
		if (!strcmp(look->links[i].name, name))
			return &look->links[i];
	return NULL;
}

const struct look_link *look_link_numbered(const struct look *look, uint32_t ifindex)
{
	for (size_t i = 0; i < look->link_count; i++)
		if (look->links[i].ifindex == ifindex)
			return &look->links[i];
	return NULL;
}

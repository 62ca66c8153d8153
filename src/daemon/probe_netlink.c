/* Rules, routes, neighbours and addresses by rtnetlink: see probe_netlink.h. */
#include "daemon/probe_netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES 32768
#define ANSWER_WITHIN_S 2
#define ATTRIBUTES_MOST 64
#define DISCARDED_MOST 1000000

struct probe_netlink {
	struct mnl_socket *socket;
	uint32_t sequence;
	char buffer[BUFFER_BYTES] __attribute__((aligned(8)));
};

struct request {
	char room[256];
	struct nlmsghdr *message;
};

/* ---- talking --------------------------------------------------------------------------------------------------- */

struct probe_netlink *probe_netlink_open(struct err *e)
{
	const struct timeval patience = {.tv_sec = ANSWER_WITHIN_S};
	struct probe_netlink *netlink = calloc(1, sizeof(*netlink));
	int on = 1;

	if (!netlink) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	netlink->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!netlink->socket || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		err_set(e, -errno, "rtnetlink: %m");
		probe_netlink_close(netlink);
		return NULL;
	}
	/* Dumps are then of what they ask for, and not of all there is. */
	mnl_socket_setsockopt(netlink->socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	setsockopt(mnl_socket_get_fd(netlink->socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return netlink;
}

void probe_netlink_close(struct probe_netlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->socket)
		mnl_socket_close(netlink->socket);
	free(netlink);
}

static void *begin(struct request *request, uint16_t type, uint16_t flags, size_t head_bytes)
{
	memset(request, 0, sizeof(*request));
	request->message = mnl_nlmsg_put_header(request->room);
	request->message->nlmsg_type = type;
	request->message->nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(request->message, head_bytes);
}

/* What nobody wants to read any more, such as the rest of an interrupted dump, which the kernel ends only so. */
static void discard(struct probe_netlink *netlink)
{
	int fd = mnl_socket_get_fd(netlink->socket);

	for (int i = 0; i < DISCARDED_MOST && recv(fd, netlink->buffer, sizeof(netlink->buffer), MSG_DONTWAIT) > 0; i++)
		;
}

/* Of an earlier question, whose answer was given up. */
static bool is_late(const struct probe_netlink *netlink, ssize_t got, uint32_t sequence)
{
	return got >= (ssize_t)sizeof(struct nlmsghdr) && ((const struct nlmsghdr *)netlink->buffer)->nlmsg_seq != sequence;
}

static int run(struct probe_netlink *netlink, struct request *request, mnl_cb_t take, void *context)
{
	uint32_t port = mnl_socket_get_portid(netlink->socket), sequence = ++netlink->sequence;
	int code = 1;

	request->message->nlmsg_seq = sequence;
	if (mnl_socket_sendto(netlink->socket, request->message, request->message->nlmsg_len) < 0)
		return -errno;
	while (code > 0) {
		ssize_t got = mnl_socket_recvfrom(netlink->socket, netlink->buffer, sizeof(netlink->buffer));

		if (is_late(netlink, got, sequence))
			continue;
		code = got < 0 ? -1 : mnl_cb_run(netlink->buffer, (size_t)got, sequence, port, take, context);
	}
	code = code < 0 ? -errno : 0;
	if (code)
		discard(netlink);
	return code;
}

static void put_address(struct request *request, uint16_t type, const struct ip *address)
{
	if (ip_is4(address))
		mnl_attr_put(request->message, type, 4, ip_bytes4(address));
	else
		mnl_attr_put(request->message, type, sizeof(address->byte), address->byte);
}

static struct ip read_address(const struct nlattr *attr, int family)
{
	struct ip none = {{0}};

	if (mnl_attr_get_payload_len(attr) != (family == AF_INET ? 4 : 16))
		return none;
	return family == AF_INET ? ip_from4(mnl_attr_get_payload(attr)) : ip_from6(mnl_attr_get_payload(attr));
}

/* The attributes of a message by their numbers; those that are not there are NULL. */
static void sort(const struct nlmsghdr *message, size_t head_bytes, const struct nlattr *by_type[static ATTRIBUTES_MOST])
{
	const char *end = mnl_nlmsg_get_payload_tail(message);
	const struct nlattr *attr = mnl_nlmsg_get_payload_offset(message, head_bytes);

	memset(by_type, 0, ATTRIBUTES_MOST * sizeof(*by_type));
	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) < ATTRIBUTES_MOST)
			by_type[mnl_attr_get_type(attr)] = attr;
}

static uint32_t number(const struct nlattr *attr, uint32_t otherwise)
{
	return attr && mnl_attr_get_payload_len(attr) >= sizeof(uint32_t) ? mnl_attr_get_u32(attr) : otherwise;
}

static uint8_t byte(const struct nlattr *attr)
{
	return attr ? mnl_attr_get_u8(attr) : 0;
}

struct reader {
	union {
		void (*rule)(void *context, const struct probe_rule *rule);
		void (*route)(void *context, const struct probe_route *route);
		void (*neighbour)(void *context, const struct probe_neighbour *neighbour);
		void (*address)(void *context, const struct probe_address *address);
	} each;
	void *context;
};

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static int take_rule(const struct nlmsghdr *message, void *context)
{
	const struct reader *reader = context;
	const struct fib_rule_hdr *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *by_type[ATTRIBUTES_MOST];
	struct probe_rule rule = {.family = head->family};

	if (message->nlmsg_type != RTM_NEWRULE || head->action != FR_ACT_TO_TBL)
		return MNL_CB_OK;
	sort(message, sizeof(*head), by_type);
	rule.priority = number(by_type[FRA_PRIORITY], 0);
	rule.mark = number(by_type[FRA_FWMARK], 0);
	rule.mask = number(by_type[FRA_FWMASK], rule.mark ? UINT32_MAX : 0);
	rule.table = number(by_type[FRA_TABLE], head->table);
	rule.protocol = byte(by_type[FRA_PROTOCOL]);
	reader->each.rule(reader->context, &rule);
	return MNL_CB_OK;
}

int probe_netlink_rules(struct probe_netlink *netlink, int family,
			void (*each)(void *context, const struct probe_rule *rule), void *context)
{
	struct reader reader = {.each.rule = each, .context = context};
	struct request request;
	struct fib_rule_hdr *head = begin(&request, RTM_GETRULE, NLM_F_DUMP, sizeof(*head));

	head->family = (uint8_t)family;
	return run(netlink, &request, take_rule, &reader);
}

static int change_rule(struct probe_netlink *netlink, uint16_t type, uint16_t flags, const struct probe_rule *rule)
{
	struct request request;
	struct fib_rule_hdr *head = begin(&request, type, (uint16_t)(NLM_F_ACK | flags), sizeof(*head));

	head->family = (uint8_t)rule->family;
	head->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(request.message, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(request.message, FRA_FWMARK, rule->mark);
	mnl_attr_put_u32(request.message, FRA_FWMASK, rule->mask);
	mnl_attr_put_u32(request.message, FRA_TABLE, rule->table);
	mnl_attr_put_u8(request.message, FRA_PROTOCOL, rule->protocol);
	return run(netlink, &request, NULL, NULL);
}

int probe_netlink_rule_make(struct probe_netlink *netlink, const struct probe_rule *rule)
{
	int code = change_rule(netlink, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);

	return code == -EEXIST ? 0 : code;
}

int probe_netlink_rule_remove(struct probe_netlink *netlink, const struct probe_rule *rule)
{
	int code = change_rule(netlink, RTM_DELRULE, 0, rule);

	return code == -ENOENT ? 0 : code;
}

/* ---- routes ------------------------------------------------------------------------------------------------------- */

static int take_route(const struct nlmsghdr *message, void *context)
{
	const struct reader *reader = context;
	const struct rtmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *by_type[ATTRIBUTES_MOST];
	struct probe_route route = {.family = head->rtm_family, .protocol = head->rtm_protocol,
				    .is_default = !head->rtm_dst_len};

	if (message->nlmsg_type != RTM_NEWROUTE || (head->rtm_flags & RTM_F_CLONED))
		return MNL_CB_OK;
	sort(message, sizeof(*head), by_type);
	route.table = number(by_type[RTA_TABLE], head->rtm_table);
	route.ifindex = number(by_type[RTA_OIF], 0);
	if (by_type[RTA_GATEWAY])
		route.gateway = read_address(by_type[RTA_GATEWAY], route.family);
	if (by_type[RTA_PREFSRC])
		route.source = read_address(by_type[RTA_PREFSRC], route.family);
	reader->each.route(reader->context, &route);
	return MNL_CB_OK;
}

int probe_netlink_routes(struct probe_netlink *netlink, int family, uint32_t table,
			 void (*each)(void *context, const struct probe_route *route), void *context)
{
	struct reader reader = {.each.route = each, .context = context};
	struct request request;
	struct rtmsg *head = begin(&request, RTM_GETROUTE, NLM_F_DUMP, sizeof(*head));
	int code;

	head->rtm_family = (uint8_t)family;
	if (table)
		mnl_attr_put_u32(request.message, RTA_TABLE, table);
	else
		head->rtm_protocol = RESOLVER_PROTOCOL;
	code = run(netlink, &request, take_route, &reader);
	return code == -ENOENT ? 0 : code;
}

static int change_route(struct probe_netlink *netlink, uint16_t type, uint16_t flags, const struct probe_route *route)
{
	struct request request;
	struct rtmsg *head = begin(&request, type, (uint16_t)(NLM_F_ACK | flags), sizeof(*head));

	head->rtm_family = (uint8_t)route->family;
	head->rtm_protocol = route->protocol;
	head->rtm_type = RTN_UNICAST;
	head->rtm_scope = RT_SCOPE_UNIVERSE;
	head->rtm_flags = RTNH_F_ONLINK;
	mnl_attr_put_u32(request.message, RTA_TABLE, route->table);
	mnl_attr_put_u32(request.message, RTA_OIF, route->ifindex);
	put_address(&request, RTA_GATEWAY, &route->gateway);
	if (type == RTM_NEWROUTE)
		put_address(&request, RTA_PREFSRC, &route->source);
	return run(netlink, &request, NULL, NULL);
}

int probe_netlink_route_make(struct probe_netlink *netlink, const struct probe_route *route)
{
	return change_route(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
}

int probe_netlink_route_remove(struct probe_netlink *netlink, const struct probe_route *route)
{
	int code = change_route(netlink, RTM_DELROUTE, 0, route);

	return code == -ESRCH ? 0 : code;
}

/* ---- neighbours --------------------------------------------------------------------------------------------------- */

static bool read_neighbour(const struct nlmsghdr *message, struct probe_neighbour *out)
{
	const struct ndmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *by_type[ATTRIBUTES_MOST];

	if (message->nlmsg_type != RTM_NEWNEIGH || (head->ndm_family != AF_INET && head->ndm_family != AF_INET6))
		return false;
	sort(message, sizeof(*head), by_type);
	memset(out, 0, sizeof(*out));
	out->ifindex = (uint32_t)head->ndm_ifindex;
	out->is_permanent = head->ndm_state & NUD_PERMANENT;
	out->protocol = byte(by_type[NDA_PROTOCOL]);
	if (by_type[NDA_LLADDR] && mnl_attr_get_payload_len(by_type[NDA_LLADDR]) == sizeof(out->mac))
		memcpy(out->mac, mnl_attr_get_payload(by_type[NDA_LLADDR]), sizeof(out->mac));
	if (by_type[NDA_DST])
		out->address = read_address(by_type[NDA_DST], head->ndm_family);
	return by_type[NDA_DST] != NULL;
}

static int take_neighbour(const struct nlmsghdr *message, void *context)
{
	const struct reader *reader = context;
	struct probe_neighbour neighbour;

	if (read_neighbour(message, &neighbour) && neighbour.protocol == RESOLVER_PROTOCOL)
		reader->each.neighbour(reader->context, &neighbour);
	return MNL_CB_OK;
}

int probe_netlink_neighbours(struct probe_netlink *netlink, int family,
			     void (*each)(void *context, const struct probe_neighbour *neighbour), void *context)
{
	struct reader reader = {.each.neighbour = each, .context = context};
	struct request request;
	struct ndmsg *head = begin(&request, RTM_GETNEIGH, NLM_F_DUMP, sizeof(*head));

	head->ndm_family = (uint8_t)family;
	return run(netlink, &request, take_neighbour, &reader);
}

static struct ndmsg *begin_neighbour(struct request *request, uint16_t type, uint16_t flags,
				     const struct probe_neighbour *neighbour)
{
	struct ndmsg *head = begin(request, type, flags, sizeof(*head));

	head->ndm_family = ip_is4(&neighbour->address) ? AF_INET : AF_INET6;
	head->ndm_ifindex = (int)neighbour->ifindex;
	put_address(request, NDA_DST, &neighbour->address);
	return head;
}

int probe_netlink_neighbour_make(struct probe_netlink *netlink, const struct probe_neighbour *neighbour)
{
	struct request request;
	struct ndmsg *head =
		begin_neighbour(&request, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, neighbour);

	head->ndm_state = NUD_PERMANENT;
	mnl_attr_put(request.message, NDA_LLADDR, sizeof(neighbour->mac), neighbour->mac);
	mnl_attr_put_u8(request.message, NDA_PROTOCOL, RESOLVER_PROTOCOL);
	return run(netlink, &request, NULL, NULL);
}

int probe_netlink_neighbour_remove(struct probe_netlink *netlink, const struct probe_neighbour *neighbour)
{
	struct request request;
	int code;

	begin_neighbour(&request, RTM_DELNEIGH, NLM_F_ACK, neighbour);
	code = run(netlink, &request, NULL, NULL);
	return code == -ENOENT ? 0 : code;
}

static int keep_neighbour(const struct nlmsghdr *message, void *context)
{
	return read_neighbour(message, context) ? MNL_CB_STOP : MNL_CB_ERROR;
}

int probe_netlink_neighbour_read(struct probe_netlink *netlink, struct probe_neighbour *neighbour)
{
	struct request request;

	begin_neighbour(&request, RTM_GETNEIGH, 0, neighbour);
	return run(netlink, &request, keep_neighbour, neighbour);
}

/* ---- addresses ------------------------------------------------------------------------------------------------------- */

static int take_address(const struct nlmsghdr *message, void *context)
{
	const struct reader *reader = context;
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *by_type[ATTRIBUTES_MOST], *found;
	struct probe_address address = {.ifindex = head->ifa_index, .is_global = head->ifa_scope == RT_SCOPE_UNIVERSE};
	uint32_t flags;

	if (message->nlmsg_type != RTM_NEWADDR)
		return MNL_CB_OK;
	sort(message, sizeof(*head), by_type);
	found = by_type[IFA_LOCAL] ? by_type[IFA_LOCAL] : by_type[IFA_ADDRESS];
	if (!found)
		return MNL_CB_OK;
	flags = number(by_type[IFA_FLAGS], head->ifa_flags);
	address.address = read_address(found, head->ifa_family);
	address.is_ready = !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) || (flags & IFA_F_OPTIMISTIC);
	address.is_lasting = !(flags & (IFA_F_SECONDARY | IFA_F_DEPRECATED)); /* IFA_F_TEMPORARY is the same bit as the first */
	reader->each.address(reader->context, &address);
	return MNL_CB_OK;
}

int probe_netlink_addresses(struct probe_netlink *netlink, int family, uint32_t ifindex,
			    void (*each)(void *context, const struct probe_address *address), void *context)
{
	struct reader reader = {.each.address = each, .context = context};
	struct request request;
	struct ifaddrmsg *head = begin(&request, RTM_GETADDR, NLM_F_DUMP, sizeof(*head));

	head->ifa_family = (uint8_t)family;
	head->ifa_index = ifindex;
	return run(netlink, &request, take_address, &reader);
}

/* ---- filters ---------------------------------------------------------------------------------------------------------- */

static int count(const struct nlmsghdr *message, void *context)
{
	*(unsigned int *)context += message->nlmsg_type == RTM_NEWTFILTER;
	return MNL_CB_OK;
}

bool probe_netlink_has_filters(struct probe_netlink *netlink, uint32_t ifindex)
{
	static const uint32_t parents[] = {TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)};
	unsigned int found = 0;

	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
		struct request request;
		struct tcmsg *head = begin(&request, RTM_GETTFILTER, NLM_F_DUMP, sizeof(*head));

		head->tcm_family = AF_UNSPEC;
		head->tcm_ifindex = (int)ifindex;
		head->tcm_parent = parents[i];
		if (run(netlink, &request, count, &found))
			return true;
	}
	return found > 0;
}

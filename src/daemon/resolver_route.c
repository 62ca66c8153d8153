/* Routes: which way the kernel would take to a host, many asked at once: see resolver.h. */
#include "daemon/resolver_internal.h"

#include <errno.h>
#include <string.h>

/* Of several equal next hops the kernel names one, by a hash of the address: the way stays the same until the
 * routes change. */

static void refuse(struct route *route, const char *why)
{
	route->state = ROUTE_REFUSED;
	snprintf(route->reason, sizeof(route->reason), "%s", why);
}

static void take_metrics(const struct nlattr *metrics, struct route *route)
{
	const struct nlattr *attr;

	EACH_NESTED(attr, metrics)
		if (mnl_attr_get_type(attr) == RTAX_MTU)
			route->mtu = mnl_attr_get_u32(attr);
}

static void take_attribute(const struct nlattr *attr, bool is4, struct route *route)
{
	const void *payload = mnl_attr_get_payload(attr);
	const struct rtvia *via = payload;

	switch (mnl_attr_get_type(attr)) {
	case RTA_OIF:
		route->ifindex = mnl_attr_get_u32(attr);
		break;
	case RTA_GATEWAY:
		route->has_gateway = true;
		route->gateway = is4 ? ip_from4(payload) : ip_from6(payload);
		break;
	case RTA_VIA:
		route->has_gateway = true;
		route->gateway = via->rtvia_family == AF_INET6 ? ip_from6(via->rtvia_addr) : ip_from4(via->rtvia_addr);
		break;
	case RTA_PREFSRC:
		route->source = is4 ? ip_from4(payload) : ip_from6(payload);
		break;
	case RTA_METRICS:
		take_metrics(attr, route);
		break;
	}
}

static void take_answer(const struct nlmsghdr *message, struct route *route)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;

	switch (info->rtm_type) {
	case RTN_UNICAST:
		break;
	case RTN_LOCAL:
		refuse(route, "is an address of this host itself: a director cannot be its own backend");
		return;
	case RTN_BROADCAST:
	case RTN_MULTICAST:
	case RTN_ANYCAST:
		refuse(route, "is a broadcast, multicast or anycast address here");
		return;
	default:
		refuse(route, "is behind a blackhole, unreachable or prohibit route");
		return;
	}
	route->state = ROUTE_FOUND;
	EACH_ATTRIBUTE(attr, message, sizeof(*info))
		take_attribute(attr, info->rtm_family == AF_INET, route);
}

static void take_error(int code, struct route *route)
{
	switch (code) {
	case -ENETUNREACH:
		refuse(route, "has no route");
		return;
	case -EHOSTUNREACH:
		refuse(route, "is behind an unreachable route");
		return;
	case -EACCES:
		refuse(route, "is behind a prohibit route");
		return;
	case -EINVAL:
		refuse(route, "is behind a blackhole route");
		return;
	default:
		route->state = ROUTE_REFUSED;
		snprintf(route->reason, sizeof(route->reason), "has no route: %s", strerror(-code));
	}
}

static size_t put(char *buffer, const struct ip *address, uint32_t sequence)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	bool is4 = ip_is4(address);
	struct rtmsg *info;

	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = sequence;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->rtm_family = is4 ? AF_INET : AF_INET6;
	info->rtm_dst_len = is4 ? 32 : 128;
	mnl_attr_put(message, RTA_DST, is4 ? 4 : 16, is4 ? ip_bytes4(address) : address->byte);
	return message->nlmsg_len;
}

/* One buffer of answers. Returns how many of them were ours. */
static size_t take_answers(struct resolver *resolver, size_t bytes, uint32_t first, struct host **hosts, size_t count)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)resolver->buffer;
	int left = (int)bytes;
	size_t taken = 0;

	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
		uint32_t index = message->nlmsg_seq - first;
		struct route *route;

		if (index >= count)
			continue;
		taken++;
		route = &hosts[index]->route;
		memset(route, 0, sizeof(*route));
		if (message->nlmsg_type == NLMSG_ERROR)
			take_error(((const struct nlmsgerr *)mnl_nlmsg_get_payload(message))->error, route);
		else
			take_answer(message, route);
		/* `via` the backend itself is no gateway in between. */
		if (route->has_gateway && ip_equal(&route->gateway, &hosts[index]->address))
			route->has_gateway = false;
	}
	return taken;
}

void route_ask(struct resolver *resolver, struct host **hosts, size_t count)
{
	uint32_t first = resolver->sequence + 1;
	size_t bytes = 0, answered = 0;

	resolver->sequence += (uint32_t)count;
	for (size_t i = 0; i < count; i++)
		bytes += put(resolver->buffer + bytes, &hosts[i]->address, first + (uint32_t)i);
	if (mnl_socket_sendto(resolver->asker, resolver->buffer, bytes) < 0)
		return;
	while (answered < count) {
		ssize_t got = mnl_socket_recvfrom(resolver->asker, resolver->buffer, sizeof(resolver->buffer));

		if (got <= 0)
			return;
		answered += take_answers(resolver, (size_t)got, first, hosts, count);
	}
}

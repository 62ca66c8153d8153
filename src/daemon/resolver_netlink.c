/* The resolver's sockets: dumps, notifications, requests: see resolver.h. */
#include "daemon/resolver_internal.h"

#include <errno.h>
#include <string.h>

#define LISTENER_BYTES (8 << 20)

static const unsigned int groups[] = {
	RTNLGRP_LINK,	    RTNLGRP_NEIGH,	RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
	RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
};

static int take(const struct nlmsghdr *message, void *context)
{
	struct resolver *resolver = context;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		link_take(resolver, message);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		local_take(resolver, message);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		neighbour_take(resolver, message);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
	case RTM_NEWRULE:
	case RTM_DELRULE:
		resolver_routes_changed(resolver);
		break;
	}
	return MNL_CB_OK;
}

int netlink_dump(struct resolver *resolver, uint16_t type, uint8_t family, struct err *e)
{
	char request[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *message = mnl_nlmsg_put_header(request);
	struct rtgenmsg *general;
	ssize_t got;
	int code;

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = ++resolver->sequence;
	general = mnl_nlmsg_put_extra_header(message, type == RTM_GETNEIGH ? sizeof(struct ndmsg)
							 : type == RTM_GETADDR ? sizeof(struct ifaddrmsg)
									       : sizeof(struct ifinfomsg));
	general->rtgen_family = family;
	if (mnl_socket_sendto(resolver->asker, message, message->nlmsg_len) < 0)
		return err_set(e, -errno, "rtnetlink: %m");
	do {
		got = mnl_socket_recvfrom(resolver->asker, resolver->buffer, sizeof(resolver->buffer));
		code = got < 0 ? -1
			       : mnl_cb_run(resolver->buffer, (size_t)got, message->nlmsg_seq,
					    mnl_socket_get_portid(resolver->asker), take, resolver);
	} while (code > 0);
	return code < 0 ? err_set(e, -errno, "rtnetlink: reading a table: %m") : 0;
}

int netlink_read_all(struct resolver *resolver, struct err *e)
{
	int code = netlink_dump(resolver, RTM_GETLINK, AF_UNSPEC, e);

	if (!code)
		code = netlink_dump(resolver, RTM_GETADDR, AF_UNSPEC, e);
	if (!code)
		code = netlink_dump(resolver, RTM_GETNEIGH, AF_INET, e);
	if (!code)
		code = netlink_dump(resolver, RTM_GETNEIGH, AF_INET6, e);
	return code;
}

int netlink_ask(struct resolver *resolver, struct nlmsghdr *message)
{
	ssize_t got;

	message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = ++resolver->sequence;
	if (mnl_socket_sendto(resolver->asker, message, message->nlmsg_len) < 0)
		return -errno;
	got = mnl_socket_recvfrom(resolver->asker, resolver->buffer, sizeof(resolver->buffer));
	if (got < 0)
		return -errno;
	if (mnl_cb_run(resolver->buffer, (size_t)got, message->nlmsg_seq, mnl_socket_get_portid(resolver->asker), NULL,
		       NULL) < 0)
		return -errno;
	return 0;
}

/* Notifications were lost: what the tables say now is what counts. */
static void read_anew(struct resolver *resolver)
{
	netlink_read_all(resolver, NULL);
	resolver_routes_changed(resolver);
}

void netlink_receive(struct resolver *resolver)
{
	int fd = mnl_socket_get_fd(resolver->listener);

	for (;;) {
		ssize_t got = recv(fd, resolver->buffer, sizeof(resolver->buffer), MSG_DONTWAIT);

		if (got < 0 && errno == ENOBUFS) {
			read_anew(resolver);
			continue;
		}
		if (got <= 0)
			return;
		mnl_cb_run(resolver->buffer, (size_t)got, 0, 0, take, resolver);
	}
}

int netlink_open(struct resolver *resolver, struct err *e)
{
	int bytes = LISTENER_BYTES;

	resolver->listener = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	resolver->asker = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!resolver->listener || !resolver->asker || mnl_socket_bind(resolver->listener, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_bind(resolver->asker, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_set(e, -errno, "rtnetlink: %m");
	if (setsockopt(mnl_socket_get_fd(resolver->listener), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(mnl_socket_get_fd(resolver->listener), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (mnl_socket_setsockopt(resolver->listener, NETLINK_ADD_MEMBERSHIP, (void *)&groups[i],
					  sizeof(groups[i])) < 0)
			return err_set(e, -errno, "rtnetlink: notifications: %m");
	return 0;
}

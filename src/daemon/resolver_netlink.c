/* The resolver's sockets: dumps, notifications, requests: see resolver.h. */
#include "daemon/resolver_internal.h"

#include <errno.h>
#include <string.h>

#define LISTENER_BYTES (8 << 20)
#define ANSWER_WITHIN_S 2
#define READ_TRIES 5
#define MESSAGES_A_TURN 4096 /* of a storm; others want the loop as well */
#define DISCARDED_MOST 1000000

static const unsigned int groups[] = {
	RTNLGRP_LINK,	    RTNLGRP_NEIGH,	RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
	RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
	RTNLGRP_NEXTHOP,
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
		if (!vip_take(resolver, message))
			resolver_routes_changed(resolver);
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		resolver_routes_changed(resolver);
		break;
	}
	return MNL_CB_OK;
}

static int dump(struct resolver *resolver, uint16_t type, uint8_t family)
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
		return -errno;
	do {
		got = mnl_socket_recvfrom(resolver->asker, resolver->buffer, sizeof(resolver->buffer));
		code = got < 0 ? -1
			       : mnl_cb_run(resolver->buffer, (size_t)got, message->nlmsg_seq,
					    mnl_socket_get_portid(resolver->asker), take, resolver);
	} while (code > 0);
	return code < 0 ? -errno : 0;
}

/* What nobody wants to read any more, such as the rest of an interrupted dump. */
static void discard(struct mnl_socket *socket, char *buffer)
{
	ssize_t got = 1;

	for (int i = 0; i < DISCARDED_MOST && (got > 0 || (got < 0 && errno == ENOBUFS)); i++)
		got = recv(mnl_socket_get_fd(socket), buffer, RESOLVER_BUFFER_BYTES, MSG_DONTWAIT);
}

/* A table that changes while it is dumped is dumped again. */
static int read_table(struct resolver *resolver, uint16_t type, uint8_t family, struct err *e)
{
	int code = -EINTR;

	for (int i = 0; i < READ_TRIES && code == -EINTR; i++) {
		code = dump(resolver, type, family);
		if (code)
			discard(resolver->asker, resolver->buffer);
	}
	return code ? err_set(e, code, "rtnetlink: reading a table: %s", strerror(-code)) : 0;
}

int netlink_read_all(struct resolver *resolver, struct err *e)
{
	int code;

	/* Notifications from before the reading would undo what it finds. */
	discard(resolver->listener, resolver->buffer);
	resolver->reading++;
	code = read_table(resolver, RTM_GETLINK, AF_UNSPEC, e);
	if (code)
		return code;
	link_sweep(resolver);
	code = read_table(resolver, RTM_GETADDR, AF_UNSPEC, e);
	if (code)
		return code;
	local_sweep(resolver);
	code = read_table(resolver, RTM_GETNEIGH, AF_INET, e);
	if (!code)
		code = read_table(resolver, RTM_GETNEIGH, AF_INET6, e);
	if (!code)
		neighbour_sweep(resolver);
	return code;
}

ssize_t netlink_ask(struct resolver *resolver, struct nlmsghdr *message)
{
	const struct nlmsghdr *answer = (const struct nlmsghdr *)resolver->buffer;
	ssize_t got;

	message->nlmsg_flags |= NLM_F_REQUEST;
	message->nlmsg_seq = ++resolver->sequence;
	if (mnl_socket_sendto(resolver->asker, message, message->nlmsg_len) < 0)
		return -errno;
	do {
		got = mnl_socket_recvfrom(resolver->asker, resolver->buffer, sizeof(resolver->buffer));
		if (got < 0)
			return -errno;
	} while (got < (ssize_t)sizeof(*answer) || answer->nlmsg_seq != message->nlmsg_seq);
	if (answer->nlmsg_type != NLMSG_ERROR)
		return got;
	return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(answer))->error;
}

void netlink_receive(struct resolver *resolver)
{
	int fd = mnl_socket_get_fd(resolver->listener);

	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		ssize_t got = recv(fd, resolver->buffer, sizeof(resolver->buffer), MSG_DONTWAIT);

		if (got < 0 && errno == ENOBUFS) {
			resolver->has_lost_news = true;
			resolver_routes_changed(resolver);
			continue;
		}
		if (got <= 0)
			return;
		mnl_cb_run(resolver->buffer, (size_t)got, 0, 0, take, resolver);
	}
}

static void force_receive_buffer(struct mnl_socket *socket, int bytes)
{
	if (setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

int netlink_open(struct resolver *resolver, struct err *e)
{
	const struct timeval patience = {.tv_sec = ANSWER_WITHIN_S};

	resolver->listener = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	resolver->asker = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!resolver->listener || !resolver->asker || mnl_socket_bind(resolver->listener, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_bind(resolver->asker, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_set(e, -errno, "rtnetlink: %m");
	force_receive_buffer(resolver->listener, LISTENER_BYTES);
	force_receive_buffer(resolver->asker, LISTENER_BYTES);
	setsockopt(mnl_socket_get_fd(resolver->asker), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (mnl_socket_setsockopt(resolver->listener, NETLINK_ADD_MEMBERSHIP, (void *)&groups[i],
					  sizeof(groups[i])) < 0)
			return err_set(e, -errno, "rtnetlink: notifications: %m");
	return 0;
}

/* Questions by netlink: see netlink.h. */
#include "doctor/netlink.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define BUFFER_BYTES 32768
#define TRIES	     10

static void close_netlink(struct mnl_socket **netlink)
{
	if (*netlink)
		mnl_socket_close(*netlink);
}

#define auto_netlink __attribute__((cleanup(close_netlink)))

/* What is left of a list that was cut short ends with the socket. */
static int ask_once(const struct netlink_question *question)
{
	auto_netlink struct mnl_socket *netlink = mnl_socket_open2(question->bus, SOCK_CLOEXEC);
	auto_free char *buffer = malloc(BUFFER_BYTES);
	struct nlmsghdr *message = question->message;
	bool is_list = (message->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	int is_strict = 1, code = 1;

	if (!netlink || !buffer || mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	if (question->is_strict &&
	    mnl_socket_setsockopt(netlink, NETLINK_GET_STRICT_CHK, &is_strict, sizeof(is_strict)) < 0)
		return -errno;
	message->nlmsg_seq = 1;
	message->nlmsg_flags |= NLM_F_REQUEST;
	if (mnl_socket_sendto(netlink, message, message->nlmsg_len) < 0)
		return -errno;
	while (code > 0) {
		ssize_t got = mnl_socket_recvfrom(netlink, buffer, BUFFER_BYTES);

		if (got < 0)
			return -errno;
		code = mnl_cb_run(buffer, (size_t)got, 1, mnl_socket_get_portid(netlink), question->take, question->context);
		if (!is_list)
			break;
	}
	return code < 0 ? -errno : 0;
}

int netlink_ask(const struct netlink_question *question)
{
	size_t before = question->count ? *question->count : 0;
	int code = ask_once(question);

	for (int i = 1; code == -EINTR && i < TRIES; i++) {
		if (question->count)
			*question->count = before;
		code = ask_once(question);
	}
	return code;
}

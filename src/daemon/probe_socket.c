/* Sockets of probes, and what ICMP says of their packets: see probe_internal.h. */
#include "daemon/probe_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <linux/icmp.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

socklen_t probe_sockaddr(struct sockaddr_storage *at, const struct ip *address, uint16_t port)
{
	struct sockaddr_in *four = (struct sockaddr_in *)at;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)at;

	memset(at, 0, sizeof(*at));
	if (ip_is4(address)) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		memcpy(&four->sin_addr, ip_bytes4(address), sizeof(four->sin_addr));
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	memcpy(&six->sin6_addr, address->byte, sizeof(six->sin6_addr));
	return sizeof(*six);
}

struct ip probe_ip(const struct sockaddr_storage *at, uint16_t *port)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)at;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)at;

	if (port)
		*port = ntohs(at->ss_family == AF_INET ? four->sin_port : six->sin6_port);
	if (at->ss_family == AF_INET)
		return ip_from4(&four->sin_addr);
	if (at->ss_family == AF_INET6)
		return ip_from6(&six->sin6_addr);
	return (struct ip){{0}};
}

static int prepare(int fd, const struct probe_target *target, int type, struct err *e)
{
	const struct linger reset = {.l_onoff = 1};
	bool is4 = ip_is4(&target->address);
	int yes = 1;

	if (setsockopt(fd, is4 ? IPPROTO_IP : IPPROTO_IPV6, is4 ? IP_RECVERR : IPV6_RECVERR, &yes, sizeof(yes)) < 0)
		return err_set(e, -errno, "socket of a probe: %m");
	if (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		return err_set(e, -errno, "socket of a probe: %m");
	if (target->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &target->mark, sizeof(target->mark)) < 0)
		return err_set(e, -errno, "socket of a probe: mark 0x%x: %m", target->mark);
	return 0;
}

static int bind_port(int fd, int family, uint16_t port, struct err *e)
{
	struct sockaddr_storage at;
	struct ip any = family == AF_INET ? ip_from4("\0\0\0\0") : (struct ip){{0}};
	socklen_t bytes = probe_sockaddr(&at, &any, port);

	return bind(fd, (struct sockaddr *)&at, bytes) < 0 ? err_set(e, -errno, "source port %u of a probe: %m", port) : 0;
}

int probe_socket(const struct probe_target *target, int type, int protocol, struct err *e)
{
	int family = ip_is4(&target->address) ? AF_INET : AF_INET6, code;
	auto_close int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return err_set(e, -errno, "socket of a probe: %m");
	code = prepare(fd, target, type, e);
	if (!code && target->from_port)
		code = bind_port(fd, family, target->from_port, e);
	return code ? code : take_fd(&fd);
}

void probe_say_error(struct probe *probe, int error)
{
	char allowed[PROBE_TIME_BYTES];

	if (error == ECONNREFUSED)
		probe_say(probe, HEALTH_REFUSED, "connection refused (RST)");
	else if (error == ECONNRESET || error == EPIPE)
		probe_say(probe, HEALTH_RESET, "connection reset");
	else if (error == ETIMEDOUT)
		probe_say(probe, HEALTH_SILENT, "no answer within %s", probe_allowed(probe, allowed));
	else
		probe_say(probe, HEALTH_LOCAL, "%s", strerror(error));
}

/* ---- ICMP --------------------------------------------------------------------------------------------------------------- */

struct row {
	uint8_t type, first, last; /* codes */
	enum health_answer answer;
	const char *words;
};

/* In this order; what is in none counts as no host. */
static const struct row rows4[] = {
	{ICMP_DEST_UNREACH, ICMP_NET_UNREACH, ICMP_NET_UNREACH, HEALTH_NO_HOST, "network unreachable"},
	{ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, ICMP_HOST_UNREACH, HEALTH_NO_HOST, "host unreachable"},
	{ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, ICMP_PROT_UNREACH, HEALTH_NO_PROTOCOL, "protocol unreachable"},
	{ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ICMP_PORT_UNREACH, HEALTH_REFUSED, "port unreachable"},
	{ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP_FRAG_NEEDED, HEALTH_TOO_BIG, "fragmentation needed"},
	{ICMP_DEST_UNREACH, ICMP_NET_ANO, ICMP_HOST_ANO, HEALTH_PROHIBITED, "administratively prohibited"},
	{ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, ICMP_PKT_FILTERED, HEALTH_PROHIBITED, "administratively prohibited"},
	{ICMP_DEST_UNREACH, 0, UINT8_MAX, HEALTH_NO_HOST, "destination unreachable"},
	{ICMP_TIME_EXCEEDED, 0, UINT8_MAX, HEALTH_NO_HOST, "time exceeded"},
	{ICMP_PARAMETERPROB, 0, UINT8_MAX, HEALTH_NO_HOST, "parameter problem"},
};
static const struct row rows6[] = {
	{ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE, ICMP6_DST_UNREACH_NOROUTE, HEALTH_NO_HOST, "no route"},
	{ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN, ICMP6_DST_UNREACH_ADMIN, HEALTH_PROHIBITED,
	 "administratively prohibited"},
	{ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR, ICMP6_DST_UNREACH_ADDR, HEALTH_NO_HOST, "address unreachable"},
	{ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT, ICMP6_DST_UNREACH_NOPORT, HEALTH_REFUSED, "port unreachable"},
	{ICMP6_DST_UNREACH, 5, 5, HEALTH_PROHIBITED, "source address refused by policy"}, /* RFC 4443, 3.1 */
	{ICMP6_DST_UNREACH, 6, 6, HEALTH_PROHIBITED, "route rejects"},
	{ICMP6_DST_UNREACH, 0, UINT8_MAX, HEALTH_NO_HOST, "destination unreachable"},
	{ICMP6_PACKET_TOO_BIG, 0, UINT8_MAX, HEALTH_TOO_BIG, "packet too big"},
	{ICMP6_TIME_EXCEEDED, 0, UINT8_MAX, HEALTH_NO_HOST, "time exceeded"},
	{ICMP6_PARAM_PROB, ICMP6_PARAMPROB_NEXTHEADER, ICMP6_PARAMPROB_NEXTHEADER, HEALTH_NO_PROTOCOL,
	 "next header not known"},
	{ICMP6_PARAM_PROB, 0, UINT8_MAX, HEALTH_NO_HOST, "parameter problem"},
};

static const struct row *find_row(const struct row *rows, size_t count, const struct sock_extended_err *error)
{
	static const struct row other = {.answer = HEALTH_NO_HOST, .words = "error"};

	for (size_t i = 0; i < count; i++)
		if (rows[i].type == error->ee_type && rows[i].first <= error->ee_code && error->ee_code <= rows[i].last)
			return &rows[i];
	return &other;
}

static void judge(const struct sock_extended_err *error, struct health_result *result)
{
	bool is4 = error->ee_origin == SO_EE_ORIGIN_ICMP;
	const struct row *row;
	char text[IP_TEXT_BYTES];

	if (!is4 && error->ee_origin != SO_EE_ORIGIN_ICMP6) {
		result->answer = HEALTH_LOCAL;
		snprintf(result->text, sizeof(result->text), "%s", strerror((int)error->ee_errno));
		return;
	}
	row = is4 ? find_row(rows4, sizeof(rows4) / sizeof(rows4[0]), error)
		  : find_row(rows6, sizeof(rows6) / sizeof(rows6[0]), error);
	result->answer = row->answer;
	result->from = probe_ip((const struct sockaddr_storage *)SO_EE_OFFENDER(error), NULL);
	snprintf(result->text, sizeof(result->text), "%s %s from %s", is4 ? "ICMP" : "ICMPv6", row->words,
		 ip_format(&result->from, text));
}

static const struct sock_extended_err *error_of(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
			(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			return (const struct sock_extended_err *)CMSG_DATA(c);
	return NULL;
}

bool probe_read_icmp(int fd, struct health_result *result, void *quoted, size_t *bytes)
{
	char control[512] __attribute__((aligned(8)));
	struct iovec part = {.iov_base = quoted, .iov_len = quoted ? *bytes : 0};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
	const struct sock_extended_err *error;

	if (got < 0)
		return false;
	error = error_of(&message);
	if (!error)
		return false;
	if (quoted)
		*bytes = (size_t)got;
	judge(error, result);
	return true;
}

/* Hearing ICMP errors about tunnels: see icmp_evidence.h. */
#include "daemon/icmp_evidence.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#include "abi.h"
#include "base/cleanup.h"

#define BUFFER_BYTES 65536 /* of a socket: what does not fit is lost, and is said again soon */
#define MESSAGE_BYTES 576
#define MESSAGES_A_TURN 64 /* and then none for a while: */
#define REST_MS 100

struct heard {
	struct ip backend; /* key */
	struct icmp_evidence_item item[ICMP_ERROR_COUNT]; /* count 0: never */
	UT_hash_handle hh;
};

/* One family's socket. */
struct ear {
	struct icmp_evidence *evidence;
	int fd; /* -1: there is none */
	bool is4;
	uv_poll_t poll;
	uv_timer_t rest;
};

struct icmp_evidence {
	struct icmp_evidence_hooks hooks;
	uv_loop_t *loop; /* borrowed */
	struct ear ears[2];
	struct heard *table; /* in the order of the last news */
	size_t open_handles;
};

/* ---- what is kept ---------------------------------------------------------------------------------------------- */

/* The backend's row, the last of the table now. */
static struct heard *row_of(struct icmp_evidence *evidence, const struct ip *backend)
{
	struct heard *row;

	HASH_FIND(hh, evidence->table, backend, sizeof(*backend), row);
	if (row) {
		HASH_DEL(evidence->table, row);
	} else if (HASH_COUNT(evidence->table) >= ICMP_EVIDENCE_BACKENDS_MOST) {
		row = evidence->table;
		HASH_DEL(evidence->table, row);
		memset(row, 0, sizeof(*row));
	} else {
		row = calloc(1, sizeof(*row));
	}
	if (!row)
		return NULL;
	row->backend = *backend;
	HASH_ADD(hh, evidence->table, backend, sizeof(row->backend), row);
	return row;
}

static void keep(struct icmp_evidence *evidence, const struct icmp_quote *quote, const struct ip *from)
{
	struct icmp_evidence_item *item;
	struct heard *row;

	if (!evidence->hooks.is_backend(evidence->hooks.context, &quote->destination))
		return;
	evidence->hooks.heard(evidence->hooks.context, quote, from);
	row = row_of(evidence, &quote->destination);
	if (!row)
		return;
	item = &row->item[quote->error];
	item->error = quote->error;
	item->from = *from;
	item->mtu = quote->mtu;
	item->at_ms = uv_now(evidence->loop);
	item->count++;
}

bool icmp_evidence_of(const struct icmp_evidence *evidence, const struct ip *backend, uint64_t since_ms,
		      struct icmp_evidence_item *out)
{
	const struct icmp_evidence_item *latest = NULL;
	struct heard *row = NULL;

	if (evidence)
		HASH_FIND(hh, evidence->table, backend, sizeof(*backend), row);
	for (size_t i = 0; row && i < ICMP_ERROR_COUNT; i++)
		if (row->item[i].count && row->item[i].at_ms >= since_ms && (!latest || row->item[i].at_ms > latest->at_ms))
			latest = &row->item[i];
	if (latest)
		*out = *latest;
	return latest != NULL;
}

/* ---- hearing ----------------------------------------------------------------------------------------------------- */

struct message {
	uint8_t bytes[MESSAGE_BYTES];
	size_t count;
	struct ip from, to;
};

static void note_destination(struct msghdr *header, struct message *out)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		struct in6_pktinfo info;

		if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		out->to = ip_from6(&info.ipi6_addr);
	}
}

/* ICMP comes with its IP header, ICMPv6 without. Returns where the message begins, NULL: nowhere. */
static const uint8_t *begin_of(const struct ear *ear, struct message *message)
{
	size_t head = (size_t)(message->bytes[0] & 0xf) * 4;

	if (!ear->is4)
		return message->bytes;
	if (message->count < 20 || head < 20 || head > message->count)
		return NULL;
	message->from = ip_from4(message->bytes + 12);
	message->to = ip_from4(message->bytes + 16);
	message->count -= head;
	return message->bytes + head;
}

/* The next message. Returns false when there is none. */
static bool receive(const struct ear *ear, struct message *out)
{
	struct sockaddr_in6 from = {0};
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct iovec vector = {out->bytes, sizeof(out->bytes)};
	struct msghdr header = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &vector, .msg_iovlen = 1,
				.msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(ear->fd, &header, MSG_DONTWAIT);

	if (got < 0)
		return false;
	memset(&out->to, 0, sizeof(out->to));
	out->count = (size_t)got;
	out->from = ip_from6(&from.sin6_addr);
	note_destination(&header, out);
	return true;
}

/* What is said to another address than the quoted packet came from is a lie, or not for us. */
static void take(struct ear *ear, struct message *message)
{
	const uint8_t *begin = begin_of(ear, message);
	struct icmp_quote quote;

	if (begin && icmp_quote_parse(begin, message->count, ear->is4, &quote) && ip_equal(&quote.source, &message->to))
		keep(ear->evidence, &quote, &message->from);
}

static void readable(uv_poll_t *poll, int status, int events)
{
	struct ear *ear = poll->data;
	struct message message;
	int taken = 0;

	(void)status;
	(void)events;
	while (taken < MESSAGES_A_TURN && receive(ear, &message)) {
		take(ear, &message);
		taken++;
	}
	if (taken < MESSAGES_A_TURN)
		return;
	uv_poll_stop(poll);
	uv_timer_start(&ear->rest, ear->rest.timer_cb, REST_MS, 0);
}

static void hear_on(uv_timer_t *timer)
{
	struct ear *ear = timer->data;

	uv_poll_start(&ear->poll, UV_READABLE, readable);
}

/* ---- sockets ------------------------------------------------------------------------------------------------------- */

/* Whether the quoted packet is a tunnel's; a packet begins with its IP header, ICMPv6 with its own. */
static const struct sock_filter filter4[] = {
	BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
	BPF_STMT(BPF_LD | BPF_B | BPF_IND, 8 + 9),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_IPIP, 5, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_IPV6, 4, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_GRE, 3, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 3),
	BPF_STMT(BPF_LD | BPF_H | BPF_IND, 8 + 20 + 2),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, HP_GUE_PORT, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, MESSAGE_BYTES),
	BPF_STMT(BPF_RET | BPF_K, 0),
};
static const struct sock_filter filter6[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8 + 6),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_IPIP, 5, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_IPV6, 4, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_GRE, 3, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 3),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 8 + 40 + 2),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, HP_GUE_PORT, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, MESSAGE_BYTES),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

/* Errors of these kinds alone. */
static int choose_types(int fd, bool is4)
{
	struct icmp_filter types4 = {~(1u << ICMP_DEST_UNREACH | 1u << ICMP_TIME_EXCEEDED)};
	struct icmp6_filter types6;
	int on = 1;

	if (is4)
		return setsockopt(fd, SOL_RAW, ICMP_FILTER, &types4, sizeof(types4));
	ICMP6_FILTER_SETBLOCKALL(&types6);
	ICMP6_FILTER_SETPASS(ICMP6_DST_UNREACH, &types6);
	ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &types6);
	ICMP6_FILTER_SETPASS(ICMP6_TIME_EXCEEDED, &types6);
	ICMP6_FILTER_SETPASS(ICMP6_PARAM_PROB, &types6);
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)))
		return -1;
	return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &types6, sizeof(types6));
}

/* Returns the socket, or -errno. It drops what it is not to hear before anything can come in. */
static int open_socket(bool is4)
{
	auto_close int fd = socket(is4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
				   is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	struct sock_fprog program = {
		.len = is4 ? sizeof(filter4) / sizeof(filter4[0]) : sizeof(filter6) / sizeof(filter6[0]),
		.filter = (struct sock_filter *)(uintptr_t)(is4 ? filter4 : filter6),
	};
	int bytes = BUFFER_BYTES;

	if (fd < 0 || choose_types(fd, is4) || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		return -errno;
	return take_fd(&fd);
}

static int open_ear(struct icmp_evidence *evidence, struct ear *ear, bool is4)
{
	int fd = open_socket(is4);

	if (fd == -EAFNOSUPPORT || fd == -EPROTONOSUPPORT)
		return 0;
	if (fd < 0)
		return fd;
	ear->evidence = evidence;
	ear->is4 = is4;
	ear->fd = fd;
	ear->poll.data = ear->rest.data = ear;
	uv_timer_init(evidence->loop, &ear->rest);
	ear->rest.timer_cb = hear_on;
	uv_poll_init(evidence->loop, &ear->poll, fd);
	evidence->open_handles += 2;
	uv_poll_start(&ear->poll, UV_READABLE, readable);
	return 0;
}

static void free_all(struct icmp_evidence *evidence)
{
	struct heard *row, *next;

	HASH_ITER(hh, evidence->table, row, next) {
		HASH_DEL(evidence->table, row);
		free(row);
	}
	for (size_t i = 0; i < 2; i++)
		if (evidence->ears[i].fd >= 0)
			close(evidence->ears[i].fd);
	free(evidence);
}

static void handle_closed(uv_handle_t *handle)
{
	struct icmp_evidence *evidence = ((struct ear *)handle->data)->evidence;

	if (!--evidence->open_handles)
		free_all(evidence);
}

void icmp_evidence_close(struct icmp_evidence *evidence)
{
	if (!evidence)
		return;
	if (!evidence->open_handles) {
		free_all(evidence);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		struct ear *ear = &evidence->ears[i];

		if (ear->fd < 0)
			continue;
		uv_close((uv_handle_t *)&ear->poll, handle_closed);
		uv_close((uv_handle_t *)&ear->rest, handle_closed);
	}
}

struct icmp_evidence *icmp_evidence_open(uv_loop_t *loop, const struct icmp_evidence_hooks *hooks, struct err *e)
{
	struct icmp_evidence *evidence = calloc(1, sizeof(*evidence));
	int code;

	if (!evidence) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	evidence->loop = loop;
	evidence->hooks = *hooks;
	evidence->ears[0].fd = evidence->ears[1].fd = -1;
	code = open_ear(evidence, &evidence->ears[0], true);
	if (!code)
		code = open_ear(evidence, &evidence->ears[1], false);
	if (!code)
		return evidence;
	err_set(e, code, "a socket that hears ICMP: %m%s", code == -EPERM ? " (CAP_NET_RAW is missing)" : "");
	icmp_evidence_close(evidence);
	return NULL;
}

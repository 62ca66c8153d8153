/* The kind icmp: an echo request. One raw socket a family serves all probes, as the mark goes with each message
 * (SO_MARK as control message, Linux 5.5): a socket a probe would have every socket look at every answer.
 *
 * A request bears the identifier of the socket, which is random and by which the kernel sorts out answers to others, a
 * sequence number, which is the probe's place in the table, and random bytes that an answer has to repeat. */
#include "daemon/probe_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PLACES		65536u
#define MESSAGES_A_TURN 64 /* of a flood; others want the loop as well */
#define RECEIVE_BYTES	(4 << 20)
#define NONCE_BYTES	48

/* What is sent, and what has to come back. Both families have type, code, checksum, identifier, sequence number. */
struct echo {
	uint8_t type, code;
	uint16_t checksum;
	uint16_t identifier, sequence;
	uint8_t nonce[NONCE_BYTES];
};

struct probe_echo {
	uv_poll_t poll;
	int fd;
	bool is4;
	uint16_t identifier; /* as it lies in the packet */
	uint16_t next;
	struct ask *asks[PLACES];
};

struct ask {
	struct probe probe;
	struct probe_echo *echo;
	uint16_t place;
	bool is_heard;
	uint8_t nonce[NONCE_BYTES];
};

/* ---- a probe ------------------------------------------------------------------------------------------------------------ */

static void late(struct probe *probe)
{
	char allowed[PROBE_TIME_BYTES];

	if (!((const struct ask *)probe)->is_heard)
		probe_say(probe, HEALTH_SILENT, "no answer within %s", probe_allowed(probe, allowed));
}

static void release(struct probe *probe)
{
	const struct ask *ask = (const struct ask *)probe;

	if (ask->echo->asks[ask->place] == ask)
		ask->echo->asks[ask->place] = NULL;
}

static const struct probe_deeds deeds = {.late = late, .release = release};

/* The probe whose request this is of, or quotes, or NULL. */
static struct ask *ask_of(const struct probe_echo *echo, const struct echo *message, size_t bytes)
{
	struct ask *ask;

	if (bytes < offsetof(struct echo, nonce) || message->identifier != echo->identifier)
		return NULL;
	ask = echo->asks[ntohs(message->sequence)];
	if (!ask)
		return NULL;
	bytes -= offsetof(struct echo, nonce);
	return memcmp(ask->nonce, message->nonce, bytes < NONCE_BYTES ? bytes : NONCE_BYTES) ? NULL : ask;
}

/* An answer from elsewhere is named only when none has come from where it should. */
static void answered(struct ask *ask, const struct ip *from)
{
	char theirs[IP_TEXT_BYTES], asked[IP_TEXT_BYTES];

	if (ip_equal(from, &ask->probe.target->address)) {
		ask->probe.result.from = (struct ip){{0}};
		probe_say(&ask->probe, HEALTH_GOOD, "%s", "");
		probe_finish(&ask->probe);
		return;
	}
	ask->is_heard = true;
	ask->probe.result.from = *from;
	probe_say(&ask->probe, HEALTH_STRANGER, "the answer came from %s, not from %s", ip_format(from, theirs),
		  ip_format(&ask->probe.target->address, asked));
}

/* ---- the socket --------------------------------------------------------------------------------------------------------- */

/* IPv4 hands out its own header as well. */
static bool take_answer(struct probe_echo *echo)
{
	uint8_t bytes[60 + sizeof(struct echo)] __attribute__((aligned(4)));
	struct sockaddr_storage at = {0};
	socklen_t at_bytes = sizeof(at);
	ssize_t got = recvfrom(echo->fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&at, &at_bytes);
	size_t head = echo->is4 ? (bytes[0] & 15u) * 4u : 0;
	const struct echo *message = (const struct echo *)(bytes + head);
	struct ask *ask;
	struct ip from;

	if (got < 0)
		return false;
	from = probe_ip(&at, NULL);
	if ((size_t)got < head + sizeof(*message) || message->type != (echo->is4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY))
		return true;
	ask = ask_of(echo, message, (size_t)got - head);
	if (ask)
		answered(ask, &from);
	return true;
}

static bool take_error(struct probe_echo *echo)
{
	struct echo quoted;
	size_t bytes = sizeof(quoted);
	struct health_result result = {.answer = HEALTH_SILENT};
	struct ask *ask;

	if (!probe_read_icmp(echo->fd, &result, &quoted, &bytes))
		return false;
	ask = ask_of(echo, &quoted, bytes);
	if (!ask)
		return true;
	ask->probe.result = result;
	probe_finish(&ask->probe);
	return true;
}

static void ready(uv_poll_t *poll, int status, int events)
{
	struct probe_echo *echo = poll->data;
	int turns = 0, error;
	socklen_t error_bytes = sizeof(error);

	(void)events;
	while (turns < MESSAGES_A_TURN && take_answer(echo))
		turns++;
	for (turns = 0; turns < MESSAGES_A_TURN && take_error(echo);)
		turns++;
	getsockopt(echo->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes); /* reading it takes it away */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, ready);
}

/* Of all ICMP that comes to this host, only answers that bear the identifier wake the loop. */
static int filter(const struct probe_echo *echo)
{
	struct sock_filter code4[] = {
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, offsetof(struct echo, identifier)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohs(echo->identifier), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_filter code6[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct echo, identifier)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohs(echo->identifier), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = sizeof(code4) / sizeof(code4[0]), .filter = code4};
	struct icmp_filter types4 = {.data = ~(1u << ICMP_ECHOREPLY)};
	struct icmp6_filter types6;

	if (echo->is4) {
		if (setsockopt(echo->fd, SOL_RAW, ICMP_FILTER, &types4, sizeof(types4)) < 0)
			return -errno;
	} else {
		ICMP6_FILTER_SETBLOCKALL(&types6);
		ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &types6);
		if (setsockopt(echo->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &types6, sizeof(types6)) < 0)
			return -errno;
		program = (struct sock_fprog){.len = sizeof(code6) / sizeof(code6[0]), .filter = code6};
	}
	return setsockopt(echo->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}

static int forbid_fragments(const struct probe_echo *echo)
{
	int how4 = IP_PMTUDISC_PROBE, how6 = IPV6_PMTUDISC_PROBE;

	return echo->is4 ? setsockopt(echo->fd, IPPROTO_IP, IP_MTU_DISCOVER, &how4, sizeof(how4))
			 : setsockopt(echo->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &how6, sizeof(how6));
}

static int open_socket(struct probe_echo *echo, struct err *e)
{
	const struct probe_target unmarked = {.address = echo->is4 ? ip_from4("\0\0\0\0") : (struct ip){{0}}};
	int bytes = RECEIVE_BYTES, code;

	echo->fd = probe_socket(&unmarked, SOCK_RAW, echo->is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, e);
	if (echo->fd < 0)
		return err_add(e, echo->fd, "icmp checks need CAP_NET_RAW");
	if (getrandom(&echo->identifier, sizeof(echo->identifier), 0) < 0)
		return err_set(e, -errno, "an identifier for echo requests: %m");
	if (forbid_fragments(echo) < 0)
		return err_set(e, -errno, "forbidding fragments of echo requests: %m");
	code = filter(echo);
	if (code)
		return err_set(e, code, "filter of a raw socket: %s", strerror(-code));
	if (setsockopt(echo->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(echo->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	return 0;
}

static struct probe_echo *echo_create(struct probe_shared *shared, bool is4, struct err *e)
{
	auto_free struct probe_echo *echo = calloc(1, sizeof(*echo));
	int code;

	if (!echo) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	echo->is4 = is4;
	code = open_socket(echo, e);
	if (!code) {
		code = uv_poll_init(shared->loop, &echo->poll, echo->fd);
		if (code)
			err_set(e, code, "watching a socket: %s", uv_strerror(code));
	}
	if (code) {
		if (echo->fd >= 0)
			close(echo->fd);
		return NULL;
	}
	echo->poll.data = echo;
	uv_poll_start(&echo->poll, UV_READABLE, ready);
	return take_ptr(echo);
}

static void echo_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void probe_echo_destroy(struct probe_echo *echo)
{
	if (!echo)
		return;
	uv_close((uv_handle_t *)&echo->poll, echo_closed);
	close(echo->fd);
}

/* ---- asking ------------------------------------------------------------------------------------------------------------- */

/* RFC 1071. The kernel writes that of ICMPv6. */
static uint16_t checksum(const void *bytes, size_t count)
{
	const uint16_t *word = bytes;
	uint32_t sum = 0;

	for (; count > 1; count -= 2)
		sum += *word++;
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t) ~(sum + (sum >> 16));
}

static bool take_place(struct probe_echo *echo, struct ask *ask)
{
	for (uint32_t i = 0; i < PLACES; i++) {
		uint16_t place = echo->next++;

		if (echo->asks[place])
			continue;
		ask->place = place;
		echo->asks[place] = ask;
		return true;
	}
	return false;
}

/* bytes: of the payload, with the nonce. Zeros count for nothing in the checksum. */
static ssize_t send_marked(int fd, const struct probe_target *target, struct echo *request, size_t bytes)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(target->mark))];
	} control = {
		.head = {.cmsg_len = CMSG_LEN(sizeof(target->mark)), .cmsg_level = SOL_SOCKET, .cmsg_type = SO_MARK}};
	static const uint8_t zeros[UINT16_MAX];
	struct iovec parts[2] = {{.iov_base = request, .iov_len = sizeof(*request)}, {.iov_base = (void *)zeros}};
	struct sockaddr_storage to;
	struct msghdr message = {.msg_name = &to, .msg_iov = parts, .msg_iovlen = 2};

	if (bytes > NONCE_BYTES)
		parts[1].iov_len = (bytes < sizeof(zeros) ? bytes : sizeof(zeros)) - NONCE_BYTES;

	message.msg_namelen = probe_sockaddr(&to, &target->address, 0);
	if (target->mark) {
		memcpy(CMSG_DATA(&control.head), &target->mark, sizeof(target->mark));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	return sendmsg(fd, &message, MSG_DONTWAIT);
}

static int ask_now(struct ask *ask, struct err *e)
{
	struct echo request = {
		.type = ask->echo->is4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST,
		.identifier = ask->echo->identifier,
		.sequence = htons(ask->place),
	};
	const struct probe_target *target = ask->probe.target;
	size_t bytes = ask->probe.health->send_bytes;

	memcpy(request.nonce, ask->nonce, NONCE_BYTES);
	request.checksum = ask->echo->is4 ? checksum(&request, sizeof(request)) : 0;
	/* The first error may be about another's packet: the socket tells of it whatever it is asked to do next. */
	if (send_marked(ask->echo->fd, target, &request, bytes) < 0 && send_marked(ask->echo->fd, target, &request, bytes) < 0)
		return err_set(e, -errno, "sending an echo request: %m");
	return 0;
}

static struct probe *start(struct probe_shared *shared, const struct config_health *health,
			   const struct probe_target *target, probe_done *done, void *context, struct err *e)
{
	bool is4 = ip_is4(&target->address);
	struct probe_echo **echo = &shared->echo[!is4];
	auto_free struct ask *ask = calloc(1, sizeof(*ask));

	if (!ask || getrandom(ask->nonce, NONCE_BYTES, 0) != NONCE_BYTES) {
		err_set(e, -errno, "%m");
		return NULL;
	}
	if (!*echo)
		*echo = echo_create(shared, is4, e);
	if (!*echo)
		return NULL;
	ask->echo = *echo;
	if (!take_place(*echo, ask)) {
		err_set(e, -EAGAIN, "%u echo requests wait for their answers already", PLACES);
		return NULL;
	}
	probe_begin(&ask->probe, shared, health, target, &deeds, done, context);
	if (!ask_now(ask, e))
		return &take_ptr(ask)->probe;
	probe_end(&take_ptr(ask)->probe);
	return NULL;
}

const struct probe_kind probe_icmp = {"icmp", start, probe_end};

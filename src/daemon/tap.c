/* Taps: see tap.h. The kernel's filter drops all but what is wished for, so that clients' packets cost no wake-up. */
#include "daemon/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define HEADER_BYTES 40u /* of IPv6; that of IPv4 ends before */
#define PACKETS_A_TURN 64
#define FILTER_MOST 20
#define WORD(at) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define BYTE(at) BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at)
/* The next statement if equal; else the last one, which is put in when the length is known. */
#define UNLESS(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 0xff)

struct tap {
	uv_poll_t poll;
	int fd;
	struct tap_wish wish;
	bool has_seen;
};

/* ---- the kernel's filter --------------------------------------------------------------------------------------------- */

struct code {
	struct sock_filter line[FILTER_MOST];
	unsigned short count;
};

static void add(struct code *code, struct sock_filter line)
{
	code->line[code->count++] = line;
}

static void compare_address(struct code *code, const struct ip *address)
{
	uint32_t at = ip_is4(address) ? offsetof(struct iphdr, saddr) : offsetof(struct ipv6hdr, saddr);

	for (size_t i = ip_is4(address) ? 12 : 0; i < sizeof(address->byte); i += 4, at += 4) {
		uint32_t word;

		memcpy(&word, address->byte + i, sizeof(word));
		add(code, (struct sock_filter)WORD(at));
		add(code, (struct sock_filter)UNLESS(ntohl(word)));
	}
}

static void compare_rest(struct code *code, const struct tap_wish *wish)
{
	bool is4 = ip_is4(&wish->from);

	add(code, (struct sock_filter)BYTE(is4 ? offsetof(struct iphdr, protocol) : offsetof(struct ipv6hdr, nexthdr)));
	add(code, (struct sock_filter)UNLESS(wish->protocol));
	if (is4)
		add(code, (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0));
	else
		add(code, (struct sock_filter)BPF_STMT(BPF_LDX | BPF_IMM, HEADER_BYTES));
	add(code, (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0));
	add(code, (struct sock_filter)UNLESS(wish->port));
	add(code, (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_IND, sizeof(wish->port)));
	add(code, (struct sock_filter)UNLESS(wish->to_port));
}

static int attach_filter(const struct tap *tap)
{
	struct code code = {.count = 0};
	struct sock_fprog program = {.filter = code.line};

	compare_address(&code, &tap->wish.from);
	compare_rest(&code, &tap->wish);
	add(&code, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, HEADER_BYTES));
	add(&code, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0));
	for (unsigned short i = 0; i < code.count; i++)
		if (code.line[i].jf == 0xff)
			code.line[i].jf = (uint8_t)(code.count - 2 - i);
	program.len = code.count;
	return setsockopt(tap->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}

/* ---- packets ------------------------------------------------------------------------------------------------------------ */

/* Returns false when none waits. */
static bool take(struct tap *tap)
{
	bool is4 = ip_is4(&tap->wish.from);
	uint8_t bytes[HEADER_BYTES];
	struct sockaddr_ll at = {0};
	socklen_t at_bytes = sizeof(at);
	ssize_t got = recvfrom(tap->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&at, &at_bytes);
	struct ip to;

	if (got < 0)
		return false;
	if (at.sll_pkttype != PACKET_HOST || (size_t)got < (is4 ? sizeof(struct iphdr) : HEADER_BYTES))
		return true;
	to = is4 ? ip_from4(bytes + offsetof(struct iphdr, daddr)) : ip_from6(bytes + offsetof(struct ipv6hdr, daddr));
	tap->has_seen |= tap->wish.is_own(tap->wish.context, &to);
	return true;
}

static void ready(uv_poll_t *poll, int status, int events)
{
	struct tap *tap = poll->data;

	(void)status;
	(void)events;
	for (int i = 0; i < PACKETS_A_TURN && take(tap); i++)
		;
}

bool tap_has_seen(struct tap *tap)
{
	ready(&tap->poll, 0, 0); /* what waits has come before whoever asks */
	return tap->has_seen;
}

/* ---- opening and closing -------------------------------------------------------------------------------------------------- */

/* Of no protocol until the filter is in, so that nothing else is taken in before. */
static int open_socket(struct tap *tap, struct err *e)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET};
	int code;

	at.sll_protocol = htons(ip_is4(&tap->wish.from) ? ETH_P_IP : ETH_P_IPV6);
	tap->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (tap->fd < 0)
		return err_set(e, -errno, "a packet socket, to see answers arrive: %m");
	code = attach_filter(tap);
	if (code)
		return err_set(e, code, "filter of a packet socket: %s", strerror(-code));
	if (bind(tap->fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return err_set(e, -errno, "binding a packet socket: %m");
	return 0;
}

struct tap *tap_open(uv_loop_t *loop, const struct tap_wish *wish, struct err *e)
{
	auto_free struct tap *tap = calloc(1, sizeof(*tap));
	int code;

	if (!tap) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	tap->wish = *wish;
	code = open_socket(tap, e);
	if (!code) {
		code = uv_poll_init(loop, &tap->poll, tap->fd);
		if (code)
			err_set(e, code, "watching a packet socket: %s", uv_strerror(code));
	}
	if (code) {
		if (tap->fd >= 0)
			close(tap->fd);
		return NULL;
	}
	tap->poll.data = tap;
	uv_poll_start(&tap->poll, UV_READABLE, ready);
	return take_ptr(tap);
}

static void closed(uv_handle_t *handle)
{
	free(handle->data);
}

void tap_close(struct tap *tap)
{
	if (!tap)
		return;
	uv_close((uv_handle_t *)&tap->poll, closed);
	close(tap->fd);
}

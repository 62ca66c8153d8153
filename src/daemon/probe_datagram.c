/* Questions by UDP: one datagram out, and the first that answers it in. For probe_udp.c and probe_dns.c.
 *
 * The socket is not connected: a server whose socket is bound to no address answers from the backend's own, and a
 * connected socket would take that for silence. Whoever else sends to its port is not believed: what comes from another
 * address is named only when the time is over and no answer has come from where it should. */
#include "daemon/probe_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATAGRAMS_A_TURN    16 /* of a flood; others want the loop as well */
#define DATAGRAM_BYTES_MOST 65535

static void late(struct probe *probe)
{
	const struct probe_datagram *ask = (const struct probe_datagram *)probe;
	char allowed[PROBE_TIME_BYTES];

	if (!ask->is_heard)
		probe_say(probe, HEALTH_SILENT, "no answer within %s", probe_allowed(probe, allowed));
}

static void release(struct probe *probe)
{
	struct probe_datagram *ask = (struct probe_datagram *)probe;

	if (ask->poll.data)
		probe_close(probe, (uv_handle_t *)&ask->poll);
	if (ask->fd >= 0)
		close(ask->fd);
}

static const struct probe_deeds deeds = {.late = late, .release = release};

/* From elsewhere than asked. Noise unless it would be an answer. */
static void judge_stranger(struct probe_datagram *ask, const struct ip *from, uint16_t port, const uint8_t *bytes,
			   size_t count)
{
	struct health_result former = ask->probe.result;
	const struct probe_target *target = ask->probe.target;
	char theirs[IP_TEXT_BYTES], asked[IP_TEXT_BYTES];

	ask->judge(&ask->probe, bytes, count);
	if (ask->probe.result.answer != HEALTH_GOOD) {
		ask->probe.result = former;
		return;
	}
	ask->is_heard = true;
	ask->probe.result.from = *from;
	probe_say(&ask->probe, HEALTH_STRANGER, "the answer came from %s port %u, not from %s port %u",
		  ip_format(from, theirs), port, ip_format(&target->address, asked), target->port);
}

/* Read one datagram. Returns whether the probe is over; *has_more: whether another may wait. */
static bool take(struct probe_datagram *ask, bool *has_more)
{
	static uint8_t bytes[DATAGRAM_BYTES_MOST];
	const struct probe_target *target = ask->probe.target;
	struct sockaddr_storage at = {0};
	socklen_t at_bytes = sizeof(at);
	ssize_t got = recvfrom(ask->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&at, &at_bytes);
	uint16_t port;
	struct ip from;

	*has_more = got >= 0;
	if (got < 0)
		return false;
	from = probe_ip(&at, &port);
	if (port != target->port || !ip_equal(&from, &target->address)) {
		judge_stranger(ask, &from, port, bytes, (size_t)got);
		return false;
	}
	ask->is_heard = true;
	ask->probe.result.from = (struct ip){{0}};
	return ask->judge(&ask->probe, bytes, (size_t)got);
}

static void ready(uv_poll_t *poll, int status, int events)
{
	struct probe_datagram *ask = poll->data;
	bool has_more = true;

	(void)events;
	if (probe_read_icmp(ask->fd, &ask->probe.result, NULL, NULL)) {
		probe_finish(&ask->probe);
		return;
	}
	for (int i = 0; i < DATAGRAMS_A_TURN && has_more; i++)
		if (take(ask, &has_more)) {
			probe_finish(&ask->probe);
			return;
		}
	if (status < 0) /* libuv stops at an error, which has been read by now */
		uv_poll_start(poll, UV_READABLE, ready);
}

static int ask_now(struct probe_datagram *ask, const void *question, size_t bytes, struct err *e)
{
	const struct probe_target *target = ask->probe.target;
	struct sockaddr_storage to;
	socklen_t to_bytes = probe_sockaddr(&to, &target->address, target->port);
	int code;

	ask->fd = probe_socket(target, SOCK_DGRAM, 0, e);
	if (ask->fd < 0)
		return ask->fd;
	if (sendto(ask->fd, question, bytes, MSG_NOSIGNAL, (const struct sockaddr *)&to, to_bytes) < 0)
		return err_set(e, -errno, "sending the question: %m");
	code = probe_watch(&ask->probe, &ask->poll, ask->fd, UV_READABLE, ready);
	return code ? err_set(e, code, "watching a socket: %s", uv_strerror(code)) : 0;
}

struct probe *probe_datagram_start(struct probe_shared *shared, const struct config_health *health,
				   const struct probe_target *target, probe_done *done, void *context,
				   const void *question, size_t bytes, probe_judge *judge, uint16_t id, struct err *e)
{
	struct probe_datagram *ask = calloc(1, sizeof(*ask));

	if (!ask) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	ask->judge = judge;
	ask->id = id;
	ask->fd = -1;
	probe_begin(&ask->probe, shared, health, target, &deeds, done, context);
	if (!ask_now(ask, question, bytes, e))
		return &ask->probe;
	probe_end(&ask->probe);
	return NULL;
}

/* The kind tcp: a connection that is accepted is good, and ends at once. */
#include "daemon/probe_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct tcp {
	struct probe probe;
	uv_poll_t poll;
	int fd;
};

static void late(struct probe *probe)
{
	char allowed[PROBE_TIME_BYTES];

	probe_say(probe, HEALTH_SILENT, "no answer within %s", probe_allowed(probe, allowed));
}

static void release(struct probe *probe)
{
	struct tcp *tcp = (struct tcp *)probe;

	if (tcp->poll.data)
		probe_close(probe, (uv_handle_t *)&tcp->poll);
	if (tcp->fd >= 0)
		close(tcp->fd);
}

static const struct probe_deeds deeds = {.late = late, .release = release};

static void ready(uv_poll_t *poll, int status, int events)
{
	struct tcp *tcp = poll->data;
	struct probe *probe = &tcp->probe;
	int error = 0;
	socklen_t bytes = sizeof(error);

	(void)status;
	(void)events;
	if (!probe_read_icmp(tcp->fd, &probe->result, NULL, NULL)) {
		getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
		if (error)
			probe_say_error(probe, error);
		else
			probe_say(probe, HEALTH_GOOD, "%s", "");
	}
	probe_finish(probe);
}

static int connect_now(struct tcp *tcp, struct err *e)
{
	const struct probe_target *target = tcp->probe.target;
	struct sockaddr_storage to;
	socklen_t bytes = probe_sockaddr(&to, &target->address, target->port);
	int code;

	tcp->fd = probe_socket(target, SOCK_STREAM, 0, e);
	if (tcp->fd < 0)
		return tcp->fd;
	if (connect(tcp->fd, (const struct sockaddr *)&to, bytes) < 0 && errno != EINPROGRESS)
		return err_set(e, -errno, "connecting: %m");
	code = probe_watch(&tcp->probe, &tcp->poll, tcp->fd, UV_WRITABLE, ready);
	return code ? err_set(e, code, "watching a socket: %s", uv_strerror(code)) : 0;
}

static struct probe *start(struct probe_shared *shared, const struct config_health *health,
			   const struct probe_target *target, probe_done *done, void *context, struct err *e)
{
	struct tcp *tcp = calloc(1, sizeof(*tcp));

	if (!tcp) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	tcp->fd = -1;
	probe_begin(&tcp->probe, shared, health, target, &deeds, done, context);
	if (!connect_now(tcp, e))
		return &tcp->probe;
	probe_end(&tcp->probe);
	return NULL;
}

const struct probe_kind probe_tcp = {"tcp", start, probe_end};

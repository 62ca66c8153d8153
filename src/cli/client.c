/* One request over the Unix socket: see client.h. */
#include "cli/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/cleanup.h"

#define REPLY_MOST_BYTES (256u << 20)
#define PATIENCE_S 60

static int explain(const char *path, int code, struct err *e)
{
	switch (-code) {
	case ENOENT:
	case ECONNREFUSED:
		return err_set(e, code,
			       "no halfproxyd answers on %s: start it (halfproxyd -c FILE), or name its socket with "
			       "--socket PATH or HALFPROXY_SOCKET",
			       path);
	case EACCES:
	case EPERM:
		return err_set(e, code, "%s: %m: root and the members of the API's group (halfproxy) may use it", path);
	default:
		return err_set(e, code, "%s: %m", path);
	}
}

static int open_socket(const char *path, struct err *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(e, -errno, "socket: %m");
	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(e, -ENAMETOOLONG, "%s: %m", path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return explain(path, -errno, e);
	return take_fd(&fd);
}

static int send_all(int fd, const char *bytes, size_t count)
{
	while (count) {
		ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		bytes += sent;
		count -= (size_t)sent;
	}
	return 0;
}

/* Everything until the other side closes, zero-terminated. */
static int receive_all(int fd, char **out, size_t *count)
{
	auto_free char *bytes = NULL;
	size_t room = 0;
	ssize_t got;

	*count = 0;
	do {
		if (*count + 1 >= room) {
			char *grown;

			room = room ? room * 2 : 65536;
			if (room > REPLY_MOST_BYTES)
				return -EMSGSIZE;
			grown = realloc(bytes, room);
			if (!grown)
				return -ENOMEM;
			bytes = grown;
		}
		got = recv(fd, bytes + *count, room - *count - 1, 0);
		if (got < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		*count += (size_t)got;
	} while (got);
	bytes[*count] = '\0';
	*out = take_ptr(bytes);
	return 0;
}

int client_read_reply(const char *bytes, size_t count, struct client_reply *reply, struct err *e)
{
	const char *body = strstr(bytes, "\r\n\r\n");
	json_error_t where;
	unsigned int status;
	char digits[4];
	json_t *read;

	/* Digits alone, and three at most: as a number scanf would take a sign, and what does not fit. */
	if (sscanf(bytes, "HTTP/1.%*1[0-9] %3[0-9]", digits) != 1 || !body)
		return err_set(e, -EPROTO, "the answer is not HTTP: does another program own the socket?");
	status = (unsigned int)strtoul(digits, NULL, 10);
	body += 4;
	read = json_loadb(body, count - (size_t)(body - bytes), JSON_DECODE_ANY, &where);
	if (!read)
		return err_set(e, -EPROTO, "the answer (status %u) is not JSON: %s", status, where.text);
	*reply = (struct client_reply){status, read};
	return 0;
}

int client_ask(const char *socket, const char *method, const char *target, const char *body, size_t body_bytes,
	       struct client_reply *reply, struct err *e)
{
	auto_close int fd = open_socket(socket, e);
	auto_free char *bytes = NULL;
	char head[4096];
	size_t count;
	int code;

	if (fd < 0)
		return fd;
	snprintf(head, sizeof(head),
		 "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/octet-stream\r\n"
		 "Content-Length: %zu\r\n\r\n",
		 method, target, body_bytes);
	code = send_all(fd, head, strlen(head));
	if (!code)
		code = send_all(fd, body, body_bytes);
	/* A daemon that refuses a body early answers all the same. */
	if (code && code != -EPIPE)
		return err_set(e, code, "%s: sending: %m", socket);
	code = receive_all(fd, &bytes, &count);
	if (code)
		return err_set(e, code, "%s: waiting for the answer: %m", socket);
	return client_read_reply(bytes, count, reply, e);
}

void client_encode(char *target, size_t room, const char *value)
{
	size_t at = strlen(target);

	for (; *value && at + 4 < room; value++) {
		unsigned char c = (unsigned char)*value;
		int is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._~", c);

		at += (size_t)snprintf(target + at, room - at, is_plain ? "%c" : "%%%02X", c);
	}
}

/* marked: a web client whose packets bear a firewall mark, as a probe's do, which curl's cannot. For tests.
 *
 *     marked MARK ADDRESS PORT BYTES     POST /upload with a body of so many bytes
 *
 * Prints the body of the answer. It fails unless every byte that was sent has been acknowledged by
 * the other end, and the answer came within 5 s. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <unistd.h>

#define PATIENCE_S 5

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int reach(uint32_t mark, const char *address, uint16_t port)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	const struct linger reset = {.l_onoff = 1};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	bool is4 = inet_pton(AF_INET, address, &to4.sin_addr) == 1;
	int fd = socket(is4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);

	if (!is4 && inet_pton(AF_INET6, address, &to6.sin6_addr) != 1)
		exit(2);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)))
		fail("socket");
	if (is4 ? connect(fd, (struct sockaddr *)&to4, sizeof(to4)) : connect(fd, (struct sockaddr *)&to6, sizeof(to6)))
		fail("connect");
	return fd;
}

static void say(int fd, const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t sent = write(fd, text, bytes);

		if (sent < 0)
			fail("write");
		text += sent;
		bytes -= (size_t)sent;
	}
}

/* Whether the other end has all that was sent. */
static bool is_acknowledged(int fd)
{
	int left = 1;

	for (int i = 0; i < PATIENCE_S * 100 && left; i++) {
		if (ioctl(fd, SIOCOUTQ, &left))
			fail("SIOCOUTQ");
		if (left)
			usleep(10000);
	}
	return !left;
}

static void hear(int fd)
{
	static char answer[65536];
	size_t used = 0;
	char *body;
	ssize_t got;

	while (used < sizeof(answer) - 1 && (got = read(fd, answer + used, sizeof(answer) - 1 - used)) > 0)
		used += (size_t)got;
	body = strstr(answer, "\r\n\r\n");
	if (!body)
		fail("read");
	fputs(body + 4, stdout);
}

int main(int argc, char **argv)
{
	char head[128];
	size_t bytes;
	char *body;
	int fd;

	if (argc != 5)
		return 2;
	bytes = strtoul(argv[4], NULL, 0);
	body = malloc(bytes + 1);
	if (!body)
		return 2;
	for (size_t i = 0; i < bytes; i++)
		body[i] = (char)('a' + i % 23);
	fd = reach((uint32_t)strtoul(argv[1], NULL, 0), argv[2], (uint16_t)strtoul(argv[3], NULL, 0));
	snprintf(head, sizeof(head), "POST /upload HTTP/1.0\r\nContent-Length: %zu\r\n\r\n", bytes);
	say(fd, head, strlen(head));
	say(fd, body, bytes);
	if (!is_acknowledged(fd)) {
		fputs("not all of it was acknowledged\n", stderr);
		return 1;
	}
	hear(fd);
	close(fd);
	free(body);
	return 0;
}

/* held: clients that hold many flows, and say at once which one broke and how. For rig/held.sh.
 *
 *     held keep SOURCE VIP PORT COUNT EVERY_MS          a request on each of COUNT connections every so often
 *     held new SOURCE VIP PORT COUNT EVERY_MS           the same, but each request on a connection of its own
 *     held same SOURCE VIP PORT COUNT EVERY_MS          as new, but always from the same COUNT ports, and ended by RST
 *     held name SOURCE VIP PORT COUNT EVERY_MS          a name server asked from each of COUNT UDP sockets every so often
 *     held half SOURCE VIP PORT COUNT BYTES_S FILE      downloads of /file at that rate, the client's half closed at once
 *
 * What GET /who answers names the backend and the connection as the backend knows it, the text of www.halfproxy.test names
 * the backend: they must stay the same for as long as a flow is held. It prints a line for each event, begun with the time
 * in ms; PORT is the client's:
 *
 *     MS open PORT WHO          first answer on a connection that is held
 *     MS answered PORT WHO      an answer on a new one
 *     MS broken PORT WHO WHY    it ended by itself, got no answer for 20 s, one of another; it is opened anew. How long the
 *                               client itself had been silent stands beside it
 *     MS whole PORT WHO         the download is complete
 *     MS held PORT WHO N        at the end: a connection that is open, after N answers or bytes
 *
 * At the end (SIGTERM) it waits for up to 10 s until each has been heard of once more; the others are broken. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MOST 1024
#define SILENCE_MS 20000	/* TCP sends again what a busy machine lost */
#define LAST_LOOK_MS 10000
#define LIFE_S 300		/* whoever started it may be gone */
#define SAME_PORT 20000
#define HALF_EVERY_MS 50
#define HALF_BUFFER_BYTES 16384

enum held_mode { HELD_KEEP, HELD_NEW, HELD_SAME, HELD_NAME, HELD_HALF };
enum held_state { HELD_CLOSED, HELD_CONNECTING, HELD_ASKED, HELD_RESTING, HELD_DONE };

struct held {
	int fd;
	enum held_state state;
	unsigned int port;
	char who[64];			/* backend and its number for the connection; empty until answered */
	uint64_t count;			/* answers, or bytes of the body */
	int64_t due_ms, heard_ms, waits_ms; /* when it acts next, was heard of last, began to wait */
	int64_t spoke_ms, silent_ms;	/* when it last sent or took in something, and the longest time that it did not */
	size_t used;
	char text[2048];
};

struct address {
	struct sockaddr_storage at;
	socklen_t bytes;
};

static struct {
	enum held_mode mode;
	struct address source, vip;
	int connections;
	int64_t every_ms;
	size_t portion_bytes;		/* of a download, at each turn */
	const char *file;
	size_t file_bytes;
} setting;
static struct held held[CONNECTIONS_MOST];
static volatile sig_atomic_t is_ending;

static int64_t now_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say(const char *event, const struct held *h, const char *format, ...)
{
	va_list values;

	printf("%lld %s %u %s", (long long)now_ms(CLOCK_REALTIME), event, h->port, *h->who ? h->who : "nobody");
	va_start(values, format);
	vprintf(format, values);
	va_end(values);
	putchar('\n');
}

static void let_go(struct held *h, int64_t due_ms)
{
	close(h->fd);
	h->fd = -1;
	h->state = HELD_CLOSED;
	h->due_ms = due_ms;
}

static void spoke(struct held *h)
{
	int64_t ms = now_ms(CLOCK_MONOTONIC);

	if (ms - h->spoke_ms > h->silent_ms)
		h->silent_ms = ms - h->spoke_ms;
	h->spoke_ms = ms;
}

static void broke(struct held *h, const char *why)
{
	say("broken", h, " %s, silent for at most %lld ms", why, (long long)h->silent_ms);
	let_go(h, now_ms(CLOCK_MONOTONIC) + setting.every_ms);
}

static void broke_by(struct held *h, int error)
{
	broke(h, error ? strerror(error) : "closed by the other side");
}

static void note_port(struct held *h)
{
	struct sockaddr_storage own;
	socklen_t bytes = sizeof(own);

	if (!getsockname(h->fd, (struct sockaddr *)&own, &bytes))
		h->port = ntohs(own.ss_family == AF_INET ? ((const struct sockaddr_in *)&own)->sin_port :
							   ((const struct sockaddr_in6 *)&own)->sin6_port);
}

/* Each connection has its port, and lets it go at once. */
static void take_same_port(const struct held *h, struct address *own)
{
	const struct linger none = { .l_onoff = 1 };
	int yes = 1;
	in_port_t port = htons((uint16_t)(SAME_PORT + (h - held)));

	setsockopt(h->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	setsockopt(h->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (own->at.ss_family == AF_INET)
		((struct sockaddr_in *)&own->at)->sin_port = port;
	else
		((struct sockaddr_in6 *)&own->at)->sin6_port = port;
}

static void open_connection(struct held *h)
{
	struct address own = setting.source;
	int type = (setting.mode == HELD_NAME ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int yes = 1, small = HALF_BUFFER_BYTES;

	h->port = 0;
	h->count = h->used = 0;
	h->who[0] = '\0';
	h->heard_ms = h->waits_ms = h->spoke_ms = now_ms(CLOCK_MONOTONIC);
	h->silent_ms = 0;
	h->fd = socket(setting.vip.at.ss_family, type, 0);
	setsockopt(h->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
	setsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (setting.mode == HELD_HALF)
		setsockopt(h->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (setting.mode == HELD_SAME)
		take_same_port(h, &own);
	h->state = HELD_CONNECTING;
	if (h->fd < 0 || bind(h->fd, (const struct sockaddr *)&own.at, own.bytes) ||
	    (connect(h->fd, (const struct sockaddr *)&setting.vip.at, setting.vip.bytes) && errno != EINPROGRESS))
		broke_by(h, errno);
	else
		note_port(h);
}

static void ask(struct held *h)
{
	static const char who[] = "GET /who HTTP/1.1\r\nHost: held\r\n\r\n", file[] = "GET /file HTTP/1.0\r\n\r\n";
	/* RFC 1035, 4.1: a header with one question, for TXT in IN. */
	static const char name[] = "hp\1\0\0\1\0\0\0\0\0\0\3www\11halfproxy\4test\0\0\20\0\1";
	const char *text = setting.mode == HELD_HALF ? file : setting.mode == HELD_NAME ? name : who;
	size_t bytes = setting.mode == HELD_NAME ? sizeof(name) - 1 : strlen(text);

	spoke(h);
	if (send(h->fd, text, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) {
		broke_by(h, errno);
		return;
	}
	if (setting.mode == HELD_HALF)
		shutdown(h->fd, SHUT_WR);
	h->state = HELD_ASKED;
	h->used = 0;
	h->waits_ms = h->spoke_ms;
	h->due_ms = (h->due_ms < h->spoke_ms - setting.every_ms ? h->spoke_ms : h->due_ms) + setting.every_ms;
}

/* The body of the answer in h->text when it is whole, else NULL. */
static char *body_of(struct held *h)
{
	static const char hello[] = "hello from ";
	char *head_end, *length;

	h->text[h->used] = '\0';
	if (setting.mode == HELD_NAME) {
		char *found = memmem(h->text, h->used, hello, strlen(hello));

		return found ? found + strlen(hello) : NULL;
	}
	head_end = strstr(h->text, "\r\n\r\n");
	length = strcasestr(h->text, "\r\nContent-Length:");
	if (!head_end || !length || strlen(head_end + 4) < strtoul(length + 17, NULL, 10))
		return NULL;
	head_end[4 + strcspn(head_end + 4, "\r\n")] = '\0';
	return head_end + 4;
}

/* A whole answer to /who has come. */
static void answered(struct held *h, const char *body)
{
	if (setting.mode == HELD_NEW || setting.mode == HELD_SAME) {
		snprintf(h->who, sizeof(h->who), "%s", body);
		say("answered", h, "");
		let_go(h, h->due_ms);
		return;
	}
	if (!*h->who) {
		snprintf(h->who, sizeof(h->who), "%s", body);
		say("open", h, "");
	} else if (strcmp(h->who, body)) {
		char why[128];

		snprintf(why, sizeof(why), "another answered: %s", body);
		broke(h, why);
		return;
	}
	h->count++;
	h->state = HELD_RESTING;
}

static void read_answer(struct held *h)
{
	size_t from = setting.mode == HELD_NAME ? 0 : h->used;
	ssize_t got = recv(h->fd, h->text + from, sizeof(h->text) - 1 - from, 0);
	const char *body;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		broke_by(h, got ? errno : 0);
		return;
	}
	h->heard_ms = h->waits_ms = now_ms(CLOCK_MONOTONIC);
	h->used = from + (size_t)got;
	body = body_of(h);
	if (body)
		answered(h, body);
	else if (h->used == sizeof(h->text) - 1)
		broke(h, "an answer that is no answer");
}

/* What came of a download's body: whether it is what the file has there. */
static bool is_of_file(struct held *h, const char *bytes, size_t count)
{
	if (h->count + count > setting.file_bytes || memcmp(setting.file + h->count, bytes, count))
		return false;
	h->count += count;
	return true;
}

/* The next portion of a download; its head lies in h->text until it is whole. */
static void read_portion(struct held *h)
{
	static char portion[1 << 20];
	ssize_t got = recv(h->fd, portion, setting.portion_bytes, 0);
	const char *body = portion;

	if (got > 0)
		spoke(h);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0 && h->count == setting.file_bytes) {
		say("whole", h, "");
		let_go(h, 0);
		h->state = HELD_DONE;
		return;
	}
	if (got <= 0) {
		broke_by(h, got ? errno : 0);
		return;
	}
	h->heard_ms = h->waits_ms = now_ms(CLOCK_MONOTONIC);
	if (!*h->who) {
		size_t before = h->used;
		const char *end;

		h->used += (size_t)got < sizeof(h->text) - 1 - before ? (size_t)got : sizeof(h->text) - 1 - before;
		memcpy(h->text + before, portion, h->used - before);
		h->text[h->used] = '\0';
		end = strstr(h->text, "\r\n\r\n");
		if (!end)
			return;
		body = portion + (end + 4 - (h->text + before));
		snprintf(h->who, sizeof(h->who), "half-closed");
		say("open", h, "");
	}
	if (!is_of_file(h, body, (size_t)(portion + got - body)))
		broke(h, "a byte that is not the file's");
}

static void readable(struct held *h)
{
	if (h->state == HELD_RESTING)
		broke_by(h, recv(h->fd, h->text, 1, 0) < 0 ? errno : 0);
	else if (setting.mode == HELD_HALF)
		read_portion(h);
	else
		read_answer(h);
}

static void connected(struct held *h)
{
	int error = 0;
	socklen_t bytes = sizeof(error);

	getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
	if (error)
		broke_by(h, error);
	else
		ask(h);
}

/* What a connection does when its time has come, and what it waits for then. */
static short turn(struct held *h, int64_t ms)
{
	if (h->state == HELD_CLOSED && h->due_ms <= ms)
		open_connection(h);
	else if (h->state == HELD_RESTING && h->due_ms <= ms)
		ask(h);
	if ((h->state == HELD_CONNECTING || h->state == HELD_ASKED) && ms - h->waits_ms > SILENCE_MS)
		broke(h, "unanswered for 20 s");
	if (h->state == HELD_CONNECTING)
		return POLLOUT;
	if (setting.mode == HELD_HALF && h->state == HELD_ASKED) { /* a portion at a time, so that the window stays small */
		if (h->due_ms > ms)
			return 0;
		h->due_ms += HALF_EVERY_MS;
	}
	return h->state == HELD_ASKED || h->state == HELD_RESTING ? POLLIN : 0;
}

static void work(void)
{
	static struct pollfd wait[CONNECTIONS_MOST];
	int64_t ms = now_ms(CLOCK_MONOTONIC);

	for (int i = 0; i < setting.connections; i++) {
		short events = turn(&held[i], ms);

		wait[i] = (struct pollfd){ .fd = events ? held[i].fd : -1, .events = events };
	}
	if (poll(wait, (nfds_t)setting.connections, 5) <= 0)
		return;
	for (int i = 0; i < setting.connections; i++) {
		if (!wait[i].revents)
			continue;
		if (held[i].state == HELD_CONNECTING)
			connected(&held[i]);
		else
			readable(&held[i]);
	}
}

static bool all_heard_since(int64_t ms)
{
	for (int i = 0; i < setting.connections; i++)
		if (held[i].fd >= 0 && held[i].heard_ms <= ms)
			return false;
	return true;
}

/* What each connection is at the end. */
static void last_look(int64_t end_ms)
{
	while (!all_heard_since(end_ms) && now_ms(CLOCK_MONOTONIC) < end_ms + LAST_LOOK_MS)
		work();
	for (int i = 0; i < setting.connections; i++) {
		if (held[i].fd < 0)
			continue;
		if (held[i].heard_ms > end_ms)
			say("held", &held[i], " %llu", (unsigned long long)held[i].count);
		else
			broke(&held[i], "stands still");
	}
}

static bool read_address(const char *text, const char *port, struct address *address)
{
	struct sockaddr_in *four = (struct sockaddr_in *)&address->at;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address->at;
	in_port_t number = htons((uint16_t)atoi(port));

	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = number;
		address->bytes = sizeof(*four);
		return true;
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = number;
	address->bytes = sizeof(*six);
	return inet_pton(AF_INET6, text, &six->sin6_addr) == 1;
}

static bool map_file(const char *path)
{
	struct stat facts;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &facts))
		return false;
	setting.file_bytes = (size_t)facts.st_size;
	setting.file = mmap(NULL, setting.file_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return setting.file != MAP_FAILED;
}

static bool read_setting(int count, char **word)
{
	static const char *const modes[HELD_HALF] = { "keep", "new", "same", "name" };
	bool is_half = count == 8 && !strcmp(word[1], "half");

	if (count < 2)
		return false;
	for (setting.mode = HELD_KEEP; setting.mode < HELD_HALF && strcmp(word[1], modes[setting.mode]); setting.mode++)
		;
	if (!is_half && (count != 7 || setting.mode == HELD_HALF))
		return false;
	setting.connections = atoi(word[5]);
	setting.every_ms = is_half ? HALF_EVERY_MS : atoi(word[6]);
	setting.portion_bytes = is_half ? (size_t)atoi(word[6]) / (1000 / HALF_EVERY_MS) : 0;
	return setting.connections > 0 && setting.connections <= CONNECTIONS_MOST && setting.every_ms > 0 &&
	       (!is_half || (setting.portion_bytes > 0 && setting.portion_bytes <= 1 << 20)) &&
	       read_address(word[2], "0", &setting.source) && read_address(word[3], word[4], &setting.vip) &&
	       (!is_half || map_file(word[7]));
}

static void on_signal(int number)
{
	(void)number;
	is_ending = 1;
}

int main(int count, char **word)
{
	struct sigaction action = { .sa_handler = on_signal };
	int64_t begin_ms = now_ms(CLOCK_MONOTONIC);

	if (!read_setting(count, word)) {
		fputs("usage: held keep|new|same|name SOURCE VIP PORT COUNT EVERY_MS\n"
		      "       held half SOURCE VIP PORT COUNT BYTES_S FILE\n", stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	alarm(LIFE_S);
	for (int i = 0; i < setting.connections; i++)
		held[i] = (struct held){ .fd = -1, .due_ms = begin_ms + setting.every_ms * i / setting.connections };
	while (!is_ending)
		work();
	if (setting.mode != HELD_NEW && setting.mode != HELD_SAME)
		last_look(now_ms(CLOCK_MONOTONIC));
	return 0;
}

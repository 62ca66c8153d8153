/* libcurl's multi handle on the loop: sockets are watched as libcurl asks, finished requests are handed back.
 *
 * The sockets are made here, so that they bear the probe's mark, and closed here, so that what ICMP said of them is
 * read before. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/probe_http.h"

/* A server that sends what is no answer and has no end is given up. Asked only after so many turns, as it costs a call.
 */
#define TURNS_FEW  8
#define BYTES_MOST (1 << 20)

struct probe_curl {
	CURLM *multi;
	uv_loop_t *loop;
	uv_timer_t timer;
	uv_idle_t at_once; /* in place of a timer of no time, which would keep others from their turn */
	unsigned int open_handles;
	struct http_store *stores;
	struct http **askers; /* by descriptor: whose socket it is; NULL: nobody's any more */
	size_t asker_room;
};

/* A socket that libcurl wants to be watched. */
struct watched {
	uv_poll_t poll;
	struct probe_curl *curl;
	curl_socket_t fd;
	int events;
};

/* ---- whose a socket is -------------------------------------------------------------------------------------------------- */

/* Versions of libcurl from 8.10 on may end a connection after its request: what they call for it must not be looked for there. */
static struct http *asker_of(const struct probe_curl *curl, int fd)
{
	return fd >= 0 && (size_t)fd < curl->asker_room ? curl->askers[fd] : NULL;
}

/* Returns false without memory. */
static bool note_asker(struct probe_curl *curl, int fd, struct http *http)
{
	size_t room = curl->asker_room ? curl->asker_room : 64;
	struct http **grown;

	while (room <= (size_t)fd)
		room *= 2;
	if (room != curl->asker_room) {
		grown = realloc(curl->askers, room * sizeof(struct http *));
		if (!grown)
			return false;
		memset(grown + curl->asker_room, 0, (room - curl->asker_room) * sizeof(struct http *));
		curl->askers = grown;
		curl->asker_room = room;
	}
	curl->askers[fd] = http;
	return true;
}

static void forget_asker(struct probe_curl *curl, int fd)
{
	if (asker_of(curl, fd))
		curl->askers[fd] = NULL;
}

/* ---- turns of the loop -------------------------------------------------------------------------------------------------- */

static void hand_back(struct probe_curl *curl)
{
	const CURLMsg *message;
	struct http *http;
	CURLcode code;
	int left;

	while ((message = curl_multi_info_read(curl->multi, &left))) {
		if (message->msg != CURLMSG_DONE || curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &http))
			continue;
		code = message->data.result;
		probe_curl_remove(http->probe.shared, http);
		probe_http_over(http, code);
	}
}

static void go_on(struct probe_curl *curl)
{
	int running;

	curl_multi_socket_action(curl->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	hand_back(curl);
}

static void timer_due(uv_timer_t *timer)
{
	go_on(timer->data);
}

static void is_turn(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	go_on(idle->data);
}

static int timer_wanted(CURLM *multi, long wait_ms, void *context)
{
	struct probe_curl *curl = context;

	(void)multi;
	uv_timer_stop(&curl->timer);
	uv_idle_stop(&curl->at_once);
	if (!wait_ms)
		uv_idle_start(&curl->at_once, is_turn);
	else if (wait_ms > 0)
		uv_timer_start(&curl->timer, timer_due, (uint64_t)wait_ms, 0);
	return 0;
}

/* The kernel's struct tcp_info, of which the C library knows the beginning. */
struct tcp_facts {
	struct tcp_info info;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
};
_Static_assert(offsetof(struct tcp_facts, bytes_received) == 128, "as in linux/tcp.h");

/* libcurl calls this whenever it has worked on a request; it gives up what this returns true for. */
static int is_flood(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct http *http = context;
	struct tcp_facts facts = {0};
	socklen_t bytes = sizeof(facts);

	(void)a, (void)b, (void)c, (void)d;
	http->is_flood = ++http->turns > TURNS_FEW && !getsockopt(http->fd, IPPROTO_TCP, TCP_INFO, &facts, &bytes) &&
			 facts.bytes_received > BYTES_MOST;
	return http->is_flood;
}

/* The first error counts; the others have to go as well, or the loop would be told of them for ever. */
static void read_errors(struct http *http, int fd)
{
	struct health_result more;

	if (!http->has_icmp)
		http->has_icmp = probe_read_icmp(fd, &http->probe.result, NULL, NULL);
	while (http->has_icmp && probe_read_icmp(fd, &more, NULL, NULL))
		;
}

static void ready(uv_poll_t *poll, int status, int events)
{
	struct watched *watched = poll->data;
	struct probe_curl *curl = watched->curl;
	struct http *http;
	int running,
		what = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);

	curl_multi_socket_action(curl->multi, watched->fd, status < 0 ? CURL_CSELECT_ERR : what, &running);
	/* libuv stops at an error. Reading what ICMP said takes the error away, so libcurl has to see it first. */
	if (status < 0 && !uv_is_closing((uv_handle_t *)poll)) {
		http = asker_of(curl, watched->fd);
		if (http)
			read_errors(http, watched->fd);
		uv_poll_start(poll, watched->events, ready);
	}
	hand_back(curl);
}

/* ---- sockets ------------------------------------------------------------------------------------------------------------ */

static void watched_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static struct watched *watch(struct probe_curl *curl, curl_socket_t fd)
{
	struct watched *watched = calloc(1, sizeof(*watched));

	if (!watched)
		return NULL;
	watched->curl = curl;
	watched->fd = fd;
	watched->poll.data = watched;
	if (uv_poll_init(curl->loop, &watched->poll, fd)) {
		free(watched);
		return NULL;
	}
	curl_multi_assign(curl->multi, fd, watched);
	return watched;
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *context, void *socket)
{
	struct probe_curl *curl = context;
	struct watched *watched = socket;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched)
			uv_close((uv_handle_t *)&watched->poll, watched_closed);
		return 0;
	}
	if (!watched)
		watched = watch(curl, fd);
	if (!watched)
		return -1;
	watched->events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	return uv_poll_start(&watched->poll, watched->events, ready) ? -1 : 0;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http *http = context;
	const struct probe_target *target = http->probe.target;
	struct sockaddr_storage at;

	(void)purpose;
	address->addrlen = probe_sockaddr(&at, &target->address, target->port);
	memcpy(&address->addr, &at, address->addrlen);
	http->fd = probe_socket(target, SOCK_STREAM, IPPROTO_TCP, &http->here);
	if (http->fd >= 0 && !note_asker(http->probe.shared->curl, http->fd, http)) {
		close(http->fd);
		http->fd = err_set(&http->here, -ENOMEM, "%s", strerror(ENOMEM));
	}
	http->is_refused_here = http->fd < 0;
	return http->fd < 0 ? CURL_SOCKET_BAD : http->fd;
}

static int close_socket(void *context, curl_socket_t fd)
{
	struct probe_curl *curl = context;
	struct http *http = asker_of(curl, fd);
	struct sockaddr_storage at;
	socklen_t bytes = sizeof(at);

	if (http && !http->header_bytes) {
		http->is_connected = !getpeername(fd, (struct sockaddr *)&at, &bytes);
		read_errors(http, fd);
	}
	if (http)
		http->fd = -1;
	forget_asker(curl, fd);
	return close(fd);
}

/* ---- requests ----------------------------------------------------------------------------------------------------------- */

static struct probe_curl *curl_create(uv_loop_t *loop, struct err *e)
{
	struct probe_curl *curl = calloc(1, sizeof(*curl));

	if (!curl || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(curl);
		err_set(e, -ENOMEM, "libcurl does not start");
		return NULL;
	}
	curl->multi = curl_multi_init();
	if (!curl->multi) {
		curl_global_cleanup();
		free(curl);
		err_set(e, -ENOMEM, "libcurl does not start");
		return NULL;
	}
	curl->loop = loop;
	curl->timer.data = curl->at_once.data = curl;
	curl->open_handles = 2;
	uv_timer_init(loop, &curl->timer);
	uv_idle_init(loop, &curl->at_once);
	curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
	curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
	curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
	curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
	return curl;
}

static void curl_closed(uv_handle_t *handle)
{
	struct probe_curl *curl = handle->data;

	if (--curl->open_handles)
		return;
	free(curl->askers);
	free(curl);
}

void probe_curl_destroy(struct probe_curl *curl)
{
	if (!curl)
		return;
	curl_multi_cleanup(curl->multi);
	probe_certificate_forget(curl->stores);
	curl_global_cleanup();
	uv_close((uv_handle_t *)&curl->timer, curl_closed);
	uv_close((uv_handle_t *)&curl->at_once, curl_closed);
}

static CURLcode set_sockets(struct probe_curl *curl, struct http *http)
{
	CURL *easy = http->easy;
	CURLcode code = curl_easy_setopt(easy, CURLOPT_PRIVATE, http);

	code = code ? code : curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, http);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, is_flood);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_XFERINFODATA, http);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	return code ? code : curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, curl);
}

int probe_curl_add(struct probe_shared *shared, struct http *http, struct err *e)
{
	CURLMcode multi_code;
	CURLcode code;
	int refused;

	if (!shared->curl)
		shared->curl = curl_create(shared->loop, e);
	if (!shared->curl)
		return -ENOMEM;
	code = set_sockets(shared->curl, http);
	if (code)
		return err_set(e, -EINVAL, "libcurl: %s", curl_easy_strerror(code));
	if (http->is_tls) {
		refused = probe_certificate_check(http, &shared->curl->stores, e);
		if (refused)
			return refused;
	}
	multi_code = curl_multi_add_handle(shared->curl->multi, http->easy);
	return multi_code ? err_set(e, -EINVAL, "libcurl: %s", curl_multi_strerror(multi_code)) : 0;
}

void probe_curl_remove(struct probe_shared *shared, struct http *http)
{
	if (!shared->curl)
		return;
	if (http->easy)
		curl_multi_remove_handle(shared->curl->multi, http->easy);
	forget_asker(shared->curl, http->fd);
}

/* HTTP on a Unix socket by libmicrohttpd, driven by the daemon's loop: see api.h. */
#include "daemon/api.h"

#include <errno.h>
#include <grp.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define IDLE_SECONDS 30
#define CONNECTIONS_MOST 64
#define TURN_NS 5000000 /* so long pieces of replies are made in a turn of the loop */

/* A reply that is made in pieces, and for which its connection rests. */
struct work {
	struct work *next;
	struct MHD_Connection *connection;
	struct api_pieces pieces;
	char *text;
	size_t bytes, room;
	unsigned int status;
	bool is_made;
};

struct api {
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer;
	uv_idle_t busy;	    /* runs while there is something to do in the loop's next turn */
	struct work *works; /* that are not made yet */
	bool is_at_once;    /* libmicrohttpd goes on without waiting for anything */
	unsigned int open_handles;
	api_handler handler;
	void *context;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* A body while it comes in. */
struct upload {
	char *bytes;
	size_t count, room;
	bool is_too_large;
	struct work *work; /* its reply, where that takes a while */
};

/* ---- a request ------------------------------------------------------------------------------------------------------ */

/* JSON is UTF-8, and what a client sent, or a sentence that was cut, may not be. */
static json_t *pack_error(char *text)
{
	json_t *body = json_pack("{s:s}", "error", text);

	if (body)
		return body;
	for (char *c = text; *c; c++)
		if ((unsigned char)*c > 0x7e)
			*c = '?';
	return json_pack("{s:s}", "error", text);
}

void api_fail(struct api_reply *reply, unsigned int status, const char *format, ...)
{
	char text[ERR_TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_decref(reply->body);
	reply->status = status;
	reply->body = pack_error(text);
}

const char *api_query(const struct api_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* Owns the text. */
static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned int status, char *text, size_t bytes)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE);
	MHD_add_response_header(response, "Content-Type", "application/json");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct api_reply *reply)
{
	char *text = json_dumps(reply->body ? reply->body : json_null(), JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));

	json_decref(reply->body);
	reply->body = NULL;
	return send_text(connection, reply->status, text, text ? strlen(text) : 0);
}

/* ---- a reply in pieces ------------------------------------------------------------------------------------------------ */

static void run(struct api *api);

/* Returns false without memory. */
static bool add_piece(struct work *work, const char *piece)
{
	size_t bytes = strlen(piece), room = work->room ? work->room : 65536;
	char *grown;

	while (room < work->bytes + bytes)
		room *= 2;
	grown = room == work->room ? work->text : realloc(work->text, room);
	if (!grown)
		return false;
	work->text = grown;
	work->room = room;
	memcpy(work->text + work->bytes, piece, bytes);
	work->bytes += bytes;
	return true;
}

/* It is made, or cannot be: its connection goes on in either case. */
static void finish(struct api *api, struct work *work)
{
	struct work **at = &api->works;

	while (*at != work)
		at = &(*at)->next;
	*at = work->next;
	work->is_made = true;
	work->pieces.end(work->pieces.context);
	MHD_resume_connection(work->connection);
}

/* One after the other, as whoever came first waits longest. */
static void make(struct api *api)
{
	uint64_t end_ns = uv_hrtime() + TURN_NS;
	struct work *work = api->works;

	while (work && uv_hrtime() < end_ns) {
		auto_free char *piece = work->pieces.next(work->pieces.context);

		if (piece && add_piece(work, piece))
			continue;
		if (piece) { /* half of it is worth nothing */
			free(work->text);
			work->text = NULL;
		}
		finish(api, work);
		work = api->works;
		run(api);
	}
}

static void turn(uv_idle_t *idle)
{
	struct api *api = idle->data;
	bool is_at_once = api->is_at_once;

	api->is_at_once = false;
	if (is_at_once)
		run(api);
	make(api);
	if (!api->works && !api->is_at_once)
		uv_idle_stop(&api->busy);
}

static enum MHD_Result begin_work(struct api *api, struct upload *upload, struct MHD_Connection *connection,
				  const struct api_reply *reply)
{
	struct work *work = calloc(1, sizeof(*work)), **at = &api->works;

	if (!work) {
		reply->pieces.end(reply->pieces.context);
		return MHD_NO;
	}
	work->connection = connection;
	work->pieces = reply->pieces;
	work->status = reply->status;
	while (*at)
		at = &(*at)->next;
	*at = upload->work = work;
	MHD_suspend_connection(connection);
	uv_idle_start(&api->busy, turn);
	return MHD_YES;
}

static enum MHD_Result send_work(struct upload *upload, struct MHD_Connection *connection)
{
	struct work *work = upload->work;
	enum MHD_Result result = send_text(connection, work->status, work->text, work->bytes);

	upload->work = NULL;
	free(work);
	return result;
}

/* ---- requests --------------------------------------------------------------------------------------------------------- */

static void take_upload(struct upload *upload, const char *data, size_t bytes)
{
	size_t room = upload->room ? upload->room : 4096;
	char *grown;

	if (upload->is_too_large || bytes > API_BODY_MOST_BYTES - upload->count) {
		upload->is_too_large = true;
		return;
	}
	while (room < upload->count + bytes + 1)
		room *= 2;
	if (room != upload->room) {
		grown = realloc(upload->bytes, room);
		if (!grown) {
			upload->is_too_large = true;
			return;
		}
		upload->bytes = grown;
		upload->room = room;
	}
	memcpy(upload->bytes + upload->count, data, bytes);
	upload->count += bytes;
	upload->bytes[upload->count] = '\0';
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url, const char *method,
			      const char *version, const char *data, size_t *data_bytes, void **connection_context)
{
	struct api *api = context;
	struct upload *upload = *connection_context;
	struct api_reply reply = {.status = MHD_HTTP_OK};
	struct api_request request = {.method = method, .path = url, .body = "", .connection = connection};

	(void)version;
	if (!upload) {
		*connection_context = calloc(1, sizeof(*upload));
		return *connection_context ? MHD_YES : MHD_NO;
	}
	if (*data_bytes) {
		take_upload(upload, data, *data_bytes);
		*data_bytes = 0;
		return MHD_YES;
	}
	if (upload->work)
		return upload->work->is_made ? send_work(upload, connection) : MHD_YES;
	if (upload->is_too_large) {
		api_fail(&reply, MHD_HTTP_CONTENT_TOO_LARGE, "the body is longer than %u bytes", API_BODY_MOST_BYTES);
		return send_reply(connection, &reply);
	}
	if (upload->bytes) {
		request.body = upload->bytes;
		request.body_bytes = upload->count;
	}
	api->handler(api->context, &request, &reply);
	return reply.pieces.next ? begin_work(api, upload, connection, &reply) : send_reply(connection, &reply);
}

static void completed(void *context, struct MHD_Connection *connection, void **connection_context,
		      enum MHD_RequestTerminationCode code)
{
	struct upload *upload = *connection_context;

	(void)context;
	(void)connection;
	(void)code;
	if (!upload)
		return;
	if (upload->work)
		free(upload->work->text);
	free(upload->work);
	free(upload->bytes);
	free(upload);
	*connection_context = NULL;
}

/* ---- in the loop -------------------------------------------------------------------------------------------------------- */

static void timer_due(uv_timer_t *timer)
{
	run(timer->data);
}

static void readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static void run(struct api *api)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	MHD_run(api->daemon);
	uv_timer_stop(&api->timer);
	if (MHD_get_timeout(api->daemon, &wait_ms) != MHD_YES)
		return;
	/* A timer of no time would be due again before the loop looks at anything else. */
	api->is_at_once = !wait_ms;
	if (wait_ms)
		uv_timer_start(&api->timer, timer_due, wait_ms, 0);
	else
		uv_idle_start(&api->busy, turn);
}

/* ---- the socket --------------------------------------------------------------------------------------------------------- */

static int make_folders(const char *path, struct err *e)
{
	char folder[sizeof(((struct api *)0)->path)];

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(folder, 0755) < 0 && errno != EEXIST)
			return err_set(e, -errno, "API socket: folder %s: %m", folder);
		*slash = '/';
	}
	return 0;
}

/* A socket's file that nobody listens on is a dead daemon's. */
static int remove_stale(const struct sockaddr_un *address, struct err *e)
{
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (lstat(address->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST, "API socket %s: there is something else of that name", address->sun_path);
	if (fd < 0)
		return err_set(e, -errno, "API socket: %m");
	/* A daemon that is too busy to take another connection lives as well. */
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)) || errno != ECONNREFUSED)
		return err_set(e, -EADDRINUSE,
			       "API socket %s is served by another halfproxyd: one a machine; stop it first",
			       address->sun_path);
	unlink(address->sun_path);
	return 0;
}

void api_remove_stale(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	remove_stale(&address, NULL);
}

static void give_to_group(const char *path, const char *group, struct err *warning)
{
	struct group *entry = getgrnam(group);

	if (!entry)
		err_set(warning, -ENOENT, "there is no group %s: only root can use the API socket", group);
	else if (chown(path, (uid_t)-1, entry->gr_gid) < 0)
		err_set(warning, -errno, "API socket %s to group %s: %m", path, group);
}

static int listen_on(const char *path, const char *group, struct err *warning, struct err *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = -1;
	mode_t mask;
	int code;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(e, -ENAMETOOLONG, "API socket %s: %m", path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if ((code = make_folders(path, e)) || (code = remove_stale(&address, e)))
		return code;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, -errno, "API socket: %m");
	mask = umask(0117);
	code = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (code || listen(fd, CONNECTIONS_MOST) < 0)
		return err_set(e, code ? code : -errno, "API socket %s: %m", path);
	give_to_group(path, group, warning);
	return take_fd(&fd);
}

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

static struct MHD_Daemon *start(struct api *api, int fd)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, answer, api,
				MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
				MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MOST, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
				MHD_OPTION_END);
}

struct api *api_create(uv_loop_t *loop, const char *path, const char *group, api_handler handler, void *context,
		       struct err *warning, struct err *e)
{
	struct api *api = calloc(1, sizeof(*api));
	const union MHD_DaemonInfo *info;
	int fd;

	warning->text[0] = '\0';
	if (!api) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	fd = listen_on(path, group, warning, e);
	if (fd < 0) {
		free(api);
		return NULL;
	}
	api->handler = handler;
	api->context = context;
	snprintf(api->path, sizeof(api->path), "%s", path);
	api->daemon = start(api, fd);
	info = api->daemon ? MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info) {
		err_set(e, -EIO, "API socket %s: libmicrohttpd does not start", path);
		close(fd);
		unlink(path);
		free(api);
		return NULL;
	}
	uv_poll_init(loop, &api->poll, info->epoll_fd);
	uv_timer_init(loop, &api->timer);
	uv_idle_init(loop, &api->busy);
	api->poll.data = api->timer.data = api->busy.data = api;
	api->open_handles = 3;
	uv_poll_start(&api->poll, UV_READABLE, readable);
	return api;
}

static void handle_closed(uv_handle_t *handle)
{
	struct api *api = handle->data;

	if (--api->open_handles)
		return;
	MHD_stop_daemon(api->daemon);
	free(api);
}

void api_destroy(struct api *api)
{
	if (!api)
		return;
	unlink(api->path);
	while (api->works) /* libmicrohttpd ends no connection that rests */
		finish(api, api->works);
	uv_close((uv_handle_t *)&api->busy, handle_closed);
	uv_close((uv_handle_t *)&api->poll, handle_closed);
	uv_close((uv_handle_t *)&api->timer, handle_closed);
}

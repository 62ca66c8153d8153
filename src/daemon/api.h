/* The API's transport: HTTP/1.1 with JSON bodies on a Unix socket, one reply a request.
 *
 * What a request means is in api_routes.c. Runs on the daemon's loop (libmicrohttpd in its epoll form), on no
 * thread of its own. */
#ifndef HP_DAEMON_API_H
#define HP_DAEMON_API_H

#include <jansson.h>
#include <stddef.h>
#include <uv.h>

#include "base/err.h"

#define API_BODY_MOST_BYTES (64u << 20)

struct api;
struct MHD_Connection;

struct api_request {
	const char *method; /* "GET", "POST" */
	const char *path;   /* "/v1/status" */
	const char *body;   /* zero-terminated; empty for none */
	size_t body_bytes;
	struct MHD_Connection *connection; /* for api_query only */
};

/* A body that would take too long to be made at once: its text comes in pieces, between which the loop goes on. */
struct api_pieces {
	char *(*next)(void *context); /* the next piece, owned by the caller; NULL: there is none */
	void (*end)(void *context);   /* called once, also when nobody waits for it any more */
	void *context;
};

struct api_reply {
	unsigned int status; /* HTTP status, 200 at the start */
	json_t *body;	     /* owned by the transport once the handler returns */
	struct api_pieces pieces; /* instead of a body; next NULL: it is the body */
};

typedef void (*api_handler)(void *context, const struct api_request *request, struct api_reply *reply);

/* Create, bind and listen on the API socket, and serve it from the loop.
 *
 * path   borrowed; missing folders are made, a stale socket there (one that nobody answers) is removed; a living
 *        one is -EADDRINUSE. The socket's mode is 0660.
 * group  may open it besides root; when there is no such group the socket is root's alone and *warning says so.
 * Returns the API, owned by the caller, or NULL with *e written and nothing left open. A body longer than
 * API_BODY_MOST_BYTES is answered 413 without the handler. */
struct api *api_create(uv_loop_t *loop, const char *path, const char *group, api_handler handler, void *context,
		       struct err *warning, struct err *e);

/* Remove the socket's file that a daemon left that was killed: one that somebody answers, or that is no socket, stays. */
void api_remove_stale(const char *path);

/* Close it and remove the socket's file. The handles close in the loop's next turn. */
void api_destroy(struct api *api);

/* An argument of the query string, or NULL. Valid while the handler runs. */
const char *api_query(const struct api_request *request, const char *name);

/* Fill the reply with {"error": TEXT} and the status. */
void api_fail(struct api_reply *reply, unsigned int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif

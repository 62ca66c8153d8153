/* One request to halfproxyd over its Unix socket.
 *
 * Ours and not libcurl's, because a command's start counts: loading libcurl's libraries takes 6.6 ms here, all of
 * this program without them 0.8 ms (perf stat -r 200), and a weight has 20 ms from the command to the packet. It
 * speaks what the daemon speaks: HTTP/1.1, a Content-Length, one reply a connection. */
#ifndef HP_CLI_CLIENT_H
#define HP_CLI_CLIENT_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

struct client_reply {
	unsigned int status; /* HTTP */
	json_t *body;	     /* owned by the caller */
};

/* Send a request and read the reply.
 *
 * socket  path of the API's socket.
 * target  path and query, already encoded.
 * Returns 0, or -errno with *e written in words that say what would be right: -ENOENT or -ECONNREFUSED when no daemon
 * answers, -EACCES, -EPROTO for a reply that is none. */
int client_ask(const char *socket, const char *method, const char *target, const char *body, size_t body_bytes,
	       struct client_reply *reply, struct err *e);

/* Understand a whole reply, zero-terminated. Returns as client_ask; *reply is untouched on failure. */
int client_read_reply(const char *bytes, size_t count, struct client_reply *reply, struct err *e);

/* Append a query value, percent-encoded (RFC 3986), to target. */
void client_encode(char *target, size_t room, const char *value);

#endif

/* What a probe of http or https is made of: the request and the judgement (probe_http.c), libcurl on the loop
 * (probe_curl.c), the certificate (probe_certificate.c). For these alone. */
#ifndef HP_DAEMON_PROBE_HTTP_H
#define HP_DAEMON_PROBE_HTTP_H

#include <curl/curl.h>

#include "daemon/probe_internal.h"

#define HTTP_NAMES_BYTES 128
#define HTTP_DAY_BYTES	 16

/* What TLS said of the certificate. */
struct http_certificate {
	int code;		      /* X509_V_...: why it does not hold; 0: nothing said */
	int depth;		      /* 0: the server's own, more: one that it is signed by */
	int alert;		      /* with which the server ended it, 0: with none */
	char day[HTTP_DAY_BYTES];     /* it expired on, or begins on */
	char names[HTTP_NAMES_BYTES]; /* whom it is for */
};

struct http {
	struct probe probe;
	bool is_tls;
	CURL *easy; /* in the multi handle while it is there */
	struct curl_slist *headers, *connect_to;
	int fd; /* libcurl's; -1: none */
	unsigned int turns;
	size_t header_bytes, body_bytes, body_room;
	char *body; /* kept only where a text is expected in it */
	bool has_too_many_headers, is_cut, is_connected, has_icmp, is_flood, is_refused_here;
	struct err here; /* why this host could not ask, with is_refused_here */
	struct http_certificate certificate;
	char words[CURL_ERROR_SIZE];
};

/* The request is over, as libcurl sees it: called from the loop, once, with http taken out of the multi handle. */
void probe_http_over(struct http *http, CURLcode code);

/* ---- probe_curl.c ------------------------------------------------------------------------------------------------------- */

/* Hand a request, whose easy handle has all but sockets set, to libcurl. Returns 0 or negative errno with *e written.
 */
int probe_curl_add(struct probe_shared *shared, struct http *http, struct err *e);

/* Take it out, which closes its socket. */
void probe_curl_remove(struct probe_shared *shared, struct http *http);

/* ---- probe_certificate.c ------------------------------------------------------------------------------------------------ */

struct http_store;

/* Have the certificate checked in the handshake of this request against what the health trusts, unless it is not to be
 * checked, and noted why it fails. *stores keeps what was read from files; free it by probe_certificate_forget. Returns
 * 0 or negative errno with *e written. */
int probe_certificate_check(struct http *http, struct http_store **stores, struct err *e);
void probe_certificate_forget(struct http_store *stores);

/* Judge by what TLS said. Returns false where that was nothing. */
bool probe_certificate_judge(struct http *http);

#endif

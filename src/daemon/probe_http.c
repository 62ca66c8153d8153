/* The kinds http and https: a request, and the judgement of its answer. libcurl speaks HTTP and TLS; see probe_curl.c.
 *
 * Nothing is shared with another probe, neither connection nor TLS session, and no name is looked up. Of the body no
 * more is read than BODY_BYTES_MOST: a text that is expected has to be in there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "daemon/probe_http.h"

#define BODY_BYTES_MOST	  (64u << 10)
#define HEADER_BYTES_MOST (64u << 10)
#define BUFFER_BYTES	  4096L /* a probe; many may hang at a time */
#define WORDS_MOST	  80
#define PATH_SHOWN	  40

/* ---- what comes in ------------------------------------------------------------------------------------------------------ */

static size_t take_header(char *bytes, size_t one, size_t count, void *context)
{
	struct http *http = context;

	(void)bytes;
	(void)one;
	http->header_bytes += count;
	http->has_too_many_headers = http->header_bytes > HEADER_BYTES_MOST;
	return http->has_too_many_headers ? 0 : count;
}

/* Returns false when memory is out. */
static bool keep(struct http *http, const char *bytes, size_t count)
{
	char *grown;

	if (http->body_bytes + count > http->body_room) {
		size_t room = http->body_bytes + count < BODY_BYTES_MOST / 16 ? BODY_BYTES_MOST / 16 : BODY_BYTES_MOST;

		grown = realloc(http->body, room);
		if (!grown)
			return false;
		http->body = grown;
		http->body_room = room;
	}
	memcpy(http->body + http->body_bytes, bytes, count);
	return true;
}

static size_t take_body(char *bytes, size_t one, size_t count, void *context)
{
	struct http *http = context;
	size_t room = BODY_BYTES_MOST - http->body_bytes, taken = count < room ? count : room;

	(void)one;
	if (http->probe.health->expect_bytes && !keep(http, bytes, taken))
		return 0;
	http->body_bytes += taken;
	http->is_cut = taken < count;
	return http->is_cut ? 0 : count;
}

/* ---- judgement ---------------------------------------------------------------------------------------------------------- */

static bool is_good(const struct config_health *health, long status)
{
	for (size_t i = 0; i < health->status_count; i++)
		if (status >= health->status[i].first && status <= health->status[i].last)
			return true;
	return false;
}

/* Which page, and which codes would be good: whoever reads it need not look into the file. */
static void say_status(struct http *http, long status)
{
	const struct config_health *health = http->probe.health;
	const char *path = health->path, *cut = strlen(path) > PATH_SHOWN ? "..." : "";
	char good[CONFIG_CODES_MOST * sizeof(", 200-399")] = "";
	size_t at = 0;

	for (size_t i = 0; i < health->status_count; i++) {
		const struct config_codes *codes = &health->status[i];

		at += (size_t)snprintf(good + at, sizeof(good) - at, codes->first == codes->last ? "%s%u" : "%s%u-%u",
				       at ? ", " : "", codes->first, codes->last);
	}
	probe_say(&http->probe, HEALTH_WRONG, "HTTP %ld for %.*s%s, not %s", status, PATH_SHOWN, path, cut, good);
}

static void judge_answer(struct http *http)
{
	const struct config_health *health = http->probe.health;
	long status = 0;

	curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!is_good(health, status))
		say_status(http, status);
	else if (health->expect_bytes &&
		 (!http->body || !memmem(http->body, http->body_bytes, health->expect, health->expect_bytes)))
		probe_say(&http->probe, HEALTH_WRONG, "HTTP %ld, but the %s not hold \"%.40s\"", status,
			  http->is_cut ? "first 64 KB of the body do" : "body does", health->expect);
	else
		probe_say(&http->probe, HEALTH_GOOD, "%s", "");
}

static void judge_connect(struct http *http)
{
	long error = 0;

	curl_easy_getinfo(http->easy, CURLINFO_OS_ERRNO, &error);
	if (http->is_refused_here)
		probe_say(&http->probe, HEALTH_LOCAL, "%s", http->here.text);
	else if (error)
		probe_say_error(&http->probe, (int)error);
	else
		probe_say(&http->probe, HEALTH_LOCAL, "%s", http->words);
}

/* The handshake failed, and neither an alert nor the certificate says why. */
static void judge_handshake(struct http *http)
{
	static const char *const strange[] = {"wrong version number", "packet length too long", "unknown protocol",
					      "http request"};
	const char *detail = strrchr(http->words, ':');

	if (!strstr(http->words, "SSL routines") || strstr(http->words, "unexpected eof")) {
		probe_say(&http->probe, HEALTH_RESET, "connection closed during the TLS handshake");
		return;
	}
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
		if (strstr(http->words, strange[i])) {
			probe_say(&http->probe, HEALTH_WRONG, "not TLS");
			return;
		}
	probe_say(&http->probe, HEALTH_WRONG, "TLS: %s", detail ? detail + 1 : http->words);
}

static void judge_break(struct http *http)
{
	long status = 0;

	curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!http->header_bytes)
		probe_say(&http->probe, HEALTH_RESET, "connection closed without an answer");
	else if (strstr(http->words, "chunk")) /* libcurl has one code for both */
		probe_say(&http->probe, HEALTH_WRONG, "not HTTP: %.*s", WORDS_MOST, http->words);
	else
		probe_say(&http->probe, HEALTH_RESET,
			  "HTTP %ld, but the connection closed before the answer was complete", status);
}

/* libcurl calls it no memory when a single header is longer than it takes, which is more than is taken here. */
static bool has_header_without_end(const struct http *http, CURLcode code)
{
	long asked_bytes = 0;

	curl_easy_getinfo(http->easy, CURLINFO_REQUEST_SIZE, &asked_bytes);
	return code == CURLE_OUT_OF_MEMORY && asked_bytes;
}

void probe_http_over(struct http *http, CURLcode code)
{
	struct probe *probe = &http->probe;

	if (http->has_icmp && code == CURLE_COULDNT_CONNECT)
		; /* the result says it already */
	else if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && http->is_cut))
		judge_answer(http);
	else if (http->has_too_many_headers || has_header_without_end(http, code))
		probe_say(probe, HEALTH_WRONG, "more than 64 KB of headers");
	else if (http->is_flood)
		probe_say(probe, HEALTH_WRONG, "more than 1 MB came, and no whole answer");
	else if (code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT)
		judge_connect(http);
	else if (code == CURLE_SSL_CERTPROBLEM || code == CURLE_OUT_OF_MEMORY)
		probe_say(probe, HEALTH_LOCAL, "%s", *http->words ? http->words : curl_easy_strerror(code));
	else if (probe_certificate_judge(http))
		;
	else if (code == CURLE_PEER_FAILED_VERIFICATION)
		probe_say(probe, HEALTH_CERTIFICATE, "certificate: %s", http->words);
	else if (code == CURLE_SSL_CONNECT_ERROR)
		judge_handshake(http);
	else if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
		 code == CURLE_PARTIAL_FILE)
		judge_break(http);
	else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_HTTP2)
		probe_say(probe, HEALTH_WRONG, "not HTTP");
	else
		probe_say(probe, HEALTH_WRONG, "not HTTP: %.*s", WORDS_MOST,
			  *http->words ? http->words : curl_easy_strerror(code));
	probe_finish(probe);
}

static void late(struct probe *probe)
{
	struct http *http = (struct http *)probe;
	curl_off_t tls_us = 0;
	char allowed[PROBE_TIME_BYTES];
	long status = 0;

	probe_allowed(probe, allowed);
	curl_easy_getinfo(http->easy, CURLINFO_APPCONNECT_TIME_T, &tls_us);
	curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
	probe_curl_remove(probe->shared, http); /* closes the socket, which tells whether it was connected */
	if (!http->is_connected && !http->header_bytes)
		probe_say(probe, HEALTH_SILENT, "no answer within %s", allowed);
	else if (http->is_tls && !tls_us)
		probe_say(probe, HEALTH_SLOW, "connected, but the TLS handshake was not complete within %s", allowed);
	else if (!http->header_bytes)
		probe_say(probe, HEALTH_SLOW, "connected, but no answer within %s", allowed);
	else
		probe_say(probe, HEALTH_SLOW, "HTTP %ld, but the answer was not complete within %s", status, allowed);
}

static void release(struct probe *probe)
{
	struct http *http = (struct http *)probe;

	probe_curl_remove(probe->shared, http);
	curl_easy_cleanup(http->easy);
	curl_slist_free_all(http->headers);
	curl_slist_free_all(http->connect_to);
	free(http->body);
}

static const struct probe_deeds deeds = {.late = late, .release = release};

/* ---- the request -------------------------------------------------------------------------------------------------------- */

/* Whom to ask, as the server is told it. Where that is, open_socket() says: libcurl gets one place for all, as with many it
 * searches through all that are in use for each that it is done with. */
static CURLcode set_target(struct http *http)
{
	const struct probe_target *target = http->probe.target;
	const char *host = http->probe.health->host, *place = ip_is4(&target->address) ? "192.0.2.1" : "[2001:db8::1]";
	char text[IP_TEXT_BYTES], address[IP_TEXT_BYTES + 2], url[400], to[100];
	CURLcode code;

	snprintf(address, sizeof(address), ip_is4(&target->address) ? "%s" : "[%s]", ip_format(&target->address, text));
	snprintf(url, sizeof(url), "%s://%s:%u/", http->is_tls ? "https" : "http", host ? host : address, target->port);
	snprintf(to, sizeof(to), "::%s:%u", place, target->port);
	http->connect_to = curl_slist_append(NULL, to);
	http->headers = curl_slist_append(NULL, "Connection: close");
	if (!http->connect_to || !http->headers)
		return CURLE_OUT_OF_MEMORY;
	code = curl_easy_setopt(http->easy, CURLOPT_URL, url);
	code = code ? code : curl_easy_setopt(http->easy, CURLOPT_REQUEST_TARGET, http->probe.health->path);
	code = code ? code : curl_easy_setopt(http->easy, CURLOPT_CONNECT_TO, http->connect_to);
	return code ? code : curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->headers);
}

static CURLcode set_manners(struct http *http)
{
	static const struct {
		CURLoption option;
		long value;
	} rows[] = {
		{CURLOPT_NOSIGNAL, 1},
		{CURLOPT_FRESH_CONNECT, 1},
		{CURLOPT_FORBID_REUSE, 1},
		{CURLOPT_FOLLOWLOCATION, 0},
		{CURLOPT_BUFFERSIZE, BUFFER_BYTES},
		{CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
		{CURLOPT_HTTP09_ALLOWED, 0},
		{CURLOPT_SSL_SESSIONID_CACHE, 0},
		{CURLOPT_TCP_NODELAY, 0}, /* what is sent is one packet */
	};
	CURL *easy = http->easy;
	CURLcode code = CURLE_OK;

	for (size_t i = 0; !code && i < sizeof(rows) / sizeof(rows[0]); i++)
		code = curl_easy_setopt(easy, rows[i].option, rows[i].value);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	code = code ? code : curl_easy_setopt(easy, CURLOPT_PROXY, "");
	code = code ? code : curl_easy_setopt(easy, CURLOPT_USERAGENT, "halfproxy/" HP_VERSION);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->words);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	return code ? code : curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
}

/* Whom to trust is probe_certificate.c's. A key that needs a pass phrase is refused, rather than asked for at a
 * terminal. */
static CURLcode set_tls(struct http *http)
{
	const struct config_health *health = http->probe.health;
	CURL *easy = http->easy;
	CURLcode code = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, health->verify ? 1L : 0L);

	code = code ? code : curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, health->verify ? 2L : 0L);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
#if LIBCURL_VERSION_NUM >= 0x075700 /* else it keeps the first probe's store, and has all others trust that */
	code = code ? code : curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
	code = code ? code : curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");
	if (code || !health->certificate)
		return code;
	code = curl_easy_setopt(easy, CURLOPT_SSLCERT, health->certificate);
	return code ? code : curl_easy_setopt(easy, CURLOPT_SSLKEY, health->key);
}

static int request(struct http *http, struct err *e)
{
	CURLcode code;

	http->easy = curl_easy_init();
	if (!http->easy)
		return err_set(e, -ENOMEM, "libcurl: %m");
	code = set_target(http);
	code = code ? code : set_manners(http);
	code = code || !http->is_tls ? code : set_tls(http);
	if (code)
		return err_set(e, -EINVAL, "libcurl: %s", curl_easy_strerror(code));
	return probe_curl_add(http->probe.shared, http, e);
}

static struct probe *start(bool is_tls, struct probe_shared *shared, const struct config_health *health,
			   const struct probe_target *target, probe_done *done, void *context, struct err *e)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	http->is_tls = is_tls;
	http->fd = -1;
	probe_begin(&http->probe, shared, health, target, &deeds, done, context);
	if (!request(http, e))
		return &http->probe;
	probe_end(&http->probe);
	return NULL;
}

static struct probe *start_http(struct probe_shared *shared, const struct config_health *health,
				const struct probe_target *target, probe_done *done, void *context, struct err *e)
{
	return start(false, shared, health, target, done, context, e);
}

static struct probe *start_https(struct probe_shared *shared, const struct config_health *health,
				 const struct probe_target *target, probe_done *done, void *context, struct err *e)
{
	return start(true, shared, health, target, done, context, e);
}

const struct probe_kind probe_http = {"http", start_http, probe_end};
const struct probe_kind probe_https = {"https", start_https, probe_end};

/* The certificate of an https server: checked by OpenSSL in libcurl's handshake, and why it does not hold in words.
 *
 * Certificates that are trusted are read once and kept, until their file changes. */
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/probe_http.h"

#define STORES_MOST 64
#define HOST_SHOWN  100

/* What a file holds, as it was then; path NULL: the system's. */
struct http_store {
	struct http_store *next;
	char *path;
	struct stat was;
	X509_STORE *store;
};

/* ---- whom to trust ------------------------------------------------------------------------------------------------------ */

static void store_free(struct http_store *store)
{
	X509_STORE_free(store->store);
	free(store->path);
	free(store);
}

void probe_certificate_forget(struct http_store *stores)
{
	struct http_store *next;

	for (; stores; stores = next) {
		next = stores->next;
		store_free(stores);
	}
}

static bool is_same(const struct http_store *store, const char *path, const struct stat *now)
{
	return !store->path == !path && (!path || !strcmp(store->path, path)) && store->was.st_ino == now->st_ino &&
	       store->was.st_size == now->st_size && !memcmp(&store->was.st_mtim, &now->st_mtim, sizeof(now->st_mtim));
}

/* The store, moved to the front, or NULL; others of the same path, and what is too much, are forgotten. */
static struct http_store *find(struct http_store **stores, const char *path, const struct stat *now)
{
	struct http_store **link = stores, *found = NULL;
	unsigned int count = 0;

	while (*link) {
		struct http_store *store = *link;

		if (is_same(store, path, now)) {
			*link = store->next;
			found = store;
		} else if (count >= STORES_MOST || (!store->path == !path && (!path || !strcmp(store->path, path)))) {
			*link = store->next;
			store_free(store);
		} else {
			link = &store->next;
			count++;
		}
	}
	if (found) {
		found->next = *stores;
		*stores = found;
	}
	return found;
}

static int load(struct http_store *store, const char *path, struct err *e)
{
	store->store = X509_STORE_new();
	if (!store->store || (path && !(store->path = strdup(path))))
		return err_set(e, -ENOMEM, "%m");
	if (path ? !X509_STORE_load_file(store->store, path) : !X509_STORE_set_default_paths(store->store))
		return err_set(e, -EINVAL, "%s holds no certificate that can be read (PEM)",
			       path ? path : "the system's store");
	X509_STORE_set_flags(store->store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
	return 0;
}

static X509_STORE *trusted(struct http_store **stores, const char *path, struct err *e)
{
	struct stat now = {0};
	struct http_store *store;

	if (stat(path ? path : X509_get_default_cert_dir(), &now) < 0 && path) {
		err_set(e, -errno, "ca %s: %m", path);
		return NULL;
	}
	store = find(stores, path, &now);
	if (store)
		return store->store;
	store = calloc(1, sizeof(*store));
	if (!store) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	store->was = now;
	if (load(store, path, e)) {
		store_free(store);
		return NULL;
	}
	store->next = *stores;
	*stores = store;
	return store->store;
}

/* ---- what the handshake says -------------------------------------------------------------------------------------------- */

static void note_day(struct http_certificate *certificate, const ASN1_TIME *time)
{
	struct tm day;

	if (ASN1_TIME_to_tm(time, &day))
		strftime(certificate->day, sizeof(certificate->day), "%Y-%m-%d", &day);
}

/* Those that have room, and dots for the others. */
static void add_name(struct http_certificate *certificate, const char *name, size_t bytes)
{
	size_t at = strlen(certificate->names), room = sizeof(certificate->names) - sizeof(", ...") - at;

	if (at && !strcmp(certificate->names + at - 1, "."))
		return;
	if (bytes + 2 > room && at)
		snprintf(certificate->names + at, sizeof(certificate->names) - at, ", ...");
	else if (bytes > room)
		snprintf(certificate->names, sizeof(certificate->names), "%.*s...", (int)room, name);
	else
		snprintf(certificate->names + at, sizeof(certificate->names) - at, "%s%.*s", at ? ", " : "", (int)bytes, name);
}

static void note_names(struct http_certificate *certificate, X509 *x509)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	char text[IP_TEXT_BYTES], common[64];

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *string = name->d.ia5;
		const uint8_t *bytes;
		int count;

		if (name->type != GEN_DNS && name->type != GEN_IPADD)
			continue;
		bytes = ASN1_STRING_get0_data(string);
		count = ASN1_STRING_length(string);
		if (name->type == GEN_DNS) {
			add_name(certificate, (const char *)bytes, (size_t)count);
		} else if (count == 4 || count == 16) {
			struct ip ip = count == 4 ? ip_from4(bytes) : ip_from6(bytes);

			ip_format(&ip, text);
			add_name(certificate, text, strlen(text));
		}
	}
	GENERAL_NAMES_free(names);
	if (!*certificate->names &&
		X509_NAME_get_text_by_NID(X509_get_subject_name(x509), NID_commonName, common, sizeof(common)) > 0)
		add_name(certificate, common, strlen(common));
}

/* OpenSSL has found that the certificate does not hold; the first reason counts. */
static int verified(int is_good, X509_STORE_CTX *context)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct http *http = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct http_certificate *certificate = &http->certificate;
	X509 *x509 = X509_STORE_CTX_get_current_cert(context);

	if (is_good || certificate->code)
		return is_good;
	certificate->code = X509_STORE_CTX_get_error(context);
	certificate->depth = X509_STORE_CTX_get_error_depth(context);
	if (!x509)
		return 0;
	if (certificate->code == X509_V_ERR_CERT_HAS_EXPIRED)
		note_day(certificate, X509_get0_notAfter(x509));
	else if (certificate->code == X509_V_ERR_CERT_NOT_YET_VALID)
		note_day(certificate, X509_get0_notBefore(x509));
	else
		note_names(certificate, x509);
	return 0;
}

/* The server's words when it ends the handshake. */
static void informed(const SSL *ssl, int where, int what)
{
	struct http *http = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && what >> 8 == SSL3_AL_FATAL)
		http->certificate.alert = what & 0xff;
}

/* libcurl has made the context of the connection. */
static CURLcode prepare(CURL *easy, void *context, void *store)
{
	struct http *http;
	const struct config_health *health;
	X509_VERIFY_PARAM *wanted = SSL_CTX_get0_param(context);
	char text[IP_TEXT_BYTES];
	bool is_name, is_set;

	if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &http))
		return CURLE_ABORTED_BY_CALLBACK;
	health = http->probe.health;
	SSL_CTX_set_app_data(context, http);
	SSL_CTX_set_info_callback(context, informed);
	if (!store)
		return CURLE_OK;
	is_name = health->host && !X509_VERIFY_PARAM_set1_ip_asc(wanted, health->host);
	is_set = is_name	? X509_VERIFY_PARAM_set1_host(wanted, health->host, 0)
		 : health->host ? true
				: X509_VERIFY_PARAM_set1_ip_asc(wanted, ip_format(&http->probe.target->address, text));
	SSL_CTX_set1_cert_store(context, store);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, verified);
	return is_set ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

int probe_certificate_check(struct http *http, struct http_store **stores, struct err *e)
{
	X509_STORE *store = NULL;
	CURLcode code;

	if (http->probe.health->verify) {
		store = trusted(stores, http->probe.health->ca, e);
		if (!store)
			return -EINVAL;
	}
	code = curl_easy_setopt(http->easy, CURLOPT_SSL_CTX_DATA, store);
	code = code ? code : curl_easy_setopt(http->easy, CURLOPT_SSL_CTX_FUNCTION, prepare);
	return code ? err_set(e, -EINVAL, "libcurl, which must be built with OpenSSL: %s", curl_easy_strerror(code))
			: 0;
}

/* ---- words -------------------------------------------------------------------------------------------------------------- */

/* RFC 8446, 6.2: alerts about the certificate that the client shows, or does not. */
static bool is_about_certificate(int alert)
{
	return (alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) || alert == SSL_AD_UNKNOWN_CA ||
	       alert == SSL_AD_ACCESS_DENIED || alert == SSL_AD_CERTIFICATE_REQUIRED;
}

static void judge_alert(struct http *http)
{
	int alert = http->certificate.alert;
	const char *words = alert == SSL_AD_CERTIFICATE_REQUIRED ? "certificate required" /* OpenSSL 3.0 has no words for it */
								  : SSL_alert_desc_string_long(alert);

	if (!is_about_certificate(alert))
		probe_say(&http->probe, HEALTH_WRONG, "TLS: the server says: %s", words);
	else if (http->probe.health->certificate)
		probe_say(&http->probe, HEALTH_CERTIFICATE, "the server refuses the certificate shown to it: %s",
			  words);
	else
		probe_say(&http->probe, HEALTH_CERTIFICATE, "the server wants a certificate to be shown to it: %s",
			  words);
}

bool probe_certificate_judge(struct http *http)
{
	const struct http_certificate *certificate = &http->certificate;
	const char *whose = certificate->depth ? "certificate of the issuer" : "certificate";
	struct probe *probe = &http->probe;
	char text[IP_TEXT_BYTES];
	const char *asked;

	switch (certificate->code) {
	case X509_V_OK:
		if (certificate->alert)
			judge_alert(http);
		return certificate->alert;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		probe_say(probe, HEALTH_CERTIFICATE, "%s expired %s", whose, certificate->day);
		return true;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		probe_say(probe, HEALTH_CERTIFICATE, "%s is not valid before %s", whose, certificate->day);
		return true;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		asked = probe->health->host ? probe->health->host : ip_format(&probe->target->address, text);
		probe_say(probe, HEALTH_CERTIFICATE, "certificate is for %s, not %.*s%s", certificate->names, HOST_SHOWN, asked,
			  strlen(asked) > HOST_SHOWN ? "..." : "");
		return true;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		probe_say(probe, HEALTH_CERTIFICATE, "certificate is self-signed and not trusted");
		return true;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		probe_say(probe, HEALTH_CERTIFICATE, "certificate is signed by none that is trusted");
		return true;
	default:
		probe_say(probe, HEALTH_CERTIFICATE, "%s: %s", whose, X509_verify_cert_error_string(certificate->code));
		return true;
	}
}

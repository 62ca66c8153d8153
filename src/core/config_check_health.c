/* What a service's health and the options about backends that are down mean together: see config_schema.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "core/config_read.h"

#define TIMEOUT_MS	  1000u
#define DOUBT_PART	  4
#define INTERVAL_LEAST_MS 10u

#define KIND(name) (1u << CONFIG_PROBE_##name)
#define KINDS_HTTP (KIND(HTTP) | KIND(HTTPS))
#define RECORD_A    1
#define RECORD_AAAA 28

/* An option that only some kinds take. */
struct own {
	const struct yaml_node *at;
	const char *name;
	uint32_t kinds;
	const char *whose;
};

static void check_kinds(struct config_reader *reader, const struct config_health_draft *at, enum config_probe type)
{
	const struct own rows[] = {
		{at->path, "path", KINDS_HTTP, "http and https"},
		{at->host, "host", KINDS_HTTP, "http and https"},
		{at->status, "status", KINDS_HTTP, "http and https"},
		{at->port, "port", ~KIND(ICMP), "every type but icmp, which has no ports"},
		{at->send, "send", KIND(UDP), "udp"},
		{at->expect, "expect", KINDS_HTTP | KIND(UDP) | KIND(DNS), "udp, dns, http and https"},
		{at->name, "name", KIND(DNS), "dns"},
		{at->record, "record", KIND(DNS), "dns"},
		{at->command, "command", KIND(SCRIPT), "script"},
		{at->ca, "ca", KIND(HTTPS), "https"},
		{at->certificate, "certificate", KIND(HTTPS), "https"},
		{at->key, "key", KIND(HTTPS), "https"},
		{at->verify, "verify", KIND(HTTPS), "https"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].at && !(rows[i].kinds & (1u << type)))
			config_error(reader, rows[i].at, "health.%s is of %s, and the type is %s", rows[i].name, rows[i].whose,
				     config_probe_name(type));
}

static void check_tls(struct config_reader *reader, const struct config_health_draft *at, const struct config_health *health)
{
	if (at->certificate && !at->key)
		config_error(reader, at->certificate, "health.certificate needs health.key: the file with its private key");
	if (at->key && !at->certificate)
		config_error(reader, at->key, "health.key needs health.certificate: the file with the certificate it belongs to");
	if (at->ca && !health->verify)
		config_error(reader, at->ca, "health.ca has no use with verify: false, where no certificate is checked");
}

static void check_dns(struct config_reader *reader, const struct config_health_draft *at, struct config_health *health)
{
	struct ip address;

	if (!at->name)
		config_error(reader, at->at, "health of type dns lacks \"name\": the name that is asked for");
	if (!health->record)
		health->record = RECORD_A;
	if (!health->expect)
		return;
	if (health->record != RECORD_A && health->record != RECORD_AAAA)
		config_error(reader, at->expect, "health.expect of dns is an address, which only records A and AAAA hold");
	else if (!ip_parse(&address, health->expect) || ip_is4(&address) != (health->record == RECORD_A))
		config_error(reader, at->expect, "health.expect \"%s\" must be an %s address, as record: %s is asked for",
			     health->expect, health->record == RECORD_A ? "IPv4" : "IPv6",
			     health->record == RECORD_A ? "A" : "AAAA");
}

/* What each kind needs, and what it has where nothing is said. */
static void check_type(struct config_reader *reader, const struct config_health_draft *at, struct config_health *health)
{
	switch (health->type) {
	case CONFIG_PROBE_HTTPS:
		check_tls(reader, at, health);
		/* fall through */
	case CONFIG_PROBE_HTTP:
		if (!health->path)
			health->path = config_read_copy("/");
		if (!health->status_count)
			health->status[health->status_count++] = (struct config_codes){200, 399};
		return;
	case CONFIG_PROBE_UDP:
		if (!at->send && !at->expect)
			config_error(reader, at->at, "health of type udp needs \"send\" or \"expect\": without a word that is "
						     "answered nothing can be told");
		return;
	case CONFIG_PROBE_DNS:
		check_dns(reader, at, health);
		return;
	case CONFIG_PROBE_SCRIPT:
		if (!at->command)
			config_error(reader, at->at, "health of type script lacks \"command\": a program and its arguments");
		return;
	case CONFIG_PROBE_TCP:
	case CONFIG_PROBE_ICMP:
	case CONFIG_PROBE_COUNT:
		return;
	}
}

/* A file that every probe uses. */
static void check_file(struct config_reader *reader, const struct yaml_node *at, const char *name, const char *path, bool is_run)
{
	const struct config_host *host = reader->host;
	struct err e;
	int code = at && path ? host->look(path, is_run, &e) : 0;

	if (code && (code == -EACCES ? host->forbidden : host->unusable) == PROBLEM_ERROR)
		config_error(reader, at, "health.%s %s: %s", name, path, e.text);
	else if (code)
		config_warning(reader, at, "health.%s %s: %s", name, path, e.text);
}

static void check_files(struct config_reader *reader, const struct config_health_draft *at, const struct config_health *health)
{
	if (!reader->host)
		return;
	check_file(reader, at->command, "command", health->command ? health->command[0] : NULL, true);
	check_file(reader, at->ca, "ca", health->ca, false);
	check_file(reader, at->certificate, "certificate", health->certificate, false);
	check_file(reader, at->key, "key", health->key, false);
}

static void check_times(struct config_reader *reader, const struct config_health_draft *at, struct config_health *health)
{
	char own[DURATION_TEXT_BYTES], interval[DURATION_TEXT_BYTES];

	duration_format_ms(health->interval_ms, interval);
	if (!health->timeout_ms)
		health->timeout_ms = health->interval_ms < TIMEOUT_MS ? health->interval_ms : TIMEOUT_MS;
	if (!health->doubt_ms)
		health->doubt_ms = health->interval_ms / DOUBT_PART;
	if (health->doubt_ms < INTERVAL_LEAST_MS)
		health->doubt_ms = INTERVAL_LEAST_MS;
	if (health->timeout_ms > health->interval_ms)
		config_error(reader, at->timeout, "health.timeout %s is longer than the interval, %s: one probe would wait for "
						  "the one before",
			     duration_format_ms(health->timeout_ms, own), interval);
	if (health->doubt_ms > health->interval_ms)
		config_error(reader, at->doubt, "health.doubt %s is longer than the interval, %s: in doubt a backend is asked "
						"more often",
			     duration_format_ms(health->doubt_ms, own), interval);
}

static void check_probe(struct config_reader *reader, struct config_draft *draft)
{
	const struct config_health_draft *at = &draft->health;
	struct config_health *health = draft->service->health;

	if (!health || at->at->kind != YAML_MAP)
		return;
	check_times(reader, at, health);
	if (!at->has_type)
		return;
	check_kinds(reader, at, health->type);
	check_type(reader, at, health);
	check_files(reader, at, health);
	if (!draft->is_key_wrong && config_has_any_port(draft->service) && !at->port &&
	    ((1u << health->type) & ~(KIND(ICMP) | KIND(SCRIPT))))
		config_error(reader, at->at, "health of type %s lacks \"port\": the service has any, and one must be asked",
			     config_probe_name(health->type));
}

static void check_min_up(struct config_reader *reader, const struct config_draft *draft)
{
	const struct config_service *service = draft->service;
	size_t count = service->backend_count - service->fallback_count;
	char share[40] = "";

	if (!draft->min_up || service->min_up_is_percent || !count || service->min_up <= count)
		return;
	if (service->min_up > 1 && service->min_up <= 100)
		snprintf(share, sizeof(share), "; a share of them is %u%%", service->min_up);
	config_error(reader, draft->min_up, "min_up is %u, and the service has %zu backend%s: it could never be up%s",
		     service->min_up, count, count == 1 ? "" : "s", share);
}

static void check_fallback(struct config_reader *reader, const struct config_draft *draft)
{
	bool is_wanted = draft->service->when_all_down == CONFIG_ALL_DOWN_FALLBACK;

	if (is_wanted && !draft->fallback)
		config_error(reader, draft->when_all_down,
			     "when_all_down: fallback needs \"fallback\": the addresses that get flows then");
	if (draft->fallback && !is_wanted)
		config_error(reader, draft->fallback, "fallback is for when_all_down: fallback, which is not set");
}

void config_check_health(struct config_reader *reader, struct config_draft *draft)
{
	check_probe(reader, draft);
	check_min_up(reader, draft);
	check_fallback(reader, draft);
	if (draft->on_down && draft->service->on_down == CONFIG_ON_DOWN_RESET && !draft->health.at &&
	    !draft->service->group)
		config_error(reader, draft->on_down, "on_down: reset needs \"health\": without it no backend fails its checks");
}

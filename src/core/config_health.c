/* Health as a value: sharing, comparing, names: see config.h. */
#include "core/config.h"

#include <stdlib.h>
#include <string.h>

struct config_health *config_health_hold(struct config_health *health)
{
	health->references++;
	return health;
}

void config_health_drop(struct config_health *health)
{
	if (!health || --health->references)
		return;
	for (char **word = health->command; word && *word; word++)
		free(*word);
	free(health->command);
	free(health->path);
	free(health->host);
	free(health->send);
	free(health->expect);
	free(health->name);
	free(health->ca);
	free(health->certificate);
	free(health->key);
	free(health);
}

static bool texts_equal(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool bytes_equal(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	return !a == !b && a_bytes == b_bytes && (!a || !memcmp(a, b, a_bytes));
}

static bool commands_equal(char *const *a, char *const *b)
{
	if (!a || !b)
		return a == b;
	while (*a && *b && !strcmp(*a, *b))
		a++, b++;
	return !*a && !*b;
}

static bool codes_equal(const struct config_health *a, const struct config_health *b)
{
	return a->status_count == b->status_count && !memcmp(a->status, b->status, sizeof(a->status));
}

bool config_health_equal(const struct config_health *a, const struct config_health *b)
{
	if (a == b || !a || !b)
		return a == b;
	return a->type == b->type && a->via_backend == b->via_backend && a->port == b->port &&
	       texts_equal(a->path, b->path) && texts_equal(a->host, b->host) && codes_equal(a, b) &&
	       bytes_equal(a->send, a->send_bytes, b->send, b->send_bytes) &&
	       bytes_equal(a->expect, a->expect_bytes, b->expect, b->expect_bytes) && texts_equal(a->name, b->name) &&
	       a->record == b->record && commands_equal(a->command, b->command) && texts_equal(a->ca, b->ca) &&
	       texts_equal(a->certificate, b->certificate) && texts_equal(a->key, b->key) && a->verify == b->verify &&
	       a->interval_ms == b->interval_ms && a->doubt_ms == b->doubt_ms && a->timeout_ms == b->timeout_ms &&
	       a->rise == b->rise && a->fall == b->fall;
}

const char *config_probe_name(enum config_probe probe)
{
	switch (probe) {
	case CONFIG_PROBE_TCP:
		return "tcp";
	case CONFIG_PROBE_HTTP:
		return "http";
	case CONFIG_PROBE_HTTPS:
		return "https";
	case CONFIG_PROBE_UDP:
		return "udp";
	case CONFIG_PROBE_DNS:
		return "dns";
	case CONFIG_PROBE_ICMP:
		return "icmp";
	case CONFIG_PROBE_SCRIPT:
		return "script";
	case CONFIG_PROBE_COUNT:
		break;
	}
	return "";
}

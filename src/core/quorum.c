/* Which backends of a service get new flows: see quorum.h. */
#include "core/quorum.h"

const char *quorum_verdict_name(enum quorum_verdict verdict)
{
	switch (verdict) {
	case QUORUM_SERVES:
		return "serves";
	case QUORUM_WAITS:
		return "waits";
	case QUORUM_PANICS:
		return "panics";
	case QUORUM_DROPS:
		return "drops";
	}
	return "";
}

static size_t needed(const struct config_service *config, size_t count)
{
	size_t share = config->min_up_is_percent ? (count * config->min_up + 99) / 100 : config->min_up;

	return share ? share : 1;
}

static enum quorum_verdict weigh(const struct config_service *config, const struct quorum *quorum, size_t unknown)
{
	if (quorum->up >= quorum->needed)
		return QUORUM_SERVES;
	if (quorum->up + unknown >= quorum->needed)
		return QUORUM_WAITS;
	return config->when_all_down == CONFIG_ALL_DOWN_DROP ? QUORUM_DROPS : QUORUM_PANICS;
}

static bool takes(const struct config_service *config, size_t i, const struct quorum_member *member,
		  enum quorum_verdict verdict)
{
	const struct config_backend *backend = &config->backends[i];

	if (!backend->weight || !member->is_reachable)
		return false;
	switch (verdict) {
	case QUORUM_SERVES:
	case QUORUM_WAITS:
		return member->state == QUORUM_UP && !backend->is_fallback;
	case QUORUM_PANICS:
		return backend->is_fallback == (config->when_all_down == CONFIG_ALL_DOWN_FALLBACK);
	case QUORUM_DROPS:
		return false;
	}
	return false;
}

struct quorum quorum_judge(const struct config_service *config, struct quorum_member *members)
{
	struct quorum quorum = {0};
	size_t unknown = 0;

	for (size_t i = 0; i < config->backend_count; i++) {
		if (config->backends[i].is_fallback || !config->backends[i].weight)
			continue;
		quorum.count++;
		quorum.up += members[i].state == QUORUM_UP && members[i].is_reachable;
		unknown += members[i].state == QUORUM_UNKNOWN;
	}
	quorum.needed = needed(config, quorum.count);
	quorum.verdict = weigh(config, &quorum, unknown);
	for (size_t i = 0; i < config->backend_count; i++) {
		members[i].takes = takes(config, i, &members[i], quorum.verdict);
		quorum.is_up |= members[i].takes;
	}
	return quorum;
}

/* The kind udp: a datagram of the configuration's bytes; any answer is good, or one that begins as the configuration
 * says. */
#include <string.h>

#include "daemon/probe_internal.h"

static bool judge(struct probe *probe, const uint8_t *bytes, size_t count)
{
	const struct config_health *health = probe->health;

	if (count < health->expect_bytes ||
		(health->expect_bytes && memcmp(bytes, health->expect, health->expect_bytes) != 0))
		probe_say(probe, HEALTH_WRONG, "the answer, of %zu bytes, does not begin as expected", count);
	else
		probe_say(probe, HEALTH_GOOD, "%s", "");
	return true;
}

static struct probe *start(struct probe_shared *shared, const struct config_health *health,
			   const struct probe_target *target, probe_done *done, void *context, struct err *e)
{
	return probe_datagram_start(shared, health, target, done, context, health->send, health->send_bytes,
					judge, 0, e);
}

const struct probe_kind probe_udp = {"udp", start, probe_end};

/* What the director tells of limits: which services drop new flows, when they begin to, and each minute while they do. */
#include "daemon/director_internal.h"

#include "base/log.h"

#define LOOK_EVERY_MS 1000u
#define TELL_EVERY_MS 60000u

/* What was dropped before the first look is old news. */
static void look(const struct director *director, struct fleet_service *service, uint64_t now_ms)
{
	struct fleet_limited *limited = &service->limited;
	uint64_t cell[HP_SERVICE_CELLS];
	char vip[IP_TEXT_BYTES];

	dataplane_service_sum(&director->plane, service->number, cell);
	if (!limited->is_known)
		*limited = (struct fleet_limited){.is_known = true, .told = cell[HP_LIMITED]};
	if (cell[HP_LIMITED] == limited->told || now_ms < limited->next_ms)
		return;
	log_event(LOG_WARNING,
		  "service_limited service=%s vip=%s packets=%llu text=\"clients open more flows than the limit of %u in %u s\"",
		  service->config->name, ip_format(&service->key.vip, vip),
		  (unsigned long long)(cell[HP_LIMITED] - limited->told), service->config->limit.new_flows,
		  service->config->limit.per_s);
	limited->told = cell[HP_LIMITED];
	limited->next_ms = now_ms + TELL_EVERY_MS;
}

void director_watch_limits(struct director *director)
{
	uint64_t now_ms = uv_now(director->loop);

	if (now_ms < director->limits_ms)
		return;
	director->limits_ms = now_ms + LOOK_EVERY_MS;
	for (struct fleet_service *service = director->fleet->services; service; service = service->hh.next)
		if (service->config && service->config->limit.new_flows)
			look(director, service, now_ms);
}

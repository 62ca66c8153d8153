/* What the status says of who may use a service: see api_routes.h. */
#include "core/guard.h"
#include "daemon/api_routes.h"

static json_t *limit_json(const struct config_limit *limit)
{
	if (!limit->new_flows)
		return json_null();
	return json_pack("{s:I, s:I, s:I}", "new_flows", (json_int_t)limit->new_flows, "per_s", (json_int_t)limit->per_s, "burst",
			 (json_int_t)limit->burst);
}

json_t *status_guard(const struct config_service *config)
{
	size_t denied = config->guard ? guard_denied(config->guard) : 0;

	if (!config->guard && !config->limit.new_flows)
		return json_null();
	return json_pack("{s:I, s:I, s:o}", "allow", config->guard ? (json_int_t)(config->guard->count - denied) : 0, "deny",
			 (json_int_t)denied, "limit", limit_json(&config->limit));
}

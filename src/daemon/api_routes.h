/* What the API's requests mean. The list of them, with their forms, is in man/halfproxyd.8. */
#ifndef HP_DAEMON_API_ROUTES_H
#define HP_DAEMON_API_ROUTES_H

#include "daemon/api.h"
#include "daemon/director.h"

/* The handler for api_create; context is the struct director. */
void api_routes_handle(void *context, const struct api_request *request, struct api_reply *reply);

/* The whole of GET /v1/status, or of one service; NULL when there is no service of that name. */
json_t *status_report(const struct director *director, const char *service);

/* What operators override: a list of {service, backend, weight, drain}. */
json_t *status_overrides(const struct director *director);

/* How far the drain of a backend is, {state, since_s, deadline_left_s}; null when it is not drained. */
json_t *status_drain(const struct director *director, const char *service, const struct ip *backend);

/* A verdict's name and meaning, from the list in abi.h. */
const char *status_verdict_name(uint32_t verdict);
const char *status_verdict_text(uint32_t verdict);

/* POST /v1/trace: run the tracing program on the packet that the request describes. */
void trace_report(struct director *director, const json_t *request, struct api_reply *reply);

#endif

/* What the API's requests mean. The list of them, with their forms, is in man/halfproxyd.8. */
#ifndef HP_DAEMON_API_ROUTES_H
#define HP_DAEMON_API_ROUTES_H

#include "daemon/api.h"
#include "daemon/director.h"

/* The handler for api_create; context is the struct director. */
void api_routes_handle(void *context, const struct api_request *request, struct api_reply *reply);

/* The whole of GET /v1/status, or of one service (NULL: all), in pieces. Returns false, nothing written, when there is no service
 * of that name, or no memory. */
bool status_report(struct director *director, const char *service, struct api_pieces *out);

/* A service, by its place in what runs, with its backends. */
struct status_memo;
json_t *status_service(const struct director *director, size_t index, struct status_memo *memo);

/* Whether packets can come and go there. */
bool status_port_is_up(const struct director *director, const struct port *port);

/* What operators override: a list of {service, backend, weight, drain}. */
json_t *status_overrides(const struct director *director);

/* Who answers for the VIPs, and what routes to them there are. */
json_t *status_announce(const struct director *director);

/* How far the drain of a backend is, {state, since_s, deadline_left_s, flows}; null when it is not drained. */
json_t *status_drain(const struct director *director, const char *service, const struct ip *backend);
json_t *status_override_drain(const struct director *director, const struct state_override *row);

/* Of a service's backend, by its place, its check: {state, type, via, since_s, last, own}; null when it is not probed. */
json_t *status_health(const struct director *director, const struct fleet_service *service, size_t backend);

/* Whether enough of a service's backends are up: {verdict, up, needed, of, when_all_down}. */
json_t *status_quorum(const struct fleet_service *service);

/* Who may use a service: {allow, deny: so many prefixes, limit}; null: everybody, as much as he likes. */
json_t *status_guard(const struct config_service *config);

/* What runs the checks: {checks, running, begun, not_sent, late_ms, latest_ms, reason}. */
json_t *status_probes(const struct director *director);

/* What differs between two rings, which many services may share: so it is not worked out again for the next. All zero at
 * the beginning of a report. */
struct status_memo {
	const struct fleet_ring *now, *before;
	double differs;
};

/* What a service lives through, of all its VIPs: {state, differs, flows, left_s}. */
json_t *status_motion(const struct director *director, const struct config_service *service, struct status_memo *memo);

/* How full the tables of flows are, as last counted: {proven, unproven: {used, limit}, full}. */
json_t *status_tables(const struct director *director);

/* The way of probes: {interface, mark, mask, table, ipv4, ipv6: {state, source, reason}, warning, events}. */
json_t *status_probe_way(const struct director *director);

/* The latest ICMP error about tunnels to a backend: {error, text, from, mtu, age_s, count}; null: none was heard. */
json_t *status_icmp(const struct director *director, const struct ip *backend);
/* What a router told of the path's MTU, while it holds. */
json_t *status_path_mtu(const struct director *director, const struct fleet_backend *backend);

/* The whole of GET /v1/flows: of all services or of one, with so many flows at most; NULL with *e written when they
 * cannot be read. */
json_t *flows_report(struct director *director, const char *service, uint32_t limit, struct err *e);

/* The whole of GET /v1/samples: the last packets dropped for each reason, or for one, newest first; NULL with *e written when
 * there is no such reason. */
json_t *samples_report(const struct director *director, const char *reason, struct err *e);

/* A verdict's name and meaning, from the list in abi.h. */
const char *status_verdict_name(uint32_t verdict);
const char *status_verdict_text(uint32_t verdict);

/* POST /v1/trace: run the tracing program on the packet that the request describes. */
void trace_report(struct director *director, const json_t *request, struct api_reply *reply);

#endif

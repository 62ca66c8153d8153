/* Requests and what they do: see api_routes.h. */
#include "daemon/api_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFIRM_MOST_S 86400
#define FLOWS_LISTED 100
#define FLOWS_LISTED_MOST 10000
#define DEADLINE_MOST_S (30 * 86400)

struct route {
	const char *method, *path;
	void (*serve)(struct director *director, const struct api_request *request, struct api_reply *reply);
};

/* ---- parts of replies ---------------------------------------------------------------------------------------------- */

static json_t *problems_json(const struct problems *problems)
{
	json_t *list = json_array();

	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *row = &problems->list[i];

		json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:s}", "kind",
						      row->kind == PROBLEM_ERROR ? "error" : "warning", "line",
						      (int)row->line, "column", (int)row->column, "text", row->text));
	}
	return list;
}

static json_t *changes_json(const struct config_changes *changes)
{
	json_t *list = json_array();

	for (size_t i = 0; i < changes->count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "kind", config_change_name(changes->list[i].kind),
						      "service", changes->list[i].service, "text", changes->list[i].text));
	return list;
}

static unsigned int status_of(int code, const struct director_result *result)
{
	if (result->is_invalid)
		return 422;
	switch (-code) {
	case ENOENT:
		return 404;
	case EBUSY:
		return 409;
	case ENOSPC:
		return 507;
	case EINVAL:
	case ENODEV:
		return 422;
	default:
		return 500;
	}
}

/* The reply to a change: what it did, or why not. Frees the result. */
static void reply_change(struct api_reply *reply, int code, struct director_result *result, const struct err *e)
{
	if (code) {
		api_fail(reply, status_of(code, result), "%s", e->text);
		if (result->is_invalid)
			json_object_set_new(reply->body, "problems", problems_json(&result->problems));
	} else {
		reply->body = json_pack("{s:o, s:o}", "changes", changes_json(&result->changes), "problems",
					problems_json(&result->problems));
	}
	director_result_free(result);
}

/* A text's weights are not those that count where an operator has overridden them: said beside its changes. */
static void put_overrides(const struct director *director, int code, struct api_reply *reply)
{
	if (!code)
		json_object_set_new(reply->body, "overrides", status_overrides(director));
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

static void serve_status(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	const char *service = api_query(request, "service");
	struct err e;

	if (status_report(director, service, &reply->pieces))
		return;
	director_no_service(director, service, &e);
	api_fail(reply, 404, "%s", e.text);
}

static void serve_flows(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	const char *service = api_query(request, "service"), *limit = api_query(request, "limit");
	char *end = NULL;
	unsigned long number = limit ? strtoul(limit, &end, 10) : FLOWS_LISTED;
	struct err e;

	if (limit && (*limit < '0' || *limit > '9' || *end || number > FLOWS_LISTED_MOST)) {
		api_fail(reply, 400, "limit must be a number from 0 to %d, not \"%s\"", FLOWS_LISTED_MOST, limit);
		return;
	}
	if (service && director_find_service(director, service) < 0) {
		director_no_service(director, service, &e);
		api_fail(reply, 404, "%s", e.text);
		return;
	}
	reply->body = flows_report(director, service, (uint32_t)number, &e);
	if (!reply->body)
		api_fail(reply, 500, "%s", e.text);
}

static void serve_samples(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	struct err e;

	reply->body = samples_report(director, api_query(request, "reason"), &e);
	if (!reply->body)
		api_fail(reply, 400, "%s", e.text);
}

static void serve_check(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	struct director_result result = {0};
	struct err e;
	int code = director_judge(director, request->body, request->body_bytes, &result, &e);

	if (code && !result.is_invalid)
		api_fail(reply, 422, "%s", e.text);
	else
		reply->body = json_pack("{s:o}", "problems", problems_json(&result.problems));
	director_result_free(&result);
}

static void serve_diff(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	struct director_result result = {0};
	struct err e;
	int code = director_judge(director, request->body, request->body_bytes, &result, &e);

	reply_change(reply, code, &result, &e);
	put_overrides(director, code, reply);
}

static void serve_apply(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	const char *confirm = api_query(request, "confirm");
	unsigned long seconds = 0;
	struct director_result result = {0};
	char *end = NULL;
	struct err e;
	int code;

	if (confirm) {
		seconds = strtoul(confirm, &end, 10);
		if (!*confirm || *end || !seconds || seconds > CONFIRM_MOST_S) {
			api_fail(reply, 400, "confirm must be a number of seconds from 1 to %d, not \"%s\"", CONFIRM_MOST_S,
				 confirm);
			return;
		}
	}
	code = director_apply(director, request->body, request->body_bytes, (uint32_t)seconds, false, &result, &e);
	reply_change(reply, code, &result, &e);
	if (!code)
		json_object_set_new(reply->body, "confirm_within_s",
				    director->state.confirm_by_s ? json_integer((json_int_t)seconds) : json_null());
	put_overrides(director, code, reply);
}

static void serve_confirm(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	struct director_result result = {0};
	struct err e;

	(void)request;
	reply_change(reply, director_confirm(director, &e), &result, &e);
}

static void serve_undo(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	struct director_result result = {0};
	struct err e;

	(void)request;
	reply_change(reply, director_undo(director, &result, &e), &result, &e);
}

static void serve_reload(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	struct director_result result = {0};
	struct err e;
	int code = director_reload(director, &result, &e);
	json_t *text = result.text.bytes ? json_stringn(result.text.bytes, result.text.count) : NULL;
	bool is_doubtful = result.problems.count > 0;

	(void)request;
	reply_change(reply, code, &result, &e);
	put_overrides(director, code, reply);
	json_object_set_new(reply->body, "file", json_string(director->options.file));
	/* The caller cannot always read the file that the mistakes are in. */
	if (is_doubtful && text)
		json_object_set(reply->body, "text", text);
	json_decref(text);
}

/* The body as a JSON object, or NULL with the reply filled. */
static json_t *read_body(const struct api_request *request, struct api_reply *reply)
{
	json_error_t where;
	json_t *body = json_loadb(request->body, request->body_bytes, 0, &where);

	if (json_is_object(body))
		return body;
	json_decref(body);
	api_fail(reply, 400, "the body must be a JSON object: %s", where.text);
	return NULL;
}

/* The service and the backend that a body names, or false with the reply filled. */
static bool read_backend(const json_t *body, struct api_reply *reply, const char **service, struct ip *backend)
{
	const char *address = json_string_value(json_object_get(body, "backend"));

	*service = json_string_value(json_object_get(body, "service"));
	if (!*service || !address)
		api_fail(reply, 400, "service and backend must be given as texts");
	else if (!ip_parse(backend, address))
		api_fail(reply, 400, "\"%s\" is not an address", address);
	else
		return true;
	return false;
}

static void serve_weight(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	json_t *body = read_body(request, reply);
	const json_t *weight = json_object_get(body, "weight");
	struct director_result result = {0};
	const char *service;
	struct ip backend;
	struct err e;
	int code;

	if (body && read_backend(body, reply, &service, &backend)) {
		if (!json_is_integer(weight) || json_integer_value(weight) < 0 || json_integer_value(weight) > RING_WEIGHT_MOST) {
			api_fail(reply, 400, "weight must be a whole number from 0 to %d", RING_WEIGHT_MOST);
		} else {
			code = director_weight(director, service, &backend, (uint32_t)json_integer_value(weight), &result, &e);
			reply_change(reply, code, &result, &e);
		}
	}
	json_decref(body);
}

static void put_drain(const struct director *director, int code, struct api_reply *reply, const char *service,
		      const struct ip *backend)
{
	char address[IP_TEXT_BYTES];

	if (code)
		return;
	json_object_set_new(reply->body, "service", json_string(service));
	json_object_set_new(reply->body, "backend", json_string(ip_format(backend, address)));
	json_object_set_new(reply->body, "drain", status_drain(director, service, backend));
}

static void serve_drain(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	json_t *body = read_body(request, reply);
	const json_t *deadline = json_object_get(body, "deadline_s");
	json_int_t deadline_s = json_integer_value(deadline);
	struct director_result result = {0};
	const char *service;
	struct ip backend;
	struct err e;
	int code;

	if (body && read_backend(body, reply, &service, &backend)) {
		if (deadline && !json_is_null(deadline) &&
		    (!json_is_integer(deadline) || deadline_s < 1 || deadline_s > DEADLINE_MOST_S)) {
			api_fail(reply, 400, "deadline_s must be a number of seconds from 1 to %d", DEADLINE_MOST_S);
		} else {
			code = director_drain(director, service, &backend, (uint32_t)deadline_s, &result, &e);
			reply_change(reply, code, &result, &e);
			put_drain(director, code, reply, service, &backend);
		}
	}
	json_decref(body);
}

static void serve_undrain(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	json_t *body = read_body(request, reply);
	struct director_result result = {0};
	const char *service;
	struct ip backend;
	struct err e;
	int code;

	if (body && read_backend(body, reply, &service, &backend)) {
		code = director_undrain(director, service, &backend, &result, &e);
		reply_change(reply, code, &result, &e);
	}
	json_decref(body);
}

static void serve_reset(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	json_t *body = read_body(request, reply);
	struct director_result result = {0};
	const char *service;
	struct err e;

	if (!body)
		return;
	service = json_string_value(json_object_get(body, "service"));
	if (!service)
		api_fail(reply, 400, "service must be given as a text");
	else
		reply_change(reply, director_reset(director, service, &result, &e), &result, &e);
	json_decref(body);
}

static void serve_trace(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	json_t *body = read_body(request, reply);

	if (body)
		trace_report(director, body, reply);
	json_decref(body);
}

static void serve_maintenance(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	json_t *body = read_body(request, reply);
	const json_t *on = json_object_get(body, "on");

	if (body && !json_is_boolean(on)) {
		api_fail(reply, 400, "on must be true or false");
	} else if (body) {
		director_maintenance(director, json_is_true(on));
		reply->body = json_pack("{s:o}", "announce", status_announce(director));
	}
	json_decref(body);
}

static void serve_role(struct director *director, const struct api_request *request, struct api_reply *reply)
{
	json_t *body = read_body(request, reply);
	const char *name = json_string_value(json_object_get(body, "role"));
	enum state_role role = name ? state_role_named(name) : STATE_ROLE_NONE;

	if (body && role == STATE_ROLE_NONE) {
		api_fail(reply, 400, "role must be active or standby");
	} else if (body) {
		director_role(director, role);
		reply->body = json_pack("{s:o}", "announce", status_announce(director));
	}
	json_decref(body);
}

static const struct route routes[] = {
	{"GET", "/v1/status", serve_status},	{"GET", "/v1/flows", serve_flows},
	{"GET", "/v1/samples", serve_samples},
	{"POST", "/v1/check", serve_check}, {"POST", "/v1/diff", serve_diff},
	{"POST", "/v1/apply", serve_apply},	{"POST", "/v1/undo", serve_undo},   {"POST", "/v1/reload", serve_reload},
	{"POST", "/v1/confirm", serve_confirm}, {"POST", "/v1/trace", serve_trace}, {"POST", "/v1/weight", serve_weight},
	{"POST", "/v1/drain", serve_drain},	{"POST", "/v1/undrain", serve_undrain}, {"POST", "/v1/reset", serve_reset},
	{"POST", "/v1/maintenance", serve_maintenance}, {"POST", "/v1/role", serve_role},
};

void api_routes_handle(void *context, const struct api_request *request, struct api_reply *reply)
{
	bool is_path = false;

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (strcmp(routes[i].path, request->path) != 0)
			continue;
		is_path = true;
		if (strcmp(routes[i].method, request->method) != 0)
			continue;
		routes[i].serve(context, request, reply);
		return;
	}
	if (is_path)
		api_fail(reply, 405, "%s does not take %s", request->path, request->method);
	else
		api_fail(reply, 404, "there is no %s", request->path);
}

/* The status report as a whole: see api_routes.h. Its services are made in pieces, between which the loop goes on: of thousands
 * the report takes seconds, and probes and packets' ways must not wait for it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/api_routes.h"

#define PIECE_BACKENDS 64 /* in a piece, or one service with more */

static bool differs_from_file(const struct director *director)
{
	struct state_text text = {0};
	bool differs = true;

	if (!state_read_file(director->options.file, &text, NULL))
		differs = text.count != director->state.running.count ||
			  memcmp(text.bytes, director->state.running.bytes, text.count) != 0;
	state_text_free(&text);
	return differs;
}

json_t *status_overrides(const struct director *director)
{
	json_t *list = json_array();

	for (size_t i = 0; i < director->state.override_count; i++) {
		const struct state_override *row = &director->state.overrides[i];
		char address[IP_TEXT_BYTES];

		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o}", "service", row->service, "backend",
						      ip_format(&row->backend, address), "weight",
						      row->has_weight ? json_integer(row->weight) : json_null(), "drain",
						      status_override_drain(director, row)));
	}
	return list;
}

static json_t *configuration_json(const struct director *director)
{
	const struct state *state = &director->state;
	bool differs = differs_from_file(director);
	uint64_t now = state_boot_s();
	json_t *waits = json_null();

	if (state->confirm_by_s)
		waits = json_integer(state->confirm_by_s > now ? (json_int_t)(state->confirm_by_s - now) : 0);
	return json_pack("{s:s, s:s, s:b, s:i, s:o, s:b, s:o}", "file", director->options.file, "running",
			 state->is_file || !differs ? "file" : "applied", "differs_from_file", differs, "services",
			 (int)director->running->service_count, "confirm_within_s", waits, "undo",
			 state->previous.bytes != NULL, "overrides", status_overrides(director));
}

static json_t *interfaces_json(const struct director *director)
{
	static const char *const states[] = {
		[PORT_ATTACHED] = "attached", [PORT_MISSING] = "missing", [PORT_FAILED] = "failed"};
	json_t *list = json_array();

	for (size_t i = 0; i < director->ports->count; i++) {
		const struct port *port = &director->ports->list[i];
		json_t *mode = json_null();

		if (port->state == PORT_ATTACHED)
			mode = json_string(port->native ? "native" : "generic");
		json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:o, s:b, s:s, s:b, s:s}", "name", port->name,
						      "ifindex", (int)port->ifindex, "role",
						      port->role == DATAPLANE_INGRESS ? "ingress" : "egress", "mode", mode,
						      "announce", port->announce, "state", states[port->state], "up",
						      status_port_is_up(director, port), "reason", port->reason));
	}
	return list;
}

static json_t *verdicts_json(const struct director *director)
{
	uint64_t total[HP_SERVICE_CELLS], cell[HP_SERVICE_CELLS];
	json_t *out = json_object();

	dataplane_service_sum(&director->plane, 0, total);
	for (const struct fleet_service *s = director->fleet->services; s; s = s->hh.next) {
		dataplane_service_sum(&director->plane, s->number, cell);
		for (size_t i = 0; i < HP_SERVICE_CELLS; i++)
			total[i] += cell[i];
	}
	for (uint32_t v = 1; v < HP_VERDICT_COUNT; v++)
		json_object_set_new(out, status_verdict_name(v), json_pack("{s:I, s:s}", "count", (json_int_t)total[v],
									   "text", status_verdict_text(v)));
	return out;
}

static json_t *use_json(uint32_t used, uint32_t limit)
{
	return json_pack("{s:I, s:I}", "used", (json_int_t)used, "limit", (json_int_t)limit);
}

json_t *status_tables(const struct director *director)
{
	const struct fleet_pass *pass = &director->fleet->pass;
	const struct dataplane_limits *limits = &director->plane.limits;

	return json_pack("{s:o, s:o, s:b}", "proven", use_json((uint32_t)pass->count[DATAPLANE_FLOWS], limits->flows),
			 "unproven", use_json((uint32_t)pass->count[DATAPLANE_UNPROVEN], limits->unproven), "full",
			 pass->table_is_full);
}

static json_t *capacity_json(const struct director *director)
{
	const struct fleet *fleet = director->fleet;
	const struct dataplane_limits *limits = &director->plane.limits;

	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "services", use_json(fleet->service_numbers.used, limits->services - 1),
			 "backends", use_json(fleet->backend_numbers.used, limits->backends - 1), "slots",
			 use_json(fleet->blocks.used * HP_SLOTS_PER_BLOCK, (limits->blocks - 1) * HP_SLOTS_PER_BLOCK),
			 "prefixes", use_json((uint32_t)fleet->prefixes, limits->prefixes), "flows", status_tables(director));
}

static size_t count_up(const struct director *director)
{
	size_t count = 0;

	for (const struct fleet_vip *vip = director->fleet->vips; vip; vip = vip->hh.next)
		count += fleet_vip_is_served(vip);
	return count;
}

json_t *status_announce(const struct director *director)
{
	uint32_t table = director->running->announce.table;
	struct announcer_state state;

	announcer_state(director->announcer, &state);
	return json_pack("{s:s, s:b, s:o, s:s?, s:I, s:I, s:{s:I, s:I}, s:s}", "role", state_role_name(director->state.role),
			 "maintenance", director->state.is_maintenance, "table",
			 table ? json_integer((json_int_t)table) : json_null(), "interface", state.interface, "vips",
			 (json_int_t)HASH_COUNT(director->fleet->vips), "up", (json_int_t)count_up(director), "routes", "wanted",
			 (json_int_t)state.wanted, "there", (json_int_t)state.there, "error", state.error);
}

/* ---- in pieces ---------------------------------------------------------------------------------------------------------- */

/* A report that is being made. */
struct report {
	struct director *director;
	struct config *config; /* what ran when it was asked for: the services, by their names */
	size_t next, end;      /* of its services */
	bool has_head, has_service, is_over;
};

static char *dump(json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(9));

	json_decref(body);
	return text;
}

/* All but the services, for which the text is left open. */
static char *head_text(const struct director *director)
{
	json_t *out = json_pack("{s:s, s:i, s:I, s:o, s:o, s:o, s:o}", "version", HP_VERSION, "pid", (int)getpid(), "uptime_s",
				(json_int_t)((uv_now(director->loop) - director->started_ms) / 1000), "configuration",
				configuration_json(director), "interfaces", interfaces_json(director), "verdicts",
				verdicts_json(director), "capacity", capacity_json(director));
	auto_free char *head = NULL;
	char *text = NULL;

	json_object_set_new(out, "probe_way", status_probe_way(director));
	json_object_set_new(out, "announce", status_announce(director));
	json_object_set_new(out, "probes", status_probes(director));
	json_object_set_new(out, "rings_built", json_integer((json_int_t)director->fleet->rings_built));
	head = dump(out);
	if (!head || asprintf(&text, "%.*s,\"services\":[", (int)strlen(head) - 1, head) < 0)
		return NULL;
	return text;
}

/* Where the service stands now, as the configuration may have changed since the last piece; -1: nowhere. */
static ptrdiff_t place_of(const struct report *report, size_t at)
{
	const struct config *running = report->director->running;
	const char *name = report->config->services[at]->name;

	if (at < running->service_count && !strcmp(running->services[at]->name, name))
		return (ptrdiff_t)at;
	return config_find_service(running, name);
}

/* The next services, behind a comma where others stand before them. */
static char *services_text(struct report *report)
{
	struct status_memo memo = {0};
	json_t *list = json_array();
	size_t backends = 0;
	char *text;

	for (; report->next < report->end && backends < PIECE_BACKENDS; report->next++) {
		ptrdiff_t place = place_of(report, report->next);

		backends++;
		if (place < 0)
			continue;
		backends += report->director->running->services[place]->backend_count;
		json_array_append_new(list, status_service(report->director, (size_t)place, &memo));
	}
	if (!json_array_size(list)) {
		json_decref(list);
		return calloc(1, 1);
	}
	text = dump(list); /* without its brackets */
	if (!text)
		return NULL;
	text[strlen(text) - 1] = '\0';
	if (report->has_service)
		text[0] = ',';
	else
		memmove(text, text + 1, strlen(text));
	report->has_service = true;
	return text;
}

static char *next_piece(void *context)
{
	struct report *report = context;

	if (!report->has_head) {
		report->has_head = true;
		return head_text(report->director);
	}
	if (report->next < report->end)
		return services_text(report);
	if (report->is_over)
		return NULL;
	report->is_over = true;
	return strdup("]}");
}

static void end_report(void *context)
{
	struct report *report = context;

	config_free(report->config);
	free(report);
}

bool status_report(struct director *director, const char *service, struct api_pieces *out)
{
	ptrdiff_t only = service ? director_find_service(director, service) : 0;
	struct report *report = only < 0 ? NULL : calloc(1, sizeof(*report));

	if (!report)
		return false;
	report->director = director;
	report->config = config_copy(director->running);
	if (!report->config) {
		free(report);
		return false;
	}
	report->next = (size_t)only;
	report->end = service ? report->next + 1 : report->config->service_count;
	*out = (struct api_pieces){next_piece, end_report, report};
	return true;
}

/* Commands: see command.h. */
#include "cli/command.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/duration.h"
#include "base/err.h"
#include "base/file_look.h"
#include "base/ip.h"
#include "cli/announce.h"
#include "cli/client.h"
#include "cli/doctor.h"
#include "cli/drain_wait.h"
#include "cli/show.h"
#include "core/config_parse.h"

#define DONE 0
#define REFUSED 1
#define UNASKED 2
#define FLOWS_LISTED 20
#define FLOWS_LISTED_MOST 10000 /* as the daemon */
#define DAY_S 86400ul
#define TEXT_MOST_BYTES (64u << 20) /* as the daemon */

/* ---- arguments ------------------------------------------------------------------------------------------------------- */

unsigned long command_seconds(const char *text, unsigned long most)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t us;
	char with_unit[32];

	/* A bare number is seconds. */
	if (digits && !text[digits] && snprintf(with_unit, sizeof(with_unit), "%ss", text) < (int)sizeof(with_unit))
		text = with_unit;
	if (!duration_parse(&us, text) || us % DURATION_SECOND_US || us / DURATION_SECOND_US > most)
		return 0;
	return (unsigned long)(us / DURATION_SECOND_US);
}

static bool take_port(const char *text, int *port)
{
	unsigned long number;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	number = strtoul(text, &end, 10);
	if (*end || number > 65535)
		return false;
	*port = (int)number;
	return true;
}

bool command_endpoint(const char *text, char *address, int *port)
{
	const char *end = text + strlen(text), *colon = strrchr(text, ':');
	size_t length;

	*port = -1;
	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] && (end[1] != ':' || !take_port(end + 2, port))))
			return false;
	} else if (colon && strchr(text, ':') == colon) {
		if (!take_port(colon + 1, port))
			return false;
		end = colon;
	}
	length = (size_t)(end - text);
	if (!length || length > 63)
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	return true;
}

/* A file, or standard input for "-". Zero-terminated. */
static char *read_text(const char *path, size_t *count)
{
	auto_fclose FILE *file = strcmp(path, "-") ? fopen(path, "re") : fdopen(0, "r");
	auto_free char *bytes = NULL;
	size_t room = 65536;

	*count = 0;
	for (; file; room *= 2) {
		char *grown = realloc(bytes, room);

		if (!grown)
			break;
		bytes = grown;
		*count += fread(bytes + *count, 1, room - *count - 1, file);
		if (*count > TEXT_MOST_BYTES)
			errno = EFBIG;
		if (ferror(file) || *count > TEXT_MOST_BYTES)
			break;
		if (*count < room - 1) {
			bytes[*count] = '\0';
			return take_ptr(bytes);
		}
	}
	fprintf(stderr, "halfproxy: %s: %s\n", path, strerror(errno));
	return NULL;
}

/* ---- asking and answering ---------------------------------------------------------------------------------------------- */

/* Mistakes that the daemon found, shown in the text that the caller has. */
static void print_problems(const json_t *list, const char *file, const char *text, size_t bytes)
{
	struct problems problems = {0};
	const json_t *row;
	size_t i;

	json_array_foreach((json_t *)list, i, row) {
		const char *kind = json_string_value(json_object_get(row, "kind"));
		const char *what = json_string_value(json_object_get(row, "text"));

		problems_add(&problems, kind && !strcmp(kind, "error") ? PROBLEM_ERROR : PROBLEM_WARNING,
			     (uint32_t)json_integer_value(json_object_get(row, "line")),
			     (uint32_t)json_integer_value(json_object_get(row, "column")), "%s", what ? what : "");
	}
	problems_print(stderr, file, text, bytes, &problems);
	problems_free(&problems);
}

struct text {
	const char *file, *bytes; /* NULL: no text goes along */
	size_t count;
};

/* Ask, and print what came: by `show`, or as JSON. Returns the exit status; *reply is the caller's when 0. */
static int ask(const struct command_call *call, const char *method, const char *target, const struct text *text,
	       void (*show)(FILE *out, const json_t *body), json_t **out)
{
	struct client_reply reply = {0};
	const char *error;
	struct err e;

	if (client_ask(call->socket, method, target, text->bytes ? text->bytes : "", text->count, &reply, &e)) {
		fprintf(stderr, "halfproxy: %s\n", e.text);
		return UNASKED;
	}
	error = json_string_value(json_object_get(reply.body, "error"));
	if (text->file && json_object_get(reply.body, "problems"))
		print_problems(json_object_get(reply.body, "problems"), text->file, text->bytes, text->count);
	else if (json_object_get(reply.body, "text"))
		print_problems(json_object_get(reply.body, "problems"), json_string_value(json_object_get(reply.body, "file")),
			       json_string_value(json_object_get(reply.body, "text")),
			       json_string_length(json_object_get(reply.body, "text")));
	if (reply.status != 200) {
		fprintf(stderr, "halfproxy: %s\n", error ? error : "the daemon refuses without a reason");
		if (call->is_json)
			show_json(stdout, reply.body);
		json_decref(reply.body);
		return REFUSED;
	}
	if (call->is_json && !call->is_waiting)
		show_json(stdout, reply.body);
	else if (show && !call->is_json)
		show(stdout, reply.body);
	if (out)
		*out = reply.body;
	else
		json_decref(reply.body);
	return DONE;
}

static int ask_plainly(const struct command_call *call, const char *target)
{
	const struct text none = {0};

	return ask(call, "POST", target, &none, show_changes, NULL);
}

static int ask_json(const struct command_call *call, const char *target, json_t *body,
		    void (*show)(FILE *out, const json_t *body))
{
	auto_free char *bytes = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const struct text text = {NULL, bytes, bytes ? strlen(bytes) : 0};

	json_decref(body);
	if (!bytes) {
		fprintf(stderr, "halfproxy: what was typed cannot be sent: is it UTF-8?\n");
		return UNASKED;
	}
	return ask(call, "POST", target, &text, show, NULL);
}

/* ---- the commands ------------------------------------------------------------------------------------------------------ */

static int check(const struct command_call *call)
{
	/* What is closed to whoever types this may be open to the daemon. */
	const struct config_host host = {file_look, PROBLEM_ERROR, geteuid() ? PROBLEM_WARNING : PROBLEM_ERROR};
	struct problems problems = {0};
	size_t bytes, backends = 0;
	auto_free char *text = read_text(call->argv[0], &bytes);
	struct config *config;

	if (!text)
		return REFUSED;
	config = config_parse_on(text, bytes, &host, &problems);
	problems_print(stderr, call->argv[0], text, bytes, &problems);
	for (size_t i = 0; config && i < config->service_count; i++)
		backends += config->services[i]->backend_count;
	if (call->is_json)
		printf("{\"ok\": %s, \"errors\": %zu, \"warnings\": %zu}\n", config ? "true" : "false", problems.errors,
		       problems.warnings);
	else if (config)
		printf("%s: ok, %zu service%s, %zu backend%s\n", call->argv[0], config->service_count,
		       config->service_count == 1 ? "" : "s", backends, backends == 1 ? "" : "s");
	else
		fprintf(stderr, "halfproxy: %s: %zu mistake%s\n", call->argv[0], problems.errors,
			problems.errors == 1 ? "" : "s");
	problems_free(&problems);
	if (!config)
		return REFUSED;
	config_free(config);
	return DONE;
}

static int diff(const struct command_call *call)
{
	struct text text = {.file = call->argv[0]};
	auto_free char *bytes = read_text(call->argv[0], &text.count);
	json_t *body;
	size_t changes;

	text.bytes = bytes;
	if (!bytes || ask(call, "POST", "/v1/diff", &text, show_changes, &body))
		return UNASKED;
	changes = json_array_size(json_object_get(body, "changes"));
	json_decref(body);
	return changes ? 1 : 0;
}

static int apply(const struct command_call *call)
{
	struct text text = {.file = call->argv[0]};
	unsigned long seconds = call->confirm ? command_seconds(call->confirm, DAY_S) : 0;
	auto_free char *bytes = NULL;
	char target[64] = "/v1/apply";

	if (call->confirm && !seconds) {
		fprintf(stderr, "halfproxy: --confirm \"%s\" is not a time of up to a day, such as 60s, 10m or 1h\n",
			call->confirm);
		return UNASKED;
	}
	bytes = read_text(call->argv[0], &text.count);
	text.bytes = bytes;
	if (!bytes)
		return UNASKED;
	if (seconds)
		snprintf(target, sizeof(target), "/v1/apply?confirm=%lu", seconds);
	return ask(call, "POST", target, &text, show_changes, NULL);
}

static void show_confirmed(FILE *out, const json_t *body)
{
	(void)body;
	fprintf(out, "confirmed\n");
}

static int confirm(const struct command_call *call)
{
	const struct text none = {0};

	return ask(call, "POST", "/v1/confirm", &none, show_confirmed, NULL);
}

static int undo(const struct command_call *call)
{
	return ask_plainly(call, "/v1/undo");
}

static int reload(const struct command_call *call)
{
	return ask_plainly(call, "/v1/reload");
}

static int status(const struct command_call *call)
{
	const struct text none = {0};
	char target[512] = "/v1/status";

	if (call->argc) {
		strcat(target, "?service=");
		client_encode(target, sizeof(target), call->argv[0]);
	}
	return ask(call, "GET", target, &none, show_status, NULL);
}

static int flows(const struct command_call *call)
{
	const struct text none = {0};
	char target[512], *end = NULL;
	unsigned long limit = call->limit ? strtoul(call->limit, &end, 10) : FLOWS_LISTED;

	if (call->limit && (*call->limit < '0' || *call->limit > '9' || *end || limit > FLOWS_LISTED_MOST)) {
		fprintf(stderr, "halfproxy: --limit \"%s\" must be a whole number from 0 to %d\n", call->limit,
			FLOWS_LISTED_MOST);
		return UNASKED;
	}
	snprintf(target, sizeof(target), "/v1/flows?limit=%lu", limit);
	if (call->argc) {
		strcat(target, "&service=");
		client_encode(target, sizeof(target), call->argv[0]);
	}
	return ask(call, "GET", target, &none, show_flows, NULL);
}

static int samples(const struct command_call *call)
{
	const struct text none = {0};
	char target[512] = "/v1/samples";

	if (call->reason) {
		strcat(target, "?reason=");
		client_encode(target, sizeof(target), call->reason);
	}
	return ask(call, "GET", target, &none, show_samples, NULL);
}

static int trace(const struct command_call *call)
{
	char source[64], vip[64];
	int source_port, port;
	json_t *body;

	if (!command_endpoint(call->argv[0], source, &source_port) || !command_endpoint(call->argv[1], vip, &port)) {
		fprintf(stderr, "halfproxy: trace takes ADDRESS[:PORT] twice, an IPv6 address with a port in brackets: "
				"[2001:db8::1]:80\n");
		return UNASKED;
	}
	body = json_pack("{s:s, s:s, s:s}", "source", source, "vip", vip, "protocol", call->protocol ? call->protocol : "tcp");
	if (call->is_under_way)
		json_object_set_new(body, "under_way", json_true());
	if (source_port >= 0)
		json_object_set_new(body, "source_port", json_integer(source_port));
	if (port >= 0)
		json_object_set_new(body, "port", json_integer(port));
	return ask_json(call, "/v1/trace", body, show_trace);
}

/* Whether the second argument is an address; says so if not. */
static bool names_backend(const struct command_call *call)
{
	struct ip backend;

	if (ip_parse(&backend, call->argv[1]))
		return true;
	fprintf(stderr, "halfproxy: backend \"%s\" must be an address, as `halfproxy status` shows it\n", call->argv[1]);
	return false;
}

static int weight(const struct command_call *call)
{
	char *end;
	unsigned long number = strtoul(call->argv[2], &end, 10);

	if (call->argv[2][0] < '0' || call->argv[2][0] > '9' || *end || number > 65535) {
		fprintf(stderr, "halfproxy: weight \"%s\" must be a whole number from 0 to 65535\n", call->argv[2]);
		return UNASKED;
	}
	if (!names_backend(call))
		return UNASKED;
	return ask_json(call, "/v1/weight",
			json_pack("{s:s, s:s, s:i}", "service", call->argv[0], "backend", call->argv[1], "weight", (int)number),
			show_override);
}

static int drain(const struct command_call *call)
{
	unsigned long seconds = call->deadline ? command_seconds(call->deadline, 30 * DAY_S) : 0;
	json_t *body;
	int code;

	if (!names_backend(call))
		return UNASKED;
	if (call->deadline && !seconds) {
		fprintf(stderr, "halfproxy: --deadline \"%s\" is not a time of up to 30 days, such as 60s, 10m or 1h\n",
			call->deadline);
		return UNASKED;
	}
	body = json_pack("{s:s, s:s}", "service", call->argv[0], "backend", call->argv[1]);
	if (seconds && body)
		json_object_set_new(body, "deadline_s", json_integer((json_int_t)seconds));
	code = ask_json(call, "/v1/drain", body, show_drained);
	return code || !call->is_waiting ? code : drain_wait(call, stdout);
}

static int undrain(const struct command_call *call)
{
	if (!names_backend(call))
		return UNASKED;
	return ask_json(call, "/v1/undrain", json_pack("{s:s, s:s}", "service", call->argv[0], "backend", call->argv[1]),
			show_override);
}

static int reset(const struct command_call *call)
{
	return ask_json(call, "/v1/reset", json_pack("{s:s}", "service", call->argv[0]), show_changes);
}

static int maintenance(const struct command_call *call)
{
	bool is_on = !strcmp(call->argv[0], "on");
	int code;

	if (!is_on && strcmp(call->argv[0], "off") != 0) {
		fprintf(stderr, "halfproxy: maintenance is on or off, not \"%s\"\n", call->argv[0]);
		return UNASKED;
	}
	code = ask_json(call, "/v1/maintenance", json_pack("{s:b}", "on", is_on), show_announce);
	return code || !call->is_waiting ? code : announce_wait(call, is_on, stdout);
}

static int take_role(const struct command_call *call, const char *role)
{
	return ask_json(call, "/v1/role", json_pack("{s:s}", "role", role), show_announce);
}

static int active(const struct command_call *call)
{
	return take_role(call, "active");
}

static int standby(const struct command_call *call)
{
	return take_role(call, "standby");
}

const struct command command_table[] = {
	{"check", "FILE", "validate a configuration, without a daemon; - is standard input", 1, 1, check},
	{"diff", "FILE", "what applying it would change; exit 0 nothing, 1 something, 2 error", 1, 1, diff},
	{"apply", "FILE [--confirm TIME]", "make it the running configuration; taken back unless confirmed in time", 1, 1,
	 apply},
	{"confirm", "", "keep what was applied with --confirm", 0, 0, confirm},
	{"undo", "", "go back to the configuration before the running one", 0, 0, undo},
	{"reload", "", "read the daemon's own file again", 0, 0, reload},
	{"status", "[SERVICE]", "services, backends, states, shares, rates", 0, 1, status},
	{"flows", "[SERVICE] [--limit N]", "flows remembered through a change, and what services live through", 0, 1, flows},
	{"samples", "[--reason NAME]", "the last packets that were dropped, by reason, with their headers", 0, 0, samples},
	{"trace", "SRC[:PORT] VIP[:PORT] [--protocol P] [--under-way]",
	 "walk such a packet through the loaded program, step by step", 2, 2, trace},
	{"weight", "SERVICE BACKEND N", "override a backend's weight until reset", 3, 3, weight},
	{"drain", "SERVICE BACKEND [--deadline TIME] [--wait]", "give a backend no new flows; cut what is left by the deadline",
	 2, 2, drain},
	{"undrain", "SERVICE BACKEND", "give it new flows again", 2, 2, undrain},
	{"reset", "SERVICE", "drop the overrides of a service", 1, 1, reset},
	{"maintenance", "on|off [--wait]", "have routers lead packets to other directors, or here again", 1, 1, maintenance},
	{"active", "", "answer for the VIPs, and tell the segments so", 0, 0, active},
	{"standby", "", "leave the VIPs to another director", 0, 0, standby},
	{"doctor", "[--fix]", "what is wrong here and around, and what mends it; exit 0 ok, 1 warnings, 2 wrong", 0, 0,
		doctor_run},
	{0},
};

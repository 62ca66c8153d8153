/* Tables and sentences: see show.h. */
#include "cli/show.h"

#include <stdbool.h>
#include <string.h>

#include "cli/reply.h"

#define EACH REPLY_EACH

void show_json(FILE *out, const json_t *body)
{
	json_dumpf(body, out, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
	fputc('\n', out);
}

const char *show_amount(double amount, char text[static 16])
{
	static const char units[] = " kMGTPE";
	size_t unit = 0;

	while (amount >= 999.5 && units[unit + 1]) {
		amount /= 1000;
		unit++;
	}
	if (!unit)
		snprintf(text, 16, "%.0f", amount);
	else
		snprintf(text, 16, amount < 9.95 ? "%.1f%c" : "%.0f%c", amount, units[unit]);
	return text;
}

static void show_overrides(FILE *out, const json_t *object)
{
	const json_t *row;
	size_t i;

	EACH(json_object_get(object, "overrides"), i, row) {
		const char *service = reply_text(row, "service"), *backend = reply_text(row, "backend");

		if (json_is_number(json_object_get(row, "weight")))
			fprintf(out, "override: %s %s weight %.0f (`halfproxy reset %s` drops it)\n", service, backend,
				reply_number(row, "weight"), service);
		if (json_is_object(json_object_get(row, "drain")))
			fprintf(out, "override: %s %s drained (`halfproxy undrain %s %s` ends it)\n", service, backend, service,
				backend);
	}
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static void show_configuration(FILE *out, const json_t *body)
{
	const json_t *configuration = json_object_get(body, "configuration");
	const json_t *waits = json_object_get(configuration, "confirm_within_s");

	fprintf(out, "halfproxyd %s, pid %.0f, up %.0f s, %s", reply_text(body, "version"), reply_number(body, "pid"),
		reply_number(body, "uptime_s"), reply_text(configuration, "file"));
	if (!strcmp(reply_text(configuration, "running"), "applied"))
		fprintf(out, " (another configuration was applied and runs)");
	else if (json_is_true(json_object_get(configuration, "differs_from_file")))
		fprintf(out, " (edited since: `halfproxy reload` takes it)");
	fputc('\n', out);
	if (json_is_integer(waits))
		fprintf(out, "a change waits for `halfproxy confirm`; it is taken back in %lld s\n",
			(long long)json_integer_value(waits));
	show_overrides(out, configuration);
}

/* Whom the world takes for the VIPs, where that is not just this director. */
static void show_world(FILE *out, const json_t *announce)
{
	const json_t *routes = json_object_get(announce, "routes");
	double wanted = reply_number(routes, "wanted"), there = reply_number(routes, "there");

	if (!strcmp(reply_text(announce, "role"), "standby"))
		fprintf(out, "standby: another director answers for the VIPs (`halfproxy active` takes over)\n");
	if (json_is_true(json_object_get(announce, "maintenance")))
		fprintf(out, "maintenance: no VIP is announced by a route (`halfproxy maintenance off` ends it)\n");
	if (wanted > 0 || there > 0)
		fprintf(out, "routes: %.0f of %.0f VIPs, in table %.0f by %s\n", there, reply_number(announce, "vips"),
			reply_number(announce, "table"), reply_text(announce, "interface"));
	if (*reply_text(announce, "error"))
		fprintf(out, "not announced: %s\n", reply_text(announce, "error"));
}

/* A missing interface is called missing. */
static bool is_link_down(const json_t *row)
{
	return json_is_false(json_object_get(row, "up")) && strcmp(reply_text(row, "state"), "missing") != 0;
}

static void show_interfaces(FILE *out, const json_t *list)
{
	const json_t *row;
	size_t i;

	EACH(list, i, row) {
		const char *mode = reply_text(row, "mode"), *reason = reply_text(row, "reason");

		fprintf(out, "interface %s: %s, %s%s%s%s%s%s%s\n", reply_text(row, "name"), reply_text(row, "role"),
			reply_text(row, "state"), is_link_down(row) ? ", LINK DOWN" : "", *mode ? ", XDP " : "", mode,
			!strcmp(reply_text(row, "role"), "ingress") && json_is_false(json_object_get(row, "announce"))
				? ", announces no VIPs"
				: "",
			*reason ? ": " : "", reason);
	}
}

/* What became of packets that met the backend and were not sent, in the words of the report's list. */
static void show_problems(FILE *out, const json_t *counts, const json_t *verdicts)
{
	const char *name;
	const json_t *count;

	json_object_foreach((json_t *)counts, name, count) {
		if (strcmp(name, "FORWARDED") != 0 && strcmp(name, "ICMP_FORWARDED") != 0)
			fprintf(out, "; %s %lld: %s", name, (long long)json_integer_value(count),
				reply_text(json_object_get(verdicts, name), "text"));
	}
}

/* How far a slow start is; begins with a semicolon as well. */
static void show_ramp(char *text, size_t room, const json_t *ramp)
{
	double steps = reply_number(ramp, "steps");
	char left[SHOW_TIME_BYTES];

	text[0] = '\0';
	if (steps > 0)
		snprintf(text, room, "; slow start at %.0f%%, whole in %s", reply_number(ramp, "step") / steps * 100,
			 show_time(reply_seconds(ramp, "left_s"), left));
}

/* How far a drain is; begins with a semicolon, as it stands behind the way. */
static void show_drain(char *text, size_t room, const json_t *drain)
{
	char since[SHOW_TIME_BYTES], left[SHOW_TIME_BYTES];
	const json_t *deadline = json_object_get(drain, "deadline_left_s");
	const char *state = reply_text(drain, "state");
	json_int_t flows = json_integer_value(json_object_get(drain, "flows"));
	char left_text[40] = "its flows are being counted";

	text[0] = '\0';
	if (json_is_integer(json_object_get(drain, "flows")))
		snprintf(left_text, sizeof(left_text), "%lld flow%s left", (long long)flows, flows == 1 ? "" : "s");
	if (!strcmp(state, "empty"))
		snprintf(text, room, "; drained, no flow is left");
	else if (!strcmp(state, "cut"))
		snprintf(text, room, "; drained, its flows were cut");
	else if (*state)
		snprintf(text, room, "; drained %s ago, %s%s%s", show_time(reply_seconds(drain, "since_s"), since), left_text,
			 json_is_integer(deadline) ? ", cut in " : "",
			 json_is_integer(deadline) ? show_time(reply_seconds(drain, "deadline_left_s"), left) : "");
}

/* The word of the state: of its health where it is probed and there is a way to it. */
static const char *show_state(const json_t *row)
{
	const char *state = reply_text(row, "state"), *health = reply_text(json_object_get(row, "health"), "state");

	return *health && !strcmp(state, "ready") ? health : state;
}

/* What an answer was; begins with `before`. */
static void show_answer(char *text, size_t room, const char *before, const json_t *result)
{
	if (json_is_object(result))
		snprintf(text, room, "%s%s", before, reply_text(result, "text"));
}

/* Why a backend is not up, and since when, or that it changes all the time; begins with a semicolon. */
static void show_health(char *text, size_t room, const json_t *health)
{
	char since[SHOW_TIME_BYTES], last[280] = "", own[280] = "", flapping[48] = "";
	const json_t *verdict = json_object_get(health, "verdict");
	const char *state = reply_text(health, "state"), *answer = reply_text(json_object_get(health, "last"), "answer");

	if (reply_number(health, "flapping") > 0)
		snprintf(flapping, sizeof(flapping), "; flapping: %.0f changes in a minute", reply_number(health, "flapping"));
	snprintf(text, room, "%s", flapping);
	if (!*state || (!json_is_object(verdict) && !strcmp(state, "up") && (!*answer || !strcmp(answer, "good"))))
		return;
	show_time(reply_seconds(health, "since_s"), since);
	if (json_is_object(verdict)) {
		snprintf(text, room, "; %s for %s: %s (%s)%s", state, since, reply_text(verdict, "text"),
			 reply_text(verdict, "cause"), flapping);
		return;
	}
	show_answer(last, sizeof(last), ": ", json_object_get(health, "last"));
	show_answer(own, sizeof(own), "; own address: ", json_object_get(health, "own"));
	snprintf(text, room, "; %s for %s%s%s%s", state, since, last, own, flapping);
}

/* What a router told of the path's MTU; begins with a semicolon. */
static void show_path_mtu(char *text, size_t room, const json_t *learned)
{
	char age[SHOW_TIME_BYTES];

	text[0] = '\0';
	if (json_is_object(learned))
		snprintf(text, room, "; path takes %.0f bytes, learned %s ago from %s", reply_number(learned, "mtu"),
			 show_time(reply_seconds(learned, "age_s"), age), reply_text(learned, "from"));
}

static void show_backend(FILE *out, const json_t *row, const json_t *verdicts)
{
	char packets[16], bits[16], total[16], weight[24], drain[160], ramp[80], health[1000], path[120];
	const char *reason = reply_text(row, "reason");

	snprintf(weight, sizeof(weight), "%.0f", reply_number(row, "weight"));
	if (reply_number(row, "weight") != reply_number(row, "configured_weight"))
		snprintf(weight, sizeof(weight), "%.0f(%.0f)", reply_number(row, "weight"),
			 reply_number(row, "configured_weight"));
	show_drain(drain, sizeof(drain), json_object_get(row, "drain"));
	show_ramp(ramp, sizeof(ramp), json_object_get(row, "ramp"));
	show_health(health, sizeof(health), json_object_get(row, "health"));
	show_path_mtu(path, sizeof(path), json_object_get(row, "path_mtu"));
	fprintf(out, "  -> %-32s %-8s %8s %6.1f%% %8s %8s %8s  %s%s%s%s%s%s%s%s%s", reply_text(row, "address"), show_state(row),
		weight, reply_number(row, "share") * 100, show_amount(reply_number(row, "packets_per_s"), packets),
		show_amount(reply_number(row, "bytes_per_s") * 8, bits), show_amount(reply_number(row, "packets"), total),
		reply_text(row, "interface"),
		*reply_text(row, "source") ? ", from " : "", reply_text(row, "source"), reason,
		json_is_true(json_object_get(row, "fallback")) ? "; fallback" : "", health, drain, ramp, path);
	show_problems(out, json_object_get(row, "verdicts"), verdicts);
	fputc('\n', out);
}

/* A backend that the configuration lists no more, while flows may be with it. */
static void show_removed(FILE *out, const json_t *row)
{
	json_int_t flows = json_integer_value(json_object_get(row, "flows"));
	char left[SHOW_TIME_BYTES];

	fprintf(out, "  -> %-32s removed: %lld flow%s left, cut in %s\n", reply_text(row, "address"), (long long)flows,
		flows == 1 ? "" : "s", show_time(reply_seconds(row, "deadline_left_s"), left));
}

const char *show_left(const json_t *motion, char text[static SHOW_LEFT_BYTES])
{
	char time[SHOW_TIME_BYTES];

	if (json_is_true(json_object_get(motion, "waits_for_room")))
		snprintf(text, SHOW_LEFT_BYTES, "until the table of flows has room");
	else
		snprintf(text, SHOW_LEFT_BYTES, "for another %s", show_time(reply_seconds(motion, "left_s"), time));
	return text;
}

void show_motion(FILE *out, const char *before, const json_t *motion)
{
	const char *state = reply_text(motion, "state");
	bool is_moving = json_is_integer(json_object_get(motion, "left_s"));
	json_int_t flows = json_integer_value(json_object_get(motion, "flows"));
	char left[SHOW_LEFT_BYTES];

	if (!*state || !strcmp(state, "steady"))
		return;
	fprintf(out, "%s%s%s%s: %.1f%% of the ring differs, %lld flow%s remembered\n", before, state, is_moving ? " " : "",
		is_moving ? show_left(motion, left) : "", reply_number(motion, "differs") * 100, (long long)flows,
		flows == 1 ? "" : "s");
}

void show_full(FILE *out, const json_t *tables)
{
	if (json_is_true(json_object_get(tables, "full")))
		fprintf(out, "the table of flows is full: services that are moving stay so; raise limits.flows\n");
}

static double verdict_count(const json_t *row, const char *name)
{
	return reply_number(json_object_get(row, "verdicts"), name);
}

/* Who may use a service, and how many packets were dropped by that. */
static void show_guard(FILE *out, const json_t *row)
{
	const json_t *guard = json_object_get(row, "guard"), *limit = json_object_get(guard, "limit");
	double allow = reply_number(guard, "allow"), deny = reply_number(guard, "deny");
	char denied[16], limited[16], per[SHOW_TIME_BYTES];

	if (allow > 0 || deny > 0)
		fprintf(out, "   allow %.0f, deny %.0f prefix%s: %s packets denied\n", allow, deny, allow + deny > 1 ? "es" : "",
			show_amount(verdict_count(row, "DENIED"), denied));
	if (json_is_object(limit))
		fprintf(out, "   limit of %.0f new flows of a client in %s, %.0f at once: %s packets dropped\n",
			reply_number(limit, "new_flows"), show_time(reply_seconds(limit, "per_s"), per),
			reply_number(limit, "burst"), show_amount(verdict_count(row, "LIMITED"), limited));
}

static void show_service(FILE *out, const json_t *row, const json_t *verdicts)
{
	char packets[16], bits[16], total[16], title[1024];
	const json_t *vip, *backend;
	const char *ports = reply_text(row, "ports");
	size_t i;

	EACH(json_object_get(row, "vips"), i, vip) {
		const char *address = json_is_string(vip) ? json_string_value(vip) : "?";

		snprintf(title, sizeof(title), strchr(address, ':') ? "%s [%s]:%s" : "%s %s:%s", reply_text(row, "protocol"),
			 address, *ports ? ports : "any");
		if (i) {
			fprintf(out, "   and %s\n", title);
			continue;
		}
		fprintf(out, "%-35s %-8s %8s %7s %8s %8s %8s  %s, %s, %s%s%s\n", title, reply_text(row, "state"), "", "",
			show_amount(reply_number(row, "packets_per_s"), packets),
			show_amount(reply_number(row, "bytes_per_s") * 8, bits), show_amount(reply_number(row, "packets"), total),
			reply_text(row, "name"), reply_text(row, "forward"), reply_text(row, "hash"),
			*reply_text(row, "reason") ? ": " : "", reply_text(row, "reason"));
	}
	show_motion(out, "   ", json_object_get(row, "motion"));
	show_guard(out, row);
	EACH(json_object_get(row, "local_vips"), i, vip)
		fprintf(out, "   %s is an address of this host: take it off (`ip address del`)\n",
			json_is_string(vip) ? json_string_value(vip) : "?");
	EACH(json_object_get(row, "backends"), i, backend)
		show_backend(out, backend, verdicts);
	EACH(json_object_get(row, "removed"), i, backend)
		show_removed(out, backend);
}

static void show_ring(FILE *out, const json_t *services)
{
	const json_t *row;
	size_t i;

	if (json_array_size(services) != 1)
		return;
	EACH(services, i, row) {
		const json_t *ring = json_object_get(row, "ring"), *count;
		const char *name;

		fprintf(out, "ring of %.0f slots, configured %s, live %s\n", reply_number(ring, "size"),
			reply_text(ring, "configured"), reply_text(ring, "live"));
		fprintf(out, "this service\n");
		json_object_foreach((json_t *)json_object_get(row, "verdicts"), name, count)
			fprintf(out, "  %-16s %15lld\n", name, (long long)json_integer_value(count));
		fprintf(out, "all packets\n");
	}
}

static void show_verdicts(FILE *out, const json_t *verdicts)
{
	const json_t *row;
	const char *name;

	json_object_foreach((json_t *)verdicts, name, row)
		if (reply_number(row, "count") > 0)
			fprintf(out, "  %-16s %15.0f  %s\n", name, reply_number(row, "count"), reply_text(row, "text"));
}

void show_status(FILE *out, const json_t *body)
{
	const json_t *services = json_object_get(body, "services"), *row;
	size_t i;

	show_configuration(out, body);
	show_interfaces(out, json_object_get(body, "interfaces"));
	show_world(out, json_object_get(body, "announce"));
	show_full(out, json_object_get(json_object_get(body, "capacity"), "flows"));
	fprintf(out, "\n%-35s %-8s %8s %7s %8s %8s %8s\n", "SERVICE", "STATE", "WEIGHT", "SHARE", "PKT/S", "BIT/S", "PACKETS");
	EACH(services, i, row)
		show_service(out, row, json_object_get(body, "verdicts"));
	if (!json_array_size(services))
		fprintf(out, "no services\n");
	fputc('\n', out);
	show_ring(out, services);
	show_verdicts(out, json_object_get(body, "verdicts"));
}

/* ---- the rest ------------------------------------------------------------------------------------------------------- */

static void show_headers(FILE *out, const char *title, const json_t *frame)
{
	const json_t *line;
	size_t i;

	if (!json_is_object(frame))
		return;
	fprintf(out, "%s\n", title);
	EACH(json_object_get(frame, "headers"), i, line)
		fprintf(out, "  %s\n", json_is_string(line) ? json_string_value(line) : "?");
}

void show_trace(FILE *out, const json_t *body)
{
	const json_t *row;
	size_t i;

	show_headers(out, "comes in", json_object_get(body, "before"));
	EACH(json_object_get(body, "steps"), i, row)
		fprintf(out, "%-10s %s\n", reply_text(row, "step"), reply_text(row, "text"));
	fprintf(out, "verdict    %s: %s; %s\n", reply_text(body, "verdict"), reply_text(body, "text"),
		reply_text(body, "action"));
	show_headers(out, "goes out", json_object_get(body, "after"));
}

void show_changes(FILE *out, const json_t *body)
{
	static const struct {
		const char *kind, *sign;
	} signs[] = {{"add", "+"}, {"remove", "-"}, {"change", "~"}};
	const json_t *list = json_object_get(body, "changes"), *row;
	const json_t *waits = json_object_get(body, "confirm_within_s");
	size_t i;

	EACH(list, i, row) {
		const char *sign = "?";

		for (size_t s = 0; s < sizeof(signs) / sizeof(signs[0]); s++)
			if (!strcmp(signs[s].kind, reply_text(row, "kind")))
				sign = signs[s].sign;
		fprintf(out, "%s %s: %s\n", sign, reply_text(row, "service"), reply_text(row, "text"));
	}
	if (!json_array_size(list))
		fprintf(out, "no changes\n");
	show_overrides(out, body);
	if (json_is_integer(waits))
		fprintf(out, "applied; taken back in %lld s unless `halfproxy confirm` comes\n",
			(long long)json_integer_value(waits));
}

/* What an override did, with what is doubtful about it: no text stands beside, that would be shown with its lines. */
void show_override(FILE *out, const json_t *body)
{
	const json_t *row;
	size_t i;

	show_changes(out, body);
	EACH(json_object_get(body, "problems"), i, row)
		fprintf(out, "warning: %s\n", reply_text(row, "text"));
}

void show_drained(FILE *out, const json_t *body)
{
	const json_t *drain = json_object_get(body, "drain");
	char time[SHOW_TIME_BYTES];

	show_override(out, body);
	fprintf(out, "%s %s takes no new flows; those that it has stay until they end", reply_text(body, "service"),
		reply_text(body, "backend"));
	if (json_is_integer(json_object_get(drain, "deadline_left_s")))
		fprintf(out, ", and are cut in %s", show_time(reply_seconds(drain, "deadline_left_s"), time));
	fputc('\n', out);
}

void show_announce(FILE *out, const json_t *body)
{
	const json_t *announce = json_object_get(body, "announce");
	double up = reply_number(announce, "up");

	if (!strcmp(reply_text(announce, "role"), "standby"))
		fprintf(out, "standby: ARP, ND and ping for VIPs are not answered, and no routes announce them\n");
	else if (json_is_true(json_object_get(announce, "maintenance")))
		fprintf(out, "active, in maintenance: no routes announce VIPs; packets that come are forwarded\n");
	else
		fprintf(out, "active: %.0f of %.0f VIPs are up, and answered for\n", up, reply_number(announce, "vips"));
}

/* Tables and sentences: see show.h. */
#include "cli/show.h"

#include <stdbool.h>
#include <string.h>

#define EACH(list, i, row) json_array_foreach((json_t *)(list), i, row)

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static double number_of(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
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

	EACH(json_object_get(object, "overrides"), i, row)
		fprintf(out, "override: %s %s weight %.0f (`halfproxy reset %s` drops it)\n", text_of(row, "service"),
			text_of(row, "backend"), number_of(row, "weight"), text_of(row, "service"));
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static void show_configuration(FILE *out, const json_t *body)
{
	const json_t *configuration = json_object_get(body, "configuration");
	const json_t *waits = json_object_get(configuration, "confirm_within_s");

	fprintf(out, "halfproxyd %s, pid %.0f, up %.0f s, %s", text_of(body, "version"), number_of(body, "pid"),
		number_of(body, "uptime_s"), text_of(configuration, "file"));
	if (!strcmp(text_of(configuration, "running"), "applied"))
		fprintf(out, " (another configuration was applied and runs)");
	else if (json_is_true(json_object_get(configuration, "differs_from_file")))
		fprintf(out, " (edited since: `halfproxy reload` takes it)");
	fputc('\n', out);
	if (json_is_integer(waits))
		fprintf(out, "a change waits for `halfproxy confirm`; it is taken back in %lld s\n",
			(long long)json_integer_value(waits));
	show_overrides(out, configuration);
}

/* A missing interface is called missing. */
static bool is_link_down(const json_t *row)
{
	return json_is_false(json_object_get(row, "up")) && strcmp(text_of(row, "state"), "missing") != 0;
}

static void show_interfaces(FILE *out, const json_t *list)
{
	const json_t *row;
	size_t i;

	EACH(list, i, row) {
		const char *mode = text_of(row, "mode"), *reason = text_of(row, "reason");

		fprintf(out, "interface %s: %s, %s%s%s%s%s%s%s\n", text_of(row, "name"), text_of(row, "role"),
			text_of(row, "state"), is_link_down(row) ? ", LINK DOWN" : "", *mode ? ", XDP " : "", mode,
			!strcmp(text_of(row, "role"), "ingress") && json_is_false(json_object_get(row, "announce"))
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
				text_of(json_object_get(verdicts, name), "text"));
	}
}

static void show_backend(FILE *out, const json_t *row, const json_t *verdicts)
{
	char packets[16], bits[16], total[16], weight[24];
	const char *reason = text_of(row, "reason");

	snprintf(weight, sizeof(weight), "%.0f", number_of(row, "weight"));
	if (number_of(row, "weight") != number_of(row, "configured_weight"))
		snprintf(weight, sizeof(weight), "%.0f(%.0f)", number_of(row, "weight"), number_of(row, "configured_weight"));
	fprintf(out, "  -> %-32s %-8s %8s %6.1f%% %8s %8s %8s  %s%s%s%s", text_of(row, "address"), text_of(row, "state"), weight,
		number_of(row, "share") * 100, show_amount(number_of(row, "packets_per_s"), packets),
		show_amount(number_of(row, "bytes_per_s") * 8, bits), show_amount(number_of(row, "packets"), total),
		text_of(row, "interface"), *text_of(row, "source") ? ", from " : "", text_of(row, "source"), reason);
	show_problems(out, json_object_get(row, "verdicts"), verdicts);
	fputc('\n', out);
}

static void show_service(FILE *out, const json_t *row, const json_t *verdicts)
{
	char packets[16], bits[16], total[16], title[256], port[8] = "any";
	const json_t *vip, *backend;
	size_t i;

	if (number_of(row, "port") > 0)
		snprintf(port, sizeof(port), "%.0f", number_of(row, "port"));
	EACH(json_object_get(row, "vips"), i, vip) {
		const char *address = json_is_string(vip) ? json_string_value(vip) : "?";

		snprintf(title, sizeof(title), strchr(address, ':') ? "%s [%s]:%s" : "%s %s:%s", text_of(row, "protocol"),
			 address, port);
		if (i) {
			fprintf(out, "   and %s\n", title);
			continue;
		}
		fprintf(out, "%-35s %-8s %8s %7s %8s %8s %8s  %s, %s, %s%s%s\n", title, text_of(row, "state"), "", "",
			show_amount(number_of(row, "packets_per_s"), packets),
			show_amount(number_of(row, "bytes_per_s") * 8, bits), show_amount(number_of(row, "packets"), total),
			text_of(row, "name"), text_of(row, "forward"), text_of(row, "hash"),
			*text_of(row, "reason") ? ": " : "", text_of(row, "reason"));
	}
	EACH(json_object_get(row, "local_vips"), i, vip)
		fprintf(out, "   %s is an address of this host: take it off (`ip address del`)\n",
			json_is_string(vip) ? json_string_value(vip) : "?");
	EACH(json_object_get(row, "backends"), i, backend)
		show_backend(out, backend, verdicts);
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

		fprintf(out, "ring of %.0f slots, configured %s, live %s\n", number_of(ring, "size"),
			text_of(ring, "configured"), text_of(ring, "live"));
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
		if (number_of(row, "count") > 0)
			fprintf(out, "  %-16s %15.0f  %s\n", name, number_of(row, "count"), text_of(row, "text"));
}

void show_status(FILE *out, const json_t *body)
{
	const json_t *services = json_object_get(body, "services"), *row;
	size_t i;

	show_configuration(out, body);
	show_interfaces(out, json_object_get(body, "interfaces"));
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
		fprintf(out, "%-8s %s\n", text_of(row, "step"), text_of(row, "text"));
	fprintf(out, "verdict  %s: %s; %s\n", text_of(body, "verdict"), text_of(body, "text"), text_of(body, "action"));
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
			if (!strcmp(signs[s].kind, text_of(row, "kind")))
				sign = signs[s].sign;
		fprintf(out, "%s %s: %s\n", sign, text_of(row, "service"), text_of(row, "text"));
	}
	if (!json_array_size(list))
		fprintf(out, "no changes\n");
	show_overrides(out, body);
	if (json_is_integer(waits))
		fprintf(out, "applied; taken back in %lld s unless `halfproxy confirm` comes\n",
			(long long)json_integer_value(waits));
}

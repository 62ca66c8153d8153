/* status: each item ok or wrong, with the command that mends it: see agent.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/agent.h"
#include "backend/host.h"
#include "backend/tunnel.h"
#include "base/cleanup.h"

/* The report while it grows. */
struct report {
	json_t *items;
	bool is_wrong;
};

static void item(struct report *report, bool ok, const char *name, const char *fix, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void item(struct report *report, bool ok, const char *name, const char *fix, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report->is_wrong |= !ok;
	json_array_append_new(report->items, json_pack("{s:s, s:b, s:s, s:s}", "item", name, "ok", ok, "text", text, "fix",
						       ok ? "" : fix));
}

static const char *again(const struct setup *setup, const struct setup_vip *vip, char fix[static 256])
{
	char text[PREFIX_TEXT_BYTES];
	size_t at;

	at = (size_t)snprintf(fix, 256, "halfproxy-backend up --vip %s --forward %s", ip_format(&vip->address, text),
			      vip->methods & SETUP_IPIP ? "ipip" : "l2");
	for (size_t i = 0; vip->methods & SETUP_IPIP && i < setup->sender_count && at < 200; i++)
		at += (size_t)snprintf(fix + at, 256 - at, " --from %s", prefix_format(&setup->senders[i], text));
	return fix;
}

static void judge_vip(struct report *report, const struct setup *setup, const struct setup_vip *vip,
		      const struct host_addresses *addresses)
{
	char text[IP_TEXT_BYTES], fix[256], listeners[300];
	bool is_there = false;

	ip_format(&vip->address, text);
	for (size_t i = 0; i < addresses->count; i++) {
		const struct host_address *row = &addresses->list[i];
		bool is_lo = !strcmp(row->interface, "lo"), is_host = row->bits == (ip_is4(&row->ip) ? 32 : 128);

		if (!ip_equal(&row->ip, &vip->address))
			continue;
		is_there |= is_lo && is_host;
		snprintf(fix, sizeof(fix), "ip address del %s/%u dev %s", text, row->bits, row->interface);
		if (!is_lo)
			item(report, false, "vip", fix, "%s is on %s as well, where it answers ARP or ND", text, row->interface);
		else if (!is_host)
			item(report, false, "vip", fix, "%s is on lo as a /%u, which swallows its subnet", text, row->bits);
	}
	item(report, is_there, "vip", again(setup, vip, fix), is_there ? "%s is on lo" : "%s is not on lo", text);
	host_listeners(&vip->address, listeners, sizeof(listeners));
	item(report, true, "listeners", "", "on %s: %s", text, *listeners ? listeners : "nothing listens yet");
}

static void judge_number(struct report *report, const char *name, const char *interface, long least, const char *meaning)
{
	char path[128], fix[256];
	long all, own, counts;

	snprintf(path, sizeof(path), "net/ipv4/conf/all/%s", name);
	all = host_sysctl_number(path);
	snprintf(path, sizeof(path), "net/ipv4/conf/%s/%s", interface, name);
	own = host_sysctl_number(path);
	counts = all > own ? all : own;
	snprintf(fix, sizeof(fix), "sysctl -w net.ipv4.conf.all.%s=%ld", name, least);
	item(report, counts >= least, name, fix, "max(all %ld, %s %ld) = %ld: %s", all, interface, own, counts,
	     counts >= least ? "as it must be" : meaning);
}

static void judge_rp_filter(struct report *report, const char *interface)
{
	char path[128], fix[256];
	long all = host_sysctl_number("net/ipv4/conf/all/rp_filter"), own, counts;

	snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", interface);
	own = host_sysctl_number(path);
	counts = all > own ? all : own;
	snprintf(fix, sizeof(fix), "sysctl -w net.ipv4.conf.%s.rp_filter=2", interface);
	item(report, counts != 1, "rp_filter", fix, "max(all %ld, %s %ld) = %ld: %s", all, interface, own, counts,
	     counts == 1 ? "strict, which drops clients that are routed by another interface" : "not strict");
}

static void judge_tunnel(struct report *report, const struct setup *setup)
{
	static const char *const texts[] = {
#define COUNTER_TEXT(name, text) text,
		HPB_COUNTERS(COUNTER_TEXT)
#undef COUNTER_TEXT
	};
	struct hpb_settings wanted = tunnel_limits(setup);
	char fix[256], senders[300] = "", prefix[PREFIX_TEXT_BYTES];
	struct tunnel_state state;
	const struct setup_vip *vip = &setup->vips[0];

	for (size_t i = 0; i < setup->vip_count; i++)
		if (setup->vips[i].methods & SETUP_IPIP)
			vip = &setup->vips[i];
	again(setup, vip, fix);
	for (size_t i = 0; i < setup->sender_count && strlen(senders) < 240; i++)
		snprintf(senders + strlen(senders), sizeof(senders) - strlen(senders), "%s%s", i ? ", " : "",
			 prefix_format(&setup->senders[i], prefix));
	tunnel_look(setup, &state);
	if (state.is_decap)
		item(report, true, "decapsulation", "", "by XDP on %s (%s), for senders %s", setup->interface,
		     state.is_native ? "native" : "generic", senders);
	else
		item(report, false, "decapsulation", fix, "nothing opens tunnels on %s", setup->interface);
	item(report, state.is_mss && state.limits.mss4 == wanted.mss4 && state.limits.mss6 == wanted.mss6, "mss", fix,
	     "advertised MSS at most %u (IPv4) and %u (IPv6); the MTU of %s allows %u and %u%s", state.limits.mss4,
	     state.limits.mss6, setup->interface, wanted.mss4, wanted.mss6, state.is_mss ? "" : "; the filter is not attached");
	for (size_t i = 0; i < HPB_COUNTER_COUNT; i++)
		item(report, true, "counter", "", "%llu %s", (unsigned long long)state.counters[i], texts[i]);
}

static void print_table(const json_t *items)
{
	const json_t *row;
	size_t i;

	json_array_foreach((json_t *)items, i, row) {
		bool ok = json_is_true(json_object_get(row, "ok"));
		const char *fix = json_string_value(json_object_get(row, "fix"));

		printf("%-6s %-14s %s\n", ok ? "ok" : "WRONG", json_string_value(json_object_get(row, "item")),
		       json_string_value(json_object_get(row, "text")));
		if (!ok)
			printf("       %-14s mend it: %s\n", "", fix);
	}
}

int agent_status(const struct agent_request *request, struct err *e)
{
	auto_free struct host_addresses *addresses = malloc(sizeof(*addresses));
	auto_free struct setup *setup = malloc(sizeof(*setup));
	struct report report = {.items = json_array()};
	char path[128];
	int code;

	if (!addresses || !setup)
		return err_set(e, -ENOMEM, "%m");
	code = setup_load(setup, agent_state_path(path), e);
	if (!code)
		code = host_read_addresses(addresses, e);
	if (code)
		return code;
	if (!setup->vip_count)
		item(&report, false, "setup", "halfproxy-backend up --vip VIP", "no VIP is set up here");
	for (size_t i = 0; i < setup->vip_count; i++)
		judge_vip(&report, setup, &setup->vips[i], addresses);
	if (setup->vip_count) {
		judge_number(&report, "arp_ignore", setup->interface, 1, "this host answers ARP for the VIP");
		judge_number(&report, "arp_announce", setup->interface, 2, "its own ARP requests give the VIP away");
		judge_rp_filter(&report, setup->interface);
	}
	if (setup_has_tunnel(setup))
		judge_tunnel(&report, setup);
	if (request->is_json)
		json_dumpf(report.items, stdout, JSON_INDENT(1));
	else
		print_table(report.items);
	json_decref(report.items);
	return report.is_wrong;
}

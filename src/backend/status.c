/* status: each item ok or wrong, with the command that mends it: see agent.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/agent.h"
#include "backend/host.h"
#include "backend/listeners.h"
#include "backend/portmap.h"
#include "backend/settings.h"
#include "backend/tunnel.h"
#include "base/cleanup.h"

#define REFUSED_RECENT_S 600

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

/* Everything that `up` sees to it mends as well, since it remembers what was asked for. */
static const char again[] = "halfproxy-backend up";

static void judge_interface(struct report *report, const struct setup *setup)
{
	uint32_t ifindex = host_ifindex(setup->interface);
	char fix[64];

	snprintf(fix, sizeof(fix), "ip link set dev %s up", setup->interface);
	if (!ifindex)
		item(report, false, "interface", "halfproxy-backend down, and up with another --interface, or up when it is back",
		     "%s, where packets arrive, is gone", setup->interface);
	else if (ifindex != setup->ifindex)
		item(report, false, "interface", again, "%s was made anew, and what hung on it is gone", setup->interface);
	else
		item(report, host_is_up(setup->interface), "interface", fix, "packets arrive by %s, MTU %u, %s", setup->interface,
		     host_mtu(setup->interface), host_is_up(setup->interface) ? "up" : "down");
	if (!host_is_up("lo"))
		item(report, false, "interface", again, "lo is down");
}

static void judge_vip(struct report *report, const struct setup_vip *vip, const struct host_addresses *addresses)
{
	char text[IP_TEXT_BYTES], fix[256], listeners[300], proxy[16], methods[SETUP_METHODS_BYTES];
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
	item(report, is_there, "vip", again, is_there ? "%s is on lo, by %s" : "%s is not on lo; it comes by %s", text,
	     setup_methods_format(vip->methods, methods));
	if (!ip_is4(&vip->address) && host_has_proxy(&vip->address, proxy)) {
		snprintf(fix, sizeof(fix), "ip -6 neigh del proxy %s dev %s", text, proxy);
		item(report, false, "proxy", fix, "%s answers neighbour solicitations for %s", proxy, text);
	}
	if (listeners_list(&vip->address, listeners, sizeof(listeners)))
		item(report, true, "listeners", "", "on %s: this kernel does not tell (it lacks tcp_diag or udp_diag)", text);
	else
		item(report, true, "listeners", "", "on %s: %s", text, *listeners ? listeners : "nothing listens yet");
}

static void judge_settings(struct report *report, const struct setup *setup)
{
	static const char all_too[] = "sysctl -w net.ipv4.conf.all.rp_filter=0 && halfproxy-backend up";

	for (int rule = 0; setup_has_family(setup, 4) && rule < SETTINGS_RULE_COUNT; rule++) {
		struct settings_finding found = {0};

		settings_judge(setup, rule, &found);
		item(report, found.is_right, settings_name(rule), found.is_mended_by_all ? all_too : again,
		     "max(all %ld, %s %ld) = %ld: %s", found.all, found.interface, found.own, found.counts,
		     found.is_right ? "right" : found.harm);
	}
	for (int i = 0; setup_has_family(setup, 6) && i < 2; i++) {
		const char *interface = i ? setup->interface : "lo";
		char path[64], fix[128];
		bool is_on;

		snprintf(path, sizeof(path), "net/ipv6/conf/%s/disable_ipv6", interface);
		is_on = host_has_sysctl(path) && host_sysctl_number(path) == 0;
		snprintf(fix, sizeof(fix), "sysctl -w %s=0%s", path, i ? "" : " && halfproxy-backend up");
		if (host_ifindex(interface))
			item(report, is_on, "ipv6", fix, "IPv6 is %s on %s", is_on ? "on" : "off", interface);
	}
}

static void list_senders(const struct setup *setup, char *out, size_t room)
{
	char prefix[PREFIX_TEXT_BYTES];

	out[0] = '\0';
	for (size_t i = 0; i < setup->sender_count && strlen(out) + PREFIX_TEXT_BYTES < room; i++)
		snprintf(out + strlen(out), room - strlen(out), "%s%s", i ? ", " : "", prefix_format(&setup->senders[i], prefix));
}

static bool is_within(const struct ip *ip, const struct prefix *prefix)
{
	const uint8_t *a = ip_is4(ip) ? ip_bytes4(ip) : ip->byte;
	const uint8_t *b = ip_is4(ip) ? ip_bytes4(&prefix->ip) : prefix->ip.byte;
	size_t whole = prefix->bits / 8u;
	unsigned int rest = prefix->bits % 8u;

	if (ip_is4(ip) != ip_is4(&prefix->ip) || memcmp(a, b, whole) != 0)
		return false;
	return !rest || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

/* A sender refused of late is wrong; the counter, which never goes back, is not. One named since is right. */
static void judge_refused(struct report *report, const struct setup *setup, const struct hpb_refused refused[])
{
	struct timespec now;
	char fix[256], text[IP_TEXT_BYTES], vip[IP_TEXT_BYTES] = "VIP";
	const char *method = "ipip";

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (size_t i = 0; i < setup->vip_count; i++)
		if (setup->vips[i].methods & SETUP_TUNNELS) {
			ip_format(&setup->vips[i].address, vip);
			method = setup_tunnel_name(&setup->vips[i]);
		}
	for (int i = 0; i < HPB_REFUSED_COUNT; i++) {
		struct ip ip = i == HPB_REFUSED4 ? ip_from4(refused[i].address) : ip_from6(refused[i].address);
		long long ago_s = (long long)now.tv_sec - (long long)(refused[i].at_ns / 1000000000u);
		bool is_named = false;

		for (size_t j = 0; j < setup->sender_count; j++)
			is_named |= is_within(&ip, &setup->senders[j]);
		if (!refused[i].at_ns || is_named)
			continue;
		ip_format(&ip, text);
		/* No command to be run blindly: it would trust whoever sent a packet. */
		snprintf(fix, sizeof(fix), "if it is your director's: halfproxy-backend up --vip %s --forward %s --from %s",
			 vip, method, text);
		item(report, ago_s > REFUSED_RECENT_S, "sender", fix,
		     "%s, which --from does not name, sent a tunnelled packet for a VIP %lld s ago", text, ago_s);
	}
}

static void judge_chance(struct report *report, const struct setup *setup, const struct tunnel_state *state)
{
	char door[16], text[IP_TEXT_BYTES];

	if (!setup_has_method(setup, SETUP_GUE))
		return;
	if (!setup_passes_on(setup)) {
		item(report, !state->is_relay, "second chance", again,
		     "off: packets for connections of other backends stay here");
		return;
	}
	item(report, state->is_relay, "second chance", again, state->is_relay ?
	     "packets for connections of other backends are passed on by %s" :
	     "nothing on %s passes on packets for connections of other backends", setup->interface);
	for (size_t i = 0; i < setup->vip_count; i++)
		if (setup->vips[i].methods & SETUP_GUE && host_is_elsewhere(&setup->vips[i].address, setup->interface, door))
			item(report, false, "second chance", "halfproxy-backend up --second-chance off",
			     "%s is an address of another network namespace, behind %s, where no socket can be found",
			     ip_format(&setup->vips[i].address, text), door);
}

static void judge_tunnel(struct report *report, const struct setup *setup, const struct tunnel_state *state,
			 const struct hpb_settings *wanted)
{
	char senders[300], fix[64], key[40] = "";
	bool is_filled = state->is_filled && state->settings.flags == wanted->flags && state->settings.gre_key == wanted->gre_key;

	list_senders(setup, senders, sizeof(senders));
	if (setup->has_gre_key)
		snprintf(key, sizeof(key), "; the key of gre is %u", setup->gre_key);
	/* The fixes are printed in the order in which they help. */
	if (host_ifindex(setup->interface) && tunnel_check(setup->interface, true, NULL) == -EBUSY) {
		snprintf(fix, sizeof(fix), "ip link set dev %s xdp off", setup->interface);
		item(report, false, "program", fix, "somebody else's XDP program is on %s", setup->interface);
	}
	if (!state->is_decap)
		item(report, false, "decapsulation", again, "nothing opens tunnels on %s", setup->interface);
	else
		item(report, is_filled, "decapsulation", again, "by XDP on %s (%s), for senders %s%s%s", setup->interface,
		     state->is_native ? "native" : "generic", senders, key,
		     is_filled ? "" : "; its maps hold other VIPs, senders or VLANs");
}

static void judge_mss(struct report *report, const struct setup *setup, const struct tunnel_state *state,
		      const struct hpb_settings *wanted)
{
	item(report, state->is_mss && state->settings.mss4 == wanted->mss4 && state->settings.mss6 == wanted->mss6, "mss", again,
	     "advertised MSS at most %u (IPv4) and %u (IPv6); the MTU of %s%s allows %u and %u%s", state->settings.mss4,
	     state->settings.mss6, setup->interface, setup->mss ? " and --mss" : "", wanted->mss4, wanted->mss6,
	     state->is_mss ? "" : "; the filter is not attached");
}

/* That a server is not there yet is nothing wrong with the setup. */
static void judge_maps(struct report *report, const struct setup *setup, const struct tunnel_state *state)
{
	auto_free struct listener *list = malloc(LISTENERS_MOST * sizeof(*list));
	size_t count = 0;
	bool is_told = list && !listeners_read(list, &count);

	for (size_t i = 0; i < setup->map_count; i++) {
		char text[PORTMAP_TEXT_BYTES], without[IP_TEXT_BYTES] = "";

		for (size_t j = 0; is_told && j < setup->vip_count && !*without; j++)
			if (!listeners_serve(list, count, &setup->maps[i], &setup->vips[j].address))
				ip_format(&setup->vips[j].address, without);
		portmap_format(&setup->maps[i], text);
		if (!state->is_mapping || !state->is_filled)
			item(report, false, "map", again, "%s: the programs that find its server on %s, or their maps, are "
			     "not what was set up", text, setup->interface);
		else
			item(report, true, "map", "", "%s: %s%s", text, *without ? "no server listens yet for " : is_told ?
			     "its server listens" : "this kernel does not tell whether its server listens", without);
	}
}

static void judge_programs(struct report *report, const struct setup *setup)
{
	static const char *const texts[] = {
#define COUNTER_TEXT(name, text) text,
		HPB_COUNTERS(COUNTER_TEXT)
#undef COUNTER_TEXT
	};
	struct hpb_settings wanted = tunnel_settings(setup);
	bool has_tunnel = setup_has_tunnel(setup);
	struct tunnel_state state;

	tunnel_look(setup, &state);
	if (has_tunnel)
		judge_tunnel(report, setup, &state, &wanted);
	if (setup_bounds_mss(setup))
		judge_mss(report, setup, &state, &wanted);
	if ((state.is_decap || !has_tunnel) && (state.is_mss || !setup_bounds_mss(setup)) && state.is_mapping && !state.is_whole)
		item(report, false, "programs", again, "they are of another version, or their pins are gone");
	judge_maps(report, setup, &state);
	if (has_tunnel) {
		judge_chance(report, setup, &state);
		judge_refused(report, setup, state.refused);
	}
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

static void judge(struct report *report, const struct setup *setup, const struct host_addresses *addresses)
{
	if (!setup->vip_count) {
		item(report, false, "setup", "halfproxy-backend up --vip VIP", "no VIP is set up here");
		return;
	}
	judge_interface(report, setup);
	for (size_t i = 0; i < setup->vip_count; i++)
		judge_vip(report, &setup->vips[i], addresses);
	judge_settings(report, setup);
	if (setup_has_programs(setup))
		judge_programs(report, setup);
}

int agent_status(const struct agent_request *request, struct err *e)
{
	auto_free struct host_addresses *addresses = malloc(sizeof(*addresses));
	auto_free struct setup *setup = malloc(sizeof(*setup));
	struct report report = {0};
	int code;

	if (!addresses || !setup)
		return err_set(e, -ENOMEM, "%m");
	code = agent_load(setup, e);
	if (!code && setup_has_programs(setup) && geteuid() != 0)
		code = err_set(e, -EPERM, "only root can see whether %s", setup_has_tunnel(setup) ? "tunnels are open" :
			       "the programs are attached");
	if (!code)
		code = host_read_addresses(addresses, e);
	if (code)
		return code;
	report.items = json_array();
	judge(&report, setup, addresses);
	if (request->is_json) {
		json_dumpf(report.items, stdout, JSON_INDENT(1));
		puts("");
	} else {
		print_table(report.items);
	}
	json_decref(report.items);
	return report.is_wrong;
}

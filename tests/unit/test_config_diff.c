/* Differences between two texts, in words. Pure. */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "core/config_diff.h"
#include "core/config_parse.h"

#define HEAD   "interfaces: [eth0]\nservices:\n"
#define WEB    "- {name: web, vip: 10.2.0.1, port: 80, backends: [10.3.0.1, 10.3.0.2]}\n"
#define DNS    "- {name: dns, vip: 10.2.0.2, port: 53, protocol: udp, forward: ipip, backends: [10.3.0.1]}\n"
#define ONE(t) HEAD "- {name: web, vip: 10.2.0.1, port: 80, " t "}\n"

static const struct {
	const char *what, *former, *next; /* former may be NULL */
	const char *changes;
} rows[] = {
	{"nothing changed", HEAD WEB DNS, HEAD WEB DNS, ""},
	{"nothing at all before", NULL, HEAD WEB,
	 "add interfaces: eth0\nadd web: service 10.2.0.1 port 80, l2, with 2 backends\n"},
	{"another order of services and another line", HEAD WEB DNS, HEAD "\n" DNS WEB, ""},
	{"another order of backends", HEAD WEB,
	 HEAD "- {name: web, vip: 10.2.0.1, port: 80, backends: [10.3.0.2, 10.3.0.1]}\n", ""},
	{"another order of VIPs", HEAD "- {vip: [10.2.0.1, 10.2.0.2], port: 80, backends: [10.3.0.1], name: a}\n",
	 HEAD "- {vip: [10.2.0.2, 10.2.0.1], port: 80, backends: [10.3.0.1], name: a}\n", ""},
	{"defaults that are said", HEAD WEB,
	 HEAD "- {name: web, vip: 10.2.0.1, port: 80, protocol: tcp, forward: l2, hash: flow, slots: 1009, "
	      "window: 120m, slow_start: 0, deadline: 1d, backends: [{address: 10.3.0.1, weight: 1}, 10.3.0.2]}\n", ""},
	{"a port more", HEAD WEB, HEAD "- {name: web, vip: 10.2.0.1, port: [80, 8000-8100], backends: [10.3.0.1, 10.3.0.2]}\n",
	 "change web: port 80 -> 80,8000-8100\n"},
	{"a list of ports added", HEAD, HEAD "- {name: a, vip: 10.2.0.1, port: [80, 443], backends: [10.3.0.1]}\n",
	 "add a: service 10.2.0.1 port 80,443, l2, with 1 backend\n"},
	{"a group joined", HEAD WEB, HEAD "- {name: web, group: g, vip: 10.2.0.1, port: 80, hash: source, window: 2h, backends: "
					 "[10.3.0.1, 10.3.0.2]}\n",
	 "change web: group none -> g\nchange web: hash flow -> source\n"},
	{"a service added", HEAD WEB, HEAD WEB DNS, "add dns: service 10.2.0.2 port 53, ipip, with 1 backend\n"},
	{"a service removed", HEAD WEB DNS, HEAD WEB, "remove dns: service removed\n"},
	{"a service renamed", HEAD WEB, HEAD "- {name: www, vip: 10.2.0.1, port: 80, backends: [10.3.0.1, 10.3.0.2]}\n",
	 "add www: service 10.2.0.1 port 80, l2, with 2 backends\nremove web: service removed\n"},
	{"a weight", ONE("backends: [10.3.0.1]"), ONE("backends: [{address: 10.3.0.1, weight: 7}]"),
	 "change web: backend 10.3.0.1 weight 1 -> 7\n"},
	{"a backend added and one removed", ONE("backends: [10.3.0.1]"), ONE("backends: [{address: 10.3.0.2, weight: 5}]"),
	 "change web: backend 10.3.0.1 removed\nchange web: backend 10.3.0.2 added (weight 5)\n"},
	{"another VIP", ONE("backends: [10.3.0.1]"),
	 HEAD "- {name: web, vip: 10.2.0.9, port: 80, backends: [10.3.0.1]}\n", "change web: vip 10.2.0.1 -> 10.2.0.9\n"},
	{"a second VIP", ONE("backends: [10.3.0.1]"),
	 HEAD "- {name: web, vip: [10.2.0.1, 10.2.0.9], port: 80, backends: [10.3.0.1]}\n", "change web: vip 10.2.0.9 added\n"},
	{"one VIP of two less", HEAD "- {name: web, vip: [10.2.0.1, 10.2.0.9], port: 80, backends: [10.3.0.1]}\n",
	 ONE("backends: [10.3.0.1]"), "change web: vip 10.2.0.9 removed\n"},
	{"everything else of a service", ONE("backends: [10.3.0.1]"),
	 HEAD "- {name: web, vip: 10.2.0.1, port: any, protocol: udp, forward: ipip, hash: source, slots: 4093, seed: 1, "
	      "backends: [10.3.0.1]}\n",
	 "change web: protocol tcp -> udp\nchange web: port 80 -> any\nchange web: forward l2 -> ipip\n"
	 "change web: hash flow -> source\nchange web: slots 1009 -> 4093\nchange web: seed 0x68616c6670726f78 -> 0x1\n"
	 "change web: window 2h -> 2m\n"},
	{"how flows live through a change", ONE("backends: [10.3.0.1]"),
	 ONE("window: 10m, slow_start: 30s, deadline: 0, backends: [10.3.0.1]"),
	 "change web: window 2h -> 10m\nchange web: slow_start 0s -> 30s\nchange web: deadline 1d -> 0s\n"},
	{"flows that stay no longer", ONE("protocol: udp, window: 90s, backends: [10.3.0.1]"),
	 ONE("protocol: udp, affinity: none, backends: [10.3.0.1]"), "change web: affinity flow -> none\n"},
	{"oversize", ONE("backends: [10.3.0.1]"), ONE("oversize: drop, backends: [10.3.0.1]"),
	 "change web: oversize icmp -> drop\n"},
	{"an MSS comes", ONE("backends: [10.3.0.1]"), ONE("mss: 1360, backends: [10.3.0.1]"), "change web: mss any -> 1360\n"},
	{"an MSS changes", ONE("mss: 1360, backends: [10.3.0.1]"), ONE("mss: auto, backends: [10.3.0.1]"),
	 "change web: mss 1360 -> auto\n"},
	{"lists come", ONE("backends: [10.3.0.1]"), ONE("deny: [192.0.2.0/24, 192.0.2.7], backends: [10.3.0.1]"),
	 "change web: deny 0 -> 2 prefixes\n"},
	{"lists change", ONE("allow: [192.0.2.0/24], deny: [192.0.2.1], backends: [10.3.0.1]"),
	 ONE("allow: [192.0.2.0/25], backends: [10.3.0.1]"),
	 "change web: allow 1 -> 1 prefixes\nchange web: deny 1 -> 0 prefixes\n"},
	{"another order of prefixes", ONE("allow: [192.0.2.0/24, 10.0.0.0/8], backends: [10.3.0.1]"),
	 ONE("allow: [10.0.0.0/8, 192.0.2.0/24], backends: [10.3.0.1]"), ""},
	{"a limit comes", ONE("backends: [10.3.0.1]"), ONE("limit: {new_flows: 5, per: 1m}, backends: [10.3.0.1]"),
	 "change web: limit none -> 5 per 1m, burst 5\n"},
	{"a limit is another", ONE("limit: {new_flows: 5}, backends: [10.3.0.1]"),
	 ONE("limit: {new_flows: 5, burst: 9}, backends: [10.3.0.1]"),
	 "change web: limit 5 per 1s, burst 5 -> 5 per 1s, burst 9\n"},
	{"health comes", ONE("backends: [10.3.0.1]"), ONE("health: {type: tcp}, backends: [10.3.0.1]"),
	 "change web: health added\n"},
	{"health goes", ONE("health: {type: tcp}, backends: [10.3.0.1]"), ONE("backends: [10.3.0.1]"),
	 "change web: health removed\n"},
	{"health of another type", ONE("health: {type: tcp}, backends: [10.3.0.1]"),
	 ONE("health: {type: icmp}, backends: [10.3.0.1]"), "change web: health tcp -> icmp\n"},
	{"health asked otherwise", ONE("health: {type: http}, backends: [10.3.0.1]"),
	 ONE("health: {type: http, path: /a}, backends: [10.3.0.1]"), "change web: health changed\n"},
	{"health that says its defaults", ONE("health: {type: http}, backends: [10.3.0.1]"),
	 ONE("health: {type: http, path: /, via: vip, status: 200-399, interval: 2s, doubt: 500ms, timeout: 1s, rise: 2, "
	     "fall: 3}, min_up: 1, when_all_down: drop, on_down: drain, backends: [10.3.0.1]"), ""},
	{"what is done when all are down", ONE("health: {type: tcp}, backends: [10.3.0.1]"),
	 ONE("health: {type: tcp}, min_up: 50%, when_all_down: fallback, on_down: reset, fallback: 10.3.0.9, "
	     "backends: [10.3.0.1]"),
	 "change web: min_up 1 -> 50%\nchange web: when_all_down drop -> fallback\nchange web: on_down drain -> reset\n"
	 "change web: fallback 10.3.0.9 added\n"},
	{"a backend becomes a fallback", ONE("backends: [10.3.0.1, 10.3.0.9]"),
	 ONE("when_all_down: fallback, fallback: 10.3.0.9, backends: [10.3.0.1]"),
	 "change web: when_all_down drop -> fallback\nchange web: backend 10.3.0.9 becomes a fallback\n"},
	{"a fallback goes", ONE("when_all_down: fallback, fallback: 10.3.0.9, backends: [10.3.0.1]"), ONE("backends: [10.3.0.1]"),
	 "change web: when_all_down fallback -> drop\nchange web: fallback 10.3.0.9 removed\n"},
	{"room for flows", "interfaces: [eth0]\nservices: []\n", "interfaces: [eth0]\nservices: []\nlimits: {unproven: 5}\n",
	 "change limits: take effect when the daemon is started again\n"},
	{"interfaces come, go and change", "interfaces: [eth0, eth1]\nservices: []\n",
	 "interfaces: [{name: eth1, announce: none}, eth2]\nservices: []\n",
	 "remove interfaces: eth0\nchange interfaces: eth1: announce all -> none\nadd interfaces: eth2\n"},
	{"the rest of the file", "interfaces: [eth0]\nservices: []\n",
	 "interfaces: [eth0]\nservices: []\ntunnel: {source4: 10.9.0.0/16, source6: \"fd00::/96\"}\nlimits: {services: 5}\n"
	 "probes: {mark: 0xab0000, mask: 0xffff0000, table: 77}\napi: {group: wheel}\n",
	 "change tunnel: source4 the route's -> 10.9.0.0/16\nchange tunnel: source6 the route's -> fd00::/96\n"
	 "change limits: take effect when the daemon is started again\n"
	 "change probes: mark 0x48000000 -> 0x00ab0000\nchange probes: mask 0xff000000 -> 0xffff0000\n"
	 "change probes: table 4848 -> 77\n"
	 "change api: takes effect when the daemon is started again\n"},
	{"a key of GRE that comes", "interfaces: [eth0]\nservices: []\n",
	 "interfaces: [eth0]\nservices: []\ntunnel: {gre_key: 0}\n",
	 "change tunnel: gre_key none -> 0\n"},
	{"a source that gets longer", "interfaces: [eth0]\nservices: []\ntunnel: {source4: 10.0.0.0/8}\n",
	 "interfaces: [eth0]\nservices: []\ntunnel: {source4: 10.0.0.0/16}\n",
	 "change tunnel: source4 10.0.0.0/8 -> 10.0.0.0/16\n"},
	{"how VIPs are announced", "interfaces: [eth0]\nservices: []\n",
	 "interfaces: [eth0]\nservices: []\nannounce: {table: 100, warmup: 0s, refresh: 5m, start: standby}\n",
	 "change announce: table 248 -> 100\nchange announce: warmup 10s -> 0s\nchange announce: refresh 1m -> 5m\n"
	 "change announce: start active -> standby\n"},
	{"no routes any more", "interfaces: [eth0]\nservices: []\n",
	 "interfaces: [eth0]\nservices: []\nannounce: {table: none}\n",
	 "change announce: table 248 -> 0 (0 is none)\n"},
	{"an interface's mode and VLANs", "interfaces: [eth0]\nservices: []\n",
	 "interfaces: [{name: eth0, mode: generic, vlan: off}]\nservices: []\n",
	 "change interfaces: eth0: mode auto -> generic\nchange interfaces: eth0: vlan auto -> off\n"},
	{"a default seed that moves every service", "seed: 1\n" ONE("backends: [10.3.0.1]"),
	 "seed: 2\n" ONE("backends: [10.3.0.1]"),
	 "change web: seed 0x1 -> 0x2\n"},
};

static struct config *parsed(const char *text)
{
	struct problems problems = {0};
	struct config *config = config_parse(text, strlen(text), &problems);

	if (!config)
		fail_msg("%s: %s", text, problems.list[0].text);
	problems_free(&problems);
	return config;
}

static char *described(const struct config *former, const struct config *next)
{
	struct config_changes changes = {0};
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_int_equal(config_diff(former, next, &changes), 0);
	for (size_t i = 0; i < changes.count; i++)
		fprintf(out, "%s %s: %s\n", config_change_name(changes.list[i].kind), changes.list[i].service,
			changes.list[i].text);
	fclose(out);
	config_changes_free(&changes);
	return text;
}

static void changes_are_told(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct config *former = rows[i].former ? parsed(rows[i].former) : NULL, *next = parsed(rows[i].next);
		auto_free char *text = described(former, next);

		assert_text(rows[i].what, text, rows[i].changes);
		config_free(former);
		config_free(next);
	}
}

static char *many_vips(int last)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	fprintf(out, HEAD "- {name: web, port: 80, backends: [10.3.0.1], vip: [");
	for (int i = 1; i < 100; i++)
		fprintf(out, "10.2.1.%d, ", i);
	fprintf(out, "10.2.2.%d]}\n", last);
	fclose(out);
	return text;
}

static void the_last_of_many_vips_counts_as_well(void **state)
{
	auto_free char *a = many_vips(1), *b = many_vips(2), *text = NULL;
	struct config *former = parsed(a), *next = parsed(b);

	text = described(former, next);
	assert_string_equal(text, "change web: vip 10.2.2.1 removed\nchange web: vip 10.2.2.2 added\n");
	config_free(former);
	config_free(next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_told),
		cmocka_unit_test(the_last_of_many_vips_counts_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

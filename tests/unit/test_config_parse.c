/* What a text means: every option, every default, and the forms in which a file may be written. Pure. */
#include "unit/unit.h"

#include "abi.h"
#include "base/cleanup.h"
#include "core/config_parse.h"
#include "core/guard.h"
#include "core/ring.h"

#define HEAD	 "interfaces: [eth0]\nservices:\n"
#define WEB(...) HEAD "  - {vip: 10.2.0.1, port: 80, backends: [10.3.0.1]" __VA_ARGS__ "}\n"
#define NONE	 "services: []\n"
#define TEXT(t)	 .text = (t), .bytes = sizeof(t) - 1

static void describe_bytes(FILE *out, const char *name, const char *bytes, size_t count)
{
	if (bytes)
		fprintf(out, " %s ", name);
	for (size_t i = 0; i < count; i++)
		fprintf(out, bytes[i] > ' ' && bytes[i] < 127 ? "%c" : "<%02x>", (unsigned char)bytes[i]);
}

static void describe_health(FILE *out, const struct config_health *health)
{
	fprintf(out, "health %s via %s port %u every %u/%u within %u rise %u fall %u", config_probe_name(health->type),
		health->via_backend ? "backend" : "vip", health->port, health->interval_ms, health->doubt_ms,
		health->timeout_ms, health->rise, health->fall);
	if (health->path)
		fprintf(out, " path %s host %s status", health->path, health->host ? health->host : "-");
	for (size_t i = 0; i < health->status_count; i++)
		fprintf(out, "%c%u-%u", i ? ',' : ' ', health->status[i].first, health->status[i].last);
	describe_bytes(out, "send", health->send, health->send_bytes);
	describe_bytes(out, "expect", health->expect, health->expect_bytes);
	if (health->name)
		fprintf(out, " name %s record %u", health->name, health->record);
	for (char **word = health->command; word && *word; word++)
		fprintf(out, " [%s]", *word);
	if (health->ca || health->certificate || !health->verify)
		fprintf(out, " ca %s certificate %s key %s verify %d", health->ca ? health->ca : "-",
			health->certificate ? health->certificate : "-", health->key ? health->key : "-", health->verify);
	fprintf(out, "\n");
}

static void describe_service(FILE *out, const struct config_service *service)
{
	char text[PREFIX_TEXT_BYTES], ports[CONFIG_PORTS_TEXT_BYTES];

	fprintf(out, "service %s: ", service->name);
	for (size_t i = 0; i < service->vip_count; i++)
		fprintf(out, "%s%s", i ? "," : "", ip_format(&service->vips[i], text));
	fprintf(out, " %s %s %s %s", config_protocol_name(service->protocol), config_ports_format(service, ports),
		config_forward_name(service->forward), config_hash_name(service->hash));
	fprintf(out, " slots %u seed %s", service->slots, service->seed == CONFIG_SEED_DEFAULT ? "default" : "");
	if (service->seed != CONFIG_SEED_DEFAULT)
		fprintf(out, "%llu", (unsigned long long)service->seed);
	if (service->affinity != CONFIG_AFFINITY_FLOW || service->window_s != (service->protocol == 17 ? 120 : 7200))
		fprintf(out, " affinity %s window %u", config_affinity_name(service->affinity), service->window_s);
	if (service->slow_start_s || service->deadline_s != 86400)
		fprintf(out, " slow_start %u deadline %u", service->slow_start_s, service->deadline_s);
	if (service->min_up != 1 || service->when_all_down || service->on_down)
		fprintf(out, " min_up %u%s when_all_down %s on_down %s", service->min_up, service->min_up_is_percent ? "%" : "",
			config_all_down_name(service->when_all_down), config_on_down_name(service->on_down));
	for (size_t i = 0; service->guard && i < service->guard->count; i++) {
		const struct guard_rule *rule = &service->guard->rules[i];

		fprintf(out, " %s %s", rule->denies ? "deny" : "allow", prefix_format(&rule->prefix, text));
	}
	if (service->limit.new_flows)
		fprintf(out, " limit %u per %u burst %u", service->limit.new_flows, service->limit.per_s, service->limit.burst);
	if (service->oversize)
		fprintf(out, " oversize %s", config_oversize_name(service->oversize));
	if (service->mss)
		fprintf(out, service->mss == CONFIG_MSS_AUTO ? " mss auto" : " mss %u", service->mss);
	fprintf(out, " ->");
	for (size_t i = 0; i < service->backend_count; i++)
		fprintf(out, " %s%s*%u", service->backends[i].is_fallback ? "else " : "",
			ip_format(&service->backends[i].address, text), service->backends[i].weight);
	fprintf(out, " (line %u)\n", service->line);
	if (service->health)
		describe_health(out, service->health);
}

static void describe_source(FILE *out, const char *name, const struct config_source *source)
{
	char text[PREFIX_TEXT_BYTES];

	fprintf(out, "%s %s\n", name, source->set ? prefix_format(&source->prefix, text) : "of the route");
}

/* All of a configuration, a line for each thing. */
static char *describe(const struct config *config)
{
	static const char *const modes[] = {"auto", "native", "generic"}, *const vlans[] = {"", " vlan on", " vlan off"};
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	for (size_t i = 0; i < config->interface_count; i++)
		fprintf(out, "interface %s %s %s%s\n", config->interfaces[i].name,
			config->interfaces[i].announce ? "announces" : "silent", modes[config->interfaces[i].mode],
			vlans[config->interfaces[i].vlan]);
	for (size_t i = 0; i < config->service_count; i++)
		describe_service(out, config->services[i]);
	fprintf(out, "limits %u %u %u %u %u %u\n", config->limits.services, config->limits.backends, config->limits.slots,
		config->limits.flows, config->limits.unproven, config->limits.fragments);
	describe_source(out, "source4", &config->tunnel.source4);
	describe_source(out, "source6", &config->tunnel.source6);
	if (config->tunnel.has_gre_key)
		fprintf(out, "gre_key %u\n", config->tunnel.gre_key);
	fprintf(out, "probes 0x%x 0x%x %u\n", config->probes.mark, config->probes.mask, config->probes.table);
	if (config->probes.hops != 1)
		fprintf(out, "hops %u\n", config->probes.hops);
	fprintf(out, "announce %u %u %u %s\n", config->announce.table, config->announce.warmup_s, config->announce.refresh_s,
		config->announce.starts_standby ? "standby" : "active");
	fprintf(out, "api %s %s\n", config->api_socket, config->api_group);
	fclose(out);
	return text;
}

struct row {
	const char *what, *text;
	size_t bytes;
	const char *holds; /* of the description */
	size_t warnings;
};

static const struct row rows[] = {
	/* defaults */
	{"all that may be left out", TEXT(WEB("")),
	 "interface eth0 announces auto\n"
	 "service tcp/10.2.0.1:80: 10.2.0.1 tcp 80 l2 flow slots 1009 seed default -> 10.3.0.1*1 (line 3)\n"
	 "limits 0 0 0 0 0 0\nsource4 of the route\nsource6 of the route\n"
	 "probes 0x48000000 0xff000000 4848\nannounce 248 10 60 active\napi /run/halfproxy/api.sock halfproxy\n"},
	{"no services", TEXT("interfaces: [eth0]\n" NONE), "interface eth0 announces auto\nlimits 0 0 0 0 0 0\n"},
	{"services left blank", TEXT("interfaces: [eth0]\nservices:\n"), "limits 0 0 0 0 0 0\n"},
	{"services: null", TEXT("interfaces: [eth0]\nservices: null\n"), "limits 0 0 0 0 0 0\n"},

	/* interfaces */
	{"an interface with options", TEXT("interfaces: [{name: eth0, announce: none, mode: generic}]\n" NONE),
	 "interface eth0 silent generic\n"},
	{"an interface with the defaults said", TEXT("interfaces: [{name: eth0, announce: all, mode: auto}]\n" NONE),
	 "interface eth0 announces auto\n"},
	{"native mode", TEXT("interfaces: [{name: eth0, mode: native}]\n" NONE), "interface eth0 announces native\n"},
	{"VLAN tags left in packets", TEXT("interfaces: [{name: eth0, vlan: on}, {name: eth1, vlan: off}]\n" NONE),
	 "interface eth0 announces auto vlan on\ninterface eth1 announces auto vlan off\n"},
	{"several interfaces in the order of the file", TEXT("interfaces: [eth1, {name: eth0}, bond0.100]\n" NONE),
	 "interface eth1 announces auto\ninterface eth0 announces auto\ninterface bond0.100 announces auto\n"},
	{"a name of 15 bytes", TEXT("interfaces: [abcdefghijklmno]\n" NONE), "interface abcdefghijklmno "},

	/* services */
	{"a name", TEXT(WEB(", name: web")), "service web: "},
	{"a name that looks like a number", TEXT(WEB(", name: 80")), "service 80: "},
	{"a quoted name that looks like nothing", TEXT(WEB(", name: \"null\"")), "service null: "},
	{"a name beyond ASCII", TEXT(WEB(", name: caf\xc3\xa9")), "service caf\xc3\xa9: "},
	{"a name of 63 bytes", TEXT(WEB(", name: a23456789b123456789c123456789d123456789e123456789f123456789gabc")),
	 "service a23456789b123456789c123456789d123456789e123456789f123456789gabc: "},
	{"udp", TEXT(WEB(", protocol: udp")), "service udp/10.2.0.1:80: 10.2.0.1 udp 80 "},
	{"tcp said", TEXT(WEB(", protocol: tcp")), " tcp 80 "},
	{"any port", TEXT(HEAD "  - {vip: 10.2.0.1, port: any, backends: [10.3.0.1]}\n"),
	 "service tcp/10.2.0.1:any: 10.2.0.1 tcp any "},
	{"a list of ports", TEXT(HEAD "  - {vip: 10.2.0.1, port: [443, 80], backends: [10.3.0.1]}\n"),
	 "service tcp/10.2.0.1:443,80: 10.2.0.1 tcp 443,80 "},
	{"a range of ports", TEXT(HEAD "  - {vip: 10.2.0.1, port: 8000-8100, backends: [10.3.0.1]}\n"),
	 "service tcp/10.2.0.1:8000-8100: 10.2.0.1 tcp 8000-8100 "},
	{"all ports as a range", TEXT(HEAD "  - {vip: 10.2.0.1, port: 1-65535, backends: [10.3.0.1]}\n"), " tcp 1-65535 "},
	{"a range of one port is that port", TEXT(HEAD "  - {vip: 10.2.0.1, port: 80-80, backends: [10.3.0.1]}\n"), " tcp 80 "},
	{"ports and ranges", TEXT(HEAD "  - {vip: 10.2.0.1, port: [80, 443, 8000-8100], backends: [10.3.0.1]}\n"),
	 "service tcp/10.2.0.1:80,443,8000-8100: 10.2.0.1 tcp 80,443,8000-8100 "},
	{"a port is asked of a list",
	 TEXT(HEAD "  - {vip: 10.2.0.1, port: [80, 443], health: {type: tcp}, backends: [10.3.0.1]}\n"),
	 " tcp 80,443 "},
	{"a range that ends where another begins", TEXT(HEAD "  - {vip: 10.2.0.1, port: [80-89, 90-99], backends: [10.3.0.1]}\n"),
	 " tcp 80-89,90-99 "},
	{"a port of a range in another protocol",
	 TEXT(HEAD "  - {name: a, vip: 10.2.0.1, port: 80-90, backends: [10.3.0.1]}\n"
		   "  - {name: b, vip: 10.2.0.1, port: 85, protocol: udp, backends: [10.3.0.1]}\n"), " udp 85 "},
	{"every protocol, by source", TEXT(HEAD "  - {vip: 10.2.0.1, protocol: any, backends: [10.3.0.1]}\n"),
	 "service any/10.2.0.1:any: 10.2.0.1 any any l2 source "},
	{"every protocol, by flow",
	 TEXT(HEAD "  - {vip: 10.2.0.1, protocol: any, port: any, hash: flow, affinity: none, backends: [10.3.0.1]}\n"),
	 " any any l2 flow slots 1009 seed default affinity none window 0"},
	{"a group hashes by source, and waits shorter",
	 TEXT(HEAD "  - {name: a, group: g, vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"
		   "  - {name: b, group: g, vip: 10.2.0.1, port: 443, backends: [10.3.0.1]}\n"),
	 "10.2.0.1 tcp 443 l2 source slots 1009 seed default affinity flow window 900"},
	{"a group of TCP and UDP that is probed resets",
	 TEXT(HEAD "  - {name: a, group: g, vip: 10.2.0.1, port: 80, health: {type: tcp}, backends: [10.3.0.1]}\n"
		   "  - {name: b, group: g, vip: 10.2.0.1, port: 80, protocol: udp, backends: [10.3.0.1]}\n"),
	 "10.2.0.1 udp 80 l2 source slots 1009 seed default affinity flow window 900 min_up 1 when_all_down drop on_down reset"},
	{"any port beside a range",
	 TEXT(HEAD "  - {name: a, vip: 10.2.0.1, port: 80-90, backends: [10.3.0.1]}\n"
		   "  - {name: b, vip: 10.2.0.1, port: any, backends: [10.3.0.1]}\n"), " tcp any "},
	{"the lowest port", TEXT(HEAD "  - {vip: 10.2.0.1, port: 1, backends: [10.3.0.1]}\n"), " tcp 1 l2"},
	{"the highest port", TEXT(HEAD "  - {vip: 10.2.0.1, port: 65535, backends: [10.3.0.1]}\n"), " tcp 65535 l2"},
	{"a port in hexadecimal", TEXT(HEAD "  - {vip: 10.2.0.1, port: 0x50, backends: [10.3.0.1]}\n"), " tcp 80 l2"},
	{"a leading zero is decimal, not octal", TEXT(HEAD "  - {vip: 10.2.0.1, port: 0080, backends: [10.3.0.1]}\n"),
	 " tcp 80 l2"},
	{"a quoted port", TEXT(HEAD "  - {vip: 10.2.0.1, port: \"80\", backends: [10.3.0.1]}\n"), " tcp 80 l2"},
	{"ipip", TEXT(WEB(", forward: ipip")), " tcp 80 ipip flow "},
	{"gue", TEXT(WEB(", forward: gue")), " tcp 80 gue flow "},
	{"l2 said", TEXT(WEB(", forward: l2")), " tcp 80 l2 flow "},
	{"hash by source", TEXT(WEB(", hash: source")), " l2 source slots"},
	{"hash by flow", TEXT(WEB(", hash: flow")), " l2 flow slots"},
	{"slots said", TEXT(WEB(", slots: 65537")), " slots 65537 "},
	{"slots auto", TEXT(WEB(", slots: auto")), " slots 1009 "},
	{"the smallest ring, with a warning", TEXT(WEB(", slots: 7")), " slots 7 ", 1},
	{"the largest ring", TEXT(WEB(", slots: 16777213")), " slots 16777213 "},
	{"slots of the whole file", TEXT("slots: 4093\n" WEB("")), " slots 4093 "},
	{"a service's slots go before the file's", TEXT("slots: 4093\n" WEB(", slots: 1009")), " slots 1009 "},
	{"a service's auto goes before the file's number", TEXT("slots: 4093\n" WEB(", slots: auto")), " slots 1009 "},
	{"a seed", TEXT(WEB(", seed: 42")), " seed 42 "},
	{"the largest seed", TEXT(WEB(", seed: 0xffffffffffffffff")), " seed 18446744073709551615 "},
	{"seed zero is a seed", TEXT(WEB(", seed: 0")), " seed 0 "},
	{"a seed of the whole file", TEXT("seed: 7\n" WEB("")), " seed 7 "},
	{"a seed behind the services counts for them too", TEXT(WEB("") "seed: 7\n"), " seed 7 "},
	{"a service's seed goes before the file's", TEXT("seed: 7\n" WEB(", seed: 8")), " seed 8 "},
	{"tcp moves for two hours, and has a day's deadline", TEXT(WEB("")), " seed default -> "},
	{"udp moves for two minutes", TEXT(WEB(", protocol: udp")), " seed default -> "},
	{"a window", TEXT(WEB(", window: 10m")), " affinity flow window 600 -> "},
	{"the shortest window", TEXT(WEB(", window: 1000ms")), " window 1 -> "},
	{"the longest window", TEXT(WEB(", window: 30d")), " window 2592000 -> "},
	{"a window with a fraction", TEXT(WEB(", window: 1.5h")), " window 5400 -> "},
	{"a window in front of the protocol", TEXT(WEB(", window: 2h, protocol: udp")), " affinity flow window 7200 -> "},
	{"affinity flow said", TEXT(WEB(", protocol: udp, affinity: flow")), " seed default -> "},
	{"affinity none", TEXT(WEB(", protocol: udp, affinity: none")), " affinity none window 0 -> "},
	{"affinity none in front of the protocol", TEXT(WEB(", affinity: none, protocol: udp")), " affinity none window 0 -> "},
	{"a slow start", TEXT(WEB(", slow_start: 30s")), " slow_start 30 deadline 86400 -> "},
	{"the longest slow start", TEXT(WEB(", slow_start: 60m")), " slow_start 3600 "},
	{"no slow start, said", TEXT(WEB(", slow_start: 0")), " seed default -> "},
	{"a deadline", TEXT(WEB(", deadline: 10m")), " slow_start 0 deadline 600 -> "},
	{"a deadline of nothing", TEXT(WEB(", deadline: 0s")), " deadline 0 -> "},
	{"a deadline of nothing, without a unit", TEXT(WEB(", deadline: 0")), " deadline 0 -> "},
	{"the longest deadline", TEXT(WEB(", deadline: 720h")), " deadline 2592000 -> "},
	/* who may use it */
	{"oversize", TEXT(WEB(", oversize: drop")), " oversize drop -> "},
	{"oversize as it is by default", TEXT(WEB(", oversize: icmp")), " seed default -> "},
	{"an MSS", TEXT(WEB(", mss: 1360")), " mss 1360 -> "},
	{"an MSS by the path", TEXT(WEB(", mss: auto")), " mss auto -> "},
	{"a denied address", TEXT(WEB(", deny: 192.0.2.1")), " deny 192.0.2.1/32 -> "},
	{"lists of prefixes, by prefix", TEXT(WEB(", deny: [192.0.2.0/24, 10.0.0.0/8], allow: [10.1.0.0/16, 10.0.0.0/16]")),
	 " deny 10.0.0.0/8 allow 10.0.0.0/16 allow 10.1.0.0/16 deny 192.0.2.0/24 -> "},
	{"all of a family", TEXT(WEB(", deny: [0.0.0.0/0], allow: 192.0.2.0/24")), " deny 0.0.0.0/0 allow 192.0.2.0/24 -> "},
	{"a limit", TEXT(WEB(", limit: {new_flows: 100}")), " limit 100 per 1 burst 100 -> "},
	{"all of a limit", TEXT(WEB(", limit: {new_flows: 100, per: 10m, burst: 7}")), " limit 100 per 600 burst 7 -> "},
	{"a limit of packets", TEXT(WEB(", protocol: udp, affinity: none, limit: {new_flows: 5}")), " limit 5 per 1 burst 5 -> "},
	/* health */
#define HEALTH(t) TEXT(WEB(", health: {" t "}"))
	{"health of tcp", HEALTH("type: tcp"), "health tcp via vip port 0 every 2000/500 within 1000 rise 2 fall 3\n"},
	{"health of http", HEALTH("type: http"),
	 "health http via vip port 0 every 2000/500 within 1000 rise 2 fall 3 path / host - status 200-399\n"},
	{"times of health", HEALTH("type: tcp, interval: 1h, doubt: 1.5s, timeout: 1ms, rise: 1, fall: 1000"),
	 "every 3600000/1500 within 1 rise 1 fall 1000\n"},
	{"a short interval", HEALTH("type: tcp, interval: 200ms"), "every 200/50 within 200 rise"},
	{"the shortest interval", HEALTH("type: tcp, interval: 10ms"), "every 10/10 within 10 rise"},
	{"all of http", HEALTH("type: http, via: backend, path: /a?b=c, host: www.example.net, port: 8080, status: 200-299, "
			       "expect: fine"),
	 "health http via backend port 8080 every 2000/500 within 1000 rise 2 fall 3 path /a?b=c host www.example.net status "
	 "200-299 expect fine\n"},
	{"one code of http", HEALTH("type: http, status: 204"), "status 204-204\n"},
	{"a list of codes of http", HEALTH("type: http, status: [401, 200, 300-399, 204]"),
	 "status 200-200,204-204,300-399,401-401\n"},
	{"codes of http that touch are one range", HEALTH("type: http, status: [201, 200-299, 300, 250-260, 302]"),
	 "status 200-300,302-302\n"},
	{"all of https", HEALTH("type: https, ca: /a, certificate: /b, key: /c, verify: true"),
	 "status 200-399 ca /a certificate /b key /c verify 1\n"},
	{"https without a look at the certificate", HEALTH("type: https, verify: false"),
	 " ca - certificate - key - verify 0\n"},
	{"udp by a text", HEALTH("type: udp, send: \"ping\\n\", expect: pong"), "fall 3 send ping<0a> expect pong\n"},
	{"udp by bytes", HEALTH("type: udp, send: \"hex:00fFA0\""), "fall 3 send <00><ff><a0>\n"},
	{"udp that speaks first", HEALTH("type: udp, expect: \"hex:00\""), "fall 3 expect <00>\n"},
	{"dns", HEALTH("type: dns, name: example.net"), "fall 3 name example.net record 1\n"},
	{"dns of IPv6", HEALTH("type: dns, name: example.net., record: AAAA, expect: \"fd00::1\""),
	 "fall 3 expect fd00::1 name example.net. record 28\n"},
	{"dns of the root", HEALTH("type: dns, name: ., record: NS"), "fall 3 name . record 2\n"},
	{"icmp", HEALTH("type: icmp"), "health icmp via vip port 0 "},
	{"a script", HEALTH("type: script, command: /bin/check"), "fall 3 [/bin/check]\n"},
	{"a script with arguments", HEALTH("type: script, command: [/bin/check, a b, \"\"]"),
	 "fall 3 [/bin/check] [a b] []\n"},
	{"any port and one to ask",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: any, health: {type: tcp, port: 22}, backends: [10.3.0.1]}\n"),
	 "health tcp via vip port 22 "},
	{"any port and none to ask", TEXT(HEAD "- {vip: 10.2.0.1, port: any, health: {type: icmp}, backends: [10.3.0.1]}\n"),
	 "health icmp via vip port 0 "},

	/* backends that are down */
	{"all must be up", TEXT(WEB(", min_up: 100%")), " min_up 100% when_all_down drop on_down drain -> 10.3.0.1*1 (line 3)\n"},
	{"all must be up, counted", TEXT(HEAD "- {vip: 10.2.0.1, port: 80, min_up: 2, backends: [10.3.0.1, 10.3.0.2]}\n"),
	 " min_up 2 when_all_down drop on_down drain -> "},
	{"none is as all", TEXT(WEB(", when_all_down: all")), " min_up 1 when_all_down all on_down drain -> "},
	{"a fallback before the backends",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: 80, fallback: 10.3.0.9, when_all_down: fallback, backends: [10.3.0.1]}\n"),
	 " min_up 1 when_all_down fallback on_down drain -> 10.3.0.1*1 else 10.3.0.9*1 (line 3)\n"},
	{"fallbacks", TEXT(WEB(", when_all_down: fallback, fallback: [10.3.0.8, 10.3.0.9]")),
	 " -> 10.3.0.1*1 else 10.3.0.8*1 else 10.3.0.9*1 (line 3)\n"},
	{"flows are reset", TEXT(WEB(", on_down: reset, health: {type: tcp}")), " when_all_down drop on_down reset -> "},

	/* addresses */
	{"an IPv6 VIP", TEXT(HEAD "  - {vip: \"2001:db8::1\", port: 80, backends: [\"2001:db8:3::1\"]}\n"),
	 "service tcp/[2001:db8::1]:80: 2001:db8::1 tcp 80 l2 flow slots 1009 seed default -> 2001:db8:3::1*1"},
	{"IPv6 in a block needs no quotes",
	 TEXT(HEAD "  - vip: 2001:db8::1\n    port: 443\n    backends:\n    - 2001:db8:3::1\n    - address: 2001:db8:3::2\n"),
	 "service tcp/[2001:db8::1]:443: 2001:db8::1 tcp 443 l2 flow slots 1009 seed default -> 2001:db8:3::1*1 "
	 "2001:db8:3::2*1 (line 3)"},
	{"an IPv4-mapped IPv6 address is the IPv4 address",
	 TEXT(HEAD "  - {vip: \"::ffff:10.2.0.1\", port: 80, backends: [10.3.0.1]}\n"), ": 10.2.0.1 tcp 80 l2"},
	{"a list of VIPs in the order of the file",
	 TEXT(HEAD "  - {vip: [10.2.0.2, 10.2.0.1], port: 80, backends: [10.3.0.1]}\n"),
	 "service tcp/10.2.0.2:80: 10.2.0.2,10.2.0.1 tcp 80"},
	{"VIPs of both families by ipip",
	 TEXT(HEAD "  - {vip: [10.2.0.1, \"2001:db8::1\"], port: 80, forward: ipip, backends: [10.3.0.1, \"2001:db8::9\"]}\n"),
	 ": 10.2.0.1,2001:db8::1 tcp 80 ipip flow slots 1009 seed default -> 10.3.0.1*1 2001:db8::9*1"},
	{"one VIP, two ports, two protocols",
	 TEXT(WEB("") "  - {vip: 10.2.0.1, port: 80, protocol: udp, backends: [10.3.0.1]}\n"
		      "  - {vip: 10.2.0.1, port: any, backends: [10.3.0.1]}\n"),
	 "service udp/10.2.0.1:80: 10.2.0.1 udp 80 l2 flow slots 1009 seed default -> 10.3.0.1*1 (line 4)\n"
	 "service tcp/10.2.0.1:any: 10.2.0.1 tcp any "},
	{"private, shared and documentation addresses are unicast",
	 TEXT(HEAD "  - {vip: [192.168.0.1, 100.64.0.1, 198.51.100.1], port: 80, backends: [1.0.0.1, 223.255.255.254]}\n"),
	 "192.168.0.1,100.64.0.1,198.51.100.1 tcp"},

	/* backends */
	{"weights", TEXT(HEAD "  - {vip: 10.2.0.1, port: 80, backends: [{address: 10.3.0.1, weight: 65535}, 10.3.0.2, "
			      "{address: 10.3.0.3, weight: 0}]}\n"), "-> 10.3.0.1*65535 10.3.0.2*1 10.3.0.3*0 (line"},
	{"all weights 0, with a warning",
	 TEXT(HEAD "  - {vip: 10.2.0.1, port: 80, backends: [{address: 10.3.0.1, weight: 0}]}\n"),
	 "-> 10.3.0.1*0 ", 1},
	{"one backend of two services",
	 TEXT(WEB("") "  - {vip: 10.2.0.1, port: 81, backends: [10.3.0.1]}\n"), "-> 10.3.0.1*1 (line 4)"},

	/* the rest of the top level */
	{"limits", TEXT("limits: {services: 100, backends: 200, slots: 65536, flows: 300, unproven: 400, "
			"fragments: 500}\n" WEB("")),
	 "limits 100 200 65536 300 400 500\n"},
	{"limits auto", TEXT("limits: {services: auto, backends: auto, slots: auto, flows: auto, unproven: auto, "
			     "fragments: auto}\n" WEB("")),
	 "limits 0 0 0 0 0 0\n"},
	{"an outer source", TEXT("tunnel: {source4: 192.0.2.1, source6: \"2001:db8::5\"}\n" WEB("")),
	 "source4 192.0.2.1/32\nsource6 2001:db8::5/128\n"},
	{"GRE with a key", TEXT("tunnel: {gre_key: 4294967295}\n" WEB(", forward: gre")), "gre_key 4294967295\n"},
	{"outer sources that vary", TEXT("tunnel: {source4: 10.9.0.0/16, source6: \"fd00:9::/96\"}\n" WEB("")),
	 "source4 10.9.0.0/16\nsource6 fd00:9::/96\n"},
	{"the marks and the table of probes", TEXT("probes: {mark: 0xab0000, mask: 0xffff0000, table: 77}\n" WEB("")),
	 "probes 0xab0000 0xffff0000 77\n"},
	{"the API's socket and group", TEXT("api: {socket: /tmp/a.sock, group: wheel}\n" WEB("")), "api /tmp/a.sock wheel\n"},

	/* forms of a text */
	{"the manual's example",
	 TEXT("interfaces: [eth0]\n"
	      "services:\n"
	      "  - name: web\n"
	      "    vip: 10.2.0.1            # address, list or prefix; IPv4 or IPv6\n"
	      "    protocol: tcp            # tcp | udp | quic | any\n"
	      "    port: 80                 # number, range, or any\n"
	      "    forward: ipip            # l2 | ipip | gue | gre\n"
	      "    hash: flow               # flow | source | quic-cid\n"
	      "    health: {type: http, path: /healthz, interval: 2s, timeout: 1s, rise: 2, fall: 3}\n"
	      "    backends:\n"
	      "      - {address: 10.3.0.1, weight: 1}\n"),
	 "service web: 10.2.0.1 tcp 80 ipip flow slots 1009 seed default -> 10.3.0.1*1 (line 3)\n"},
	{"JSON",
	 TEXT("{\"interfaces\": [\"eth0\"],\n \"services\": [{\"name\": \"web\", \"vip\": [\"10.2.0.1\"], \"port\": 80,\n"
		      "\t\"backends\": [{\"address\": \"10.3.0.1\", \"weight\": 2}]}]}"),
	 "service web: 10.2.0.1 tcp 80 l2 flow slots 1009 seed default -> 10.3.0.1*2 (line 2)\n"},
	{"lines that end with CR LF",
	 TEXT("interfaces: [eth0]\r\nservices:\r\n- vip: 10.2.0.1\r\n  port: 80\r\n  backends: [10.3.0.1]\r\n"),
	 "service tcp/10.2.0.1:80: 10.2.0.1 tcp 80 l2 flow slots 1009 seed default -> 10.3.0.1*1 (line 3)\n"},
	{"a byte order mark", TEXT("\xef\xbb\xbf" WEB("")), "service tcp/10.2.0.1:80: "},
	{"one document with its marks", TEXT("---\n" WEB("") "...\n"), "service tcp/10.2.0.1:80: "},
	{"how far probes go", TEXT("probes: {hops: 2}\ninterfaces: [eth0]\n" NONE), "hops 2\n"},
	{"how VIPs are announced",
	 TEXT("announce: {table: 100, warmup: 30s, refresh: 0, start: standby}\ninterfaces: [eth0]\n" NONE),
	 "announce 100 30 0 standby\n"},
	{"no routes", TEXT("announce: {table: none}\ninterfaces: [eth0]\n" NONE), "announce 0 10 60 active\n"},
	{"table 0 is none", TEXT("announce: {table: 0}\ninterfaces: [eth0]\n" NONE), "announce 0 10 60 active\n"},
	{"no line break at the end", TEXT("interfaces: [eth0]\nservices: []"), "interface eth0 "},
	{"a text need not end with a zero byte", .text = "interfaces: [eth0]\nservices: []\nnonsense", .bytes = 32,
	 "limits 0 0 0 0 0"},
	{"comments in two scripts", TEXT("# \xe6\xbc\xa2\xe5\xad\x97 caf\xc3\xa9\n" WEB("")), "service tcp/10.2.0.1:80: "},
};

static void texts_mean_what_they_say(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct problems problems = {0};
		struct config *config = config_parse(rows[i].text, rows[i].bytes, &problems);
		auto_free char *text = config ? describe(config) : NULL;

		if (!config)
			fail_msg("%s: line %u column %u: %s", rows[i].what, problems.list[0].line, problems.list[0].column,
				 problems.list[0].text);
		assert_holds(rows[i].what, text, rows[i].holds);
		if (problems.count != rows[i].warnings || problems.errors)
			fail_msg("%s: %zu warnings, not %zu", rows[i].what, problems.count, rows[i].warnings);
		problems_free(&problems);
		config_free(config);
	}
}

/* A file of so many backends and what auto makes of it. */
static void slots_auto_follows_the_backends(void **state)
{
	static const size_t counts[] = {1, 10, 11, 40, 41, 1000};

	for (size_t i = 0; i < COUNT(counts); i++) {
		struct problems problems = {0};
		auto_free char *text = NULL;
		struct config *config;
		size_t bytes;
		FILE *out = open_memstream(&text, &bytes);

		fprintf(out, HEAD "- {vip: 10.2.0.1, port: 80, backends: [");
		for (size_t b = 0; b < counts[i]; b++)
			fprintf(out, "%s10.3.%zu.%zu", b ? ", " : "", b / 250, b % 250 + 1);
		fprintf(out, "]}\n");
		fclose(out);
		config = config_parse(text, bytes, &problems);
		assert_non_null(config);
		assert_int_equal(config->services[0]->backend_count, counts[i]);
		assert_int_equal(config->services[0]->slots, ring_size_auto(counts[i]));
		config_free(config);
		problems_free(&problems);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_mean_what_they_say),
		cmocka_unit_test(slots_auto_follows_the_backends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the API answers, shown to people: fixed answers, byte for byte. Pure. */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "cli/show.h"

static const struct {
	double amount;
	const char *text;
} amount_rows[] = {
	{0, "0"},	{1, "1"},	{999, "999"},	  {999.4, "999"},   {999.5, "1.0k"},  {1000, "1.0k"},  {1234567,
	 "1.2M"},
	{9949, "9.9k"}, {9950, "10k"},	{999499, "999k"}, {999500, "1.0M"}, {1e9, "1.0G"},    {1e12, "1.0T"},  {1e15, "1.0P"},
	{1e18, "1.0E"}, {1e21, "1000E"}, {0.4, "0"},
};

static void amounts_are_short(void **state)
{
	for (size_t i = 0; i < COUNT(amount_rows); i++) {
		char text[16];

		assert_text("an amount", show_amount(amount_rows[i].amount, text), amount_rows[i].text);
	}
}

static char *shown(void (*show)(FILE *out, const json_t *body), const char *text)
{
	json_t *body = json_loads(text, 0, NULL);
	char *out = NULL;
	size_t bytes;
	FILE *file = open_memstream(&out, &bytes);

	assert_non_null(body);
	show(file, body);
	fclose(file);
	json_decref(body);
	return out;
}

struct row {
	const char *what;
	void (*show)(FILE *out, const json_t *body);
	const char *answer, *text;
};

#define STATUS                                                                                                            \
	"{'version': '1', 'pid': 42, 'uptime_s': 7, 'configuration': {'file': 'a.yaml', 'running': 'file', "              \
	"'differs_from_file': true, 'confirm_within_s': 30, 'overrides': [{'service': 'web', 'backend': '10.3.0.1', "     \
	"'weight': 5, 'drain': null}, {'service': 'web', 'backend': '10.3.0.2', 'weight': null, 'drain': {'state': "       \
	"'draining'}}]}, 'interfaces': [{'name': 'eth0', 'role': 'ingress', 'state': 'attached', 'mode': 'native', "      \
	"'announce': false, 'reason': ''}, {'name': 'eth1', 'role': 'exit', 'state': 'missing', 'mode': '', 'announce': " \
	"true, 'up': false, 'reason': 'no such device'}, {'name': 'eth2', 'role': 'ingress', 'state': 'attached', "       \
	"'mode': 'generic', 'announce': true, 'up': false, 'reason': ''}], 'services': [{'name': 'web', "                 \
	"'vips': ['10.2.0.1', '2001:db8::1'], 'local_vips': ['10.2.0.1'], "                                               \
	"'protocol': 'tcp', 'ports': '80', 'forward': 'ipip', 'hash': 'flow', 'state': 'up', 'reason': '', "                 \
	"'packets_per_s': 1234, 'bytes_per_s': 125000, 'packets': 1234567, 'ring': {'size': 1009, 'configured': 'aa', "   \
	"'live': 'bb'}, 'verdicts': {'FORWARDED': 12}, 'backends': [{'address': '10.3.0.1', 'state': 'up', 'weight': 5, " \
	"'configured_weight': 1, 'share': 0.8333, 'packets_per_s': 1000, 'bytes_per_s': 125, 'packets': 9, 'interface': " \
	"'eth0', 'source': '10.2.0.10', 'drain': null, 'verdicts': {'FORWARDED': 9, 'LOOPED': 4}, 'reason': ''}, "        \
	"{'address': '10.3.0.2', 'state': 'unresolved', 'weight': 1, 'configured_weight': 1, "                            \
	"'share': 0, 'packets': 0, 'reason': 'no route', 'drain': {'state': 'draining', 'since_s': 61, 'flows': 3, "       \
	"'deadline_left_s': 30}}], " \
	"'removed': [{'address': '10.3.0.9', 'flows': 1, 'deadline_left_s': 3660}], " \
	"'motion': {'state': 'moving', 'differs': 0.1251, 'flows': 12, 'left_s': 7190}}], " \
	"'verdicts': {'NOT_VIP': {'count': 3, 'text': 'not ours'}, "  \
	"'LOOPED': {'count': 0, 'text': 'came back'}}}"

static const struct row rows[] = {
	{"no changes", show_changes, "{'changes': []}", "no changes\n"},
	{"changes with their signs", show_changes,
	 "{'changes': [{'kind': 'add', 'service': 'a', 'text': 'x'}, {'kind': 'remove', 'service': 'b', 'text': 'y'}, "
	 "{'kind': 'change', 'service': 'c', 'text': 'z'}, {'kind': 'other', 'service': 'd', 'text': 'w'}], "
	 "'confirm_within_s': 60}",
	 "+ a: x\n- b: y\n~ c: z\n? d: w\napplied; taken back in 60 s unless `halfproxy confirm` comes\n"},
	{"a trace", show_trace,
	 "{'before': {'headers': ['Ethernet', 'IPv4']}, 'steps': [{'step': 'service', 'text': 'web'}, {'step': 'continuity', "
	 "'text': 'x'}], 'verdict': 'FORWARDED', 'text': 'sent', 'action': 'XDP_TX', 'after': {'headers': ['Ethernet']}}",
	 "comes in\n  Ethernet\n  IPv4\nservice    web\ncontinuity x\nverdict    FORWARDED: sent; XDP_TX\n"
	 "goes out\n  Ethernet\n"},
	{"a trace of what does not leave", show_trace,
	 "{'before': {'headers': []}, 'steps': [], 'verdict': 'NOT_VIP', 'text': 't', 'action': 'XDP_PASS', 'after': null}",
	 "comes in\nverdict    NOT_VIP: t; XDP_PASS\n"},
	{"status of nothing", show_status,
	 "{'version': '1', 'pid': 1, 'uptime_s': 0, 'configuration': {'file': 'a.yaml', 'running': 'applied'}, 'services': []}",
	 "halfproxyd 1, pid 1, up 0 s, a.yaml (another configuration was applied and runs)\n\n"
	 "SERVICE                             STATE      WEIGHT   SHARE    PKT/S    BIT/S  PACKETS\n"
	 "no services\n\n"},
	{"status of one service", show_status, STATUS,
	 "halfproxyd 1, pid 42, up 7 s, a.yaml (edited since: `halfproxy reload` takes it)\n"
	 "a change waits for `halfproxy confirm`; it is taken back in 30 s\n"
	 "override: web 10.3.0.1 weight 5 (`halfproxy reset web` drops it)\n"
	 "override: web 10.3.0.2 drained (`halfproxy undrain web 10.3.0.2` ends it)\n"
	 "interface eth0: ingress, attached, XDP native, announces no VIPs\n"
	 "interface eth1: exit, missing: no such device\n"
	 "interface eth2: ingress, attached, LINK DOWN, XDP generic\n"
	 "\n"
	 "SERVICE                             STATE      WEIGHT   SHARE    PKT/S    BIT/S  PACKETS\n"
	 "tcp 10.2.0.1:80                     up                            1.2k     1.0M     1.2M  web, ipip, flow\n"
	 "   and tcp [2001:db8::1]:80\n"
	 "   moving for another 1h 59m: 12.5% of the ring differs, 12 flows remembered\n"
	 "   10.2.0.1 is an address of this host: take it off (`ip address del`)\n"
	 "  -> 10.3.0.1                         up           5(1)   83.3%     1.0k     1.0k        9  "
	 "eth0, from 10.2.0.10; LOOPED 4: came back\n"
	 "  -> 10.3.0.2                         unresolved        1    0.0%        0        0        0  no route; "
	 "drained 1m 1s ago, 3 flows left, cut in 30s\n"
	 "  -> 10.3.0.9                         removed: 1 flow left, cut in 1h 1m\n"
	 "\n"
	 "ring of 1009 slots, configured aa, live bb\n"
	 "this service\n"
	 "  FORWARDED                     12\n"
	 "all packets\n"
	 "  NOT_VIP                        3  not ours\n"},
	{"a backend that fails, with the name of the cause, and one that flaps", show_status,
	 "{'services': [{'name': 'a', 'vips': ['10.2.0.1'], 'backends': [{'address': '10.3.0.1', 'state': 'ready', 'health': "
	 "{'state': 'failing', 'since_s': 5, 'verdict': {'cause': 'NOT_LISTENING', 'text': 'nothing listens'}}}, {'address': "
	 "'10.3.0.2', 'state': 'ready', 'health': {'state': 'up', 'since_s': 1, 'flapping': 12}}]}]}",
	 "halfproxyd , pid 0, up 0 s, \n\n"
	 "SERVICE                             STATE      WEIGHT   SHARE    PKT/S    BIT/S  PACKETS\n"
	 " 10.2.0.1:any                                                        0        0        0  a, , \n"
	 "  -> 10.3.0.1                         failing         0    0.0%        0        0        0  ; failing for 5s: nothing "
	 "listens (NOT_LISTENING)\n"
	 "  -> 10.3.0.2                         up              0    0.0%        0        0        0  ; flapping: 12 changes in "
	 "a minute\n\nring of 0 slots, configured , live \nthis service\nall packets\n"},
	{"services that are guarded", show_status,
	 "{'services': [{'name': 'a', 'vips': ['10.2.0.1'], 'guard': {'allow': 1, 'deny': 0, 'limit': null}, 'verdicts': {"
	 "'DENIED': 1234}}, {'name': 'b', 'vips': ['10.2.0.2'], 'guard': {'allow': 1, "
	 "'deny': 2000, 'limit': {'new_flows': 5, 'per_s': 60, 'burst': 9}}, 'verdicts': {'LIMITED': 7}}]}",
	 "halfproxyd , pid 0, up 0 s, \n\n"
	 "SERVICE                             STATE      WEIGHT   SHARE    PKT/S    BIT/S  PACKETS\n"
	 " 10.2.0.1:any                                                        0        0        0  a, , \n"
	 "   allow 1, deny 0 prefix: 1.2k packets denied\n"
	 " 10.2.0.2:any                                                        0        0        0  b, , \n"
	 "   allow 1, deny 2000 prefixes: 0 packets denied\n"
	 "   limit of 5 new flows of a client in 1m, 9 at once: 7 packets dropped\n\n"},
	{"a service that settles, and drains that are over", show_status,
	 "{'services': [{'name': 'a', 'vips': ['10.2.0.1'], 'motion': {'state': 'settling', 'differs': 1, 'flows': 1, 'left_s': "
	 "null}, 'backends': [{'address': '10.3.0.1', 'drain': {'state': 'empty'}}, {'address': '10.3.0.2', 'drain': {'state': "
	 "'cut'}}]}, {'name': 'b', 'vips': ['10.2.0.2'], 'motion': {'state': 'steady'}}]}",
	 "halfproxyd , pid 0, up 0 s, \n\n"
	 "SERVICE                             STATE      WEIGHT   SHARE    PKT/S    BIT/S  PACKETS\n"
	 " 10.2.0.1:any                                                        0        0        0  a, , \n"
	 "   settling: 100.0% of the ring differs, 1 flow remembered\n"
	 "  -> 10.3.0.1                                         0    0.0%        0        0        0  "
	 "; drained, no flow is left\n"
	 "  -> 10.3.0.2                                         0    0.0%        0        0        0  "
	 "; drained, its flows were cut\n"
	 " 10.2.0.2:any                                                        0        0        0  b, , \n\n"},
	{"status of a standby", show_status,
	 "{'services': [], 'announce': {'role': 'standby', 'maintenance': false, 'table': 248, 'interface': 'eth0', 'vips': 3, "
	 "'up': 3, 'routes': {'wanted': 0, 'there': 0}, 'error': ''}}",
	 "halfproxyd , pid 0, up 0 s, \n"
	 "standby: another director answers for the VIPs (`halfproxy active` takes over)\n\n"
	 "SERVICE                             STATE      WEIGHT   SHARE    PKT/S    BIT/S  PACKETS\nno services\n\n"},
	{"status in maintenance, with a route that cannot be taken out", show_status,
	 "{'services': [], 'announce': {'role': 'active', 'maintenance': true, 'table': 248, 'interface': 'eth0', 'vips': 3, "
	 "'up': 2, 'routes': {'wanted': 0, 'there': 1}, 'error': 'because'}}",
	 "halfproxyd , pid 0, up 0 s, \n"
	 "maintenance: no VIP is announced by a route (`halfproxy maintenance off` ends it)\n"
	 "routes: 1 of 3 VIPs, in table 248 by eth0\n"
	 "not announced: because\n\n"
	 "SERVICE                             STATE      WEIGHT   SHARE    PKT/S    BIT/S  PACKETS\nno services\n\n"},
	{"what active did", show_announce, "{'announce': {'role': 'active', 'maintenance': false, 'vips': 3, 'up': 2}}",
	 "active: 2 of 3 VIPs are up, and answered for\n"},
	{"what standby did", show_announce, "{'announce': {'role': 'standby', 'maintenance': true}}",
	 "standby: ARP, ND and ping for VIPs are not answered, and no routes announce them\n"},
	{"what maintenance did", show_announce, "{'announce': {'role': 'active', 'maintenance': true}}",
	 "active, in maintenance: no routes announce VIPs; packets that come are forwarded\n"},
	{"flows of a service whose window cannot end", show_flows,
	 "{'services': [{'name': 'web', 'motion': {'state': 'moving', 'differs': 0.5, 'flows': 2, 'left_s': 0, "
	 "'waits_for_room': true}}]}",
	 "web: moving until the table of flows has room: 50.0% of the ring differs, 2 flows remembered\n"
	 "proven: 0 of 0\nunproven: 0 of 0\n"},
	{"a slow start", show_status,
	 "{'services': [{'name': 'a', 'vips': ['10.2.0.1'], 'backends': [{'address': '10.3.0.1', 'ramp': {'step': 3, 'steps': "
	 "10, 'left_s': 21}}, {'address': '10.3.0.2', 'ramp': null}]}]}",
	 "halfproxyd , pid 0, up 0 s, \n\n"
	 "SERVICE                             STATE      WEIGHT   SHARE    PKT/S    BIT/S  PACKETS\n"
	 " 10.2.0.1:any                                                        0        0        0  a, , \n"
	 "  -> 10.3.0.1                                         0    0.0%        0        0        0  "
	 "; slow start at 30%, whole in 21s\n"
	 "  -> 10.3.0.2                                         0    0.0%        0        0        0  \n\n"
	 "ring of 0 slots, configured , live \nthis service\nall packets\n"},
	{"a drain", show_drained,
	 "{'changes': [{'kind': 'change', 'service': 'web', 'text': 'x'}], 'problems': [{'kind': 'warning', 'text': 'y'}], "
	 "'service': 'web', 'backend': '10.3.0.1', 'drain': {'state': 'draining', 'deadline_left_s': 600}}",
	 "~ web: x\nwarning: y\nweb 10.3.0.1 takes no new flows; those that it has stay until they end, and are cut in 10m\n"},
	{"a drain without a deadline, again", show_drained,
	 "{'changes': [], 'problems': [], 'service': 'web', 'backend': '10.3.0.1', 'drain': {'deadline_left_s': null}}",
	 "no changes\nweb 10.3.0.1 takes no new flows; those that it has stay until they end\n"},
	{"flows", show_flows,
	 "{'services': [{'name': 'web', 'motion': {'state': 'moving', 'differs': 0.5, 'flows': 2, 'left_s': 60}}, {'name': "
	 "'dns', 'motion': {'state': 'steady'}}], 'steady': 1, 'tables': {'proven': {'used': 1, 'limit': 1048576}, 'unproven': "
	 "{'used': 1, 'limit': 262144}, 'full': true}, 'events': {'REMEMBERED': {'count': 2, 'text': 'x'}, 'PROMOTED': {'count': "
	 "0}}, "
	 "'flows': [{'client': '192.168.1.1', 'client_port': 40000, 'vip': '10.2.0.1', 'port': 80, 'protocol': 'tcp', 'service': "
	 "'web', 'backend': '10.3.0.1', 'why': 'opened', 'state': 'proven', 'age_s': 61.5, 'idle_s': 0.01}, {'client': "
	 "'2001:db8::1', 'client_port': 1, 'vip': '2001:db8::2', 'port': 53, 'protocol': 'udp', 'service': null, 'backend': "
	 "null, 'why': 'met', 'state': 'unproven', 'age_s': 0, 'idle_s': -3}], 'more': true}",
	 "web: moving for another 1m: 50.0% of the ring differs, 2 flows remembered\n"
	 "dns: steady\n"
	 "1 other service is steady\n"
	 "proven: 1 of 1048576\n"
	 "unproven: 1 of 262144\n"
	 "the table of flows is full: services that are moving stay so; raise limits.flows\n"
	 "  REMEMBERED                     2  x\n\n"
	 "CLIENT                   VIP                      BACKEND            STATE    WHY            AGE    SILENT  SERVICE\n"
	 "192.168.1.1:40000        tcp 10.2.0.1:80          10.3.0.1           proven   opened       1m 1s        0s  web\n"
	 "[2001:db8::1]:1          udp [2001:db8::2]:53                        unproven met             0s        0s  \n"
	 "there are more: --limit N lists so many\n"},
	{"flows of nothing", show_flows, "{'services': [], 'steady': 2, 'flows': []}",
	 "2 services are steady\nproven: 0 of 0\nunproven: 0 of 0\n"},
	{"flows of another type", show_flows, "{'services': 1, 'steady': 'x', 'tables': [], 'events': [1], 'flows': [1, null]}",
	 NULL},
	{"dropped packets", show_samples,
	 "{'samples': [{'reason': 'DENIED', 'text': 'its source is denied', 'age_s': 61.5, 'service': 'web', 'interface': "
	 "'eth0', 'bytes': 74, 'headers': ['Ethernet', 'IPv4']}, {'reason': 'FRAGMENT', 'text': 'x', 'age_s': 0.1, "
	 "'service': null, 'interface': '', 'bytes': 60, 'headers': []}]}",
	 "1m 1s ago  DENIED: its source is denied\n  74 bytes by eth0, service web\n  Ethernet\n  IPv4\n"
	 "0s ago  FRAGMENT: x\n  60 bytes\n"},
	{"no dropped packets", show_samples, "{'samples': []}", "no packet was dropped\n"},
	{"samples of another type", show_samples, "{'samples': [1, {'headers': [null, 2]}, null]}", NULL},
	{"an answer that lacks everything", show_status, "{}",
	 "halfproxyd , pid 0, up 0 s, \n\n"
	 "SERVICE                             STATE      WEIGHT   SHARE    PKT/S    BIT/S  PACKETS\n"
	 "no services\n\n"},
	{"a service's addresses that are no strings", show_status, "{'services': [{'vips': [1], 'backends': 3}]}", NULL},
	{"lists that are no lists", show_status, "{'services': 1, 'interfaces': {'a': 1}, 'verdicts': []}", NULL},
	{"headers that are no strings", show_trace, "{'before': {'headers': [1, null]}, 'steps': {}}", NULL},
};

static void answers_are_shown(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		auto_free char *answer = strdup(rows[i].answer), *text = NULL;

		for (char *c = answer; *c; c++)
			if (*c == '\'')
				*c = '"';
		text = shown(rows[i].show, answer);
		if (rows[i].text)
			assert_text(rows[i].what, text, rows[i].text);
		else if (strstr(text, "(null)"))
			fail_msg("%s: %s", rows[i].what, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amounts_are_short),
		cmocka_unit_test(answers_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

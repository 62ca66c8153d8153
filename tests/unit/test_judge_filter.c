/* Packet filters and routing rules: the rulesets are nft's own answers, cut to what matters. Pure. */
#include <sys/socket.h>

#include "unit/judged.h"

#include "core/judge_filter.h"

#define MARK 0x48000000u
#define MASK 0xff000000u

#define CHAIN(name, hook) "{\"chain\":{\"family\":\"inet\",\"table\":\"f\",\"name\":\"" name "\",\"hook\":\"" hook "\"}}"
#define SUB(name) "{\"chain\":{\"family\":\"inet\",\"table\":\"f\",\"name\":\"" name "\"}}"
#define RULE(chain, expr) \
	",{\"rule\":{\"family\":\"inet\",\"table\":\"f\",\"chain\":\"" chain "\",\"handle\":7,\"expr\":[" expr "]}}"
#define STATE(right) "{\"match\":{\"op\":\"in\",\"left\":{\"ct\":{\"key\":\"state\"}},\"right\":" right "}}"
#define ADDRESS(protocol, field, right) \
	"{\"match\":{\"op\":\"==\",\"left\":{\"payload\":{\"protocol\":\"" protocol "\",\"field\":\"" field "\"}},"    \
	"\"right\":" right "}}"
#define INVALID STATE("\"invalid\"")
#define DROP "{\"drop\":null}"
#define ACCEPT "{\"accept\":null}"
#define IIF "{\"match\":{\"op\":\"==\",\"left\":{\"meta\":{\"key\":\"iifname\"}},\"right\":\"eth9\"}}"
#define IF_MARK(op, left, right) "{\"match\":{\"op\":\"" op "\",\"left\":" left ",\"right\":" right "}}"
#define META_MARK "{\"meta\":{\"key\":\"mark\"}}"
#define SET_MARK(value) "{\"mangle\":{\"key\":" META_MARK ",\"value\":" value "}}"

#define PASS4 "nft insert rule inet f in ip daddr 10.2.0.1 ct state invalid accept"
#define PASS6 "nft insert rule inet f in ip6 daddr fd00:2::1 ct state invalid accept"
#define PASS_MARK "nft insert rule inet f out 'meta mark & 0xff000000 == 0x48000000 accept'"

struct row {
	const char *what, *rules, *found, *command;
};

static const struct row backend_rows[] = {
	{"no rule at all", CHAIN("in", "input"), "", NULL},
	{"one that drops invalid ones", CHAIN("in", "input") RULE("in", INVALID "," DROP), "HALF_OPEN_DROPPED",
	 PASS4 " && " PASS6},
	{"with a counter in between", CHAIN("in", "input") RULE("in", INVALID ",{\"counter\":{\"packets\":0,\"bytes\":0}}," DROP),
	 "HALF_OPEN_DROPPED", PASS4 " && " PASS6},
	{"one that rejects several states", CHAIN("in", "input")
	 RULE("in", STATE("[\"invalid\",\"untracked\"]") ",{\"reject\":{\"type\":\"icmpx\"}}"), "HALF_OPEN_DROPPED", NULL},
	{"a set of states", CHAIN("in", "input") RULE("in", STATE("{\"set\":[\"new\",\"invalid\"]}") "," DROP),
	 "HALF_OPEN_DROPPED", NULL},
	{"a map of verdicts", CHAIN("in", "input")
	 RULE("in", "{\"vmap\":{\"key\":{\"ct\":{\"key\":\"state\"}},\"data\":{\"set\":["
	 "[\"established\",{\"accept\":null}],[\"invalid\",{\"drop\":null}]]}}}"), "HALF_OPEN_DROPPED", NULL},
	{"a map that drops something else", CHAIN("in", "input") RULE("in", "{\"vmap\":{\"key\":{\"ct\":{\"key\":\"state\"}},"
	 "\"data\":{\"set\":[[\"untracked\",{\"drop\":null}],[\"invalid\",{\"accept\":null}]]}}}"), "", NULL},
	{"one that accepts others", CHAIN("in", "input") RULE("in", STATE("{\"set\":[\"established\",\"related\"]}") "," ACCEPT),
	 "", NULL},
	{"one that drops all but invalid ones", CHAIN("in", "input")
	 RULE("in", "{\"match\":{\"op\":\"!=\",\"left\":{\"ct\":{\"key\":\"state\"}},\"right\":\"invalid\"}}," DROP), "", NULL},
	{"the VIPs pass before", CHAIN("in", "input") RULE("in", ADDRESS("ip", "daddr", "\"10.2.0.1\"") "," INVALID "," ACCEPT)
	 RULE("in", ADDRESS("ip6", "daddr", "{\"set\":[\"fd00:2::9\",\"fd00:2::1\"]}") "," ACCEPT) RULE("in", INVALID "," DROP),
	 "", NULL},
	{"one of them passes before", CHAIN("in", "input") RULE("in", ADDRESS("ip", "daddr", "\"10.2.0.1\"") "," ACCEPT)
	 RULE("in", INVALID "," DROP), "HALF_OPEN_DROPPED", PASS6},
	{"a prefix of theirs passes before", CHAIN("in", "input")
	 RULE("in", ADDRESS("ip", "daddr", "{\"prefix\":{\"addr\":\"10.2.0.0\",\"len\":16}}") "," ACCEPT)
	 RULE("in", ADDRESS("ip6", "daddr", "{\"prefix\":{\"addr\":\"fd00:2::\",\"len\":64}}") "," ACCEPT)
	 RULE("in", INVALID "," DROP), "", NULL},
	{"another address passes before", CHAIN("in", "input") RULE("in", ADDRESS("ip", "daddr", "\"10.2.0.2\"") "," ACCEPT)
	 RULE("in", INVALID "," DROP), "HALF_OPEN_DROPPED", PASS4 " && " PASS6},
	{"they pass by one interface only", CHAIN("in", "input")
	 RULE("in", IIF "," ADDRESS("ip", "daddr", "\"10.2.0.1\"") "," ACCEPT)
	 RULE("in", INVALID "," DROP), "HALF_OPEN_DROPPED", PASS4 " && " PASS6},
	{"they pass in another chain", CHAIN("out", "output") "," CHAIN("in", "input")
	 RULE("out", ADDRESS("ip", "daddr", "\"10.2.0.1\"") "," ACCEPT) RULE("in", INVALID "," DROP), "HALF_OPEN_DROPPED",
	 PASS4 " && " PASS6},
	{"they pass after it", CHAIN("in", "input") RULE("in", INVALID "," DROP)
	 RULE("in", ADDRESS("ip", "daddr", "\"10.2.0.1\"") "," ACCEPT), "HALF_OPEN_DROPPED", PASS4 " && " PASS6},
	{"two in a chain are told once, two chains twice", CHAIN("in", "input") "," CHAIN("out", "output")
	 RULE("in", INVALID "," DROP) RULE("in", INVALID "," DROP) RULE("out", INVALID "," DROP),
	 "HALF_OPEN_DROPPED, HALF_OPEN_DROPPED", NULL},
	{"what leaves bears the VIP as its source", CHAIN("out", "output") RULE("out", INVALID "," DROP), "HALF_OPEN_DROPPED",
	 "nft insert rule inet f out ip saddr 10.2.0.1 ct state invalid accept && "
	 "nft insert rule inet f out ip6 saddr fd00:2::1 ct state invalid accept"},
	{"a chain whose name a shell would obey", CHAIN("a;b", "input") RULE("a;b", INVALID "," DROP), "HALF_OPEN_DROPPED", ""},
	{"marks are none of a backend's", CHAIN("out", "output") RULE("out", SET_MARK("1")), "", NULL},
};

static const struct row director_rows[] = {
	{"answers bear the VIP as their source", CHAIN("in", "input") RULE("in", INVALID "," DROP), "HALF_OPEN_DROPPED",
	 "nft insert rule inet f in ip saddr 10.2.0.1 ct state invalid accept && "
	 "nft insert rule inet f in ip6 saddr fd00:2::1 ct state invalid accept"},
	{"a mark that is set", CHAIN("out", "output") RULE("out", SET_MARK("1")), "WRONG MARK_OVERWRITTEN", PASS_MARK},
	{"behind the way out", CHAIN("out", "postrouting") RULE("out", SET_MARK("{\"ct\":{\"key\":\"mark\"}}")),
	 "WRONG MARK_OVERWRITTEN", PASS_MARK},
	{"a bit that is added", CHAIN("out", "output") RULE("out", SET_MARK("{\"|\":[" META_MARK ",16]}")),
	 "WRONG MARK_OVERWRITTEN", PASS_MARK},
	{"in a chain that others jump to", SUB("out") RULE("out", SET_MARK("1")), "WRONG MARK_OVERWRITTEN", PASS_MARK},
	{"of what comes in", CHAIN("in", "prerouting") RULE("in", SET_MARK("1")), "", NULL},
	{"of what has none", CHAIN("out", "output") RULE("out", IF_MARK("==", META_MARK, "0") "," SET_MARK("5")), "", NULL},
	{"of what has one", CHAIN("out", "output") RULE("out", IF_MARK("!=", META_MARK, "0") "," SET_MARK("5")),
	 "WRONG MARK_OVERWRITTEN", PASS_MARK},
	{"of what has another", CHAIN("out", "output")
	 RULE("out", IF_MARK("==", "{\"&\":[" META_MARK ",4278190080]}", "16777216") "," SET_MARK("5")), "", NULL},
	{"of all but ours", CHAIN("out", "output")
	 RULE("out", IF_MARK("!=", "{\"&\":[" META_MARK ",4278190080]}", "1207959552") "," SET_MARK("5")), "", NULL},
	{"ours pass before, by a prefix as nft writes the mask", CHAIN("out", "output")
	 RULE("out", IF_MARK("==", META_MARK, "{\"prefix\":{\"addr\":1207959552,\"len\":8}}") "," ACCEPT)
	 RULE("out", SET_MARK("1")), "", NULL},
	{"ours pass before by a mask, by return", CHAIN("out", "output")
	 RULE("out", IF_MARK("==", "{\"&\":[" META_MARK ",4278190080]}", "1207959552") ",{\"return\":null}")
	 RULE("out", SET_MARK("1")), "", NULL},
	{"ours pass before on one interface", CHAIN("out", "output")
	 RULE("out", IF_MARK("==", META_MARK, "{\"prefix\":{\"addr\":1207959552,\"len\":8}}") "," IIF "," ACCEPT)
	 RULE("out", SET_MARK("1")), "WRONG MARK_OVERWRITTEN", PASS_MARK},
};

static void judge_rows(const struct row *rows, size_t count, bool is_director)
{
	struct ip vips[2];
	struct judge_filter what = {vips, 2, is_director, MARK, MASK};

	assert_true(ip_parse(&vips[0], "10.2.0.1") && ip_parse(&vips[1], "fd00:2::1"));
	for (size_t i = 0; i < count; i++) {
		struct findings findings = {0};
		char text[4096];
		json_t *ruleset;

		snprintf(text, sizeof(text), "{\"nftables\":[{\"metainfo\":{}},%s]}", rows[i].rules);
		ruleset = json_loads(text, 0, NULL);
		if (!ruleset)
			fail_msg("%s: no JSON: %s", rows[i].what, text);
		judge_nft(&what, ruleset, &findings);
		assert_judged(rows[i].what, &findings, rows[i].found);
		if (rows[i].command)
			assert_text(rows[i].what, findings.items[0].command, rows[i].command);
		json_decref(ruleset);
		findings_free(&findings);
	}
}

static void rulesets_are_judged(void **state)
{
	judge_rows(backend_rows, COUNT(backend_rows), false);
	judge_rows(director_rows, COUNT(director_rows), true);
}

static void what_is_no_ruleset_is_told(void **state)
{
	static const char *const texts[] = {"{}", "[]", "{\"nftables\":{}}", "1"};
	const struct judge_filter what = {0};
	struct findings findings = {0};

	for (size_t i = 0; i < COUNT(texts); i++) {
		json_t *ruleset = json_loads(texts[i], JSON_DECODE_ANY, NULL);

		assert_int_equal(judge_nft(&what, ruleset, &findings), -1);
		json_decref(ruleset);
	}
	assert_int_equal(findings.count, 0);
}

#define FILTER "# Generated\n*filter\n:INPUT ACCEPT [0:0]\n"
#define MANGLE "*mangle\n:OUTPUT ACCEPT [0:0]\n"

static const struct row iptables_rows[] = {
	{"no rule", FILTER "COMMIT\n", "", NULL},
	{"one that drops invalid ones", FILTER "-A INPUT -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n", "HALF_OPEN_DROPPED",
	 "iptables -t filter -I INPUT -s 10.2.0.1 -m conntrack --ctstate INVALID -j ACCEPT"},
	{"by the older match", FILTER "-A INPUT -m state --state NEW,INVALID -j REJECT --reject-with x\nCOMMIT\n",
	 "HALF_OPEN_DROPPED", NULL},
	{"one that accepts others", FILTER "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n", "", NULL},
	{"one that drops all but those", FILTER "-A INPUT -m conntrack ! --ctstate INVALID -j DROP\n", "", NULL},
	{"the VIP passes before", FILTER "-A INPUT -s 10.2.0.1/32 -m conntrack --ctstate INVALID -j ACCEPT\n"
	 "-A INPUT -m conntrack --ctstate INVALID -j DROP\n", "", NULL},
	{"the VIP passes in another table", "*raw\n-A INPUT -s 10.2.0.1/32 -j ACCEPT\nCOMMIT\n" FILTER
	 "-A INPUT -m conntrack --ctstate INVALID -j DROP\n", "HALF_OPEN_DROPPED", NULL},
	{"a port of the VIP passes before", FILTER "-A INPUT -s 10.2.0.1/32 -p tcp -j ACCEPT\n"
	 "-A INPUT -m conntrack --ctstate INVALID -j DROP\n", "HALF_OPEN_DROPPED", NULL},
	{"a mark that is set", MANGLE "-A OUTPUT -p tcp -j MARK --set-xmark 0x1/0xffffffff\n", "WRONG MARK_OVERWRITTEN",
	 "iptables -t mangle -I OUTPUT -m mark --mark 0x48000000/0xff000000 -j ACCEPT"},
	{"a mark that is restored", MANGLE "-A OUTPUT -j CONNMARK --restore-mark --nfmask 0xffffffff\n", "WRONG MARK_OVERWRITTEN",
	 NULL},
	{"of what comes in", MANGLE "-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff\n", "", NULL},
	{"ours pass before", MANGLE "-A OUTPUT -m mark --mark 0x48000000/0xff000000 -j ACCEPT\n"
	 "-A OUTPUT -j MARK --set-xmark 0x1/0xffffffff", "", NULL},
};

static void iptables_is_judged(void **state)
{
	struct ip vips[2];
	const struct judge_filter what = {vips, 2, true, MARK, MASK};

	assert_true(ip_parse(&vips[0], "10.2.0.1") && ip_parse(&vips[1], "fd00:2::1"));
	for (size_t i = 0; i < COUNT(iptables_rows); i++) {
		struct findings findings = {0};

		judge_iptables(&what, "iptables", iptables_rows[i].rules, &findings);
		assert_judged(iptables_rows[i].what, &findings, iptables_rows[i].found);
		if (iptables_rows[i].command)
			assert_text(iptables_rows[i].what, findings.items[0].command, iptables_rows[i].command);
		findings_free(&findings);
	}
}

/* Priority, mark, mask, table. */
#define LOCAL {0, 0, 0, 255, AF_INET, false, true}
#define OURS {1000, MARK, MASK, 4848, AF_INET, false, true}
#define MAIN {32766, 0, 0, 254, AF_INET, false, true}

static const struct {
	const char *what;
	struct judge_rule rules[4];
	size_t count;
	const char *found;
} rule_rows[] = {
	{"as they should be", {LOCAL, OURS, MAIN}, 3, ""},
	{"none of ours", {LOCAL, MAIN}, 2, ""},
	{"one that takes all", {LOCAL, OURS, MAIN, {500, 0, 0, 100, AF_INET, false, true}}, 4, "WRONG RULE_BEFORE"},
	{"of the other family", {LOCAL, OURS, MAIN, {500, 0, 0, 100, AF_INET6, false, true}}, 4, ""},
	{"one that takes another mark", {LOCAL, OURS, MAIN, {500, 0x1000000, MASK, 100, AF_INET, false, true}}, 4, ""},
	{"one that takes a bit of the backend's number", {LOCAL, OURS, MAIN, {500, 1, 1, 100, AF_INET, false, true}}, 4,
	 "WRONG RULE_BEFORE"},
	{"one for a source", {LOCAL, OURS, MAIN, {500, 0, 0, 100, AF_INET, true, true}}, 4, ""},
	{"one behind ours", {LOCAL, OURS, MAIN, {2000, 0, 0, 100, AF_INET, false, true}}, 4, ""},
	{"one that refuses all", {LOCAL, OURS, MAIN, {500, 0, 0, 0, AF_INET, false, false}}, 4, "WRONG RULE_BEFORE"},
};

static void routing_rules_are_judged(void **state)
{
	for (size_t i = 0; i < COUNT(rule_rows); i++) {
		struct findings findings = {0};

		judge_rules(rule_rows[i].rules, rule_rows[i].count, MARK, MASK, &findings);
		assert_judged(rule_rows[i].what, &findings, rule_rows[i].found);
		findings_free(&findings);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rulesets_are_judged), cmocka_unit_test(what_is_no_ruleset_is_told),
		cmocka_unit_test(iptables_is_judged), cmocka_unit_test(routing_rules_are_judged)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

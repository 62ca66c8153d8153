/* What is wrong with a text, and where: each mistake at its own line and column, all of them in one go. Pure. */
#include "unit/mistake.h"

#include <time.h>

#include "base/cleanup.h"

#define TOP(t)	 TEXT(t "interfaces: [eth0]\nservices: []\n")
#define VIP(t)	 TEXT(HEAD "- {vip: " t ", port: 80, backends: [10.3.0.1]}\n")
#define PORT(t)	 TEXT(HEAD "- {vip: 10.2.0.1, port: " t ", backends: [10.3.0.1]}\n")
#define TO(t)	 TEXT(HEAD "- {vip: 10.2.0.1, port: 80, backends: " t "}\n")

/* Where the value stands in the texts of VIP, PORT and TO. */
#define VIP_COLUMN  9
#define PORT_COLUMN 25
#define TO_COLUMN   39

static const struct mistake rows[] = {
	/* the text as a whole */
	{"an empty file", TEXT(""), 1, 1, "the file is empty: it needs at least `interfaces: [eth0]` and `services: []`"},
	{"a file of comments", TEXT("# nothing\n\n"), 1, 1, "the file is empty"},
	{"a file of blanks", TEXT("  \n \n"), 1, 1, "the file is empty"},
	{"a list instead of a mapping", TEXT("- eth0\n"), 1, 1, "the configuration must be a mapping (key: value), not a list"},
	{"a word instead of a mapping", TEXT("hello\n"), 1, 1, "the configuration must be a mapping (key: value), not a value"},
	{"a document mark alone", TEXT("---\n"), 2, 1, "the configuration must be a mapping"},
	{"a tab that indents", TEXT("interfaces: [eth0]\nservices:\n\t- {vip: 10.2.0.1}\n"), 3, 1, "tabs must not indent"},
	{"an anchor", TEXT("interfaces: &a [eth0]\nservices: []\n"), 1, 13, "anchors (&name) are not supported"},
	{"an anchor of a word", TEXT("interfaces: [&a eth0]\nservices: []\n"), 1, 14, "anchors (&name) are not supported"},
	{"an alias", TEXT("interfaces: *a\nservices: []\n"), 1, 13, "aliases (*name) are not supported"},
	{"a tag", TEXT("interfaces: !!seq [eth0]\nservices: []\n"), 1, 13, "tags (!name) are not supported"},
	{"a tag of a word", TEXT("interfaces: [!str eth0]\nservices: []\n"), 1, 14, "tags (!name) are not supported"},
	{"a tag of a mapping", TEXT("!config\ninterfaces: [eth0]\nservices: []\n"), 1, 1, "tags (!name) are not supported"},
	{"a second document", TEXT("interfaces: [eth0]\nservices: []\n---\nslots: auto\n"), 3, 1, "a second document (---)"},
	{"broken UTF-8", TEXT("interfaces: [eth0]\nservices: []\n# caf\xe9 here\n"), 3, 6, "not a text in UTF-8"},
	{"broken UTF-8 behind wide characters", TEXT("# \xe6\xbc\xa2\xe5\xad\x97 \xff\n"), 1, 6, "not a text in UTF-8"},
	{"an overlong sequence", TEXT("interfaces: [\xc0\xaf]\n"), 1, 14, "not a text in UTF-8"},
	{"a sequence cut at the end", TEXT("interfaces: [eth0]\n# \xe6\xbc"), 2, 3, "not a text in UTF-8"},
	{"a zero byte", TEXT("interfaces: [eth0]\nservices: []\n# a \0 b\n"), 3, 5, "control characters are not allowed"},
	{"a zero byte written out", TEXT("interfaces: [\"a\\0b\"]\nservices: []\n"), 1, 14, "must not hold a zero byte"},
	{"an escape character", TEXT("interfaces: [eth0]\nservices: []\n# \x1b[31m\n"), 3, 3, "control characters are not"},
	{"a broken byte in a file with CR LF", TEXT("interfaces: [eth0]\r\nservices: []\r\n# \xff\r\n"), 3, 3, "UTF-8"},
	{"UTF-16", TEXT("\xff\xfei\0n\0"), 1, 1, "a text in UTF-16: save it as UTF-8"},
	{"nested without end", TEXT("services: [[[[[[[[[[[[[[[[[[[[\n"), 1, 26, "nested too deeply"},
	{"a list that is not closed", TEXT("interfaces: [eth0\nservices: []\n"), 2, 9, "not valid YAML"},
	{"a word without a colon", TEXT("interfaces: [eth0]\nservices: []\ntrailing garbage\n"), 3, 1,
	 "could not find expected ':'"},
	{"a bracket too many", TEXT("interfaces: [eth0]\nservices: []\n}\n"), 3, 1, "not valid YAML"},
	{"a string that is not closed", TEXT("interfaces: [\"eth0]\nservices: []\n"), 3, 1, "unexpected end of stream"},
	{"a list as key", TEXT("interfaces: [eth0]\nservices: []\n? [a]\n: b\n"), 3, 3, "a key must be a word, not a list"},

	/* the top level */
	{"an unknown key, near a known one", TOP("interface: 1\n"), 1, 1,
	 "the configuration has no key \"interface\": did you mean \"interfaces\"?"},
	{"an unknown key, near none", TOP("nonsense: 1\n"), 1, 1,
	 "has no key \"nonsense\": its keys are interfaces, services, seed, slots, limits, tunnel, probes, announce, api"},
	{"a merge key", TOP("<<: {}\n"), 1, 1, "has no key \"<<\""},
	{"a key twice", TEXT("interfaces: [eth0]\nservices: []\ninterfaces: [eth1]\n"), 3, 1,
	 "\"interfaces\" stands here twice: it is also on line 1"},
	{"no interfaces", TEXT("services: []\n"), 1, 1, "the configuration lacks \"interfaces\""},
	{"no services", TEXT("interfaces: [eth0]\n"), 1, 1, "the configuration lacks \"services\""},
	{"a seed that is a word", TOP("seed: x\n"), 1, 7, "seed must be a whole number from 0 to 18446744073709551615"},
	{"a seed beyond 64 bits", TOP("seed: 18446744073709551616\n"), 1, 7, "is out of range"},
	{"a negative seed", TOP("seed: -1\n"), 1, 7, "must be a whole number"},
	{"slots not prime", TOP("slots: 1000\n"), 1, 8,
	 "slots 1000 is no prime, which a Maglev ring needs: 997 is one, or write auto"},
	{"slots too few", TOP("slots: 5\n"), 1, 8, "5 is out of range: 7 to 16777213"},
	{"slots too many", TOP("slots: 16777214\n"), 1, 8, "is out of range"},
	{"slots a list", TOP("slots: [7]\n"), 1, 8, "must be a single value, not a list"},
	{"slots without a value", TOP("slots:\n"), 1, 7, "has no value"},
	{"limits not a mapping", TOP("limits: 5\n"), 1, 9, "limits must be a mapping (key: value), not a value"},
	{"announce not a mapping", TOP("announce: all\n"), 1, 11, "announce must be a mapping (key: value), not a value"},
	{"the main table", TOP("announce: {table: 254}\n"), 1, 19,
	 "announce.table 254 is the kernel's table \"main\": choose a number that nobody uses, such as 248, or none"},
	{"the local table", TOP("announce: {table: 0xff}\n"), 1, 19, "announce.table 255 is the kernel's table \"local\""},
	{"the default table", TOP("announce: {table: 253}\n"), 1, 19, "announce.table 253 is the kernel's table \"default\""},
	{"a table by a name", TOP("announce: {table: main}\n"), 1, 19, "announce.table must be a whole number"},
	{"a table's number that is too large", TOP("announce: {table: 4294967296}\n"), 1, 19,
	 "announce.table 4294967296 is out of range: 0 to 4294967295"},
	{"a warmup without a unit", TOP("announce: {warmup: 10}\n"), 1, 20, "announce.warmup \"10\" is not a duration"},
	{"a warmup of a day", TOP("announce: {warmup: 1d}\n"), 1, 20, "announce.warmup 1d is out of range: 0s to 1h"},
	{"half a second between refreshes", TOP("announce: {refresh: 500ms}\n"), 1, 21,
	 "announce.refresh 500ms is not a whole number of seconds"},
	{"a start as master", TOP("announce: {start: master}\n"), 1, 19, "announce.start"},
	{"a limit of zero", TOP("limits: {services: 0}\n"), 1, 20, "limits.services 0 is out of range: 1 to 1048576"},
	{"no flows", TOP("limits: {flows: 0}\n"), 1, 17, "limits.flows 0 is out of range: 1 to 67108864"},
	{"too many unproven flows", TOP("limits: {unproven: 67108865}\n"), 1, 20, "is out of range: 1 to 67108864"},
	{"flows that are a word", TOP("limits: {flows: many}\n"), 1, 17, "limits.flows must be a whole number"},
	{"an unknown limit", TOP("limits: {service: 5}\n"), 1, 10, "did you mean \"services\"?"},
	{"an outer source of the other family", TOP("tunnel: {source4: \"fd00::1\"}\n"), 1, 19,
	 "tunnel.source4 \"fd00::1\" must be an IPv4 address or prefix without host bits, such as 10.9.0.0/16"},
	{"a GRE key too large", TOP("tunnel: {gre_key: 4294967296}\n"), 1, 19, "4294967295"},
	{"a GRE key that is no number", TOP("tunnel: {gre_key: mine}\n"), 1, 19, "gre_key"},
	{"an outer source with host bits", TOP("tunnel: {source4: 10.9.0.1/16}\n"), 1, 19, "without host bits"},
	{"an outer source too wide", TOP("tunnel: {source4: 0.0.0.0/0}\n"), 1, 19, "is too wide: /8 or longer"},
	{"an IPv6 outer source too wide", TOP("tunnel: {source6: \"fd00::/64\"}\n"), 1, 19, "is too wide: /96 or longer"},
	{"a mark of zero", TOP("probes: {mark: 0}\n"), 1, 16, "probes.mark 0 is out of range: 1 to 4294967295"},
	{"a mark too wide", TOP("probes: {mark: 0x148000000}\n"), 1, 16, "is out of range: 1 to 4294967295"},
	{"a mark that is a word", TOP("probes: {mark: red}\n"), 1, 16, "probes.mark must be a whole number"},
	{"a mark outside of the mask", TOP("probes: {mark: 0x48000001}\n"), 1, 16,
	 "probes.mark 0x48000001 has bits where probes.mask 0xff000000 has zeros, which are for the number of a backend: write "
	 "one within the mask, such as 0x48000000"},
	{"a mark below the mask", TOP("probes: {mark: 0x48}\n"), 1, 16, "such as 0x48000000"},
	{"a mark that fits nowhere in the mask", TOP("probes: {mark: 0x480000}\n"), 1, 16, "such as 0xff000000"},
	{"a mask with a hole", TOP("probes: {mask: 0xf0f00000}\n"), 1, 16,
	 "probes.mask 0xf0f00000 must be ones and then zeros, such as 0xff000000"},
	{"a mask without room", TOP("probes: {mask: 0xffffff00, mark: 0x100}\n"), 1, 9,
	 "probes.mask 0xffffff00 leaves room for the numbers of 255 backends, and there is to be room for 4096: fewer ones in "
	 "the mask make more room"},
	{"a mask without room for what the limits say",
	 TOP("probes: {mask: 0xffff0000, mark: 0x480000}\nlimits: {backends: 100000}\n"), 1, 9,
	 "leaves room for the numbers of 65535 backends, and limits.backends is 100000"},
	{"a table for two, with announce", TOP("announce: {table: 4848}\n"), 1, 11,
	 "announce.table and probes.table are both 4848"},
	{"a table for two, with probes", TOP("probes: {table: 248}\n"), 1, 9, "announce.table and probes.table are both 248"},
	{"a backend's port",
	 TEXT("interfaces: [eth0]\nservices:\n- {vip: 10.2.0.1, port: 80, backends: [{address: 10.3.0.1, port: 8080}]}\n"), 3, 60,
	 "a backend has no key \"port\": Direct Server Return translates no port, so the backend listens on the service's"},
	{"a probe that goes nowhere", TOP("probes: {hops: 0}\n"), 1, 16, "probes.hops 0 is out of range: 1 to 255"},
	{"no table", TOP("probes: {table: 0}\n"), 1, 17, "probes.table 0 is out of range: 1 to 4294967295"},
	{"the main table", TOP("probes: {table: 254}\n"), 1, 17,
	 "probes.table 254 is the kernel's table \"main\": choose a number that nobody uses, such as 4848"},
	{"the local table", TOP("probes: {table: 255}\n"), 1, 17, "the kernel's table \"local\""},
	{"the default table", TOP("probes: {table: 253}\n"), 1, 17, "the kernel's table \"default\""},
	{"an unknown option of probes", TOP("probes: {marks: 5}\n"), 1, 10, "did you mean \"mark\"?"},
	{"a relative socket", TOP("api: {socket: a.sock}\n"), 1, 15, "api.socket must be an absolute path"},
	{"an empty socket", TOP("api: {socket: \"\"}\n"), 1, 15, "api.socket must be an absolute path"},
	{"a group with a blank", TOP("api: {group: a b}\n"), 1, 14, "must not hold blanks"},
	{"a group without letters", TOP("api: {group: \"\"}\n"), 1, 14, "api.group has 0 bytes: 1 to 63"},

	/* interfaces */
	{"interfaces not a list", TEXT("interfaces: eth0\nservices: []\n"), 1, 13, "interfaces must be a list, such as [eth0]"},
	{"no interface in the list", TEXT("interfaces: []\nservices: []\n"), 1, 13, "interfaces is empty"},
	{"an interface twice", TEXT("interfaces: [eth0, {name: eth0}]\nservices: []\n"), 1, 20,
	 "interface eth0 is listed twice"},
	{"an interface without a name", TEXT("interfaces: [{mode: auto}]\nservices: []\n"), 1, 14, "lacks \"name\""},
	{"an interface's name too long", TEXT("interfaces: [abcdefghijklmnop]\nservices: []\n"), 1, 14, "1 to 15 characters"},
	{"an interface's name empty", TEXT("interfaces: [\"\"]\nservices: []\n"), 1, 14, "is no interface's name"},
	{"an interface's name with a line break", TEXT("interfaces: [\"a\\nb\"]\nservices: []\n"), 1, 14, "\"a?b\" is no"},
	{"an interface's name with a slash", TEXT("interfaces: [a/b]\nservices: []\n"), 1, 14, "is no interface's name"},
	{"a list as interface", TEXT("interfaces: [[eth0]]\nservices: []\n"), 1, 14, "an interface must be a mapping"},
	{"lo", TEXT("interfaces: [lo]\nservices: []\n"), 1, 14, "lo gets no client's packets"},
	{"an unknown mode", TEXT("interfaces: [{name: eth0, mode: nativ}]\nservices: []\n"), 1, 33,
	 "mode must be one of auto, native, generic, not \"nativ\": did you mean \"native\"?"},
	{"VLAN tags neither on nor off", TEXT("interfaces: [{name: eth0, vlan: true}]\nservices: []\n"), 1, 33,
	 "vlan must be one of auto, on, off, not \"true\""},
	{"an unknown way to announce", TEXT("interfaces: [{name: eth0, announce: bgp}]\nservices: []\n"), 1, 37,
	 "announce must be one of all, none, not \"bgp\""},

	/* who may use a service */
	{"a prefix with host bits", WEB("deny: 10.1.2.3/16"), 3, WEB_COLUMN + 6,
	 "deny 10.1.2.3/16 has bits behind its first 16: write 10.1.0.0/16, which holds that address, or 10.1.2.3/32 for it "
	 "alone"},
	{"an IPv6 prefix with host bits", WEB("deny: \"2001:db8::1/64\""), 3, WEB_COLUMN + 6,
	 "write 2001:db8::/64, which holds that address, or 2001:db8::1/128"},
	{"a prefix too long", WEB("allow: 10.0.0.0/33"), 3, WEB_COLUMN + 7, "a prefix of IPv4 has 0 to 32 bits"},
	{"a name as a prefix", WEB("allow: office"), 3, WEB_COLUMN + 7,
	 "allow \"office\" is not a prefix or an address, such as 192.0.2.0/24 or 2001:db8::/32"},
	{"a mask", WEB("allow: 10.0.0.0/255.0.0.0"), 3, WEB_COLUMN + 7, "is not a prefix or an address"},
	{"no prefix in the list", WEB("allow: []"), 3, WEB_COLUMN + 7,
	 "allow is an empty list: name at least one prefix, or leave it out"},
	{"a prefix twice", WEB("deny: [10.0.0.0/8, 10.0.0.0/8]"), 3, WEB_COLUMN + 19,
	 "10.0.0.0/8 is listed twice: it is also on line 3"},
	{"a prefix denied and allowed", WEB("deny: [10.0.0.0/8], allow: [10.0.0.0/8]"), 3, WEB_COLUMN + 28,
	 "10.0.0.0/8 is denied and allowed (line 3): it must be one"},
	{"a prefix of a family without a VIP", WEB("deny: [10.0.0.0/8, \"fd00::/8\", \"fc00::/8\"]"), 3, WEB_COLUMN + 19,
	 "fd00::/8 is of IPv6, and no VIP of the service is: nobody of it could ask"},
	{"a limit that is a number", WEB("limit: 100"), 3, WEB_COLUMN + 7,
	 "limit must be a mapping, such as {new_flows: 100, per: 1s}, not a value"},
	{"a limit of nothing", WEB("limit: {new_flows: 0}"), 3, WEB_COLUMN + 19,
	 "limit.new_flows 0 is out of range: 1 to 1000000"},
	{"a limit without its number", WEB("limit: {per: 1s}"), 3, WEB_COLUMN + 7,
	 "limit lacks \"new_flows\": how many flows a client may open within `per`"},
	{"a limit in a day", WEB("limit: {new_flows: 5, per: 1d}"), 3, WEB_COLUMN + 27,
	 "limit.per 1d is out of range: 1s to 1h"},
	{"a limit in half a second", WEB("limit: {new_flows: 5, per: 500ms}"), 3, WEB_COLUMN + 27,
	 "limit.per 500ms is out of range: 1s to 1h"},
	{"no burst", WEB("limit: {new_flows: 5, burst: 0}"), 3, WEB_COLUMN + 29, "limit.burst 0 is out of range: 1 to 1000000"},
	{"a limit misspelt", WEB("limit: {new_flow: 5, new_flows: 5}"), 3, WEB_COLUMN + 8, "did you mean \"new_flows\"?"},
	{"a limit of udp's flows", WEB("limit: {new_flows: 5}, protocol: udp"), 3, WEB_COLUMN + 7,
	 "limit is for protocol: tcp, where a SYN opens a flow, or for udp with affinity: none"},
	{"no sources", TOP("limits: {sources: 0}\n"), 1, 19, "limits.sources 0 is out of range: 1 to 67108864"},
	{"no prefixes", TOP("limits: {prefixes: 0}\n"), 1, 20, "limits.prefixes 0 is out of range: 1 to 16777216"},

	/* services */
	{"services not a list", TEXT("interfaces: [eth0]\nservices: {a: b}\n"), 2, 11,
	 "services must be a list (- name: …), not a mapping"},
	{"a word as service", TEXT(HEAD "- web\n"), 3, 3, "a service must be a mapping (key: value), not a value"},
	{"a key of a service, letters swapped", TEXT(HEAD "- {vip: 10.2.0.1, prot: 80, backends: [10.3.0.1], port: 80}\n"), 3,
	 19,
	 "a service has no key \"prot\": did you mean \"port\"?"},
	{"no VIP", TEXT(HEAD "- {port: 80, backends: [10.3.0.1]}\n"), 3, 3, "a service lacks \"vip\""},
	{"no port", TEXT(HEAD "- {vip: 10.2.0.1, backends: [10.3.0.1]}\n"), 3, 3, "a service lacks \"port\""},
	{"no backends", TEXT(HEAD "- {vip: 10.2.0.1, port: 80}\n"), 3, 3, "a service lacks \"backends\""},
	{"an empty name", WEB("name: \"\""), 3, WEB_COLUMN + 6, "a service's name has 0 bytes: 1 to 63"},
	{"a name with a blank", WEB("name: a b"), 3, WEB_COLUMN + 6, "must not hold blanks or control characters"},
	{"a name with a line break", WEB("name: \"a\\nb\\e[31m\""), 3, WEB_COLUMN + 6, "\"a?b?[31m\" must not hold"},
	{"a name of 64 bytes", WEB("name: a23456789b123456789c123456789d123456789e123456789f123456789gabcd"), 3, WEB_COLUMN + 6,
	 "has 64 bytes: 1 to 63"},
	{"a list as name", WEB("name: [a]"), 3, WEB_COLUMN + 6, "a service's name must be a single value, not a list"},
	{"a name without a value", WEB("name: "), 3, WEB_COLUMN + 6, "a service's name has no value"},
	{"a protocol near a known one", WEB("protocol: upd"), 3, WEB_COLUMN + 10,
	 "must be one of tcp, udp, not \"upd\": did you mean \"udp\"?"},
	{"a protocol in capitals", WEB("protocol: TCP"), 3, WEB_COLUMN + 10, "did you mean \"tcp\"?"},
	{"a protocol of a later version", WEB("protocol: quic"), 3, WEB_COLUMN + 10,
	 "\"quic\" is not in this version of halfproxy: it knows tcp, udp"},
	{"a way to forward that nobody knows", WEB("forward: vxlan"), 3, WEB_COLUMN + 9, "l2, ipip, gue, gre"},
	{"a hash of a later version", WEB("hash: quic-cid"), 3, WEB_COLUMN + 6, "it knows flow, source"},
	{"an unknown hash", WEB("hash: random"), 3, WEB_COLUMN + 6, "hash must be one of flow, source, not \"random\""},
	{"fewer slots than backends",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: 80, slots: 7, backends: [10.3.0.1, 10.3.0.2, 10.3.0.3, "
					   "10.3.0.4, 10.3.0.5, 10.3.0.6, 10.3.0.7, 10.3.0.8]}\n"), 3, 36,
	 "7 slots for 8 backends"},

	/* flows through a change */
	{"affinity of tcp", WEB("affinity: none"), 3, WEB_COLUMN + 10,
	 "affinity is for protocol: udp: a flow of tcp stays with its backend through every change"},
	{"affinity of tcp, as it is", WEB("affinity: flow"), 3, WEB_COLUMN + 10, "affinity is for protocol: udp"},
	{"affinity of a service whose protocol is mistyped", WEB("affinity: none, protocol: upd"), 3, WEB_COLUMN + 26,
	 "must be one of tcp, udp"},
	{"affinity near a known one", WEB("protocol: udp, affinity: flows"), 3, WEB_COLUMN + 25,
	 "affinity must be one of none, flow, not \"flows\": did you mean \"flow\"?"},
	{"a window without affinity", WEB("protocol: udp, window: 60s, affinity: none"), 3, WEB_COLUMN + 23,
	 "window has no use with affinity: none, where every packet follows a change at once"},
	{"a window of nothing", WEB("window: 0s"), 3, WEB_COLUMN + 8, "window 0s is out of range: 1s to 30d"},
	{"a window of nothing, without a unit", WEB("window: 0"), 3, WEB_COLUMN + 8,
	 "window \"0\" is not a duration: a number and ms, s, m, h or d, such as 2s"},
	{"a window without a unit", WEB("window: 60"), 3, WEB_COLUMN + 8, "window \"60\" is not a duration"},
	{"a window of half a second", WEB("window: 500ms"), 3, WEB_COLUMN + 8, "window 500ms is out of range: 1s to 30d"},
	{"a window of a second and a half", WEB("window: 1.5s"), 3, WEB_COLUMN + 8,
	 "window 1.5s is not a whole number of seconds"},
	{"a window too long", WEB("window: 31d"), 3, WEB_COLUMN + 8, "window 31d is out of range: 1s to 30d"},
	{"a window without end", WEB("window: 99999999999999999999d"), 3, WEB_COLUMN + 8, "is out of range: 1s to 30d"},
	{"a negative window", WEB("window: -1s"), 3, WEB_COLUMN + 8, "window \"-1s\" is not a duration"},
	{"a window that is a list", WEB("window: [1s]"), 3, WEB_COLUMN + 8, "window must be a single value, not a list"},
	{"a window without a value", WEB("window: "), 3, WEB_COLUMN + 8, "window has no value"},
	{"a window, letters swapped", WEB("windwo: 1h"), 3, WEB_COLUMN, "did you mean \"window\"?"},
	{"a slow start too long", WEB("slow_start: 61m"), 3, WEB_COLUMN + 12, "slow_start 61m is out of range: 0s to 1h"},
	{"a slow start of less than a second", WEB("slow_start: 1ms"), 3, WEB_COLUMN + 12,
	 "slow_start 1ms is not a whole number of seconds"},
	{"a slow start that is a word", WEB("slow_start: on"), 3, WEB_COLUMN + 12, "slow_start \"on\" is not a duration"},
	{"a deadline too long", WEB("deadline: 721h"), 3, WEB_COLUMN + 10, "deadline 721h is out of range: 0s to 30d"},
	{"a deadline without a unit", WEB("deadline: 10"), 3, WEB_COLUMN + 10, "deadline \"10\" is not a duration"},

	/* VIPs */
	{"no address", VIP("web"), 3, VIP_COLUMN, "vip \"web\" is a name: write its address, as names are not looked up"},
	{"an address with a leading zero", VIP("10.2.0.01"), 3, VIP_COLUMN, "(no leading zeros)"},
	{"an address of three parts", VIP("10.2.1"), 3, VIP_COLUMN,
	 "is not an IPv4 or IPv6 address, such as 10.2.0.1 or 2001:db8::1"},
	{"an IPv6 address with two gaps", VIP("\"1::2::3\""), 3, VIP_COLUMN, "is not an IPv4 or IPv6 address"},
	{"a prefix", VIP("10.2.0.0/24"), 3, VIP_COLUMN, "has a prefix length: write the address alone"},
	{"the unspecified address", VIP("0.0.0.0"), 3, VIP_COLUMN, "is the unspecified address: a unicast address is needed"},
	{"the unspecified IPv6 address", VIP("\"::\""), 3, VIP_COLUMN, "is the unspecified address"},
	{"a multicast address", VIP("224.0.0.1"), 3, VIP_COLUMN, "is a multicast address"},
	{"a loopback address", VIP("127.0.0.1"), 3, VIP_COLUMN, "is a loopback address"},
	{"a mapped loopback address", VIP("\"::ffff:127.0.0.1\""), 3, VIP_COLUMN, "is a loopback address"},
	{"a link-local address", VIP("\"fe80::1\""), 3, VIP_COLUMN, "is a link-local address"},
	{"the broadcast address", VIP("255.255.255.255"), 3, VIP_COLUMN, "is the broadcast address"},
	{"class E", VIP("240.0.0.1"), 3, VIP_COLUMN, "is of the reserved class E"},
	{"the network 0", VIP("0.1.2.3"), 3, VIP_COLUMN, "is of the network 0.0.0.0/8"},
	{"an empty list of VIPs", VIP("[]"), 3, VIP_COLUMN, "vip is an empty list"},
	{"a bad one among VIPs", VIP("[10.2.0.1, bad, 10.2.0.2]"), 3, VIP_COLUMN + 11, "vip \"bad\" is"},
	{"a VIP without a value", VIP(""), 3, VIP_COLUMN, "vip has no value"},
	{"a list within the list of VIPs", VIP("[[10.2.0.1]]"), 3, VIP_COLUMN + 1, "vip must be a single value, not a list"},
	{"the same VIP twice in one service", VIP("[10.2.0.1, 10.2.0.1]"), 3, VIP_COLUMN + 11,
	 "10.2.0.1 tcp port 80 is served on line 3 already"},
	{"a VIP of IPv6 for a backend of IPv4 by l2", VIP("\"2001:db8::1\""), 3, 45,
	 "backend 10.3.0.1 and VIP 2001:db8::1 are of different families, which l2 cannot join: use forward: ipip, gue or gre, "
	 "or the backend's IPv6 address"},

	/* ports */
	{"port 0", PORT("0"), 3, PORT_COLUMN, "0 is out of range: 1 to 65535"},
	{"port 65536", PORT("65536"), 3, PORT_COLUMN, "65536 is out of range: 1 to 65535"},
	{"a port of many digits", PORT("99999999999999999999999"), 3, PORT_COLUMN, "is out of range"},
	{"a negative port", PORT("-80"), 3, PORT_COLUMN, "must be a whole number from 1 to 65535, not \"-80\""},
	{"a port with a sign", PORT("+80"), 3, PORT_COLUMN, "must be a whole number"},
	{"a port with an exponent", PORT("1e3"), 3, PORT_COLUMN, "must be a whole number from 1 to 65535, not \"1e3\""},
	{"a port with a fraction", PORT("80.0"), 3, PORT_COLUMN, "must be a whole number"},
	{"a port of 0x alone", PORT("0x"), 3, PORT_COLUMN, "must be a whole number"},
	{"a negative number in hexadecimal", PORT("0x-5"), 3, PORT_COLUMN, "port ranges and lists are not in this version"},
	{"a port with garbage behind", PORT("80tcp"), 3, PORT_COLUMN, "must be a whole number"},
	{"a port's name", PORT("http"), 3, PORT_COLUMN, "must be a whole number from 1 to 65535, not \"http\""},
	{"a range", PORT("80-90"), 3, PORT_COLUMN, "port ranges and lists are not in this version of halfproxy"},
	{"a list of ports", PORT("[80, 443]"), 3, PORT_COLUMN, "port ranges and lists are not in this version of halfproxy"},
	{"a mapping as port", PORT("{a: b}"), 3, PORT_COLUMN, "must be a single value, not a mapping"},
	{"no value of port", PORT("~"), 3, PORT_COLUMN, "has no value"},

	/* backends */
	{"zero backends", TO("[]"), 3, TO_COLUMN, "backends is empty: a service needs at least one"},
	{"backends not a list", TO("10.3.0.1"), 3, TO_COLUMN,
	 "backends must be a list, such as [{address: 10.3.0.1, weight: 1}]"},
	{"a backend without an address", TO("[{weight: 1}]"), 3, TO_COLUMN + 1, "a backend lacks \"address\""},
	{"a backend's unknown key", TO("[{address: 10.3.0.1, wieght: 1}]"), 3, TO_COLUMN + 21, "did you mean \"weight\"?"},
	{"a backend with a port", TO("[\"10.3.0.1:80\"]"), 3, TO_COLUMN + 1, "backend address \"10.3.0.1:80\" is not an IPv4"},
	{"a weight above the most", TO("[{address: 10.3.0.1, weight: 65536}]"), 3, TO_COLUMN + 29,
	 "weight 65536 is out of range: 0 to 65535"},
	{"a negative weight", TO("[{address: 10.3.0.1, weight: -1}]"), 3, TO_COLUMN + 29,
	 "weight must be a whole number from 0 to 65535"},
	{"a weight that is a word", TO("[{address: 10.3.0.1, weight: heavy}]"), 3, TO_COLUMN + 29, "not \"heavy\""},
	{"a backend twice", TO("[10.3.0.1, 10.3.0.2, {address: 10.3.0.1}]"), 3, TO_COLUMN + 21,
	 "backend 10.3.0.1 is listed twice: it is also on line 3"},
	{"a backend twice in two notations", TO("[10.3.0.1, \"::ffff:10.3.0.1\"]"), 3, TO_COLUMN + 11,
	 "backend 10.3.0.1 is listed twice"},
	{"a backend that is the VIP", TO("[10.3.0.1, 10.2.0.1]"), 3, TO_COLUMN + 11,
	 "backend 10.2.0.1 is a VIP itself (line 3)"},
	{"a backend that is another service's VIP",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: 80, backends: [10.2.0.2]}\n- {vip: 10.2.0.2, port: 80, backends: [10.3.0.1]}\n"),
	 3, 40,
	 "backend 10.2.0.2 is a VIP itself (line 4)"},
	{"a backend that is a VIP of some lines before",
	 TEXT(HEAD "- name: a\n  port: 80\n  vip: 10.2.0.1\n  backends: [10.2.0.1]\n"), 6, 14,
	 "backend 10.2.0.1 is a VIP itself (line 5)"},
	{"a backend of the other family by l2", TO("[10.3.0.1, \"2001:db8::1\"]"), 3, TO_COLUMN + 11,
	 "are of different families"},

	/* services against each other */
	{"a name twice",
	 TEXT(HEAD "- {name: a, vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"
	      "- {name: a, vip: 10.2.0.2, port: 80, backends: [10.3.0.1]}\n"),
	 4, 10, "the service on line 3 is called \"a\" already: names must differ"},
	{"a service twice",
	 TEXT(HEAD "- {name: a, vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"
	      "- {name: b, vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"),
	 4, 18, "10.2.0.1 tcp port 80 is served on line 3 already: each VIP, protocol and port has one service"},
	{"any port twice",
	 TEXT(HEAD "- {name: a, vip: 10.2.0.1, port: any, backends: [10.3.0.1]}\n"
	      "- {name: b, vip: 10.2.0.1, port: any, backends: [10.3.0.1]}\n"),
	 4, 18, "10.2.0.1 tcp port any is served on line 3 already"},
	{"the second VIP of a list twice, behind a third",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"
	      "- {vip: [10.2.0.3, 10.2.0.2, 10.2.0.1], port: 80, backends: [10.3.0.1]}\n"),
	 4, 30, "10.2.0.1 tcp port 80 is served on line 3 already"},

	/* limits against what the file asks for */
	{"more services than the limit",
	 TEXT("limits: {services: 1}\n" HEAD "- {vip: [10.2.0.1, 10.2.0.2], port: 80, backends: [10.3.0.1]}\n"),
	 1, 9, "limits.services is 1, and the file has 2 VIPs with their ports"},
	{"more backends than the limit",
	 TEXT("limits: {backends: 1}\n" HEAD "- {vip: 10.2.0.1, port: 80, backends: [10.3.0.1, 10.3.0.2]}\n"),
	 1, 9, "limits.backends is 1, and one service alone has 2"},
	{"more slots than the limit",
	 TEXT("limits: {slots: 1000}\n" HEAD "- {vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"),
	 1, 9, "limits.slots is 1000, and one ring alone takes 1040"},
};

static void each_mistake_is_named_at_its_place(void **state)
{
	size_t fine = 0;

	for (size_t i = 0; i < COUNT(rows); i++)
		fine += mistake_holds(&rows[i]);
	assert_int_equal(fine, COUNT(rows));
}

/* What `halfproxy check` prints of a text. */
static char *printed(const char *text, size_t bytes)
{
	struct problems problems = {0};
	struct config *config = config_parse(text, bytes, &problems);
	char *out = NULL;
	size_t count;
	FILE *file = open_memstream(&out, &count);

	problems_print(file, "f", text, bytes, &problems);
	fclose(file);
	problems_free(&problems);
	config_free(config);
	return out;
}

static const struct {
	const char *what, *text;
	size_t bytes;
	const char *printed;
} print_rows[] = {
	{"nothing wrong", TEXT("interfaces: [eth0]\nservices: []\n"), ""},
	{"a line and a caret", TEXT("interfaces: [eth0]\nservices: 1\n"),
	 "f:2:11: error: services must be a list (- name: …), not a value\n"
	 "    services: 1\n"
	 "              ^\n"},
	{"tabs stay tabs, above and below", TEXT("interfaces: [eth0]\nservices:\t\t1\n"),
	 "f:2:12: error: services must be a list (- name: …), not a value\n"
	 "    services:\t\t1\n"
	 "             \t\t^\n"},
	{"accents take one column", TEXT("{\"\xc3\xa9\xc3\xa9\": 1, interfaces: [eth0], services: 1}"),
	 "f:1:2: error: the configuration has no key \"\xc3\xa9\xc3\xa9\": its keys are interfaces, services, seed, slots, "
	 "limits, tunnel, probes, announce, api\n"
	 "    {\"\xc3\xa9\xc3\xa9\": 1, interfaces: [eth0], services: 1}\n"
	 "     ^\n"
	 "f:1:41: error: services must be a list (- name: …), not a value\n"
	 "    {\"\xc3\xa9\xc3\xa9\": 1, interfaces: [eth0], services: 1}\n"
	 "                                            ^\n"},
	{"wide characters take two columns", TEXT("interfaces: [\xe6\xbc\xa2\xe5\xad\x97, lo]\nservices: []\n"),
	 "f:1:18: error: lo gets no client's packets: name the interface that faces the router\n"
	 "    interfaces: [\xe6\xbc\xa2\xe5\xad\x97, lo]\n"
	 "                       ^\n"},
	{"combining marks take none", TEXT("interfaces: [e\xcc\x81, lo]\nservices: []\n"),
	 "f:1:18: error: lo gets no client's packets: name the interface that faces the router\n"
	 "    interfaces: [e\xcc\x81, lo]\n"
	 "                    ^\n"},
	{"CR LF is the end of a line", TEXT("interfaces: [eth0]\r\nservices: 1\r\n"),
	 "f:2:11: error: services must be a list (- name: …), not a value\n"
	 "    services: 1\n"
	 "              ^\n"},
	{"CR alone is one too", TEXT("interfaces: [eth0]\rservices: 1\r"),
	 "f:2:11: error: services must be a list (- name: …), not a value\n"
	 "    services: 1\n"
	 "              ^\n"},
	{"so is the line separator", TEXT("# a\xe2\x80\xa8# b\xc2\x85interfaces: [eth0]\nservices: 1\n"),
	 "f:4:11: error: services must be a list (- name: …), not a value\n"
	 "    services: 1\n"
	 "              ^\n"},
	{"a byte order mark takes no column", TEXT("\xef\xbb\xbfinterfaces: 1\nservices: []\n"),
	 "f:1:13: error: interfaces must be a list, such as [eth0]\n"
	 "    interfaces: 1\n"
	 "                ^\n"},
	{"bytes that are no text are shown as ?", TEXT("# a\xff\x1b[31m\xc2\x9b\n"),
	 "f:1:4: error: not a text in UTF-8: invalid leading UTF-8 octet (byte 3)\n"
	 "    # a??[31m?\n"
	 "       ^\n"},
	{"an empty file has an empty line", TEXT(""),
	 "f:1:1: error: the file is empty: it needs at least `interfaces: [eth0]` and `services: []`\n"
	 "    \n"
	 "    ^\n"},
	{"a place behind the end", TEXT("interfaces: [\"eth0\n"),
	 "f:2:1: error: not valid YAML: found unexpected end of stream, while scanning a quoted scalar (tabs must not indent; a "
	 "colon wants a blank behind it)\n"
	 "    \n"
	 "    ^\n"},
	{"two mistakes at one place, in the order found", TEXT("interfases: [eth0]\nservices: []\n"),
	 "f:1:1: error: the configuration has no key \"interfases\": did you mean \"interfaces\"?\n"
	 "    interfases: [eth0]\n"
	 "    ^\n"
	 "f:1:1: error: the configuration lacks \"interfaces\": the interfaces that clients' packets come in by, such as "
	 "[eth0]\n"
	 "    interfases: [eth0]\n"
	 "    ^\n"},
	{"every mistake of a file, by place, warnings between",
	 TEXT("slots: 1000\n"
	      "interfaces: [lo]\n"
	      "services:\n"
	      "  - {vip: 10.2.0.1, port: 0, backends: []}\n"
	      "  - {vip: 10.2.0.1, port: 80, slots: 97, backends: [bad, 10.2.0.1]}\n"),
	 "f:1:8: error: slots 1000 is no prime, which a Maglev ring needs: 997 is one, or write auto\n"
	 "    slots: 1000\n"
	 "           ^\n"
	 "f:2:14: error: lo gets no client's packets: name the interface that faces the router\n"
	 "    interfaces: [lo]\n"
	 "                 ^\n"
	 "f:4:27: error: port (a number or `any`) 0 is out of range: 1 to 65535\n"
	 "      - {vip: 10.2.0.1, port: 0, backends: []}\n"
	 "                              ^\n"
	 "f:4:40: error: backends is empty: a service needs at least one\n"
	 "      - {vip: 10.2.0.1, port: 0, backends: []}\n"
	 "                                           ^\n"
	 "f:5:38: warning: 97 slots for 2 backends: below a hundred a backend the shares are uneven; auto takes 1009\n"
	 "      - {vip: 10.2.0.1, port: 80, slots: 97, backends: [bad, 10.2.0.1]}\n"
	 "                                         ^\n"
	 "f:5:53: error: backend address \"bad\" is not an IPv4 or IPv6 address, such as 10.2.0.1 or 2001:db8::1 (no leading "
	 "zeros)\n"
	 "      - {vip: 10.2.0.1, port: 80, slots: 97, backends: [bad, 10.2.0.1]}\n"
	 "                                                        ^\n"
	 "f:5:58: error: backend 10.2.0.1 is a VIP itself (line 4): packets would never arrive\n"
	 "      - {vip: 10.2.0.1, port: 80, slots: 97, backends: [bad, 10.2.0.1]}\n"
	 "                                                             ^\n"},
	{"bad keys of services do not make doubles of them",
	 TEXT(HEAD "- {vip: 10.2.0.1, port: 0, backends: [10.3.0.1]}\n"
		   "- {vip: 10.2.0.1, protocol: upd, port: 80, backends: [10.3.0.1]}\n"
		   "- {vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"),
	 "f:3:25: error: port (a number or `any`) 0 is out of range: 1 to 65535\n"
	 "    - {vip: 10.2.0.1, port: 0, backends: [10.3.0.1]}\n"
	 "                            ^\n"
	 "f:4:29: error: protocol must be one of tcp, udp, not \"upd\": did you mean \"udp\"?\n"
	 "    - {vip: 10.2.0.1, protocol: upd, port: 80, backends: [10.3.0.1]}\n"
	 "                                ^\n"},
};

static void problems_are_printed_byte_for_byte(void **state)
{
	for (size_t i = 0; i < COUNT(print_rows); i++) {
		auto_free char *out = printed(print_rows[i].text, print_rows[i].bytes);

		assert_text(print_rows[i].what, out, print_rows[i].printed);
	}
}

/* A long line is shown around the place. */
static void the_caret_of_a_long_line_is_near(void **state)
{
	auto_free char *text = NULL, *out = NULL;
	const char *line, *below;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	fprintf(file, HEAD "- {vip: 10.2.0.1, port: 80, backends: [");
	for (int i = 0; i < 200; i++)
		fprintf(file, "10.3.0.%d, ", i + 1);
	fprintf(file, "here, ");
	for (int i = 0; i < 200; i++)
		fprintf(file, "10.4.0.%d, ", i + 1);
	fprintf(file, "]}\n");
	fclose(file);
	out = printed(text, bytes);
	line = strchr(out, '\n') + 1;
	below = strchr(line, '\n') + 1;
	assert_true(below - line <= 4 + 160 + 1);
	assert_true(strchr(below, '^') - below < 4 + 100);
	assert_int_equal(strncmp(line + (strchr(below, '^') - below), "here", 4), 0);
}

/* A value of any length leaves room for what would be right, and whole characters. */
static void a_long_value_is_shortened_in_its_middle(void **state)
{
	for (size_t pad = 0; pad < 3; pad++) {
		auto_free char *text = NULL;
		struct problems problems = {0};
		size_t bytes;
		FILE *file = open_memstream(&text, &bytes);

		fprintf(file, HEAD "- {vip: %.*s", (int)pad, "xxx");
		for (int i = 0; i < 5000; i++)
			fprintf(file, "\xc3\xa9");
		fprintf(file, ", port: 80, backends: [10.3.0.1]}\n");
		fclose(file);
		assert_null(config_parse(text, bytes, &problems));
		assert_true(strlen(problems.list[0].text) < 1010);
		assert_holds("its beginning", problems.list[0].text, "vip \"");
		assert_holds("its end", problems.list[0].text, "\xc3\xa9\" is a name: write its address");
		for (const char *c = problems.list[0].text; *c; c++)
			if ((unsigned char)*c == 0xc3)
				assert_int_equal((unsigned char)c[1], 0xa9);
		problems_free(&problems);
	}
}

/* A service of each of many addresses, then `last`. */
static char *many_services(int count, const char *each, const char *last, size_t *bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, bytes);

	fprintf(out, HEAD);
	for (int i = 0; i < count; i++)
		fprintf(out, "- {vip: 10.2.%d.%d, port: 80, backends: [10.3.0.1], %s}\n", i / 250, i % 250 + 1, each);
	fprintf(out, "%s", last);
	fclose(out);
	return text;
}

/* 100,000 mistakes, half of them found when the text has been read through once: counted all, listed a thousand, in a
 * second or two. */
static void many_mistakes_take_no_minutes(void **state)
{
	auto_free char *text = NULL, *out = NULL;
	struct problems problems = {0};
	clock_t begin = clock();
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	fprintf(file, HEAD "- vip: 10.2.0.1\n  port: 80\n  backends:\n");
	for (int i = 0; i < 50000; i++)
		fprintf(file, "  - {address: 10.3.0.1, weight: 65536}\n");
	fclose(file);
	assert_null(config_parse(text, bytes, &problems));
	assert_int_equal(problems.errors, 50000 + 49999);
	assert_int_equal(problems.count, PROBLEMS_MOST + 1);
	assert_holds("the last one", problems.list[PROBLEMS_MOST].text, "here and elsewhere is more");
	for (size_t i = 1; i < problems.count; i++)
		assert_true(problems.list[i - 1].line <= problems.list[i].line);
	problems_free(&problems);
	out = printed(text, bytes);
	assert_true(clock() - begin < 20 * CLOCKS_PER_SEC);
}

static void many_warnings_leave_room_for_errors(void **state)
{
	auto_free char *text = NULL;
	struct problems problems = {0};
	size_t bytes, errors = 0;

	text = many_services(1500, "slots: 97", "- {vip: 10.2.0.1, port: 80, backends: [10.3.0.1], name: a}\n", &bytes);
	assert_null(config_parse(text, bytes, &problems));
	assert_int_equal(problems.warnings, 1500);
	assert_int_equal(problems.errors, 1);
	for (size_t i = 0; i < problems.count; i++)
		errors += problems.list[i].kind == PROBLEM_ERROR;
	assert_int_equal(errors, 1);
	assert_holds("the error", problems.list[problems.count - 1].text, "10.2.0.1 tcp port 80 is served on line 3 already");
	problems_free(&problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_is_named_at_its_place),
		cmocka_unit_test(problems_are_printed_byte_for_byte),
		cmocka_unit_test(the_caret_of_a_long_line_is_near),
		cmocka_unit_test(a_long_value_is_shortened_in_its_middle),
		cmocka_unit_test(many_mistakes_take_no_minutes),
		cmocka_unit_test(many_warnings_leave_room_for_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#!/bin/bash
# Who may use a service: clients that are denied and others, by both families; lists of thousands that change while others go on;
# clients that open more than they may, and a flood of sources. What is dropped is counted, sampled and told.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/flood.sh

# get HOST VIP: whether the page comes.
get() { host "$1" curl -sS --noproxy '*' --connect-timeout "${3-5}" --max-time 10 -o /dev/null "http://$(url_host "$2")/"; }
gets_nothing() { ! get "$1" "$2" 0.5; }
times() { # COUNT HOST VIP [SECONDS]: how many pages come
	local n got=0
	for ((n = 0; n < $1; n++)); do get "${@:2}" 2>/dev/null && got=$((got + 1)); done
	echo $got
}
# file_with LINE [LINE]: both services with these lines more, IPv4's and IPv6's.
file_with() {
	{
		service web4 "$RIG_VIP4" tcp 80 ipip 10.3.0.1 10.3.0.2
		echo "    $1"
		service web6 "$RIG_VIP6" tcp 80 ipip fd00:3::1 fd00:3::2
		echo "    ${2-$1}"
	} | director_file
}
dropped() { hp status --json | jq "[.services[].verdicts.$1 // 0] | add"; }
more_dropped() { [ "$(dropped "$1")" -gt "$2" ]; }
logged() { grep -q "$1" "$RIG_DIR/halfproxyd.log"; }
prefixes() { # N: a list of 2,000 that nobody here is of, but another for each N
	local n list=""
	for ((n = 0; n < 2000; n++)); do list+="100.$((64 + $1)).$((n / 8)).$((n % 8 * 32))/27, "; done
	echo "$list"
}

rig_up ipip 2 || exit 1
flood_up # the flooders' host is the other client
for n in 1 2; do
	backend_up $n "$RIG_VIP4" ipip 10.2.0.10 >/dev/null || exit 1
	backend_up $n "$RIG_VIP6" ipip fd00:2::a >/dev/null || exit 1
	web_up $n "$RIG_VIP4" || exit 1
done
for n in 1 2; do serve "backend$n" "web6_$n" python3 -m http.server --bind "$RIG_VIP6" --directory "$RIG_DIR/web$n/www" 80; done
file_with "deny: [192.168.9.0/24]" "deny: [\"fd00:9::/64\"]"
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready

# ---- deny and allow ------------------------------------------------------------------------------------------------
expect "who is not denied gets the page" eventually 10 get client "$RIG_VIP4"
expect "by IPv6 too" eventually 10 get client "$RIG_VIP6"
expect "who is denied does not" gets_nothing flood "$RIG_VIP4"
expect "nor by IPv6" gets_nothing flood "$RIG_VIP6"
expect "which is counted" more_dropped DENIED 1
expect_text "status says how many prefixes there are" "allow 0, deny 1 prefix: " hp status web4
expect_text "a sample tells who was denied" "IPv4 192.168.9.1 > $RIG_VIP4, protocol 6" hp samples --reason denied
expect_text "and of which service" "service web6" hp samples --reason DENIED
expect_equal "for programs, too" DENIED "$(hp samples --json | jq -r '[.samples[].reason] | unique[]')"
refuses "a reason that there is not is refused" "did you mean DENIED" hp samples --reason denid
expect_text "trace tells which prefix it was" "192.168.9.0/24 of deny is the longest prefix that holds the source" \
	hp trace 192.168.9.1 "$RIG_VIP4:80"
expect_equal "and the verdict" DENIED "$(hp trace --json 192.168.9.1 "$RIG_VIP4:80" | jq -r .verdict)"
file_with "allow: [192.168.9.1]" "allow: [\"fd00:9::/64\"]"
expect "reload takes other lists over" hp reload
expect "who is allowed gets the page" get flood "$RIG_VIP4"
expect "by IPv6 too" get flood "$RIG_VIP6"
expect "and nobody else" gets_nothing client "$RIG_VIP4"
expect "nor by IPv6" gets_nothing client "$RIG_VIP6"

# ---- lists that change while others go on ---------------------------------------------------------------------------
file_with "deny: [100.64.0.0/10]" "deny: [\"fd00:8::/64\"]"
expect "reload" hp reload
RINGS=$(hp status --json | jq .rings_built)
serve client download curl -sS --noproxy '*' --max-time 30 --limit-rate 4M -o "$RIG_DIR/got" "http://$RIG_VIP4/file"
serve flood cut curl -sS --noproxy '*' --limit-rate 100k -o /dev/null "http://$RIG_VIP4/file"
LOST=0
for n in 1 2 3 4 5; do
	file_with "deny: [$(prefixes $n) 192.168.7.$n]" "deny: [\"fd00:7::/64\"]"
	hp reload >/dev/null || LOST=reload
	[ "$(times 5 client "$RIG_VIP4")" = 5 ] || LOST=$((LOST + 1))
done
expect_equal "2,000 prefixes are replaced five times, and no connection is lost" 0 "$LOST"
expect_equal "no ring was built for it" "$RINGS" "$(hp status --json | jq .rings_built)"
expect "what was replaced is taken away" eventually 5 eval "hp status --json | jq -e '.capacity.prefixes.used == 2006'"
expect "a download goes on" serves cut
BEFORE=$(dropped DENIED)
file_with "deny: [192.168.9.1]" "deny: [\"fd00:7::/64\"]"
expect "reload" hp reload
expect "until its client is denied" eventually 5 more_dropped DENIED "$BEFORE"
stop cut
expect "the other download ends" eventually 20 eval '! serves download'
expect "whole" cmp "$RIG_DIR/file" "$RIG_DIR/got"

# ---- limits -----------------------------------------------------------------------------------------------------------
file_with "limit: {new_flows: 3, per: 1h}"
expect "reload takes a limit over" hp reload
expect_equal "a client opens three connections" 3 "$(times 3 flood "$RIG_VIP4")"
expect_equal "and by IPv6" 3 "$(times 3 flood "$RIG_VIP6")"
expect_equal "and no more" 0 "$(times 2 flood "$RIG_VIP4" 0.5)"
expect_equal "nor by IPv6" 0 "$(times 2 flood "$RIG_VIP6" 0.5)"
expect "what is more is counted" more_dropped LIMITED 3
expect_text "status says so" "limit of 3 new flows of a client in 1h, 3 at once: " hp status web6
expect "the log tells of it" eventually 5 logged "service_limited service=web4 vip=$RIG_VIP4 packets="
expect_text "a sample tells who it was" "IPv4 192.168.9.1 > $RIG_VIP4" hp samples --reason limited
expect_text "trace tells how long it has to wait" "the source has opened all that it may, 3 in 1h and 3 at once: another in " \
	hp trace 192.168.9.1 "$RIG_VIP4:80"
kill -KILL "$(cat "$RIG_DIR/halfproxyd.pid")"
expect "another client opens one while the daemon is gone" get client "$RIG_VIP4"
need "the daemon comes back" director_up
expect_equal "the first one waits on" 0 "$(times 1 flood "$RIG_VIP4" 0.5)"
BEFORE=$(hp status --json | jq '.services[0].packets')
serve flood flood4 "$BUILD/forge" syn "$RIG_VIP4" 80 198.18.0.0 3000 6000
expect "in a flood of other sources a client opens another" get client "$RIG_VIP4"
expect "the flood ends" eventually 30 eval '! serves flood4'
expect "its sources were let in, a flow each" eventually 5 eval \
	"[ \$(hp status --json | jq '.services[0].packets') -gt $((BEFORE + 5000)) ]"
expect_equal "and no flow is remembered for it" 0 "$(hp flows --json | jq '[.tables.proven.used, .tables.unproven.used] | add')"
finish

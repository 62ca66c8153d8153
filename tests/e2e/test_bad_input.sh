#!/bin/bash
# What goes wrong around a running director: each a clear error, and what runs is never hurt. Mistakes at the start are in
# test_start.sh, those of the file itself in the unit tests of the configuration.
# suite: 28 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

# A second halfproxyd on the director, told to end if it runs: daemon OPTION...
daemon() { host director timeout 3 "$BUILD/halfproxyd" "$@"; }
unhurt() { expect "after $1 the web answers" web_get "$RIG_VIP4" ""; }
reason() { hp status --json | jq -r --arg a "$1" '[.services[].backends[] | select(.address == $a) | .reason][0]'; }
state() { hp status --json | jq -r --arg a "$1" '[.services[].backends[] | select(.address == $a) | .state][0]'; }
interface() { hp status --json | jq -r --arg n "$1" '.interfaces[] | select(.name == $n) | .state'; }
is() { [ "$("${@:2}")" = "$1" ]; }
file() { # INTERFACES, services on standard input; to NAME
	RIG_INTERFACES=$2 director_file
	[ "$1" = halfproxy ] || mv "$RIG_DIR/halfproxy.yaml" "$RIG_DIR/$1.yaml"
}
web() { service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 "$@"; }
need_reload() { need "the file is taken over" hp reload; }

rig_up l2 || exit 1
backend_up 1 "$RIG_VIP4" l2 >/dev/null 2>&1 || exit 1
web_up 1 "$RIG_VIP4" || exit 1

# ---- running ----------------------------------------------------------------------------------------------------
cable director eth2 switch p-spare
web | file halfproxy "eth0, eth2"
need "halfproxyd runs" director_up
need "the backend is ready" eventually 10 is ready state 10.3.0.1
unhurt "the start"

web | file good eth0
web | HALFPROXY_SOCKET=$RIG_DIR/other.sock file lost "eth0, eth7"
web | file halfproxy "eth0, eth2"
PID=$(cat "$RIG_DIR/halfproxyd.pid")
refuses "a second instance is told of the first" "process $PID" daemon -c "$RIG_DIR/good.yaml" --pins "$RIG_PINS" \
	--state "$RIG_DIR/state"
unhurt "a second instance"
web | HALFPROXY_SOCKET=$RIG_DIR/other.sock file good eth0
refuses "also with pins, state and socket of its own" "process $PID" daemon -c "$RIG_DIR/good.yaml" \
	--pins "$RIG_PINS-other" --state "$RIG_DIR/state-other"
expect_not "of which nothing is made" ls -d "$RIG_PINS-other" "$RIG_DIR/state-other" "$RIG_DIR/other.sock"
refuses "unload while it runs is refused" "process $PID" daemon --unload --pins "$RIG_PINS" --state "$RIG_DIR/state"
refuses "also of other pins" "process $PID" daemon --unload --pins "$RIG_PINS-other"
# The claim's queue holds some 4,000.
# shellcheck disable=SC2016 # perl's own variables
need "many come to see" host director setpriv --reuid=65534 --clear-groups perl -MSocket -e '
	for (1 .. 6000) {
		socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
		connect($s, pack("S a*", AF_UNIX, "\0halfproxyd")) or die "$_: $!";
	}'
refuses "they do not wear out the claim" "process $PID" daemon --unload --pins "$RIG_PINS-other"
unhurt "a refused unload"
web | file halfproxy "eth0, eth2"

# index NAME: the interface's number, which a new one of that name does not have.
index() { host director ip -json link show "$1" | jq '.[0].ifindex'; }
OLD=$(index eth2)
host director ip link del eth2
expect "an interface that vanishes is said to be missing" eventually 5 is missing interface eth2
unhurt "an interface vanished"
cable director eth2 switch p-spare
expect "an interface that comes back is attached again" eventually 5 is attached interface eth2
expect_not "with another number" is "$OLD" index eth2
unhurt "it came back"
host director ip link set eth2 down
host director ip link set eth2 name eth3
expect "an interface that is renamed is missing" eventually 5 is missing interface eth2
expect "a file that names it still is taken over, as it was there" hp reload
host director ip link set eth3 name eth2
host director ip link set eth2 up
expect "and is attached again when it has its name back" eventually 5 is attached interface eth2
expect_equal "one program is on it" 1 "$(host director bpftool --json net show | jq '[.[0].xdp[] | select(.devname == "eth2")] | length')"
host director ip link del eth2
eventually 5 is missing interface eth2
stop halfproxyd KILL
need "a start that adopts does not wait for a missing interface" director_up
expect_equal "its status says so" missing "$(interface eth2)"
expect_text "and its log" "interface_missing interface=eth2" cat "$RIG_DIR/halfproxyd.log"
unhurt "a start without eth2"
cable director eth2 switch p-spare
expect "it is attached when it is back" eventually 5 is attached interface eth2
stop halfproxyd KILL
host director ip link del eth2
cable director eth2 switch p-spare
need "a daemon starts whose interface was made anew in between" director_up
expect "its program is on the new one" eventually 5 is attached interface eth2
host director ip link del eth2
eventually 5 is missing interface eth2
cable director eth2 switch p-spare
eventually 5 is attached interface eth2
web | file halfproxy eth0
need_reload
host director ip link set dev eth2 xdpdrv obj "$RIG_DIR/pass.o" sec xdp
web | file halfproxy "eth0, eth2"
refuses "a reload that meets somebody else's program is refused by its name" '"pass"' hp reload
expect_equal "and takes nothing" "" "$(interface eth2)"
unhurt "that"
host director ip link set dev eth2 xdp off
cp "$RIG_DIR/lost.yaml" "$RIG_DIR/halfproxy.yaml"
refuses "a reload with an interface that is not there is refused" "eth7" hp reload
unhurt "a refused reload"

# ---- back to an interface that is gone ----------------------------------------------------------------------------
web | file halfproxy "eth0, eth2"
need_reload
web 10.3.0.77 | file next "eth0, eth2"
need "another text with it is applied" hp apply "$RIG_DIR/next.yaml"
host director ip link del eth2
eventually 5 is missing interface eth2
expect "undo goes back to an interface that runs and has vanished" hp undo
expect "and again" hp undo
web | file halfproxy eth0
need_reload
refuses "but to one that does not run it is refused, with those that are" "there is no interface eth2; there are: " hp undo
expect_equal "and takes nothing" "" "$(interface eth2)"
unhurt "a refused undo"
cable director eth2 switch p-spare
web | file halfproxy "eth0, eth2"
need_reload
web | file next eth0
need "a change waits" hp apply "$RIG_DIR/next.yaml" --confirm 1s
host director ip link del eth2
expect "what nobody confirms is taken back all the same" eventually 5 is missing interface eth2
unhurt "that"
expect_text "the log says once that it was taken back" "reverted reason=" cat "$RIG_DIR/halfproxyd.log"
expect_equal "and does not call it undone too" 2 "$(grep -c '>undone ' "$RIG_DIR/halfproxyd.log")"
cable director eth2 switch p-spare
web | file halfproxy eth0
need_reload

# ---- a start over a data plane that serves ----------------------------------------------------------------------
start() { daemon -c "$RIG_DIR/halfproxy.yaml" --pins "$RIG_PINS" --state "$RIG_DIR/state"; }
attached() { host director bpftool --json net show | jq -c '.[0].xdp | map(.devname) | sort'; }
web | file halfproxy eth0
need_reload
stop halfproxyd TERM
ATTACHED=$(attached)
web | file halfproxy eth7
refuses "a start with a mistyped interface is refused, with those that are" "there is no interface eth7; there are: " start
unhurt "that"
host director ip link set dev eth2 xdpdrv obj "$RIG_DIR/pass.o" sec xdp
web | file halfproxy "eth0, eth2"
refuses "a start that meets somebody else's program is refused by its name" "program 'pass'" start
unhurt "that too"
host director ip link set dev eth2 xdp off
expect_equal "both left the programs where they were" "$ATTACHED" "$(attached)"
web | file halfproxy eth0
need "with the file mended it starts" director_up
unhurt "it"

# ---- what status tells ------------------------------------------------------------------------------------------
whole() { hp status --json | jq -r "$1"; }
LOCAL="$RIG_VIP4 is an address of this host: take it off"
host director ip address add "$RIG_VIP4/32" dev lo
# shellcheck disable=SC2016 # for eval
expect "status names a VIP that is an address of this host" eventually 5 eval 'hp status | grep -qF "$LOCAL"'
expect_text "so does a reload" "$LOCAL" hp reload
expect_text "and diff" "$LOCAL" hp diff "$RIG_DIR/halfproxy.yaml"
expect_text "and the log" "vip_is_local text=" cat "$RIG_DIR/halfproxyd.log"
host director ip address del "$RIG_VIP4/32" dev lo
expect "and no more when it is off" eventually 5 is 0 whole '[.services[].local_vips[]] | length'
web | file halfproxy "eth0, eth1"
need_reload
host backend1 ip address del "$RIG_VIP4/32" dev lo
host backend1 sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
host backend1 ip route replace default via 10.3.0.10
web_get "$RIG_VIP4" "" --max-time 1 >/dev/null 2>&1
expect "a backend that lacks the VIP is named in its line" eventually 3 eval "hp status | grep -qE '10.3.0.1 .*; LOOPED [0-9]+: '"
host backend1 ip route replace default via 10.3.0.254
host backend1 sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
host backend1 ip address add "$RIG_VIP4/32" dev lo
unhurt "it has it again"
web | file halfproxy eth0
need_reload
host director ip link set eth0 down
expect "with the only way in down the service is down" eventually 5 is "down no interface takes packets in" whole \
	'.services[0] | .state + " " + .reason'
expect_text "and the link is said to be" "interface eth0: ingress, attached, LINK DOWN" hp status
host director ip link set eth0 up
host director ip route replace default via 10.2.0.254
expect "with it up the service is up" eventually 5 is up whole '.services[0].state'

# ---- backends that cannot be reached -----------------------------------------------------------------------------
host director ip route add unreachable 10.66.0.0/16
web 10.9.0.1 10.66.0.1 10.3.0.77 | file halfproxy eth0
need_reload
expect "an l2 backend behind a gateway fails" eventually 5 is failed state 10.9.0.1
expect_text "by name of the gateway" "gateway" reason 10.9.0.1
expect "a backend without a route fails" eventually 5 is failed state 10.66.0.1
expect_text "as such" "route" reason 10.66.0.1
expect "a backend that does not answer fails" eventually 8 is failed state 10.3.0.77
expect_text "as such" "does not answer ARP" reason 10.3.0.77
expect_equal "the one that is there is ready" ready "$(state 10.3.0.1)"
for n in 1 2 3 4; do unhurt "$n flows, all of which meet the reachable backend,"; done
host director ip route del default
expect "a backend whose only route went fails" eventually 5 eval "reason 10.9.0.1 | grep -q 'no route'"
unhurt "the default route went"
host director ip route add default via 10.2.0.254
rig_host late
plug late eth0 p-late
address late eth0 10.3.0.77/24 fd00:3::77/64
expect "a backend that answers later becomes ready" eventually 15 is ready state 10.3.0.77
web | file halfproxy eth0
need_reload
unhurt "they were removed"

# ---- the way out vanishes, and what is kept is damaged --------------------------------------------------------------
host director ip link del eth1
expect "a backend whose interface vanished fails" eventually 5 is failed state 10.3.0.1
plug director eth1 p-director
address director eth1 10.3.0.10/24 fd00:3::a/64
pass_program switch p-director
expect "and is ready when it is back" eventually 15 is ready state 10.3.0.1
unhurt "its interface came back"
web 10.3.0.77 | file next eth0
web | file halfproxy eth0
need "a change waits" hp apply "$RIG_DIR/next.yaml" --confirm 60s
stop halfproxyd KILL
echo garbage >"$RIG_DIR/state/running.yaml"
need "a daemon starts whose state is damaged" director_up
expect_text "says so" "not_gone_on_with" cat "$RIG_DIR/halfproxyd.log"
unhurt "that"
stop halfproxyd KILL
echo '{"overrides": 7, "confirm_by_s": "soon", "file_hash": []}' >"$RIG_DIR/state/state.json"
need "whatever is in it" director_up
unhurt "that"

# ---- full maps ----------------------------------------------------------------------------------------------------
stop halfproxyd TERM
need "unload" daemon --unload --pins "$RIG_PINS" --state "$RIG_DIR/state"
RIG_LIMITS='{services: 2, backends: 2, slots: 4096}'
web | file halfproxy eth0
need "halfproxyd runs within small limits" director_up
need "the backend is ready" eventually 10 is ready state 10.3.0.1
{ web; service b "$RIG_VIP4" tcp 81 l2 10.3.0.1; service c "$RIG_VIP4" tcp 82 l2 10.3.0.1; } | file halfproxy eth0
refuses "more services than limits.services are refused" "limits.services" hp reload
unhurt "too many services"
web 10.3.0.2 10.3.0.3 | file halfproxy eth0
refuses "more backends than limits.backends are refused" "limits.backends" hp reload
unhurt "too many backends"
web | sed 's/    protocol: tcp/&\n    slots: 65537/' | file halfproxy eth0
refuses "a ring larger than limits.slots is refused" "limits.slots" hp reload
unhurt "too large a ring"
expect_equal "what runs is what ran" "[\"web\"]" "$(hp status --json | jq -c '[.services[].name]')"

# ---- the API's socket ---------------------------------------------------------------------------------------------
refuses "a command without a daemon says where it asked" "$RIG_DIR/none.sock" hp --socket "$RIG_DIR/none.sock" status
rm -f "$RIG_DIR/daemon"
finish

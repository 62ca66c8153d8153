#!/bin/bash
# What goes wrong around a running director: each a clear error, and what runs is never hurt.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

# A second halfproxyd on the director, told to end if it runs: daemon OPTION...
daemon() { host director timeout 3 "$BUILD/halfproxyd" "$@"; }
other() { daemon -c "$RIG_DIR/$1.yaml" --pins "$RIG_PINS-other" --state "$RIG_DIR/state-other"; }
left_nothing() {
	expect_equal "$1 leaves no program behind" "[]" "$(host director bpftool --json net show | jq -c '.[0].xdp')"
	daemon --unload --pins "$RIG_PINS-other" --state "$RIG_DIR/state-other" >/dev/null 2>&1
	rm -rf "$RIG_PINS-other"
}
refuses() { # SENTENCE TEXT COMMAND...: it fails, by itself, and says TEXT
	local output status
	output=$("${@:3}" 2>&1)
	status=$?
	[ $status != 0 ] && [ $status -lt 124 ] && grep -qF -e "$2" <<<"$output"
	expect_result $? "$1" "status $status, and wanted \"$2\" in:"$'\n'"$output"
}
unhurt() { expect "after $1 the web answers" web_get "$RIG_VIP4" ""; }
reason() { hp status --json | jq -r --arg a "$1" '[.services[].backends[] | select(.address == $a) | .reason][0]'; }
state() { hp status --json | jq -r --arg a "$1" '[.services[].backends[] | select(.address == $a) | .state][0]'; }
interface() { hp status --json | jq -r --arg n "$1" '[.interfaces[] | select(.name == $n) | .state][0]'; }
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

# ---- starting ---------------------------------------------------------------------------------------------------
web | file lost "eth0, eth7"
web | file loop lo
web | file good eth0
refuses "an interface that is not there is named" "eth7" other lost
refuses "with those that are, at a second start too" "eth1" other lost
left_nothing "another"
refuses "the loopback is refused" "lo gets no client's packets" other loop
refuses "a file that is not there is named" "nothing.yaml" other nothing
: >"$RIG_DIR/empty.yaml"
refuses "an empty file is refused" "empty.yaml" other empty
printf 'services: [\n' >"$RIG_DIR/broken.yaml"
refuses "broken YAML is refused with its place" "broken.yaml:" other broken
cp "$BUILD/halfproxyd" "$RIG_DIR/daemon" && chmod 755 "$RIG_DIR/daemon"
refuses "without privileges it says which it needs" "CAP_" host director setpriv --reuid=65534 --regid=65534 \
	--clear-groups --inh-caps=-all timeout 3 "$RIG_DIR/daemon" -c "$RIG_DIR/good.yaml" --pins "$RIG_PINS-other" \
	--state "$RIG_DIR/state-other"
refuses "without a BPF file system it says how to mount it" "mount -t bpf" host director unshare --mount sh -c \
	'mount -t tmpfs none /sys/fs/bpf; exec timeout 3 "$@"' - "$BUILD/halfproxyd" -c "$RIG_DIR/good.yaml" --pins "$RIG_PINS-other" \
	--state "$RIG_DIR/state-other"
host director ip link set dev eth0 xdpdrv obj "$RIG_DIR/pass.o" sec xdp
FOREIGN=$(host director bpftool --json net show | jq -c '.[0].xdp')
refuses "somebody else's XDP program is named, not replaced" '"pass"' other good
expect_equal "and stays" "$FOREIGN" "$(host director bpftool --json net show | jq -c '.[0].xdp')"
host director ip link set dev eth0 xdp off
left_nothing "a start refused for a program in the way"

# ---- running ----------------------------------------------------------------------------------------------------
cable director eth2 switch p-spare
web | file halfproxy "eth0, eth2"
need "halfproxyd runs" director_up
need "the backend is ready" eventually 10 is ready state 10.3.0.1
unhurt "the start"

refuses "a second instance is told of the first" "halfproxyd" daemon -c "$RIG_DIR/good.yaml" --pins "$RIG_PINS" \
	--state "$RIG_DIR/state"
unhurt "a second instance"

host director ip link del eth2
expect "an interface that vanishes is said to be missing" eventually 5 is missing interface eth2
unhurt "an interface vanished"
cable director eth2 switch p-spare
expect "an interface that comes back is attached again" eventually 5 is attached interface eth2
unhurt "it came back"
cp "$RIG_DIR/lost.yaml" "$RIG_DIR/halfproxy.yaml"
refuses "a reload with an interface that is not there is refused" "eth7" hp reload
unhurt "a refused reload"

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

# ---- full maps ----------------------------------------------------------------------------------------------------
host director true
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

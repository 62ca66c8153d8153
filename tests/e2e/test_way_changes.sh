#!/bin/bash
# The way to a backend changes while a client keeps asking: addresses, routes, gateways, MTU, cables. The director
# follows, and not one request fails that the change itself did not make impossible.
#
# Two backends: 1 is asked all the time; the router also is a gateway for both, and the director has a leg among them.
# suite: 35 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

# ---- what a client sees -----------------------------------------------------------------------------------------

# Ask ten times a second; a line each: ok, or what went wrong.
ask_begin() {
	rm -f "$RIG_DIR/asked" "$RIG_DIR/ask.stop"
	# shellcheck disable=SC2016 # the inner shell's own variables
	serve client asking bash -c 'while [ ! -e "$2/ask.stop" ]; do
		if curl -sS --noproxy "*" --max-time 1 -o /dev/null "http://$1/" 2>>"$2/asked.errors"; then echo ok; else echo failed; fi >>"$2/asked"
		sleep 0.08
	done' ask "$VIP" "$RIG_DIR"
}
asked() { grep -cx "$1" "$RIG_DIR/asked"; }
# Whether requests are answered since now.
answers() {
	local before
	before=$(asked ok)
	eventually "$1" eval "[ \$(asked ok) -ge $((before + 3)) ]"
}
# unharmed SENTENCE COMMAND...: a change, then requests; none may fail.
unharmed() {
	local sentence=$1 before
	shift
	answers 3 >/dev/null
	before=$(asked failed)
	"$@" || { expect_result 1 "$sentence: the change itself" "$*"; return; }
	sleep 0.4
	answers 3
	expect_equal "$sentence" "$before" "$(asked failed)"
}

# ---- what the director says ---------------------------------------------------------------------------------------

backend() { hp status --json | jq -r ".services[0].backends[0].$1"; }
is() { [ "$(backend "$2")" = "$1" ]; }
is_one_of() { printf '%s\n' "${@:2}" | grep -qxF "$(backend "$1")"; }
becomes() { expect "$1" eventually "${4:-5}" is "$2" "$3"; }
mac() { host "$1" ip -o link show dev "$2" | sed -n 's/.*ether \([0-9a-f:]*\).*/\1/p'; }
verdict() { hp status --json | jq ".verdicts.$1.count"; }
director() { host director "$@"; }
# Frames that entered the segment from this MAC address, among those captured.
from_mac() { packets "$1" "ether src $2 and dst host 10.3.0.1 and ip proto 4" | wc -l; }

VIP=$RIG_VIP4
rig_up l2 2 || exit 1
# The kernel asks a neighbour again every half minute or so; here every second or so. What is known already keeps its time.
knob() { director sh -c "echo $2 >/proc/sys/net/ipv4/neigh/eth1/$1"; }
knob base_reachable_time_ms 1000
knob delay_first_probe_time 1
knob retrans_time_ms 100
need "backend 1 is one" backend_up 1 "$VIP" ipip any
need "backend 2 is one" backend_up 2 "$VIP" ipip any
web_up 1 "$VIP" || exit 1
service web "$VIP" tcp 80 ipip 10.3.0.1 | director_file
need "halfproxyd runs" director_up
need "the backend is ready" eventually 10 all_ready
ask_begin

# ---- from a leg of its own to a gateway, and back -----------------------------------------------------------------
becomes "the backend is reached by the director's leg" eth1 interface
unharmed "the route moves to the other leg, which the packets came in by" director ip route add 10.3.0.1/32 via 10.2.0.254
becomes "which status says" eth0 interface
expect_equal "with the gateway's MAC address" "$(mac router director0)" "$(backend mac)"
unharmed "and back" director ip route del 10.3.0.1/32
becomes "as status says" eth1 interface
unharmed "another gateway on the same segment" director ip route add 10.3.0.1/32 via 10.3.0.254
expect_equal "is the next hop" "$(mac router backend0)" "$(backend mac)"
unharmed "replaced by the backend itself" director ip route replace 10.3.0.1/32 via 10.3.0.1
expect_equal "which is no gateway" "$(mac backend1 eth0)" "$(backend mac)"
unharmed "an IPv6 next hop for the IPv4 backend" director ip route replace 10.3.0.1/32 via inet6 fd00:3::fe
expect_equal "is resolved as an IPv6 neighbour" "$(mac router backend0)" "$(backend mac)"
unharmed "a route of two next hops" director ip route replace 10.3.0.1/32 nexthop via 10.2.0.254 nexthop via 10.3.0.254
expect "takes one of them" eventually 3 is_one_of mac "$(mac router director0)" "$(mac router backend0)"
director ip route del 10.3.0.1/32
unharmed "a rule and a table of their own" eval 'director ip route add 10.3.0.1/32 via 10.2.0.254 table 77 && director ip rule add to 10.3.0.1 lookup 77'
becomes "are followed" eth0 interface
unharmed "the rule goes" director ip rule del to 10.3.0.1 lookup 77
becomes "and so is its going" eth1 interface
if director ip nexthop add id 7 via 10.2.0.254 dev eth0 2>/dev/null; then
	unharmed "a next hop object" director ip route add 10.3.0.1/32 nhid 7
	becomes "is followed" eth0 interface
	unharmed "and replaced" director ip nexthop replace id 7 via 10.3.0.254 dev eth1
	becomes "is followed again" eth1 interface
	unharmed "and deleted, with its route" director ip nexthop del id 7
	expect_equal "leaves the leg's own route" "$(mac backend1 eth0)" "$(backend mac)"
fi

# ---- MTU -----------------------------------------------------------------------------------------------------------
unharmed "a route with an MTU" director ip route add 10.3.0.1/32 dev eth1 mtu lock 1400
becomes "is the path's MTU" 1400 mtu
expect_equal "and nothing was too big so far" 0 "$(($(verdict TOO_BIG) + $(verdict TOO_BIG_TOLD)))"
host client /usr/bin/python3 -c "import socket; socket.create_connection(('$VIP', 80), 3).send(b'x' * 20000)"
too_big() { [ "$(verdict TOO_BIG_TOLD)" -gt 0 ]; }
expect "the sender of packets that do not fit is told" eventually 5 too_big
unharmed "the route goes" director ip route del 10.3.0.1/32
becomes "and its MTU with it" 1500 mtu
unharmed "the interface's MTU changes" director ip link set eth1 mtu 1460
becomes "as status says" 1460 mtu
unharmed "and changes back" director ip link set eth1 mtu 1500
becomes "as status says, too" 1500 mtu

# ---- MAC addresses ----------------------------------------------------------------------------------------------------
capture switch p-director own
unharmed "the MAC address of the way out changes" director ip link set eth1 address 02:00:00:00:ee:01
captures_end
expect "and is the frames' source from then on" [ "$(from_mac own 02:00:00:00:ee:01)" -gt 0 ]
expect_equal "the backend is ready all the while" ready "$(backend state)"
director ip link set eth0 address 02:00:00:00:ee:00
host router ip neigh flush dev director0
expect "the MAC address of the way in changes, and clients find the VIP again" answers 5
expect_text "at the new one" "02:00:00:00:ee:00" host router ip neigh show "$VIP"
new_mac() { # N: as when a machine is replaced: it tells its neighbours
	host backend1 ip link set eth0 address "$1"
	host backend1 /usr/bin/python3 - "$1" <<-'PY'
		import sys
		from scapy.all import ARP, Ether, sendp
		mac = sys.argv[1]
		sendp(Ether(src=mac, dst='ff:ff:ff:ff:ff:ff') / ARP(op=2, hwsrc=mac, psrc='10.3.0.1', hwdst=mac, pdst='10.3.0.1'),
		      iface='eth0', verbose=False)
	PY
}
new_mac 02:00:00:00:bb:01
becomes "the backend's MAC address changes, and it says so: followed" 02:00:00:00:bb:01 mac
expect "and served" answers 3
host backend1 ip link set eth0 address 02:00:00:00:bb:02
becomes "it changes without a word: found by asking" 02:00:00:00:bb:02 mac 10
expect "and served" answers 3
expect_equal "without the backend being given up meanwhile" 0 "$(grep -c 'backend_unreachable backend=10.3.0.1' "$RIG_DIR/halfproxyd.log")"

# ---- cables and interfaces ----------------------------------------------------------------------------------------------
director ip link set eth1 down
becomes "the leg goes down: the default route is left" eth0 interface
expect "and serves" answers 5
director ip link set eth1 up
becomes "it comes up: the leg again" eth1 interface
expect "and serves" answers 5
director ip route del default
director ip addr del 10.3.0.10/24 dev eth1
becomes "no route is left: the backend fails" failed state
expect_text "as such" "no route" backend reason
director ip addr add 10.3.0.10/24 dev eth1
director ip route add default via 10.2.0.254
becomes "the route comes back: ready" ready state
expect "and served" answers 5
director ip link set eth1 down
director ip link set eth1 name leg
director ip link set leg up
becomes "the leg gets another name" leg interface
expect "and serves" answers 5
expect "a program is on it under its new name" eventually 3 eval "hp status --json | jq -e '.interfaces[] | select(.name == \"leg\" and .state == \"attached\")'"
expect_equal "and its old one is forgotten" "eth0 leg" "$(hp status --json | jq -r '[.interfaces[].name] | sort | join(" ")')"
OLD=$(director ip -o link show dev leg | cut -d: -f1)
director ip link del leg
becomes "the leg is taken out: the default route is left" eth0 interface
expect "and serves" answers 5
plug director eth1 p-director
address director eth1 10.3.0.10/24 fd00:3::a/64
pass_program switch p-director
expect_not "another is put in, with a number of its own" [ "$OLD" = "$(director ip -o link show dev eth1 | cut -d: -f1)" ]
becomes "and is the way" eth1 interface
expect "and serves" answers 5
unharmed "and nothing else is the matter" true
touch "$RIG_DIR/ask.stop"
expect "the client was answered more than 100 times" [ "$(asked ok)" -gt 100 ]
finish

#!/bin/bash
# Interfaces that XDP cannot send by or see packets on, as a way in and as the way to a backend: each refused in words that
# say what to use instead, and what runs is not hurt. A port of a bridge is a way in: XDP sees packets before the bridge does.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

director() { host director "$@"; }
backend() { hp status --json | jq -r --arg a "$2" "[.services[].backends[] | select(.address == \$a) | .$1][0]"; }
is() { [ "$(backend "$2" "$3")" = "$1" ]; }
services() { service web $RIG_VIP4 tcp 80 l2 10.3.0.1 "$@"; }
unhurt() { expect_text "after $1 the web answers" "hello from backend1" web_get $RIG_VIP4 ""; }

refused_in() { # NAME TEXT
	services | RIG_INTERFACES="eth0, $1" director_file
	expect_not "$1 is refused as a way in" hp reload
	expect_text "in words: $2" "$2" hp reload
	unhurt "it was refused"
}

refused_out() { # NAME ADDRESS TEXT
	services "$2" | director_file
	need "the file is taken over" hp reload
	expect "a backend behind $1 fails" eventually 5 is failed state "$2"
	expect_text "in words: $3" "$3" backend reason "$2"
	unhurt "it failed"
}

rig_up l2 || exit 1
need "the backend is one" backend_up 1 $RIG_VIP4 l2
web_up 1 $RIG_VIP4 || exit 1
director ip link add br0 type bridge
director ip addr add 10.41.0.1/24 dev br0
cable director eth5 switch p-spare
director ip link add mv0 link eth5 type macvlan mode bridge
director ip addr add 10.42.0.1/24 dev mv0
director ip link add vx0 type vxlan id 7 remote 10.3.0.1 dstport 4789 dev eth1
director ip addr add 10.43.0.1/24 dev vx0
director ip tuntap add tun0 mode tun
director ip addr add 10.44.0.1/24 dev tun0
cable director eth6 switch p-br
director ip link set eth6 master br0
for name in br0 mv0 vx0 tun0; do director ip link set $name up; done
services | director_file
need "halfproxyd runs" director_up
need "the backend is ready" eventually 10 all_ready

refused_in br0 "interface br0 is a bridge"
refused_in mv0 "interface mv0 is a macvlan: use the interface below it"
refused_in vx0 "interface vx0 is a vxlan tunnel"
refused_in tun0 "interface tun0 carries no Ethernet frames"
refused_out "a bridge" 10.41.0.2 "interface br0 is a bridge: XDP here cannot choose its port; give the director's address to a port"
refused_out "a macvlan" 10.42.0.2 "interface mv0 is a macvlan: use the interface below it"
refused_out "a vxlan" 10.43.0.2 "interface vx0 is a vxlan tunnel: use forward: ipip"
refused_out "a tun" 10.44.0.2 "interface tun0 carries no Ethernet frames"
refused_out "the host itself" 10.2.0.10 "an address of this host itself"
director ip route add blackhole 10.45.0.0/24
director ip route add prohibit 10.46.0.0/24
refused_out "a blackhole" 10.45.0.2 "is behind a blackhole route"
refused_out "a prohibit route" 10.46.0.2 "is behind a prohibit route"
refused_out "a broadcast address" 10.3.0.255 "is a broadcast, multicast or anycast address here"

# ---- a way in that is a bridge's port -------------------------------------------------------------------------------------
# The client's side moves to a bridge on the director, as on a host of virtual machines.
director ip addr del 10.2.0.10/24 dev eth0
director ip link set eth6 nomaster
director ip link set eth0 master br0
director ip addr add 10.2.0.10/24 dev br0
host router ip neigh flush dev director0
services | director_file
need "the file is taken over" hp reload
expect "a port of a bridge is a way in" eventually 5 web_get $RIG_VIP4 "" -o /dev/null
unhurt "eth0 became a bridge's port"
expect "and the bridge's own address is answered beside it" host router ping -c 1 -W 2 10.2.0.10
finish

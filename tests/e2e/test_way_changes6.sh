#!/bin/bash
# The way to an IPv6 backend changes under a client that keeps asking: legs, gateways, link-local gateways, MAC addresses with
# and without a word. And what was a backend's own segment lies behind a gateway later: l2 refuses it then, too.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

director() { host director "$@"; }
knob() { director sh -c "echo $2 >/proc/sys/net/ipv6/neigh/eth1/$1"; }
mac() { host "$1" ip -o link show dev "$2" | sed -n 's/.*ether \([0-9a-f:]*\).*/\1/p'; }
backend() { hp status --json | jq -r "[.services[] | select(.name == \"$2\") | .backends[0].$1][0]"; }
is() { [ "$(backend "$2" "${3:-web}")" = "$1" ]; }
becomes() { expect "$1" eventually "${4:-5}" is "$2" "$3"; }
fetch_many() { for _ in $(seq "$1"); do web_get "$RIG_VIP6" "" -o /dev/null --max-time 2 || return 1; done; }
served() { expect "and serves" fetch_many 5; }

rig_up l2 2 || exit 1
knob base_reachable_time_ms 1000
knob delay_first_probe_time 1
knob retrans_time_ms 100
need "backend 1 is one" backend_up 1 $RIG_VIP6 ipip any
need "backend 2 is one" backend_up 2 $RIG_VIP6 l2
web_up 1 $RIG_VIP6 || exit 1
{
	service web $RIG_VIP6 tcp 80 ipip fd00:3::1
	service flat $RIG_VIP6 tcp 81 l2 fd00:3::2
} | director_file
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready
becomes "the backend is reached by the director's leg" eth1 interface
director ip -6 route add fd00:3::1/128 via fd00:2::fe
becomes "the route moves to the other leg" eth0 interface
served
LOCAL=$(host router ip -o -6 addr show dev backend0 scope link | sed -n 's/.*inet6 \([^/]*\).*/\1/p')
director ip -6 route replace fd00:3::1/128 via "$LOCAL" dev eth1
becomes "a link-local gateway on the leg" "$(mac router backend0)" mac
served
director ip -6 route replace fd00:3::1/128 dev eth1 mtu 1400
becomes "a route with an MTU" 1400 mtu
director ip -6 route del fd00:3::1/128
becomes "and none of its own" "$(mac backend1 eth0)" mac
becomes "has the interface's MTU" 1500 mtu
served
director ip -6 neigh flush dev eth1
served
host backend1 ip link set eth0 address 02:00:00:00:bb:01
becomes "the backend's MAC address changes" 02:00:00:00:bb:01 mac 10
served
expect_equal "and it was never given up" 0 "$(grep -c 'backend_unreachable backend=fd00:3::1 ' "$RIG_DIR/halfproxyd.log")"
director ip -6 route add unreachable fd00:3::1/128
becomes "an unreachable route fails it" failed state
director ip -6 route del unreachable fd00:3::1/128
becomes "which goes again" ready state
served

# ---- l2 ------------------------------------------------------------------------------------------------------------------
expect "l2 on the director's own segment is ready" is ready state flat
director ip -6 route add fd00:3::2/128 via fd00:3::fe
expect "a route by a gateway fails it" eventually 5 is failed state flat
expect_text "by name of the gateway" "through the gateway fd00:3::fe, and l2 needs it on the director's own segment" backend reason flat
director ip -6 route del fd00:3::2/128
expect "without it, it is ready again" eventually 5 is ready state flat
finish

#!/bin/bash
# More routes to VIPs than are asked for in one turn, none of which the kernel takes: they keep nobody waiting.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/announced.sh

MANY=700
file_of() { # [LINES OF ANOTHER SERVICE]
	{ for n in $(seq $MANY); do service "six$n" "$(printf 'fd00:9::%x' "$n")" tcp 80 l2 fd00:3::1; done
	service web "$RIG_VIP4" tcp 80 l2 10.3.0.1
	[ -z "${1-}" ] || echo "$1"; } | director_file
}
are_routes() { [ "$(routes | wc -l)" = "$1" ]; }
ipv6() { host director sh -c "echo $1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$(cat "$RIG_DIR/halfproxyd.pid")/stat"; }

rig_up l2 || exit 1
RIG_INTERFACES="eth0, eth1"
file_of
need "halfproxyd runs" director_up
need "all VIPs are announced" eventually 10 are_routes $((MANY + 1))
ipv6 1
expect "those of IPv6 are gone with it" eventually 5 has_routes "$RIG_VIP4 eth0"
sleep 1
BEFORE=$(ticks)
sleep 2
expect "it is not worn out by those that fail" test $(($(ticks) - BEFORE)) -lt 30
file_of "$(service other 10.2.0.7 tcp 80 l2 10.3.0.1)"
need "a reload" hp reload
expect "another is announced" eventually 5 has_routes "$(printf '%s\n' "$RIG_VIP4 eth0" "10.2.0.7 eth0")"
ipv6 0
expect "and all others when the kernel takes them" eventually 8 are_routes $((MANY + 2))
stop halfproxyd
finish

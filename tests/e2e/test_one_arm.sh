#!/bin/bash
# A director with one leg, in the backends' own segment: packets leave by the interface that they came in by. With
# announce: none nobody is told where a VIP is, and a route leads to it instead. And a tunnel needs an address to come from.
# suite: 20 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

director() { host director "$@"; }
mac() { host "$1" ip -o link show dev "$2" | sed -n 's/.*ether \([0-9a-f:]*\).*/\1/p'; }
backend() { hp status --json | jq -r "[.services[].backends[] | select(.address == \"$2\") | .$1][0]"; }
is() { [ "$(backend "$2" "$3")" = "$1" ]; }
forwarded() { packets leg "ether src $(mac director eth1) and ether dst $(mac backend1 eth0)" | wc -l; }
crossed() { packets leg "src host $1 and dst host $2" | wc -l; }
listen_are() { [ "$(host backend1 ss -Htln "sport = 80" | wc -l)" = "$1" ]; }
write_file() { RIG_INTERFACES="{name: eth1, announce: $1}" director_file; }

rig_up l2 1 || exit 1
director ip link set eth0 down
director ip route add default via 10.3.0.254
director ip -6 route add default via fd00:3::fe
VIP4=10.3.0.100 VIP6=fd00:3::100 ROUTED=10.99.0.1
for forward in l2 ipip gue; do
	from=()
	[ $forward = l2 ] || from=(any)
	for vip in $VIP4 $VIP6 $ROUTED; do
		need "the backend is one for $vip" backend_up 1 "$vip" $forward "${from[@]}"
	done
	web_up 1 $VIP4 || exit 1
	serve backend1 web6 /usr/bin/python3 -m http.server --bind $VIP6 --directory "$RIG_DIR/web1/www" 80
	serve backend1 web99 /usr/bin/python3 -m http.server --bind $ROUTED --directory "$RIG_DIR/web1/www" 80
	need "the servers are up" eventually 20 listen_are 4
	{
		service web4 $VIP4 tcp 80 $forward 10.3.0.1
		service web6 $VIP6 tcp 80 $forward fd00:3::1
		service web99 $ROUTED tcp 80 $forward 10.3.0.1
	} >"$RIG_DIR/services"
	write_file all <"$RIG_DIR/services"
	need "halfproxyd runs" director_up
	need "the backends are ready" eventually 10 all_ready
	host router ip neigh flush dev backend0
	RIG_SNAPLEN=120 capture switch p-director leg
	expect_text "$forward, one leg: the web answers over IPv4" "hello from backend1" web_get $VIP4 ""
	expect "$forward, one leg: a file of 12 MB, whole" cmp <(web_get $VIP4 file) "$RIG_DIR/file"
	expect_text "$forward, one leg: over IPv6" "hello from backend1" web_get $VIP6 ""
	captures_end
	expect "$forward, one leg: packets left by the interface they came in by" [ "$(forwarded)" -gt 20 ]
	expect_equal "$forward, one leg: no answer crossed the director" "0 0" \
		"$(crossed $VIP4 192.168.1.1) $(crossed $VIP6 fd00:1::1)"

	write_file none <"$RIG_DIR/services"
	need "announce: none is taken over" hp reload
	host router ip neigh flush dev backend0
	expect_not "$forward: with announce: none nobody says who has the VIP, IPv4" web_get $VIP4 "" -o /dev/null --max-time 2
	expect_not "$forward: nor IPv6" web_get $VIP6 "" -o /dev/null --max-time 2
	host router ip route add $ROUTED/32 via 10.3.0.10
	expect_text "$forward: and a VIP that is routed to the director is served" "hello from backend1" web_get $ROUTED ""
	expect "$forward: pings of it are answered" host client ping -c 1 -W 2 $ROUTED
	host router ip route del $ROUTED/32
	for name in halfproxyd nginx1 web6 web99; do stop $name TERM; done
	director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state" 2>/dev/null
	host backend1 "$BUILD/halfproxy-backend" down >/dev/null 2>&1
	rm -rf "$RIG_DIR/web1"
done

# ---- a tunnel's source -----------------------------------------------------------------------------------------------
service web $VIP4 tcp 80 ipip fd00:3::1 10.3.0.1 >"$RIG_DIR/services"
director ip addr del fd00:3::a/64 dev eth1
director ip -6 route add fd00:3::/64 dev eth1
director ip addr del fd00:2::a/64 dev eth0
write_file all <"$RIG_DIR/services"
need "halfproxyd runs" director_up
expect "without a global IPv6 address a tunnel over IPv6 fails" eventually 5 is failed state fd00:3::1
expect_text "and says so" "has no global IPv6 address to send tunnels to fd00:3::1 from: give it one, or set tunnel.source6" \
	backend reason fd00:3::1
expect "one over IPv4 is ready" eventually 5 is ready state 10.3.0.1
sed -i 's/^services:/tunnel: {source6: "fd00:77::\/96"}\n&/' "$RIG_DIR/halfproxy.yaml"
need "tunnel.source6 is taken over" hp reload
expect "with tunnel.source6 it is ready" eventually 5 is ready state fd00:3::1
write_file all <"$RIG_DIR/services"
need "and taken out" hp reload
expect "fails again without" eventually 5 is failed state fd00:3::1
director ip addr add fd00:3::a/64 dev eth1 nodad
expect "and is ready when the director gets an address" eventually 5 is ready state fd00:3::1
finish

#!/bin/bash
# Routes to VIPs follow them up and down, whoever interferes, over kills and restarts, and end with --unload; maintenance and
# standby take them out; gratuitous frames tell the segment who is there.
# suite: 30 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/announced.sh

forgets() { host router ip neigh flush dev director0; }
again() { # what the kernel forgot with the interface
	address director eth0 10.2.0.10/24 fd00:2::a/64
	gateway director eth0 10.2.0.254 fd00:2::fe
}
killed() { { stop halfproxyd KILL; } 2>/dev/null; }

rig_up l2 || exit 1
for vip in "$RIG_VIP4" "$RIG_VIP6"; do backend_up 1 "$vip" l2 >/dev/null || exit 1; done
web_up 1 "$RIG_VIP4" || exit 1
RIG_INTERFACES="eth0, eth1" RIG_LIMITS="{services: 8000, slots: 200000}"
file
need "halfproxyd runs" director_up

# ---- up and down --------------------------------------------------------------------------------------------------
expect "VIPs that are up have their routes, by the first interface" soon "$(both eth0)"
expect_text "unicast, of the link, by nobody's address" "10.2.0.1 dev eth0 proto 217 scope link" \
	host director ip -d route show table $TABLE
expect_equal "status says how many of how many" "active false eth0 3 2 2 2" \
	"$(hp status --json | jq -r '.announce | [.role, .maintenance, .interface, .vips, .up, .routes.wanted, .routes.there] | join(" ")')"
expect_text "also in words" "routes: 2 of 3 VIPs, in table $TABLE by eth0" hp status
expect_equal "and at each service" "$RIG_VIP4,$RIG_VIP6," "$(hp status --json | jq -r '[.services[].announced_vips[0]] | join(",")')"
expect_not "no rule leads this host's packets there" host director sh -c "ip rule | grep $TABLE"
host director ip addr del 10.3.0.10/24 dev eth1
host director ip route add 10.3.0.0/24 via 10.2.0.254 # which l2 refuses
expect "the route of a VIP that loses its backends goes" soon "$RIG_VIP6 eth0"
host director ip route del 10.3.0.0/24
host director ip addr add 10.3.0.10/24 dev eth1
expect "and comes with them" soon "$(both eth0)"

# ---- interference -------------------------------------------------------------------------------------------------
host director ip route add 10.9.9.0/24 dev eth1 table $TABLE
host director ip route flush table $TABLE proto 217
host director ip -6 route flush table $TABLE
expect "what somebody takes out is put in again" soon "$(both eth0)"
host director ip route replace "$RIG_VIP4" dev eth1 table $TABLE proto static
expect "what somebody replaces as well" soon "$(both eth0)"
host director ip route add 10.2.0.66/32 dev eth0 table $TABLE proto 217
expect "what nobody wants is taken out" soon "$(both eth0)"
expect_text "what is not ours stays" 10.9.9.0/24 host director ip route show table $TABLE
host director ip link set eth0 down
expect "routes go to another interface when theirs is down" soon "$(both eth1)"
host director ip link set eth0 up
again 2>/dev/null
expect "and back when it is up" soon "$(both eth0)"
host director sh -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6'
expect "without IPv6 on it those of IPv4 are there" soon "$RIG_VIP4 eth0"
expect "and the log says what is wrong" eventually 3 is_told 'announce_failed error="route to fd00:2::1 by eth0 in table 248: .*IPv6 is disabled'
expect_text "and status" "not announced: route to fd00:2::1" hp status
host director sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6'
expect "which is mended by itself" soon "$(both eth0)"
again 2>/dev/null

# ---- the table ----------------------------------------------------------------------------------------------------
reload "{table: 100}"
expect "another table gets the routes" soon "$(both eth0)" 100
expect "and the former one is left" has_routes "" $TABLE
reload "{table: none}"
expect "with none there are no routes" soon "" 100
expect "anywhere" has_routes "" all
reload
expect "the usual one has them again" soon "$(both eth0)"

# ---- kills, restarts ------------------------------------------------------------------------------------------------
killed
expect "routes outlive the daemon" has_routes "$(both eth0)"
expect "and the web answers" web_get "$RIG_VIP4" ""
host director ip route add 10.2.0.66/32 dev eth0 table $TABLE proto 217
host director ip route add 10.2.0.67/32 dev eth0 table 100 proto 217
serve director monitor ip monitor route
sleep 0.3
need "another daemon runs" director_up
expect "and takes out what it does not want, in any table" eventually 3 has_routes "$(both eth0)" all
sleep 0.5
stop monitor
expect_equal "and nothing else" "10.2.0.66 10.2.0.67" \
	"$(grep '^Deleted' "$RIG_DIR/monitor.log" | grep 'proto 217' | cut -d ' ' -f 2 | sort | paste -sd ' ')"

# ---- maintenance ----------------------------------------------------------------------------------------------------
expect_text "maintenance says what it does" "in maintenance: no routes" hp maintenance on
expect "the routes are gone" soon ""
forgets
expect "who comes is served, and the VIP's MAC address told" web_get "$RIG_VIP4" ""
expect "also by ping" pings "$RIG_VIP4"
expect_text "status says so" "maintenance: no VIP is announced" hp status
killed
need "another daemon runs" director_up
sleep 0.5
expect "it goes on with the maintenance" has_routes ""
expect_equal "and says so" true "$(announce maintenance)"
expect_text "waiting ends when no packets come" "no packets come any more" hp maintenance on --wait
expect_text "off and waiting ends when the routes are there" "2 of 2 VIPs are announced" hp maintenance off --wait
expect "which is so" has_routes "$(both eth0)"
refuses "maintenance takes on or off" "on or off, not \"maybe\"" hp maintenance maybe
expect_equal "the API wants a truth value" 400 "$(host director curl -s -o /dev/null -w '%{http_code}' --unix-socket \
	"$HALFPROXY_SOCKET" -d '{"on": "yes"}' http://localhost/v1/maintenance)"
expect_equal "and a role that there is" 400 "$(host director curl -s -o /dev/null -w '%{http_code}' --unix-socket \
	"$HALFPROXY_SOCKET" -d '{"role": "master"}' http://localhost/v1/role)"

# ---- standby and active ---------------------------------------------------------------------------------------------
expect_text "standby says what it does" "standby: ARP, ND and ping" hp standby
expect "a standby announces nothing" soon ""
expect_not "and answers no ping" pings "$RIG_VIP4"
expect_not "of IPv6 neither" pings "$RIG_VIP6"
forgets
expect_not "nor asks for the VIP's MAC address" web_get "$RIG_VIP4" "" --max-time 2
expect_text "status says so" "standby: another director answers" hp status
killed
need "another daemon runs" director_up
sleep 0.5
expect_equal "it goes on as a standby" "standby " "$(announce role) $(routes)"
expect_not "and answers no ping either" pings "$RIG_VIP4"
capture router director0 told "arp or (icmp6 and ip6[40] == 136)"
expect_text "active says what it does" "active: 2 of 3 VIPs are up" hp active
expect "an active one answers at once" pings "$RIG_VIP4"
expect "and announces" soon "$(both eth0)"
sleep 3.5
captures_end
frames() { tshark -r "$RIG_DIR/told.pcap" -Y "$1" 2>/dev/null | wc -l; }
mac=$(host director ip -o link show eth0 | grep -oP "link/ether \K[^ ]+")
about="arp.src.proto_ipv4 == $RIG_VIP4 && arp.dst.proto_ipv4 == $RIG_VIP4 && eth.dst == ff:ff:ff:ff:ff:ff && arp.src.hw_mac == $mac"
expect_equal "the segment was told three times by ARP requests" 3 "$(frames "$about && arp.opcode == 1")"
expect_equal "and replies" 3 "$(frames "$about && arp.opcode == 2")"
expect_equal "and by advertisements that override" 3 "$(frames "icmpv6.nd.na.target_address == $RIG_VIP6 && ipv6.dst == ff02::1 &&
	eth.dst == 33:33:00:00:00:01 && icmpv6.nd.na.flag.o == 1 && icmpv6.nd.na.flag.s == 0 && icmpv6.opt.linkaddr == $mac &&
	icmpv6.checksum.status == 1 && ipv6.hlim == 255")"
expect_equal "of no other VIP" 0 "$(frames "arp.src.proto_ipv4 == $RIG_VIP_LONE")"
expect_equal "tshark finds nothing malformed" "" "$(malformed told "arp || icmpv6")"

reload "{refresh: 1s}"
sleep 1.2 # what was told before
capture router director0 told arp
sleep 3.5
captures_end
expect "and it is told again each announce.refresh: $(frames "$about && arp.opcode == 1") times in 3.5 s" \
	[ "$(frames "$about && arp.opcode == 1")" -ge 2 -a "$(frames "$about && arp.opcode == 1")" -le 4 ]

# ---- many VIPs --------------------------------------------------------------------------------------------------------
many() {
	local n
	file "{refresh: 0}"
	for ((n = 0; n < 3000; n++)); do
		echo "  - {vip: 10.4.$((n / 250)).$((n % 250)), port: 80, forward: l2, slots: 1009, backends: [10.3.0.1]}"
	done >>"$RIG_DIR/halfproxy.yaml"
	hp reload >/dev/null
}
count() { [ "$(host director ip route show table "$TABLE" proto 217 | wc -l)" = "$1" ]; }
need "3000 VIPs more are served" many
expect "and have routes" eventually 5 count 3001
host director ip route flush table $TABLE proto 217
expect "also when somebody takes them all out" eventually 5 count 3001
hp standby >/dev/null
expect "a standby has none" eventually 5 count 0
capture router director0 told "arp and arp[6:2] == 1"
told() { tshark -r "$RIG_DIR/told.pcap" -T fields -e arp.src.proto_ipv4 2>/dev/null | grep '^10\.4\.' | sort -u | wc -l; }
told_all() { [ "$(told)" = 3000 ]; }
hp active >/dev/null
expect "the segment is told of all" eventually 8 told_all
captures_end
most=$(tshark -r "$RIG_DIR/told.pcap" -T fields -e frame.time_epoch 2>/dev/null | cut -c 1-12 | sort | uniq -c | sort -rn |
	awk 'NR == 1 { print $1 }')
expect "with at most $most requests in a tenth of a second" [ "$most" -le 750 ]
expect "and they have their routes again" eventually 5 count 3001
reload
expect "those that are no longer served have none" eventually 5 count 1

# ---- the end -----------------------------------------------------------------------------------------------------------
stop halfproxyd TERM
expect "routes outlive a clean end" has_routes "$(both eth0)"
expect "unload" unload
expect "takes them away" has_routes "" all
expect_text "and nothing that is not ours" 10.9.9.0/24 host director ip route show table $TABLE
file "{start: standby}"
need "a fresh start" director_up
is_up() { [ "$(announce up)" = 2 ]; }
need "its backends are ready" eventually 5 is_up
expect_equal "is what the file says" "standby " "$(announce role) $(routes)"
expect_not "and answers nobody" pings "$RIG_VIP4"
file "{start: active}"
hp reload >/dev/null
expect_equal "which counts at the start alone" standby "$(announce role)"
finish

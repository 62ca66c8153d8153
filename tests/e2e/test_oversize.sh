#!/bin/bash
# Packets that are longer than the path to their backend takes: uploads arrive through links of 1280, 1400 and 1500 bytes, since
# the director learns what routers tell it by ICMP and tells clients. Where ICMP is kept from clients, the backend's MSS saves
# uploads. What was learned is shown, lives through a reload, and is over after a while.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

learned() { hp status --json | jq -r '[.services[].backends[] | select(.source) | .path_mtu.mtu // 0] | max'; }
is_learned() { [ "$(learned)" = "$1" ]; }
counted() { hp status --json | jq ".verdicts.$1.count // 0"; }

# What the client was told before is forgotten.
anew() {
	host client ip route flush cache
	host client ip -6 route flush cache
}

# upload SENTENCE VIP [SECONDS]
upload() {
	rm -rf "$RIG_DIR/web1/www/put"
	host client curl -sf --max-time "${2:-15}" -o /dev/null -T "$RIG_DIR/upload" "http://$(url_host "$1")/put/it"
	cmp "$RIG_DIR/upload" "$RIG_DIR/web1/www/put/it"
}

path_mtu() { # VIP: as the client finds it
	host client tracepath -n -p 9 -m 8 "$1" | sed -n 's/.*[Rr]esume: pmtu \([0-9]*\).*/\1/p'
}

# try FORWARD VIP OVERHEAD
try() {
	local family=4 sender=10.2.0.10 link
	[[ $2 != *:* ]] || family=6 sender=fd00:2::a
	rig_up "$1" 1 || exit 1
	head -c 300000 /dev/urandom >"$RIG_DIR/upload"
	backend_up 1 "$2" "$1" ${sender:+"$sender"} >/dev/null || exit 1
	web_up 1 "$2" || exit 1
	{
		service web "$2" tcp 80 "$1" "$(backend_address 1 $family)"
		service any "$2" udp any "$1" "$(backend_address 1 $family)"
	} | director_file
	need "$1, $2: halfproxyd runs" director_up
	need "the backends are ready" eventually 10 all_ready
	expect_equal "tracepath: the way takes what the tunnel leaves" $((1500 - $3)) "$(path_mtu "$2")"
	expect "an upload arrives" upload "$2"
	expect_equal "nothing was learned" 0 "$(learned)"
	for link in 1400 1280; do
		[ $family$link != 61280 ] || continue # no IPv6 path is as narrow as a tunnel over that
		host router ip link set backend0 mtu $link
		anew
		expect "a link of $link bytes: an upload arrives" upload "$2"
		expect "the director has learned it" is_learned $link
		expect "and told the client" [ "$(counted TOO_BIG_TOLD)" -gt 0 ]
		expect_text "which knows" "mtu $((link - $3))" host client ip route get "$2"
		expect_equal "tracepath: as much" $((link - $3)) "$(path_mtu "$2")"
		expect_text "status names the router" "path takes $link bytes, learned" hp status
	done
	[ "$1$family" != ipip4 ] || more "$2"
	rig_down
}

uploads_teach() { # VIP
	anew
	upload "$1" && grep -q "path_mtu_learned .* mtu=1400 was=1500" "$RIG_DIR/halfproxyd.log"
}

# What is the same for all is tried once.
more() { # VIP
	expect "a reload" hp reload
	expect "changes nothing" is_learned 1280
	expect_text "the log has it" "path_mtu_learned backend=10.3.0.1 mtu=1280 was=1400 from=10.2.0.254 for_s=600" \
		cat "$RIG_DIR/halfproxyd.log"
	expect_text "the doctor names the cause" PATH_MTU hp doctor

	# ICMP is kept from the client.
	host client nft "add table inet keep; add chain inet keep in {type filter hook input priority 0;};
		add rule inet keep in icmp type destination-unreachable drop"
	anew
	expect_not "without ICMP an upload hangs" upload "$1" 2
	host backend1 "$BUILD/halfproxy-backend" up --mtu 1280 >/dev/null
	expect "but for a backend that was told of the MTU" upload "$1"
	host client nft delete table inet keep

	# It is over after a while.
	stop halfproxyd
	host director sh -c "echo 2 >/proc/sys/net/ipv4/route/mtu_expires"
	need "halfproxyd runs again" director_up
	need "the backends are ready" eventually 10 all_ready
	host router ip link set backend0 mtu 1400
	host backend1 "$BUILD/halfproxy-backend" up --mtu 1500 >/dev/null
	expect "uploads arrive, and what a new start did not know is learned" eventually 20 uploads_teach "$1"
	expect "and over" eventually 10 grep -q path_mtu_over "$RIG_DIR/halfproxyd.log"
	expect "so that the route's MTU holds" eventually 5 is_learned 0
}

try ipip $RIG_VIP4 20
try ipip $RIG_VIP6 40
try gue $RIG_VIP6 52

# l2: the director's own leg is narrower.
rig_up l2 1 || exit 1
head -c 300000 /dev/urandom >"$RIG_DIR/upload"
for vip in $RIG_VIP4 $RIG_VIP6; do
	backend_up 1 "$vip" l2 >/dev/null || exit 1
done
web_up 1 $RIG_VIP4 || exit 1
service web $RIG_VIP4 tcp 80 l2 10.3.0.1 | director_file
need "l2: halfproxyd runs" director_up
need "the backend is ready" eventually 10 all_ready
host director ip link set eth1 mtu 1300
is_narrow() { hp status --json | jq -e '.services[0].backends[0].mtu == 1300'; }
need "which is known" eventually 5 is_narrow
expect "an upload arrives by a leg of 1300 bytes" upload $RIG_VIP4
expect_text "the client was told" "mtu 1300" host client ip route get $RIG_VIP4
finish

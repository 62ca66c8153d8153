#!/bin/bash
# What is not the flow itself: ping, ARP and ND for a VIP, and path MTU discovery through the director.
# suite: 50 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

counted() { hp status --json | jq ".verdicts.$1.count // 0"; }

# What the router learns when it asks for the VIP's MAC address.
asked() {
	host router ip neigh flush dev director0
	host router ip neigh replace "$1" dev director0 nud none use
	sleep 1
	host router ip -o neigh show "$1" dev director0 | sed -n 's/.* lladdr \([0-9a-f:]*\) .*/\1/p'
}

answers() { # VIP: while the service is up
	local mac
	mac=$(host director ip -o link show eth0 | sed -n 's/.*ether \([0-9a-f:]*\).*/\1/p')
	expect_equal "who has $1: the director's MAC" "$mac" "$(asked "$1")"
	expect "ping $1 is answered" host client ping -c 2 -i 0.2 -W 2 "$1"
	expect "ping $1 with 1400 bytes is answered whole" host client ping -c 2 -i 0.2 -W 2 -s 1400 "$1"
}

# The router's cable to the client takes less than the backends send, and the client does not know.
path_mtu() { # VIP FORWARD
	local n before
	host router ip link set client0 mtu 1300
	before=$(counted ICMP_FORWARDED)
	for n in 1 2 3 4; do
		web_get "$1" file >"$RIG_DIR/got"
		expect "$2: a file arrives from $1 behind a smaller cable ($n)" cmp "$RIG_DIR/got" "$RIG_DIR/file"
	done
	expect "$2: the director passed the errors on" [ "$(counted ICMP_FORWARDED)" -gt "$before" ]
	for n in 1 2; do
		[ "$(grep -c 'GET /file' "$RIG_DIR/web$n/access.log")" -gt 0 ] || continue
		expect_text "$2: backend $n learned the path MTU" "mtu 1300" host "backend$n" ip route get \
			"$([[ $1 = *:* ]] && echo fd00:1::1 || echo 192.168.1.1)" from "$1"
	done
}

for forward in l2 ipip gue; do
	for vip in "$RIG_VIP4" "$RIG_VIP6"; do
		family=4 sender=10.2.0.10
		[[ $vip != *:* ]] || family=6 sender=fd00:2::a
		[ $forward != l2 ] || sender=
		rig_up $forward 2 || exit 1
		for n in 1 2; do
			backend_up $n "$vip" $forward ${sender:+"$sender"} >/dev/null || exit 1
			web_up $n "$vip" || exit 1
		done
		service web "$vip" tcp 80 $forward "$(backend_address 1 $family)" "$(backend_address 2 $family)" | director_file
		need "halfproxyd runs" director_up
		need "the backends are ready" eventually 10 all_ready
		[ $forward != l2 ] || answers "$vip"
		path_mtu "$vip" $forward
		if [ $forward = l2 ]; then
			sed -i 's/^interfaces:.*/interfaces: [{name: eth0, announce: none}]/' "$RIG_DIR/halfproxy.yaml"
			expect "announce: none is taken over" hp reload
			expect_equal "who has $vip with announce: none: nobody" "" "$(asked "$vip")"
			expect_equal "and an address of no service: nobody" "" "$(asked "${vip}9")"
		fi
		rig_down
	done
done
finish

#!/bin/bash
# halfproxy-backend up: all methods, both families, several VIPs, and nothing at all the second time.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/backend.sh

on_lo() { host backend1 ip -o address show dev lo | grep -F " $1 "; }
source_towards() { host backend1 ip -json route get "$1" | jq -r '.[0].prefsrc'; }
ready() { # SENTENCE: status finds all right
	expect "$1" agent status
}

# ---- each method and family by itself -------------------------------------------------------------------------------
rig_up l2 || exit 1
for vip in "$RIG_VIP4" "$RIG_VIP6"; do
	for forward in l2 ipip gue; do
		name="$forward $vip"
		from=()
		[ $forward = l2 ] || from=(--from 10.2.0.10 fd00:2::a)
		need "$name: up" agent up --vip "$vip" --forward "$forward" "${from[@]}" --interface eth0
		expect "$name: the VIP is on lo, as a host's address" on_lo "$vip/$([[ $vip = *:* ]] && echo 128 || echo 32)"
		ready "$name: status finds all right"
		expect_equal "$name: programs are there for tunnels only" "$([ $forward = l2 ] || echo hp_decap)" \
			"$(host backend1 bpftool --json net show | jq -r '.[0].xdp[].id' | while read -r id; do
				bpftool --json prog show id "$id" | jq -r .name; done)"
		snapshot >"$RIG_DIR/first"
		expect_equal "$name: up again says nothing" "" \
			"$(agent up --vip "$vip" --forward "$forward" "${from[@]}" --interface eth0 2>&1)"
		expect "$name: and changes nothing" diff "$RIG_DIR/first" <(snapshot)
		expect_equal "$name: up alone says nothing either" "" "$(agent up 2>&1)"
		expect "$name: and changes nothing" diff "$RIG_DIR/first" <(snapshot)
		need "$name: down" agent down
	done
done
expect_text "down without anything set up says so" "nothing is set up here" agent down

# ---- several VIPs and both methods on one host ----------------------------------------------------------------------
need "two VIPs by l2" agent up --vip 10.2.0.1 fd00:2::1 --interface eth0
need "three more by tunnels" agent up --vip 10.2.0.2 --vip fd00:2::2 10.2.0.3 --forward=ipip --from 10.2.0.10
for vip in 10.2.0.1/32 10.2.0.2/32 10.2.0.3/32 fd00:2::1/128 fd00:2::2/128; do
	expect "of several VIPs, $vip is on lo" on_lo $vip
done
ready "status finds all five right"
need "one VIP comes by both" agent up --vip 10.2.0.1 --forward l2 --forward ipip --from 10.2.0.0/28
expect_text "status shows both" "10.2.0.1 is on lo, by l2 and ipip" agent status
expect_text "status shows every sender" "10.2.0.10/32, 10.2.0.0/28" agent status
expect_text "an IPv4 outer header takes 20 bytes off the MSS" "at most 1440 (IPv4) and 1420 (IPv6)" agent status
need "an IPv6 sender" agent up --vip 10.2.0.3 --forward ipip --from fd00:2::a
expect_text "an IPv6 outer header takes 40 bytes off" "at most 1420 (IPv4) and 1400 (IPv6)" agent status
need "a path with a smaller MTU" agent up --vip 10.2.0.3 --forward ipip --from fd00:2::a --mtu 1400
expect_text "the path's MTU counts when it is smaller" "at most 1320 (IPv4) and 1300 (IPv6)" agent status
ready "status finds it right"
need "one VIP by gue" agent up --vip 10.2.0.3 --forward gue --from fd00:2::a
expect_text "GUE with a second chance takes 32 more" "at most 1288 (IPv4) and 1268 (IPv6)" agent status
expect_text "status shows both" "10.2.0.3 is on lo, by ipip and gue" agent status
ready "status finds it right"
need "and by gre with a key" agent up --vip 10.2.0.3 --forward gre --from fd00:2::a --gre-key 77
expect_text "status shows all three" "10.2.0.3 is on lo, by ipip and gue and gre" agent status
expect_text "and the key" "the key of gre is 77" agent status
ready "status finds it right"

# ---- the host itself is not led astray ------------------------------------------------------------------------------
expect_equal "the host's own IPv4 connections do not come from a VIP" 10.3.0.1 "$(source_towards 192.168.1.1)"
expect_equal "nor on its own segment" 10.3.0.1 "$(source_towards 10.3.0.254)"
expect_equal "nor its IPv6 connections" fd00:3::1 "$(source_towards fd00:1::1)"

# ---- one of several goes --------------------------------------------------------------------------------------------
need "down of one" agent down --vip fd00:2::2
expect_not "its address is gone" on_lo fd00:2::2/128
for vip in 10.2.0.1/32 10.2.0.2/32 10.2.0.3/32 fd00:2::1/128; do expect "$vip stays" on_lo $vip; done
ready "status finds the rest right"
expect_text "what is not set up is not taken down" "VIP 10.9.9.9 is not set up here" agent down --vip 10.2.0.1 10.9.9.9
expect "nor what is named beside it" on_lo 10.2.0.1/32
need "down of all that come by tunnels" agent down --vip 10.2.0.1 10.2.0.2 10.2.0.3
expect_equal "no program is left" '[]' "$(host backend1 bpftool --json net show | jq -c '.[0].xdp')"
expect_equal "the sysctls stay while a VIP does" 1 "$(setting ipv4/conf/all/arp_ignore)"
need "tunnels for one director" agent up --vip 10.2.0.2 --forward ipip --from 10.2.0.77
expect_text "senders of another day are forgotten" "for senders 10.2.0.77/32" agent status
expect_not "all of them" sh -c "$(declare -f host agent); RIG=$RIG BUILD=$BUILD agent status | grep -F 10.2.0.10/32"

# ---- many at once --------------------------------------------------------------------------------------------------
need "down" agent down
pids=()
for n in 1 2 3 4 5 6; do
	agent up --vip 10.2.0.$n fd00:2::$n --forward ipip --from 10.2.0.10 --interface eth0 >/dev/null &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid"
	expect_equal "one of six at once goes up" 0 $?
done
expect_equal "not one VIP is forgotten" 12 "$(agent status --json | jq '[.[] | select(.item == "vip" and .ok)] | length')"
ready "status finds all right"

# ---- the interface ---------------------------------------------------------------------------------------------------
need "down" agent down
expect_text "without --interface it is found by the sender's route" "tunnels on eth0" \
	agent up --vip 10.2.0.2 --forward ipip --from 10.2.0.10
need "down" agent down
host backend1 ip link set eth0 down
need "up before the interface is up" agent up --vip 10.2.0.2 --forward ipip --from 10.2.0.10 --interface eth0
expect_text "status says that it is down" "packets arrive by eth0, MTU 1500, down" agent status
need "down" agent down
finish

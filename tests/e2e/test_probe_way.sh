#!/bin/bash
# A socket of the director that bears a backend's mark reaches that backend and no other, by the service's method, and is
# answered by the VIP: small and large uploads, with checksums left to the card and without, strict reverse path filtering on.
# What bears no mark is dropped. Two directors do not disturb each other.
# suite: 30 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/marked.sh

CHECKED=(-o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE -o udp.ignore_ipv6_zero_checksum:TRUE
	-o tcp.analyze_sequence_numbers:FALSE -o tcp.desegment_tcp_streams:FALSE -X "lua_script:$RIG_ROOT/rig/gue.lua")
WRONG='_ws.malformed || _ws.short || ip.checksum.status == "Bad" || tcp.checksum.status == "Bad" ||
	udp.checksum.status == "Bad" || ip.bogus_ip_length || ipv6.plen_exceeds_framing'
seen() { tshark -n -r "$RIG_DIR/probes.pcap" "${CHECKED[@]}" "$@" 2>/dev/null; }

# What tshark says of what left the director for the backends, by their segment.
judge() { # FORWARD
	local pattern
	case $1 in
	l2) pattern="eth.src == $(host director ip -j link show eth1 | jq -r '.[0].address') &&
		(ip.dst == $RIG_VIP4 || ipv6.dst == $RIG_VIP6)" ;;
	ipip) pattern="(ip.proto == 4 && ip.src == 10.2.0.10) || (ipv6.nxt == 41 && ipv6.src == fd00:2::a)" ;;
	gue) pattern="gue && (ip.src == 10.2.0.10 || ipv6.src == fd00:2::a)" ;;
	esac
	expect "$1: tshark has seen the probes" [ "$(seen -Y "$pattern" | wc -l)" -gt 100 ]
	expect_equal "$1: and nothing malformed or with a wrong checksum" "" "$(seen -Y "($pattern) && ($WRONG)" | head -n 5)"
	expect_equal "$1: nothing longer than the path takes" "" "$(seen -Y "frame.len > 1514" | head -n 5)"
}

# Give the card its work back. A veth whose far end has an XDP program that sees frames alone is given no more than those.
offload() { # FORWARD
	PORT=eth0
	host router ip link set dev director0 xdpdrv off
	if [ "$1" = l2 ]; then
		PORT=eth1
		host switch ip link set dev p-director xdpdrv off
	fi
	for port in eth0 $PORT; do host director ethtool -K "$port" tx on tso on gso on >/dev/null; done
}

for forward in l2 ipip gue; do
	rig_up $forward 2 || exit 1
	host director sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter'
	host router ip route add $ROUTED via 10.2.0.10
	for n in 1 2; do need "$forward: backend$n is one" both_up $n $forward; done
	services $forward | director_file
	need "$forward: halfproxyd runs" director_up
	need "$forward: the backends are ready" eventually 10 all_ready
	if [ $forward = l2 ]; then capture switch p-director probes; else capture router director0 probes; fi
	reach_each "$forward"
	captures_end
	judge $forward
	offload $forward
	expect_equal "$forward: segments and checksums are left to the card now" "on on" "$(host director ethtool -k "$PORT" |
		sed -n 's/^\(tcp-segmentation-offload\|tx-checksumming\): //p' | xargs)"
	reach_each "$forward, offload on"
	SENT=$(count SENT)
	marked $RIG_VIP4 1 100000 >/dev/null
	expect "$forward, offload on: 100 KB are a few large packets" [ $(($(count SENT) - SENT)) -lt 40 ]
	expect "$forward: probes were counted as sent" [ "$(count SENT)" -gt 100 ]
	expect_equal "$forward: and none dropped" 0 "$(hp status --json |
		jq '[.probe_way.events | to_entries[] | select(.key != "SENT" and .key != "UNMARKED") | .value.count] | add')"
	expect_equal "$forward: no service has counted any" 0 "$(hp status --json | jq '[.services[].packets] | add')"
	capture router director0 unmarked "host $ROUTED and not arp"
	refuses "$forward: what bears no mark gets no answer" "" host director curl -sS --max-time 1 "http://$ROUTED/"
	captures_end
	expect "$forward: it was dropped, and counted" [ "$(count UNMARKED)" -ge 1 ]
	expect_equal "$forward: and nobody has seen it" "" "$(packets unmarked)"
	[ $forward = gue ] || rig_down
done

# ---- two directors ----------------------------------------------------------------------------------------------------
rig_second gue $RIG_VIP4 $RIG_VIP6
services gue | second director_file
need "the second director runs" second director_up
need "its backends are ready" second eventually 10 all_ready
ahead() { for _ in 1 2 3 4 5 6; do marked $RIG_VIP4 1 100000 && marked $RIG_VIP6 2 100000 || return 1; done; }
ahead >"$RIG_DIR/first" 2>&1 &
FIRST=$!
expect "the second director's probes reach their backends" second ahead
wait $FIRST
expect_equal "and so do the first one's meanwhile" 0 $?
expect_equal "each of them the one that was named" "6 6" \
	"$(grep -o 'backend1' "$RIG_DIR/first" | wc -l) $(grep -o 'backend2' "$RIG_DIR/first" | wc -l)"
second stop halfproxyd2
need "it is taken away" host director2 "$BUILD/halfproxyd" --unload --pins "${RIG_PINS}2" --state "$RIG_DIR/state2"
finish

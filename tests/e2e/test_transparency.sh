#!/bin/bash
# What the backend's stack gets is byte for byte what the client sent: TCP with full segments, UDP of many sizes, odd headers.
#
# The router between client and director is the one that may touch a packet: TTL or hop limit and, in IPv4, the header's
# checksum. So frames entering the director are compared whole, and those of the client with these bytes blanked.
# suite: 50 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/facts.sh

# IP packets in hexadecimal, less what a router changes.
blank_hop() { sed -E 's/^(4.{15})..(..)..../\1__\2____/; s/^(6.{13})../\1__/' | sort; }

# Odd but valid packets: IP options, traffic class, identification, flow label, extension headers, TCP flags and options.
odd_packets() {
	host client /usr/bin/python3 - "$VIP" <<-'END'
		import sys
		from scapy.all import (IP, IPv6, TCP, UDP, Ether, IPOption, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, PadN, Raw,
		                       getmacbyip, getmacbyip6, sendp)
		vip = sys.argv[1]
		if ':' in vip:
		    gateway = getmacbyip6(vip)
		    heads = [IPv6(dst=vip, tc=0xb8, fl=0x12345), IPv6(dst=vip) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b'1234')]),
		             IPv6(dst=vip, hlim=9)]
		else:
		    gateway = getmacbyip(vip)
		    heads = [IP(dst=vip, tos=0xb8, id=0xbeef), IP(dst=vip, flags='DF', options=IPOption(b'\x01' * 8)),
		             IP(dst=vip, ttl=9, id=7), IP(dst=vip, options=IPOption(b'\x01' * 40))]
		for number, head in enumerate(heads):
		    port = 50000 + number
		    for body in (UDP(sport=port, dport=9000) / Raw(b'odd'), UDP(sport=port, dport=9000),
		                 UDP(sport=port, dport=9000, chksum=0x1234) / Raw(b'wrong checksum'),
		                 TCP(sport=port, dport=80, flags='FPU', seq=1, options=[('NOP', None)] * 40),
		                 TCP(sport=port, dport=80, flags='S', seq=2, options=[('MSS', 536), ('Timestamp', (1, 0))]),
		                 TCP(sport=port, dport=80, flags='R', seq=3) / Raw(b'reset')):
		        sendp(Ether(dst=gateway) / head / body, iface='eth0', verbose=False)
	END
}

udp_sizes() {
	host client /usr/bin/python3 - "$VIP" "$((1500 - FACT_OUTER_MOST))" <<-'END'
		import socket, sys
		family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
		most = int(sys.argv[2]) - (48 if family == socket.AF_INET6 else 28)
		s = socket.socket(family, socket.SOCK_DGRAM)
		for size in [0, 1, 2, 17, 18, 19, 100, 511, 512, 1000, 1399, most - 1, most]:
		    s.sendto(bytes(i % 251 for i in range(size)), (sys.argv[1], 9000))
	END
}

compare() { # NAME
	local sent
	facts_frames client 0 "src host $FACT_CLIENT and dst host $FACT_VIP and not icmp and not icmp6" | blank_hop >"$RIG_DIR/sent"
	facts_frames backend 0 "src host $FACT_CLIENT and dst host $FACT_VIP and not icmp and not icmp6" >"$RIG_DIR/accepted"
	facts_frames front 0 "ether dst $(mac director eth0) and src host $FACT_CLIENT and dst host $FACT_VIP" >"$RIG_DIR/entered"
	sent=$(wc -l <"$RIG_DIR/sent")
	expect "$1: the client sent enough to compare: $sent packets" [ "$sent" -gt 30 ]
	expect "$1: full segments were among them" grep -qE '^.{2400,}$' "$RIG_DIR/sent"
	expect "$1: the backend got what entered the director" diff "$RIG_DIR/entered" "$RIG_DIR/accepted"
	expect "$1: and what the client sent, but for the router's hop" diff "$RIG_DIR/sent" <(blank_hop <"$RIG_DIR/accepted")
}

# tshark, which knows nothing of us, judges what leaves the director: sound headers, nothing malformed.
judge() { # NAME
	local leg=front filter
	filter="eth.src == $(mac director eth0)"
	[ "$forward" != l2 ] || { leg=back filter="eth.src == $(mac director eth1)"; }
	expect_equal "$1: tshark finds no wrong checksum of an IP header" "" "$(tshark -r "$RIG_DIR/$leg.pcap" -o ip.check_checksum:TRUE \
		-Y "$filter && ip.checksum.status == \"Bad\"" 2>/dev/null)"
	expect_equal "$1: tshark finds nothing malformed" "" "$(malformed $leg "$filter")"
	case $forward$family in
	ipip4) filter+=" && ip.proto == 4" ;;
	ipip6) filter+=" && ipv6.nxt == 41" ;;
	gre*) filter+=" && gre.flags_and_version == 0" ;;
	gue*) filter+=" && gue.form == 0 && udp.checksum == 0" ;;
	esac
	[ "$forward" = l2 ] || expect "$1: tshark reads the tunnel" test "$(tshark -X lua_script:rig/gue.lua -r "$RIG_DIR/front.pcap" \
		-Y "$filter" 2>/dev/null | wc -l)" -gt 30
}

for forward in l2 ipip gue gre; do
	for family in 4 6; do
		VIP=$RIG_VIP4 sender=10.2.0.10 FACT_OUTER_MOST=20
		[ $family = 4 ] || VIP=$RIG_VIP6 sender=fd00:2::a FACT_OUTER_MOST=40
		[ $forward != gue ] || FACT_OUTER_MOST=$((FACT_OUTER_MOST + 12))
		[ $forward != gre ] || FACT_OUTER_MOST=$((FACT_OUTER_MOST + 4))
		[ $forward != l2 ] || sender='' FACT_OUTER_MOST=0
		rig_up $forward || exit 1
		backend_up 1 "$VIP" $forward ${sender:+"$sender"} >/dev/null || exit 1
		web_up 1 "$VIP" || exit 1
		{
			service web "$VIP" tcp 80 $forward "$(backend_address 1 $family)"
			service sink "$VIP" udp any $forward "$(backend_address 1 $family)"
		} | director_file
		need "halfproxyd runs" director_up
		need "the backend is ready" eventually 10 all_ready
		FACT_LEGS=front
		facts_capture "$VIP" $forward 0
		head -c 200000 "$RIG_DIR/file" >"$RIG_DIR/upload"
		expect_text "$forward IPv$family: an upload is answered" "405" \
			web_get "$VIP" "" --data-binary "@$RIG_DIR/upload" -o /dev/null -w '%{http_code}'
		udp_sizes
		odd_packets >/dev/null 2>"$RIG_DIR/scapy" || { cat "$RIG_DIR/scapy"; exit 1; }
		sleep 0.3
		captures_end
		compare "$forward IPv$family"
		judge "$forward IPv$family"
		rig_down
	done
done
finish

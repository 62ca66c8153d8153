#!/bin/bash
# tshark as an independent judge of what the data plane emits: the packet tests keep their frames, tshark reads them.
# suite: 20 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/expect.sh

RIG_DIR=$(mktemp -d)
trap 'rm -rf "$RIG_DIR"' EXIT

CHECKED=(-o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE
	-o udp.ignore_ipv6_zero_checksum:TRUE -o tcp.analyze_sequence_numbers:FALSE -X lua_script:rig/gue.lua)
WRONG='_ws.malformed || _ws.short || ip.checksum.status == "Bad" || tcp.checksum.status == "Bad" ||
	udp.checksum.status == "Bad" || icmp.checksum.status == "Bad" || icmpv6.checksum.status == "Bad" ||
	ip.bogus_ip_length || ipv6.plen_exceeds_framing || _ws.expert.severity == "Error"'

# read_frames NAME TSHARK_ARGUMENT...
read_frames() { tshark -n -r "$RIG_DIR/$1.pcap" "${CHECKED[@]}" "${@:2}" 2>/dev/null; }

# keep NAME [TSHARK_OPTION...]: run one packet test so that it keeps its frames, and judge each of them.
keep() {
	expect "packet test of $1 passes" env HP_PACKET_CAPTURES="$RIG_DIR" "${BUILD:-build}/test_packet_$1"
	expect_equal "$1: no malformed frame, no wrong checksum" "" "$(read_frames "$1" "${@:2}" -Y "$WRONG" | head -n 5)"
	expect "$1: each frame has the addresses, outer and inner, that were wanted" diff "$RIG_DIR/$1.wanted" \
		<(read_frames "$1" -T fields -e ip.src -e ip.dst -e ipv6.src -e ipv6.dst)
	read_frames "$1" -T fields -e frame.protocols -e arp.opcode -e icmp.type -e icmpv6.type >"$RIG_DIR/$1.seen"
}

# A judge that sees nothing finds nothing wrong: seen NAME LEAST PATTERN says what it has seen.
seen() {
	expect "$1: at least $2 frames are ${3//$'\t'/ }" [ "$(grep -cP "$3" "$RIG_DIR/$1.seen")" -ge "$2" ]
}

keep forward
for inner in ip ipv6; do
	for upper in tcp udp; do
		for outer in '' ip: ipv6: ip:udp:gue: ipv6:udp:gue: ip:gre: ipv6:gre:; do
			for tags in '' 'vlan:ethertype:' 'ieee8021ad:ethertype:vlan:ethertype:'; do
				seen forward 6 "^eth:ethertype:$tags$outer$inner:$upper"
			done
		done
	done
done
expect_equal "forward: GUE is of version 0, without flags or more than its first word" "" \
	"$(read_frames forward -Y 'gue && (gue.form != 0 || gue.flags != 0)' | head -n 5)"
expect_equal "forward: GRE is of version 0, with nothing but a key" "" \
	"$(read_frames forward -Y 'gre && gre.flags_and_version != 0 && gre.flags_and_version != 0x2000' | head -n 5)"
expect "forward: tshark reads its key" [ "$(read_frames forward -Y 'gre.key == 0x01020304' | wc -l)" -ge 12 ]
keep chance
for pair in ip:udp:gue:ip: ip:udp:gue:ipv6: ipv6:udp:gue:ip: ipv6:udp:gue:ipv6:; do
	for tags in '' 'vlan:ethertype:' 'ieee8021ad:ethertype:vlan:ethertype:'; do
		seen chance 12 "^eth:ethertype:$tags${pair}tcp"
	done
done
expect "chance: tshark reads second chances, fresh ones" [ "$(read_frames chance -Y 'gue.form == 5 && gue.chance.magic == "H" &&
	gue.chance.version == 1 && gue.chance.hops == 0 && gue.chance.zero == 0' | wc -l)" -gt 100 ]
expect_equal "chance: and no others" "" "$(read_frames chance -Y 'gue.form == 5 && !(gue.chance.magic == "H" &&
	gue.chance.version == 1 && gue.chance.hops == 0 && gue.chance.zero == 0)' | head -n 5)"
keep answer
seen answer 5 $'arp\t2\t'
seen answer 5 $':icmp[^\t]*\t\t0\t'
seen answer 5 $':icmpv6[^\t]*\t\t\t136'
seen answer 5 $':icmpv6[^\t]*\t\t\t129'
# What is quoted is cut short, and tshark would have its checksum be that of what is left.
keep oversize -o tcp.check_checksum:FALSE -o udp.check_checksum:FALSE
for tags in '' 'vlan:ethertype:' 'ieee8021ad:ethertype:vlan:ethertype:'; do
	seen oversize 8 "^eth:ethertype:${tags}ip:icmp:ip:tcp[^\t]*\t\t3\t"
	seen oversize 8 "^eth:ethertype:${tags}ipv6:icmpv6:ipv6:tcp[^\t]*\t\t\t2"
done

# And it must see a fault when there is one: the last frame, spoilt.
cp "$RIG_DIR/answer.pcap" "$RIG_DIR/spoilt.pcap"
printf '\xff' | dd of="$RIG_DIR/spoilt.pcap" bs=1 seek="$(($(stat -c %s "$RIG_DIR/spoilt.pcap") - 4))" conv=notrunc status=none
expect_not "a spoilt frame is noticed" [ -z "$(read_frames spoilt -Y "$WRONG")" ]
finish

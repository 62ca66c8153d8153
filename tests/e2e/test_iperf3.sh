#!/bin/bash
# Bulk traffic of iperf3: l2, ipip and gue, IPv4 and IPv6, TCP up and down, UDP. Also more than one stream at once.
# suite: 25 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh

# moves JQ-CONDITION OPTION...: run the client against the VIP, until it has moved the bytes, and judge its report.
moves() {
	local report
	report=$(host client timeout 60 iperf3 --client "$VIP" --json --connect-timeout 3000 "${@:2}")
	jq -e "$1" <<<"$report" && return 0
	jq -c '.error // .end.sum // .end' <<<"$report"
	return 1
}

# What the server's socket had no room for, as its reader got no CPU time.
overflows() {
	host backend1 nstat -asz UdpRcvbufErrors Udp6RcvbufErrors | awk '/^Udp/ { sum += $2 } END { print sum + 0 }'
}
udp_arrives() {
	local lost packets
	read -r lost packets < <(moves '"\(.end.sum.lost_packets) \(.end.sum.packets)"' --bytes 1500000 --udp --bitrate 6M \
		--length 1200 | tr -d '"')
	echo "$lost of $packets are missing, and the socket dropped $(overflows)"
	[ "$packets" -gt 1000 ] && [ $(((lost - $(overflows)) * 100)) -lt "$packets" ]
}

for forward in l2 ipip gue; do
	for family in 4 6; do
		VIP=$RIG_VIP4 sender=10.2.0.10
		[ $family = 4 ] || VIP=$RIG_VIP6 sender=fd00:2::a
		[ $forward != l2 ] || sender=
		rig_up $forward || exit 1
		need "the backend is one" backend_up 1 "$VIP" $forward ${sender:+"$sender"}
		{
			service bulk-tcp "$VIP" tcp 5201 $forward "$(backend_address 1 $family)"
			service bulk-udp "$VIP" udp 5201 $forward "$(backend_address 1 $family)"
		} | director_file
		serve backend1 iperf3 iperf3 --server --bind "$VIP"
		need "halfproxyd runs" director_up
		need "the backend is ready" eventually 10 all_ready
		expect "$forward IPv$family: TCP up moves more than 1 MB" moves '.end.sum_received.bytes > 1e6' --bytes 40M
		expect "$forward IPv$family: TCP down moves more than 1 MB" moves '.end.sum_received.bytes > 1e6' --bytes 40M --reverse
		expect "$forward IPv$family: four streams at once" moves '[.end.streams[].receiver.bytes > 1e5] | all' \
			--bytes 40M --parallel 4
		expect "$forward IPv$family: UDP loses less than 1 %" udp_arrives
		rig_down
	done
done
finish

#!/bin/bash
# Bulk traffic of iperf3: l2, ipip and gue, IPv4 and IPv6, TCP up and down, UDP. Also more than one stream at once.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh

# moves JQ-CONDITION OPTION...: run the client against the VIP, and judge its report.
moves() {
	local report
	report=$(host client timeout 20 iperf3 --client "$VIP" --json --time 2 --connect-timeout 3000 "${@:2}")
	jq -e "$1" <<<"$report" && return 0
	jq -c '.error // .end.sum // .end' <<<"$report"
	return 1
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
		expect "$forward IPv$family: TCP up moves more than 1 MB" moves '.end.sum_received.bytes > 1e6'
		expect "$forward IPv$family: TCP down moves more than 1 MB" moves '.end.sum_received.bytes > 1e6' --reverse
		expect "$forward IPv$family: four streams at once" moves '[.end.streams[].receiver.bytes > 1e5] | all' \
			--parallel 4
		expect "$forward IPv$family: UDP loses less than 1 %" \
			moves '.end.sum.packets > 1000 and .end.sum.lost_percent < 1' --udp --bitrate 6M --length 1200
		rig_down
	done
done
finish

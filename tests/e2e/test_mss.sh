#!/bin/bash
# mss: what a client's SYN advertises is lowered on its way through the director, so that downloads arrive through a link which is
# narrower than client and backend know, and of which ICMP tells nobody.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

download() { # VIP SECONDS
	host client curl -sf --max-time "$2" -o "$RIG_DIR/got" "http://$(url_host "$1")/file"
	cmp "$RIG_DIR/file" "$RIG_DIR/got"
}

# advertised VIP: the MSS in SYNs for the VIP that reached the backend, within whatever stood in front.
advertised() {
	tshark -n -r "$RIG_DIR/switch.pcap" -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.dstport == 80' \
		-T fields -e tcp.options.mss_val -o tcp.check_checksum:TRUE -e tcp.checksum.status 2>/dev/null | sort -u | tr '\t' ' '
}

# try FORWARD VIP
try() {
	local family=4 sender=10.2.0.10 backend
	[[ $2 != *:* ]] || family=6 sender=fd00:2::a
	[ "$1" != l2 ] || sender=
	backend=$(backend_address 1 $family)
	rig_up "$1" 1 || exit 1
	RIG_FILE_BYTES=400000
	backend_up 1 "$2" "$1" ${sender:+"$sender"} >/dev/null || exit 1
	web_up 1 "$2" || exit 1
	host router ip link set client0 mtu 1300
	host backend1 nft "add table inet keep; add chain inet keep in {type filter hook input priority -300;};
		add rule inet keep in icmp type destination-unreachable drop; add rule inet keep in icmpv6 type packet-too-big drop"
	service web "$2" tcp 80 "$1" "$backend" | director_file
	need "$1, $2: halfproxyd runs" director_up
	need "the backend is ready" eventually 10 all_ready
	expect_not "without ICMP a download hangs" download "$2" 2
	sed -i 's/^    port: 80$/    port: 80\n    mss: 1240/' "$RIG_DIR/halfproxy.yaml"
	expect_text "mss is a change" "mss any -> 1240" hp reload
	capture switch p-backend1 switch
	expect "with mss: 1240 it arrives" download "$2" 10
	captures_end
	expect_equal "the backend saw that MSS, with a right checksum" "1240 1" "$(advertised)"
	sed -i 's/mss: 1240/mss: auto/' "$RIG_DIR/halfproxy.yaml"
	expect_text "mss: auto is another" "mss 1240 -> auto" hp reload
	rig_down
}

try l2 $RIG_VIP4
try ipip $RIG_VIP6
finish

#!/bin/bash
# A backend's tunnels on the wire: the MSS that a VIP advertises, and jumbo frames.
# suite: 50 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/backend.sh
. rig/servers.sh

# The MSS of the SYN-ACKs that VIP sent, as captured on the backend's cable.
advertised() {
	packets "$1" "src host $2" | grep -F 'Flags [S.]' | grep -oE 'mss [0-9]+' | sort -u
}
# As the director would: a tunnelled SYN for VIP, or a UDP packet of BYTES: tunnelled OUTER-SOURCE VIP [BYTES]
tunnelled() {
	local own=10.3.0.1 client=192.168.1.1
	[[ $1 != *:* ]] || own=fd00:3::1
	[[ $2 != *:* ]] || client=fd00:1::1
	host router /usr/bin/python3 - "$1" "$own" "$client" "$2" "$MAC" "${3-}" <<-'END' 2>/dev/null
		import sys
		from scapy.all import IP, IPv6, TCP, UDP, Ether, Raw, get_if_hwaddr, sendp
		outer_from, outer_to, client, vip, mac, size = sys.argv[1:]
		inner = (IPv6 if ':' in vip else IP)(src=client, dst=vip)
		inner /= UDP(sport=4000, dport=9000) / Raw(b'x' * int(size)) if size else \
		         TCP(sport=4000, dport=80, flags='S', seq=1, options=[('MSS', 8960)])
		number = 41 if ':' in vip else 4
		outer = IPv6(src=outer_from, dst=outer_to, nh=number) if ':' in outer_from else \
		        IP(src=outer_from, dst=outer_to, proto=number)
		sendp(Ether(src=get_if_hwaddr('backend0'), dst=mac) / outer / inner, iface='backend0', verbose=False)
	END
}
listen() { # words of UDP, each by its length
	cat >"$RIG_DIR/sink.py" <<-'END'
		import socket
		s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
		s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
		s.bind(('::', 9000))
		while True:
		    print(len(s.recv(65000)), flush=True)
	END
	serve backend1 sink /usr/bin/python3 "$RIG_DIR/sink.py"
	eventually 5 host backend1 sh -c 'ss -Huln "sport = 9000" | grep -q .'
}

rig_up ipip || exit 1
MAC=$(host backend1 ip -o link show dev eth0 | sed -n 's/.*link\/ether \([0-9a-f:]*\).*/\1/p')
TUNNEL=(--forward ipip --interface eth0 --from)

# ---- the advertised MSS ----------------------------------------------------------------------------------------------
for row in "10.2.0.1 10.2.0.10 1440 4in4" "fd00:2::1 10.2.0.10 1420 6in4" "10.2.0.1 fd00:2::a 1420 4in6" \
	"fd00:2::1 fd00:2::a 1400 6in6"; do
	read -r vip sender mss pair <<<"$row"
	need "$pair: up" agent up --vip "$vip" "${TUNNEL[@]}" "$sender"
	need "$pair: nginx" web_up 1 "$vip"
	capture switch p-backend1 "mss-$pair"
	tunnelled "$sender" "$vip"
	sleep 0.3
	captures_end
	expect_equal "$pair: the VIP advertises what leaves room for the outer header" "mss $mss" "$(advertised "mss-$pair" "$vip")"
	expect_equal "$pair: tshark finds the checksum right" "" "$(tshark -r "$RIG_DIR/mss-$pair.pcap" \
		-o tcp.check_checksum:TRUE -Y "tcp.flags == 0x12 && tcp.checksum.status == \"Bad\"" 2>/dev/null)"
	expect_not "$pair: and it is counted" [ "$(counted "whose MSS was lowered")" = 0 ]
	stop nginx1 TERM
	need "$pair: down" agent down
done

# ---- as it was asked for ---------------------------------------------------------------------------------------------
# asked SENTENCE MSS OPTION...: after up with these options the VIP advertises that.
asked() {
	need "$1: up" agent up --vip 10.2.0.1 "${@:3}"
	capture switch p-backend1 asked
	if [ "$METHOD" = l2 ]; then plain; else tunnelled 10.2.0.10 10.2.0.1; fi
	sleep 0.3
	captures_end
	expect_equal "$1: the VIP advertises it" "mss $2" "$(advertised asked 10.2.0.1)"
	expect "$1: status finds all right" agent status
}
plain() { # a SYN by l2
	host router /usr/bin/python3 - "$MAC" <<-'END' 2>/dev/null
		import sys
		from scapy.all import IP, TCP, Ether, get_if_hwaddr, sendp
		sendp(Ether(src=get_if_hwaddr('backend0'), dst=sys.argv[1]) / IP(src='192.168.1.1', dst='10.2.0.1') /
		      TCP(sport=4001, dport=80, flags='S', seq=1, options=[('MSS', 8960)]), iface='backend0', verbose=False)
	END
}
remember
sed -i -E 's/listen [^;]*;//g; s/server \{/server { listen 80;/' "$RIG_DIR/web1/nginx.conf"
serve backend1 nginx1 nginx -c "$RIG_DIR/web1/nginx.conf" -e "$RIG_DIR/web1/error.log"
eventually 5 host backend1 curl -s -o /dev/null http://10.3.0.1/
METHOD=l2
asked "l2, a number" 1200 --interface eth0 --mss 1200
asked "l2, the MTU's own" 1460 --mss auto
METHOD=ipip
asked "ipip, a number" 1300 "${TUNNEL[@]}" 10.2.0.10 --mss 1300
asked "ipip, more than fits" 1440 "${TUNNEL[@]}" 10.2.0.10 --mss 9000
host backend1 sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies'
asked "ipip, with SYN cookies" 1300 "${TUNNEL[@]}" 10.2.0.10 --mss 1300
host backend1 sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_syncookies'
asked "ipip, what the MTU leaves" 1440 "${TUNNEL[@]}" 10.2.0.10 --mss auto
stop nginx1
need "down" agent down
same "down takes all of it back"

# ---- jumbo frames ----------------------------------------------------------------------------------------------------
for end in "router backend0" "switch p-router" "switch p-backend1" "switch lan" "backend1 eth0"; do
	host "${end% *}" ip link set "${end#* }" mtu 9000
done
need "up with an MTU of 9000" agent up --vip 10.2.0.1 fd00:2::1 "${TUNNEL[@]}" 10.2.0.10 fd00:2::a
expect_text "the driver takes the program" "(native)" agent status
expect_text "the MSS goes with it" "at most 8920 (IPv4) and 8900 (IPv6)" agent status
need "a server listens" listen
for row in "10.2.0.10 10.2.0.1" "10.2.0.10 fd00:2::1" "fd00:2::a 10.2.0.1" "fd00:2::a fd00:2::1"; do
	for bytes in 1400 3400 8000 8870; do
		: >"$RIG_DIR/sink.log"
		# shellcheck disable=SC2086 # two words
		tunnelled $row $bytes
		expect "$bytes bytes in ${row/ / for } arrive" eventually 3 grep -qx $bytes "$RIG_DIR/sink.log"
	done
done
need "down" agent down
for end in "backend1 eth0" "switch lan" "switch p-backend1" "switch p-router" "router backend0"; do
	host "${end% *}" ip link set "${end#* }" mtu 1500
done
finish

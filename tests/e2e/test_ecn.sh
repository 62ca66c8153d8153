#!/bin/bash
# Congestion marks through tunnels: what a router marks on the outer header comes to the backend's socket, a packet whose sender
# knows of no marks is dropped then; DSCP goes out with the outer header and arrives as it was; padding stays outside.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh

# Logs the class, as the kernel's IP layer knows it, and the text of each datagram.
server_up() {
	serve backend1 server /usr/bin/python3 -u -c '
import socket, sys
vip = sys.argv[1]
six = ":" in vip
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(*(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1) if six else (socket.IPPROTO_IP, socket.IP_RECVTOS, 1))
s.bind((vip, 9000))
print("ready")
while True:
    data, extra, flags, peer = s.recvmsg(100, 100)
    print("class", extra[0][2][0], data.decode())
' "$vip"
	eventually 5 grep -q ready "$RIG_DIR/server.log"
}

# say CLASS TEXT
say() {
	host client /usr/bin/python3 - "$vip" "$1" "$2" <<-'END'
		import socket, sys
		vip, tos, text = sys.argv[1:]
		six = ':' in vip
		s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
		s.setsockopt(*(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if six else (socket.IPPROTO_IP, socket.IP_TOS), int(tos))
		s.sendto(text.encode(), (vip, 9000))
	END
}

# The router marks what it forwards from the director to the backend: mark ce|ect0...
mark() {
	host router nft -f - <<-END
		table inet marks {
		    chain forward {
		        type filter hook forward priority 0
		        oifname backend0 ip saddr 10.2.0.10 ip ecn set $1
		        oifname backend0 ip6 saddr fd00:2::a ip6 ecn set $1
		    }
		}
	END
}

heard() { eventually 5 grep -qx "class $1 $2" "$RIG_DIR/server.log"; }

for family in 4 6; do
	for forward in ipip gue; do
		vip=$RIG_VIP4 sender=10.2.0.10 class=ip.dsfield sent_by="ip.src == 10.2.0.10"
		[ $family = 4 ] || vip=$RIG_VIP6 sender=fd00:2::a class=ipv6.tclass sent_by="ipv6.src == fd00:2::a"
		rig_up $forward || exit 1
		backend_up 1 "$vip" $forward $sender >/dev/null || exit 1
		server_up || exit 1
		service names "$vip" udp 9000 $forward "$(backend_address 1 $family)" | director_file
		need "halfproxyd runs" director_up
		need "the backend is ready" eventually 10 all_ready
		capture router director0 front || exit 1
		say $((46 << 2 | 2)) unmarked
		expect "$forward IPv$family: expedited forwarding, ECT(0) arrives as it was" heard $((46 << 2 | 2)) unmarked
		captures_end
		expect_equal "$forward IPv$family: and both headers had it" "0xba,0xba" \
			"$(tshark -r "$RIG_DIR/front.pcap" -X "lua_script:$RIG_ROOT/rig/gue.lua" -T fields -e $class \
				-Y "udp.dstport == 9000 && $sent_by" 2>/dev/null | sed 's/0x0*/0x/g')"
		mark ce
		say $((46 << 2 | 2)) marked
		expect "$forward IPv$family: a mark on the way arrives" heard $((46 << 2 | 3)) marked
		say $((10 << 2)) deaf
		say 1 after
		expect "$forward IPv$family: with ECT(1) too" heard 3 after
		expect_not "$forward IPv$family: a packet whose sender knows of no marks is dropped" grep -q deaf "$RIG_DIR/server.log"
		expect_text "$forward IPv$family: and counted" "1 tunnelled packets marked as having met congestion" \
			host backend1 "$BUILD/halfproxy-backend" status
		rig_down
	done
done
finish

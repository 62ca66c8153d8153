#!/bin/bash
# protocol: any, by l2 and ipip, IPv4 and IPv6: real exchanges of ESP, GRE and SCTP by raw sockets, which the backends answer
# from the VIP; IKE's port and ESP of a client meet one backend; ping stays the director's.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh

# echo.py VIP NAME: answer raw packets of these protocols, and UDP to port 4500, with the name, from the VIP.
write_programs() {
	cat >"$RIG_DIR/echo.py" <<-'END'
		import select, socket, sys
		vip, name = sys.argv[1], sys.argv[2].encode()
		family = socket.AF_INET6 if ':' in vip else socket.AF_INET
		held = {}
		for protocol in (47, 50, 132, 0):
		    s = socket.socket(family, socket.SOCK_RAW if protocol else socket.SOCK_DGRAM, protocol)
		    s.bind((vip, 0 if protocol else 4500))
		    held[s] = protocol
		while True:
		    for s in select.select(list(held), [], [])[0]:
		        data, peer = s.recvfrom(2000)
		        if family == socket.AF_INET and held[s]:
		            data = data[(data[0] & 15) * 4:]
		        if held[s] == 132:  # ports turned round
		            data = data[2:4] + data[0:2] + data[4:]
		        s.sendto(data[:12] + name, peer[:2] if not held[s] else (peer[0], 0))
	END
	# ask.py FROM VIP PROTOCOL: the name that answers; 0 is UDP to port 4500.
	cat >"$RIG_DIR/ask.py" <<-'END'
		import socket, sys
		own, vip, protocol = sys.argv[1], sys.argv[2], int(sys.argv[3])
		family = socket.AF_INET6 if ':' in vip else socket.AF_INET
		s = socket.socket(family, socket.SOCK_RAW if protocol else socket.SOCK_DGRAM, protocol)
		s.bind((own, 0))
		s.settimeout(3)
		head = bytes((0x9c, 0x40, 0x0b, 0x59)) + bytes(8) if protocol == 132 else bytes(range(12))
		s.sendto(head, (vip, 0 if protocol else 4500))
		data, peer = s.recvfrom(2000)
		if family == socket.AF_INET and protocol:
		    data = data[(data[0] & 15) * 4:]
		print(peer[0], data[12:].decode())
	END
}
ask() { host client /usr/bin/python3 "$RIG_DIR/ask.py" "$@"; }
listens() { [ "$(host "$1" ss -Huln "sport = 4500" | wc -l)" = 2 ]; }
services() {
	{
		service all "$RIG_VIP4" any any "$1" 10.3.0.1 10.3.0.2
		service all6 "$RIG_VIP6" any any "$1" fd00:3::1 fd00:3::2
	} | director_file
}

rig_up l2 2 || exit 1
write_programs
for n in 1 2; do
	for vip in "$RIG_VIP4" "$RIG_VIP6"; do
		backend_up $n "$vip" l2 >/dev/null || exit 1
		backend_up $n "$vip" ipip any >/dev/null || exit 1
		serve backend$n "echo$n-${vip//:/_}" /usr/bin/python3 "$RIG_DIR/echo.py" "$vip" backend$n
	done
	need "the servers listen" eventually 10 listens backend$n
done
for n in 2 3 4 5 6 7; do
	host client ip addr add 192.168.1.$n/24 dev eth0
	host client ip addr add fd00:1::$n/64 dev eth0 nodad
done
services l2
need "halfproxyd runs" director_up

for forward in l2 ipip; do
	services $forward
	hp reload >/dev/null 2>&1
	need "the backends are ready for $forward" eventually 10 all_ready
	for protocol in 50 47 132; do
		expect_text "$forward: protocol $protocol is answered from the VIP" "$RIG_VIP4 backend" \
			ask 192.168.1.1 "$RIG_VIP4" $protocol
		expect_text "$forward: over IPv6" "$RIG_VIP6 backend" ask fd00:1::1 "$RIG_VIP6" $protocol
	done
	for n in 1 2 3 4 5 6 7; do
		expect_equal "$forward: ESP and UDP port 4500 of client $n meet one backend" "$(ask 192.168.1.$n "$RIG_VIP4" 50)" \
			"$(ask 192.168.1.$n "$RIG_VIP4" 0)"
		expect_equal "$forward: over IPv6" "$(ask fd00:1::$n "$RIG_VIP6" 50)" "$(ask fd00:1::$n "$RIG_VIP6" 0)"
	done
	expect_equal "$forward: not all the same" 2 \
		"$(for n in 1 2 3 4 5 6 7; do ask 192.168.1.$n "$RIG_VIP4" 50; done | sort -u | wc -l)"
	expect "$forward: a ping is the director's" host client ping -c 1 -W 2 "$RIG_VIP4"
done
expect_text "status shows it" "any $RIG_VIP4:any" hp status
expect_text "trace takes ESP" "ESP spi 0x100" hp trace 192.168.1.1 "$RIG_VIP4" --protocol esp
expect_text "and SCTP" "SCTP 40000 > 2905" hp trace 192.168.1.1 "$RIG_VIP4:2905" --protocol sctp
refuses "and no other" "protocol must be tcp, udp, sctp or esp" hp trace 192.168.1.1 "$RIG_VIP4" --protocol ospf
finish

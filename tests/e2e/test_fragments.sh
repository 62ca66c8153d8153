#!/bin/bash
# Datagrams in fragments: real ones of 4,000 bytes, in order, turned round and without their beginning, by every method and
# family; and a flood of fragments beside connections that a change has put at risk.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh

counted() { hp status --json | jq "[.verdicts, .services[].verdicts] | map(.$1 // 0 | if type == \"object\" then .count else . end) | add"; }

# UDP: each datagram's source port and length go to a log, and come back with the backend's name. TCP: what comes goes back.
server_up() { # N VIP
	serve "backend$1" "server$1" /usr/bin/python3 -u -c '
import socket, sys, threading
name, vip = sys.argv[1:]
family = socket.AF_INET6 if ":" in vip else socket.AF_INET
udp = socket.socket(family, socket.SOCK_DGRAM)
udp.bind((vip, 9000))
tcp = socket.create_server((vip, 9000), family=family, backlog=200)
def echo(s):
    while True:
        data = s.recv(1000)
        if not data:
            return
        s.sendall(data)
def accept():
    while True:
        threading.Thread(target=echo, args=(tcp.accept()[0],), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
print("ready")
while True:
    data, peer = udp.recvfrom(65535)
    good = all(data[i] == (i + peer[1]) % 251 for i in range(len(data)))
    print("got", peer[1], len(data), "whole" if good else "spoilt")
    udp.sendto(name.encode(), peer)
' "backend$1" "$2"
	eventually 5 grep -q ready "$RIG_DIR/server$1.log"
}

# Sockets of the client's kernel: each asks by a small datagram and by one of 4,000 bytes, and one backend has to answer both.
ask() { # VIP
	host client /usr/bin/python3 - "$1" <<-'END'
		import socket, sys
		family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
		names = set()
		for port in range(20000, 20040):
		    s = socket.socket(family, socket.SOCK_DGRAM)
		    s.settimeout(5)
		    s.bind(('', port))
		    answers = []
		    for size in (10, 4000, 3000, 10):
		        s.sendto(bytes((i + port) % 251 for i in range(size)), (sys.argv[1], 9000))
		        answers.append(s.recv(100).decode())
		    if len(set(answers)) != 1:
		        sys.exit(f'port {port} was answered by {answers}')
		    names.add(answers[0])
		print(*sorted(names))
	END
}

# Made by hand: datagrams of 4,000 bytes in four pieces: in order, with the later ones turned round, with the first one last.
send_pieces() { # VIP
	host client /usr/bin/python3 - "$1" <<-'END'
		import sys
		from scapy.all import IP, IPv6, UDP, Ether, IPv6ExtHdrFragment, Raw, fragment, getmacbyip, getmacbyip6, sendp
		vip = sys.argv[1]
		gateway = (getmacbyip6 if ':' in vip else getmacbyip)(vip)
		for port, order in (30001, (0, 1, 2, 3)), (30002, (0, 3, 2, 1)), (30003, (1, 2, 3, 0)):
		    body = UDP(sport=port, dport=9000) / Raw(bytes((i + port) % 251 for i in range(4000)))
		    if ':' in vip:
		        head = IPv6(dst=vip, src='fd00:1::1')
		        whole = bytes((head / body)[UDP])
		        pieces = [head / IPv6ExtHdrFragment(nh=17, id=port, offset=at // 8, m=at + 1200 < len(whole)) /
		                  Raw(whole[at:at + 1200]) for at in range(0, len(whole), 1200)]
		    else:
		        pieces = fragment(IP(dst=vip, src='192.168.1.1', id=port) / body, 1200)
		    sendp([Ether(dst=gateway) / pieces[n] for n in order], iface='eth0', verbose=False)
	END
}

arrived() { cat "$RIG_DIR"/server[12].log | grep -c "got $1 4000 whole"; }
arrives() { [ "$(arrived "$1")" = 1 ]; }

orders() { # NAME VIP
	send_pieces "$2" 2>"$RIG_DIR/scapy" || cat "$RIG_DIR/scapy"
	expect "$1: pieces made by hand arrive whole" eventually 5 arrives 30001
	expect "$1: with the later ones turned round" eventually 5 arrives 30002
	expect_equal "$1: with the first one last, those before it are dropped and counted" 3 "$(counted FRAGMENT)"
	expect_equal "$1: and none of it arrives" 0 "$(arrived 30003)"
}

topology() { # FORWARD FAMILY
	forward=$1 vip=$RIG_VIP4 sender=10.2.0.10
	[ "$2" = 4 ] || vip=$RIG_VIP6 sender=fd00:2::a
	[ "$forward" != l2 ] || sender=
	rig_up "$forward" 2 || exit 1
	host client ip link set eth0 mtu 1400 # so that no piece is too long for a tunnel
	for n in 1 2; do
		backend_up $n "$vip" "$forward" ${sender:+"$sender"} >/dev/null || exit 1
		server_up $n "$vip" || exit 1
	done
	{
		service names "$vip" udp 9000 "$forward" "$(backend_address 1 "$2")" "$(backend_address 2 "$2")"
		service echo "$vip" tcp 9000 "$forward" "$(backend_address 1 "$2")" "$(backend_address 2 "$2")"
	} | director_file
	need "halfproxyd runs" director_up
	need "the backends are ready" eventually 10 all_ready
}

# Connections held through a change, each speaking all the time, while fragments of datagrams of their own flood the VIP.
held() { # VIP
	host client /usr/bin/python3 -u - "$1" <<-'END'
		import os, socket, struct, sys, time
		vip = sys.argv[1]
		held = [socket.create_connection((vip, 9000), timeout=5) for _ in range(40)]
		print('open', flush=True)
		sys.stdin = open('/dev/null')
		while not os.path.exists(os.environ['GO']):
		    for s in held:
		        s.sendall(b'before')
		        assert s.recv(100) == b'before'
		    time.sleep(0.1)
		raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
		sent = 0
		for n in range(60):
		    for m in range(300):
		        sent += 1
		        source = 0xc6120000 + sent % 65536
		        body = struct.pack('!HHHH', sent % 60000 + 1, 9000, 4000, 0) + bytes(16)
		        head = struct.pack('!BBHHHBBHI4s', 0x45, 0, 20 + len(body), sent % 65535 + 1, 0x2000 if sent % 2 else 9, 64, 17, 0,
		                           source, socket.inet_aton(vip))
		        raw.sendto(head + body, (vip, 0))
		    for s in held:
		        s.sendall(b'during %d' % n)
		        assert s.recv(100) == b'during %d' % n
		print('held', sent)
	END
}

for family in 4 6; do
	for forward in l2 ipip gue; do
		topology $forward $family
		expect_equal "$forward IPv$family: each port is answered by one backend, whole or in fragments" "backend1 backend2" "$(ask "$vip")"
		expect "$forward IPv$family: later fragments followed" test "$(hp flows --json | jq .events.FOLLOWED.count)" -ge 80
		orders "$forward IPv$family" "$vip"
		rig_down
	done
done

topology ipip 4
GO=$RIG_DIR/go held "$vip" >"$RIG_DIR/held" 2>&1 &
held=$!
need "connections are open" eventually 10 grep -q open "$RIG_DIR/held"
expect "a backend is drained" hp drain echo 10.3.0.1 >/dev/null
touch "$RIG_DIR/go"
wait $held
expect_text "40 connections spoke all the time beside 18,000 fragments" "held 18000" cat "$RIG_DIR/held"
expect "their flows are remembered" test "$(hp flows --json | jq '.flows | length')" -ge 1
finish

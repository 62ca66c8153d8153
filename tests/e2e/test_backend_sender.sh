#!/bin/bash
# Whose tunnels a backend opens: those of the senders that --from names, for its VIPs, and nobody else's.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/backend.sh

# Send tunnelled UDP packets from the router's leg among the backends: inject {OUTER-SOURCE INNER-DESTINATION WORD}...
inject() {
	host router /usr/bin/python3 - "$MAC" "$@" <<-'END' 2>/dev/null
		import sys
		from scapy.all import IP, IPv6, UDP, Ether, Raw, get_if_hwaddr, sendp
		link = Ether(src=get_if_hwaddr('backend0'), dst=sys.argv[1])
		for outer_from, vip, word in zip(*[iter(sys.argv[2:])] * 3):
		    is6, number = ':' in outer_from, 41 if ':' in vip else 4
		    inner = IPv6(src='fd00:1::1', dst=vip) if ':' in vip else IP(src='192.168.1.1', dst=vip)
		    outer = IPv6(src=outer_from, dst='fd00:3::1', nh=number) if is6 else \
		            IP(src=outer_from, dst='10.3.0.1', proto=number)
		    sendp(link / outer / inner / UDP(sport=4000, dport=9000) / Raw(word.encode()), iface='backend0', verbose=False)
	END
}

# A server that writes down every word that reaches its socket.
listen() {
	cat >"$RIG_DIR/sink.py" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
		s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
		s.bind(('::', 9000))
		while True:
		    print(s.recv(2000).decode(), flush=True)
	END
	serve backend1 sink /usr/bin/python3 "$RIG_DIR/sink.py"
	eventually 5 host backend1 sh -c 'ss -Huln "sport = 9000" | grep -q .'
}
got() { grep -cx "$1" "$RIG_DIR/sink.log"; }
arrives() { # SENTENCE SOURCE DESTINATION
	NUMBER=$((NUMBER + 1))
	inject "$2" "$3" "word$NUMBER"
	expect "$1" eventually 3 grep -qx "word$NUMBER" "$RIG_DIR/sink.log"
}
stays_out() { # SENTENCE SOURCE DESTINATION COUNTER-TEXT
	local before
	NUMBER=$((NUMBER + 1))
	before=$(counted "$4")
	inject "$2" "$3" "word$NUMBER" 10.2.0.10 10.2.0.1 "after$NUMBER"
	expect "$1" eventually 3 grep -qx "after$NUMBER" "$RIG_DIR/sink.log"
	expect_equal "... it reached no socket" 0 "$(got "word$NUMBER")"
	expect_equal "... and is counted" $((before + 1)) "$(counted "$4")"
}
NUMBER=0
REFUSED="from a sender that --from does not name"
OTHER="tunnelled packets for another address"

rig_up ipip || exit 1
MAC=$(host backend1 ip -o link show dev eth0 | sed -n 's/.*link\/ether \([0-9a-f:]*\).*/\1/p')
need "up" agent up --vip 10.2.0.1 fd00:2::1 --forward ipip --from 10.2.0.10 10.77.0.0/16 fd00:2::a --interface eth0
need "and a VIP by l2" agent up --vip 10.2.0.5
need "a server listens" listen

expect_text "the programs run in the driver" "(native)" agent status
arrives "4in4 of the named sender arrives" 10.2.0.10 10.2.0.1
arrives "6in4 arrives" 10.2.0.10 fd00:2::1
arrives "4in6 arrives" fd00:2::a 10.2.0.1
arrives "6in6 arrives" fd00:2::a fd00:2::1
arrives "within a named prefix any sender does" 10.77.200.3 10.2.0.1
stays_out "another sender's tunnel is not opened" 10.2.0.11 10.2.0.1 "$REFUSED"
stays_out "nor for the IPv6 VIP" 10.2.0.11 fd00:2::1 "$REFUSED"
stays_out "nor another IPv6 sender's" fd00:2::b 10.2.0.1 "$REFUSED"
stays_out "nor the client's own" 192.168.1.1 10.2.0.1 "$REFUSED"
stays_out "nor a neighbour's of the backend" 10.3.0.254 10.2.0.1 "$REFUSED"
stays_out "nor the backend's own address's" 10.3.0.1 10.2.0.1 "$REFUSED"
refusals() { agent status --json | jq -r '.[] | select(.item == "sender" and (.ok | not)).fix'; }
expect_text "status names the last sender refused, and how to name it" "if it is your director's: halfproxy-backend up --vip fd00:2::1 --forward ipip --from 10.3.0.1" refusals
expect_text "of each family" "--forward ipip --from fd00:2::b" refusals
expect_equal "with exit status 1" 1 "$(agent status >/dev/null; echo $?)"
stays_out "the named sender reaches no address but the VIPs" 10.2.0.10 10.3.0.1 "$OTHER"
stays_out "nor a VIP that comes by l2" 10.2.0.10 10.2.0.5 "$OTHER"
stays_out "nor the loopback" 10.2.0.10 127.0.0.1 "$OTHER"

need "what status says, done" agent up --vip 10.2.0.1 --forward ipip --from 10.3.0.1 fd00:2::b
expect "mends it" agent status
need "any, when said" agent up --vip 10.2.0.1 --forward ipip --from any
arrives "opens them for all" 203.0.113.9 10.2.0.1
arrives "of both families" 2001:db8::9 fd00:2::1
need "down" agent down
need "up" agent up --vip 10.2.0.1 --forward ipip --from 10.2.0.10 --interface eth0
stays_out "after down, any is forgotten" 203.0.113.9 10.2.0.1 "$REFUSED"
need "down" agent down

# ---- where the driver has no XDP -------------------------------------------------------------------------------------
host backend1 ip link add link eth0 name mv0 address "$MAC" type macvlan mode passthru
host backend1 ip link set mv0 up
need "up on an interface whose driver has no XDP" agent up --vip 10.2.0.1 fd00:2::1 --forward ipip \
	--from 10.2.0.10 fd00:2::a --interface mv0
expect_text "the programs run outside the driver" "(generic)" agent status
for pair in "10.2.0.10 10.2.0.1" "10.2.0.10 fd00:2::1" "fd00:2::a 10.2.0.1" "fd00:2::a fd00:2::1"; do
	# shellcheck disable=SC2086 # two words
	arrives "there ${pair/ / for } arrives as well" $pair
done
stays_out "and another sender's does not" 10.2.0.11 10.2.0.1 "$REFUSED"
need "down" agent down
finish

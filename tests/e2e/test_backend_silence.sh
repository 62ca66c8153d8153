#!/bin/bash
# A backend never says that it has the VIP: no ARP, no neighbour discovery, neither asked nor of itself.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/backend.sh
. rig/servers.sh

# Ask on the backends' segment for an address, as anyone would, and from nowhere (a probe for duplicates).
ask() {
	host router /usr/bin/python3 - "$@" <<-'END' 2>/dev/null
		import socket, sys
		from scapy.all import (ARP, Ether, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6, get_if_hwaddr, in6_getnsma,
		                       in6_getnsmac, sendp)
		mac = get_if_hwaddr('backend0')
		for target in sys.argv[1:]:
		    if ':' not in target:
		        for source in ('10.3.0.254', '0.0.0.0', '192.168.1.1'):
		            sendp(Ether(src=mac, dst='ff:ff:ff:ff:ff:ff') / ARP(hwsrc=mac, psrc=source, pdst=target),
		                  iface='backend0', verbose=False)
		        continue
		    group = in6_getnsma(socket.inet_pton(socket.AF_INET6, target))
		    to, ether = socket.inet_ntop(socket.AF_INET6, group), in6_getnsmac(group)
		    for source in ('fd00:3::fe', '::'):
		        packet = IPv6(src=source, dst=to, hlim=255) / ICMPv6ND_NS(tgt=target)
		        if source != '::':
		            packet /= ICMPv6NDOptSrcLLAddr(lladdr=mac)
		        for destination in (ether, '33:33:00:00:00:01', 'ff:ff:ff:ff:ff:ff'):
		            sendp(Ether(src=mac, dst=destination) / packet, iface='backend0', verbose=False)
	END
}

# What was said of an address on the backend's cable by anyone but the router, who asks: as owner or asker by ARP, as
# owner or asker by ND. Whatever MAC address the backend has at the time.
said() { # NAME ADDRESS
	packets "$1" "not ether src $ROUTER and (arp or icmp6)" |
		grep -E "Reply $2 is-at|tell $2,|tgt is $2[, ]|$2 > .*ICMP6, neighbor"
}
listen_while() { # NAME COMMAND...: capture the backend's cable meanwhile
	capture switch p-backend1 "$1"
	"${@:2}"
	sleep 0.5
	captures_end
}
silent() { # SENTENCE NAME
	for vip in "$RIG_VIP4" "$RIG_VIP6"; do
		expect_equal "$1: nothing of $vip" "" "$(said "$2" "$vip")"
	done
}
ask_all() { ask "$RIG_VIP4" "$RIG_VIP6" 10.3.0.1 fd00:3::1; }

# All that makes a host speak up by itself: links going up and down, connections out of the VIP.
provoke() {
	set_to ipv4/conf/all/arp_notify 1
	set_to ipv6/conf/all/ndisc_notify 1
	set_to ipv6/conf/eth0/ndisc_notify 1
	host backend1 ip link set eth0 down
	host backend1 ip link set eth0 up
	host backend1 ip link set eth0 address 02:00:00:00:77:01
	sleep 1
	host backend1 ip -6 address replace fd00:3::1/64 dev eth0 nodad
	host backend1 ip -6 route replace default via fd00:3::fe dev eth0
	host backend1 ip neigh flush dev eth0
	host backend1 ping -c 1 -W 1 -I "$RIG_VIP4" 10.3.0.254
	host backend1 ping -c 1 -W 1 -I "$RIG_VIP6" fd00:3::fe
	host backend1 ping -c 1 -W 1 -I "$RIG_VIP4" 10.3.0.77
	host backend1 ping -c 1 -W 1 -I "$RIG_VIP6" fd00:3::77
} >/dev/null 2>&1

rig_up ipip || exit 1
ROUTER=$(host router ip -o link show dev backend0 | sed -n 's/.*link\/ether \([0-9a-f:]*\).*/\1/p')
host backend1 ip address add "$RIG_VIP4/32" dev lo
listen_while loud ask_all
expect "without us, the alias alone is told by ARP" said loud "$RIG_VIP4"
host backend1 ip address del "$RIG_VIP4/32" dev lo

listen_while begin agent up --vip "$RIG_VIP4" "$RIG_VIP6" --interface eth0 >/dev/null
expect "the backend is up" agent status
silent "while it goes up" begin
listen_while asked ask_all
silent "asked by ARP and neighbour solicitations" asked
expect "for its own addresses it answers" said asked 10.3.0.1
expect "by neighbour discovery too" said asked fd00:3::1
for knob in ipv4/ip_forward=1 ipv6/conf/all/forwarding=1 ipv6/conf/all/proxy_ndp=1 ipv6/conf/eth0/proxy_ndp=1 \
	ipv4/conf/all/proxy_arp=1 ipv4/conf/eth0/proxy_arp=1; do
	set_to ${knob%=*} ${knob#*=}
done
listen_while router ask_all
silent "as a router with proxy ARP and proxy ND on" router
listen_while speaks provoke
expect "it spoke up" [ "$(packets speaks 'arp or icmp6' | wc -l)" -gt 4 ]
silent "links going down and up, connections out of the VIP" speaks

# ---- a proxy entry is somebody's order to answer ---------------------------------------------------------------------
host backend1 ip -6 neigh add proxy "$RIG_VIP6" dev eth0
expect_text "a proxy entry for the VIP is found" "eth0 answers neighbour solicitations for $RIG_VIP6" agent status
host backend1 sh -c "$(agent status --json | jq -r '.[] | select(.item == "proxy").fix')"
expect "and mended by what status prints" agent status
listen_while down agent down >/dev/null
silent "while it goes down" down
finish

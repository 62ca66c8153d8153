#!/bin/bash
# halfproxy doctor: faults made for real on the director and around it are named, and what it prints mends them.
# suite: 50 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/doctor.sh

doctor() { hp doctor "$@"; }
at() { host director "$@"; }
set_to() { at sh -c "echo $2 >/proc/sys/net/$1"; }
agent() { host backend1 "$BUILD/halfproxy-backend" "$@"; }
# two_services BACKEND...: a service of each family
two_services() {
	service web 10.2.0.1 tcp 80 l2 "$@"
	service six fd00:2::1 tcp 80 l2 fd00:3::1 fd00:3::2
	service dns 10.2.0.1 udp 53 l2 10.3.0.1
}

rig_up l2 2 || exit 1
provoke "no daemon" DAEMON_SILENT warning true
expect_equal "... which is no more than a warning" 1 "$(hp doctor >/dev/null; echo $?)"
for n in 1 2; do
	need "backend$n" backend_up $n 10.2.0.1 l2
	need "backend$n, IPv6" backend_up $n fd00:2::1 l2
done
two_services 10.3.0.1 10.3.0.2 | director_file
need "a director" director_up
need "that reaches its backends" eventually 10 all_ready
capture switch p-director asked "arp or icmp6"
expect "all is well" doctor_content
captures_end
expect_equal "it asked the segment as who looks whether an address is free" 2 \
	"$(packets asked 'arp[6:2] = 1 and arp[14:4] = 0' | grep -c 'Request who-has 10.2.0.1 .*tell 0.0.0.0')"
expect_equal "... in both families" 2 "$(packets asked 'icmp6' | grep -c ':: > ff02::1:ff00:1: ICMP6, neighbor solicitation, who has fd00:2::1')"
expect_equal "... by frames that tshark finds well formed" "" "$(malformed asked 'arp or icmpv6')"

# ---- who else answers --------------------------------------------------------------------------------------------------
by_agent() { # SENTENCE: what the doctor of the backend prints mends it
	host backend1 env PATH="$BUILD:$PATH" sh -c "$(agent doctor --json | jq -r '[.items[] | select(.command != "" and
		.level == "wrong").command][0]')" >/dev/null
	expect "... mended by what the backend's doctor prints" doctor_content
}
provoke "a backend with the VIP on the network" ARP_ANSWERED wrong host backend1 ip address add 10.2.0.1/32 dev eth0
expect_text "... it answers ARP, since arp_ignore spares it not" "somebody else answers ARP for 10.2.0.1: backend 10.3.0.1" doctor
by_agent
loud() { host backend1 sh -c 'echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore'; }
provoke "a backend that is not silent" ARP_ANSWERED wrong loud
agent doctor --fix >/dev/null
expect "... mended by --fix of its own doctor" doctor_content
provoke "a backend with an IPv6 VIP on the network" ARP_ANSWERED wrong \
	host backend1 ip address add fd00:2::1/128 dev eth0 nodad
expect_text "... by neighbour discovery" "answers neighbour solicitations for fd00:2::1: backend" doctor
by_agent

hp standby >/dev/null
provoke "on standby a backend must not answer either" ARP_ANSWERED wrong host backend1 ip address add 10.2.0.1/32 dev eth0
host backend1 ip address del 10.2.0.1/32 dev eth0
host router ip address add 10.2.0.1/32 dev director0
at ping -c 1 -W 1 10.2.0.254 >/dev/null # so that it is a neighbour
expect_text "... but another director may" \
	"10.2.0.1 is answered for by the machine that has 10.2.0.254, and this director is on standby" doctor
hp active >/dev/null
provoke "which it must not when this one is active" ARP_ANSWERED wrong true
host router ip address del 10.2.0.1/32 dev director0
expect "... and all is well again" doctor_content

# ---- the host ----------------------------------------------------------------------------------------------------------
by_command "a VIP that is this host's" VIP_LOCAL wrong at ip address add 10.2.0.1/32 dev eth0
by_command "an IPv6 VIP that is" VIP_LOCAL wrong at ip address add fd00:2::1/128 dev lo
by_both "a strict reverse path filter" RP_FILTER wrong set_to ipv4/conf/eth1/rp_filter 1
by_command "forwarding" DIRECTOR_FORWARDS warning set_to ipv4/ip_forward 1
by_command "forwarding of IPv6" DIRECTOR_FORWARDS warning set_to ipv6/conf/all/forwarding 1
drops_invalid() {
	at nft 'table inet filter { chain input { type filter hook input priority 0; ct state invalid drop; }; }'
}
by_command "a rule that drops what conntrack calls invalid" HALF_OPEN_DROPPED warning drops_invalid
at nft flush ruleset
overwrites() {
	at nft 'table inet mangle { chain output { type route hook output priority mangle; meta mark set 0x1; }; }'
}
by_command "a rule that overwrites marks" MARK_OVERWRITTEN wrong overwrites
at nft flush ruleset
rules() {
	at ip rule show | grep -q 0x48000000 || at ip rule add fwmark 0x48000000/0xff000000 lookup 4848 priority 48
	at ip rule add lookup 99 priority 47
}
provoke "a rule before the one for probes" RULE_BEFORE wrong rules
at ip rule del priority 47
expect "... and without it all is well" doctor_content

# ---- the way to backends -------------------------------------------------------------------------------------------------
narrow() { host backend2 ip link set eth0 mtu "$1" && host switch ip link set p-backend2 mtu "$1"; }
provoke "a path that takes less than it seems" PATH_MTU warning narrow 1400
expect_text "... to the very byte" "with DF set, 1400 bytes are answered and 1401 are not" doctor
narrow 1500
expect "... and a wider one is well again" doctor_content
two_services 10.3.0.1 192.168.1.1 | director_file
need "a backend behind a router" hp reload
provoke "one that l2 does not reach" NOT_ON_SEGMENT wrong true
large() { # datagrams of 1500 bytes for half a minute, whatever ICMP says
	cat >"$RIG_DIR/large.py" <<-'END'
		import socket, time
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.setsockopt(socket.IPPROTO_IP, 10, 3)
		for _ in range(600):
		    s.sendto(bytes(1472), ('10.2.0.1', 53))
		    time.sleep(0.05)
	END
	two_services 10.3.0.1 10.3.0.2 | director_file
	hp reload &&
	at ip link set eth1 mtu 1400
	eventually 5 sh -c "nsenter --net=/run/netns/$RIG-director $BUILD/halfproxy status --json |
		jq -e '.services[0].backends[0].mtu == 1400'"
	serve client large /usr/bin/python3 "$RIG_DIR/large.py"
}
provoke "packets that are too long" PATH_MTU warning large
expect_text "... are seen as they grow" "packets for backend 10.3.0.1 are longer than its path takes" doctor
stop large
at ip link set eth1 mtu 1500
expect "... and without them all is well" eventually 5 doctor_content
two_services 10.3.0.1 10.3.0.77 | director_file
need "another backend" hp reload
expect "a backend that is not there" eventually 10 sh -c "nsenter --net=/run/netns/$RIG-director $BUILD/halfproxy doctor --json |
	jq -e '.items[] | select(.id == \"NEXT_HOP_UNRESOLVED\" and .level == \"wrong\")'"
expect_text "... is told" "backend 10.3.0.77 gets nothing: it is failed" doctor
two_services 10.3.0.77 | director_file
need "no other backend" hp reload
has_wrong() { doctor_json | jq -e --arg id "$1" '.items[] | select(.id == $id and .level == "wrong")'; }
doctor_json() { host director "$BUILD/halfproxy" doctor --json; }
expect "a service whose only backend is not there" eventually 10 has_wrong NEXT_HOP_UNRESOLVED
expect_not "is no cause of its own" has_wrong NO_BACKEND
two_services 10.3.0.1 | director_file
need "a backend that is there" hp reload
need "and that is drained" hp drain web 10.3.0.1
expect "a service that nobody serves, with backends that are well" eventually 10 has_wrong NO_BACKEND
need "the drain is over" hp undrain web 10.3.0.1
two_services 10.3.0.1 10.3.0.2 | director_file
need "the first ones" hp reload
expect "... and all is well again" eventually 10 doctor_content

# ---- checks --------------------------------------------------------------------------------------------------------------
with_check() { # a service of port 81 that is checked down the path of its packets
	{
		two_services 10.3.0.1 10.3.0.2
		service checked 10.2.0.1 tcp 81 l2 10.3.0.1
		echo "    health: {type: tcp, interval: 300ms, timeout: 300ms, fall: 2, rise: 1}"
	} | director_file
	hp reload &&
	eventually 10 sh -c "nsenter --net=/run/netns/$RIG-director $BUILD/halfproxy status --json |
		jq -e '.services[].backends[].health.state? == \"failing\"'"
}
provoke "a backend on whose VIP nothing listens" NOT_LISTENING wrong with_check
expect_text "... in words" "10.3.0.1 of service checked is failing: nothing listens on 10.2.0.1:81 (RST from the VIP)" doctor
serve backend1 listener socat TCP4-LISTEN:81,fork,reuseaddr,bind=10.2.0.1 SYSTEM:true
expect "... mended by a service there" eventually 10 doctor_content
overwrites
expect "a rule that overwrites marks makes checks fail" eventually 10 sh -c "
	nsenter --net=/run/netns/$RIG-director $BUILD/halfproxy status --json |
	jq -e '.services[].backends[].health.state? == \"failing\"'"
provoke "which is" MARK_OVERWRITTEN wrong true
at sh -c "$(doctor_command MARK_OVERWRITTEN)"
expect "... and probes arrive again by the command printed" eventually 10 doctor_content
at nft flush ruleset
host backend1 ip address del 10.2.0.1/32 dev lo
expect "a VIP that is missing" eventually 10 sh -c "nsenter --net=/run/netns/$RIG-director $BUILD/halfproxy doctor --json |
	jq -e '.items[] | select(.id == \"VIP_MISSING\" and .level == \"wrong\")'"
sed -i 's/interval: 300ms/interval: 400ms/' "$RIG_DIR/halfproxy.yaml"
need "another interval" hp reload
expect "... is told of a check that inherited it, too" eventually 10 sh -c "nsenter --net=/run/netns/$RIG-director $BUILD/halfproxy doctor --json |
	jq -e '.items[] | select(.id == \"VIP_MISSING\" and .level == \"wrong\" and (.mend | contains(\"on 10.3.0.1: \")))'"
host backend1 "$BUILD/halfproxy-backend" doctor --fix >/dev/null
expect "... mended by --fix of the backend's doctor" eventually 10 doctor_content
stop listener
two_services 10.3.0.1 10.3.0.2 | director_file
need "no checks" hp reload

# ---- interfaces ------------------------------------------------------------------------------------------------------------
at ip link add eth8 type veth peer name eth9
at ip link set eth8 up
at ip link set eth9 up
RIG_INTERFACES="eth0, eth8"
two_services 10.3.0.1 10.3.0.2 | director_file
need "another interface" hp reload
at ip link set eth8 down
eventually 5 sh -c "nsenter --net=/run/netns/$RIG-director $BUILD/halfproxy status --json |
	jq -e '.interfaces[] | select(.name == \"eth8\" and (.up | not))'"
provoke "an interface that is down" INTERFACE_DOWN wrong true
at sh -c "$(doctor_command INTERFACE_DOWN)"
expect "... mended by the command printed" eventually 5 doctor_content
RIG_INTERFACES=eth0
two_services 10.3.0.1 10.3.0.2 | director_file
need "one interface again" hp reload
stop halfproxyd
"$(command -v clang-19 || command -v clang)" -target bpf -O2 -g -I"/usr/include/$(uname -m)-linux-gnu" -Dpass=stranger \
	-c rig/pass.bpf.c -o "$RIG_DIR/stranger.o"
at ip link set dev eth8 xdpdrv obj "$RIG_DIR/stranger.o" sec xdp
provoke "somebody else's program, which halfproxyd would not start for" XDP_TAKEN warning true
expect_text "... by its name" ", stranger" doctor
at sh -c "$(doctor_command XDP_TAKEN)"
expect_equal "... mended by the command printed" DAEMON_SILENT "$(doctor_names)"
RIG_INTERFACES="{name: eth0, mode: generic}"
two_services 10.3.0.1 10.3.0.2 | director_file
need "a director by generic XDP" director_up
need "that reaches its backends" eventually 10 all_ready
at ethtool -K eth0 gro on
provoke "generic XDP" XDP_GENERIC warning true
DOCTOR_USUAL='["CLOCK_UNSYNCHRONISED", "XDP_GENERIC"]'
by_command "GRO before it" RECEIVE_MERGED warning true

# ---- the command line --------------------------------------------------------------------------------------------------
expect_equal "JSON has every field" true "$(doctor --json | jq '(keys == ["fixed", "items", "ok", "warnings", "wrong"]) and
	all(.items[]; keys == ["command", "evidence", "id", "item", "level", "mend", "safe", "text"])')"
refuses "--fix elsewhere" "--fix does not belong to status" hp status --fix
expect_equal "who is not root is told, with status 3" "halfproxy: doctor: only root can see all that it looks at, status 3" \
	"$(at setpriv --reuid 65534 --regid 65534 --clear-groups "$BUILD/halfproxy" doctor 2>&1), status $(
		at setpriv --reuid 65534 --regid 65534 --clear-groups "$BUILD/halfproxy" doctor >/dev/null 2>&1; echo $?)"
finish

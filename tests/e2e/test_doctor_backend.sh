#!/bin/bash
# halfproxy-backend doctor: faults made for real are named, and the command printed, or --fix, mends them.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/backend.sh
. rig/doctor.sh

doctor() { agent doctor "$@"; }
at() { host backend1 "$@"; }
six() { at ip -6 "$@"; }

rig_up ipip || exit 1
provoke "a host where nothing is set up" VIP_MISSING wrong true
provoke "one VIP named, and not there" VIP_MISSING wrong agent doctor --vip 10.2.0.1
expect_equal "what it lacks is set up by --fix" 1 "$(agent doctor --vip 10.2.0.5 --fix >/dev/null; echo $?)"
need "and by up, with a tunnel" agent up --vip 10.2.0.1 fd00:2::1 --forward ipip --from 10.2.0.10 fd00:2::a --interface eth0
provoke "a VIP without a service" NOT_LISTENING warning true

# ---- services --------------------------------------------------------------------------------------------------------
# nginx_on ADDRESS...: in place of the one that runs
nginx_on() {
	[ ! -e "$RIG_DIR/nginx.pid" ] || stop nginx
	mkdir -p "$RIG_DIR/tmp"
	cat >"$RIG_DIR/nginx.conf" <<-END
		daemon off; user root; pid $RIG_DIR/nginx.run; error_log $RIG_DIR/error.log; events {}
		http { access_log off; client_body_temp_path $RIG_DIR/tmp; proxy_temp_path $RIG_DIR/tmp;
		    fastcgi_temp_path $RIG_DIR/tmp; uwsgi_temp_path $RIG_DIR/tmp; scgi_temp_path $RIG_DIR/tmp;
		    server { $(printf 'listen %s; ' "$@") return 200; } }
	END
	serve backend1 nginx nginx -c "$RIG_DIR/nginx.conf" -e "$RIG_DIR/error.log"
	eventually 5 at sh -c 'ss -Hltn "sport = 80" | grep -q .'
}
provoke "a service on the own address alone" OWN_ADDRESS_ONLY warning nginx_on 10.3.0.1:80 "[fd00:2::1]:80" "10.2.0.5:80"
need "nginx on all" nginx_on 80 "[::]:80"
expect "a service on the wildcard is right" doctor_content
udp_wildcard() {
	serve backend1 udp socat UDP4-RECVFROM:53,fork SYSTEM:cat
	eventually 5 at sh -c 'ss -Hlun "sport = 53" | grep -q .'
}
provoke "a UDP service on the wildcard" WRONG_SOURCE warning udp_wildcard
stop udp
expect "without it all is well" doctor_content

# ---- addresses -------------------------------------------------------------------------------------------------------
by_both "a missing VIP" VIP_MISSING wrong at ip address del 10.2.0.1/32 dev lo
by_command "a missing IPv6 VIP" VIP_MISSING wrong at ip address del fd00:2::1/128 dev lo
swallow() { at ip address del "$1/$2" dev lo; at ip address add "$1/$3" dev lo; }
by_both "a VIP that swallows its subnet" VIP_PREFIX wrong swallow 10.2.0.1 32 24
by_fix "an IPv6 VIP that does" VIP_PREFIX wrong swallow fd00:2::1 128 64
by_command "a VIP on the network" VIP_ON_NETWORK wrong at ip address add 10.2.0.5/32 dev eth0
refused_address() { # the router has it
	host router ip address add fd00:2::1/128 dev backend0 nodad
	set_to ipv6/conf/eth0/accept_dad 1
	six address add fd00:2::1/128 dev eth0
	eventually 5 sh -c "nsenter --net=/run/netns/$RIG-backend1 ip -6 address show dev eth0 | grep -q dadfailed"
}
by_command "an address that another machine has" VIP_TENTATIVE wrong refused_address
host router ip address del fd00:2::1/128 dev backend0
by_command "a proxy for the VIP" ND_PROXY wrong six neigh add proxy fd00:2::1 dev eth0
by_both "lo that is down" LO_DOWN wrong at ip link set lo down
forward_without() {
	set_to ipv4/conf/eth0/forwarding 1
	at ip address del 10.2.0.1/32 dev lo
}
by_command "a VIP that is missing where packets are forwarded" FORWARD_LOOP wrong forward_without

# ---- settings --------------------------------------------------------------------------------------------------------
by_both "arp_ignore that was reset" ARP_IGNORE wrong set_to ipv4/conf/all/arp_ignore 0
at ip link add eth1 type veth peer name eth2
by_both "arp_announce of another mind on one interface" ARP_ANNOUNCE wrong set_to ipv4/conf/eth1/arp_announce 3
at ip link del eth1
by_both "a strict reverse path filter" RP_FILTER wrong set_to ipv4/conf/eth0/rp_filter 1
by_both "IPv6 that is off on lo" IPV6_OFF wrong set_to ipv6/conf/lo/disable_ipv6 1
by_both "few connections that may wait" LIMIT_LOW warning set_to core/somaxconn 128
provoke "Fast Open by a key of its own" FASTOPEN_KEY warning set_to ipv4/tcp_fastopen 3
hash_of() {
	set_to ipv4/tcp_fastopen_key "$1"
	doctor --json | jq -r '.items[] | select(.item == "fast open").text' | grep -oE '[0-9a-f]{8}$'
}
KEY=00112233-44556677-8899aabb-ccddeeff
expect_equal "equal keys have equal hashes" "$(hash_of $KEY)" "$(hash_of $KEY)"
expect_not "and different ones do not" test "$(hash_of $KEY)" = "$(hash_of 10112233-44556677-8899aabb-ccddeeff)"
set_to ipv4/tcp_fastopen 1

# ---- tunnels ---------------------------------------------------------------------------------------------------------
detach() { at bpftool link detach pinned "$(find /sys/fs/bpf/halfproxy-backend -name link)"; }
by_both "a program that was detached" NOT_DECAPSULATED wrong detach
forget_vip() { bpftool map delete pinned "$(find /sys/fs/bpf/halfproxy-backend -name vips4)" key 10 2 0 1; }
by_both "a VIP that the program does not know" NOT_DECAPSULATED wrong forget_vip
foreign() {
	detach
	at ip link set dev eth0 xdpdrv obj "$RIG_DIR/pass.o" sec xdp
}
provoke "somebody else's program" XDP_TAKEN wrong foreign
expect_text "... --fix leaves it alone, and says why" "somebody else's XDP program" doctor --fix
at sh -c "$(doctor_command XDP_TAKEN)"
by_fix "... without it the tunnels are closed" NOT_DECAPSULATED wrong true
by_both "an MSS filter that was taken off" MSS_TOO_LARGE wrong at tc filter del dev eth0 egress
by_command "a smaller MTU" MSS_TOO_LARGE wrong at ip link set eth0 mtu 1400

need "a VIP by gue" agent up --vip 10.2.0.5 --forward gue --from 10.2.0.10
by_both "packets that nothing passes on" PROGRAM_OLD wrong at tc filter del dev eth0 ingress
container() { # the VIP in a network namespace behind eth0's host
	ip netns add "$RIG-inner"
	at ip link add door type veth peer name eth0 netns "$RIG-inner"
	at ip link set door up
	host inner ip address add 10.2.0.5/32 dev eth0
}
provoke "a VIP whose sockets are in a container" CHANCE_BLIND wrong container
at env PATH="$BUILD:$PATH" sh -c "$(doctor_command CHANCE_BLIND)" >/dev/null
expect_not "... mended by the command printed" grep -q CHANCE_BLIND <(doctor_names)
ip netns del "$RIG-inner"
eventually 5 sh -c "! nsenter --net=/run/netns/$RIG-backend1 ip link show door"
expect "all is well" doctor_content

# ---- the rest --------------------------------------------------------------------------------------------------------
filter() {
	at nft -f - <<-END
		table inet filter {
		    chain input { type filter hook input priority 0; ct state invalid drop; }
		    chain output { type filter hook output priority 0; ct state vmap { invalid : drop }; }
		}
	END
}
provoke "rules that drop what conntrack calls invalid" HALF_OPEN_DROPPED warning filter
at sh -c "$(doctor_command HALF_OPEN_DROPPED)"
provoke "... one chain mended, the other" HALF_OPEN_DROPPED warning true
at sh -c "$(doctor_command HALF_OPEN_DROPPED)"
expect "... mended by the commands printed" doctor_content
at nft flush ruleset
provoke "no way back" NO_ROUTE_BACK warning at ip route del default
at ip route add default via 10.3.0.254
hide_bpffs() { mount -t tmpfs none /sys/fs/bpf; }
provoke "a BPF file system that is missing" BPFFS_MISSING wrong hide_bpffs
at sh -c "$(doctor_command BPFFS_MISSING)"
expect_not "... mended by the command printed" grep -q BPFFS_MISSING <(doctor_names)
umount /sys/fs/bpf
doctor --fix >/dev/null
expect_not "... and by --fix" grep -q BPFFS_MISSING <(doctor_names)
umount /sys/fs/bpf && umount /sys/fs/bpf
expect "all is well again" doctor_content
provoke "an interface that is down" INTERFACE_DOWN wrong at ip link set eth0 down
at sh -c "$(doctor_command INTERFACE_DOWN)"
address backend1 eth0 10.3.0.1/24 fd00:3::1/64 2>/dev/null
gateway backend1 eth0 10.3.0.254 fd00:3::fe 2>/dev/null
expect "... mended by the command printed" eventually 5 doctor_content

# ---- the command line ------------------------------------------------------------------------------------------------
expect_equal "what is wrong is exit status 2" 2 "$(agent doctor --vip 10.9.9.9 >/dev/null; echo $?)"
expect_text "a VIP by a tunnel whose senders are remembered" \
	"halfproxy-backend up --vip 10.9.9.9 --forward gue --from 10.2.0.10/32 --from fd00:2::a/128" \
	agent doctor --vip 10.9.9.9 --forward gue
settled() { [ -z "$(at ip -6 address show tentative)" ]; }
need "eth0's own address has settled" eventually 10 settled
remember
refuses "a method without a VIP" "--forward, --from and --interface belong to --vip" doctor --forward l2
refuses "--fix elsewhere" "--fix belongs to doctor" status --fix
need "down" agent down
expect_text "a VIP by a tunnel that nobody named the sender of" \
	"halfproxy-backend up --vip 10.9.9.9 --forward gue --from DIRECTOR" agent doctor --vip 10.9.9.9 --forward gue
expect_equal "... which --fix cannot guess" 0 "$(agent doctor --vip 10.9.9.9 --forward gue --fix --json |
	jq '[.items[] | select(.id == "NOT_DECAPSULATED" and .safe)] | length')"
finish

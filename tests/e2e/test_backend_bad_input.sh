#!/bin/bash
# What halfproxy-backend refuses: each with a clear error, exit status 2, and the host as it was.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/backend.sh

TUNNEL=(--forward ipip --from 10.2.0.10 --interface eth0)

rig_up ipip || exit 1
remember

# ---- the command line ------------------------------------------------------------------------------------------------
refuses "no command" "usage:"
refuses "an unknown command" 'no command "upp": up, down, status or doctor' upp
refuses "a mistyped option" 'there is no option "--vips": did you mean "--vip"?' up --vips 10.2.0.1
refuses "an option that may be two" '"--f" may be any of --forward, --from' up --vip 10.2.0.1 --f l2
refuses "an option without its value" "--vip needs a value" up --vip
refuses "up without a VIP where nothing is set up" "up needs --vip VIP" up
refuses "a method without a VIP" "up needs --vip VIP" up --forward l2
refuses "a VIP with a prefix length" '"10.2.0.1/24" must be one address, without a prefix length' up --vip 10.2.0.1/24
refuses "even with the right one" '"10.2.0.1/32"' up --vip 10.2.0.1/32
refuses "a VIP that is no address" '"web.example"' up --vip web.example
refuses "more VIPs than there is room for" "there are more than 256" up --vip 10.9.0.{1..128} 10.9.1.{1..129}
refuses "an unknown method" 'l2, ipip, gue or gre, not "vxlan"' up --vip 10.2.0.1 --forward vxlan
refuses "a key that is no number" '--gre-key "0x7" must be a number up to 4294967295, or none' \
	up --vip 10.2.0.1 --forward gre --from 10.2.0.10 --gre-key 0x7
refuses "a key without gre" "--gre-key belongs to --forward gre" up --vip 10.2.0.1 --forward gue --from 10.2.0.10 --gre-key 7
refuses "a tunnel without a sender" "ipip needs --from DIRECTOR" up --vip 10.2.0.1 --forward ipip
refuses "one of gue too" "gue needs --from DIRECTOR" up --vip 10.2.0.1 --forward gue
refuses "a second chance without gue" "--second-chance belongs to --forward gue" up --vip 10.2.0.1 --second-chance off \
	--forward ipip --from 10.2.0.10
refuses "one that is neither on nor off" '--second-chance must be on or off, not "no"' up --vip 10.2.0.1 --second-chance no
refuses "one for down" "belong to up" down --second-chance off
refuses "a sender without a tunnel" "--from belongs to --forward ipip" up --vip 10.2.0.1 --from 10.2.0.10
refuses "a sender that is no address" '--from "director"' up --vip 10.2.0.1 --forward ipip --from director
refuses "a prefix with host bits" "without host bits" up --vip 10.2.0.1 --forward ipip --from 10.2.0.10/24
refuses "a prefix longer than an address" '"10.2.0.0/33"' up --vip 10.2.0.1 --forward ipip --from 10.2.0.0/33
refuses "all senders other than by any" "say --from any" up --vip 10.2.0.1 --forward ipip --from 0.0.0.0/0
refuses "all IPv6 senders too" "say --from any" up --vip 10.2.0.1 --forward ipip --from ::/0
refuses "an MTU without a tunnel" "--mtu belongs to" up --vip 10.2.0.1 --mtu 1400
refuses "an MTU that is no number" '"1400x"' up --vip 10.2.0.1 "${TUNNEL[@]}" --mtu 1400x
refuses "an MTU that IPv6 does not allow" "from 1280" up --vip fd00:2::1 "${TUNNEL[@]}" --mtu 1279
refuses "an MTU that IPv4 does not allow" "from 576" up --vip 10.2.0.1 "${TUNNEL[@]}" --mtu 575
refuses "an MSS that is no number" '--mss "big" must be auto or a number of bytes' up --vip 10.2.0.1 --mss big
refuses "an MSS of next to nothing" "from 88 to 65535" up --vip 10.2.0.1 --mss 87
refuses "a map that is none" '--map "443" must be PORT:SERVER' up --vip 10.2.0.1 --map 443
refuses "a port mapped to itself" "two different ports" up --vip 10.2.0.1 --map 443:443
refuses "a protocol that has no ports" '"sctp/443:8443"' up --vip 10.2.0.1 --map sctp/443:8443
refuses "more maps than there is room for" "there are more than 64" up --vip 10.2.0.1 --map tcp/{1..65}:8080
refuses "none beside others" "--map none says that no port is mapped: it stands alone" up --vip 10.2.0.1 --map 443:8443 none
refuses "a port with two servers" "give port 443 two servers" up --vip 10.2.0.1 --map 443:8443 tcp/443:9443 --interface eth0
refuses "a server's port that is mapped itself" "what comes for port 81 goes to another port" \
	up --vip 10.2.0.1 --map 80:81 81:82 --interface eth0
refuses "a UDP server for two ports" "answers of a UDP server leave from one port" \
	up --vip 10.2.0.1 --map udp/53:5353 --map udp/54:5353 --interface eth0
refuses "a map where nothing is set up" "up needs --vip VIP" up --map 80:8080
refuses "a map for down" "--mss and --map belong to up, not to down" down --map 80:8080
refuses "one for the doctor" "belong to up, not to doctor" doctor --map 80:8080
refuses "options of up for down" "belong to up, not to down" down --forward l2
refuses "a VIP for status" "status shows all" status --vip 10.2.0.1
refuses "a bare word that belongs to nothing" '"10.2.0.1" is no option' up 10.2.0.1

# ---- addresses -------------------------------------------------------------------------------------------------------
for vip in 0.0.0.0 127.0.0.2 224.0.0.1 255.255.255.255 169.254.3.3 :: ::1 fe80::1 ff02::1; do
	refuses "the VIP $vip" "must be a unicast address" up --vip 10.2.0.1 $vip
done
refuses "the host's own address as VIP" "VIP 10.3.0.1 is this host's own address on eth0" up --vip 10.2.0.1 10.3.0.1
refuses "with what would be right" "ip address del fd00:3::1/64 dev eth0" up --vip fd00:3::1
refuses "the VIP as its own sender" "--from 10.2.0.1 is a VIP" up --vip 10.2.0.1 --forward ipip --from 10.2.0.1
host backend1 ip address add 10.2.0.1/24 dev lo
remember
refuses "a VIP that swallows its subnet" "as a /24, which makes this host swallow its whole subnet" up --vip 10.2.0.1
host backend1 ip address del 10.2.0.1/24 dev lo
set_to ipv6/conf/eth0/disable_ipv6 1
remember
refuses "an IPv6 VIP where IPv6 is off" "sysctl -w net/ipv6/conf/eth0/disable_ipv6=0" up --vip fd00:2::1 --interface eth0
set_to ipv6/conf/eth0/disable_ipv6 0
host backend1 ip address add fd00:3::1/64 dev eth0 nodad
host backend1 ip -6 route replace default via fd00:3::fe dev eth0
host backend1 ip -6 neigh add proxy fd00:2::1 dev eth0
sleep 1 # until the interface's own address has settled
remember
refuses "a VIP that eth0 answers for as a proxy" "ip -6 neigh del proxy fd00:2::1 dev eth0" up --vip fd00:2::1
host backend1 ip -6 neigh del proxy fd00:2::1 dev eth0
remember

# ---- interfaces ------------------------------------------------------------------------------------------------------
refuses "an interface that is not there" "there is no interface eth7; there are: eth0" up --vip 10.2.0.1 --interface eth7
refuses "lo" "packets do not arrive by lo: name the interface, one of eth0" up --vip 10.2.0.1 --interface lo
refuses "a name longer than names are" "longer than 15" up --vip 10.2.0.1 --interface averylonginterfacename
host backend1 ip tuntap add tun0 mode tun
remember
refuses "an interface without Ethernet headers, for tunnels" "tun0 carries no Ethernet frames" \
	up --vip 10.2.0.1 --forward ipip --from 10.2.0.10 --interface tun0
refuses "one for mapped ports" "ports mapped on Ethernet only" up --vip 10.2.0.1 --map 80:8080 --interface tun0
host backend1 ip link del tun0
host backend1 tc qdisc add dev eth0 ingress
remember
refuses "an ingress qdisc, for tunnels" "tc qdisc del dev eth0 ingress" up --vip 10.2.0.1 "${TUNNEL[@]}"
host backend1 tc qdisc del dev eth0 ingress
host backend1 ip link set dev eth0 xdpdrv obj "$RIG_DIR/pass.o" sec xdp
remember
refuses "somebody else's XDP program" "eth0 runs somebody else's XDP program" up --vip 10.2.0.1 "${TUNNEL[@]}"
expect "beside which l2 goes up" agent up --vip 10.2.0.1 --interface eth0 --map 80:8080
expect "and status finds right" agent status
need "and its ports go" agent up --map none
refuses_more() {
	remember
	refuses "$@"
}
refuses_more "a tunnel still does not" "ip link set dev eth0 xdp off" up --vip 10.2.0.2 fd00:2::2 "${TUNNEL[@]}"
refuses_more "nor a second chance for what comes by l2" "by which no VIP comes" up --second-chance off
refuses_more "nor another interface, while this is set up" "set up on eth0 already" up --vip 10.2.0.1 --interface lo0
need "down" agent down
host backend1 ip link set dev eth0 xdp off
host backend1 ip route del default
host backend1 ip -6 route del default
remember
refuses "no route to find the interface by" "there is no default route, so the interface where packets arrive must be named" up --vip 10.2.0.1
host backend1 ip route add default via 10.3.0.254

# ---- sockets elsewhere -----------------------------------------------------------------------------------------------
GUE=(--forward gue --from 10.2.0.10 --interface eth0)
rig_host inside
host backend1 ip link add door type veth peer name eth0 netns "$RIG-inside"
host backend1 ip link set door up
host inside ip link set eth0 up
for vip in 10.2.0.1/32 fd00:2::1/128; do host inside ip addr add $vip dev lo; done
remember
refuses "a second chance for a VIP whose sockets are in a container" "behind door: its sockets are there" up --vip 10.2.0.1 "${GUE[@]}"
refuses "for an IPv6 one" "or say --second-chance off" up --vip 10.2.0.9 fd00:2::1 "${GUE[@]}"
expect "without it goes up" agent up --vip 10.2.0.1 "${GUE[@]}" --second-chance off
expect_text "as status says" "second chance  off" agent status
expect "and finds right" agent status
refuses_more "and cannot be switched on" "behind door: its sockets are there" up --second-chance on
host inside ip addr del 10.2.0.1/32 dev lo
need "but when the VIP is no longer there" agent up --second-chance on
host inside ip addr add 10.2.0.1/32 dev eth0
expect_text "should it come back, status says so" "is an address of another network namespace, behind door" agent status
expect_text "and what to do" "halfproxy-backend up --second-chance off" agent status
need "which helps" agent up --second-chance off
expect "says status" agent status
need "down" agent down
ip netns del "$RIG-inside"
eventually 5 sh -c "! nsenter --net=/run/netns/$RIG-backend1 ip link show door 2>/dev/null"

# ---- the machine -----------------------------------------------------------------------------------------------------
remember
without_bpffs() {
	host backend1 unshare --mount sh -c 'mount -t tmpfs none /sys/fs/bpf; exec "$@"' - "$BUILD/halfproxy-backend" "$@"
}
expect_text "without a BPF file system it says how to mount it" "mount -t bpf bpf /sys/fs/bpf" \
	without_bpffs up --vip 10.2.0.1 "${TUNNEL[@]}"
same "and changes nothing"
expect "which l2 does not need" without_bpffs up --vip 10.2.0.1 --interface eth0
need "down" agent down
cp "$BUILD/halfproxy-backend" "$RIG_DIR/agent" && chmod 755 "$RIG_DIR/agent"
powerless() { # CAPABILITIES COMMAND...
	host backend1 setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$RIG_DIR/agent" "$@"
}
expect_text "without privileges up says that root is needed" "not run as root" powerless up --vip 10.2.0.1 --interface eth0
same "and changes nothing"
need "up" agent up --vip 10.2.0.1 "${TUNNEL[@]}"
remember
expect_text "status without privileges does not guess" "only root can see whether tunnels are open" powerless status
expect_text "down without privileges fails" "not run as root" powerless down
same "and changes nothing"
need "down" agent down

# ---- a step that fails half way --------------------------------------------------------------------------------------
remember
expect_text "up that fails late takes back what it did" "is taken back" host backend1 setpriv \
	--bounding-set=-sys_admin,-bpf,-perfmon "$RIG_DIR/agent" up --vip 10.2.0.1 fd00:2::1 "${TUNNEL[@]}"
same "all of it"
need "up" agent up --vip 10.2.0.1 --interface eth0
remember
expect_text "up that fails late keeps what was set up before" "the kernel refuses the BPF programs" host backend1 setpriv \
	--bounding-set=-sys_admin,-bpf,-perfmon "$RIG_DIR/agent" up --vip 10.2.0.9 fd00:2::1 "${TUNNEL[@]}"
same "and nothing else"
expect "which is still right" agent status
rm -f "$RIG_DIR/agent"
finish

#!/bin/bash
# Ways to a backend that stand on another interface, which this system's kernel may lack: a VLAN and a VLAN in a VLAN are
# followed to the port, and frames leave tagged, those of probes, too; a bond and a bridge are refused in clear words; and
# none of them is a way in.
#
#     director eth1 ---------------------- eth1 backend1
#              eth1.7      802.1Q 7        eth1.7     10.7.0.0/24, fd00:7::/64
#              eth1.s5     802.1ad 5       eth1.s5
#              eth1.s5.9   802.1Q 9 in it  eth1.s5.9  10.9.0.0/24, fd00:9::/64
# suite: 80 s heavy
set -u
cd "$(dirname "$0")/../.." || exit 1
[ -n "${GUEST-}" ] || exec rig/guest "$0" halfproxyd halfproxy halfproxy-backend marked ip ethtool curl nginx jq \
	tcpdump
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/facts.sh

TAGS7="vlan 7, p 0, ethertype IPv4"
TAGS9="vlan 5, p 0, ethertype 802.1Q (0x8100), vlan 9, p 0, ethertype IPv"

state() { hp status --json | jq -r "[.services[].backends[] | select(.address == \"$1\") | .state][0]"; }
reason() { hp status --json | jq -r "[.services[].backends[] | select(.address == \"$1\") | .reason][0]"; }
mtu() { hp status --json | jq -r "[.services[].backends[] | select(.address == \"$1\") | .mtu][0]"; }
is() { [ "$("${@:2}")" = "$1" ]; }

# uppers HOST N: the VLANs on its eth1, with addresses that end in N.
uppers() {
	host "$1" ip link add link eth1 name eth1.7 type vlan id 7
	host "$1" ip link add link eth1 name eth1.s5 type vlan protocol 802.1ad id 5
	host "$1" ip link add link eth1.s5 name eth1.s5.9 type vlan id 9
	for upper in eth1.7 eth1.s5 eth1.s5.9; do host "$1" ip link set "$upper" up; done
	address "$1" eth1.7 "10.7.0.$2/24" "fd00:7::$2/64"
	address "$1" eth1.s5.9 "10.9.0.$2/24" "fd00:9::$2/64"
}

# The configuration with the interfaces $1 is refused, and the words name what is right.
refused() {
	RIG_INTERFACES=$1 service web "$RIG_VIP4" tcp 80 l2 10.7.0.1 | RIG_INTERFACES=$1 director_file
	expect_text "$1 as a way in is refused: $2" "$2" hp reload
}

echo "on Linux $GUEST"
rig_up ipip || exit 1
cable director eth1 backend1 eth1
need "the kernel makes VLANs for the director" uppers director 10
need "and for the backend" uppers backend1 1
pass_program backend1 eth1
need "the backend takes the VIP" host backend1 "$BUILD/halfproxy-backend" up --vip "$RIG_VIP4" --forward l2
need "and the IPv6 one" host backend1 "$BUILD/halfproxy-backend" up --vip "$RIG_VIP6" --forward l2
host backend1 ip link add t44 type ipip local 10.9.0.1 remote 10.9.0.10
host backend1 ip link set t44 up
need "nginx runs" web_up 1 "$RIG_VIP4"
sed -i "s/listen 10.2[^;]*;/listen 80; listen 81; listen 82; listen [::]:80;/; s/listen 10.3[^;]*;//
	s/server {/& location = \/upload { return 200 \"taken by backend1\"; }/" "$RIG_DIR/web1/nginx.conf"
stop nginx1
serve backend1 nginx1 nginx -c "$RIG_DIR/web1/nginx.conf" -e "$RIG_DIR/web1/error.log"
{
	service one-tag $RIG_VIP4 tcp 80 l2 10.7.0.1
	service two-tags $RIG_VIP4 tcp 81 l2 10.9.0.1
	service two-tags6 $RIG_VIP6 tcp 80 l2 fd00:9::1
	service tunnel $RIG_VIP4 tcp 82 ipip 10.9.0.1
} | director_file
need "halfproxyd runs" director_up
need "the backends behind VLANs are ready" eventually 10 all_ready

# ---- frames leave tagged --------------------------------------------------------------------------------------------
capture backend1 eth1 wire
expect_text "a page comes by one tag" "hello from backend1" web_get $RIG_VIP4 ""
expect_text "by two" "hello from backend1" host client curl -sS --max-time 5 http://$RIG_VIP4:81/
expect_text "by two and IPv6" "hello from backend1" web_get $RIG_VIP6 ""
expect_text "by two and a tunnel that the kernel's device opens" "hello from backend1" \
	host client curl -sS --max-time 5 http://$RIG_VIP4:82/
for probed in one-tag two-tags two-tags6 tunnel; do
	read -r mark vip port < <(hp status --json | jq -r ".services[] | select(.name == \"$probed\") |
		\"\(.backends[0].mark) \(.vips[0]) \(.port)\"")
	expect_text "a probe finds the same way: $probed" "taken by backend1" host director "$BUILD/marked" "$mark" "$vip" "$port" 10
done
captures_end
to() { packets wire | grep -F "> $(mac backend1 eth1)," | grep -F "$1"; }
expect_text "one tag is the VLAN's" "$TAGS7" to "> $RIG_VIP4.80:"
expect_text "two are the outer and the inner VLAN's" "${TAGS9}4" to "> $RIG_VIP4.81:"
expect_text "before IPv6 too" "${TAGS9}6" to "> $RIG_VIP6.80:"
expect_text "and before a tunnel" "${TAGS9}4" to "10.9.0.10 > 10.9.0.1:"
expect_equal "no other frame for the VIP came" "" "$(packets wire | grep -F "> $RIG_VIP4." | grep -vF -e "$TAGS7" -e "$TAGS9")"
expect_equal "the outer tag is of 802.1ad" 0 "$(packets wire | grep -F 'vlan 5,' | grep -cvF '802.1Q-QinQ')"

# ---- full segments -----------------------------------------------------------------------------------------------------
too_big() { hp status --json | jq -r '.services[] | select(.name == "two-tags") | .verdicts.TOO_BIG_TOLD // 0'; }
long() { host client curl -sS --max-time "$2" -H "X-Long: $(<"$RIG_DIR/zeros")" "http://$RIG_VIP4:$1/"; }
printf %07000d 0 >"$RIG_DIR/zeros"
capture backend1 eth1 wire "vlan"
expect_text "a request of full segments is answered by one tag" "hello from backend1" long 80 5
expect_text "by two they do not fit the port's MTU, and the client sends less" "hello from backend1" long 81 5
expect "since it was told, which is counted: $(too_big)" test "$(too_big)" -gt 0
host backend1 ip link set eth1 mtu 1504
host director ip link set eth1 mtu 1504
expect "a larger MTU of the port is seen" eventually 5 is 1500 mtu 10.9.0.1
host client ip route flush cache
expect_text "and then they fit" "hello from backend1" long 81 5
captures_end
expect_text "full segments arrive with one tag" "length 1518: vlan 7" to "> $RIG_VIP4.80:"
expect_text "and with two" "length 1522: vlan 5" to "> $RIG_VIP4.81:"

# ---- a VLAN that changes ------------------------------------------------------------------------------------------------
host director ip link set eth1.7 down
expect "a VLAN that goes down fails its backend" eventually 5 is failed state 10.7.0.1
host director ip link set eth1.7 up
expect "and readies it when it comes back" eventually 10 is ready state 10.7.0.1

# ---- ways that are none ---------------------------------------------------------------------------------------------------
host director ip link add dummy1 type dummy
host director ip link add bond1 type bond mode active-backup
host director ip link set dummy1 master bond1
host director ip link set bond1 up
address director bond1 10.11.0.10/24 fd00:b::a/64
host director ip link add bridge1 type bridge
host director ip link add dummy2 type dummy
host director ip link set dummy2 master bridge1
host director ip link set dummy2 up
host director ip link set bridge1 up
address director bridge1 10.12.0.10/24 fd00:c::a/64
{
	service one-tag $RIG_VIP4 tcp 80 l2 10.7.0.1 10.11.0.1 10.12.0.1
} | director_file
need "a configuration with ways over bond and bridge is taken" hp reload
expect "a backend behind a bond fails" eventually 8 is failed state 10.11.0.1
expect_text "and is told why" "interface bond1 is a bond: XDP here cannot choose its port" reason 10.11.0.1
expect "a backend behind a bridge fails" eventually 8 is failed state 10.12.0.1
expect_text "and is told why" "interface bridge1 is a bridge: XDP here cannot choose its port" reason 10.12.0.1
expect_text "the other gets all flows" "hello from backend1" web_get $RIG_VIP4 ""

refused eth1.7 "interface eth1.7 is a VLAN, and XDP sees packets on the port below it: name eth1 instead"
refused eth1.s5.9 "interface eth1.s5.9 is a VLAN, and XDP sees packets on the port below it: name eth1 instead"
refused bond1 "interface bond1 is a bond"
refused bridge1 "interface bridge1 is a bridge"
expect_text "what ran goes on" "hello from backend1" web_get $RIG_VIP4 ""
finish

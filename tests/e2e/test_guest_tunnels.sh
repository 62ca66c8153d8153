#!/bin/bash
# What the director sends by ipip, gue and gre is what Linux expects: the kernel's own tunnel devices take it, in all four pairs
# of families, on a backend that has nothing of ours. For GUE the kernel opens UDP port 6080, and hands what is within to
# the same devices.
#
#     VIP     backend     device               of gre, with a key
#     IPv4    IPv4        ipip                 gre
#     IPv6    IPv4        sit                  the same
#     IPv4    IPv6        ip6tnl, mode any     ip6gre
#     IPv6    IPv6        the same             the same
# suite: 100 s heavy
set -u
cd "$(dirname "$0")/../.." || exit 1
[ -n "${GUEST-}" ] || exec rig/guest "$0" halfproxyd halfproxy halfproxy-backend ip ethtool curl nginx jq tcpdump
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/facts.sh

RIG_FILE_BYTES=100000
LONG="X-Long: $(printf %07000d 0)"
OTHER_VIP4=10.2.0.2
OTHER_VIP6=fd00:2::2

errors() { host backend1 ip -s -j link show dev "$1" | jq '.[0].stats64.rx.errors'; }

# asks PAIR VIP: the client's side.
asks() {
	expect_text "$1: a page comes from the VIP" "hello from backend1" web_get "$2" ""
	expect_text "$1: a request of full segments is answered" "hello from backend1" web_get "$2" "" -H "$LONG"
}

# takes PAIR VIP DEVICE OUTER-BYTES OUTER-FILTER: what left the director so and what came out of the device.
takes() {
	facts_frames front "$4" "$5" >"$RIG_DIR/sent"
	facts_frames "$3" 0 "dst host $2" >"$RIG_DIR/taken"
	expect "$1: $(wc -l <"$RIG_DIR/taken") packets came out of the kernel's device" \
		test "$(wc -l <"$RIG_DIR/taken")" -ge 8
	expect "$1: full segments among them" grep -qE '^.{2700,}$' "$RIG_DIR/taken"
	expect "$1: byte for byte what was put in" cmp "$RIG_DIR/sent" "$RIG_DIR/taken"
	expect_equal "$1: no packet was in error" 0 "$(errors "$3")"
}

echo "on Linux $GUEST"
rig_up ipip || exit 1
host backend1 sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce'
for vip in $RIG_VIP4/32 $OTHER_VIP4/32 $RIG_VIP6/128 $OTHER_VIP6/128; do
	host backend1 ip addr add "$vip" dev lo
done
for device in "t44 type ipip" "t64 type sit"; do
	# shellcheck disable=SC2086 # words are wanted
	need "the kernel makes ${device#* }" host backend1 ip link add $device local 10.3.0.1 remote 10.2.0.10
done
need "the kernel makes type ip6tnl" host backend1 ip link add t6 type ip6tnl mode any local fd00:3::1 remote fd00:2::a
for device in t44 t64 t6; do
	host backend1 ethtool -K $device gro off
	host backend1 ip link set $device up
done
host backend1 ip route change default via 10.3.0.254 advmss 1400
host backend1 ip -6 route change default via fd00:3::fe advmss 1380
need "nginx runs" web_up 1 "$RIG_VIP4"
sed -i "s/listen 10.2[^;]*;/listen 80; listen [::]:80;/; s/listen 10.3[^;]*;//" "$RIG_DIR/web1/nginx.conf"
stop nginx1
serve backend1 nginx1 nginx -c "$RIG_DIR/web1/nginx.conf" -e "$RIG_DIR/web1/error.log"
need "the kernel knows GUE" modprobe fou # which no alias names
for family in -4 -6; do
	need "the kernel opens GUE's port for IP$family" host backend1 ip $family fou add port 6080 gue
done

# The doctor of the backend, where nothing of ours is set up, knows the kernel's devices.
doctor() {
	host backend1 "$BUILD/halfproxy-backend" doctor --vip $RIG_VIP4 $RIG_VIP6 --forward "$1" --from 10.2.0.10 fd00:2::a \
		--interface eth0 "${@:2}"
}
for method in ipip gue; do
	expect_text "the doctor takes them for $method" "by the kernel's t" doctor $method
	host backend1 ip link set t64 down
	expect_text "... all of them" "NOT_DECAPSULATED" doctor $method
	host backend1 ip link set t64 up
done
for value in 1 2; do # a device without an address drops by either
	host backend1 sh -c "echo $value >/proc/sys/net/ipv4/conf/t44/rp_filter"
	expect_text "and looks at their reverse path filter, $value" "RP_FILTER" doctor ipip
	doctor ipip --fix --json >"$RIG_DIR/fixed" 2>&1
	expect_equal "which --fix takes away" 0 "$(host backend1 cat /proc/sys/net/ipv4/conf/t44/rp_filter)"
done

# The devices that take each pair, in the order of the table.
DEVICES=(t44 t64 t6 t6)

# run FORWARD OUTER4 FILTER4 FILTER64 OUTER6 FILTER6 FILTER66: how many bytes of outer headers there are, and by which
# filters the frames of each pair are told.
run() {
	{
		service web44 $RIG_VIP4 tcp 80 "$1" 10.3.0.1
		service web64 $RIG_VIP6 tcp 80 "$1" 10.3.0.1
		service web46 $OTHER_VIP4 tcp 80 "$1" fd00:3::1
		service web66 $OTHER_VIP6 tcp 80 "$1" fd00:3::1
	} | director_file
	if [ -S "$HALFPROXY_SOCKET" ]; then
		need "$1: the configuration is changed" hp reload
	else
		need "$1: halfproxyd runs" director_up
	fi
	need "$1: the backends are ready" eventually 10 all_ready
	capture router director0 front "ip proto 4 or ip proto 41 or ip6 proto 4 or ip6 proto 41 or udp dst port 6080 or proto 47"
	for device in $(printf '%s\n' "${DEVICES[@]}" | sort -u); do capture backend1 "$device" "$device" "tcp"; done
	asks "$1, IPv4 in IPv4" $RIG_VIP4
	asks "$1, IPv6 in IPv4" $RIG_VIP6
	asks "$1, IPv4 in IPv6" $OTHER_VIP4
	asks "$1, IPv6 in IPv6" $OTHER_VIP6
	captures_end
	takes "$1, IPv4 in IPv4" $RIG_VIP4 "${DEVICES[0]}" "$2" "$3"
	takes "$1, IPv6 in IPv4" $RIG_VIP6 "${DEVICES[1]}" "$2" "$4"
	takes "$1, IPv4 in IPv6" $OTHER_VIP4 "${DEVICES[2]}" "$5" "$6"
	takes "$1, IPv6 in IPv6" $OTHER_VIP6 "${DEVICES[3]}" "$5" "$7"
}

run ipip 20 "ip proto 4" "ip proto 41" 40 "ip6 proto 4" "ip6 proto 41"
run gue 32 "udp and ip[29] = 4" "udp and ip[29] = 41" 52 "udp and ip6[49] = 4" "udp and ip6[49] = 41"

need "the kernel makes a device for GRE" host backend1 ip link add g4 type gre key 77 local 10.3.0.1 remote 10.2.0.10
need "and one for IPv6" host backend1 ip link add g6 type ip6gre key 77 local fd00:3::1 remote fd00:2::a
for device in g4 g6; do
	host backend1 ethtool -K $device gro off
	host backend1 ip link set $device up
done
expect_text "the doctor takes them for gre" "by the kernel's g" doctor gre
DEVICES=(g4 g4 g6 g6)
RIG_TUNNEL="{gre_key: 77}"
run gre 28 "proto 47 and ip[22:2] = 0x0800" "proto 47 and ip[22:2] = 0x86dd" 48 "ip6 proto 47 and ip6[42:2] = 0x0800" \
	"ip6 proto 47 and ip6[42:2] = 0x86dd"
finish

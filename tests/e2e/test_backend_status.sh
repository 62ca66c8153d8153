#!/bin/bash
# halfproxy-backend status: whatever is wrong is named, and what it prints as the fix mends it when it is run.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/backend.sh

# Run every fix that status prints, in its order, on the backend.
mend() {
	agent status --json | jq -r '.[] | select(.ok | not).fix' | while read -r fix; do
		host backend1 env PATH="$BUILD:$PATH" sh -c "$fix" || echo "this fix failed: $fix"
	done
}
on_backend() { host backend1 "$@"; }

# wrong SENTENCE TEXT COMMAND...: after the command, status names TEXT among what is wrong, and its fixes mend it.
wrong() {
	local said
	"${@:3}" >/dev/null || echo "could not provoke: ${*:3}"
	said=$(agent status | grep ^WRONG)
	grep -qF -e "$2" <<<"$said"
	expect_result $? "$1 is named" "wanted \"$2\" in:"$'\n'"$said"
	expect_equal "... with exit status 1" 1 "$(agent status >/dev/null; echo $?)"
	mend >"$RIG_DIR/mended" 2>&1
	expect "... and mended by what is printed" agent status
}
renew() { # eth0 goes away and comes back, as a driver's reset or a hot plug makes it
	host backend1 ip link del eth0
	plug backend1 eth0 p-backend1
	address backend1 eth0 10.3.0.1/24 fd00:3::1/64
	gateway backend1 eth0 10.3.0.254 fd00:3::fe
	set_to ipv4/conf/eth0/rp_filter 1
}
steal_pins() { rm -r /sys/fs/bpf/halfproxy-backend; }
foreign() {
	detach
	host backend1 ip link set dev eth0 xdpdrv obj "$RIG_DIR/pass.o" sec xdp
}
detach() { host backend1 bpftool link detach pinned "$(find /sys/fs/bpf/halfproxy-backend -name link)"; }
pinned_map() { find /sys/fs/bpf/halfproxy-backend -name "$1"; }
forget_vip() { bpftool map delete pinned "$(pinned_map vips4)" key 10 2 0 1; }
add_sender() { bpftool map update pinned "$(pinned_map senders4)" key 32 0 0 0 10 9 9 9 value 1 0 0 0; }

rig_up ipip || exit 1
expect_text "where nothing is set up, status says so" "no VIP is set up here" agent status
set_to ipv4/conf/eth0/rp_filter 1
remember
need "up" agent up --vip 10.2.0.1 fd00:2::1 --forward ipip --from 10.2.0.10 fd00:2::a --interface eth0
need "and a VIP by l2" agent up --vip 10.2.0.5
expect "all is right" agent status
expect_equal "as JSON too: every item has its four fields" true \
	"$(agent status --json | jq 'length > 10 and all(.[]; has("item") and has("ok") and has("text") and has("fix"))')"

# ---- listeners -------------------------------------------------------------------------------------------------------
# listen ADDRESS...: TCP sockets on port 80, for IPv6 alone where the address is IPv6, or for both after "both".
listen() {
	cat >"$RIG_DIR/sockets.py" <<-'END'
		import signal, socket, sys
		kept = []
		for address in sys.argv[1:]:
		    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
		    if ':' in address:
		        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not address.startswith('both'))
		    s.bind((address.removeprefix('both'), 80))
		    s.listen()
		    kept.append(s)
		signal.pause()
	END
	serve backend1 sockets /usr/bin/python3 "$RIG_DIR/sockets.py" "$@"
	eventually 5 host backend1 sh -c 'ss -Hltn "sport = 80" | grep -q .'
}
# heard SENTENCE WANTED4 WANTED6 ADDRESS...
heard() {
	listen "${@:4}"
	expect_equal "$1" "on 10.2.0.1: $2; on fd00:2::1: $3" "$(agent status --json | jq -r '[.[] | select(.item == "listeners" and
		(.text | test("10.2.0.1|fd00:2::1"))).text] | join("; ")')"
	stop sockets
}
heard "an IPv6-only wildcard is none of the IPv4 VIP's" "nothing listens yet" tcp/80 ::
heard "one that takes IPv4 as well is" tcp/80 tcp/80 both::
heard "a port is named once, though two sockets have it" tcp/80 tcp/80 0.0.0.0 ::
heard "the VIP's own sockets are named" tcp/80 "nothing listens yet" 10.2.0.1

# ---- addresses -------------------------------------------------------------------------------------------------------
wrong "a missing IPv4 VIP" "10.2.0.1 is not on lo" on_backend ip address del 10.2.0.1/32 dev lo
wrong "a missing IPv6 VIP" "fd00:2::1 is not on lo" on_backend ip address del fd00:2::1/128 dev lo
wrong "a VIP on the network" "10.2.0.1 is on eth0 as well, where it answers" on_backend ip address add 10.2.0.1/32 dev eth0
host backend1 ip address del 10.2.0.5/32 dev lo
wrong "a VIP with a prefix" "10.2.0.5 is on lo as a /24, which swallows its subnet" on_backend ip address add 10.2.0.5/24 dev lo
wrong "a proxy for the VIP" "eth0 answers neighbour solicitations for fd00:2::1" \
	on_backend ip -6 neigh add proxy fd00:2::1 dev eth0
lo_down() { host backend1 ip link set lo down; }
wrong "lo that is down" "lo is down" lo_down

# ---- settings --------------------------------------------------------------------------------------------------------
wrong "arp_ignore that somebody reset" "max(all 0, eth0 0) = 0: this host answers ARP" set_to ipv4/conf/all/arp_ignore 0
wrong "one that the kernel takes for 0" "max(all 1, eth0 5) = 5: this host answers ARP" set_to ipv4/conf/eth0/arp_ignore 5
wrong "arp_announce that somebody reset" "its own ARP requests give the VIP away" set_to ipv4/conf/all/arp_announce 0
host backend1 ip link add eth1 type veth peer name eth2
wrong "one that the kernel takes for 0, elsewhere" "max(all 2, eth1 3) = 3" set_to ipv4/conf/eth1/arp_announce 3
host backend1 ip link del eth1
wrong "strict rp_filter" "max(all 0, eth0 1) = 1: strict" set_to ipv4/conf/eth0/rp_filter 1
host backend1 ip -4 address flush dev eth0
wrong "loose rp_filter without an address" "max(all 0, eth0 2) = 2: loose on an interface without an IPv4 address" \
	set_to ipv4/conf/eth0/rp_filter 2
expect_equal "... by none" 0 "$(setting ipv4/conf/eth0/rp_filter)"
wrong "also where all says so" "max(all 2, eth0 0) = 2: loose on an interface" set_to ipv4/conf/all/rp_filter 2
host backend1 ip address add 10.3.0.1/24 dev eth0
gateway backend1 eth0 10.3.0.254 fd00:3::fe 2>/dev/null
wrong "IPv6 that is off on eth0" "IPv6 is off on eth0" set_to ipv6/conf/eth0/disable_ipv6 1
address backend1 eth0 10.3.0.1/24 fd00:3::1/64 2>/dev/null
gateway backend1 eth0 10.3.0.254 fd00:3::fe 2>/dev/null
wrong "IPv6 that is off on lo" "IPv6 is off on lo" set_to ipv6/conf/lo/disable_ipv6 1

# ---- tunnels ---------------------------------------------------------------------------------------------------------
wrong "a program that was detached" "nothing opens tunnels on eth0" detach
wrong "somebody else's program in its place" "somebody else's XDP program is on eth0" foreign
wrong "a filter that was taken off" "the filter is not attached" on_backend tc filter del dev eth0 egress
wrong "a qdisc that was taken off" "the filter is not attached" on_backend tc qdisc del dev eth0 clsact
wrong "a VIP that the programs do not know" "its maps hold other VIPs, senders or VLANs" \
	forget_vip
wrong "a sender that nobody named" "its maps hold other VIPs, senders or VLANs" \
	add_sender
wrong "pins that were removed" "nothing opens tunnels" steal_pins
wrong "an MTU that changed" "the MTU of eth0 allows 1320 and 1300" on_backend ip link set eth0 mtu 1400
wrong "and changed back" "the MTU of eth0 allows 1420 and 1400" on_backend ip link set eth0 mtu 1500
expect_text "the programs still work as a pair" "(native)" agent status

# ---- the interface ---------------------------------------------------------------------------------------------------
eth0_down() { host backend1 ip link set eth0 down; }
wrong "an interface that is down" "packets arrive by eth0, MTU 1500, down" eth0_down
host backend1 ip -6 address replace fd00:3::1/64 dev eth0 nodad
gateway backend1 eth0 10.3.0.254 fd00:3::fe 2>/dev/null
host backend1 ip link del eth0
expect_text "an interface that is gone is named" "eth0, where packets arrive, is gone" agent status
expect_text "up without it says so" "there is no interface eth0" agent up
plug backend1 eth0 p-backend1
renew
wrong "an interface made anew" "eth0 was made anew, and what hung on it is gone" true
wrong "and once more" "eth0 was made anew" renew
need "down" agent down
snapshot | sed -E 's/^[0-9]+: //; s/([0-9a-f]{2}:){5}[0-9a-f]{2}//g; s/@if[0-9]+//; /link\/ether/d; /fe80/d' >"$RIG_DIR/after"
expect_equal "down after all this leaves no trace of ours" "" \
	"$(grep -E 'clsact|hp_|10\.2\.0|fd00:2:|halfproxy' "$RIG_DIR/after")"
expect_equal "and rp_filter as it was" 1 "$(setting ipv4/conf/eth0/rp_filter)"
expect_equal "and ARP" "0 0" "$(setting ipv4/conf/all/arp_ignore) $(setting ipv4/conf/all/arp_announce)"
need "up" agent up --vip 10.2.0.1 --forward ipip --from 10.2.0.10 --interface eth0
host backend1 ip link del eth0
expect "down when the interface is gone" agent down
expect_equal "leaves no pins" "" "$(find /sys/fs/bpf /run -path '*halfproxy-backend*')"
finish

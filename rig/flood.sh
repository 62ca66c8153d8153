# shellcheck shell=bash
# A bounded flood of SYNs or of ACKs from a host of its own, each packet of a flow of its own. Sourced after rig.sh.
#
#     flood_up                   the flooders' host, and no way back to the addresses that they make up
#     flood syn|ack              so many packets a second of each family to the VIPs, FLOOD_RATE for FLOOD_SECONDS
#     flood_ends                 whether it is over within 30 seconds

FLOOD_RATE=3000 FLOOD_SECONDS=14

flood_up() {
	rig_host flood
	cable flood eth0 router flood0
	address flood eth0 192.168.9.1/24 fd00:9::1/64
	address router flood0 192.168.9.254/24 fd00:9::fe/64
	gateway flood eth0 192.168.9.254 fd00:9::fe
	host router ip route add blackhole 198.18.0.0/15
	host router ip -6 route add blackhole 2001:2::/48
}

flood() {
	serve flood "flood4" "$BUILD/forge" "$1" "$RIG_VIP4" 80 198.18.0.0 $FLOOD_RATE $((FLOOD_RATE * FLOOD_SECONDS))
	serve flood "flood6" "$BUILD/forge" "$1" "$RIG_VIP6" 80 2001:2:: $FLOOD_RATE $((FLOOD_RATE * FLOOD_SECONDS))
}
flood_ends() { eventually 30 eval '! serves flood4 && ! serves flood6'; }

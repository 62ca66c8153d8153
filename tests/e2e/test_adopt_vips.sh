#!/bin/bash
# A daemon killed between two writes leaves VIPs and services that do not match; the next one puts them right. And it
# forgets interfaces that vanished meanwhile.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

pings() { host client ping -c 1 -W 1 "$1"; }

# vip_flag VIP FLAG: write it as the VIP's entry (abi.h: hp_bucket4) into the table of keys, as a daemon would.
vip_flag() {
	bpftool --json map dump pinned "$RIG_PINS/maps/keys4" | python3 -c '
import ipaddress, json, sys
buckets = [bytes(int(byte, 16) for byte in row["value"]) for row in json.load(sys.stdin)]
vip = ipaddress.ip_address(sys.argv[1]).packed + (0xff000000).to_bytes(4, "little")
x = int.from_bytes(vip, "little") * 0x9e3779b97f4a7c15 % 2**64
x ^= x >> 32
at = (x * 0xd6e8feb86659fd93 % 2**64) >> (65 - len(buckets).bit_length())
entries = [buckets[at][i:i + 16] for i in range(0, 64, 16)]
i = next(i for i, entry in enumerate(entries) if entry[:8] == vip or entry[4:8] == bytes(4))
entries[i] = vip + int(sys.argv[2]).to_bytes(4, "little") + entries[i][12:]
print("key", *at.to_bytes(4, "little"), "value", *b"".join(entries))' "$1" "$2" |
		xargs bpftool map update pinned "$RIG_PINS/maps/keys4"
}

rig_up ipip 1 || exit 1
backend_up 1 "$RIG_VIP4" ipip 10.2.0.10 >/dev/null || exit 1
service web "$RIG_VIP4" tcp 80 ipip 10.3.0.1 | director_file
need "halfproxyd runs" director_up
need "the backend is ready" eventually 10 all_ready
expect "the VIP answers" pings "$RIG_VIP4"
expect_not "an address that is no VIP does not" pings 10.2.0.7

stop halfproxyd KILL
need "a VIP of no service is left" vip_flag 10.2.0.7 1
need "the VIP's own flag is left down" vip_flag "$RIG_VIP4" 0
expect "which answers while no daemon runs" pings 10.2.0.7
expect_not "as the VIP itself does not" pings "$RIG_VIP4"
need "halfproxyd runs again" director_up
need "the backend is ready again" eventually 10 all_ready
expect_not "the VIP of no service is gone" pings 10.2.0.7
expect "the VIP answers again" pings "$RIG_VIP4"

ways_in() { bpftool --json map dump pinned "$RIG_PINS/maps/interfaces" | jq '[.[].formatted.value.ifindex | select(. > 0)] | length'; }
stop halfproxyd KILL
host director ip link del eth0
cable director eth0 router director0
address director eth0 10.2.0.10/24 fd00:2::a/64
address router director0 10.2.0.254/24 fd00:2::fe/64
gateway director eth0 10.2.0.254 fd00:2::fe
pass_program router director0
need "halfproxyd runs on an interface made anew" director_up
need "its backend is ready" eventually 10 all_ready
expect "the VIP answers there" pings "$RIG_VIP4"
expect_equal "the interface that was is forgotten" 1 "$(ways_in)"
finish

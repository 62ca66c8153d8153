#!/bin/bash
# halfproxy-backend down: what was there before is there again, byte for byte, whatever happened in between.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/backend.sh

BOTH=(--vip "$RIG_VIP4" "$RIG_VIP6" --forward l2 --forward ipip --forward gue --from 10.2.0.10 fd00:2::a --interface eth0
	--mss 1300 --map 80:8080)

rig_up ipip || exit 1
remember

# ---- plain -----------------------------------------------------------------------------------------------------------
need "up" agent up "${BOTH[@]}"
expect_not "up changed something" diff -q "$RIG_DIR/before" <(snapshot)
expect_text "down says that the tunnels are closed" "tunnels on eth0 are closed" agent down
same "after down all is as it was before up"
need "up" agent up "${BOTH[@]}"
need "up with other VIPs" agent up --vip 10.2.0.9 fd00:2::9 --forward gue --from 10.2.0.77
need "up with one by ipip" agent up --vip 10.2.0.11 --forward ipip --from 10.2.0.77
need "up with more" agent up --vip 10.2.0.10
need "down of one" agent down --vip 10.2.0.9
expect "status finds the rest right" agent status
need "down of all by gue" agent down --vip fd00:2::9 "$RIG_VIP4" "$RIG_VIP6"
expect_equal "takes the relay away" "" "$(host backend1 tc filter show dev eth0 ingress | grep hp_relay)"
expect "and status finds the rest right" agent status
need "down of the rest" agent down
same "after several ups and downs too"

# ---- what others did before up ---------------------------------------------------------------------------------------
host backend1 ip address add "$RIG_VIP4/32" dev lo
host backend1 ip address add "$RIG_VIP6/128" dev lo nodad
set_to ipv4/conf/eth0/rp_filter 1
set_to ipv4/conf/all/arp_ignore 2
set_to ipv4/conf/eth0/arp_announce 1
set_to ipv4/conf/eth0/arp_ignore 4
host backend1 tc qdisc add dev eth0 clsact
host backend1 tc filter add dev eth0 egress prio 7 bpf bytecode '1,6 0 0 4294967295,'
remember
need "up where much is there already" agent up "${BOTH[@]}"
expect_equal "strict rp_filter is loosened" 2 "$(setting ipv4/conf/eth0/rp_filter)"
expect_equal "arp_ignore that is strict enough stays" 2 "$(setting ipv4/conf/all/arp_ignore)"
expect_equal "a value that the kernel takes for 0 does not" 1 "$(setting ipv4/conf/eth0/arp_ignore)"
expect "status finds all right" agent status
expect_text "down says that the VIP stays" "$RIG_VIP4 was on lo before, and stays" agent down
same "VIPs, settings and filters of others are as they were"
host backend1 tc qdisc del dev eth0 clsact
host backend1 ip address del "$RIG_VIP4/32" dev lo
host backend1 ip address del "$RIG_VIP6/128" dev lo

set_to ipv6/conf/lo/disable_ipv6 1
host backend1 ip link set lo down
host backend1 ip address flush dev lo
remember
need "up where lo is down, without an address, and IPv6 is off on it" agent up "${BOTH[@]}"
expect "status finds all right" agent status
need "down" agent down
same "lo is as it was"
host backend1 ip link set lo up
set_to ipv6/conf/lo/disable_ipv6 0

# ---- what others did since -------------------------------------------------------------------------------------------
set_to ipv4/conf/all/arp_ignore 0
set_to ipv4/conf/eth0/arp_ignore 0
need "up" agent up "${BOTH[@]}"
set_to ipv4/conf/all/arp_ignore 8
expect_text "a setting that somebody changed since is told" \
	"net/ipv4/conf/all/arp_ignore is 8 now, which was changed since: left as it is (before up it was 0)" agent down
expect_equal "and left" 8 "$(setting ipv4/conf/all/arp_ignore)"
set_to ipv4/conf/all/arp_ignore 0
remember
need "up" agent up "${BOTH[@]}"
set_to ipv4/conf/all/arp_ignore 0
host backend1 ip address del "$RIG_VIP6/128" dev lo
host backend1 tc filter del dev eth0 egress
need "down of what somebody took back already" agent down
same "leaves what was there before"
need "up" agent up "${BOTH[@]}"
host backend1 tc filter add dev eth0 ingress prio 9 bpf bytecode '1,6 0 0 4294967295,'
need "down" agent down
expect_text "our qdisc stays for a filter that somebody hung on it" "bytecode" host backend1 tc filter show dev eth0 ingress
host backend1 tc qdisc del dev eth0 clsact
same "and when that is gone, all is as it was"

# ---- the memory ------------------------------------------------------------------------------------------------------
need "up" agent up "${BOTH[@]}"
STATE=$(find /run/halfproxy-backend -name state.json)
expect_equal "there is one state file" 1 "$(wc -l <<<"$STATE")"
cp "$STATE" "$RIG_DIR/state.json"
need "down" agent down
mkdir -p "$(dirname "$STATE")"
jq '.boot = "00000000-0000-0000-0000-000000000000"' "$RIG_DIR/state.json" >"$STATE"
expect_text "a state file of another boot is not believed" "nothing is set up here" agent down
expect_text "nor by status" "no VIP is set up here" agent status
need "up beside it" agent up --vip "$RIG_VIP4"
need "down" agent down
same "it is gone as well"
damaged=0
for damage in '{"vips": [' '{}' '[]' 'null' "$(jq '.vips[0].address = "x"' "$RIG_DIR/state.json")" \
	"$(jq '.senders = [5]' "$RIG_DIR/state.json")" "$(jq '.sysctls[0].path = "../../etc/passwd"' "$RIG_DIR/state.json")" \
	"$(jq '.sysctls[0].path = "net/ipv4/../../kernel/panic"' "$RIG_DIR/state.json")" \
	"$(jq 'del(.is_clsact_ours)' "$RIG_DIR/state.json")"; do
	mkdir -p "$(dirname "$STATE")"
	printf '%s' "$damage" >"$STATE"
	remember
	damaged=$((damaged + 1))
	for command in up down status; do
		refuses "$command refuses a damaged state file ($damaged)" "it tells what to restore" $command
	done
	expect_equal "... and keeps it" "$damage" "$(cat "$STATE")"
	rm -r /run/halfproxy-backend
done
finish

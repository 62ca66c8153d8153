#!/bin/bash
# A VIP whose backends are probed is not up to the world before the first probes have ended, or announce.warmup has passed; it is
# withdrawn when they fail.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/announced.sh

# fresh ANNOUNCE PORT HEALTH: a fresh start with another service of the VIP, which is probed on that port
fresh() {
	stop halfproxyd TERM
	unload
	file "$1"
	service probed "$RIG_VIP4" tcp "$2" l2 10.3.0.1 | sed "s/^    forward: l2/&\n    health: $3/" >>"$RIG_DIR/halfproxy.yaml"
	[ "$2" != 80 ] || sed -i '/name: web$/,/weight/d' "$RIG_DIR/halfproxy.yaml"
	director_up
}
deaf() { host backend1 nft 'add table inet deaf; add chain inet deaf in { type filter hook input priority 0; }; add rule inet deaf in tcp dport { 80, 81 } drop'; }

rig_up l2 || exit 1
for vip in "$RIG_VIP4" "$RIG_VIP6"; do backend_up 1 "$vip" l2 >/dev/null || exit 1; done
serve backend1 web socat TCP4-LISTEN:80,fork,reuseaddr /dev/null
RIG_INTERFACES="eth0, eth1"
need "a backend hears nothing" deaf
need "a fresh start with a VIP that is probed" fresh "{warmup: 1h}" 80 "{type: tcp, interval: 2s, timeout: 2s, fall: 3}"
expect "VIPs that are not probed are announced" eventually 6 has_routes "$RIG_VIP6 eth0"
sleep 1
expect "the other one is not before its first probe has ended" has_routes "$RIG_VIP6 eth0"
expect_not "nor answers a ping" pings "$RIG_VIP4"
host backend1 nft delete table inet deaf
expect "and is when that is good" eventually 8 has_routes "$(both eth0)"
expect "it answers, too" pings "$RIG_VIP4"
deaf
expect "it is withdrawn when its backends fail" eventually 12 has_routes "$RIG_VIP6 eth0"
need "a fresh start with a probe that takes long" fresh "{warmup: 6s}" 81 "{type: tcp, interval: 50s, timeout: 50s}"
sleep 1.5
expect "a VIP waits for the first probes of all its services" has_routes "$RIG_VIP6 eth0"
expect "but no longer than announce.warmup" eventually 8 has_routes "$(both eth0)"
finish

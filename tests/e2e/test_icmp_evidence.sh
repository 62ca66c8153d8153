#!/bin/bash
# What routers and backends say by ICMP of tunnels' packets is heard, and kept for the backend: no such protocol, no such port,
# no such host, prohibited, too big; of clients' packets and of probes alike, of IPv4 and of IPv6. What is no tunnel's is not.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/marked.sh

# heard ADDRESS: error, sender and MTU, as last heard.
heard() {
	hp status --json | jq -r "[.services[].backends[] | select(.address == \"$1\") | .icmp] | map(select(.)) | .[0] |
		\"\(.error) \(.from) \(.mtu)\""
}
is_heard() { [ "$(heard "$1")" = "$2" ]; }
mark_of() { hp status --json | jq ".services[] | select(.vips == [\"$1\"]) | .backends[0].mark"; }
knock() { host client curl -s --max-time 0.2 "http://$(url_host "$1")/" >/dev/null; }

# probe VIP BYTES: one that goes on in vain until probes_end. Its own process, and not a shell's, is ended.
PROBES=()
probe() {
	nsenter --net="/run/netns/$RIG-director" "$BUILD/marked" "$(mark_of "$1" 1)" "$1" 80 "$2" >/dev/null 2>&1 &
	PROBES+=($!)
}
probes_end() {
	kill "${PROBES[@]}"
	wait "${PROBES[@]}"
	PROBES=()
	sleep 0.3 # what is said of its last packets
} 2>/dev/null

# comes SENTENCE VIP BACKEND WHAT: after a client has knocked, once in a while, as ICMP is sent.
comes() {
	local end=$((SECONDS + 8))
	until is_heard "$3" "$4" || [ $SECONDS -ge $end ]; do knock "$2"; done
	expect_equal "$1" "$4" "$(heard "$3")"
}

rig_up ipip 1 || exit 1
{
	service web4 $RIG_VIP4 tcp 80 ipip 10.3.0.1
	service web6 $RIG_VIP6 tcp 80 ipip fd00:3::1
} | director_file
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready
expect_equal "at first nothing is heard" "null null null" "$(heard 10.3.0.1)"
comes "a backend without the tunnel says so" $RIG_VIP4 10.3.0.1 "no_protocol 10.3.0.1 0"
comes "by IPv6 too" $RIG_VIP6 fd00:3::1 "no_protocol fd00:3::1 0"
host router ip route add unreachable 10.3.0.1
host router ip -6 route add unreachable fd00:3::1
comes "a router that does not reach it says so" $RIG_VIP4 10.3.0.1 "no_host 10.2.0.254 0"
comes "by IPv6 too" $RIG_VIP6 fd00:3::1 "no_host fd00:2::fe 0"
host router ip route replace prohibit 10.3.0.1
host router ip -6 route replace prohibit fd00:3::1
comes "a router that may not says so" $RIG_VIP4 10.3.0.1 "prohibited 10.2.0.254 0"
comes "by IPv6 too" $RIG_VIP6 fd00:3::1 "prohibited fd00:2::fe 0"
host router ip route del prohibit 10.3.0.1
host router ip -6 route del prohibit fd00:3::1

# ---- probes, and a path that takes less ---------------------------------------------------------------------------------
{
	service web4 $RIG_VIP4 tcp 80 gue 10.3.0.1
	service web6 $RIG_VIP6 tcp 80 gue fd00:3::1
} | director_file
need "the services are forwarded by gue" hp reload
need "the backends are ready" eventually 10 all_ready
probe $RIG_VIP4 10
expect "a probe without a listener for GUE is told" eventually 8 is_heard 10.3.0.1 "no_port 10.3.0.1 0"
probes_end # by IPv6 Linux drops UDP without a checksum before it looks whether somebody listens
need "the backend takes the VIPs" both_up 1 gue
host router ip link set backend0 mtu 1400
for vip in $RIG_VIP4 $RIG_VIP6; do
	probe "$vip" 100000
done
expect "a router with a smaller cable says so, and how small" eventually 8 is_heard 10.3.0.1 "too_big 10.2.0.254 1400"
expect "by IPv6 too" eventually 8 is_heard fd00:3::1 "too_big fd00:2::fe 1400"
probes_end

# ---- what is not about tunnels ----------------------------------------------------------------------------------------------
COUNT=$(hp status --json | jq '[.services[].backends[].icmp.count] | add')
host director curl -s --max-time 1 http://10.3.0.1:81/ >/dev/null
host director dig +tries=1 +time=1 @10.3.0.1 -p 5353 x >/dev/null
expect_equal "errors about other packets are nobody's" "$COUNT" \
	"$(hp status --json | jq '[.services[].backends[].icmp.count] | add')"
expect_not "nothing was amiss" grep -q icmp_unheard "$RIG_DIR/halfproxyd.log"
finish

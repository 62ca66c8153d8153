#!/bin/bash
# Two directors with FRR, by the configuration that is shipped, and a router: flows are spread over both; one withdraws by
# maintenance, one is drained by graceful shutdown, one dies. FRR installs what it imports in the director's main table, and what
# comes from the VIP to the director is heard all the same.
# suite: 44 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/held.sh
. rig/loss.sh
. rig/routing.sh

has_community() { [ "$(host router birdc -s "$RIG_DIR/router.ctl" "show route $RIG_VIP4/32 all" | grep -c '65535,0')" = 1 ]; }
installed() { host director ip route show "$RIG_VIP4"; }
is_installed() { [ -n "$(installed)" ]; }

# hears RP_FILTER: whether a datagram from the VIP, as a backend answers a probe, is heard by a socket of the director
hears() {
	echo "$1" | host director tee /proc/sys/net/ipv4/conf/all/rp_filter >/dev/null
	: >"$RIG_DIR/heard"
	serve director listener socat -u UDP4-RECV:5300,bind=10.2.0.10 "OPEN:$RIG_DIR/heard,append"
	eventually 5 host director sh -c 'ss -Hulno | grep -q 10.2.0.10:5300'
	echo hello | host backend1 socat -u - "UDP4-SENDTO:10.2.0.10:5300,bind=$RIG_VIP4"
	eventually 3 grep -q hello "$RIG_DIR/heard"
	local heard=$?
	stop listener
	return "$heard"
}

routing_up frr
sleep 1
expect "the first director forwards" routing_sends 1 0.3
expect "and so does the second" routing_sends 2 0.3
routing_unbroken "two directors"

expect "FRR has installed the VIP in main: $(installed)" is_installed
expect_text "which is a route by the interface that packets come in by" "$RIG_VIP4 dev eth0" \
	sh -c "echo '$(installed)' | sed 's/nhid [0-9]* //'"
expect "what comes from the VIP to the director is heard, with rp_filter off" hears 0
expect "and loose" hears 2
expect "and strict, as it comes in by that interface" hears 1

routing_watch
expect_text "one is put into maintenance, and waits" "no packets come any more" hp maintenance on --wait
expect "the router leads to the other alone" routing_leads 2
expect_not "and FRR has taken the VIP out of main" is_installed
routing_unbroken "maintenance"
hp maintenance off >/dev/null
expect "the router leads to both when it is over" eventually 5 routing_leads "1 2"
sleep 1
expect "the first director forwards again" routing_sends 1 0.3
routing_unbroken "maintenance over"
routing_loss "in all of that"

need "FRR takes the command for draining" routing_vtysh 1 -c 'configure terminal' -c 'router bgp 65001' -c 'bgp graceful-shutdown'
expect "the router knows of it" eventually 5 has_community
expect "and leads to the other" eventually 5 routing_leads 2
expect_not "the first director forwards nothing" routing_sends 1 1
routing_end 1
sleep 0.5
routing_unbroken "graceful shutdown"
need "FRR is started again" routing_start 1
expect "and the director is back" eventually 20 routing_leads "1 2"

began=$(date +%s%N)
routing_dies 2
expect "when a director dies the router leads to the other" eventually 10 routing_leads 1
took=$((($(date +%s%N) - began) / 1000000))
expect "which BFD tells: after $took ms" [ $took -lt 5000 ]
sleep 1
routing_unbroken "a director dead"
need "it comes again" routing_revives 2
expect "and gets its share" eventually 20 routing_leads "1 2"
sleep 1
routing_unbroken "it lives again"

expect "all backends answer their probes" routing_up_now
routing_web STOP
expect "VIPs whose backends answer no probes are withdrawn" eventually 10 routing_leads ""
routing_web CONT
expect "and are announced when they do again" eventually 10 routing_leads "1 2"
finish

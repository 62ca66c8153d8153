#!/bin/bash
# Two directors and a router with BIRD, by the configuration that is shipped: flows are spread over both; one withdraws by
# maintenance, one is drained by the graceful shutdown community, one dies; no connection breaks, and what is planned loses no packet.
# suite: 35 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/held.sh
. rig/loss.sh
. rig/routing.sh

control() { host director birdc -s "$RIG_DIR/bird1.ctl" "$@"; }
community() { host router birdc -s "$RIG_DIR/router.ctl" "show route $RIG_VIP4/32 all" | grep -c '65535,0'; }
has_community() { [ "$(community)" = 1 ]; }

routing_up bird
sleep 1
expect "the first director forwards" routing_sends 1 0.3
expect "and so does the second" routing_sends 2 0.3
routing_unbroken "two directors"

routing_watch
expect_text "one is put into maintenance, and waits" "no packets come any more" hp maintenance on --wait
expect "the router leads to the other alone" routing_leads 2
routing_unbroken "maintenance"
hp maintenance off >/dev/null
expect "and to both when it is over" eventually 5 routing_leads "1 2"
sleep 1
expect "the first director forwards again" routing_sends 1 0.3
routing_unbroken "maintenance over"
routing_loss "in all of that"

sed -i 's/^define is_draining = false;/define is_draining = true;/' "$RIG_DIR/bird1.conf"
expect_text "BIRD takes the switch for draining" Reconfigured control configure
expect "the router knows of it" eventually 5 has_community
expect "and leads to the other" eventually 5 routing_leads 2
expect_not "the first director forwards nothing" routing_sends 1 1
routing_end 1
sleep 0.5
routing_unbroken "graceful shutdown"
routing_start 1
expect "and is back" eventually 10 routing_leads "1 2"

stop halfproxyd2 KILL 2>/dev/null
sleep 0.5
expect "a daemon that is killed is not missed" routing_leads "1 2"
routing_unbroken "daemon killed"
need "the next one runs" second director_up
sleep 0.5
expect "nor is the change to the next one noticed" routing_leads "1 2"

began=$(date +%s%N)
routing_dies 2
expect "when a director dies the router leads to the other" eventually 10 routing_leads 1
took=$((($(date +%s%N) - began) / 1000000))
expect "which BFD tells: after $took ms" [ $took -lt 5000 ]
sleep 1
routing_unbroken "a director dead"
need "it comes again" routing_revives 2
expect "and gets its share" eventually 10 routing_leads "1 2"
sleep 1
routing_unbroken "it lives again"

expect "all backends answer their probes" routing_up_now
routing_web STOP
expect "VIPs whose backends answer no probes are withdrawn" eventually 10 routing_leads ""
routing_web CONT
expect "and are announced when they do again" eventually 10 routing_leads "1 2"
finish

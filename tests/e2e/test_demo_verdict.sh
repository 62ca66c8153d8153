#!/bin/bash
# The demo's verdicts fail when a fact does not hold, and say why; and its options, keeping and removal.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/facts.sh


why() {
	"fact_$1"
	echo "status $? $FACT"
}

# shellcheck disable=SC2016 # for the inner shell
arp_ignore() { host backend1 sh -c 'for f in /proc/sys/net/ipv4/conf/*/arp_ignore; do echo '"$1"' >$f; done'; }

rig_up l2 || exit 1
backend_up 1 "$RIG_VIP4" l2 >/dev/null || exit 1
web_up 1 "$RIG_VIP4" || exit 1
service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 | director_file
director_up && eventually 10 all_ready || exit 1

# A backend that answers ARP for the VIP.
facts_capture "$RIG_VIP4" l2
arp_ignore 0
web_get "$RIG_VIP4" "" >/dev/null
facts_ask
facts_read
expect_text "fact 3 fails when the backend answers ARP" "status 1 $(mac backend1 eth0)" why 3
expect_text "fact 1 holds all the same" "status 0" why 1
expect_text "fact 2 holds all the same" "status 0" why 2
arp_ignore 1
host router ip neigh flush all

# Answers that go back over the director.
host director sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
host backend1 ip route replace default via 10.3.0.10
facts_capture "$RIG_VIP4" l2
web_get "$RIG_VIP4" "" >/dev/null
facts_ask
facts_read
expect_text "fact 5 fails when answers cross the director" "status 1" why 5
expect_text "and says so" "for the client crossed the director" why 5
host backend1 ip route replace default via 10.3.0.254

# No traffic at all.
facts_capture "$RIG_VIP4" l2
facts_read
for n in 1 2 4 5; do
	expect_text "fact $n fails without traffic" "status 1" why $n
done
rig_down

expect_text "an unknown method is refused by name" '"vxlan"' rig/demo --forward vxlan
expect_text "an unknown option is refused by name" "--ipv7" rig/demo --ipv7
expect_text "a method that is missing is asked for" "--forward lacks its value" rig/demo --forward
expect_text "the usage is what the user types" "usage: ./run demo" rig/demo --help
expect_not "removing what was not kept fails" rig/demo --remove hp1
KEPT=$(rig/demo --keep)
expect "a kept demo says how to remove it" grep -q "demo --remove hp" <<<"$KEPT"
NAME=$(sed -n 's/.*demo --remove \(hp[0-9]*\).*/\1/p' <<<"$KEPT")
expect "a kept demo still answers" nsenter --net="/run/netns/$NAME-client" curl -sS -m 5 "http://$RIG_VIP4/"
expect "a kept demo can be removed" rig/demo --remove "$NAME"
expect_equal "nothing of it is left" "" "$(ip netns list)"

# Ctrl-C, as a terminal sends it, while the demo is under way.
set -m
rig/demo >/dev/null 2>&1 &
pid=$!
set +m
sleep 2
kill -INT -- -$pid
wait $pid
expect_equal "an interrupted demo ends as such" 130 $?
expect_equal "an interrupted demo removes what it made" "" "$(ip netns list)"
finish

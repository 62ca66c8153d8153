#!/bin/bash
# The daemon is killed and started again in a loop, under load: not one packet is lost by it, no connection breaks.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh
. rig/loss.sh

ROUNDS=20
WATCHED="backend1 backend2 backend3"

held_up ipip 3
for name in router $WATCHED; do
	hook=$([ "$name" = router ] && echo forward || echo prerouting)
	loss_count "$name" "$hook" ip daddr "{ $RIG_VIP4, $RIG_VIP_BULK }" meta l4proto "{ tcp, udp }"
	loss_count "$name" "$hook" ip6 daddr "$RIG_VIP6" meta l4proto tcp
done
DROPS=$(loss_drops)
held_start
held_udp 22 3M
for ((round = 1; round <= ROUNDS; round++)); do
	sleep "0.$((RANDOM % 6 + 1))"
	{ stop halfproxyd KILL; } 2>/dev/null
	sleep "0.$((RANDOM % 3))"
	need "it starts ($round)" director_up
done
held_check "the daemon killed $ROUNDS times"
LOST=$(held_udp_lost)
expect_equal "no number is missing in a stream of UDP" "0 of" "${LOST% *}"
held_end
sleep 0.5
# shellcheck disable=SC2086 # names are words
SENT=$(loss_counted router) GOT=$(loss_counted $WATCHED) DROPS=$(($(loss_drops) - DROPS))
expect "of $SENT packets that the router sent to the director $GOT came to the backends, and cables dropped $DROPS" \
	[ $((SENT - GOT)) -le "$DROPS" ]
expect "there were tens of thousands" [ "$SENT" -gt 20000 ]
finish

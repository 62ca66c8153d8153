#!/bin/bash
# Connections held through changes while a bounded flood of SYNs, then of ACKs, comes from elsewhere, each packet of a flow of
# its own: floods wear out the table of unproven flows only, whose room is what the flood brings in three seconds.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh
. rig/loss.sh
. rig/changes.sh

RATE=3000 SECONDS_EACH=14
CHANGES_ROUNDS=4
FLOODED="$RIG_VIP4 198.18.0.0 $RIG_VIP6 2001:2::"

# The flooders' host, and no way back to the addresses that they make up.
flood_up() {
	rig_host flood
	cable flood eth0 router flood0
	address flood eth0 192.168.9.1/24 fd00:9::1/64
	address router flood0 192.168.9.254/24 fd00:9::fe/64
	gateway flood eth0 192.168.9.254 fd00:9::fe
	host router ip route add blackhole 198.18.0.0/15
	host router ip -6 route add blackhole 2001:2::/48
}

flood() { # syn|ack
	serve flood "flood4" "$BUILD/forge" "$1" "$RIG_VIP4" 80 198.18.0.0 $RATE $((RATE * SECONDS_EACH))
	serve flood "flood6" "$BUILD/forge" "$1" "$RIG_VIP6" 80 2001:2:: $RATE $((RATE * SECONDS_EACH))
}
flood_ends() { eventually 30 eval '! serves flood4 && ! serves flood6'; }
remembered() { hp flows --json | jq .events.REMEMBERED.count; }
proven() { hp flows --json | jq .tables.proven.used; }
packets_of() { hp status --json | jq "[.services[] | select(.name | startswith(\"web\")) | .packets] | add"; }

RIG_LIMITS="{unproven: $((RATE * 3)), flows: 2048}" # half of the flood meets slots that differ
held_up ipip 5
flood_up
held_start
held_check "no change"
for kind in syn ack; do
	BEFORE=$(packets_of) REMEMBERED=$(remembered)
	flood $kind
	sleep 0.5
	changes add "flood of ${kind^^}s: a backend comes and goes"
	changes remove "flood of ${kind^^}s: a backend that is used goes and comes"
	changes back "flood of ${kind^^}s: there and back at once"
	changes kill "flood of ${kind^^}s: the daemon is killed and started again"
	expect "the flood came to the tables: $(($(remembered) - REMEMBERED)) flows were remembered" \
		[ $(($(remembered) - REMEMBERED)) -gt 3000 ]
	expect "and proved nothing: $(proven) flows are proven of $HELD_TOTAL connections" [ "$(proven)" -le $((HELD_TOTAL + 20)) ]
	need "the flood ends" flood_ends
	held_check "after the flood of ${kind^^}s"
	expect "it came through the director: $(($(packets_of) - BEFORE)) packets" \
		[ $(($(packets_of) - BEFORE)) -gt $((RATE * SECONDS_EACH * 2)) ]
done
held_end
finish

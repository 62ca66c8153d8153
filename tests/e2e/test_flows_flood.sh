#!/bin/bash
# Connections held through changes while a bounded flood of SYNs, then of ACKs, comes from elsewhere, each packet of a flow of
# its own: floods wear out the table of unproven flows only, whose room is what the flood brings in three seconds.
# suite: 42 s heavy
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh
. rig/loss.sh
. rig/changes.sh
. rig/flood.sh

CHANGES_ROUNDS=4
FLOODED="$RIG_VIP4 198.18.0.0 $RIG_VIP6 2001:2::"

remembered() { hp flows --json | jq .events.REMEMBERED.count; }
proven() { hp flows --json | jq .tables.proven.used; }
packets_of() { hp status --json | jq "[.services[] | select(.name | startswith(\"web\")) | .packets] | add"; }

RIG_LIMITS="{unproven: $((FLOOD_RATE * 3)), flows: 2048}" # half of the flood meets slots that differ
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
		[ $(($(packets_of) - BEFORE)) -gt $((FLOOD_RATE * FLOOD_SECONDS * 2)) ]
done
held_end
finish

#!/bin/bash
# A table of proven flows that is too small: services that move go on moving, which status says, and no connection breaks; when
# there is room again they settle, and when nothing is remembered any more they are steady.
# suite: 36 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh

ROOM=24
HELD_KEEP=80 HELD_SLOW=1 HELD_SSH=1 HELD_BULK=0

motion() { hp status --json | jq -r ".services[] | select(.name == \"web\").motion.state"; }
is() { [ "$(motion)" = "$1" ]; }
event() { hp flows --json | jq ".events.$1.count"; }
table() { hp flows --json | jq -c ".tables.$1"; }
ends_most() { # of the connections
	stop keep
	HELD_KEEPERS=${HELD_KEEPERS/ keep / } HELD_TOTAL=$((HELD_TOTAL - HELD_KEEP))
}

RIG_LIMITS="{flows: $ROOM}"
held_up l2 4
expect_equal "there is room for $ROOM" "{\"used\":0,\"limit\":$ROOM}" "$(table proven)"
held_start
held_check "no change"
expect_equal "web is steady" steady "$(motion)"
held_file 1 2 4
need "a change" hp reload
sleep 7
expect_equal "twice its window later web is moving" moving "$(motion)"
expect "flows were not proven for want of room: $(event NOT_PROMOTED) packets" [ "$(event NOT_PROMOTED)" -gt 10 ]
expect_equal "the table is full" "{\"used\":$ROOM,\"limit\":$ROOM}" "$(table proven)"
expect_text "status says so" "the table of flows is full" hp status
expect_text "and until when web moves" "moving until the table of flows has room: " hp status
expect_text "and so does a trace" "moving until the table of flows has room: " hp trace 192.168.1.1 "$RIG_VIP4:80" --under-way
held_check "a full table"
held_file 1=2 2 4
need "another change" hp reload
sleep 5
held_check "and another change"
expect_equal "web is moving still" moving "$(motion)"

ends_most
expect "when most flows are over web settles, or is steady" eventually 20 eval 'is settling || is steady'
held_check "settled"
held_end
expect "when all are over web is steady" eventually 20 is steady
expect_equal "nothing is remembered" '{"used":0,"limit":262144}' "$(table unproven)"
finish

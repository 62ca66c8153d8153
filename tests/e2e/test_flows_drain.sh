#!/bin/bash
# drain and undrain: new flows avoid the backend at once, those that it has stay until they end or the deadline; what the command
# changed survives a restart, shows in status and diff, and reset drops it.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh

HELD_SLOW=2 HELD_SSH=2 HELD_BULK=0 HELD_KEEP6=4
DRAINED=10.3.0.2

now_ms() { date +%s%3N; }
held_at() { host "$1" ss -Htn state established src $RIG_VIP4 dport != 0 dst 192.168.1.1 "( sport = :$2 )" | wc -l; }
sees() { # the backends that new connections to web meet from now on
	sleep 0.1
	SINCE=$(now_ms)
	sleep 1
	awk -v since="$SINCE" '$1 >= since && $2 == "answered" { sub("/.*", "", $4); print $4 }' "$RIG_DIR/new.log" | sort -u |
		tr '\n' ' '
}
drained() { hp status --json | jq -r ".services[] | select(.name == \"web\").backends[] | select(.address == \"$DRAINED\")"; }
broken() { held_lines broken keep; }
is_empty() { [ "$(held_at backend2 80)" = 0 ]; }
ended() { ! serves waiting; }

held_up l2 3
held_start
held_check "no change"
expect_equal "new connections meet all backends" "backend1 backend2 backend3 " "$(sees)"

# ---- without a deadline ----------------------------------------------------------------------------------------------------
expect "drain" hp drain web $DRAINED
expect_equal "new connections avoid it at once" "backend1 backend3 " "$(sees)"
held_check "drained"
expect "status shows it: $(hp status web | grep -F $DRAINED)" eval "hp status web | grep -F $DRAINED | grep -q drain"
expect_text "and as an override" "override: web $DRAINED" hp status
expect_text "so does diff" "override: web $DRAINED" hp diff "$RIG_DIR/halfproxy.yaml"
expect_text "flows lists what is remembered" "$DRAINED" hp flows web
{ stop halfproxyd KILL; } 2>/dev/null
need "the daemon starts again" director_up
need "its backends are ready" eventually 10 all_ready
expect_equal "a restart forgets no drain" "backend1 backend3 " "$(sees)"
expect "reload forgets none either" hp reload
expect_equal "new connections avoid it still" "backend1 backend3 " "$(sees)"
held_check "a restart and a reload of the drained"
expect "undrain" hp undrain web $DRAINED
expect_equal "new connections meet it again" "backend1 backend2 backend3 " "$(sees)"
held_check "undrained"
expect "drain once more" hp drain web $DRAINED
expect "reset" hp reset web
expect_equal "drops it" "backend1 backend2 backend3 " "$(sees)"
expect_not "and status shows no override" eval "hp status | grep -q override"
held_check "reset"

# ---- with a deadline -------------------------------------------------------------------------------------------------------
ITS=$(($(held_at backend2 80)))
expect "the backend has some of the $HELD_KEEP connections: $ITS" [ "$ITS" -gt 3 ]
serve director waiting "$BUILD/halfproxy" drain web $DRAINED --deadline 4s --wait
sleep 2
held_check "within the deadline"
expect "the command waits" serves waiting
eventually 10 ended
expect_not "and returns after the deadline" serves waiting
expect "it told of progress: $(tail -n 1 "$RIG_DIR/waiting.log" | tr '\r' '\n' | tail -n 1)" grep -q flows "$RIG_DIR/waiting.log"
BEFORE=$(broken)
sleep 1
expect "what was left is cut: $(broken) of $ITS" [ "$(broken)" -gt 0 ]
expect "the backend has none any more" eventually 5 is_empty
finish

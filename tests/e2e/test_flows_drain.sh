#!/bin/bash
# drain and undrain: new flows avoid the backend at once, those that it has stay until they end or the deadline; what the command
# changed survives a restart, shows in status and diff, and reset drops it.
# suite: 45 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh

HELD_SLOW=2 HELD_SSH=2 HELD_BULK=0 HELD_KEEP6=4
DRAINED=10.3.0.2 CUT=(keep rare)

# The client's connections to web that backend N has too; one that was cut it has alone.
ports() { awk '{ sub(/.*:/, "", $'"$1"'); print $'"$1"' }' | sort; }
held_at() {
	comm -12 <(host client ss -Htn state established src 192.168.1.1 dst "$RIG_VIP4" dport = ":80" | ports 3) \
		<(host "backend$1" ss -Htn state established src "$RIG_VIP4" dst 192.168.1.1 sport = ":80" | ports 4) | wc -l
}
sees() { # the backends that new connections meet from now on
	sleep 0.1
	local since
	since=$(date +%s%3N)
	sleep 1
	held_new_since "$since" new
}
left() { # flows that the drained backend has left, as status says
	hp status --json | jq ".services[] | select(.name == \"web\").backends[] | select(.address == \"$DRAINED\").drain.flows"
}
all_left() { [ "$(left)" -ge "$(held_at 2)" ]; }
all_cut() { [ "$ITS" -gt 2 ] && [ "$(were_cut)" -ge $((BEFORE + ITS)) ]; }
were_cut() { held_lines broken "${CUT[@]}"; }
were_of_others() { held_broken "${CUT[@]}" | grep -vc 'port [0-9]* backend2/'; }
ended() { ! serves waiting; }
# Start a drain that waits; its status goes to $RIG_DIR/status.
drain_waits() {
	# shellcheck disable=SC2016 # for the inner shell
	serve director waiting bash -c '"$@"; echo $? >"$0"' "$RIG_DIR/status" "$BUILD/halfproxy" drain web $DRAINED --wait "$@"
}

held_up l2 3
held_start
held_check "no change"
expect_equal "new connections meet all backends" "1 2 3" "$(sees)"

# ---- without a deadline ----------------------------------------------------------------------------------------------------
expect "drain" hp drain web $DRAINED
expect_equal "new connections avoid it at once" "1 3" "$(sees)"
held_check "drained"
expect "status shows how many flows it has left, $(held_at 2) or more" eventually 5 all_left
expect_text "and since when it is drained" "drained" hp status web
expect_text "and as an override" "override: web $DRAINED" hp status
expect_text "so does diff" "override: web $DRAINED" hp diff "$RIG_DIR/halfproxy.yaml"
expect_text "flows lists what is remembered" "$DRAINED" hp flows web
{ stop halfproxyd KILL; } 2>/dev/null
need "the daemon starts again" director_up
need "its backends are ready" eventually 10 all_ready
expect_equal "a restart forgets no drain" "1 3" "$(sees)"
expect "reload forgets none either" hp reload
expect_equal "new connections avoid it still" "1 3" "$(sees)"
held_check "a restart and a reload of the drained"
expect "undrain" hp undrain web $DRAINED
expect_equal "new connections meet it again" "1 2 3" "$(sees)"
held_check "undrained"
expect "drain once more" hp drain web $DRAINED
expect "reset" hp reset web
expect_equal "drops it" "1 2 3" "$(sees)"
expect_not "and status shows no override" eval "hp status | grep -q override"
held_check "reset"

# ---- with a deadline -------------------------------------------------------------------------------------------------------
ITS=$(held_at 2)
expect "the backend has some of the $((HELD_KEEP + HELD_RARE)) connections: $ITS" [ "$ITS" -gt 3 ]
drain_waits --deadline 5s
sleep 1
expect "the command waits" serves waiting
held_check "within the deadline"
expect "and returns after the deadline" eventually 10 ended
expect_equal "with status 0" 0 "$(cat "$RIG_DIR/status")"
expect_not "it told of no flows only when they had been counted" grep -qm 1 ' 0 flows left' "$RIG_DIR/waiting.log"
expect "it told of progress: $(tail -n 1 "$RIG_DIR/waiting.log")" grep -qE '[0-9]+ flows? left' "$RIG_DIR/waiting.log"
BEFORE=-$HELD_SLOW # the downloads are not counted among the cut
expect "what was left is cut, $ITS with the downloads" eventually 10 all_cut
expect_equal "none that others had" 0 "$(were_of_others)"
expect_equal "the backend stays drained" "1 3" "$(sees)"

# ---- taken out of the file -------------------------------------------------------------------------------------------------
need "undrain" hp undrain web $DRAINED
serve client fresh "$BUILD/held" keep 192.168.1.1 "$RIG_VIP4" 80 24 100
sleep 2.5
CUT+=(fresh)
ITS=$(held_at 2) BEFORE=$(were_cut) OTHERS=$(were_of_others)
HELD_DEADLINE=4s held_file 1 3
need "the file lists it no more" hp reload
sleep 2
expect_equal "its flows stay with it until the service's deadline" "$BEFORE" "$(were_cut)"
expect_text "flows tells of them" "$DRAINED" hp flows web
expect "and are cut then, all $ITS" eventually 10 all_cut
expect_equal "none that others had" "$OTHERS" "$(were_of_others)"
held_file 1 2 3
need "it comes back" hp reload
need "and is ready" eventually 5 all_ready
expect_equal "new connections meet it again" "1 2 3" "$(sees)"

# ---- until all have ended --------------------------------------------------------------------------------------------------
sleep 2.5
serve client again "$BUILD/held" keep 192.168.1.98 "$RIG_VIP4" 80 16 100
sleep 1
drain_waits --deadline 60s
sleep 2.5
expect "a drain waits while connections last" serves waiting
for name in again fresh keep rare new slow1 slow2; do stop $name; done
expect "and returns when they are over, long before the deadline" eventually 15 ended
expect_equal "with status 0" 0 "$(cat "$RIG_DIR/status")"
expect_equal "no connection broke" 0 "$(held_lines broken again)"
need "undrain" hp undrain web $DRAINED
drain_waits
sleep 0.5
need "undrain meanwhile" hp undrain web $DRAINED
expect "a drain that is undone waits no longer" eventually 5 ended
expect_equal "and ends with status 1" 1 "$(cat "$RIG_DIR/status")"

# ---- what is refused -------------------------------------------------------------------------------------------------------
refuses "a service that is not there" 'did you mean "web"?' hp drain wbe $DRAINED
refuses "a backend that is not there" "10.3.0.1" hp drain web 10.3.0.9
refuses "no address" "an address" hp drain web nobody
refuses "a deadline that is none" "deadline" hp drain web $DRAINED --deadline soon
refuses "one that is too long" "30" hp drain web $DRAINED --deadline 31d
refuses "undrain of what is not drained" "not drained" hp undrain web $DRAINED
expect_not "none of these changed anything" eval "hp status | grep -q override"
finish

#!/bin/bash
# Corners of continuity, with connections that are held: a port split off an any-port service, a service whose weights are all 0
# for a while, and a backend that dies while it drains.
# suite: 26 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh

HELD_SLOW=1 HELD_SSH=2 HELD_BULK=0
DRAINED=10.3.0.2

# The file with one service for every port of the VIP, and one of web's own if backends are given for it.
any_file() {
	{
		held_service all "$RIG_VIP4" any flow "$HELD_WINDOW" 1 2 3
		held_service web6 "$RIG_VIP6" 80 flow "$HELD_WINDOW_SHORT" 1 2 3
		[ $# = 0 ] || held_service web "$RIG_VIP4" 80 flow "$HELD_WINDOW" "$@"
	} | director_file
}
motion() { hp status --json | jq -r ".services[] | select(.name == \"$1\").motion.state"; }
met() { # backends that new connections to web meet from now on
	local since
	sleep 0.1
	since=$(date +%s%3N)
	sleep 0.8
	held_new_since "$since" new
}
# Of web connections, those of other backends than this one broke none; its own may
check_others() { # WHAT BACKEND
	local all
	all=$(held_broken keep rare | grep -vc "port [0-9]* $2/")
	expect "$1: $((all - OTHERS_BROKEN)) connections of other backends broken" [ "$all" = "$OTHERS_BROKEN" ]
	OTHERS_BROKEN=$all
}
unreachable() { host director ip route "$1" unreachable $DRAINED/32; }

held_up l2 4
any_file
need "a file of an any-port service" hp reload
need "its backends are ready" eventually 10 all_ready
held_start
held_check "no change"

# ---- a port of its own -----------------------------------------------------------------------------------------------------
any_file 3 4
need "web gets a service of its own, with other backends" hp reload
need "its backends are ready" eventually 10 all_ready
expect_equal "web moves from the moment it is there" moving "$(motion web)"
expect_equal "new connections meet its backends" "3 4" "$(met)"
held_check "web split off"
sleep 5
held_check "web split off, the window over"
any_file 1 2 3 4
need "it gets more backends" hp reload
sleep 0.5
held_check "web split off and changed"

# ---- no weight at all ------------------------------------------------------------------------------------------------------
any_file 1=0 2=0 3=0 4=0
for name in new same; do stop $name; done
need "all weights of web are 0" hp reload
sleep 1
held_check "all weights 0"
expect_not "there is nobody for new connections" web_get "$RIG_VIP4" who --max-time 1
any_file 1 2 3
need "weights again" hp reload
expect "new connections are answered" eventually 5 web_get "$RIG_VIP4" who
serve client new "$BUILD/held" new $HELD_NEW4 "$RIG_VIP4" 80 2 60
sleep 0.5
held_check "weights again"

# ---- death while draining --------------------------------------------------------------------------------------------------
OTHERS_BROKEN=$(held_broken keep rare | grep -vc "port [0-9]* backend2/")
need "one is drained" hp drain web $DRAINED
sleep 1
held_check "drained"
unreachable add
sleep 1.5
check_others "the drained dies" backend2
unreachable del
need "it is back" eventually 5 all_ready
expect_equal "and drained still" "1 3" "$(met)"
check_others "it comes back" backend2
{ stop halfproxyd KILL; } 2>/dev/null
need "the daemon starts again" director_up
need "the backends are ready" eventually 10 all_ready
expect_equal "a restart changes nothing of that" "1 3" "$(met)"
need "undrain" hp undrain web $DRAINED
expect_equal "it gets new connections again" "1 2 3" "$(met)"
check_others "undrained" backend2
finish

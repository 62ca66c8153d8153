#!/bin/bash
# Limits of another size take effect when the daemon is started again, under load: no packet is lost by it, no connection
# breaks, no remembered flow is forgotten and no counter, also when starts are killed at any moment while they replace maps.
# suite: 40 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh
. rig/loss.sh

KILLS=12
WATCHED="backend1 backend2 backend3"
SMALL="{services: 40, backends: 60, slots: 60000, flows: 5000, unproven: 4000}"
LARGE="{services: 4000, backends: 2000, slots: 3000000, flows: 300000, unproven: 200000}"
HELD_SLOW=2 HELD_SSH=2 HELD_BULK=2 HELD_WINDOW=10m HELD_WINDOW_SHORT=10m

sizes() { hp status --json | jq -c "[.capacity | .services, .backends, .slots, .flows.proven, .flows.unproven | .limit]"; }
# Remembered flows, a line each, with their backends, but for those that are CLOSING or NONE.
remembered() {
	hp flows --json --limit 10000 | jq -r --arg but "$1" '.flows[] | select(.state != $but) |
		"\(.client):\(.client_port) \(.vip):\(.port) \(.protocol) \(.backend)"' | sort
}
keep() { remembered closing >"$RIG_DIR/remembered"; }
forgotten() { remembered none | comm -23 "$RIG_DIR/remembered" -; }
kept() { wc -l <"$RIG_DIR/remembered"; }
# Packets for services: sent, or else ended.
served() { hp status --json | jq '[.services[].verdicts[]] | add // 0'; }
again() { # SIGNAL LIMITS BACKEND...: the daemon ends and another starts on such limits
	{ stop halfproxyd "$1"; } 2>/dev/null
	RIG_LIMITS=$2 held_file "${@:3}"
	director_up
}

RIG_LIMITS=$SMALL
held_up l2 3
for name in router $WATCHED; do
	hook=$([ "$name" = router ] && echo forward || echo prerouting)
	loss_count "$name" "$hook" ip daddr "{ $RIG_VIP4, $RIG_VIP_BULK }" meta l4proto "{ tcp, udp }"
	loss_count "$name" "$hook" ip6 daddr "$RIG_VIP6" meta l4proto tcp
done
DROPS=$(loss_drops) PACKETS=$(served)
expect_equal "a new data plane has the limits of its file" "[40,60,60000,5000,4000]" "$(sizes)"
held_start
held_file 1=3 2 3
need "a change that puts flows at risk" hp reload
sleep 2
held_check "a change"
keep
expect "$(kept) flows are remembered" [ "$(kept)" -gt 5 ]

# ---- larger, and smaller ------------------------------------------------------------------------------------------------
need "the file wants more of everything" again KILL "$LARGE" 1=3 2 3
expect_equal "of $(kept) remembered flows none is forgotten by it" "" "$(forgotten)"
expect_equal "it gets it" "[4000,2000,3000000,300000,200000]" "$(sizes)"
expect "which the log says" grep -q 'migrated abi=.* services=4000 .* flows=300000 .* cut_short=no' "$RIG_DIR/halfproxyd.log"
need "the backends are ready" eventually 10 all_ready
sleep 1.5
held_check "larger limits"
RIG_LIMITS=$LARGE held_file 1 2=4 3
need "another change, in a larger data plane" hp reload
sleep 1.5
held_check "a change after it"
need "the file says auto" again TERM "" 1 2=4 3
expect_equal "nothing gets smaller, flows get more" "[4000,4095,3000000,1048576,262144]" "$(sizes)"
held_check "automatic limits"
need "the file wants less than is in use" again TERM "{services: 6, backends: 6, slots: 6144, flows: 3, unproven: 4000}" 1 2=4 3
expect_equal "what is too much keeps its size" "1048576" "$(sizes | jq '.[3]')"
expect "which the log says" grep -q 'limit_kept limit=flows is=1048576 wanted=3 in_use=' "$RIG_DIR/halfproxyd.log"
held_check "limits that are too small"
keep
need "the file wants less" again KILL "$SMALL" 1 2=4 3
expect_equal "it gets it" "[40,60,60000,5000,4000]" "$(sizes)"
expect_equal "of $(kept) remembered flows none is forgotten by it" "" "$(forgotten)"
held_check "smaller limits"
RIG_LIMITS=$LARGE held_file 1 2=4 3
expect_text "a change of limits is announced" "limits: take effect when the daemon is started again" \
	hp diff "$RIG_DIR/halfproxy.yaml"

# ---- killed while it does so ----------------------------------------------------------------------------------------------
# Half of them by the clock, half at a system call that a start makes when the new maps are in place already: one of those
# that take the old ones out of sight.
begin() { # COMMAND... before halfproxyd
	serve director halfproxyd "$@" "$BUILD/halfproxyd" -c "$RIG_DIR/halfproxy.yaml" --pins "$RIG_PINS" \
		--state "$RIG_DIR/state"
}
keep
BETWEEN=0
for ((n = 1; n <= KILLS; n++)); do
	{ stop halfproxyd KILL; } 2>/dev/null
	RIG_LIMITS=$([ $(((n + 1) / 2 % 2)) = 0 ] && echo "$SMALL" || echo "$LARGE") held_file 1 2=4 3
	if [ $((n % 2)) = 0 ]; then
		begin
		sleep "$(printf '0.%03d' $((RANDOM % 700 + 50)))"
	else
		begin strace -D -o /dev/null -e trace=unlink -e "inject=unlink:signal=KILL:when=$((RANDOM % 16 + 2))"
		{ eventually 10 eval '! serves halfproxyd'; } 2>/dev/null
		[ ! -e "$RIG_PINS/maps/former/meta" ] || BETWEEN=$((BETWEEN + 1))
		sleep "0.$((RANDOM % 9))"
	fi
done
need "the last one starts" again KILL "$SMALL" 1 2=4 3
expect_equal "of $(kept) remembered flows none is forgotten by all that" "" "$(forgotten)"
expect_equal "its limits are the file's" "[40,60,60000,5000,4000]" "$(sizes)"
expect_equal "nothing is left of the others" "maps" "$(cd "$RIG_PINS" && find . -name 'maps*' -o -name 'former*' | sed 's/^..//')"
need "the backends are ready" eventually 10 all_ready
sleep 1.5
held_check "killed $KILLS times, $BETWEEN of them between the maps"
expect "some were" [ $BETWEEN -ge 2 ]
held_end
# shellcheck disable=SC2086 # names are words
loss_settle $WATCHED
# shellcheck disable=SC2086
SENT=$(loss_counted router) GOT=$(loss_counted $WATCHED) DROPS=$(($(loss_drops) - DROPS)) PACKETS=$(($(served) - PACKETS))
expect "of $SENT packets that the router sent to the director $GOT came to the backends, and cables dropped $DROPS" \
	[ $((SENT - GOT)) -le "$DROPS" ]
expect "the counters have $PACKETS of them" [ $((SENT - PACKETS)) -ge 0 -a $((SENT - PACKETS)) -le "$DROPS" ]
finish

#!/bin/bash
# Two directors behind a multipath route, one of which is killed in the middle of a change, and one added that knows
# no flow. What was opened before the change stays whole. What was opened since and then reaches a director that does not
# remember it is measured: l2 and ipip give it up, where the two rings differ; gue has a second chance and breaks none.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh

HELD_WINDOW=60s HELD_WINDOW_SHORT=60s HELD_SLOW=2 HELD_SSH=2 HELD_BULK=2
LATE=48
VIPS=("$RIG_VIP4" "$RIG_VIP6" "$RIG_VIP_BULK")

both() { "$@" && second "$@"; }
forwarded() { hp status --json | jq '[.services[].packets] | add'; }
late() { # WHAT: the late ones that broke since the last time; with a second chance none
	local all broken sentence
	all=$(held_lines broken late)
	broken=$((all - LATE_BROKEN)) LATE_BROKEN=$all
	sentence="$FORWARD, $1: $broken of $LATE connections broken that were opened in the change"
	if [ "$FORWARD" = gue ]; then
		expect "$sentence" [ $broken = 0 ]
	else
		echo "stated  $sentence"
	fi
}
late_open() { [ "$(held_lines open late)" -ge "$LATE" ]; }

directors() {
	FORWARD=$1 LATE_BROKEN=0
	HELD_GIVEN_UP=192.168.1.98
	[ "$FORWARD" != gue ] || HELD_GIVEN_UP=
	held_up "$FORWARD" 4
	rig_second "$FORWARD" "${VIPS[@]}"
	second held_file 1 2 3
	need "the second director runs" second director_up
	need "its backends are ready" eventually 10 second all_ready
	held_start
	held_check "$FORWARD, two directors"
	expect "each forwards: $(forwarded) and $(second forwarded) packets" \
		[ "$(forwarded)" -gt 100 -a "$(second forwarded)" -gt 100 ]

	both held_file 1 2 4
	both hp reload >/dev/null
	serve client late "$BUILD/held" keep 192.168.1.98 "$RIG_VIP4" 80 $LATE 100
	need "$LATE more are opened in the change" eventually 10 late_open
	sleep 1.2
	held_check "$FORWARD, a change on both"
	late "a change on both"

	host director ip link set eth0 down
	{ stop halfproxyd KILL; } 2>/dev/null
	host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state" 2>/dev/null
	sleep 1
	held_check "$FORWARD, one director killed"
	late "one director killed"

	rig_spread 2 "${VIPS[@]}"
	host director ip link set eth0 up
	host director ip addr add fd00:2::a/64 dev eth0 nodad
	gateway director eth0 10.2.0.254 fd00:2::fe
	held_file 1 2 3
	need "a director without memory starts" director_up
	need "its backends are ready" eventually 10 all_ready
	held_file 1 2 4
	need "and goes through the change" hp reload
	need "its backends are ready then" eventually 10 all_ready
	rig_spread "1 2" "${VIPS[@]}"
	sleep 1
	held_check "$FORWARD, a director without memory added"
	late "a director without memory added"
	stop late
	held_end
	rig_down
}

for forward in l2 ipip gue; do directors $forward; done
finish

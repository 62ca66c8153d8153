#!/bin/bash
# A director takes over from one that is in the middle of a change and dies, with no memory of its own but the former
# configuration (--before): what was opened before the change goes on with its backends. What was opened since is not
# remembered by anybody: of those whose two rings differ l2 and ipip give up, which is measured; gue has a second chance.
# suite: 55 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh

HELD_WINDOW=60s HELD_WINDOW_SHORT=60s HELD_SLOW=2 HELD_SSH=2 HELD_BULK=2
LATE=48
VIPS=("$RIG_VIP4" "$RIG_VIP6" "$RIG_VIP_BULK")

late_open() { [ "$(held_lines open late)" -ge "$LATE" ]; }
moving() { hp status --json | jq -e '[.services[].motion.state == "moving"] | all and length == 6'; }

takes_over() {
	local broken sentence
	HELD_GIVEN_UP=192.168.1.98
	[ "$1" != gue ] || HELD_GIVEN_UP=
	held_up "$1" 4
	rig_second "$1" "${VIPS[@]}"
	rig_spread 1 "${VIPS[@]}"
	held_start
	held_check "$1, one director"

	cp "$RIG_DIR/halfproxy.yaml" "$RIG_DIR/old.yaml"
	held_file 1=3 2 4
	need "the director goes through a change" hp reload
	serve client late "$BUILD/held" keep 192.168.1.98 "$RIG_VIP4" 80 $LATE 100
	need "$LATE more are opened in the change" eventually 10 late_open
	sleep 1.2
	held_check "$1, a change"

	second held_file 1=3 2 4
	RIG_OPTIONS=(--before "$RIG_DIR/old.yaml")
	need "another director starts, with the former configuration" second director_up
	RIG_OPTIONS=()
	need "its backends are ready" eventually 10 second all_ready
	expect "all of its services are moving" second moving
	expect "and come from the former ones, which the log says" \
		grep -q 'moves_from file="[^"]*/old.yaml" services=6' "$RIG_DIR/halfproxyd2.log"
	expect "the backend that only these have is kept, by either of its addresses" \
		[ "$(second hp status --json | jq .capacity.backends.used)" = 8 ]
	# What is new at this very moment has been opened since the change, too: nothing shall be.
	stop new && stop new6
	sleep 0.5
	{ stop halfproxyd KILL; } 2>/dev/null
	rig_spread 2 "${VIPS[@]}"
	host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state" 2>/dev/null
	held_new
	sleep 2
	held_check "$1, the other director has taken over"
	broken=$(held_lines broken late)
	sentence="$1: $broken of $LATE connections broken that were opened in the change"
	if [ "$1" = gue ]; then expect "$sentence" [ "$broken" = 0 ]; else echo "stated  $sentence"; fi
	stop late
	held_end
}

for forward in l2 ipip gue; do
	takes_over $forward
	[ $forward = gue ] || rig_down
done

# ---- what is not as it should be --------------------------------------------------------------------------------------------
start_fails() {
	host director timeout 10 "$BUILD/halfproxyd" -c "$RIG_DIR/halfproxy.yaml" --pins "$RIG_PINS" \
		--state "$RIG_DIR/state" "$@"
}

sed '0,/weight: 1/s//wait: 1/' "$RIG_DIR/old.yaml" >"$RIG_DIR/bad.yaml"
LINE=$(grep -n wait: "$RIG_DIR/bad.yaml")
refuses "mistakes of the former configuration are shown in their place" "bad.yaml:${LINE%%:*}:" \
	start_fails --before "$RIG_DIR/bad.yaml"
refuses "... with what is wrong" 'a backend has no key "wait"' start_fails --before "$RIG_DIR/bad.yaml"
refuses "... and named in the log" "bad.yaml: the configuration has mistakes" start_fails --before "$RIG_DIR/bad.yaml"
refuses "a former configuration that is not there" "none.yaml: No such file" start_fails --before "$RIG_DIR/none.yaml"
refuses "an option without its file" "--before needs a value" start_fails --before
expect_not "nothing is left of it" test -e "$RIG_PINS"
RIG_OPTIONS=(--before "$RIG_DIR/old.yaml")
need "it starts" director_up
{ stop halfproxyd KILL; } 2>/dev/null
RIG_OPTIONS=(--before "$RIG_DIR/none.yaml")
need "it starts again" director_up
expect "what is adopted needs no former configuration" \
	grep -q 'before_ignored file="[^"]*/none.yaml"' "$RIG_DIR/halfproxyd.log"
finish

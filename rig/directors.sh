# shellcheck shell=bash
# Two directors behind a multipath route, one of which is killed in a change or after it, and one added that knows no flow.
# Sourced after held.sh.
#
#     directors FORWARD WHEN     held connections through all of it; WHEN is "in the change" or "after the change"
#
# With DIRECTORS_FLOOD (syn or ack) a flood comes by both while the one is killed; rig/flood.sh is to be sourced then.
#
# What was opened before the change and what was opened in it are counted apart. What the method gives up is stated, and
# the rest must not break.

DIRECTORS_LATE=36 DIRECTORS_LATE6=12
DIRECTORS_VIPS=("$RIG_VIP4" "$RIG_VIP6" "$RIG_VIP_BULK")

both() { "$@" && second "$@"; }
directors_forwarded() { hp status --json | jq '[.services[].packets] | add'; }
directors_late_open() { [ "$(held_lines open late late6)" -ge $((DIRECTORS_LATE + DIRECTORS_LATE6)) ]; }

# No service but those of the usual window is moving.
directors_rest() { hp status --json | jq -e '[.services[] | select(.window_s < 60).motion.state != "moving"] | all'; }

# directors_lost SENTENCE COUNT: it has to be 0, unless the method gives such connections up
directors_lost() {
	if [ -n "$DIRECTORS_GIVE_UP" ]; then
		echo "stated  $1"
	else
		expect "$1" [ "$2" = 0 ]
	fi
}

# What became of all of them since the last time.
directors_check() {
	local all broken
	if [ "$DIRECTORS_GIVE_UP" = all ]; then
		# shellcheck disable=SC2086 # names are words
		all=$(held_lines broken $HELD_KEEPERS)
		directors_lost "$1: $((all - DIRECTORS_BROKEN)) breaks of $((HELD_TOTAL - HELD_SLOW - HELD_SSH)) connections" 0
		DIRECTORS_BROKEN=$all
	else
		held_check "$1"
	fi
	all=$(held_lines broken late late6)
	broken=$((all - DIRECTORS_LATE_BROKEN))
	directors_lost "$1: $broken breaks of $((DIRECTORS_LATE + DIRECTORS_LATE6)) connections that were opened in the change" $broken
	DIRECTORS_LATE_BROKEN=$all
}

directors_up() {
	held_up "$1" 4
	rig_second "$1" "${DIRECTORS_VIPS[@]}"
	second held_file 1 2 3
	need "the second director runs" second director_up
	need "its backends are ready" eventually 10 second all_ready
	held_start
	held_check "$NAME, two directors"
	expect "$NAME: each forwards: $(directors_forwarded) and $(second directors_forwarded) packets" \
		[ "$(directors_forwarded)" -gt 100 -a "$(second directors_forwarded)" -gt 100 ]
}

directors_change() {
	both held_file 1 2 4
	both hp reload >/dev/null
	serve client late "$BUILD/held" keep 192.168.1.98 "$RIG_VIP4" 80 $DIRECTORS_LATE 100
	serve client late6 "$BUILD/held" keep fd00:1::98 "$RIG_VIP6" 80 $DIRECTORS_LATE6 100
	need "more are opened in the change" eventually 10 directors_late_open
	sleep 1.2
}

# Half of it comes by the director that is killed, and all by the other then.
directors_flood() {
	[ -n "${DIRECTORS_FLOOD-}" ] || return 0
	flood_up
	DIRECTORS_SECOND=$(second directors_forwarded)
	flood "$DIRECTORS_FLOOD"
	sleep 0.5
}
directors_flooded() {
	local came
	need "the flood ends" flood_ends
	came=$(($(second directors_forwarded) - DIRECTORS_SECOND))
	expect "$NAME: a flood of ${DIRECTORS_FLOOD^^}s came by the one that is left: $came packets" \
		[ $came -gt $((FLOOD_RATE * FLOOD_SECONDS)) ]
}

# The first director dies: process, pins and cable.
directors_kill() {
	host director ip link set eth0 down
	{ stop halfproxyd KILL; } 2>/dev/null
	host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state" 2>/dev/null
	sleep 1
}

# Another takes its place, with the same two rings and nothing else.
directors_add() {
	rig_spread 2 "${DIRECTORS_VIPS[@]}"
	host director ip link set eth0 up
	host director ip addr add fd00:2::a/64 dev eth0 nodad
	gateway director eth0 10.2.0.254 fd00:2::fe
	held_file 1 2 3
	need "a director without memory starts" director_up
	need "its backends are ready" eventually 10 all_ready
	held_file 1 2 4
	need "and goes through the change" hp reload
	need "its backends are ready then" eventually 10 all_ready
}

directors() {
	NAME="$1${HELD_CROSSED:+ crossed}, killed $2" DIRECTORS_LATE_BROKEN=0 DIRECTORS_BROKEN=0 HELD_GIVEN_UP='' DIRECTORS_GIVE_UP=''
	HELD_WINDOW=60s HELD_WINDOW_SHORT=60s
	[ "$2" = "in the change" ] || { HELD_WINDOW=3s HELD_WINDOW_SHORT=2s; }
	[ "$1" = gue ] || { HELD_GIVEN_UP='[^ ]*[.:]9[89]' DIRECTORS_GIVE_UP=late; }
	directors_up "$1"
	directors_change
	[ "$2" = "in the change" ] || need "the window ends on both" eventually 10 both directors_rest
	directors_check "$NAME: a change on both"
	[ "$1" = gue ] || [ "$2" = "in the change" ] || DIRECTORS_GIVE_UP=all
	directors_flood
	directors_kill
	directors_check "$NAME: one killed"
	[ -z "${DIRECTORS_FLOOD-}" ] || directors_flooded
	directors_add
	[ "$2" = "in the change" ] || need "its window ends" eventually 10 directors_rest
	rig_spread "1 2" "${DIRECTORS_VIPS[@]}"
	sleep 1
	directors_check "$NAME: one without memory added"
	[ "$1" != gue ] || directors_chances
	stop late
	stop late6
	[ "$DIRECTORS_GIVE_UP" = all ] || held_end
	rig_down
}

# Packets that a backend passed on to the one that had their connection.
directors_chances() {
	local n counts=()
	for n in 1 2 3 4; do
		counts+=("$(host "backend$n" "$BUILD/halfproxy-backend" status --json |
			jq '[.[] | select(.item == "counter" and (.text | contains("passed on to the backend"))).text | split(" ")[0] | tonumber] | add // 0')")
	done
	expect "$NAME: backends passed packets on: ${counts[*]}" \
		[ $((counts[0] + counts[1] + counts[2] + counts[3])) -gt 20 ]
}

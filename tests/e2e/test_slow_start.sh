#!/bin/bash
# Slow start: the weight of a backend that is new, undrained or reachable again rises in steps, beside others that have theirs.
# shellcheck disable=SC2016 # what is evaluated again and again
# suite: 40 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

report() { hp status --json | jq -r ".services[0].backends[] | select(.address == \"$1\") | $2"; }
step() { report "$1" '.ramp.step // 10'; }
ramps() { hp status --json | jq '[.services[0].backends[].ramp | select(. != null)] | length'; }
hashes() { hp status --json | jq -r '.services[0].ring | "\(.configured == .live)"'; }
whole() { [ "$(ramps)" = 0 ] && [ "$(hashes)" = true ]; }
file_with() { service web "$RIG_VIP4" tcp 80 l2 "$@" | sed "s/^    forward: l2/&\n    window: 60s\n    slow_start: 18s/" | director_file; }

# Watch a backend until it has its whole weight: the steps and shares that were seen, in order, a line each.
watch_rise() {
	local end=$((SECONDS + 40)) row last=
	while [ $SECONDS -lt $end ]; do
		row=$(report "$1" '"\(.ramp.step // 10) \(.share * 1000 | round)"')
		[ "$row" = "$last" ] || echo "$row"
		last=$row
		[ "${row% *}" != 10 ] || return 0
		sleep 0.1
	done
	return 1
}
rises() { # OUTPUT FROM: steps follow each other, each with a larger share, to a third of all
	awk -v from="$1" 'NR == 1 && $1 > from { exit 1 } NR > 1 && ($1 != step + 1 || $2 <= share) { exit 1 }
		{ step = $1; share = $2 } END { exit !(step == 10 && share >= 330 && share <= 337) }'
}

rig_up l2 3 || exit 1
for n in 1 2 3; do
	backend_up $n "$RIG_VIP4" l2 >/dev/null || exit 1
	web_up $n "$RIG_VIP4" || exit 1
done
FILE=$RIG_DIR/halfproxy.yaml
file_with 10.3.0.1 10.3.0.2
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready
expect_equal "with the first ring nobody starts slowly" "0 true" "$(ramps) $(hashes)"

# ---- one that is new ----------------------------------------------------------------------------------------------
nsenter --net="/run/netns/$RIG-client" -- curl -sS --max-time 60 --limit-rate 1M -o "$RIG_DIR/got" "http://$RIG_VIP4/file" &
DOWNLOAD=$!
sleep 0.5
file_with 10.3.0.1 10.3.0.2 10.3.0.3
need "a backend is added" hp reload
watch_rise 10.3.0.3 >"$RIG_DIR/rise"
expect "its share rises step by step to the whole" rises 3 <"$RIG_DIR/rise"
expect "others have theirs" test "$(step 10.3.0.1) $(step 10.3.0.2)" = "10 10"
expect "and the ring is the one that is configured" whole
wait $DOWNLOAD
expect_equal "a download through all of the steps comes" 0 $?
expect "whole" cmp "$RIG_DIR/got" "$RIG_DIR/file"

# ---- one that was drained ------------------------------------------------------------------------------------------
need "a drain" hp drain web 10.3.0.3
expect_equal "is at once" 0 "$(report 10.3.0.3 .share)"
need "an end of the drain" hp undrain web 10.3.0.3
expect_text "status says how far it is" "; slow start at " hp status
expect "it begins with a small share" eval '[ "$(report 10.3.0.3 ".share * 1000 | round")" -lt 140 ]'
sleep 5
BEFORE=$(step 10.3.0.3)
stop halfproxyd KILL
need "a daemon that is killed starts again" director_up
STEP=$(step 10.3.0.3)
expect "and goes on where it was" test "$STEP" -ge "$BEFORE" -a "$STEP" -le $((BEFORE + 2))
watch_rise 10.3.0.3 >"$RIG_DIR/rise"
expect "to the whole" rises "$((STEP + 1))" <"$RIG_DIR/rise"
expect "as it is configured" whole

# ---- one that could not be reached -----------------------------------------------------------------------------------
unreachable() { [ "$(report 10.3.0.2 .state)" = failed ]; }
host backend2 ip link set eth0 down
host director ip neigh del 10.3.0.2 dev eth1
need "a backend that is gone" eventually 20 unreachable
host backend2 ip link set eth0 up
need "comes back" eventually 30 eval '[ "$(report 10.3.0.2 .state)" = ready ]'
expect "and begins with a small share" eval '[ "$(step 10.3.0.2)" -le 4 ]'
watch_rise 10.3.0.2 >"$RIG_DIR/rise"
expect "that rises" rises 5 <"$RIG_DIR/rise"

# ---- changes meanwhile -----------------------------------------------------------------------------------------------
need "a drain" hp drain web 10.3.0.1
need "and its end" hp undrain web 10.3.0.1
sleep 5
file_with 10.3.0.3 10.3.0.1 10.3.0.2
need "another order in the file" hp reload
expect "leaves it where it was" eval '[ "$(step 10.3.0.1)" -ge 3 ] && [ "$(ramps)" = 1 ]'
sed -i 's/slow_start: 18s/slow_start: 0/' "$FILE"
need "no slow start any more" hp reload
expect "gives it all at once" whole
need "a drain" hp drain web 10.3.0.1
need "and its end" hp undrain web 10.3.0.1
expect "is without one from now on" whole
finish

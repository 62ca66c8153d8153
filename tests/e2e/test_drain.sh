#!/bin/bash
# Drains: an override that survives reloads and restarts, above a weight, with a deadline; and waiting for its end.
# shellcheck disable=SC2016 # the backticks are printed
# suite: 70 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

weights() { hp status --json | jq -c '[.services[0].backends[].weight]'; }
state() { hp status --json | jq -r ".services[0].backends[] | select(.address == \"$1\") | .drain.state"; }
who() { # the backends that two dozen flows meet
	local n
	for n in {1..24}; do web_get "$RIG_VIP4" ""; done | sort -u | tr '\n' ' '
}
status_of() { "$@" >/dev/null 2>&1; echo $?; }

rig_up l2 2 || exit 1
for n in 1 2; do
	backend_up $n "$RIG_VIP4" l2 >/dev/null || exit 1
	web_up $n "$RIG_VIP4" || exit 1
done
FILE=$RIG_DIR/halfproxy.yaml
BOTH="hello from backend1, 10.3.0.1 hello from backend2, 10.3.0.2 " TWO="hello from backend2, 10.3.0.2 "
service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 10.3.0.2 | sed 's/^    forward: l2/&\n    window: 60s/' | director_file # so that a drain is not over before the next sentence
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready
expect_equal "new flows meet both backends" "$BOTH" "$(who)"

# ---- an override -------------------------------------------------------------------------------------------------
expect_text "a drain says what it changes" "~ web: backend 10.3.0.1 weight 1 -> 0" hp drain web 10.3.0.1
expect_equal "new flows avoid the backend at once" "$TWO" "$(who)"
expect_equal "its weight is 0" "[0,1]" "$(weights)"
expect_equal "beneath stays what the file says" 1 "$(hp status --json | jq '.services[0].backends[0].configured_weight')"
expect_text "status shows the override" 'override: web 10.3.0.1 drained (`halfproxy undrain web 10.3.0.1` ends it)' hp status
expect_text "diff as well" 'override: web 10.3.0.1 drained' hp diff "$FILE"
expect_equal "which finds no change all the same" 0 "$(status_of hp diff "$FILE")"
expect_text "the log tells" "drain service=web backend=10.3.0.1" cat "$RIG_DIR/halfproxyd.log"
need "a reload" hp reload
expect_equal "leaves it in place" "[0,1]" "$(weights)"
stop halfproxyd KILL
need "so does a killed daemon that starts again" director_up
expect_equal "as before" "[0,1]" "$(weights)"
expect_equal "for packets too" "$TWO" "$(who)"
expect_text "a drain of what is drained" "no changes" hp drain web 10.3.0.1
expect_text "a deadline for it is a change" "~ web: backend 10.3.0.1 drain, deadline none -> in 10m" \
	hp drain web 10.3.0.1 --deadline 10m
sleep 1.1
expect_text "so is another one" "~ web: backend 10.3.0.1 drain, deadline in 9m 5" hp drain web 10.3.0.1 --deadline 1h
expect_text "and none any more" " -> none" hp drain web 10.3.0.1
need "an end of the drain" hp undrain web 10.3.0.1
need "a weight of 0" hp weight web 10.3.0.1 0
expect_text "a drain of what has no weight is one" "~ web: backend 10.3.0.1 drained, with weight 0 already" hp drain web 10.3.0.1
need "a reset" hp reset web
need "a drain" hp drain web 10.3.0.1

# ---- above a weight ----------------------------------------------------------------------------------------------
expect_text "a weight beneath a drain is taken" "backend 10.3.0.1 is drained: the weight counts after" hp weight web 10.3.0.1 2
expect_equal "and counts not yet" "[0,1]" "$(weights)"
expect_text "both are shown" "override: web 10.3.0.1 weight 2" hp status
expect_text "an end of the drain" "~ web: backend 10.3.0.1 weight 0 -> 2" hp undrain web 10.3.0.1
expect_equal "lets the weight count" "[2,1]" "$(weights)"
expect_equal "new flows meet both backends again" "$BOTH" "$(who)"
need "another drain" hp drain web 10.3.0.1
expect "a reset" hp reset web
expect_equal "drops both" "[1,1] 0" "$(weights) $(hp status --json | jq '.configuration.overrides | length')"

# ---- mistakes ----------------------------------------------------------------------------------------------------
refuses "what is not drained cannot be undrained" "backend 10.3.0.1 of service web is not drained" hp undrain web 10.3.0.1
refuses "a service that is not there is refused" 'did you mean "web"?' hp drain wbe 10.3.0.1
refuses "to undrain as well" 'did you mean "web"?' hp undrain wbe 10.3.0.1
refuses "a backend that is not there" "it has 10.3.0.1, 10.3.0.2" hp drain web 10.3.0.9
refuses "a backend that is no address" "must be an address" hp drain web backend1
refuses "a deadline that is none" "not a time of up to 30 days" hp drain web 10.3.0.1 --deadline soon
refuses "a deadline at once" "not a time of up to 30 days" hp drain web 10.3.0.1 --deadline 0s
refuses "a deadline too far away" "not a time of up to 30 days" hp drain web 10.3.0.1 --deadline 31d
refuses "too few arguments" "usage: halfproxy drain SERVICE BACKEND" hp drain web
ask() { curl -sS --max-time 10 --unix-socket "$HALFPROXY_SOCKET" -d "$2" "http://halfproxy/v1/$1" | jq -r .error; }
expect_equal "a deadline of another type" "deadline_s must be a number of seconds from 1 to 2592000" \
	"$(ask drain '{"service": "web", "backend": "10.3.0.1", "deadline_s": "10m"}')"
expect_equal "a deadline below one" "deadline_s must be a number of seconds from 1 to 2592000" \
	"$(ask drain '{"service": "web", "backend": "10.3.0.1", "deadline_s": 0}')"
expect_equal "an address that is none" '"web1" is not an address' "$(ask undrain '{"service": "web", "backend": "web1"}')"
expect_equal "none of them changed anything" "[1,1]" "$(weights)"

# ---- the last backend --------------------------------------------------------------------------------------------
need "a drain" hp drain web 10.3.0.2
expect_text "a drain of the last backend is doubtful, and says so" "warning: service web has no backend left" hp drain web 10.3.0.1
need "a reset" hp reset web
need "the backends are ready" eventually 5 all_ready

# ---- rests -------------------------------------------------------------------------------------------------------
need "a drain" hp drain web 10.3.0.1
sed -i 's/name: web/name: other/' "$FILE"
need "its service is renamed" hp reload
expect_equal "the drain is not the other service's" "[1,1]" "$(weights)"
expect_text "status shows it still" "override: web 10.3.0.1 drained" hp status
expect "it can be undrained" hp undrain web 10.3.0.1
expect_equal "and is gone" 0 "$(hp status --json | jq '.configuration.overrides | length')"
sed -i 's/name: other/name: web/' "$FILE"
need "its service is renamed back" hp reload

# ---- flows stay until they end --------------------------------------------------------------------------------------
sed -i 's/window: 60s/window: 6s/' "$FILE"
stop halfproxyd
need "what is in motion by the long window is given up" host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" \
	--state "$RIG_DIR/state"
need "halfproxyd runs, with a window that ends soon" director_up
need "the backends are ready" eventually 10 all_ready
# A client with room for megabytes says nothing for as long as it reads them.
host client sh -c 'echo 4096 16384 16384 >/proc/sys/net/ipv4/tcp_rmem'
DOWNLOADS=()
download() { # COUNT RATE: as many at once, in the background
	local n
	DOWNLOADS=()
	for ((n = 1; n <= $1; n++)); do
		nsenter --net="/run/netns/$RIG-client" -- curl -sS --max-time 60 --limit-rate "$2" -o "$RIG_DIR/got$n" \
			"http://$RIG_VIP4/file" 2>/dev/null &
		DOWNLOADS+=($!)
	done
	sleep 1
}
whole() { # how many of them came whole
	local n got=0
	for ((n = 1; n <= ${#DOWNLOADS[@]}; n++)); do
		wait "${DOWNLOADS[n - 1]}" && cmp -s "$RIG_DIR/got$n" "$RIG_DIR/file" && got=$((got + 1))
	done
	echo $got
}
flows() { hp flows --json | jq "[.flows[] | select(.backend == \"10.3.0.1\")] | length"; }
steady() { hp flows web | grep -q "web: steady"; }
served() { wc -l <"$RIG_DIR/web$1/access.log"; } # requests that backend N has finished

need "a steady service" eventually 20 steady
BEFORE=$(served 1)
download 16 1M
need "a drain while flows are under way" hp drain web 10.3.0.1
expect "their packets are remembered" eventually 5 eval '[ "$(flows)" -gt 1 ]'
expect_text "flows says what the service lives through" "web: moving for another" hp flows web
expect_text "with the share of the ring that differs" "50.0% of the ring differs" hp flows web
expect_text "status as well" "50.0% of the ring differs" hp status web
expect "a flow is listed with backend, reason and state" \
	eventually 5 eval 'hp flows >$RIG_DIR/flows; grep -qE "^192.168.1.1:[0-9]+ +tcp 10.2.0.1:80 +10.3.0.1 +(un)?proven +met .* web$" $RIG_DIR/flows || { cat $RIG_DIR/flows; false; }'
expect_equal "as many as were asked for" 1 "$(hp flows --limit 1 --json | jq '.flows | length')"
expect_text "and whether there are more" "there are more" hp flows --limit 1
expect_equal "none, for the head alone" 0 "$(hp flows --limit 0 --json | jq '.flows | length')"
refuses "flows of a service that is not there" 'did you mean "web"?' hp flows wbe
refuses "a limit that is none" "from 0 to 10000" hp flows --limit many
expect_equal "by the API as well" 'limit must be a number from 0 to 10000, not "-1"' \
	"$(curl -sS --unix-socket "$HALFPROXY_SOCKET" 'http://halfproxy/v1/flows?limit=-1' | jq -r .error)"
need "the drain has an end" timeout 60 "$BUILD/halfproxy" drain web 10.3.0.1 --wait
expect_equal "by then every flow had ended whole" 16 "$(whole)"
expect_not "at the drained backend some of them" test "$(served 1)" = "$BEFORE"
expect_equal "and the drain is over" "empty" "$(state 10.3.0.1)"
expect_text "the log tells" "drained service=web backend=10.3.0.1" cat "$RIG_DIR/halfproxyd.log"
expect "the service is steady soon" eventually 5 steady
expect_equal "and nothing is remembered" 0 "$(flows)"
need "an end of the drain" hp undrain web 10.3.0.1
need "a steady service" eventually 20 steady

# ---- or until the deadline --------------------------------------------------------------------------------------------
download 16 300k
expect_text "a deadline cuts what is left" "its deadline has cut the flows that were left" \
	timeout 30 "$BUILD/halfproxy" drain web 10.3.0.1 --deadline 3s --wait
expect_equal "the drain is over" "cut" "$(state 10.3.0.1)"
expect_text "the log tells" "drain_deadline service=web backend=10.3.0.1 flows=" cat "$RIG_DIR/halfproxyd.log"
expect "nothing is remembered with it" eventually 5 eval '[ "$(flows)" = 0 ]'
alive() { local n=0 pid; for pid in "${DOWNLOADS[@]}"; do ! kill -0 "$pid" 2>/dev/null || n=$((n + 1)); done; echo $n; }
expect "flows at the drained backend end" eventually 15 eval '[ "$(alive)" -lt 16 ]'
expect "those at the other go on" test "$(alive)" -gt 0
kill "${DOWNLOADS[@]}" 2>/dev/null
wait "${DOWNLOADS[@]}" 2>/dev/null
need "an end of the drain" hp undrain web 10.3.0.1
download 16 300k
need "a drain with a deadline" hp drain web 10.3.0.1 --deadline 4s
stop halfproxyd KILL
need "a killed daemon starts again" director_up
expect "and keeps to the deadline" eventually 8 eval '[ "$(state 10.3.0.1)" = cut ]'
stop halfproxyd KILL # before it has forgotten all that was remembered with the backend
need "another one starts" director_up
expect "nothing is remembered with the backend" eventually 5 eval '[ "$(flows)" = 0 ]'
kill "${DOWNLOADS[@]}" 2>/dev/null
wait "${DOWNLOADS[@]}" 2>/dev/null
need "a reset" hp reset web

# ---- taken out of the file ---------------------------------------------------------------------------------------------
# Its flows are opened in a motion, so that no ring names it once it is out: a daemon that starts anew sees its flows alone.
need "a steady service" eventually 30 steady
need "a drain" hp drain web 10.3.0.1
need "a steady service without the backend" eventually 30 steady
need "an end of the drain" hp undrain web 10.3.0.1
download 16 300k
cp "$FILE" "$RIG_DIR/both.yaml"
sed -i '/10.3.0.1"/d; s/window: 6s/&\n    deadline: 8s/' "$FILE"
need "a file without the backend" hp reload
stop halfproxyd KILL
need "a killed daemon starts again" director_up
sleep 2
expect "flows stay with what was taken out" test "$(flows)" -gt 0
expect_equal "and go on" 16 "$(alive)"
REMOVED='^halfproxy: backend 10.3.0.1 was removed from service web: it takes no new flows, and those that it has .[1-9][0-9]* remembered. are cut in [0-9]s, by .deadline.$'
expect "a drain is told what became of it" eval 'hp drain web 10.3.0.1 2>&1 | grep -qE "$REMOVED"'
expect "status says how many, and for how long" eval 'hp status | grep -qE "10.3.0.1 +removed: [1-9][0-9]* flows left, cut in [0-9]s"'
expect "until the deadline that its service had" eventually 15 eval '[ "$(flows)" = 0 ]'
expect "has cut them" eventually 15 eval '[ "$(alive)" -lt 16 ]'
expect_text "the log tells" "removed_deadline service=web backends=1 flows=" cat "$RIG_DIR/halfproxyd.log"
expect_equal "and status no longer names it" '[]' "$(hp status --json | jq -c '.services[0].removed')"
kill "${DOWNLOADS[@]}" 2>/dev/null
wait "${DOWNLOADS[@]}" 2>/dev/null
mv "$RIG_DIR/both.yaml" "$FILE"
need "the backend is back in the file" hp reload
eventually 5 all_ready

# ---- waiting -----------------------------------------------------------------------------------------------------
sed -i 's/window: 6s/window: 60s/' "$FILE"
need "a window that does not end so soon" hp reload
wait_in_background() { # ARGUMENT...: its output to $RIG_DIR/waits
	: >"$RIG_DIR/waits"
	# What a script starts in the background ignores interrupts unless told otherwise.
	nsenter --net="/run/netns/$RIG-director" -- env --default-signal=INT "$BUILD/halfproxy" "$@" >"$RIG_DIR/waits" 2>&1 &
	WAITS=$!
}
wait_in_background drain web 10.3.0.1 --deadline 60s --wait
expect "drain --wait tells what is left" eventually 15 grep -q 'web 10.3.0.1: .* left; cut in ' "$RIG_DIR/waits"
expect "and waits" kill -0 $WAITS
stop halfproxyd KILL
need "also while the daemon is killed and starts again" director_up
sleep 1
expect "and waits" kill -0 $WAITS
kill -INT $WAITS
wait $WAITS
expect_equal "an interrupt ends the waiting with 130" 130 $?
expect_text "and says that the drain goes on" '10.3.0.1 stays drained: `halfproxy undrain web 10.3.0.1` ends it' cat "$RIG_DIR/waits"
expect_equal "which it does" "draining" "$(state 10.3.0.1)"
wait_in_background drain web 10.3.0.1 --wait
expect "another wait" eventually 15 grep -q 'web 10.3.0.1: .* left' "$RIG_DIR/waits"
need "an end of the drain by somebody else" hp undrain web 10.3.0.1
wait $WAITS
expect_equal "ends it with 1" 1 $?
expect_text "and says why" "web 10.3.0.1: it was undrained" cat "$RIG_DIR/waits"
wait_in_background drain web 10.3.0.1 --wait
expect "another wait" eventually 15 grep -q 'web 10.3.0.1: .* left' "$RIG_DIR/waits"
sed -i '/10.3.0.1"/d' "$FILE"
need "the backend is taken out of the file" hp reload
wait $WAITS
expect_equal "ends it with 1" 1 $?
expect_text "and says why, and what becomes of its flows" "web 10.3.0.1: it was removed from the service; 0 flows left, cut in " \
	cat "$RIG_DIR/waits"
finish

#!/bin/bash
# What health leaves behind: configurations that change while backends fail or are dead, and a VIP that comes back.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/announced.sh

HEALTH="{type: tcp, interval: 300ms, timeout: 200ms, fall: 2, rise: 1}"

# configure [HEALTH [BACKEND...]]: the service web
configure() {
	service web "$RIG_VIP4" tcp 80 l2 "${@:2}" | sed "s|^    forward: l2|&\n    window: 60s${1:+\n    health: $1}|" | director_file
}
reloaded() { configure "$@" && hp reload; }
backend() { hp status --json | jq -r ".services[0].backends[] | select(.address == \"$1\") | $2"; }
is_state() { [ "$(backend "$1" .health.state)" = "$2" ]; }
has_cause() { [ "$(backend "$1" .health.verdict.cause)" = "$2" ]; }
gets_flows() { [ "$(backend "$1" .share)" != 0 ]; }
kill_web() {
	local pid
	pid=$(cat "$RIG_DIR/nginx$1.pid")
	# shellcheck disable=SC2046 # process numbers
	kill -KILL "$pid" $(pgrep -P "$pid")
	stop "nginx$1" KILL
	rm -r "$RIG_DIR/web$1"
}
cut_off() {
	host "backend$1" nft -f - <<-END
		table inet cut {
		    chain in { type filter hook prerouting priority -300; drop; }
		    chain out { type filter hook output priority -300; drop; }
		}
	END
}

rig_up l2 2 || exit 1
for n in 1 2; do backend_up $n "$RIG_VIP4" l2 >/dev/null || exit 1; done
web_up 1 "$RIG_VIP4" && web_up 2 "$RIG_VIP4" || exit 1

# ---- one that is dead ------------------------------------------------------------------------------------------------------

configure "$HEALTH" 10.3.0.1 10.3.0.2
need "halfproxyd runs" director_up
need "a backend is up" eventually 5 is_state 10.3.0.2 up
cut_off 2
need "and dead when it is silent" eventually 8 is_state 10.3.0.2 dead
need "a service that is probed no more" reloaded "" 10.3.0.1 10.3.0.2
expect "takes it for alive" eventually 2 gets_flows 10.3.0.2
need "it is probed again" reloaded "$HEALTH" 10.3.0.1 10.3.0.2
need "and dead again" eventually 8 is_state 10.3.0.2 dead
configure "$HEALTH" 10.3.0.1 10.3.0.2
service other "$RIG_VIP4" tcp 81 l2 10.3.0.2 >>"$RIG_DIR/halfproxy.yaml"
need "another service shares it, and is not probed" hp reload
expect_equal "it has flows there" 1 "$(hp status --json | jq '.services[1].backends[0].share')"
expect_equal "and none where it fails" 0 "$(backend 10.3.0.2 .share)"
need "the other one ends" reloaded "$HEALTH" 10.3.0.1 10.3.0.2
expect "and leaves it dead" eventually 2 is_state 10.3.0.2 dead
stop halfproxyd
unload
configure "$HEALTH\n    when_all_down: all" 10.3.0.1 10.3.0.2
need "a fresh start where all get flows rather than nobody" director_up
expect "who is silent then is dead when another is up" eventually 8 is_state 10.3.0.2 dead
host backend2 nft delete table inet cut
need "it comes back" eventually 5 is_state 10.3.0.2 up

# ---- one that fails --------------------------------------------------------------------------------------------------------

kill_web 2
need "one that is killed fails" eventually 5 has_cause 10.3.0.2 NOT_LISTENING
need "it is asked another way" reloaded "${HEALTH/300ms/250ms}" 10.3.0.1 10.3.0.2
expect "it fails on" is_state 10.3.0.2 failing
expect "and why is still told" eventually 4 has_cause 10.3.0.2 NOT_LISTENING

# ---- what cannot be asked ---------------------------------------------------------------------------------------------------

is_told() { [ "$(backend 10.3.0.1 .health.last.answer)" = local ] && hp status --json | jq -e '.probes.not_sent == 1'; }
command_made() { mkdir -p "$(dirname "$1")" && printf '#!/bin/sh\n' >"$1" && chmod 755 "$1"; }
for first in x xy; do # the text is cut off, in one of them in the middle of a character
	long=$RIG_DIR/$first$(printf 'ü%.0s' {1..120})
	need "a command is there" command_made "$long"
	need "a check by it" reloaded "{type: script, interval: 1s, command: [\"$long\"]}" 10.3.0.1
	rm "$long"
	expect "when it is there no more, status tells of it" eventually 4 is_told
done

# ---- files that checks need ---------------------------------------------------------------------------------------------------

script="{type: script, interval: 300ms, fall: 1, command: $RIG_DIR/check}"
running() { hp status --json | jq -c '.services[0].backends[0].health.type'; }
need "a check that can be asked" reloaded "$HEALTH" 10.3.0.1
need "the backend is up" eventually 5 is_state 10.3.0.1 up
configure "$script" 10.3.0.1
for verb in "check $RIG_DIR/halfproxy.yaml" "diff $RIG_DIR/halfproxy.yaml" "apply $RIG_DIR/halfproxy.yaml" reload; do
	# shellcheck disable=SC2086 # words
	refuses "${verb%% *} refuses a command that is missing" \
		"error: health.command $RIG_DIR/check: there is no such file" hp $verb
done
refuses "and names the line" "halfproxy.yaml:$(grep -n health: "$RIG_DIR/halfproxy.yaml" | cut -d: -f1):" hp reload
expect_equal "what ran still runs" '"tcp"' "$(running)"
command_made "$RIG_DIR/check"
chmod 644 "$RIG_DIR/check"
refuses "also one that nobody may run" "not executable" hp reload
chmod 755 "$RIG_DIR/check"
need "it is taken over when it can be run" hp reload
rm "$RIG_DIR/check"
refuses "a reload that needs what has vanished is refused" "there is no such file" hp reload
stop halfproxyd
need "a start is not: one check is less than all services" director_up
expect "it is in the log" grep -q "doubtful at=.*health.command.*there is no such file" "$RIG_DIR/halfproxyd.log"

# ---- too few, by hand --------------------------------------------------------------------------------------------------------

need "a service that wants two" reloaded "$HEALTH\n    min_up: 2" 10.3.0.1 10.3.0.2
expect_text "who drains one of them is told what comes of it" "and min_up is 2" hp drain web 10.3.0.2
need "it is drained no more" hp undrain web 10.3.0.2

# ---- the only one ------------------------------------------------------------------------------------------------------------

need "a service of one backend" reloaded "$HEALTH" 10.3.0.1
expect "its VIP is announced" eventually 5 has_routes "$RIG_VIP4 eth0"
kill_web 1
expect "and withdrawn when it fails" eventually 5 has_routes ""
web_up 1 "$RIG_VIP4" || exit 1
need "it is up again" eventually 5 is_state 10.3.0.1 up
expect "and so is its VIP" eventually 3 has_routes "$RIG_VIP4 eth0"
stop halfproxyd
finish

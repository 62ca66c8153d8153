#!/bin/bash
# A change by every way: check, diff, reload, SIGHUP, apply with a confirmation that comes or does not, undo, weight.
# suite: 25 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

weights() { hp status --json | jq -c '[.services[] | select(.name == "web") | .backends[].weight]'; }
who() { # the backends that eight flows meet
	local n
	for n in 1 2 3 4 5 6 7 8; do web_get "$RIG_VIP4" ""; done | sort -u | tr '\n' ' '
}
hp_says() { [ "$(weights)" = "$1" ]; }
file_with() { service web "$RIG_VIP4" tcp 80 l2 "$@" | director_file; }
status_of() { "$@" >/dev/null 2>&1; echo $?; }

rig_up l2 2 || exit 1
for n in 1 2; do
	backend_up $n "$RIG_VIP4" l2 >/dev/null || exit 1
	web_up $n "$RIG_VIP4" || exit 1
done
FILE=$RIG_DIR/halfproxy.yaml
ONE="hello from backend1, 10.3.0.1 " TWO="hello from backend2, 10.3.0.2 "
file_with 10.3.0.1
need "halfproxyd runs" director_up
need "the backend is ready" eventually 10 all_ready
expect_equal "all flows meet the only backend" "$ONE" "$(who)"

expect_equal "diff of the running file exits with 0" 0 "$(status_of hp diff "$FILE")"
file_with 10.3.0.1=0 10.3.0.2=3
expect "check finds the new file sound" hp check "$FILE"
expect_equal "diff of a changed file exits with 1" 1 "$(status_of hp diff "$FILE")"
expect_text "and names what is new" "10.3.0.2" hp diff "$FILE"
expect_equal "looking changed nothing" "[1]" "$(weights)"
expect "reload takes it over" hp reload
expect_equal "as the file says" "[0,3]" "$(weights)"
eventually 5 all_ready
expect_equal "flows meet the other backend" "$TWO" "$(who)"

file_with 10.3.0.1=5 10.3.0.2=0
kill -HUP "$(cat "$RIG_DIR/halfproxyd.pid")"
expect "SIGHUP takes the file over" eventually 5 hp_says "[5,0]"
expect_equal "and flows follow" "$ONE" "$(who)"

# A mistake: refused with place and reason, what runs stays.
sed 's/weight: 5/wieght: 5/' "$FILE" >"$RIG_DIR/wrong.yaml"
expect_equal "check of a mistaken file exits with 1" 1 "$(status_of hp check "$RIG_DIR/wrong.yaml")"
expect_text "and says where" "wrong.yaml:10:" hp check "$RIG_DIR/wrong.yaml"
expect_text "and the nearest key" '"weight"' hp check "$RIG_DIR/wrong.yaml"
expect_equal "diff of it exits with 2" 2 "$(status_of hp diff "$RIG_DIR/wrong.yaml")"
expect_not "apply refuses it" hp apply "$RIG_DIR/wrong.yaml"
cp "$FILE" "$RIG_DIR/good.yaml"
cp "$RIG_DIR/wrong.yaml" "$FILE"
expect_not "reload refuses it" hp reload
kill -HUP "$(cat "$RIG_DIR/halfproxyd.pid")"
sleep 0.5
expect "SIGHUP with it does not end the daemon" serves halfproxyd
expect_equal "what ran runs on" "[5,0]" "$(weights)"
cp "$RIG_DIR/good.yaml" "$FILE"

# apply --confirm
sed 's/weight: 5/weight: 0/; t; s/weight: 0/weight: 7/' "$RIG_DIR/good.yaml" >"$RIG_DIR/next.yaml"
expect "apply with a confirmation outstanding" hp apply "$RIG_DIR/next.yaml" --confirm 2s
expect_equal "takes effect at once" "[0,7]" "$(weights)"
expect_not "another change meanwhile is refused" hp apply "$RIG_DIR/good.yaml"
expect "without confirmation it is taken back" eventually 5 hp_says "[5,0]"
expect_equal "for packets too" "$ONE" "$(who)"
expect "apply again" hp apply "$RIG_DIR/next.yaml" --confirm 2s
stop halfproxyd KILL
need "a daemon that is killed meanwhile starts again" director_up
expect_equal "goes on with it" "[0,7]" "$(weights)"
expect "and takes it back as well" eventually 5 hp_says "[5,0]"
expect "apply again" hp apply "$RIG_DIR/next.yaml" --confirm 2s
expect "confirm" hp confirm
sleep 2.5
expect_equal "what was confirmed stays" "[0,7]" "$(weights)"
expect_not "there is nothing more to confirm" hp confirm
expect "undo" hp undo
expect_equal "takes back the last change" "[5,0]" "$(weights)"

# The usual way: the file is edited, and applied with a confirmation outstanding.
cp "$RIG_DIR/next.yaml" "$FILE"
expect "apply the edited file itself" hp apply "$FILE" --confirm 2s
stop halfproxyd KILL
need "a kill in between" director_up
expect_equal "confirms nothing" 1 "$(hp status --json | jq '[.configuration.confirm_within_s | numbers] | length')"
expect "it is taken back" eventually 5 hp_says "[5,0]"
stop halfproxyd KILL
need "another kill" director_up
expect_equal "does not bring it back" "[5,0]" "$(weights)"
expect "status says that the file is not what runs" eval "hp status | grep -q 'another configuration'"
expect "apply what runs, with a confirmation" hp apply "$RIG_DIR/good.yaml" --confirm 1s
sleep 1.5
expect_equal "is nothing to take back" "[5,0]" "$(weights)"
cp "$RIG_DIR/good.yaml" "$FILE"
need "reload" hp reload

# weight
expect "a backend's weight by command" hp weight web 10.3.0.2 4
expect_equal "takes effect" "[5,4]" "$(weights)"
expect "and lives through a reload" hp reload
expect_equal "as before" "[5,4]" "$(weights)"
stop halfproxyd KILL
need "and through a restart of the daemon" director_up
expect_equal "as before" "[5,4]" "$(weights)"
expect_text "status shows it" "override: web 10.3.0.2 weight 4" hp status
expect_equal "with what the file says" "0" "$(hp status --json | jq '.services[0].backends[1].configured_weight')"
expect_text "so does diff" "override: web 10.3.0.2 weight 4" hp diff "$FILE"
expect_equal "which finds no change all the same" 0 "$(status_of hp diff "$FILE")"
expect "until it is reset" hp reset web
expect_equal "to what the file says" "[5,0]" "$(weights)"
expect_not "a service that is not there is refused" hp weight wbe 10.3.0.2 4
expect_text "by the nearest name" 'did you mean "web"?' hp weight wbe 10.3.0.2 4
expect_text "by reset as well" 'did you mean "web"?' hp reset we
expect_text "and by status" 'did you mean "web"?' hp status wEb
expect_text "one that is like none: where they are listed" "halfproxy status" hp status nothing-like-it
refuses "a backend that is not there is refused, by those that are" "it has 10.3.0.1, 10.3.0.2" hp weight web 10.3.0.9 4
refuses "so is a weight out of range" "from 0 to 65535" hp weight web 10.3.0.2 70000
refuses "and a reset of nothing" "no overrides" hp reset web

# An override whose service is gone rests, and can be dropped.
need "an override" hp weight web 10.3.0.2 4
sed -i 's/name: web/name: other/' "$FILE"
need "its service is renamed" hp reload
expect_equal "the override is not the other service's" "0" "$(hp status --json | jq '.services[0].backends[1].weight')"
expect_text "status shows it still" "override: web 10.3.0.2 weight 4" hp status
expect "it can be dropped" hp reset web
expect_equal "and is gone" 0 "$(hp status --json | jq '.configuration.overrides | length')"
finish

#!/bin/bash
# A check that changes its mind with each answer: what the log is spared of it, and what status says.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh

rig_up l2 1 || exit 1
cat >"$RIG_DIR/check" <<END
#!/bin/sh
rm $RIG_DIR/was-well 2>/dev/null || { touch $RIG_DIR/was-well; echo "not this time"; exit 1; }
END
chmod 755 "$RIG_DIR/check"
service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 |
	sed "s|^    forward: l2|&\n    health: {type: script, command: $RIG_DIR/check, via: backend, interval: 100ms, rise: 1, fall: 1}|" |
	director_file
logged() { grep -c "$1" "$RIG_DIR/halfproxyd.log"; }
flaps() { hp status --json | jq -e '.services[0].backends[0].health.flapping > 6'; }
many() { [ "$(grep -c "$1" "$RIG_DIR/halfproxyd.log")" -ge "$2" ]; }

need "halfproxyd runs" director_up
expect "a check that changes all the time is told of" eventually 10 many "<4>flapping backend=10.3.0.1 asked=10.3.0.1:80 type=script changes=7" 1
expect "so is its service" eventually 10 many "<4>flapping service=web changes=7" 1
expect "status says so" eventually 2 flaps
expect_text "and so do the words" "flapping: 7 changes in a minute" hp status
asked() { hp status --json | jq .probes.begun; }
BEFORE=$(asked)
more() { [ "$(asked)" -gt $((BEFORE + 30)) ]; }
need "it goes on" eventually 10 more
expect_equal "the log has six changes of it" 6 "$(logged "backend_failing\|backend_up")"
expect_equal "and six of its service" 6 "$(logged "service_down\|service_up")"
stop halfproxyd
finish

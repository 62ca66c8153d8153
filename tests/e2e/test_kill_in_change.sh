#!/bin/bash
# The daemon is killed in the middle of changes, again and again: packets flow on, and the next start makes sense of what it finds.
# suite: 30 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

ROUNDS=10

# A file of up to 60 services with random weights, one of which serves the web whatever else changes.
random_file() {
	local port
	for port in $(seq 80 $((81 + RANDOM % 60))); do
		service "s$port" "$RIG_VIP4" tcp "$port" l2 "10.3.0.1=$((RANDOM % 5 + 1))" "10.3.0.2=$((RANDOM % 5))" \
			"10.3.0.$((RANDOM % 3 + 1))9"
	done | director_file
}
changes() {
	for _ in 1 2 3 4 5 6; do
		random_file
		hp reload
		hp weight s80 10.3.0.1 $((RANDOM % 9 + 1))
	done >/dev/null 2>&1
}
web_thrice() {
	for _ in 1 2 3; do web_get "$RIG_VIP4" "" --max-time 3 || return 1; done
}

rig_up l2 2 || exit 1
for n in 1 2; do
	backend_up $n "$RIG_VIP4" l2 >/dev/null || exit 1
	web_up $n "$RIG_VIP4" || exit 1
done
service s80 "$RIG_VIP4" tcp 80 l2 10.3.0.1 10.3.0.2 | director_file
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready
for ((round = 1; round <= ROUNDS; round++)); do
	changes &
	CHANGES=$!
	sleep "0.$((RANDOM % 40 + 10))"
	{ stop halfproxyd KILL; wait $CHANGES; } 2>/dev/null
	expect "the web answers without a daemon ($round)" web_thrice
	need "the next daemon starts ($round)" director_up
	expect "and with it ($round)" web_thrice
done
random_file
SERVICES=$(grep -c 'name:' "$RIG_DIR/halfproxy.yaml")
need "a last change is taken" hp reload
# What was replaced is taken back after a grace period, a moment later.
holds() { hp status --json | jq -e "[(.services | length), .capacity.services.used] == [$SERVICES, $SERVICES]"; }
expect "after all this nothing but the file's services is there" eventually 5 holds
# Keys whose port and protocol are those of a service: neither free, nor gone, nor the bare VIP.
keys() {
	bpftool --json map dump pinned "$RIG_PINS/maps/keys4" |
		jq '[.[].formatted.value.entry[] | select(.what > 0 and .what < 4261412864)] | length'
}
expect_equal "in the data plane too" "$SERVICES" "$(keys)"
finish

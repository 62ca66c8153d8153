#!/bin/bash
# slow_start: the weight of a backend that is new, or usable again, rises in steps to its whole; no connection breaks by it, and a
# restart of the daemon goes on with the rise.
# suite: 22 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh

HELD_SLOW=1 HELD_SSH=1 HELD_BULK=0 HELD_KEEP6=4
NEW=10.3.0.4

share() { hp status --json | jq "[.services[] | select(.name == \"web\").backends[] | select(.address == \"$NEW\").share][0]"; }
# Its share every 0.2 s for so many tenths: samples TENTHS
samples() { local i; for ((i = 0; i < $1; i += 2)); do share; sleep 0.2; done >"$RIG_DIR/shares"; }
rises() { awk 'NR > 1 && $1 < last { bad = 1 } { last = $1 } END { exit bad }' "$RIG_DIR/shares"; }
steps() { sort -u "$RIG_DIR/shares" | wc -l; }
at_full() { awk -v s="$(share)" 'BEGIN { exit !(s > 0.24 && s < 0.26) }'; }
below() { awk -v s="$(head -n 1 "$RIG_DIR/shares")" 'BEGIN { exit !(s < 0.13) }'; }

HELD_SLOW_START=4s
held_up ipip 4
held_start
held_check "no change"
expect "who was there when the service came has its whole share" \
	eval 'hp status --json | jq -e "[.services[].backends[].share > 0.3] | all"'

held_file 1 2 3 4
need "a backend comes" hp reload
samples 30
expect "it begins with little: $(head -n 1 "$RIG_DIR/shares")" below
expect "its share rises: $(sort -u "$RIG_DIR/shares" | xargs)" rises
expect "in steps: $(steps)" [ "$(steps)" -ge 3 ]
expect "and is whole after its time" eventually 4 at_full
held_check "a slow start"

host director ip route add unreachable $NEW/32
sleep 0.5
host director ip route del unreachable $NEW/32
eventually 5 all_ready
samples 16
expect "usable again it begins with little: $(head -n 1 "$RIG_DIR/shares")" below
{ stop halfproxyd KILL; } 2>/dev/null
need "the daemon is killed in the rise and starts again" director_up
samples 14
expect "and its share goes on rising: $(sort -u "$RIG_DIR/shares" | xargs)" rises
expect "to the whole" eventually 6 at_full
held_check "a slow start and a restart in it"
held_end
finish

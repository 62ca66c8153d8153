#!/bin/bash
# UDP through changes: with affinity: flow a flow that speaks stays with its backend, also when a drain or another weight is
# over after the window; with affinity: none each packet goes where the ring says now.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

FLOWS=24
VIP_NONE=$RIG_VIP4 VIP_FLOW=10.2.0.2

dns() { # NAME VIP OPTION BACKEND[=WEIGHT]...
	service "$1" "$2" udp 53 l2 "${@:4}" | sed "s/^    forward:.*/&\n    $3/"
}
file_with() {
	{
		dns none $VIP_NONE "affinity: none" "$@"
		dns flow $VIP_FLOW "window: 2s" "$@"
	} | director_file
}
takes_over() { # BACKEND=WEIGHT...
	file_with "$@"
	need "the file with $* is taken over" hp reload
	need "its backends are ready" eventually 10 all_ready
}
events() { grep -c "^[0-9]* $2 " "$RIG_DIR/$1.log"; }
backends_of() { awk '$2 == "open" { print $4 }' "$RIG_DIR/$1.log" | sort -u | tr '\n' ' '; }
motion() { hp status --json | jq -r ".services[] | select(.name == \"$1\").motion.state"; }
is() { [ "$(motion "$2")" = "$1" ]; }
opened() { [ "$(events none open)" -ge "$FLOWS" ] && [ "$(events flow open)" -ge "$FLOWS" ]; }
calm() { # WHAT: no flow of the service broke since the last look
	local broken
	broken=$(events flow broken)
	expect "affinity: flow, $1: $((broken - FLOW_BROKEN)) of $FLOWS flows broken" [ "$broken" = "$FLOW_BROKEN" ]
	FLOW_BROKEN=$broken
}

rig_up l2 4 || exit 1
for n in 1 2 3 4; do
	for vip in $VIP_NONE $VIP_FLOW; do backend_up $n "$vip" l2 >/dev/null || exit 1; done
	dns_up $n $VIP_NONE,$VIP_FLOW || exit 1
done
file_with 10.3.0.1 10.3.0.2 10.3.0.3
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready
FLOW_BROKEN=0
serve client none "$BUILD/held" name 192.168.1.1 $VIP_NONE 53 $FLOWS 100
serve client flow "$BUILD/held" name 192.168.1.1 $VIP_FLOW 53 $FLOWS 100
need "$FLOWS flows of each are open" eventually 5 opened
calm "no change"

for round in 1 2 3 4 5; do
	takes_over 10.3.0.1 10.3.0.2 10.3.0.3 "10.3.0.4=$round"
	sleep 0.4
	takes_over 10.3.0.1=$((round + 1)) 10.3.0.2 10.3.0.3
	sleep 0.4
done
calm "ten changes"
expect "affinity: none: flows went elsewhere at once" [ "$(events none broken)" -gt 5 ]
expect "after the window it settles, as flows are left that are remembered" eventually 5 is settling flow
calm "settling"
{ stop halfproxyd KILL; } 2>/dev/null
need "the daemon starts again" director_up
sleep 0.4
calm "killed while settling"
stop none
stop flow
expect "when the flows are over it is steady" eventually 30 is steady flow
finish

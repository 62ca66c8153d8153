#!/bin/bash
# Two directors, gue: when one is killed in a change or after it, also while a flood comes, or one without memory comes, no
# connection breaks: a backend without the connection passes the packet on to the one that the other ring names.
# suite: 50 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh
. rig/directors.sh
. rig/flood.sh

HELD_SLOW=2 HELD_SSH=2 HELD_BULK=0
FLOOD_RATE=2000 FLOOD_SECONDS=4
RIG_LIMITS="{unproven: $((FLOOD_RATE * 3)), flows: 2048}" # half of the flood meets slots that differ

DIRECTORS_FLOOD=syn
directors gue "in the change"
DIRECTORS_FLOOD=ack
HELD_CROSSED=1 directors gue "after the change"
finish

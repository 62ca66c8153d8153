#!/bin/bash
# Two directors, l2 and ipip: what was opened before a change stays whole when one director is killed in it, or one without memory
# comes. What was opened in the change, or remembered by the one killed after it, is given up where the rings differ: stated.
# suite: 36 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh
. rig/directors.sh

HELD_SLOW=2 HELD_SSH=2 HELD_BULK=0

directors l2 "in the change"
directors ipip "after the change"
finish

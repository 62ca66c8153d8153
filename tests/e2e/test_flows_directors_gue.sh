#!/bin/bash
# Two directors, gue: when one is killed in a change or after it, or one without memory comes, no connection breaks: a backend
# without the connection passes the packet on to the one that the other ring names.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh
. rig/directors.sh

HELD_SLOW=2 HELD_SSH=2 HELD_BULK=0

directors gue "in the change"
HELD_CROSSED=1 directors gue "after the change"
finish

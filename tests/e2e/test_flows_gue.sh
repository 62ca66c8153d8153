#!/bin/bash
# Connections that are held through every kind of change, with gue: rig/changes.sh.
# suite: 75 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh
. rig/loss.sh
. rig/changes.sh

changes_all gue

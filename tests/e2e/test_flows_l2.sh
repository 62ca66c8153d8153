#!/bin/bash
# Connections that are held through every kind of change, with l2: rig/changes.sh.
# suite: 75 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh
. rig/loss.sh
. rig/changes.sh

changes_all l2

#!/bin/bash
# Why a backend is down, by gue: faults that are made for real, the cause that the director names in its status, and the doctors
# that find and mend it. The faults are rig/faults.sh.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/tls.sh
. rig/truth.sh
. rig/faults.sh

truth gue

#!/bin/bash
# The second chance on the oldest kernel that we claim: sockets and SYN cookies are found as here, and the relay sends.
set -u
cd "$(dirname "$0")/../.." || exit 1
[ -n "${GUEST-}" ] || exec rig/guest "$0" test_backend_chance ip
. rig/rig.sh
. rig/expect.sh

echo "on Linux $GUEST"
modprobe tun
expect "decapsulation, second chance and relay" "$BUILD/test_backend_chance"
finish

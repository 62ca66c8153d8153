#!/bin/bash
# The second chance on the oldest kernel that we claim: sockets and SYN cookies are found as here, the relay
# sends, and servers are found that listen on another port than clients ask.
# suite: 12 s heavy
set -u
cd "$(dirname "$0")/../.." || exit 1
[ -n "${GUEST-}" ] || exec rig/guest "$0" test_backend_chance test_backend_ports test_backend_ports_udp ip
. rig/rig.sh
. rig/expect.sh

echo "on Linux $GUEST"
modprobe tun
expect "decapsulation, second chance and relay" "$BUILD/test_backend_chance"
expect "mapped ports, TCP" "$BUILD/test_backend_ports"
expect "and UDP" "$BUILD/test_backend_ports_udp"
finish

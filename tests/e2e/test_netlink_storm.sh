#!/bin/bash
# The kernel tells of more changes than the daemon can read: notifications are lost. Afterwards its view is right all the
# same: routes, neighbours and links that came, changed and, above all, that went meanwhile.
# suite: 25 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

ROUTES=8000

director() { host director "$@"; }
backend() { hp status --json | jq -r --arg a "$2" "[.services[].backends[] | select(.address == \$a) | .$1][0]"; }
is() { [ "$(backend "$2" "$3")" = "$1" ]; }
becomes() { expect "$1" eventually "${5:-6}" is "$2" "$3" "$4"; }
mac() { host "$1" ip -o link show dev "$2" | sed -n 's/.*ether \([0-9a-f:]*\).*/\1/p'; }
interface() { hp status --json | jq -r --arg n "$1" '[.interfaces[] | select(.name == $n) | .state][0]'; }
interface_is() { [ "$(interface "$2")" = "$1" ]; }
daemon_pid() { cat "$RIG_DIR/halfproxyd.pid"; }
# The netlink messages lost by rtnetlink's sockets in the director's namespace so far.
drops() { director cat /proc/self/net/netlink | while read -r _ kind _ _ _ _ _ _ lost _; do [ "$kind" != 0 ] || echo "$lost"; done | awk "{ sum += \$1 } END { print sum + 0 }"; }
fetch_many() { for _ in $(seq "$1"); do web_get "$RIG_VIP4" "" -o /dev/null || return 1; done; }
lost_more_than() { [ "$(drops)" -gt "$1" ]; }

storm() { # the daemon does not read meanwhile
	for _ in 1 2 3; do
		director ip -batch "$RIG_DIR/add"
		director ip -batch "$RIG_DIR/del"
	done
}

rig_up l2 3 || exit 1
for ((i = 0; i < ROUTES; i++)); do
	echo "route add blackhole 172.$((16 + i / 65536)).$((i / 256 % 256)).$((i % 256))/32"
done >"$RIG_DIR/add"
sed 's/ add / del /' "$RIG_DIR/add" >"$RIG_DIR/del"
for n in 1 2 3; do
	need "backend $n is one" backend_up $n $RIG_VIP4 ipip any
	web_up $n $RIG_VIP4 || exit 1
done
cable director eth2 switch p-spare
cable director eth3 switch p-spare3
service web $RIG_VIP4 tcp 80 ipip 10.3.0.1 10.3.0.2 10.3.0.3 | RIG_INTERFACES="eth0, eth2, eth3" director_file
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready

# ---- a storm while it reads -------------------------------------------------------------------------------------------
serve director storm ip -batch "$RIG_DIR/add"
expect "24 requests are answered in a storm of $ROUTES routes" fetch_many 24
director ip route add 10.3.0.1/32 via 10.2.0.254
becomes "a route that changes in the storm is followed" eth0 interface 10.3.0.1 4
eventually 20 eval '! serves storm'
rm -f "$RIG_DIR/storm.pid"
director ip -batch "$RIG_DIR/del"
director ip route del 10.3.0.1/32
becomes "and back, after it" eth1 interface 10.3.0.1

# ---- a storm while it does not -----------------------------------------------------------------------------------------
BEFORE=$(drops)
kill -STOP "$(daemon_pid)"
storm
expect "notifications are lost" lost_more_than "$BEFORE"
# What happens now it is never told of.
director ip link del eth2
director ip link set eth3 name other3
director ip route add 10.3.0.1/32 via 10.2.0.254
host backend2 ip link set eth0 address 02:00:00:00:bb:02
director ip neigh flush dev eth1
director ip link set eth1 mtu 1400
host switch ip link set p-backend3 down
kill -CONT "$(daemon_pid)"
becomes "a route that came is followed" eth0 interface 10.3.0.1
becomes "a backend's new MAC address is found" 02:00:00:00:bb:02 mac 10.3.0.2
becomes "an MTU is found" 1400 mtu 10.3.0.2
becomes "a backend that vanished is found out" failed state 10.3.0.3 10
expect "an interface that went is missed" eventually 5 interface_is missing eth2
expect "and one that got another name" eventually 5 interface_is missing eth3
expect "the others serve" fetch_many 12

# ---- it still hears -------------------------------------------------------------------------------------------------------
director ip route del 10.3.0.1/32
becomes "changes after the loss are heard of: a route that goes" eth1 interface 10.3.0.1
director ip link set other3 name eth3
expect "an interface that comes" eventually 5 interface_is attached eth3
host switch ip link set p-backend3 up
becomes "a backend that comes back" ready state 10.3.0.3 10

# ---- again, with everything the other way round ------------------------------------------------------------------------------
BEFORE=$(drops)
kill -STOP "$(daemon_pid)"
storm
expect "notifications are lost again" lost_more_than "$BEFORE"
cable director eth2 switch p-spare2
director ip link set eth1 mtu 1500
director ip route add unreachable 10.3.0.3/32
kill -CONT "$(daemon_pid)"
becomes "an MTU that went back is found" 1500 mtu 10.3.0.2
becomes "a route that forbids a backend is followed" failed state 10.3.0.3
expect "an interface that came is attached" eventually 5 interface_is attached eth2
expect "and requests are answered" fetch_many 12
finish

#!/bin/bash
# The kernel's neighbour tables: flushed under traffic, an operator's permanent entries, backends that vanish and come
# back, 2,000 backends on one segment, and what is left of it all after --unload.
# suite: 25 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

MANY=2000

director() { host director "$@"; }
backend() { hp status --json | jq -r --arg a "$2" "[.services[].backends[] | select(.address == \$a) | .$1][0]"; }
is() { [ "$(backend "$2" "$3")" = "$1" ]; }
becomes() { expect "$1" eventually "${5:-5}" is "$2" "$3" "${4:-10.3.0.1}"; }
mac() { host "$1" ip -o link show dev "$2" | sed -n 's/.*ether \([0-9a-f:]*\).*/\1/p'; }
ready() { hp status --json | jq '[.services[].backends[] | select(.state == "ready")] | length'; }
ready_are() { [ "$(ready)" = "$1" ]; }
ours() { director ip neigh show dev eth1 proto 217 | wc -l; }
ours_are() { [ "$(ours)" -ge "$1" ] && [ "$(ours)" -le "$2" ]; }
managed() { director ip neigh show "$1" dev eth1 | grep -q managed; }
refused() { grep -c 'backend_unreachable' "$RIG_DIR/halfproxyd.log"; }
fetch_many() { for _ in $(seq "$1"); do web_get "$RIG_VIP4" "" -o /dev/null --max-time 2 || return 1; done; }
unload() { director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state"; }

rig_up l2 3 || exit 1
# The kernel asks a neighbour again every half minute or so; here every second or so. What is known already keeps its time.
knob() { director sh -c "echo $2 >/proc/sys/net/ipv4/neigh/eth1/$1"; }
knob base_reachable_time_ms 1000
knob delay_first_probe_time 1
knob retrans_time_ms 200
for n in 1 2 3; do
	need "backend $n is one" backend_up $n $RIG_VIP4 l2
	web_up $n $RIG_VIP4 || exit 1
done
service web $RIG_VIP4 tcp 80 l2 10.3.0.1 10.3.0.2 10.3.0.3 | director_file
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready

# ---- flushed -------------------------------------------------------------------------------------------------------
cat >"$RIG_DIR/flush" <<-'END'
for _ in $(seq 20); do ip neigh flush dev eth1; sleep 0.1; done
END
serve director flushing bash "$RIG_DIR/flush"
expect "60 requests are answered while somebody flushes the neighbours 20 times" fetch_many 60
eventually 10 eval '! serves flushing'
expect "the backends' entries are there again" eventually 5 ours_are 3 3
expect_equal "and no backend was given up" 0 "$(refused)"
expect_equal "they are outside the garbage collector's reach, and managed" 3 \
	"$(director ip neigh show dev eth1 | grep -c 'managed.*extern_learn')"

# ---- an operator's ---------------------------------------------------------------------------------------------------
director ip neigh replace 10.3.0.1 lladdr "$(mac backend1 eth0)" dev eth1 nud permanent
sleep 0.3
expect_text "an operator's permanent entry stays as it is" PERMANENT director ip neigh show 10.3.0.1 dev eth1
director ip neigh replace 10.3.0.1 lladdr 02:00:00:00:99:99 dev eth1 nud permanent
becomes "and is followed" 02:00:00:00:99:99 mac
director ip neigh replace 10.3.0.1 lladdr "$(mac backend1 eth0)" dev eth1 nud permanent
becomes "when it changes, too" "$(mac backend1 eth0)" mac
director ip neigh replace 10.3.0.1 lladdr 02:00:00:00:99:99 dev eth1 nud reachable
expect "an entry that somebody wrote over is managed by the kernel again" eventually 5 managed 10.3.0.1
director ip neigh del 10.3.0.1 dev eth1
becomes "one that was deleted is found anew" "$(mac backend1 eth0)" mac
director ip neigh replace 10.3.0.2 lladdr "$(mac backend2 eth0)" dev eth1 nud permanent
director ip neigh replace 10.3.0.200 lladdr 02:00:00:00:02:00 dev eth1 nud permanent
expect "all three serve" fetch_many 12

# ---- vanished and back -------------------------------------------------------------------------------------------------
host switch ip link set p-backend3 down
becomes "a backend that vanishes is found out" failed state 10.3.0.3 12
expect_text "as not answering" "does not answer ARP" backend reason 10.3.0.3
expect "and the others serve all requests" fetch_many 24
host switch ip link set p-backend3 up
becomes "it comes back: ready" ready state 10.3.0.3 12
expect "and all three serve" fetch_many 12

# ---- many -----------------------------------------------------------------------------------------------------------
# Backend 3 gets as many addresses as a segment of their own has room for.
for ((i = 0; i < MANY; i++)); do
	echo "addr add 10.4.$((i / 250)).$((i % 250 + 1))/16 dev eth0"
done >"$RIG_DIR/addresses"
host backend3 ip -batch "$RIG_DIR/addresses"
director ip addr add 10.4.255.254/16 dev eth1
mapfile -t addresses < <(sed 's/addr add //; s/\/16.*//' "$RIG_DIR/addresses")
{
	service web $RIG_VIP4 tcp 80 l2 10.3.0.1 10.3.0.2 10.3.0.3
	service many $RIG_VIP4 tcp 81 l2 "${addresses[@]}"
} | director_file
need "$MANY backends are taken over" hp reload
expect "all of them become ready, though the table's limit is 1,024" eventually 15 ready_are $((MANY + 3))
for i in 1 2 3 4 5 6; do
	director ip neigh replace "10.3.0.10$i" lladdr 02:00:00:00:01:0$i dev eth1 nud stale
done
sleep 3
expect_equal "and stay so, while others come to the table" $((MANY + 3)) "$(ready)"
expect "and the web is served" fetch_many 12
service web $RIG_VIP4 tcp 80 l2 10.3.0.1 10.3.0.2 10.3.0.3 | director_file
need "they are removed" hp reload
expect "and so are their entries" eventually 5 ours_are 0 3

# ---- --unload -----------------------------------------------------------------------------------------------------------
stop halfproxyd TERM
expect_equal "entries stay while packets flow on without a daemon" 2 "$(director ip neigh show | grep -c managed)"
expect "and they do" fetch_many 6
need "unload" unload
expect_equal "after --unload none is managed" 0 "$(director ip neigh show | grep -c managed)"
expect_text "an operator's is still there" PERMANENT director ip neigh show 10.3.0.2 dev eth1
expect_text "also one that was never a backend's" PERMANENT director ip neigh show 10.3.0.200 dev eth1
finish

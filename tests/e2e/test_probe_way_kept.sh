#!/bin/bash
# The way of probes is kept true while addresses, interfaces, rules, configurations and daemons come and go; it is there once,
# says why it is closed and who is in its way, and goes with --unload, which leaves what is others'.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/marked.sh

unload() { host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state"; }
says() { way "$1" | grep -F -e "$2"; }
is_made() { [ "$(rules -4) $(rules -6) $(filters eth0)" = "1 1 1" ] && host director ip route show table 4848 | grep -q 192.0.0.8; }
state() {
	host director sh -c 'ip rule; ip -6 rule; ip -N route show table all proto 217; ip -N -6 route show table all proto 217
		ip -d neigh show nud permanent; tc qdisc show; tc filter show dev eth0 egress'
}
goes_on() { # SENTENCE
	expect_equal "$1: one rule a family, one filter" "1 1 1" "$(rules -4) $(rules -6) $(filters eth0)"
	expect_text "$1: probes of IPv4 go on" "taken by backend2" marked $RIG_VIP4 2 100000
	expect_text "$1: and of IPv6" "taken by backend1" marked $RIG_VIP6 1 100000
}

rig_up ipip 2 || exit 1
for n in 1 2; do need "backend$n is one" both_up $n ipip; done
services ipip | director_file
BEFORE=$(state)
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready
goes_on "at first"

# ---- daemons -----------------------------------------------------------------------------------------------------------
MARK=$(hp status --json | jq '.services[0].backends[0].mark')
stop halfproxyd KILL
expect_text "killed, the daemon leaves probes their way" "taken by backend1" host director "$BUILD/marked" "$MARK" $RIG_VIP4 80 10
need "the next one starts" director_up
need "and knows its backends" eventually 10 all_ready
goes_on "after a kill"

# ---- addresses and interfaces ----------------------------------------------------------------------------------------------
host director ip addr add 10.2.0.11/24 dev eth0
host director sh -c 'echo 1 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries'
host director ip addr del 10.2.0.10/24 dev eth0
expect "another address of the interface becomes the source" eventually 5 is_way ipv4.source 10.2.0.11
host director ip route replace default via 10.2.0.254 dev eth0
for n in 1 2; do need "backend$n trusts the director's other address" backend_up $n $RIG_VIP4 ipip any; done
need "the backends are ready again" eventually 10 all_ready
goes_on "from another address"
host director ip -6 addr del fd00:2::a/64 dev eth0
expect "without an IPv6 address that family is closed" eventually 5 is_way ipv6.state closed
expect "which says why" says ipv6.reason "no IPv6 address of its own that answers from VIPs could come back to: give eth0 a global one"
expect_equal "and has no rule" 0 "$(rules -6)"
host director ip addr add fd00:2::a/64 dev eth0 nodad
expect "with one it is open" eventually 5 is_way ipv6.state open
host director ip link set eth0 down
expect "with the interface down both are closed" eventually 5 is_way ipv4.state closed
expect "which says why, too" says ipv4.reason "none of the interfaces that packets come in by is up"
host director ip link set eth0 up
host director ip -6 addr replace fd00:2::a/64 dev eth0 nodad
host director ip route replace default via 10.2.0.254 dev eth0
host director ip -6 route replace default via fd00:2::fe dev eth0
expect "with the interface up they are open" eventually 5 is_way ipv6.state open
need "and the backends ready" eventually 30 all_ready
goes_on "after that"

# ---- what others do ----------------------------------------------------------------------------------------------------------
host director tc filter del dev eth0 egress
host director ip rule del prio 48
host director ip -6 rule del prio 48
host director ip route flush table 4848
host director ip neigh del 192.0.0.8 dev eth0
expect "what somebody removed is made again" eventually 5 is_made
goes_on "then"
host director ip rule add fwmark 0x7/0xff lookup main prio 40
expect "a rule that takes probes is told" eventually 5 says warning "another rule is for marks that probes have"
expect_text "in the log, too" "probe_way_disputed" cat "$RIG_DIR/halfproxyd.log"
host director ip rule del prio 40
host director ip rule add from 10.99.0.0/16 lookup 4848 prio 50
expect "and one that leads to the probes' table" eventually 5 says warning "another rule leads to the table of probes, 4848"
host director ip rule del prio 50
expect "without them nothing is in the way" eventually 5 is_way warning ""

# ---- configurations ------------------------------------------------------------------------------------------------------------
echo 'probes: {mark: 0xab0000, mask: 0xffff0000, table: 77}' >>"$RIG_DIR/halfproxy.yaml"
need "another mark and table are taken over" hp reload
expect_equal "probes have it" 0xab "$(printf '0x%x' $(($(hp status --json | jq '.services[0].backends[0].mark') >> 16)))"
goes_on "with another mark"
expect_equal "the former table is empty" "" "$(host director ip route show table 4848)$(host director ip -6 route show table 4848)"

# ---- the end -----------------------------------------------------------------------------------------------------------------
stop halfproxyd TERM
need "unload" unload
expect_equal "nothing of it is left" "$BEFORE" "$(state | grep -v 'dev eth0 lladdr.*PERMANENT$')"
expect_not "no file either" [ -e "$RIG_DIR/state" ]
host director tc qdisc add dev eth0 clsact
need "halfproxyd runs where there is a qdisc" director_up
need "the backends are ready" eventually 10 all_ready
goes_on "with somebody else's qdisc"
stop halfproxyd TERM
need "unload again" unload
expect_text "somebody else's qdisc stays" clsact host director tc qdisc show dev eth0
expect_equal "without our filter" 0 "$(filters eth0)"
finish

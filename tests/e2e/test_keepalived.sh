#!/bin/bash
# Two directors in one segment, keepalived between them by the configuration that is shipped: one answers for the VIPs; when it
# dies, ends or loses its daemon the other takes over, the neighbours' tables follow by gratuitous ARP and ND, and connections go
# on.
# suite: 34 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/held.sh

RIG_VIP4=10.3.0.100 RIG_VIP6=fd00:3::100
RIG_INTERFACES=eth1 # in the backends' segment, where the client is, too
PROGRAMS=/run/$RIG  # keepalived runs what only root can write to

# ---- what is there ------------------------------------------------------------------------------------------------
end() {
	local status=$?
	rig_down
	rm -rf "$PROGRAMS"
	return "$status"
}
programs() { mkdir "$PROGRAMS" && cp "$BUILD/halfproxy" "$BUILD/halfproxyd" dist/halfproxy-notify "$PROGRAMS/"; }
servers() {
	local n
	: >"$RIG_DIR/file"
	for n in 1 2; do
		backend_up "$n" "$RIG_VIP4" l2 >/dev/null && backend_up "$n" "$RIG_VIP6" l2 >/dev/null && held_nginx "$n" || return 1
	done
	for n in 1 2; do eventually 5 host "backend$n" sh -c "ss -Htln | grep -q ':80 '" || return 1; done
}
file() {
	{ service web $RIG_VIP4 tcp 80 l2 10.3.0.{1,2}
	service web6 $RIG_VIP6 tcp 80 l2 fd00:3::{1,2}; } | director_file
	sed -i '1i announce: {start: standby}' "$RIG_DIR/halfproxy$(rig_number).yaml"
}
keepalived_up() {
	local number
	number=$(rig_number)
	sed "s#/usr/local/[a-z]*/#$PROGRAMS/#; s/interface eth0/interface eth1/" dist/keepalived.conf >"$RIG_DIR/keepalived.conf"
	serve "$RIG_DIRECTOR" "keepalived$number" env "PATH=$PROGRAMS:$PATH" \
		"HALFPROXYD_OPTIONS=--pins $RIG_PINS$number --state $RIG_DIR/state$number" \
		keepalived -n -l -D -P -f "$RIG_DIR/keepalived.conf" -p "$RIG_DIR/keepalived$number.main" -r "$RIG_DIR/keepalived$number.vrrp"
}

# ---- what is asked ------------------------------------------------------------------------------------------------
mac() { host "$1" ip -o link show eth1 | grep -oP 'link/ether \K[^ ]+'; }
role_is() { [ "$(hp status --json | jq -r .announce.role)" = "$1" ]; }
# The neighbour's entries for the VIPs name this director's MAC address.
known_at() {
	local vip
	for vip in $RIG_VIP4 $RIG_VIP6; do host neighbour ip neigh show "$vip" | grep -q "lladdr $(mac "$1") " || return 1; done
}
answers() { host neighbour ping -c 1 -W 1 "$1"; }
broken() { held_lines broken keep keep6 new; }
unbroken() { # WHAT
	local answered
	answered=$(held_lines answered new)
	expect_result "$([ "$(broken)" = 0 ] && [ "$answered" -gt "$ANSWERED" ]; echo $?)" \
		"$1: $(broken) of 24 held connections and of $((answered - ANSWERED)) new ones broken" "$(held_broken keep keep6 new | head -n 8)"
	ANSWERED=$answered
}
is_open() { [ "$(held_lines open keep keep6)" -ge 24 ]; }
clients() {
	serve neighbour keep "$BUILD/held" keep 10.3.0.50 "$RIG_VIP4" 80 16 50
	serve neighbour keep6 "$BUILD/held" keep fd00:3::50 "$RIG_VIP6" 80 8 50
	serve neighbour new "$BUILD/held" new 10.3.0.51 "$RIG_VIP4" 80 2 50
	eventually 10 is_open
}

rig_up l2 2 || exit 1
trap end EXIT
rig_second l2
rig_host neighbour
plug neighbour eth0 p-neighbour
address neighbour eth0 10.3.0.50/24 fd00:3::50/64
address neighbour eth0 10.3.0.51/24 fd00:3::51/64
need "programs that keepalived trusts" programs
need "backends serve" servers
file
second file
need "both directors run" eval "director_up && second director_up"
need "their backends are ready" eval "eventually 10 all_ready && eventually 10 second all_ready"
expect_not "nobody answers for the VIPs" answers $RIG_VIP4

# ---- who is first -------------------------------------------------------------------------------------------------
keepalived_up
expect "the first director becomes active" eventually 10 role_is active
second keepalived_up
expect "and answers" eventually 3 answers $RIG_VIP4
need "clients are served" clients
sleep 2
expect "the second stays on standby" second role_is standby
ANSWERED=0
expect "the neighbour knows the VIPs at the first" known_at director
unbroken "the first director"

# ---- a daemon that is started anew --------------------------------------------------------------------------------
{ stop halfproxyd KILL; } 2>/dev/null
need "the daemon is started again" director_up
expect "a daemon that comes again at once is active" role_is active
expect "and the neighbour knows the VIPs there" known_at director

# ---- a director that dies -------------------------------------------------------------------------------------------
# Its kernel sends nothing and hears nothing, nor does XDP; the cable stays.
dies() {
	host director nft -f - <<-END
		table inet dead {
		    chain in { type filter hook input priority -400; policy drop; }
		    chain out { type filter hook output priority -400; policy drop; }
		}
	END
	kill -KILL "$(cat "$RIG_DIR/keepalived.main")" "$(cat "$RIG_DIR/keepalived.vrrp")"
	{ stop halfproxyd KILL; } 2>/dev/null
	host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state" 2>/dev/null
}
dies
expect "when it dies the second becomes active" eventually 10 second role_is active
expect "and the neighbour knows within a second" eventually 1 known_at director2
expect "the VIPs answer" answers $RIG_VIP6
sleep 0.5
unbroken "the first one dead"

rm -f "$RIG_DIR"/keepalived.{pid,main,vrrp}
host director nft delete table inet dead
host director ip addr del 169.254.48.49/32 dev lo # what keepalived left
need "its machine is started again" director_up
need "its backends are ready" eventually 10 all_ready
keepalived_up
sleep 2.5
expect "it stays on standby" role_is standby
expect "and the other active" second role_is active
unbroken "the first one back"

# ---- one that is ended ------------------------------------------------------------------------------------------------
stop keepalived2
expect "keepalived that ends puts its director on standby" eventually 3 second role_is standby
expect "and the other becomes active" eventually 3 role_is active
expect "as the neighbour knows within a second" eventually 1 known_at director
unbroken "the second one ended"
second keepalived_up
sleep 1

# ---- a daemon that does not come again --------------------------------------------------------------------------------
{ stop halfproxyd KILL; } 2>/dev/null
sleep 1
expect "packets flow on without the daemon" answers $RIG_VIP4
expect "until keepalived finds that it stays away" eventually 20 second role_is active
expect "which takes its data plane away" eventually 3 test ! -e "$RIG_PINS"
expect "so that the neighbour knows the VIPs at the other" eventually 1 known_at director2
sleep 0.5
unbroken "the first one's daemon gone"

# ---- a keepalived that is killed alone -----------------------------------------------------------------------------------
doctor_finds() { hp doctor --json | jq -e '.items[] | select(.id == "ARP_ANSWERED" and .level == "wrong")'; }
doctor_finds_not() { ! doctor_finds; }
need "the first one's daemon is started again" director_up
need "its backends are ready" eventually 10 all_ready
expect "with nothing wrong in the segment" eventually 5 second doctor_finds_not
kill -KILL "$(cat "$RIG_DIR/keepalived2.main")" "$(cat "$RIG_DIR/keepalived2.vrrp")"
expect "the first becomes active" eventually 20 role_is active
expect "while the second, which nobody told, is active as well" second role_is active
expect "so finds the doctor of the first" eventually 5 doctor_finds
expect "and of the second" eventually 5 second doctor_finds
rm -f "$RIG_DIR"/keepalived2.{pid,main,vrrp}
host director2 ip addr del 169.254.48.49/32 dev lo # what keepalived left
second keepalived_up
expect "keepalived that is started again puts the second on standby" eventually 10 second role_is standby
expect "and all is well in the segment" eventually 5 doctor_finds_not
expect "... and by the second's doctor" eventually 5 second doctor_finds_not
stop keepalived
stop keepalived2
finish

#!/bin/bash
# halfproxy trace says what becomes of a packet, and a real packet then goes that way; also while a service lives through
# changes, and then it says why.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

# traced PORT FILTER [OPTION...]: of a packet that opens the flow; with --under-way of one that comes later.
traced() { hp trace --json "192.168.1.1:$1" "$RIG_VIP4:80" "${@:3}" | jq -r "$2"; }
packets_all() { hp status --json | jq '[.services[].packets] | add'; }

rig_up l2 3 || exit 1
for n in 1 2 3; do
	backend_up $n "$RIG_VIP4" l2 >/dev/null || exit 1
	web_up $n "$RIG_VIP4" || exit 1
done
{
	service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 10.3.0.2 10.3.0.3
	service dns "$RIG_VIP4" udp any l2 10.3.0.2
	service tunnel 10.2.0.2 tcp 80 gue 10.3.0.1 10.3.0.2
} | director_file
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready

BEFORE=$(packets_all)
seen=""
for port in $(seq 41000 41011); do
	wanted=$(traced "$port" .backend.address)
	got=$(web_get "$RIG_VIP4" "" --local-port "$port" | sed 's/.*, //')
	expect_equal "port $port goes where trace says" "$wanted" "$got"
	seen="$seen $got"
done
expect "the flows were spread over more than one backend" [ "$(tr ' ' '\n' <<<"$seen" | sort -u | grep -c .)" -gt 1 ]
sleep 0.5
AFTER=$(packets_all)
expect "real packets were counted" [ "$AFTER" -gt "$BEFORE" ]
for port in 42001 42002 42003; do traced $port .verdict >/dev/null; done
expect_equal "traced ones are not" "$AFTER" "$(packets_all)"
expect_equal "the verdict is named" FORWARDED "$(traced 41000 .verdict)"
expect_text "people read the backend's address" "10.3.0." hp trace 192.168.1.1:41000 "$RIG_VIP4:80"
expect_text "a service of any port is found" "10.3.0.2" hp trace 192.168.1.1:5353 "$RIG_VIP4:53" --protocol udp
expect_text "a port without a service is said to be one" "VIP_OTHER" hp trace --json 192.168.1.1:41000 "$RIG_VIP4:81"
expect_text "so is an address that is no VIP" "NOT_VIP" hp trace --json 192.168.1.1:41000 10.2.0.77:80
expect_equal "which is said once" 1 "$(hp trace 192.168.1.1:41000 10.2.0.77:80 | grep -c 'destination is not a VIP')"
expect_not "nonsense is refused" hp trace 192.168.1.1:99999 "$RIG_VIP4:80"
expect_text "the packet opens its flow" "TCP 41000 > 80, SYN" hp trace 192.168.1.1:41000 "$RIG_VIP4:80"
expect_text "or is one under way" "TCP 41000 > 80, ACK" hp trace 192.168.1.1:41000 "$RIG_VIP4:80" --under-way
refuses "of UDP none is told from the other" "UDP has no opening packets" \
	hp trace 192.168.1.1:5353 "$RIG_VIP4:53" --protocol udp --under-way
expect_equal "nor is a packet half under way" "under_way must be true or false" "$(curl -sS --max-time 10 \
	--unix-socket "$HALFPROXY_SOCKET" http://halfproxy/v1/trace \
	-d '{"source": "192.168.1.1", "vip": "10.2.0.1", "under_way": 1}' | jq -r .error)"
expect_equal "a steady service has nothing to live through" null "$(traced 41000 .continuity)"

# ---- a flow is held through changes ------------------------------------------------------------------------------
HELD=43001 NEW=43002
has() { # BACKEND PORT: whether it has the connection from there
	[ -n "$(host "backend$1" ss -Htn state established "sport = 80 and dport = $2")" ]
}
one_has() { has 1 "$1" || has 2 "$1" || has 3 "$1"; }
hold() { # NAME PORT: a slow download; its backend is then in $WITH
	local n
	serve client "$1" curl -sS --noproxy '*' --limit-rate 40k --local-port "$2" -o /dev/null "http://$RIG_VIP4/file"
	need "a download begins" eventually 10 one_has "$2"
	for n in 1 2 3; do
		! has $n "$2" || WITH=10.3.0.$n
	done
}
is_remembered() { # PORT BACKEND
	[ "$(traced "$1" '.continuity.remembered.backend' --under-way)" = "$2" ]
}
is_proven() { [ "$(traced "$1" '.continuity.remembered.proven' --under-way)" = true ]; }

BEFORE=$(traced $HELD .backend.address)
hold held $HELD
OLD=$WITH
expect_equal "a download goes where trace said" "$BEFORE" "$OLD"
for NEW in $(seq 43002 43200); do # another port of the client's that goes there
	[ "$(traced "$NEW" .backend.address)" = "$OLD" ] && break
done
need "the backend's weight becomes 0" hp weight web "$OLD" 0
expect "the flow is remembered with its backend" eventually 5 is_remembered $HELD "$OLD"
expect_equal "which trace says to be where it goes" "$OLD 0" \
	"$(traced $HELD '"\(.backend.address) \(.backend.weight)"' --under-way)"
expect_equal "and why" "moving under_way true remembered" \
	"$(traced $HELD '.continuity | "\(.state) \(.packet) \(.asked) \(.rule)"' --under-way)"
expect_equal "it was met under way, and its backend is who the ring named before" "false true $OLD" \
	"$(traced $HELD '.continuity | "\(.remembered.opened) \(.remembered.lives) \(.before)"' --under-way)"
expect_equal "it is not silent" true "$(traced $HELD '.continuity.remembered.silent_s < 5' --under-way)"
expect "and is proven in time" eventually 10 is_proven $HELD
expect_text "people read it" "the flow is remembered with $OLD for " hp trace 192.168.1.1:$HELD "$RIG_VIP4:80" --under-way
expect_text "with the rule" "a remembered flow goes to its backend: $OLD; such a packet would refresh what is remembered" \
	hp trace 192.168.1.1:$HELD "$RIG_VIP4:80" --under-way
expect_equal "a SYN of the living flow follows it" "$OLD remembered" \
	"$(traced $HELD '"\(.backend.address) \(.continuity.rule)"')"

OTHER=$(traced "$NEW" .backend.address)
expect_equal "a fresh flow's SYN says another backend" "opening remember null" \
	"$(traced "$NEW" '.continuity | "\(.rule) \(.writes) \(.remembered)"')"
expect "which is another" [ "$OTHER" != "$OLD" ]
expect_equal "that the ring names, and did not before" "$OTHER $OLD" "$(traced "$NEW" '.continuity | "\(.now) \(.before)"')"
expect_equal "without its SYN it would be from before" "$OLD before remember" \
	"$(traced "$NEW" '"\(.backend.address) \(.continuity.rule) \(.continuity.writes)"' --under-way)"
hold new "$NEW"
expect_equal "a real one goes there" "$OTHER" "$WITH"
expect "and is remembered as it was opened" is_remembered "$NEW" "$OTHER"
expect_equal "as it was opened" true "$(traced "$NEW" .continuity.remembered.opened --under-way)"

# ---- the change back ---------------------------------------------------------------------------------------------
need "the change back" hp reset web
expect_equal "the ring names the first backend again" "$OLD $OLD" \
	"$(traced "$NEW" '.continuity | "\(.now) \(.before)"' --under-way)"
expect_equal "the new flow stays with the other" "$OTHER remembered true" \
	"$(traced "$NEW" '"\(.backend.address) \(.continuity.rule) \(.continuity.asks)"' --under-way)"
expect_text "as the tables are asked where the rings agree" "flows from an earlier change may be remembered" \
	hp trace "192.168.1.1:$NEW" "$RIG_VIP4:80" --under-way
expect_equal "the held one with the first" "$OLD" "$(traced $HELD .backend.address --under-way)"
expect "both go on" serves held
expect "both go on" serves new

# ---- out of the file ---------------------------------------------------------------------------------------------
sed -i "0,/address: \"$OLD\"/{/address: \"$OLD\"/d}" "$RIG_DIR/halfproxy.yaml"
need "the backend is taken out of the file" hp reload
expect_equal "trace names it still, without a weight" "$OLD null remembered" \
	"$(traced $HELD '"\(.backend.address) \(.backend.weight) \(.continuity.rule)"' --under-way)"
expect_equal "also as who the ring named before" "$OLD" "$(traced $HELD .continuity.before --under-way)"
expect "the flow goes on" serves held
expect "its backend has it" has "${OLD##*.}" $HELD
stop held
stop new

# ---- a second chance ---------------------------------------------------------------------------------------------
chance() { hp trace --json 192.168.1.1:44000 10.2.0.2:80 "${@:2}" | jq -r "$1"; }
WAS=$(chance .backend.address)
need "a backend by gue gets no new flows" hp weight tunnel "$WAS" 0
NOW=$(chance .backend.address)
expect "which go to the other" [ "$WAS" != "$NOW" ]
expect_equal "what is under way goes to the first, and names the other" "$WAS $NOW" \
	"$(chance '"\(.backend.address) \(.continuity.alternate)"' --under-way)"
expect_text "as its header does" "GUE, protocol 4, second chance at $NOW" hp trace 192.168.1.1:44000 10.2.0.2:80 --under-way
expect_text "which people read, too" "gue names $NOW for a second chance" hp trace 192.168.1.1:44000 10.2.0.2:80 --under-way
expect_text "and is counted as outer header" "52 of outer header" hp trace 192.168.1.1:44000 10.2.0.2:80 --under-way
expect_equal "a SYN names none" null "$(chance .continuity.alternate)"
finish

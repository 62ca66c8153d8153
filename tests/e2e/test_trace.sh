#!/bin/bash
# halfproxy trace says what becomes of a packet, and a real packet then goes that way.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

traced() { hp trace --json "192.168.1.1:$1" "$RIG_VIP4:80" | jq -r "$2"; }
packets_all() { hp status --json | jq '[.services[].packets] | add'; }

rig_up l2 3 || exit 1
for n in 1 2 3; do
	backend_up $n "$RIG_VIP4" l2 >/dev/null || exit 1
	web_up $n "$RIG_VIP4" || exit 1
done
{
	service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 10.3.0.2 10.3.0.3
	service dns "$RIG_VIP4" udp any l2 10.3.0.2
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
finish

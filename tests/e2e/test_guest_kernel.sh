#!/bin/bash
# Everything loads and works on the oldest kernel that we claim, Debian 12's stock one: the director and its tracing twin,
# the way of probes, the backend's tunnels and MSS filter; l2, ipip and gue, IPv4 and IPv6; and outlives its daemon there as
# well.
# suite: 60 s heavy
set -u
cd "$(dirname "$0")/../.." || exit 1
[ -n "${GUEST-}" ] || exec rig/guest "$0" halfproxyd halfproxy halfproxy-backend marked ip ethtool curl nginx jq \
	tcpdump tc
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/marked.sh

RIG_FILE_BYTES=300000
LONG="X-Long: $(printf %07000d 0)"

traced() { hp trace --json "$1:40000" "$2" | jq -r "$3"; }
links() { host director ip -o link show | grep -c 'prog/xdp'; }
unload() { host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state"; }

# What a client gets while the services are forwarded by $1.
works() {
	expect_text "$1: status knows the backend as ready" "ready" hp status
	expect_equal "$1: the tracing twin loads, and says what becomes of a packet" "FORWARDED 10.3.0.1" \
		"$(traced 192.168.1.1 "$RIG_VIP4:80" '.verdict + " " + .backend.address')"
	expect_equal "$1: of an IPv6 packet too" "FORWARDED fd00:3::1" \
		"$(traced '[fd00:1::1]' "[$RIG_VIP6]:80" '.verdict + " " + .backend.address')"
	expect_text "$1: a page comes from the VIP" "hello from backend1" web_get "$RIG_VIP4" ""
	expect_text "$1: by IPv6 too" "hello from backend1" web_get "$RIG_VIP6" ""
	web_get "$RIG_VIP4" file >"$RIG_DIR/got"
	expect "$1: a file is complete" cmp "$RIG_DIR/got" "$RIG_DIR/file"
	expect_text "$1: a request of full segments is answered" "hello from backend1" web_get "$RIG_VIP4" "" -H "$LONG"
	expect_text "$1: by IPv6 too" "hello from backend1" web_get "$RIG_VIP6" "" -H "$LONG"
	expect_text "$1: a marked socket of the director reaches it" "taken by backend1" marked "$RIG_VIP4" 1 100000
	expect_text "$1: by IPv6 too" "taken by backend1" marked "$RIG_VIP6" 1 100000
}

# services FORWARD
services() {
	{
		service web "$RIG_VIP4" tcp 80 "$1" 10.3.0.1
		service web6 "$RIG_VIP6" tcp 80 "$1" fd00:3::1
	} | director_file
}

echo "on Linux $GUEST"
rig_up l2 || exit 1
need "the backend takes the VIP" backend_up 1 "$RIG_VIP4" l2
need "and the IPv6 one" backend_up 1 "$RIG_VIP6" l2
need "nginx runs for IPv4" web_up 1 "$RIG_VIP4"
sed -i "s/listen 10/listen [$RIG_VIP6]:80; &/; s/server {/& location = \/upload { return 200 \"taken by backend1\"; }/" \
	"$RIG_DIR/web1/nginx.conf"
stop nginx1
serve backend1 nginx1 nginx -c "$RIG_DIR/web1/nginx.conf" -e "$RIG_DIR/web1/error.log"
services l2
need "halfproxyd loads its program and attaches it" director_up
expect_not "native, as veth can" grep -q generic <(hp status)
need "the backends are ready" eventually 10 all_ready
works l2
host client ping -c 1 -W 1 "$RIG_VIP4" >/dev/null
expect "ping of the VIP is answered" host client ping -c 1 -W 2 "$RIG_VIP4"
expect "of the IPv6 one too" host client ping -c 1 -W 2 "$RIG_VIP6"

PROGRAMS=$(links)
stop halfproxyd KILL
expect_text "killed, it leaves traffic alone" "hello from backend1" web_get "$RIG_VIP4" ""
need "the next one starts" director_up
expect_equal "and adopts the links" "$PROGRAMS" "$(links)"
expect "with the backends ready" eventually 10 all_ready

need "the backend opens the IPv4 tunnel" backend_up 1 "$RIG_VIP4" ipip 10.3.0.10
need "and the IPv6 one" backend_up 1 "$RIG_VIP6" ipip fd00:3::a
services ipip
need "the configuration changes to ipip" hp reload
need "the backends are ready again" eventually 10 all_ready
capture client eth0 client "tcp[tcpflags] & tcp-syn != 0 or (ip6 and tcp)"
works ipip
captures_end
expect_text "the MSS filter leaves room for the longest outer header, IPv6's" "mss 1420" \
	packets client "src host $RIG_VIP4 and tcp[tcpflags] & tcp-syn != 0"
expect_text "in an IPv6 VIP's segments too" "mss 1400" packets client "src host $RIG_VIP6"
need "the backend takes GUE for its VIPs as well" backend_up 1 "$RIG_VIP4" gue 10.3.0.10
need "and for the IPv6 one" backend_up 1 "$RIG_VIP6" gue fd00:3::a
services gue
need "the configuration changes to gue" hp reload
need "the backends are ready again" eventually 10 all_ready
works gue
expect "the backend finds each of its items right" host backend1 "$BUILD/halfproxy-backend" status

stop halfproxyd TERM
expect "unload succeeds" unload
expect_not "no pin is left" test -e "$RIG_PINS"
expect_equal "no program either" 0 "$(links)"
expect_equal "and no rule, filter or qdisc for probes" "" "$(host director sh -c 'ip rule show prio 48; ip -6 rule show prio 48
	tc filter show dev eth0 egress; tc qdisc show dev eth0 | grep clsact')"
expect "the backend is put back" host backend1 "$BUILD/halfproxy-backend" down
expect_equal "its program is gone as well" "" "$(host backend1 ip -o link show dev eth0 | grep -o 'prog/xdp')"
finish

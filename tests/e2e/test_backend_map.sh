#!/bin/bash
# halfproxy-backend up --map: servers that listen on another port than clients ask answer them from the port that was asked,
# by l2, ipip and gue, TCP and UDP, IPv4 and IPv6; probes by the VIP find them, and nothing runs for it.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/backend.sh
. rig/servers.sh

RIG_FILE_BYTES=300000
LONG="X-Long: $(printf %07000d 0)"
HEALTH='    health: {type: http, path: /, interval: 300ms, timeout: 300ms, rise: 1, fall: 2}'

# services FORWARD: web on 80, names on 53, echo on 7, for both families; web is asked for its health.
services() {
	{
		service web "$RIG_VIP4" tcp 80 "$1" 10.3.0.1
		echo "$HEALTH"
		service web6 "$RIG_VIP6" tcp 80 "$1" fd00:3::1
		echo "$HEALTH"
		service dns "$RIG_VIP4" udp 53 "$1" 10.3.0.1
		service dns6 "$RIG_VIP6" udp 53 "$1" fd00:3::1
		service echo "$RIG_VIP4" udp 7 "$1" 10.3.0.1
	} | director_file
}

# web ADDRESS...: nginx listens there, in place of the one that runs.
web() {
	stop nginx1
	sed -i -E "s/(listen [^;]*; )+/$(printf 'listen %s; ' "$@")/" "$RIG_DIR/web1/nginx.conf"
	serve backend1 nginx1 nginx -c "$RIG_DIR/web1/nginx.conf" -e "$RIG_DIR/web1/error.log"
	eventually 20 listening 8080
}
listening() { host backend1 sh -c "ss -Hltn 'sport = $1' | grep -q ."; }

names() { # dnsmasq on both VIPs, port 5353
	serve backend1 dnsmasq1 dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root \
		--pid-file="" --bind-interfaces --listen-address="$RIG_VIP4" --listen-address="$RIG_VIP6" --port=5353 \
		--local-service=net --log-facility=- --txt-record="www.$RIG_DNS_DOMAIN,hello from backend1" \
		--txt-record="long.$RIG_DNS_DOMAIN,$(printf '%0200d' 1)"
	eventually 20 host backend1 sh -c "ss -Hlun 'sport = 5353' | grep -q '$RIG_VIP6'"
}
health() { hp status --json | jq -r '[.services[] | select(.name | test("web")).backends[].health.state] | unique | join(",")'; }
is_healthy() { [ "$(health)" = up ]; }
is_failing() { [ "$(health)" = failing ]; }
refuses_probes() { hp status | grep -q "nothing listens on $RIG_VIP4:80 (RST from the VIP)"; }
nothing() { ! web_get "$1" "" --max-time 1 >/dev/null 2>&1; }
echoed() { host client sh -c "printf '%s' '$1' | socat -t 2 - UDP4:$RIG_VIP4:7"; }

# What a client gets while packets come by $1.
works() {
	local vip
	for vip in "$RIG_VIP4" "$RIG_VIP6"; do
		expect_text "$1: a page comes from $vip" "hello from backend1" web_get "$vip" ""
		web_get "$vip" file >"$RIG_DIR/got"
		expect "$1: a file is complete" cmp "$RIG_DIR/got" "$RIG_DIR/file"
		expect_text "$1: a request of full segments is answered" taken web_get "$vip" upload -H "$LONG"
		expect_equal "$1: a name is told" '"hello from backend1"' "$(dns_get "$vip" www)"
	done
	expect_equal "$1: a datagram comes back to a client that takes no other port's" ping "$(echoed ping)"
	expect "$1: probes by the VIP find the servers" eventually 20 is_healthy
}

rig_up l2 || exit 1
remember
MAPS=(--map tcp/80:8080 udp/53:5353 udp/7:7007)
need "up" agent up --vip "$RIG_VIP4" "$RIG_VIP6" --interface eth0 "${MAPS[@]}"
expect "status finds all right" agent status
expect_text "and says which server is not there yet" "tcp/80:8080: no server listens yet for $RIG_VIP4" agent status
need "nginx runs" web_up 1 "$RIG_VIP4"
sed -i 's/ root / location = \/upload { return 200 taken; } root /' "$RIG_DIR/web1/nginx.conf"
need "nginx on the wildcard" web "[::]:8080 ipv6only=off"
need "dnsmasq on the VIPs" names
serve backend1 echo socat "UDP4-RECVFROM:7007,bind=$RIG_VIP4,fork" SYSTEM:cat
services l2
need "halfproxyd comes up" director_up
need "the backends are ready" eventually 20 all_ready
capture client eth0 client "tcp or udp"
works l2
captures_end
expect_equal "no packet of a server's port was seen by the client" "" "$(packets client "port 8080 or port 5353 or port 7007")"
expect_equal "and none malformed" "" "$(malformed client "tcp or udp")"
expect_equal "no checksum was wrong" "" "$(host client nstat -az TcpInCsumErrors UdpInCsumErrors Udp6InCsumErrors |
	awk '$2 > 0')"
expect_text "status says that the servers listen" "tcp/80:8080: its server listens" agent status
expect "and counts" [ "$(counted "mapped port whose server was found")" -gt 10 ]

# ---- servers come and go ---------------------------------------------------------------------------------------------
stop nginx1
expect "without its server probes fail" eventually 20 is_failing
expect "as the port refuses" eventually 20 refuses_probes
expect "and the doctor names it" grep -q "MAP_UNSERVED" <(agent doctor --json)
need "a server on the VIPs themselves" web "$RIG_VIP4:8080" "[$RIG_VIP6]:8080"
expect "is found by itself" eventually 20 is_healthy
works "l2, on the VIPs"
need "one of several workers that share the port" web "[::]:8080 ipv6only=off reuseport"
expect "is found too" eventually 20 is_healthy
works "l2, shared"
host backend1 sh -c 'echo 2 >/proc/sys/net/ipv4/tcp_syncookies'
works "l2, with SYN cookies"
host backend1 sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_syncookies'

# ---- tunnels ---------------------------------------------------------------------------------------------------------
for method in ipip gue; do
	need "up by $method, the ports as they were" agent up --vip "$RIG_VIP4" "$RIG_VIP6" --forward $method \
		--from 10.3.0.10 fd00:3::a
	services $method
	need "the configuration changes to $method" hp reload
	need "the backends are ready" eventually 20 all_ready
	works $method
	expect "$method: status finds all right" agent status
done

# ---- the set changes -------------------------------------------------------------------------------------------------
need "up with other ports" agent up --map tcp/80:8081
expect "takes them in place of those before: the old server is not asked" eventually 20 is_failing
expect "by clients either" nothing "$RIG_VIP4"
expect_equal "nor the name server" "" "$(dns_get "$RIG_VIP4" www | grep hello)"
expect "status finds all right" agent status
need "up without ports" agent up --map none
expect_not "status shows none" grep -q 'map ' <(agent status)
expect_equal "and no program for them is left" "" "$(host backend1 tc filter show dev eth0 | grep -o 'hp_find\|hp_answer')"
need "up with the first again" agent up "${MAPS[@]}"
works "gue, again"
expect_text "what is there stays when up is said again" "" agent up
need "down of one VIP" agent down --vip "$RIG_VIP6"
expect_text "leaves the other its ports" "hello from backend1" web_get "$RIG_VIP4" ""
stop halfproxyd TERM
need "down" agent down
same "takes all of it back"

# ---- what is wrong ---------------------------------------------------------------------------------------------------
need "up by l2 again" agent up --vip "$RIG_VIP4" --interface eth0 "${MAPS[@]}"
expect_not "no XDP program is needed" grep -q xdp <(host backend1 ip link show dev eth0)
broken() { # SENTENCE COMMAND...
	"${@:2}" >/dev/null
	expect_text "$1 is told" "WRONG  map" agent status
	expect "... and by the doctor" grep -q MAP_BROKEN <(agent doctor --json)
	agent up >/dev/null
	expect "... and mended by up" agent status
}
filter_off() { host backend1 tc filter del dev eth0 "$1"; }
link_off() { host backend1 bpftool link detach pinned "$(find /sys/fs/bpf/halfproxy-backend -name lookup-link)"; }
port_off() { bpftool map delete pinned "$(find /sys/fs/bpf/halfproxy-backend -name ports)" key 6 0 0 80; }
broken "a filter that was taken off" filter_off ingress
broken "that of answers" filter_off egress
broken "a program that was detached" link_off
broken "a port that the programs do not know" port_off
need "down" agent down
same "down takes all of it back"
finish

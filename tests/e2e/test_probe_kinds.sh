#!/bin/bash
# Every kind of probe, of real servers through a router: what is good, and what is not and why. IPv4 and IPv6.
#
# The client asks; the router leads the VIPs straight to backend1 and refuses what it is told to. How probes find their way
# through a director is tests/e2e/test_health.sh's.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=rig/rig.sh
. rig/rig.sh
# shellcheck source=rig/servers.sh
. rig/servers.sh
# shellcheck source=rig/tls.sh
. rig/tls.sh
# shellcheck source=rig/expect.sh
. rig/expect.sh

ask() { host client "$BUILD/ask" "$@"; }

# answers "what should be" "ANSWER" [ASK-OPTION...] ADDRESS PORT HEALTH
answers() { expect_equal "$1" "$2" "$(ask "${@:3}" 2>&1)"; }

rig_up ipip 1
for vip in $RIG_VIP4/32 $RIG_VIP6/128; do
	host backend1 ip addr add "$vip" dev lo
done
host router ip route add $RIG_VIP4 via 10.3.0.1
host router ip route add $RIG_VIP6 via fd00:3::1
for name in router backend1; do # errors come in no hurry by default
	host $name sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit'
done

# ---- servers -------------------------------------------------------------------------------------------------------------

web_https() { # the sites of nginx: PORT NAME OPTIONS
	local port=$1 name=$2 vip
	for vip in $RIG_VIP4 "[$RIG_VIP6]"; do
		printf 'server { listen %s:%s ssl; server_name _; root %s; ssl_certificate %s.crt; ssl_certificate_key %s.key; %s }\n' \
			"$vip" "$port" "$RIG_DIR/www" "$RIG_DIR/tls/$name" "$RIG_DIR/tls/$name" "${*:3}"
	done
}

tls_ca ca
tls_ca other
tls_certificate good ca "DNS:a.example,IP:$RIG_VIP4,IP:$RIG_VIP6"
tls_certificate expired ca DNS:a.example 20200101000000Z 20200102000000Z
tls_certificate early ca DNS:a.example 20480101000000Z
tls_certificate many ca "$(printf 'DNS:site%s.example,' {1..20})DNS:last.example"
tls_certificate client other DNS:director.example
tls_openssl req -x509 -new -key good.key -subj /CN=a.example -addext subjectAltName=DNS:a.example -days 3650 -out self.crt
cp "$RIG_DIR/tls/good.key" "$RIG_DIR/tls/self.key"
need "certificates are made" test -s "$RIG_DIR/tls/client.crt" -a -s "$RIG_DIR/tls/early.crt" -a -s "$RIG_DIR/tls/self.crt"

mkdir -p "$RIG_DIR/www" "$RIG_DIR/tmp"
echo "hello from backend1" >"$RIG_DIR/www/index.html"
cat >"$RIG_DIR/nginx.conf" <<END
daemon off; user root; worker_processes 1; pid $RIG_DIR/nginx-pid; error_log $RIG_DIR/error.log;
events { worker_connections 512; }
http {
    access_log $RIG_DIR/access.log;
    client_body_temp_path $RIG_DIR/tmp; proxy_temp_path $RIG_DIR/tmp; fastcgi_temp_path $RIG_DIR/tmp;
    uwsgi_temp_path $RIG_DIR/tmp; scgi_temp_path $RIG_DIR/tmp;
    server { listen $RIG_VIP4:80; listen [$RIG_VIP6]:80; root $RIG_DIR/www;
        location /host { return 200 "asked for \$http_host by \$http_user_agent"; }
        location /busy { return 503; } }
    $(web_https 443 good)
    $(web_https 444 expired)
    $(web_https 445 early)
    $(web_https 446 self)
    $(web_https 449 many)
    $(web_https 447 good "ssl_client_certificate $RIG_DIR/tls/other.crt; ssl_verify_client on;")
}
END
serve backend1 nginx nginx -c "$RIG_DIR/nginx.conf" -e "$RIG_DIR/error.log"
serve backend1 s_server openssl s_server -accept "$RIG_VIP4:448" -cert "$RIG_DIR/tls/good.crt" -key "$RIG_DIR/tls/good.key" \
	-CAfile "$RIG_DIR/tls/other.crt" -Verify 1 -verify_return_error -www -quiet
serve backend1 dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file="" \
	--bind-interfaces --listen-address="$RIG_VIP4,$RIG_VIP6" --local-service=net --log-facility=- \
	--host-record="www.$RIG_DNS_DOMAIN,192.0.2.7,2001:db8::7" --txt-record="txt.$RIG_DNS_DOMAIN,hello"
serve backend1 pong python3 -c 'import select, socket, sys
def bound(family, *at):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind(at)
    return s
all = [bound(socket.AF_INET, "0.0.0.0", 7000), bound(socket.AF_INET6, "::", 7001), bound(socket.AF_INET, sys.argv[1], 7002)]
while True:
    for s in select.select(all, [], [])[0]:
        s.sendto(b"pong", s.recvfrom(2000)[1])' "$RIG_VIP4"
need "nginx serves" eventually 5 host backend1 curl -sf -o /dev/null --noproxy '*' "http://$RIG_VIP4/"
need "dnsmasq and s_server listen" eventually 5 host backend1 sh -c \
	'ss -Huln "sport = 53" | grep -q . && ss -Htln "sport = 448" | grep -q . && ss -Huln "sport = 7002" | grep -q .'

# ---- good, and wrong -----------------------------------------------------------------------------------------------------

for vip in $RIG_VIP4 $RIG_VIP6; do
	answers "tcp $vip" good "$vip" 80 '{type: tcp}'
	answers "tcp $vip, a closed port" "refused: connection refused (RST)" "$vip" 81 '{type: tcp}'
	answers "icmp $vip" good "$vip" 0 '{type: icmp}'
	answers "icmp $vip with a mark" good --mark 0x48000001 "$vip" 0 '{type: icmp}'
	answers "http $vip" good "$vip" 80 '{type: http, expect: hello from}'
	answers "http $vip, a bad code" "wrong: HTTP 503 for /busy, not 200-399" "$vip" 80 '{type: http, path: /busy}'
	answers "http $vip, the code that is wanted" good "$vip" 80 '{type: http, path: /busy, status: 503}'
	answers "http $vip, the Host header" good "$vip" 80 '{type: http, path: /host, host: a.example, expect: for a.example by half}'
	answers "http $vip, a closed port" "refused: connection refused (RST)" "$vip" 81 '{type: http}'
	answers "https $vip" good "$vip" 443 "{type: https, host: a.example, ca: $RIG_DIR/tls/ca.crt, expect: hello}"
	answers "https $vip, an address in the certificate" good "$vip" 443 "{type: https, ca: $RIG_DIR/tls/ca.crt}"
	answers "dns $vip" good "$vip" 53 "{type: dns, name: www.$RIG_DNS_DOMAIN, expect: 192.0.2.7}"
	answers "dns $vip, IPv6 in the answer" good "$vip" 53 \
		"{type: dns, name: WWW.$RIG_DNS_DOMAIN, record: AAAA, expect: '2001:db8::7'}"
	answers "dns $vip, another record" good "$vip" 53 "{type: dns, name: txt.$RIG_DNS_DOMAIN, record: TXT}"
	answers "dns $vip, another address" "wrong: 192.0.2.8 is not among the addresses of www.$RIG_DNS_DOMAIN" "$vip" 53 \
		"{type: dns, name: www.$RIG_DNS_DOMAIN, expect: 192.0.2.8}"
	answers "dns $vip, a name that it refuses" "wrong: DNS REFUSED for www.example" "$vip" 53 "{type: dns, name: www.example}"
	answers "udp $vip, a closed port" \
		"refused from $vip: ICMP$([[ $vip != *:* ]] || echo v6) port unreachable from $vip" "$vip" 82 '{type: udp, send: ping}'
done
answers "udp" good $RIG_VIP4 7002 '{type: udp, send: ping, expect: pong}'

# ---- certificates --------------------------------------------------------------------------------------------------------

certificate() { # "what" "ANSWER" PORT MORE-OPTIONS
	answers "$1" "$2" $RIG_VIP4 "$3" "{type: https$4}"
}
ca=", ca: $RIG_DIR/tls/ca.crt"
name=", host: a.example"
own=", certificate: $RIG_DIR/tls/client.crt, key: $RIG_DIR/tls/client.key"

certificate "one that expired" "certificate: certificate expired 2020-01-02" 444 "$ca$name"
certificate "one that is not valid yet" "certificate: certificate is not valid before 2048-01-01" 445 "$ca$name"
certificate "another name" "certificate: certificate is for a.example, $RIG_VIP4, $RIG_VIP6, not b.example" 443 "$ca, host: b.example"
certificate "another name than many" \
	"certificate: certificate is for $(printf 'site%d.example, ' {1..8})..., not b.example" 449 "$ca, host: b.example"
certificate "one of many names" good 449 "$ca, host: site20.example"
certificate "a name that is asked by address" "certificate: certificate is for a.example, not $RIG_VIP4" 446 \
	", ca: $RIG_DIR/tls/self.crt"
certificate "one that signed itself" "certificate: certificate is self-signed and not trusted" 446 "$ca$name"
certificate "which may be trusted" good 446 ", ca: $RIG_DIR/tls/self.crt$name"
certificate "signed by another" "certificate: certificate is signed by none that is trusted" 443 ", ca: $RIG_DIR/tls/other.crt$name"
certificate "by none of the system's" "certificate: certificate is signed by none that is trusted" 443 "$name"
answers "what one check trusts is nothing to the next" \
	"certificate: certificate is self-signed and not trusted
good
certificate: certificate is self-signed and not trusted
good" $RIG_VIP4 446 "{type: https$name}" "{type: https, ca: $RIG_DIR/tls/self.crt$name}" "{type: https$name}" \
	"{type: https, ca: $RIG_DIR/tls/self.crt$name}"
certificate "whatever it is, if told so" good 444 ", verify: false"
certificate "nginx wants one and gets none" "wrong: HTTP 400 for /, not 200-399" 447 "$ca$name"
certificate "nginx wants one and gets it" good 447 "$ca$name$own"
certificate "a server that ends for want of one" \
	"certificate: the server wants a certificate to be shown to it: certificate required" 448 "$ca$name"
certificate "and that gets one" good 448 "$ca$name$own"
certificate "and another than it trusts" \
	"certificate: the server refuses the certificate shown to it: unknown CA" 448 \
	"$ca$name, certificate: $RIG_DIR/tls/good.crt, key: $RIG_DIR/tls/good.key"
certificate "a file that is not there" "local: ca /nowhere/ca.crt: No such file or directory" 443 ", ca: /nowhere/ca.crt$name"
echo nothing >"$RIG_DIR/tls/empty.crt"
certificate "a file that holds none" "local: $RIG_DIR/tls/empty.crt holds no certificate that can be read (PEM)" 443 \
	", ca: $RIG_DIR/tls/empty.crt$name"
openssl ec -aes128 -passout pass:secret -in "$RIG_DIR/tls/client.key" -out "$RIG_DIR/tls/locked.key" 2>/dev/null
expect_text "a key that needs a pass phrase is refused, and none asked for" "local: " \
	ask $RIG_VIP4 447 "{type: https$ca$name, certificate: $RIG_DIR/tls/client.crt, key: $RIG_DIR/tls/locked.key}"

# ---- answers from elsewhere, and none ------------------------------------------------------------------------------------

answers "udp: a socket bound to no address answers from the backend's own" \
	"stranger from 10.3.0.1: the answer came from 10.3.0.1 port 7000, not from $RIG_VIP4 port 7000" \
	$RIG_VIP4 7000 '{type: udp, send: ping, timeout: 500ms}'
answers "udp: the same of IPv6" \
	"stranger from fd00:3::1: the answer came from fd00:3::1 port 7001, not from $RIG_VIP6 port 7001" \
	$RIG_VIP6 7001 '{type: udp, send: ping, timeout: 500ms}'

# ports N to N+1 of both protocols, and icmp to one address, are refused or dropped by the router
host router nft -f - <<END
table inet refusing {
	chain net_un { meta nfproto ipv4 reject with icmp type net-unreachable; reject with icmpv6 type no-route; }
	chain host_un { meta nfproto ipv4 reject with icmp type host-unreachable; reject with icmpv6 type addr-unreachable; }
	chain prot_un { meta nfproto ipv4 reject with icmp type prot-unreachable; drop; }
	chain port_un { meta nfproto ipv4 reject with icmp type port-unreachable; reject with icmpv6 type port-unreachable; }
	chain admin_un { meta nfproto ipv4 reject with icmp type admin-prohibited; reject with icmpv6 type admin-prohibited; }
	chain net_pro { meta nfproto ipv4 reject with icmp type net-prohibited; drop; }
	chain rst { reject with tcp reset; }
	chain forward {
		type filter hook forward priority 0
		meta l4proto { tcp, udp } th dport vmap { 9000 : drop, 9001 : goto net_un, 9002 : goto host_un, 9003 : goto prot_un,
			9004 : goto port_un, 9005 : goto admin_un, 9006 : goto net_pro, 9007 : goto rst }
		ip6 daddr fd00:3::77 reject with icmpv6 type admin-prohibited
		ip daddr 10.3.0.77 reject with icmp type admin-prohibited
		ip daddr 10.3.0.78 drop
	}
}
END

# refusal PORT ANSWER "WORDS OF ICMP" "WORDS OF ICMPv6"
refusal() {
	local health
	for health in '{type: tcp}' '{type: http}' '{type: https}' '{type: udp, send: ping}' '{type: dns, name: a.test}'; do
		answers "$health: ICMP $3" "$2 from 192.168.1.254: ICMP $3 from 192.168.1.254" $RIG_VIP4 "$1" "$health"
		[ -z "${4-}" ] || answers "$health: ICMPv6 $4" "$2 from fd00:1::fe: ICMPv6 $4 from fd00:1::fe" $RIG_VIP6 "$1" "$health"
	done
}
refusal 9001 no_host "network unreachable" "no route"
refusal 9002 no_host "host unreachable" "address unreachable"
refusal 9003 no_protocol "protocol unreachable"
refusal 9004 refused "port unreachable" "port unreachable"
refusal 9005 prohibited "administratively prohibited" "administratively prohibited"
answers "tcp: a net that is prohibited" "prohibited from 192.168.1.254: ICMP administratively prohibited from 192.168.1.254" \
	$RIG_VIP4 9006 '{type: tcp}'
answers "http: a reset from between" "refused: connection refused (RST)" $RIG_VIP6 9007 '{type: http}'
for health in 'type: tcp' 'type: http' 'type: https' 'type: udp, send: ping' 'type: dns, name: a.test'; do
	answers "$health: dropped" "silent: no answer within 100 ms" $RIG_VIP4 9000 "{$health, timeout: 100ms}"
done
answers "icmp: dropped" "silent: no answer within 100 ms" 10.3.0.78 0 '{type: icmp, timeout: 100ms}'
answers "icmp: refused" "prohibited from 192.168.1.254: ICMP administratively prohibited from 192.168.1.254" 10.3.0.77 0 '{type: icmp}'
answers "icmp: refused, IPv6" "prohibited from fd00:1::fe: ICMPv6 administratively prohibited from fd00:1::fe" \
	fd00:3::77 0 '{type: icmp}'

# A backend that has not the address and forwards sends it back.
host router ip route add 10.9.9.9 via 10.3.0.1
host backend1 sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
for health in '{type: tcp}' '{type: icmp}' '{type: udp, send: ping}'; do
	expect_text "$health: a loop" "no_host from 10.3.0.1" ask 10.9.9.9 80 "$health"
	expect_text "$health: a loop, in words" ": ICMP time exceeded from 10.3.0.1" ask 10.9.9.9 80 "$health"
done

host router ip link set backend0 mtu 600
answers "udp: larger than the way takes" "too_big from 192.168.1.254: ICMP fragmentation needed from 192.168.1.254" \
	$RIG_VIP4 7002 "{type: udp, send: 'hex:$(printf '00%.0s' {1..1024})'}"

# ---- this host -----------------------------------------------------------------------------------------------------------

host client ip route del default
answers "no route" "local: connecting: Network is unreachable" $RIG_VIP4 80 '{type: tcp}'
answers "no route for http" "local: Network is unreachable" $RIG_VIP4 80 '{type: http}'

finish

#!/bin/bash
# QUIC through changes of the client's address, with a real client and real servers: with hash: quic-cid a connection stays
# with its server, whose ID is in its connection ID, and with hash: flow it gets lost. What becomes of it when the backends
# change is tests/packet/test_packet_quic.c's.
# suite: 25 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/tls.sh

RIG_FILE_BYTES=3000000
ROUNDS=4

# quic_up N: a server on both VIPs, whose connection IDs bear its ID.
quic_up() {
	local vip
	mkdir -p "$RIG_DIR/www"
	[ -e "$RIG_DIR/www/file" ] || head -c "$RIG_FILE_BYTES" /dev/urandom >"$RIG_DIR/www/file"
	for vip in $RIG_VIP4 $RIG_VIP6; do
		serve "backend$1" "quic$1-${vip//[:.]/-}" env LD_PRELOAD="$BUILD/quic_id.so" QUIC_ID="0a0$1" gtlsserver -q \
			-d "$RIG_DIR/www" "$vip" 443 "$RIG_DIR/tls/web.key" "$RIG_DIR/tls/web.crt"
	done
	eventually 5 host "backend$1" ss -Huln "sport = 443"
}

services() { # FORWARD HASH BACKEND...: each with its ID
	local backend list4='' list6='' id=''
	for backend in "${@:3}"; do
		[ "$2" != quic-cid ] || id=", quic_id: 0a0$backend"
		list4+="{address: 10.3.0.$backend$id}, "
		list6+="{address: \"fd00:3::$backend\"$id}, "
	done
	printf '  - {name: %s, vip: "%s", protocol: udp, port: 443, forward: %s, hash: %s, backends: [%s]}\n' \
		four $RIG_VIP4 "$1" "$2" "${list4%, }" six $RIG_VIP6 "$1" "$2" "${list6%, }" | director_file
}

# One download; with an option the client changes its address on the way.
download() { # VIP NAME [OPTION...]
	rm -rf "$RIG_DIR/got-$2"
	mkdir "$RIG_DIR/got-$2"
	host client timeout 28 gtlsclient -q --download="$RIG_DIR/got-$2" --exit-on-all-streams-close --timeout=6s "${@:3}" "$1" 443 \
		"https://$(url_host "$1")/file" >"$RIG_DIR/client-$2.log" 2>&1
	cmp "$RIG_DIR/got-$2/file" "$RIG_DIR/www/file" || { tail -n 5 "$RIG_DIR/client-$2.log"; return 1; }
}

rig_up ipip 2 || exit 1
tls_ca authority && tls_certificate web authority "IP:$RIG_VIP4,IP:$RIG_VIP6" || exit 1
for n in 1 2; do
	need "backend $n is one" host backend$n "$BUILD/halfproxy-backend" up --vip $RIG_VIP4 $RIG_VIP6 --forward ipip \
		--from 10.2.0.10 fd00:2::a --interface eth0
	need "a QUIC server runs on backend $n" quic_up $n
done
host router tc qdisc add dev client0 root tbf rate 24mbit burst 64k latency 100ms
services ipip quic-cid 1 2
need "halfproxyd runs" director_up
need "the backends are ready" eventually 20 all_ready
expect_text "status shows the hash" quic-cid hp status --json
for vip in $RIG_VIP4 $RIG_VIP6; do
	for round in $(seq $ROUNDS); do
		expect "a download from $vip whose client changes its port, $round" download "$vip" one --change-local-addr=200ms
	done
done

# The same with the flow's hash: what shows that the downloads above had a reason to fail.
services ipip flow 1 2
need "the flow decides" hp reload
loses_one() { # every other one is meant to
	local round
	for round in $(seq 20); do download "$RIG_VIP4" flow --change-local-addr=200ms >/dev/null 2>&1 || return 0; done
	return 1
}
expect "by the flow's hash, downloads get lost" loses_one
finish

#!/bin/bash
# Real TCP through all pairs of tunnels to a backend whose driver has no XDP, so that its program runs outside of it.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/backend.sh
. rig/servers.sh

rig_up ipip || exit 1
MAC=$(host backend1 ip -o link show dev eth0 | sed -n 's/.*link\/ether \([0-9a-f:]*\).*/\1/p')
host backend1 ip -6 route del default
host backend1 ip address flush dev eth0
host backend1 ip link add link eth0 name mv0 address "$MAC" type macvlan mode passthru
host backend1 ip link set mv0 up
address backend1 mv0 10.3.0.1/24 fd00:3::1/64
gateway backend1 mv0 10.3.0.254 fd00:3::fe
host backend1 ethtool -K eth0 gro on >/dev/null
host backend1 ethtool -K mv0 gro on >/dev/null
need "up where the driver has no XDP" agent up --vip 10.2.0.1 fd00:2::1 --forward ipip --from 10.2.0.10 fd00:2::a \
	--interface mv0
expect_text "the program runs outside the driver" "(generic)" agent status
head -c 900000 /dev/urandom >"$RIG_DIR/upload"
service web "$RIG_VIP4" tcp 80 ipip 10.3.0.1 | director_file
need "halfproxyd runs" director_up
for row in "10.2.0.1 10.3.0.1" "10.2.0.1 fd00:3::1" "fd00:2::1 10.3.0.1" "fd00:2::1 fd00:3::1"; do
	read -r vip backend <<<"$row"
	service web "$vip" tcp 80 ipip "$backend" | director_file
	need "the director sends $vip to $backend" hp reload
	need "nginx" web_up 1 "$vip"
	need "the backend is ready" eventually 10 all_ready
	expect_equal "TCP to $vip by $backend: a file comes" "$(sha256sum <"$RIG_DIR/file")" \
		"$(web_get "$vip" file | sha256sum)"
	expect_text "and one goes" 405 web_get "$vip" "" --data-binary "@$RIG_DIR/upload" -o /dev/null -w '%{http_code}'
	stop nginx1 TERM
done
expect_equal "not one segment had a wrong checksum" 0 \
	"$(host backend1 nstat -az TcpInCsumErrors | awk '/TcpInCsumErrors/ { print $2 }')"
finish

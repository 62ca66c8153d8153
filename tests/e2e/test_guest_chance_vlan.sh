#!/bin/bash
# The second chance through a VLAN, which this system's kernel may lack: packets that come tagged are passed on tagged, also
# where XDP does not see the tag since the interface took it off.
#
#     router backend0 ------ switch ------ eth0 backendN
#            backend0.7      802.1Q 7      eth0.7  10.3.0.N, fd00:3::N
#
# The director is replaced by one that knows nothing, and that is told that backend 2 was there before backend 1.
# suite: 35 s heavy
set -u
cd "$(dirname "$0")/../.." || exit 1
[ -n "${GUEST-}" ] || exec rig/guest "$0" halfproxyd halfproxy halfproxy-backend ip ethtool curl nginx jq tcpdump cmp head
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

RIG_FILE_BYTES=1500000
PORTION_BYTES=300000 # more than client and server hold between them

# tagged HOST IF GATEWAY4 GATEWAY6 IPV4 IPV6: the interface's addresses go to a VLAN on it
tagged() {
	[ $# = 4 ] || host "$1" ip -6 route del default
	host "$1" ip addr flush dev "$2" scope global
	host "$1" ip link add link "$2" name "$2.7" type vlan id 7
	host "$1" ip link set "$2.7" up
	address "$1" "$2.7" "$3" "$4"
	[ $# = 4 ] || gateway "$1" "$2.7" "$5" "$6"
}

agent() { host "backend$1" "$BUILD/halfproxy-backend" "${@:2}"; }
counted() {
	agent "$1" status --json |
		jq -r --arg text "$2" '[.[] | select(.item == "counter" and (.text | contains($text))).text][0]' | cut -d ' ' -f 1
}
unload() { host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state"; }
ended() { ! serves "$1"; }
serves_from() { # BACKEND
	{
		service web4 $RIG_VIP4 tcp 80 gue "10.3.0.$1"
		service web6 $RIG_VIP6 tcp 80 gue "fd00:3::$1"
	} | director_file
}

# A director that forgot everything; to it backend 2 is where flows were before. It has both from its first packet on: one
# that for a moment knew only backend 2 would have it reset what came in between.
forget() {
	stop halfproxyd TERM
	unload >/dev/null 2>&1
	serves_from 2
	cp "$RIG_DIR/halfproxy.yaml" "$RIG_DIR/before.yaml"
	serves_from 1
	RIG_OPTIONS=(--before "$RIG_DIR/before.yaml")
	need "another director runs" director_up
	RIG_OPTIONS=()
	need "its backends are ready" eventually 20 all_ready
}

# A download goes no further than what is taken from its pipe.
begin() { # VIP NAME
	mkfifo "$RIG_DIR/pipe-$2"
	eval "exec $3<>'$RIG_DIR/pipe-$2'"
	serve client "$2" curl -sS --noproxy '*' -o "$RIG_DIR/pipe-$2" "http://$(url_host "$1")/file"
	need "a download from $1 is under way" take "$3" "$2" 1000
}
take() { timeout 60 head -c "$3" <&"$1" >>"$RIG_DIR/got-$2"; }

passed() { counted 2 "passed on to the backend"; }
taken() { counted 1 "that another backend passed on"; }
settled() { [ "$(passed)" = "$(taken)" ]; }

# Both downloads go on, and packets of theirs are passed on.
passes() { # WHICH
	local before
	before=$(passed)
	expect "a download by IPv4 goes on: $1" take 4 four $PORTION_BYTES
	expect "one by IPv6: $1" take 6 six $PORTION_BYTES
	expect "their packets are passed on: $1: $(($(passed) - before))" test "$(passed)" -gt $((before + 5))
}

echo "on Linux $GUEST"
rig_up gue 2 || exit 1
host client sh -c 'echo 4096 65536 131072 >/proc/sys/net/ipv4/tcp_rmem'
need "the kernel makes VLANs for the router" tagged router backend0 10.3.0.254/24 fd00:3::fe/64
for n in 1 2; do
	need "and for backend $n" tagged backend$n eth0 10.3.0.$n/24 fd00:3::$n/64 10.3.0.254 fd00:3::fe
	need "backend $n is one" agent $n up --vip $RIG_VIP4 $RIG_VIP6 --forward gue --from 10.2.0.10 fd00:2::a --interface eth0
	web_up $n $RIG_VIP4 || exit 1
	sed -i "s/listen 10.2/listen [$RIG_VIP6]:80; &/" "$RIG_DIR/web$n/nginx.conf"
	stop nginx$n
	serve backend$n nginx$n nginx -c "$RIG_DIR/web$n/nginx.conf" -e "$RIG_DIR/web$n/error.log"
done
expect "status finds VLANs known" agent 2 status
serves_from 1
need "halfproxyd runs" director_up
need "the backends are ready" eventually 20 all_ready
begin $RIG_VIP4 four 4
begin $RIG_VIP6 six 6
forget
passes "the interface took their tag off"
for n in 1 2; do host switch ethtool -K p-backend$n txvlan off >/dev/null; done
passes "the tag is in the frame"
rest=$((RIG_FILE_BYTES - 1000 - 2 * PORTION_BYTES))
for download in "4 four" "6 six"; do
	# shellcheck disable=SC2086 # words are wanted
	expect "the rest of ${download#* } comes" take $download $rest
	expect "the download by ${download#* } ends" eventually 60 ended "${download#* }"
	expect "and is whole" cmp "$RIG_DIR/got-${download#* }" "$RIG_DIR/file"
done
eventually 20 settled # the last acknowledgements
expect_equal "none was stranded" 0 "$(counted 2 "no way")"
expect_equal "all were taken over" "$(passed)" "$(taken)"

host backend2 ip link add link eth0 name eth0.8 type vlan id 8
expect_text "a VLAN made since is told" "its maps hold other VIPs, senders or VLANs" agent 2 status
need "and learned by up" agent 2 up
expect "says status" agent 2 status
finish

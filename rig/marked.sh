# shellcheck shell=bash
# Probes by hand: two backends with web servers that take uploads, and a client at the director whose socket bears a backend's
# mark (rig/marked.c). Sourced after rig.sh, expect.sh and servers.sh.

RIG_FILE_BYTES=1000
ROUTED=10.9.0.1 # a VIP that the director has no address beside

# both_up N FORWARD: the backend takes the VIPs, with a web server that takes uploads.
both_up() {
	local n=$1 vip from=()
	[ "$2" = l2 ] || from=(any)
	for vip in "$RIG_VIP4" "$RIG_VIP6"; do backend_up "$n" "$vip" "$2" "${from[@]}" >/dev/null || return 1; done
	web_up "$n" "$RIG_VIP4" || return 1
	sed -i "s/server {/& listen [$RIG_VIP6]:80; location = \/upload { client_max_body_size 1m; return 200 \"taken by backend$n\"; }/
		" "$RIG_DIR/web$n/nginx.conf"
	stop "nginx$n"
	serve "backend$n" "nginx$n" nginx -c "$RIG_DIR/web$n/nginx.conf" -e "$RIG_DIR/web$n/error.log"
	eventually 5 host "backend$n" curl -sf -o /dev/null "http://10.3.0.$n/"
}

services() { # FORWARD
	service web4 "$RIG_VIP4" tcp 80 "$1" 10.3.0.1 10.3.0.2
	service web6 "$RIG_VIP6" tcp 80 "$1" fd00:3::1 fd00:3::2
	service routed $ROUTED tcp 80 "$1" 10.3.0.1
}

# marked VIP N BYTES: from the director, with the mark of backend N.
marked() {
	local mark
	mark=$(hp status --json | jq ".services[] | select(.vips == [\"$1\"]) | .backends[$2 - 1].mark")
	host "$RIG_DIRECTOR" "$BUILD/marked" "$mark" "$1" 80 "$3"
}

count() { hp status --json | jq ".probe_way.events.$1.count"; }
rules() { host "$RIG_DIRECTOR" ip "$1" rule show prio 48 | wc -l; }
filters() { host "$RIG_DIRECTOR" tc filter show dev "$1" egress | grep -c 'handle 0x4848'; }
way() { hp status --json | jq -r ".probe_way.$1"; }
is_way() { [ "$(way "$1")" = "$2" ]; }

reach_each() { # SENTENCE
	local vip n bytes
	for vip in "$RIG_VIP4" "$RIG_VIP6"; do
		for n in 1 2; do
			for bytes in 10 100000; do
				expect_text "$1: $bytes bytes to $vip reach backend$n alone" "taken by backend$n" marked "$vip" "$n" "$bytes"
			done
		done
	done
}

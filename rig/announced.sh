# shellcheck shell=bash
# Which routes to VIPs there are at the director. Sourced after rig.sh.

# shellcheck disable=SC2034 # of who sources this
RIG_VIP_LONE=10.2.0.5 # its backend does not exist
TABLE=248

# The routes of ours to single addresses in a table, sorted: VIP DEV. routes [TABLE]
routes() {
	{ host director ip -4 -o route show table "${1:-$TABLE}" proto 217
	host director ip -6 -o route show table "${1:-$TABLE}" proto 217; } 2>/dev/null |
		sed -nE 's/^([^ ]+) dev ([^ ]+).*/\1 \2/p' | grep -v ^default | sort
}
has_routes() { [ "$(routes "${2-}")" = "$1" ]; }
soon() { eventually 3 has_routes "$@"; }
both() { printf '%s\n%s' "$RIG_VIP4 $1" "$RIG_VIP6 $1"; }
announce() { hp status --json | jq -r ".announce.$1"; }
is_told() { grep -q "$1" "$RIG_DIR/halfproxyd.log"; }

file() { # [ANNOUNCE]
	{ service web "$RIG_VIP4" tcp 80 l2 10.3.0.1
	service web6 "$RIG_VIP6" tcp 80 l2 fd00:3::1
	service lone $RIG_VIP_LONE tcp 80 l2 10.3.0.9; } | director_file
	[ -z "${1-}" ] || sed -i "1i announce: $1" "$RIG_DIR/halfproxy.yaml"
}
reload() { file "$@" && hp reload >/dev/null; }
pings() { host client ping -c 1 -W 1 "$1"; }
unload() { host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state"; }

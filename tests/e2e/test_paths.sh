#!/bin/bash
# Uploads through a link of 1400 bytes on the way to the backend, of which neither end knows: they arrive when routers say so by
# ICMP, stall when those messages are dropped, and arrive all the same with mss: auto and the MSS of halfproxy-backend. By ipip
# and gre, IPv4 and IPv6; the whole measurement is ./run paths.
# suite: 20 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/paths.sh

export PATHS_LIMIT_S=15

anew() {
	stop halfproxyd
	paths_forget client director backend1
	need "halfproxyd runs" director_up
	need "the backend is ready" eventually 10 all_ready
}

# try FORWARD 4|6
try() {
	paths_up "$1" "$2" || exit 1
	paths_services
	paths_narrow backend 1400
	paths_icmp on
	anew
	expect_equal "$1, IPv$2: an upload through 1400 bytes, with ICMP" ok "$(paths_run_upload)"
	paths_icmp off
	anew
	expect_equal "without ICMP" stalls "$(PATHS_LIMIT_S=2 paths_run_upload)"
	host director ip route replace 10.3.0.0/24 via 10.2.0.254 mtu 1400 # what no router tells, its administrator does
	host director ip -6 route replace fd00:3::/64 via fd00:2::fe mtu 1400
	paths_services auto
	need "mss: auto is taken over" hp reload
	expect "and the backend's MSS" host backend1 "$BUILD/halfproxy-backend" up --mss 1240
	expect_equal "an upload, still without ICMP" ok "$(paths_run_upload)"
	expect_equal "and a download" ok "$(paths_run_download)"
	rig_down
}

if [ $# = 2 ]; then
	try "$1" "$2"
	finish
fi
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
failed=0 pids=()
for each in "ipip 4" "ipip 6" "gre 4" "gre 6"; do # each a shell of its own, and so a rig of its own
	# shellcheck disable=SC2086 # two words
	tests/e2e/test_paths.sh $each >"$said/$each" 2>&1 &
	pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
cat "$said"/*
exit $failed

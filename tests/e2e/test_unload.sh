#!/bin/bash
# halfproxyd --unload takes all of it away: programs, links, pins, neighbours; and nothing else.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

state() {
	host director sh -c 'ip -d -o link show; ip -o addr; ip rule; ip route show table all; ip -6 route show table all
		ip -d neigh show nud permanent' | sed 's/ qlen [0-9]*//; s/ expires [0-9]*sec//; s/ prog\/xdp.*//'
	host director ip -d neigh show | grep -E 'extern_learn|managed'
	host director bpftool net show
}
unload() { host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state"; }

rig_up l2 || exit 1
backend_up 1 "$RIG_VIP4" l2 >/dev/null || exit 1
web_up 1 "$RIG_VIP4" || exit 1
host director ping -c 1 -W 1 10.3.0.1 >/dev/null
BEFORE=$(state)
service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 | director_file
need "halfproxyd runs" director_up
need "the backend is ready" eventually 10 all_ready
need "the web answers" web_get "$RIG_VIP4" ""
expect "the director shows its program while it runs" host director sh -c 'bpftool net show | grep -q eth0'

stop halfproxyd TERM
expect "the web still answers after a clean end" web_get "$RIG_VIP4" ""
# ---- where the pins are out of sight --------------------------------------------------------------------------------
hidden() { # PINS
	ip netns exec "$RIG-director" "$BUILD/halfproxyd" --unload --pins "$1" --state "$RIG_DIR/state"
}
kept() { find "$RIG_DIR/state" "$RIG_PINS" | sort; host director ip neigh show proto 217 | grep -o '.*lladdr [^ ]*'; }
KEPT=$(kept)
refuses "unload without the BPF file system says how to mount it" "mount -t bpf bpf /sys/fs/bpf" hidden "$RIG_PINS"
refuses "also of pins in a folder that it does not see" "mount -t bpf bpf /sys/fs/bpf" hidden "$RIG_PINS/deep/deeper"
refuses "also outside of any" "no BPF file system is mounted at" host director "$BUILD/halfproxyd" --unload \
	--pins "$RIG_DIR/pins" --state "$RIG_DIR/state"
expect_equal "all of it is still there" "$KEPT" "$(kept)"
expect "and the web still answers" web_get "$RIG_VIP4" ""
expect "unload succeeds" unload
expect_equal "the director is as it was before" "$BEFORE" "$(state)"
expect_not "no pin is left" test -e "$RIG_PINS"
expect_not "the web answers no more" web_get "$RIG_VIP4" "" --max-time 2
expect "unloading what is not loaded is no error" unload
need "it can be loaded again" director_up
need "the backend is ready again" eventually 10 all_ready
expect "the web answers again" web_get "$RIG_VIP4" ""
expect_not "unload while the daemon runs is refused" unload
expect "and it still runs" web_get "$RIG_VIP4" ""

stop halfproxyd TERM
mkdir "$RIG_PINS/stranger"
expect_text "what somebody else put among the pins is told" "pins_left" unload
expect "and stays" test -d "$RIG_PINS/stranger"
expect_equal "all else is as it was before" "$BEFORE" "$(state)"
expect "and to unload again is no error" unload
rmdir "$RIG_PINS/stranger" "$RIG_PINS"
finish

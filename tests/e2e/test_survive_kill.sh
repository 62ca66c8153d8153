#!/bin/bash
# kill -9 of the daemon stops no traffic, and the next start adopts links, maps and counters.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/loss.sh

packets_of() { hp status --json | jq "[.services[] | select(.name == \"$1\") | .packets] | add"; }
pinned() { find "$RIG_PINS" -type f | LC_ALL=C sort; }
links() { # the rig's own, by their pins
	local pin
	for pin in "$RIG_PINS"/links/*; do echo "$(basename "$pin") $(bpftool --json link show pinned "$pin" | jq .id)"; done
}
programs() { host director bpftool --json net show | jq -c '.[0].xdp | map([.devname, .id]) | sort'; }

rig_up l2 2 || exit 1
for n in 1 2; do
	backend_up $n "$RIG_VIP4" l2 >/dev/null || exit 1
	web_up $n "$RIG_VIP4" || exit 1
done
serve backend1 iperf3 iperf3 --server --bind "$RIG_VIP4"
{
	service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 10.3.0.2
	service bulk "$RIG_VIP4" tcp 5201 l2 10.3.0.1
	service bulk-udp "$RIG_VIP4" udp 5201 l2 10.3.0.1
} | director_file
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready
need "the web answers" web_get "$RIG_VIP4" ""

loss_count router forward ip daddr "$RIG_VIP4" udp dport 5201
loss_count backend1 prerouting ip daddr "$RIG_VIP4" udp dport 5201
DROPS=$(loss_drops)
PINNED=$(pinned) LINKS=$(links) PROGRAMS=$(programs)
host client iperf3 --client "$RIG_VIP4" --json --udp --bitrate 8M --length 1000 --time 7 >"$RIG_DIR/stream.json" &
STREAM=$!
web_get "$RIG_VIP4" file --limit-rate 2M >"$RIG_DIR/got" &
DOWNLOAD=$!
sleep 1
BEFORE=$(packets_of bulk-udp)
stop halfproxyd KILL
expect_not "the daemon is gone" hp status
expect_equal "its pins stay" "$PINNED" "$(pinned)"
expect_equal "its links stay" "$LINKS" "$(links)"
expect "new connections work without it" web_get "$RIG_VIP4" ""
expect "so do others" web_get "$RIG_VIP4" ""
sleep 1

need "the next one starts" director_up
AFTER=$(packets_of bulk-udp)
expect "counters went on while nobody counted: $BEFORE, then $AFTER" [ "$AFTER" -gt $((BEFORE + 1000)) ]
expect_equal "the links are the same" "$LINKS" "$(links)"
need "its backends are ready" eventually 10 all_ready
expect_equal "the program at each interface is still one" "$(jq -c 'map(.[0])' <<<"$PROGRAMS")" \
	"$(programs | jq -c 'map(.[0])')"
sleep 1
expect "a third start, after a clean end, adopts as well" stop halfproxyd TERM
expect "traffic flows after a clean end" web_get "$RIG_VIP4" ""
need "it starts" director_up
expect_equal "the links are still the same" "$LINKS" "$(links)"

wait $STREAM
loss_settle backend1
SENT=$(loss_counted router) GOT=$(loss_counted backend1) DROPS=$(($(loss_drops) - DROPS))
expect "of a steady stream of $SENT packets all $GOT came through, but for $DROPS that cables dropped" \
	[ $((SENT - GOT)) -le "$DROPS" ]
expect "the stream had thousands" [ "$GOT" -gt 5000 ]
wait $DOWNLOAD
expect "a download through all this is complete" cmp "$RIG_DIR/got" "$RIG_DIR/file"

# The router's own queue may lose a packet when its entry is flushed, so not in the middle of a stream.
stop halfproxyd KILL
host router ip neigh flush dev director0
expect "ARP for the VIP is answered without the daemon" web_get "$RIG_VIP4" ""
finish

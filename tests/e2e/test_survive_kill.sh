#!/bin/bash
# kill -9 of the daemon stops no traffic, and the next start adopts links, maps and counters.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

packets_of() { hp status --json | jq "[.services[] | select(.name == \"$1\") | .packets] | add"; }
pinned() { find "$RIG_PINS" -type f | LC_ALL=C sort; }
links() { bpftool --json link show | jq -c '[.[] | select(.type == "xdp") | .id] | sort'; }
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
host router ip neigh flush dev director0
expect "ARP for the VIP is answered without it" web_get "$RIG_VIP4" ""
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
expect_equal "not one packet of a steady stream was lost" 0 "$(jq .end.sum.lost_packets "$RIG_DIR/stream.json")"
expect "the stream had thousands" jq -e '.end.sum.packets > 5000' "$RIG_DIR/stream.json"
wait $DOWNLOAD
expect "a download through all this is complete" cmp "$RIG_DIR/got" "$RIG_DIR/file"
finish

#!/bin/bash
# Upgrade in place: pins of the ABI before, which has no flow tables, are adopted under load, without a packet lost or a
# connection broken, and get the maps that are new; pins of an unknown ABI are a clear error, and serve on as they are.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh
. rig/held.sh
. rig/loss.sh

WATCHED=(backend1 backend2 backend3)
NEWER="flows unproven motions flow_counts hints"

HELD_SLOW=2 HELD_SSH=2 HELD_BULK=2

pinned() { find "$RIG_PINS" -type f -printf '%P\n' | LC_ALL=C sort; }
links() { local pin; for pin in "$RIG_PINS"/links/*; do bpftool --json link show pinned "$pin" | jq .id; done; }
# The pinned meta's first member.
meta() { bpftool --json map lookup pinned "$RIG_PINS/maps/meta" key 0 0 0 0 | jq -r '.value[]'; }
abi() { meta | head -n 1 | xargs printf '%d\n'; }
set_abi() {
	local bytes
	mapfile -t bytes < <(meta)
	bytes[0]=$1
	bpftool map update pinned "$RIG_PINS/maps/meta" key 0 0 0 0 value "${bytes[@]}"
}
start_fails() { host director timeout 10 "$BUILD/halfproxyd" -c "$RIG_DIR/halfproxy.yaml" --pins "$RIG_PINS" --state "$RIG_DIR/state"; }

held_up l2 3
loss_watch "${WATCHED[@]}"
held_start
held_check "no change"
NOW=$(abi)
LINKS=$(links) PINNED=$(pinned)

# ---- what a daemon of ABI 1 leaves ----------------------------------------------------------------------------------------
{ stop halfproxyd KILL; } 2>/dev/null
for name in $NEWER; do need "$name was pinned" rm "$RIG_PINS/maps/$name"; done
need "the pins say ABI 1" set_abi 1
need "this version starts on them" director_up
expect "and has adopted them" grep -q 'adopted=yes' "$RIG_DIR/halfproxyd.log"
expect_equal "they are of its ABI now" "$NOW" "$(abi)"
expect_equal "the maps that are new are there" "$PINNED" "$(pinned)"
expect_equal "the links are the same" "$LINKS" "$(links)"
need "the backends are ready" eventually 10 all_ready
held_check "an upgrade from ABI 1"
held_file 1=3 2 3
need "a change" hp reload
sleep 0.5
held_check "a change after the upgrade"

# ---- what nobody knows ------------------------------------------------------------------------------------------------------
{ stop halfproxyd KILL; } 2>/dev/null
for version in 0x63 0xff; do
	need "the pins say ABI $((version))" set_abi $version
	refuses "ABI $((version)) is refused" "has ABI $((version)) and this halfproxyd knows 1 to $NOW" start_fails
	expect_equal "and left as it is" "$PINNED" "$(pinned)"
	sleep 0.3
	held_check "pins of ABI $((version))"
done
need "the pins say what they are" set_abi "$NOW"
need "the daemon starts" director_up
held_check "adopted after all"
held_end
loss_judge "${WATCHED[@]}"
finish

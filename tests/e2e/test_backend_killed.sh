#!/bin/bash
# halfproxy-backend killed in the middle of its work: down takes back whatever was done, and up goes on from there.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/backend.sh

BOTH=(--vip "$RIG_VIP4" "$RIG_VIP6" --forward ipip --from 10.2.0.10 fd00:2::a --interface eth0 --map 80:8080)

# Kill the agent before its Nth system call that changes something: killed_at N ARGUMENT...
killed_at() {
	host backend1 strace -qq -o /dev/null -e trace=write,sendto,mkdir,rename,ioctl,bpf,unlink,rmdir \
		-e inject=write,sendto,mkdir,rename,ioctl,bpf,unlink,rmdir:signal=KILL:when="$1" \
		"$BUILD/halfproxy-backend" "${@:2}" >/dev/null 2>&1
}

rig_up ipip || exit 1
set_to ipv4/conf/eth0/rp_filter 1
set_to ipv6/conf/lo/disable_ipv6 1
host backend1 ip link set lo down
host backend1 ip address flush dev lo
remember

taken_back=0 mended=0 steps=0
for ((n = 1; n < 400; n += 1 + RANDOM % 22)); do
	killed_at $n up "${BOTH[@]}" && break
	steps=$((steps + 1))
	if [ $((steps % 3)) = 0 ]; then
		agent up "${BOTH[@]}" >/dev/null 2>&1 && agent status >/dev/null && mended=$((mended + 1))
	else
		mended=$((mended + 1))
	fi
	agent down >/dev/null 2>&1
	snapshot >"$RIG_DIR/after"
	if diff -q "$RIG_DIR/before" "$RIG_DIR/after" >/dev/null; then
		taken_back=$((taken_back + 1))
	else
		echo "killed at $n:"
		diff "$RIG_DIR/before" "$RIG_DIR/after"
	fi
done
expect "up was killed at many points ($steps)" [ $steps -ge 5 ]
expect_equal "after each, down restored all" $steps $taken_back
expect_equal "or up went on to the end" $steps $mended
agent down >/dev/null 2>&1

taken_back=0 steps=0
for ((n = 1; n < 200; n += 1 + RANDOM % 22)); do
	agent up "${BOTH[@]}" >/dev/null 2>&1
	killed_at $n down && break
	steps=$((steps + 1))
	agent down >/dev/null 2>&1
	snapshot >"$RIG_DIR/after"
	diff "$RIG_DIR/before" "$RIG_DIR/after" && taken_back=$((taken_back + 1))
done
expect "down was killed at many points ($steps)" [ $steps -ge 1 ]
expect_equal "after each, another down restored all" $steps $taken_back
agent down >/dev/null 2>&1
finish

# shellcheck shell=bash
# What the tests of halfproxy-backend share: the agent on backend1, and all that it might change there. Sourced after
# rig.sh and expect.sh.

agent() { host backend1 "$BUILD/halfproxy-backend" "$@"; }

# Whether the kernel is done with what it does by itself to an interface's own address.
settled() { ! host backend1 ip -6 -o address show tentative | grep -qv dadfailed; }

# Every address, setting, link, route, qdisc, filter, program, pin and file that a backend's setup could touch, as text.
snapshot() {
	local link
	eventually 10 settled
	host backend1 ip -details address
	host backend1 ip route show table all
	host backend1 ip -6 route show table all
	host backend1 ip -6 neigh show proxy
	host backend1 sh -c 'cd /proc/sys/net && grep -r "" ipv4/conf/*/arp_* ipv4/conf/*/rp_filter ipv6/conf 2>/dev/null | sort'
	for link in $(host backend1 ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/\1/'); do
		host backend1 tc qdisc show dev "$link"
		host backend1 tc filter show dev "$link" ingress
		host backend1 tc filter show dev "$link" egress
	done 2>/dev/null
	host backend1 bpftool --json net show | jq -c '.[0] | {xdp, tc}'
	bpftool --json link show | jq -c --argjson here "$(stat -Lc %i "/run/netns/$RIG-backend1")" \
		'[.[] | select(.netns_ino? == $here).attach_type]'
	find /sys/fs/bpf /run -path '*halfproxy-backend*' 2>/dev/null
}

# remember: what is there now is what shall be there again; same SENTENCE
remember() { snapshot >"$RIG_DIR/before"; }
same() {
	snapshot >"$RIG_DIR/after"
	expect "$1" diff "$RIG_DIR/before" "$RIG_DIR/after"
}

# refuses SENTENCE TEXT ARGUMENT...: the agent fails with status 2, says TEXT, and what was remembered is unchanged.
refuses() {
	local output status
	output=$(agent "${@:3}" 2>&1)
	status=$?
	[ $status = 2 ] && grep -qF -e "$2" <<<"$output"
	expect_result $? "$1" "status $status of ${*:3}, and wanted \"$2\" in:"$'\n'"$output"
	same "... and nothing is changed"
}

# The number that status counts for a counter whose text holds TEXT.
counted() {
	agent status --json | jq -r --arg text "$1" '[.[] | select(.item == "counter" and (.text | contains($text))).text][0]' |
		cut -d ' ' -f 1
}

setting() { host backend1 cat "/proc/sys/net/$1"; }
set_to() { host backend1 sh -c "echo $2 >/proc/sys/net/$1"; }

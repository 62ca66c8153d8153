# shellcheck shell=bash
# Whether packets got lost between the router and the backends: counted on either side, before any socket, by nftables.
# Sourced after rig.sh.
#
#     loss_count HOST HOOK FILTER...   a counter of such packets there; HOOK is forward at the router, else prerouting
#     loss_counted HOST...             what was counted, all hosts together
#     loss_settle HOST...    wait until packets stopped, at the router and there
#     loss_watch BACKEND..., loss_judge BACKEND...   of all that goes to the VIPs
#     loss_drops                       what the cables have dropped, as their ends count it: a veth's queue overflows
#                                      when its reader gets no CPU time, which is nobody's fault but the machine's

loss_count() {
	host "$1" nft -f - <<-END
		table inet loss {
		    chain counted {
		        type filter hook $2 priority -400
		        ${*:3} counter
		    }
		}
	END
}

loss_counted() {
	local name
	for name in "$@"; do host "$name" nft -j list table inet loss | jq '.. | .counter? | objects | .packets'; done |
		awk '{ sum += $1 } END { print sum + 0 }'
}

loss_settle() {
	local now last='' end=$((SECONDS + 20))
	while sleep 0.3; now="$(loss_counted router) $(loss_counted "$@")"; [ "$now" != "$last" ] && [ $SECONDS -lt $end ]; do
		last=$now
	done
}

loss_drops() {
	local end n ends=("router director0" "director eth0" "director eth1" "switch p-director" "router other0" "director2 eth0")
	for ((n = 1; n <= RIG_BACKENDS; n++)); do ends+=("switch p-backend$n" "backend$n eth0"); done
	for end in "${ends[@]}"; do
		host "${end% *}" ethtool -S "${end#* }" 2>/dev/null | grep -E '(_drops|_errors|_err):'
		host "${end% *}" ip -json -s link show "${end#* }" 2>/dev/null |
			jq -r '.[0].stats64 | "tx: \(.tx.dropped)", "rx: \(.rx.dropped)"'
	done | awk '{ sum += $NF } END { print sum + 0 }'
}

# All packets to the VIPs, before the director and at these backends, until loss_judge says that none was lost.
loss_watch() { # BACKEND...
	local name hook
	for name in router "$@"; do
		hook=$([ "$name" = router ] && echo forward || echo prerouting)
		loss_count "$name" "$hook" ip daddr "{ $RIG_VIP4, 10.2.0.2 }" meta l4proto "{ tcp, udp }"
		loss_count "$name" "$hook" ip6 daddr "$RIG_VIP6" meta l4proto "{ tcp, udp }"
	done
	LOSS_DROPS=$(loss_drops)
}
loss_judge() { # BACKEND...
	local sent got drops
	loss_settle "$@"
	sent=$(loss_counted router) got=$(loss_counted "$@") drops=$(($(loss_drops) - LOSS_DROPS))
	expect "of $sent packets that the router sent to the director $got came to the backends, and cables dropped $drops" \
		[ "$sent" -gt 5000 -a $((sent - got)) -le "$drops" -a "$got" -le "$sent" ]
}

# shellcheck shell=bash
# The faults of rig/truth.sh: how each is made, what is to be said of it, and how it is mended.

BOTH="web web6"

mac_of() { host "backend$1" ip -j link show eth0 | jq -r '.[0].address'; }

# ---- made ------------------------------------------------------------------------------------------------------------

fail_servers() {
	local n
	stop "nginx${N[unserved]}"
	told "no server runs" unserved "$BOTH" failing NOT_LISTENING "nothing listens on"
	n=${N[own]}
	stop "nginx$n"
	web "$n" "10.3.0.$n" "[fd00:3::$n]"
	told "it listens on its own address only" own "$BOTH" failing OWN_ADDRESS_ONLY "(RST from the VIP)"
	stop "nginx${N[unavailable]}"
	STATUS=503 everywhere "${N[unavailable]}"
	told "it answers 503" unavailable "$BOTH" failing WRONG_ANSWER "HTTP 503"
	# shellcheck disable=SC2046 # numbers
	kill -STOP $(pgrep -P "$(cat "$RIG_DIR/nginx${N[paused]}.pid")")
	told "it is paused" paused "$BOTH" failing TOO_SLOW "of 0.4 s allowed"
	echo_off "${N[deaf]}"
	told "nobody listens by UDP" deaf "echo echo6" failing NOT_LISTENING "ICMP port unreachable"
	stop "nginx${N[deaf]}"
	CERTIFICATE=expired everywhere "${N[deaf]}"
	told "its certificate has expired" deaf "tls tls6" failing CERTIFICATE "expired"
	echo_off "${N[wildcard]}"
	echo_on "${N[wildcard]}" 0.0.0.0 ::
	told "a wildcard socket answers" wildcard echo failing WRONG_SOURCE "answers come from 10.3.0.${N[wildcard]} and not"
	told "a wildcard socket answers" wildcard echo6 failing WRONG_SOURCE "answers come from fd00:3::${N[wildcard]} and not"
}

fail_addresses() {
	local n
	alias_off "${N[missing]}"
	told "the VIP is missing" missing "$BOTH" failing VIP_MISSING "is not on the backend"
	n=${N[forwarding]}
	alias_off "$n"
	turn "backend$n" ipv4/ip_forward 1
	turn "backend$n" ipv6/conf/all/forwarding 1
	host "backend$n" ip -6 route replace default via fd00:3::fe dev eth0
	told "the VIP is missing, and the backend forwards" forwarding "$BOTH" failing VIP_MISSING "ICMP"
	n=${N[loud]}
	turn "backend$n" ipv4/conf/all/arp_ignore 0
	host "backend$n" ip address add "$RIG_VIP6/128" dev eth0 nodad
	told "it answers ARP and solicitations for the VIP, which no check sees" loud "$BOTH" up - ""
}

filter() { # HOST RULE
	host "$1" nft -f - <<-END
		table inet truth {
		    chain in { type filter hook input priority 0; $2; }
		    chain out { type filter hook output priority 0; $2; }
		    chain through { type filter hook forward priority 0; $2; }
		}
	END
}
unfilter() { host "$1" nft delete table inet truth; }

# Packets leave by another interface than the one that they come in by, of which a strict filter does not think much.
make_strict() { # N
	plug "backend$1" eth1 "q-backend$1"
	host "backend$1" ip addr add "10.3.0.1$1/24" dev eth1
	host "backend$1" ip route add 10.2.0.0/24 via 10.3.0.254 dev eth1
	turn "backend$1" ipv4/conf/eth0/rp_filter 1
}

fail_ways() {
	local answers="ip saddr $RIG_VIP4 tcp sport 80 drop; ip6 saddr $RIG_VIP6 tcp sport 80 drop" from
	filter "backend${N[filtered]}" "$answers"
	told "the backend's own filter drops its answers" filtered "$BOTH" failing PORT_SILENT "lost on the way back"
	from="ether saddr $(mac_of "${N[routed]}")"
	host router nft -f - <<-END
		table inet truth {
		    chain through {
		        type filter hook forward priority 0
		        $from ip saddr $RIG_VIP4 tcp sport 80 drop
		        $from ip6 saddr $RIG_VIP6 tcp sport 80 drop
		    }
		}
	END
	told "a filter on the way drops answers" routed "$BOTH" failing PORT_SILENT "lost on the way back"
	host switch ip link set "p-backend${N[cut]}" down
	if [ "$FORWARD" = l2 ]; then
		told "the cable is out" cut "$BOTH" dead NEXT_HOP_UNRESOLVED "next hop does not resolve"
	else
		told "the cable is out" cut "$BOTH" dead BACKEND_SILENT "does not answer at all"
	fi
	make_strict "${N[strict]}"
	if [ "$FORWARD" = l2 ]; then # probes of the own address come from the segment, and pass
		told "strict reverse path filtering" strict web failing VIP_MISSING "rp_filter"
	else
		told "strict reverse path filtering" strict web dead BACKEND_SILENT "does not answer at all"
	fi
	told "... is of no matter to IPv6" strict web6 up - ""
	told "full-size packets get lost on the way" narrow "$BOTH" up PATH_MTU "full-size packets do not arrive"
}

fail_tunnels() {
	local n=${N[closed]}
	agent "$n" down >/dev/null
	host "backend$n" ip addr add "$RIG_VIP4/32" dev lo
	host "backend$n" ip addr add "$RIG_VIP6/128" dev lo nodad
	told "the tunnel is not opened" closed "$BOTH" failing NOT_DECAPSULATED "tunnel is not decapsulated (ICMP"
	n=${N[refused]}
	agent "$n" down >/dev/null
	up "$n" 10.9.9.9 fd00:9::9 >/dev/null
	told "the director is not named there" refused "$BOTH" failing NOT_DECAPSULATED "tunnel is not decapsulated (ICMP"
}

# ---- found and mended --------------------------------------------------------------------------------------------------

MEANT=()

find_by_backends() {
	found "it listens on its own address only" own OWN_ADDRESS_ONLY
	found "a wildcard socket answers" wildcard WRONG_SOURCE
	found "the VIP is missing" missing VIP_MISSING
	found "the VIP is missing, and the backend forwards" forwarding FORWARD_LOOP
	found "it answers ARP for the VIP" loud ARP_IGNORE
	found "it answers solicitations for the VIP" loud VIP_ON_NETWORK
	found "the cable is out" cut INTERFACE_DOWN
	found "strict reverse path filtering" strict RP_FILTER
	[ "$FORWARD" != l2 ] || return 0
	MEANT=(--vip "$RIG_VIP4" "$RIG_VIP6" --forward "$FORWARD" --from 10.2.0.10 fd00:2::a --interface eth0)
	found "the tunnel is not opened" closed NOT_DECAPSULATED "${MEANT[@]}"
	found "the director is not named there" refused SENDER_REFUSED
}

find_by_director() {
	examine
	examined "no server runs" unserved NOT_LISTENING
	examined "it listens on its own address only" own OWN_ADDRESS_ONLY
	examined "it answers 503" unavailable WRONG_ANSWER
	examined "it is paused" paused TOO_SLOW
	examined "its certificate has expired" deaf CERTIFICATE
	examined "a wildcard socket answers" wildcard WRONG_SOURCE
	examined "the VIP is missing" missing VIP_MISSING
	examined "a filter drops answers" filtered PORT_SILENT
	examined "a filter on the way drops answers" routed PORT_SILENT
	examined "full-size packets get lost on the way" narrow PATH_MTU
	if [ "$FORWARD" = l2 ]; then
		examined "the cable is out" cut NEXT_HOP_UNRESOLVED
		expect_equal "l2: it answers for both VIPs: so finds the director's doctor" 2 \
			"$(said ARP_ANSWERED "10.3.0.${N[loud]}" | wc -l)"
	else
		examined "the cable is out" cut BACKEND_SILENT
		examined "the tunnel is not opened" closed NOT_DECAPSULATED
		examined "the director is not named there" refused NOT_DECAPSULATED
	fi
}

# A request that no packet of the path's MTU holds, through the narrow place.
large() { # VIP [SECONDS]
	host client curl -sS --max-time "${2:-5}" --noproxy '*' -H "X-Large: $(printf %03000d 0)" "http://$(url_host "$1"):8080/"
}

mend_narrow() {
	local n=${N[narrow]} vip
	if [ "$FORWARD" = l2 ]; then # here a client's card is told the path's MTU by nobody
		host switch ip link set "p-backend$n" mtu 1500
	else
		# shellcheck disable=SC2016 # backquotes of the text
		jq -r --arg n "10.3.0.$n" '.items[] | select(.id == "PATH_MTU" and (.text | endswith($n))).evidence' <<<"$DIRECTOR_SAID" |
			sed -n 's/.*`\(halfproxy-backend up --mtu [0-9]*\)`.*/\1/p' >"$RIG_DIR/commands"
		host "backend$n" env PATH="$BUILD:$PATH" sh "$RIG_DIR/commands" >/dev/null
	fi
	for vip in $RIG_VIP4 $RIG_VIP6; do
		expect_text "$FORWARD: large requests to $vip arrive by: $(cat "$RIG_DIR/commands")" well large "$vip"
	done
	host switch ip link set "p-backend$n" mtu 1500
}

mend_all() {
	local n
	: >"$RIG_DIR/commands"
	refuses "$FORWARD: meanwhile large requests get lost" "" large "$RIG_VIP4" 1
	mend_narrow
	by_words missing VIP_MISSING
	by_fix forwarding
	by_command loud VIP_ON_NETWORK
	by_fix loud
	by_command strict RP_FILTER
	[ "$FORWARD" = l2 ] || by_fix closed "${MEANT[@]}"
	[ "$FORWARD" = l2 ] || by_words refused NOT_DECAPSULATED
	for n in unserved own unavailable deaf; do again "${N[$n]}"; done
	# shellcheck disable=SC2046 # numbers
	kill -CONT $(pgrep -P "$(cat "$RIG_DIR/nginx${N[paused]}.pid")")
	echo_off "${N[wildcard]}"
	for n in wildcard deaf; do echo_on "${N[$n]}" "$RIG_VIP4" "$RIG_VIP6"; done
	unfilter "backend${N[filtered]}"
	unfilter router
	host switch ip link set "p-backend${N[cut]}" up
	mended "what was said mends it: all is well"
	expect_equal "$FORWARD: nobody answers for the VIP any more" "" "$(examine; said ARP_ANSWERED)"
	for n in missing forwarding loud strict; do
		expect "$FORWARD: nothing is wrong with $n by its own doctor" agent_content "${N[$n]}"
	done
}
agent_content() { [ "$(agent "$1" doctor --json | jq -c '[.items[] | select(.level == "wrong")]')" = "[]" ]; }

faults_at_backends() {
	fail_servers
	fail_addresses
	fail_ways
	[ "$FORWARD" = l2 ] || fail_tunnels
	told "others' faults are not backend 1's" well "$BOTH" up - ""
	told_all
	find_by_backends
	find_by_director
	mend_all
}

# ---- around the backends -------------------------------------------------------------------------------------------------

# The director's own, by which all backends fail alike.
faults_around() {
	filter director "ip saddr $RIG_VIP4 tcp sport 80 drop; ip6 saddr $RIG_VIP6 tcp sport 80 drop"
	told "the director's own filter drops answers" well "$BOTH" failing ANSWERS_LOST "they reach this host"
	told_all
	unfilter director
	mended "the director hears again"
	host director ip address add "$RIG_VIP4/32" dev lo
	host director ip address add "$RIG_VIP6/128" dev lo nodad
	told "the VIP is an address of the director" well "$BOTH" failing VIP_LOCAL "is an address of this host"
	told_all
	examine
	said VIP_LOCAL | jq -r .command >"$RIG_DIR/commands"
	expect_equal "$FORWARD: the director's doctor finds it, in both families" 2 "$(wc -l <"$RIG_DIR/commands")"
	host director sh "$RIG_DIR/commands"
	mended "all is well by: $(paste -sd ';' "$RIG_DIR/commands")"
	[ "$FORWARD" = l2 ] || { fault_of_sources; fault_of_gateway; }
}

# The outer source of clients' packets varies within a prefix, that of probes is the director's own: who opens the tunnel for
# one of them alone.
fault_of_sources() {
	local n=${N[refused]}
	RIG_TUNNEL='{source4: 10.77.0.0/16, source6: "fd00:77::/96"}'
	configure
	need "$FORWARD: the outer source varies" hp reload
	agent "$n" down >/dev/null
	up "$n" 10.77.0.0/16 fd00:77::/96 >/dev/null
	told "the address of probes is not named there" refused web failing NOT_DECAPSULATED "--from there has to name 10.2.0.10"
	told "the address of probes is not named there" refused web6 failing NOT_DECAPSULATED "--from there has to name fd00:2::a"
	told_all
	found "the address of probes is not named there" refused SENDER_REFUSED
	refuses "$FORWARD: clients are refused where that address alone is named" "" large "$RIG_VIP4" 1
	found "the prefix of clients' packets is not named there" narrow SENDER_REFUSED
	up "${N[narrow]}" 10.77.0.0/16 fd00:77::/96 >/dev/null
	expect_text "$FORWARD: ... and served where it is, too" well large "$RIG_VIP4"
	examine
	by_words refused NOT_DECAPSULATED
	mended "probes are let in as well"
}

fault_of_gateway() {
	host router nft -f - <<-END
		table arp truth { chain in { type filter hook input priority 0; iifname director0 drop; }; }
		table inet truth { chain in { type filter hook input priority 0; iifname director0 icmpv6 type nd-neighbor-solicit drop; }; }
	END
	host director ip neigh flush dev eth0 # what is known may be taken for good as long as answers come
	told "the gateway does not answer ARP and solicitations" well "$BOTH" dead NEXT_HOP_UNRESOLVED "next hop does not resolve"
	told_all
	examine
	examined "the gateway does not answer ARP and solicitations" well NEXT_HOP_UNRESOLVED
	host router nft flush ruleset
	mended "it answers again"
}

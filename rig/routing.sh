# shellcheck shell=bash
# Two directors that tell the router by BGP which VIPs are here, and a router that spreads flows over both. Sourced after rig.sh,
# held.sh and loss.sh.
#
#     routing_up bird|frr        topology, backends, both directors with their routing daemons, the router with BIRD
#     routing_start 1|2, routing_end 1|2 [SIGNAL]    the routing daemons of a director
#     routing_leads WAYS         whether the router leads all VIPs' packets to just these directors: "1 2", "1" or "2"
#     routing_ways VIP           the directors that the router leads a VIP's packets to
#     routing_dies 1|2           a director falls silent, as one whose machine dies: its cable stays
#     routing_revives 1|2
#
# The directors' configuration is that of dist/, with the rig's addresses in place of its own.

ROUTING_AS_HERE=65001 ROUTING_AS_ROUTER=65000

routing_number() { [ "$1" = 1 ] || echo 2; }
routing_here() { # DIRECTOR: its addresses and the router's
	if [ "$1" = 1 ]; then echo 10.2.0.10 10.2.0.254 fd00:2::a fd00:2::fe; else echo 10.2.1.10 10.2.1.254 fd00:4::a fd00:4::fe; fi
}

# A file of dist/ with this director's addresses.
routing_shipped() { # DIRECTOR FILE
	local here4 there4 here6 there6
	read -r here4 there4 here6 there6 <<<"$(routing_here "$1")"
	sed "s/192\.0\.2\.10/$here4/g; s/192\.0\.2\.1\b/$there4/g; s/2001:db8::a\b/$here6/g; s/2001:db8::1\b/$there6/g" "dist/$2"
}

# ---- the router -----------------------------------------------------------------------------------------------------

routing_session() { # NAME LOCAL NEIGHBOUR CHANNEL
	printf 'protocol bgp %s {\n\tlocal %s as %s;\n\tneighbor %s as %s;\n\tbfd on;\n' "$1" "$2" $ROUTING_AS_ROUTER "$3" $ROUTING_AS_HERE
	printf '\tconnect delay time 1;\n\tconnect retry time 1;\n\terror wait time 1, 2;\n'
	printf '\t%s { import filter from_directors; export none; };\n}\n' "$4"
}

routing_router() {
	cat >"$RIG_DIR/router.conf" <<-'END'
		log stderr all;
		router id 192.168.1.254;
		filter from_directors {
		    if (65535, 0) ~ bgp_community then bgp_local_pref = 0;
		    accept;
		}
		protocol device { scan time 5; }
		protocol kernel { merge paths yes; ipv4 { import none; export where source = RTS_BGP; }; }
		protocol kernel { merge paths yes; ipv6 { import none; export where source = RTS_BGP; }; }
		protocol bfd { interface "*" { interval 300 ms; multiplier 5; }; }
	END
	{
		routing_session first4 10.2.0.254 10.2.0.10 ipv4
		routing_session first6 fd00:2::fe fd00:2::a ipv6
		routing_session second4 10.2.1.254 10.2.1.10 ipv4
		routing_session second6 fd00:4::fe fd00:4::a ipv6
	} >>"$RIG_DIR/router.conf"
	serve router bird-router bird -f -c "$RIG_DIR/router.conf" -s "$RIG_DIR/router.ctl"
}

routing_ways() { # VIP
	local family=-4
	[[ $1 != *:* ]] || family=-6
	host router ip $family route show "$1" | grep -oE 'dev (director0|other0)' | sort -u |
		sed 's/dev director0/1/; s/dev other0/2/' | sort | paste -sd ' '
}
routing_leads() { # WAYS: for all VIPs
	local vip
	for vip in "${ROUTING_VIPS[@]}"; do [ "$(routing_ways "$vip")" = "$1" ] || return 1; done
}

# ---- routing daemons of a director ---------------------------------------------------------------------------------------

routing_bird() { # DIRECTOR
	routing_shipped "$1" bird.conf >"$RIG_DIR/bird$1.conf"
	serve "director$(routing_number "$1")" "bird$1" bird -f -c "$RIG_DIR/bird$1.conf" -s "$RIG_DIR/bird$1.ctl"
}

# zebra and its fellows, each with its socket in a folder that they own, are told the whole file by vtysh, as FRR's service does.
routing_frr() { # DIRECTOR
	local dir=$RIG_DIR/frr$1 daemon
	rm -rf "$dir"
	install -d -o frr -g frr "$dir"
	routing_shipped "$1" frr.conf >"$dir/frr.conf"
	touch "$dir/vtysh.conf"
	for daemon in zebra bgpd bfdd; do
		serve "director$(routing_number "$1")" "$daemon$1" "/usr/lib/frr/$daemon" --vty_socket "$dir" -z "$dir/zserv.api" \
			-i "$dir/$daemon.pid" -f /dev/null --log stdout
		eventually 10 test -S "$dir/$daemon.vty" || return 1
	done
	routing_vtysh "$1" -b
}
routing_vtysh() { # DIRECTOR ARGUMENT...
	host "director$(routing_number "$1")" vtysh --vty_socket "$RIG_DIR/frr$1" --config_dir "$RIG_DIR/frr$1" "${@:2}"
}

routing_start() { "routing_$ROUTING_KIND" "$1"; }
routing_end() { # DIRECTOR [SIGNAL]
	local name
	for name in bird bgpd bfdd zebra; do { stop "$name$1" "${2:-TERM}"; } 2>/dev/null; done
}

routing_hp() { # DIRECTOR COMMAND...: one of the verbs of rig.sh at that director
	if [ "$1" = 1 ]; then "${@:2}"; else second "${@:2}"; fi
}

# The kernel of a machine that has died sends nothing and hears nothing; nor does XDP.
routing_dies() { # DIRECTOR
	local number name
	number=$(routing_number "$1")
	host "director$number" nft -f - <<-END
		table inet dead {
		    chain in { type filter hook input priority -400; policy drop; }
		    chain out { type filter hook output priority -400; policy drop; }
		}
	END
	{ stop "halfproxyd$number" KILL; } 2>/dev/null
	host "director$number" "$BUILD/halfproxyd" --unload --pins "$RIG_PINS$number" --state "$RIG_DIR/state$number" 2>/dev/null
	routing_end "$1" KILL
}
routing_revives() { # DIRECTOR
	host "director$(routing_number "$1")" nft delete table inet dead
	routing_hp "$1" director_up && routing_start "$1"
}

# ---- clients, and what became of them --------------------------------------------------------------------------------------

# 32 connections that are held, and others that come and go.
routing_clients() {
	serve client keep "$BUILD/held" keep 192.168.1.1 "$RIG_VIP4" 80 $((32 - 8 * (${#ROUTING_VIPS[@]} - 1))) 40
	serve client new "$BUILD/held" new 192.168.1.2 "$RIG_VIP4" 80 2 40
	if [ ${#ROUTING_VIPS[@]} = 2 ]; then
		serve client keep6 "$BUILD/held" keep fd00:1::1 "$RIG_VIP6" 80 8 100
	fi
	eventually 10 routing_open
}
# shellcheck disable=SC2086 # names are words
routing_open() { [ "$(held_lines open ${ROUTING_CLIENTS/new/})" -ge 32 ]; }

# routing_unbroken WHAT: no connection broke since the last time, held ones or new ones
routing_unbroken() {
	local broken answered
	# shellcheck disable=SC2086 # names are words
	broken=$(held_lines broken $ROUTING_CLIENTS) answered=$(held_lines answered new)
	# shellcheck disable=SC2086
	expect_result "$([ "$broken" = "$ROUTING_BROKEN" ] && [ "$answered" -gt "$ROUTING_ANSWERED" ]; echo $?)" \
		"$1: $((broken - ROUTING_BROKEN)) of 32 held connections and of $((answered - ROUTING_ANSWERED)) new ones broken" \
		"$(held_broken $ROUTING_CLIENTS | head -n 8)"
	ROUTING_BROKEN=$broken ROUTING_ANSWERED=$answered
}

# routing_sends DIRECTOR SECONDS: whether it forwards anything in that time
routing_forwarded() { routing_hp "$1" hp status --json | jq '[.services[].packets] | add'; }
routing_sends() {
	local before
	before=$(routing_forwarded "$1")
	sleep "$2"
	[ "$(routing_forwarded "$1")" -gt "$before" ]
}

# Nothing is under way when counting begins and ends.
routing_pause() { # STOP|CONT
	local name
	for name in $ROUTING_CLIENTS; do kill -"$1" "$(cat "$RIG_DIR/$name.pid")"; done
	[ "$1" = CONT ] || sleep 0.3
}
routing_watch() {
	local name hook
	routing_pause STOP
	for name in router backend1 backend2 backend3; do
		hook=$([ $name = router ] && echo forward || echo prerouting)
		loss_count $name "$hook" ip saddr 192.168.1.0/24 ip daddr "$RIG_VIP4" # and of no probes
		loss_count $name "$hook" ip6 saddr fd00:1::/64 ip6 daddr "$RIG_VIP6"
	done
	LOSS_DROPS=$(loss_drops)
	routing_pause CONT
}

# routing_loss WHAT: of the packets to the VIPs since routing_watch none was lost behind the router
routing_loss() {
	local sent got drops
	routing_pause STOP
	loss_settle backend1 backend2 backend3
	sent=$(loss_counted router) got=$(loss_counted backend1 backend2 backend3) drops=$(($(loss_drops) - LOSS_DROPS))
	expect "$1: of $sent packets that the router sent to directors $got came to the backends, and cables dropped $drops" \
		[ "$sent" -gt 500 -a $((sent - got)) -le "$drops" -a "$got" -le "$sent" ]
	routing_pause CONT
}

# What answers probes and clients, on all backends: routing_web STOP|CONT
routing_web() {
	local n pid
	for n in 1 2 3; do
		pid=$(cat "$RIG_DIR/nginx$n.pid")
		# shellcheck disable=SC2046 # process numbers
		kill -"$1" "$pid" $(pgrep -P "$pid")
	done
}
routing_up_now() { hp status --json | jq -e '.announce.up == .announce.vips and all(.services[].backends[]; .health.state == "up")'; }

# ---- all of it ----------------------------------------------------------------------------------------------------------------

# FRR imports tables below 253 alone, and of IPv4.
routing_file() {
	{ service web "$RIG_VIP4" tcp 80 ipip 10.3.0.{1,2,3}
	[ "$ROUTING_KIND" = frr ] || service web6 "$RIG_VIP6" tcp 80 ipip fd00:3::{1,2,3}; } |
		sed 's/^    forward: ipip/&\n    health: {type: http, path: \/who, interval: 1s, timeout: 1s, rise: 1, fall: 3}/' |
		RIG_INTERFACES="{name: eth0, announce: none}" director_file
}

routing_servers() {
	local n
	: >"$RIG_DIR/file"
	for n in 1 2 3; do
		backend_up "$n" "$RIG_VIP4" ipip any >/dev/null && backend_up "$n" "$RIG_VIP6" ipip any >/dev/null && held_nginx "$n" ||
			return 1
	done
	for n in 1 2 3; do eventually 5 host "backend$n" sh -c "ss -Htln | grep -q ':80 '" || return 1; done
}

routing_up() {
	ROUTING_KIND=$1 ROUTING_VIPS=("$RIG_VIP4" "$RIG_VIP6")
	ROUTING_CLIENTS="keep keep6 new" ROUTING_BROKEN=0 ROUTING_ANSWERED=0
	[ "$1" != frr ] || ROUTING_VIPS=("$RIG_VIP4") ROUTING_CLIENTS="keep new"
	rig_up ipip 3 && rig_second ipip || exit 1
	address client eth0 192.168.1.2/24 fd00:1::2/64
	need "backends serve" routing_servers
	routing_file
	second routing_file
	need "both directors run" eval "director_up && second director_up"
	need "their backends are ready" eval "eventually 10 all_ready && eventually 10 second all_ready"
	routing_router
	need "and their routing daemons" eval "routing_start 1 && routing_start 2"
	need "the router leads to both" eventually 20 routing_leads "1 2"
	need "clients are served" routing_clients
}

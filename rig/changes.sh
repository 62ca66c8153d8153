# shellcheck shell=bash
# Every kind of change, ten rounds each, on connections that are held. Sourced after held.sh and loss.sh.
#
# A kind is a function change_NAME ROUND that makes one round; backends 1 to 3 have the connections that are there from the
# beginning, and any but the last one may get those that are opened later.

CHANGES_ROUNDS=${CHANGES_ROUNDS:-10}
CHANGES_BACKENDS=(backend1 backend2 backend3 backend4 backend5 backend6 backend7)

pause() { sleep 0.12; }
settle() { sleep "${HELD_WINDOW_SHORT/s/.3}"; } # services of the short window do

# Take over the file with these backends: change_file BACKEND[=W]...
change_file() {
	held_file "$@"
	hp reload >/dev/null || expect_result 1 "a reload with backends $*" "$(hp reload 2>&1)"
}

# The same, and new connections meet it.
change_file_live() {
	change_file "$@"
	eventually 5 all_ready || expect_result 1 "backends $* become ready" "$(hp status 2>&1)"
}

# A command for each service's backend: each_service NUMBER COMMAND..., with SERVICE and BACKEND in it
each_service() {
	local name words family
	for name in $HELD_SERVICES; do
		family=$([ "$name" = web6 ] && echo 6 || echo 4)
		words=("${@:2}")
		words=("${words[@]//SERVICE/$name}")
		words=("${words[@]//BACKEND/$(backend_address "$1" "$family")}")
		hp "${words[@]}" >/dev/null || expect_result 1 "halfproxy ${words[*]}" "$(hp "${words[@]}" 2>&1)"
	done
}

change_add() { # one comes, and goes again
	change_file_live 1 2 3 4
	pause
	change_file 1 2 3
}
change_remove() { # one that has connections goes, and comes again
	change_file $((($1 + 1) % 3 + 1)) $((($1 + 2) % 3 + 1))
	pause
	change_file 1 2 3
}
change_weight() { # by command
	each_service $(($1 % 3 + 1)) weight SERVICE BACKEND $((($1 * 7) % 5))
	pause
	each_service 1 reset SERVICE
}
change_drain() { # one that has connections, and undrained
	each_service $(($1 % 3 + 1)) drain SERVICE BACKEND
	pause
	each_service $(($1 % 3 + 1)) undrain SERVICE BACKEND
}
change_slow() { # one comes whose weight rises, and goes before it has all, or after
	HELD_SLOW_START=1s change_file_live 1 2 3 4
	[ $(($1 % 5)) != 0 ] || sleep 0.8
	pause
	HELD_SLOW_START=1s change_file 1 2 3
}
change_edit() { # the file's weights
	change_file 1=$(($1 * 3 % 7 + 1)) 2=$(($1 * 5 % 11 + 1)) 3=$(($1 % 2 + 1))
}
change_back() { # A to B to A, at once
	held_file 1=$(($1 + 1)) 2 4
	hp apply "$RIG_DIR/halfproxy.yaml" >/dev/null
	[ $(($1 % 2)) = 0 ] || pause
	hp undo >/dev/null
}
change_grow() { # another size of ring
	HELD_SLOTS=$([ $(($1 % 2)) = 0 ] && echo 1009 || echo 4093) change_file 1 2 3
}
change_hash() { # another seed, or other fields of the packet: a flow's slot is any other
	case $(($1 % 3)) in
	0) change_file 1 2 3 ;;
	1) HELD_SEED=$1 change_file 1 2 3 ;;
	2) HELD_HASH=source change_file 1 2 3 ;;
	esac
}
change_method() { # another way to the same hosts
	HELD_FORWARD=$([ $(($1 % 2)) = 0 ] && echo l2 || echo ipip) change_file_live 1 2 3
}
change_kill() { # in the middle of a change
	held_file 1 $(($1 % 3 + 2)) 5
	hp reload >/dev/null 2>&1 &
	sleep "0.0$(($1 % 5))"
	{
		stop halfproxyd KILL
		wait $!
	} 2>/dev/null
	pause
	director_up
}
change_replace() { # all but those in use at once; in other rounds, all
	case $(($1 % 4)) in
	0) change_file_live 1 2 3 4 5 ;;
	1) change_file_live 1 2 3 6 ;;
	2) change_file_live 4 5 6 ;;
	3) change_file_live 1 2 3 ;;
	esac
}
change_forged() { # a RST for each held connection, which no backend believes, in the middle of a change
	change_file 1=$(($1 + 1)) 2 3
	held_forge
	pause
	held_forge
}
change_lose() { # a backend that no held connection is with cannot be reached for a moment, in other rounds for good
	change_file_live 1 2 3 7
	host director ip route add unreachable 10.3.0.7/32
	host director ip route add unreachable fd00:3::7/128
	pause
	[ $(($1 % 2)) = 0 ] || change_file 1 2 3
	host director ip route del unreachable 10.3.0.7/32
	host director ip route del unreachable fd00:3::7/128
	pause
	change_file 1 2 3
}

# A RST from each of the client's own ports, with a sequence number of no flow.
held_forge() {
	local vip port source ports
	while read -r vip port source; do
		mapfile -t ports < <(host client ss -Htn state connected exclude time-wait \
			src "$(url_host "$source")" dst "$(url_host "$vip")" dport = ":$port" |
			awk '{ sub(/.*:/, "", $(NF - 1)); print $(NF - 1) }')
		[ ${#ports[@]} = 0 ] || host client "$BUILD/forge" rst "$vip" "$port" "$source" "${ports[@]}" >>"$RIG_DIR/forged"
	done <<-END
		$RIG_VIP4 80 192.168.1.1
		$RIG_VIP4 8080 192.168.1.1
		$RIG_VIP4 22 192.168.1.1
		$RIG_VIP6 80 fd00:1::1
	END
}

# changes KIND WHAT: its rounds, and what became of the connections
changes() {
	local round begin=$SECONDS
	CHANGES_BEGAN=$(date +%s%3N)
	for ((round = 1; round <= CHANGES_ROUNDS; round++)); do
		"change_$1" $round
		[ $round != $((CHANGES_ROUNDS / 2)) ] || [ -n "${CHANGES_MORE-}" ] || changes_more "$1"
		pause
	done
	held_check "$2, $CHANGES_ROUNDS rounds in $((SECONDS - begin)) s"
}

# Connections that are opened while all is in motion, and held from then on.
changes_more() {
	CHANGES_COUNT=$((${CHANGES_COUNT:-0} + 1))
	held_more "in$CHANGES_COUNT-$1" keep 192.168.1.98 "$RIG_VIP4" 80 3 100
	held_more "in6-$CHANGES_COUNT-$1" keep fd00:1::98 "$RIG_VIP6" 80 1 100
	held_more "half$CHANGES_COUNT-$1" half 192.168.1.98 "$RIG_VIP4" 8080 1 100000 "$RIG_DIR/file"
}

# New connections met these backends in the rounds of the last kind: changes_met NUMBER...
changes_met() { expect_equal "new connections met the backends $*" "$*" "$(held_new_since "$CHANGES_BEGAN" new new6)"; }

changes_all() { # FORWARD
	held_up "$1" 7
	loss_watch "${CHANGES_BACKENDS[@]}"
	held_start
	held_check "no change"
	changes add "a backend comes and goes"
	changes_met 1 2 3 4
	settle
	changes remove "a backend that is used goes and comes"
	changes weight "weights by command"
	changes drain "a backend that is used is drained and undrained"
	changes edit "weights by file"
	settle
	changes back "there and back at once"
	changes grow "a ring of another size"
	changes hash "another seed or hash"
	[ "$1" != l2 ] || changes method "another method"
	changes kill "the daemon is killed and started again"
	settle
	changes slow "a backend comes and starts slowly"
	changes replace "backends replaced at once"
	changes_met 1 2 3 4 5 6
	HELD_UNREACHABLE=backend7 CHANGES_MORE=no changes lose "a backend cannot be reached for a moment"
	changes forged "a forged RST for each"
	held_end
	loss_judge "${CHANGES_BACKENDS[@]}"
	finish
}

# shellcheck shell=bash
# Connections that are held through changes, by real clients and servers, and what became of each. Sourced after rig.sh
# and expect.sh.
#
#     held_up FORWARD BACKENDS   topology, servers, services; the first three backends take flows
#     held_start                 the clients open their connections; new ones come and go beside them, some of which are
#                                ended by RST and take the same port again
#     held_check WHAT            sentences: since the last check no connection broke or stood still, and at the backends
#                                each flow was seen by one of them only; of clients that HELD_GIVEN_UP matches it is
#                                not asked
#     held_file BACKEND[=W]...   the configuration with these backends (numbers), as HELD_... below say
#
# Every backend serves on the VIP what its services say; every client is a real one:
#
#     web, web6   keep-alive HTTP (rig/held.c), a request each 100 ms on each connection, and on some each 2.2 s, which is
#                 little less than their window; slow downloads by curl; nginx
#     half        downloads whose client has half-closed at once (rig/held.c); python's http.server
#     ssh         sessions with a line typed each 200 ms that is answered; OpenSSH
#     bulk, udp   iperf3 up and down at 400 kbit/s, or (held_udp) UDP; any port of a VIP of its own, hash: source, as its
#                 streams belong together
#
# At the backends nftables keeps a set of the flows whose packets came, from before any socket.

RIG_VIP_BULK=10.2.0.2
HELD_NEW4=192.168.1.99 HELD_NEW6=fd00:1::99 HELD_SAME4=192.168.1.96
HELD_KEEP=${HELD_KEEP:-32} HELD_KEEP6=${HELD_KEEP6:-12} HELD_RARE=${HELD_RARE:-8}
HELD_SLOW=${HELD_SLOW:-3} HELD_HALF=${HELD_HALF:-4} HELD_SSH=${HELD_SSH:-3} HELD_BULK=${HELD_BULK:-4}
HELD_WINDOW=3s HELD_WINDOW_SHORT=2s HELD_SLOTS=1009 HELD_SLOW_START='' HELD_DEADLINE='' HELD_SEED='' HELD_HASH=''
HELD_SERVICES="web web6 half ssh bulk udp"

# ---- services and their configuration ---------------------------------------------------------------------------------

# held_service NAME VIP PORT HASH WINDOW BACKEND[=WEIGHT]...: without a single fork, as there are hundreds of changes. With
# HELD_CROSSED tunnels lead from VIPs of one family to backends of the other.
held_service() {
	local backend protocol=tcp network=10.3.0.
	[ "$1" != udp ] || protocol=udp
	if [[ ($2 = *:* && -z ${HELD_CROSSED-}) || ($2 != *:* && -n ${HELD_CROSSED-}) ]]; then network=fd00:3::; fi
	printf '  - {name: %s, protocol: %s, vip: "%s", port: %s, hash: %s, forward: %s, slots: %s' "$1" $protocol "${@:2:2}" \
		"${HELD_HASH:-$4}" "$HELD_FORWARD" "$HELD_SLOTS"
	printf '%s' "${HELD_SEED:+, seed: $HELD_SEED}" "${5:+, window: $5}" "${HELD_SLOW_START:+, slow_start: $HELD_SLOW_START}" \
		"${HELD_DEADLINE:+, deadline: $HELD_DEADLINE}" ", backends: ["
	for backend in "${@:6}"; do
		[[ $backend = *=* ]] || backend+="=1"
		printf '{address: "%s", weight: %s}, ' "$network${backend%=*}" "${backend#*=}"
	done
	echo "]}"
}

# The connections between iperf3's ends that carry nothing are silent for as long as it runs: bulk has the usual window.
held_file() {
	{
		held_service web "$RIG_VIP4" 80 flow "$HELD_WINDOW" "$@"
		held_service web6 "$RIG_VIP6" 80 flow "$HELD_WINDOW_SHORT" "$@"
		held_service half "$RIG_VIP4" 8080 flow "$HELD_WINDOW_SHORT" "$@"
		held_service ssh "$RIG_VIP4" 22 flow "$HELD_WINDOW_SHORT" "$@"
		held_service bulk $RIG_VIP_BULK any "source" "" "$@"
		held_service udp $RIG_VIP_BULK any "source" "" "$@"
	} | director_file
}

# ---- servers ------------------------------------------------------------------------------------------------------------

held_nginx() {
	local dir=$RIG_DIR/held$1
	mkdir -p "$dir/www" "$dir/tmp"
	ln "$RIG_DIR/file" "$dir/www/file"
	cat >"$dir/nginx.conf" <<-END
		daemon off;
		user root;
		worker_processes 1;
		pid $dir/pid;
		events { worker_connections 1024; }
		http {
		    access_log off;
		    client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp;
		    uwsgi_temp_path $dir/tmp; scgi_temp_path $dir/tmp;
		    keepalive_requests 1000000; keepalive_timeout 300s;
		    server {
		        listen $RIG_VIP4:80; listen [$RIG_VIP6]:80; root $dir/www;
		        location = /who { default_type text/plain; return 200 "backend$1/\$connection\n"; }
		        location = /file { limit_rate 40k; }
		    }
		}
	END
	serve "backend$1" "nginx$1" nginx -c "$dir/nginx.conf" -e "$dir/error.log"
}

# A session answers each line with the backend, the session's process and the line.
held_sshd() {
	local dir=$RIG_DIR/held$1
	# shellcheck disable=SC2016 # for the session's shell
	printf '#!/bin/bash\n# A session of the rig.\nwhile read -r line; do echo "backend%s/$$ $line"; done\n' "$1" >"$dir/session"
	chmod 755 "$dir/session"
	cat >"$dir/sshd_config" <<-END
		ListenAddress $RIG_VIP4:22
		HostKey $RIG_DIR/ssh-host
		AuthorizedKeysFile $RIG_DIR/ssh-client.pub
		ForceCommand $dir/session
		PidFile none
		UsePAM no
		StrictModes no
		PermitRootLogin yes
		PasswordAuthentication no
	END
	serve "backend$1" "sshd$1" /usr/sbin/sshd -D -e -f "$dir/sshd_config"
}

# What the backend's stack gets of the clients' flows. Those of new connections are kept apart, from check to check: their
# client takes a port again after a minute.
held_watch() {
	local flow4="ip saddr . tcp sport . ip daddr . tcp dport" flow6="ip6 saddr . tcp sport . ip6 daddr . tcp dport"
	local set4="type ipv4_addr . inet_service . ipv4_addr . inet_service; flags dynamic; size 65536; counter;"
	host "backend$1" nft -f - <<-END
		table inet held {
		    set seen4 { $set4 }
		    set new4 { $set4 }
		    set seen6 { ${set4//ipv4/ipv6} }
		    set new6 { ${set4//ipv4/ipv6} }
		    chain in {
		        type filter hook prerouting priority -300;
		        meta l4proto != tcp accept
		        ip saddr $HELD_SAME4 accept
		        ip saddr $HELD_NEW4 ip daddr 10.2.0.0/24 add @new4 { $flow4 } accept
		        ip6 saddr $HELD_NEW6 ip6 daddr $RIG_VIP6 add @new6 { $flow6 } accept
		        ip saddr 192.168.1.0/24 ip daddr 10.2.0.0/24 add @seen4 { $flow4 }
		        ip6 saddr fd00:1::/64 ip6 daddr $RIG_VIP6 add @seen6 { $flow6 }
		    }
		}
	END
}

held_listens() { # BACKEND: as many sockets as its servers have
	[ "$(host "backend$1" ss -Htln | wc -l)" = $((5 + HELD_BULK)) ]
}

held_servers() {
	local n i
	[ -e "$RIG_DIR/file" ] || head -c 12582912 /dev/urandom >"$RIG_DIR/file"
	ssh-keygen -q -t ed25519 -N '' -f "$RIG_DIR/ssh-host" && ssh-keygen -q -t ed25519 -N '' -f "$RIG_DIR/ssh-client" || return 1
	mkdir -p /run/sshd
	for ((n = 1; n <= RIG_BACKENDS; n++)); do
		held_watch "$n" && held_nginx "$n" && held_sshd "$n" || return 1
		serve "backend$n" "python$n" /usr/bin/python3 -m http.server --bind "$RIG_VIP4" --directory "$RIG_DIR/held$n/www" 8080
		for ((i = 1; i <= HELD_BULK + 1; i++)); do
			serve "backend$n" "iperf$n-$i" iperf3 --server --bind $RIG_VIP_BULK --port $((5200 + i))
		done
	done
	for ((n = 1; n <= RIG_BACKENDS; n++)); do eventually 15 held_listens "$n" || return 1; done
}

held_backends() {
	local n vip forward=$HELD_FORWARD from=(any)
	[ "$forward" != l2 ] || forward=ipip # such a backend takes what comes by l2 as well
	for ((n = 1; n <= RIG_BACKENDS; n++)); do
		for vip in "$RIG_VIP4" "$RIG_VIP6" $RIG_VIP_BULK; do
			backend_up "$n" "$vip" "$forward" "${from[@]}" >/dev/null || return 1
		done
	done
}

held_up() {
	local n
	HELD_FORWARD=$1
	rig_up "$1" "$2" || exit 1
	for n in 2 3 4 5 6 7 8 96 98 99; do address client eth0 "192.168.1.$n/24" "fd00:1::$n/64"; done
	need "the backends are backends" held_backends
	need "their servers run" held_servers
	held_file 1 2 3
	need "halfproxyd runs" director_up
	need "the backends are ready" eventually 10 all_ready
}

# ---- clients ------------------------------------------------------------------------------------------------------------

# Those that are a process for each connection; a typed line a moment keeps a session's flow alive.
held_curl() { serve client "slow$1" curl -sS --noproxy '*' -o "$RIG_DIR/slow$1.got" "http://$RIG_VIP4/file"; }

held_iperf() {
	local way=()
	[ $(($1 % 2)) = 0 ] || way=(--reverse)
	serve client "bulk$1" iperf3 --client $RIG_VIP_BULK --bind "192.168.1.$((1 + $1))" --port $((5200 + $1)) --bitrate 400k \
		--length 2k --time 300 --interval 0.2 --forceflush "${way[@]}"
}

# A stream of numbered packets for SECONDS, and what its server missed of it: held_udp SECONDS BITRATE, held_udp_lost
held_udp() {
	serve client udp iperf3 --client $RIG_VIP_BULK --bind 192.168.1.1 --port $((5201 + HELD_BULK)) --udp --bitrate "$2" \
		--length 500 --time "$1" --json --get-server-output
}
held_udp_lost() {
	eventually 10 eval '! serves udp'
	jq -r '.end.sum | "\(.lost_packets) of \(.packets)"' "$RIG_DIR/udp.log"
}

held_ssh() {
	# shellcheck disable=SC2016 # for the inner shell
	serve client "ssh$1" bash -c 'exec ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR \
		-o UserKnownHostsFile=/dev/null -o ConnectTimeout=10 -i "$1" -T "root@$2" < <(exec {clock}<> <(:); while echo "line $((++n))"; do read -rt 0.2 -u $clock; done)' \
		ssh "$RIG_DIR/ssh-client" "$RIG_VIP4"
}

held_named() { # those of the clients that are a process for each connection
	local kind i
	for kind in "slow $HELD_SLOW" "bulk $HELD_BULK" "ssh $HELD_SSH"; do
		for ((i = 1; i <= ${kind#* }; i++)); do echo "${kind% *}$i"; done
	done
}

# More connections of a client of rig/held.c: held_more NAME MODE SOURCE VIP PORT COUNT ...
held_more() {
	serve client "$1" "$BUILD/held" "${@:2}"
	HELD_KEEPERS+=" $1"
	HELD_TOTAL=$((HELD_TOTAL + $6))
}

# Those that come and go.
held_new() {
	serve client new "$BUILD/held" new $HELD_NEW4 "$RIG_VIP4" 80 2 60
	serve client new6 "$BUILD/held" new $HELD_NEW6 "$RIG_VIP6" 80 1 100
}

held_start() {
	local i
	HELD_KEEPERS='' HELD_TOTAL=$((HELD_SLOW + HELD_BULK + HELD_SSH))
	held_more keep keep 192.168.1.1 "$RIG_VIP4" 80 "$HELD_KEEP" 100
	held_more keep6 keep fd00:1::1 "$RIG_VIP6" 80 "$HELD_KEEP6" 100
	held_more rare keep 192.168.1.1 "$RIG_VIP4" 80 "$HELD_RARE" 2200
	held_more half half 192.168.1.1 "$RIG_VIP4" 8080 "$HELD_HALF" 100000 "$RIG_DIR/file"
	for ((i = 1; i <= HELD_SLOW; i++)); do held_curl $i; done
	for ((i = 1; i <= HELD_BULK; i++)); do held_iperf $i; done
	for ((i = 1; i <= HELD_SSH; i++)); do held_ssh $i; done
	held_new
	serve client same "$BUILD/held" same $HELD_SAME4 "$RIG_VIP4" 80 3 100
	HELD_ALIVE=$(held_named)
	HELD_BROKEN=0 HELD_NEW_BROKEN=0 HELD_NEW_TOTAL=0
	: >"$RIG_DIR/astray"
	need "$HELD_TOTAL connections are open" eventually 15 held_open
	sleep 1.2
}

held_open() {
	local name
	# shellcheck disable=SC2086 # names are words
	[ "$(held_lines open $HELD_KEEPERS)" -ge $((HELD_TOTAL - HELD_SLOW - HELD_BULK - HELD_SSH)) ] || return 1
	for name in $HELD_ALIVE; do [ "$(held_progress "$name")" -gt 0 ] || return 1; done
}

# held_lines EVENT CLIENT...: such events as rig/held.c's clients tell of them
held_lines() {
	local event=$1
	shift
	(cd "$RIG_DIR" && cat "${@/%/.log}" | grep -c "^[0-9]* $event ")
}

# Something that grows while a connection is alive.
held_progress() {
	case $1 in
	slow*) stat -c %s "$RIG_DIR/$1.got" 2>/dev/null || echo 0 ;;
	bulk*) grep -E 'sec .*bits/sec' "$RIG_DIR/$1.log" | grep -vc ' 0.00 Bytes ' ;;
	ssh*) grep -c '^backend' "$RIG_DIR/$1.log" ;;
	esac
}

# ---- what became of them --------------------------------------------------------------------------------------------------

# Of the clients that are processes, those that ended or stand still, for as long as rig/held.c gives an answer: each with
# its reason, a line each.
held_fallen() {
	local name end=$((SECONDS + 20)) waiting=$HELD_ALIVE still
	for name in $HELD_ALIVE; do held_progress "$name" >"$RIG_DIR/$name.progress"; done
	while [ -n "$waiting" ] && [ $SECONDS -lt $end ]; do
		sleep 0.2
		still=
		for name in $waiting; do
			if ! serves "$name"; then
				echo "$name: $(tail -n 1 "$RIG_DIR/$name.log")"
			elif [ "$(held_progress "$name")" -le "$(cat "$RIG_DIR/$name.progress")" ]; then
				still+=" $name"
			fi
		done
		waiting=$still
	done
	for name in $waiting; do echo "$name: stands still"; done
}

# What ssh's sessions were answered by more than one, or in another order than it was typed.
held_confused() {
	local i
	for ((i = 1; i <= HELD_SSH; i++)); do
		awk -v session="ssh$i" '/^backend/ { if (who && $1 != who) print session ": " who ", then " $1
			if ($3 != ++n) print session ": line " $3 " where " n " was due"; who = $1 }' "$RIG_DIR/ssh$i.log"
	done | head -n 5
}

# Every flow that a backend saw: CLIENT PORT VIP PORT BACKEND. Not of the client HELD_GIVEN_UP.
held_seen() {
	local n
	for ((n = 1; n <= RIG_BACKENDS; n++)); do
		host "backend$n" nft list table inet held | grep -oE '[0-9a-f.:]+ \. [0-9]+ \. [0-9a-f.:]+ \. [0-9]+ counter' |
			sed "s/ counter/ backend$n/; s/ \. / /g" | sort -u
	done | grep -v "^${HELD_GIVEN_UP:-nobody} "
}

# Of those, the ones that more than one backend saw, and all of its backends. Flows of the backend HELD_UNREACHABLE are
# left out: what comes of them while it counts as dead goes to another.
held_astray() {
	awk '{ flow = $1 " " $2 " " $3 " " $4; n[flow]++; who[flow] = who[flow] " " $5 }
		END { for (flow in n) if (n[flow] > 1) print flow who[flow] }' |
		grep -vE " ${HELD_UNREACHABLE:-nobody}( |\$)" | sort
}

# held_check WHAT: all that may be said of the time since the last check.
held_check() {
	local broken fallen astray seen failed opened new new_sentence n
	fallen=$(held_fallen)
	HELD_ALIVE=$(grep -vxF -f <(cut -d : -f 1 <<<"$fallen") <<<"$HELD_ALIVE")
	# shellcheck disable=SC2086 # names are words
	broken=$(held_lines broken $HELD_KEEPERS)
	{
		printf '%s' "${fallen:+$fallen$'\n'}"
		# shellcheck disable=SC2086
		held_broken $HELD_KEEPERS | tail -n +$((HELD_BROKEN + 1))
	} >"$RIG_DIR/fell"
	HELD_BROKEN=$broken
	expect_result "$([ ! -s "$RIG_DIR/fell" ]; echo $?)" \
		"$1: $(held_sentence "$(wc -l <"$RIG_DIR/fell")")" "$(head -n 8 "$RIG_DIR/fell")"
	held_seen >"$RIG_DIR/seen"
	astray=$(held_astray <"$RIG_DIR/seen" | comm -23 - "$RIG_DIR/astray" | tee "$RIG_DIR/astray.new")
	sort -o "$RIG_DIR/astray" "$RIG_DIR/astray" "$RIG_DIR/astray.new"
	seen=$(wc -l <"$RIG_DIR/seen")
	expect_result "$([ -z "$astray" ] && [ "$seen" -ge "$HELD_TOTAL" ]; echo $?)" \
		"$1: $(wc -l <"$RIG_DIR/astray.new") of $seen flows came to more than one backend" "$(head -n 8 <<<"$astray")"
	for ((n = 1; n <= RIG_BACKENDS; n++)); do
		host "backend$n" nft flush set inet held new4
		host "backend$n" nft flush set inet held new6
	done
	failed=$(held_lines broken new new6 same) opened=$(held_lines answered new new6 same)
	new=$(held_broken new new6 same | tail -n +$((HELD_NEW_BROKEN + 1)))
	new_sentence="$1: $((failed - HELD_NEW_BROKEN)) of $((failed + opened - HELD_NEW_TOTAL)) new connections broken"
	if grep -qx "${HELD_GIVEN_UP:-nobody}" <<<"$HELD_NEW4"; then
		echo "stated  $new_sentence"
	else
		expect_result "$([ -z "$new" ]; echo $?)" "$new_sentence" "$(head -n 8 <<<"$new")"
	fi
	HELD_NEW_BROKEN=$failed HELD_NEW_TOTAL=$((failed + opened))
}

held_sentence() { # BREAKS: what broke is opened anew by rig/held.c's clients, and may break again
	if [ "$1" = 0 ]; then echo "0 of $HELD_TOTAL connections broken"; else echo "$HELD_TOTAL connections broke $1 times"; fi
}

held_broken() { # CLIENT...: their breaks, in the order of time
	(cd "$RIG_DIR" && grep "^[0-9]* broken " /dev/null "${@/%/.log}") |
		sed 's/^\(.*\)\.log:\([0-9]* \)broken /\2\1: port /' | sort -n | cut -d ' ' -f 2-
}

# held_new_since MS CLIENT...: the backends that their new connections met since that time (date +%s%3N), as numbers
held_new_since() {
	local since=$1 name
	shift
	for name in "$@"; do cat "$RIG_DIR/$name.log"; done |
		awk -v since="$since" '$1 >= since && $2 == "answered" { gsub("backend|/.*", "", $4); print $4 }' | sort -u | xargs
}

held_ended() { ! serves "$1"; }

# The end of all clients: downloads hold what the file holds, lines came in order, each on one connection of one backend.
held_end() {
	local i
	sleep 2.5
	held_check "in the end"
	expect_equal "ssh: lines are answered in their order, each by the session that it was typed in" "" "$(held_confused)"
	for i in $HELD_KEEPERS new new6 same $(held_named); do ! serves "$i" || kill -TERM "$(cat "$RIG_DIR/$i.pid")"; done
	for i in $HELD_KEEPERS; do eventually 15 held_ended "$i"; done
	for i in $HELD_KEEPERS new new6 same $(held_named); do stop "$i"; done
	for ((i = 1; i <= HELD_SLOW; i++)); do
		expect "slow$i: $(held_progress "slow$i") bytes, each the file's" \
			cmp -n "$(held_progress "slow$i")" "$RIG_DIR/slow$i.got" "$RIG_DIR/file"
	done
	# shellcheck disable=SC2086 # names are words
	expect_equal "of $HELD_TOTAL connections all are there at the end" "$HELD_TOTAL" \
		"$(($(wc -w <<<"$HELD_ALIVE") + $(held_lines held $HELD_KEEPERS) + $(held_lines whole $HELD_KEEPERS)))"
}

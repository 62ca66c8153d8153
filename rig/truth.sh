# shellcheck shell=bash
# Faults made for real, each at a backend of its own and all at once, by one method and in both families; what the checks and
# the doctors say of them; and that what is said mends them. Sourced after rig.sh, expect.sh, servers.sh and tls.sh; the faults
# are rig/faults.sh.
#
# N names the backend that has a fault. Backend 1 has none, and is well all the time.

declare -A N
ROLES=(well unserved own unavailable paused wildcard deaf missing forwarding filtered routed cut strict loud narrow)
TUNNEL_ROLES=(closed refused)
TIMES="interval: 400ms, timeout: 400ms, fall: 2, rise: 1"
FORWARD=

# ---- what is served --------------------------------------------------------------------------------------------------

# checked HEALTH SERVICE-ARGUMENT...: a service of the configuration with such a check
checked() { service "${@:2}" | sed "s|^    forward: .*|&\n    health: {$1, $TIMES}|"; }

each() { # 4|6 ROLE...: their addresses
	local role
	for role in "${@:2}"; do backend_address "${N[$role]}" "$1"; done
}

# The same for both families: web of all, and for a few of them UDP, TLS, and a port for large requests.
configure() {
	local family vip six
	for family in 4 6; do
		if [ $family = 4 ]; then vip=$RIG_VIP4 six=; else vip=$RIG_VIP6 six=6; fi
		# shellcheck disable=SC2046 # addresses
		{
			checked "type: http" web$six "$vip" tcp 80 "$FORWARD" $(each $family "${!N[@]}" | sort -t . -k 4n)
			checked "type: udp, send: hello, expect: hello" echo$six "$vip" udp 7 "$FORWARD" $(each $family well wildcard deaf)
			checked "type: https, host: truth.test, ca: $RIG_DIR/tls/ca.crt" tls$six "$vip" tcp 443 "$FORWARD" \
				$(each $family well deaf)
			service large$six "$vip" tcp 8080 "$FORWARD" $(each $family narrow)
		}
	done | director_file
}

# web N [LISTEN...]: nginx, which answers STATUS or 200, with CERTIFICATE or the good one where it has TLS.
web() {
	local dir=$RIG_DIR/web$1 listen certificate=$RIG_DIR/tls/${CERTIFICATE:-good}
	mkdir -p "$dir/tmp"
	{
		echo "daemon off; user root; worker_processes 1; pid $dir/pid; error_log $dir/error.log;"
		echo "events { worker_connections 128; }"
		echo "http { access_log off; client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp;"
		echo "uwsgi_temp_path $dir/tmp; scgi_temp_path $dir/tmp; ssl_certificate $certificate.crt;"
		echo "ssl_certificate_key $certificate.key; server {"
		for listen in "${@:2}"; do echo "listen $listen:80; listen $listen:8080; listen $listen:443 ssl;"; done
		echo "location / { return ${STATUS:-200} well; } } }"
	} >"$dir/nginx.conf"
	serve "backend$1" "nginx$1" nginx -c "$dir/nginx.conf" -e "$dir/error.log"
}
everywhere() { web "$1" "$RIG_VIP4" "[$RIG_VIP6]" "10.3.0.$1" "[fd00:3::$1]"; }
again() { stop "nginx$1"; everywhere "$1"; }

echo_on() { # N IPV4 IPV6
	serve "backend$1" "echo$1" socat "UDP4-RECVFROM:7,bind=$2,fork,reuseaddr" EXEC:/bin/cat
	serve "backend$1" "echo6$1" socat "UDP6-RECVFROM:7,bind=[$3],ipv6only=1,fork,reuseaddr" EXEC:/bin/cat
}
echo_off() { stop "echo$1"; stop "echo6$1"; }

agent() { host "backend$1" "$BUILD/halfproxy-backend" "${@:2}"; } # N ARGUMENT...
turn() { host "$1" sh -c "echo $3 >/proc/sys/net/$2"; } # HOST KNOB VALUE
alias_off() { # N
	host "backend$1" ip addr del "$RIG_VIP4/32" dev lo
	host "backend$1" ip addr del "$RIG_VIP6/128" dev lo
}
up() { # N [FROM...]
	local from=()
	[ "$FORWARD" = l2 ] || from=(--from "${@:2}")
	agent "$1" up --vip "$RIG_VIP4" "$RIG_VIP6" --forward "$FORWARD" --interface eth0 "${from[@]}"
}

# ---- what checks say ---------------------------------------------------------------------------------------------------

# All verdicts, a line each: SERVICE N STATE CAUSE TEXT
verdicts() {
	hp status --json | jq -r '.services[] | .name as $service | .backends[] | select(.health) | (.address | sub(".*[.:]"; "")) as $n |
		"\($service) \($n) \(.health.state) \(.health.verdict.cause // "-") \(.health.verdict.text // "")"'
}
all_well() { ! verdicts | grep -vE '^\S+ \S+ up '; }

# told SENTENCE ROLE "SERVICE..." STATE CAUSE TEXT: to be said; told_all waits until each of them was.
TOLD=()
told() {
	local service
	for service in $3; do TOLD+=("$service ${N[$2]} $4 $5|$6|$1"); done
}
# Whether all are said by now; those that are not stay in TOLD.
told_now() {
	local all row begin text sentence said left=()
	all=$(verdicts)
	for row in "${TOLD[@]}"; do
		IFS='|' read -r begin text sentence <<<"$row"
		said=$(grep "^$begin " <<<"$all")
		if [[ $said = *"$text"* && -n $said ]]; then
			echo "ok      $FORWARD: $sentence: $said" >&3
		else
			left+=("$row")
		fi
	done
	TOLD=("${left[@]}")
	[ ${#TOLD[@]} = 0 ]
}
told_all() {
	local row begin text sentence
	eventually 20 told_now 3>&1
	for row in "${TOLD[@]}"; do
		IFS='|' read -r begin text sentence <<<"$row"
		expect_equal "$FORWARD: $sentence" "$begin $text" "$(verdicts | grep "^${begin% * *} ")"
	done
	TOLD=()
}
mended() { expect "$FORWARD: $1" eventually 15 all_well; }

# ---- what doctors say --------------------------------------------------------------------------------------------------

# found SENTENCE ROLE CAUSE [OPTION...]: the doctor of that backend, with these options, names it.
found() {
	local said
	said=$(agent "${N[$2]}" doctor --json "${@:4}")
	jq -e --arg id "$3" '[.items[] | select(.id == $id)] | length > 0' <<<"$said" >/dev/null
	expect_result $? "$FORWARD: $1: the backend's doctor finds $3" "$(jq -c '.items[] | select(.level != "ok")' <<<"$said")"
}
# by_fix ROLE [OPTION...]; by_command ROLE CAUSE: its --fix, or each command that it prints for the cause, is run.
by_fix() { agent "${N[$1]}" doctor --fix "${@:2}" >/dev/null; }
by_command() {
	agent "${N[$1]}" doctor --json | jq -r --arg id "$2" '.items[] | select(.id == $id).command' >"$RIG_DIR/commands"
	echo "        $FORWARD: by $(paste -sd ';' "$RIG_DIR/commands")"
	host "backend${N[$1]}" env PATH="$BUILD:$PATH" sh "$RIG_DIR/commands"
}

# The director's doctor: examined once, and again only for what it did not say.
DIRECTOR_SAID='{"items": []}'
examine() { DIRECTOR_SAID=$(hp doctor --json); }
# What it said of the cause, of any backend or of one by its addresses: an item a line
said() { # CAUSE [ADDRESS...]
	jq -c --arg id "$1" '.items[] | select(.id == $id and ($ARGS.positional == [] or
		(.text | split(" ")) - $ARGS.positional != (.text | split(" "))))' --args "${@:2}" <<<"$DIRECTOR_SAID"
}
# Whether it says so, by now: a host that was too busy to hear an answer says that first.
asked() { [ -n "$(said "$@")" ] || { examine; [ -n "$(said "$@")" ]; }; }
examined() { # SENTENCE ROLE CAUSE: of both of its addresses
	local family
	for family in 4 6; do
		eventually 10 asked "$3" "$(backend_address "${N[$2]}" $family)"
		expect_result $? "$FORWARD: $1: the director's doctor finds $3, IPv$family" \
			"$(jq -c '.items[] | select(.level != "ok")' <<<"$DIRECTOR_SAID")"
	done
}
# by_words ROLE CAUSE: what it says to run on the backend is run there.
by_words() {
	eventually 10 asked "$2" "10.3.0.${N[$1]}"
	eventually 10 asked "$2" "fd00:3::${N[$1]}"
	# shellcheck disable=SC2016 # backquotes of the text
	said "$2" "10.3.0.${N[$1]}" "fd00:3::${N[$1]}" | jq -r .mend | sed -n 's/.*`\(halfproxy-backend [^`]*\)`.*/\1/p' >"$RIG_DIR/commands"
	echo "        $FORWARD: by $(paste -sd ';' "$RIG_DIR/commands")"
	host "backend${N[$1]}" env PATH="$BUILD:$PATH" sh "$RIG_DIR/commands" >/dev/null
}

# ---- the whole -----------------------------------------------------------------------------------------------------------

# The kernel asks a silent neighbour again every half minute, and those that are managed every five seconds; here sooner.
be_quick() { # INTERFACE
	local knob family
	for knob in base_reachable_time_ms=1000 delay_first_probe_time=1 retrans_time_ms=200 interval_probe_time_ms=500; do
		for family in ipv4 ipv6; do turn director "$family/neigh/$1/${knob%=*}" "${knob#*=}"; done
	done
}

rig_of_truth() {
	local role n=0
	[ "$FORWARD" = l2 ] || ROLES+=("${TUNNEL_ROLES[@]}")
	rig_up "$FORWARD" 0 || exit 1
	for role in "${ROLES[@]}"; do
		[ $((++n)) != 10 ] || ((++n)) # 10.3.0.10 is the director's
		N[$role]=$n
		rig_backend $n
	done
	be_quick "$([ "$FORWARD" = l2 ] && echo eth1 || echo eth0)"
	tls_ca ca && tls_certificate good ca DNS:truth.test &&
		tls_certificate expired ca DNS:truth.test 20200101000000Z 20200102000000Z || exit 1
	for n in "${N[@]}"; do
		need "$FORWARD: backend $n is one" up "$n" 10.2.0.10 fd00:2::a
		everywhere "$n"
	done
	for role in well wildcard deaf; do echo_on "${N[$role]}" "$RIG_VIP4" "$RIG_VIP6"; done
	host switch ip link set "p-backend${N[narrow]}" mtu 1400 # before anything is probed
	configure
	need "$FORWARD: halfproxyd runs" director_up
	need "$FORWARD: all is well" eventually 15 all_well
}

truth() { # l2|ipip|gue
	FORWARD=$1
	rig_of_truth
	faults_at_backends
	faults_around
	finish
}

#!/bin/bash
# Why a backend is down: faults that are made for real at one of two backends, by every method and in both families, and the
# cause that the director names in its status. The probes go to the VIP, down the path of clients' packets.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

HEALTH="{type: http, interval: 250ms, timeout: 200ms, fall: 2, rise: 1}"
FORWARD=

# ---- what is served --------------------------------------------------------------------------------------------------

checked() { # SERVICE-LINES HEALTH
	sed "s/^    forward: .*/&\n    health: $1/"
}
configure() {
	{
		service web "$RIG_VIP4" tcp 80 "$FORWARD" 10.3.0.1 10.3.0.2 | checked "$HEALTH"
		service web6 "$RIG_VIP6" tcp 80 "$FORWARD" fd00:3::1 fd00:3::2 | checked "$HEALTH"
		service echo "$RIG_VIP4" udp 7 "$FORWARD" 10.3.0.1 10.3.0.2 |
			checked "{type: udp, send: hello, expect: hello, interval: 250ms, timeout: 200ms, fall: 2, rise: 1}"
	} | director_file
}

# nginx on the VIPs and the own addresses.
web() { # N [LISTEN...]
	local dir=$RIG_DIR/web$1 listen
	mkdir -p "$dir/tmp"
	{
		echo "daemon off; user root; worker_processes 1; pid $dir/pid; error_log $dir/error.log;"
		echo "events { worker_connections 128; }"
		echo "http { access_log off; client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp;"
		echo "uwsgi_temp_path $dir/tmp; scgi_temp_path $dir/tmp; server {"
		for listen in "${@:2}"; do echo "listen $listen:80;"; done
		echo "location / { return ${STATUS:-200} well; } } }"
	} >"$dir/nginx.conf"
	serve "backend$1" "nginx$1" nginx -c "$dir/nginx.conf" -e "$dir/error.log"
}
everywhere() { web "$1" "$RIG_VIP4" "[$RIG_VIP6]" "10.3.0.$1" "[fd00:3::$1]"; }
echo_on() { # N ADDRESS
	serve "backend$1" "echo$1" socat "UDP-RECVFROM:7,bind=$2,fork,reuseaddr" EXEC:/bin/cat
}
backend() { host "backend$1" "$BUILD/halfproxy-backend" "${@:2}"; }
up() { # N
	local from=(--from any)
	[ "$FORWARD" != l2 ] || from=()
	backend "$1" up --vip "$RIG_VIP4" "$RIG_VIP6" --forward "$FORWARD" --interface eth0 "${from[@]}" >/dev/null
}

# ---- what is said ------------------------------------------------------------------------------------------------------

health() { # SERVICE N
	hp status --json | jq -r --arg service "$1" --argjson at $(($2 - 1)) \
		'.services[] | select(.name == $service).backends[$at].health | "\(.state) \(.verdict.cause // "-") \(.verdict.text // "")"'
}
is_well() { [[ $(health "$1" 1) = "up -"* && $(health "$1" 2) = "up -"* ]]; }
all_well() { is_well web && is_well web6 && is_well echo; }
says() { # SERVICE STATE CAUSE TEXT: of backend 2
	local said
	said=$(health "$1" 2)
	[[ $said = "$2 $3 "*"$4"* ]]
}

# named SENTENCE SERVICE STATE CAUSE TEXT
named() {
	if eventually 8 says "${@:2}"; then
		echo "ok      $FORWARD: $1 ($2): $(health "$2" 2)"
	else
		expect_equal "$FORWARD: $1 ($2)" "$3 $4 $5" "$(health "$2" 2)"
	fi
}
both() { # SENTENCE STATE CAUSE TEXT: of web and web6
	named "$1" web "${@:2}"
	named "$1" web6 "${@:2}"
}
# found SENTENCE CAUSE [OPTION...]: the doctor on backend 2, with these options, names it as well.
found() {
	local said
	said=$(backend 2 doctor --json "${@:3}")
	jq -e --arg id "$2" '[.items[] | select(.id == $id)] | length > 0' <<<"$said" >/dev/null
	expect_result $? "$FORWARD: $1: the backend's doctor finds $2" "$(jq -c '.items[] | select(.level != "ok")' <<<"$said")"
}
fixed() { # [OPTION...]: and mends it
	backend 2 doctor --fix "$@" >/dev/null
	expect "$FORWARD: its doctor's --fix mends it" eventually 8 all_well
}
mended() { need "$FORWARD: $1" eventually 8 all_well; }
filter() { # HOST RULE
	host "$1" nft -f - <<-END
		table inet truth {
		    chain out { type filter hook output priority 0; $2; }
		    chain through { type filter hook forward priority 0; $2; }
		}
	END
}
unfilter() { host "$1" nft delete table inet truth; }
turn() { # KNOB VALUE: at backend 2
	host backend2 sh -c "echo $2 >/proc/sys/net/$1"
}
alias_off() {
	host backend2 ip addr del "$RIG_VIP4/32" dev lo
	host backend2 ip addr del "$RIG_VIP6/128" dev lo
}

# ---- faults ------------------------------------------------------------------------------------------------------------

faults_of_servers() {
	stop nginx2
	both "no server runs" failing NOT_LISTENING "nothing listens on"
	web 2 10.3.0.2 "[fd00:3::2]"
	both "it listens on its own address only" failing OWN_ADDRESS_ONLY "(RST from the VIP)"
	found "it listens on its own address only" OWN_ADDRESS_ONLY
	stop nginx2
	STATUS=503 everywhere 2
	both "it answers 503" failing WRONG_ANSWER "HTTP 503"
	stop nginx2
	everywhere 2
	mended "the server is back"
	# shellcheck disable=SC2046 # numbers
	kill -STOP $(pgrep -P "$(cat "$RIG_DIR/nginx2.pid")")
	both "it is paused" failing TOO_SLOW "of 0.2 s allowed"
	# shellcheck disable=SC2046
	kill -CONT $(pgrep -P "$(cat "$RIG_DIR/nginx2.pid")")
	stop echo2
	named "nobody listens by UDP" echo failing NOT_LISTENING "ICMP port unreachable"
	echo_on 2 0.0.0.0
	named "a wildcard socket answers" echo failing WRONG_SOURCE "answers come from 10.3.0.2 and not from the VIP"
	found "a wildcard socket answers" WRONG_SOURCE
	stop echo2
	echo_on 2 "$RIG_VIP4"
	mended "all is well again"
}

faults_of_addresses() {
	alias_off
	both "the VIP is missing" failing VIP_MISSING "is not on the backend"
	found "the VIP is missing" VIP_MISSING
	fixed
	alias_off
	turn ipv4/ip_forward 1
	turn ipv6/conf/all/forwarding 1
	host backend2 ip -6 route replace default via fd00:3::fe dev eth0
	sleep 1
	named "the VIP is missing, and the backend forwards" web failing VIP_MISSING "ICMP"
	named "the VIP is missing, and the backend forwards" web6 failing VIP_MISSING "ICMP"
	found "the backend forwards" FORWARD_LOOP
	fixed
	turn ipv4/ip_forward 0
	turn ipv6/conf/all/forwarding 0
}

faults_of_the_way() {
	filter backend2 "ip saddr $RIG_VIP4 tcp sport 80 drop; ip6 saddr $RIG_VIP6 tcp sport 80 drop"
	both "the backend's own filter drops its answers" failing PORT_SILENT "lost on the way back"
	unfilter backend2
	filter router "ip saddr $RIG_VIP4 tcp sport 80 ip daddr 10.2.0.10 drop; ip6 saddr $RIG_VIP6 tcp sport 80 drop"
	sleep 1
	both "a filter on the way drops answers" failing PORT_SILENT "lost on the way back"
	unfilter router
	mended "answers pass"
	host director nft -f - <<-END
		table inet truth {
		    chain in {
		        type filter hook input priority 0
		        ip saddr $RIG_VIP4 tcp sport 80 drop
		        ip6 saddr $RIG_VIP6 tcp sport 80 drop
		    }
		}
	END
	both "the director's own filter drops answers" failing ANSWERS_LOST "they reach this host"
	unfilter director
	mended "the director hears again"
	host backend2 ip link set eth0 down
	if [ "$FORWARD" = l2 ]; then
		named "the cable is out" web dead BACKEND_SILENT "does not answer at all"
	else
		both "the cable is out" dead BACKEND_SILENT "does not answer at all"
	fi
	host backend2 ip link set eth0 up
	host backend2 ip addr replace fd00:3::2/64 dev eth0 nodad
	host backend2 ip route replace default via 10.3.0.254
	host backend2 ip -6 route replace default via fd00:3::fe dev eth0
	mended "the cable is in"
}

faults_of_size() {
	host router nft -f - <<-END
		table inet truth { chain through { type filter hook forward priority 0; ip daddr { 10.3.0.2, $RIG_VIP4 } meta length > 1400 drop
		ip6 daddr { fd00:3::2, $RIG_VIP6 } meta length > 1400 drop
		}
		}
	END
	stop nginx2
	both "no server runs" failing NOT_LISTENING "nothing listens on"
	everywhere 2
	both "full-size packets get lost on the way" up PATH_MTU "full-size packets do not arrive"
	unfilter router
}

faults_of_tunnels() {
	host backend2 ip link set dev eth0 xdp off 2>/dev/null
	backend 2 down >/dev/null
	host backend2 ip addr add "$RIG_VIP4/32" dev lo
	host backend2 ip addr add "$RIG_VIP6/128" dev lo nodad
	named "the tunnel is not opened" web failing NOT_DECAPSULATED "tunnel is not decapsulated (ICMP"
	named "the tunnel is not opened" web6 failing NOT_DECAPSULATED "tunnel is not decapsulated (ICMP"
	found "the tunnel is not opened" NOT_DECAPSULATED --vip "$RIG_VIP4" "$RIG_VIP6" --forward "$FORWARD" --from any --interface eth0
	fixed --vip "$RIG_VIP4" "$RIG_VIP6" --forward "$FORWARD" --from any --interface eth0
}

for FORWARD in ${METHODS:-l2 ipip gue}; do
	rig_up "$FORWARD" 2 || exit 1
	for n in 1 2; do
		need "$FORWARD: backend $n is one" up $n
		everywhere $n
		echo_on $n "$RIG_VIP4"
	done
	configure
	need "$FORWARD: halfproxyd runs" director_up
	need "$FORWARD: all is well" eventually 10 all_well
	faults_of_servers
	faults_of_addresses
	faults_of_the_way
	[ "$FORWARD" = l2 ] || faults_of_tunnels
	[ "$FORWARD" = l2 ] || faults_of_size
	[ "$FORWARD" = gue ] || rig_down
done
finish

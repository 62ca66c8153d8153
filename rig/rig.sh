# shellcheck shell=bash
# The reference topology in network namespaces, and short verbs to use it. Sourced by the demo and the tests.
#
#      client                     router                           director
#   192.168.1.1 eth0 --- client0 .254  .254 director0 --- eth0 10.2.0.10     VIP 10.2.0.1: an address of no host;
#     fd00:1::1             fd00:X::fe                         fd00:2::a     the XDP program answers ARP and ND
#                               | backend0                       | eth1 10.3.0.10, fd00:3::a
#                               |  10.3.0.254, fd00:3::fe        |  (only in rig_up l2)
#                               p-router                         p-director
#                            -------------- switch (a bridge), 10.3.0.0/24, fd00:3::/64 ---------------
#                               p-backend1              p-backend2  ...
#                               | eth0                  | eth0
#                            backend1 10.3.0.1       backend2 10.3.0.2           VIP on their loopback
#                                     fd00:3::1               fd00:3::2          (halfproxy-backend up)
#
# rig_second gives it another director, director2, behind the router's second cable (other0 .254 --- eth0 10.2.1.10,
# fd00:4::a; eth1 10.3.0.11, fd00:3::b), and the router a multipath route to the VIPs.
#
# What XDP sends never reaches the director's own taps, so captures of the director are made at the other end of
# its cables: director0 at the router, p-director at the switch. Whatever a rig makes bears the name $RIG
# (hp and the shell's number) or lies in $RIG_DIR, so that several rigs run side by side; rig_down, which a trap
# calls however the shell ends, removes it.

RIG=hp$$
RIG_DIRECTOR=director
RIG_OPTIONS=()
RIG_BEFORE=()
RIG_VIP4=10.2.0.1
RIG_VIP6=fd00:2::1
RIG_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$RIG_ROOT/build}

rig_say() { printf '%s\n' "$*" >&2; }

# host NAME COMMAND...: run it on that host. Not by `ip netns exec`, which would hide the BPF file system.
host() { nsenter --net="/run/netns/$RIG-$1" -- "${@:2}"; }

# rig_host NAME [forwarding]
rig_host() {
	local knobs=(ipv4/conf/{all,default}/{rp_filter,send_redirects}"=0" ipv6/conf/{all,default}/accept_dad"=0"
		ipv6/conf/default/{router_solicitations,autoconf}"=0")
	[ -z "${2-}" ] || knobs+=(ipv4/ip_forward"=1" ipv6/conf/all/forwarding"=1")
	ip netns add "$RIG-$1"
	host "$1" ip link set lo up
	# shellcheck disable=SC2016 # for the inner shell
	host "$1" sh -c 'for knob; do echo "${knob#*=}" >"/proc/sys/net/${knob%=*}"; done' sh "${knobs[@]}"
}

# cable HOST IF HOST IF: as real frames: no checksum left to be filled in, no merged packets.
cable() {
	local end
	ip link add "$2" netns "$RIG-$1" type veth peer name "$4" netns "$RIG-$3"
	for end in "$1 $2" "$3 $4"; do
		host "${end% *}" ethtool -K "${end#* }" tx off gro off >/dev/null
		host "${end% *}" ip link set "${end#* }" up
	done
}

# address HOST IF IPV4 IPV6, each with its prefix length
address() {
	host "$1" ip addr add "$3" dev "$2"
	host "$1" ip addr add "$4" dev "$2" nodad
}

gateway() { # HOST IF IPV4 IPV6
	host "$1" ip route add default via "$3" dev "$2"
	host "$1" ip -6 route add default via "$4" dev "$2"
}

# plug HOST IF PORT: into the backends' switch
plug() {
	cable "$1" "$2" switch "$3"
	host switch ip link set "$3" master lan
}

# Compile rig/pass.bpf.c. The machine of rig/guest has no compiler, and was given the object.
pass_object() {
	if [ -n "${GUEST-}" ]; then
		cp "$BUILD/pass.o" "$1"
	else
		"$(command -v clang-19 || command -v clang)" -target bpf -O2 -g -I"/usr/include/$(uname -m)-linux-gnu" \
			-c "$RIG_ROOT/rig/pass.bpf.c" -o "$1"
	fi
}

# A veth sends what XDP returns only if its far end has an XDP program too.
pass_program() {
	host "$1" ip link set dev "$2" xdpdrv obj "$RIG_DIR/pass.o" sec xdp
}

# rig_up l2|ipip|gue|gre [BACKENDS]: make the topology; l2 gives the director its leg among the backends.
rig_up() {
	local forward=$1 n
	RIG_BACKENDS=${2:-1}
	RIG_DIR=$(mktemp -d "${TMPDIR:-/tmp}/$RIG.XXXXXX")
	RIG_PINS=/sys/fs/bpf/$RIG
	export HALFPROXY_SOCKET=$RIG_DIR/api.sock
	chmod 755 "$RIG_DIR"
	trap rig_down EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	pass_object "$RIG_DIR/pass.o"
	rig_host client
	rig_host router forwarding
	rig_host director
	rig_host switch
	host switch ip link add lan type bridge
	host switch ip link set lan up
	cable client eth0 router client0
	cable director eth0 router director0
	plug router backend0 p-router
	address client eth0 192.168.1.1/24 fd00:1::1/64
	address router client0 192.168.1.254/24 fd00:1::fe/64
	address router director0 10.2.0.254/24 fd00:2::fe/64
	address router backend0 10.3.0.254/24 fd00:3::fe/64
	address director eth0 10.2.0.10/24 fd00:2::a/64
	gateway client eth0 192.168.1.254 fd00:1::fe
	gateway director eth0 10.2.0.254 fd00:2::fe
	pass_program router director0
	if [ "$forward" = l2 ]; then
		plug director eth1 p-director
		address director eth1 10.3.0.10/24 fd00:3::a/64
		pass_program switch p-director
	fi
	for ((n = 1; n <= RIG_BACKENDS; n++)); do rig_backend "$n"; done
}

# Another backend, beside those of rig_up: rig_backend N
rig_backend() {
	rig_host "backend$1"
	plug "backend$1" eth0 "p-backend$1"
	address "backend$1" eth0 "10.3.0.$1/24" "fd00:3::$1/64"
	gateway "backend$1" eth0 10.3.0.254 fd00:3::fe
}

# A second director, and flows spread over both by a hash of addresses and ports: rig_second l2|ipip|gue|gre VIP...
rig_second() {
	rig_host director2
	cable director2 eth0 router other0
	address router other0 10.2.1.254/24 fd00:4::fe/64
	address director2 eth0 10.2.1.10/24 fd00:4::a/64
	gateway director2 eth0 10.2.1.254 fd00:4::fe
	pass_program router other0
	if [ "$1" = l2 ]; then
		plug director2 eth1 p-director2
		address director2 eth1 10.3.0.11/24 fd00:3::b/64
		pass_program switch p-director2
	fi
	# shellcheck disable=SC2016 # for the inner shell
	host router sh -c 'for knob in ipv4 ipv6; do
		echo 1 >/proc/sys/net/$knob/fib_multipath_hash_policy
		echo 1 >/proc/sys/net/$knob/conf/all/ignore_routes_with_linkdown
		done'
	rig_spread "1 2" "${@:2}"
}

# Where the router sends packets to these VIPs: rig_spread "1 2"|1|2 VIP...
rig_spread() {
	local vip way ways
	for vip in "${@:2}"; do
		ways=()
		for way in $1; do
			ways+=(nexthop via "$(rig_way "$way" "$vip")" dev "$([ "$way" = 1 ] && echo director0 || echo other0)")
		done
		host router ip route replace "$vip" "${ways[@]}"
	done
}
rig_way() { # DIRECTOR VIP
	if [[ $2 = *:* ]]; then
		[ "$1" = 1 ] && echo fd00:2::a || echo fd00:4::a
	else
		[ "$1" = 1 ] && echo 10.2.0.10 || echo 10.2.1.10
	fi
}

# second COMMAND...: one of the verbs below, at director2 with a configuration, pins and a socket of its own.
second() {
	local RIG_DIRECTOR=director2
	local -x HALFPROXY_SOCKET=$RIG_DIR/api2.sock
	"$@"
}

# Leave everything as it is when the shell ends; rig_adopt RIG takes it over again, to remove it.
rig_keep() {
	captures_end
	trap - EXIT INT TERM HUP
	echo "$RIG_PINS $HALFPROXY_SOCKET" >"$RIG_DIR/kept"
}

rig_adopt() {
	local folders
	RIG=$1
	folders=("${TMPDIR:-/tmp}/$RIG".*)
	RIG_DIR=${folders[0]}
	[[ $RIG =~ ^hp[0-9]+$ ]] && [ -f "$RIG_DIR/kept" ] || { RIG_DIR=; return 1; }
	read -r RIG_PINS HALFPROXY_SOCKET <"$RIG_DIR/kept"
	export HALFPROXY_SOCKET
}

# Remove whatever the rig made. Callable at any time, also twice, also after half a rig_up.
rig_down() {
	local status=$? name number pid
	trap - EXIT
	trap '' INT TERM HUP
	[ -n "${RIG_DIR-}" ] || return $status
	captures_end
	for name in "$RIG_DIR"/*.pid; do
		[ ! -e "$name" ] || kill -TERM "$(cat "$name")"
	done 2>/dev/null
	for name in "$RIG_DIR"/*.pid; do
		[ ! -e "$name" ] || stop "$(basename "$name" .pid)" TERM
	done
	for name in $(ip netns list | sed -n "s/^$RIG-\(backend[0-9]*\).*/\1/p"); do
		host "$name" "$BUILD/halfproxy-backend" down >/dev/null 2>&1
	done
	for number in '' 2; do
		[ -e "/run/netns/$RIG-director$number" ] && [ -d "$RIG_PINS$number" ] || continue
		host "director$number" "$BUILD/halfproxyd" --unload --pins "$RIG_PINS$number" --state "$RIG_DIR/state$number" \
			>/dev/null 2>&1
	done
	for name in $(ip netns list | sed -n "s/^\($RIG-[a-z0-9]*\).*/\1/p"); do
		for pid in $(ip netns pids "$name"); do kill -KILL "$pid"; done 2>/dev/null # what servers left, such as sessions
		ip netns del "$name"
	done
	rm -rf "$RIG_PINS" "${RIG_PINS}2" "$RIG_DIR"
	RIG_DIR=
	trap - INT TERM HUP
	return $status
}

# serve HOST NAME COMMAND...: start it there; its output goes to $RIG_DIR/NAME.log.
serve() {
	nsenter --net="/run/netns/$RIG-$1" -- "${@:3}" >>"$RIG_DIR/$2.log" 2>&1 </dev/null &
	echo $! >"$RIG_DIR/$2.pid"
}

# Whether what serve started still runs.
serves() { kill -0 "$(cat "$RIG_DIR/$1.pid")" 2>/dev/null; }

# stop NAME [SIGNAL]: end it and wait; after 5 s by force.
stop() {
	local pid tries
	pid=$(cat "$RIG_DIR/$1.pid" 2>/dev/null) || return 0
	rm -f "$RIG_DIR/$1.pid"
	kill -"${2:-TERM}" "$pid" 2>/dev/null || return 0
	for ((tries = 0; tries < 50; tries++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	return 0
}

# eventually SECONDS COMMAND...: repeat it until it succeeds. The seconds are those that pass between its attempts: what
# these take for themselves, on a busy machine most of the time, does not count, up to ten times as much.
eventually() {
	local rest=$(($1 * 10)) end=$((SECONDS + $1 * 10))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $((rest--)) -gt 0 ] && [ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# capture HOST IF NAME [FILTER...]: whole frames into $RIG_DIR/NAME.pcap until captures_end.
capture() {
	nsenter --net="/run/netns/$RIG-$1" -- tcpdump -Z root --immediate-mode -U -n -i "$2" -s "${RIG_SNAPLEN:-0}" -B 16384 \
		-w "$RIG_DIR/$3.pcap" "${@:4}" 2>"$RIG_DIR/$3.tcpdump" &
	echo $! >"$RIG_DIR/$3.capturing"
	eventually 5 grep -q 'listening on' "$RIG_DIR/$3.tcpdump"
}

captures_end() {
	local file pid
	sleep 0.3 # what is still in a ring
	for file in "$RIG_DIR"/*.capturing; do
		[ -e "$file" ] || continue
		pid=$(cat "$file")
		kill -INT "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
		rm -f "$file"
	done
}

# packets NAME [FILTER...]: those captured, a line each, with MAC addresses and lengths.
packets() { tcpdump -nn -e -r "$RIG_DIR/$1.pcap" "${@:2}" 2>/dev/null; }

# malformed NAME FILTER: what tshark finds malformed among the frames that its filter takes. Streams are not put
# together: a retransmission that overlaps is no fault of a frame.
malformed() {
	tshark -X "lua_script:$RIG_ROOT/rig/gue.lua" -r "$RIG_DIR/$1.pcap" -o tcp.desegment_tcp_streams:FALSE \
		-Y "($2) && _ws.malformed" 2>/dev/null
}

# ---- halfproxy on this rig --------------------------------------------------------------------------------------

# Backend number N's address, of VIP's family or as asked: backend_address N [4|6]
backend_address() {
	if [ "${2:-4}" = 6 ]; then echo "fd00:3::$1"; else echo "10.3.0.$1"; fi
}

# service NAME VIP PROTOCOL PORT FORWARD BACKEND...: one service's lines for director_file.
service() {
	local backend
	printf '  - name: %s\n    vip: %s\n    protocol: %s\n    port: %s\n    forward: %s\n    backends:\n' "${@:1:5}"
	for backend in "${@:6}"; do
		printf '      - {address: "%s", weight: %s}\n' "${backend%=*}" \
			"$([[ $backend = *=* ]] && echo "${backend#*=}" || echo 1)"
	done
}

# The director's number in names of files: none, or 2.
rig_number() { echo "${RIG_DIRECTOR#director}"; }

# director_file < SERVICES: write $RIG_DIR/halfproxy.yaml around the services on standard input.
director_file() {
	local file
	file=$RIG_DIR/halfproxy$(rig_number).yaml
	{
		echo "interfaces: [${RIG_INTERFACES:-eth0}]"
		echo "api: {socket: $HALFPROXY_SOCKET}"
		[ -z "${RIG_LIMITS-}" ] || echo "limits: $RIG_LIMITS"
		[ -z "${RIG_TUNNEL-}" ] || echo "tunnel: $RIG_TUNNEL"
		echo "services:"
		cat
	} >"$file.new"
	mv "$file.new" "$file"
}

# Start halfproxyd on the director, with the options RIG_OPTIONS, by the words RIG_BEFORE if there are any, and wait until it answers.
director_up() {
	local number name
	number=$(rig_number)
	name=halfproxyd$number
	serve "$RIG_DIRECTOR" "$name" "${RIG_BEFORE[@]}" "$BUILD/halfproxyd" -c "$RIG_DIR/halfproxy$number.yaml" --pins "$RIG_PINS$number" \
		--state "$RIG_DIR/state$number" "${RIG_OPTIONS[@]}"
	eventually 20 hp status && return 0
	rig_say "$name did not come up:" "$(cat "$RIG_DIR/$name.log")"
	return 1
}

# The command line, at the director: hp ARGUMENT...
hp() { host "$RIG_DIRECTOR" "$BUILD/halfproxy" "$@"; }

# Whether every backend of every service is ready.
all_ready() {
	hp status --json | jq -e '[.services[].backends[].state == "ready"] | all and length > 0'
}

# backend_up N VIP FORWARD [FROM...]: make it a DSR backend.
backend_up() {
	local n=$1 vip=$2 forward=$3 from=()
	shift 3
	for address in "$@"; do from+=(--from "$address"); done
	host "backend$n" "$BUILD/halfproxy-backend" up --vip "$vip" --forward "$forward" --interface eth0 "${from[@]}"
}

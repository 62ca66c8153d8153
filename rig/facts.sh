# shellcheck shell=bash
# The five facts of the reference flow, read out of captures and nothing else. Sourced after rig.sh.
#
# facts_capture starts the captures; after the traffic facts_read closes them and gathers what the fact_N
# functions judge. Each fact_N says whether it holds; what it found stands in $FACT.
#
#     name     where                                       sees
#     client   client, eth0                                what the client sends and gets
#     front    router's end of the director's eth0 cable   what enters and leaves the director there
#     back     switch's end of its eth1 cable (l2)         the same for its leg among the backends
#     wire     switch's end of the backend's cable         what the cable carries, tunnel headers and all
#     backend  backend1, eth0                              what reaches the backend's stack (after XDP)

FACT_LEGS=front

facts_capture() { # VIP l2|ipip|gue|gre [BYTES-OF-A-FRAME]
	FACT_VIP=$1 FACT_FORWARD=$2 FACT_FAMILY=4 FACT_CLIENT=192.168.1.1
	RIG_SNAPLEN=${3:-256}
	[[ $1 != *:* ]] || { FACT_FAMILY=6 FACT_CLIENT=fd00:1::1; }
	FACT_BACKEND=$(backend_address 1 $FACT_FAMILY)
	capture client eth0 client
	capture router director0 front
	[ "$FACT_FORWARD" != l2 ] || { capture switch p-director back && FACT_LEGS="front back"; }
	capture switch p-backend1 wire
	capture backend1 eth0 backend
}

# The MAC address of an interface; not from /sys, which shows the network namespace that mounted it.
mac() { host "$1" ip -o link show dev "$2" 2>/dev/null | sed -n 's/.*link\/ether \([0-9a-f:]*\).*/\1/p'; }

# Ask for the VIP's MAC address on the backends' own segment, where nobody may answer, and then on the director's.
facts_ask() {
	host router ip neigh flush dev director0
	host router ip neigh replace "$FACT_VIP" dev backend0 nud none use
	host router ip neigh replace "$FACT_VIP" dev director0 nud none use
	sleep 1.2
	host router ip neigh del "$FACT_VIP" dev backend0
}

count() { packets "$@" | wc -l; }
bytes() { packets "$@" | sed 's/.*), length \([0-9]*\):.*/\1/' | awk '{ sum += $1 } END { print sum + 0 }'; }

# The first packet of a capture that the filter takes, addresses on.
first() { packets "$@" | head -n 1 | sed 's/^[^,]*, ethertype [^,]*, length \([0-9]*\): \(.*\)/\2/; s/, \(seq\|ack\|cksum\).*//
	s/ (\([0-9]*\))$//'; }

# facts_frames NAME SKIP [FILTER...]: IP packets in hexadecimal, a line each, SKIP bytes of outer header taken off.
facts_frames() {
	tcpdump -nn -x -r "$RIG_DIR/$1.pcap" "${@:3}" 2>/dev/null |
		awk -v skip="$2" 'function out() { if (line != "") print substr(line, 2 * skip + 1) }
			/^[^\t]/ { out(); line = "" }
			/^\t0x/ { sub(/^\t0x[0-9a-f]*: */, ""); gsub(/ /, ""); line = line $0 }
			END { out() }' | sort
}

facts_read() {
	local to_vip="dst host $FACT_VIP and (tcp or udp)" outer=20 tunnel="ip proto 4"
	captures_end
	FACT_DIRECTOR_MACS="$(mac director eth0)|$(mac director eth1)"
	FACT_IN="ether dst $(mac director eth0) and $to_vip"
	[ "$FACT_FAMILY" = 4 ] || { outer=40 tunnel="ip6 proto 41"; }
	[ "$FACT_FORWARD" != gue ] || { outer=$((outer + 12)) tunnel="udp dst port 6080"; }
	[ "$FACT_FORWARD" != gre ] || { outer=$((outer + 4)) tunnel="proto 47"; }
	if [ "$FACT_FORWARD" = l2 ]; then
		FACT_LEG=back FACT_OUT="ether src $(mac director eth1) and $to_vip" FACT_OUTER=0
	else
		FACT_LEG=front FACT_OUT="ether src $(mac director eth0) and dst host $FACT_BACKEND and $tunnel"
		FACT_OUTER=$outer
	fi
	FACT_ANSWER="src host $FACT_VIP and dst host $FACT_CLIENT and (tcp or udp)"
	facts_frames front 0 "$FACT_IN" >"$RIG_DIR/entered"
	facts_frames "$FACT_LEG" "$FACT_OUTER" "$FACT_OUT" >"$RIG_DIR/forwarded"
	facts_frames backend 0 "$to_vip" >"$RIG_DIR/accepted"
}

fact_1() {
	local n others
	n=$(count client "src host $FACT_CLIENT and dst host $FACT_VIP and (tcp or udp)")
	others=$(count client "src host $FACT_CLIENT and (tcp or udp) and not dst host $FACT_VIP")
	FACT="$n packets from $FACT_CLIENT, all of them to $FACT_VIP"
	[ "$n" -gt 0 ] || { FACT="the client sent nothing to $FACT_VIP"; return 1; }
	[ "$others" = 0 ] || { FACT="$others packets went to others than $FACT_VIP"; return 1; }
}

fact_2() {
	local entered forwarded
	entered=$(wc -l <"$RIG_DIR/entered") forwarded=$(wc -l <"$RIG_DIR/forwarded")
	FACT="$forwarded of $entered packets forwarded, and each reached the backend as it entered the director, byte for byte"
	[ "$entered" -gt 0 ] || { FACT="nothing for $FACT_VIP came to the director"; return 1; }
	cmp -s "$RIG_DIR/entered" "$RIG_DIR/forwarded" || {
		FACT="$entered packets entered the director, $forwarded left it, and they differ"
		return 1
	}
	cmp -s "$RIG_DIR/forwarded" "$RIG_DIR/accepted" || {
		FACT="$forwarded packets left the director, $(wc -l <"$RIG_DIR/accepted") reached the backend's stack, and they differ"
		return 1
	}
}

# Who says in this capture that it has the VIP: their MAC addresses.
facts_claimers() {
	if [ "$FACT_FAMILY" = 4 ]; then
		packets "$1" "arp[6:2] = 2" | grep -F " $FACT_VIP is-at " | awk '{ print $2 }'
	else
		packets "$1" "icmp6 and ip6[40] = 136" | grep -E "tgt is $FACT_VIP(,|\$| )" | awk '{ print $2 }'
	fi
}

# How often this capture shows somebody asking who has the VIP.
facts_asked() {
	if [ "$FACT_FAMILY" = 4 ]; then
		packets "$1" "arp[6:2] = 1" | grep -cF "who-has $FACT_VIP "
	else
		packets "$1" "icmp6 and ip6[40] = 135" | grep -cE "who has $FACT_VIP(,|\$| )"
	fi
}

fact_3() {
	local alias name claimers others asked
	alias=$(host backend1 ip -o addr show to "$FACT_VIP" | awk '{ print $2, $4 }')
	asked=$(facts_asked wire)
	claimers=$(for name in $FACT_LEGS wire; do facts_claimers "$name"; done | sort -u)
	others=$(grep -vE "^($FACT_DIRECTOR_MACS)\$" <<<"$claimers" | tr '\n' ' ')
	FACT="alias: $alias; asked $asked times on its cable, it never answered for the VIP; the director ($(tr '\n' ' ' <<<"$claimers" | sed 's/ $//')) alone did"
	[ "$alias" = "lo $FACT_VIP/$([ "$FACT_FAMILY" = 4 ] && echo 32 || echo 128)" ] ||
		{ FACT="the VIP should be an alias on lo alone, but stands at: ${alias:-nothing}"; return 1; }
	[ "$asked" -gt 0 ] || { FACT="nobody asked for the VIP at the backend's cable, so its silence proves nothing"; return 1; }
	[ -n "$claimers" ] || { FACT="nobody answered for the VIP, not even the director"; return 1; }
	[ -z "${others// /}" ] || { FACT="$others answered for the VIP as well, and not only the director ($FACT_DIRECTOR_MACS)"; return 1; }
}

fact_4() {
	local n own
	n=$(count wire "$FACT_ANSWER")
	own=$(count wire "src host $FACT_BACKEND and dst host $FACT_CLIENT and (tcp or udp)")
	FACT="$n packets from $FACT_VIP to $FACT_CLIENT, none from $FACT_BACKEND"
	[ "$n" -gt 0 ] || { FACT="the backend sent nothing from $FACT_VIP to $FACT_CLIENT"; return 1; }
	[ "$own" = 0 ] || { FACT="$own answers came from the backend's own address $FACT_BACKEND"; return 1; }
}

fact_5() {
	local name crossed=0 sent got others
	for name in $FACT_LEGS; do
		crossed=$((crossed + $(count "$name" "dst host $FACT_CLIENT")))
	done
	sent=$(count wire "$FACT_ANSWER") got=$(count client "$FACT_ANSWER")
	others=$(count client "dst host $FACT_CLIENT and (tcp or udp) and not src host $FACT_VIP")
	FACT="0 of $sent answers seen at the director's legs ($FACT_LEGS); the client got $got, all from $FACT_VIP"
	[ "$crossed" = 0 ] || { FACT="$crossed packets for the client crossed the director"; return 1; }
	[ "$got" -gt 0 ] || { FACT="no answer reached the client"; return 1; }
	[ "$others" = 0 ] || { FACT="the client saw $others packets from others than $FACT_VIP"; return 1; }
}

# shellcheck shell=bash
# Paths: links of any MTU on the way, routers that say so by ICMP or do not, and real programs that must cope. Sourced after
# rig.sh, servers.sh and tls.sh.
#
# A link that is narrower than 1500 bytes lies in the middle of a leg, where neither of its ends knows of it: the router takes
# no longer packet by that leg, in both directions. In l2 the leg to the backend has no router: there the director's own eth1
# is narrow. A leg of 9000 bytes has interfaces of that MTU at both ends.

PATHS_BYTES=300000
PATHS_LIMIT_S=${PATHS_LIMIT_S:-4}
PATHS_PROGRAMS=(upload download answer request tracepath traceroute scp ftp quic)
declare -A PATHS_SIDE=( # who sends what is long
	[upload]=client [request]=client [tracepath]=client [scp]=client [ftp]=client
	[download]=server [answer]=server [traceroute]=server [quic]=server
)
PATHS_TCP=(upload download scp ftp)
PATHS_MSS_ROOM=140 # the longest outer headers and those of TCP over IPv6, and more
PATHS_TABLE=77

# ---- links and routers ------------------------------------------------------------------------------------------------

paths_net() { # LEG 4|6
	local -A number4=([client]=192.168.1 [director]=10.2.0 [backend]=10.3.0) number6=([client]=1 [director]=2 [backend]=3)
	if [ "$2" = 4 ]; then echo "${number4[$1]}.0/24"; else echo "fd00:${number6[$1]}::/64"; fi
}

# The router's route to a leg, in a table, with words that follow: paths_route TABLE LEG WORD...
paths_route() {
	host router ip route replace "$(paths_net "$2" 4)" dev "${2}0" table "$1" "${@:3}"
	host router ip -6 route replace "$(paths_net "$2" 6)" dev "${2}0" metric 256 table "$1" "${@:3}"
}

# paths_narrow LEG MTU: 1500 is as it was.
paths_narrow() {
	local leg family lock=()
	[ "$2" = 1500 ] || lock=(mtu lock "$2")
	paths_route main "$1" "${lock[@]}"
	for family in -4 -6; do
		while host router ip $family rule del iif "${1}0" 2>/dev/null; do :; done
		[ "$2" = 1500 ] || host router ip $family rule add iif "${1}0" lookup $PATHS_TABLE
	done
	for leg in client director backend; do paths_route $PATHS_TABLE $leg mtu lock "$2"; done
	[ "$1" != backend ] || [ "$PATHS_FORWARD" != l2 ] || host director ip link set eth1 mtu "$2"
}

# paths_wide LEG MTU: both ends of its cables. The director's program comes anew, since a driver takes no native program
# at such an MTU: there it is a generic one.
paths_wide() {
	local end ends=()
	case $1 in
	client) ends=("client eth0" "router client0") ;;
	director) ends=("director eth0" "router director0") ;;
	backend)
		ends=("switch lan" "switch p-router" "router backend0" "switch p-backend1" "backend1 eth0")
		[ "$PATHS_FORWARD" != l2 ] || ends+=("switch p-director" "director eth1")
		;;
	esac
	for end in "${ends[@]}"; do host "${end% *}" ip link set "${end#* }" mtu "$2"; done
}

# Wherever there is a leg of 9000 bytes, and back: paths_wide_anew MTU LEG...
paths_wide_anew() {
	local leg
	stop halfproxyd
	host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state" >/dev/null 2>&1
	host router ip link set dev director0 xdpdrv off
	[ "$PATHS_FORWARD" != l2 ] || host switch ip link set dev p-director xdpdrv off
	for leg in "${@:2}"; do paths_wide "$leg" "$1"; done
	pass_program router director0
	[ "$PATHS_FORWARD" != l2 ] || pass_program switch p-director
} 2>/dev/null

# Whether routers say what is too long: paths_icmp on|off
paths_icmp() {
	local rules="" hook
	for hook in forward output; do
		rules+="add chain inet paths $hook {type filter hook $hook priority 0;};
			add rule inet paths $hook icmp type destination-unreachable icmp code 4 drop;
			add rule inet paths $hook icmpv6 type packet-too-big drop;"
	done
	host router nft delete table inet paths 2>/dev/null
	[ "$1" = on ] || host router nft "add table inet paths; $rules"
}

# What was learned of paths is forgotten.
paths_forget() {
	local name
	for name in "$@"; do
		host "$name" ip route flush cache
		host "$name" ip -6 route flush cache
	done
}

# ---- services and servers -----------------------------------------------------------------------------------------------

paths_services() { # [MSS]
	local protocol
	for protocol in tcp udp; do
		service any-$protocol "$PATHS_VIP" $protocol any "$PATHS_FORWARD" "$(backend_address 1 "$PATHS_FAMILY")"
		[ $protocol = udp ] || [ -z "${1-}" ] || echo "    mss: $1"
	done | director_file
}

# paths_up FORWARD 4|6: the topology with all servers, and no director yet
paths_up() {
	local name
	PATHS_FORWARD=$1 PATHS_FAMILY=$2 PATHS_VIP=$RIG_VIP4 PATHS_SENDER=(10.2.0.10)
	[ "$2" = 4 ] || PATHS_VIP=$RIG_VIP6 PATHS_SENDER=(fd00:2::a)
	[ "$1" != l2 ] || PATHS_SENDER=()
	RIG_FILE_BYTES=$PATHS_BYTES
	rig_up "$1" 1 || return 1
	backend_up 1 "$PATHS_VIP" "$1" "${PATHS_SENDER[@]}" >"$RIG_DIR/backend_up" 2>&1 || { cat "$RIG_DIR/backend_up"; return 1; }
	for name in router backend1; do # answer each packet that deserves it
		host $name sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit'
	done
	web_up 1 "$PATHS_VIP"
}

# The other programs' servers, beside the web server.
paths_servers() {
	local n texts=()
	for n in $(seq -w 22); do texts+=(--txt-record="big.$RIG_DNS_DOMAIN,$n$(printf '%0190d' 0)"); done
	serve backend1 dns dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file="" \
		--bind-interfaces --listen-address="$PATHS_VIP" --local-service=net --log-facility=- --edns-packet-max=8000 \
		--txt-record="www.$RIG_DNS_DOMAIN,hello" "${texts[@]}"
	paths_sshd
	paths_ftpd
	tls_ca authority && tls_certificate web authority "IP:$PATHS_VIP" || return 1
	serve backend1 quic gtlsserver -q -d "$RIG_DIR/web1/www" "$PATHS_VIP" 443 "$RIG_DIR/tls/web.key" "$RIG_DIR/tls/web.crt"
	eventually 10 paths_listens
}
paths_listens() {
	[ "$(host backend1 ss -Htln "( sport = 80 or sport = 21 or sport = 22 )" | wc -l)" -ge 4 ] &&
		[ "$(host backend1 ss -Huln "( sport = 53 or sport = 443 )" | wc -l)" -ge 2 ]
}

paths_sshd() {
	mkdir -p /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$RIG_DIR/ssh-host" && ssh-keygen -q -t ed25519 -N '' -f "$RIG_DIR/ssh-client"
	cat >"$RIG_DIR/sshd_config" <<-END
		ListenAddress $(url_host "$PATHS_VIP"):22
		HostKey $RIG_DIR/ssh-host
		AuthorizedKeysFile $RIG_DIR/ssh-client.pub
		Subsystem sftp internal-sftp
		PidFile none
		UsePAM no
		StrictModes no
		PermitRootLogin yes
		PasswordAuthentication no
	END
	serve backend1 sshd /usr/sbin/sshd -D -e -f "$RIG_DIR/sshd_config"
}

paths_ftpd() {
	local listen=listen
	[ "$PATHS_FAMILY" = 4 ] || listen=listen_ipv6
	mkdir -p "$RIG_DIR/ftp/put" "$RIG_DIR/ftp-empty"
	ln "$RIG_DIR/file" "$RIG_DIR/ftp/file"
	chmod 777 "$RIG_DIR/ftp/put"
	{
		[ "$PATHS_FAMILY" = 4 ] || echo listen=NO
		[ "$PATHS_FAMILY" = 6 ] || echo listen_ipv6=NO
		cat <<-END
			$listen=YES
			listen_address${listen#listen}=$PATHS_VIP
			background=NO
			anonymous_enable=YES
			local_enable=NO
			write_enable=YES
			anon_upload_enable=YES
			anon_root=$RIG_DIR/ftp
			secure_chroot_dir=$RIG_DIR/ftp-empty
			ftp_username=daemon
			pasv_min_port=40000
			pasv_max_port=40099
			seccomp_sandbox=NO
			isolate=NO
			isolate_network=NO
			xferlog_enable=NO
		END
	} | sed 's/listen_address_ipv6/listen_address6/' >"$RIG_DIR/vsftpd.conf"
	serve backend1 ftpd vsftpd "$RIG_DIR/vsftpd.conf"
}

# ---- programs: each says what was seen, in a word ------------------------------------------------------------------------

paths_word() { # STATUS [WHAT]: of curl, timeout or scp
	case $1 in
	0) echo ok ;;
	28 | 124) echo stalls ;;
	*) echo "fails" ;;
	esac
}

paths_same() { if cmp -s "$1" "$2"; then echo ok; else echo spoilt; fi; }

paths_curl() { host client curl -sf --noproxy '*' --max-time "$PATHS_LIMIT_S" "$@" 2>/dev/null; }

paths_run_upload() {
	rm -rf "$RIG_DIR/web1/www/put"
	paths_curl -o /dev/null -T "$RIG_DIR/file" "http://$(url_host "$PATHS_VIP")/put/it" || { paths_word $?; return; }
	paths_same "$RIG_DIR/file" "$RIG_DIR/web1/www/put/it"
}
paths_run_download() {
	paths_curl -o "$RIG_DIR/got" "http://$(url_host "$PATHS_VIP")/file" || { paths_word $?; return; }
	paths_same "$RIG_DIR/file" "$RIG_DIR/got"
}

# Attempts beyond the first are for what that one taught.
paths_run_answer() {
	local size
	size=$(host client dig +notcp +ignore +tries=3 +time=1 +bufsize=8000 "@$PATHS_VIP" "big.$RIG_DNS_DOMAIN" TXT |
		sed -n 's/^;; MSG SIZE  rcvd: //p')
	if [ "${size:-0}" -ge 4000 ]; then echo ok; else echo "no answer"; fi
}
# A question with 3,940 bytes of padding (RFC 7830), which no name server's client sends by UDP of itself.
paths_run_request() {
	host client /usr/bin/python3 - "$PATHS_VIP" "www.$RIG_DNS_DOMAIN" <<-'END'
		import socket, struct, sys
		vip, name = sys.argv[1:]
		padding = struct.pack('!HH', 12, 3940) + bytes(3940)
		question = b''.join(bytes([len(label)]) + label.encode() for label in name.split('.')) + struct.pack('!BHH', 0, 16, 1)
		option = struct.pack('!BHHIH', 0, 41, 4096, 0, len(padding)) + padding
		s = socket.socket(socket.AF_INET6 if ':' in vip else socket.AF_INET, socket.SOCK_DGRAM)
		s.settimeout(1)
		s.connect((vip, 53))
		seen = 'no answer'
		for number in range(4): # attempts beyond the first are for what that one taught
		    try:
		        s.send(struct.pack('!6H', number, 0x100, 1, 0, 0, 1) + question + option)
		        if b'hello' in s.recv(8192):
		            seen = 'ok'
		            break
		    except OSError: # no answer in time, or what ICMP said
		        pass
		print(seen)
	END
}
paths_run_tracepath() {
	local said
	said=$(host client timeout $((PATHS_LIMIT_S + 1)) tracepath -n -p 9 -m 6 "$PATHS_VIP")
	if grep -q reached <<<"$said"; then
		sed -n 's/.*[Rr]esume: pmtu \([0-9]*\).*/\1/p' <<<"$said"
	else
		echo "no reply"
	fi
}
paths_run_traceroute() {
	host client timeout $((PATHS_LIMIT_S * 2)) traceroute -n -q 1 -w 1 -m 6 "$PATHS_VIP" >"$RIG_DIR/traceroute" 2>&1
	if tail -n 1 "$RIG_DIR/traceroute" | grep -qF " $PATHS_VIP "; then echo ok; else echo "no reply"; fi
}
paths_run_scp() {
	rm -f "$RIG_DIR/copied"
	host client timeout $((PATHS_LIMIT_S + 2)) scp -q -F none -i "$RIG_DIR/ssh-client" -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null "$RIG_DIR/file" "root@$(url_host "$PATHS_VIP"):$RIG_DIR/copied" \
		>/dev/null 2>&1 || { paths_word $?; return; }
	paths_same "$RIG_DIR/file" "$RIG_DIR/copied"
}
paths_run_ftp() { # there and back
	rm -f "$RIG_DIR/ftp/put/it"
	paths_curl -T "$RIG_DIR/file" "ftp://$(url_host "$PATHS_VIP")/put/it" || { paths_word $? | sed 's/^/up /'; return; }
	paths_curl -o "$RIG_DIR/got-ftp" "ftp://$(url_host "$PATHS_VIP")/file" || { paths_word $? | sed 's/^/down /'; return; }
	[ "$(stat -c %s "$RIG_DIR/ftp/put/it")" = $PATHS_BYTES ] && paths_same "$RIG_DIR/file" "$RIG_DIR/got-ftp"
}
paths_run_quic() {
	rm -rf "$RIG_DIR/quic"
	mkdir "$RIG_DIR/quic"
	host client timeout $((PATHS_LIMIT_S + 2)) gtlsclient -q --download="$RIG_DIR/quic" --exit-on-all-streams-close \
		--timeout=4s "$PATHS_VIP" 443 "https://$(url_host "$PATHS_VIP")/file" >/dev/null 2>&1
	if cmp -s "$RIG_DIR/file" "$RIG_DIR/quic/file"; then echo ok; else echo stalls; fi
}

#!/bin/bash
# A group of services: passive FTP with a real server and client, control and data on one backend, by l2 and ipip, IPv4 and
# IPv6, and while backends are taken out; HTTP and HTTPS of a group fail together; drain and weight are the group's.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

PASSIVE=50000-50099
group_of() { # GROUP < SERVICES
	sed "s/^    vip:/    group: $1\n&/"
}
ftp_up() { # N VIP
	local dir=$RIG_DIR/ftp$1
	mkdir -p "$dir/root" "$dir/empty"
	echo "from backend$1" >"$dir/root/name"
	[ -e "$dir/root/file" ] || ln "$RIG_DIR/file" "$dir/root/file"
	chmod -R a+rX "$dir" "$RIG_DIR"
	cat >"$dir/$2.conf" <<-END
		listen$([[ $2 = *:* ]] && echo _ipv6)=YES
		listen_address$([[ $2 = *:* ]] && echo 6)=$2
		background=NO
		anonymous_enable=YES
		no_anon_password=YES
		anon_root=$dir/root
		secure_chroot_dir=$dir/empty
		pasv_min_port=${PASSIVE%-*}
		pasv_max_port=${PASSIVE#*-}
		seccomp_sandbox=NO
		xferlog_enable=NO
	END
	serve "backend$1" "ftp$1-${2//:/_}" vsftpd "$dir/$2.conf"
}
ftp_get() { # VIP PATH [CURL-OPTION...]
	host client curl -sS --max-time 20 --noproxy '*' "${@:3}" "ftp://$(url_host "$1")/$2"
}
listens() { [ "$(host "$1" ss -Htln "sport = 21" | wc -l)" = 2 ]; }
services() { # FORWARD BACKENDS4 BACKENDS6
	local address
	for address in 4 6; do
		vip=RIG_VIP$address backends="$2"
		[ $address = 4 ] || backends="$3"
		# shellcheck disable=SC2086 # a list
		{
			service control$address "${!vip}" tcp 21 "$1" $backends
			echo "    health: {type: tcp, interval: 200ms, timeout: 200ms}"
			service data$address "${!vip}" tcp "$PASSIVE" "$1" $backends
		} | group_of ftp$address
	done
}
weights() { hp status --json | jq -c "[.services[] | select(.name == \"$1\") | .backends[].weight]"; }
states() { hp status --json | jq -c "[.services[] | select(.group == \"$1\") | [.backends[] | (.share > 0)]]"; }
are() { [ "$(states "$1")" = "$2" ]; }

rig_up l2 3 || exit 1
head -c 3000000 /dev/urandom >"$RIG_DIR/file"
for n in 1 2 3; do
	for vip in "$RIG_VIP4" "$RIG_VIP6"; do
		backend_up $n "$vip" l2 >/dev/null || exit 1
		backend_up $n "$vip" ipip any >/dev/null || exit 1
		ftp_up $n "$vip"
	done
	need "the FTP servers listen" eventually 10 listens backend$n
done
for n in 2 3 4 5 6 7 8; do
	host client ip addr add 192.168.1.$n/24 dev eth0
	host client ip addr add fd00:1::$n/64 dev eth0 nodad
done
THREE="10.3.0.1 10.3.0.2 10.3.0.3" THREE6="fd00:3::1 fd00:3::2 fd00:3::3"
services l2 "$THREE" "$THREE6" | director_file
need "halfproxyd runs" director_up

for forward in l2 ipip; do
	services $forward "$THREE" "$THREE6" | director_file
	hp reload >/dev/null 2>&1
	need "the backends are ready for $forward" eventually 10 all_ready
	names=""
	for n in 1 2 3 4 5 6 7 8; do
		names+=$(ftp_get "$RIG_VIP4" name --interface 192.168.1.$n)$'\n'
		expect_text "$forward: passive FTP of client $n, IPv4" "from backend" ftp_get "$RIG_VIP4" name --interface 192.168.1.$n
		expect_text "$forward: IPv6" "from backend" ftp_get "$RIG_VIP6" name --interface fd00:1::$n
	done
	expect "$forward: more than one backend serves them" [ "$(sort -u <<<"$names" | grep -c from)" -gt 1 ]
	expect "$forward: a file of 3 MB, whole" cmp <(ftp_get "$RIG_VIP4" file) "$RIG_DIR/file"
done

# A session that is open while backends are taken out: its next transfer is with the backend that it has.
services ipip "$THREE" "$THREE6" | director_file
hp reload >/dev/null 2>&1
for n in 1 2 3 4 5 6; do
	mkfifo "$RIG_DIR/more$n"
	host client curl -sS --max-time 60 --noproxy '*' --interface 192.168.1.$n --limit-rate 1M -o /dev/null -o "$RIG_DIR/second$n" \
		"ftp://$RIG_VIP4/file" "ftp://$RIG_VIP4/name" 2>"$RIG_DIR/curl$n" &
	sessions[n]=$!
done
sleep 1
services ipip "10.3.0.1=0 10.3.0.2 10.3.0.3=0" "fd00:3::2 fd00:3::1=0 fd00:3::3=0" | director_file
expect "backends are taken out meanwhile" hp reload
for n in 1 2 3 4 5 6; do
	wait "${sessions[n]}"
	expect_equal "session $n goes on, with another connection for data" 0 $?
	expect_text "and had its answer" "from backend" cat "$RIG_DIR/second$n"
done
expect_text "who is remembered is shown as a client" '"client_port": 0' hp flows --json

# ---- drain and weight, and health ------------------------------------------------------------------------------------
{
	service http "$RIG_VIP4" tcp 80 l2 10.3.0.1 10.3.0.2
	echo "    health: {type: http, interval: 200ms, timeout: 200ms}"
	service https "$RIG_VIP4" tcp 443 l2 10.3.0.1 10.3.0.2
	echo "    health: {type: tcp, interval: 200ms, timeout: 200ms}"
} | group_of web | director_file
for n in 1 2; do web_up $n "$RIG_VIP4" 443 || exit 1; done
expect "another group is taken over" hp reload
expect "and is up" eventually 10 are web "[[true,true],[true,true]]"
expect "a drain of one service" hp drain http 10.3.0.1
expect_equal "is the other's too" "[0,1] [0,1]" "$(weights http) $(weights https)"
expect "undrained" hp undrain http 10.3.0.1
expect_equal "both are" "[1,1] [1,1]" "$(weights http) $(weights https)"
expect "a weight" hp weight https 10.3.0.2 5
expect_equal "is both's" "[1,5] [1,5]" "$(weights http) $(weights https)"
expect "and back" hp weight https 10.3.0.2 1
sed -i 's/listen 10.2.0.1:443;//' "$RIG_DIR/web2/nginx.conf"
stop nginx2
serve backend2 nginx2 nginx -c "$RIG_DIR/web2/nginx.conf" -e "$RIG_DIR/web2/error.log"
expect "a backend without HTTPS gets no HTTP either" eventually 10 are web "[[true,false],[true,false]]"
expect_text "and status says by which check" "443" hp status
finish

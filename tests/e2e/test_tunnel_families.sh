#!/bin/bash
# Tunnels across families, by ipip and by gue: an IPv6 VIP on IPv4 backends and an IPv4 VIP on IPv6 backends, page, file and upload, with the
# frames of the tunnel judged by tshark; and the outer source: the director's own, another address, or one of a prefix
# that varies with the flow and stays the same within it.
# suite: 60 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

UPLOAD_BYTES=3000000

# A server that takes an upload and answers with the number and sum of its bytes: upload_up N VIP
upload_up() {
	cat >"$RIG_DIR/sink.py" <<-'PY'
		import hashlib, http.server, socket, sys
		class Sink(http.server.BaseHTTPRequestHandler):
		    def do_PUT(self):
		        body = self.rfile.read(int(self.headers['Content-Length']))
		        self.send_response(200)
		        self.end_headers()
		        self.wfile.write(hashlib.sha256(body).hexdigest().encode())
		    def log_message(self, *args):
		        pass
		class Server(http.server.ThreadingHTTPServer):
		    address_family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
		Server((sys.argv[1], 8080), Sink).serve_forever()
	PY
	serve "backend$1" "sink$1" /usr/bin/python3 "$RIG_DIR/sink.py" "$2"
	eventually 5 host "backend$1" ss -Htln "sport = 8080"
}

# Fields of the frames that the director sent into a tunnel, each combination once: sent FIELD...
sent() {
	local fields=()
	for field in "$@"; do fields+=(-e "$field"); done
	tshark -X lua_script:rig/gue.lua -r "$RIG_DIR/front.pcap" -Y "eth.src == $DIRECTOR_MAC && $TUNNEL" -T fields "${fields[@]}" 2>/dev/null | sort -u
}

outer_sources() { sent "$SOURCE_FIELD" | cut -d, -f1 | sort -u; }

# Flow's client port and outer source, each pair once.
flows() { sent tcp.srcport "$SOURCE_FIELD" | sed 's/,.*//' | sort -u; }

carries() { # the traffic of a user
	expect_text "$NAME: a page" "hello from backend1" web_get "$VIP" ""
	expect "$NAME: a file of 12 MB, whole" cmp <(web_get "$VIP" file) "$RIG_DIR/file"
	expect_equal "$NAME: an upload of 3 MB, whole" "$UPLOAD_SUM" \
		"$(host client curl -sS --max-time 20 -T "$RIG_DIR/upload" "http://$(url_host "$VIP"):8080/x")"
}

restart() { # TUNNEL-SETTING
	cp "$RIG_DIR/services" "$RIG_DIR/halfproxy.yaml"
	[ -z "$1" ] || sed -i "s|^services:|tunnel: $1\n&|" "$RIG_DIR/halfproxy.yaml"
	need "the tunnel's source is taken over" hp reload
}

look() { # COMMAND...: capture meanwhile
	RIG_SNAPLEN=160 capture router director0 front
	"$@"
	captures_end
}

fetch_many() { for _ in $(seq 24); do web_get "$VIP" "" >/dev/null || return 1; done; }

across() { # FORWARD NAME VIP BACKEND-FAMILY DIRECTOR-ADDRESS TUNNEL-FILTER SOURCE-FIELD FIXED PREFIX IN-PREFIX
	local forward=$1 key=source$4 all
	NAME="$1, $2" VIP=$3 TUNNEL=$6 SOURCE_FIELD=$7
	shift
	rig_up "$forward" || exit 1
	DIRECTOR_MAC=$(host director ip -o link show dev eth0 | sed -n 's/.*ether \([0-9a-f:]*\).*/\1/p')
	need "the backend is one" backend_up 1 "$VIP" "$forward" "$4" "$7" "$8"
	web_up 1 "$VIP" || exit 1
	upload_up 1 "$VIP" || exit 1
	head -c $UPLOAD_BYTES "$RIG_DIR/file" >"$RIG_DIR/upload"
	UPLOAD_SUM=$(sha256sum <"$RIG_DIR/upload" | cut -d' ' -f1)
	{
		service web "$VIP" tcp 80 "$forward" "$(backend_address 1 "$3")"
		service sink "$VIP" tcp 8080 "$forward" "$(backend_address 1 "$3")"
	} | director_file
	cp "$RIG_DIR/halfproxy.yaml" "$RIG_DIR/services"
	need "halfproxyd runs" director_up
	need "the backend is ready" eventually 10 all_ready
	look carries
	expect_equal "$NAME: tunnels come from the director's own address" "$4" "$(outer_sources)"
	expect_equal "$NAME: and lead to the backend" "$(backend_address 1 "$3")" "$(sent "${SOURCE_FIELD%src}dst" | cut -d, -f1 | sort -u)"
	expect_equal "$NAME: tshark finds nothing malformed in them" "" "$(malformed front "eth.src == $DIRECTOR_MAC")"
	expect "$NAME: not one frame of them was longer than the path" [ "$(tshark -r "$RIG_DIR/front.pcap" \
		-Y "eth.src == $DIRECTOR_MAC && frame.len > 1514" 2>/dev/null | wc -l)" = 0 ]
	expect_equal "$NAME: nothing was too big" 0 "$(hp status --json | jq '.verdicts.TOO_BIG.count')"

	restart "{$key: \"$7\"}"
	look fetch_many
	expect_equal "$NAME: with an address, tunnels come from it" "$7" "$(outer_sources)"
	expect_text "$NAME: which status shows" ", from $7" hp status

	restart "{$key: \"$8\"}"
	look fetch_many
	all=$(outer_sources)
	expect "$NAME: with a prefix, 24 flows have many sources: $(wc -l <<<"$all")" [ "$(wc -l <<<"$all")" -ge 15 ]
	expect_text "$NAME: status shows the prefix" ", from $8" hp status
	expect_equal "$NAME: all of the prefix" "" "$(grep -vE "^$9" <<<"$all")"
	expect_equal "$NAME: each flow has one source" "$(flows | cut -f1 | sort -u | wc -l)" "$(flows | wc -l)"
	expect "$NAME: an upload from a varied source" carries
	restart ""
	expect_text "$NAME: and back to the director's own" "hello" web_get "$VIP" ""
	rig_down
}

FOURS=(ip.src 10.2.0.77 10.77.0.0/16 '10\.77\.') SIXES=(ipv6.src fd00:2::77 fd00:77::/96 'fd00:77::')
across ipip "IPv6 VIP on IPv4 backends" $RIG_VIP6 4 10.2.0.10 "ip.proto == 41" "${FOURS[@]}"
across ipip "IPv4 VIP on IPv6 backends" $RIG_VIP4 6 fd00:2::a "ipv6.nxt == 4" "${SIXES[@]}"
across gue "IPv6 VIP on IPv4 backends" $RIG_VIP6 4 10.2.0.10 "gue.protocol == 41 && ip" "${FOURS[@]}"
across gue "IPv4 VIP on IPv6 backends" $RIG_VIP4 6 fd00:2::a "gue.protocol == 4 && ipv6" "${SIXES[@]}"
finish

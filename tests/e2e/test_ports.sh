#!/bin/bash
# A service of several ports: a list and ranges, with a real web server on each, checked on the first; shown as they are
# written; a port that is not among them; and a list that changes under a download.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

PORTS="[80, 443, 8000-8003, 9000-9100]"
get() { host client curl -sS --max-time 5 --noproxy '*' "http://$(url_host "$1"):$2/"; }
file_with() { # PORTS BACKEND...
	{
		service web "$RIG_VIP4" tcp "$1" l2 "${@:2}"
		echo "    health: {type: http, interval: 200ms, timeout: 200ms}"
		service web6 "$RIG_VIP6" tcp "$1" ipip "${@:2}"
	} | director_file
}
port_of() { hp status --json | jq -r ".services[] | select(.name == \"$1\") | [.port, .ports] | join(\" \")"; }

rig_up l2 2 || exit 1
FILE=$RIG_DIR/halfproxy.yaml
for n in 1 2; do
	backend_up $n "$RIG_VIP4" l2 >/dev/null || exit 1
	backend_up $n "$RIG_VIP6" ipip any >/dev/null || exit 1
	web_up $n "$RIG_VIP4" 443 8000 8003 9000 9063 9064 9100 9101 || exit 1
	serve backend$n web6$n /usr/bin/python3 -m http.server --bind "$RIG_VIP6" --directory "$RIG_DIR/web$n/www" 9077
done
file_with "$PORTS" 10.3.0.1
need "halfproxyd runs" director_up
need "the backend is ready" eventually 10 all_ready

for port in 80 443 8000 8003 9000 9063 9064 9100; do
	expect_text "the web answers on port $port" "hello from backend1" get "$RIG_VIP4" $port
done
need "the IPv6 servers are up" eventually 20 get "$RIG_VIP6" 9077
expect_text "and over IPv6 by a tunnel on one of a range" "hello from backend1" get "$RIG_VIP6" 9077
expect_not "a port behind the range is of no service" get "$RIG_VIP4" 9101
expect_equal "status has the ports" "80 80,443,8000-8003,9000-9100" "$(port_of web)"
expect_text "and shows them" "tcp $RIG_VIP4:80,443,8000-8003,9000-9100" hp status
expect "check finds the file sound" "$BUILD/halfproxy" check "$FILE"
expect_text "trace takes any of them" "9050" hp trace 192.168.1.1 "$RIG_VIP4:9050"
expect_text "and finds none beside them" "another port or protocol" hp trace 192.168.1.1 "$RIG_VIP4:9101"
expect "one check asks for all ports" eventually 10 grep -q "GET / " "$RIG_DIR/web1/access.log"

# The list changes, and the backend with it: a download that is under way goes on.
host client curl -sS --noproxy '*' --limit-rate 6M -o "$RIG_DIR/got" "http://$RIG_VIP4:9063/file" &
download=$!
eventually 5 test -s "$RIG_DIR/got" || true
file_with "[80, 9000-9200]" 10.3.0.2
expect_text "diff says what changes" "port 80,443,8000-8003,9000-9100 -> 80,9000-9200" hp diff "$FILE"
expect "the change is taken over" hp reload
wait $download
expect_equal "a download by a range that grew goes on" 0 $?
expect "and is whole" cmp "$RIG_DIR/got" "$RIG_DIR/file"
eventually 5 all_ready
ready_two() { get "$RIG_VIP4" 80 | grep -q backend2; }
expect "new flows follow the change" eventually 5 ready_two
expect_text "new flows go to the other backend" "hello from backend2" get "$RIG_VIP4" 9063
expect_text "a new port of the range is served" "hello from backend2" get "$RIG_VIP4" 9101
expect_not "one that left the list is not" get "$RIG_VIP4" 443
finish

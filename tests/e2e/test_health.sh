#!/bin/bash
# Backends that die, pause, fall silent and come back, under a client that opens connections all the time: how soon no new
# flow goes there (by the packets at the backend), what becomes of old ones, panic, and what reload and restart keep.
# suite: 80 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

INTERVAL=400 FALL=3 TIMEOUT=300
PROMISE=$((INTERVAL * FALL + TIMEOUT + 50)) # ms
HEALTH="{type: http, interval: ${INTERVAL}ms, timeout: ${TIMEOUT}ms, fall: $FALL, rise: 2}"


# configure MORE: the service with these options
configure() {
	service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 10.3.0.2 10.3.0.3 |
		sed "s/^    forward: l2/&\n    window: 60s\n    health: $HEALTH\n    ${1:-min_up: 1}/" | director_file
}

health_of() { hp status --json | jq -r ".services[0].backends[] | select(.address == \"$1\") | .health.state"; }
says() { hp status | grep -qF "$1"; }
is_state() { [ "$(health_of "$1")" = "$2" ]; }
all_up() { is_state 10.3.0.1 up && is_state 10.3.0.2 up && is_state 10.3.0.3 up; }
who() { # the backends that so many new flows meet
	local n
	for n in {1..20}; do web_get "$RIG_VIP4" "" --max-time 2; done 2>/dev/null | sed 's/.*backend\(.\),.*/\1/' | sort -u | tr -d '\n'
}
signal() { # SIGNAL N: to nginx on a backend, its workers too
	local pid
	pid=$(cat "$RIG_DIR/nginx$2.pid")
	# shellcheck disable=SC2046 # process numbers
	kill -"$1" "$pid" $(pgrep -P "$pid")
}
cut_off() { # N: it is silent, but for ARP
	host "backend$1" nft -f - <<-END
		table inet cut {
		    chain in { type filter hook prerouting priority -300; drop; }
		    chain out { type filter hook output priority -300; drop; }
		}
	END
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }
logged() { grep -c "$1" "$RIG_DIR/halfproxyd.log"; }

# last_syn_ms N: when the last new flow came to the backend.
last_syn_ms() {
	tcpdump -nn -tt -r "$RIG_DIR/syn$1.pcap" 2>/dev/null | awk 'END { printf "%.0f\n", $1 * 1000 }'
}

# expect_in_time SENTENCE N SINCE: no new flow came to the backend later than is promised. All frames are stamped by the
# kernel of this one machine.
expect_in_time() {
	local took
	captures_end
	took=$(($(last_syn_ms "$2") - $3))
	expect "$1 ($took ms, promised are $PROMISE)" test "$took" -le "$PROMISE" -a "$took" -gt -1000
}
has_syn() { [ "$(last_syn_ms "$1")" -gt 0 ]; }
capture_syns() { # N: until the first is there
	capture "backend$1" eth0 "syn$1" "src host 192.168.1.1 and dst host $RIG_VIP4 and tcp[tcpflags] == tcp-syn"
	need "new flows come to backend $1" eventually 10 has_syn "$1"
}

# ---- clients -------------------------------------------------------------------------------------------------------------

clients_write() {
	# Opens a connection each 10 ms.
	cat >"$RIG_DIR/open.py" <<-END
		import socket, time
		while True:
		    s = socket.socket(); s.setblocking(False)
		    s.connect_ex(("$RIG_VIP4", 80))
		    time.sleep(0.01); s.close()
	END
	# Asks on one connection all the time; says which port, and what became of it.
	cat >"$RIG_DIR/hold.py" <<-END
		import socket, sys, time
		s = socket.create_connection(("$RIG_VIP4", 80), 5); s.settimeout(20)
		print("port", s.getsockname()[1], flush=True)
		try:
		    while True:
		        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		        answer = b""
		        while b"hello from" not in answer:
		            part = s.recv(4096)
		            if not part: raise OSError("closed")
		            answer += part
		        print("answer", answer.split(b"backend")[1][:1].decode(), flush=True)
		        time.sleep(0.05)
		except OSError as e:
		    print("broken", e, flush=True)
	END
}

# hold N: a connection that is with that backend. Says its name.
hold() {
	local try
	for try in {1..40}; do
		rm -f "$RIG_DIR/hold$1.log"
		serve client "hold$1" python3 "$RIG_DIR/hold.py"
		eventually 3 grep -q answer "$RIG_DIR/hold$1.log"
		grep -q "answer $1" "$RIG_DIR/hold$1.log" && return 0
		stop "hold$1" KILL
	done
	echo "no connection to backend$1 in $try"
	return 1
}
answers() { grep -c answer "$RIG_DIR/hold$1.log"; }
goes_on() { [ "$(answers "$1")" -gt "$2" ]; }

# ---- a start ---------------------------------------------------------------------------------------------------------------

rig_up l2 4 || exit 1
clients_write
for n in 1 2 3 4; do backend_up $n "$RIG_VIP4" l2 >/dev/null || exit 1; done
web_up 1 "$RIG_VIP4" && web_up 3 "$RIG_VIP4" && web_up 4 "$RIG_VIP4" || exit 1
configure
# What is promised is promised of a daemon that gets its turn, on a machine that others fill as well.
! chrt --rr 1 true 2>/dev/null || RIG_BEFORE=(chrt --rr 1)
need "halfproxyd runs" director_up
need "the backends that answer are up" eventually 5 is_state 10.3.0.3 up
need "the one that does not fails" eventually 5 is_state 10.3.0.2 failing
expect_equal "it gets no flows" 13 "$(who)"
expect_text "status says why" "failing for " hp status
expect "in words" eventually 4 says "nothing listens on $RIG_VIP4:80"
web_up 2 "$RIG_VIP4" || exit 1
need "it is up when it answers" eventually 5 all_up
expect "the log tells of it" grep -q "backend_up backend=10.3.0.2 asked=$RIG_VIP4:80 type=http" "$RIG_DIR/halfproxyd.log"

# ---- one is killed -----------------------------------------------------------------------------------------------------------

serve client open python3 "$RIG_DIR/open.py"
capture_syns 2
STOPPED=$(now_ms)
signal KILL 2
stop nginx2 KILL
rm -r "$RIG_DIR/web2"
sleep 2
expect_in_time "one that is killed gets no new flow in time" 2 "$STOPPED"
expect_text "the log names the cause" "answer=refused" grep "backend_failing backend=10.3.0.2" "$RIG_DIR/halfproxyd.log"
web_up 2 "$RIG_VIP4" || exit 1
need "it comes back" eventually 5 all_up
expect_equal "new flows meet it again" 123 "$(who)"

# ---- one is paused -----------------------------------------------------------------------------------------------------------

need "a connection to it" hold 2
capture_syns 2
STOPPED=$(now_ms)
signal STOP 2
need "one that is paused fails" eventually 5 is_state 10.3.0.2 failing
sleep 0.5
expect_in_time "and gets no new flow in time" 2 "$STOPPED"
HELD=$(answers 2)
FLAPS=$(logged backend_failing)
need "a reload" hp reload
expect_equal "keeps what is known" failing "$(health_of 10.3.0.2)"
stop halfproxyd KILL
need "a daemon that starts anew" director_up
expect_equal "gives it no flows either" 13 "$(who)"
need "and knows it soon" eventually 5 is_state 10.3.0.2 failing
signal CONT 2
expect "its old connection goes on where it was" eventually 5 goes_on 2 "$HELD"
expect_not "unbroken" grep -q broken "$RIG_DIR/hold2.log"
need "it is up again" eventually 5 all_up
expect_equal "the log has told each change once" $((FLAPS + 1)) "$(logged backend_failing)"

# ---- one falls silent --------------------------------------------------------------------------------------------------------

need "a connection to another" hold 3
capture_syns 3
capture backend1 eth0 old1 "dst host $RIG_VIP4 and tcp src port $(awk '/port/ { print $2 }' "$RIG_DIR/hold3.log")"
capture backend2 eth0 old2 "dst host $RIG_VIP4 and tcp src port $(awk '/port/ { print $2 }' "$RIG_DIR/hold3.log")"
sleep 0.3
STOPPED=$(now_ms)
cut_off 3
need "one that is silent everywhere is dead" eventually 8 is_state 10.3.0.3 dead
expect "its old connection does not hang" eventually 8 grep -q broken "$RIG_DIR/hold3.log"
expect_in_time "no new flow came to it later than is promised" 3 "$STOPPED"
expect "packets of the old one went elsewhere" test "$(packets old1 | wc -l)$(packets old2 | wc -l)" != 00
expect "the log says so" grep -q "backend_dead backend=10.3.0.3" "$RIG_DIR/halfproxyd.log"
expect "status says what is silent" eventually 4 says "10.3.0.3 does not answer at all"
stop halfproxyd KILL
need "a daemon that starts anew" director_up
expect_equal "takes over that it is dead" dead "$(health_of 10.3.0.3)"
host backend3 nft delete table inet cut
need "it is back when it answers" eventually 5 all_up
expect "the log says so too" grep -q "backend_alive backend=10.3.0.3" "$RIG_DIR/halfproxyd.log"
stop open

# ---- too few are up ------------------------------------------------------------------------------------------------------------

configure "min_up: 2\n    when_all_down: fallback\n    fallback: 10.3.0.4"
need "a reload" hp reload
expect_equal "keeps everybody up, and the fallback out" 123 "$(who)"
signal STOP 1
signal STOP 2
need "too few are up" eventually 5 is_state 10.3.0.1 failing
need "of both" eventually 5 is_state 10.3.0.2 failing
expect_equal "new flows go to the fallback" 4 "$(who)"
expect_text "status says so" "PANIC: too few backends are up, the fallback serves" hp status
expect "the log does" grep -q "service_panics service=web up=1 needed=2 flows_go_to=fallback" "$RIG_DIR/halfproxyd.log"
configure "min_up: 2\n    when_all_down: drop"
need "a reload" hp reload
expect_equal "and nobody serves" "" "$(who)"
expect_equal "the service is down" down "$(hp status --json | jq -r '.services[0].state')"
configure "min_up: 2\n    when_all_down: all"
need "a reload" hp reload
cut_off 3
need "all fail" eventually 5 is_state 10.3.0.3 failing
sleep 1 # its own address has been asked
expect_equal "nobody is dead to a service that sends flows to all" failing "$(health_of 10.3.0.3)"
expect_text "which status says" "PANIC: too few backends are up, all get flows" hp status
host backend3 nft delete table inet cut
need "one is up again" eventually 5 is_state 10.3.0.3 up
signal CONT 1
need "enough are up" eventually 5 is_state 10.3.0.1 up
expect_equal "and serve" 13 "$(who)"
signal CONT 2
need "all are" eventually 5 all_up
stop halfproxyd
finish

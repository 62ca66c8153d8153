#!/bin/bash
# The API and the command line: who may ask, what garbage does (nothing), exit statuses, JSON, and where errors are printed.
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh

GROUP=games # one that every Debian has
ask() { # PATH [CURL-OPTION...]: the HTTP status, body in $RIG_DIR/reply
	curl -sS --max-time 30 --unix-socket "$HALFPROXY_SOCKET" -o "$RIG_DIR/reply" -w '%{http_code}' "${@:2}" "http://halfproxy$1"
}
as_nobody() { # GROUP COMMAND...
	setpriv --reuid=65534 --regid=65534 --groups="$1" --inh-caps=-all --bounding-set=-all -- "${@:2}"
}
error() { jq -r .error "$RIG_DIR/reply"; }
alive() { expect "after $1 the daemon answers" eventually 10 hp status; }

rig_up l2 || exit 1
service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 | director_file
sed -i "s/^api: {/&group: $GROUP, /" "$RIG_DIR/halfproxy.yaml"
cp "$BUILD/halfproxy" "$RIG_DIR/halfproxy"
need "halfproxyd runs" director_up
FILE=$RIG_DIR/halfproxy.yaml

# ---- who may ask ------------------------------------------------------------------------------------------------
expect_equal "the socket is root's and the group's" "660 root $GROUP" "$(stat -c '%a %U %G' "$HALFPROXY_SOCKET")"
expect "a member of the group may ask" as_nobody $GROUP "$RIG_DIR/halfproxy" status
refuses "nobody else may, and is told who" "members of the API's group" as_nobody nogroup "$RIG_DIR/halfproxy" status

# ---- garbage ----------------------------------------------------------------------------------------------------
expect_equal "an unknown path is said to be one" "404 there is no /v2/status" "$(ask /v2/status) $(error)"
expect_equal "a method that is not taken as well" "405 /v1/apply does not take GET" "$(ask /v1/apply) $(error)"
expect_equal "a body that is no JSON is refused" 400 "$(ask /v1/weight --data-binary '{"service": ')"
expect_equal "so is JSON of another kind" 400 "$(ask /v1/weight --data-binary '[1, 2]')"
expect_equal "values of another type" 400 "$(ask /v1/weight -d '{"service": 1, "backend": [], "weight": "x"}')"
expect_equal "a weight that is too large" "400 weight must be a whole number from 0 to 65535" \
	"$(ask /v1/weight -d '{"service": "web", "backend": "10.3.0.1", "weight": 65536}') $(error)"
expect_equal "a confirmation without a time" 400 "$(ask '/v1/apply?confirm=soon' -d x)"
expect_equal "what is not UTF-8 is shown without it" "404 there is no /v1/?" "$(ask /v1/%ff) $(error)"
expect_equal "an empty configuration" 422 "$(ask /v1/apply -X POST)"
head -c 67108864 /dev/urandom >"$RIG_DIR/garbage"
expect_equal "64 MB of garbage are refused" 422 "$(ask /v1/apply --data-binary "@$RIG_DIR/garbage")"
alive "64 MB of garbage"
expect_equal "a byte more as well" 413 "$(echo >>"$RIG_DIR/garbage" && ask /v1/apply --data-binary "@$RIG_DIR/garbage")"
yes -- '- x' | head -c 60000000 >"$RIG_DIR/garbage"
expect_equal "and 15 million values" 422 "$(ask /v1/apply --data-binary "@$RIG_DIR/garbage")"
alive "15 million values"
{ echo 'interfaces: [eth0]'; echo 'services:'; yes -- '- {port: 0}' | head -n 100000; } >"$RIG_DIR/garbage"
expect_equal "of a hundred thousand mistakes the first thousand are named" 1001 \
	"$(ask /v1/apply --data-binary "@$RIG_DIR/garbage" >/dev/null; jq '.problems | length' "$RIG_DIR/reply")"
expect "check counts them all" eval "$BUILD/halfproxy check $RIG_DIR/garbage 2>&1 | tail -n 1 | grep -qE ' [0-9]{6} mistakes'"
rm "$RIG_DIR/garbage"
refuses "a file without end is refused" "File too large" "$BUILD/halfproxy" check /dev/zero
head -c 4096 /dev/urandom | socat -t 1 - "UNIX:$HALFPROXY_SOCKET" >/dev/null 2>&1
alive "what is not HTTP"

# Half a request, and connections that say nothing, hold up nobody.
half() { printf 'POST /v1/apply HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf'; sleep 8; }
half | socat - "UNIX:$HALFPROXY_SOCKET" >/dev/null 2>&1 &
HALF=$!
for n in 1 2 3 4 5; do
	sleep 8 | socat -u - "UNIX:$HALFPROXY_SOCKET" >/dev/null 2>&1 &
done
sleep 0.5
expect "half a request that stays open holds up nobody" timeout 2 "$BUILD/halfproxy" status
expect "it is still open" kill -0 $HALF
wait

# ---- the command line --------------------------------------------------------------------------------------------
# row STATUS ERRORS SENTENCE ARGUMENT...: the exit status; errors say ERRORS on stderr, and stdout is empty then.
row() {
	local status=0
	host director "$BUILD/halfproxy" "${@:4}" >"$RIG_DIR/out" 2>"$RIG_DIR/errors" </dev/null || status=$?
	expect_equal "$3" "$1" $status
	if [ -n "$2" ]; then
		expect "... on stderr, and says \"$2\"" grep -qF -e "$2" "$RIG_DIR/errors"
		expect_not "... and nothing on stdout" test -s "$RIG_DIR/out"
	else
		expect_not "... and nothing on stderr" test -s "$RIG_DIR/errors"
	fi
}
service web "$RIG_VIP4" tcp 81 l2 10.3.0.1 | director_file
mv "$FILE" "$RIG_DIR/next.yaml"
service web "$RIG_VIP4" tcp 80 l2 10.3.0.1 | director_file
sed -i "s/^api: {/&group: $GROUP, /" "$FILE" "$RIG_DIR/next.yaml"
sed 's/port: 81/port: 65536/' "$RIG_DIR/next.yaml" >"$RIG_DIR/wrong.yaml"
row 0 '' "check of a sound file exits with 0" check "$FILE"
row 1 'wrong.yaml:7:' "check of a mistaken one with 1" check "$RIG_DIR/wrong.yaml"
row 1 'No such file' "check of none with 1" check "$RIG_DIR/none.yaml"
row 0 '' "diff without a change exits with 0" diff "$FILE"
row 1 '' "diff with one exits with 1" diff "$RIG_DIR/next.yaml"
row 2 'wrong.yaml:7:' "diff of a mistaken file exits with 2" diff "$RIG_DIR/wrong.yaml"
row 2 'No such file' "diff of none exits with 2" diff "$RIG_DIR/none.yaml"
row 0 '' "apply of a sound file exits with 0" apply "$RIG_DIR/next.yaml"
row 1 'out of range' "apply of a mistaken one with 1" apply "$RIG_DIR/wrong.yaml"
row 0 '' "undo exits with 0" undo
row 0 '' "reload exits with 0" reload
row 1 'no change waits' "confirm of nothing exits with 1" confirm
row 2 'not a time' "a confirmation within no time is refused" apply "$FILE" --confirm 0s
row 2 'did you mean "status"' "a command that is none is refused by the nearest" stauts
row 2 'there is no option "--wiat": did you mean "--wait"?' "an option that is none as well" drain web 10.3.0.1 --wiat
row 2 '--deadline needs a value' "an option without its value is said to lack it" drain web 10.3.0.1 --deadline
row 2 'usage: halfproxy weight' "a command with too little says its usage" weight web
row 2 '--confirm does not belong to drain' "an option of another command is refused, and not without effect" \
	drain web 10.3.0.1 --confirm 60s
row 2 'usage: halfproxy undrain SERVICE BACKEND' "with the usage of this one" undrain web 10.3.0.1 --wait
row 2 'no number here is negative' "a weight below 0 is said to be wrong" weight web 10.3.0.1 -1
row 2 'is it UTF-8' "a name that is not UTF-8 is said to be none" weight $'\xff' 10.3.0.1 3
row 2 'is it UTF-8' "so is a protocol" trace 192.168.1.1 "$RIG_VIP4" --protocol $'\xff'
row 1 'there is no service' "a name longer than a sentence gets one all the same" reset "x$(printf 'ä%.0s' {1..2000})"
row 2 'no halfproxyd answers' "a command without a daemon exits with 2" --socket "$RIG_DIR/none.sock" status
row 2 'no halfproxyd answers' "diff without one too" --socket "$RIG_DIR/none.sock" diff "$FILE"
row 0 '' "check needs none" --socket "$RIG_DIR/none.sock" check "$FILE"

says() { hp --json "${@:2}" 2>/dev/null | jq -e "$1"; } # FILTER ARGUMENT...
json() { expect "$1" says "${@:2}"; }
json "status in JSON" '.services[0].name == "web"' status web
json "check in JSON" '.ok == true' check "$FILE"
json "check of mistakes in JSON" '.ok == false and .errors == 1' check "$RIG_DIR/wrong.yaml"
json "diff in JSON" '.changes[0].kind == "change"' diff "$RIG_DIR/next.yaml"
json "apply in JSON" '.changes | length > 0' apply "$RIG_DIR/next.yaml" --confirm 60s
json "confirm in JSON" 'type == "object"' confirm
json "undo in JSON" '.changes | length > 0' undo
json "reload in JSON" '.changes == []' reload
json "trace in JSON" '.verdict' trace 192.168.1.1 "$RIG_VIP4:80"
json "weight in JSON" '.changes[0].text' weight web 10.3.0.1 3
json "reset in JSON" '.changes[0].text' reset web
json "a refusal in JSON" '.error | contains("did you mean")' status wbe
json "mistakes in JSON" '.problems[0].line == 7' apply "$RIG_DIR/wrong.yaml"

# ---- a long report ----------------------------------------------------------------------------------------------------
{
	service web "$RIG_VIP4" tcp 80 l2 10.3.0.1
	for n in {1..1000}; do
		printf '  - {name: s%d, vip: 10.9.%d.%d, port: 80, forward: l2, backends: [10.3.0.1, 10.3.0.2]}\n' \
			"$n" $((n / 200)) $((n % 200 + 1))
	done
} | director_file
need "a configuration of many services" hp reload
whole() { jq -e '(.services | length) == 1001 and (.services | map(.name) | unique | length) == 1001 and .version' "$1"; }
curl -sS --unix-socket "$HALFPROXY_SOCKET" -o "$RIG_DIR/other" http://halfproxy/v1/status &
OTHER=$!
expect_equal "a report of many services comes" 200 "$(ask /v1/status)"
expect "whole" whole "$RIG_DIR/reply"
wait $OTHER
expect "and another that was asked for meanwhile" whole "$RIG_DIR/other"
for _ in {1..20}; do # gone before the answer is made, or while it comes
	curl -sS --max-time 0.0$((RANDOM % 9 + 1)) --unix-socket "$HALFPROXY_SOCKET" http://halfproxy/v1/status
done >/dev/null 2>&1
alive "many that did not wait"
expect "and tells whole stories" eval 'hp status --json | whole /dev/stdin'
curl -sS --unix-socket "$HALFPROXY_SOCKET" -o /dev/null http://halfproxy/v1/status 2>/dev/null &
OTHER=$!
expect "it ends while a report is made" stop halfproxyd
wait $OTHER
expect_not "without a crash" grep -qE "dumped|panic|AddressSanitizer|Fatal" "$RIG_DIR/halfproxyd.log"
finish

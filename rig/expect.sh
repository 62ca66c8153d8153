# shellcheck shell=bash
# Expectations of an end-to-end test: sentences with a command that has to succeed, or fail. Sourced after rig.sh.
#
#     expect "what should be" COMMAND...        it exits with 0
#     expect_not "what should be" COMMAND...    it does not
#     expect_text "what should be" TEXT COMMAND...   its output (and errors) hold TEXT, whatever its status
#     refuses "what should be" TEXT COMMAND...   it fails, by itself and in time, and says TEXT
#     finish                                    ends the test: 0 when all were met

EXPECT_FAILED=0

expect_result() { # STATUS SENTENCE OUTPUT
	if [ "$1" = 0 ]; then
		printf 'ok      %s\n' "$2"
	else
		printf 'FAILED  %s\n' "$2"
		printf '%s\n' "$3" | head -n 30 | sed 's/^/        | /'
		EXPECT_FAILED=$((EXPECT_FAILED + 1))
	fi
}

expect() {
	local output status=0
	output=$("${@:2}" 2>&1) || status=$?
	expect_result $status "$1" "exit status $status of: ${*:2}"$'\n'"$output"
}

expect_not() {
	local output status=1
	output=$("${@:2}" 2>&1) || status=0
	expect_result $status "$1" "exit status 0 of: ${*:2}"$'\n'"$output"
}

expect_text() {
	local output status=0
	output=$("${@:3}" 2>&1)
	grep -qF -e "$2" <<<"$output" || status=1
	expect_result $status "$1" "\"$2\" is not in the output of: ${*:3}"$'\n'"$output"
}

# expect_equal "what should be" WANTED GOT
expect_equal() {
	local status=0
	[ "$2" = "$3" ] || status=1
	expect_result $status "$1" "wanted \"$2\", got \"$3\""
}

refuses() {
	local output status
	output=$("${@:3}" 2>&1)
	status=$?
	[ $status != 0 ] && [ $status -lt 124 ] && grep -qF -e "$2" <<<"$output"
	expect_result $? "$1" "status $status, and wanted \"$2\" in:"$'\n'"$output"
}

# A step without which the rest makes no sense.
need() {
	local output
	output=$("${@:2}" 2>&1) && return 0
	expect_result 1 "$1" "$output"
	expect_log
	exit 1
}

expect_log() {
	[ -e "${RIG_DIR-}/halfproxyd.log" ] || return 0
	echo "halfproxyd said:"
	tail -n 40 "$RIG_DIR/halfproxyd.log" | sed 's/^/        | /'
}

finish() {
	[ "$EXPECT_FAILED" = 0 ] || expect_log
	[ "$EXPECT_FAILED" = 0 ]
	exit
}

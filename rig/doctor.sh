# shellcheck shell=bash
# Faults made for real, and what a doctor says of them. Sourced after rig.sh and expect.sh; the test defines
#
#     doctor ARGUMENT...      run the doctor in question
#     at COMMAND...           run a command on the host in question
#     DOCTOR_USUAL            names of causes that this machine has anyway, as a JSON array

# This machine's clock, its network cards and what else no test can mend.
DOCTOR_USUAL=${DOCTOR_USUAL-'["CLOCK_UNSYNCHRONISED"]'}

# What the doctor said last of a fault, as JSON.
DOCTOR_SAID='{"items": []}'

# The names of all causes found, one a line; the command that was printed for one of them when it was provoked.
doctor_names() { doctor --json | jq -r --argjson usual "$DOCTOR_USUAL" '[.items[].id] - [""] - $usual | unique[]'; }
doctor_command() { jq -r --arg id "$1" '[.items[] | select(.id == $id).command][0]' <<<"$DOCTOR_SAID"; }

# Nothing is wrong but what is usual here, and the exit status says so.
doctor_content() {
	local status said
	said=$(doctor --json)
	status=$?
	jq -e --argjson usual "$DOCTOR_USUAL" '([.items[].id] - [""] - $usual) == []' <<<"$said" >/dev/null &&
		[ $status = "$(jq 'if .wrong > 0 then 2 elif .warnings > 0 then 1 else 0 end' <<<"$said")" ] && return
	jq -c '.items[] | select(.level != "ok")' <<<"$said"
	return 1
}

# provoke SENTENCE NAME LEVEL COMMAND...: after the command the doctor names the cause, at that level.
provoke() {
	"${@:4}" >/dev/null || echo "could not provoke: ${*:4}"
	DOCTOR_SAID=$(doctor --json)
	jq -e --arg id "$2" --arg level "$3" '[.items[] | select(.id == $id and .level == $level)] | length > 0' \
		<<<"$DOCTOR_SAID" >/dev/null
	expect_result $? "$1 is $2, ${3}" "$(jq -c '.items[] | select(.level != "ok")' <<<"$DOCTOR_SAID")"
}

# by_command SENTENCE NAME LEVEL COMMAND...: so it does, and the very command that it prints mends it.
by_command() {
	local command
	provoke "$@"
	command=$(doctor_command "$2")
	expect "... mended by: $command" at env PATH="$BUILD:$PATH" sh -c "$command"
	expect "... and then all is well" doctor_content
}

# by_fix SENTENCE NAME LEVEL COMMAND...: so it does, and --fix mends it and says what it did.
by_fix() {
	local said
	provoke "$@"
	said=$(doctor --fix --json 2>/dev/null)
	expect "... --fix says what it did" jq -e '.fixed | length > 0' <<<"$said"
	expect "... and then all is well" doctor_content
}

# Both ways, one after the other.
by_both() {
	by_command "$@"
	by_fix "$@"
}

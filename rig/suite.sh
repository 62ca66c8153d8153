# shellcheck shell=bash
# The test runner. Sourced by run; uses its build and folder.
#
# Tests are found by their place. Each is a job: a name, a limit in seconds, a command; it has a log of its own
# (build/logs/NAME.log) and, if it touches the kernel, a jail (rig/jail). They run in lanes, in no order that anything may
# rely on:
#
#     the scripts that wait for something most of the time, three at a time
#     one at a time: the scripts that take a processor for themselves, which say so; then the programs; then, two at a time,
#     those built with sanitizers
#     by what CPU time these leave over: the builds, checks and fuzzers
#
# A script or program that fails runs once more at the end, alone: on a machine that is too busy for it, it fails for that reason.
# That it needed this is said. What fails then as well has failed.
#
# What takes long begins first, so that no lane is left with it at the end. A script tells by a line of its own how long it
# takes about (else 15 s), and that it is heavy:
#
#     # suite: 40 s heavy
#
# The jobs are:
#
#     tests/unit/test_*.c, tests/packet/test_*.c   unit/NAME, packet/NAME, and again as sanitize/NAME
#     tests/e2e/test_*.sh                          e2e/NAME
#     tests/style/test_*.sh                        style/NAME
#     tests/hostile/fuzz_*.c                       fuzz/NAME, 20 s each from its corpus
#     the compilers and checkers                   build/*, check/*

SUITE_WAITING=3
SUITE_IDLE_LIMIT_S=900 # others have gone before
SUITE_FUZZ_S=20

suite_job() { # NAME LIMIT_S COMMAND...
	printf '%s\t%s\t%s\n' "$1" "$2" "${*:3}"
}

suite_programs() {
	local source name kind
	for source in tests/unit/test_*.c tests/packet/test_*.c; do
		[ -e "$source" ] || continue
		name=$(basename "$source" .c)
		kind=$(basename "$(dirname "$source")")
		suite_job "$kind/${name#test_}" 240 rig/jail "build/$name"
		suite_job "sanitize/${name#test_}" 240 rig/jail "build/sanitize/$name"
	done
}

# suite_scripts waiting|heavy: those of that lane, the longest first.
suite_scripts() {
	local script seconds lane
	for script in tests/e2e/test_*.sh; do
		[ -e "$script" ] || continue
		read -r seconds lane < <(sed -n 's/^# suite: \([0-9]\+\) s\( heavy\)\?$/\1\2/p' "$script"; echo 15)
		[ "${lane:-waiting}" = "$1" ] || continue
		script=${script#tests/e2e/test_}
		printf '%d\t' "$seconds"
		suite_job "e2e/${script%.sh}" 300 rig/jail "tests/e2e/test_$script"
	done | sort -s -n -r -k 1,1 | cut -f 2-
}

suite_styles() {
	local script
	for script in tests/style/test_*.sh; do
		[ -e "$script" ] || continue
		script=${script#tests/style/test_}
		suite_job "style/${script%.sh}" 300 "tests/style/test_$script"
	done
}

suite_checks() {
	local source name
	suite_job check/cppcheck $SUITE_IDLE_LIMIT_S rig/check cppcheck
	suite_job check/shellcheck $SUITE_IDLE_LIMIT_S rig/check shellcheck
	suite_job check/mandoc $SUITE_IDLE_LIMIT_S rig/check mandoc
	for source in tests/hostile/fuzz_*.c; do
		[ -e "$source" ] || continue
		name=$(basename "$source" .c)
		suite_job "fuzz/${name#fuzz_}" $SUITE_IDLE_LIMIT_S rig/check fuzz "$name" "$SUITE_FUZZ_S"
	done
}

# Run one job of a line as suite_job prints it; writes build/logs/NAME.{log,result}.
suite_one() {
	local name limit_s command log begin_ms took result=ok
	IFS=$'\t' read -r name limit_s command <<<"$1"
	log=build/logs/$name
	mkdir -p "$(dirname "$log")"
	begin_ms=$(date +%s%3N)
	# shellcheck disable=SC2086 # a job's command is words
	timeout -k 5 "$limit_s" $command >"$log.log" 2>&1 </dev/null || {
		[ $? != 124 ] || echo "ended after $limit_s s, its limit" >>"$log.log"
		result=FAILED
	}
	took=$(($(date +%s%3N) - begin_ms))
	printf '%-7s%-44s%4d.%d s\n' "$result" "$name" $((took / 1000)) $((took % 1000 / 100))
	echo "$result" >"$log.result"
	[ $result = ok ] || suite_failure "$log.log" | sed 's/^/       | /'
}

# What a failed job's log says: first the expectations that failed, each with the first lines of what it got instead, then
# the end of the log, which is often filled by what a daemon said.
suite_failure() {
	awk '/FAILED|\[ +(ERROR|LINE) +\]|ERROR:|^left behind/ { context = 8; print; next }
		/^ +[|] / && context-- > 0 { print; next }
		{ context = 0 }' "$1" | head -n 60
	echo "the log's end:"
	tail -n 25 "$1"
}
export -f suite_one suite_failure

# A build is a test as well: suite_build NAME VARIANT [TARGET...]
suite_build() {
	local name=$1 log=build/logs/$1 begin=$SECONDS result=ok
	mkdir -p "$(dirname "$log")"
	shift
	(build "$@") >"$log.log" 2>&1 || result=FAILED
	printf '%-7s%-44s%4d.0 s\n' $result "$name" $((SECONDS - begin))
	echo $result >"$log.result"
	[ $result = ok ] || { tail -n 40 "$log.log" | sed 's/^/       | /'; }
}

suite() {
	local jobs waiting heavy sanitized idle passed failed
	rm -rf build/logs
	mkdir -p build/logs
	suite_build build/gcc gcc
	waiting=$(suite_scripts waiting | suite_wanted "$@"; suite_styles | suite_wanted "$@")
	heavy=$(suite_scripts heavy | suite_wanted "$@")
	jobs=$(suite_checks | suite_wanted "$@"; suite_programs | suite_wanted "$@")
	if [ -z "$waiting$heavy$jobs" ]; then
		echo "run: no test's name contains $*" >&2
		return 2
	fi
	if grep -q ^e2e/guest_ <<<"$heavy"; then # in a jail there is no network to download by
		rig/guest --fetch || true
	fi
	BUILD=$ROOT/build
	export BUILD
	suite_idle "$jobs" $# &
	idle=$!
	suite_jobs $SUITE_WAITING "$waiting" &
	suite_jobs 1 "$heavy"
	suite_jobs 1 "$(grep -E "^(unit|packet)/" <<<"$jobs")"
	if sanitized=$(grep ^sanitize/ <<<"$jobs"); then
		until [ -e build/logs/build/sanitize.result ] || ! kill -0 $idle 2>/dev/null; do sleep 0.2; done
		suite_jobs 2 "$sanitized"
	fi
	wait
	suite_again "$(printf '%s\n' "$waiting" "$heavy" "$jobs" | grep -E '^(e2e|unit|packet|sanitize)/')"
	passed=$(grep -rlx ok build/logs --include='*.result' | wc -l)
	failed=$(($(printf '%s\n' "$waiting" "$heavy" "$jobs" | grep -c .) + $(find build/logs/build -name '*.result' | wc -l) - passed))
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}

# Run those of these jobs again that failed, each alone.
suite_again() {
	local job log
	while IFS= read -r job; do
		log=build/logs/${job%%$'\t'*}
		[ "$(cat "$log.result" 2>/dev/null)" = FAILED ] || continue
		mv "$log.log" "$log.first.log"
		echo "again, alone: ${job%%$'\t'*}"
		suite_one "$job"
	done <<<"$1"
}

# Of the jobs on standard input those whose name contains an argument; without any, all.
suite_wanted() {
	awk -F'\t' 'BEGIN { for (i = 1; i < ARGC; i++) want[i] = ARGV[i]; names = ARGC - 1; ARGC = 1 }
		{ for (i in want) if (index($1, want[i])) { print; next } } names == 0' "$@"
}

# Run so many of these jobs at a time.
suite_jobs() {
	[ -n "$2" ] || return 0
	# shellcheck disable=SC2016 # the inner shell's own argument
	printf '%s\n' "$2" | xargs -d '\n' -P "$1" -I '{}' bash -c 'suite_one "$1"' suite '{}' || true
}

# What needs nothing but CPU time, and takes none that others want: suite_idle JOBS NAMES, the number of names asked for.
suite_idle() {
	chrt --idle --pid 0 $BASHPID || true
	[ "$2" -gt 0 ] || suite_build build/clang clang
	! grep -q ^sanitize/ <<<"$1" || suite_sanitized
	suite_jobs 1 "$(grep -E "^(check|fuzz)/" <<<"$1")"
}

suite_sanitized() {
	local source targets=()
	for source in tests/unit/test_*.c tests/packet/test_*.c; do
		[ ! -e "$source" ] || targets+=("$(basename "$source" .c)")
	done
	suite_build build/sanitize sanitize "${targets[@]}"
}

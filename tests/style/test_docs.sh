#!/bin/bash
# The documentation says what the code does: what the programs and their tables name stands in its page, and what the
# pages name is there. Every list here is taken from the programs or the sources.
# shellcheck disable=SC2016 # backticks are Markdown's
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build}
status=0

wrong() {
	[ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2" | sed '2,$s/^/    /'; status=1; }
}

# A page as people read it, on one line, with single blanks.
page() { mandoc -Tutf8 -O width=200 "man/$1" | col -bx | tr -s ' \n' ' '; }

# lacking PAGE: those lines of standard input that do not stand in the page.
lacking() {
	local text line
	text=$(page "$1")
	while IFS= read -r line; do
		[[ $text = *"$line"* ]] || echo "$line"
	done
}

# some LIST...: the lists must not be empty, or their extraction no longer fits the sources.
some() {
	local name
	for name in "$@"; do
		[ -n "${!name}" ] || wrong "nothing was found of" "$name"
	done
}

# Of the lines of standard input those that are not among the lines of the argument.
not_in() { grep -vxF -f <(printf '%s\n' "$1") || true; }

# ---- what the code names ------------------------------------------------------------------------------------------

COMMANDS=$("$BUILD/halfproxy" help | sed -nE 's/^  ([a-z]+) .*/\1/p')
ARGUMENTS=$("$BUILD/halfproxy" help | sed -nE 's/^  ([a-z]+) +([A-Z]*) .*/\1 \2/p')
KEYS=$(sed -nE 's/^\t\{"([a-z0-9_]+)", (read|config_schema)_.*/\1/p' src/core/config*.c | sort -u)
WORDS=$(grep -ohP '\{"\K[a-z0-9-]+(?=", -?[A-Z0-9])' src/core/config*.c | sort -u)
ROUTES=$(grep -oP '"(GET|POST)", "/v1/[a-z]+"' src/daemon/api_routes.c | tr -d '",')
CODES=$({ grep -ohP 'api_fail\(\w+, \K[0-9]+' src/daemon/*.c
	sed -n '/^static unsigned int status_of/,/^}/p' src/daemon/api_routes.c | grep -oP 'return \K[0-9]+'; } | sort -u)
VERDICTS=$(sed -nE 's/^\tX\(([A-Z_0-9]+), (XDP_[A-Z]+), "(.*)"\).*/\1 \2 \3/p' bpf/abi.h)
EVENTS=$(cat src/daemon/*.c | tr -d '\n' | grep -oP 'log_event\([A-Z_]+,\s*"\K[a-z_]+' | sort -u)
REPORT=$(grep -ohP '"\K[a-z_]+(?=")' <(sed -n '/json_pack\|json_object_set_new/,/;/p' src/daemon/status*.c src/daemon/flows.c) | sort -u)
FLOW_EVENTS=$(sed -n '/define HP_FLOW_EVENTS/,/^$/s/^\tX(\([A-Z_]*\), "\([^"]*\)").*/\1 \2/p' bpf/abi.h)
PROBE_EVENTS=$(sed -n '/define HP_PROBE_EVENTS/,/^$/s/^\tX(\([A-Z_]*\), "\([^"]*\)").*/\1 \2/p' bpf/abi.h)
some COMMANDS ARGUMENTS KEYS WORDS ROUTES CODES VERDICTS EVENTS REPORT FLOW_EVENTS PROBE_EVENTS

# A verdict's row in the page: name, what becomes of the packet, what it says.
verdict_rows() {
	local name action text
	while read -r name action text; do
		case $action in
		XDP_TX) action=sent ;;
		XDP_DROP) action=dropped ;;
		XDP_PASS) action=passed ;;
		XDP_ABORTED) action=- ;;
		esac
		[[ $name != ANSWERED_* && $name != *_TOLD ]] || action=answered
		echo "$name $action $text"
	done <<<"$VERDICTS"
}

# ---- and whether its page does ------------------------------------------------------------------------------------

for program in halfproxyd halfproxy halfproxy-backend; do
	if [ ! -f "man/$program.8" ]; then
		wrong "a program has no page" "man/$program.8"
		continue
	fi
	options=$("$BUILD/$program" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u)
	some options
	wrong "$program.8 lacks options of $program --help" "$(lacking "$program.8" <<<"$options")"
done
wrong "halfproxy.8 lacks commands of the command table" \
	"$(not_in "$(sed -nE 's/^\.It Cm ([a-z]+)( .*)?$/\1/p' man/halfproxy.8)" <<<"$COMMANDS")"
wrong "halfproxy.8 has commands that the command table lacks" \
	"$(sed -nE 's/^\.It Cm ([a-z]+)( .*)?$/\1/p' man/halfproxy.8 | not_in "$COMMANDS")"
wrong "halfproxy.8 lacks the first argument of" "$(tr '[:upper:]' '[:lower:]' <<<"$ARGUMENTS" | sed 's/ $//' |
	lacking halfproxy.8)"

documented=$(sed -nE 's/^\.It Ic ([a-z0-9_, ]+)( :.*)?$/\1/p' man/halfproxy.yaml.5 | tr -s ', ' '\n')
wrong "halfproxy.yaml.5 lacks keys of the configuration" "$(not_in "$documented" <<<"$KEYS")"
wrong "halfproxy.yaml.5 has keys that the configuration lacks" "$(not_in "$KEYS" <<<"$documented")"
wrong "halfproxy.yaml.5 lacks words that a key takes" "$(lacking halfproxy.yaml.5 <<<"$WORDS")"

wrong "halfproxyd.8 lacks routes of the API" "$(lacking halfproxyd.8 <<<"$ROUTES")"
wrong "halfproxyd.8 has routes that the API lacks" \
	"$(sed -nE 's/^\.It Cm (GET|POST) (\/v1\/[a-z]+).*/\1 \2/p' man/halfproxyd.8 | not_in "$ROUTES")"
wrong "halfproxyd.8 lacks status codes of the API" \
	"$(not_in "$(sed -nE 's/^\.It ([0-9]{3})$/\1/p' man/halfproxyd.8)" <<<"$CODES")"
wrong "halfproxyd.8 lacks members of the status report" "$(lacking halfproxyd.8 <<<"$REPORT")"
wrong "halfproxyd.8 lacks verdicts, or says something else of them" "$(verdict_rows | lacking halfproxyd.8)"
wrong "halfproxyd.8 lacks counts of remembered flows, or says something else of them" "$(lacking halfproxyd.8 <<<"$FLOW_EVENTS")"
wrong "halfproxyd.8 lacks what becomes of probes, or says something else of it" "$(lacking halfproxyd.8 <<<"$PROBE_EVENTS")"
wrong "halfproxyd.8 lacks events of the log" \
	"$(not_in "$(sed -nE 's/^\.It Sy ([a-z_]+).*/\1/p' man/halfproxyd.8)" <<<"$EVENTS")"
wrong "halfproxyd.8 has events that are never logged" \
	"$(sed -n '/^\.Ss Log/,/^\.Ss Verdicts/s/^\.It Sy \([a-z_]*\).*/\1/p' man/halfproxyd.8 |
		while read -r event; do grep -qE "\"${event}[ \"]" src/daemon/*.c || echo "$event"; done)"

wrong "docs/troubleshooting.md is not what \`./run docs\` makes of the list of causes" \
	"$("$BUILD/troubleshooting" | diff docs/troubleshooting.md - | head -n 20)"

# Who is said to find a cause does.
found() { # FLAG FILE...
	sed -nE "s/^\tX\\(([A-Z_]+), .*$1.*/\1/p" src/core/causes.h | while read -r name; do
		grep -qE "\b(CAUSE_)$name\b" "${@:2}" || echo "$name"
	done
}
wrong "causes that the backend's doctor does not find" "$(found CAUSE_BACKEND src/backend/doctor*.c src/doctor/*.c src/core/judge_*.c)"
wrong "causes that the director's doctor does not find" "$(found CAUSE_DIRECTOR src/cli/doctor*.c src/doctor/*.c src/core/judge_*.c)"
wrong "causes that no verdict has" "$(found CAUSE_PROBE src/core/verdict.c)"

# ---- examples work -------------------------------------------------------------------------------------------------

wrong "the example of halfproxy.yaml.5 is no configuration" \
	"$(sed -n '/^\.Bd/,/^\.Ed/p' man/halfproxy.yaml.5 | sed '1d; /^\.Ed/,$d' | "$BUILD/halfproxy" check - 2>&1 >/dev/null)"
wrong "the configuration in README.md is none" \
	"$(sed -n '/^    interfaces:/,/^$/s/^    //p' README.md | "$BUILD/halfproxy" check - 2>&1 >/dev/null)"

README=$(grep -ohE '(^    |`)(\./run|halfproxy(d|-backend)?) [^`#]*' README.md | sed -E 's/^(    |`)//')
some README
wrong "README.md names commands that are not there" \
	"$({ sed -nE 's/^halfproxy ([a-z]+).*/\1/p' <<<"$README" | not_in "$COMMANDS"
	sed -nE 's/^halfproxy-backend ([a-z]+).*/\1/p' <<<"$README" |
		not_in "$("$BUILD/halfproxy-backend" --help | sed -nE 's/^.* halfproxy-backend ([a-z]+).*/\1/p')"
	sed -nE 's/^\.\/run ([a-z]+).*/\1/p' <<<"$README" | not_in "help"$'\n'"$(./run help | sed -nE 's/^.*\.\/run ([a-z]+).*/\1/p')"; })"
wrong "README.md names options that no program has" \
	"$(grep -oE -- '--[a-z][a-z0-9-]+' README.md | sort -u | not_in "$({ ./run help
		for program in halfproxyd halfproxy halfproxy-backend; do "$BUILD/$program" --help; done; } |
		grep -oE -- '--[a-z][a-z0-9-]+')")"
wrong "a file that README.md or ARCHITECTURE.md names is not there" \
	"$(grep -ohE '`(src|bpf|rig|tests|man|dist|docs|simulate)/[a-zA-Z0-9_./-]+`' README.md ARCHITECTURE.md | tr -d '`' | sort -u |
		while read -r file; do [ -e "$file" ] || echo "$file"; done)"
wrong "a function that ARCHITECTURE.md names is not in the sources" \
	"$(grep -ohE '`[a-z][a-z0-9_]+\(\)`' ARCHITECTURE.md | tr -d '`()' | sort -u |
		while read -r function; do grep -rqE "\b$function\(" src bpf rig || echo "$function"; done)"

exit $status

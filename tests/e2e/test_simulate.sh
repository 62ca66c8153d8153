#!/bin/bash
# halfproxy-simulate: a run by the command line, as a table, as JSON and as a picture; and what it says to bad input.
set -u
BUILD=${BUILD:-build}
SIMULATE=$BUILD/halfproxy-simulate
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
status=0

wrong() {
	echo "wrong: $*"
	status=1
}

# refused WANTED ARGUMENT...: exit 2, nothing on standard output, WANTED among what is said
refused() {
	local wanted=$1 code
	shift
	"$SIMULATE" "$@" >"$DIR/out" 2>"$DIR/err"
	code=$?
	[ $code = 2 ] || wrong "$* ended with $code"
	[ ! -s "$DIR/out" ] || wrong "$* printed something"
	grep -qF -- "$wanted" "$DIR/err" || wrong "$* says: $(cat "$DIR/err")"
}

"$SIMULATE" --backends 20,50 --flows 20k --hours 3 --flood 500 --json --svg "$DIR/picture.svg" >"$DIR/json" ||
	wrong "the run failed"
python3 - "$DIR/json" "$DIR/picture.svg" <<'PYTHON' || status=1
import json, sys
import xml.etree.ElementTree as tree
runs = json.load(open(sys.argv[1]))
assert [run["backends"] for run in runs] == [20, 50]
for run in runs:
    for result in run["calm"], run["flooded"]:
        assert result["flows"] > 19000
        for scheme in result["schemes"]:
            assert scheme["broken"] == sum(scheme["broken_by_silence"].values())
    calm = {scheme["scheme"]: scheme for scheme in run["calm"]["schemes"]}
    assert calm["ours"]["broken"] == calm["ours"]["broken_by_silence"]["longer"]
    assert calm["hash mod n"]["broken"] > calm["Maglev"]["broken"] > 0
root = tree.parse(sys.argv[2]).getroot()
assert root.tag.endswith("svg") and len(root) > 100
PYTHON

"$SIMULATE" --flows 5k --hours 2 --changes 3 >"$DIR/table" || wrong "the run for a table failed"
[ "$(grep -cE '^(hash mod n|Maglev|LRU|JET|ours)' "$DIR/table")" = 8 ] || wrong "the table has other rows"
"$SIMULATE" --help | grep -q -- --backends || wrong "--help lacks --backends"

refused 'a number from 2 to 20000 is needed' --backends 1
refused 'a number from 2 to 20000 is needed' --backends 10,
refused 'at most 8 runs' --backends 2,2,2,2,2,2,2,2,2
refused 'a number from 1 to 1000000000 is needed' --flows many
refused 'a number from 1 to 1000000000 is needed' --flows 5kk
refused 'a number from 0.01 to 1000 is needed' --hours nan
refused 'a number from 0 to 50 is needed' --share -1
refused 'known are grow, shrink' --kinds grow,moon
refused 'three numbers are needed' --traffic 0,0,0
refused 'three numbers are needed' --traffic 1,2
refused 'more than 65535 backends' --backends 20000 --changes 10000 --share 50
refused '"surplus" is no option' surplus
refused '--help says what is known' --nonsense
"$SIMULATE" --flows 1k --hours 0.1 --svg "$DIR/not/there.svg" >/dev/null 2>"$DIR/err" && wrong "an unwritable picture passed"
grep -q 'there.svg: No such file' "$DIR/err" || wrong "an unwritable picture: $(cat "$DIR/err")"
exit $status

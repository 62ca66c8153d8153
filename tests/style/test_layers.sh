#!/bin/bash
# The rules of the house that a machine can check: layers, sizes, top comments, no typedef of structs.
set -u
cd "$(dirname "$0")/../.." || exit 1
status=0

wrong() {
	[ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2" | sed '2,$s/^/    /'; status=1; }
}

sources() { find "$@" -name '*.[ch]' -type f | LC_ALL=C sort; }

# may_include FOLDER LAYER...: headers of ours that its files may name; a layer is a folder or one header
may_include() {
	local folder=$1 layers
	layers=$(printf '|%s/' "${@:2}" | sed 's,\.h/,\\.h",g')
	wrong "$folder/ may include of ours only: ${*:2} (and its own)" \
		"$(grep -nE '^#include "' -r "src/$folder" |
			grep -vE "#include \"(abi\\.h\"|$folder/${layers})" |
			grep -vE '#include "[a-z_]*\.skel\.h"')"
}

may_include base base
may_include core core base
may_include daemon daemon core base
may_include doctor doctor core base
may_include cli cli doctor core base
may_include backend backend doctor core base backend_abi.h

wrong "simulate/ may include of ours only: rules, core, base (and its own)" \
	"$(grep -nE '^#include "[a-z]+/' -r simulate | grep -vE '#include "(core|base)/')"

wrong "base knows nothing of load balancing: it includes no ABI" "$(grep -n '#include "abi.h"' -r src/base)"
wrong "core is pure: no I/O, no clock, no kernel" \
	"$(grep -nE '#include <(unistd|fcntl|time|sys/(socket|stat|ioctl|time)|bpf/|uv|libmnl/)' -r src/core)"
wrong "bpf/ includes nothing of src/" "$(grep -nE '#include "(\.\./|src/|base/|core/|daemon/|cli/|backend/)' -r bpf)"

wrong "a file has at most 600 lines" \
	"$(sources src bpf tests bench simulate | xargs wc -l | awk '$1 > 600 && $2 != "total" { print $2 ": " $1 }')"

# A function's body begins with { and ends with } in the first column; a brace of data does as well, but after =.
# shellcheck disable=SC2016 # awk's own variables
wrong "a function has at most 70 lines (tables excepted)" \
	"$(sources src bpf simulate | xargs awk '
		FNR == 1 { begin = 0 }
		/^\{/ { begin = FNR; name = head }
		/^\}/ { if (begin && FNR - begin + 1 > 70) print FILENAME ":" begin ": " name " has " FNR - begin + 1; begin = 0 }
		/^[a-z].*\(/ { head = $0 }')"

wrong "no typedef for a struct" "$(sources src bpf tests bench simulate | xargs grep -nE '^[[:space:]]*typedef[[:space:]]+(struct|union)')"

wrong "a file begins with a comment that says what it is" \
	"$(sources src bpf tests bench simulate | while read -r file; do
		[ ! -s "$file" ] || head -n 1 "$file" | grep -q '^/\*' || echo "$file"
	done)"

wrong "a script says in its first lines what it is" \
	"$(find run .ci rig tests -type f ! -name '*.c' ! -name '*.h' ! -path '*/corpus/*' | while read -r file; do
		[ "$(head -c 2 "$file")" != '#!' ] || sed -n 2p "$file" | grep -q '^# ' || echo "$file"
	done)"

wrong "indentation is by tabs" "$(sources src bpf simulate | xargs grep -nE '^ {8}' | head -n 20)"
wrong "no blanks at the end of a line" "$(sources src bpf tests bench simulate | xargs grep -nE '[[:blank:]]+$' | head -n 20)"
wrong "lines have at most 130 columns (a tab is 8)" \
	"$(sources src bpf tests bench simulate | while read -r file; do
		expand "$file" | awk -v file="$file" 'length($0) > 130 { print file ":" FNR ": " length($0) }'
	done)"
wrong "a switch on an enum has no default" "$(sources src/core | xargs grep -nE '^[[:space:]]*default:' | head)"
wrong "nothing left to do in the sources" "$(sources src bpf tests bench simulate | xargs grep -nwE 'TODO|FIXME|XXX')"

exit $status

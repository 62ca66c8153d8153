#!/bin/bash
# The demo with ipip: TCP and UDP, IPv4 and IPv6. Its verdict comes from captures at every host.
# suite: 25 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh

for family in "" --ipv6; do
	for protocol in "" --udp; do
		# shellcheck disable=SC2086 # no option is no word
		expect_text "five facts hold for ipip $family $protocol" "All five facts hold." \
			rig/demo --forward ipip $family $protocol
	done
done
OUTPUT=$(rig/demo --forward ipip --ipv6)
expect_text "a page over IPv6 names the backend by its IPv6 address" "hello from backend1, fd00:3::1" echo "$OUTPUT"
expect_not "no line ends in blanks" grep -n ' $' <<<"$OUTPUT"
expect_equal "the demos left no namespace" "" "$(ip netns list)"
finish

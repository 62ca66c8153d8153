#!/bin/bash
# The demo with gue: TCP and UDP, IPv4 and IPv6. Its verdict comes from captures at every host.
# suite: 25 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh

for family in "" --ipv6; do
	for protocol in "" --udp; do
		# shellcheck disable=SC2086 # no option is no word
		expect_text "five facts hold for gue $family $protocol" "All five facts hold." \
			rig/demo --forward gue $family $protocol
	done
done
expect_equal "the demos left no namespace" "" "$(ip netns list)"
finish

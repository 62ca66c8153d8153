#!/bin/bash
# The second chance: a download is opened on backend 1; then its packets come to backend 2 with backend 1 as alternate, as
# from a director that knows nothing of what was before, and the download goes on. In all four pairs of families, with
# native and generic XDP. Nobody else makes a backend pass packets on, and no packet is passed on twice.
#
# The forgetful director is a tc program at the router's end of the director's cable: it turns each GUE packet for backend 1
# into one for backend 2 that names backend 1.
# suite: 35 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

RIG_FILE_BYTES=2000000

forgetful_object() {
	cat >"$RIG_DIR/forgetful.c" <<-'END'
		#include <stddef.h>
		#include <linux/bpf.h>
		#include <linux/if_ether.h>
		#include <linux/in.h>
		#include <linux/ip.h>
		#include <linux/ipv6.h>
		#include <linux/udp.h>
		#include <bpf/bpf_endian.h>
		#include <bpf/bpf_helpers.h>
		struct front { struct udphdr udp; __u8 form, protocol; __be16 flags; };
		struct chance { __u8 magic, version, hops, zero, alternate[16]; };
		static const __u8 one4[4] = {10, 3, 0, 1}, two4[4] = {10, 3, 0, 2};
		static const __u8 one6[16] = {0xfd, 0, 0, 3, [15] = 1}, two6[16] = {0xfd, 0, 0, 3, [15] = 2};
		SEC("classifier")
		int forget(struct __sk_buff *skb)
		{
			int is4 = skb->protocol == bpf_htons(ETH_P_IP), at = ETH_HLEN + (is4 ? 20 : 40);
			struct chance chance = {'H', 1, 0, 0, {}};
			struct front front;
			__be16 was, now;
			__be32 from, to;
			__u8 one[16] = {};
			if (!is4 && skb->protocol != bpf_htons(ETH_P_IPV6))
				return -1;
			if (bpf_skb_load_bytes(skb, at, &front, sizeof(front)) || front.udp.dest != bpf_htons(6080) || front.form)
				return -1;
			bpf_skb_load_bytes(skb, ETH_HLEN + (is4 ? 16 : 24), one, is4 ? 4 : 16);
			if (is4 ? __builtin_memcmp(one, one4, 4) : __builtin_memcmp(one, one6, 16))
				return -1;
			if (bpf_skb_adjust_room(skb, sizeof(chance), BPF_ADJ_ROOM_NET, 0))
				return 2;
			front.form = 5;
			front.udp.len = bpf_htons(bpf_ntohs(front.udp.len) + sizeof(chance));
			if (is4)
				chance.alternate[10] = chance.alternate[11] = 0xff;
			__builtin_memcpy(chance.alternate + (is4 ? 12 : 0), one, 4);
			if (!is4)
				__builtin_memcpy(chance.alternate, one, 16);
			bpf_skb_store_bytes(skb, at, &front, sizeof(front), 0);
			bpf_skb_store_bytes(skb, at + sizeof(front), &chance, sizeof(chance), 0);
			bpf_skb_load_bytes(skb, ETH_HLEN + (is4 ? 2 : 4), &was, 2);
			now = bpf_htons(bpf_ntohs(was) + sizeof(chance));
			bpf_skb_store_bytes(skb, ETH_HLEN + (is4 ? 2 : 4), &now, 2, 0);
			bpf_skb_store_bytes(skb, ETH_HLEN + (is4 ? 16 : 24), is4 ? two4 : two6, is4 ? 4 : 16, 0);
			if (is4) {
				__builtin_memcpy(&from, one4, 4);
				__builtin_memcpy(&to, two4, 4);
				bpf_l3_csum_replace(skb, ETH_HLEN + 10, was, now, 2);
				bpf_l3_csum_replace(skb, ETH_HLEN + 10, from, to, 4);
			}
			return -1;
		}
		char LICENSE[] SEC("license") = "GPL";
	END
	"$(command -v clang-19 || command -v clang)" -target bpf -O2 -g -I"/usr/include/$(uname -m)-linux-gnu" \
		-c "$RIG_DIR/forgetful.c" -o "$RIG_DIR/forgetful.o" || exit 1
}

forget() { # on|off
	if [ "$1" = on ]; then
		host router tc filter add dev director0 ingress prio 1 handle 1 bpf da obj "$RIG_DIR/forgetful.o" sec classifier
	else
		host router tc filter del dev director0 ingress
	fi
}

# The number that backend N's status counts for a counter whose text holds TEXT: counted N TEXT
counted() {
	host "backend$1" "$BUILD/halfproxy-backend" status --json |
		jq -r --arg text "$2" '[.[] | select(.item == "counter" and (.text | contains($text))).text][0]' | cut -d ' ' -f 1
}
PASSED="passed on to the backend" KEPT="with a second chance that stay" TAKEN="that another backend passed on" FORGED="with the mark of those"
REFUSED="from a sender that --from does not name"

settled() { [ "$(counted 2 "$PASSED")" = "$(counted 1 "$TAKEN")" ]; }
refused() { [ "$(counted 2 "$FORGED")" = 1 ] && [ "$(counted 2 "$REFUSED")" = 1 ]; }

# One backend's driver knows no XDP.
make_generic() { # N
	local mac
	mac=$(host "backend$1" ip -o link show dev eth0 | sed -n 's/.*link\/ether \([0-9a-f:]*\).*/\1/p')
	host "backend$1" ip -6 route del default
	host "backend$1" ip address flush dev eth0
	host "backend$1" ip link add link eth0 name mv0 address "$mac" type macvlan mode passthru
	host "backend$1" ip link set mv0 up
	address "backend$1" mv0 "10.3.0.$1/24" "fd00:3::$1/64"
	gateway "backend$1" mv0 10.3.0.254 fd00:3::fe
}

# Send from the router's leg, through backend 2, TCP segments in GUE: inject ALTERNATE SENDER,HOPS,CLIENT-PORT...
inject() {
	host router /usr/bin/python3 - "$(host backend2 ip -o link show dev "$IF2" | sed -n 's/.*link\/ether \([0-9a-f:]*\).*/\1/p')" \
		"$VIP" "$@" <<-'END' 2>/dev/null
		import socket, sys
		from scapy.all import IP, IPv6, UDP, TCP, Ether, Raw, get_if_hwaddr, sendp
		mac, vip, alternate = sys.argv[1:4]
		last = socket.inet_pton(socket.AF_INET6, alternate if ':' in alternate else '::ffff:' + alternate)
		for sender, hops, port in (segment.split(',') for segment in sys.argv[4:]):
		    is6, vip6 = ':' in sender, ':' in vip
		    inner = (IPv6 if vip6 else IP)(src='fd00:1::1' if vip6 else '192.168.1.1', dst=vip) / TCP(sport=int(port), dport=80, flags='A')
		    gue = bytes([5, 41 if vip6 else 4, 0, 0]) + b'H\x01' + bytes([int(hops), 0]) + last
		    outer = IPv6(src=sender, dst='fd00:3::2') if is6 else IP(src=sender, dst='10.3.0.2')
		    udp = bytearray(raw for raw in bytes(UDP(sport=50000, dport=6080, chksum=0, len=8 + len(gue) + len(inner))))
		    sendp(Ether(src=get_if_hwaddr('backend0'), dst=mac) / outer.__class__(bytes(outer.__class__(src=outer.src, dst=outer.dst,
		          **({'nh': 17} if is6 else {'proto': 17})) / Raw(bytes(udp) + gue + bytes(inner)))), iface='backend0', verbose=False)
	END
}

# GUE frames at the switch's end of backend N's cable with that client port: hops, and where the outer header leads
seen() { # N PORT
	tshark -X lua_script:rig/gue.lua -r "$RIG_DIR/cable$1.pcap" -Y "gue && tcp.port == $2" \
		-T fields -e gue.chance.hops -e "$([ "$FAMILY" = 4 ] && echo ip.dst || echo ipv6.dst)" 2>/dev/null |
		sed 's/,.*//; s/\t/ /' | sort -u
}

chances() { # VIP BACKEND-FAMILY INTERFACE-OF-BACKEND-2
	local director=10.2.0.10 n name
	VIP=$1 FAMILY=$2 IF2=$3
	[ "$FAMILY" = 4 ] || director=fd00:2::a
	name="$([[ $VIP = *:* ]] && echo 6 || echo 4)in$FAMILY$([ "$IF2" = eth0 ] || echo ", generic XDP")"
	rig_up gue 2 || exit 1
	host client sh -c 'echo 4096 65536 131072 >/proc/sys/net/ipv4/tcp_rmem' # or the client's kernel would hold the whole file
	forgetful_object
	host router tc qdisc add dev director0 clsact
	[ "$IF2" = eth0 ] || make_generic 2
	need "$name: backend 1 is one" host backend1 "$BUILD/halfproxy-backend" up --vip "$VIP" --forward gue --from "$director" --interface eth0
	need "$name: backend 2 is one" host backend2 "$BUILD/halfproxy-backend" up --vip "$VIP" --forward gue --from "$director" --interface "$IF2"
	for n in 1 2; do web_up $n "$VIP" || exit 1; done
	service web "$VIP" tcp 80 gue "$(backend_address 1 "$FAMILY")" | director_file
	need "$name: halfproxyd runs" director_up
	need "$name: the backend is ready" eventually 10 all_ready
	head -c 900000 "$RIG_DIR/file" >"$RIG_DIR/upload"
	for n in 1 2; do capture switch p-backend$n cable$n "udp port 6080"; done

	need "$name: a download begins" download_begin first "$VIP" file
	forget on
	expect_text "$name: a connection that is opened now is the new backend's" "hello from backend2" web_get "$VIP" ""
	download_goes_on first
	expect "$name: a download that was opened before goes on" eventually 20 download_ended first
	expect "$name: and comes whole" cmp "$RIG_DIR/first" "$RIG_DIR/file"
	expect "$name: from the backend that it began on" grep -q 'GET /file.* 200' "$RIG_DIR/web1/access.log"
	expect_not "$name: alone" grep -q 'GET /file' "$RIG_DIR/web2/access.log"
	expect "$name: backend 2 counts what it passed on: $(counted 2 "$PASSED")" [ "$(counted 2 "$PASSED")" -gt 20 ]
	expect "$name: and what it kept: $(counted 2 "$KEPT")" [ "$(counted 2 "$KEPT")" -gt 3 ]
	eventually 10 settled # the last acknowledgements
	expect_equal "$name: backend 1 counts as many taken over" "$(counted 2 "$PASSED")" "$(counted 1 "$TAKEN")"
	expect_equal "$name: and passes none on" 0 "$(counted 1 "$PASSED")"
	expect "$name: an upload to the new one, of full segments" [ "$(web_get "$VIP" "" --data-binary "@$RIG_DIR/upload" \
		-o /dev/null -w '%{http_code}')" = 405 ]

	# A segment of no connection at all: backend 2 passes it on, backend 1 keeps it and resets, and that is all. Then those
	# that go no further: with the mark of those that leave, from a stranger, passed on before.
	inject "$(backend_address 1 "$FAMILY")" "$director,0,3333" "$director,2,3334" "${director%?}7,0,3335" "$director,1,3336"
	eventually 10 refused
	sleep 0.5
	captures_end
	expect_equal "$name: backend 2 saw it fresh, and sent it on" "0 $(backend_address 2 "$FAMILY")"$'\n'"1 $(backend_address 1 "$FAMILY")" "$(seen 2 3333)"
	expect_equal "$name: backend 1 saw it passed on, and kept it" "1 $(backend_address 1 "$FAMILY")" "$(seen 1 3333)"
	expect_equal "$name: nobody from outside leaves by the mark of those that leave" "" "$(seen 1 3334)"
	expect_equal "$name: which is counted" 1 "$(counted 2 "$FORGED")"
	expect_equal "$name: no stranger's packet is passed on" "" "$(seen 1 3335)"
	expect_equal "$name: which is counted" 1 "$(counted 2 "$REFUSED")"
	expect_equal "$name: what was passed on is not passed on again" "" "$(seen 1 3336)"
	expect_equal "$name: tshark finds nothing malformed" "" "$(malformed cable1 "gue.chance.hops == 1")"
	expect "$name: status finds all right" host backend1 "$BUILD/halfproxy-backend" status

	# Switched off, what is not here stays here all the same.
	forget off
	need "$name: another download begins" download_begin second "$VIP" file
	need "$name: off" host backend2 "$BUILD/halfproxy-backend" up --second-chance off
	expect_text "$name: off is what status says" "off: packets for connections of other backends stay here" \
		host backend2 "$BUILD/halfproxy-backend" status
	forget on
	download_goes_on second
	expect "$name: without a second chance the download breaks" eventually 20 download_ended second
	expect_not "$name: and is not whole" cmp -s "$RIG_DIR/second" "$RIG_DIR/file"
	rig_down
}

chances $RIG_VIP4 4 eth0
chances $RIG_VIP6 6 eth0
chances $RIG_VIP6 4 eth0
chances $RIG_VIP4 6 eth0
chances $RIG_VIP4 4 mv0
chances $RIG_VIP6 6 mv0
finish

#!/bin/bash
# Packets that come with one or two VLAN tags are served, and answered with the tags they came with. The interface is made
# to leave the tags in packets, where XDP sees them, and gets its setting back when the director is taken away.
#
# This kernel need not have VLAN interfaces: a tc program at the router tags what goes to the VIP, and unties what comes back.
# suite: 25 s
set -u
cd "$(dirname "$0")/../.." || exit 1
. rig/rig.sh
. rig/expect.sh
. rig/servers.sh

# The router's end: tagger.o pushes TAGS tags in front of what goes to the VIPs and their ARP, and pops those that come.
tagger() { # TAGS
	cat >"$RIG_DIR/tagger.c" <<-'END'
		#include <linux/bpf.h>
		#include <linux/pkt_cls.h>
		static long (*vlan_push)(void *skb, __u16 protocol, __u16 id) = (void *)18;
		static long (*vlan_pop)(void *skb) = (void *)19;
		static long (*load)(const void *skb, __u32 offset, void *to, __u32 bytes) = (void *)26;

		static int is_for_vip(struct __sk_buff *skb)
		{
			__u32 to[4] = {0};
			__u16 kind = 0;

			load(skb, 12, &kind, 2);
			if (kind == 0x0008 && !load(skb, 30, to, 4))
				return to[0] == 0x0100020a;
			if (kind == 0x0608 && !load(skb, 38, to, 4))
				return to[0] == 0x0100020a;
			if (kind == 0xdd86 && !load(skb, 38, to, 16))
				return to[0] == 0x020000fd && to[3] == 0x01000000 && !to[1] && !to[2];
			return 0;
		}

		__attribute__((section("classifier/push"), used)) int push_tags(struct __sk_buff *skb)
		{
			if (!is_for_vip(skb))
				return TC_ACT_OK;
			vlan_push(skb, 0x0081, 100);
			if (TAGS == 2)
				vlan_push(skb, 0xa888, 5);
			return TC_ACT_OK;
		}

		__attribute__((section("classifier/pop"), used)) int pop_tags(struct __sk_buff *skb)
		{
			for (int i = 0; i < 2; i++)
				if (skb->vlan_present || skb->protocol == 0x0081 || skb->protocol == 0xa888)
					vlan_pop(skb);
			return TC_ACT_OK;
		}

		__attribute__((section("license"), used)) const char halfproxy_license[] = "GPL";
	END
	"$(command -v clang-19 || command -v clang)" -target bpf -O2 -g -DTAGS="$1" -I"/usr/include/$(uname -m)-linux-gnu" \
		-c "$RIG_DIR/tagger.c" -o "$RIG_DIR/tagger.o" || exit 1
	host router tc qdisc replace dev director0 clsact
	host router tc filter replace dev director0 egress prio 1 handle 1 bpf da obj "$RIG_DIR/tagger.o" sec classifier/push
	host router tc filter replace dev director0 ingress prio 1 handle 1 bpf da obj "$RIG_DIR/tagger.o" sec classifier/pop
}

offload() { host director ethtool -k eth0 | sed -n 's/^\(rx-vlan-offload\|rx-vlan-stag-hw-parse\): \(o[nf]*\).*/\2/p' | sort -u | xargs; }
tagged() { tcpdump -nn -e -r "$RIG_DIR/$1.pcap" "${@:3}" 2>/dev/null | grep -cE "$2"; }
vlan_file() { # on|auto|off
	RIG_INTERFACES="{name: eth0, vlan: $1}" director_file <"$RIG_DIR/services"
}

for forward in l2 ipip gue; do
	rig_up $forward || exit 1
	host router ethtool -K director0 txvlan off tx-vlan-stag-hw-insert off >/dev/null
	from=()
	[ $forward = l2 ] || from=(any)
	need "the backend is one" backend_up 1 $RIG_VIP4 $forward "${from[@]}"
	need "for IPv6, too" backend_up 1 $RIG_VIP6 $forward "${from[@]}"
	web_up 1 $RIG_VIP4 || exit 1
	serve backend1 web6 /usr/bin/python3 -m http.server --bind $RIG_VIP6 --directory "$RIG_DIR/web1/www" 80
	{
		service web4 $RIG_VIP4 tcp 80 $forward 10.3.0.1
		service web6 $RIG_VIP6 tcp 80 $forward fd00:3::1
	} >"$RIG_DIR/services"
	vlan_file auto
	expect_equal "$forward: the interface takes tags off packets at first" on "$(offload)"
	need "halfproxyd runs" director_up
	need "the backends are ready" eventually 10 all_ready
	expect_equal "$forward: without VLANs on it that is left alone" on "$(offload)"
	vlan_file on
	need "the file is taken over" hp reload
	expect_equal "$forward: vlan: on has it leave them" off "$(offload)"
	expect_text "$forward: which the log says" "vlan_offload_off interface=eth0" cat "$RIG_DIR/halfproxyd.log"
	for tags in 1 2; do
		tagger $tags
		capture router director0 front
		host router ip neigh flush dev director0
		expect_text "$forward, $tags tags: the web answers over IPv4" "hello from backend1" web_get $RIG_VIP4 ""
		expect_text "$forward, $tags tags: and over IPv6" "hello from backend1" web_get $RIG_VIP6 ""
		expect "$forward, $tags tags: a file of 12 MB, whole" cmp <(web_get $RIG_VIP4 file) "$RIG_DIR/file"
		expect "$forward, $tags tags: ping" host client ping -c 1 -W 2 $RIG_VIP4
		captures_end
		pattern='vlan 100, p 0, ethertype IPv4'
		[ $tags = 1 ] || pattern='vlan 5, p 0, ethertype 802.1Q.*vlan 100, p 0, ethertype IPv4'
		expect "$forward, $tags tags: packets did come with them" [ "$(tagged front "$pattern" ether dst "$(
			host director ip -o link show dev eth0 | sed -n 's/.*ether \([0-9a-f:]*\).*/\1/p')")" -gt 10 ]
		expect "$forward, $tags tags: the ARP answer had them" [ "$(tagged front "vlan 100, .*is-at")" -gt 0 ]
		expect "$forward, $tags tags: the ping's answer had them" [ "$(tagged front "vlan 100, .*echo reply")" -gt 0 ]
		expect_equal "$forward, $tags tags: what is sent to the backend has none" 0 "$(tagged front 'vlan.*> 10.3.0.1:')"
	done
	host router tc qdisc del dev director0 clsact
	host router ip neigh flush dev director0
	expect_text "$forward: untagged packets are served beside them" "hello from backend1" web_get $RIG_VIP4 ""
	stop halfproxyd KILL
	vlan_file auto
	need "halfproxyd runs again" director_up
	expect_equal "$forward: what a killed daemon switched off is restored when nobody wants it any more" on "$(offload)"
	vlan_file on
	need "the file is taken over" hp reload
	expect_equal "$forward: and off again when somebody does" off "$(offload)"
	stop halfproxyd TERM
	expect_equal "$forward: it stays off while packets flow on" off "$(offload)"
	need "unload" host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state"
	expect_equal "$forward: --unload restores it" on "$(offload)"
	expect_not "$forward: and leaves no file behind" [ -e "$RIG_DIR/state" ]
	rig_down
done

# ---- generic mode, and a setting that the operator chose ------------------------------------------------------------
rig_up l2 || exit 1
need "the backend is one" backend_up 1 $RIG_VIP4 l2
web_up 1 $RIG_VIP4 || exit 1
host router ethtool -K director0 txvlan off tx-vlan-stag-hw-insert off >/dev/null
host director ethtool -K eth0 rxvlan off rx-vlan-stag-hw-parse off >/dev/null
service web4 $RIG_VIP4 tcp 80 l2 10.3.0.1 | RIG_INTERFACES='{name: eth0, vlan: on, mode: generic}' director_file
need "halfproxyd runs" director_up
need "the backends are ready" eventually 10 all_ready
tagger 1
expect_text "generic mode: tagged packets are served" "hello from backend1" web_get $RIG_VIP4 ""
stop halfproxyd TERM
need "unload" host director "$BUILD/halfproxyd" --unload --pins "$RIG_PINS" --state "$RIG_DIR/state"
expect_equal "what the operator had switched off stays off" off "$(offload)"
finish

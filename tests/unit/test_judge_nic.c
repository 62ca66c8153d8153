/* Network cards, by what ethtool answers for them: features as the drivers name and fix them. Pure. */
#include "unit/judged.h"

#include "core/judge_nic.h"

#define NATIVE JUDGE_XDP_NATIVE
#define GENERIC JUDGE_XDP_GENERIC

#define ON(name) {name, true, false}
#define OFF(name) {name, false, false}
#define FIXED_ON(name) {name, true, true}
#define FIXED_OFF(name) {name, false, true}
#define FEATURES(...) .feature_count = sizeof((struct judge_feature[]){__VA_ARGS__}) / sizeof(struct judge_feature), \
	.features = {__VA_ARGS__}

static const struct {
	const char *what;
	struct judge_nic nic;
	const char *found, *command; /* command: of the first item */
} rows[] = {
	{"mlx5 as it comes up, native", {"eth0", "mlx5_core", 1500, NATIVE,
	 FEATURES(ON("rx-checksum"), ON("tx-tcp-segmentation"), ON("tx-generic-segmentation"), ON("rx-gro"),
		  OFF("rx-lro"), OFF("rx-gro-hw"), OFF("rx-udp-gro-forwarding"))}, "", ""},
	{"mlx5 with LRO, native", {"eth0", "mlx5_core", 1500, NATIVE, FEATURES(ON("rx-gro"), ON("rx-lro"))},
	 "RECEIVE_MERGED", "ethtool -K eth0 lro off"},
	{"mlx5 with LRO that kept native XDP off", {"eth0", "mlx5_core", 9000, GENERIC,
	 FEATURES(OFF("rx-gro"), ON("rx-lro"))},
	 "WRONG RECEIVE_MERGED, XDP_GENERIC", "ethtool -K eth0 lro off"},
	{"mlx5 with hardware GRO", {"eth0", "mlx5_core", 1500, NATIVE, FEATURES(ON("rx-gro"), ON("rx-gro-hw"))},
	 "RECEIVE_MERGED", "ethtool -K eth0 rx-gro-hw off"},
	{"ixgbe native", {"enp3s0", "ixgbe", 1500, NATIVE,
	 FEATURES(ON("rx-gro"), OFF("rx-lro"), ON("tx-tcp-segmentation"), FIXED_OFF("rx-gro-hw"))}, "", ""},
	{"ixgbe as it comes up, LRO on, generic", {"enp3s0", "ixgbe", 1500, GENERIC,
	 FEATURES(ON("rx-gro"), ON("rx-lro"))},
	 "WRONG RECEIVE_MERGED, RECEIVE_MERGED, XDP_GENERIC", "ethtool -K enp3s0 lro off"},
	{"i40e, which has no LRO", {"eno1", "i40e", 1500, NATIVE,
	 FEATURES(ON("rx-gro"), FIXED_OFF("rx-lro"), FIXED_OFF("rx-gro-hw"), ON("tx-tcp-segmentation"))}, "", ""},
	{"i40e at a large MTU, generic", {"eno1", "i40e", 9000, GENERIC, FEATURES(ON("rx-gro"), FIXED_OFF("rx-lro"))},
	 "RECEIVE_MERGED, XDP_GENERIC", "ethtool -K eno1 gro off"},
	{"ena native", {"ens5", "ena", 3498, NATIVE,
	 FEATURES(ON("rx-gro"), FIXED_OFF("rx-lro"), OFF("tx-tcp-segmentation"))},
	 "", ""},
	{"ena at its MTU of 9001, generic, GRO off", {"ens5", "ena", 9001, GENERIC,
	 FEATURES(OFF("rx-gro"), FIXED_OFF("rx-lro"))},
	 "XDP_GENERIC", ""},
	{"virtio_net native", {"ens3", "virtio_net", 1500, NATIVE,
	 FEATURES(ON("rx-gro"), FIXED_OFF("rx-lro"), OFF("rx-gro-hw"), ON("tx-tcp-segmentation"))}, "", ""},
	{"virtio_net whose host merges, native", {"ens3", "virtio_net", 1500, NATIVE,
	 FEATURES(ON("rx-gro"), ON("rx-gro-hw"))},
	 "RECEIVE_MERGED", "ethtool -K ens3 rx-gro-hw off"},
	{"virtio_net that cannot be told, generic", {"ens3", "virtio_net", 1500, GENERIC,
	 FEATURES(OFF("rx-gro"), FIXED_ON("rx-gro-hw"))}, "WRONG RECEIVE_MERGED, XDP_GENERIC", ""},
	{"veth native", {"eth0", "veth", 1500, NATIVE,
	 FEATURES(OFF("rx-gro"), FIXED_OFF("rx-lro"), FIXED_OFF("rx-gro-hw"))},
	 "", ""},
	{"veth native with GRO, which is NAPI's", {"eth0", "veth", 1500, NATIVE, FEATURES(ON("rx-gro"))}, "", ""},
	{"veth generic", {"eth0", "veth", 1500, GENERIC, FEATURES(ON("rx-gro"), FIXED_OFF("rx-lro"))},
	 "RECEIVE_MERGED, XDP_GENERIC", "ethtool -K eth0 gro off"},
	{"a card without a program: nothing to judge but LRO", {"eth1", "ixgbe", 1500, JUDGE_XDP_NONE,
	 FEATURES(ON("rx-gro"))},
	 "", ""},
	{"a driver that answers nothing", {.name = "tap0", .mtu = 1500, .xdp = NATIVE}, "", ""},
};

static void cards_are_judged(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct findings findings = {0};

		judge_nic(&rows[i].nic, &findings);
		assert_judged(rows[i].what, &findings, rows[i].found);
		assert_text(rows[i].what, findings.items[0].command, rows[i].command);
		findings_free(&findings);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(cards_are_judged)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

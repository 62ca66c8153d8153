/* An XDP program that passes everything: what a veth needs at the far end before this end may send by XDP_TX. */
#include <linux/bpf.h>

__attribute__((section("xdp"), used)) int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

__attribute__((section("license"), used)) const char halfproxy_license[] = "GPL";

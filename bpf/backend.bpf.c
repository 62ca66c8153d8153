/* A backend's programs: XDP takes outer headers off what directors send, tc lowers the MSS of what leaves. */
#include "decap.h"
#include "mss.h"

SEC("xdp")
int hp_decap(struct xdp_md *ctx)
{
	return decap(ctx);
}

SEC("tc")
int hp_mss(struct __sk_buff *skb)
{
	mss(skb);
	return -1; /* TC_ACT_UNSPEC: the next filter, as if this one were not there */
}

char LICENSE[] SEC("license") = "GPL";

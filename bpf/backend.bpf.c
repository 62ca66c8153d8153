/* A backend's programs: XDP takes outer headers off what directors send, tc passes on what has its connection on another
 * backend, and lowers the MSS of what leaves. */
#include "decap.h"
#include "mss.h"
#include "relay.h"

SEC("xdp")
int hp_decap(struct xdp_md *ctx)
{
	return decap(ctx);
}

SEC("tc")
int hp_relay(struct __sk_buff *skb)
{
	return relay(skb);
}

SEC("tc")
int hp_mss(struct __sk_buff *skb)
{
	mss(skb);
	return -1; /* TC_ACT_UNSPEC: the next filter, as if this one were not there */
}

char LICENSE[] SEC("license") = "GPL";

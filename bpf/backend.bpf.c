/* A backend's programs: XDP takes outer headers off what directors send, tc passes on what has its connection on another
 * backend, lowers the MSS of what leaves, and sees to servers that listen on another port than clients ask. */
#include "decap.h"
#include "mss.h"
#include "ports.h"
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

SEC("tc")
int hp_find(struct __sk_buff *skb)
{
	ports_find(skb);
	return -1;
}

SEC("tc")
int hp_answer(struct __sk_buff *skb)
{
	ports_answer(skb);
	return -1;
}

SEC("sk_lookup")
int hp_lookup(struct bpf_sk_lookup *ctx)
{
	ports_lookup(ctx);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";

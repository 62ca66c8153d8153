/* Sample: the beginning of a packet that is dropped is kept now and then, with the reason.
 *
 * So rarely that a flood costs next to nothing: a CPU keeps one packet of a verdict within 64 ticks, and what it does otherwise
 * is to look at the number of the tick, which takes no call: every tick would do, and any clock takes ten times as long. */
#ifndef HP_SAMPLE_H
#define HP_SAMPLE_H

#include <linux/if_ether.h>

#include "packet.h"

/* What is dropped has a whole link header. Older verifiers (6.1) lose sight of a length, which the mask tells them. */
static ALWAYS_INLINE void sample_copy(struct xdp_md *ctx, __u32 bytes, __u8 *to)
{
	if (bytes >= HP_SAMPLE_BYTES) {
		bpf_xdp_load_bytes(ctx, 0, to, HP_SAMPLE_BYTES);
		return;
	}
	asm volatile("%0 &= 0x7f" : "+r"(bytes));
	if (bytes >= ETH_HLEN)
		bpf_xdp_load_bytes(ctx, 0, to, bytes);
}

/* The number is written first as 0 and last as itself, so that the daemon sees when a sample is written over what it reads. */
static ALWAYS_INLINE void sample_keep(struct xdp_md *ctx, __u32 service, __u32 verdict)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 bytes = (__u64)(end - data), number;
	struct hp_sample_row *row = bpf_map_lookup_elem(&samples, &verdict);
	struct hp_sample *sample;

	barrier_var(bytes); /* pointers are subtracted whole */
	if (!row)
		return;
	number = __sync_fetch_and_add(&row->taken, 1);
	sample = &row->sample[number % HP_SAMPLES_KEPT];
	*(volatile __u64 *)&sample->number = 0;
	barrier();
	sample->time_ns = bpf_ktime_get_boot_ns();
	sample->verdict = verdict;
	sample->service = service;
	sample->bytes = (__u32)bytes;
	sample->ifindex = ctx->ingress_ifindex;
	sample_copy(ctx, (__u32)bytes, sample->frame);
	barrier();
	*(volatile __u64 *)&sample->number = number + 1;
}

/* A packet is dropped. Returns 0. A function of its own, that no other packet pays for. */
__attribute__((noinline)) int sample(struct xdp_md *ctx, __u32 service, __u32 verdict)
{
	__u64 turn = (bpf_jiffies64() >> HP_SAMPLE_TICKS_SHIFT) + 1, *last = bpf_map_lookup_elem(&sample_turns, &verdict);

	if (!last || *last == turn)
		return 0;
	*last = turn;
	sample_keep(ctx, service, verdict);
	return 0;
}

#endif

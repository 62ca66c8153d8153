/* The wrapper that every measured program runs in: it makes the frame of the next flow, calls the program, and takes
 * away what the program put in front. Its own cost is measured with an empty program inside, and subtracted.
 *
 * Included behind the definition of bench_target, a function of its own that the verifier and the JIT compiler see as
 * they see a program. */
#ifndef HP_BENCH_WRAPPER_H
#define HP_BENCH_WRAPPER_H

#include "setting.h"

const volatile struct bench_setting bench_setting; /* set before the load */
struct bench_progress bench_progress;

/* Every flow of a round once, in an order that no prefetcher follows: an odd factor is a bijection. */
static __always_inline __u32 wrapper_next_flow(void)
{
	return (bench_progress.next++ * 0x9e3779b1u) & (bench_setting.flows - 1);
}

/* What programs write over is put back: the link header; of a packet that is answered, all. What a program reads must
 * not have been written just before in pieces of other sizes, or it would wait as it never does for a packet that
 * came by a wire. */
static __always_inline int wrapper_prepare(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	__u32 at = bench_setting.address_at & 63;

	if (data + 2 * BENCH_RESTORED_BYTES > (void *)(long)ctx->data_end)
		return -1;
	*(__u64 *)data = *(const volatile __u64 *)bench_setting.frame;
	*(__u32 *)(data + 8) = *(const volatile __u32 *)(bench_setting.frame + 8);
	*(__u16 *)(data + 12) = *(const volatile __u16 *)(bench_setting.frame + 12);
	if (bench_setting.is_answered)
#pragma unroll
		for (int i = 14; i < BENCH_RESTORED_BYTES; i += 2)
			*(__u16 *)(data + i) = *(const volatile __u16 *)(bench_setting.frame + i);
	if (bench_setting.flows > 1)
		*(__u32 *)(data + at) = bpf_htonl(BENCH_FIRST_ADDRESS + wrapper_next_flow());
	return 0;
}

/* Bytes of the frame; the difference of two packet pointers is a number that the verifier takes. */
static __always_inline long wrapper_length(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	long bytes = end - data;

	barrier_var(bytes);
	return bytes;
}

SEC("xdp")
int bench_wrapper(struct xdp_md *ctx)
{
	__u32 action = XDP_ABORTED;

	if (!wrapper_prepare(ctx))
		action = (__u32)bench_target(ctx);
	if (action != bench_setting.action)
		bench_progress.wrong++;
	if (bench_setting.is_moved)
		bpf_xdp_adjust_head(ctx, (int)wrapper_length(ctx) - (int)bench_setting.bytes);
	return (int)action;
}

#endif

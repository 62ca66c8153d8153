/* A BPF program compiled for user space, for fuzzers: to be included before the program itself. The frame lies in a
 * block of exactly its size, so that a byte read or written beyond it, or through a pointer from before the head was
 * moved, is seen by the address sanitizer: what the kernel's verifier proves, checked by other means. */
#ifndef HP_BPF_USER_H
#define HP_BPF_USER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Addresses of a user's process do not fit into the context's 32 bits. */
#define xdp_md xdp_md_of_the_kernel
#define __sk_buff sk_buff_of_the_kernel
#include <linux/bpf.h>
#undef xdp_md
#undef __sk_buff

struct xdp_md {
	unsigned long data, data_end, data_meta;
	__u32 ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct __sk_buff {
	unsigned long data, data_end;
	__u32 len, protocol, ifindex, ingress_ifindex, mark, gso_size, vlan_present, vlan_tci, vlan_proto;
};

/* A program's functions may load words from any address, as BPF may. */
/* Nor is there BPF's assembly: it says bounds over again that hold anyway, for verifiers that lose sight of them.
 * `asm volatile(...)` becomes nothing; a volatile before anything but a parenthesis stays. */
#define asm
#define volatile(...)

#define BPF_USER_BEGIN _Pragma("clang attribute push(__attribute__((no_sanitize(\"alignment\"))), apply_to = function)")
#define BPF_USER_END _Pragma("clang attribute pop")

#define BPF_USER_FRAME_LEAST 14

static inline void need(bool fine)
{
	if (!fine)
		abort();
}

static inline struct xdp_md bpf_user_frame(const void *bytes, size_t count)
{
	struct xdp_md ctx = {.data = (unsigned long)malloc(count)};

	ctx.data_end = ctx.data + count;
	memcpy((void *)ctx.data, bytes, count);
	return ctx;
}

/* Another block for the frame: `front` bytes more (or fewer) before it, `back` behind it. */
static inline long bpf_user_move(struct xdp_md *ctx, int front, int back)
{
	long bytes = (long)(ctx->data_end - ctx->data), next = bytes + front + back;
	char *block;

	if (next < BPF_USER_FRAME_LEAST || next > 65536)
		return -1;
	block = malloc((size_t)next);
	memset(block, 0xee, (size_t)next);
	for (long i = 0; i < bytes; i++)
		if (i + front >= 0 && i + front < next)
			block[i + front] = ((char *)ctx->data)[i];
	free((void *)ctx->data);
	ctx->data = (unsigned long)block;
	ctx->data_end = ctx->data + (unsigned long)next;
	return 0;
}

static inline long bpf_user_adjust_head(struct xdp_md *ctx, int delta)
{
	return bpf_user_move(ctx, -delta, 0);
}

static inline long bpf_user_adjust_tail(struct xdp_md *ctx, int delta)
{
	return bpf_user_move(ctx, 0, delta);
}

static inline uint16_t word_at(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Ones' complement sum of words in network order, an odd byte at the end counting as high (RFC 1071). */
static inline uint32_t sum_words(unsigned long sum, const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 2)
		sum += i + 1 < bytes ? word_at(at + i) : (unsigned long)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint32_t)sum;
}

/* Where the network header begins: behind Ethernet and up to two tags. */
static inline size_t l3_of(const uint8_t *frame, size_t bytes)
{
	size_t at = 14;

	while (at <= 18 && at < bytes && (word_at(frame + at - 2) == 0x8100 || word_at(frame + at - 2) == 0x88a8))
		at += 4;
	return at;
}

#endif

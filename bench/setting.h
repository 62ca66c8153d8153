/* What the wrapper and the programs that run it agree on. */
#ifndef HP_BENCH_SETTING_H
#define HP_BENCH_SETTING_H

#include <linux/types.h>

#define BENCH_RESTORED_BYTES 48 /* of each frame's beginning, before each packet */
#define BENCH_FIRST_ADDRESS 0x0a400000u /* 10.64.0.0, or the last word of an IPv6 address */

enum bench_subject {
	BENCH_EMPTY,
	BENCH_FLOOR,
	BENCH_BARE,
	BENCH_LRU, /* the bare forwarder with a table of all flows */
	BENCH_OURS,
	BENCH_FORMER, /* ours, of another build */
	BENCH_SUBJECT_COUNT
};

struct bench_setting {
	__u8 frame[BENCH_RESTORED_BYTES];
	__u32 bytes;	  /* of the whole frame */
	__u32 flows;	  /* a power of two */
	__u32 address_at; /* where the varied word of the source address stands */
	__u32 action;	  /* what the program has to answer */
	__u32 is_answered; /* the program writes over more than the link header and what stands before it */
	__u32 is_moved;	  /* the head may be moved by a program of this class */
	__u32 subject;	  /* of bare.bpf.c: which of its programs runs */
};

struct bench_progress {
	__u32 next; /* flow */
	__u32 zero;
	__u64 wrong; /* answers that were not `action` */
};

#endif

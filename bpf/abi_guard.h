/* The part of abi.h on guards and on what they and others drop: sets of prefixes, sources with their limits, samples. Included by
 * it, and as it by both sides. */
#ifndef HP_ABI_GUARD_H
#define HP_ABI_GUARD_H

#include <linux/types.h>

/* ---- guards -------------------------------------------------------------------------------------------- */

/* The map `guards` holds sets of prefixes, of which a service names one in its terms; services with equal lists share one.
 * The longest prefix that holds a source judges it, and each set has one of no bits for each family. A set never changes
 * once a service names it: another is written beside it, and it is taken away after a grace period. */
struct hp_guard_key {
	__u32 bits; /* of what follows that count: those of the set, and the prefix's own */
	__u32 set;  /* hp_guard_set() */
	__be32 address[4]; /* IPv4: in the first word */
};

_Static_assert(sizeof(struct hp_guard_key) == 24, "hp_guard_key has padding");

#define HP_GUARD_SET_BITS 32
#define HP_GUARD_DENIES (1u << 31)
#define HP_GUARD_LISTED (1u << 30) /* one of the service's lists names the prefix */
#define HP_GUARD_REST (1u << 29)   /* none does: it is for sources that no prefix holds */
#define HP_GUARD_BITS 0xffu	   /* of the prefix, by its family */

/* A set has a part for each family, so that no prefix of one is one of the other. */
static inline __attribute__((always_inline)) __u32 hp_guard_set(__u32 number, __u8 is_ipv6)
{
	return number << 1 | is_ipv6;
}

/* The map `sources`: who has opened flows lately, of services with a limit. The value is the time, by the boot clock, at which
 * the source will have paid for all of them; each costs cost_ns, and may be opened while no more than burst_ns are owed (the
 * generic cell rate algorithm, ITU-T I.371, in its form of virtual scheduling). One word, so that no lock is needed: packets of
 * one source on two CPUs at the same time may pay once for two flows. The least recently seen source makes room, and whoever is
 * not known owes nothing. */
struct hp_source {
	__u32 limit;
	__u32 is_ipv6;
	__be32 address[2]; /* IPv4: in the first word; IPv6: the first 64 bits */
};

_Static_assert(sizeof(struct hp_source) == 16, "hp_source has padding");

/* ---- samples ------------------------------------------------------------------------------------------- */

/* The map `samples`, by verdict: the last packets that were dropped with it, each as it was at that moment. */
#define HP_SAMPLES_KEPT 8 /* a power of two */
#define HP_SAMPLE_BYTES 128
#define HP_SAMPLE_TICKS_SHIFT 6 /* one within 64 ticks, of a verdict, on each CPU: of 1 to 10 ms, as the kernel was built */

struct hp_sample {
	__u64 number; /* from 1; 0: nothing yet, or being written */
	__u64 time_ns; /* boot clock */
	__u32 verdict;
	__u32 service; /* number, 0 none */
	__u32 bytes;   /* of the frame, of which the first are kept */
	__u32 ifindex; /* where it came in */
	__u8 frame[HP_SAMPLE_BYTES];
};

struct hp_sample_row {
	__u64 taken; /* so many, of which the last are here: number n at (n - 1) % HP_SAMPLES_KEPT */
	struct hp_sample sample[HP_SAMPLES_KEPT];
};

_Static_assert(sizeof(struct hp_sample) == 32 + HP_SAMPLE_BYTES, "hp_sample has padding");

#endif

/* The packet classes that are measured, and a frame of each. */
#ifndef HP_BENCH_FRAME_H
#define HP_BENCH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "base/ip.h"

#define BENCH_FRAME_BYTES 110
#define BENCH_MANY (1u << 20) /* flows: a million */

struct bench_class {
	const char *forward;  /* "l2", "ipip", "gue"; "none": not a VIP's flow */
	const char *protocol; /* "tcp", "udp"; "arp": a request for a VIP */
	int family;	      /* 4 or 6 */
	uint32_t flows;	      /* a power of two */
	const char *vip;
	bool is_vip; /* the destination is served */
	bool is_under_way; /* TCP: ACK segments; else SYNs */
	uint16_t source_port; /* 0: 40000 */
	uint16_t mss; /* that its service lets SYNs have, which advertise more; 0: they advertise none */
	bool is_dropped, has_no_backend;
	const char *options; /* of its service, each with a comma; NULL: none */
};

extern const struct bench_class bench_classes[];
extern const size_t bench_class_count;

struct bench_frame {
	uint8_t byte[BENCH_FRAME_BYTES];
	uint32_t bytes;
	uint32_t address_at; /* where the last word of the source address stands */
};

/* The frame of a class's first flow, lengths and the IPv4 header's checksum right; the varied flows' are not, and no
 * forwarder here looks. */
void bench_frame_make(const struct bench_class *class, struct bench_frame *out);

/* The key of a class's flow: the n-th that differ in the last word of the source address. */
struct hp_flow bench_frame_flow(const struct bench_class *class, uint32_t n);

/* Bytes of outer header that a class's tunnel adds. */
uint32_t bench_class_outer(const struct bench_class *class);

#endif

/* Frames: making one like a client's, for a trace, and telling what stands in one. Knows no maps. */
#ifndef HP_DAEMON_FRAME_H
#define HP_DAEMON_FRAME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"

#define FRAME_ROOM_BYTES 512

struct frame {
	uint8_t byte[FRAME_ROOM_BYTES];
	uint32_t bytes;
};

struct frame_flow {
	struct ip source, destination; /* of one family */
	uint16_t source_port, destination_port; /* host order */
	uint8_t protocol; /* IPPROTO_TCP: a SYN; IPPROTO_UDP: an empty datagram; IPPROTO_SCTP, IPPROTO_ESP: the header alone */
	bool is_under_way; /* TCP: an ACK instead */
};

/* An Ethernet frame that opens the flow, or is of it while it is under way; checksums right. */
void frame_make(struct frame *out, const struct frame_flow *flow, const uint8_t mac_source[6],
		const uint8_t mac_destination[6]);

/* A line for each header, outermost first. Returns a new array. */
json_t *frame_headers(const struct frame *frame);

/* All bytes in hexadecimal. Returns a new string. */
json_t *frame_hex(const struct frame *frame);

#endif

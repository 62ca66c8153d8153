/* Quic: the server that a QUIC packet's destination connection ID names (RFC 9000, 5.1 and 17; draft-ietf-quic-load-balancers
 * in its plain form). It goes there from whatever address it comes, so that a client may change its own.
 *
 * Packets of such services take the way of those that live through a change (moving.h), so that all others carry nothing for
 * this. One that names no server, as a client's first, goes where its flow does. */
#ifndef HP_QUIC_H
#define HP_QUIC_H

#include "packet.h"
#include "parse.h"
#include "continuity.h"

#define QUIC_LONG 0x80 /* in the first byte: the long header, with its version */
#define QUIC_LONG_BYTES 6 /* up to the connection ID: first byte, version, the ID's length */
#define QUIC_TYPE_SHIFT 4 /* in the first byte of a long header: two bits that say what it is */
#define QUIC_VERSION_1 0x00000001
#define QUIC_VERSION_2 0x6b3343cf /* RFC 9369 */
#define QUIC_ID_MASK 0xf /* in terms: bytes of a server's ID */
#define QUIC_ROTATION_MASK 0xe0 /* in terms, and in an ID's first byte: the codepoint of the configuration */

static ALWAYS_INLINE int quic_concerns(__u64 rings)
{
	return (rings >> 32 & HP_SERVICE_QUIC) != 0;
}

static ALWAYS_INLINE void quic_trace(__u32 found)
{
	struct hp_trace *record = trace_record();

	if (record)
		record->quic = found;
}

/* Whether a packet opens a connection: an Initial, whose type has another number in version 2. */
static ALWAYS_INLINE int quic_is_initial(__u8 first, __u32 version)
{
	__u8 type = first >> QUIC_TYPE_SHIFT & 3;

	return type == (version == QUIC_VERSION_2 ? 1 : 0) && (version == QUIC_VERSION_1 || version == QUIC_VERSION_2);
}

/* The number of the backend whose ID stands at `at`, `left` bytes being of the connection ID; 0: none. */
static ALWAYS_INLINE __u32 quic_look_up(struct xdp_md *ctx, __u32 at, __u32 left, const struct hp_terms *of, __u8 is_ipv6)
{
	void *end = (void *)(long)ctx->data_end;
	const __u8 *id = (void *)(long)ctx->data + (at & PARSE_L4_MASK);
	__u32 bytes = of->quic & QUIC_ID_MASK, *number;
	struct hp_quic_server key = {.service = of->quic_service, .is_ipv6 = is_ipv6};

	if (left < bytes + 1 || (void *)(id + 1) > end || (*id & QUIC_ROTATION_MASK) != (of->quic & QUIC_ROTATION_MASK))
		return 0;
	for (__u32 i = 0; i < HP_QUIC_ID_BYTES && i < bytes; i++) {
		if ((void *)(id + i + 2) > end)
			return 0;
		key.id[i] = id[i + 1];
	}
	number = bpf_map_lookup_elem(&quic_servers, &key);
	return number ? *number : 0;
}

/* Have the packet, whose UDP payload begins at picked->payload, go to the server that it names, if that lives. Returns 0.
 *
 * Needs of picked what moving_read sets. What names no server and opens a connection is an opening packet for the rules of
 * continuity. */
__attribute__((noinline)) int quic(struct xdp_md *ctx, __u32 service, struct continuity *picked)
{
	struct hp_terms *of = bpf_map_lookup_elem(&terms, &service);
	const __u8 *header;
	__u32 at, number;

	if (!of || !picked || !picked->payload)
		return 0;
	at = picked->payload & PARSE_L4_MASK;
	header = (void *)(long)ctx->data + at;
	if ((void *)(header + QUIC_LONG_BYTES) > (void *)(long)ctx->data_end)
		return 0;
	if (*header & QUIC_LONG) {
		number = quic_look_up(ctx, at + QUIC_LONG_BYTES, header[5], of, picked->flow.is_ipv6);
		header = (void *)(long)ctx->data + at;
		if ((void *)(header + QUIC_LONG_BYTES) > (void *)(long)ctx->data_end)
			return 0;
		if (quic_is_initial(*header, (__u32)header[1] << 24 | header[2] << 16 | header[3] << 8 | header[4]))
			picked->kind = HP_PACKET_OPENING;
	} else {
		number = quic_look_up(ctx, at + 1, HP_QUIC_ID_BYTES + 1, of, picked->flow.is_ipv6);
	}
	if (!continuity_lives(number))
		return 0;
	quic_trace(number);
	picked->backend = number;
	picked->verdict = HP_CONTINUE;
	picked->before &= HP_SERVICE_FLAGS; /* nothing is left to be asked */
	return 0;
}

#endif

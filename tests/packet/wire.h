/* Frames of the packet tests, composed byte by byte from a description, checksums and all.
 *
 * Shares no code with the data plane or the daemon, so that it can judge them. Knows no maps. */
#ifndef HP_TESTS_PACKET_WIRE_H
#define HP_TESTS_PACKET_WIRE_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIRE_ROOM_BYTES 4096
#define WIRE_TTL 61
#define WIRE_PADDING 0xee
#define WIRE_IP4_MORE 0x2000
#define WIRE_IP4_KEEP 0x4000 /* don't fragment */

struct wire {
	uint8_t byte[WIRE_ROOM_BYTES];
	uint32_t bytes;
	uint32_t l3, l4; /* where these headers begin */
	uint32_t ip_bytes;
};

/* What a frame is to be. What is 0 or NULL is the usual. */
struct wire_spec {
	const char *from, *to; /* addresses; the family is theirs */
	uint16_t from_port, to_port;
	uint8_t protocol;     /* upper layer; 0 is TCP */
	uint8_t type, code;   /* ICMP */
	uint32_t rest;	      /* ICMP: the word behind the checksum, host order */
	const uint8_t *quote; /* ICMP: what stands behind that, `payload` bytes */
	uint32_t payload;     /* bytes behind the upper layer's header */
	uint32_t padding;     /* bytes behind the IP packet */
	uint32_t options;     /* bytes of IPv4 options, a multiple of 4 */
	const char *chain;    /* IPv6 extension headers, a letter each: see wire_chain_kind */
	uint16_t fragment;    /* the field of that name, as IPv4 has it; in IPv6 that of the letter f */
	uint32_t id;	      /* the fragment's; of IPv4 16 bits */
	uint8_t ttl;
	uint8_t class; /* DSCP and ECN */
	const char *tags; /* VLAN tags, outer first: q is 0x8100, a is 0x88a8 */
	const uint8_t *mac_to, *mac_from;
};

static const uint8_t wire_mac_director[6] = {2, 0, 0, 0, 2, 10};
static const uint8_t wire_mac_router[6] = {2, 0, 0, 0, 2, 254};

static inline void wire_put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline uint16_t wire_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Sum of 16-bit words in network order, an odd last byte being the high one. */
static inline uint32_t wire_sum(uint32_t sum, const uint8_t *at, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	return sum;
}

static inline uint16_t wire_checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline bool wire_is4(const char *address)
{
	return !strchr(address, ':');
}

static inline uint32_t wire_put_address(uint8_t *at, const char *text)
{
	if (inet_pton(wire_is4(text) ? AF_INET : AF_INET6, text, at) != 1)
		abort();
	return wire_is4(text) ? 4 : 16;
}

/* Ethernet header with tags; returns its length. The tags' numbers are 100 and up. */
static inline uint32_t wire_put_link(uint8_t *at, const uint8_t *to, const uint8_t *from, const char *tags, uint16_t type)
{
	uint32_t bytes = 12, id = 100;

	memcpy(at, to, 6);
	memcpy(at + 6, from, 6);
	for (; tags && *tags; tags++, bytes += 4) {
		wire_put16(at + bytes, *tags == 'a' ? 0x88a8 : 0x8100);
		wire_put16(at + bytes + 2, id++);
	}
	wire_put16(at + bytes, type);
	return bytes + 2;
}

static inline void wire_put_ip4(uint8_t *at, const struct wire_spec *spec, uint8_t protocol, uint32_t behind)
{
	uint32_t bytes = 20 + spec->options;

	memset(at, 1, bytes); /* options: no-operation */
	at[0] = (uint8_t)(0x40 | bytes / 4);
	at[1] = spec->class;
	wire_put16(at + 2, bytes + behind);
	wire_put16(at + 4, spec->id ? spec->id : 0x1234);
	wire_put16(at + 6, spec->fragment);
	at[8] = spec->ttl ? spec->ttl : WIRE_TTL;
	at[9] = protocol;
	wire_put16(at + 10, 0);
	wire_put_address(at + 12, spec->from);
	wire_put_address(at + 16, spec->to);
	wire_put16(at + 10, wire_checksum(wire_sum(0, at, bytes)));
}

/* Kind of an extension header: hop by hop, destination options (D: long ones), routing, fragment, AH. */
static inline uint8_t wire_chain_kind(char letter)
{
	switch (letter) {
	case 'h':
		return 0;
	case 'r':
		return 43;
	case 'f':
		return 44;
	case 'a':
		return 51;
	default:
		return 60;
	}
}

static inline uint32_t wire_chain_bytes(const char *chain)
{
	uint32_t bytes = 0;

	for (; chain && *chain; chain++)
		bytes += *chain == 'D' || *chain == 'a' ? 24 : 8;
	return bytes;
}

static inline void wire_put_chain(uint8_t *at, const struct wire_spec *spec, uint8_t protocol)
{
	for (const char *c = spec->chain; c && *c; c++) {
		uint32_t bytes = *c == 'D' || *c == 'a' ? 24 : 8;

		memset(at, 0, bytes); /* options: one byte of padding each */
		at[0] = c[1] ? wire_chain_kind(c[1]) : protocol;
		at[1] = *c == 'a' ? 4 : (uint8_t)(bytes / 8 - 1);
		if (*c == 'r')
			at[2] = 253; /* for experiments (RFC 4727); no segment is left */
		if (*c == 'f') {
			at[1] = 0;
			wire_put16(at + 2, (spec->fragment & 0x1fffu) << 3 | (spec->fragment & WIRE_IP4_MORE ? 1 : 0));
			wire_put16(at + 4, spec->id >> 16);
			wire_put16(at + 6, spec->id ? spec->id : 0x77);
		}
		at += bytes;
	}
}

static inline void wire_put_ip6(uint8_t *at, const struct wire_spec *spec, uint8_t protocol, uint32_t behind)
{
	memset(at, 0, 8);
	wire_put16(at, 0x6000 | spec->class << 4);
	at[3] = 0x42; /* flow label */
	wire_put16(at + 4, wire_chain_bytes(spec->chain) + behind);
	at[6] = spec->chain && *spec->chain ? wire_chain_kind(*spec->chain) : protocol;
	at[7] = spec->ttl ? spec->ttl : WIRE_TTL;
	wire_put_address(at + 8, spec->from);
	wire_put_address(at + 24, spec->to);
	wire_put_chain(at + 40, spec, protocol);
}

static inline uint32_t wire_upper_bytes(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? 20 : 8;
}

/* TCP (an ACK with data), UDP, or an ICMP message. */
static inline void wire_put_upper(uint8_t *at, const struct wire_spec *spec, uint8_t protocol)
{
	uint32_t head = wire_upper_bytes(protocol), bytes = head + spec->payload, check_at = 2, sum = 0;
	uint8_t address[16];

	memset(at, 0, head);
	for (uint32_t i = 0; i < spec->payload; i++)
		at[head + i] = spec->quote ? spec->quote[i] : (uint8_t)(i * 7 + 1);
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP) {
		wire_put16(at, spec->from_port);
		wire_put16(at + 2, spec->to_port);
		check_at = protocol == IPPROTO_TCP ? 16 : 6;
	} else {
		at[0] = spec->type;
		at[1] = spec->code;
		wire_put16(at + 4, spec->rest >> 16);
		wire_put16(at + 6, spec->rest);
	}
	if (protocol == IPPROTO_TCP)
		memcpy(at + 4, "\0\0\0\1\0\0\0\2\x50\x10\x20", 11);
	if (protocol == IPPROTO_UDP)
		wire_put16(at + 4, bytes);
	if (protocol != IPPROTO_ICMP) {
		sum = protocol + bytes;
		sum = wire_sum(sum, address, wire_put_address(address, spec->from));
		sum = wire_sum(sum, address, wire_put_address(address, spec->to));
	}
	wire_put16(at + check_at, wire_checksum(wire_sum(sum, at, bytes)));
}

/* Compose a frame. It comes from the router and goes to the director unless the description says else. */
static inline void wire_make(struct wire *out, const struct wire_spec *spec)
{
	bool is4 = wire_is4(spec->from);
	uint8_t protocol = spec->protocol ? spec->protocol : IPPROTO_TCP;
	uint32_t behind = wire_upper_bytes(protocol) + spec->payload;

	memset(out, 0, sizeof(*out));
	out->l3 = wire_put_link(out->byte, spec->mac_to ? spec->mac_to : wire_mac_director,
				spec->mac_from ? spec->mac_from : wire_mac_router, spec->tags, is4 ? 0x0800 : 0x86dd);
	if (is4) {
		wire_put_ip4(out->byte + out->l3, spec, protocol, behind);
		out->l4 = out->l3 + 20 + spec->options;
	} else {
		wire_put_ip6(out->byte + out->l3, spec, protocol, behind);
		out->l4 = out->l3 + 40 + wire_chain_bytes(spec->chain);
	}
	wire_put_upper(out->byte + out->l4, spec, protocol);
	out->bytes = out->l4 + behind;
	out->ip_bytes = out->bytes - out->l3;
	memset(out->byte + out->bytes, WIRE_PADDING, spec->padding);
	out->bytes += spec->padding;
}

/* The way of a forwarded frame: its link header and, for tunnels, the ends of the outer header. */
struct wire_way {
	const uint8_t *mac_to, *mac_from;
	const char *tags;
	const char *outer_from, *outer_to; /* NULL: no tunnel, the packet itself is sent */
	bool is_gue;
	uint16_t gue_port;	/* the UDP source port */
	const char *alternate; /* the second chance that GUE carries; NULL: none */
	bool is_gre;
	uint32_t gre_key; /* 0: none */
};

static inline uint32_t wire_gue_bytes(const struct wire_way *way)
{
	return way->is_gue ? 12 + (way->alternate ? 20 : 0) : 0;
}

/* UDP and GUE for `behind` bytes of a packet. Returns how many bytes they are. */
static inline uint32_t wire_put_gue(uint8_t *at, const struct wire_way *way, uint8_t protocol, uint32_t behind)
{
	uint32_t bytes = wire_gue_bytes(way);

	if (!bytes)
		return 0;
	memset(at, 0, bytes);
	wire_put16(at, way->gue_port);
	wire_put16(at + 2, 6080);
	wire_put16(at + 4, bytes + behind);
	at[9] = protocol;
	if (way->alternate) {
		at[8] = 5;
		memcpy(at + 12, "H\1", 2);
		if (wire_is4(way->alternate))
			memset(at + 26, 0xff, 2);
		wire_put_address(at + (wire_is4(way->alternate) ? 28 : 16), way->alternate);
	}
	return bytes;
}

static inline uint32_t wire_gre_bytes(const struct wire_way *way)
{
	return way->is_gre ? way->gre_key ? 8 : 4 : 0;
}

/* The header of GRE. Returns its bytes. */
static inline uint32_t wire_put_gre(uint8_t *at, const struct wire_way *way, bool inner4)
{
	if (!way->is_gre)
		return 0;
	wire_put16(at, way->gre_key ? 0x2000 : 0);
	wire_put16(at + 2, inner4 ? 0x0800 : 0x86dd);
	if (way->gre_key) {
		wire_put16(at + 4, way->gre_key >> 16);
		wire_put16(at + 6, way->gre_key & 0xffff);
	}
	return wire_gre_bytes(way);
}

/* Compose the frame that must leave when `in` is forwarded that way: the IP packet as it came, behind new headers. What stands
 * behind the packet goes into no tunnel. */
static inline void wire_forward(struct wire *out, const struct wire *in, const struct wire_way *way)
{
	bool inner4 = in->byte[in->l3] >> 4 == 4, outer4 = way->outer_to ? wire_is4(way->outer_to) : inner4;
	struct wire_spec outer = {.from = way->outer_from, .to = way->outer_to, .ttl = 64, .fragment = WIRE_IP4_KEEP,
				  .class = inner4 ? in->byte[in->l3 + 1] : (uint8_t)(wire_get16(in->byte + in->l3) >> 4)};
	uint32_t kept = way->outer_to ? in->ip_bytes : in->bytes - in->l3;
	uint8_t inner = inner4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	uint8_t protocol = way->is_gue ? IPPROTO_UDP : way->is_gre ? IPPROTO_GRE : inner;
	uint32_t behind = wire_gue_bytes(way) + wire_gre_bytes(way) + in->ip_bytes;
	uint8_t *at;

	memset(out, 0, sizeof(*out));
	out->l3 = wire_put_link(out->byte, way->mac_to, way->mac_from, way->tags, outer4 ? 0x0800 : 0x86dd);
	out->bytes = out->l3;
	at = out->byte + out->l3;
	if (way->outer_to && outer4) {
		wire_put_ip4(at, &outer, protocol, behind);
		wire_put16(at + 4, 0); /* an ID that nobody needs (RFC 6864) */
		wire_put16(at + 10, 0);
		wire_put16(at + 10, wire_checksum(wire_sum(0, at, 20)));
		out->bytes += 20;
	} else if (way->outer_to) {
		wire_put_ip6(at, &outer, protocol, behind);
		wire_put16(at + 2, 0); /* no flow label */
		out->bytes += 40;
	}
	out->bytes += wire_put_gue(out->byte + out->bytes, way, inner, in->ip_bytes);
	out->bytes += wire_put_gre(out->byte + out->bytes, way, inner4);
	memcpy(out->byte + out->bytes, in->byte + in->l3, kept);
	out->bytes += kept;
	out->ip_bytes = in->ip_bytes + (out->bytes - out->l3) - kept;
}

/* The same, for comparison with what left: GUE's source port is taken from there, if it is one that may stand there. */
static inline void wire_expect(struct wire *out, const struct wire *in, struct wire_way *way, const struct wire *left)
{
	uint32_t at = 14 + (uint32_t)(way->tags ? 4 * strlen(way->tags) : 0);

	if (way->is_gue) {
		uint16_t port = wire_get16(left->byte + at + (wire_is4(way->outer_to) ? 20 : 40));

		way->gue_port = port >= 49152 ? port : 0;
	}
	wire_forward(out, in, way);
}

/* ARP for IPv4 over Ethernet. */
struct wire_arp {
	uint16_t operation; /* 1 request, 2 reply */
	const char *sender, *target;
	const uint8_t *mac_sender, *mac_target; /* NULL: zero */
	const uint8_t *mac_to, *mac_from;	/* of the frame */
	const char *tags;
	uint32_t padding;
};

static inline void wire_make_arp(struct wire *out, const struct wire_arp *arp)
{
	uint8_t *at;

	memset(out, 0, sizeof(*out));
	out->l3 = wire_put_link(out->byte, arp->mac_to, arp->mac_from, arp->tags, 0x0806);
	at = out->byte + out->l3;
	memcpy(at, "\0\1\x08\0\6\4", 6);
	wire_put16(at + 6, arp->operation);
	if (arp->mac_sender)
		memcpy(at + 8, arp->mac_sender, 6);
	wire_put_address(at + 14, arp->sender);
	if (arp->mac_target)
		memcpy(at + 18, arp->mac_target, 6);
	wire_put_address(at + 24, arp->target);
	out->bytes = out->l3 + 28 + arp->padding;
	memset(at + 28, WIRE_PADDING, arp->padding);
}

#endif

/* Frames of the packet classes: see bench_frame.h. */
#include "bench_frame.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <string.h>

#include "daemon/frame.h"
#include "setting.h"

#define SOURCE_PORT 40000
#define TCP_FLAGS 13 /* where they stand in the header */
#define TCP_ACK 0x10
#define TCP_OFFSET 12
#define VIP4(n) "10.2.0." #n
#define VIP6(n) "fd00:2::" #n

/* TCP and UDP, each with one flow and with a million. */
#define FORWARDED(forward, family, vip)                              \
	{forward, "tcp", family, 1, vip, true, false, 0, 0, false, false, NULL},            \
	{forward, "tcp", family, BENCH_MANY, vip, true, false, 0, 0, false, false, NULL},   \
	{forward, "udp", family, 1, vip, true, false, 0, 0, false, false, NULL},            \
	{forward, "udp", family, BENCH_MANY, vip, true, false, 0, 0, false, false, NULL}

const struct bench_class bench_classes[] = {
	FORWARDED("l2", 4, VIP4(1)),
	FORWARDED("l2", 6, VIP6(1)),
	FORWARDED("ipip", 4, VIP4(2)),
	FORWARDED("ipip", 6, VIP6(2)),
	FORWARDED("gue", 4, VIP4(3)),
	FORWARDED("gue", 6, VIP6(3)),
	{"none", "tcp", 4, 1, "10.9.9.9", false, false, 0, 0, false, false, NULL},
	{"none", "tcp", 6, 1, "fd00:9::9", false, false, 0, 0, false, false, NULL},
	{"none", "arp", 4, 1, VIP4(1), true, false, 0, 0, false, false, NULL},
	{"ipip", "tcp", 4, 1, VIP4(4), true, false, 0, 1200, false, false, NULL},
	{"ipip", "tcp", 6, 1, VIP6(4), true, false, 0, 1200, false, false, NULL},
};

const size_t bench_class_count = sizeof(bench_classes) / sizeof(bench_classes[0]);

uint32_t bench_class_outer(const struct bench_class *class)
{
	uint32_t ip_bytes = class->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);

	if (!strcmp(class->forward, "gue"))
		return ip_bytes + HP_GUE_BYTES;
	return strcmp(class->forward, "ipip") ? 0 : ip_bytes;
}

/* A request (RFC 826) of the client for the VIP. */
static void make_arp(const struct bench_class *class, struct bench_frame *out)
{
	static const uint8_t head[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06,
				       0,    1,	   8,	 0,    6,    4,	   0, 1, 2, 0, 0, 0, 0,	   1,
				       10,   2,	   0,	 254,  0,    0,	   0, 0, 0, 0};
	struct ip vip;

	ip_parse(&vip, class->vip);
	memcpy(out->byte, head, sizeof(head));
	memcpy(out->byte + sizeof(head), ip_bytes4(&vip), 4);
}

static uint16_t source_port(const struct bench_class *class)
{
	return class->source_port ? class->source_port : SOURCE_PORT;
}

static uint8_t protocol(const struct bench_class *class)
{
	return strcmp(class->protocol, "udp") ? IPPROTO_TCP : IPPROTO_UDP;
}

/* Options as Linux sends them, the MSS of an Ethernet first. */
static void put_mss(uint8_t *tcp)
{
	static const uint8_t options[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};

	tcp[TCP_OFFSET] = (20 + sizeof(options)) / 4 << 4;
	memcpy(tcp + 20, options, sizeof(options));
}

void bench_frame_make(const struct bench_class *class, struct bench_frame *out)
{
	struct frame_flow flow = {.source_port = source_port(class), .destination_port = 80, .protocol = protocol(class)};
	uint32_t ip_bytes = class->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	static const uint8_t from[6] = {2, 0, 0, 0, 0, 1}, to[6] = {2, 0, 0, 0, 0, 2};
	struct frame frame;
	uint16_t length;

	memset(out, 0, sizeof(*out));
	out->bytes = BENCH_FRAME_BYTES;
	if (!strcmp(class->protocol, "arp")) {
		make_arp(class, out);
		return;
	}
	ip_parse(&flow.source, class->family == 4 ? "10.64.0.0" : "fd00:1::a40:0");
	ip_parse(&flow.destination, class->vip);
	frame_make(&frame, &flow, from, to);
	memcpy(out->byte, frame.byte, frame.bytes);
	/* The payload fills the frame. */
	length = htons(BENCH_FRAME_BYTES - ETH_HLEN - (class->family == 4 ? 0 : sizeof(struct ipv6hdr)));
	memcpy(out->byte + ETH_HLEN + (class->family == 4 ? 2 : 4), &length, sizeof(length));
	out->address_at = ETH_HLEN + (class->family == 4 ? 12 : 20);
	if (class->mss)
		put_mss(out->byte + ETH_HLEN + ip_bytes);
	if (class->is_under_way)
		out->byte[ETH_HLEN + ip_bytes + TCP_FLAGS] = TCP_ACK;
}

struct hp_flow bench_frame_flow(const struct bench_class *class, uint32_t n)
{
	struct hp_flow flow = {
		.source_port = htons(source_port(class)),
		.destination_port = htons(80),
		.protocol = protocol(class),
		.is_ipv6 = class->family == 6,
	};
	struct bench_frame frame;
	uint32_t address = htonl(BENCH_FIRST_ADDRESS + n);

	bench_frame_make(class, &frame);
	if (class->family == 4) {
		memcpy(&flow.destination[3], frame.byte + frame.address_at + 4, 4);
	} else {
		memcpy(flow.source, frame.byte + frame.address_at - 12, 12);
		memcpy(flow.destination, frame.byte + frame.address_at + 4, 16);
	}
	flow.source[3] = address;
	return flow;
}

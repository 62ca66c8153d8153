/* Frames made and told: see frame.h. */
#include "daemon/frame.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "abi.h"

#define TTL 64
#define WINDOW 64240
#define SCTP_BYTES 12
#define TCP_FLAGS_AT 9 /* behind the ports */
#define FLAGS_TEXT_BYTES 32

static uint32_t add_words(uint32_t sum, const void *from, size_t bytes)
{
	uint16_t word;

	for (size_t at = 0; at + 1 < bytes; at += sizeof(word)) {
		memcpy(&word, (const uint8_t *)from + at, sizeof(word));
		sum += word;
	}
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t put_network(uint8_t *at, const struct frame_flow *flow, size_t payload)
{
	struct ipv6hdr ip6 = {.version = 6, .nexthdr = flow->protocol, .hop_limit = TTL};
	struct iphdr ip4 = {.version = 4, .ihl = 5, .ttl = TTL, .protocol = flow->protocol, .frag_off = htons(0x4000)};

	if (!ip_is4(&flow->source)) {
		ip6.payload_len = htons((uint16_t)payload);
		memcpy(&ip6.saddr, flow->source.byte, sizeof(ip6.saddr));
		memcpy(&ip6.daddr, flow->destination.byte, sizeof(ip6.daddr));
		memcpy(at, &ip6, sizeof(ip6));
		return sizeof(ip6);
	}
	ip4.tot_len = htons((uint16_t)(payload + sizeof(ip4)));
	memcpy(&ip4.saddr, ip_bytes4(&flow->source), sizeof(ip4.saddr));
	memcpy(&ip4.daddr, ip_bytes4(&flow->destination), sizeof(ip4.daddr));
	ip4.check = fold(add_words(0, &ip4, sizeof(ip4)));
	memcpy(at, &ip4, sizeof(ip4));
	return sizeof(ip4);
}

static uint32_t pseudo_sum(const struct frame_flow *flow, size_t bytes)
{
	size_t address = ip_is4(&flow->source) ? 4 : 16;
	uint32_t sum = htons((uint16_t)bytes) + htons(flow->protocol);

	sum = add_words(sum, flow->source.byte + 16 - address, address);
	return add_words(sum, flow->destination.byte + 16 - address, address);
}

/* CRC-32C, which SCTP has for a checksum (RFC 9260, appendix A). */
static uint32_t crc32c(const uint8_t *bytes, size_t count)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < count; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* Ports, verification tag and checksum; or SPI and sequence number (RFC 4303). */
static size_t put_other(uint8_t *at, const struct frame_flow *flow)
{
	const uint16_t ports[2] = {htons(flow->source_port), htons(flow->destination_port)};
	const uint32_t esp[2] = {htonl(256), htonl(1)};
	uint32_t sum;

	if (flow->protocol == IPPROTO_ESP) {
		memcpy(at, esp, sizeof(esp));
		return sizeof(esp);
	}
	memset(at, 0, SCTP_BYTES);
	memcpy(at, ports, sizeof(ports));
	sum = htole32(crc32c(at, SCTP_BYTES));
	memcpy(at + SCTP_BYTES - sizeof(sum), &sum, sizeof(sum));
	return SCTP_BYTES;
}

static size_t put_transport(uint8_t *at, const struct frame_flow *flow)
{
	struct tcphdr tcp = {.source = htons(flow->source_port),
			     .dest = htons(flow->destination_port),
			     .doff = 5,
			     .syn = !flow->is_under_way,
			     .ack = flow->is_under_way,
			     .window = htons(WINDOW)};
	struct udphdr udp = {.source = htons(flow->source_port), .dest = htons(flow->destination_port), .len = htons(8)};

	if (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP)
		return put_other(at, flow);
	if (flow->protocol == IPPROTO_UDP) {
		udp.check = fold(add_words(pseudo_sum(flow, sizeof(udp)), &udp, sizeof(udp)));
		if (!udp.check)
			udp.check = 0xffff;
		memcpy(at, &udp, sizeof(udp));
		return sizeof(udp);
	}
	tcp.check = fold(add_words(pseudo_sum(flow, sizeof(tcp)), &tcp, sizeof(tcp)));
	memcpy(at, &tcp, sizeof(tcp));
	return sizeof(tcp);
}

void frame_make(struct frame *out, const struct frame_flow *flow, const uint8_t mac_source[6],
		const uint8_t mac_destination[6])
{
	struct ethhdr eth = {.h_proto = htons(ip_is4(&flow->source) ? ETH_P_IP : ETH_P_IPV6)};
	size_t network = ip_is4(&flow->source) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	size_t transport;

	memset(out, 0, sizeof(*out));
	memcpy(eth.h_source, mac_source, ETH_ALEN);
	memcpy(eth.h_dest, mac_destination, ETH_ALEN);
	memcpy(out->byte, &eth, sizeof(eth));
	transport = put_transport(out->byte + sizeof(eth) + network, flow);
	put_network(out->byte + sizeof(eth), flow, transport);
	out->bytes = (uint32_t)(sizeof(eth) + network + transport);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static void line(json_t *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(json_t *lines, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(lines, json_string(text));
}

struct cursor {
	const uint8_t *at;
	size_t left;
	uint16_t next; /* EtherType, or 0x10000's low part: an IP protocol once is_ip */
	bool is_ip;
};

static bool take(struct cursor *cursor, void *out, size_t bytes)
{
	if (cursor->left < bytes)
		return false;
	memcpy(out, cursor->at, bytes);
	cursor->at += bytes;
	cursor->left -= bytes;
	return true;
}

/* Behind the header: options; and whether anything but the rest of a payload follows. */
static bool skip_ip4(struct cursor *cursor, const struct iphdr *ip, json_t *lines)
{
	size_t options = ip->ihl > 5 ? (size_t)ip->ihl * 4 - sizeof(*ip) : 0;
	unsigned int offset = (ntohs(ip->frag_off) & 0x1fffu) * 8;

	if (options)
		line(lines, "%zu bytes of options", options);
	if (offset || ntohs(ip->frag_off) & 0x2000)
		line(lines, "fragment from byte %u on%s", offset, offset ? ", which names no port" : "");
	if (offset || cursor->left < options)
		return false;
	cursor->at += options;
	cursor->left -= options;
	return true;
}

static bool read_ip4(struct cursor *cursor, json_t *lines)
{
	char from[IP_TEXT_BYTES], to[IP_TEXT_BYTES];
	struct ip source, destination;
	struct iphdr ip;

	if (!take(cursor, &ip, sizeof(ip)))
		return false;
	source = ip_from4(&ip.saddr);
	destination = ip_from4(&ip.daddr);
	line(lines, "IPv4 %s > %s, protocol %u, ttl %u, %u bytes", ip_format(&source, from), ip_format(&destination, to),
	     ip.protocol, ip.ttl, ntohs(ip.tot_len));
	cursor->is_ip = true;
	cursor->next = ip.protocol;
	return skip_ip4(cursor, &ip, lines);
}

static bool read_ip6(struct cursor *cursor, json_t *lines)
{
	char from[IP_TEXT_BYTES], to[IP_TEXT_BYTES];
	struct ip source, destination;
	struct ipv6hdr ip;

	if (!take(cursor, &ip, sizeof(ip)))
		return false;
	source = ip_from6(&ip.saddr);
	destination = ip_from6(&ip.daddr);
	line(lines, "IPv6 %s > %s, next header %u, hop limit %u, %zu bytes", ip_format(&source, from),
	     ip_format(&destination, to), ip.nexthdr, ip.hop_limit, ntohs(ip.payload_len) + sizeof(ip));
	cursor->is_ip = true;
	cursor->next = ip.nexthdr;
	return true;
}

/* A GUE header, and the second chance if it has one. */
static bool read_gue(struct cursor *cursor, json_t *lines)
{
	struct hp_gue_chance chance;
	char to[IP_TEXT_BYTES];
	struct ip alternate;
	struct hp_gue gue;
	uint16_t rest[2]; /* of the UDP header, whose ports are read */

	if (!take(cursor, rest, sizeof(rest)) || !take(cursor, &gue, sizeof(gue)))
		return false;
	cursor->next = gue.protocol;
	if (gue.form != HP_GUE_WITH_CHANCE || !take(cursor, &chance, sizeof(chance))) {
		line(lines, "GUE, protocol %u", gue.protocol);
		return gue.form == HP_GUE_PLAIN;
	}
	alternate = ip_from6(chance.alternate);
	line(lines, "GUE, protocol %u, second chance at %s", gue.protocol, ip_format(&alternate, to));
	return true;
}

/* A GRE header, and its key if it has one. What has more in it is not of our tunnels. */
static bool read_gre(struct cursor *cursor, json_t *lines)
{
	struct hp_gre gre;
	uint32_t key;

	if (!take(cursor, &gre, sizeof(gre)) || ntohs(gre.flags) & ~HP_GRE_KEY)
		return false;
	cursor->is_ip = false;
	cursor->next = ntohs(gre.protocol);
	if (!gre.flags) {
		line(lines, "GRE, protocol 0x%04x", cursor->next);
		return true;
	}
	if (!take(cursor, &key, sizeof(key)))
		return false;
	line(lines, "GRE, protocol 0x%04x, key %u", cursor->next, ntohl(key));
	return true;
}

/* The flags of the TCP header whose ports have been read, each with a comma; none where the header is cut. */
static const char *flags_text(const struct cursor *cursor, char text[static FLAGS_TEXT_BYTES])
{
	static const char *const names[] = {", FIN", ", SYN", ", RST", ", PSH", ", ACK", ", URG"}; /* by bit */
	uint8_t flags = cursor->left > TCP_FLAGS_AT ? cursor->at[TCP_FLAGS_AT] : 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (flags & 1u << i)
			strcat(text, names[i]);
	return text;
}

static bool read_ports(struct cursor *cursor, json_t *lines)
{
	bool is_tcp = cursor->next == IPPROTO_TCP;
	char flags[FLAGS_TEXT_BYTES];
	uint16_t ports[2];

	if (!take(cursor, ports, sizeof(ports)))
		return false;
	line(lines, "%s %u > %u%s", is_tcp ? "TCP" : cursor->next == IPPROTO_UDP ? "UDP" : "SCTP", ntohs(ports[0]),
	     ntohs(ports[1]), is_tcp ? flags_text(cursor, flags) : "");
	return cursor->next == IPPROTO_UDP && ntohs(ports[1]) == HP_GUE_PORT && read_gue(cursor, lines);
}

static bool read_esp(struct cursor *cursor, json_t *lines)
{
	uint32_t head[2];

	if (take(cursor, head, sizeof(head)))
		line(lines, "ESP spi %#x", ntohl(head[0]));
	return false;
}

static bool read_icmp(struct cursor *cursor, json_t *lines)
{
	uint8_t kind[2];

	if (take(cursor, kind, sizeof(kind)))
		line(lines, "%s type %u, code %u", cursor->next == IPPROTO_ICMP ? "ICMP" : "ICMPv6", kind[0], kind[1]);
	return false;
}

static bool read_tag(struct cursor *cursor, json_t *lines)
{
	uint16_t tag[2];

	if (!take(cursor, tag, sizeof(tag)))
		return false;
	line(lines, "VLAN %u%s", ntohs(tag[0]) & 0xfff, cursor->next == ETH_P_8021AD ? " (802.1ad)" : "");
	cursor->next = ntohs(tag[1]);
	return true;
}

static bool read_next(struct cursor *cursor, json_t *lines)
{
	if (!cursor->is_ip) {
		switch (cursor->next) {
		case ETH_P_8021Q:
		case ETH_P_8021AD:
			return read_tag(cursor, lines);
		case ETH_P_IP:
			return read_ip4(cursor, lines);
		case ETH_P_IPV6:
			return read_ip6(cursor, lines);
		default:
			return false;
		}
	}
	switch (cursor->next) {
	case IPPROTO_IPIP:
		return read_ip4(cursor, lines);
	case IPPROTO_IPV6:
		return read_ip6(cursor, lines);
	case IPPROTO_GRE:
		return read_gre(cursor, lines);
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return read_ports(cursor, lines);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return read_icmp(cursor, lines);
	case IPPROTO_ESP:
		return read_esp(cursor, lines);
	default:
		return false;
	}
}

json_t *frame_headers(const struct frame *frame)
{
	struct cursor cursor = {.at = frame->byte, .left = frame->bytes};
	json_t *lines = json_array();
	struct ethhdr eth;

	if (!take(&cursor, &eth, sizeof(eth)))
		return lines;
	line(lines, "Ethernet %02x:%02x:%02x:%02x:%02x:%02x > %02x:%02x:%02x:%02x:%02x:%02x", eth.h_source[0],
	     eth.h_source[1], eth.h_source[2], eth.h_source[3], eth.h_source[4], eth.h_source[5], eth.h_dest[0],
	     eth.h_dest[1], eth.h_dest[2], eth.h_dest[3], eth.h_dest[4], eth.h_dest[5]);
	cursor.next = ntohs(eth.h_proto);
	while (read_next(&cursor, lines))
		;
	return lines;
}

json_t *frame_hex(const struct frame *frame)
{
	char text[FRAME_ROOM_BYTES * 2 + 1];

	for (uint32_t i = 0; i < frame->bytes; i++)
		snprintf(text + i * 2, 3, "%02x", frame->byte[i]);
	text[frame->bytes * 2] = '\0';
	return json_string(text);
}

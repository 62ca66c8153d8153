/* Facts of a way become a record of headers: see adjacency.h. */
#include "core/adjacency.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stddef.h>
#include <string.h>

#define OUTER_TTL 64
#define TAG_BYTES 4
#define IPV6_LEAST_MTU 1280

/* What a method puts in front. */
static const struct form {
	enum config_forward forward;
	uint8_t ip_bytes; /* of the outer IP header */
	uint8_t inner;	  /* protocol number of the packet within */
} forms[HP_METHOD_COUNT] = {
	[HP_METHOD_L2] = {CONFIG_FORWARD_L2, 0, 0},
	[HP_METHOD_IPIP_4_IN_4] = {CONFIG_FORWARD_IPIP, sizeof(struct iphdr), IPPROTO_IPIP},
	[HP_METHOD_IPIP_6_IN_4] = {CONFIG_FORWARD_IPIP, sizeof(struct iphdr), IPPROTO_IPV6},
	[HP_METHOD_IPIP_4_IN_6] = {CONFIG_FORWARD_IPIP, sizeof(struct ipv6hdr), IPPROTO_IPIP},
	[HP_METHOD_IPIP_6_IN_6] = {CONFIG_FORWARD_IPIP, sizeof(struct ipv6hdr), IPPROTO_IPV6},
	[HP_METHOD_GUE_4_IN_4] = {CONFIG_FORWARD_GUE, sizeof(struct iphdr), IPPROTO_IPIP},
	[HP_METHOD_GUE_6_IN_4] = {CONFIG_FORWARD_GUE, sizeof(struct iphdr), IPPROTO_IPV6},
	[HP_METHOD_GUE_4_IN_6] = {CONFIG_FORWARD_GUE, sizeof(struct ipv6hdr), IPPROTO_IPIP},
	[HP_METHOD_GUE_6_IN_6] = {CONFIG_FORWARD_GUE, sizeof(struct ipv6hdr), IPPROTO_IPV6},
	[HP_METHOD_GRE_4_IN_4] = {CONFIG_FORWARD_GRE, sizeof(struct iphdr), IPPROTO_IPIP},
	[HP_METHOD_GRE_6_IN_4] = {CONFIG_FORWARD_GRE, sizeof(struct iphdr), IPPROTO_IPV6},
	[HP_METHOD_GRE_4_IN_6] = {CONFIG_FORWARD_GRE, sizeof(struct ipv6hdr), IPPROTO_IPIP},
	[HP_METHOD_GRE_6_IN_6] = {CONFIG_FORWARD_GRE, sizeof(struct ipv6hdr), IPPROTO_IPV6},
};

enum hp_method adjacency_method(enum config_forward forward, bool vip_is4, bool backend_is4)
{
	switch (forward) {
	case CONFIG_FORWARD_L2:
		return vip_is4 == backend_is4 ? HP_METHOD_L2 : HP_METHOD_NONE;
	case CONFIG_FORWARD_IPIP:
		if (backend_is4)
			return vip_is4 ? HP_METHOD_IPIP_4_IN_4 : HP_METHOD_IPIP_6_IN_4;
		return vip_is4 ? HP_METHOD_IPIP_4_IN_6 : HP_METHOD_IPIP_6_IN_6;
	case CONFIG_FORWARD_GUE:
		if (backend_is4)
			return vip_is4 ? HP_METHOD_GUE_4_IN_4 : HP_METHOD_GUE_6_IN_4;
		return vip_is4 ? HP_METHOD_GUE_4_IN_6 : HP_METHOD_GUE_6_IN_6;
	case CONFIG_FORWARD_GRE:
		if (backend_is4)
			return vip_is4 ? HP_METHOD_GRE_4_IN_4 : HP_METHOD_GRE_6_IN_4;
		return vip_is4 ? HP_METHOD_GRE_4_IN_6 : HP_METHOD_GRE_6_IN_6;
	}
	return HP_METHOD_NONE;
}

enum config_forward adjacency_forward(enum hp_method method)
{
	return forms[method].forward;
}

uint32_t adjacency_overhead(enum hp_method method, bool has_gre_key)
{
	const struct form *form = &forms[method];

	if (form->forward == CONFIG_FORWARD_GUE)
		return form->ip_bytes + HP_GUE_BYTES;
	if (form->forward == CONFIG_FORWARD_GRE)
		return form->ip_bytes + (uint32_t)(has_gre_key ? HP_GRE_KEYED_BYTES : HP_GRE_BYTES);
	return form->ip_bytes;
}

uint16_t adjacency_least_mtu(enum hp_method method, uint16_t route_mtu)
{
	uint32_t least = IPV6_LEAST_MTU + adjacency_overhead(method, true);

	if (forms[method].inner != IPPROTO_IPV6)
		return 0;
	return least < route_mtu ? (uint16_t)least : route_mtu;
}

/* The protocol that the outer IP header names. */
static uint8_t outer_protocol(const struct form *form)
{
	if (form->forward == CONFIG_FORWARD_GUE)
		return IPPROTO_UDP;
	return form->forward == CONFIG_FORWARD_GRE ? IPPROTO_GRE : form->inner;
}

static void put16(uint8_t *at, uint16_t host_order)
{
	uint16_t wire = htons(host_order);

	memcpy(at, &wire, sizeof(wire));
}

/* Ethernet header with its tags, as they stand on the wire. */
static void put_link(struct hp_adjacency *out, const struct adjacency *facts, bool is4)
{
	uint8_t *at = out->l2;

	memcpy(at, facts->mac_destination, ETH_ALEN);
	memcpy(at + ETH_ALEN, facts->mac_source, ETH_ALEN);
	at += 2 * ETH_ALEN;
	for (uint8_t i = 0; i < facts->tag_count; i++, at += TAG_BYTES) {
		put16(at, facts->tag[i].protocol);
		put16(at + 2, facts->tag[i].id);
	}
	put16(at, is4 ? ETH_P_IP : ETH_P_IPV6);
	out->l2_bytes = (uint8_t)(at + 2 - out->l2);
}

/* The outer source: the configured address or prefix, else what the route prefers. */
static void choose_source(struct hp_adjacency *out, const struct adjacency *facts, const struct config_source *source,
			  struct ip *address)
{
	uint32_t width, host_bits;

	if (!source->set) {
		*address = facts->source;
		return;
	}
	*address = source->prefix.ip;
	width = ip_is4(address) ? 32 : 128;
	host_bits = width - source->prefix.bits;
	if (!host_bits)
		return;
	out->source_mask = htonl((uint32_t)((1ULL << host_bits) - 1));
	if (!ip_is_unspecified(&facts->source) && !ip_is_link_local(&facts->source))
		memcpy(out->own, facts->source.byte, sizeof(out->own));
}

/* Ones' complement sum of a header's words as they lie in memory (RFC 1071 does not care for the byte order). */
static uint16_t sum_words(const void *header, size_t bytes)
{
	uint32_t sum = 0;
	uint16_t word;

	for (size_t at = 0; at < bytes; at += sizeof(word)) {
		memcpy(&word, (const uint8_t *)header + at, sizeof(word));
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static void put_outer4(struct hp_adjacency *out, const struct ip *from, const struct ip *to, uint8_t protocol)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .frag_off = htons(0x4000), .ttl = OUTER_TTL, .protocol = protocol};

	memcpy(&ip.saddr, ip_bytes4(from), sizeof(ip.saddr));
	memcpy(&ip.daddr, ip_bytes4(to), sizeof(ip.daddr));
	memcpy(out->outer, &ip, sizeof(ip));
	out->outer_sum = sum_words(&ip, sizeof(ip));
}

static void put_outer6(struct hp_adjacency *out, const struct ip *from, const struct ip *to, uint8_t protocol)
{
	struct ipv6hdr ip = {.version = 6, .nexthdr = protocol, .hop_limit = OUTER_TTL};

	memcpy(&ip.saddr, from->byte, sizeof(ip.saddr));
	memcpy(&ip.daddr, to->byte, sizeof(ip.daddr));
	memcpy(out->outer, &ip, sizeof(ip));
}

static void put_gue(uint8_t *at, uint8_t inner)
{
	struct udphdr udp = {.dest = htons(HP_GUE_PORT)};
	struct hp_gue gue = {.form = HP_GUE_PLAIN, .protocol = inner};

	memcpy(at, &udp, sizeof(udp));
	memcpy(at + sizeof(udp), &gue, sizeof(gue));
}

static void put_gre(uint8_t *at, uint8_t inner, const struct config_tunnel *tunnel)
{
	uint32_t key = htonl(tunnel->gre_key);

	put16(at, tunnel->has_gre_key ? HP_GRE_KEY : 0);
	put16(at + 2, inner == IPPROTO_IPIP ? ETH_P_IP : ETH_P_IPV6);
	if (tunnel->has_gre_key)
		memcpy(at + HP_GRE_BYTES, &key, sizeof(key));
}

void adjacency_record(struct hp_adjacency *out, const struct adjacency *facts, enum hp_method method,
		      const struct ip *backend, const struct config_tunnel *tunnel, uint32_t number)
{
	const struct form *form = &forms[method];
	bool is4 = ip_is4(backend);
	struct ip from;

	memset(out, 0, sizeof(*out));
	out->ifindex = facts->ifindex;
	out->backend = number;
	out->mtu = facts->mtu;
	out->method = (uint8_t)method;
	out->on_link = facts->on_link;
	memcpy(out->address, backend->byte, sizeof(out->address));
	put_link(out, facts, is4);
	out->outer_bytes = (uint8_t)adjacency_overhead(method, tunnel->has_gre_key);
	if (!out->outer_bytes)
		return;
	choose_source(out, facts, is4 ? &tunnel->source4 : &tunnel->source6, &from);
	if (is4)
		put_outer4(out, &from, backend, outer_protocol(form));
	else
		put_outer6(out, &from, backend, outer_protocol(form));
	if (form->forward == CONFIG_FORWARD_GUE)
		put_gue(out->outer + form->ip_bytes, form->inner);
	if (form->forward == CONFIG_FORWARD_GRE)
		put_gre(out->outer + form->ip_bytes, form->inner, tunnel);
}

bool adjacency_sends_from(const struct hp_adjacency *record, const struct ip *source)
{
	struct ip backend = ip_from6(record->address), own = ip_from6(record->own), from;
	uint8_t mask[sizeof(record->source_mask)];
	bool is4 = ip_is4(&backend);

	if (!record->outer_bytes || ip_is4(source) != is4)
		return false;
	from = is4 ? ip_from4(record->outer + offsetof(struct iphdr, saddr)) :
		     ip_from6(record->outer + offsetof(struct ipv6hdr, saddr));
	if (!ip_is_unspecified(&own) && ip_equal(source, &own))
		return true;
	memcpy(mask, &record->source_mask, sizeof(mask));
	for (size_t i = 0; i < sizeof(from.byte); i++) {
		uint8_t varies = i < sizeof(from.byte) - sizeof(mask) ? 0 : mask[i - (sizeof(from.byte) - sizeof(mask))];

		if ((source->byte[i] ^ from.byte[i]) & ~varies)
			return false;
	}
	return true;
}

/* IP addresses and prefixes: see ip.h. */
#include "base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct ip ip_from4(const void *network_order_4_bytes)
{
	struct ip ip;

	memcpy(ip.byte, mapped, sizeof(mapped));
	memcpy(ip.byte + 12, network_order_4_bytes, 4);
	return ip;
}

struct ip ip_from6(const void *network_order_16_bytes)
{
	struct ip ip;

	memcpy(ip.byte, network_order_16_bytes, 16);
	return ip;
}

bool ip_parse(struct ip *out, const char *text)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1) {
		*out = ip_from4(bytes);
		return true;
	}
	if (inet_pton(AF_INET6, text, bytes) != 1)
		return false;
	*out = ip_from6(bytes);
	return true;
}

static bool host_bits_zero(const struct ip *ip, unsigned int bits)
{
	for (unsigned int bit = bits; bit < 128; bit++)
		if (ip->byte[bit / 8] & (0x80u >> (bit % 8)))
			return false;
	return true;
}

void ip_clear_host(struct ip *ip, uint8_t bits)
{
	for (unsigned int bit = bits + (ip_is4(ip) ? 96u : 0u); bit < 128; bit++)
		ip->byte[bit / 8] &= (uint8_t)~(0x80u >> (bit % 8));
}

bool prefix_parse(struct prefix *out, const char *text)
{
	char address[IP_TEXT_BYTES];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long bits;
	struct ip ip;
	char *end;

	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	if (!ip_parse(&ip, address))
		return false;
	bits = ip_is4(&ip) ? 32 : 128;
	if (slash) {
		unsigned long most = bits;

		if (slash[1] < '0' || slash[1] > '9')
			return false;
		bits = strtoul(slash + 1, &end, 10);
		if (*end || bits > most)
			return false;
	}
	if (!host_bits_zero(&ip, (unsigned int)bits + (ip_is4(&ip) ? 96 : 0)))
		return false;
	out->ip = ip;
	out->bits = (uint8_t)bits;
	return true;
}

const char *ip_format(const struct ip *ip, char text[static IP_TEXT_BYTES])
{
	if (ip_is4(ip))
		inet_ntop(AF_INET, ip_bytes4(ip), text, IP_TEXT_BYTES);
	else
		inet_ntop(AF_INET6, ip->byte, text, IP_TEXT_BYTES);
	return text;
}

const char *prefix_format(const struct prefix *prefix, char text[static PREFIX_TEXT_BYTES])
{
	char address[IP_TEXT_BYTES];

	snprintf(text, PREFIX_TEXT_BYTES, "%s/%u", ip_format(&prefix->ip, address), prefix->bits);
	return text;
}

bool ip_is4(const struct ip *ip)
{
	return memcmp(ip->byte, mapped, sizeof(mapped)) == 0;
}

int ip_compare(const struct ip *a, const struct ip *b)
{
	return memcmp(a->byte, b->byte, sizeof(a->byte));
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return ip_compare(a, b) == 0;
}

bool ip_is_unspecified(const struct ip *ip)
{
	return host_bits_zero(ip, ip_is4(ip) ? 96 : 0);
}

bool ip_is_multicast(const struct ip *ip)
{
	return ip_is4(ip) ? (ip_bytes4(ip)[0] & 0xf0) == 0xe0 : ip->byte[0] == 0xff;
}

bool ip_is_loopback(const struct ip *ip)
{
	static const struct ip loopback6 = {{[15] = 1}};

	return ip_is4(ip) ? ip_bytes4(ip)[0] == 127 : ip_equal(ip, &loopback6);
}

bool ip_is_link_local(const struct ip *ip)
{
	if (ip_is4(ip))
		return ip_bytes4(ip)[0] == 169 && ip_bytes4(ip)[1] == 254;
	return ip->byte[0] == 0xfe && (ip->byte[1] & 0xc0) == 0x80;
}

bool ip_in_prefix(const struct ip *ip, const struct prefix *prefix)
{
	unsigned int bits = prefix->bits + (ip_is4(&prefix->ip) ? 96u : 0u);
	unsigned int whole = bits / 8;
	uint8_t mask = (uint8_t)(0xff00u >> (bits % 8));

	if (ip_is4(ip) != ip_is4(&prefix->ip) || memcmp(ip->byte, prefix->ip.byte, whole) != 0)
		return false;
	return bits % 8 == 0 || ((ip->byte[whole] ^ prefix->ip.byte[whole]) & mask) == 0;
}

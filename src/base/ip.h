/* IP addresses and prefixes of both families as one value type.
 *
 * An IPv4 address is held as the IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2). Talks to nobody. */
#ifndef HP_BASE_IP_H
#define HP_BASE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP_TEXT_BYTES 46
#define PREFIX_TEXT_BYTES (IP_TEXT_BYTES + 4)

struct ip {
	uint8_t byte[16]; /* network order */
};

/* A prefix: bits counts from the left of the family's own width (32 or 128); the host bits are zero. */
struct prefix {
	struct ip ip;
	uint8_t bits;
};

/* Parse an address of either family (inet_pton's forms). Returns false, *out untouched, when it is none.
 * An IPv4-mapped IPv6 text is the IPv4 address. */
bool ip_parse(struct ip *out, const char *text);

/* Parse ADDRESS or ADDRESS/BITS; host bits must be zero. Returns false, *out untouched, otherwise. */
bool prefix_parse(struct prefix *out, const char *text);

/* Make all bits zero but the first, counted by the address's own family. */
void ip_clear_host(struct ip *ip, uint8_t bits);

/* Write the address into text and return text. */
const char *ip_format(const struct ip *ip, char text[static IP_TEXT_BYTES]);
const char *prefix_format(const struct prefix *prefix, char text[static PREFIX_TEXT_BYTES]);

struct ip ip_from4(const void *network_order_4_bytes);
struct ip ip_from6(const void *network_order_16_bytes);

/* The last four bytes: the IPv4 address in network order as it lies in memory. */
static inline const uint8_t *ip_bytes4(const struct ip *ip)
{
	return ip->byte + 12;
}

bool ip_is4(const struct ip *ip);
bool ip_equal(const struct ip *a, const struct ip *b);
int ip_compare(const struct ip *a, const struct ip *b);
bool ip_is_unspecified(const struct ip *ip);
bool ip_is_multicast(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
bool ip_is_link_local(const struct ip *ip);
bool ip_in_prefix(const struct ip *ip, const struct prefix *prefix);

#endif

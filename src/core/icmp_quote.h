/* An ICMP or ICMPv6 error about a tunnel's packet of ours: what it says, and which outer packet it quotes. Pure. */
#ifndef HP_CORE_ICMP_QUOTE_H
#define HP_CORE_ICMP_QUOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

/* One list: name, word, what it says. */
#define ICMP_ERRORS(X)                                                                \
	X(NO_PROTOCOL, "no_protocol", "the tunnel's protocol is not spoken there")    \
	X(NO_PORT, "no_port", "nobody listens on the tunnel's UDP port")              \
	X(NO_HOST, "no_host", "host or network unreachable")                          \
	X(PROHIBITED, "prohibited", "administratively prohibited")                    \
	X(TOO_BIG, "too_big", "longer than the path takes")                           \
	X(EXPIRED, "expired", "its time was over on the way")

enum icmp_error {
#define ICMP_ERROR_ENUM(name, word, text) ICMP_ERROR_##name,
	ICMP_ERRORS(ICMP_ERROR_ENUM)
#undef ICMP_ERROR_ENUM
		ICMP_ERROR_COUNT
};

struct icmp_quote {
	enum icmp_error error;
	uint32_t mtu; /* of TOO_BIG, what the path takes; 0: not said, and of the others */
	struct ip source, destination; /* of the quoted outer packet */
	uint32_t bytes;		       /* how long that packet was, by its own header */
};

/* Read a message from its ICMP header on.
 *
 * is4  it is ICMP, else ICMPv6; the quoted packet is of the same family.
 * Returns whether it is one of these errors about IPIP, 6in4, GRE, GUE's port or what carries IPv4 in IPv6; *out is untouched
 * otherwise. */
bool icmp_quote_parse(const uint8_t *message, size_t bytes, bool is4, struct icmp_quote *out);

const char *icmp_error_name(enum icmp_error error);
const char *icmp_error_text(enum icmp_error error);

#endif

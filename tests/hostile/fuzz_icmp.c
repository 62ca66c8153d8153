/* Any bytes as an ICMP or ICMPv6 message: what anybody on the network may send. */
#include <stdlib.h>
#include <string.h>

#include "core/icmp_quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool is4 = size && (data[0] & 1);
	size_t bytes = size ? size - 1 : 0;
	uint8_t *message = malloc(bytes ? bytes : 1);
	struct icmp_quote quote;

	if (bytes)
		memcpy(message, data + 1, bytes);
	if (icmp_quote_parse(message, bytes, is4, &quote)) {
		if (ip_is4(&quote.destination) != is4 && is4)
			abort();
		if (quote.error >= ICMP_ERROR_COUNT || (quote.mtu && quote.error != ICMP_ERROR_TOO_BIG) ||
		    !*icmp_error_name(quote.error))
			abort();
	}
	free(message);
	return 0;
}

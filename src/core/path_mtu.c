/* Path MTU: see path_mtu.h. */
#include "core/path_mtu.h"

#include <stddef.h>

/* Lengths that links have (RFC 1191, 7.1), down to what every host takes. */
static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, PATH_MTU_LEAST4};

static uint32_t guess(uint32_t quoted)
{
	for (size_t i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++)
		if (plateaus[i] < quoted)
			return plateaus[i];
	return 0;
}

uint16_t path_mtu_judge(const struct icmp_quote *quote, uint16_t present)
{
	bool is4 = ip_is4(&quote->destination);
	uint32_t mtu = quote->mtu;

	if (quote->error != ICMP_ERROR_TOO_BIG)
		return 0;
	if (!mtu && is4)
		mtu = guess(quote->bytes);
	if (!mtu || mtu >= quote->bytes || quote->bytes <= (is4 ? PATH_MTU_LEAST4 : PATH_MTU_LEAST6))
		return 0;
	if (mtu < PATH_MTU_LEAST4 && is4)
		mtu = PATH_MTU_LEAST4;
	if (mtu < PATH_MTU_LEAST6 && !is4)
		return 0;
	return mtu < present ? (uint16_t)mtu : 0;
}

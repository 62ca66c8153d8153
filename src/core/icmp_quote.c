/* Reading ICMP errors: see icmp_quote.h. */
#include "core/icmp_quote.h"

#include <netinet/in.h>

#include "abi.h"

#define ICMP_BYTES 8
#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define PORTS_BYTES 4

#define ANY_CODE 256

/* Type and code of each family, what they say (RFC 792, 1122, 1812; RFC 4443). */
static const struct row {
	uint8_t type;
	uint16_t code;
	enum icmp_error error;
} rows4[] = {
	{3, 2, ICMP_ERROR_NO_PROTOCOL}, {3, 3, ICMP_ERROR_NO_PORT},	{3, 4, ICMP_ERROR_TOO_BIG},
	{3, 9, ICMP_ERROR_PROHIBITED},	{3, 10, ICMP_ERROR_PROHIBITED}, {3, 13, ICMP_ERROR_PROHIBITED},
	{3, ANY_CODE, ICMP_ERROR_NO_HOST}, {11, ANY_CODE, ICMP_ERROR_EXPIRED},
}, rows6[] = {
	{4, 1, ICMP_ERROR_NO_PROTOCOL}, {1, 4, ICMP_ERROR_NO_PORT},	{2, ANY_CODE, ICMP_ERROR_TOO_BIG},
	{1, 1, ICMP_ERROR_PROHIBITED},	{1, 5, ICMP_ERROR_PROHIBITED}, {1, 6, ICMP_ERROR_PROHIBITED},
	{1, ANY_CODE, ICMP_ERROR_NO_HOST}, {3, ANY_CODE, ICMP_ERROR_EXPIRED},
};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static uint16_t word(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static bool find(const uint8_t *message, bool is4, enum icmp_error *out)
{
	const struct row *rows = is4 ? rows4 : rows6;
	size_t count = is4 ? COUNT(rows4) : COUNT(rows6);

	for (size_t i = 0; i < count; i++)
		if (rows[i].type == message[0] && (rows[i].code == message[1] || rows[i].code == ANY_CODE)) {
			*out = rows[i].error;
			return true;
		}
	return false;
}

/* Whether the quoted packet is a tunnel's. upper: what its IP header says; bytes: of what is quoted behind that header. */
static bool is_tunnel(uint8_t upper, const uint8_t *behind, size_t bytes)
{
	if (upper == IPPROTO_IPIP || upper == IPPROTO_IPV6 || upper == IPPROTO_GRE)
		return true;
	return upper == IPPROTO_UDP && bytes >= PORTS_BYTES && word(behind + 2) == HP_GUE_PORT;
}

static bool read4(const uint8_t *quoted, size_t bytes, struct icmp_quote *out)
{
	size_t head = bytes ? (size_t)(quoted[0] & 0xf) * 4 : 0;

	if (bytes < IPV4_BYTES || quoted[0] >> 4 != 4 || head < IPV4_BYTES || head > bytes ||
	    (word(quoted + 6) & 0x1fff) || !is_tunnel(quoted[9], quoted + head, bytes - head))
		return false;
	out->bytes = word(quoted + 2);
	out->source = ip_from4(quoted + 12);
	out->destination = ip_from4(quoted + 16);
	return true;
}

static bool read6(const uint8_t *quoted, size_t bytes, struct icmp_quote *out)
{
	if (bytes < IPV6_BYTES || quoted[0] >> 4 != 6 || !is_tunnel(quoted[6], quoted + IPV6_BYTES, bytes - IPV6_BYTES))
		return false;
	out->bytes = IPV6_BYTES + (uint32_t)word(quoted + 4);
	out->source = ip_from6(quoted + 8);
	out->destination = ip_from6(quoted + 24);
	return true;
}

bool icmp_quote_parse(const uint8_t *message, size_t bytes, bool is4, struct icmp_quote *out)
{
	struct icmp_quote read = {.mtu = 0};

	if (bytes < ICMP_BYTES || !find(message, is4, &read.error))
		return false;
	if (!(is4 ? read4 : read6)(message + ICMP_BYTES, bytes - ICMP_BYTES, &read))
		return false;
	if (read.error == ICMP_ERROR_TOO_BIG)
		read.mtu = is4 ? word(message + 6) : (uint32_t)word(message + 4) << 16 | word(message + 6);
	*out = read;
	return true;
}

const char *icmp_error_name(enum icmp_error error)
{
#define NAME(name, word_, text) word_,
	static const char *const names[] = {ICMP_ERRORS(NAME)};
#undef NAME
	return error < ICMP_ERROR_COUNT ? names[error] : "";
}

const char *icmp_error_text(enum icmp_error error)
{
#define TEXT(name, word_, text) text,
	static const char *const texts[] = {ICMP_ERRORS(TEXT)};
#undef TEXT
	return error < ICMP_ERROR_COUNT ? texts[error] : "";
}

/* Have a QUIC server put its ID into the connection IDs that it makes (draft-ietf-quic-load-balancers, in its plain form), as
 * Debian's own does not: preloaded into gtlsserver, which draws IDs of 18 bytes by gnutls_rnd. QUIC_ID is the server's ID in
 * hexadecimal digits; the configuration's codepoint is 0. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ID_BYTES 18

int gnutls_rnd(int level, void *data, size_t bytes);

int gnutls_rnd(int level, void *data, size_t bytes)
{
	static int (*real)(int level, void *data, size_t bytes);
	const char *id = getenv("QUIC_ID");
	uint8_t *at = data;
	unsigned int byte;
	int code;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "gnutls_rnd");
	if (!real)
		abort();
	code = real(level, data, bytes);
	if (bytes != ID_BYTES || !id)
		return code;
	at[0] &= 0x1f;
	for (size_t i = 0; i + 1 < bytes && sscanf(id + 2 * i, "%2x", &byte) == 1; i++)
		at[i + 1] = (uint8_t)byte;
	return code;
}

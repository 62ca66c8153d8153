/* Who listens on this host: for people who read `status`, and for the doctor. */
#ifndef HP_BACKEND_LISTENERS_H
#define HP_BACKEND_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/setup.h"
#include "base/ip.h"

/* A socket that waits for packets. */
struct listener {
	struct ip ip; /* unspecified: a wildcard */
	uint16_t port;
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	bool is_six, is_six_only; /* of IPv6; takes no IPv4 */
};

#define LISTENERS_MOST 4096 /* more are not read */

/* All of them into list, which has room for LISTENERS_MOST. Returns 0, or -errno where the kernel has no socket diagnostics. */
int listeners_read(struct listener *list, size_t *count);

/* Whether its socket takes packets for the address. */
bool listener_takes(const struct listener *listener, const struct ip *ip);

/* Whether a server listens for what the VIP's clients ask by a mapped port; of one for TCP and UDP, for either. */
bool listeners_serve(const struct listener *list, size_t count, const struct setup_map *map, const struct ip *vip);

/* What listens for TCP or UDP on the address, or on a wildcard that takes its family, each once, as a text for people;
 * "" for nothing. Returns 0, or -errno with "" where the kernel has no socket diagnostics. */
int listeners_list(const struct ip *vip, char *out, size_t room);

#endif

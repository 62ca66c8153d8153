/* Who listens on this host: for people who read `status`. */
#ifndef HP_BACKEND_LISTENERS_H
#define HP_BACKEND_LISTENERS_H

#include <stddef.h>

#include "base/ip.h"

/* What listens for TCP or UDP on the address, or on a wildcard that takes its family, each once, as a text for people;
 * "" for nothing. Returns 0, or -errno with "" where the kernel has no socket diagnostics. */
int listeners_list(const struct ip *vip, char *out, size_t room);

#endif

/* Who listens on this host: for people who read `status`. */
#ifndef HP_BACKEND_LISTENERS_H
#define HP_BACKEND_LISTENERS_H

#include <stddef.h>

#include "base/ip.h"

/* Whether something listens for TCP or UDP on the address or on the wildcard, as a text for people; "" for none. */
void listeners_list(const struct ip *vip, char *out, size_t room);

#endif

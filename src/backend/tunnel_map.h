/* The pins of the backend's programs and what their maps hold. For tunnel.c and lookup.c alone. */
#ifndef HP_BACKEND_TUNNEL_MAP_H
#define HP_BACKEND_TUNNEL_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/setup.h"
#include "backend_abi.h"
#include "base/err.h"

#define TUNNEL_PINS "/sys/fs/bpf/halfproxy-backend"

/* Programs are pinned under a name with the version, so that a newer agent does not take old ones for its own. */
#define TUNNEL_PIN_DECAP "decap-" HP_VERSION
#define TUNNEL_PIN_MSS "mss-" HP_VERSION
#define TUNNEL_PIN_RELAY "relay-" HP_VERSION
#define TUNNEL_PIN_FIND "find-" HP_VERSION
#define TUNNEL_PIN_ANSWER "answer-" HP_VERSION
#define TUNNEL_PIN_LOOKUP "lookup-" HP_VERSION
#define TUNNEL_PIN_LINK "link"
#define TUNNEL_PIN_LOOKUP_LINK "lookup-link"

/* Write the path of this network namespace's pin into path; a descriptor of it, or a negative number. */
void tunnel_pin_path(const char *name, char path[static 128]);
int tunnel_open_pin(const char *name);

/* Pin it, in place of what has the name. */
int tunnel_pin(int fd, const char *name, struct err *e);

/* Load the programs with empty maps and pin all of them in place of what was pinned. */
int tunnel_load(struct err *e);

/* Bring the pinned maps to what the setup says. -ENOENT, unsaid, when they are not there. */
int tunnel_fill_maps(const struct setup *setup, struct err *e);

/* Whether the pinned maps are all there, and hold the setup's VIPs, senders and mapped ports, and the VLANs on its
 * interface, and nothing else. */
bool tunnel_has_maps(void);
bool tunnel_is_filled(const struct setup *setup);

void tunnel_read_counters(uint64_t *counters);
void tunnel_read_refused(struct hpb_refused refused[static HPB_REFUSED_COUNT]);
void tunnel_remove_pins(void);

/* What libbpf said last; "" for nothing. */
const char *tunnel_last_words(void);
void tunnel_listen(void);

#endif

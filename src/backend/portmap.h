/* Mapped ports: what --map says, as text and as a value, and what several of them mean together. Pure. */
#ifndef HP_BACKEND_PORTMAP_H
#define HP_BACKEND_PORTMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/setup.h"
#include "base/err.h"

#define PORTMAP_TEXT_BYTES 16

/* [tcp/|udp/]PORT:SERVER, two different ports. Without a protocol it is both. */
bool portmap_parse(struct setup_map *map, const char *text);
const char *portmap_format(const struct setup_map *map, char text[static PORTMAP_TEXT_BYTES]);

/* Whether the map is for the protocol. */
bool portmap_has(const struct setup_map *map, uint8_t protocol);

/* Whether they may stand together: a port has one server, a mapped port serves no other, and a UDP server, whose answers
 * must leave from one port, has one. */
int portmap_check(const struct setup_map *maps, size_t count, struct err *e);

/* How many rows the programs have for them. */
size_t portmap_row_count(const struct setup_map *maps, size_t count);

/* The other port of what clients ask, or what a UDP server answers from, as the programs' map has it; 0: none. */
uint16_t portmap_other(const struct setup_map *maps, size_t count, uint8_t protocol, bool is_answer, uint16_t port);

#endif

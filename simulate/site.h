/* The backends, and where a hash finds one: by modulus, by the ring, by JET's table. */
#ifndef HP_SIMULATE_SITE_H
#define HP_SIMULATE_SITE_H

#include "changes.h"
#include "flow.h"

#define SITE_UNSAFE (1u << 31) /* in jet: a backend of the horizon would win this slot */

struct site_backend {
	uint8_t weight; /* of its last listing */
	uint8_t is_listed;
	uint8_t lives;
	uint8_t coming; /* the most weight that a later change lists it with */
};

struct site {
	struct site_backend *backends; /* by number; 0 is none */
	uint32_t most;
	uint32_t size;	   /* slots of ring and jet */
	uint32_t *ring;	   /* Maglev, by src/core/ring.c */
	uint32_t *jet;	   /* rendezvous hashing by slots: backend, and SITE_UNSAFE */
	uint32_t *modulo;  /* listed backends, each as often as its weight says */
	uint32_t modulo_count;
	uint64_t seed;
	uint32_t jet_prime;
};

/* Exits, with a word to standard error, when there is no memory. */
void site_init(struct site *site, const struct options *options, const struct changes *changes);
void site_destroy(struct site *site);

/* Apply a change to the backends alone. */
void site_apply(struct site *site, const struct change *change);

/* Make ring, jet and modulo anew. later: the changes that are still to come, which JET is told of. */
void site_build(struct site *site, const struct change *later, size_t count);

static inline bool site_lives(const struct site *site, uint32_t backend)
{
	return backend && site->backends[backend].lives;
}

#endif

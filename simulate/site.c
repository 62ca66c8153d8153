/* The backends, and where a hash finds one: see site.h. */
#include "site.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/ring.h"

static void *need(void *memory)
{
	if (!memory) {
		perror("halfproxy-simulate: backends");
		exit(1);
	}
	return memory;
}

void site_init(struct site *site, const struct options *options, const struct changes *changes)
{
	*site = (struct site){.most = changes->backends_most, .seed = options->seed};
	site->size = ring_size_auto(site->most);
	site->backends = need(calloc(site->most + 1, sizeof(*site->backends)));
	site->ring = need(calloc(site->size, sizeof(*site->ring)));
	site->jet = need(calloc(site->size, sizeof(*site->jet)));
	site->modulo = need(calloc((size_t)site->most * WEIGHT_MOST, sizeof(*site->modulo)));
	site->jet_prime = (site->most * WEIGHT_MOST) | 1;
	while (!ring_size_valid(site->jet_prime))
		site->jet_prime += 2;
	for (uint32_t b = 1; b <= site->most; b++)
		site->backends[b] =
			(struct site_backend){.weight = WEIGHT_FIRST, .is_listed = b <= options->backends, .lives = 1};
	site_build(site, changes->list, changes->count);
}

void site_destroy(struct site *site)
{
	free(site->backends);
	free(site->ring);
	free(site->jet);
	free(site->modulo);
	*site = (struct site){.backends = NULL};
}

void site_apply(struct site *site, const struct change *change)
{
	struct site_backend *backend = &site->backends[change->backend];

	switch ((enum change_deed)change->deed) {
	case DEED_LIST:
		backend->weight = change->weight;
		backend->is_listed = 1;
		break;
	case DEED_UNLIST:
		backend->is_listed = 0;
		break;
	case DEED_LIVE:
		backend->lives = 1;
		break;
	case DEED_DIE:
	case DEED_GIVE_UP:
		backend->lives = 0;
		break;
	}
}

static void build_ring(struct site *site)
{
	struct ring_member *members = need(calloc(site->most, sizeof(*members)));
	struct ring_spec spec = {.members = members, .size = site->size, .seed = site->seed};
	struct err e;

	for (uint32_t b = 1; b <= site->most; b++)
		if (site->backends[b].is_listed)
			members[spec.count++] = (struct ring_member){
				.address = ip_from4((uint8_t[]){10, 3, (uint8_t)(b >> 8), (uint8_t)b}),
				.method = HP_METHOD_IPIP_4_IN_4,
				.weight = site->backends[b].weight,
				.number = b,
			};
	if (ring_build(&spec, site->ring, &e)) {
		fprintf(stderr, "halfproxy-simulate: %s\n", e.text);
		exit(1);
	}
	free(members);
}

static void build_modulo(struct site *site)
{
	site->modulo_count = 0;
	for (uint32_t b = 1; b <= site->most; b++)
		for (uint32_t copy = 0; site->backends[b].is_listed && copy < site->backends[b].weight; copy++)
			site->modulo[site->modulo_count++] = b;
}

static uint32_t scale(uint64_t hash32, uint32_t range)
{
	return (uint32_t)((hash32 * range) >> 32);
}

/* Each slot ranks all servers by a permutation of its own and takes the first that is listed: rendezvous hashing, where
 * who comes or goes moves only slots of its own. A backend of weight w is w servers. The slot is unsafe when a server
 * that will come stands before the first. */
static void build_jet(struct site *site, const struct change *later, size_t count)
{
	for (uint32_t b = 1; b <= site->most; b++)
		site->backends[b].coming = 0;
	for (size_t i = 0; i < count; i++)
		if (later[i].deed == DEED_LIST && later[i].weight > site->backends[later[i].backend].coming)
			site->backends[later[i].backend].coming = later[i].weight;
	for (uint32_t slot = 0; slot < site->size; slot++) {
		uint64_t hash = hp_mix(site->seed ^ hp_mix(slot + 1));
		uint32_t at = scale(hash >> 32, site->jet_prime), skip = 1 + scale(hash & UINT32_MAX, site->jet_prime - 1);
		uint32_t unsafe = 0;

		for (;; at = at + skip >= site->jet_prime ? at + skip - site->jet_prime : at + skip) {
			uint32_t b = 1 + at / WEIGHT_MOST, copy = at % WEIGHT_MOST;

			if (b > site->most)
				continue;
			if (site->backends[b].is_listed && copy < site->backends[b].weight) {
				site->jet[slot] = b | unsafe;
				break;
			}
			if (copy < site->backends[b].coming)
				unsafe = SITE_UNSAFE;
		}
	}
}

void site_build(struct site *site, const struct change *later, size_t count)
{
	build_ring(site);
	build_modulo(site);
	build_jet(site, later, count);
}

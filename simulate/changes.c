/* What becomes of the backends: see changes.h. */
#include "changes.h"

#include <stdio.h>
#include <stdlib.h>

#include "random.h"

#define GIVEN_UP_S 1800u
#define DRAINED_S  300u
#define AWAY_S	   60u

const char *const change_names[CHANGE_KINDS] = {"grow", "shrink", "weight", "upgrade", "failure"};

/* Backends from 1 on; whoever is in the middle of one change is left alone by others. */
struct maker {
	struct changes *out;
	struct random random;
	uint32_t *busy_until_s; /* UINT32_MAX: gone for good */
	uint8_t *weight;
	uint32_t count;	 /* of backends that have been there */
	uint32_t turn;	 /* of the rolling upgrade */
};

static void push(struct maker *maker, uint32_t at_s, uint32_t backend, enum change_deed deed, uint32_t weight)
{
	struct changes *out = maker->out;

	if (out->count == out->room) {
		out->room = out->room ? out->room * 2 : 256;
		out->list = realloc(out->list, out->room * sizeof(*out->list));
		if (!out->list) {
			perror("halfproxy-simulate: changes");
			exit(1);
		}
	}
	out->list[out->count] = (struct change){
		.at_ms = at_s * 1000,
		.order = (uint32_t)out->count,
		.backend = (uint16_t)backend,
		.deed = (uint8_t)deed,
		.weight = (uint8_t)weight,
	};
	out->count++;
}

static void one_change(struct maker *maker, enum change_of kind, uint32_t b, uint32_t at_s)
{
	switch (kind) {
	case CHANGES_GROW:
		push(maker, at_s, b, DEED_LIST, WEIGHT_FIRST);
		break;
	case CHANGES_SHRINK:
		push(maker, at_s, b, DEED_UNLIST, 0);
		push(maker, at_s + GIVEN_UP_S, b, DEED_GIVE_UP, 0);
		maker->busy_until_s[b] = UINT32_MAX;
		break;
	case CHANGES_WEIGHT:
		maker->weight[b] = (uint8_t)(5 + random_below(&maker->random, WEIGHT_MOST - 4));
		push(maker, at_s, b, DEED_LIST, maker->weight[b]);
		break;
	case CHANGES_UPGRADE:
		push(maker, at_s, b, DEED_UNLIST, 0);
		push(maker, at_s + DRAINED_S, b, DEED_DIE, 0);
		push(maker, at_s + DRAINED_S + AWAY_S, b, DEED_LIVE, 0);
		push(maker, at_s + DRAINED_S + AWAY_S, b, DEED_LIST, maker->weight[b]);
		maker->busy_until_s[b] = at_s + DRAINED_S + AWAY_S;
		break;
	case CHANGES_FAILURE:
		push(maker, at_s, b, DEED_UNLIST, 0);
		push(maker, at_s, b, DEED_DIE, 0);
		push(maker, at_s + AWAY_S, b, DEED_LIVE, 0);
		push(maker, at_s + AWAY_S, b, DEED_LIST, maker->weight[b]);
		maker->busy_until_s[b] = at_s + AWAY_S;
		break;
	case CHANGE_KINDS:
		break;
	}
}

/* Whom a change is about; 0: there is nobody left. */
static uint32_t candidate(struct maker *maker, enum change_of kind, uint32_t at_s)
{
	if (kind == CHANGES_GROW)
		return ++maker->count;
	for (uint32_t tries = 0; tries < 10 * maker->count; tries++) {
		uint32_t turn = kind == CHANGES_UPGRADE ? maker->turn++ : random_below(&maker->random, maker->count);
		uint32_t b = 1 + turn % maker->count;

		if (maker->busy_until_s[b] < at_s)
			return b;
	}
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct change *a = left, *b = right;

	if (a->at_ms != b->at_ms)
		return a->at_ms < b->at_ms ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

struct changes changes_make(const struct options *options)
{
	struct changes changes = {.list = NULL};
	uint32_t each = (uint32_t)(options->share * options->backends), kind = 0;
	uint32_t most = options->backends + options->changes * (each ? each : 1);
	struct maker maker = {
		.out = &changes,
		.random = {.state = options->seed ^ 0xc4a11e},
		.count = options->backends,
		.busy_until_s = calloc(most + 1, sizeof(*maker.busy_until_s)),
		.weight = malloc(most + 1),
	};

	if (!maker.busy_until_s || !maker.weight) {
		perror("halfproxy-simulate: changes");
		exit(1);
	}
	for (uint32_t b = 0; b <= most; b++)
		maker.weight[b] = WEIGHT_FIRST;
	for (uint32_t i = 0; i < options->changes; i++) {
		uint32_t at_s = options->warm_s + i * options->every_s;

		do
			kind = (kind + 1) % CHANGE_KINDS;
		while (!options->kinds[kind]);
		for (uint32_t n = 0; n < (each ? each : 1); n++) {
			uint32_t b = candidate(&maker, (enum change_of)kind, at_s);

			if (b)
				one_change(&maker, (enum change_of)kind, b, at_s);
		}
	}
	changes.backends_most = maker.count;
	qsort(changes.list, changes.count, sizeof(*changes.list), compare);
	free(maker.busy_until_s);
	free(maker.weight);
	return changes;
}

void changes_destroy(struct changes *changes)
{
	free(changes->list);
	*changes = (struct changes){.list = NULL};
}

/* What changes again and again: see flaps.h. */
#include "daemon/flaps.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/log.h"

/* An event that was not told yet; text NULL: none. */
struct untold {
	char *text;
	int level;
};

struct flap {
	char key[FLAPS_KEY_BYTES];
	uint64_t begun_ms;    /* of the minute that is counted */
	unsigned int changes; /* in it */
	unsigned int told;    /* changes that were told last; 0: it does not flap */
	struct untold last, more;
	UT_hash_handle hh;
};

struct flaps {
	struct flap *list;
	unsigned int flapping;
};

struct flaps *flaps_create(void)
{
	return calloc(1, sizeof(struct flaps));
}

/* ---- what is kept -------------------------------------------------------------------------------------------------------- */

static void forget(struct untold *untold)
{
	free(untold->text);
	untold->text = NULL;
}

static void keep(struct untold *untold, int level, const char *format, va_list args)
{
	forget(untold);
	untold->level = level;
	if (vasprintf(&untold->text, format, args) < 0)
		untold->text = NULL;
}

static void tell(struct untold *untold)
{
	if (untold->text)
		log_event(untold->level, "%s", untold->text);
	forget(untold);
}

static void remove_flap(struct flaps *flaps, struct flap *flap)
{
	HASH_DEL(flaps->list, flap);
	flaps->flapping -= flap->told > 0;
	forget(&flap->last);
	forget(&flap->more);
	free(flap);
}

void flaps_destroy(struct flaps *flaps)
{
	struct flap *flap, *next;

	if (!flaps)
		return;
	HASH_ITER(hh, flaps->list, flap, next)
		remove_flap(flaps, flap);
	free(flaps);
}

static struct flap *find(const struct flaps *flaps, const char *key)
{
	struct flap *flap;

	HASH_FIND_STR(flaps->list, key, flap);
	return flap;
}

static struct flap *make(struct flaps *flaps, const char *key, uint64_t now_ms)
{
	struct flap *flap = calloc(1, sizeof(*flap));

	if (!flap)
		return NULL;
	snprintf(flap->key, sizeof(flap->key), "%s", key);
	flap->begun_ms = now_ms;
	HASH_ADD_STR(flaps->list, key, flap);
	return flap;
}

/* ---- minutes ------------------------------------------------------------------------------------------------------------ */

static void say(struct flap *flap, uint64_t now_ms)
{
	flap->told = flap->changes;
	log_event(LOG_WARNING, "flapping %s changes=%u within_s=%llu", flap->key, flap->changes,
		  (unsigned long long)(now_ms - flap->begun_ms + 999) / 1000);
	flap->changes = 0;
	flap->begun_ms = now_ms;
}

static void come_to_rest(struct flaps *flaps, struct flap *flap)
{
	log_event(LOG_NOTICE, "flapping_ended %s", flap->key);
	tell(&flap->last);
	tell(&flap->more);
	remove_flap(flaps, flap);
}

void flaps_tick(struct flaps *flaps, uint64_t now_ms)
{
	struct flap *flap, *next;

	HASH_ITER(hh, flaps->list, flap, next) {
		if (now_ms - flap->begun_ms < FLAPS_MS)
			continue;
		if (!flap->told)
			remove_flap(flaps, flap);
		else if (flap->changes > FLAPS_REST)
			say(flap, now_ms);
		else
			come_to_rest(flaps, flap);
	}
}

/* ---- changes ------------------------------------------------------------------------------------------------------------ */

/* Returns whether it flaps. */
static bool count(struct flaps *flaps, struct flap *flap, uint64_t now_ms)
{
	if (!flap->told && now_ms - flap->begun_ms >= FLAPS_MS) {
		flap->begun_ms = now_ms;
		flap->changes = 0;
	}
	flap->changes++;
	if (!flap->told && flap->changes > FLAPS_MOST) {
		say(flap, now_ms);
		flaps->flapping++;
	}
	return flap->told;
}

void flaps_log(struct flaps *flaps, uint64_t now_ms, const char *key, bool is_spared, int level, const char *format, ...)
{
	struct flap *flap = find(flaps, key);
	struct untold now = {NULL, level};
	va_list args;

	if (!flap)
		flap = make(flaps, key, now_ms);
	va_start(args, format);
	if (flap && count(flaps, flap, now_ms)) {
		keep(&flap->last, level, format, args);
		forget(&flap->more);
	} else if (!is_spared) {
		keep(&now, level, format, args);
		tell(&now);
	}
	va_end(args);
}

void flaps_log_more(struct flaps *flaps, const char *key, int level, const char *format, ...)
{
	struct flap *flap = find(flaps, key);
	struct untold now = {NULL, level};
	va_list args;

	va_start(args, format);
	if (flap && flap->told) {
		keep(&flap->more, level, format, args);
	} else {
		keep(&now, level, format, args);
		tell(&now);
	}
	va_end(args);
}

unsigned int flaps_of(const struct flaps *flaps, const char *key)
{
	const struct flap *flap = flaps->flapping ? find(flaps, key) : NULL;

	return flap ? flap->told : 0;
}

bool flaps_any(const struct flaps *flaps)
{
	return flaps->flapping > 0;
}

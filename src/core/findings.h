/* What a doctor found, item by item, and how it is printed. Pure.
 *
 * An item is right, doubtful or wrong; the latter two name a cause of the list (causes.h), what was seen, and the command
 * that mends it. */
#ifndef HP_CORE_FINDINGS_H
#define HP_CORE_FINDINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/causes.h"

enum finding_level {
	FINDING_OK,
	FINDING_WARNING,
	FINDING_WRONG,
};

/* How --fix mends an item; what is not safe to do unasked is printed only. */
enum finding_fix {
	FINDING_FIX_NONE,
	FINDING_FIX_SYSCTL,  /* write `value` into `path` below /proc/sys */
	FINDING_FIX_BPFFS,   /* mount it */
	FINDING_FIX_UP,	    /* what `halfproxy-backend up` does */
	FINDING_FIX_ADDRESS, /* take the address `path`/`value` off lo, then as `up` */
};

struct finding {
	enum finding_level level;
	enum cause cause; /* CAUSE_NONE when right */
	char item[40];	  /* what was looked at */
	char text[320];	  /* what is to be said of it */
	char evidence[320];
	char mend[320];	  /* what mends it, in words; "": as the cause has it */
	char command[CAUSE_COMMAND_BYTES]; /* "" when none mends it */
	enum finding_fix fix;
	char path[128], value[64];
};

/* Zeroes are an empty one. */
struct findings {
	struct finding *items;
	size_t count, room;
	struct finding spare; /* for what there is no memory for */
	bool is_cut;		  /* something went there */
};

void findings_free(struct findings *findings);

/* Add an item. It belongs to the findings,
	and stays in its place until the next one is added. Of what a shell or a terminal might
 * take for an order, control characters, none is kept. */
void findings_ok(struct findings *findings, const char *item, const char *format, ...) __attribute__((format(printf, 3, 4)));
struct finding *findings_add(struct findings *findings, enum finding_level level, enum cause cause, const char *item,
				 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* What was seen. */
void finding_evidence(struct finding *item, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What mends it, in words, where more is known than the cause's own say: another host's name, say. */
void finding_mend(struct finding *item, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The cause's command, with words as cause_command() takes them. */
void finding_command(struct finding *item, const char *const *words);

/* What --fix does about it; path and value as the kind needs them, else NULL. */
void finding_fix(struct finding *item, enum finding_fix fix, const char *path, const char *value);

/* Write a setting below /proc/sys: command and fix in one. */
void finding_sysctl(struct finding *item, const char *path, const char *value);

size_t findings_count(const struct findings *findings, enum finding_level level);

/* The exit status: 0 all is right, 1 there are warnings, 2 something is wrong. */
int findings_status(const struct findings *findings);

void findings_print(const struct findings *findings, FILE *out);

/* The findings as an object, owned by the caller; `fixed` is what --fix did, a text each, taken over, or NULL. */
json_t *findings_json(const struct findings *findings, json_t *fixed);

#endif

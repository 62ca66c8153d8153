/* What the API answers, as tables and sentences for people. --json prints the answer itself instead. */
#ifndef HP_CLI_SHOW_H
#define HP_CLI_SHOW_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "base/duration.h"

void show_status(FILE *out, const json_t *body);
void show_trace(FILE *out, const json_t *body);
void show_flows(FILE *out, const json_t *body);
void show_samples(FILE *out, const json_t *body);
void show_changes(FILE *out, const json_t *body);
void show_override(FILE *out, const json_t *body);
void show_drained(FILE *out, const json_t *body);

/* What this director has become. */
void show_announce(FILE *out, const json_t *body);

/* The answer itself, as --json prints it. */
void show_json(FILE *out, const json_t *body);

/* 1234567 as 1.2M; in steps of 1000. */
const char *show_amount(double amount, char text[static 16]);

/* What a service that is not steady lives through, behind `before`; nothing of one that is. */
void show_motion(FILE *out, const char *before, const json_t *motion);

/* For how long a service goes on moving: "for another 1h 59m", or until what. Returns text. */
#define SHOW_LEFT_BYTES 64
const char *show_left(const json_t *motion, char text[static SHOW_LEFT_BYTES]);

/* That the table of flows is full, if it is. */
void show_full(FILE *out, const json_t *tables);

#define SHOW_TIME_BYTES DURATION_ROUGH_BYTES

/* Seconds by their two largest units: 1h 59m. Returns text. */
static inline const char *show_time(uint64_t seconds, char text[static SHOW_TIME_BYTES])
{
	return duration_rough(seconds, text);
}

#endif

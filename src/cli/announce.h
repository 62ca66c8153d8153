/* Maintenance: waiting until the world has followed. */
#ifndef HP_CLI_ANNOUNCE_H
#define HP_CLI_ANNOUNCE_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/command.h"

/* What is remembered from look to look. */
struct announce_watch {
	bool is_on; /* maintenance */
	json_int_t packets; /* of all services, as last seen */
	uint64_t silent_since_ms; /* they are that since */
	bool has_looked;
};

/* Whether, by a status report at that time, the wait is over: with maintenance no packet has come for ANNOUNCE_SILENT_MS, without
 * it every VIP that is up has its route. A sentence says how far it is. */
#define ANNOUNCE_SILENT_MS 3000
bool announce_is_over(struct announce_watch *watch, const json_t *status, uint64_t now_ms, char *sentence, size_t room);

/* Ask until it is over; tell on `out` how far it is, or, with JSON, print what the daemon announces at the end. Returns the exit
 * status: 0, 1 somebody has changed it meanwhile, 2 the daemon went away, 130 interrupted. */
int announce_wait(const struct command_call *call, bool is_on, FILE *out);

#endif

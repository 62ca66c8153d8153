/* Waiting for the end of a drain: what is left of a backend's flows, told as it shrinks. */
#ifndef HP_CLI_DRAIN_WAIT_H
#define HP_CLI_DRAIN_WAIT_H

#include <jansson.h>
#include <stdio.h>

#include "cli/command.h"

enum drain_progress {
	DRAIN_GOES_ON,
	DRAIN_OVER,  /* no flow is left, or the deadline has cut them */
	DRAIN_ENDED, /* somebody has undrained it, or taken it away */
};

/* Where a drain stands, by the status report of its service, with a sentence of at most `room` bytes that says so. */
enum drain_progress drain_progress(const json_t *status, const char *backend, char *sentence, size_t room);

/* Ask until it is over; tell on `out` how far it is, on a terminal in one line, else in a line when flows go. With JSON
 * its last state alone is printed. Returns the exit status: 0 it is over, 1 it ended otherwise, 2 the daemon went away,
 * 130 interrupted, which is said and leaves the drain in place. */
int drain_wait(const struct command_call *call, FILE *out);

#endif

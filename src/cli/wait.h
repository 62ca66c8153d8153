/* Waiting for something that the daemon reports: it is asked again and again, until it is over, or somebody presses Ctrl-C. */
#ifndef HP_CLI_WAIT_H
#define HP_CLI_WAIT_H

#include "base/err.h"

/* Exit statuses. */
#define WAIT_UNASKED 2 /* the daemon did not answer */
#define WAIT_INTERRUPTED 130

/* Look twice a second.
 *
 * look  returns the exit status, or -1 while it goes on; WAIT_UNASKED with *e written when nobody answers, which is borne
 *       for half a minute, while the daemon may be restarted.
 * Returns what look did, or WAIT_INTERRUPTED. */
int wait_for(int (*look)(void *context, struct err *e), void *context, struct err *e);

#endif

/* One halfproxyd a machine: two would fight over neighbours and interfaces, whatever pins and sockets they have.
 *
 * A machine is a network namespace here: containers may each have their own. */
#ifndef HP_DAEMON_INSTANCE_H
#define HP_DAEMON_INSTANCE_H

#include <stdbool.h>

#include "base/err.h"

/* Claim the machine.
 *
 * Returns a descriptor, owned by the caller, that holds the claim until it is closed or the process ends; or -EBUSY
 * with *e naming the other one's process, or another -errno. */
int instance_claim(struct err *e);

/* Whether others can see by the claim that the machine is taken: not where somebody unworthy holds the name. */
bool instance_is_listening(int claim);

/* Let go those who came to see. To be called when the claim is readable, or after some 4,000 its queue is full, and then it
 * looks like a name that nobody holds. */
void instance_dismiss(int claim);

#endif

/* One halfproxyd a machine: two would fight over neighbours and interfaces, whatever pins and sockets they have.
 *
 * A machine is a network namespace here: containers may each have their own. */
#ifndef HP_DAEMON_INSTANCE_H
#define HP_DAEMON_INSTANCE_H

#include "base/err.h"

/* Claim the machine.
 *
 * Returns a descriptor, owned by the caller, that holds the claim until it is closed or the process ends; or -EBUSY
 * with *e naming the other one's process, or another -errno. */
int instance_claim(struct err *e);

#endif

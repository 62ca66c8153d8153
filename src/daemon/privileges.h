/* The privileges that the data plane needs, asked for before anything is touched. */
#ifndef HP_DAEMON_PRIVILEGES_H
#define HP_DAEMON_PRIVILEGES_H

#include "base/err.h"

/* Whether this process has them: CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN counts as both) for maps and programs,
 * CAP_NET_ADMIN for XDP, neighbours and routes.
 *
 * Returns 0, or -EPERM with *e naming those that are missing. The kernel may still refuse what they allow (lockdown, a
 * user namespace): that is said where it happens. */
int privileges_check(struct err *e);

#endif

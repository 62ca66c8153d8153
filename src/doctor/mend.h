/* What --fix does on either kind of host. The only file of the doctors that changes anything. */
#ifndef HP_DOCTOR_MEND_H
#define HP_DOCTOR_MEND_H

#include "base/err.h"
#include "core/findings.h"

/* Mend an item whose fix is of a kind that both hosts have: a setting, the BPF file system. Returns 1 done, with what was
 * done in done; 0 when it is of another kind; or -errno. */
int mend_item(const struct finding *item, char *done, size_t room, struct err *e);

#endif

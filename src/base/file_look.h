/* Whether this process can use a file as it is to be used, and if not, why in words.
 *
 * Looks only: nothing is opened but the first line of a script. What it finds may be another thing a moment later. */
#ifndef HP_BASE_FILE_LOOK_H
#define HP_BASE_FILE_LOOK_H

#include <stdbool.h>

#include "base/err.h"

/* Look whether a regular file is there that can be read or, with is_run, run as a program.
 *
 * Returns 0, or -errno with *e written: -EACCES where it is this process that may not, whatever others may. */
int file_look(const char *path, bool is_run, struct err *e);

#endif

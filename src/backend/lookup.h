/* The link by which the kernel asks our program whenever it searches a socket in this network namespace. Pinned, so that it
 * works without any process. */
#ifndef HP_BACKEND_LOOKUP_H
#define HP_BACKEND_LOOKUP_H

#include <stdint.h>

#include "base/err.h"

/* The program of our link, if it is on this namespace still; 0 otherwise. */
uint32_t lookup_program(void);

/* Put the pinned program there, or in the place of an older one's. Programs of others stay, before and behind it. */
int lookup_attach(struct err *e);
void lookup_detach(void);

#endif

/* Ownership written where it begins: a variable declared auto_X is released when its scope ends.
 *
 * Talks to nobody. Where ownership leaves the scope, say so with take_ptr or take_fd. */
#ifndef HP_BASE_CLEANUP_H
#define HP_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define auto_free __attribute__((cleanup(cleanup_free)))
#define auto_close __attribute__((cleanup(cleanup_close)))
#define auto_fclose __attribute__((cleanup(cleanup_fclose)))

/* Hand out the pointer and forget it, so that the scope's end does not free it. */
#define take_ptr(p)                       \
	({                                \
		__auto_type taken = (p);  \
		(p) = NULL;               \
		taken;                    \
	})

/* The same for a file descriptor. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif

/* What the files of the data plane share among themselves. */
#ifndef HP_DAEMON_DATAPLANE_INTERNAL_H
#define HP_DAEMON_DATAPLANE_INTERNAL_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "daemon/dataplane.h"

#define DATAPLANE_PATH_BYTES 320

/* PINS/FOLDER/NAME, with the dots that bpffs refuses written as colons, which no interface's name holds. */
void dataplane_path(const struct dataplane *plane, const char *folder, const char *name,
		    char path[static DATAPLANE_PATH_BYTES]);

/* Load this version's program over the maps of `plane`, into live or twin. */
int dataplane_load_twin(struct dataplane *plane, struct err *e);

/* The folder must lie in a bpffs; said before anything is made. Returns 0 or -errno with *e written. */
int dataplane_pins_check(const char *pins, struct err *e);

/* Make a folder that may be there. */
int dataplane_pins_make(const char *path, struct err *e);

/* Hold the folder until the descriptor that is returned is closed; -EBUSY when another process does. */
int dataplane_pins_lock(const char *pins, struct err *e);

/* Remove PINS/FOLDER with all its pins. */
void dataplane_pins_remove(const char *pins, const char *folder);

#endif

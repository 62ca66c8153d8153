/* Variables of a BPF object, found by the type information that it carries, so that one that another build made can be
 * used like this build's own. */
#ifndef HP_BENCH_OBJECT_H
#define HP_BENCH_OBJECT_H

#include <stddef.h>

struct bpf_object;

/* Set a constant before the load. Returns 0, or -EPROTO when the object has none of that name and size. */
int bench_object_set(struct bpf_object *object, const char *name, const void *value, size_t bytes);

/* Where a variable of a loaded object stands, in memory that is shared with its programs until this process ends; NULL
 * when the object has none of that name and size. */
void *bench_object_variable(struct bpf_object *object, const char *name, size_t bytes);

#endif

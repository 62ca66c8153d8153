/* The data plane that packets are measured on: opened under pins of its own, filled by the daemon's fleet from a
 * configuration, its backends declared reachable; and the same contents for the bare forwarder. */
#ifndef HP_BENCH_PLANE_H
#define HP_BENCH_PLANE_H

#include "base/err.h"
#include "bench_frame.h"
#include "daemon/dataplane.h"
#include "daemon/fleet.h"

struct bpf_object;
struct bare_bpf;

struct bench_plane {
	struct dataplane plane;
	struct fleet *fleet;
	struct config *config;
};

/* A plane with a service for each VIP and protocol among the classes.
 *
 * Returns it, owned by the caller, or NULL with *e written and nothing left behind. */
struct bench_plane *bench_plane_open(const struct bench_class *classes, size_t count, struct err *e);
/* Takes pins and all away. NULL is fine. */
void bench_plane_close(struct bench_plane *plane);

/* Make the plane serve another configuration: services of VIPs in `moved`, ended by NULL, have other backends than at the
 * beginning. All backends are reachable. Returns 0 or -errno with *e written. */
int bench_plane_apply(struct bench_plane *plane, const struct bench_class *classes, size_t count, const char *const *moved,
		      struct err *e);

/* The service of a class, or the one that stands for a class without. */
struct fleet_service *bench_plane_service(const struct bench_plane *plane, const struct bench_class *class);

/* Let a measured instance of the program, not loaded yet, use the plane's maps and constants. Returns 0 or -errno. */
int bench_plane_share(const struct bench_plane *plane, struct bpf_object *ours);

/* Give the bare forwarder, before and after its load, the service, ring and backends of a class. Returns 0 or
 * -errno. */
int bench_plane_size_bare(const struct bench_plane *plane, const struct bench_class *class, struct bare_bpf *bare);
int bench_plane_fill_bare(const struct bench_plane *plane, const struct bench_class *class, struct bare_bpf *bare);

#endif

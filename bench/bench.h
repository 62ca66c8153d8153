/* What is measured: packets through the loaded program, rings, configurations, probes. Each part measures and reports; how
 * reports are shown is bench.c's. */
#ifndef HP_BENCH_H
#define HP_BENCH_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/* Median of `count` figures, which are sorted in place. */
double bench_median(double *figures, size_t count);

/* CPU seconds of this thread, and seconds on the monotonic clock. */
double bench_cpu_s(void);
double bench_wall_s(void);

/* Each returns a new JSON value, or NULL with *e written. Nanoseconds are medians, the wrapper's share in them; net is less
 * empty_ns. former_ns is of another build (bench_former); null or not there: it was not asked for, or does not know how.
 *
 * packets        array of {forward, protocol, family, flows, ns, empty_ns, floor_ns, bare_ns, ratio}; forward is "l2",
 *                "ipip" or "gue" (to backends of the VIP's family), or "none" for what is not a VIP's flow; protocol "mss" is a
 *                SYN whose service clamps its MSS.
 * motion         array of {service, forward, family, flows, ns, empty_ns, steady_ns, bare_ns, lru_ns, former_ns}: services
 *                that live through a change; steady_ns is of a steady service, lru_ns of the bare forwarder with a table of
 *                all flows.
 * guard          array of {service, family, one_ns, flows, ns, former_ns}: services that ask who their clients are, and packets
 *                that are dropped; less the empty program, with one flow and with so many.
 * maglev         object {backends, slots, ms, rings: [...]}
 * configuration  object {services, backends, load_s, memory_mb, ...}; the daemon is run as a process of its own, in a
 *                network namespace of its own.
 * probes         array of {kind, checks, interval_ms, up, probes_s, cpu_share, cpu_us, late_median_ms, late_99_ms,
 *                late_worst_ms}: cpu_share of one CPU, cpu_us a probe; how long after it was due a probe began. */
json_t *bench_packets(struct err *e);
json_t *bench_motion(struct err *e);
json_t *bench_guard(struct err *e);
json_t *bench_maglev(struct err *e);
json_t *bench_configuration(struct err *e);
json_t *bench_probes(struct err *e);

#endif

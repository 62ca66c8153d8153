/* A probe: one question to one backend, and what came of it. Each kind is a file and a row of probe_kinds.
 *
 * A kind asks and judges the answer; when to ask and what follows from it is the business of probes.h and core/health.h.
 * All runs in the event loop: nothing here may wait. */
#ifndef HP_DAEMON_PROBE_H
#define HP_DAEMON_PROBE_H

#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/ip.h"
#include "core/config.h"
#include "core/health.h"

/* Where a probe goes. */
struct probe_target {
	struct ip address; /* the VIP, or with `via: backend` the backend's own */
	struct ip backend; /* for scripts and messages */
	uint16_t port;	   /* host order; 0 where the kind has none */
	uint32_t mark;	   /* SO_MARK of its sockets, which leads it to the backend; 0: none */
	uint16_t from_port; /* that its socket is bound to, host order; 0: any */
};

struct probe;

/* Called once, from the loop, never from within probe_start; the probe is freed after it. */
typedef void probe_done(void *context, const struct health_result *result);

/* What all probes of a loop share, made by the kinds that need it (a libcurl multi handle, sockets). */
struct probe_shared;

struct probe_kind {
	const char *name; /* as in the configuration */
	/* Ask. Everything is borrowed until the probe is done or ended. Returns the probe, or NULL with *e written where this
	 * host cannot even ask, which counts as HEALTH_LOCAL. It ends by itself at health->timeout_ms with HEALTH_SILENT or
	 * HEALTH_SLOW; its sockets end by RST (SO_LINGER 0), bear the mark, and share nothing with other probes. */
	struct probe *(*start)(struct probe_shared *shared, const struct config_health *health,
			       const struct probe_target *target, probe_done *done, void *context, struct err *e);
	/* Give up: `done` will not be called. */
	void (*end)(struct probe *probe);
};

/* One row for each enum config_probe. */
extern const struct probe_kind *const probe_kinds[CONFIG_PROBE_COUNT];

/* Owned by the caller. Run the loop once more after probe_shared_destroy. NULL: no memory. */
struct probe_shared *probe_shared_create(uv_loop_t *loop);
void probe_shared_destroy(struct probe_shared *shared);

#endif

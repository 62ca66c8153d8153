/* An inquest: why a check fails. The probe itself says that it does; this asks what tells one cause from another, all at once:
 * the backend's own address by its port and by ping, the VIP by ping down the path of clients' packets, the probe once more
 * with a tap on what reaches this host, whether the backend's kernel refuses GUE, and, where pings arrive, one of full size.
 *
 * Collects; core/verdict.h judges. So many at a time, the others wait for their turn; each ends within seconds. */
#ifndef HP_DAEMON_INQUEST_H
#define HP_DAEMON_INQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/ip.h"
#include "core/config.h"
#include "core/verdict.h"
#include "daemon/probe.h"

struct inquests;
struct inquest;

struct inquest_case {
	struct ip vip, backend;
	uint16_t port;	    /* that the check asks, host order; 0: none */
	const char *method; /* of the service; lives as long as the program */
	const struct config_health *health; /* of the check; a reference is taken */
	uint32_t mark;	    /* that leads sockets to this backend */
	uint32_t mtu;	    /* longest packet for the VIP that the way takes; 0: not known, and not asked */
	bool asks_gue;	    /* ask as well whether anybody opens GUE at the backend, from this host's own address */
	struct health_result result; /* of the check's last probe, good or bad */
};

/* Called once, from the loop. What the director knows without asking (ICMP about outer packets, packets that came back, next
 * hops) is left as zeros for the caller to fill in. */
typedef void inquest_done(void *context, const struct verdict_evidence *evidence);

/* What is known before anything is asked: the case, and its probe's answer. */
struct verdict_evidence inquest_evidence(const struct inquest_case *subject);

/* Owned by the caller. shared, and context of is_own, borrowed. NULL: no memory. */
struct inquests *inquests_create(uv_loop_t *loop, struct probe_shared *shared,
				 bool (*is_own)(void *context, const struct ip *address), void *context);

/* All of it ends, telling nobody. To be called before probe_shared_destroy; run the loop once more. */
void inquests_destroy(struct inquests *inquests);

/* Begin, or wait for a turn. Returns NULL without memory. */
struct inquest *inquest_begin(struct inquests *inquests, const struct inquest_case *subject, inquest_done *done, void *context);

/* Give up: `done` will not be called. */
void inquest_end(struct inquest *inquest);

#endif

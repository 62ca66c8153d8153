/* What the files of the fleet share among themselves. */
#ifndef HP_DAEMON_FLEET_INTERNAL_H
#define HP_DAEMON_FLEET_INTERNAL_H

#include "daemon/fleet.h"

uint32_t fleet_ring_blocks(uint32_t size);

/* Fill the mirror from the maps. Returns 0, or -errno with *e written. */
int fleet_adopt(struct fleet *fleet, struct err *e);

/* Note a backend of this number. NULL when memory is out. */
struct fleet_backend *fleet_backend_insert(struct fleet *fleet, const struct fleet_identity *identity, uint32_t number);

/* Put a service with its key, number and VIP among those that there are, or take it from them. */
void fleet_insert(struct fleet *fleet, struct fleet_service *service);
void fleet_remove(struct fleet *fleet, struct fleet_service *service);

/* The service that packets of a VIP and protocol to this port find now, or NULL; port 0: of no particular one. */
struct fleet_service *fleet_server_of(const struct fleet *fleet, const struct ip *vip, uint8_t protocol, uint16_t port);

/* How a service's backends are, and who of them takes new flows: one for each, owned by the caller. checks may be NULL.
 * Returns NULL with *e written when memory is out. */
struct quorum_member *fleet_judge(const struct fleet *fleet, const struct config_service *config,
				  struct fleet_backend *const *backends, void *const *checks, struct quorum *quorum,
				  struct err *e);

/* The ring of those of a service's backends that take flows: one that is there, or one built in blocks that no packet sees
 * yet. A reference is taken. ramps may be NULL. *ring is NULL when nobody does. Returns 0, -ENOSPC or -ENOMEM. */
int fleet_ring_take(struct fleet *fleet, const struct config_service *config, struct fleet_backend *const *backends,
		    const struct quorum_member *members, const struct fleet_ramp *ramps, struct fleet_ring **ring,
		    struct err *e);

/* The fingerprint of that ring, or with members NULL of the one of all backends but the fallbacks; zeros without memory. */
struct ring_fingerprint fleet_fingerprint(const struct config_service *config, struct fleet_backend *const *backends,
					  const struct quorum_member *members, const struct fleet_ramp *ramps);
void fleet_ring_drop(struct fleet *fleet, struct fleet_ring *ring);

/* The backend of that identity, made if need be, with one reference more for `service` (NULL: one still being
 * prepared). Returns NULL with *e written when numbers or memory are out. */
struct fleet_backend *fleet_backend_take(struct fleet *fleet, const struct fleet_identity *identity, struct err *e);
void fleet_backend_drop(struct fleet *fleet, struct fleet_backend *backend);

/* The backends of a service at one of its VIPs, a reference each; what was taken is counted also on failure, and is the
 * caller's. Returns 0, -ENOSPC or -ENOMEM. */
int fleet_backends_take(struct fleet *fleet, const struct config_service *config, const struct ip *vip,
			struct fleet_backend ***backends, size_t *count, struct err *e);

/* Their checks, a reference each; *checks is NULL when the service is not probed. Those whose state is not known begin as
 * they are in `former`, the service that has had the flows so far, or NULL: who is in its ring is up until it is proven
 * otherwise. Returns 0 or -ENOMEM, nothing taken. */
int fleet_checks_take(struct fleet *fleet, const struct config_service *config, const struct ip *vip,
		      struct fleet_backend *const *backends, const struct fleet_service *former, void ***checks,
		      struct err *e);
void fleet_checks_drop(struct fleet *fleet, void **checks, size_t count);

/* Whether a service's ring stays what it is: nobody is known to be up yet, somebody may be, and nothing speaks against those
 * whom it names: a fallback in panic, all where `when_all_down` says so, or backends that are to be replaced. */
bool fleet_keeps_ring(struct fleet *fleet, const struct fleet_service *service, const struct config_service *config,
		      struct fleet_backend *const *backends, const struct quorum_member *members,
		      const struct quorum *quorum);

/* Note or forget that they speak for this service. Without memory a change of theirs is seen when the service is next built. */
void fleet_checks_join(struct fleet *fleet, void *const *checks, size_t count, struct fleet_service *service);
void fleet_checks_part(struct fleet *fleet, void *const *checks, size_t count, struct fleet_service *service);

/* A service has been judged. */
void fleet_judged(struct fleet *fleet, struct fleet_service *service);
/* It ends. */
void fleet_forget_judged(struct fleet *fleet, struct fleet_service *service);

/* Flows of backends that fail their checks go elsewhere, where on_down says so. Returns 0, or -ENOSPC or -ENOMEM with *e
 * written: to be tried again. */
int fleet_reset_failing(struct fleet *fleet, struct fleet_service *service, struct err *e);

/* Note or forget that a service lists the backend. Returns false when memory is out. */
bool fleet_backend_join(struct fleet_backend *backend, struct fleet_service *service);
void fleet_backend_part(struct fleet_backend *backend, struct fleet_service *service);

/* Put another ring (a reference) where packets see it, and the service's VIP up or down; what was `now` becomes `before`
 * as the service's motion has it. */
void fleet_publish(struct fleet *fleet, struct fleet_service *service, struct fleet_ring *ring);

/* The service's record, as the mirror says. */
void fleet_record_write(struct fleet *fleet, const struct fleet_service *service);

/* Let packets see what this configuration says of the service beyond its ring; guard: its set, a reference, or NULL. The
 * service's record is written when it has others flags than before. */
void fleet_terms_set(struct fleet *fleet, struct fleet_service *service, const struct config_service *config,
		     struct fleet_guard *guard);
/* The record of terms of a number that a new service has: nothing. */
void fleet_terms_clear(struct fleet *fleet, const struct fleet_service *service);
/* As the maps have it. */
void fleet_terms_adopt(struct fleet *fleet, struct fleet_service *service);

/* The set of a service's prefixes: one that is there, or one written where no packet looks yet. A reference is taken; *out
 * is NULL for a guard that is. Returns 0, -ENOSPC or -ENOMEM. */
int fleet_guard_take(struct fleet *fleet, const struct guard *guard, struct fleet_guard **out, struct err *e);
void fleet_guard_drop(struct fleet *fleet, struct fleet_guard *guard);
/* A grace period has passed: take retired sets away. */
void fleet_guards_reclaim(struct fleet *fleet);
/* Read the sets that there are; nobody refers to them yet. Returns 0 or -errno with *e written. */
int fleet_guards_adopt(struct fleet *fleet, struct err *e);
/* Of those, retire whom no service refers to. */
void fleet_guards_settle(struct fleet *fleet);
void fleet_guards_forget(struct fleet *fleet);

/* What the terms of a service with hash: quic-cid call it, and what they and its servers' IDs are found by. */
uint32_t fleet_quic_service(const struct config_service *config);
/* Have the data plane know the IDs of all who serve or depart, and no others. */
void fleet_quic_settle(struct fleet *fleet);
/* A number is about to be free. */
void fleet_quic_backend_gone(struct fleet *fleet, uint32_t number);
/* Read what there is. Returns 0 or -ENOMEM with *e written. */
int fleet_quic_adopt(struct fleet *fleet, struct err *e);
void fleet_quic_forget(struct fleet *fleet);

/* Show a new service with its first ring (a reference, or NULL). former: who served its packets until now, a service of
 * any port from which `before` comes; or NULL. */
void fleet_begin(struct fleet *fleet, struct fleet_service *service, const struct fleet_service *former,
		 uint32_t window_s, struct fleet_ring *ring);

/* Show a service's first ring (a reference, or NULL), and with it, in the same store, `before` (the same), the ring of who
 * served before: it starts moving, unless both are one or there is no window. */
void fleet_begin_after(struct fleet *fleet, struct fleet_service *service, struct fleet_ring *before,
		       struct fleet_ring *ring);

/* Take both rings from packets' sight: the service ends. */
void fleet_withdraw(struct fleet *fleet, struct fleet_service *service);

/* The service has another configuration, and its ring has not changed: without a window it lives through nothing more. */
void fleet_follow_window(struct fleet *fleet, struct fleet_service *service);

/* Before a service gets another ring: forget what is remembered of it from a motion that did not end by itself, or the
 * next one would believe it. Passes over the tables at once if need be, and nothing may be half done then. */
void fleet_forget_stale(struct fleet *fleet, const struct fleet_service *service);

/* A service's record and mark of motion have been read from the maps. */
void fleet_motion_adopt(struct fleet *fleet, struct fleet_service *service);

/* The service is about to have this configuration: who is in its rings and gets no new flows any more departs, and who
 * does again stays. */
void fleet_departures_update(struct fleet *fleet, struct fleet_service *service, const struct config_service *config,
			     struct fleet_backend *const *backends, const struct quorum_member *members);
void fleet_departures_end(struct fleet *fleet, struct fleet_service *service);
/* The departure of a backend that a remembered flow of the service is with; NULL: it does not depart. One that the
 * service does not list departs though no ring of it names it, as a daemon that starts anew may find. */
struct fleet_departure *fleet_departure_of(struct fleet *fleet, struct fleet_service *service,
					   struct fleet_backend *backend);
/* End the departures of those with whom no flow is remembered, which the caller knows of all, and none can come to be. */
void fleet_departures_settle(struct fleet *fleet, struct fleet_service *service);
/* A whole pass has counted: end the departures of whom no flow can be left. */
void fleet_departures_pass(struct fleet *fleet, struct fleet_service *service);
int fleet_departure_cut(struct fleet *fleet, struct fleet_service *service, struct fleet_departure *departure,
			struct err *e);

/* Slow starts as the next ring of a service is to have them, owned by the caller; NULL when nobody is on its way. service
 * may be NULL: one that comes. Without memory there is no slow start. */
struct fleet_ramp *fleet_ramps_plan(struct fleet *fleet, const struct fleet_service *service,
				    const struct config_service *config, struct fleet_backend *const *backends,
				    const struct quorum_member *members);

/* That ring has been built: these, which become the service's, are what it is of. */
void fleet_ramps_set(struct fleet *fleet, struct fleet_service *service, struct fleet_ramp *ramps);

/* Scale the weights of members, one for each of config->backends. Returns false without memory. */
bool fleet_ramps_scale(const struct config_service *config, const struct fleet_ramp *ramps, struct ring_member *members);

/* Mark services of whom a backend has reached its next step. Returns whether there were some. */
bool fleet_ramps_tick(struct fleet *fleet);

/* service->former: taken while a service with this configuration is prepared, if there is one; its backends known to the
 * resolver; its ring shown as `before` with the service's own; given back. fleet_former_show fails as fleet_ring_take. */
int fleet_former_take(struct fleet *fleet, struct fleet_service *service, const struct config_service *config, struct err *e);
void fleet_former_join(struct fleet *fleet, struct fleet_service *service);
int fleet_former_show(struct fleet *fleet, struct fleet_service *service, struct err *e);
void fleet_former_end(struct fleet *fleet, struct fleet_service *service);
void fleet_former_free(struct fleet_former *former);
void fleet_forget_formers(struct fleet *fleet);

/* No flow is left of a service that settled. */
void fleet_rest(struct fleet *fleet, struct fleet_service *service);

/* Let packets see another ring `before` (a reference, or NULL). */
void fleet_before_replace(struct fleet *fleet, struct fleet_service *service, struct fleet_ring *ring);

void fleet_mark(struct fleet *fleet, struct fleet_service *service);

/* Nobody refers to the backend and no flow is remembered with it: its number is free after a grace period. */
void fleet_backend_free(struct fleet *fleet, struct fleet_backend *backend);

/* A copy of a ring in which this backend's slots name none. Takes a reference. */
int fleet_ring_without(struct fleet *fleet, const struct fleet_ring *ring, const struct fleet_backend *backend,
		       struct fleet_ring **out, struct err *e);

/* Let the ring know its members, as its slots name them. */
bool fleet_ring_members(struct fleet *fleet, struct fleet_ring *ring);

/* Whether it is about to be known of one of these backends whether there is a way to it, or what its first probe says. */
bool fleet_is_waiting(const struct fleet *fleet, const struct config_service *config,
		      struct fleet_backend *const *backends, void *const *checks);
/* The same of a way. */
bool fleet_way_is_pending(const struct fleet *fleet, const struct fleet_backend *backend);

/* What packets and probes see of a backend is made what the mirror says. */
void fleet_backend_write(struct fleet *fleet, struct fleet_backend *backend);

uint64_t fleet_now_s(void);
uint64_t fleet_now_ms(void);

void fleet_vip_write(struct fleet *fleet, struct fleet_vip *vip);
/* The service's VIP is up while it has a ring, or lives through a change and flows may be with one who departs and can be
 * reached: clients ask for the VIP's MAC address again and again. To be called when any of that has changed. */
void fleet_vip_follow(struct fleet *fleet, struct fleet_service *service);
struct fleet_vip *fleet_vip_take(struct fleet *fleet, const struct ip *address);
void fleet_vip_drop(struct fleet *fleet, struct fleet_vip *vip);
/* The same as taking it; one that the map says is up was known before. */
struct fleet_vip *fleet_vip_adopt(struct fleet *fleet, const struct ip *address);
/* See which VIPs are served. Once all services have been judged. */
void fleet_vips_serve(struct fleet *fleet);
/* Whether a backend that the service lists fails its checks. */
bool fleet_is_failing(const struct fleet_service *service, const struct fleet_backend *backend);
/* See which VIPs have become known. */
void fleet_vips_know(struct fleet *fleet);
/* Make the map of VIPs what the mirror says, after an adoption: a daemon that was killed between two writes may have
 * left a VIP that no service has, or the wrong flag at one. */
void fleet_vips_settle(struct fleet *fleet);

/* Number or blocks from an allocator, after a grace period if that helps. 0: none. */
uint32_t fleet_take(struct fleet *fleet, struct extents *from, uint32_t count);

#endif

/* The fleet: services, rings and backends as the data plane holds them now, and the only one that changes them.
 *
 * A mirror of the maps, read from them at the start, so that a daemon plans against what packets see and not
 * against its file. A change is prepared whole (numbers taken, rings built aside) before anything of it is
 * published. Knows no file, no netlink and no API; backends are resolved by whoever is behind the hooks. */
#ifndef HP_DAEMON_FLEET_H
#define HP_DAEMON_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "core/adjacency.h"
#include "core/config.h"
#include "core/extents.h"
#include "core/health.h"
#include "core/motion.h"
#include "core/quorum.h"
#include "core/ring.h"
#include "daemon/dataplane.h"

struct fleet_service;

struct fleet_identity {
	struct ip address;
	uint32_t method; /* enum hp_method */
};

struct fleet_backend {
	struct fleet_identity identity; /* key */
	uint32_t number;
	uint32_t adjacency; /* index of the one that packets see; 0: unresolved, or dead */
	uint32_t way;	    /* the same, for probes; 0: unresolved */
	bool is_dead;	    /* by its checks: packets are not sent to it, though there is a way */
	uint64_t flipped;   /* the fleet's epoch when it was last replaced */
	unsigned int references; /* services that list it, each as often as it does, rings that name it, departures */
	uint64_t left_in;	 /* nobody refers to it: the pass after which its number may be free; 0: somebody does */
	uint64_t flows, counting; /* that are remembered with it: as the last whole pass found, and as this one has so far */
	uint64_t stamp;		 /* scratch of whoever took the fleet's next stamp */
	struct fleet_service **services; /* those that are published, for marking them; unsorted */
	size_t service_count, service_room;
	void *target; /* the hooks' */
	bool is_new;  /* the hooks have not been told */
	bool is_adopted; /* one reference is that of the adoption, until a configuration has been applied */
	UT_hash_handle hh;
};

struct fleet_ring {
	struct ring_fingerprint fingerprint; /* key */
	uint32_t at; /* block of its head */
	uint32_t size;
	unsigned int references;
	struct fleet_backend **members; /* a reference each, so that their numbers stay theirs */
	size_t member_count;
	UT_hash_handle hh;
};

/* A backend that a service's flows may still be with, though the configuration gives it no new ones. */
struct fleet_departure {
	struct fleet_backend *backend; /* a reference */
	void *check;		       /* a reference; of one that the service no longer lists, if it was probed; else NULL */
	uint64_t deadline_s;	       /* boot clock: when what is left is cut off; 0: never */
	bool is_cut;
	uint64_t cut_in; /* the pass that may find that nothing is left after the cut */
	uint64_t begun_ns;	  /* boot clock */
	bool is_counted;	  /* a pass that began a second later or more has counted */
	uint64_t flows, counting; /* of this service, with it: as of the last whole pass, and of this one so far */
	struct fleet_departure *next;
};

/* A backend's slow start in a service. */
struct fleet_ramp {
	uint32_t came_s; /* boot clock; 0: it has its whole weight */
	uint32_t step;	 /* of RAMP_STEPS, that the service's next ring is built with, or its last was */
};

/* Who served a service's packets before this data plane was made, until its first ring is shown. */
struct fleet_former {
	struct config_service *config; /* held */
	struct fleet_backend **backends; /* one for each of config->backends, a reference each */
	size_t backend_count;
};

/* A set of prefixes in the data plane. */
struct fleet_guard {
	struct guard_fingerprint fingerprint; /* key */
	uint32_t number;
	unsigned int references;
	struct guard_row *rows; /* owned; as they stand there */
	size_t count, room;
	struct fleet_guard *next; /* of those that are retired */
	UT_hash_handle hh;
};

/* What was last told of a service's limit, by the director to the log. */
struct fleet_limited {
	bool is_known;
	uint64_t told;	  /* packets */
	uint64_t next_ms; /* when something may be told again */
};

struct fleet_vip {
	struct ip address; /* key */
	unsigned int references;
	unsigned int up; /* services that are */
	bool is_known;	 /* how its backends are, or it has waited for that as long as it may */
	uint64_t came_ms; /* boot clock */
	bool is_served;	  /* a service of it takes new flows, or has some left that it did not take from a failing backend */
	uint64_t served_in; /* scratch: the fleet's stamp when a service of it was */
	bool is_told;	  /* the announcer's: the segments know that it is here */
	uint64_t waits;	  /* scratch: the fleet's stamp when a service of it was not known */
	unsigned int blocks[HP_BLOCK_BITS_MOST + 1]; /* services with a block of so many bits */
	uint32_t written; /* flags in the map; UINT32_MAX: not there, or not known */
	UT_hash_handle hh;
};

struct fleet_service {
	struct dataplane_key key; /* key */
	uint32_t number;
	struct config_service *config; /* held; NULL: adopted and not claimed by a configuration yet */
	struct fleet_backend **backends; /* one for each of config->backends */
	void **checks;			 /* the hooks', a reference each; NULL: not probed, none, or not this backend. Behind
					  * its own, as many again for each that others of its group have */
	struct quorum_member *members;	 /* the same, as its last ring was built for them */
	struct quorum quorum;		 /* and what came of them */
	enum quorum_verdict told;	 /* of that, by the director to the log */
	bool has_waited;		 /* the verdict was none the last time that the director looked */
	bool is_untold;			 /* it stands in the fleet's list of those that have been judged since */
	struct fleet_service *next_untold;
	struct fleet_ring *ring;	 /* `now`; held; NULL: no usable backend */
	struct fleet_ring *before;	 /* held; NULL: none */
	struct motion motion;
	uint32_t flags;		   /* HP_SERVICE_*, as packets see them */
	struct fleet_guard *guard; /* held; NULL: none */
	struct fleet_limited limited;
	struct fleet_departure *departures;
	struct fleet_ramp *ramps; /* owned, one for each of config->backends; NULL: nobody is on its way */
	uint64_t flows, counting; /* remembered: as the last whole pass found, and as this one has so far */
	uint64_t settles_in;	  /* the pass that may find that no flow is left */
	uint64_t stale_in;	  /* the pass that forgets what is remembered and counts no more; 0: there is no such flow */
	struct fleet_former *former; /* owned; NULL: none, or its ring is `before` already */
	uint64_t held_until_ms;	  /* its next ring waits so long for backends whose ways are not known yet */
	struct fleet_vip *vip;
	bool is_up; /* counted by its VIP */
	bool is_dirty;
	uint64_t seen; /* the last comparison that marked it as wanted */
	UT_hash_handle hh;
};

/* The services that a check speaks for, each as often as it does. */
struct fleet_check {
	const void *check; /* key; the hooks' */
	struct fleet_service **services;
	size_t count, room;
	UT_hash_handle hh;
};

struct fleet_applied {
	const struct config_service *service; /* held by those of `services` that serve it */
	size_t unit_count;
};

struct fleet_hooks {
	void *context;
	/* Resolve this backend from now on: *target is the hooks' own. */
	void (*watch)(void *context, struct fleet_backend *backend);
	void (*unwatch)(void *context, struct fleet_backend *backend);
	/* Whether it is not known yet if there is a way to it. */
	bool (*is_pending)(void *context, const struct fleet_backend *backend);
	/* Whether it is known how a service's backends are, whose VIP came so long ago: until then, and for the configured
	 * warmup at most, a new VIP is not up to the world. NULL: always. */
	bool (*is_known)(void *context, const struct fleet_service *service, uint64_t waited_ms);
	/* The check of a backend that asks so, one that is there or another that begins in this state; a reference is taken.
	 * NULL, with no memory. The three may be NULL themselves: nothing is probed then. */
	void *(*take_check)(void *context, const struct config_ask *ask, const struct ip *vip,
			    const struct fleet_backend *backend, enum health_state state);
	void (*drop_check)(void *context, void *check);
	const struct health *(*health_of)(const void *check);
};

/* The walk over the tables of flows that never ends while there may be some: see fleet_sweep. */
struct fleet_pass {
	uint64_t number; /* of the pass that is under way, or that was last */
	bool is_running;
	bool wants_grace; /* something was published that a packet in flight may not have seen */
	bool may_find;	  /* there may be entries */
	bool is_clean;	  /* every service has been steady since it began */
	uint64_t withdrawn_in; /* the pass that forgets flows of services that have been taken away; 0: there are none */
	enum dataplane_table table;
	struct dataplane_walk walk;
	uint64_t found[DATAPLANE_TABLE_COUNT]; /* so far */
	uint64_t count[DATAPLANE_TABLE_COUNT]; /* as the last whole pass found */
	uint64_t not_promoted; /* events of the table being full, when the last pass ended */
	bool table_is_full;    /* such came from the pass before to the last one */
	uint64_t began_ns, next_ns; /* boot clock: of this pass; when the next may begin */
};

struct fleet {
	struct dataplane *plane; /* borrowed */
	struct fleet_hooks hooks;
	struct fleet_service *services;
	struct fleet_backend *backends;
	struct fleet_backend **by_number; /* by number */
	struct fleet_ring *rings;
	struct fleet_vip *vips;
	struct fleet_quic *quic; /* servers' IDs in the data plane */
	struct fleet_guard *guards;
	uint64_t prefixes;		    /* rows of all sets */
	struct fleet_guard *retired_guards; /* that a packet in flight may look into */
	struct fleet_check *checks;
	struct fleet_service **service_by_number;
	struct fleet_service *untold; /* services whose verdict may be another one, for whoever tells of it */
	struct extents service_numbers;
	struct extents backend_numbers;
	struct extents blocks;
	struct extents guard_numbers;
	struct fleet_service **dirty;
	size_t dirty_count, dirty_room;
	uint64_t flush_at_ms; /* boot clock: when marked services are worth another try though nothing was heard; 0: never */
	struct fleet_former_row *formers; /* by key; for services of the first configuration */
	size_t former_count;		  /* services that got one */
	struct fleet_applied *applied; /* services of the last configuration in its order */
	size_t applied_count;
	uint64_t epoch; /* grace periods waited for */
	uint64_t comparison; /* configurations compared with */
	bool is_adopted;     /* from maps that were there, and no configuration has been applied yet */
	uint64_t rings_built; /* since the start, for status and benchmarks */
	uint64_t stamp;
	size_t unsteady;     /* services that move or settle */
	size_t departing;    /* departures of all services */
	size_t ramping;	     /* services that have ramps */
	uint64_t vip_changes; /* grows when a VIP comes, goes, is up or down, served or not */
	uint64_t served_at;   /* what it was when last was looked who is served */
	bool had_departing;   /* and whether anybody departed then */
	uint64_t warmup_ms;   /* for so long a VIP waits to be known */
	bool is_silent;	      /* another director answers for the VIPs */
	struct fleet_pass pass;
};

/* Read the fleet out of the data plane's maps; empty maps make an empty fleet.
 *
 * plane  borrowed for the fleet's life.
 * Returns the fleet, owned by the caller, or NULL with *e written. What the maps hold and does not add up is left
 * out: it will be built anew. */
struct fleet *fleet_create(struct dataplane *plane, const struct fleet_hooks *hooks, struct err *e);

/* The services of `former` were served before this data plane was made, by another director or in another time. Those of
 * the next configuration that is applied with the same VIP, protocol and port start moving, with a ring of the former
 * backends as `before`, when their first ring is shown; which waits for ways to the former backends, too. For a fleet that
 * has no service yet. Returns 0, or -ENOMEM with *e written. */
int fleet_expect_formers(struct fleet *fleet, const struct config *former, struct err *e);

/* Forget the mirror. The data plane stays as it is; of the hooks only drop_check is called. */
void fleet_destroy(struct fleet *fleet);

/* Make the data plane serve just this configuration.
 *
 * All or nothing: when numbers, slots or memory do not suffice, -ENOSPC or -ENOMEM is returned with *e written,
 * and nothing has changed. Services that are pointer-equal or equal to what runs cost nothing but the look.
 * New backends are handed to the hooks after the change has been published. */
int fleet_apply(struct fleet *fleet, const struct config *config, struct err *e);

/* A backend's way is known (record, with ifindex and header filled in), or lost (NULL). Services that list it are
 * marked; fleet_flush rebuilds their rings. */
void fleet_backend_resolved(struct fleet *fleet, struct fleet_backend *backend, const struct hp_adjacency *record);

/* The state of a check has changed: services that it speaks for are marked. */
void fleet_health_changed(struct fleet *fleet, const void *check);

/* Take a service out of the list of those that have been judged since they were last taken; NULL when none is left. */
struct fleet_service *fleet_next_untold(struct fleet *fleet);

/* Whether it is about to be known how the service's backends are: the way to one is sought, or its first probe under way. */
bool fleet_service_is_waiting(const struct fleet *fleet, const struct fleet_service *service);

/* Nobody answers at a backend's address, or somebody does again. To packets a dead one has no way; probes still find it. */
void fleet_backend_dead(struct fleet *fleet, struct fleet_backend *backend, bool is_dead);

/* Rebuild and publish the rings of marked services.
 *
 * Returns 0, or -ENOSPC or -ENOMEM with *e written: the services that could not be served keep their rings and
 * their marks. */
int fleet_flush(struct fleet *fleet, struct err *e);

/* Whether something waits for a grace period; wait for one, and take back what was retired. */
bool fleet_wants_reclaim(const struct fleet *fleet);
void fleet_reclaim(struct fleet *fleet);

/* What the time brings: windows that end, deadlines. Returns what fleet_flush returns. */
int fleet_tick(struct fleet *fleet, struct err *e);

/* Look at a few thousand remembered flows: forget those that are over, count the others; and at the end of a whole pass
 * let services that settled rest and backends that left go. To be called again soon while it returns true; else at the
 * next tick. Table after table, in the order in which entries move, so that none is missed. */
bool fleet_sweep(struct fleet *fleet);

/* Cut off what is left of this service's flows on a backend that gets no new ones: from now on they go to `now`.
 * Returns 0; -ENOENT when none can be left; -EAGAIN while its next ring waits, -ENOSPC or -ENOMEM, with *e written: to
 * be tried again. */
int fleet_cut(struct fleet *fleet, const struct config_service *service, const struct ip *backend, struct err *e);

/* Flows that are remembered of a service with a backend that departs from it; 0 for any other backend. Summed over the
 * service's VIPs. *is_over: and no others can be left. */
uint64_t fleet_flows_of(const struct fleet *fleet, const struct config_service *service, const struct ip *backend,
			bool *is_over);

/* Whether they have been counted since it departs. */
bool fleet_flows_are_counted(const struct fleet *fleet, const struct config_service *service, const struct ip *backend);

/* Whether the backend was taken out of the service and may have flows of it still, or had some that were cut a moment ago.
 * *flows: how many are remembered, summed over the service's VIPs; *deadline_s: when the last of them are cut, by the boot
 * clock; 0: they have been. */
bool fleet_has_removed(const struct fleet *fleet, const struct config_service *service, const struct ip *backend,
		       uint64_t *flows, uint64_t *deadline_s);

/* The step, of RAMP_STEPS, of a backend's slow start in the service, by its place; the last when it has its whole
 * weight. *left_s: until then. */
uint32_t fleet_ramp_of(const struct fleet_service *service, size_t backend, uint64_t *left_s);

/* The share of flows, 0 to 1, that the service's two rings send to different backends. */
double fleet_difference(const struct fleet *fleet, const struct fleet_service *service);

/* Whether the table of proven flows has lately refused one: then no window ends. */
bool fleet_table_is_full(const struct fleet *fleet);

/* The service that a flow's packets belong to now, or NULL. */
struct fleet_service *fleet_service_of(const struct fleet *fleet, const struct hp_flow *flow);

/* A service of the configuration is served by units, each of which packets know as a service of its own: every VIP with
 * every port or range. They share ring and checks, and change one by one when the lists do. */
/* How many checks it has: its own and those of its group, for each backend. */
size_t fleet_check_count(const struct config_service *config);

size_t fleet_unit_count(const struct config_service *config);
struct dataplane_key fleet_unit_key(const struct config_service *config, size_t unit);
/* NULL: the data plane does not have it. The first speaks for all. */
struct fleet_service *fleet_unit(const struct fleet *fleet, const struct config_service *config, size_t unit);

struct fleet_service *fleet_service_find(const struct fleet *fleet, const struct dataplane_key *key);
struct fleet_backend *fleet_backend_find(const struct fleet *fleet, const struct fleet_identity *identity);

/* The fingerprint of a service's ring as configured: every backend counted usable. */
struct ring_fingerprint fleet_configured_fingerprint(const struct fleet_service *service);

/* Whether the VIP may be answered for: a service of it has a usable backend, or flows may be left, and it is known. */
bool fleet_vip_is_up(const struct fleet_vip *vip);

/* Whether it may be announced to routers: it is up, and not only for flows that are left with backends that fail their
 * checks, which have better chances elsewhere. */
bool fleet_vip_is_served(const struct fleet_vip *vip);

/* Whether another director answers ARP, ND and ping for the VIPs, so that this one must not. Packets that come are
 * forwarded all the same. Before the first configuration is applied it is only noted. */
void fleet_silence(struct fleet *fleet, bool is_silent);

/* The method that a service uses at a backend. */
enum hp_method fleet_method(const struct config_service *service, const struct ip *vip, const struct ip *backend);

/* Room for a configuration in a data plane, one of each for number 0 included: what its limits say, else twice the need
 * and a floor, so that a change fits beside. Returns 0 or -ENOMEM. */
int fleet_room(const struct config *config, struct dataplane_limits *out);

#endif

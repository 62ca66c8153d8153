/* The one that runs checks: asks each backend when it is due, and keeps what comes of it.
 *
 * A check is shared by all that ask the same: the same VIP, backend, method and port in the same way, or with `via: backend`
 * the same backend and port. It keeps its state as long as somebody holds it. Knows no fleet: what a state means for flows
 * is for whoever listens. All runs in the event loop. */
#ifndef HP_DAEMON_PROBES_H
#define HP_DAEMON_PROBES_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/ip.h"
#include "core/config.h"
#include "core/health.h"
#include "daemon/probe.h"

struct probes;
struct check;

/* Where a check asks. */
struct check_key {
	struct ip vip;	   /* zeros: the backend's own address is asked */
	struct ip backend;
	uint32_t number;   /* of the backend in the maps, by which the probe finds its way to it; 0 with `via: backend` */
	uint16_t port;	   /* host order; 0: none */
};

/* Whether anything lives at a backend's address. */
enum check_reach {
	CHECK_REACH_UNKNOWN,
	CHECK_REACH_YES, /* something came from there, be it a refusal */
	CHECK_REACH_NO,	 /* the check fails by silence, and the own address is silent too */
};

/* Whether a probe of a VIP can be sent to a backend. */
enum check_way {
	CHECK_WAY_OPEN,
	CHECK_WAY_PENDING, /* it will be known in a moment */
	CHECK_WAY_LOST,	   /* there is none to the backend, for the reason in *e */
	CHECK_WAY_CLOSED,  /* this host cannot send any, for the reason in *e */
};

struct probes_events {
	void *context;
	/* *mark: of a probe's sockets, that leads to the backend of this number; only written when the way is open. */
	enum check_way (*way)(void *context, const struct check_key *key, uint32_t *mark, struct err *e);
	/* A check's state is another one now, or what is known of its reach. Must not drop the check. */
	void (*changed)(void *context, struct check *check, bool is_state);
	/* The first answer of a check that began as up or failing, and that it left so. May be NULL. */
	void (*stayed)(void *context, struct check *check);
	/* Nobody holds a check any more. May be NULL. */
	void (*ended)(void *context, struct check *check);
};

/* events  copied. Returns it, owned by the caller, or NULL without memory. */
struct probes *probes_create(uv_loop_t *loop, const struct probes_events *events);

/* End all probes and checks. Run the loop once more afterwards. NULL is fine. */
void probes_destroy(struct probes *probes);

/* The check of a health at a place, with one reference more; one that is new begins in this state, and soon. health is held.
 * Returns NULL without memory. */
struct check *probes_take(struct probes *probes, struct config_health *health, const struct check_key *key,
			  enum health_state state);
void probes_drop(struct probes *probes, struct check *check);

/* What its probes share, for others that ask; lives as long as it. */
struct probe_shared *probes_shared(const struct probes *probes);

const struct health *check_health(const struct check *check);
const struct config_health *check_policy(const struct check *check);
const struct check_key *check_key(const struct check *check);
enum check_reach check_reach(const struct check *check);

/* What came of the last probe; NULL: none has ended. And of the last question to the backend's own address, which is asked only
 * after a check has failed by silence. */
const struct health_result *check_last(const struct check *check);
const struct health_result *check_own(const struct check *check);

/* Since when, in milliseconds, it is in its state. */
uint64_t check_age_ms(const struct probes *probes, const struct check *check);

struct probes_facts {
	uint64_t checks, running; /* checks; probes under way, those of own addresses included */
	uint64_t begun;		  /* probes, since the start */
	uint64_t late_ms;	  /* their delay behind when they were due, summed, and the longest */
	uint32_t latest_ms;
	uint64_t local;			    /* checks whose last question this host could not send */
	char local_text[HEALTH_TEXT_BYTES]; /* why the latest of them could not be sent */
};
void probes_facts(const struct probes *probes, struct probes_facts *out);

#endif

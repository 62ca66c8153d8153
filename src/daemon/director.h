/* The director: the running configuration, and the walk of every change to it.
 *
 * parse -> validate -> plan -> resolve -> program -> confirm. Files, API and signals end here; so do the
 * resolver's events. One owner of each effect: fleet (maps), ports (links), resolver (netlink),
 * probe_way (how probes reach a backend), state (files). */
#ifndef HP_DAEMON_DIRECTOR_H
#define HP_DAEMON_DIRECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "core/config.h"
#include "core/config_diff.h"
#include "core/config_parse.h"
#include "daemon/announcer.h"
#include "daemon/dataplane.h"
#include "daemon/diagnoses.h"
#include "daemon/fleet.h"
#include "daemon/flaps.h"
#include "daemon/icmp_evidence.h"
#include "daemon/ports.h"
#include "daemon/probe_way.h"
#include "daemon/probes.h"
#include "daemon/rates.h"
#include "daemon/resolver.h"
#include "daemon/state.h"

struct director_options {
	const char *file;   /* the configuration's, as given */
	const char *before; /* a former one's, from whose services those of a new data plane start moving; NULL: none */
	const char *pins;   /* folder in a BPF file system */
	const char *state;  /* folder for what must outlive the daemon until the next boot */
};

struct director {
	uv_loop_t *loop; /* borrowed */
	struct director_options options;
	struct dataplane plane;
	struct fleet *fleet;
	struct resolver *resolver;
	struct ports *ports;
	struct probe_way *probe_way;
	struct announcer *announcer;
	struct icmp_evidence *icmp; /* NULL: it cannot be heard */
	struct rates *rates;
	struct probes *probes;
	struct inquests *inquests;
	struct diagnoses *diagnoses;
	struct flaps *flaps; /* changes of health, as the log knows them */
	struct state state;	/* texts and overrides; what is kept in files */
	struct config *base;	/* what the running text says */
	struct config *running; /* the same with the overrides */
	uv_timer_t confirm_timer, reclaim_timer, ready_timer, tick_timer, sweep_timer, drain_timer, health_timer;
	uv_poll_t claim_poll;	/* who asks whether the machine is claimed */
	uint64_t started_ms; /* uv_now */
	int claim_fd;	     /* of the machine: one daemon at a time; -1: none */
	bool is_adopting;    /* packets were served when it started, so what is amiss must not stop it */
	bool is_making;	     /* it has begun to make what a start that fails must take away */
	unsigned int burst_ready, burst_failed; /* backends that changed since the last idle */
	unsigned int burst_up, burst_failing, burst_services; /* that changed in this burst, which the log is spared */
	uint64_t burst_ms; /* when it began, uv_now */
	bool is_ready; /* sd_notify has been told */
	uint64_t loops_ms; /* when it may next tell of packets that came back */
	uint64_t limits_ms; /* when limits are looked at again */
	bool is_local_told; /* the log knows of probes that cannot be sent */
};

/* What a change did, or why it was refused. */
struct director_result {
	struct problems problems;
	struct config_changes changes;
	bool is_invalid; /* refused for its errors in `problems` */
	struct state_text text; /* of the file, where one was read */
	const char *file;	/* whose text and problems these are; NULL: the configuration's */
};

void director_result_free(struct director_result *result);

/* Open the data plane, adopt what is there, apply the configuration, attach.
 *
 * loop     borrowed. options: its strings are borrowed for the director's life.
 * *out     owned by the caller.
 * Returns 0, or -errno with *e written, in which case what ran before still runs, and where nothing ran nothing is
 * left. When the file has mistakes, result->is_invalid is set and the text it was read from is in result->text for
 * printing. An interface that is missing stops it, but for one that packets came in by before: that is waited for. */
int director_start(uv_loop_t *loop, const struct director_options *options, struct director **out,
		   struct director_result *result, struct err *e);

/* Close everything that is this process's. Packets flow on. Run the loop once more before director_free. */
void director_stop(struct director *director);
void director_free(struct director *director);

/* End a start that failed after all: stops, runs the loop and frees; and unless packets were served before, takes
 * away links, maps and state that it made. Of neighbours none has been asked for before the loop runs. */
void director_abandon(struct director *director);

/* Judge a text against this host, and say what applying it would change; changes nothing. */
int director_judge(struct director *director, const char *text, size_t bytes, struct director_result *result,
		   struct err *e);

/* Make the text the running configuration.
 *
 * confirm_s  0, or seconds after which it is taken back unless director_confirm comes; none when it is what runs.
 * from_file  it is the file's text.
 * Returns 0, or -errno with *e written and everything as it was: -EINVAL with result->is_invalid, -EBUSY while an
 * unconfirmed change waits. */
int director_apply(struct director *director, const char *text, size_t bytes, uint32_t confirm_s, bool from_file,
		   struct director_result *result, struct err *e);

int director_confirm(struct director *director, struct err *e);
/* Go back to the text before the running one, judged as strictly as what is applied. */
int director_undo(struct director *director, struct director_result *result, struct err *e);
int director_reload(struct director *director, struct director_result *result, struct err *e);

/* Override a backend's weight until it is reset; survives reloads and restarts. */
int director_weight(struct director *director, const char *service, const struct ip *backend, uint32_t weight,
		    struct director_result *result, struct err *e);

/* Take a backend out of the service's ring until director_undrain; what it has of flows it keeps until they end, or
 * until deadline_s seconds from now, when they are cut; 0: no deadline. Of one that is drained the deadline is replaced.
 * Survives reloads and restarts. A weight that is overridden stays so beneath. */
int director_drain(struct director *director, const char *service, const struct ip *backend, uint32_t deadline_s,
		   struct director_result *result, struct err *e);
int director_undrain(struct director *director, const char *service, const struct ip *backend,
		     struct director_result *result, struct err *e);

/* Take all VIPs out of the routing table, so that routers lead packets to other directors, or put them in again. Packets that
 * come are forwarded and ARP and ND answered all the same. Survives reloads and restarts. */
void director_maintenance(struct director *director, bool is_on);

/* Become the director that answers for the VIPs, and tell the segments so, also if it was that before; or leave them to another.
 * Survives reloads and restarts. */
void director_role(struct director *director, enum state_role role);

/* Drop the overrides of a service, weights and drains. */
int director_reset(struct director *director, const char *service, struct director_result *result, struct err *e);

/* Place of a backend among a service's, or -1. */
ptrdiff_t director_find_backend(const struct config_service *service, const struct ip *address);

/* Index of a service by name in the running configuration, or -1. */
ptrdiff_t director_find_service(const struct director *director, const char *name);

/* Say that there is no service of that name, and which name is the nearest. Returns -ENOENT. */
int director_no_service(const struct director *director, const char *name, struct err *e);

#endif

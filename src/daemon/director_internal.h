/* What the files of the director share among themselves. */
#ifndef HP_DAEMON_DIRECTOR_INTERNAL_H
#define HP_DAEMON_DIRECTOR_INTERNAL_H

#include "daemon/director.h"

/* Rebuild marked rings, log what fails, and see to it that what was replaced is taken back. */
void director_flush(struct director *director);
void director_reclaim(uv_timer_t *timer);

/* The configuration with the overrides laid over it, its services in the same order; those of what is no longer there
 * rest, and so do those of the service `but_for`, which may be NULL. Owned by the caller. NULL: no memory. */
struct config *director_overlay(const struct config *base, const struct state *state, const char *but_for);

/* Take the configuration into effect, all or nothing. Owns it from here on when 0 is returned. */
int director_program(struct director *director, struct config *config, bool tolerate_missing, struct err *e);

/* Make the announcer and let it and the fleet know what was said of this director before. Before anything is applied; config:
 * the file's. */
int director_announce_open(struct director *director, const struct config *config, struct err *e);

/* Write down marks and overrides; a failure is logged. */
void director_save(struct director *director);

/* See to it that drains end: look each second while one has not. */
void director_watch_drains(struct director *director);

/* The same at the start; what was cut off is so again, as its flows may not have been forgotten yet. */
void director_resume_drains(struct director *director);

/* What the fleet asks of health: director_health.c. */
void *director_take_check(void *context, const struct config_ask *ask, const struct ip *vip,
			  const struct fleet_backend *backend, enum health_state state);
void director_drop_check(void *context, void *check);
const struct health *director_health_of(const void *check);

#define DIRECTOR_BURST_LOGGED 20 /* of changes of health in one moment so many are logged one by one */

/* What a check is called in the log and by what keeps an eye on flapping. Returns text. */
const char *director_check_words(const struct check *check, char text[static FLAPS_KEY_BYTES]);

/* Tell now and then of backends from which packets for a VIP come back. */
void director_watch_loops(struct director *director);

/* Tell now and then of services that drop new flows by their limits. */
void director_watch_limits(struct director *director);

/* Hear what ICMP says of tunnels, where this host may. */
void director_hear_icmp(struct director *director);

/* What finds out why checks fail: opened with what runs them, closed before, with the ears for ICMP. Returns 0 or -ENOMEM with
 * *e written. */
int director_open_diagnoses(struct director *director, struct err *e);
void director_close_diagnoses(struct director *director);

/* Open what runs the checks. Returns 0 or -ENOMEM with *e written. */
int director_open_probes(struct director *director, struct err *e);

/* Rings have been built: tell of services that are down or in panic, or no more, and see who counts as dead then. Returns
 * whether rings are to be built again. */
bool director_follow_health(struct director *director);

/* Other services list backends now, or probe them: see who is dead. Rings are to be built after it. */
void director_judge_backends(struct director *director);

/* The check of a service at its backend of that place, or NULL. */
const struct check *director_check(const struct fleet_service *service, size_t backend);

/* A backend's way is known: write its adjacency. Needs director->running. */
void director_resolve(struct director *director, struct fleet_backend *backend);

/* Go on with the running text of the state, and with what waits for its confirmation. */
int director_resume(struct director *director, struct director_result *result, struct err *e);

#endif

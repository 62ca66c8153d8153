/* Diagnoses: what is wrong with each check, as far as this host can find out.
 *
 * A check that begins to fail gets a verdict at once, by its answer alone, and a better one when an inquest has asked around; as
 * long as it fails it is asked anew when its answer changes, and each minute. One that is up is asked now and then for what its
 * probes do not show: packets of full size, the own address. All runs in the event loop. */
#ifndef HP_DAEMON_DIAGNOSES_H
#define HP_DAEMON_DIAGNOSES_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/verdict.h"
#include "daemon/inquest.h"
#include "daemon/probes.h"

struct diagnoses;

struct diagnoses_events {
	void *context;
	/* Fill in where and how this check asks; health is borrowed. Returns false when it cannot be asked about. */
	bool (*describe)(void *context, const struct check *check, struct inquest_case *out);
	/* How many packets have ever come back from the check's backend. */
	uint64_t (*looped)(void *context, const struct check *check);
	/* Add what else is known without asking. */
	void (*recall)(void *context, const struct check *check, struct verdict_evidence *evidence);
	/* The verdict on a check is another one now. */
	void (*told)(void *context, const struct check *check, const struct verdict *verdict);
};

/* inquests borrowed; events copied. Owned by the caller. NULL: no memory. */
struct diagnoses *diagnoses_create(uv_loop_t *loop, struct inquests *inquests, const struct diagnoses_events *events);

/* End all, telling nobody. Before inquests_destroy; run the loop once more afterwards. NULL is fine. */
void diagnoses_destroy(struct diagnoses *diagnoses);

/* A check is in another state; or it ends. */
void diagnoses_follow(struct diagnoses *diagnoses, const struct check *check);
void diagnoses_forget(struct diagnoses *diagnoses, const struct check *check);

/* The verdict on a check; NULL: none yet, or nothing is wrong with it. */
const struct verdict *diagnoses_of(const struct diagnoses *diagnoses, const struct check *check);

#endif

/* Which of a service's backends get new flows, and whether the service is up: a pure function of how they are, of min_up
 * and of when_all_down. */
#ifndef HP_CORE_QUORUM_H
#define HP_CORE_QUORUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config.h"

enum quorum_state {
	QUORUM_UNKNOWN, /* it has not been asked yet, or its way is not known yet */
	QUORUM_UP,	/* a backend that is not probed is so when its way is known */
	QUORUM_DOWN,
};

/* How one backend of the service is, in the order of its configuration. */
struct quorum_member {
	enum quorum_state state;
	bool is_reachable; /* packets can be sent to it */
	bool is_failing;   /* by its check; not asked for here */
	bool takes;	   /* result: it gets new flows, by its weight, which is positive */
};

enum quorum_verdict {
	QUORUM_SERVES, /* enough are up */
	QUORUM_WAITS,  /* too few are, and those that are not known yet may be; those that are up get flows meanwhile */
	QUORUM_PANICS, /* too few are, and flows go to all, or to the fallbacks */
	QUORUM_DROPS,  /* too few are, and nobody gets flows */
};

struct quorum {
	enum quorum_verdict verdict;
	bool is_up;	/* somebody takes flows */
	size_t up;	/* backends that are, of those with weight */
	size_t needed;	/* so many of them */
	size_t count;	/* those with weight */
};

/* Judge. members: one for each of config->backends; takes is filled in. Fallbacks take flows in panic alone, and who of the
 * others is up does not then. */
struct quorum quorum_judge(const struct config_service *config, struct quorum_member *members);

const char *quorum_verdict_name(enum quorum_verdict verdict);

#endif

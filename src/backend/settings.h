/* The kernel settings that a backend depends on: what is right, what counts, change and restore. */
#ifndef HP_BACKEND_SETTINGS_H
#define HP_BACKEND_SETTINGS_H

#include "backend/setup.h"
#include "base/err.h"

enum settings_rule {
	SETTINGS_ARP_IGNORE,
	SETTINGS_ARP_ANNOUNCE,
	SETTINGS_RP_FILTER,
	SETTINGS_RULE_COUNT
};

/* How a rule stands on one interface. max(all, own) counts for each of them (ip-sysctl). */
struct settings_finding {
	char interface[16];
	long all, own, counts;
	long target; /* what would be right for the interface's own */
	bool is_right;
	bool is_mended_by_all; /* only with `all` changed as well, which nobody does unasked */
	const char *harm;      /* what a wrong value does */
};

/* Its name below net/ipv4/conf/IF/, and what a wrong value does. */
const char *settings_name(enum settings_rule rule);
const char *settings_harm(enum settings_rule rule);

/* The worst place: the first interface where the rule is broken, or where packets arrive when it holds everywhere.
 * ARP is heard on every interface but lo; rp_filter matters where packets arrive. */
void settings_judge(const struct setup *setup, enum settings_rule rule, struct settings_finding *out);

/* How the rule stands on one interface. */
void settings_find(enum settings_rule rule, const char *interface, struct settings_finding *out);

/* Bring every setting that the setup's VIPs need to a right value; what was is noted and saved first. Right ones
 * stay as they are. Prints each change. */
int settings_apply(struct setup *setup, struct err *e);

/* Restore until only the first `keep` notes are left. A value that is not ours any more is told and left alone. */
int settings_restore(struct setup *setup, size_t keep, struct err *e);

/* Forget what was changed for an interface that is gone; its successor begins with settings of its own. */
void settings_forget(struct setup *setup, const char *interface);

#endif

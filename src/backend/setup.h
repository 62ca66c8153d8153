/* A backend's setup as the command line asks for it and as the state file keeps it. Pure data. */
#ifndef HP_BACKEND_SETUP_H
#define HP_BACKEND_SETUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"

#define SETUP_LIST_MOST 256
#define SETUP_L2 1u
#define SETUP_IPIP 2u

/* One VIP with all methods that its packets come by. */
struct setup_vip {
	struct ip address;
	uint32_t methods; /* SETUP_… */
	bool is_ours;	  /* we put it on lo */
};

/* A kernel setting that was changed: path below /proc/sys, what it was, what we wrote. */
struct setup_sysctl {
	char path[128];
	char was[32];
	char set[32];
};

struct setup {
	struct setup_vip vips[SETUP_LIST_MOST];
	size_t vip_count;
	struct prefix senders[SETUP_LIST_MOST]; /* --from */
	size_t sender_count;
	struct setup_sysctl sysctls[SETUP_LIST_MOST];
	size_t sysctl_count;
	char interface[16]; /* where packets arrive */
	bool is_clsact_ours; /* we made its clsact qdisc */
	bool is_lo_ours;     /* we brought lo up */
};

struct setup_vip *setup_find_vip(struct setup *setup, const struct ip *address);

/* Whether any VIP comes by a tunnel. */
bool setup_has_tunnel(const struct setup *setup);

/* The state file. Loading none gives an empty setup; a damaged one is refused whole with -EINVAL, as half of what is
 * to be restored is worse than an error. Saving is atomic; an empty setup removes the file. */
int setup_load(struct setup *setup, const char *path, struct err *e);
int setup_save(const struct setup *setup, const char *path, struct err *e);

#endif

/* The agent's three deeds: up, down, status. */
#ifndef HP_BACKEND_AGENT_H
#define HP_BACKEND_AGENT_H

#include <stdbool.h>

#include "backend/setup.h"
#include "base/err.h"

#define AGENT_STATE "/run/halfproxy-backend"

/* What the command line asks for. */
struct agent_request {
	struct ip vips[SETUP_LIST_MOST];
	size_t vip_count;
	uint32_t methods; /* SETUP_…; 0: none named */
	struct prefix senders[SETUP_LIST_MOST];
	size_t sender_count;
	const char *interface; /* NULL: found by routes */
	bool is_json;
};

/* Make this host a backend for the VIPs. Prints what was done, a line each. What has been done is noted in the state
 * file before it is done, so that a killed `up` can be taken back. */
int agent_up(const struct agent_request *request, struct err *e);

/* Take it back: the VIPs named, or all. A setting that somebody changed since stays as it is, and is told. */
int agent_down(const struct agent_request *request, struct err *e);

/* Print each item as ok or wrong with its fix. Returns 0 all ok, 1 something wrong, or -errno. */
int agent_status(const struct agent_request *request, struct err *e);

/* The state file of this network namespace. */
const char *agent_state_path(char path[static 128]);

#endif

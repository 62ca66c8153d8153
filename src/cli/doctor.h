/* The doctor of a director: what each of its files looks at. Each adds to the findings and changes nothing. */
#ifndef HP_CLI_DOCTOR_H
#define HP_CLI_DOCTOR_H

#include <jansson.h>

#include "cli/command.h"
#include "core/findings.h"
#include "doctor/look.h"

struct doctor {
	const struct command_call *call;
	json_t *status; /* the daemon's report; NULL when none answers */
	struct look look;
	struct ip *vips; /* of all services, each once */
	size_t vip_count;
	json_t *told; /* addresses of backends whose way was told of */
	struct findings *findings;
};

/* The command. Returns the exit status: 0 all ok, 1 warnings, 2 something wrong, 3 it could not look. */
int doctor_run(const struct command_call *call);

/* What the daemon says: interfaces, services, backends. doctor_daemon.c */
void doctor_daemon(const struct doctor *doctor);

/* A backend of a service that fails its check: why, by the daemon's last answers. Returns whether it does. doctor_health.c */
bool doctor_health(const struct doctor *doctor, const json_t *service, const json_t *backend);

/* What has grown in the daemon's counters since its report: packets that come back, or are too long. doctor_daemon.c */
void doctor_growth(const struct doctor *doctor);

/* The daemon's report, owned by the caller; NULL with *e written when none answers. */
json_t *doctor_ask(const struct command_call *call, struct err *e);

/* The host: VIPs that are its own, reverse path filter, forwarding, packet filters and routing rules. doctor_host.c */
void doctor_director_host(const struct doctor *doctor);

/* The neighbours: who else answers for a VIP, and which lengths reach the backends. Asks the network. doctor_neighbours.c */
void doctor_neighbours(const struct doctor *doctor);

/* Whether packets come in or go out by the link, as far as that is known. */
bool doctor_uses(const struct doctor *doctor, const struct look_link *link);

#endif

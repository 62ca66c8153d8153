/* Servers for probes to ask, in a process of their own. */
#ifndef HP_BENCH_SERVERS_H
#define HP_BENCH_SERVERS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct bench_servers {
	pid_t pid;
	uint16_t web, echo; /* ports on every address of the loopback interface: HTTP, and UDP that says the same again */
};

/* Start them, on the second CPU that this process may use if there is one. Returns 0, or negative errno with *e written. */
int bench_servers_start(struct bench_servers *servers, struct err *e);
void bench_servers_stop(const struct bench_servers *servers);

#endif

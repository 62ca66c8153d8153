/* A director of its own for a benchmark: a network namespace with one cable and a gateway that needs no answer, a
 * configuration's file, and halfproxyd as a process of its own. */
#ifndef HP_BENCH_SITE_H
#define HP_BENCH_SITE_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/err.h"

#define BENCH_INTERFACE "bench0"

/* Where a benchmark's process has its pins and its folder. */
#define BENCH_PINS "/sys/fs/bpf/halfproxy-bench-%d"
#define BENCH_FOLDER "/run/halfproxy-bench-%d"

struct bench_site {
	char folder[64], pins[64], file[96], socket[96], programs[256];
	pid_t daemon; /* 0: none */
	int notify_fd;
};

/* Enter a new network namespace for the rest of this process, and make the folder. Returns 0 or -errno with *e
 * written; bench_site_close removes what was made either way. */
int bench_site_open(struct bench_site *site, struct err *e);
void bench_site_close(struct bench_site *site);

/* Remove what that process left, which has ended in whatever way. */
void bench_site_clear(pid_t process);

/* Write the file; each call of `service` writes one service's lines, for 0 <= n < services. */
int bench_site_write(const struct bench_site *site, uint32_t services, void (*service)(FILE *out, uint32_t n),
		     struct err *e);

/* Start the daemon and wait until it says that it serves. Returns 0 or -errno with *e written. */
int bench_site_start(struct bench_site *site, struct err *e);

/* Start a command of halfproxy; its output is thrown away. Returns its process, or -errno. */
pid_t bench_site_command(const struct bench_site *site, const char *const *arguments);

/* Kilobytes that the daemon has in memory. */
uint64_t bench_site_resident_kb(const struct bench_site *site);

#endif

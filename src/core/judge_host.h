/* What both kinds of host need of their kernel and their limits. Pure: facts to findings. */
#ifndef HP_CORE_JUDGE_HOST_H
#define HP_CORE_JUDGE_HOST_H

#include <stdint.h>

#include "core/findings.h"

enum judge_clock {
	JUDGE_CLOCK_UNKNOWN,
	JUDGE_CLOCK_SYNCHRONISED,
	JUDGE_CLOCK_FREE,
};

struct judge_host {
	char release[65];	/* uname -r */
	int load_error;		/* 0: it loaded an XDP program; else the errno of trying */
	bool has_bpffs;
	uint64_t memlock_bytes; /* UINT64_MAX: no limit */
	long jit;		/* net/core/bpf_jit_enable; -1: the kernel has no such setting, and always compiles */
	enum judge_clock clock;
	long somaxconn;		/* -1: not known, or of no matter */
	uint64_t open_files;	/* 0: not known */
	char open_files_of[48]; /* whose limit that is */
};

void judge_host(const struct judge_host *host, struct findings *findings);

#endif

/* Whether packets of full size arrive at a backend. Pure: what pings came back, to findings. */
#ifndef HP_CORE_JUDGE_PATH_H
#define HP_CORE_JUDGE_PATH_H

#include <stdint.h>

#include "base/ip.h"
#include "core/findings.h"

struct judge_path {
	struct ip backend;
	uint32_t mtu;	  /* what the director takes the path's to be: the longest IP packet */
	bool answers;	  /* a small ping */
	uint32_t largest; /* the longest ping that was answered; mtu when full size arrives, 0 when none did */
	bool is_tunnelled; /* by ipip or gue, which make packets longer */
};

void judge_path(const struct judge_path *path, struct findings *findings);

/* The next length to try between one that arrives and one that does not; 0 when they are near enough. */
uint32_t judge_path_next(uint32_t arrives, uint32_t lost);

#endif

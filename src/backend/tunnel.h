/* The BPF half of a backend: decapsulation by XDP, relay, MSS filter and mapped ports by tc, all on one interface, and the
 * network namespace's socket lookup; pinned so that they work without any process. This file, tunnel_map and lookup are the
 * only callers of bpf(2) here. */
#ifndef HP_BACKEND_TUNNEL_H
#define HP_BACKEND_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/setup.h"
#include "backend_abi.h"
#include "base/err.h"

struct tunnel_state {
	bool is_decap; /* attached to the interface */
	bool is_native;
	bool is_mss;
	bool is_relay;
	bool is_mapping; /* all that mapped ports need, or nothing where none is */
	bool is_whole;	/* all that the setup needs, this version's, and of one pinned set */
	bool is_filled; /* the maps hold the setup's VIPs, senders and ports and the interface's VLANs, no more and no less */
	struct hpb_settings settings;
	uint64_t counters[HPB_COUNTER_COUNT];
	struct hpb_refused refused[HPB_REFUSED_COUNT];
};

/* Whether our programs can be attached to the interface; changes nothing. -ENODEV without a BPF file system, -EEXIST for
 * an ingress qdisc, -EINVAL for an interface without Ethernet headers; -EBUSY when tunnels are to be opened and somebody
 * else's XDP program is there. */
int tunnel_check(const char *interface, bool opens_tunnels, struct err *e);

/* Attach to setup->interface what is not attached yet, and bring VIPs, senders, ports and MSS to what the setup says. The
 * programs on the interface are replaced in place when they are not this version's. Needs tunnel_check. */
int tunnel_up(const struct setup *setup, struct err *e);

/* Bring the maps to a setup of fewer VIPs. What stays is never absent meanwhile; programs that are needed no more go.
 * Without maps there is nothing to do. */
int tunnel_fill(const struct setup *setup, struct err *e);

/* Detach and unpin. What others put on the interface stays; so does the qdisc unless it is ours and empty. */
void tunnel_down(const struct setup *setup);

/* What is attached now. */
void tunnel_look(const struct setup *setup, struct tunnel_state *out);

/* What the setup makes of the programs' settings: the largest MSS of each family that leaves room for the outer headers on
 * the path from the directors, or a smaller one that was asked for, 0 for none; whether GUE and second chances are taken. */
struct hpb_settings tunnel_settings(const struct setup *setup);

#endif

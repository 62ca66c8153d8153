/* The BPF half of a backend that tunnels reach: decapsulation by XDP and the MSS filter by tc, on one interface,
 * pinned so that they work without any process. The only caller of bpf(2) here. */
#ifndef HP_BACKEND_TUNNEL_H
#define HP_BACKEND_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/setup.h"
#include "backend_abi.h"
#include "base/err.h"

#define TUNNEL_PINS "/sys/fs/bpf/halfproxy-backend"

struct tunnel_state {
	bool is_decap; /* attached to the interface */
	bool is_native;
	bool is_mss;
	struct hpb_settings limits;
	uint64_t counters[HPB_COUNTER_COUNT];
};

/* Attach to setup->interface what is not attached yet, and bring VIPs, senders and MSS to what the setup says.
 *
 * Sets setup->is_clsact_ours when the qdisc had to be made. Returns 0, or -errno with *e written: -EBUSY when somebody
 * else's XDP program is on the interface, -ENODEV without a BPF file system. */
int tunnel_up(struct setup *setup, struct err *e);

/* Detach and unpin. What others put on the interface stays; so does the qdisc unless it is ours and empty. */
int tunnel_down(struct setup *setup, struct err *e);

/* What is attached now. */
void tunnel_look(const struct setup *setup, struct tunnel_state *out);

/* The largest MSS that leaves room for the outer header on this interface. */
struct hpb_settings tunnel_limits(const struct setup *setup);

#endif

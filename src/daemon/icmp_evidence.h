/* What routers and backends say by ICMP of the outer packets of tunnels, whoever's packet was within: the latest of each kind
 * for each backend.
 *
 * Takes part in nothing: it hears what the kernel delivers to this host, tells of it, and verdicts ask it. Errors about packets
 * of l2 go to their senders, and a prober's socket hears them. Single-threaded. */
#ifndef HP_DAEMON_ICMP_EVIDENCE_H
#define HP_DAEMON_ICMP_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/ip.h"
#include "core/icmp_quote.h"

#define ICMP_EVIDENCE_BACKENDS_MOST 4096 /* beyond, whoever was not heard of for longest is forgotten */

struct icmp_evidence;

struct icmp_evidence_hooks {
	void *context;
	/* Whether tunnels lead to this address: nothing is kept of any other. */
	bool (*is_backend)(void *context, const struct ip *address);
	/* Each error about packets to such an address, as it comes. */
	void (*heard)(void *context, const struct icmp_quote *quote, const struct ip *from);
};

struct icmp_evidence_item {
	enum icmp_error error;
	struct ip from; /* who said so */
	uint32_t mtu;	/* as in struct icmp_quote */
	uint64_t at_ms; /* uv_now of the loop, when it came last */
	uint64_t count; /* how often it came since the first */
};

/* Open the sockets, which takes CAP_NET_RAW; a kernel without one of the families is no error.
 *
 * hooks  copied. Returns what the caller owns, or NULL with *e written. */
struct icmp_evidence *icmp_evidence_open(uv_loop_t *loop, const struct icmp_evidence_hooks *hooks, struct err *e);

/* The handles close in the loop's next turn: run it once more afterwards. NULL is fine. */
void icmp_evidence_close(struct icmp_evidence *evidence);

/* The latest error about packets to this backend that came at since_ms or later. Returns false, *out untouched, when there
 * is none. evidence may be NULL. */
bool icmp_evidence_of(const struct icmp_evidence *evidence, const struct ip *backend, uint64_t since_ms,
		      struct icmp_evidence_item *out);

#endif

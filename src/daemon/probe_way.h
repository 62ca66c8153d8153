/* The way of a probe to a VIP, by its service's method, to the one backend that the mark of its socket names.
 *
 * A rule of the host's leads what bears the mark to a table, whose default route is by a made-up gateway on the first
 * interface; at that interface's tc egress the program of bpf/probe.h takes the backend's number from the mark and sends the
 * packet as XDP would have. What the host sends to a VIP without a mark is dropped there. Answers come from the VIP to the
 * host's own address, which XDP passes.
 *
 * Owns the rules, the table, the gateway's neighbour entries and the filter. All of them are kept true by probe_way_check and
 * stay when the daemon ends, so that the next one finds them. Single-threaded. */
#ifndef HP_DAEMON_PROBE_WAY_H
#define HP_DAEMON_PROBE_WAY_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "base/err.h"
#include "base/ip.h"
#include "core/config.h"
#include "daemon/dataplane.h"
#include "daemon/resolver.h"

struct probe_way;

/* plane, resolver  borrowed for its life.
 * folder           of the state: what an --unload has to restore is remembered there.
 * Changes nothing yet. Returns the way, owned by the caller, or NULL with *e written. */
struct probe_way *probe_way_open(struct dataplane *plane, const struct resolver *resolver, const char *folder, struct err *e);

/* Close what is this process's. Rules, routes, neighbours and the filter stay. NULL is fine. */
void probe_way_close(struct probe_way *way);

/* Use the interfaces and the marks of a configuration from now on; what a former one asked for and this one does not is
 * removed. What cannot be had is no error of the caller's: it is logged, and probe_way_reason says it. */
void probe_way_configure(struct probe_way *way, const struct config *config);

/* Links, addresses, routes or rules may have changed: make all of it what it has to be. */
void probe_way_check(struct probe_way *way);

/* The mark (SO_MARK) of a socket whose packets to a VIP go to this backend; 0 where the mask has no room for the number, or
 * none is configured yet. Numbers are of {address, method}, as in the maps. */
uint32_t probe_way_mark(const struct probe_way *way, uint32_t backend_number);

/* Why no probe can be sent to VIPs of this family from this host, in words for people; NULL: they can. */
const char *probe_way_reason(const struct probe_way *way, const struct ip *vip);

/* What is there, for the API's replies. Texts are borrowed until the next check. */
struct probe_way_facts {
	const char *interface; /* that probes leave by; "": none */
	struct config_probes probes;
	struct ip source[2];   /* of IPv4 and IPv6: what probes are sent from; zeros: none */
	const char *reason[2]; /* NULL: that family is open */
	const char *warning;   /* rules of others that are in the way; "": none */
	uint64_t packets[HP_PROBE_EVENT_COUNT];
};
void probe_way_facts(const struct probe_way *way, struct probe_way_facts *out);

/* For --unload, without a daemon: remove rules, routes, neighbours and filters of this network namespace that a way has made,
 * whatever their marks and tables. Returns 0 or -errno with *e written. */
int probe_way_remove(const char *folder, struct err *e);

#endif

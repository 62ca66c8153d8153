/* Which clsact qdiscs were made for the filter of probes, remembered in a file of the state's folder: only those are taken
 * away again, and only when nobody else's filter has come to them. */
#ifndef HP_DAEMON_PROBE_QDISC_H
#define HP_DAEMON_PROBE_QDISC_H

#include <stdint.h>

#include "base/err.h"
#include "daemon/probe_netlink.h"

struct probe_qdisc;

/* Read what is remembered in the folder, if anything. NULL with *e written: no memory. */
struct probe_qdisc *probe_qdisc_open(const char *folder, struct err *e);
void probe_qdisc_close(struct probe_qdisc *qdiscs);

/* The interface's was made by us. */
void probe_qdisc_made(struct probe_qdisc *qdiscs, uint32_t ifindex);

/* Our filter is gone from there: if the qdisc was made by us, it goes, too, unless it has other filters. */
void probe_qdisc_give_back(struct probe_qdisc *qdiscs, struct probe_netlink *netlink, uint32_t ifindex);

/* Remember none any more: those that are left are of interfaces that are gone. */
void probe_qdisc_forget(struct probe_qdisc *qdiscs);

#endif

/* The data plane in the kernel: the one place that calls bpf(2). Maps, programs, links and their pins.
 *
 * Knows records and where they lie, not what they mean: fleet.c decides what to write, and follows abi.h's rule
 * of publication. Everything is pinned, so that packets flow on when the daemon is gone. */
#ifndef HP_DAEMON_DATAPLANE_H
#define HP_DAEMON_DATAPLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "base/err.h"
#include "base/ip.h"
#include "core/config.h"
#include "core/guard.h"
#include "core/keys.h"

#define DATAPLANE_PINS "/sys/fs/bpf/halfproxy"
#define DATAPLANE_PORTS_MOST 64

struct director_bpf;

/* Room for so many of each, number 0 and block 0 included. */
struct dataplane_limits {
	uint32_t services;
	uint32_t backends;
	uint32_t blocks;
	uint32_t flows;	   /* remembered and proven */
	uint32_t unproven; /* remembered, not proven yet */
	uint32_t prefixes; /* of guards */
	uint32_t sources;  /* whose new flows are counted */
	uint32_t fragments; /* datagrams in fragments whose beginning is known */
	uint32_t said;	   /* DATAPLANE_SAYS_*: by the configuration, so that a data plane that is adopted gets smaller, too */
};

#define DATAPLANE_SAYS_SERVICES 1u
#define DATAPLANE_SAYS_BACKENDS 2u
#define DATAPLANE_SAYS_BLOCKS 4u
#define DATAPLANE_SAYS_FLOWS 8u
#define DATAPLANE_SAYS_UNPROVEN 16u
#define DATAPLANE_SAYS_PREFIXES 32u
#define DATAPLANE_SAYS_SOURCES 64u
#define DATAPLANE_SAYS_FRAGMENTS 128u

/* A limit that stays what it was, since more is in use than was wanted. In the configuration's terms. */
struct dataplane_kept {
	const char *limit;
	uint32_t wanted, in_use, is;
};

/* What became of maps of another size or layout than this start's. */
struct dataplane_migration {
	bool is_done;	     /* they were replaced; */
	bool was_cut_short;  /* or an earlier start had, and it was this one's to finish */
	uint32_t abi;	     /* of those replaced */
	uint64_t flows_lost; /* at most: that the new tables did not take */
	struct dataplane_kept kept[6];
	size_t kept_count;
	struct err why_not; /* why those of another size stayed as they are; empty: they did not */
};

struct dataplane {
	char pins[256];
	bool adopted; /* the maps were there */
	struct dataplane_migration migration;
	struct dataplane_limits limits;
	struct hp_meta *meta;
	struct hp_interface_row *interfaces;
	struct hp_bucket4 *buckets4; /* what keys4 stands on */
	struct hp_bucket6 *buckets6;
	struct keys keys4, keys6;
	struct hp_service *services;
	union hp_block *blocks;
	struct hp_backend *backends;
	struct hp_adjacency *adjacencies;
	struct hp_identity *identities;
	struct hp_motion *motions;
	struct hp_flow_counts *flow_counts;
	uint64_t *hints;
	struct hp_terms *terms;
	struct hp_sample_row *samples; /* by verdict */
	struct hp_service_counts *service_counts;
	struct hp_backend_counts *backend_counts;
	struct director_bpf *live;
	struct director_bpf *twin; /* made when the first trace is asked for */
	int lock_fd;		   /* of the pins' folder: one daemon at a time */
};

/* A service's key with its number, as the data plane knows it. */
struct dataplane_key {
	struct ip vip;
	uint16_t port; /* host order, 0 any; the first of a range */
	uint8_t protocol;
	uint16_t more; /* ports of the range behind it */
};

enum dataplane_role {
	DATAPLANE_INGRESS, /* the program itself */
	DATAPLANE_EGRESS,  /* a program that passes everything, as redirect wants one on many drivers */
};

/* Open the data plane under `pins`: adopt the maps that are pinned there, or make them.
 *
 * limits  its size. Adopted maps of another size or layout are replaced, and what they hold is taken over, also what
 *         packets write to them meanwhile: then links run the new program already. A table that holds more than its limit
 *         keeps its size. See plane->migration. Maps without a link are what a start cut short left: made anew.
 * The program of this version is loaded in either case; links come with dataplane_attach.
 * Returns 0, or -errno with *e written and nothing left open: -EBUSY when another daemon holds these pins,
 * -EPROTO when they are of an ABI that is not known. */
int dataplane_open(struct dataplane *plane, const char *pins, const struct dataplane_limits *limits, struct err *e);

/* Whether packets are served from `pins` now, by a daemon or without one: a link is pinned there. */
bool dataplane_is_serving(const char *pins);

/* Close descriptors and mappings. Pins, and so packets, stay. */
void dataplane_close(struct dataplane *plane);

/* Take everything away: links, programs, maps, the folder. Returns -ENOENT when there is nothing under `pins`,
 * -EBUSY when a daemon holds them, -ENODEV when `pins` is not inside a BPF file system; -ENOTEMPTY when the folder
 * stays because of something in it that is not ours, and all else is gone. */
int dataplane_unload(const char *pins, struct err *e);

/* Attach to an interface, or make the link that is pinned there run this version's program.
 *
 * mode    what may be tried; *native is set to what it became.
 * Returns 0, -EBUSY when somebody else's program is there (*e names it), or another -errno. */
int dataplane_attach(struct dataplane *plane, const char *name, uint32_t ifindex, enum dataplane_role role,
		     enum config_mode mode, bool *native, struct err *e);

/* Detach from an interface; none there is fine. */
void dataplane_detach(struct dataplane *plane, const char *name);

/* Whether a link is pinned for an interface of this name. */
bool dataplane_is_linked(const struct dataplane *plane, const char *name);

/* Call back for each interface name that has a pinned link. */
void dataplane_each_link(const struct dataplane *plane, void (*each)(void *context, const char *name), void *context);

/* Where packets may be redirected to; where VIPs are announced and by which MAC. */
int dataplane_port_set(struct dataplane *plane, uint32_t ifindex, struct err *e);
void dataplane_port_clear(struct dataplane *plane, uint32_t ifindex);
int dataplane_interface_set(struct dataplane *plane, uint32_t ifindex, const struct hp_interface *record,
			    struct err *e);
void dataplane_interface_clear(struct dataplane *plane, uint32_t ifindex);

/* Call back for each interface that is said to be a way in. The callback may clear it. */
void dataplane_each_interface(struct dataplane *plane, void (*each)(void *context, uint32_t ifindex), void *context);

/* Keys of services and VIPs. A range of ports takes several; those of them that say another number by now stay. */
int dataplane_key_set(struct dataplane *plane, const struct dataplane_key *key, uint32_t number, struct err *e);
void dataplane_key_clear(struct dataplane *plane, const struct dataplane_key *key, uint32_t number);

/* Of keys: how many the data plane has of them; the bits of its blocks of ports, as a VIP's flags have them. */
uint32_t dataplane_key_count(const struct dataplane_key *key);
uint32_t dataplane_key_blocks(const struct dataplane_key *key);

/* Whether there is room for so many keys more of either family. */
bool dataplane_keys_fit(const struct dataplane *plane, uint64_t more4, uint64_t more6);

/* The number of the service that packets to this port find, as they look it up; 0: none. port 0: that of no particular
 * port. */
uint32_t dataplane_service_of(struct dataplane *plane, const struct ip *vip, uint8_t protocol, uint16_t port);
int dataplane_vip_set(struct dataplane *plane, const struct ip *vip, uint32_t flags, struct err *e);
/* 0 for what is no VIP. */
uint32_t dataplane_vip_flags(struct dataplane *plane, const struct ip *vip);
void dataplane_vip_clear(struct dataplane *plane, const struct ip *vip);

/* Walk all keys of services, the parts of a range one by one, or all VIPs. The callback must not change them. */
void dataplane_each_key(struct dataplane *plane,
			void (*each)(void *context, const struct dataplane_key *key, uint32_t number), void *context);
void dataplane_each_vip(struct dataplane *plane, void (*each)(void *context, const struct ip *vip), void *context);

/* ---- remembered flows, in dataplane_flows.c */

enum dataplane_table {
	DATAPLANE_UNPROVEN,
	DATAPLANE_FLOWS,
	DATAPLANE_TABLE_COUNT
};

struct dataplane_flow {
	struct hp_flow key;
	struct hp_remembered value;
};

#define DATAPLANE_FLOWS_A_STEP 2048

/* A walk over a table in steps. All zero: at its beginning. */
struct dataplane_walk {
	uint32_t batch; /* the kernel's mark */
	bool is_begun, is_over;
	uint32_t room;	/* entries that a step asks for, after a bucket that held more than it asked for */
	struct dataplane_flow *rows; /* owned; NULL before the first step */
	struct hp_flow *keys;
	void *values;
	uint32_t value_bytes; /* of the table's records, 0: as they are in this version; else: */
	void (*convert)(const void *record, void *out);
};

/* The next entries of a table. An entry that is there all the time is met; one that comes or goes meanwhile may be.
 *
 * Returns how many are in walk->rows until the next call, 0 at the end, or -errno with *e written. */
int dataplane_walk_flows(struct dataplane *plane, enum dataplane_table table, struct dataplane_walk *walk, struct err *e);
void dataplane_walk_end(struct dataplane_walk *walk);

/* Take an entry away, unless a packet has come since `flow` was read: then it stays. Returns whether it is gone. */
bool dataplane_flow_forget(struct dataplane *plane, enum dataplane_table table, const struct dataplane_flow *flow);

/* Sum of a flow event over all CPUs. */
uint64_t dataplane_flow_events(const struct dataplane *plane, enum hp_flow_event event);

/* Nothing is remembered, and no packet is in flight that may remember: packets need not ask the table of proven flows. */
void dataplane_hints_clear(struct dataplane *plane);

/* ---- guards, in dataplane_guard.c */

/* Write rows of a set that no service names yet. Returns 0, or -ENOSPC or another -errno with *e written and none of them
 * left. */
int dataplane_guard_write(struct dataplane *plane, const struct guard_row *rows, size_t count, struct err *e);

/* Take rows away, of a set that no packet looks into any more. */
void dataplane_guard_erase(struct dataplane *plane, const struct guard_row *rows, size_t count);

/* Call back for each row there is, in no order. Returns what the callback returns first that is not 0, or 0, or -errno with *e
 * written. */
int dataplane_guards_each(struct dataplane *plane, int (*each)(void *context, const struct guard_row *row), void *context,
			  struct err *e);

/* ---- servers of QUIC, in dataplane_quic.c */

/* Say which backend has an ID. Returns 0, or -E2BIG when there is no room, or another -errno. */
int dataplane_quic_set(struct dataplane *plane, const struct hp_quic_server *key, uint32_t backend);
void dataplane_quic_clear(struct dataplane *plane, const struct hp_quic_server *key);

/* Call back for each there is, until the callback returns other than 0. Returns that, or 0. */
int dataplane_quic_each(struct dataplane *plane,
			int (*call)(void *context, const struct hp_quic_server *key, uint32_t backend), void *context);

/* The boot clock, as packets read it. */
uint64_t dataplane_boot_ns(void);

/* Wait until no packet is in flight that may have seen what was replaced before this call: an RCU grace period. */
void dataplane_grace(struct dataplane *plane);

/* Sum a row of counters over all CPUs. */
void dataplane_service_sum(const struct dataplane *plane, uint32_t number, uint64_t cell[static HP_SERVICE_CELLS]);
void dataplane_backend_sum(const struct dataplane *plane, uint32_t number, uint64_t cell[static HP_BACKEND_CELLS]);
/* Packets among a row's cells that were sent to a backend, with ICMP errors about its flows. */
static inline uint64_t dataplane_sent(const uint64_t *cell)
{
	return cell[HP_FORWARDED] + cell[HP_ICMP_FORWARDED];
}

void dataplane_service_zero(struct dataplane *plane, uint32_t number);
void dataplane_backend_zero(struct dataplane *plane, uint32_t number);

/* The last packets dropped with a verdict, newest first. Returns how many there are. */
size_t dataplane_samples(const struct dataplane *plane, enum hp_verdict verdict, struct hp_sample out[static HP_SAMPLES_KEPT]);

/* ---- probes, in dataplane_probe.c */

/* By which marks packets are known as probes from now on; mark 0: none is. */
void dataplane_probe_marks(struct dataplane *plane, const struct config_probes *probes);

/* How often each event came since this process opened the data plane. */
void dataplane_probe_counts(const struct dataplane *plane, uint64_t count[static HP_PROBE_EVENT_COUNT]);

/* Have the interface's tc egress run this version's program.
 *
 * made_qdisc  set to true when the clsact qdisc had to be made for it; else left alone.
 * Returns 0, -EBUSY when somebody else's filter has its place (*e names it), or another -errno. */
int dataplane_probe_attach(struct dataplane *plane, const char *name, uint32_t ifindex, bool *made_qdisc, struct err *e);

/* Take our program off an interface's tc egress; needs no data plane. Returns whether it was there. */
bool dataplane_probe_detach(uint32_t ifindex);

/* Take the clsact qdisc away, with all filters that it may have. */
void dataplane_qdisc_remove(uint32_t ifindex);

/* The descriptor of the program that is attached; for tests. */
int dataplane_probe_program(const struct dataplane *plane);

/* Run the tracing twin, or the live program itself, on one frame.
 *
 * frame    `*bytes` long, in a buffer of `room` bytes; becomes the frame that would be sent.
 * ifindex  where it is said to have come in.
 * record   filled by the twin; NULL runs the live program, which counts.
 * Returns the XDP action, or -errno. */
int dataplane_run(struct dataplane *plane, void *frame, uint32_t *bytes, uint32_t room, uint32_t ifindex,
		  struct hp_trace *record, struct err *e);

#endif

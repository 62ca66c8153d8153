/* What the tracing twin of the director's program tells of a packet: a part of abi.h, which includes it. */
#ifndef HP_TRACE_ABI_H
#define HP_TRACE_ABI_H

#include <linux/types.h>

/* What a packet is to its flow. */
enum hp_packet_kind {
	HP_PACKET_UNDER_WAY,
	HP_PACKET_OPENING, /* TCP: SYN without ACK */
	HP_PACKET_FIN,
	HP_PACKET_RST,
	HP_PACKET_EITHER, /* UDP: opening or under way, nobody can tell */
	HP_PACKET_ABOUT, /* not of the flow, but about it: an ICMP error, a later fragment without its first. Writes nothing */
};

/* What a packet does to what is remembered of its flow. */
enum hp_deed {
	HP_DEED_NONE,
	HP_DEED_REMEMBER, /* as unproven, with the choice's backend and marks; in place of what was remembered, if any */
	HP_DEED_REFRESH,  /* marks, and the time of the last packet */
	HP_DEED_MARK,	  /* marks alone */
	HP_DEED_PROMOTE,  /* refresh, and move to the table of proven flows */
	HP_DEED_FORGET,
};

/* What the tracing twin of the program leaves in its map for the one packet it was run on. */
struct hp_trace {
	__u32 verdict;
	__u32 service; /* number, 0 none */
	__u32 ring;    /* block, 0 none */
	__u32 size;
	__u32 hash;
	__u32 slot;
	__u32 backend; /* number, 0 none */
	__u32 adjacency; /* index, 0 none: it met none */
	__u32 any_port;	 /* 1: the service was found by its address and protocol alone */
	__u32 motion;	 /* HP_MOTION_*; of a service that is steady and keeps no ring `before`, this and what follows is 0 */
	__u32 now;	 /* backend that the ring `now` names */
	__u32 before;	 /* backend that the ring `before` names */
	__u32 before_lives;
	__u32 asked;	 /* 1: the tables of flows were asked */
	__u32 known;	 /* backend that the flow is remembered with, 0: not remembered */
	__u32 known_lives;
	__u32 is_unproven;
	__u32 marks;	 /* HP_FLOW_* of what is remembered */
	__u32 kind;	 /* enum hp_packet_kind */
	__u32 deed;	 /* enum hp_deed that the packet would lead to */
	__u32 alternate; /* backend named for a second chance, 0: none */
	__u64 since_ns, seen_ns; /* of what is remembered, by the boot clock */
	__u32 guard;		 /* HP_GUARD_*: what judged the source; 0: the service has no lists */
	__u32 counts;		 /* 1: it opens a flow of a service with a limit: */
	__u64 owed_ns;		 /* what its source owes before it */
	__u64 first_ns; /* a later fragment: when its first one came, by the boot clock; 0: not known, or it is none */
	__u32 quic;	/* backend that its connection ID names, 0: none */
	__u32 zero;
};

#endif

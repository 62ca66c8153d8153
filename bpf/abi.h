/* What the data plane and the programs that feed it agree on: map keys, records, verdicts, the flow's hash.
 *
 * This, its parts abi_guard.h and flow_hash.h, and gre.h and gue.h, which are the backend's as well, are all that bpf/
 * and src/ share; they include nothing but the kernel's type names. Whatever is wider than eight bytes is immutable once a
 * packet can reach it: it is written aside, published by one aligned store of at most eight bytes, and used again only
 * after an RCU grace period. HP_ABI_VERSION grows with every change of a layout here; it is kept beside the pinned maps. */
#ifndef HP_ABI_H
#define HP_ABI_H

#include <linux/types.h>

#include "abi_guard.h"
#include "gre.h"
#include "flow_hash.h"
#include "gue.h"
#include "trace_abi.h"

#define HP_ABI_VERSION 3

/* ---- verdicts ------------------------------------------------------------------------------------------ */

/* One list: name, action, what it says. A verdict reached before a VIP is known may only pass.
 * Those below HP_BACKEND_CELLS are counted per backend as well. */
#define HP_VERDICTS(X)                                                                                     \
	X(CONTINUE, XDP_ABORTED, "no verdict yet")                                                         \
	X(FORWARDED, XDP_TX, "sent to a backend")                                                          \
	X(ICMP_FORWARDED, XDP_TX, "ICMP error sent to the backend of the flow it quotes")                  \
	X(TOO_BIG, XDP_DROP, "longer than the path to its backend takes")                                  \
	X(LOOPED, XDP_DROP, "came back from its backend, which lacks the VIP")                             \
	X(UNRESOLVED, XDP_DROP, "its backend has no adjacency")                                            \
	X(NO_HEADROOM, XDP_DROP, "no room in front of the packet for the new header")                      \
	X(NO_PORT, XDP_DROP, "the interface to its backend takes no redirected packets")                   \
	X(NO_BACKEND, XDP_DROP, "service has no usable backend")                                           \
	X(TOO_BIG_TOLD, XDP_TX, "longer than the path to its backend takes; its sender was told by ICMP")  \
	X(FRAGMENT, XDP_DROP, "later fragment, of whose first one nothing is known")                       \
	X(FRAGMENT_TINY, XDP_DROP, "fragment that does not leave the header of TCP or UDP whole")          \
	X(FRAGMENT_CLASH, XDP_DROP, "beginning of a datagram whose ID another one has, with another backend") \
	X(DENIED, XDP_DROP, "its source is denied by the service's lists of prefixes")                     \
	X(LIMITED, XDP_DROP, "opens one flow more than its source may in that time")                       \
	X(ANSWERED_ARP, XDP_TX, "ARP request for a VIP answered")                                          \
	X(ANSWERED_ND, XDP_TX, "neighbour solicitation for a VIP answered")                                \
	X(ANSWERED_ECHO, XDP_TX, "ping of a VIP answered")                                                 \
	X(VIP_SILENT, XDP_PASS, "ARP, ND or ping for a VIP that is down or not announced here")            \
	X(VIP_OTHER, XDP_PASS, "for a VIP, but of no service: another port or protocol")                   \
	X(NOT_VIP, XDP_PASS, "destination is not a VIP")                                                   \
	X(NOT_IP, XDP_PASS, "neither IPv4 nor IPv6 nor ARP, or to a multicast MAC address")                \
	X(MALFORMED, XDP_PASS, "truncated, or headers that do not add up")

enum hp_verdict {
#define HP_VERDICT_ENUM(name, action, text) HP_##name,
	HP_VERDICTS(HP_VERDICT_ENUM)
#undef HP_VERDICT_ENUM
		HP_VERDICT_COUNT
};

/* Senders are told of packets too big this often a second, and as often at once: each of them, and all on one CPU. */
#define HP_TELLINGS_OF_ONE 10
#define HP_TELLINGS_OF_ALL 1000
#define HP_TELLINGS_SENDERS 1024 /* that are told apart; those beyond share */

/* ---- services ------------------------------------------------------------------------------------------ */

/* The tables keys4 and keys6 say which service a VIP's packet belongs to, and which addresses are VIPs.
 *
 * A key is a VIP and what of it: hp_key_what(port, protocol), port 0 being any port; hp_key_block(), of 2^bits ports in a
 * row that begin at a multiple of as many, which ranges of ports are made of; or HP_WHAT_VIP for the bare address. Buckets
 * of four; a key whose bucket is full stands in one of the next HP_PROBES_MOST, and is counted in `passed` of those
 * before, so that a search ends at the first bucket that nobody passed. An entry becomes visible by `what`, which is
 * stored last; one that is taken away says HP_WHAT_GONE until a grace period has passed, since a packet may be about to
 * read its number. Packets read `what` and then the number, in the order that x86 keeps. */
#define HP_KEYS_A_BUCKET 4
#define HP_PROBES_MOST 32

/* The protocol in the keys of services of every protocol; number 255 is reserved (IANA). ICMP stays the director's. */
#define HP_PROTOCOL_ANY 255

#define HP_WHAT_FREE 0u
#define HP_WHAT_GONE 0xfe000000u
#define HP_WHAT_VIP 0xff000000u /* its number is flags: */
#define HP_VIP_UP 1u		/* a service of it has a usable backend, or may have flows: answer ARP, ND, ping */
#define HP_VIP_BLOCKS_SHIFT 8	/* and above it, at `bits`: keys of blocks of 2^bits ports may be there, 1 to 15 */
#define HP_BLOCK_BITS_MOST 15

struct hp_entry4 {
	__be32 vip;
	__u32 what;
	__u32 number; /* of the service: the index of its record */
	__u32 passed; /* of a bucket's first entry */
};

struct hp_entry6 {
	__be32 vip[4];
	__u32 what;
	__u32 number;
	__u32 passed;
	__u32 zero;
};

struct hp_bucket4 {
	struct hp_entry4 entry[HP_KEYS_A_BUCKET];
};

struct hp_bucket6 {
	struct hp_entry6 entry[HP_KEYS_A_BUCKET];
};

_Static_assert(sizeof(struct hp_bucket4) == 64, "hp_bucket4 is a cache line");
_Static_assert(sizeof(struct hp_bucket6) == 128, "hp_bucket6 is two");

/* Port and protocol (IPPROTO_TCP or IPPROTO_UDP) in one word, and out of it. */
static inline __attribute__((always_inline)) __u32 hp_key_what(__be16 port, __u8 protocol)
{
	return (__u32)protocol << 16 | port;
}

static inline __attribute__((always_inline)) __be16 hp_key_port(__u32 what)
{
	return (__be16)what;
}

static inline __attribute__((always_inline)) __u8 hp_key_protocol(__u32 what)
{
	return (__u8)(what >> 16);
}

/* The key of 2^bits ports from this one on, in host order. */
static inline __attribute__((always_inline)) __u32 hp_key_block(__u32 bits, __u32 port, __u8 protocol)
{
	__u32 first = port >> bits << bits;

	return bits << 24 | (__u32)protocol << 16 | (first & 0xff) << 8 | (first >> 8 & 0xff);
}

static inline __attribute__((always_inline)) __u32 hp_key_bits(__u32 what)
{
	return what >> 24;
}

/* The first bucket of a key in a table of 2^(64 - shift) buckets. */
static inline __attribute__((always_inline)) __u32 hp_key_bucket(__u64 x, __u32 shift)
{
	x ^= x >> 32;
	return (__u32)((x * 0xd6e8feb86659fd93ULL) >> shift);
}

static inline __attribute__((always_inline)) __u32 hp_key4_bucket(__be32 vip, __u32 what, __u32 shift)
{
	return hp_key_bucket(hp_pair(vip, what) * 0x9e3779b97f4a7c15ULL, shift);
}

static inline __attribute__((always_inline)) __u32 hp_key6_bucket(const __be32 *vip, __u32 what, __u32 shift)
{
	return hp_key_bucket(hp_pair(vip[0], vip[1]) * 0x9e3779b97f4a7c15ULL +
			     hp_pair(vip[2], vip[3]) * 0xbf58476d1ce4e5b9ULL + what * 0x94d049bb133111ebULL, shift);
}

/* Number 0 is no service: its row of counters holds the verdicts on packets of no service. */
struct hp_service {
	__u32 now;    /* block where the extent of the current ring begins; 0: no usable backend */
	__u32 before; /* block of the ring that a change has left, 0: none; and flags. Read and written as one with now */
};

_Static_assert(sizeof(struct hp_service) == 8, "hp_service is published by one store");

/* Blocks are numbered below this, so that flags have room above a block's number in `before`. */
#define HP_BLOCKS_MOST (1u << 26)
#define HP_BLOCK_MASK (HP_BLOCKS_MOST - 1)

/* What a service lives through; neither of the first two: it is steady. What each means for a packet is in rules.h. */
#define HP_MOTION_MOVING (1u << 31)
#define HP_MOTION_SETTLING (1u << 30)
#define HP_MOTION_ASKS (1u << 29) /* remembered flows may sit where both rings agree, so the table is always asked */
#define HP_MOTION_ANY (HP_MOTION_MOVING | HP_MOTION_SETTLING)
#define HP_MOTION_FLAGS (HP_MOTION_ANY | HP_MOTION_ASKS)

/* What a service has beyond the plain. Each says that its terms are to be read. */
#define HP_SERVICE_GUARDED (1u << 26) /* by lists of prefixes, or a limit of new flows */
#define HP_SERVICE_CLAMPS (1u << 27)  /* the MSS of its clients' SYNs */
#define HP_SERVICE_QUIC (1u << 28)    /* connection IDs of QUIC may name the server */
#define HP_SERVICE_FLAGS (HP_SERVICE_GUARDED | HP_SERVICE_CLAMPS | HP_SERVICE_QUIC)

/* What becomes of an IPv4 packet without DF that is longer than the path to its backend takes. */
enum hp_oversize {
	HP_OVERSIZE_ICMP, /* its sender is told, as if it had DF */
	HP_OVERSIZE_DROP,
};

#define HP_MSS_AUTO 1 /* as an MSS: what the path to the backend takes, headers left out */

/* The map `terms`, by service number: read by packets of services that have flags, so that all others pay nothing. Stands
 * before the flag that makes packets look. Each member is published by a store of its own; packets may see one before
 * another. */
struct hp_terms {
	__u32 guard; /* number of the set that judges its sources, 0: none */
	__u16 mss;   /* the most that a SYN may advertise, 0: any */
	__u8 oversize; /* enum hp_oversize; needs no flag */
	__u8 quic;     /* the codepoint of the configuration in the three high bits, bytes of a server's ID in the low four */
	__u32 limit; /* whose new flows are counted together, 0: nobody's; equal for all that share a limit */
	__u32 quic_service; /* whose servers' IDs are told apart from others'; equal for all VIPs and ports of a service */
	__u64 cost_ns;	/* of a new flow: the time after which its source may open another */
	__u64 burst_ns; /* how far a source may be ahead of that: the cost of all but the first of a burst */
};

_Static_assert(sizeof(struct hp_terms) == 32, "hp_terms is half a line");

/* How a service moves. */
struct hp_motion {
	__u64 until_s; /* boot clock: a service that moves starts settling; 0: not moving. For a daemon that starts anew */
	__u32 sticks;  /* a service of a group: the hp_key_what() that its clients are remembered under; 0: flows are */
	__u32 zero;
};

/* ---- QUIC ---------------------------------------------------------------------------------------------- */

#define HP_QUIC_ID_BYTES 15 /* of the longest server ID, draft-ietf-quic-load-balancers */

/* The map `quic_servers`: the number of the backend that has an ID in a service, for VIPs of each family. */
struct hp_quic_server {
	__u32 service; /* as in terms */
	__u8 is_ipv6;  /* the VIP */
	__u8 zero[3];
	__u8 id[HP_QUIC_ID_BYTES + 1]; /* zero-filled */
};

_Static_assert(sizeof(struct hp_quic_server) == 24, "hp_quic_server has padding");

/* ---- rings --------------------------------------------------------------------------------------------- */

#define HP_SLOTS_PER_BLOCK 16

/* A ring is an extent of blocks: a head, then its slots, each the number of a backend. Block 0 is of no ring. */
struct hp_ring_head {
	__u64 seed;
	__u32 size; /* slots, a prime */
	__u32 hash; /* enum hp_hash */
	__u64 fingerprint[2]; /* of members, weights, size, seed and hash; equal on all directors */
	__u64 zero[4];
};

union hp_block {
	struct hp_ring_head head;
	__u32 slot[HP_SLOTS_PER_BLOCK];
};

_Static_assert(sizeof(union hp_block) == 64, "hp_block is a cache line");

/* Blocks of a ring of so many slots. */
static inline __attribute__((always_inline)) __u32 hp_ring_blocks(__u32 size)
{
	return 1 + (size + HP_SLOTS_PER_BLOCK - 1) / HP_SLOTS_PER_BLOCK;
}

/* ---- backends ------------------------------------------------------------------------------------------ */

enum hp_method {
	HP_METHOD_NONE,
	HP_METHOD_L2,	       /* new MAC addresses */
	HP_METHOD_IPIP_4_IN_4, /* RFC 2003 */
	HP_METHOD_IPIP_6_IN_4, /* RFC 4213 */
	HP_METHOD_IPIP_4_IN_6, /* RFC 2473 */
	HP_METHOD_IPIP_6_IN_6, /* RFC 2473 */
	HP_METHOD_GUE_4_IN_4,  /* draft-ietf-intarea-gue, version 0 */
	HP_METHOD_GUE_6_IN_4,
	HP_METHOD_GUE_4_IN_6,
	HP_METHOD_GUE_6_IN_6,
	HP_METHOD_GRE_4_IN_4, /* RFC 2784; with a key RFC 2890 */
	HP_METHOD_GRE_6_IN_4,
	HP_METHOD_GRE_4_IN_6,
	HP_METHOD_GRE_6_IN_6,
	HP_METHOD_COUNT
};

/* Whether packets go by GUE, whose header has room for a second chance. */
static inline __attribute__((always_inline)) int hp_method_is_gue(__u32 method)
{
	return method >= HP_METHOD_GUE_4_IN_4 && method <= HP_METHOD_GUE_6_IN_6;
}

/* A backend's number belongs to {address, method}. Number 0 is no backend. */
struct hp_backend {
	__u32 adjacency; /* index of its adjacency; 0: unresolved, or dead */
	__u32 way;	 /* the same for probes, who ask the dead whether they live again; 0: unresolved */
};

_Static_assert(sizeof(struct hp_backend) == 8, "hp_backend is published by one store");

/* Adjacencies of a backend number: 2 x number and the next, used in turn, so that the one that packets see is
 * never written to. */
#define HP_ADJACENCIES_PER_BACKEND 2

/* Whose a number is. Packets read the address of a backend that they name for a second chance. */
struct hp_identity {
	__be32 address[4];
	__u32 method;	  /* enum hp_method; HP_METHOD_NONE: the number is free */
	__u32 departed_s; /* boot clock: since when it departs, taken out of a service; 0: it does not */
	__u32 zero[2];
};

_Static_assert(sizeof(struct hp_identity) == 32, "hp_identity has padding");

#define HP_OUTER_BYTES (40 + HP_GUE_BYTES) /* IPv6 and GUE; what is shorter stands at the beginning */

/* The finished way to a backend. */
struct hp_adjacency {
	__u32 ifindex; /* the physical port that it leaves by */
	__u32 backend; /* number */
	__u16 mtu;     /* longest IP packet, outer header included, that the path takes */
	__u8 method;   /* enum hp_method */
	__u8 l2_bytes; /* 14, 18 or 22: the part of l2 that is used, ethertype included */
	__u8 outer_bytes; /* 0, 20, 40; with GRE 4 or 8 more, with GUE 12 */
	__u8 on_link;	  /* 1: the destination MAC in l2 is the backend's own */
	__u16 outer_sum;  /* IPv4: folded sum of the outer IP header with length and checksum 0, as it lies in memory */
	__be32 address[4]; /* the backend, IPv4 as mapped IPv6 */
	__be32 source_mask; /* bits of the outer source's last word that vary with the flow's hash */
	__u8 l2[24];	    /* destination, source, tags, ethertype; zero-filled */
	__u8 outer[HP_OUTER_BYTES]; /* lengths, checksums and UDP source port 0 */
	__be32 own[4]; /* this host's own source for probes, where the outer source is a prefix; zeros: as in outer */
};

_Static_assert(sizeof(struct hp_adjacency) == 128, "hp_adjacency is two lines");

/* ---- interfaces ---------------------------------------------------------------------------------------- */

#define HP_INTERFACES_MOST 64

struct hp_interface {
	__u8 mac[6];
	__u8 announce; /* 1: answer ARP and ND for VIPs here */
	__u8 zero;
};

_Static_assert(sizeof(struct hp_interface) == 8, "hp_interface is published by one store");

/* The table interfaces, searched from its beginning: where the program is attached. */
struct hp_interface_row {
	__u32 ifindex; /* 0: nobody's; stored last */
	__u32 zero;
	struct hp_interface interface;
};

/* ---- remembered flows ---------------------------------------------------------------------------------- */

/* A flow that a change put at risk. The key is struct hp_flow, its zeroes zero. In one of two maps: `unproven`, where
 * the least recently used makes room, and `flows`, which a packet at least HP_PROVEN_AFTER_NS later promotes it to and
 * which evicts nobody. Packets write single members in place; the daemon removes entries. */
struct hp_remembered {
	__u64 since_ns; /* boot clock: when it was remembered */
	__u64 seen_ns;	/* when its last packet came that counts */
	__u32 backend;	/* number; read as one with check: */
	__u32 check;	/* hp_flow_check() of its key: an entry may be another flow's before a packet that found it has read it */
	__u32 marks;
	__u32 zero;
};

_Static_assert(sizeof(struct hp_remembered) == 32, "hp_remembered has padding");

#define HP_FLOW_OPENED 1u /* it was remembered by its opening packet; else it was met under way */
#define HP_FLOW_FIN 2u	  /* the client has said that it will send no more */
#define HP_FLOW_RST 4u	  /* a packet that may have been forged said that it is over */
#define HP_FLOW_CLOSING (HP_FLOW_FIN | HP_FLOW_RST)

/* The map `hints`: a bit for each value of some of a check's bits. 0: `flows` holds no flow of such a check, and need not be
 * asked. Set before an entry is; the daemon clears all when nothing is remembered, and sets all when it adopts maps. */
#define HP_HINT_WORDS (1u << 17) /* 1 MB, 8 million bits */
#define HP_HINT_SHIFT 9

static inline __attribute__((always_inline)) __u32 hp_hint_word(__u32 check)
{
	return check >> (HP_HINT_SHIFT + 6);
}

static inline __attribute__((always_inline)) __u64 hp_hint_bit(__u32 check)
{
	return 1ULL << (check >> HP_HINT_SHIFT & 63);
}

_Static_assert((~0u >> (HP_HINT_SHIFT + 6)) < HP_HINT_WORDS, "a hint has no word");

#define HP_PROVEN_AFTER_NS 1000000000ULL
#define HP_CLOSING_NS 60000000000ULL /* silence after which a closing flow is forgotten */

/* One list: name, what it says. What packets did to the tables. */
#define HP_FLOW_EVENTS(X)                                                                        \
	X(REMEMBERED, "flows remembered, not yet proven")                                        \
	X(PROMOTED, "flows proven by a packet a second later")                                   \
	X(REOPENED, "remembered flows opened anew, with another backend")                        \
	X(FORGOTTEN, "remembered flows opened anew, which need no memory")                       \
	X(NOT_REMEMBERED, "flows that the table of unproven flows did not take")                 \
	X(NOT_PROMOTED, "packets of proven flows that the full table of flows did not take")     \
	X(STRANDED, "packets of remembered flows whose backend is dead, sent to another")        \
	X(FOLLOWED, "later fragments sent where their first one went")

enum hp_flow_event {
#define HP_FLOW_EVENT_ENUM(name, text) HP_FLOW_##name##_EVENT,
	HP_FLOW_EVENTS(HP_FLOW_EVENT_ENUM)
#undef HP_FLOW_EVENT_ENUM
		HP_FLOW_EVENT_COUNT
};

#define HP_FLOW_EVENT_CELLS 8

/* A row for each CPU and one for the daemon, a page long. */
struct hp_flow_counts {
	__u64 cell[HP_FLOW_EVENT_CELLS];
	__u64 zero[512 - HP_FLOW_EVENT_CELLS];
};

_Static_assert(sizeof(struct hp_flow_counts) == 4096, "hp_flow_counts is a page");
_Static_assert(HP_FLOW_EVENT_COUNT <= HP_FLOW_EVENT_CELLS, "a flow event has no cell");

/* ---- fragments ------------------------------------------------------------------------------------------ */

/* What the fragments of a datagram have in common (RFC 791, 3.2; RFC 8200, 4.5). */
struct hp_fragment_key {
	__be32 source[4]; /* as in struct hp_flow */
	__be32 destination[4];
	__be32 id;     /* of IPv4 16 bits */
	__u8 protocol; /* of IPv4; fragments of one datagram of IPv6 may name different ones */
	__u8 is_ipv6;
	__u8 zero[2];
};

/* Where the first of them went: in the map `fragments`, where the least recently used makes room. */
struct hp_fragment {
	__u64 first_ns; /* boot clock: when it came */
	__u32 backend;	/* number; read as one with check: */
	__u32 check;	/* of the key and of the backend's identity; the entry may be another datagram's by now */
	__u32 service;
	__u32 hash;
};

_Static_assert(sizeof(struct hp_fragment_key) == 40, "hp_fragment_key has padding");
_Static_assert(sizeof(struct hp_fragment) == 24, "hp_fragment has padding");

#define HP_FRAGMENT_NS 30000000000ULL	 /* what reassembly waits for, mostly */
#define HP_FRAGMENT_OWN_NS 1000000000ULL /* for so long the ID is taken to be that datagram's */

/* ---- counters ------------------------------------------------------------------------------------------ */

/* Index in a map of counters: cpu x stride + number. A stride makes each CPU's part begin on a page. Behind those of all
 * CPUs there is one more part, the daemon's: what was counted in maps that others have replaced.
 * cell[verdict] counts packets; as no packet ends with HP_CONTINUE, cell[0] holds the bytes of those forwarded:
 * IP packets as they came, without link header and padding. */
#define HP_CELL_BYTES 0
#define HP_SERVICE_CELLS 32
#define HP_BACKEND_CELLS 8

struct hp_service_counts {
	__u64 cell[HP_SERVICE_CELLS];
};

struct hp_backend_counts {
	__u64 cell[HP_BACKEND_CELLS]; /* verdicts below HP_BACKEND_CELLS are those reached after the pick */
};

_Static_assert(HP_VERDICT_COUNT <= HP_SERVICE_CELLS, "a verdict has no cell");
_Static_assert(HP_NO_PORT == HP_BACKEND_CELLS - 1, "backend verdicts come first");

/* ---- probes -------------------------------------------------------------------------------------------- */

/* One list: name, what it says. What became of packets that the host sends, at the interface that probes leave by. */
#define HP_PROBE_EVENTS(X)                                                                      \
	X(SENT, "probes sent to their backend")                                                \
	X(UNMARKED, "packets of this host to a VIP that are no probes, dropped")               \
	X(LOOPED, "packets to a VIP about to be sent back by the interface they came in by, dropped") \
	X(NOT_VIP, "packets with the mark of a probe that are not for a VIP, dropped")         \
	X(UNRESOLVED, "probes of a backend that has no adjacency, dropped")                    \
	X(TOO_BIG, "probes longer than the path to their backend takes, dropped")              \
	X(NO_ROOM, "probes that the kernel gave no room for another header, dropped")

enum hp_probe_event {
#define HP_PROBE_EVENT_ENUM(name, text) HP_PROBE_##name,
	HP_PROBE_EVENTS(HP_PROBE_EVENT_ENUM)
#undef HP_PROBE_EVENT_ENUM
		HP_PROBE_EVENT_COUNT
};

/* By which mark the program knows probes, and how far they may go. */
struct hp_probe_marks {
	__u32 mark; /* 0: there are none; read as one with mask */
	__u32 mask; /* its zeros hold the backend's number */
	__u32 hops; /* the TTL or hop limit of a probe */
	__u32 zero;
};

_Static_assert(sizeof(struct hp_probe_marks) == 16, "hp_probe_marks has padding");

/* ---- pins ---------------------------------------------------------------------------------------------- */

/* What a daemon that finds the maps has to know of them before it touches them. */
struct hp_meta {
	__u32 abi; /* HP_ABI_VERSION; 0: being made, or abandoned while being made */
	__u32 cpus;
	__u32 service_stride;
	__u32 backend_stride;
	__u64 taken_ns; /* boot clock: flows remembered before were taken over from the maps in place of which these are */
};

/* ---- trace: see trace_abi.h ------------------------------------------------------------------------------- */

#endif

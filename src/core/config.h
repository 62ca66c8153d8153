/* A configuration as the rest of the program sees it: validated, complete, every default filled in.
 *
 * What a text means is in config_parse.h. A config and its services are immutable once made; services are
 * counted references, so that a configuration with one service changed shares all the others. */
#ifndef HP_CORE_CONFIG_H
#define HP_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

struct guard;

#define CONFIG_MSS_AUTO UINT16_MAX
#define CONFIG_MSS_LEAST 256 /* where a mistake is more likely than a network that needs it */

#define CONFIG_SEED_DEFAULT 0x68616c6670726f78ULL
/* Room for flows that are remembered, and for those that have yet to prove themselves, where the file says auto. */
#define CONFIG_FLOWS_AUTO    1048576u
#define CONFIG_UNPROVEN_AUTO 262144u
#define CONFIG_PROBES_MARK  0x48000000u
#define CONFIG_PROBES_MASK  0xff000000u
#define CONFIG_PROBES_TABLE 4848u
#define CONFIG_PROBES_HOPS  1u
/* Routing table of announced VIPs, and the times that go with them, where the file says nothing. */
#define CONFIG_ANNOUNCE_TABLE	  248u /* FRR imports tables up to 252 */
#define CONFIG_ANNOUNCE_WARMUP_S  10u
#define CONFIG_ANNOUNCE_REFRESH_S 60u
#define CONFIG_API_SOCKET "/run/halfproxy/api.sock"
#define CONFIG_API_GROUP "halfproxy"

enum config_forward {
	CONFIG_FORWARD_L2,
	CONFIG_FORWARD_IPIP,
	CONFIG_FORWARD_GUE,
	CONFIG_FORWARD_GRE,
};

/* Whether the flows of a service of UDP stay with their backend through a change. Those of TCP do. */
enum config_affinity {
	CONFIG_AFFINITY_FLOW,
	CONFIG_AFFINITY_NONE, /* every packet follows the ring */
};

enum config_mode {
	CONFIG_MODE_AUTO, /* native where the driver can, else generic */
	CONFIG_MODE_NATIVE,
	CONFIG_MODE_GENERIC,
};

/* Whether an interface is to leave VLAN tags in packets, where XDP sees them. */
enum config_vlan {
	CONFIG_VLAN_AUTO, /* where there are VLANs on it */
	CONFIG_VLAN_ON,
	CONFIG_VLAN_OFF, /* its setting is left alone */
};

struct config_interface {
	char *name;
	bool announce; /* answer ARP and ND for VIPs here */
	enum config_mode mode;
	enum config_vlan vlan;
};

/* What a probe asks. */
enum config_probe {
	CONFIG_PROBE_TCP,
	CONFIG_PROBE_HTTP,
	CONFIG_PROBE_HTTPS,
	CONFIG_PROBE_UDP,
	CONFIG_PROBE_DNS,
	CONFIG_PROBE_ICMP,
	CONFIG_PROBE_SCRIPT,
	CONFIG_PROBE_COUNT,
};

#define CONFIG_CODES_MOST 16

/* Codes of HTTP from one to another, both included; in order and apart where there are several. */
struct config_codes {
	uint16_t first, last;
};

/* How backends are probed. What a kind does not take is NULL or 0. Counted references, as copies of a service share it. */
struct config_health {
	unsigned int references;
	enum config_probe type;
	bool via_backend;		    /* asks the backend's own address, not the VIP */
	uint16_t port;			    /* host order; 0: the service's */
	char *path, *host;		    /* http, https; host NULL: the address that is asked */
	struct config_codes status[CONFIG_CODES_MOST]; /* of http, that are accepted */
	size_t status_count; /* the others are zeros */
	char *send;			    /* udp */
	size_t send_bytes; /* icmp: of the payload, at least */
	char *expect; /* udp: how the answer begins; http: a text in the body; dns: an address in the answer; NULL: any */
	size_t expect_bytes;
	char *name; /* dns: what is asked for */
	uint16_t record; /* dns: of which type: 1 A, 28 AAAA, ... */
	char **command;	 /* script: its words, ended by NULL */
	char *ca, *certificate, *key; /* https: files */
	bool verify;		      /* https: the certificate has to hold */
	uint32_t interval_ms;	      /* from probe to probe */
	uint32_t doubt_ms;	      /* the same while in doubt; at most interval_ms */
	uint32_t timeout_ms;	      /* at most interval_ms */
	uint32_t rise, fall;
};

/* What becomes of a service when fewer backends are up than it needs. */
enum config_all_down {
	CONFIG_ALL_DOWN_DROP,	  /* it is down */
	CONFIG_ALL_DOWN_ALL,	  /* all get flows, as if all were up */
	CONFIG_ALL_DOWN_FALLBACK, /* those kept for this do */
};

/* What becomes of the flows of a backend that fails its checks and can be reached. */
enum config_on_down {
	CONFIG_ON_DOWN_DRAIN, /* they stay */
	CONFIG_ON_DOWN_RESET, /* they go where new ones go */
};

/* Ports in a row, host order; 0 to 0: any port. */
struct config_ports {
	uint16_t first, last;
};

#define CONFIG_PORTS_MOST 64 /* of a service: single ones and ranges */
#define CONFIG_PORT_TEXT_BYTES 12
#define CONFIG_PORTS_TEXT_BYTES (CONFIG_PORTS_MOST * CONFIG_PORT_TEXT_BYTES)

struct config_backend {
	struct ip address;
	uint32_t weight;
	uint8_t quic_bytes; /* of: */
	uint8_t quic_id[15]; /* the server's ID in connection IDs of QUIC */
	uint32_t is_fallback; /* gets flows only when too few of the others are up, and is not probed */
};

/* How many flows a source may open: an IPv4 address, or the first 64 bits of an IPv6 one. */
struct config_limit {
	uint32_t new_flows; /* within per_s; 0: as many as it likes */
	uint32_t per_s;
	uint32_t burst; /* at once, after a pause */
};

/* What a check asks: a health, on this port; 0 where it asks none. */
struct config_ask {
	struct config_health *health; /* a reference */
	uint16_t port;
};

struct config_service {
	unsigned int references;
	char *name;
	char *group; /* NULL: none. Else a client of any of its services stays with one backend, and is remembered as one: */
	uint16_t lead_port;    /* as if of the first port and the protocol of the group's first service */
	uint8_t lead_protocol;
	struct config_ask *peers; /* what other services of the group ask: who fails that is out of this one, too */
	size_t peer_count;
	struct ip *vips;
	size_t vip_count;
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP or HP_PROTOCOL_ANY */
	struct config_ports *ports; /* in the order of the file; none lies in another */
	size_t port_count;	    /* at least 1 */
	enum config_forward forward;
	uint32_t hash;	/* enum hp_hash */
	uint32_t quic_rotation; /* of HP_HASH_QUIC: the codepoint of the configuration, 0 to 6 */
	uint32_t slots; /* a ring's size; `auto` is already worked out */
	uint64_t seed;
	enum config_affinity affinity;
	uint32_t window_s;     /* how long after a change a flow that is not remembered follows the ring of before; 0: never */
	uint32_t slow_start_s; /* until a new or recovered backend has its whole weight; 0: at once */
	uint32_t deadline_s;   /* how long flows may stay with a backend that was taken out; 0: not at all */
	struct config_backend *backends; /* in the order of the file, those of `fallback` last */
	size_t backend_count;
	size_t fallback_count;	      /* of them */
	struct config_health *health; /* a reference; NULL: not probed */
	uint32_t min_up;	      /* backends, or with min_up_is_percent a share of those with weight */
	bool min_up_is_percent;
	enum config_all_down when_all_down;
	enum config_on_down on_down;
	struct guard *guard; /* a reference; NULL: everybody may use it */
	struct config_limit limit;
	uint8_t oversize; /* enum hp_oversize */
	uint16_t mss; /* that a client's SYN may advertise; 0: any, CONFIG_MSS_AUTO: by the path to the backend */
	uint32_t line; /* where it stands in the text, from 1 */
};

/* How many of each the data plane has room for; 0 is auto: what the configuration needs, twice, and a floor; of flows
 * CONFIG_FLOWS_AUTO and CONFIG_UNPROVEN_AUTO. */
struct config_limits {
	uint32_t services;
	uint32_t backends;
	uint32_t slots;
	uint32_t flows;	   /* remembered and proven */
	uint32_t unproven; /* remembered for a second or so, and not heard of again yet */
	uint32_t prefixes; /* of allow and deny, of all services that differ */
	uint32_t sources;  /* whose new flows are counted */
	uint32_t fragments; /* datagrams in fragments whose first one has come */
};

/* Outer source of tunnels: bits == family width is one address; fewer, and it varies with the flow within the
 * prefix. set == false: the address that the route to the backend prefers. */
struct config_source {
	bool set;
	struct prefix prefix;
};

/* What is the same for all tunnels. */
struct config_tunnel {
	struct config_source source4;
	struct config_source source6;
	bool has_gre_key;
	uint32_t gre_key; /* host order */
};

/* How probes find their way to a VIP: the firewall mark of their sockets is `mark` and, in the bits that `mask` leaves free,
 * the lowest ones, the number of their backend; one routing rule leads what bears it to `table`. */
struct config_probes {
	uint32_t mark, mask; /* mark lies within mask, and is not 0 */
	uint32_t table;
	uint32_t hops; /* the TTL or hop limit that a probe arrives with at its backend */
};

/* How the world learns where VIPs are. */
struct config_announce {
	uint32_t table;	    /* of the routes to VIPs that are up; 0: none are kept */
	uint32_t warmup_s;  /* a VIP whose probes have not finished is announced after that */
	uint32_t refresh_s; /* each VIP is announced that often by gratuitous ARP or ND; 0: never */
	bool starts_standby; /* a director that has not been told whether it is active */
};

struct config {
	struct config_interface *interfaces;
	size_t interface_count;
	struct config_service **services; /* in the order of the file */
	size_t service_count;
	struct config_limits limits;
	struct config_tunnel tunnel;
	struct config_probes probes;
	struct config_announce announce;
	char *api_socket;
	char *api_group;
};

/* Free the configuration and drop its references. NULL is fine. */
void config_free(struct config *config);

struct config_service *config_service_hold(struct config_service *service);
void config_service_drop(struct config_service *service);

struct config_health *config_health_hold(struct config_health *health);
void config_health_drop(struct config_health *health);

/* Whether two are configured the same; either may be NULL, which is equal to NULL only. */
bool config_health_equal(const struct config_health *a, const struct config_health *b);

/* What the service's own health asks; health may be NULL. */
struct config_ask config_own_ask(const struct config_service *service);

/* Whether its backends are probed, by its own health or by that of its group. */
bool config_is_probed(const struct config_service *service);

/* Whether two are of one group, or the same. */
bool config_is_together(const struct config_service *a, const struct config_service *b);

/* A copy that shares the services. NULL when memory is out. */
struct config *config_copy(const struct config *config);

/* Give service number `index` another weight at its backend number `backend`. The service is replaced by a copy, so
 * that configurations which share it keep theirs. Returns false, nothing changed, when memory is out. */
bool config_set_weight(struct config *config, size_t index, size_t backend, uint32_t weight);

/* Whether two services are configured the same, in everything but the line they stand on. */
bool config_service_equal(const struct config_service *a, const struct config_service *b);

/* Whether two outer sources are the same; those not set are. */
bool config_source_equal(const struct config_source *a, const struct config_source *b);

/* Whether tunnels' headers are the same by both. */
bool config_tunnel_equal(const struct config_tunnel *a, const struct config_tunnel *b);

/* Index of the service of that name, or -1. */
ptrdiff_t config_find_service(const struct config *config, const char *name);

/* What a new flow costs its source in time; 0: there is no limit. */
uint64_t config_limit_cost_ns(const struct config_limit *limit);

/* Whether a packet may name a second backend, for the first to pass it on to when it has no socket for it. */
bool config_has_second_chance(const struct config_service *service);

/* The service's ports as they are written: 80, 80,443,8000-8100, or any. Returns text. */
const char *config_ports_format(const struct config_service *service, char text[static CONFIG_PORTS_TEXT_BYTES]);

/* The same of one: 80, 8000-8100, or any. */
const char *config_port_format(const struct config_ports *ports, char text[static CONFIG_PORT_TEXT_BYTES]);

/* Whether it serves any port. */
bool config_has_any_port(const struct config_service *service);

const char *config_forward_name(enum config_forward forward);
const char *config_hash_name(uint32_t hash);

/* A server ID in hexadecimal digits, "" for none. Returns text. */
#define CONFIG_QUIC_ID_TEXT_BYTES 32
const char *config_quic_id_format(const struct config_backend *backend, char text[static CONFIG_QUIC_ID_TEXT_BYTES]);
const char *config_oversize_name(uint8_t oversize);
const char *config_affinity_name(enum config_affinity affinity);
/* Of a service's protocol, or a flow's; those without a name here are "other". */
const char *config_protocol_name(uint8_t protocol);
const char *config_probe_name(enum config_probe probe);
const char *config_all_down_name(enum config_all_down what);
const char *config_on_down_name(enum config_on_down what);

#endif

/* The host as both doctors look at it: links, addresses, neighbours and rules of this network namespace, settings, counters,
 * and what the kernel offers. Nothing here changes anything. The only speaker of rtnetlink among the doctors' files. */
#ifndef HP_DOCTOR_LOOK_H
#define HP_DOCTOR_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "core/judge_filter.h"
#include "core/judge_host.h"
#include "core/judge_nic.h"

struct look_link {
	uint32_t ifindex, mtu, flags; /* IFF_… */
	char name[16], kind[16];      /* kind: "veth", "vlan", "ipip"; "" for a card */
	uint8_t mac[6];
	bool is_ethernet;
	enum judge_xdp xdp;
	uint32_t xdp_program;
};

struct look_address {
	struct ip ip;
	uint8_t bits;
	uint32_t ifindex, flags; /* IFA_F_… */
};

struct look_neighbour {
	struct ip ip;
	uint32_t ifindex;
	uint8_t mac[6];
};

/* What there is; owned, and freed by look_free. */
struct look {
	struct look_link *links;
	struct look_address *addresses;
	struct look_neighbour *neighbours;
	struct judge_rule *rules;
	size_t link_count, address_count, neighbour_count, rule_count;
};

int look_at(struct look *out, struct err *e);
void look_free(struct look *look);

/* NULL where there is none. */
const struct look_link *look_link_named(const struct look *look, const char *name);
const struct look_link *look_link_numbered(const struct look *look, uint32_t ifindex);

/* A setting below /proc/sys as a number; `otherwise` where there is none. */
long look_sysctl(const char *path, long otherwise);

/* max(all, interface) of an IPv4 setting, by which many of them count. */
long look_effective(const char *interface, const char *name);

/* A counter of /proc/net/snmp or /proc/net/netstat, such as "Ip" "InAddrErrors"; -1 where the kernel has none. */
long long look_counter(const char *group, const char *name);

/* How many packets connection tracking called invalid; -1 where it does not tell. */
long long look_invalid(void);

/* Kernel and limits; pid of the process whose limit of open files counts, 0 this one. */
void look_host(struct judge_host *out, int pid);

/* What ethtool says of a link. */
void look_nic(const struct look_link *link, struct judge_nic *out);

/* The name of a loaded BPF program, "" where it is not told. Returns name. */
const char *look_program(uint32_t number, char name[static 16]);

/* Run a program found in PATH or beside the system's own, its standard output into a text of at most `most` bytes that the
 * caller frees. NULL where it is not there, fails, or says more. */
char *look_run(const char *const *argv, size_t most);

/* The packet filters' rules: what nft and iptables-save say, judged. Says of each that was not looked at. */
void look_filters(const struct judge_filter *what, struct findings *findings);

#endif

/* Rules of the host's packet filters and of its routing that get in the way of Direct Server Return. Pure: they are read
 * from what `nft -j list ruleset` and `iptables-save` print, and from routing rules as rtnetlink tells them. */
#ifndef HP_CORE_JUDGE_FILTER_H
#define HP_CORE_JUDGE_FILTER_H

#include <jansson.h>

#include "base/ip.h"
#include "core/findings.h"

/* Whose host it is, and what is to pass there. */
struct judge_filter {
	const struct ip *vips;
	size_t vip_count;
	bool is_director;
	uint32_t mark, mask; /* of probes, on a director */
};

/* Rules that drop what connection tracking calls invalid, before the VIPs' packets were let pass; on a director also those
 * that set marks of outgoing packets. One item each, none where there are none. ruleset is the whole answer of nft. Returns
 * how many were found, or -1 for what is no ruleset. */
int judge_nft(const struct judge_filter *what, const json_t *ruleset, struct findings *findings);

/* The same of a text that iptables-save or ip6tables-save printed; command is the program without -save. */
int judge_iptables(const struct judge_filter *what, const char *command, const char *text, struct findings *findings);

/* A routing rule. */
struct judge_rule {
	uint32_t priority, mark, mask, table;
	int family;		/* AF_… */
	bool has_selector;	/* it asks for a source, an interface or the like, which a probe may not have */
	bool is_lookup;		/* it names a table, and does not just refuse or go on */
};

/* Whether the rule for probes is there, and whether one before it takes them, the table `local` excepted. */
void judge_rules(const struct judge_rule *rules, size_t count, uint32_t mark, uint32_t mask, struct findings *findings);

#endif

/* The reverse path filter: see rp_filter.h. */
#include "doctor/rp_filter.h"

#include <stdio.h>
#include <string.h>

#define STRICT 1
#define LOOSE 2

static bool has_address4(const struct look *look, const struct look_link *link)
{
	for (size_t i = 0; i < look->address_count; i++)
		if (look->addresses[i].ifindex == link->ifindex && ip_is4(&look->addresses[i].ip))
			return true;
	return false;
}

static void put_command(struct finding *item, const char *link, const char *value)
{
	char one[CAUSE_COMMAND_BYTES];
	size_t at = strlen(item->command);

	cause_command(CAUSE_RP_FILTER, (const char *const[]){"if", link, "value", value, NULL}, one);
	snprintf(item->command + at, sizeof(item->command) - at, "%s%s", at ? " && " : "", one);
}

struct finding *rp_filter_judge(const struct look *look, const struct look_link *link, const char *harm,
				struct findings *findings)
{
	long all = look_sysctl("net/ipv4/conf/all/rp_filter", 0), counts = look_effective(link->name, "rp_filter");
	bool has_address = has_address4(look, link);
	const char *value = has_address ? "2" : "0";
	struct finding *item;
	char path[128];

	if (counts != STRICT && (counts != LOOSE || has_address))
		return NULL;
	item = findings_add(findings, FINDING_WRONG, CAUSE_RP_FILTER, "rp_filter",
			    counts == STRICT ? "strict on %s, %s" : "loose on %s, which has no IPv4 address, %s", link->name,
				harm);
	finding_evidence(item, "max(all %ld, %s) = %ld; it has dropped %lld packets (TcpExtIPReversePathFilter)", all, link->name,
			 counts, look_counter("TcpExt", "IPReversePathFilter"));
	/* The larger value counts, and `all` is others' as well: nobody changes it unasked. */
	if (!has_address && all)
		put_command(item, "all", value);
	put_command(item, link->name, value);
	snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", link->name);
	if (has_address || !all)
		finding_fix(item, FINDING_FIX_SYSCTL, path, value);
	return item;
}

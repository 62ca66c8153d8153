/* The doctor on the way of packets: interface, reverse path filter, the way back: see doctor.h. */
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "backend/doctor.h"
#include "backend/host.h"
#include "doctor/rp_filter.h"


/* ---- interface and route -------------------------------------------------------------------------------------------------- */

static void judge_interface(struct doctor *doctor)
{
	const char *name = doctor->setup.interface;
	const struct look_link *link = look_link_named(&doctor->look, name);
	struct finding *item;

	if (!link) {
		findings_add(doctor->findings, FINDING_WRONG, CAUSE_INTERFACE_DOWN, "interface",
			     "%s, where packets arrive, is gone", name);
	} else if (!(link->flags & IFF_UP) || !(link->flags & IFF_RUNNING)) {
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_INTERFACE_DOWN, "interface",
				    "%s, where packets arrive, %s", name, link->flags & IFF_UP ? "has no carrier" : "is down");
		if (!(link->flags & IFF_UP))
			finding_command(item, (const char *const[]){"if", name, NULL});
	} else if (doctor->setup.ifindex && link->ifindex != doctor->setup.ifindex) {
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_PROGRAM_OLD, "interface",
				    "%s was made anew, and what hung on it is gone", name);
		finding_evidence(item, "it is number %u, and was %u", link->ifindex, doctor->setup.ifindex);
		doctor_by_up(doctor, item);
	} else {
		findings_ok(doctor->findings, "interface", "packets arrive by %s, MTU %u", name, link->mtu);
	}
}

/* Towards anybody; the addresses are those of documentation, which nobody has. */
static void judge_route(struct doctor *doctor, int family)
{
	struct ip far4 = {{[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 51, [14] = 100, [15] = 1}};
	struct ip far6 = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
	char interface[16];
	struct err e;

	if (!setup_has_family(&doctor->setup, family))
		return;
	if (host_route_interface(family == 4 ? &far4 : &far6, interface, &e))
		findings_ok(doctor->findings, "route", "answers of IPv%d leave by %s", family, interface);
	else
		finding_evidence(findings_add(doctor->findings, FINDING_WARNING, CAUSE_NO_ROUTE_BACK, "route",
					     "there is no default route of IPv%d: clients elsewhere get no answer", family),
				"no route to %s", family == 4 ? "198.51.100.1" : "2001:db8::1");
}

/* ---- reverse path filter -------------------------------------------------------------------------------------------------- */

static const char *const tunnel_kinds[] = {"ipip", "sit", "ip6tnl", "gre", "ip6gre", "fou"};

static bool is_tunnel(const struct look_link *link)
{
	for (size_t i = 0; i < sizeof(tunnel_kinds) / sizeof(tunnel_kinds[0]); i++)
		if (!strcmp(link->kind, tunnel_kinds[i]))
			return true;
	return false;
}

/* Where packets of VIPs come up to the kernel: the interface, the VLANs on it, and tunnels of the kernel. */
static bool is_in_path(const struct doctor *doctor, const struct look_link *link)
{
	struct host_vlan vlans[HOST_VLANS_MOST];
	size_t count;

	if (!strcmp(link->name, doctor->setup.interface) || is_tunnel(link))
		return true;
	count = strcmp(link->kind, "vlan") ? 0 : host_read_vlans(doctor->setup.interface, vlans);
	for (size_t i = 0; i < count; i++)
		if (vlans[i].ifindex == link->ifindex)
			return true;
	return false;
}

static void judge_rp_filter(struct doctor *doctor)
{
	size_t wrong = 0, count = 0;

	for (size_t i = 0; i < doctor->look.link_count; i++) {
		const struct look_link *link = &doctor->look.links[i];
		struct finding *item;

		if (!(link->flags & IFF_UP) || !is_in_path(doctor, link))
			continue;
		count++;
		item = rp_filter_judge(&doctor->look, link, "which drops clients whose route leads by another interface",
				       doctor->findings);
		/* `up` makes a strict one loose, and remembers what the interface's own was, for `down`. */
		if (item && !strcmp(item->value, "2") && !strcmp(link->name, doctor->setup.interface) && doctor->can_up)
			finding_fix(item, FINDING_FIX_UP, NULL, NULL);
		wrong += item != NULL;
	}
	if (!wrong)
		findings_ok(doctor->findings, "rp_filter", "drops on none of %zu interfaces in the path", count);
}

/* What the kernel dropped since it came up; what it means now the other items say. */
static void tell_counters(struct doctor *doctor)
{
	findings_ok(doctor->findings, "counters",
		    "IpInAddrErrors %lld (for addresses that were not here), IpInUnknownProtos %lld and UdpNoPorts %lld (tunnels "
		    "that nobody opens, by ipip and gue, and others), TcpExtIPReversePathFilter %lld",
		    look_counter("Ip", "InAddrErrors"), look_counter("Ip", "InUnknownProtos"), look_counter("Udp", "NoPorts"),
		    look_counter("TcpExt", "IPReversePathFilter"));
}

void doctor_way(struct doctor *doctor)
{
	judge_interface(doctor);
	if (setup_has_family(&doctor->setup, 4))
		judge_rp_filter(doctor);
	tell_counters(doctor);
	judge_route(doctor, 4);
	judge_route(doctor, 6);
}

/* The doctor on the way of packets: interface, reverse path filter, tunnels, MSS, the way back: see doctor.h. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backend/doctor.h"
#include "backend/host.h"
#include "backend/tunnel.h"

#define REFUSED_RECENT_S 600
#define RP_STRICT 1

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
	long long dropped = look_counter("TcpExt", "IPReversePathFilter");
	size_t wrong = 0, count = 0;

	for (size_t i = 0; i < doctor->look.link_count; i++) {
		const struct look_link *link = &doctor->look.links[i];
		struct finding *item;

		if (!(link->flags & IFF_UP) || !is_in_path(doctor, link))
			continue;
		count++;
		if (look_effective(link->name, "rp_filter") != RP_STRICT)
			continue;
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_RP_FILTER, "rp_filter",
				    "strict on %s, which drops clients whose route leads by another interface", link->name);
		finding_evidence(item, "max(all, %s) = 1; it has dropped %lld packets (TcpExtIPReversePathFilter)", link->name,
				dropped);
		finding_command(item, (const char *const[]){"if", link->name, NULL});
		/* `up` remembers what the interface's own was, for `down`. */
		if (!strcmp(link->name, doctor->setup.interface) && doctor->can_up) {
			finding_fix(item, FINDING_FIX_UP, NULL, NULL);
		} else {
			char path[128];

			snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", link->name);
			finding_fix(item, FINDING_FIX_SYSCTL, path, "2");
		}
		wrong++;
	}
	if (!wrong)
		findings_ok(doctor->findings, "rp_filter", "strict on none of %zu interfaces in the path", count);
}

/* What the kernel dropped since it came up; what it means now the other items say. */
static void tell_counters(struct doctor *doctor)
{
	findings_ok(doctor->findings, "counters", "IpInAddrErrors %lld (for addresses that were not here), "
						  "TcpExtIPReversePathFilter %lld", look_counter("Ip", "InAddrErrors"),
		    look_counter("TcpExt", "IPReversePathFilter"));
}

/* ---- tunnels -------------------------------------------------------------------------------------------------------------- */

const char *doctor_kernel_tunnel(const struct look *look, bool is_inner4, bool is_outer4)
{
	const char *kind = !is_outer4 ? "ip6tnl" : is_inner4 ? "ipip" : "sit";

	for (size_t i = 0; i < look->link_count; i++)
		if (!strcmp(look->links[i].kind, kind) && look->links[i].flags & IFF_UP)
			return look->links[i].name;
	return NULL;
}

/* Whether the kernel opens what our program does not: every VIP by ipip, for every sender. GUE needs fou in front of the
 * device, which this does not look for. */
static const char *find_kernel_tunnel(const struct doctor *doctor)
{
	const struct setup *setup = &doctor->setup;
	const char *name = NULL;

	for (size_t i = 0; i < setup->vip_count; i++)
		for (size_t j = 0; setup->vips[i].methods & SETUP_TUNNELS && j < setup->sender_count; j++) {
			name = doctor_kernel_tunnel(&doctor->look, ip_is4(&setup->vips[i].address),
						    ip_is4(&setup->senders[j].ip));
			if (!name || setup->vips[i].methods & SETUP_GUE)
				return NULL;
		}
	return name;
}

static void judge_place(struct doctor *doctor)
{
	const char *name = doctor->setup.interface;
	const struct look_link *link = look_link_named(&doctor->look, name);
	struct finding *item;

	if (!link || tunnel_check(name, NULL) != -EBUSY)
		return;
	item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_XDP_TAKEN, "program", "somebody else's XDP program is on %s",
		name);
	finding_evidence(item, "program %u", link->xdp_program);
	finding_command(item, (const char *const[]){"if", name, NULL});
}

static void judge_decapsulation(struct doctor *doctor, const struct tunnel_state *state, const struct hpb_settings *wanted)
{
	const char *kernel = state->is_decap ? NULL : find_kernel_tunnel(doctor), *name = doctor->setup.interface;
	struct finding *item = NULL;

	if (kernel)
		findings_ok(doctor->findings, "decapsulation", "by the kernel's %s", kernel);
	else if (!state->is_decap)
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_NOT_DECAPSULATED, "decapsulation",
				    "nothing on %s opens tunnels", name);
	else if (!state->is_filled || state->settings.flags != wanted->flags)
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_NOT_DECAPSULATED, "decapsulation",
				    "the program on %s knows other VIPs, senders, VLANs or methods than are set up", name);
	else if (!state->is_whole && state->is_mss)
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_PROGRAM_OLD, "decapsulation",
				    "the programs on %s are of another version, or their pins are gone", name);
	else
		findings_ok(doctor->findings, "decapsulation", "by XDP on %s (%s), %llu packets so far", name,
			  state->is_native ? "native" : "generic",
			  (unsigned long long)state->counters[HPB_DECAPSULATED]);
	if (item)
		doctor_by_up(doctor, item);
}

static void judge_mss(struct doctor *doctor, const struct tunnel_state *state, const struct hpb_settings *wanted)
{
	bool is_right = state->is_mss && state->settings.mss4 == wanted->mss4 && state->settings.mss6 == wanted->mss6;
	struct finding *item;

	if (is_right) {
		findings_ok(doctor->findings, "mss", "VIPs advertise at most %u (IPv4) and %u (IPv6)", wanted->mss4,
			wanted->mss6);
		return;
	}
	item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_MSS_TOO_LARGE, "mss",
			    "what a VIP advertises leaves no room for the outer header: full segments of clients get lost");
	finding_evidence(item, "%s, %u and %u where the MTU of %s allows %u and %u",
			state->is_mss ? "lowered by the filter" : "no filter on the way out", state->settings.mss4,
			state->settings.mss6, doctor->setup.interface, wanted->mss4, wanted->mss6);
	doctor_by_up(doctor, item);
}

static bool is_named(const struct setup *setup, const struct ip *ip)
{
	for (size_t i = 0; i < setup->sender_count; i++)
		if (ip_in_prefix(ip, &setup->senders[i]))
			return true;
	return false;
}

static void judge_senders(struct doctor *doctor, const struct tunnel_state *state)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (int i = 0; i < HPB_REFUSED_COUNT; i++) {
		const struct hpb_refused *row = &state->refused[i];
		struct ip ip = i == HPB_REFUSED4 ? ip_from4(row->address) : ip_from6(row->address);
		long long ago_s = (long long)now.tv_sec - (long long)(row->at_ns / 1000000000u);
		char text[IP_TEXT_BYTES];

		if (!row->at_ns || ago_s > REFUSED_RECENT_S || is_named(&doctor->setup, &ip))
			continue;
		finding_evidence(findings_add(doctor->findings, FINDING_WARNING, CAUSE_SENDER_REFUSED, "sender",
					     "%s sends tunnelled packets for a VIP, and --from does not name it",
					     ip_format(&ip, text)),
				"%lld s ago; %llu packets of such senders", ago_s,
				(unsigned long long)state->counters[HPB_REFUSED_SENDER]);
	}
}

void doctor_way(struct doctor *doctor)
{
	struct hpb_settings wanted;
	struct tunnel_state state;

	judge_interface(doctor);
	if (setup_has_family(&doctor->setup, 4))
		judge_rp_filter(doctor);
	tell_counters(doctor);
	judge_route(doctor, 4);
	judge_route(doctor, 6);
	if (!setup_has_tunnel(&doctor->setup))
		return;
	wanted = tunnel_settings(&doctor->setup);
	tunnel_look(&doctor->setup, &state);
	judge_place(doctor);
	judge_decapsulation(doctor, &state, &wanted);
	judge_mss(doctor, &state, &wanted);
	judge_senders(doctor, &state);
}

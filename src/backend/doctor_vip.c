/* The doctor on VIPs: where they stand, and that nobody hears of them: see doctor.h. */
#include <linux/if_addr.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "backend/doctor.h"
#include "backend/host.h"
#include "backend/settings.h"

static unsigned int full_bits(const struct ip *ip)
{
	return ip_is4(ip) ? 32 : 128;
}

/* ---- where they stand ----------------------------------------------------------------------------------------------------- */

/* The words of a command about one address on one interface. */
static void command_on(struct doctor *doctor, struct finding *item, const struct look_address *row, const char *interface)
{
	char text[IP_TEXT_BYTES], bits[8];

	ip_format(&row->ip, text);
	snprintf(bits, sizeof(bits), "%u", row->bits);
	finding_command(item, (const char *const[]){"vip", text, "bits", bits, "if", interface, "up", doctor->up, NULL});
	if (!strcmp(interface, "lo") && doctor->can_up)
		finding_fix(item, FINDING_FIX_ADDRESS, text, bits);
}

static void tell_prefix(struct doctor *doctor, const struct look_address *row)
{
	char text[IP_TEXT_BYTES];
	struct finding *item =
		findings_add(doctor->findings, FINDING_WRONG, CAUSE_VIP_PREFIX, "vip",
			     "%s is on lo as a /%u, which makes this host take the whole subnet for itself",
			     ip_format(&row->ip, text), row->bits);

	finding_evidence(item, "%s/%u on lo", text, row->bits);
	command_on(doctor, item, row, "lo");
}

/* One place of a VIP. Returns whether packets for it are accepted by that. */
static bool judge_place(struct doctor *doctor, const struct look_address *row)
{
	const struct look_link *link = look_link_numbered(&doctor->look, row->ifindex);
	const char *interface = link ? link->name : "?";
	bool is_lo = link && link->flags & IFF_LOOPBACK;
	char text[IP_TEXT_BYTES];
	struct finding *item;

	ip_format(&row->ip, text);
	if (is_lo && row->bits != full_bits(&row->ip)) {
		tell_prefix(doctor, row);
		return true;
	}
	if (row->flags & (IFA_F_DADFAILED | IFA_F_TENTATIVE)) {
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_VIP_TENTATIVE, "vip", "%s on %s is not accepted yet",
				    text, interface);
		finding_evidence(item, "%s", row->flags & IFA_F_DADFAILED ? "dadfailed: another machine has the address"
									: "tentative: duplicate address detection goes on");
		command_on(doctor, item, row, interface);
		return true;
	}
	if (!is_lo) {
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_VIP_ON_NETWORK, "vip",
				    "%s is on %s, where this host answers %s for it", text, interface,
				    ip_is4(&row->ip) ? "ARP" : "neighbour solicitations");
		finding_evidence(item, "%s/%u on %s", text, row->bits, interface);
		command_on(doctor, item, row, interface);
		return false;
	}
	return true;
}

static bool is_forwarding(const struct doctor *doctor, const struct ip *vip, char path[static 128])
{
	if (ip_is4(vip))
		snprintf(path, 128, "net/ipv4/conf/%s/forwarding", doctor->setup.interface);
	else
		snprintf(path, 128, "net/ipv6/conf/all/forwarding");
	return look_sysctl(path, 0) != 0;
}

static void tell_missing(struct doctor *doctor, const struct ip *vip)
{
	long long dropped = look_counter("Ip", "InAddrErrors");
	char text[IP_TEXT_BYTES], path[128];
	struct finding *item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_VIP_MISSING, "vip", "%s is not on lo",
						ip_format(vip, text));

	if (ip_is4(vip) && dropped >= 0)
		finding_evidence(item, "no such address; %lld packets for addresses that are not here were dropped "
			"(IpInAddrErrors)",
				dropped);
	else
		finding_evidence(item, "no such address");
	doctor_by_up(doctor, item);
	if (!is_forwarding(doctor, vip, path))
		return;
	item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_FORWARD_LOOP, "forwarding",
			    "packets for %s are sent back to where they came from, round and round", text);
	finding_evidence(item, "%s is on, %s is not here; send_redirects %ld", path, text,
			look_effective(doctor->setup.interface, "send_redirects"));
	doctor_by_up(doctor, item);
}

static void judge_vip(struct doctor *doctor, const struct setup_vip *vip)
{
	char text[IP_TEXT_BYTES], methods[SETUP_METHODS_BYTES];
	size_t told = doctor->findings->count;
	bool is_there = false;

	for (size_t i = 0; i < doctor->look.address_count; i++)
		if (ip_equal(&doctor->look.addresses[i].ip, &vip->address))
			is_there |= judge_place(doctor, &doctor->look.addresses[i]);
	if (!is_there)
		tell_missing(doctor, &vip->address);
	else if (doctor->findings->count == told)
		findings_ok(doctor->findings, "vip", "%s/%u is on lo and nowhere else, by %s", ip_format(&vip->address, text),
			  full_bits(&vip->address), setup_methods_format(vip->methods, methods));
}

/* Others on lo may swallow a subnet just as well. */
static void judge_others(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->look.address_count; i++) {
		const struct look_address *row = &doctor->look.addresses[i];
		const struct look_link *link = look_link_numbered(&doctor->look, row->ifindex);

		if (link && link->flags & IFF_LOOPBACK && !ip_is_loopback(&row->ip) && row->bits != full_bits(&row->ip) &&
		    !setup_find_vip(&doctor->setup, &row->ip))
			tell_prefix(doctor, row);
	}
}

void doctor_vips(struct doctor *doctor)
{
	const struct look_link *lo = look_link_named(&doctor->look, "lo");

	if (lo && !(lo->flags & IFF_UP))
		doctor_by_up(doctor, findings_add(doctor->findings, FINDING_WRONG, CAUSE_LO_DOWN, "lo", "lo is down"));
	for (size_t i = 0; i < doctor->setup.vip_count; i++)
		judge_vip(doctor, &doctor->setup.vips[i]);
	judge_others(doctor);
}

/* ---- that nobody hears of them -------------------------------------------------------------------------------------------- */

static void judge_arp(struct doctor *doctor, enum settings_rule rule, enum cause cause)
{
	size_t wrong = 0, count = 0;

	for (size_t i = 0; i < doctor->look.link_count; i++) {
		const struct look_link *link = &doctor->look.links[i];
		struct settings_finding found = {0};
		struct finding *item;

		if (link->flags & (IFF_LOOPBACK | IFF_NOARP))
			continue;
		count++;
		settings_find(rule, link->name, &found);
		if (found.is_right)
			continue;
		item = findings_add(doctor->findings, FINDING_WRONG, cause, settings_name(rule), "on %s %s", link->name,
				    settings_harm(rule));
		finding_evidence(item, "max(all %ld, %s %ld) = %ld", found.all, link->name, found.own, found.counts);
		doctor_by_up(doctor, item);
		wrong++;
	}
	if (!wrong)
		findings_ok(doctor->findings, settings_name(rule), "right on each of %zu interfaces", count);
}

static void judge_ipv6(struct doctor *doctor)
{
	const char *const interfaces[] = {"lo", doctor->setup.interface};
	size_t wrong = 0;

	for (size_t i = 0; i < 2; i++) {
		char path[64];
		struct finding *item;

		snprintf(path, sizeof(path), "net/ipv6/conf/%s/disable_ipv6", interfaces[i]);
		if (look_sysctl(path, 1) == 0)
			continue;
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_IPV6_OFF, "ipv6", "IPv6 is off on %s", interfaces[i]);
		finding_evidence(item, "%s is not 0", path);
		finding_command(item, (const char *const[]){"if", interfaces[i], "up", doctor->up, NULL});
		/* Elsewhere it gives the host addresses, which nobody asked for. */
		if (!i && doctor->can_up)
			finding_fix(item, FINDING_FIX_UP, NULL, NULL);
		wrong++;
	}
	if (!wrong)
		findings_ok(doctor->findings, "ipv6", "on, on lo and %s", doctor->setup.interface);
}

static void judge_proxy(struct doctor *doctor)
{
	size_t wrong = 0;

	for (size_t i = 0; i < doctor->setup.vip_count; i++) {
		const struct ip *vip = &doctor->setup.vips[i].address;
		char proxy[16], text[IP_TEXT_BYTES];
		struct finding *item;

		if (ip_is4(vip) || !host_has_proxy(vip, proxy))
			continue;
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_ND_PROXY, "nd",
				    "%s answers neighbour solicitations for %s, as a proxy", proxy, ip_format(vip, text));
		finding_command(item, (const char *const[]){"vip", text, "if", proxy, NULL});
		wrong++;
	}
	if (!wrong)
		findings_ok(doctor->findings, "nd", "nothing here answers neighbour solicitations for a VIP on lo");
}

void doctor_silence(struct doctor *doctor)
{
	if (setup_has_family(&doctor->setup, 4)) {
		judge_arp(doctor, SETTINGS_ARP_IGNORE, CAUSE_ARP_IGNORE);
		judge_arp(doctor, SETTINGS_ARP_ANNOUNCE, CAUSE_ARP_ANNOUNCE);
	}
	if (setup_has_family(&doctor->setup, 6)) {
		judge_ipv6(doctor);
		judge_proxy(doctor);
	}
}

/* The doctor on the director's own settings: see doctor.h. */
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/reply.h"
#include "doctor/rp_filter.h"

/* Of probes, where the daemon does not say otherwise. */
#define MARK 0x48000000u
#define MASK 0xff000000u

static const struct look_address *find_address(const struct doctor *doctor, const struct ip *ip)
{
	for (size_t i = 0; i < doctor->look.address_count; i++)
		if (ip_equal(&doctor->look.addresses[i].ip, ip))
			return &doctor->look.addresses[i];
	return NULL;
}

static void judge_local(const struct doctor *doctor)
{
	size_t wrong = 0;

	for (size_t i = 0; i < doctor->vip_count; i++) {
		const struct look_address *row = find_address(doctor, &doctor->vips[i]);
		const struct look_link *link = row ? look_link_numbered(&doctor->look, row->ifindex) : NULL;
		char text[IP_TEXT_BYTES], bits[8];
		struct finding *item;

		if (!link)
			continue;
		ip_format(&row->ip, text);
		snprintf(bits, sizeof(bits), "%u", row->bits);
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_VIP_LOCAL, "vip", "%s is an address of this host",
			text);
		finding_evidence(item, "%s/%s on %s", text, bits, link->name);
		finding_command(item, (const char *const[]){"vip", text, "bits", bits, "if", link->name, NULL});
		wrong++;
	}
	if (!wrong && doctor->vip_count)
		findings_ok(doctor->findings, "vip", "none of %zu is an address of this host", doctor->vip_count);
}

/* Where there is one interface only, packets that come in by it are answered by it. */
static void judge_rp_filter(const struct doctor *doctor)
{
	size_t wrong = 0, count = 0;

	for (size_t i = 0; i < doctor->look.link_count; i++)
		count += (doctor->look.links[i].flags & (IFF_UP | IFF_LOOPBACK)) == IFF_UP;
	for (size_t i = 0; i < doctor->look.link_count && count > 1; i++) {
		const struct look_link *link = &doctor->look.links[i];

		if (link->flags & IFF_UP && doctor_uses(doctor, link))
			wrong += rp_filter_judge(&doctor->look, link,
						 "which drops answers to probes that come in by it while the VIP's route leads "
						 "elsewhere", doctor->findings) != NULL;
	}
	if (!wrong)
		findings_ok(doctor->findings, "rp_filter", count > 1 ? "drops on no interface in use"
								     : "of no matter with one interface");
}

/* A VIP that no service takes, or a director that is about to stop: what XDP passes would be routed back to where it came
 * from. Others than VIPs may well be routed here, so nothing is changed unasked. */
static void judge_forwarding(const struct doctor *doctor, int family, const char *path)
{
	bool has_family = false;
	struct finding *item;

	for (size_t i = 0; i < doctor->vip_count; i++)
		has_family |= ip_is4(&doctor->vips[i]) == (family == 4);
	if (!has_family)
		return;
	if (!look_sysctl(path, 0)) {
		findings_ok(doctor->findings, "forwarding", "off for IPv%d", family);
		return;
	}
	item = findings_add(doctor->findings, FINDING_WARNING, CAUSE_DIRECTOR_FORWARDS, "forwarding",
			    "this host forwards IPv%d: packets for ports of a VIP that have no service go back to the router, "
				"and "
			    "round", family);
	finding_evidence(item, "%s = %ld", path, look_sysctl(path, 0));
	finding_command(item, (const char *const[]){"path", path, NULL});
}

/* ---- what leads probes ---------------------------------------------------------------------------------------------------- */

static uint32_t number_of(const json_t *way, const char *key, uint32_t otherwise)
{
	const json_t *value = json_object_get(way, key);

	return json_is_integer(value) ? (uint32_t)json_integer_value(value) : otherwise;
}

static void judge_filters(const struct doctor *doctor)
{
	const json_t *way = json_object_get(doctor->status, "probe_way");
	struct judge_filter what = {
		.vips = doctor->vips,
		.vip_count = doctor->vip_count,
		.is_director = true,
		.mark = number_of(way, "mark", MARK),
		.mask = number_of(way, "mask", MASK),
	};

	look_filters(&what, doctor->findings);
	judge_rules(doctor->look.rules, doctor->look.rule_count, what.mark, what.mask, doctor->findings);
}

/* Whether some backend of the family is probed down the path of its packets. */
static bool is_probed(const struct doctor *doctor, int family)
{
	const json_t *services = json_object_get(doctor->status, "services"), *service, *backend;
	size_t i, j;

	REPLY_EACH(services, i, service)
		REPLY_EACH(json_object_get(service, "backends"), j, backend) {
			const json_t *health = json_object_get(backend, "health");
			bool is4 = !strchr(reply_text(backend, "address"), ':');

			if (is4 == (family == 4) && json_is_object(health) && !strcmp(reply_text(health, "via"), "vip"))
				return true;
		}
	return false;
}

/* The daemon keeps that way, and says why it cannot. */
static void judge_way(const struct doctor *doctor, int family)
{
	const json_t *way = json_object_get(doctor->status, "probe_way");
	const json_t *row = json_object_get(way, family == 4 ? "ipv4" : "ipv6");

	if (!strcmp(reply_text(row, "state"), "closed") && is_probed(doctor, family))
		finding_evidence(findings_add(doctor->findings, FINDING_WRONG, CAUSE_PROBE_NOT_SENT, "probes",
					      "probes of IPv%d cannot leave this host", family),
				 "%s", reply_text(row, "reason"));
	else if (family == 4 && *reply_text(way, "warning"))
		finding_evidence(findings_add(doctor->findings, FINDING_WARNING, CAUSE_RULE_BEFORE, "probes",
					      "something else is in the way that probes take"),
				 "%s", reply_text(way, "warning"));
}

void doctor_director_host(const struct doctor *doctor)
{
	judge_local(doctor);
	judge_rp_filter(doctor);
	judge_forwarding(doctor, 4, "net/ipv4/ip_forward");
	judge_forwarding(doctor, 6, "net/ipv6/conf/all/forwarding");
	judge_filters(doctor);
	judge_way(doctor, 4);
	judge_way(doctor, 6);
}

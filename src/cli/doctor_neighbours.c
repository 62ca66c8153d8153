/* The doctor on the network around: see doctor.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/doctor.h"
#include "cli/reply.h"
#include "doctor/ping.h"
#include "doctor/segment.h"

#define VIPS_ASKED_MOST 1024
#define PATHS_MOST 1024

/* ---- who answers for a VIP ------------------------------------------------------------------------------------------------ */

static bool is_backend(const struct doctor *doctor, const char *address)
{
	const json_t *services = json_object_get(doctor->status, "services"), *service, *backend;
	size_t i, j;

	REPLY_EACH(services, i, service)
		REPLY_EACH(json_object_get(service, "backends"), j, backend)
			if (!strcmp(reply_text(backend, "address"), address))
				return true;
	return false;
}

static bool is_vip(const struct doctor *doctor, const struct ip *ip)
{
	for (size_t i = 0; i < doctor->vip_count; i++)
		if (ip_equal(&doctor->vips[i], ip))
			return true;
	return false;
}

/* By the neighbours that this host has: "backend 10.3.0.1", or "10.3.0.254". A backend's name before another of the same
 * machine. */
static void name_neighbour(const struct doctor *doctor, const struct segment_answer *answer, char *out, size_t room)
{
	snprintf(out, room, "a machine that this host knows by no other address");
	for (size_t i = 0; i < doctor->look.neighbour_count; i++) {
		const struct look_neighbour *row = &doctor->look.neighbours[i];
		char text[IP_TEXT_BYTES];

		if (memcmp(row->mac, answer->mac, sizeof(row->mac)) != 0 || row->ifindex != answer->ifindex ||
		    is_vip(doctor, &row->ip))
			continue;
		ip_format(&row->ip, text);
		if (is_backend(doctor, text)) {
			snprintf(out, room, "backend %s", text);
			return;
		}
		snprintf(out, room, "the machine that has %s", text);
	}
}

static bool is_own(const struct doctor *doctor, const uint8_t mac[static 6])
{
	for (size_t i = 0; i < doctor->look.link_count; i++)
		if (!memcmp(doctor->look.links[i].mac, mac, 6))
			return true;
	return false;
}

static bool is_standby(const struct doctor *doctor)
{
	return !strcmp(reply_text(json_object_get(doctor->status, "announce"), "role"), "standby");
}

/* Returns whether there was anything to tell. */
static bool tell_answer(const struct doctor *doctor, const struct segment_answer *answer)
{
	const struct look_link *link = look_link_numbered(&doctor->look, answer->ifindex);
	const uint8_t *mac = answer->mac;
	char text[IP_TEXT_BYTES], who[96];

	if (is_own(doctor, mac))
		return false;
	name_neighbour(doctor, answer, who, sizeof(who));
	/* To another director this one has left the VIPs; a backend must not answer even then. */
	if (is_standby(doctor) && strncmp(who, "backend ", strlen("backend ")) != 0) {
		findings_ok(doctor->findings, "segment", "%s is answered for by %s, and this director is on standby",
			    ip_format(&answer->ip, text), who);
		return true;
	}
	finding_evidence(findings_add(doctor->findings, FINDING_WRONG, CAUSE_ARP_ANSWERED, "segment",
				      "somebody else answers %s for %s: %s", ip_is4(&answer->ip) ? "ARP" : "neighbour "
					"solicitations",
				      ip_format(&answer->ip, text), who),
			 "MAC address %02x:%02x:%02x:%02x:%02x:%02x, by %s", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
			 link ? link->name : "?");
	return true;
}

static void ask_segment(const struct doctor *doctor)
{
	auto_free const struct look_link **links = calloc(doctor->look.link_count + 1, sizeof(struct look_link *));
	size_t count = 0, asked = doctor->vip_count < VIPS_ASKED_MOST ? doctor->vip_count : VIPS_ASKED_MOST, wrong = 0;
	struct segment_answers answers = {0};
	struct err e;

	for (size_t i = 0; links && i < doctor->look.link_count; i++)
		if (doctor_uses(doctor, &doctor->look.links[i]) && doctor->look.links[i].is_ethernet)
			links[count++] = &doctor->look.links[i];
	if (!links || segment_ask(links, count, doctor->vips, asked, &answers, &e)) {
		findings_ok(doctor->findings, "segment", "not asked who answers for VIPs: %s", links ? e.text : "no memory");
		return;
	}
	for (size_t i = 0; i < answers.count; i++)
		wrong += tell_answer(doctor, &answers.list[i]);
	if (!wrong)
		findings_ok(doctor->findings, "segment", "nobody else answers for the VIPs (%zu of %zu asked for, by %zu "
			"interfaces)",
			    asked, doctor->vip_count, count);
	free(answers.list);
}

/* ---- the paths to backends ------------------------------------------------------------------------------------------------ */

/* Those whose way is known, each address once. */
static size_t list_paths(const struct doctor *doctor, struct judge_path *paths)
{
	const json_t *services = json_object_get(doctor->status, "services"), *service, *backend;
	size_t i, j, count = 0;

	REPLY_EACH(services, i, service)
		REPLY_EACH(json_object_get(service, "backends"), j, backend) {
			struct judge_path path = {.mtu = (uint32_t)reply_number(backend, "mtu")};
			size_t k = 0;

			if (!path.mtu || !ip_parse(&path.backend, reply_text(backend, "address")))
				continue;
			path.is_tunnelled = *reply_text(backend, "source") != '\0';
			while (k < count && !ip_equal(&paths[k].backend, &path.backend))
				k++;
			if (k == PATHS_MOST)
				continue;
			paths[k].is_tunnelled |= path.is_tunnelled;
			if (k == count)
				paths[count++] = path;
		}
	return count;
}

static void measure_paths(const struct doctor *doctor)
{
	auto_free struct judge_path *paths = calloc(PATHS_MOST, sizeof(*paths));
	size_t count = paths ? list_paths(doctor, paths) : 0;
	struct err e;

	if (count && ping_measure(paths, count, &e)) {
		findings_ok(doctor->findings, "path", "not measured: %s", e.text);
		return;
	}
	for (size_t i = 0; i < count; i++)
		judge_path(&paths[i], doctor->findings);
}

void doctor_neighbours(const struct doctor *doctor)
{
	if (!doctor->vip_count)
		return;
	ask_segment(doctor);
	measure_paths(doctor);
}

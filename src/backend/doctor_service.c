/* The doctor on services: who listens, and TCP Fast Open: see doctor.h. */
#include <linux/if_addr.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/doctor.h"
#include "backend/host.h"
#include "base/cleanup.h"

#define FASTOPEN_SERVER 2

/* ---- listeners ------------------------------------------------------------------------------------------------------------ */

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

/* Whether anybody takes the VIP's packets for a port. port 0: for any at all. */
static bool is_heard(const struct listener *list, size_t count, const struct ip *vip, uint8_t protocol, uint16_t port)
{
	for (size_t i = 0; i < count; i++)
		if ((!protocol || list[i].protocol == protocol) && (!port || list[i].port == port) && listener_takes(&list[i],
			vip))
			return true;
	return false;
}

static bool is_own(const struct ip *ip, const struct look_address *own, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ip_equal(&own[i].ip, ip))
			return true;
	return false;
}

/* A wildcard socket of a client, or of what every host runs: DHCP, time, names on the link. */
static bool is_no_service(const struct listener *one, const uint16_t ephemeral[static 2])
{
	static const uint16_t ports[] = {68, 123, 323, 546, 5353, 5355, 6080};

	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		if (one->port == ports[i])
			return true;
	return one->port >= ephemeral[0] && one->port <= ephemeral[1];
}

/* Those on the wildcard, each port once. */
static bool was_told(const struct listener *list, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (list[i].protocol == list[index].protocol && list[i].port == list[index].port &&
		    ip_is_unspecified(&list[i].ip) == ip_is_unspecified(&list[index].ip))
			return true;
	return false;
}

static bool takes_any(const struct setup *setup, const struct listener *one)
{
	for (size_t i = 0; i < setup->vip_count; i++)
		if (listener_takes(one, &setup->vips[i].address))
			return true;
	return false;
}

static size_t judge_wildcards(const struct setup *setup, const struct listener *list, size_t count,
			      const uint16_t ephemeral[static 2], struct findings *findings)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		const struct listener *one = &list[i];

		if (one->protocol != IPPROTO_UDP || !ip_is_unspecified(&one->ip) || is_no_service(one, ephemeral) ||
		    was_told(list, i) || !takes_any(setup, one))
			continue;
		finding_evidence(findings_add(findings, FINDING_WARNING, CAUSE_WRONG_SOURCE, "listeners",
					     "udp/%u is on the wildcard: unless it uses IP_PKTINFO it answers from this "
						"host's own "
					     "address", one->port),
				"a socket on %s port %u", one->is_six ? "::" : "0.0.0.0", one->port);
		found++;
	}
	return found;
}

static size_t judge_own(const struct setup *setup, const struct listener *list, size_t count, const struct look_address *own,
			size_t own_count, struct findings *findings)
{
	char text[IP_TEXT_BYTES], vip[IP_TEXT_BYTES];
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		const struct listener *one = &list[i];

		if (ip_is_unspecified(&one->ip) || !is_own(&one->ip, own, own_count) || setup_find_vip(setup, &one->ip))
			continue;
		for (size_t v = 0; v < setup->vip_count; v++) {
			const struct ip *address = &setup->vips[v].address;

			if (ip_is4(address) != ip_is4(&one->ip) || is_heard(list, count, address, one->protocol, one->port))
				continue;
			finding_evidence(findings_add(findings, FINDING_WARNING, CAUSE_OWN_ADDRESS_ONLY, "listeners",
						     "%s/%u listens on %s only, and not on %s", protocol_name(one->protocol),
						     one->port, ip_format(&one->ip, text), ip_format(address, vip)),
					"a socket on %s port %u", text, one->port);
			found++;
		}
	}
	return found;
}

void doctor_judge_listeners(const struct setup *setup, const struct listener *list, size_t count,
			    const struct look_address *own, size_t own_count, const uint16_t ephemeral[static 2],
			    struct findings *findings)
{
	size_t found = judge_wildcards(setup, list, count, ephemeral, findings);

	found += judge_own(setup, list, count, own, own_count, findings);
	for (size_t i = 0; i < setup->vip_count; i++) {
		char text[IP_TEXT_BYTES];

		if (is_heard(list, count, &setup->vips[i].address, 0, 0))
			continue;
		finding_evidence(findings_add(findings, FINDING_WARNING, CAUSE_NOT_LISTENING, "listeners",
			"nothing listens on %s",
					     ip_format(&setup->vips[i].address, text)),
				"no socket of TCP or UDP on %s or on a wildcard of its family", text);
		found++;
	}
	if (!found)
		findings_ok(findings, "listeners", "each VIP is listened on, and nothing on this host's own address alone");
}

/* The host's addresses on the network, in front; returns how many. */
static size_t list_own(const struct doctor *doctor, struct look_address *out)
{
	size_t count = 0;

	for (size_t i = 0; i < doctor->look.address_count; i++) {
		const struct look_link *link = look_link_numbered(&doctor->look, doctor->look.addresses[i].ifindex);

		if (link && !(link->flags & IFF_LOOPBACK))
			out[count++] = doctor->look.addresses[i];
	}
	return count;
}

static void judge_listeners(struct doctor *doctor)
{
	auto_free struct listener *list = malloc(LISTENERS_MOST * sizeof(*list));
	auto_free struct look_address *own = malloc((doctor->look.address_count + 1) * sizeof(*own));
	uint16_t ephemeral[2] = {32768, 60999};
	char range[32];
	size_t count;

	if (!list || !own || listeners_read(list, &count)) {
		findings_ok(doctor->findings, "listeners", "not looked at: this kernel does not tell (it lacks tcp_diag or "
			"udp_diag)");
		return;
	}
	if (!host_read_sysctl("net/ipv4/ip_local_port_range", range, sizeof(range), NULL))
		sscanf(range, "%hu %hu", &ephemeral[0], &ephemeral[1]);
	doctor_judge_listeners(&doctor->setup, list, count, own, list_own(doctor, own), ephemeral, doctor->findings);
	for (size_t i = 0; i < doctor->setup.vip_count; i++) {
		char text[300], vip[IP_TEXT_BYTES];

		if (!listeners_list(&doctor->setup.vips[i].address, text, sizeof(text)) && *text)
			findings_ok(doctor->findings, "listeners", "on %s: %s", ip_format(&doctor->setup.vips[i].address, vip),
				text);
	}
}

/* ---- TCP Fast Open -------------------------------------------------------------------------------------------------------- */

/* FNV-1a, folded to 32 bits: enough to compare, and it gives the key away to nobody. */
static uint32_t fingerprint(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
	return (uint32_t)(hash >> 32 ^ hash);
}

static void judge_fastopen(struct doctor *doctor)
{
	char key[160];

	if (!(look_sysctl("net/ipv4/tcp_fastopen", 0) & FASTOPEN_SERVER)) {
		findings_ok(doctor->findings, "fast open", "servers take no data in SYN packets (tcp_fastopen)");
		return;
	}
	if (host_read_sysctl("net/ipv4/tcp_fastopen_key", key, sizeof(key), NULL))
		key[0] = '\0';
	if (strspn(key, "0-") == strlen(key))
		finding_evidence(findings_add(doctor->findings, FINDING_WARNING, CAUSE_FASTOPEN_KEY, "fast open",
					     "servers take data in SYN packets, by a key that this host makes up for itself"),
				"tcp_fastopen_key is not set");
	else
		findings_ok(doctor->findings, "fast open", "servers take data in SYN packets; the key's hash, which must be "
			"equal on all "
						       "backends, is %08x", fingerprint(key));
}

void doctor_services(struct doctor *doctor)
{
	judge_listeners(doctor);
	judge_fastopen(doctor);
}

/* The doctor on tunnels: who opens them, second chances, refused senders, the MSS, and on what else programs do: see doctor.h. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backend/doctor.h"
#include "backend/host.h"
#include "backend/tunnel.h"
#include "base/cleanup.h"

#define REFUSED_RECENT_S 600

const char *doctor_kernel_tunnel(const struct look *look, const struct setup_vip *vip, bool is_outer4)
{
	const char *kind = !is_outer4 ? "ip6tnl" : ip_is4(&vip->address) ? "ipip" : "sit";

	if (vip->methods & SETUP_GRE)
		kind = is_outer4 ? "gre" : "ip6gre";

	for (size_t i = 0; i < look->link_count; i++)
		if (!strcmp(look->links[i].kind, kind) && look->links[i].flags & IFF_UP)
			return look->links[i].name;
	return NULL;
}

/* The kernel's own socket that takes GUE, as `ip fou add port 6080 gue` makes it; /proc lists those of the kernel, too, and
 * needs no module for it. */
static bool is_gue_open(bool is_outer4)
{
	auto_fclose FILE *file = fopen(is_outer4 ? "/proc/net/udp" : "/proc/net/udp6", "re");
	char line[256];
	unsigned int port;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x", &port) == 1 && port == HP_GUE_PORT)
			return true;
	return false;
}

/* Whether the kernel opens what our program does not: every VIP for every sender. Returns the name of a device. */
static const char *find_kernel_tunnel(const struct doctor *doctor)
{
	const struct setup *setup = &doctor->setup;
	const char *name = NULL;

	for (size_t i = 0; i < setup->vip_count; i++)
		for (size_t j = 0; setup->vips[i].methods & SETUP_TUNNELS && j < setup->sender_count; j++) {
			bool is_outer4 = ip_is4(&setup->senders[j].ip);

			name = doctor_kernel_tunnel(&doctor->look, &setup->vips[i], is_outer4);
			if (!name || (setup->vips[i].methods & SETUP_GUE && !is_gue_open(is_outer4)))
				return NULL;
		}
	return name;
}

static void judge_place(struct doctor *doctor)
{
	const char *name = doctor->setup.interface;
	const struct look_link *link = look_link_named(&doctor->look, name);
	struct finding *item;

	if (!link || tunnel_check(name, true, NULL) != -EBUSY)
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
	else if (!state->is_filled || state->settings.flags != wanted->flags ||
		 state->settings.gre_key != wanted->gre_key)
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_NOT_DECAPSULATED, "decapsulation",
				    "the program on %s knows other VIPs, senders, VLANs or methods than are set up", name);
	else if (!state->is_whole && state->is_mss && state->is_mapping && state->is_relay == setup_passes_on(&doctor->setup))
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
	bool is_kernel = !state->is_decap && !state->is_mss && find_kernel_tunnel(doctor);
	bool is_right = state->is_mss && state->settings.mss4 == wanted->mss4 && state->settings.mss6 == wanted->mss6;
	struct finding *item;

	if (is_right) {
		findings_ok(doctor->findings, "mss", "VIPs advertise at most %u (IPv4) and %u (IPv6)", wanted->mss4,
			wanted->mss6);
		return;
	}
	/* With tunnels of the kernel it is routes that lower it (advmss). */
	item = findings_add(doctor->findings, is_kernel ? FINDING_WARNING : FINDING_WRONG, CAUSE_MSS_TOO_LARGE, "mss", is_kernel ?
			    "nothing but routes may lower what a VIP advertises (ip route ... advmss)" :
			    "what a VIP advertises leaves no room for the outer header: full segments of clients get lost");
	finding_evidence(item, "%s, %u and %u where the MTU of %s allows %u and %u",
			state->is_mss ? "lowered by the filter" : "no filter on the way out", state->settings.mss4,
			state->settings.mss6, doctor->setup.interface, wanted->mss4, wanted->mss6);
	if (!is_kernel)
		doctor_by_up(doctor, item);
}

/* Packets of connections that live in a container would all look as if they belonged to another backend. */
static void judge_chance(struct doctor *doctor, const struct tunnel_state *state)
{
	const char *name = doctor->setup.interface;
	size_t blind = 0;

	if (!setup_passes_on(&doctor->setup) || !state->is_decap)
		return;
	for (size_t i = 0; i < doctor->setup.vip_count; i++) {
		const struct ip *vip = &doctor->setup.vips[i].address;
		char door[16], text[IP_TEXT_BYTES];
		struct finding *item;

		if (!(doctor->setup.vips[i].methods & SETUP_GUE) || !host_is_elsewhere(vip, name, door))
			continue;
		item = findings_add(doctor->findings, FINDING_WRONG, CAUSE_CHANCE_BLIND, "second chance",
				    "%s is an address of another network namespace, where no socket can be found",
				    ip_format(vip, text));
		finding_evidence(item, "it is behind %s", door);
		finding_command(item, NULL);
		blind++;
	}
	if (!state->is_relay)
		doctor_by_up(doctor, findings_add(doctor->findings, FINDING_WRONG, CAUSE_PROGRAM_OLD, "second chance",
						  "nothing on %s passes on packets for connections of other backends", name));
	else if (!blind)
		findings_ok(doctor->findings, "second chance", "packets for connections of other backends are passed on by %s",
			name);
}

static bool is_named(const struct setup *setup, const struct ip *ip)
{
	for (size_t i = 0; i < setup->sender_count; i++)
		if (ip_in_prefix(ip, &setup->senders[i]))
			return true;
	return false;
}

/* No command to be run blindly: it would trust whoever sent a packet. */
static void mend_sender(const struct setup *setup, struct finding *item, const char *sender)
{
	char vip[IP_TEXT_BYTES];

	for (size_t i = 0; i < setup->vip_count; i++)
		if (setup->vips[i].methods & SETUP_TUNNELS)
			finding_mend(item, "if it is a director of yours: `halfproxy-backend up --vip %s --forward %s --from %s`",
				     ip_format(&setup->vips[i].address, vip),
				     setup_tunnel_name(&setup->vips[i]), sender);
}

static void judge_senders(struct doctor *doctor, const struct tunnel_state *state)
{
	struct finding *item;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (int i = 0; i < HPB_REFUSED_COUNT; i++) {
		const struct hpb_refused *row = &state->refused[i];
		struct ip ip = i == HPB_REFUSED4 ? ip_from4(row->address) : ip_from6(row->address);
		long long ago_s = (long long)now.tv_sec - (long long)(row->at_ns / 1000000000u);
		char text[IP_TEXT_BYTES];

		if (!row->at_ns || ago_s > REFUSED_RECENT_S || is_named(&doctor->setup, &ip))
			continue;
		item = findings_add(doctor->findings, FINDING_WARNING, CAUSE_SENDER_REFUSED, "sender",
				    "%s sends tunnelled packets for a VIP, and --from does not name it", ip_format(&ip, text));
		finding_evidence(item, "%lld s ago; %llu packets of such senders", ago_s,
				 (unsigned long long)state->counters[HPB_REFUSED_SENDER]);
		mend_sender(&doctor->setup, item, text);
	}
}

void doctor_tunnels(struct doctor *doctor)
{
	struct hpb_settings wanted;
	struct tunnel_state state;

	if (!setup_has_programs(&doctor->setup))
		return;
	wanted = tunnel_settings(&doctor->setup);
	tunnel_look(&doctor->setup, &state);
	if (setup_has_tunnel(&doctor->setup)) {
		judge_place(doctor);
		judge_decapsulation(doctor, &state, &wanted);
	}
	if (setup_bounds_mss(&doctor->setup))
		judge_mss(doctor, &state, &wanted);
	doctor_ports(doctor, &state);
	if (setup_has_tunnel(&doctor->setup)) {
		judge_chance(doctor, &state);
		judge_senders(doctor, &state);
	}
}

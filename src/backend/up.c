/* up: see agent.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/agent.h"
#include "backend/host.h"
#include "backend/portmap.h"
#include "backend/settings.h"
#include "backend/tunnel.h"
#include "base/cleanup.h"

#define IP6_LEAST_MTU 1280
#define IP4_LEAST_MTU 576

/* ---- before anything is changed ------------------------------------------------------------------------------------------- */

static int check_address(const struct ip *vip, struct err *e)
{
	static const uint8_t broadcast[] = {255, 255, 255, 255};
	char text[IP_TEXT_BYTES];

	if (ip_is_unspecified(vip) || ip_is_multicast(vip) || ip_is_loopback(vip) || ip_is_link_local(vip) ||
	    (ip_is4(vip) && !memcmp(ip_bytes4(vip), broadcast, sizeof(broadcast))))
		return err_set(e, -EINVAL, "VIP %s must be a unicast address that clients can ask", ip_format(vip, text));
	return 0;
}

/* Where the address is now: nowhere, or as it should be on lo, or an error that says what to do. */
static int check_place(const struct ip *vip, const struct host_addresses *addresses, bool *is_there, struct err *e)
{
	char text[IP_TEXT_BYTES];

	*is_there = false;
	for (size_t i = 0; i < addresses->count; i++) {
		const struct host_address *row = &addresses->list[i];

		if (!ip_equal(&row->ip, vip))
			continue;
		if (strcmp(row->interface, "lo") != 0)
			return err_set(e, -EADDRINUSE,
				       "VIP %s is this host's own address on %s: there it would answer ARP or ND; name an "
				       "address that no host has, or if this is meant to be the VIP, take it off first "
				       "(ip address del %s/%u dev %s)",
				       ip_format(vip, text), row->interface, text, row->bits, row->interface);
		if (row->bits != (ip_is4(vip) ? 32 : 128))
			return err_set(e, -EEXIST,
				       "VIP %s is on lo as a /%u, which makes this host swallow its whole subnet: take it off "
				       "first (ip address del %s/%u dev lo)",
				       ip_format(vip, text), row->bits, text, row->bits);
		*is_there = true;
	}
	return 0;
}

/* IPv6 that is off where packets arrive would drop them; switching it on gives the host addresses, which is not ours
 * to decide. */
static int check_ipv6(const struct ip *vip, const char *interface, struct err *e)
{
	char path[128], proxy[16], text[IP_TEXT_BYTES];

	if (ip_is4(vip))
		return 0;
	snprintf(path, sizeof(path), "net/ipv6/conf/%s/disable_ipv6", interface);
	if (!host_has_sysctl("net/ipv6/conf/lo/disable_ipv6"))
		return err_set(e, -EAFNOSUPPORT, "VIP %s: this kernel runs without IPv6", ip_format(vip, text));
	if (host_sysctl_number(path) != 0)
		return err_set(e, -EAFNOSUPPORT, "VIP %s: IPv6 is off on %s, where its packets arrive: sysctl -w %s=0 first",
			       ip_format(vip, text), interface, path);
	if (host_has_proxy(vip, proxy))
		return err_set(e, -EADDRINUSE,
			       "VIP %s: %s answers neighbour solicitations for it as a proxy; take it off first (ip -6 neigh del "
			       "proxy %s dev %s)", ip_format(vip, text), proxy, text, proxy);
	return 0;
}

static int check_mtu(const struct agent_request *request, const struct setup *setup, struct err *e)
{
	uint32_t least = setup_has_family(setup, 6) ? IP6_LEAST_MTU : IP4_LEAST_MTU;

	if (request->mtu && (request->mtu < least || request->mtu > UINT16_MAX))
		return err_set(e, -EINVAL, "--mtu %u must be from %u to %u bytes", request->mtu, least, UINT16_MAX);
	return 0;
}

static int find_interface(const struct agent_request *request, const struct setup *setup, char found[static 16],
			  struct err *e)
{
	struct ip far4 = {{[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 51, [14] = 100, [15] = 1}};
	struct ip far6 = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
	const struct ip *to = request->vip_count && ip_is4(&request->vips[0]) ? &far4 : &far6;
	char all[256];

	host_list_interfaces(all, sizeof(all));
	for (size_t i = 0; i < request->sender_count; i++)
		if (request->senders[i].bits)
			to = &request->senders[i].ip;
	if (request->interface)
		snprintf(found, 16, "%s", request->interface);
	else if (setup->interface[0])
		snprintf(found, 16, "%s", setup->interface);
	else if (!host_route_interface(to, found, e)) /* nobody named the far address, so no message does */
		return to != &far4 && to != &far6 ? -ENETUNREACH :
		       err_set(e, -ENETUNREACH, "there is no default route, so the interface where packets arrive must be "
						"named: --interface IF");
	if (setup->interface[0] && strcmp(setup->interface, found) != 0)
		return err_set(e, -EBUSY, "this backend is set up on %s already: `halfproxy-backend down` first",
			       setup->interface);
	if (!host_ifindex(found))
		return err_set(e, -ENODEV, "there is no interface %s; there are: %s", found, all);
	if (!strcmp(found, "lo"))
		return err_set(e, -EINVAL, "packets do not arrive by lo: name the interface, one of %s", all);
	return 0;
}

/* ---- what is wanted -------------------------------------------------------------------------------------------------------- */

static int want_vip(struct setup *wanted, const struct ip *address, uint32_t methods, struct err *e)
{
	for (size_t i = 0; i < wanted->vip_count; i++)
		if (ip_equal(&wanted->vips[i].address, address)) {
			wanted->vips[i].methods |= methods;
			return 0;
		}
	if (wanted->vip_count == SETUP_LIST_MOST)
		return err_set(e, -ENOSPC, "more than %d VIPs", SETUP_LIST_MOST);
	wanted->vips[wanted->vip_count++] = (struct setup_vip){.address = *address, .methods = methods};
	return 0;
}

static int want_sender(struct setup *wanted, const struct prefix *prefix, struct err *e)
{
	char text[IP_TEXT_BYTES];

	for (size_t i = 0; i < wanted->sender_count; i++)
		if (wanted->senders[i].bits == prefix->bits && ip_equal(&wanted->senders[i].ip, &prefix->ip))
			return 0;
	if (setup_find_vip(wanted, &prefix->ip) && prefix->bits)
		return err_set(e, -EINVAL, "--from %s is a VIP: it must be the address that the director sends tunnels from",
			       ip_format(&prefix->ip, text));
	if (wanted->sender_count == SETUP_LIST_MOST)
		return err_set(e, -ENOSPC, "more than %d senders", SETUP_LIST_MOST);
	wanted->senders[wanted->sender_count++] = *prefix;
	return 0;
}

static int want_key(const struct agent_request *request, struct setup *wanted, struct err *e)
{
	if (request->gre_key_said && !setup_has_method(wanted, SETUP_GRE))
		return err_set(e, -EINVAL, "--gre-key belongs to --forward gre, by which no VIP comes");
	if (request->gre_key_said) {
		wanted->has_gre_key = request->gre_key_said == AGENT_KEY_SET;
		wanted->gre_key = request->gre_key;
	}
	return 0;
}

/* Packets of connections that live in a container would all look as if they belonged to another backend. */
static int want_chance(const struct agent_request *request, struct setup *wanted, const char *interface, struct err *e)
{
	char door[16], text[IP_TEXT_BYTES];

	if (request->second_chance && !setup_has_method(wanted, SETUP_GUE))
		return err_set(e, -EINVAL, "--second-chance belongs to --forward gue, by which no VIP comes");
	if (request->second_chance)
		wanted->is_chance_off = request->second_chance == AGENT_CHANCE_OFF;
	for (size_t i = 0; setup_passes_on(wanted) && i < wanted->vip_count; i++)
		if (wanted->vips[i].methods & SETUP_GUE && host_is_elsewhere(&wanted->vips[i].address, interface, door))
			return err_set(e, -ENOTSUP,
				       "VIP %s is an address of another network namespace, behind %s: its sockets are there, "
				       "where the second chance cannot look for them; run halfproxy-backend in there, or say "
				       "--second-chance off", ip_format(&wanted->vips[i].address, text), door);
	return 0;
}

/* Ports and MSS as said last; ports change whole. */
static int want_ports(const struct agent_request *request, struct setup *wanted, struct err *e)
{
	wanted->mss = request->is_bounding ? request->mss : wanted->mss;
	if (!request->is_mapping)
		return 0;
	memcpy(wanted->maps, request->maps, sizeof(wanted->maps));
	wanted->map_count = request->map_count;
	return portmap_check(wanted->maps, wanted->map_count, e);
}

/* The setup as it shall be, all of it checked. Nothing is changed. */
static int plan(const struct agent_request *request, struct setup *wanted, const struct host_addresses *addresses,
		struct err *e)
{
	char interface[16];
	bool is_there;
	int code = find_interface(request, wanted, interface, e);

	for (size_t i = 0; !code && i < request->vip_count; i++) {
		code = check_address(&request->vips[i], e);
		if (!code)
			code = want_vip(wanted, &request->vips[i], request->methods, e);
	}
	for (size_t i = 0; !code && i < request->sender_count; i++)
		code = want_sender(wanted, &request->senders[i], e);
	for (size_t i = 0; !code && i < wanted->vip_count; i++) {
		code = check_place(&wanted->vips[i].address, addresses, &is_there, e);
		if (!code)
			code = check_ipv6(&wanted->vips[i].address, interface, e);
		wanted->vips[i].is_ours |= !is_there;
	}
	if (!code)
		code = check_mtu(request, wanted, e);
	if (!code)
		code = want_key(request, wanted, e);
	if (!code)
		code = want_chance(request, wanted, interface, e);
	if (!code)
		code = want_ports(request, wanted, e);
	if (!code && setup_has_programs(wanted))
		code = tunnel_check(interface, setup_has_tunnel(wanted), e);
	if (code)
		return code;
	snprintf(wanted->interface, sizeof(wanted->interface), "%s", interface);
	wanted->ifindex = host_ifindex(interface);
	wanted->mtu = request->mtu ? request->mtu : wanted->mtu;
	return 0;
}

/* ---- up -------------------------------------------------------------------------------------------------------------------- */

static int raise_lo(struct setup *setup, const struct host_addresses *addresses, struct err *e)
{
	static const uint8_t loopback[] = {127, 0, 0, 1};
	struct ip ip = ip_from4(loopback);
	int code;

	if (host_is_up("lo"))
		return 0;
	setup->is_lo_ours = setup->is_lo_address_ours = true;
	for (size_t i = 0; i < addresses->count; i++)
		if (ip_equal(&addresses->list[i].ip, &ip))
			setup->is_lo_address_ours = false;
	code = agent_save(setup, e);
	if (!code)
		code = host_set_up("lo", true, e);
	if (!code)
		printf("lo is up\n");
	return code;
}

static int add_vips(const struct setup *setup, const struct host_addresses *addresses, struct err *e)
{
	char text[IP_TEXT_BYTES];
	bool is_there;
	int code = 0;

	for (size_t i = 0; !code && i < setup->vip_count; i++) {
		const struct ip *vip = &setup->vips[i].address;

		code = check_place(vip, addresses, &is_there, e);
		if (code || is_there)
			continue;
		code = host_add_vip(vip, e);
		if (!code)
			printf("%s/%d on lo\n", ip_format(vip, text), ip_is4(vip) ? 32 : 128);
	}
	return code;
}

static void tell_programs(const struct setup *setup, const struct tunnel_state *state)
{
	char text[PORTMAP_TEXT_BYTES];

	if (setup_has_tunnel(setup))
		printf("tunnels on %s are opened by XDP (%s), MSS at most %u (IPv4) and %u (IPv6)%s\n", setup->interface,
		       state->is_native ? "native" : "generic", state->settings.mss4, state->settings.mss6,
		       state->is_relay ? ", second chances are taken" : "");
	else if (setup_bounds_mss(setup))
		printf("MSS at most %u\n", setup->mss);
	for (size_t i = 0; i < setup->map_count; i++)
		printf("port %u is served by the server on port %u (%s)\n", setup->maps[i].port, setup->maps[i].server,
		       portmap_format(&setup->maps[i], text));
}

static int attach_programs(struct setup *setup, struct err *e)
{
	struct hpb_settings settings = tunnel_settings(setup);
	struct tunnel_state state;
	int code;

	tunnel_look(setup, &state);
	if (state.is_whole && state.is_filled && !memcmp(&state.settings, &settings, sizeof(settings)))
		return 0;
	setup->has_tunnel_parts = true;
	setup->is_clsact_ours |= !host_has_qdisc(setup->interface, "clsact");
	code = agent_save(setup, e);
	if (!code)
		code = tunnel_up(setup, e);
	if (code)
		return code;
	tunnel_look(setup, &state);
	tell_programs(setup, &state);
	return 0;
}

/* Take away programs that nothing needs any more, as after `--map none`. */
static int remove_programs(struct setup *setup, struct err *e)
{
	if (!setup->has_tunnel_parts)
		return 0;
	tunnel_down(setup);
	setup->has_tunnel_parts = setup->is_clsact_ours = false;
	return agent_save(setup, e);
}

static int change(struct setup *setup, const struct host_addresses *addresses, struct err *e)
{
	int code = agent_save(setup, e);

	if (!code)
		code = raise_lo(setup, addresses, e);
	/* Silent before the address is there: not one ARP answer may slip out. */
	if (!code)
		code = settings_apply(setup, e);
	if (!code)
		code = add_vips(setup, addresses, e);
	if (!code)
		code = setup_has_programs(setup) ? attach_programs(setup, e) : remove_programs(setup, e);
	return code;
}

/* An interface made anew has lost what hung on it. */
static void forget_lost_interface(struct setup *setup)
{
	if (!setup->interface[0] || host_ifindex(setup->interface) == setup->ifindex)
		return;
	settings_forget(setup, setup->interface);
	setup->is_clsact_ours = false;
}

static int up(const struct agent_request *request, struct setup *setup, struct setup *wanted,
	      const struct host_addresses *addresses, struct err *e)
{
	int code;

	forget_lost_interface(setup);
	*wanted = *setup;
	code = plan(request, wanted, addresses, e);
	if (code)
		return code;
	code = change(wanted, addresses, e);
	if (code) {
		printf("up failed, and is taken back:\n");
		agent_retreat(wanted, setup, NULL);
	}
	return code;
}

int agent_up(const struct agent_request *request, struct err *e)
{
	auto_free struct host_addresses *addresses = malloc(sizeof(*addresses));
	auto_free struct setup *setup = malloc(sizeof(*setup));
	auto_free struct setup *wanted = malloc(sizeof(*wanted));
	auto_close int guard = agent_lock(e);
	int code;

	if (!addresses || !setup || !wanted)
		return err_set(e, -ENOMEM, "%m");
	if (guard < 0)
		return guard;
	code = agent_load(setup, e);
	if (!code && !request->vip_count && !setup->vip_count)
		code = err_set(e, -EINVAL, "up needs --vip VIP: nothing is set up here yet");
	if (!code)
		code = host_read_addresses(addresses, e);
	return code ? code : up(request, setup, wanted, addresses, e);
}

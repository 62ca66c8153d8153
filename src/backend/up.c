/* up and down: see agent.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "backend/agent.h"
#include "backend/host.h"
#include "backend/tunnel.h"
#include "base/cleanup.h"

#define RP_STRICT 1
#define RP_LOOSE "2"

const char *agent_state_path(char path[static 128])
{
	snprintf(path, 128, AGENT_STATE "/%lu/state.json", host_namespace());
	return path;
}

static int save(const struct setup *setup, struct err *e)
{
	char path[128];

	return setup_save(setup, agent_state_path(path), e);
}

/* ---- settings ------------------------------------------------------------------------------------------------------------ */

/* Change a setting and remember what it was. A second change keeps the first memory. */
static int change(struct setup *setup, const char *path, const char *value, struct err *e)
{
	struct setup_sysctl *row = NULL;
	int code;

	for (size_t i = 0; i < setup->sysctl_count; i++)
		if (!strcmp(setup->sysctls[i].path, path))
			row = &setup->sysctls[i];
	if (!row) {
		if (setup->sysctl_count == SETUP_LIST_MOST)
			return err_set(e, -ENOSPC, "too many settings to remember");
		row = &setup->sysctls[setup->sysctl_count];
		snprintf(row->path, sizeof(row->path), "%s", path);
		code = host_read_sysctl(path, row->was, sizeof(row->was), e);
		if (code)
			return code;
		setup->sysctl_count++;
	}
	snprintf(row->set, sizeof(row->set), "%s", value);
	code = save(setup, e);
	if (!code)
		code = host_write_sysctl(path, value, e);
	if (!code)
		printf("%s = %s (was %s)\n", path, value, row->was);
	return code;
}

static long effective(const char *family_path, const char *interface)
{
	char path[128];
	long all, own;

	snprintf(path, sizeof(path), "net/ipv4/conf/all/%s", family_path);
	all = host_sysctl_number(path);
	snprintf(path, sizeof(path), "net/ipv4/conf/%s/%s", interface, family_path);
	own = host_sysctl_number(path);
	return all > own ? all : own;
}

/* max(all, interface) counts for each of these, so `all` silences every interface (ip-sysctl). */
static int quieten(struct setup *setup, struct err *e)
{
	char path[128];
	int code = 0;

	if (host_sysctl_number("net/ipv4/conf/all/arp_ignore") < 1)
		code = change(setup, "net/ipv4/conf/all/arp_ignore", "1", e);
	if (!code && host_sysctl_number("net/ipv4/conf/all/arp_announce") < 2)
		code = change(setup, "net/ipv4/conf/all/arp_announce", "2", e);
	if (!code && effective("rp_filter", setup->interface) == RP_STRICT) {
		snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", setup->interface);
		code = change(setup, path, RP_LOOSE, e);
	}
	return code;
}

/* IPv6 is often switched off on lo of containers, where no VIP could stand. */
static int allow_ipv6(struct setup *setup, struct err *e)
{
	if (host_sysctl_number("net/ipv6/conf/lo/disable_ipv6") == 0)
		return 0;
	return change(setup, "net/ipv6/conf/lo/disable_ipv6", "0", e);
}

/* ---- up -------------------------------------------------------------------------------------------------------------------- */

static int check_vip(const struct ip *vip, const struct host_addresses *addresses, bool *is_there, struct err *e)
{
	char text[IP_TEXT_BYTES];

	*is_there = false;
	if (ip_is_unspecified(vip) || ip_is_multicast(vip) || ip_is_loopback(vip) || ip_is_link_local(vip))
		return err_set(e, -EINVAL, "VIP %s must be a unicast address that clients can ask", ip_format(vip, text));
	for (size_t i = 0; i < addresses->count; i++) {
		const struct host_address *row = &addresses->list[i];

		if (!ip_equal(&row->ip, vip))
			continue;
		if (strcmp(row->interface, "lo") != 0)
			return err_set(e, -EADDRINUSE,
				       "VIP %s is this host's own address on %s: there it would answer ARP or ND; take it off "
				       "first (ip address del %s/%u dev %s)",
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

static int find_interface(const struct agent_request *request, struct setup *setup, struct err *e)
{
	struct ip far4 = {{[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 51, [14] = 100, [15] = 1}};
	struct ip far6 = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
	const struct ip *to = ip_is4(&request->vips[0]) ? &far4 : &far6;
	char found[16], all[256];

	for (size_t i = 0; i < request->sender_count; i++)
		if (request->senders[i].bits)
			to = &request->senders[i].ip;
	if (request->interface)
		snprintf(found, sizeof(found), "%s", request->interface);
	else if (setup->interface[0])
		return 0;
	else if (!host_route_interface(to, found, e))
		return -ENETUNREACH;
	host_list_interfaces(all, sizeof(all));
	if (!host_ifindex(found))
		return err_set(e, -ENODEV, "there is no interface %s; there are: %s", found, all);
	if (!strcmp(found, "lo"))
		return err_set(e, -EINVAL, "packets do not arrive by lo: name the interface, one of %s", all);
	if (setup->interface[0] && strcmp(setup->interface, found) != 0)
		return err_set(e, -EBUSY, "this backend is set up on %s already: `halfproxy-backend down` first", setup->interface);
	snprintf(setup->interface, sizeof(setup->interface), "%s", found);
	return 0;
}

static int add_vip(struct setup *setup, const struct ip *address, uint32_t methods, bool is_there, struct err *e)
{
	struct setup_vip *vip = setup_find_vip(setup, address);
	char text[IP_TEXT_BYTES];
	int code;

	if (!vip) {
		if (setup->vip_count == SETUP_LIST_MOST)
			return err_set(e, -ENOSPC, "more than %d VIPs", SETUP_LIST_MOST);
		vip = &setup->vips[setup->vip_count++];
		*vip = (struct setup_vip){.address = *address, .is_ours = !is_there};
	}
	vip->methods |= methods;
	vip->is_ours |= !is_there;
	code = save(setup, e);
	if (!code && !ip_is4(address))
		code = allow_ipv6(setup, e);
	if (code || is_there)
		return code;
	code = host_add_vip(address, e);
	if (!code)
		printf("%s/%d on lo\n", ip_format(address, text), ip_is4(address) ? 32 : 128);
	return code;
}

static bool add_sender(struct setup *setup, const struct prefix *prefix)
{
	for (size_t i = 0; i < setup->sender_count; i++)
		if (setup->senders[i].bits == prefix->bits && ip_equal(&setup->senders[i].ip, &prefix->ip))
			return false;
	if (setup->sender_count < SETUP_LIST_MOST)
		setup->senders[setup->sender_count++] = *prefix;
	return true;
}

static int open_tunnels(struct setup *setup, bool is_new, struct err *e)
{
	struct tunnel_state state;
	int code;

	tunnel_look(setup, &state);
	if (state.is_decap && state.is_mss && !is_new)
		return 0;
	code = save(setup, e);
	if (!code)
		code = tunnel_up(setup, e);
	if (code)
		return code;
	tunnel_look(setup, &state);
	printf("tunnels on %s are opened by XDP (%s), MSS at most %u (IPv4) and %u (IPv6)\n", setup->interface,
	       state.is_native ? "native" : "generic", state.limits.mss4, state.limits.mss6);
	return save(setup, e);
}

static int lock(struct err *e)
{
	auto_close int fd = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Two at once would forget what the other did. */
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return err_set(e, -errno, "/run: %m");
	return take_fd(&fd);
}

static int raise_lo(struct setup *setup, struct err *e)
{
	if (host_is_up("lo"))
		return 0;
	setup->is_lo_ours = true;
	printf("lo up\n");
	return host_set_up("lo", true, e);
}

static int up_all(const struct agent_request *request, struct setup *setup, const struct host_addresses *addresses,
		  struct err *e)
{
	bool is_new = false, is_there;
	int code = find_interface(request, setup, e);

	for (size_t i = 0; !code && i < request->vip_count; i++) {
		struct setup_vip *vip = setup_find_vip(setup, &request->vips[i]);

		is_new |= !vip || (vip->methods & request->methods) != request->methods;
		code = check_vip(&request->vips[i], addresses, &is_there, e);
	}
	for (size_t i = 0; i < request->sender_count; i++)
		is_new |= add_sender(setup, &request->senders[i]);
	if (!code)
		code = raise_lo(setup, e);
	/* Silent before the address is there: not one ARP answer may slip out. */
	if (!code)
		code = quieten(setup, e);
	for (size_t i = 0; !code && i < request->vip_count; i++) {
		code = check_vip(&request->vips[i], addresses, &is_there, e);
		if (!code)
			code = add_vip(setup, &request->vips[i], request->methods, is_there, e);
	}
	if (!code && setup_has_tunnel(setup))
		code = open_tunnels(setup, is_new, e);
	return code ? code : save(setup, e);
}

int agent_up(const struct agent_request *request, struct err *e)
{
	auto_free struct host_addresses *addresses = malloc(sizeof(*addresses));
	auto_free struct setup *setup = malloc(sizeof(*setup));
	auto_close int guard = lock(e);
	char path[128];
	int code;

	if (!addresses || !setup)
		return err_set(e, -ENOMEM, "%m");
	if (guard < 0)
		return guard;
	code = setup_load(setup, agent_state_path(path), e);
	if (!code)
		code = host_read_addresses(addresses, e);
	return code ? code : up_all(request, setup, addresses, e);
}

/* ---- down ------------------------------------------------------------------------------------------------------------------ */

static int restore(const struct setup_sysctl *row, struct err *e)
{
	char now[32];

	if (host_read_sysctl(row->path, now, sizeof(now), NULL)) {
		printf("%s is gone\n", row->path);
		return 0;
	}
	if (strcmp(now, row->set) != 0) {
		if (strcmp(now, row->was) != 0)
			printf("%s is %s now, which was changed since: left as it is (before up it was %s)\n", row->path, now,
			       row->was);
		return 0;
	}
	printf("%s = %s again\n", row->path, row->was);
	return host_write_sysctl(row->path, row->was, e);
}

static int drop_vip(struct setup *setup, struct setup_vip *vip, struct err *e)
{
	char text[IP_TEXT_BYTES];
	int code = vip->is_ours ? host_remove_vip(&vip->address, e) : 0;

	if (code)
		return code;
	printf("%s %s\n", ip_format(&vip->address, text), vip->is_ours ? "is off lo" : "was on lo before, and stays");
	*vip = setup->vips[--setup->vip_count];
	return 0;
}

static bool is_named(const struct agent_request *request, const struct ip *vip)
{
	for (size_t i = 0; i < request->vip_count; i++)
		if (ip_equal(&request->vips[i], vip))
			return true;
	return !request->vip_count;
}

static int down_rest(struct setup *setup, struct err *e)
{
	int code = 0;

	while (setup->sysctl_count && !code) {
		code = restore(&setup->sysctls[setup->sysctl_count - 1], e);
		if (!code)
			setup->sysctl_count--;
	}
	if (!code && setup->is_lo_ours)
		code = host_set_up("lo", false, e);
	if (!code)
		memset(setup, 0, sizeof(*setup));
	return code;
}

static int down_all(const struct agent_request *request, struct setup *setup, struct err *e)
{
	bool had_tunnel = setup_has_tunnel(setup), is_found = false;
	int code = 0;

	for (size_t i = setup->vip_count; !code && i-- > 0;)
		if (is_named(request, &setup->vips[i].address)) {
			is_found = true;
			code = drop_vip(setup, &setup->vips[i], e);
		}
	if (!code && !is_found && request->vip_count)
		return err_set(e, -ENOENT, "this VIP is not set up here: `halfproxy-backend status` lists those that are");
	if (!code && had_tunnel && !setup_has_tunnel(setup))
		code = tunnel_down(setup, e);
	else if (!code && had_tunnel)
		code = tunnel_up(setup, e);
	if (!code && !setup->vip_count)
		code = down_rest(setup, e);
	if (!code)
		code = save(setup, e);
	else
		save(setup, NULL);
	return code;
}

int agent_down(const struct agent_request *request, struct err *e)
{
	auto_free struct setup *setup = malloc(sizeof(*setup));
	auto_close int guard = lock(e);
	char path[128];
	int code;

	if (!setup)
		return err_set(e, -ENOMEM, "%m");
	if (guard < 0)
		return guard;
	code = setup_load(setup, agent_state_path(path), e);
	if (code)
		return code;
	if (!setup->vip_count && !setup->interface[0]) {
		printf("nothing is set up here\n");
		return 0;
	}
	return down_all(request, setup, e);
}

/* down, and the way back of an `up` that failed: see agent.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/agent.h"
#include "backend/host.h"
#include "backend/settings.h"
#include "backend/tunnel.h"
#include "base/cleanup.h"

static int remove_vips(struct setup *setup, const struct setup *target, struct err *e)
{
	char text[IP_TEXT_BYTES];

	for (size_t i = setup->vip_count; i-- > 0;) {
		struct setup_vip *vip = &setup->vips[i];
		int code = 0;

		if (setup_find_vip(target, &vip->address))
			continue;
		if (vip->is_ours)
			code = host_remove_vip(&vip->address, e);
		if (code)
			return code;
		printf("%s %s\n", ip_format(&vip->address, text), vip->is_ours ? "is off lo" : "was on lo before, and stays");
		*vip = setup->vips[--setup->vip_count];
	}
	return 0;
}

/* lo got 127.0.0.1 from the kernel when it was brought up first, and would keep it. */
static int lower_lo(const struct setup *setup, struct err *e)
{
	int code = 0;

	if (setup->is_lo_address_ours)
		code = host_remove_loopback_address(e);
	if (!code)
		code = host_set_up("lo", false, e);
	if (!code)
		printf("lo is down again\n");
	return code;
}

static void tell_programs(const struct setup *setup, const struct setup *target, bool had_tunnel)
{
	if (had_tunnel && !setup_has_tunnel(target))
		printf("tunnels on %s are closed\n", setup->interface);
	if (setup->map_count && !target->map_count)
		printf("ports are mapped no more\n");
}

static int retreat(struct setup *setup, const struct setup *target, struct err *e)
{
	bool had_tunnel = setup_has_tunnel(setup) && setup->has_tunnel_parts;
	int code = remove_vips(setup, target, e);

	if (code)
		return code;
	if (setup_has_programs(target)) {
		code = tunnel_fill(target, e);
	} else if (setup->has_tunnel_parts) {
		tunnel_down(setup);
		setup->has_tunnel_parts = false;
	}
	tell_programs(setup, target, had_tunnel);
	/* Silent until the last VIP is gone. */
	if (!code)
		code = settings_restore(setup, target->sysctl_count, e);
	if (!code && setup->is_lo_ours && !target->is_lo_ours)
		code = lower_lo(setup, e);
	return code;
}

int agent_retreat(struct setup *setup, const struct setup *target, struct err *e)
{
	int code = retreat(setup, target, e);

	if (code) {
		agent_save(setup, NULL);
		return code;
	}
	*setup = *target;
	return agent_save(setup, e);
}

/* What is to be left: all but the VIPs named, and nothing at all without a VIP. */
static int plan(const struct setup *setup, const struct agent_request *request, struct setup *target, struct err *e)
{
	char text[IP_TEXT_BYTES];

	*target = *setup;
	for (size_t i = 0; i < request->vip_count; i++) {
		const struct setup_vip *found = setup_find_vip(target, &request->vips[i]);

		if (!found && !setup_find_vip(setup, &request->vips[i]))
			return err_set(e, -ENOENT, "VIP %s is not set up here: `halfproxy-backend status` lists those that are",
				       ip_format(&request->vips[i], text));
		if (found)
			target->vips[found - target->vips] = target->vips[target->vip_count - 1];
		target->vip_count -= found != NULL;
	}
	if (!request->vip_count || !target->vip_count)
		memset(target, 0, sizeof(*target));
	/* Senders are trusted for tunnels that are open, not for those of another day. */
	if (!setup_has_tunnel(target)) {
		target->sender_count = 0;
		target->is_chance_off = false;
		target->mtu = 0;
	}
	target->has_gre_key &= setup_has_method(target, SETUP_GRE);
	if (!setup_has_programs(target))
		target->is_clsact_ours = target->has_tunnel_parts = false;
	return 0;
}

int agent_down(const struct agent_request *request, struct err *e)
{
	auto_free struct setup *setup = malloc(sizeof(*setup));
	auto_free struct setup *target = malloc(sizeof(*target));
	auto_close int guard = agent_lock(e);
	int code;

	if (!setup || !target)
		return err_set(e, -ENOMEM, "%m");
	if (guard < 0)
		return guard;
	code = agent_load(setup, e);
	if (code)
		return code;
	if (!request->vip_count && setup_is_empty(setup)) {
		printf("nothing is set up here\n");
		return agent_save(setup, e); /* a `down` that was killed may have left the file's folder */
	}
	code = plan(setup, request, target, e);
	return code ? code : agent_retreat(setup, target, e);
}

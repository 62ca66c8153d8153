/* The programs and where they hang: see tunnel.h. */
#include "backend/tunnel.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend/host.h"
#include "backend/lookup.h"
#include "backend/portmap.h"
#include "backend/tunnel_map.h"
#include "base/cleanup.h"
#include "base/kernel.h"

#define BPFFS "/sys/fs/bpf"
#define FILTER_PRIORITY 18512 /* "HP" */
#define OUTER4_BYTES 20
#define OUTER6_BYTES 40
#define IP4_TCP_BYTES 40
#define IP6_TCP_BYTES 60

/* Bytes of the longest outer headers. The outer IP header is of the sender's family, whatever the VIP's. */
static uint32_t outer_most(const struct setup *setup)
{
	uint32_t bytes = OUTER4_BYTES;

	for (size_t i = 0; i < setup->sender_count; i++)
		if (!ip_is4(&setup->senders[i].ip))
			bytes = OUTER6_BYTES;
	if (setup_has_method(setup, SETUP_GUE))
		return bytes + HP_GUE_BYTES + (setup_passes_on(setup) ? (uint32_t)sizeof(struct hp_gue_chance) : 0);
	if (setup_has_method(setup, SETUP_GRE))
		bytes += setup->has_gre_key ? HP_GRE_KEYED_BYTES : HP_GRE_BYTES;
	return bytes;
}

/* The smaller of a bound and the one that is asked for; 0 is no bound. */
static uint16_t bound(uint32_t mss, uint32_t asked)
{
	return (uint16_t)(!mss || (asked && asked < mss) ? asked : mss);
}

struct hpb_settings tunnel_settings(const struct setup *setup)
{
	uint32_t mtu = setup_has_tunnel(setup) ? host_mtu(setup->interface) : 0, outer = outer_most(setup);
	struct hpb_settings settings = {0};

	settings.flags |= setup->mss ? HPB_BOUNDS_ALL : 0;
	settings.flags |= setup_has_method(setup, SETUP_GUE) ? HPB_TAKES_GUE : 0;
	settings.flags |= setup_passes_on(setup) ? HPB_PASSES_ON : 0;
	settings.flags |= setup_has_method(setup, SETUP_GRE) ? HPB_TAKES_GRE : 0;
	settings.flags |= setup->has_gre_key ? HPB_GRE_KEYED : 0;
	settings.gre_key = setup->has_gre_key ? htonl(setup->gre_key) : 0;
	if (setup->mtu && (!mtu || setup->mtu < mtu))
		mtu = setup->mtu;
	if (mtu > outer + IP6_TCP_BYTES && mtu <= UINT16_MAX) {
		settings.mss4 = (uint16_t)(mtu - outer - IP4_TCP_BYTES);
		settings.mss6 = (uint16_t)(mtu - outer - IP6_TCP_BYTES);
	}
	settings.mss4 = bound(settings.mss4, setup->mss);
	settings.mss6 = bound(settings.mss6, setup->mss);
	return settings;
}

/* ---- what is there -------------------------------------------------------------------------------------------------------- */

static uint32_t program_id(const char *pin)
{
	struct bpf_prog_info info = {0};
	uint32_t bytes = sizeof(info);
	auto_close int fd = tunnel_open_pin(pin);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes) ? 0 : info.id;
}

/* The program of our pinned link, if it is on the interface still; 0 otherwise. */
static uint32_t attached_program(uint32_t ifindex)
{
	struct bpf_link_info info = {0};
	uint32_t bytes = sizeof(info);
	auto_close int fd = tunnel_open_pin(TUNNEL_PIN_LINK);

	return fd >= 0 && ifindex && !bpf_obj_get_info_by_fd(fd, &info, &bytes) && info.xdp.ifindex == ifindex ? info.prog_id : 0;
}

static bool maps_ports(const struct setup *setup)
{
	return setup->map_count != 0;
}

static bool maps_udp(const struct setup *setup)
{
	for (size_t i = 0; i < setup->map_count; i++)
		if (portmap_has(&setup->maps[i], IPPROTO_UDP))
			return true;
	return false;
}

/* Our filters of tc. What is marked to leave needs the relay before anything is marked, so it hangs first. */
enum filter {
	RELAY,
	FIND,
	ANSWER,
	MSS,
	FILTERS
};

static const struct {
	const char *name, *pin, *what;
	enum bpf_tc_attach_point point;
	uint32_t handle;
	bool (*is_needed)(const struct setup *setup);
} filters[FILTERS] = {
	[RELAY] = {"hp_relay", TUNNEL_PIN_RELAY, "relay", BPF_TC_INGRESS, 1, setup_passes_on},
	[FIND] = {"hp_find", TUNNEL_PIN_FIND, "search for servers", BPF_TC_INGRESS, 2, maps_ports},
	[ANSWER] = {"hp_answer", TUNNEL_PIN_ANSWER, "filter of answers", BPF_TC_EGRESS, 2, maps_udp},
	[MSS] = {"hp_mss", TUNNEL_PIN_MSS, "MSS filter", BPF_TC_EGRESS, 1, setup_bounds_mss},
};

/* The program of a filter; 0 when there is none, or somebody else's in its place. */
static uint32_t filter_program(uint32_t ifindex, enum filter filter)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = filters[filter].point);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = filters[filter].handle, .priority = FILTER_PRIORITY);
	struct bpf_prog_info info = {0};
	uint32_t bytes = sizeof(info);
	auto_close int fd = -1;

	if (!ifindex || bpf_tc_query(&hook, &options))
		return 0;
	fd = bpf_prog_get_fd_by_id(options.prog_id);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes) || strcmp(info.name, filters[filter].name) != 0)
		return 0;
	return options.prog_id;
}

/* What hangs where it is needed has to be what is pinned, and where it is not needed nothing. */
static bool is_right(bool is_needed, uint32_t program, const char *pin)
{
	return is_needed ? program && program == program_id(pin) : !program;
}

static bool is_whole(const struct setup *setup)
{
	uint32_t ifindex = host_ifindex(setup->interface);

	for (enum filter filter = RELAY; filter < FILTERS; filter++)
		if (!is_right(filters[filter].is_needed(setup), filter_program(ifindex, filter), filters[filter].pin))
			return false;
	return is_right(setup_has_tunnel(setup), attached_program(ifindex), TUNNEL_PIN_DECAP) &&
	       is_right(maps_ports(setup), lookup_program(), TUNNEL_PIN_LOOKUP) && tunnel_has_maps();
}

int tunnel_check(const char *interface, bool opens_tunnels, struct err *e)
{
	uint32_t ifindex = host_ifindex(interface), found = 0;
	struct statfs fs;

	tunnel_listen();
	if (statfs(BPFFS, &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return err_set(e, -ENODEV, "no BPF file system is mounted at " BPFFS ": mount -t bpf bpf " BPFFS);
	if (!host_is_ethernet(interface))
		return err_set(e, -EINVAL, "interface %s carries no Ethernet frames, and tunnels are opened, MSS "
					   "bounded and ports mapped on Ethernet only", interface);
	if (host_has_qdisc(interface, "ingress"))
		return err_set(e, -EEXIST,
			       "interface %s has an ingress qdisc, in whose place our filters need a clsact qdisc, which "
			       "takes the same filters: `tc qdisc del dev %s ingress`, `tc qdisc add dev %s clsact`, and the "
			       "filters anew", interface, interface, interface);
	if (opens_tunnels && !attached_program(ifindex) && !bpf_xdp_query_id((int)ifindex, 0, &found) && found)
		return err_set(e, -EBUSY,
			       "interface %s runs somebody else's XDP program, number %u (`bpftool prog show id %u` names it): "
			       "decapsulation needs its place; take it off first (`ip link set dev %s xdp off`)",
			       interface, found, found, interface);
	return 0;
}

/* ---- attaching ---------------------------------------------------------------------------------------------------------- */

static int replace_decap(const char *interface, int program, struct err *e)
{
	auto_close int link = tunnel_open_pin(TUNNEL_PIN_LINK);

	if (link < 0 || bpf_link_update(link, program, NULL))
		return err_set(e, -errno, "replacing the XDP program on %s: %m", interface);
	return 0;
}

static int attach_decap(const char *interface, struct err *e)
{
	static const uint32_t modes[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
	uint32_t ifindex = host_ifindex(interface);
	auto_close int program = tunnel_open_pin(TUNNEL_PIN_DECAP);
	auto_close int link = -1;
	char path[128];

	if (attached_program(ifindex))
		return replace_decap(interface, program, e);
	for (size_t i = 0; link < 0 && i < 2; i++) {
		LIBBPF_OPTS(bpf_link_create_opts, options, .flags = modes[i]);

		link = bpf_link_create(program, (int)ifindex, BPF_XDP, &options);
	}
	if (link < 0)
		return err_set(e, -errno, "interface %s takes no XDP program: %m", interface);
	tunnel_pin_path(TUNNEL_PIN_LINK, path);
	unlink(path);
	return bpf_obj_pin(link, path) ? err_set(e, -errno, "pinning %s: %m", path) : 0;
}

static void detach_decap(void)
{
	auto_close int link = tunnel_open_pin(TUNNEL_PIN_LINK);
	char path[128];

	if (link < 0)
		return;
	bpf_link_detach(link);
	tunnel_pin_path(TUNNEL_PIN_LINK, path);
	unlink(path);
}

static int attach_filter(const char *interface, enum filter filter, struct err *e)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)host_ifindex(interface), .attach_point = filters[filter].point);
	auto_close int program = tunnel_open_pin(filters[filter].pin);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = filters[filter].handle, .priority = FILTER_PRIORITY, .prog_fd = program,
		    .flags = BPF_TC_F_REPLACE);
	int code = bpf_tc_hook_create(&hook);

	if (code && code != -EEXIST)
		return err_set(e, code, "clsact on %s: %m", interface);
	code = bpf_tc_attach(&hook, &options);
	return code ? err_set(e, code, "%s on %s: %m (%s)", filters[filter].what, interface, tunnel_last_words()) : 0;
}

static void detach_filter(uint32_t ifindex, enum filter filter)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = filters[filter].point);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = filters[filter].handle, .priority = FILTER_PRIORITY);

	if (filter_program(ifindex, filter))
		bpf_tc_detach(&hook, &options);
}

/* Take away what the setup does not need. */
static void detach_rest(const struct setup *setup)
{
	if (!setup_has_tunnel(setup))
		detach_decap();
	if (!maps_ports(setup))
		lookup_detach();
	for (enum filter filter = RELAY; filter < FILTERS; filter++)
		if (!filters[filter].is_needed(setup))
			detach_filter(host_ifindex(setup->interface), filter);
}

/* The maps are filled before packets or sockets are asked for: none meets half of it. */
static int attach_all(const struct setup *setup, struct err *e)
{
	int code = setup_passes_on(setup) ? attach_filter(setup->interface, RELAY, e) : 0;

	if (!code)
		code = tunnel_fill_maps(setup, e);
	if (!code && setup_has_tunnel(setup))
		code = attach_decap(setup->interface, e);
	if (!code && maps_ports(setup))
		code = lookup_attach(e);
	for (enum filter filter = FIND; !code && filter < FILTERS; filter++)
		if (filters[filter].is_needed(setup))
			code = attach_filter(setup->interface, filter, e);
	return code;
}

int tunnel_up(const struct setup *setup, struct err *e)
{
	int code;

	tunnel_listen();
	if (is_whole(setup))
		return tunnel_fill_maps(setup, e);
	code = tunnel_load(e);
	if (!code)
		code = attach_all(setup, e);
	if (!code)
		detach_rest(setup);
	return code;
}

int tunnel_fill(const struct setup *setup, struct err *e)
{
	int code = tunnel_fill_maps(setup, e);

	detach_rest(setup);
	return code == -ENOENT ? 0 : code;
}

void tunnel_down(const struct setup *setup)
{
	uint32_t ifindex = host_ifindex(setup->interface);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	tunnel_listen();
	detach_decap();
	lookup_detach();
	for (enum filter filter = RELAY; filter < FILTERS; filter++)
		detach_filter(ifindex, filter);
	if (ifindex && setup->is_clsact_ours && !host_count_filters(setup->interface))
		bpf_tc_hook_destroy(&hook);
	tunnel_remove_pins();
}

/* ---- looking ------------------------------------------------------------------------------------------------------------ */

void tunnel_look(const struct setup *setup, struct tunnel_state *out)
{
	uint32_t ifindex = host_ifindex(setup->interface), zero = 0;
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	auto_close int fd = -1;

	tunnel_listen();
	memset(out, 0, sizeof(*out));
	out->is_decap = attached_program(ifindex) != 0;
	out->is_native = out->is_decap && !bpf_xdp_query((int)ifindex, 0, &query) && query.attach_mode != XDP_ATTACHED_SKB;
	out->is_mss = filter_program(ifindex, MSS) != 0;
	out->is_relay = filter_program(ifindex, RELAY) != 0;
	out->is_mapping = is_right(maps_ports(setup), lookup_program(), TUNNEL_PIN_LOOKUP) &&
			  is_right(maps_ports(setup), filter_program(ifindex, FIND), TUNNEL_PIN_FIND) &&
			  is_right(maps_udp(setup), filter_program(ifindex, ANSWER), TUNNEL_PIN_ANSWER);
	out->is_whole = is_whole(setup);
	out->is_filled = tunnel_is_filled(setup);
	fd = tunnel_open_pin("settings");
	if (fd >= 0)
		bpf_map_lookup_elem(fd, &zero, &out->settings);
	tunnel_read_counters(out->counters);
	tunnel_read_refused(out->refused);
}

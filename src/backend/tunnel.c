/* Decapsulation and MSS filter: see tunnel.h. */
#include "backend/tunnel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backend.skel.h"
#include "backend/host.h"
#include "base/cleanup.h"

#define BPFFS "/sys/fs/bpf"
#define FILTER_PRIORITY 18512 /* "HP" */
#define FILTER_HANDLE 1
#define IP4_TCP_BYTES 40
#define IP6_TCP_BYTES 60

static const char *const map_names[] = {"vips4", "vips6", "senders4", "senders6", "settings", "counters"};

#define MAPS (sizeof(map_names) / sizeof(map_names[0]))

static char last_words[300];

static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN)
		vsnprintf(last_words, sizeof(last_words), format, args);
	last_words[strcspn(last_words, "\n")] = '\0';
	return 0;
}

static void pin_path(const char *name, char path[static 128])
{
	snprintf(path, 128, TUNNEL_PINS "/%lu/%s", host_namespace(), name);
}

static int open_pin(const char *name)
{
	char path[128];

	pin_path(name, path);
	return bpf_obj_get(path);
}

struct hpb_settings tunnel_limits(const struct setup *setup)
{
	uint32_t mtu = host_mtu(setup->interface), outer = 20;
	struct hpb_settings limits = {0, 0};

	for (size_t i = 0; i < setup->sender_count; i++)
		if (!ip_is4(&setup->senders[i].ip))
			outer = 40;
	if (mtu > outer + IP6_TCP_BYTES && mtu <= UINT16_MAX) {
		limits.mss4 = (uint16_t)(mtu - outer - IP4_TCP_BYTES);
		limits.mss6 = (uint16_t)(mtu - outer - IP6_TCP_BYTES);
	}
	return limits;
}

/* ---- filling the maps ------------------------------------------------------------------------------------------------ */

static void clear_map(int fd)
{
	uint8_t key[sizeof(struct hpb_prefix6)];

	while (!bpf_map_get_next_key(fd, NULL, key))
		if (bpf_map_delete_elem(fd, key))
			return;
}

static int put_vips(const struct setup *setup, int fd4, int fd6)
{
	for (size_t i = 0; i < setup->vip_count; i++) {
		const struct setup_vip *vip = &setup->vips[i];
		bool is4 = ip_is4(&vip->address);
		uint32_t flags = vip->methods & SETUP_IPIP ? HPB_VIP_TUNNEL : 0;

		if (vip->methods & SETUP_L2)
			flags |= HPB_VIP_L2;
		if (bpf_map_update_elem(is4 ? fd4 : fd6, is4 ? ip_bytes4(&vip->address) : vip->address.byte, &flags, BPF_ANY))
			return -errno;
	}
	return 0;
}

static int put_senders(const struct setup *setup, int fd4, int fd6)
{
	uint32_t yes = 1;

	for (size_t i = 0; i < setup->sender_count; i++) {
		const struct prefix *prefix = &setup->senders[i];
		struct hpb_prefix4 key4 = {.bits = prefix->bits};
		struct hpb_prefix6 key6 = {.bits = prefix->bits};
		bool is4 = ip_is4(&prefix->ip);

		memcpy(&key4.address, ip_bytes4(&prefix->ip), sizeof(key4.address));
		memcpy(key6.address, prefix->ip.byte, sizeof(key6.address));
		if (bpf_map_update_elem(is4 ? fd4 : fd6, is4 ? (void *)&key4 : (void *)&key6, &yes, BPF_ANY))
			return -errno;
	}
	return 0;
}

/* New entries go in before stale ones would be missed: senders and VIPs that stay are never absent. */
static void drop_stale_vips(const struct setup *setup, int fd, bool is4)
{
	uint8_t key[16], next[16];
	void *at = NULL;

	while (!bpf_map_get_next_key(fd, at, next)) {
		struct ip ip = is4 ? ip_from4(next) : ip_from6(next);
		bool is_wanted = false;

		for (size_t i = 0; i < setup->vip_count; i++)
			is_wanted |= ip_equal(&setup->vips[i].address, &ip);
		memcpy(key, next, sizeof(key));
		at = is_wanted ? key : NULL;
		if (!is_wanted)
			bpf_map_delete_elem(fd, key);
	}
}

static int fill(const struct setup *setup, struct err *e)
{
	struct hpb_settings limits = tunnel_limits(setup);
	int fds[MAPS];
	uint32_t zero = 0;
	int code = 0;

	for (size_t i = 0; i < MAPS; i++) {
		fds[i] = open_pin(map_names[i]);
		if (fds[i] < 0 && !code)
			code = -errno;
	}
	if (!code) {
		clear_map(fds[2]);
		clear_map(fds[3]);
		code = put_senders(setup, fds[2], fds[3]);
	}
	if (!code)
		code = put_vips(setup, fds[0], fds[1]);
	if (!code) {
		drop_stale_vips(setup, fds[0], true);
		drop_stale_vips(setup, fds[1], false);
		code = bpf_map_update_elem(fds[4], &zero, &limits, BPF_ANY) ? -errno : 0;
	}
	for (size_t i = 0; i < MAPS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return code ? err_set(e, code, "filling the BPF maps: %m (%s)", last_words) : 0;
}

/* ---- attaching ---------------------------------------------------------------------------------------------------------- */

static int check_bpffs(struct err *e)
{
	struct statfs fs;

	if (statfs(BPFFS, &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return err_set(e, -ENODEV, "no BPF file system is mounted at " BPFFS ": mount -t bpf bpf " BPFFS);
	mkdir(TUNNEL_PINS, 0700);
	return 0;
}

static void remove_pins(void)
{
	static const char *const others[] = {"link", "decap", "mss"};
	char path[128];

	for (size_t i = 0; i < MAPS; i++) {
		pin_path(map_names[i], path);
		unlink(path);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		pin_path(others[i], path);
		unlink(path);
	}
	snprintf(path, sizeof(path), TUNNEL_PINS "/%lu", host_namespace());
	rmdir(path);
	rmdir(TUNNEL_PINS);
}

static int load(struct err *e)
{
	struct backend_bpf *skel = backend_bpf__open();
	char path[128];
	int code;

	if (!skel)
		return err_set(e, -errno, "BPF programs: %m (%s)", last_words);
	code = backend_bpf__load(skel);
	if (code == -EPERM || code == -EACCES)
		err_set(e, code, "the kernel refuses the BPF programs: root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are "
				 "needed (%s)", last_words);
	else if (code)
		err_set(e, code, "the kernel does not take the BPF programs: %m (%s); Linux 5.15 or newer is needed", last_words);
	snprintf(path, sizeof(path), TUNNEL_PINS "/%lu", host_namespace());
	if (!code && mkdir(path, 0700) < 0 && errno != EEXIST)
		code = err_set(e, -errno, "folder %s: %m", path);
	for (size_t i = 0; !code && i < MAPS; i++) {
		pin_path(map_names[i], path);
		unlink(path);
		code = bpf_map__pin(bpf_object__find_map_by_name(skel->obj, map_names[i]), path);
		if (code)
			err_set(e, code, "pinning %s: %m", path);
	}
	for (int i = 0; !code && i < 2; i++) {
		struct bpf_program *program = i ? skel->progs.hp_mss : skel->progs.hp_decap;

		pin_path(i ? "mss" : "decap", path);
		unlink(path);
		code = bpf_program__pin(program, path);
		if (code)
			err_set(e, code, "pinning %s: %m", path);
	}
	backend_bpf__destroy(skel);
	return code;
}

/* Whether our pinned link is on the interface still. */
static bool is_attached(uint32_t ifindex)
{
	struct bpf_link_info info = {0};
	uint32_t bytes = sizeof(info);
	auto_close int fd = open_pin("link");

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &bytes) && info.xdp.ifindex == ifindex;
}

static int attach_decap(const char *interface, struct err *e)
{
	static const uint32_t modes[] = {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
	uint32_t ifindex = host_ifindex(interface);
	auto_close int program = open_pin("decap");
	auto_close int link = -1;
	char path[128];

	if (is_attached(ifindex))
		return 0;
	for (size_t i = 0; link < 0 && i < 2; i++) {
		LIBBPF_OPTS(bpf_link_create_opts, options, .flags = modes[i]);

		link = bpf_link_create(program, (int)ifindex, BPF_XDP, &options);
		if (link < 0 && (errno == EBUSY || errno == EEXIST))
			return err_set(e, -EBUSY,
				       "interface %s runs somebody else's XDP program (`ip link show dev %s` names it): "
				       "decapsulation needs its place; take it off first (`ip link set dev %s xdp off`)",
				       interface, interface, interface);
	}
	if (link < 0)
		return err_set(e, -errno, "interface %s takes no XDP program: %m", interface);
	pin_path("link", path);
	unlink(path);
	return bpf_obj_pin(link, path) ? err_set(e, -errno, "pinning %s: %m", path) : 0;
}

static bool find_filter(uint32_t ifindex, uint32_t *program)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);

	if (bpf_tc_query(&hook, &options))
		return false;
	*program = options.prog_id;
	return true;
}

static int attach_mss(struct setup *setup, struct err *e)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)host_ifindex(setup->interface), .attach_point = BPF_TC_EGRESS);
	auto_close int program = open_pin("mss");
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY, .prog_fd = program,
		    .flags = BPF_TC_F_REPLACE);
	int code = bpf_tc_hook_create(&hook);

	if (!code)
		setup->is_clsact_ours = true;
	if (code && code != -EEXIST)
		return err_set(e, code, "clsact on %s: %m", setup->interface);
	code = bpf_tc_attach(&hook, &options);
	return code ? err_set(e, code, "MSS filter on %s: %m (%s)", setup->interface, last_words) : 0;
}

int tunnel_up(struct setup *setup, struct err *e)
{
	uint32_t program;
	int code;

	libbpf_set_print(keep_words);
	last_words[0] = '\0';
	code = check_bpffs(e);
	if (code)
		return code;
	if (!is_attached(host_ifindex(setup->interface)) || !find_filter(host_ifindex(setup->interface), &program))
		code = load(e);
	/* Filled before anything is attached: no packet meets half of it. */
	if (!code)
		code = fill(setup, e);
	if (!code)
		code = attach_decap(setup->interface, e);
	if (!code)
		code = attach_mss(setup, e);
	return code;
}

int tunnel_down(struct setup *setup, struct err *e)
{
	uint32_t ifindex = host_ifindex(setup->interface), program;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	auto_close int link = open_pin("link");

	(void)e;
	libbpf_set_print(keep_words);
	if (link >= 0)
		bpf_link_detach(link);
	if (ifindex && find_filter(ifindex, &program))
		bpf_tc_detach(&hook, &options);
	if (ifindex && setup->is_clsact_ours && !host_count_filters(setup->interface)) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		bpf_tc_hook_destroy(&hook);
	}
	setup->is_clsact_ours = false;
	remove_pins();
	return 0;
}

/* ---- looking ---------------------------------------------------------------------------------------------------------------- */

static void read_counters(uint64_t counters[static HPB_COUNTER_COUNT])
{
	int cpus = libbpf_num_possible_cpus();
	auto_close int fd = open_pin("counters");
	auto_free uint64_t *values = cpus > 0 ? calloc((size_t)cpus, sizeof(*values)) : NULL;

	for (uint32_t key = 0; fd >= 0 && values && key < HPB_COUNTER_COUNT; key++) {
		if (bpf_map_lookup_elem(fd, &key, values))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++)
			counters[key] += values[cpu];
	}
}

void tunnel_look(const struct setup *setup, struct tunnel_state *out)
{
	uint32_t ifindex = host_ifindex(setup->interface), zero = 0, program;
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	auto_close int fd = -1;

	libbpf_set_print(keep_words);
	memset(out, 0, sizeof(*out));
	out->is_decap = is_attached(ifindex);
	out->is_native = out->is_decap && !bpf_xdp_query((int)ifindex, 0, &query) && query.attach_mode != XDP_ATTACHED_SKB;
	out->is_mss = ifindex && find_filter(ifindex, &program);
	fd = open_pin("settings");
	if (fd >= 0)
		bpf_map_lookup_elem(fd, &zero, &out->limits);
	read_counters(out->counters);
}

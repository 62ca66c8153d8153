/* Pins and maps: see tunnel_map.h. */
#include "backend/tunnel_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.skel.h"
#include "backend/host.h"
#include "backend/portmap.h"
#include "backend/tunnel.h"
#include "base/cleanup.h"
#include "base/kernel.h"

enum map {
	VIPS4,
	VIPS6,
	SENDERS4,
	SENDERS6,
	VLANS,
	PORTS, /* the last that is swept */
	SOCKETS,
	SETTINGS,
	COUNTERS,
	REFUSED,
	MAPS
};

static const char *const map_names[MAPS] = {"vips4", "vips6",   "senders4", "senders6", "vlans",
					    "ports", "sockets", "settings", "counters", "refused"};

static char last_words[300];

/* ---- libbpf's words ---------------------------------------------------------------------------------------------------- */

/* The verifier's log is too long for a sentence, and that loading failed is known. */
static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN && !strstr(format, "-- BEGIN") && !strstr(format, "failed to load"))
		vsnprintf(last_words, sizeof(last_words), format, args);
	last_words[strcspn(last_words, "\n")] = '\0';
	return 0;
}

void tunnel_listen(void)
{
	libbpf_set_print(keep_words);
	last_words[0] = '\0';
}

const char *tunnel_last_words(void)
{
	return last_words;
}

/* ---- pins ---------------------------------------------------------------------------------------------------------------- */

void tunnel_pin_path(const char *name, char path[static 128])
{
	snprintf(path, 128, TUNNEL_PINS "/%" PRIu64 "/%s", host_namespace(), name);
	/* The BPF file system keeps dots for itself. */
	for (char *dot = strchr(path, '.'); dot; dot = strchr(dot, '.'))
		*dot = '_';
}

int tunnel_open_pin(const char *name)
{
	char path[128];

	tunnel_pin_path(name, path);
	return bpf_obj_get(path);
}

void tunnel_remove_pins(void)
{
	char folder[128], path[128 + NAME_MAX + 1];
	DIR *dir;

	tunnel_pin_path("", folder);
	dir = opendir(folder);
	for (struct dirent *row = dir ? readdir(dir) : NULL; row; row = readdir(dir)) {
		snprintf(path, sizeof(path), "%s%s", folder, row->d_name);
		unlink(path);
	}
	if (dir)
		closedir(dir);
	rmdir(folder);
	rmdir(TUNNEL_PINS);
}

int tunnel_pin(int fd, const char *name, struct err *e)
{
	char path[128];

	tunnel_pin_path(name, path);
	unlink(path);
	return bpf_obj_pin(fd, path) ? err_set(e, -errno, "pinning %s: %m", path) : 0;
}

static int make_folder(struct err *e)
{
	char path[128];

	tunnel_pin_path("", path);
	if ((mkdir(TUNNEL_PINS, 0700) < 0 && errno != EEXIST) || (mkdir(path, 0700) < 0 && errno != EEXIST))
		return err_set(e, -errno, "folder %s: %m", path);
	return 0;
}

/* ---- programs ---------------------------------------------------------------------------------------------------------- */

/* A program that understands packets in several buffers may be attached whatever the MTU; Linux 5.18 knows such. */
static struct backend_bpf *load_one(bool is_multi_buffer, int *code)
{
	struct backend_bpf *skel = backend_bpf__open();

	if (!skel) {
		*code = -errno;
		return NULL;
	}
	skel->rodata->is_multi_buffer = is_multi_buffer;
	*code = is_multi_buffer ? bpf_program__set_flags(skel->progs.hp_decap, BPF_F_XDP_HAS_FRAGS) : 0;
	if (!*code)
		*code = backend_bpf__load(skel);
	if (!*code)
		return skel;
	backend_bpf__destroy(skel);
	return NULL;
}

static int pin_all(const struct backend_bpf *skel, struct err *e)
{
	const struct {
		const struct bpf_program *program;
		const char *name;
	} programs[] = {
		{skel->progs.hp_decap, TUNNEL_PIN_DECAP}, {skel->progs.hp_mss, TUNNEL_PIN_MSS},
		{skel->progs.hp_relay, TUNNEL_PIN_RELAY}, {skel->progs.hp_find, TUNNEL_PIN_FIND},
		{skel->progs.hp_answer, TUNNEL_PIN_ANSWER}, {skel->progs.hp_lookup, TUNNEL_PIN_LOOKUP},
	};
	int code = make_folder(e);

	for (size_t i = 0; !code && i < MAPS; i++)
		code = tunnel_pin(bpf_map__fd(bpf_object__find_map_by_name(skel->obj, map_names[i])), map_names[i], e);
	for (size_t i = 0; !code && i < sizeof(programs) / sizeof(programs[0]); i++)
		code = tunnel_pin(bpf_program__fd(programs[i].program), programs[i].name, e);
	return code;
}

int tunnel_load(struct err *e)
{
	struct backend_bpf *skel;
	int code;

	skel = load_one(true, &code);
	if (!skel && code != -EPERM)
		skel = load_one(false, &code);
	if (code == -EPERM)
		return err_set(e, code, "the kernel refuses the BPF programs: root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON "
					"are needed (%s)", last_words);
	if (!skel)
		return err_set(e, code,
			       "the kernel does not take the BPF programs: %m (%s); Linux " KERNEL_LEAST " or newer is needed",
			       last_words);
	code = pin_all(skel, e);
	backend_bpf__destroy(skel);
	return code;
}

/* ---- maps ---------------------------------------------------------------------------------------------------------------- */

static int open_maps(int fds[static MAPS])
{
	int code = 0;

	for (size_t i = 0; i < MAPS; i++) {
		fds[i] = tunnel_open_pin(map_names[i]);
		if (fds[i] < 0 && !code)
			code = -errno;
	}
	return code;
}

static void close_maps(const int fds[static MAPS])
{
	for (size_t i = 0; i < MAPS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static uint32_t flags_of(const struct setup_vip *vip)
{
	return (vip->methods & SETUP_IPIP ? HPB_VIP_IPIP : 0) | (vip->methods & SETUP_GUE ? HPB_VIP_GUE : 0) |
	       (vip->methods & SETUP_GRE ? HPB_VIP_GRE : 0) | (vip->methods & SETUP_L2 ? HPB_VIP_L2 : 0);
}

static int put_vips(const struct setup *setup, int fd4, int fd6)
{
	for (size_t i = 0; i < setup->vip_count; i++) {
		const struct setup_vip *vip = &setup->vips[i];
		bool is4 = ip_is4(&vip->address);
		uint32_t flags = flags_of(vip);

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

/* What the maps shall hold: the setup, and the VLANs as the host has them now. */
struct wanted {
	const struct setup *setup;
	struct host_vlan vlans[HOST_VLANS_MOST];
	size_t vlan_count;
};

static void want(struct wanted *wanted, const struct setup *setup)
{
	wanted->setup = setup;
	wanted->vlan_count = setup_passes_on(setup) ? host_read_vlans(setup->interface, wanted->vlans) : 0;
}

static int put_vlans(const struct wanted *wanted, int fd)
{
	for (size_t i = 0; i < wanted->vlan_count; i++) {
		uint32_t key = hpb_vlan(wanted->vlans[i].protocol, wanted->vlans[i].number);

		if (bpf_map_update_elem(fd, &key, &wanted->vlans[i].ifindex, BPF_ANY))
			return -errno;
	}
	return 0;
}

static int put_ports(const struct setup *setup, int fd)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP};

	for (size_t i = 0; i < setup->map_count; i++)
		for (size_t row = 0; row < sizeof(protocols); row++) {
			const struct setup_map *map = &setup->maps[i];
			bool is_answer = row == 2;
			struct hpb_port key = {protocols[row], is_answer, htons(is_answer ? map->server : map->port)};
			uint32_t other = is_answer ? map->port : map->server;

			if (portmap_has(map, protocols[row]) && bpf_map_update_elem(fd, &key, &other, BPF_ANY))
				return -errno;
		}
	return 0;
}

static bool is_port_wanted(const struct setup *setup, const uint8_t *key, uint32_t other)
{
	struct hpb_port port;

	memcpy(&port, key, sizeof(port));
	return other && (other & HPB_PORT_NUMBER) == portmap_other(setup->maps, setup->map_count, port.protocol, port.is_answer,
								 ntohs(port.port));
}

/* Sockets of VIPs and ports that are mapped no more. Those that stay are seen to by the programs. */
static void drop_sockets(const struct setup *setup, int fd)
{
	struct hpb_endpoint key, next;
	void *at = NULL;

	while (!bpf_map_get_next_key(fd, at, &next)) {
		struct ip ip = ip_from6((const uint8_t *)next.address); /* IPv4 as it is kept there, too */

		if (setup_find_vip(setup, &ip) &&
		    portmap_other(setup->maps, setup->map_count, (uint8_t)next.protocol, false, ntohs(next.port))) {
			key = next;
			at = &key;
			continue;
		}
		/* A key that is gone is no place to go on from. */
		bpf_map_delete_elem(fd, &next);
		at = NULL;
	}
}

static bool is_vlan_wanted(const struct wanted *wanted, const uint8_t *key, uint32_t ifindex)
{
	uint32_t vlan;

	memcpy(&vlan, key, sizeof(vlan));
	for (size_t i = 0; i < wanted->vlan_count; i++)
		if (vlan == hpb_vlan(wanted->vlans[i].protocol, wanted->vlans[i].number))
			return wanted->vlans[i].ifindex == ifindex;
	return false;
}

/* Whether a key of one of the maps stands for something that is wanted, with the same meaning. */
static bool is_wanted(const struct wanted *wanted, enum map map, const uint8_t *key, uint32_t value)
{
	const struct setup *setup = wanted->setup;
	bool is4 = map == VIPS4 || map == SENDERS4;

	if (map == VLANS)
		return is_vlan_wanted(wanted, key, value);
	if (map == PORTS)
		return is_port_wanted(setup, key, value);
	if (map == VIPS4 || map == VIPS6) {
		struct ip ip = is4 ? ip_from4(key) : ip_from6(key);
		const struct setup_vip *vip = setup_find_vip(setup, &ip);

		return vip && flags_of(vip) == value;
	}
	for (size_t i = 0; i < setup->sender_count; i++) {
		struct ip ip = is4 ? ip_from4(key + sizeof(uint32_t)) : ip_from6(key + sizeof(uint32_t));
		uint32_t bits;

		memcpy(&bits, key, sizeof(bits));
		if (setup->senders[i].bits == bits && ip_equal(&setup->senders[i].ip, &ip))
			return true;
	}
	return false;
}

/* Look at every entry; drop what is not wanted, if told to. Returns how many are wanted. */
static size_t sweep(const struct wanted *all, enum map map, int fd, bool drops, size_t *unwanted)
{
	uint8_t key[sizeof(struct hpb_prefix6)], next[sizeof(key)];
	uint32_t value = 0;
	size_t wanted = 0;
	void *at = NULL;

	*unwanted = 0;
	while (!bpf_map_get_next_key(fd, at, next) && *unwanted <= HPB_SENDERS_MOST) {
		bool is_ours = !bpf_map_lookup_elem(fd, next, &value) && is_wanted(all, map, next, value);

		memcpy(key, next, sizeof(key));
		wanted += is_ours;
		*unwanted += !is_ours;
		at = key;
		if (is_ours || !drops)
			continue;
		bpf_map_delete_elem(fd, key);
		/* A key that is gone is no place to go on from. */
		at = NULL;
		wanted = 0;
	}
	return wanted;
}

/* What is new goes in before what is stale goes out. */
int tunnel_fill_maps(const struct setup *setup, struct err *e)
{
	struct hpb_settings settings = tunnel_settings(setup);
	struct wanted wanted;
	uint32_t zero = 0;
	size_t unwanted;
	int fds[MAPS];
	int code = open_maps(fds);

	want(&wanted, setup);
	if (!code)
		code = put_vlans(&wanted, fds[VLANS]);
	if (!code)
		code = put_senders(setup, fds[SENDERS4], fds[SENDERS6]);
	if (!code)
		code = put_vips(setup, fds[VIPS4], fds[VIPS6]);
	if (!code)
		code = put_ports(setup, fds[PORTS]);
	for (enum map map = VIPS4; !code && map <= PORTS; map++)
		sweep(&wanted, map, fds[map], true, &unwanted);
	if (!code)
		drop_sockets(setup, fds[SOCKETS]);
	if (!code)
		code = bpf_map_update_elem(fds[SETTINGS], &zero, &settings, BPF_ANY) ? -errno : 0;
	close_maps(fds);
	if (code && code != -ENOENT)
		err_set(e, code, "filling the BPF maps: %m");
	return code;
}

bool tunnel_has_maps(void)
{
	int fds[MAPS];
	int code = open_maps(fds);

	close_maps(fds);
	return !code;
}

bool tunnel_is_filled(const struct setup *setup)
{
	size_t found = 0, unwanted = 0, more;
	struct wanted wanted;
	int fds[MAPS];
	int code = open_maps(fds);

	want(&wanted, setup);
	for (enum map map = VIPS4; !code && map <= PORTS; map++) {
		found += sweep(&wanted, map, fds[map], false, &more);
		unwanted += more;
	}
	close_maps(fds);
	return !code && !unwanted && found == setup->vip_count + setup->sender_count + wanted.vlan_count +
						   portmap_row_count(setup->maps, setup->map_count);
}

void tunnel_read_counters(uint64_t *counters)
{
	int cpus = libbpf_num_possible_cpus();
	auto_close int fd = tunnel_open_pin(map_names[COUNTERS]);
	auto_free uint64_t *values = cpus > 0 ? calloc((size_t)cpus, sizeof(*values)) : NULL;

	for (uint32_t key = 0; fd >= 0 && values && key < HPB_COUNTER_COUNT; key++) {
		if (bpf_map_lookup_elem(fd, &key, values))
			continue;
		for (int cpu = 0; cpu < cpus; cpu++)
			counters[key] += values[cpu];
	}
}

void tunnel_read_refused(struct hpb_refused refused[static HPB_REFUSED_COUNT])
{
	auto_close int fd = tunnel_open_pin(map_names[REFUSED]);

	for (uint32_t key = 0; fd >= 0 && key < HPB_REFUSED_COUNT; key++)
		bpf_map_lookup_elem(fd, &key, &refused[key]);
}

/* The plane: see bench_plane.h. */
#include "bench_plane.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "setting.h"

#include "bare.skel.h"
#include "bench_object.h"
#include "bench_site.h"
#include "core/config_parse.h"
#include "director.skel.h"

#define BACKENDS 100
#define LRU_FLOWS (5u << 18) /* a million and some, as the kernel's LRU begins to push out before it is full */
#define INTERFACE 1 /* the loopback, which test runs say that packets come in by */

/* ---- the configuration --------------------------------------------------------------------------------------------- */

static void write_service(FILE *out, const struct bench_class *class, int first)
{
	bool is_ipv6 = strchr(class->vip, ':');

	fprintf(out, "  - {vip: \"%s\", protocol: %s, port: 80, forward: %s, %s backends: [", class->vip, class->protocol,
		class->forward, class->options ? class->options : "");
	for (int i = first; i < first + BACKENDS; i++)
		fprintf(out, is_ipv6 ? "{address: \"fd00:3::%d\", weight: %d}," : "{address: 10.3.0.%d, weight: %d},", i,
			!class->has_no_backend);
	fprintf(out, "]");
	if (class->mss)
		fprintf(out, ", mss: %u", class->mss);
	fprintf(out, "}\n");
}

static bool is_among(const char *vip, const char *const *list)
{
	for (; list && *list; list++)
		if (!strcmp(*list, vip))
			return true;
	return false;
}

static bool has_service(const struct bench_class *class)
{
	return class->is_vip && class->flows == 1 && strcmp(class->protocol, "arp") != 0;
}

static struct config *make_config(const struct bench_class *classes, size_t count, const char *const *moved, struct err *e)
{
	struct problems problems = {0};
	struct config *config;
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	fprintf(out, "interfaces: [eth0]\nservices:\n");
	for (size_t i = 0; i < count; i++)
		if (has_service(&classes[i]))
			write_service(out, &classes[i], is_among(classes[i].vip, moved) ? 1 + BACKENDS : 1);
	fclose(out);
	config = config_parse(text, bytes, &problems);
	if (!config)
		err_set(e, -EINVAL, "the measured configuration: %s", problems.count ? problems.list[0].text : "?");
	problems_free(&problems);
	free(text);
	return config;
}

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static void watch(void *context, struct fleet_backend *backend)
{
	(void)context;
	(void)backend;
}

/* Every backend is on the link, each with a MAC address of its own. */
static void resolve_all(struct bench_plane *bench)
{
	static const struct config_tunnel none;
	struct adjacency facts = {.ifindex = INTERFACE, .mtu = 1500, .mac_source = {2, 0, 0, 0, 0, 2}, .on_link = true};
	struct hp_adjacency record;

	for (struct fleet_backend *b = bench->fleet->backends; b; b = b->hh.next) {
		memcpy(facts.mac_destination, (uint8_t[]){2, 0, 0, 1, (uint8_t)(b->number >> 8), (uint8_t)b->number}, 6);
		ip_parse(&facts.source, ip_is4(&b->identity.address) ? "10.2.0.10" : "fd00:2::a");
		adjacency_record(&record, &facts, (enum hp_method)b->identity.method, &b->identity.address, &none, b->number);
		fleet_backend_resolved(bench->fleet, b, &record);
	}
}

int bench_plane_apply(struct bench_plane *bench, const struct bench_class *classes, size_t count, const char *const *moved,
		      struct err *e)
{
	struct config *config = make_config(classes, count, moved, e);
	int code = config ? fleet_apply(bench->fleet, config, e) : -EINVAL;

	if (code) {
		config_free(config);
		return code;
	}
	config_free(bench->config);
	bench->config = config;
	resolve_all(bench);
	return fleet_flush(bench->fleet, e);
}

static int fill(struct bench_plane *bench, const struct bench_class *classes, size_t count, struct err *e)
{
	static const struct hp_interface interface = {.mac = {2, 0, 0, 0, 0, 2}, .announce = 1};
	const struct fleet_hooks hooks = {.watch = watch, .unwatch = watch};
	int code;

	bench->fleet = fleet_create(&bench->plane, &hooks, e);
	if (!bench->fleet)
		return -ENOMEM;
	code = bench_plane_apply(bench, classes, count, NULL, e);
	return code ? code : dataplane_interface_set(&bench->plane, INTERFACE, &interface, e);
}

struct bench_plane *bench_plane_open(const struct bench_class *classes, size_t count, struct err *e)
{
	struct dataplane_limits limits = {.services = 1024, .backends = 4096, .blocks = 65536, .flows = 1 << 20,
					  .unproven = 1 << 18, .prefixes = 65536, .sources = 1 << 18,
					  .fragments = 1 << 16};
	struct bench_plane *bench = calloc(1, sizeof(*bench));
	char pins[64];
	int code;

	if (!bench) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	bench->plane.lock_fd = -1;
	snprintf(pins, sizeof(pins), BENCH_PINS, (int)getpid());
	code = dataplane_open(&bench->plane, pins, &limits, e);
	if (!code)
		code = fill(bench, classes, count, e);
	if (!code)
		return bench;
	bench_plane_close(bench);
	return NULL;
}

void bench_plane_close(struct bench_plane *bench)
{
	if (!bench)
		return;
	fleet_destroy(bench->fleet);
	dataplane_close(&bench->plane);
	if (bench->plane.pins[0])
		dataplane_unload(bench->plane.pins, NULL);
	config_free(bench->config);
	free(bench);
}

/* ---- sharing ---------------------------------------------------------------------------------------------------------- */

static int share_maps(const struct director_bpf *live, struct bpf_object *ours)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, ours) {
		struct bpf_map *shared = bpf_object__find_map_by_name(live->obj, bpf_map__name(map));
		int code = bpf_map__is_internal(map) || !shared ? 0 : bpf_map__reuse_fd(map, bpf_map__fd(shared));

		if (code)
			return code;
	}
	return 0;
}

int bench_plane_share(const struct bench_plane *bench, struct bpf_object *ours)
{
	const struct director_bpf *live = bench->plane.live;
	int code = share_maps(live, ours);

	if (!code)
		code = bench_object_set(ours, "hp_key_shift", &live->rodata->hp_key_shift, sizeof(uint32_t));
	if (!code)
		code = bench_object_set(ours, "hp_service_stride", &live->rodata->hp_service_stride, sizeof(uint32_t));
	if (!code)
		code = bench_object_set(ours, "hp_backend_stride", &live->rodata->hp_backend_stride, sizeof(uint32_t));
	return code;
}

struct fleet_service *bench_plane_service(const struct bench_plane *bench, const struct bench_class *class)
{
	struct dataplane_key key = {.port = 80,
				    .protocol = strcmp(class->protocol, "udp") ? IPPROTO_TCP : IPPROTO_UDP};

	ip_parse(&key.vip, class->is_vip ? class->vip : class->family == 4 ? "10.2.0.1" : "fd00:2::1");
	return fleet_service_find(bench->fleet, &key);
}

int bench_plane_size_bare(const struct bench_plane *bench, const struct bench_class *class, struct bare_bpf *bare)
{
	const struct fleet_service *service = bench_plane_service(bench, class);
	int failed = 0;

	bare->rodata->bare_size = service->ring->size;
	bare->rodata->bare_outer = (uint8_t)bench_class_outer(class);
	failed |= bpf_map__set_max_entries(bare->maps.bare_services4, bench->plane.limits.services);
	failed |= bpf_map__set_max_entries(bare->maps.bare_services6, bench->plane.limits.services);
	failed |= bpf_map__set_max_entries(bare->maps.bare_ring, service->ring->size);
	failed |= bpf_map__set_max_entries(bare->maps.bare_backends, bench->plane.limits.backends);
	failed |= bpf_map__set_max_entries(bare->maps.bare_service_counts, bench->plane.limits.services);
	failed |= bpf_map__set_max_entries(bare->maps.bare_backend_counts, bench->plane.limits.backends);
	failed |= bpf_map__set_max_entries(bare->maps.bare_flows,
					   bare->rodata->bench_setting.subject == BENCH_LRU ? LRU_FLOWS : 1);
	return failed ? -EINVAL : 0;
}

/* All services, and VIPs that are asked for by ARP, so that both tables of keys are equally full. */
static int fill_keys(const struct bench_plane *bench, struct bare_bpf *bare)
{
	for (const struct fleet_vip *vip = bench->fleet->vips; vip; vip = vip->hh.next) {
		uint32_t key[2] = {0, HP_WHAT_VIP}, flags = HP_VIP_UP;

		memcpy(key, ip_bytes4(&vip->address), sizeof(*key));
		if (ip_is4(&vip->address) &&
		    bpf_map_update_elem(bpf_map__fd(bare->maps.bare_services4), key, &flags, BPF_ANY))
			return -errno;
	}
	for (const struct fleet_service *s = bench->fleet->services; s; s = s->hh.next) {
		bool is4 = ip_is4(&s->key.vip);
		int map = bpf_map__fd(is4 ? bare->maps.bare_services4 : bare->maps.bare_services6);
		uint32_t key[5], words = is4 ? 1 : 4; /* the address, and port with protocol */
		int code;

		memcpy(key, is4 ? ip_bytes4(&s->key.vip) : s->key.vip.byte, words * sizeof(*key));
		key[words] = hp_key_what(htons(s->key.port), s->key.protocol);
		code = bpf_map_update_elem(map, key, &s->number, BPF_ANY);
		if (code)
			return code;
	}
	return 0;
}

/* The table of all flows, in another order than packets come in: else the elements of the kernel's LRU, which it hands out
 * one after the other, would lie in just that order, and be fetched ahead as they never are. New flows stay out. */
static int fill_flows(const struct bench_class *class, struct bare_bpf *bare, const uint32_t *slots)
{
	int table = bpf_map__fd(bare->maps.bare_flows), code = 0;

	for (uint32_t n = 0; !code && n < class->flows && class->flows <= BENCH_MANY; n++) {
		struct hp_flow flow = bench_frame_flow(class, n);
		uint32_t slot = hp_slot(hp_flow_hash(&flow, HP_HASH_FLOW, 1), bare->rodata->bare_size);

		code = bpf_map_update_elem(table, &flow, &slots[slot], BPF_ANY);
	}
	return code;
}

int bench_plane_fill_bare(const struct bench_plane *bench, const struct bench_class *class, struct bare_bpf *bare)
{
	const struct fleet_service *service = bench_plane_service(bench, class);
	const uint32_t *slots = bench->plane.blocks[service->ring->at + 1].slot;
	int code = fill_keys(bench, bare);

	for (uint32_t i = 0; !code && i < service->ring->size; i++)
		code = bpf_map_update_elem(bpf_map__fd(bare->maps.bare_ring), &i, &slots[i], BPF_ANY);
	if (!code && bare->rodata->bench_setting.subject == BENCH_LRU)
		code = fill_flows(class, bare, slots);
	for (size_t i = 0; !code && i < service->config->backend_count; i++) {
		const struct fleet_backend *backend = service->backends[i];
		const struct hp_adjacency *adjacency = &bench->plane.adjacencies[backend->adjacency];
		uint8_t header[80] = {0};

		memcpy(header, adjacency->l2, ETH_HLEN);
		memcpy(header + ETH_HLEN, adjacency->outer, adjacency->outer_bytes);
		code = bpf_map_update_elem(bpf_map__fd(bare->maps.bare_backends), &backend->number, header, BPF_ANY);
	}
	return code;
}

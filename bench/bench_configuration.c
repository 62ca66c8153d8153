/* Many services: how long a configuration takes to load, how much memory it holds, and how long one changed weight
 * takes from the command to the packet. The daemon is a process of its own; packets are run through the very program
 * that is attached to its interface. */
#include "bench.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bench_site.h"
#include "daemon/dataplane.h"
#include "daemon/frame.h"

#define SERVICES 10000u
#define BACKENDS 10u
#define CHANGES 21
#define CHANGED 4321u /* the service whose weight is changed */
#define PATIENCE_S 10.0
#define CLIENTS 1000u
#define OUTER_DESTINATION 30 /* where the outer IPv4 header has the backend's address */

/* Each service has a VIP and backends of its own, so that no ring and no backend is shared. */
static void write_service(FILE *out, uint32_t n)
{
	fprintf(out, "  - {name: s%u, vip: 10.128.%u.%u, port: 80, %sforward: ipip, backends: [", n, n >> 8, n & 255,
		n == CHANGED ? "protocol: udp, affinity: none, " : "");
	for (uint32_t i = 0; i < BACKENDS; i++) {
		uint32_t backend = n * BACKENDS + i;

		fprintf(out, "%s{address: 10.%u.%u.%u, weight: 10}", i ? ", " : "", 16 + (backend >> 16),
			backend >> 8 & 255, backend & 255);
	}
	fprintf(out, "]}\n");
}

/* ---- memory --------------------------------------------------------------------------------------------------------------- */

/* Kilobytes of the maps that are pinned, as the kernel accounts for them. What the daemon maps of them is in its
 * resident memory too, and is not counted twice here: the larger of both views is what the machine gives. */
static uint64_t maps_kb(const struct bench_site *site)
{
	static const char *const names[] = {"keys4",	   "keys6",	 "services",	   "slots",	    "backends",
					    "adjacencies", "identities", "service_counts", "backend_counts"};
	uint64_t bytes = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bpf_map_info info = {0};
		uint32_t info_bytes = sizeof(info);
		char path[128];
		auto_close int fd = -1;

		snprintf(path, sizeof(path), "%s/maps/%s", site->pins, names[i]);
		fd = bpf_obj_get(path);
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &info_bytes))
			bytes += (uint64_t)info.value_size * info.max_entries;
	}
	return bytes / 1024;
}

/* Kilobytes of the daemon's own: what is resident and not a page of a map. */
static uint64_t own_kb(const struct bench_site *site)
{
	unsigned long long kb = 0, row;
	char path[64], line[256];
	auto_fclose FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)site->daemon);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Anonymous: %llu kB", &row) == 1)
			kb = row;
	return kb;
}

/* ---- one weight ------------------------------------------------------------------------------------------------------- */

/* The program that is attached, as packets meet it. Returns its descriptor or -errno. */
static int attached_program(const struct bench_site *site)
{
	struct bpf_link_info info = {0};
	uint32_t info_bytes = sizeof(info);
	char path[128];
	auto_close int link = -1;

	snprintf(path, sizeof(path), "%s/links/" BENCH_INTERFACE, site->pins);
	link = bpf_obj_get(path);
	if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &info_bytes))
		return -errno;
	return bpf_prog_get_fd_by_id(info.prog_id);
}

/* The backend that a client's packet goes to now, IPv4 as it lies in the packet; 0: none. The service has no affinity:
 * any other would keep the client's flow where it is, which is not to be measured here. */
static uint32_t backend_of(int program, uint32_t client)
{
	struct frame_flow flow = {.source_port = 40000, .destination_port = 80, .protocol = 17};
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	uint8_t out[256];
	struct frame frame;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.byte, .data_out = out, .data_size_out = sizeof(out), .repeat = 1);
	uint32_t backend = 0;

	flow.source = ip_from4((uint8_t[]){192, 168, (uint8_t)(client >> 8), (uint8_t)client});
	flow.destination = ip_from4((uint8_t[]){10, 128, CHANGED >> 8, CHANGED & 255});
	frame_make(&frame, &flow, mac, mac);
	run.data_size_in = frame.bytes;
	if (!bpf_prog_test_run_opts(program, &run) && run.data_size_out > frame.bytes)
		memcpy(&backend, out + OUTER_DESTINATION, sizeof(backend));
	return backend;
}

/* A client that the changed backend serves while it has its weight. */
static uint32_t find_client(int program, uint32_t backend)
{
	for (uint32_t client = 1; client < CLIENTS; client++)
		if (backend_of(program, client) == backend)
			return client;
	return 0;
}

/* Milliseconds from the command's start until a packet goes elsewhere, or back. */
static int change(const struct bench_site *site, int program, const char *weight, uint32_t client, double *ms, struct err *e)
{
	char service[16], address[IP_TEXT_BYTES];
	uint32_t number = CHANGED * BACKENDS, before = backend_of(program, client);
	const char *arguments[] = {"halfproxy", "weight", service, address, weight, NULL};
	double begin = bench_wall_s(), seen;
	pid_t command;
	int status;

	snprintf(service, sizeof(service), "s%u", CHANGED);
	snprintf(address, sizeof(address), "10.%u.%u.%u", 16 + (number >> 16), number >> 8 & 255, number & 255);
	command = bench_site_command(site, arguments);
	do
		seen = bench_wall_s();
	while (backend_of(program, client) == before && seen - begin < PATIENCE_S);
	if (command > 0)
		waitpid(command, &status, 0);
	if (command <= 0 || status || seen - begin >= PATIENCE_S)
		return err_set(e, -EIO, "halfproxy weight %s %s %s was not seen by packets", service, address, weight);
	*ms = (seen - begin) * 1e3;
	return 0;
}

static int measure_changes(const struct bench_site *site, double *ms, struct err *e)
{
	auto_close int program = attached_program(site);
	uint32_t number = CHANGED * BACKENDS, client;
	uint8_t backend[4] = {10, (uint8_t)(16 + (number >> 16)), (uint8_t)(number >> 8), (uint8_t)number};
	uint32_t wanted;

	memcpy(&wanted, backend, sizeof(wanted));
	client = program < 0 ? 0 : find_client(program, wanted);
	if (!client)
		return err_set(e, -EIO, "no packet goes to the backend that is to change");
	for (int i = 0; i < CHANGES; i++)
		if (change(site, program, i % 2 ? "10" : "0", client, &ms[i], e))
			return -EIO;
	return 0;
}

/* Rings that the daemon has built so far. */
static json_int_t rings_built(const struct bench_site *site)
{
	char command[512];
	auto_fclose FILE *pipe = NULL;
	json_t *status;
	json_int_t built;

	snprintf(command, sizeof(command), "%s/halfproxy --socket %s --json status s%u", site->programs, site->socket, CHANGED);
	pipe = popen(command, "re");
	status = pipe ? json_loadf(pipe, 0, NULL) : NULL;
	built = json_integer_value(json_object_get(status, "rings_built"));
	json_decref(status);
	if (pipe)
		pclose(take_ptr(pipe));
	return built;
}

/* ---- all -------------------------------------------------------------------------------------------------------------- */

static json_t *measure(struct bench_site *site, struct err *e)
{
	double begin, load_s, ms[CHANGES];
	json_int_t built;

	if (bench_site_write(site, SERVICES, write_service, e))
		return NULL;
	begin = bench_wall_s();
	if (bench_site_start(site, e))
		return NULL;
	load_s = bench_wall_s() - begin;
	built = rings_built(site);
	if (measure_changes(site, ms, e))
		return NULL;
	return json_pack("{s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f}", "services", (int)SERVICES, "backends_each", (int)BACKENDS,
			 "backends", (int)(SERVICES * BACKENDS), "load_s", load_s, "maps_mb", (double)maps_kb(site) / 1024,
			 "daemon_mb", (double)own_kb(site) / 1024, "weight_change_ms", bench_median(ms, CHANGES),
			 "rings_a_change", (double)(rings_built(site) - built) / CHANGES);
}

json_t *bench_configuration(struct err *e)
{
	struct bench_site site;
	json_t *figures = bench_site_open(&site, e) ? NULL : measure(&site, e);

	bench_site_close(&site);
	return figures;
}

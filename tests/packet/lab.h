/* The lab of the packet tests: the real program over its real maps, filled by the daemon's own functions, and one
 * frame at a time through it.
 *
 * Frames run by BPF_PROG_RUN in a network namespace of the test's own; the counters tell the verdict. What leaves can
 * be kept as a capture, for another judge: see lab_keep. */
#ifndef HP_TESTS_PACKET_LAB_H
#define HP_TESTS_PACKET_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/adjacency.h"
#include "core/config_parse.h"
#include "daemon/dataplane.h"
#include "daemon/fleet.h"
#include "packet/wire.h"

#define LAB_SERVICES 64
#define LAB_FLOWS 1024 /* that are remembered and proven; as many that are not */
#define LAB_SOURCES 256
#define LAB_FRAGMENTS 512
#define LAB_LIMITS LAB_SERVICES, 256, 4096, LAB_FLOWS, 1024, 512, LAB_SOURCES, LAB_FRAGMENTS
#define LAB_CAPTURES "HP_PACKET_CAPTURES" /* environment: the folder for captures */

#define CLIENT4 "192.168.1.1"
#define CLIENT6 "fd00:1::1"
#define VIP4 "10.2.0.1"
#define VIP6 "fd00:2::1"
#define DIRECTOR4 "10.2.0.10" /* outer source of tunnels */
#define DIRECTOR6 "fd00:2::a"

struct lab {
	struct dataplane plane;
	struct fleet *fleet;
	struct config *config;
	bool keeps_moving; /* changes are lived through; else each has been long ago when the next packet comes */
	uint32_t rows;	  /* of counters in use */
	uint32_t in, out; /* ifindex where frames come in, and of another port, which takes redirected frames */
	uint64_t cell[LAB_SERVICES][HP_SERVICE_CELLS]; /* the counters before a run */
	FILE *capture, *wanted;
};

/* What became of a frame. */
struct lab_end {
	int action; /* XDP_* */
	enum hp_verdict verdict;
	uint32_t service; /* number of the row that counted it; 0 is no service */
	struct wire frame;
};

static inline const char *lab_verdict_name(enum hp_verdict verdict)
{
#define LAB_NAME(name, action, text) #name,
	static const char *const names[] = {HP_VERDICTS(LAB_NAME)};
#undef LAB_NAME
	return verdict < HP_VERDICT_COUNT ? names[verdict] : "?";
}

/* The action that the list in abi.h gives a verdict. */
static inline int lab_verdict_action(enum hp_verdict verdict)
{
#define LAB_ACTION(name, action, text) action,
	static const int actions[] = {HP_VERDICTS(LAB_ACTION)};
#undef LAB_ACTION
	return actions[verdict];
}

/* ---- making and taking away ------------------------------------------------------------------------------------ */

static inline void lab_watch(void *context, struct fleet_backend *backend)
{
}

/* A capture of what leaves (pcap, RFC draft-ietf-opsawg-pcap), if somebody wants one. */
static inline void lab_open_capture(struct lab *lab, const char *name)
{
	static const uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, WIRE_ROOM_BYTES, 1};
	const char *folder = getenv(LAB_CAPTURES);
	char path[512];

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%s.pcap", folder, name);
	lab->capture = fopen(path, "we");
	snprintf(path, sizeof(path), "%s/%s.wanted", folder, name);
	lab->wanted = fopen(path, "we");
	assert_true(lab->capture && lab->wanted);
	assert_int_equal(fwrite(head, sizeof(head), 1, lab->capture), 1);
}

/* Open a lab in the network namespace that the test is in already, which has the ports in0 and out0. */
static inline int lab_open_beside(void **state)
{
	static const struct dataplane_limits limits = {LAB_LIMITS, 0};
	static const struct hp_interface port = {.mac = {2, 0, 0, 0, 2, 10}, .announce = 1};
	static const struct fleet_hooks hooks = {.watch = lab_watch};
	static unsigned int opened;
	struct lab *lab = calloc(1, sizeof(*lab));
	char pins[64];
	struct err e;

	assert_non_null(lab);
	*state = lab;
	lab->in = if_nametoindex("in0");
	lab->out = if_nametoindex("out0");
	snprintf(pins, sizeof(pins), "/sys/fs/bpf/halfproxy-test-%d-%u", getpid(), opened++);
	if (dataplane_open(&lab->plane, pins, &limits, &e)) {
		print_error("%s\n", e.text);
		return -1;
	}
	lab->fleet = fleet_create(&lab->plane, &hooks, &e);
	assert_non_null(lab->fleet);
	assert_int_equal(dataplane_interface_set(&lab->plane, lab->in, &port, &e), 0);
	assert_int_equal(dataplane_port_set(&lab->plane, lab->out, &e), 0);
	return 0;
}

/* Open a lab in a network namespace of its own, which ends with the test; a group's setup. */
static inline int lab_open(void **state)
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(system("ip link add in0 type veth peer name in1 && ip link add out0 type veth peer name out1"), 0);
	return lab_open_beside(state);
}

static inline int lab_close(void **state)
{
	struct lab *lab = *state;
	struct err e;
	int failed;

	if (lab->capture)
		fclose(lab->capture);
	if (lab->wanted)
		fclose(lab->wanted);
	fleet_destroy(lab->fleet);
	config_free(lab->config);
	if (!lab->plane.live)
		return -1;
	dataplane_close(&lab->plane);
	failed = dataplane_unload(lab->plane.pins, &e);
	if (failed)
		print_error("%s\n", e.text);
	free(lab);
	return failed;
}

/* ---- what changes put at risk -------------------------------------------------------------------------------------- */

/* A whole pass over the remembered flows. */
static inline void lab_sweep(struct lab *lab)
{
	lab->fleet->pass.next_ns = 0;
	while (fleet_sweep(lab->fleet))
		;
}

/* Every window is over. */
static inline void lab_end_windows(struct lab *lab)
{
	struct err e;

	for (struct fleet_service *service = lab->fleet->services; service; service = service->hh.next)
		if (service->motion.until_s)
			service->motion.until_s = 1;
	assert_int_equal(fleet_tick(lab->fleet, &e), 0);
}

/* Nothing is remembered. Returns how many flows were. */
static inline unsigned int lab_forget_all(struct lab *lab)
{
	unsigned int forgotten = 0;
	struct err e;

	for (int table = 0; table < DATAPLANE_TABLE_COUNT; table++) {
		struct dataplane_walk walk = {0};
		int count;

		while ((count = dataplane_walk_flows(&lab->plane, (enum dataplane_table)table, &walk, &e)) > 0)
			for (int i = 0; i < count; i++)
				forgotten += dataplane_flow_forget(&lab->plane, (enum dataplane_table)table, &walk.rows[i]);
		assert_int_equal(count, 0);
		dataplane_walk_end(&walk);
	}
	return forgotten;
}

/* All services are steady, as if their last change had been long ago and no flow had lived through it. */
static inline void lab_rest(struct lab *lab)
{
	struct err e;

	assert_int_equal(fleet_flush(lab->fleet, &e), 0);
	lab_end_windows(lab);
	lab_forget_all(lab);
	lab_sweep(lab);
	for (struct fleet_service *service = lab->fleet->services; service; service = service->hh.next)
		assert_true(motion_is_steady(&service->motion));
}

/* ---- configuration and resolution -------------------------------------------------------------------------------- */

/* Make the data plane serve the services of this text (`interfaces` is put in front). Backends stay as resolved or
 * unresolved as they were; new ones are unresolved. */
static inline void lab_apply(struct lab *lab, const char *text)
{
	struct problems problems = {0};
	struct config *config;
	char whole[16384];
	struct err e;

	snprintf(whole, sizeof(whole), "interfaces: [in0]\n%s", text);
	config = config_parse(whole, strlen(whole), &problems);
	if (!config)
		problems_print(stderr, "lab", whole, strlen(whole), &problems);
	problems_free(&problems);
	assert_non_null(config);
	if (fleet_apply(lab->fleet, config, &e))
		fail_msg("%s", e.text);
	config_free(lab->config);
	lab->config = config;
	lab->rows = 1;
	for (struct fleet_service *service = lab->fleet->services; service; service = service->hh.next)
		if (service->number >= lab->rows)
			lab->rows = service->number + 1;
	if (!lab->keeps_moving)
		lab_rest(lab);
}

static inline struct ip lab_ip(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(&ip, text));
	return ip;
}

/* The MAC address of a backend: its address's last byte tells them apart. */
static inline void lab_mac(const char *backend, uint8_t mac[static 6])
{
	struct ip ip = lab_ip(backend);

	memcpy(mac, (const uint8_t[6]){2, 0, 0, 0, 3, ip.byte[15]}, 6);
}

/* The usual facts of a way: on link behind the port that frames come in by, untagged, an MTU of 1500. */
static inline struct adjacency lab_facts(const struct lab *lab, const char *backend)
{
	struct adjacency facts = {.ifindex = lab->in, .mtu = 1500, .on_link = true};

	lab_mac(backend, facts.mac_destination);
	memcpy(facts.mac_source, wire_mac_director, 6);
	facts.source = lab_ip(wire_is4(backend) ? DIRECTOR4 : DIRECTOR6);
	return facts;
}

/* The facts with VLAN tags, as wire_put_link numbers them. */
static inline void lab_tag(struct adjacency *facts, const char *tags)
{
	for (facts->tag_count = 0; tags && *tags; tags++, facts->tag_count++) {
		facts->tag[facts->tag_count].protocol = *tags == 'a' ? 0x88a8 : 0x8100;
		facts->tag[facts->tag_count].id = (uint16_t)(100 + facts->tag_count);
	}
}

/* The way to a backend is known, for each method that it is used with; facts NULL: it is lost. */
static inline void lab_resolve(struct lab *lab, const char *address, const struct adjacency *facts)
{
	struct ip ip = lab_ip(address);
	struct fleet_backend *backend, *next;
	unsigned int found = 0;
	struct err e;

	HASH_ITER(hh, lab->fleet->backends, backend, next) {
		struct hp_adjacency record;

		if (!ip_equal(&backend->identity.address, &ip))
			continue;
		found++;
		if (!facts) {
			fleet_backend_resolved(lab->fleet, backend, NULL);
			continue;
		}
		adjacency_record(&record, facts, backend->identity.method, &ip,
				 &lab->config->tunnel, backend->number);
		fleet_backend_resolved(lab->fleet, backend, &record);
	}
	assert_true(found);
	assert_int_equal(fleet_flush(lab->fleet, &e), 0);
	if (!lab->keeps_moving)
		lab_rest(lab);
}

/* The usual way for every backend there is. By number, as a rest in between may end backends. */
static inline void lab_resolve_all(struct lab *lab)
{
	char text[IP_TEXT_BYTES];

	for (uint32_t number = 1; number < lab->plane.limits.backends; number++) {
		const struct fleet_backend *backend = lab->fleet->by_number[number];
		struct adjacency facts;

		if (!backend)
			continue;
		facts = lab_facts(lab, ip_format(&backend->identity.address, text));
		lab_resolve(lab, text, &facts);
	}
}

/* ---- running -------------------------------------------------------------------------------------------------- */

static inline void lab_count(struct lab *lab)
{
	for (uint32_t number = 0; number < lab->rows; number++)
		dataplane_service_sum(&lab->plane, number, lab->cell[number]);
}

/* Find the one verdict that was counted since lab_count. */
static inline void lab_find_verdict(struct lab *lab, struct lab_end *end)
{
	unsigned int moved = 0;

	end->verdict = HP_VERDICT_COUNT;
	for (uint32_t number = 0; number < lab->rows; number++) {
		uint64_t now[HP_SERVICE_CELLS];

		dataplane_service_sum(&lab->plane, number, now);
		for (unsigned int verdict = HP_CELL_BYTES + 1; verdict < HP_VERDICT_COUNT; verdict++) {
			if (now[verdict] == lab->cell[number][verdict])
				continue;
			moved += (unsigned int)(now[verdict] - lab->cell[number][verdict]);
			end->verdict = verdict;
			end->service = number;
		}
		memcpy(lab->cell[number], now, sizeof(now));
	}
	assert_int_equal(moved, 1); /* a packet ends with one verdict */
}

/* Run a frame, said to come in by `ifindex`. A frame shorter than an Ethernet header cannot be run. */
static inline void lab_run_by(struct lab *lab, const struct wire *in, uint32_t ifindex, struct lab_end *end)
{
	struct err e;

	memset(end, 0, sizeof(*end));
	memcpy(end->frame.byte, in->byte, in->bytes);
	end->frame.bytes = in->bytes;
	lab_count(lab);
	end->action = dataplane_run(&lab->plane, end->frame.byte, &end->frame.bytes, WIRE_ROOM_BYTES, ifindex, NULL, &e);
	if (end->action < 0)
		fail_msg("%s", e.text);
	lab_find_verdict(lab, end);
}

static inline void lab_run(struct lab *lab, const struct wire *in, struct lab_end *end)
{
	lab_run_by(lab, in, lab->in, end);
}

static inline bool lab_same(const struct wire *a, const struct wire *b)
{
	return a->bytes == b->bytes && !memcmp(a->byte, b->byte, a->bytes);
}

static inline void lab_print(const char *what, const struct wire *frame)
{
	print_error("    %s, %u bytes:", what, frame->bytes);
	for (uint32_t i = 0; i < frame->bytes && i < 160; i++)
		print_error("%s%02x", i % 4 ? "" : " ", frame->byte[i]);
	print_error("\n");
}

/* What the end of a frame must be. */
struct lab_want {
	int action;
	enum hp_verdict verdict;
	const struct wire *frame; /* what must have become of it; NULL: it is dropped, and nobody cares */
};

/* Judge an end. Returns 0, or 1 with the difference printed under the row's sentence, so that one run tells all rows
 * that fail. */
static inline int lab_judge(const char *says, const struct lab_end *end, const struct lab_want *want)
{
	bool same = !want->frame || lab_same(want->frame, &end->frame);

	if (end->action == want->action && end->verdict == want->verdict && same)
		return 0;
	print_error("    WRONG: %s: action %d, %s; wanted %d, %s\n", says, end->action, lab_verdict_name(end->verdict),
		    want->action, lab_verdict_name(want->verdict));
	if (!same) {
		lab_print("wanted", want->frame);
		lab_print("became", &end->frame);
	}
	return 1;
}

/* Run a frame and judge what becomes of it. */
static inline int lab_try(struct lab *lab, const char *says, const struct wire *in, const struct lab_want *want)
{
	struct lab_end end;

	lab_run(lab, in, &end);
	return lab_judge(says, &end, want);
}

/* The frame must be passed to the kernel as it came. */
static inline int lab_try_pass(struct lab *lab, const char *says, const struct wire *in, enum hp_verdict verdict)
{
	return lab_try(lab, says, in, &(struct lab_want){XDP_PASS, verdict, in});
}

static inline int lab_try_drop(struct lab *lab, const char *says, const struct wire *in, enum hp_verdict verdict)
{
	return lab_try(lab, says, in, &(struct lab_want){XDP_DROP, verdict, NULL});
}

/* ---- keeping what leaves ------------------------------------------------------------------------------------------ */

/* Append a frame to the capture, and to the text beside it the addresses that another judge must find in it: IPv4
 * sources and destinations, then those of IPv6, outer before inner, each list joined by commas. */
static inline void lab_keep(struct lab *lab, const struct wire *frame, const char *wanted)
{
	uint32_t head[4] = {0, 0, frame->bytes, frame->bytes};

	if (!lab->capture)
		return;
	assert_int_equal(fwrite(head, sizeof(head), 1, lab->capture), 1);
	assert_int_equal(fwrite(frame->byte, frame->bytes, 1, lab->capture), 1);
	fprintf(lab->wanted, "%s\n", wanted);
}

#endif

/* A start that replaces maps by others of another size is killed before every system call of it that changes anything;
 * packets come between; and the start after that finds one whole set of maps and loses nothing. */
#include "packet/still.h"

#include <arpa/inet.h>
#include <netpacket/packet.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "daemon/dataplane_internal.h"
#include "director.skel.h"

static const struct dataplane_limits sizes[] = {
	{LAB_LIMITS, SAYS_ALL},
	{300, 700, 9000, 3000, 3000, 700, 300, 600, SAYS_ALL},
};

static int reached[STILL_FLOWS];

/* ---- a process that is killed ------------------------------------------------------------------------------------------- */

/* Whether a system call changes what is pinned or attached. */
static bool changes(const struct __ptrace_syscall_info *call)
{
	switch (call->entry.nr) {
	case SYS_mkdir:
	case SYS_rmdir:
	case SYS_unlink:
	case SYS_renameat2:
		return true;
	case SYS_bpf:
		return call->entry.args[0] == BPF_OBJ_PIN || call->entry.args[0] == BPF_LINK_UPDATE;
	default:
		return false;
	}
}

/* Which of the calls it is killed before: the number of those that change anything, or the first of one kind. */
struct moment {
	unsigned int number; /* from 1; 0: by what follows */
	uint64_t call;	     /* SYS_... */
	uint64_t command;    /* of SYS_bpf */
	unsigned int seen;
};

static bool has_come(struct moment *moment, const struct __ptrace_syscall_info *call)
{
	if (moment->number)
		return changes(call) && ++moment->seen == moment->number;
	return call->entry.nr == moment->call && (call->entry.nr != SYS_bpf || call->entry.args[0] == moment->command);
}

static void start(const char *pins, const struct dataplane_limits *limits)
{
	struct dataplane plane;
	struct err e;

	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	_exit(dataplane_open(&plane, pins, limits, &e) ? 1 : 0);
}

/* Run a process to its next system call. Returns false when it has come to its end, which must be a good one. */
static bool next_call(pid_t child, struct __ptrace_syscall_info *call)
{
	int status;

	do {
		ptrace(PTRACE_SYSCALL, child, NULL, NULL);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		assert_true(WIFSTOPPED(status));
	} while (ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof(*call), call) <= 0 ||
		 call->op != PTRACE_SYSCALL_INFO_ENTRY);
	return true;
}

/* A daemon starts, and at that moment is killed; or, where something is to be done then, goes on after it. Returns false
 * when it came to its end before. */
static bool start_until(const char *pins, const struct dataplane_limits *limits, struct moment *moment,
			void (*deed)(const struct lab *lab), const struct lab *lab)
{
	struct __ptrace_syscall_info call;
	pid_t child = fork();
	int status;

	if (!child)
		start(pins, limits);
	assert_int_equal(waitpid(child, &status, 0), child);
	ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	do {
		if (!next_call(child, &call))
			return false;
	} while (!has_come(moment, &call));
	if (deed) {
		deed(lab);
		while (next_call(child, &call))
			;
		return true;
	}
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	return true;
}

/* ---- packets that come by the link, whatever program it runs --------------------------------------------------------- */

static void put(const struct lab *lab, uint16_t port, uint8_t flags)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("in1"), .sll_halen = 6};
	struct wire_spec spec = {.from = CLIENT4, .to = VIP4, .from_port = port, .to_port = 80};
	auto_close int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct wire frame;

	wire_make(&frame, &spec);
	frame.byte[frame.l4 + 13] = flags;
	assert_true(fd >= 0);
	assert_int_equal(sendto(fd, frame.byte, frame.bytes, 0, (struct sockaddr *)&to, sizeof(to)), frame.bytes);
}

static void open_plane(struct lab *lab, const char *pins, const struct dataplane_limits *limits)
{
	static const struct fleet_hooks hooks = {.watch = lab_watch};
	struct err e;

	if (dataplane_open(&lab->plane, pins, limits, &e))
		fail_msg("%s", e.text);
	assert_true(lab->plane.adopted);
	assert_int_equal(lab->plane.limits.flows, limits->flows);
	assert_int_equal(lab->plane.limits.services, limits->services);
	assert_int_equal(access(strcat(strcpy((char[300]){0}, pins), "/maps_next"), F_OK), -1);
	assert_int_equal(access(strcat(strcpy((char[300]){0}, pins), "/maps/former"), F_OK), -1);
	lab->fleet = fleet_create(&lab->plane, &hooks, &e);
	assert_non_null(lab->fleet);
}

static void close_plane(struct lab *lab)
{
	fleet_destroy(lab->fleet);
	lab->fleet = NULL;
	dataplane_close(&lab->plane);
}

/* The service's counters and events, and how many flows are remembered. */
struct sums {
	uint64_t packets, remembered;
	unsigned int flows;
};

static struct sums sum(struct lab *lab)
{
	struct dataplane_key key = {.vip = lab_ip(VIP4), .port = 80, .protocol = IPPROTO_TCP};
	struct sums sums = {.remembered = dataplane_flow_events(&lab->plane, HP_FLOW_REMEMBERED_EVENT)};
	struct still still = {.plane = &lab->plane};
	uint64_t cell[HP_SERVICE_CELLS];

	dataplane_service_sum(&lab->plane, fleet_service_find(lab->fleet, &key)->number, cell);
	sums.packets = cell[HP_FORWARDED];
	still_flows(&still, DATAPLANE_UNPROVEN);
	still_flows(&still, DATAPLANE_FLOWS);
	sums.flows = (unsigned int)still.count;
	still_free(&still);
	return sums;
}

/* The backend that a ring names for the flow of a port. */
static uint32_t slot_of(const struct lab *lab, uint32_t at, uint16_t port)
{
	const union hp_block *ring = lab->plane.blocks + at;
	struct hp_flow flow = {.source_port = htons(port), .destination_port = htons(80), .protocol = IPPROTO_TCP};

	inet_pton(AF_INET, CLIENT4, &flow.source[3]);
	inet_pton(AF_INET, VIP4, &flow.destination[3]);
	return ring[1].slot[hp_slot(hp_flow_hash(&flow, ring->head.hash, ring->head.seed), ring->head.size)];
}

/* The next port whose new flow has to be remembered, as the two rings send it to different backends. */
static uint16_t risky_port(const struct lab *lab, uint16_t port)
{
	struct dataplane_key key = {.vip = lab_ip(VIP4), .port = 80, .protocol = IPPROTO_TCP};
	const struct fleet_service *service = fleet_service_find(lab->fleet, &key);

	assert_non_null(service->before);
	do
		port++;
	while (slot_of(lab, service->ring->at, port) == slot_of(lab, service->before->at, port));
	return port;
}

#define PORTS 200
static uint16_t risky[PORTS];

/* One round: a start killed at a moment, a packet of a new flow, another start. */
static bool round_of(struct lab *lab, unsigned int number)
{
	const struct dataplane_limits *to = &sizes[number % 2];
	struct moment moment = {.number = number};
	struct still before = still_take(&lab->plane), after;
	struct sums was = sum(lab), is;
	char pins[256];
	bool is_killed;

	snprintf(pins, sizeof(pins), "%s", lab->plane.pins);
	close_plane(lab);
	is_killed = start_until(pins, to, &moment, NULL, NULL);
	put(lab, risky[number], 0x02);
	usleep(1000);
	open_plane(lab, pins, to);
	is = sum(lab);
	assert_int_equal(is.packets, was.packets + 1);
	assert_int_equal(is.remembered, was.remembered + 1);
	assert_int_equal(is.flows, was.flows + 1);
	after = still_take(&lab->plane);
	/* The packet's counters, of service, backend, bytes and events, and its flow. */
	if (still_differ(NULL, &before, &after) > 11) {
		still_differ("more than a packet", &before, &after);
		fail_msg("killed before change %u", number);
	}
	still_free(&before);
	still_free(&after);
	return is_killed;
}

static void whenever_it_is_killed(void **state)
{
	struct lab *lab = *state;
	unsigned int number = 1;

	still_fill(lab, reached);
	for (uint16_t i = 0, port = STILL_PORT + STILL_FLOWS; i < PORTS; i++)
		risky[i] = port = risky_port(lab, port);
	while (round_of(lab, number))
		assert_true(++number < PORTS);
	print_message("killed before each of %u changes\n", number - 1);
	assert_true(number > 2 * DATAPLANE_MAP_COUNT);
	assert_int_equal(still_astray(lab, reached), 0);
}

/* ---- flows that both programs had to do with ------------------------------------------------------------------------- */

#define NONE {0, 0, 0, 0, 0}
#define S 1000 /* milliseconds */

/* What a table holds of a flow. Times are milliseconds after the flows were taken over. */
struct entry {
	enum { NOWHERE, UNPROVEN, PROVEN } where;
	int since_ms, seen_ms;
	uint32_t backend, marks;
};

struct meeting {
	const char *says;
	struct entry former, now; /* in the replaced tables, and in those in their place */
	struct entry then;
};

/* The start was killed between the exchange of the pins and that of the programs. */
static const struct meeting meetings[] = {
	{"taken over", {UNPROVEN, -9 * S, -8 * S, 2, 1}, {UNPROVEN, -9 * S, -8 * S, 2, 1}, {UNPROVEN, -9 * S, -8 * S, 2, 1}},
	{"remembered since", {UNPROVEN, 5 * S, 6 * S, 2, 1}, NONE, {UNPROVEN, 5 * S, 6 * S, 2, 1}},
	{"remembered and proven since", {PROVEN, 5 * S, 6 * S, 2, 1}, NONE, {PROVEN, 5 * S, 6 * S, 2, 1}},
	{"spoken since", {PROVEN, -9 * S, 6 * S, 2, 1}, {PROVEN, -9 * S, -8 * S, 2, 1}, {PROVEN, -9 * S, 6 * S, 2, 1}},
	{"spoken to both", {PROVEN, -9 * S, 6 * S, 2, 1}, {PROVEN, -9 * S, 7 * S, 2, 3}, {PROVEN, -9 * S, 7 * S, 2, 3}},
	{"proven since", {PROVEN, -9 * S, 6 * S, 2, 1}, {UNPROVEN, -9 * S, -8 * S, 2, 1}, {PROVEN, -9 * S, 6 * S, 2, 1}},
	{"proven since, and spoken to the other", {PROVEN, -9 * S, 6 * S, 2, 1}, {UNPROVEN, -9 * S, 7 * S, 2, 3},
	 {PROVEN, -9 * S, 7 * S, 2, 3}},
	{"proven by the other", {UNPROVEN, -9 * S, -8 * S, 2, 1}, {PROVEN, -9 * S, 7 * S, 2, 1}, {PROVEN, -9 * S, 7 * S, 2, 1}},
	{"opened anew since", {UNPROVEN, 5 * S, 6 * S, 4, 1}, {PROVEN, -9 * S, -8 * S, 2, 3}, {PROVEN, 5 * S, 6 * S, 4, 1}},
	{"opened anew by the other", {PROVEN, -9 * S, 5 * S, 2, 3}, {UNPROVEN, 6 * S, 6 * S, 4, 1}, {PROVEN, 6 * S, 6 * S, 4, 1}},
	{"forgotten by the other", {PROVEN, -9 * S, 5 * S, 2, 3}, NONE, NONE},
	{"closing and forgotten since", NONE, {PROVEN, -9 * S, -8 * S, 2, 3}, NONE},
	{"so an unproven one", NONE, {UNPROVEN, -9 * S, -8 * S, 2, 5}, NONE},
	{"closing, and spoken to the other", NONE, {PROVEN, -9 * S, 6 * S, 2, 3}, {PROVEN, -9 * S, 6 * S, 2, 3}},
	{"evicted since", NONE, {UNPROVEN, -9 * S, -8 * S, 2, 1}, {UNPROVEN, -9 * S, -8 * S, 2, 1}},
	{"remembered by the other", NONE, {UNPROVEN, 6 * S, 6 * S, 2, 3}, {UNPROVEN, 6 * S, 6 * S, 2, 3}},
};

#define MEETINGS (sizeof(meetings) / sizeof(meetings[0]))

static struct hp_flow key_of(size_t meeting)
{
	struct hp_flow key = {
		.source_port = htons((uint16_t)(1 + meeting)), .destination_port = htons(80), .protocol = IPPROTO_TCP};

	inet_pton(AF_INET, "192.168.1.77", &key.source[3]);
	inet_pton(AF_INET, VIP4, &key.destination[3]);
	return key;
}

static int table_at(const char *pins, const char *folder, const char *name)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", pins, folder, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

static void write_entry(const char *pins, const char *folder, const struct hp_flow *key, const struct entry *entry,
			uint64_t taken_ns)
{
	struct hp_remembered value = {.since_ns = taken_ns + (uint64_t)entry->since_ms * 1000000,
				      .seen_ns = taken_ns + (uint64_t)entry->seen_ms * 1000000,
				      .backend = entry->backend,
				      .check = hp_flow_check(key),
				      .marks = entry->marks};
	auto_close int fd = entry->where ? table_at(pins, folder, entry->where == PROVEN ? "flows" : "unproven") : -1;

	if (entry->where)
		assert_int_equal(bpf_map_update_elem(fd, key, &value, BPF_NOEXIST), 0);
}

static struct entry read_entry(const char *pins, const struct hp_flow *key, uint64_t taken_ns)
{
	auto_close int flows = table_at(pins, "maps", "flows"), unproven = table_at(pins, "maps", "unproven");
	struct entry entry = NONE;
	struct hp_remembered value;

	if (!bpf_map_lookup_elem(flows, key, &value))
		entry.where = PROVEN;
	else if (!bpf_map_lookup_elem(unproven, key, &value))
		entry.where = UNPROVEN;
	else
		return entry;
	entry.since_ms = (int)((int64_t)(value.since_ns - taken_ns) / 1000000);
	entry.seen_ms = (int)((int64_t)(value.seen_ns - taken_ns) / 1000000);
	entry.backend = value.backend;
	entry.marks = value.marks;
	return entry;
}

static void of_two_memories_the_later_is_right(void **state)
{
	struct moment moment = {.call = SYS_bpf, .command = BPF_LINK_UPDATE};
	struct lab *lab = *state;
	struct dataplane_limits other = sizes[lab->plane.limits.flows == sizes[0].flows];
	struct hp_meta meta = {0};
	uint32_t zero = 0;
	char pins[256];
	int wrong = 0;

	snprintf(pins, sizeof(pins), "%s", lab->plane.pins);
	close_plane(lab);
	assert_true(start_until(pins, &other, &moment, NULL, NULL));
	bpf_map_lookup_elem(table_at(pins, "maps", "meta"), &zero, &meta);
	assert_true(meta.taken_ns && meta.taken_ns < dataplane_boot_ns());
	for (size_t i = 0; i < MEETINGS; i++) {
		struct hp_flow key = key_of(i);

		write_entry(pins, "maps/former", &key, &meetings[i].former, meta.taken_ns);
		write_entry(pins, "maps", &key, &meetings[i].now, meta.taken_ns);
	}
	open_plane(lab, pins, &other);
	for (size_t i = 0; i < MEETINGS; i++) {
		struct hp_flow key = key_of(i);
		struct entry got = read_entry(pins, &key, meta.taken_ns);

		if (!memcmp(&got, &meetings[i].then, sizeof(got)))
			continue;
		print_error("    WRONG: %s: table %d, since %d, seen %d, backend %u, marks %u\n", meetings[i].says, got.where,
			    got.since_ms, got.seen_ms, got.backend, got.marks);
		wrong++;
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(still_astray(lab, reached), 0);
}

/* ---- nobody is killed ------------------------------------------------------------------------------------------------- */

static void put_last(const struct lab *lab)
{
	put(lab, risky[PORTS - 1], 0x02);
	usleep(1000);
}

/* When all has been taken over, and the old program still runs. */
static void a_packet_comes_at_the_last_moment(void **state)
{
	struct moment moment = {.call = SYS_bpf, .command = BPF_LINK_UPDATE};
	struct lab *lab = *state;
	struct dataplane_limits other = sizes[lab->plane.limits.flows == sizes[0].flows];
	struct sums was = sum(lab), is;
	char pins[256];

	snprintf(pins, sizeof(pins), "%s", lab->plane.pins);
	close_plane(lab);
	assert_true(start_until(pins, &other, &moment, put_last, lab));
	open_plane(lab, pins, &other);
	assert_false(lab->plane.migration.is_done);
	is = sum(lab);
	assert_int_equal(is.packets, was.packets + 1);
	assert_int_equal(is.remembered, was.remembered + 1);
	assert_int_equal(is.flows, was.flows + 1);
	assert_int_equal(still_astray(lab, reached), 0);
}

/* Nothing comes by itself. */
static int open_up(void **state)
{
	return still_open_attached(state) ||
	       system("for i in in0 in1; do echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6; ip link set $i arp off up; done");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whenever_it_is_killed),
		cmocka_unit_test(a_packet_comes_at_the_last_moment),
		cmocka_unit_test(of_two_memories_the_later_is_right),
	};

	return cmocka_run_group_tests(tests, open_up, lab_close);
}

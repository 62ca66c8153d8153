/* A daemon that starts on maps of another size, or of older records, takes over all that they hold; and packets go where
 * they went. What a kill leaves is in test_packet_migrate_killed.c. */
#include "packet/still.h"

#include "daemon/dataplane_internal.h"
#include "director.skel.h"

#define LAB_IS LAB_LIMITS
#define LARGE 5000, 3000, 100000, 70000, 9000, 2000, 256, 512

static int reached[STILL_FLOWS];

/* A daemon ends and another starts. Returns dataplane_open's code. */
static int reopen(struct lab *lab, const struct dataplane_limits *limits, const struct dataplane_conversion *conversions,
		  struct err *e)
{
	static const struct fleet_hooks hooks = {.watch = lab_watch};
	char pins[256];
	int code;

	snprintf(pins, sizeof(pins), "%s", lab->plane.pins);
	fleet_destroy(lab->fleet);
	lab->fleet = NULL;
	dataplane_close(&lab->plane);
	code = dataplane_open_with(&lab->plane, pins, limits, conversions, e);
	if (code)
		return code;
	assert_true(lab->plane.adopted);
	assert_true(lab->plane.hints[0] == UINT64_MAX && lab->plane.hints[HP_HINT_WORDS - 1] == UINT64_MAX);
	lab->fleet = fleet_create(&lab->plane, &hooks, e);
	assert_non_null(lab->fleet);
	return 0;
}

/* Nothing but this version's maps, and the link, is pinned. */
static void find_only_maps(const struct lab *lab)
{
	char command[1000], said[100] = "";
	FILE *pipe;

	snprintf(command, sizeof(command), "find %s -type f | wc -l; find %s -type d | wc -l", lab->plane.pins, lab->plane.pins);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	for (size_t at = 0; fgets(said + at, (int)(sizeof(said) - at), pipe);)
		at = strlen(said);
	pclose(pipe);
	snprintf(command, sizeof(command), "%d\n3\n", DATAPLANE_MAP_COUNT + 1);
	assert_string_equal(said, command);
}

static bool limits_are(const struct dataplane_limits *a, const struct dataplane_limits *b)
{
	return a->services == b->services && a->backends == b->backends && a->blocks == b->blocks && a->flows == b->flows &&
	       a->unproven == b->unproven && a->prefixes == b->prefixes && a->sources == b->sources &&
	       a->fragments == b->fragments;
}

struct row {
	const char *says;
	struct dataplane_limits wanted, is;
	const char *kept; /* the limit that stays larger than it should; NULL: none */
	bool is_migrated;
};

/* One after another: each begins where the one before has ended. */
static const struct row rows[] = {
	{"what is as it should be stays", {LAB_IS, SAYS_ALL}, {LAB_IS, 0}, NULL, false},
	{"more flows", {LAB_SERVICES, 256, 4096, 5000, 1024, 512, 256, 512, SAYS_ALL},
	 {LAB_SERVICES, 256, 4096, 5000, 1024, 512, 256, 512, 0}, NULL, true},
	{"more unproven ones", {LAB_SERVICES, 256, 4096, 5000, 3000, 512, 256, 512, SAYS_ALL},
	 {LAB_SERVICES, 256, 4096, 5000, 3000, 512, 256, 512, 0}, NULL, true},
	{"more prefixes", {LAB_SERVICES, 256, 4096, 5000, 3000, 1000, 256, 512, SAYS_ALL},
	 {LAB_SERVICES, 256, 4096, 5000, 3000, 1000, 256, 512, 0}, NULL, true},
	{"more sources", {LAB_SERVICES, 256, 4096, 5000, 3000, 1000, 700, 512, SAYS_ALL},
	 {LAB_SERVICES, 256, 4096, 5000, 3000, 1000, 700, 512, 0}, NULL, true},
	{"more fragments", {LAB_SERVICES, 256, 4096, 5000, 3000, 1000, 700, 600, SAYS_ALL},
	 {LAB_SERVICES, 256, 4096, 5000, 3000, 1000, 700, 600, 0}, NULL, true},
	{"all of it larger, but those", {LARGE, SAYS_ALL}, {LARGE, 0}, NULL, true},
	{"what nobody said does not get less", {64, 64, 64, 64, 64, 64, 256, 512, 0}, {LARGE, 0}, NULL, false},
	{"nor less than it holds: flows", {5000, 3000, 100000, 10, 9000, 2000, 256, 512, SAYS_ALL}, {LARGE, 0}, "flows", false},
	{"services", {3, 3000, 100000, 70000, 9000, 2000, 256, 512, SAYS_ALL}, {LARGE, 0}, "services", false},
	{"backends", {5000, 5, 100000, 70000, 9000, 2000, 256, 512, SAYS_ALL}, {LARGE, 0}, "backends", false},
	{"slots", {5000, 3000, 70, 70000, 9000, 2000, 256, 512, SAYS_ALL}, {LARGE, 0}, "slots", false},
	{"prefixes", {5000, 3000, 100000, 70000, 9000, 3, 256, 512, SAYS_ALL}, {LARGE, 0}, "prefixes", false},
	{"one is kept, others get less", {100, 3000, 70, 70000, 9000, 100, 256, 512, SAYS_ALL},
	 {100, 3000, 100000, 70000, 9000, 100, 256, 512, 0}, "slots", true},
	{"services alone", {LAB_SERVICES, 3000, 100000, 70000, 9000, 100, 256, 512, 0},
	 {100, 3000, 100000, 70000, 9000, 100, 256, 512, 0}, NULL, false},
	{"back to where it began", {LAB_IS, SAYS_ALL}, {LAB_IS, 0}, NULL, true},
};

static int try(struct lab *lab, const struct row *row)
{
	struct still before = still_take(&lab->plane), after;
	const struct dataplane_migration *migration = &lab->plane.migration;
	int wrong;
	struct err e;

	if (reopen(lab, &row->wanted, NULL, &e))
		fail_msg("%s: %s", row->says, e.text);
	after = still_take(&lab->plane);
	wrong = still_differ(row->says, &before, &after);
	still_free(&before);
	still_free(&after);
	if (!limits_are(&lab->plane.limits, &row->is) || migration->is_done != row->is_migrated ||
	    migration->kept_count != (row->kept != NULL) ||
	    (row->kept && strcmp(migration->kept[0].limit, row->kept) != 0)) {
		const struct dataplane_limits *now = &lab->plane.limits;

		print_error("    WRONG: %s: %s, now %u services, %u backends, %u blocks, %u flows, %u unproven; %zu kept\n",
			    row->says, migration->is_done ? "migrated" : "adopted", now->services, now->backends, now->blocks,
			    now->flows, now->unproven, migration->kept_count);
		wrong++;
	}
	assert_string_equal(migration->why_not.text, "");
	assert_int_equal(migration->flows_lost, 0);
	find_only_maps(lab);
	return wrong + still_astray(lab, reached);
}

static void sizes_follow_the_limits(void **state)
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		wrong += try(*state, &rows[i]);
	assert_int_equal(wrong, 0);
}

/* A size that cannot be had leaves everything as it is. */
static void what_the_kernel_refuses_is_kept(void **state)
{
	static const struct dataplane_limits limits = {LAB_SERVICES, 256, 4096, 1u << 31, 1024, 512, 256, 512, SAYS_ALL};
	static const struct dataplane_limits is = {LAB_IS, 0};
	struct lab *lab = *state;
	struct still before = still_take(&lab->plane), after;
	struct err e;

	if (reopen(lab, &limits, NULL, &e))
		fail_msg("%s", e.text);
	assert_non_null(strstr(lab->plane.migration.why_not.text, "no memory for the data plane"));
	assert_false(lab->plane.migration.is_done);
	assert_true(limits_are(&lab->plane.limits, &is));
	after = still_take(&lab->plane);
	assert_int_equal(still_differ("a size that cannot be had", &before, &after), 0);
	still_free(&before);
	still_free(&after);
	find_only_maps(lab);
	assert_int_equal(still_astray(lab, reached), 0);
}

/* A configuration can be applied, and a change be lived through, after all that. */
static void life_goes_on(void **state)
{
	static const struct dataplane_limits limits = {LAB_SERVICES + 100, 300, 5000, 2000, 2000, 600, 256, 512, SAYS_ALL};
	struct lab *lab = *state;
	struct err e;

	assert_int_equal(reopen(lab, &limits, NULL, &e), 0);
	lab_apply(lab, "services:\n- {vip: 10.2.0.1, port: 80, slots: 1009, forward: l2, backends: [10.3.0.4]}\n");
	lab_resolve_all(lab);
	assert_int_equal(still_astray(lab, reached), 0);
	assert_int_equal(still_send(lab, CLIENT4, VIP4, STILL_PORT - 1, 0x02), 4);
	lab_sweep(lab);
}

/* ---- records of another layout -------------------------------------------------------------------------------------- */

/* As if ABI 1 had had an identity of other members, and a flow without check. */
struct old_identity {
	__u32 method;
	__u32 departed_s;
	__u8 address[16];
	__u32 more[4];
};

struct old_flow {
	__u64 seen_ns, since_ns;
	__u16 marks, backend;
	__u32 check;
};

static void identity_of(const void *record, void *out)
{
	const struct old_identity *old = record;
	struct hp_identity *identity = out;

	*identity = (struct hp_identity){.method = old->method, .departed_s = old->departed_s};
	memcpy(identity->address, old->address, sizeof(old->address));
}

static void flow_of(const void *record, void *out)
{
	const struct old_flow *old = record;

	*(struct hp_remembered *)out = (struct hp_remembered){.since_ns = old->since_ns, .seen_ns = old->seen_ns,
							      .backend = old->backend, .check = old->check, .marks = old->marks};
}

static void of_another_version(const void *record, void *out)
{
	fail_msg("ABI 0 is not what was pinned");
}

static const struct dataplane_conversion conversions[] = {
	{DATAPLANE_IDENTITIES, 9, 1, of_another_version},
	{DATAPLANE_IDENTITIES, 1, sizeof(struct old_identity), identity_of},
	{DATAPLANE_IDENTITIES, 0, 1, of_another_version},
	{DATAPLANE_FLOWS_MAP, 1, sizeof(struct old_flow), flow_of},
	{DATAPLANE_UNPROVEN_MAP, 1, sizeof(struct old_flow), flow_of},
	{DATAPLANE_META, 0, 0, NULL},
};

/* Pin another map in place of one. */
static void replace_pin(const struct lab *lab, const char *name, int fd)
{
	char path[DATAPLANE_PATH_BYTES];

	dataplane_path(&lab->plane, "maps", name, path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
}

static void make_old_identities(struct lab *lab)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "identities", 4, sizeof(struct old_identity), lab->plane.limits.backends,
				&options);

	assert_true(fd >= 0);
	for (uint32_t i = 0; i < lab->plane.limits.backends; i++) {
		const struct hp_identity *identity = &lab->plane.identities[i];
		struct old_identity old = {.method = identity->method, .departed_s = identity->departed_s};

		memcpy(old.address, identity->address, sizeof(old.address));
		assert_int_equal(bpf_map_update_elem(fd, &i, &old, BPF_ANY), 0);
	}
	replace_pin(lab, "identities", fd);
}

static void make_old_table(struct lab *lab, enum dataplane_table table)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = table == DATAPLANE_FLOWS ? BPF_F_NO_PREALLOC : 0);
	const char *name = table == DATAPLANE_FLOWS ? "flows" : "unproven";
	int fd = bpf_map_create(table == DATAPLANE_FLOWS ? BPF_MAP_TYPE_HASH : BPF_MAP_TYPE_LRU_HASH, name,
				sizeof(struct hp_flow), sizeof(struct old_flow), lab->plane.limits.flows, &options);
	struct dataplane_walk walk = {0};
	struct err e;
	int count;

	assert_true(fd >= 0);
	while ((count = dataplane_walk_flows(&lab->plane, table, &walk, &e)) > 0)
		for (int i = 0; i < count; i++) {
			const struct hp_remembered *value = &walk.rows[i].value;
			struct old_flow old = {value->seen_ns, value->since_ns, (uint16_t)value->marks, (uint16_t)value->backend,
					       value->check};

			assert_int_equal(bpf_map_update_elem(fd, &walk.rows[i].key, &old, BPF_ANY), 0);
		}
	dataplane_walk_end(&walk);
	replace_pin(lab, name, fd);
}

static void older_records_become_ours(void **state)
{
	static const struct dataplane_limits limits = {LAB_IS, 0};
	struct lab *lab = *state;
	struct still before = still_take(&lab->plane), after;
	struct err e;

	make_old_identities(lab);
	make_old_table(lab, DATAPLANE_UNPROVEN);
	make_old_table(lab, DATAPLANE_FLOWS);
	lab->plane.meta->abi = 1;
	if (reopen(lab, &limits, conversions, &e))
		fail_msg("%s", e.text);
	after = still_take(&lab->plane);
	assert_int_equal(still_differ("older records", &before, &after), 0);
	still_free(&before);
	still_free(&after);
	assert_true(lab->plane.migration.is_done);
	assert_int_equal(lab->plane.migration.abi, 1);
	assert_int_equal(lab->plane.meta->abi, HP_ABI_VERSION);
	find_only_maps(lab);
	assert_int_equal(still_astray(lab, reached), 0);
}

/* Records that nobody can read are an error, and stay as they are. */
static void unknown_records_are_refused(void **state)
{
	static const struct dataplane_limits limits = {LAB_IS, 0};
	struct lab *lab = *state;
	char identities[DATAPLANE_PATH_BYTES], aside[DATAPLANE_PATH_BYTES];
	struct err e;
	int fd;

	dataplane_path(&lab->plane, "maps", "identities", identities);
	dataplane_path(&lab->plane, "links", "aside", aside);
	fd = bpf_obj_get(identities);
	assert_int_equal(bpf_obj_pin(fd, aside), 0);
	close(fd);
	make_old_identities(lab);
	assert_int_equal(reopen(lab, &limits, NULL, &e), -EPROTO);
	assert_non_null(strstr(e.text, "is not one of this version's (type 2, records of 40 bytes)"));
	assert_int_equal(rename(aside, identities), 0);
	if (reopen(lab, &limits, NULL, &e))
		fail_msg("%s", e.text);
	assert_int_equal(still_astray(lab, reached), 0);
}

/* A set of ABI 2 has no terms, guards and fragments, and verdicts in other cells. */
static void an_older_set_gets_what_it_lacks(void **state)
{
	static const struct dataplane_limits limits = {LAB_SERVICES + 100, 300, 5000, 2000, 2000, 600, 256, 512, SAYS_ALL};
	struct lab *lab = *state;
	const uint32_t count = dataplane_entries(DATAPLANE_SERVICE_COUNTS, &lab->plane.limits);
	char path[DATAPLANE_PATH_BYTES], pins[256];
	uint64_t cell[HP_SERVICE_CELLS];
	struct wire in;
	struct err e;

	snprintf(pins, sizeof(pins), "%s", lab->plane.pins);
	memset(lab->plane.service_counts, 0, count * sizeof(struct hp_service_counts));
	for (uint64_t old = 0; old < 18; old++)
		lab->plane.service_counts[0].cell[old] = 100 + old;
	for (int i = DATAPLANE_TERMS; i < DATAPLANE_MAP_COUNT; i++) {
		dataplane_path(&lab->plane, "maps", dataplane_maps[i].name, path);
		assert_int_equal(unlink(path), 0);
	}
	lab->plane.meta->abi = 2;
	fleet_destroy(lab->fleet);
	dataplane_close(&lab->plane);
	if (dataplane_open(&lab->plane, pins, &limits, &e))
		fail_msg("%s", e.text);
	lab->fleet = fleet_create(&lab->plane, &(struct fleet_hooks){.watch = lab_watch}, &e);
	assert_non_null(lab->fleet);
	assert_int_equal(lab->plane.migration.abi, 2);
	find_only_maps(lab);
	dataplane_service_sum(&lab->plane, 0, cell);
	assert_int_equal(cell[HP_CELL_BYTES], 100);
	assert_int_equal(cell[HP_FORWARDED], 101);
	assert_int_equal(cell[HP_FRAGMENT], 109);
	assert_int_equal(cell[HP_DENIED], 0);
	assert_int_equal(cell[HP_ANSWERED_ARP], 110);
	assert_int_equal(cell[HP_MALFORMED], 117);
	assert_int_equal(still_astray(lab, reached), 0);
	lab_apply(lab, "services:\n- {vip: 10.2.0.1, port: 80, backends: [10.3.0.4], deny: [192.168.1.0/24]}\n");
	wire_make(&in, &(struct wire_spec){.from = CLIENT4, .to = VIP4, .from_port = STILL_PORT, .to_port = 80});
	assert_int_equal(lab_try_drop(lab, "and is guarded then", &in, HP_DENIED), 0);
}

static int open_full(void **state)
{
	int failed = still_open_attached(state);

	if (!failed)
		still_fill(*state, reached);
	return failed;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_follow_the_limits),
		cmocka_unit_test(what_the_kernel_refuses_is_kept),
		cmocka_unit_test(older_records_become_ours),
		cmocka_unit_test(unknown_records_are_refused),
		cmocka_unit_test(life_goes_on),
		cmocka_unit_test(an_older_set_gets_what_it_lacks),
	};

	return cmocka_run_group_tests(tests, open_full, lab_close);
}

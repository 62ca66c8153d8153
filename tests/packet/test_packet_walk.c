/* A random walk over the fleet and the loaded program: changes of every kind, in any order, and flows that live through
 * them. One sentence is held: no packet of a flow reaches another living backend than its opening packet did.
 *
 * The model checker (tests/unit/test_continuity.c) holds the rules against it; here stand the real maps, numbers that are
 * given back and taken again, rings that are shared, and a daemon that starts anew. WALK_SEED and WALK_STEPS, in the
 * environment, make other and longer walks. */
#include "packet/lab.h"

#include <stdlib.h>

#define BACKENDS 6
#define FLOWS 60
#define WALKS 12
#define STEPS 250

struct flow {
	bool is_open;
	int backend;	    /* that its opening packet reached */
	bool has_spoken;    /* since the last change: when the window ends nobody else is remembered */
	uint16_t port;
};

struct walk {
	struct lab *lab;
	uint64_t random;
	unsigned int step;
	int weight[BACKENDS + 1]; /* -1: not listed */
	bool is_dead[BACKENDS + 1];
	uint32_t slots, seed;
	struct flow flows[FLOWS];
	uint16_t next_port;
	char last[2000]; /* what was done, for when it goes wrong */
};

static uint32_t draw(struct walk *walk, uint32_t below)
{
	walk->random += 0x9e3779b97f4a7c15ULL;
	return (uint32_t)((hp_mix(walk->random) >> 32) * below >> 32);
}

static void note(struct walk *walk, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct walk *walk, const char *format, ...)
{
	size_t at = strlen(walk->last);
	va_list args;

	if (at > sizeof(walk->last) - 100) {
		memmove(walk->last, walk->last + 500, at - 499);
		at -= 500;
	}
	va_start(args, format);
	vsnprintf(walk->last + at, sizeof(walk->last) - at, format, args);
	va_end(args);
}

/* ---- the service ------------------------------------------------------------------------------------------------- */

static void resolve(struct walk *walk)
{
	struct fleet_backend *backend, *next;

	HASH_ITER(hh, walk->lab->fleet->backends, backend, next) {
		int i = backend->identity.address.byte[15];
		char address[IP_TEXT_BYTES];
		struct adjacency facts;

		ip_format(&backend->identity.address, address);
		facts = lab_facts(walk->lab, address);
		if ((backend->adjacency == 0) != walk->is_dead[i])
			lab_resolve(walk->lab, address, walk->is_dead[i] ? NULL : &facts);
	}
}

static void configure(struct walk *walk)
{
	char text[2000];
	size_t at = (size_t)snprintf(text, sizeof(text),
				     "services:\n  - {vip: 10.2.0.1, port: 80, slots: %u, seed: %u, backends: [", walk->slots,
				     walk->seed);
	const char *comma = "";

	for (int i = 1; i <= BACKENDS; i++) {
		if (walk->weight[i] < 0)
			continue;
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s{address: 10.3.0.%d, weight: %d}", comma, i,
				       walk->weight[i]);
		comma = ", ";
	}
	snprintf(text + at, sizeof(text) - at, "]}\n");
	lab_apply(walk->lab, text);
	resolve(walk);
	for (int i = 0; i < FLOWS; i++)
		walk->flows[i].has_spoken = false;
}

static unsigned int usable(const struct walk *walk)
{
	unsigned int count = 0;

	for (int i = 1; i <= BACKENDS; i++)
		count += walk->weight[i] > 0 && !walk->is_dead[i];
	return count;
}

/* ---- flows ------------------------------------------------------------------------------------------------------- */

static int send_packet(struct walk *walk, uint16_t port, uint8_t flags)
{
	struct wire_spec spec = {.from = CLIENT4, .to = "10.2.0.1", .from_port = port, .to_port = 80};
	struct lab_end end;
	struct wire in;

	wire_make(&in, &spec);
	in.byte[in.l4 + 13] = flags;
	lab_run(walk->lab, &in, &end);
	return end.verdict == HP_FORWARDED ? end.frame.byte[5] : 0;
}

static void open_flow(struct walk *walk)
{
	struct flow *flow = &walk->flows[draw(walk, FLOWS)];

	if (flow->is_open)
		return;
	flow->port = walk->next_port++;
	flow->backend = send_packet(walk, flow->port, 0x02);
	flow->is_open = flow->has_spoken = flow->backend != 0;
	if (!flow->backend && usable(walk))
		fail_msg("seed %#llx, step %u: a new flow reached nobody; %s", (unsigned long long)walk->random, walk->step,
			 walk->last);
	if (flow->backend && (walk->weight[flow->backend] <= 0 || walk->is_dead[flow->backend]))
		fail_msg("step %u: a new flow reached %d, which takes none; %s", walk->step, flow->backend, walk->last);
	note(walk, " o%u>%d", flow->port, flow->backend);
}

/* While its backend is dead a flow is lost if it speaks: nothing is remembered of that. */
static void speak(struct walk *walk, struct flow *flow)
{
	int got;

	if (!flow->is_open)
		return;
	got = send_packet(walk, flow->port, 0x10);
	note(walk, " a%u>%d", flow->port, got);
	if (walk->is_dead[flow->backend])
		flow->is_open = false;
	else if (got != flow->backend)
		fail_msg("step %u: flow %u was opened with %d and reached %d; %s", walk->step, flow->port, flow->backend, got,
			 walk->last);
	flow->has_spoken = true;
}

static void close_flow(struct walk *walk)
{
	struct flow *flow = &walk->flows[draw(walk, FLOWS)];

	speak(walk, flow);
	if (flow->is_open)
		send_packet(walk, flow->port, 0x11);
	flow->is_open = false;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void change_weight(struct walk *walk)
{
	int i = 1 + (int)draw(walk, BACKENDS), former = walk->weight[i];

	walk->weight[i] = (int)draw(walk, 5) - 1;
	if (!usable(walk))
		walk->weight[i] = former;
	note(walk, " w%d=%d", i, walk->weight[i]);
	configure(walk);
}

static void change_shape(struct walk *walk)
{
	static const uint32_t sizes[] = {1009, 1013, 2003, 127};

	if (draw(walk, 2))
		walk->slots = sizes[draw(walk, 4)];
	else
		walk->seed = 1 + draw(walk, 3);
	note(walk, " slots%u seed%u", walk->slots, walk->seed);
	configure(walk);
}

static void die_or_return(struct walk *walk)
{
	int i = 1 + (int)draw(walk, BACKENDS);

	walk->is_dead[i] = !walk->is_dead[i];
	if (!usable(walk))
		walk->is_dead[i] = false;
	note(walk, " %c%d", walk->is_dead[i] ? 'x' : 'y', i);
	resolve(walk);
	for (int f = 0; f < FLOWS; f++)
		walk->flows[f].has_spoken = false;
}

/* Whoever was silent for all of the window is given up. */
static void end_windows(struct walk *walk)
{
	bool speak_first = draw(walk, 2);

	for (int i = 0; i < FLOWS; i++)
		if (speak_first)
			speak(walk, &walk->flows[i]);
		else if (!walk->flows[i].has_spoken)
			walk->flows[i].is_open = false;
	note(walk, " W");
	lab_end_windows(walk->lab);
}

/* The deadline of one that was drained comes: what is left with it is cut off. */
static void cut(struct walk *walk)
{
	int i = 1 + (int)draw(walk, BACKENDS);
	char address[32];
	struct ip ip;
	struct err e;
	int code;

	if (walk->weight[i] != 0)
		return;
	snprintf(address, sizeof(address), "10.3.0.%d", i);
	ip = lab_ip(address);
	note(walk, " cut%d", i);
	code = fleet_cut(walk->lab->fleet, walk->lab->config->services[0], &ip, &e);
	if (code == -EAGAIN) /* a ring waits for the way to one that is dead */
		return;
	if (code && code != -ENOENT)
		fail_msg("%s", e.text);
	lab_sweep(walk->lab);
	for (int f = 0; f < FLOWS; f++) {
		struct flow *flow = &walk->flows[f];

		if (flow->is_open && flow->backend == i && send_packet(walk, flow->port, 0x10) == i)
			fail_msg("step %u: flow %u still reaches %d; %s", walk->step, flow->port, i, walk->last);
		flow->is_open = flow->is_open && flow->backend != i;
	}
}

/* The daemon ends and another takes over. */
static void restart(struct walk *walk)
{
	static const struct dataplane_limits limits = {LAB_LIMITS, 0};
	static const struct fleet_hooks hooks = {.watch = lab_watch};
	struct lab *lab = walk->lab;
	char pins[256];
	struct err e;

	note(walk, " R");
	snprintf(pins, sizeof(pins), "%s", lab->plane.pins);
	fleet_destroy(lab->fleet);
	dataplane_close(&lab->plane);
	if (dataplane_open(&lab->plane, pins, &limits, &e))
		fail_msg("%s", e.text);
	assert_true(lab->plane.adopted);
	lab->fleet = fleet_create(&lab->plane, &hooks, &e);
	assert_non_null(lab->fleet);
	configure(walk);
}

static void one_step(struct walk *walk)
{
	uint32_t what = draw(walk, 100);

	if (what < 35)
		open_flow(walk);
	else if (what < 65)
		speak(walk, &walk->flows[draw(walk, FLOWS)]);
	else if (what < 72)
		close_flow(walk);
	else if (what < 82)
		change_weight(walk);
	else if (what < 84)
		change_shape(walk);
	else if (what < 90)
		die_or_return(walk);
	else if (what < 94)
		end_windows(walk);
	else if (what < 97)
		lab_sweep(walk->lab);
	else if (what < 98)
		cut(walk);
	else
		restart(walk);
}

static void begin(struct walk *walk, struct lab *lab, uint64_t seed)
{
	*walk = (struct walk){.lab = lab, .random = seed, .slots = 1009, .seed = 1, .next_port = 1024};
	for (int i = 1; i <= BACKENDS; i++)
		walk->weight[i] = 1;
	lab->keeps_moving = true;
	configure(walk);
}

/* A service that is left alone comes to rest, and nothing is left of what it went through. */
static void end(struct walk *walk)
{
	struct lab *lab = walk->lab;

	lab->keeps_moving = false;
	lab_rest(lab);
	lab_sweep(lab);
	lab_apply(lab, "services: []\n");
	lab_sweep(lab);
	assert_int_equal(HASH_COUNT(lab->fleet->backends), 0);
	assert_int_equal(HASH_COUNT(lab->fleet->rings), 0);
	assert_int_equal(lab->fleet->unsteady, 0);
	assert_int_equal(lab->fleet->departing, 0);
}

static void walks(void **state)
{
	const char *seed = getenv("WALK_SEED"), *steps = getenv("WALK_STEPS");
	uint64_t first = seed ? strtoull(seed, NULL, 0) : 1;
	unsigned int most = steps ? (unsigned int)atoi(steps) : STEPS;
	struct walk walk;

	for (uint64_t i = 0; i < WALKS; i++) {
		begin(&walk, *state, hp_mix(first + i));
		for (walk.step = 0; walk.step < most; walk.step++)
			one_step(&walk);
		for (int f = 0; f < FLOWS; f++)
			speak(&walk, &walk.flows[f]);
		end(&walk);
	}
}

/* Maps without a link are what a start cut short has left; so there has to be one for a daemon to take over. */
static int open_attached(void **state)
{
	int failed = lab_open(state);
	struct lab *lab = *state;
	bool is_native;
	struct err e;

	if (failed)
		return failed;
	failed = dataplane_attach(&lab->plane, "in0", lab->in, DATAPLANE_INGRESS, CONFIG_MODE_GENERIC, &is_native, &e);
	if (failed)
		print_error("%s\n", e.text);
	return failed;
}

/* The date of a departure lies in the maps for a daemon that starts anew. One that was taken back, days ago, is no date
 * for the next. */
static void date_of_a_departure_ends_with_it(void **state)
{
	struct lab *lab = *state;
	struct walk walk;
	struct ip ip = lab_ip("10.3.0.1");
	struct fleet_identity identity;
	struct fleet_backend *backend;
	uint32_t *departed_s;
	uint64_t soon_s;

	memset(&identity, 0, sizeof(identity));
	identity.address = ip;
	identity.method = HP_METHOD_L2;
	begin(&walk, lab, 1);
	for (walk.weight[1] = -1; walk.weight[1] < 2; walk.weight[1] += 2)
		configure(&walk);
	backend = fleet_backend_find(lab->fleet, &identity);
	assert_non_null(backend);
	departed_s = &lab->plane.identities[backend->number].departed_s;
	if (*departed_s)
		*departed_s = 1;
	walk.weight[1] = -1;
	restart(&walk);
	assert_non_null(lab->fleet->services->departures);
	soon_s = dataplane_boot_ns() / 1000000000 + lab->config->services[0]->deadline_s - 10;
	assert_true(lab->fleet->services->departures->deadline_s > soon_s);
	end(&walk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks),
		cmocka_unit_test(date_of_a_departure_ends_with_it),
	};

	return cmocka_run_group_tests(tests, open_attached, lab_close);
}

/* When a VIP is answered for: when it is known how its backends are, and unless another director does. The program is asked by
 * pings and judged by what it forwards. */
#include "packet/lab.h"

static bool knows; /* what the hook says */
static uint64_t waited_ms;

static bool is_known(void *context, const struct fleet_service *service, uint64_t waited)
{
	waited_ms = waited;
	return knows;
}

/* A lab whose fleet does not know of VIPs how their backends are, and that can be adopted. */
static int open_unknown(void **state)
{
	int failed = lab_open(state);
	struct lab *lab = *state;
	bool is_native;
	struct err e;

	if (failed)
		return failed;
	lab->fleet->hooks.is_known = is_known;
	return dataplane_attach(&lab->plane, "in0", lab->in, DATAPLANE_INGRESS, CONFIG_MODE_GENERIC, &is_native, &e);
}

static void apply(struct lab *lab, const char *more)
{
	char text[1000];

	snprintf(text, sizeof(text),
		 "announce: {warmup: 20s}\n"
		 "services:\n"
		 "  - {vip: 10.2.0.1, port: 80, backends: [10.3.0.1]}\n"
		 "  - {vip: \"fd00:2::1\", port: 80, backends: [\"fd00:3::1\"]}\n%s",
		 more);
	lab_apply(lab, text);
	lab_resolve_all(lab);
}

static enum hp_verdict ask(struct lab *lab, const struct wire_spec *spec)
{
	struct lab_end end;
	struct wire in;

	wire_make(&in, spec);
	lab_run(lab, &in, &end);
	return end.verdict;
}

static void expect_answers(struct lab *lab, const char *when, bool wanted)
{
	enum hp_verdict echo = wanted ? HP_ANSWERED_ECHO : HP_VIP_SILENT;
	enum hp_verdict got4 = ask(lab, &(struct wire_spec){.from = CLIENT4, .to = VIP4, .protocol = IPPROTO_ICMP, .type = 8});
	enum hp_verdict got6 =
		ask(lab, &(struct wire_spec){.from = CLIENT6, .to = VIP6, .protocol = IPPROTO_ICMPV6, .type = 128});

	if (got4 != echo || got6 != echo)
		fail_msg("%s: %s and %s, wanted %s", when, lab_verdict_name(got4), lab_verdict_name(got6),
			 lab_verdict_name(echo));
	assert_int_equal(ask(lab, &(struct wire_spec){.from = CLIENT4, .to = VIP4, .from_port = 1025, .to_port = 80}),
			 HP_FORWARDED);
	assert_int_equal(ask(lab, &(struct wire_spec){.from = CLIENT6, .to = VIP6, .from_port = 1025, .to_port = 80}),
			 HP_FORWARDED);
}

static void tick(struct lab *lab)
{
	struct err e;

	assert_int_equal(fleet_tick(lab->fleet, &e), 0);
}

/* All VIPs came so much earlier. */
static void pass_time(struct lab *lab, uint64_t ms)
{
	for (struct fleet_vip *vip = lab->fleet->vips; vip; vip = vip->hh.next)
		vip->came_ms -= ms;
	tick(lab);
}

static void waits_until_it_is_known(void **state)
{
	struct lab *lab = *state;
	uint64_t changes;

	knows = false;
	apply(lab, "");
	expect_answers(lab, "not known", false);
	pass_time(lab, 10000);
	expect_answers(lab, "not known after half of the warmup", false);
	assert_true(waited_ms >= 10000 && waited_ms < 20000);
	changes = lab->fleet->vip_changes;
	knows = true;
	tick(lab);
	expect_answers(lab, "known", true);
	assert_int_equal(lab->fleet->vip_changes, changes + 2);
	knows = false;
	tick(lab);
	apply(lab, "  - {vip: 10.2.0.1, port: 81, backends: [10.3.0.2]}\n");
	expect_answers(lab, "known once, whatever is added to it", true);
	lab_apply(lab, "services: []\n");
}

static void waits_no_longer_than_the_warmup(void **state)
{
	struct lab *lab = *state;

	knows = false;
	apply(lab, "");
	pass_time(lab, 19000);
	expect_answers(lab, "before the end of the warmup", false);
	pass_time(lab, 1000);
	expect_answers(lab, "after the warmup", true);
	lab_apply(lab, "services: []\n");
}

static void another_director_answers(void **state)
{
	struct lab *lab = *state;

	knows = true;
	apply(lab, "");
	expect_answers(lab, "active", true);
	fleet_silence(lab->fleet, true);
	expect_answers(lab, "standby", false);
	assert_true(fleet_vip_is_up(lab->fleet->vips));
	lab_resolve(lab, "10.3.0.1", NULL);
	lab_resolve_all(lab);
	expect_answers(lab, "standby, a backend later", false);
	fleet_silence(lab->fleet, false);
	expect_answers(lab, "active again", true);
	lab_apply(lab, "services: []\n");
}

static void adopt(struct lab *lab, bool is_silent)
{
	static const struct dataplane_limits limits = {LAB_LIMITS, 0};
	static const struct fleet_hooks hooks = {.watch = lab_watch, .is_known = is_known};
	char pins[256];
	struct err e;

	snprintf(pins, sizeof(pins), "%s", lab->plane.pins);
	fleet_destroy(lab->fleet);
	dataplane_close(&lab->plane);
	if (dataplane_open(&lab->plane, pins, &limits, &e))
		fail_msg("%s", e.text);
	assert_true(lab->plane.adopted);
	lab->fleet = fleet_create(&lab->plane, &hooks, &e);
	assert_non_null(lab->fleet);
	fleet_silence(lab->fleet, is_silent);
}

/* What was known to a daemon before this one is known; a silent one's successor that is active starts to answer. */
static void the_next_daemon_goes_on(void **state)
{
	struct lab *lab = *state;

	knows = true;
	apply(lab, "");
	knows = false;
	adopt(lab, false);
	expect_answers(lab, "adopted, nothing applied yet", true);
	apply(lab, "");
	expect_answers(lab, "adopted", true);
	assert_true(fleet_vip_is_served(lab->fleet->vips));
	adopt(lab, true);
	expect_answers(lab, "adopted as standby, nothing applied yet", true);
	apply(lab, "");
	expect_answers(lab, "adopted as standby", false);
	adopt(lab, false);
	apply(lab, "");
	expect_answers(lab, "active, and not known", false);
	knows = true;
	tick(lab);
	expect_answers(lab, "active, and known", true);
	lab_apply(lab, "services: []\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_until_it_is_known),
		cmocka_unit_test(waits_no_longer_than_the_warmup),
		cmocka_unit_test(another_director_answers),
		cmocka_unit_test(the_next_daemon_goes_on),
	};

	return cmocka_run_group_tests(tests, open_unknown, lab_close);
}

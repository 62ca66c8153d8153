/* Flows through changes, by the loaded program and its tables: each row is a story of changes and packets.
 *
 * Words of a story, one after another:
 *   =1 =2 =12 =-   the service has just these backends; =- has both with weight 0
 *   x1 y1          the way to backend 1 is lost, is found
 *   s1 a1 f1 r1    the flow sends SYN, ACK, FIN, RST, and it reaches backend 1 (- instead of a number: nobody)
 *   e1             an ICMP error about the flow's answers reaches backend 1
 *   S1 A1 ...      the same of another flow
 *   t              two seconds pass for what is remembered; c: 61 seconds; w: longer than the window
 *   W              the window ends; p: a whole pass over the tables
 *   #2             so many flows are remembered;   !1: so many of them are proven
 *   ?1 ?0          there are hints that a flow may be proven, there are none
 *   m g .          the service is moving, settling, steady
 *   cut1           what is left with backend 1 is cut off
 * With one backend at a time both flows have the same picks, which makes a story's numbers plain. */
#include "packet/lab.h"

#include <bpf/bpf.h>

#include "director.skel.h"

struct story {
	const char *says, *words;
};

static const struct story stories[] = {
	{"a steady service remembers nobody", "=1 . s1 a1 A1 #0 ."},
	{"a flow from before a change stays, one from after it goes to the new ring", "=1 s1 a1 =2 m a1 S2 A2 #2"},
	{"a flow met under way is remembered, its end and what is about it are not", "=1 s1 =2 e1 r1 #0 f1 #1 a1 #1"},
	{"a flow that was opened in a change goes on after a change back", "=1 =2 s2 a2 =1 a2 S1 #1 A1 a2 #1"},
	{"three backends in turn", "=1 s1 =2 a1 S2 =1 a1 A2 =2 A2 a1 =12 a1 A2 #2"},
	{"what is unknown under way follows the ring of before all of them", "=1 =2 =1 =2 a1 A1"},
	{"unproven flows are proven by a packet a second later", "=1 =2 s2 a2 #1 !0 t a2 #1 !1 a2"},
	{"a SYN that is sent again proves nothing", "=1 =2 s2 t s2 !0 #1 a2 !1"},
	{"an RST or an ICMP error proves nothing", "=1 =2 s2 t r2 e2 !0 a2 !1"},
	{"after the window the unknown goes to the new ring and is not remembered", "=1 s1 a1 =2 W p . A2 #0"},
	{"after the window the remembered goes on", "=1 s1 =2 a1 W p g a1 S2 A2 #1 p g a1"},
	{"when the last remembered flow is over the service is steady", "=1 =2 a1 t W w p #0 . a2"},
	{"a closing flow is forgotten after a minute of silence", "=1 =2 a1 t f1 c p #0"},
	{"a flow half closed goes on as long as it speaks", "=1 =2 a1 t f1 a1 a1 c a1 p #1 a1"},
	{"a forged RST ends nothing", "=1 s1 =2 a1 t a1 r1 a1 c p #1 a1"},
	{"a real RST does, after a minute", "=1 s1 =2 a1 t a1 r1 c p #0"},
	{"an RST does not keep a closing flow alive", "=1 s1 =2 a1 t a1 r1 c r1 p #0"},
	{"a SYN on a closing flow is a new opening", "=1 s1 =2 a1 f1 s2 a2 #1"},
	{"a SYN on a live flow follows it", "=1 s1 =2 a1 s1 a1 #1"},
	{"a SYN on a closing flow that settles needs no memory", "=1 s1 =2 a1 W f1 s2 #0 a2"},
	{"a SYN on a flow of a dead backend is a new opening", "=1 s1 =2 a1 x1 s2 #1 a2 y1 a2"},
	{"a dead backend's flows go to the new ring, and back when it is back", "=1 s1 =2 a1 x1 a2 #1 y1 a1"},
	{"the unknown of a dead backend goes to the new ring and is not remembered", "=12 =1 =2 x1 a2 #0"},
	{"a backend that dies is no reason to move others", "=12 x1 m s2 a2 y1 a2"},
	{"with every backend drained the old flows go on, and no new one is taken", "=1 s1 =- a1 S- A1"},
	{"what is cut off goes to the new ring", "=1 s1 =2 a1 t a1 #1 cut1 p #0 a2 A2"},
	{"a change while settling begins anew from there", "=1 s1 =2 a1 W p g =1 S1 A1 a1 m #2"},
	{"hints stand for proven flows, and go with the last", "=1 p ?0 =2 s2 a2 ?0 t a2 ?1 a2 W p g ?1 w p . p ?0 a2"},
	{"hints of flows that are over mislead nobody", "=1 =2 s2 t a2 !1 f2 c p #0 ?1 s2 a2 #1 =1 a2 S1 A1"},
	{"a change back to what runs changes nothing", "=1 =1 . =12 =12 m"},
};

/* The two flows of a story, IPv4 and IPv6 services alike. */
struct stage {
	struct lab *lab;
	const struct story *story;
	const char *client, *vip, *forward;
	int wrong;
};

static void complain(struct stage *stage, const char *word, const char *why, long got)
{
	print_error("    WRONG: %s (%s, %s): %s at \"%.12s\": %ld\n", stage->story->says, stage->vip, stage->forward, why,
		    word, got);
	stage->wrong++;
}

static void change(struct stage *stage, const char *which)
{
	bool has1 = strchr(which, '1') != NULL, has2 = strchr(which, '2') != NULL, none = *which == '-';
	bool is4 = wire_is4(stage->vip);
	char text[1000];
	size_t at = (size_t)snprintf(text, sizeof(text),
				     "services:\n  - vip: \"%s\"\n    port: 80\n    slots: 1009\n    forward: %s\n"
				     "    backends:\n",
				     stage->vip, stage->forward);

	for (int i = 1; i <= 2; i++)
		if (none || (i == 1 ? has1 : has2))
			at += (size_t)snprintf(text + at, sizeof(text) - at, "      - {address: \"%s%d\", weight: %d}\n",
					       is4 ? "10.3.0." : "fd00:3::", i, !none);
	lab_apply(stage->lab, text);
	lab_resolve_all(stage->lab);
}

static void way(struct stage *stage, int backend, bool is_found)
{
	char address[32];
	struct adjacency facts;

	snprintf(address, sizeof(address), "%s%d", wire_is4(stage->vip) ? "10.3.0." : "fd00:3::", backend);
	facts = lab_facts(stage->lab, address);
	lab_resolve(stage->lab, address, is_found ? &facts : NULL);
}

static void make_error(const struct stage *stage, uint16_t port, struct wire *out)
{
	bool is4 = wire_is4(stage->vip);
	struct wire_spec answer = {.from = stage->vip, .to = stage->client, .from_port = 80, .to_port = port};
	struct wire quoted;
	struct wire_spec error = {.from = is4 ? "192.168.1.254" : "2001:db8::fe", .to = stage->vip};

	wire_make(&quoted, &answer);
	error.protocol = is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	error.type = is4 ? 3 : 1;
	error.code = is4 ? 1 : 3;
	error.quote = quoted.byte + quoted.l3;
	error.payload = quoted.ip_bytes;
	wire_make(out, &error);
}

/* Send one packet of a flow, known by its port. Returns the backend that it reached, 0: none. */
static int packet(const struct stage *stage, char kind, uint16_t port)
{
	static const uint8_t flags[] = {['s'] = 0x02, ['a'] = 0x10, ['f'] = 0x11, ['r'] = 0x04};
	struct wire_spec spec = {.from = stage->client, .to = stage->vip, .from_port = port, .to_port = 80};
	const struct hp_adjacency *adjacency;
	struct lab_end end;
	struct wire in;

	if (kind == 'e') {
		make_error(stage, port, &in);
	} else {
		wire_make(&in, &spec);
		in.byte[in.l4 + 13] = flags[(unsigned char)kind];
	}
	lab_run(stage->lab, &in, &end);
	if (end.verdict != HP_FORWARDED && end.verdict != HP_ICMP_FORWARDED)
		return 0;
	for (struct fleet_backend *b = stage->lab->fleet->backends; b; b = b->hh.next) {
		adjacency = &stage->lab->plane.adjacencies[b->adjacency];
		if (b->adjacency && !memcmp(adjacency->l2, end.frame.byte, 6))
			return b->identity.address.byte[15];
	}
	return -1;
}

/* Let time pass for all that is remembered. */
static void age(struct stage *stage, uint64_t ns)
{
	struct director_bpf *live = stage->lab->plane.live;
	struct err e;

	for (int table = 0; table < DATAPLANE_TABLE_COUNT; table++) {
		int fd = bpf_map__fd(table == DATAPLANE_FLOWS ? live->maps.flows : live->maps.unproven);
		struct dataplane_walk walk = {0};
		int count;

		while ((count = dataplane_walk_flows(&stage->lab->plane, (enum dataplane_table)table, &walk, &e)) > 0)
			for (int i = 0; i < count; i++) {
				struct hp_remembered value = walk.rows[i].value;

				value.since_ns -= ns;
				value.seen_ns -= ns;
				assert_int_equal(bpf_map_update_elem(fd, &walk.rows[i].key, &value, BPF_EXIST), 0);
			}
		assert_int_equal(count, 0);
		dataplane_walk_end(&walk);
	}
}

static unsigned int remembered(const struct stage *stage, enum dataplane_table from)
{
	unsigned int sum = 0;
	struct err e;

	for (int table = from; table < DATAPLANE_TABLE_COUNT; table++) {
		struct dataplane_walk walk = {0};
		int count;

		while ((count = dataplane_walk_flows(&stage->lab->plane, (enum dataplane_table)table, &walk, &e)) > 0)
			sum += (unsigned int)count;
		dataplane_walk_end(&walk);
	}
	return sum;
}

static void count(struct stage *stage, const char *word, enum dataplane_table from)
{
	unsigned int got = remembered(stage, from);

	if (got != (unsigned int)atoi(word + 1))
		complain(stage, word, "so many are remembered", got);
}

static void hints(struct stage *stage, const char *word)
{
	unsigned int got = 0;

	for (uint32_t i = 0; i < HP_HINT_WORDS; i++)
		got += stage->lab->plane.hints[i] != 0;
	if (!got != (word[1] == '0'))
		complain(stage, word, "hints are", got);
}

static void state(struct stage *stage, const char *word)
{
	static const struct {
		char word;
		uint32_t flags;
	} states[] = {{'m', HP_MOTION_MOVING}, {'g', HP_MOTION_SETTLING}, {'.', 0}};
	uint32_t flags = stage->lab->fleet->services->motion.flags & HP_MOTION_ANY;

	for (size_t i = 0; i < 3; i++)
		if (states[i].word == *word && states[i].flags != flags)
			complain(stage, word, "the service's motion is", flags >> 30);
}

static void cut(struct stage *stage)
{
	struct ip backend = lab_ip(wire_is4(stage->vip) ? "10.3.0.1" : "fd00:3::1");
	struct err e;

	if (fleet_cut(stage->lab->fleet, stage->lab->config->services[0], &backend, &e))
		fail_msg("%s", e.text);
}

static void go(struct stage *stage, const char *word)
{
	int got = packet(stage, (char)(*word | 0x20), *word < 'a' ? 50001 : 40001);

	if (got != (word[1] == '-' ? 0 : word[1] - '0'))
		complain(stage, word, "it reached", got);
}

static void play(struct stage *stage, const char *word)
{
	if (!strncmp(word, "cut", 3))
		cut(stage);
	else if (*word == '=')
		change(stage, word + 1);
	else if (*word == 'x' || *word == 'y')
		way(stage, word[1] - '0', *word == 'y');
	else if (*word == 't' || *word == 'c' || *word == 'w')
		age(stage, (*word == 't' ? 2 : *word == 'c' ? 61 : 7300) * UINT64_C(1000000000));
	else if (*word == 'W')
		lab_end_windows(stage->lab);
	else if (*word == 'p')
		lab_sweep(stage->lab);
	else if (*word == '#' || *word == '!')
		count(stage, word, *word == '#' ? DATAPLANE_UNPROVEN : DATAPLANE_FLOWS);
	else if (*word == '?')
		hints(stage, word);
	else if (strchr("mg.", *word))
		state(stage, word);
	else
		go(stage, word);
}

static void tell(struct stage *stage)
{
	char words[200], *rest = words, *word;

	snprintf(words, sizeof(words), "%s", stage->story->words);
	stage->lab->keeps_moving = true;
	while ((word = strtok_r(rest, " ", &rest)))
		play(stage, word);
	stage->lab->keeps_moving = false;
	lab_apply(stage->lab, "services: []\n");
}

static int tell_all(void **state, const char *client, const char *vip, const char *forward)
{
	struct stage stage = {.lab = *state, .client = client, .vip = vip, .forward = forward};

	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		stage.story = &stories[i];
		tell(&stage);
	}
	return stage.wrong;
}

static void stories_of_ipv4(void **state)
{
	assert_int_equal(tell_all(state, CLIENT4, "10.2.0.1", "l2"), 0);
}

static void stories_of_ipv6(void **state)
{
	assert_int_equal(tell_all(state, CLIENT6, "fd00:2::1", "l2"), 0);
}

/* Open flows in a change, from one port on, and have each speak again two seconds later. Returns how many of those
 * packets did not reach backend 2. */
static unsigned int open_and_prove(struct stage *stage, uint16_t first, uint16_t flows)
{
	unsigned int astray = 0;

	for (uint16_t i = 0; i < flows; i++)
		packet(stage, 's', first + i);
	age(stage, UINT64_C(2000000000));
	for (uint16_t i = 0; i < flows; i++)
		astray += packet(stage, 'a', first + i) != 2;
	return astray;
}

/* LAB_FLOWS are what the table takes. */
static void full_table_keeps_services_moving(void **state)
{
	struct stage stage = {.lab = *state, .client = CLIENT4, .vip = "10.2.0.1", .forward = "l2"};
	struct dataplane *plane = &stage.lab->plane;
	uint64_t refused = dataplane_flow_events(plane, HP_FLOW_NOT_PROMOTED_EVENT);
	struct fleet_service *service;

	stage.lab->keeps_moving = true;
	change(&stage, "1");
	change(&stage, "2");
	service = stage.lab->fleet->services;
	for (uint16_t at = 0; at < LAB_FLOWS; at += LAB_FLOWS / 4)
		assert_int_equal(open_and_prove(&stage, 1000 + at, LAB_FLOWS / 4), 0);
	assert_int_equal(remembered(&stage, DATAPLANE_FLOWS), LAB_FLOWS);
	assert_int_equal(dataplane_flow_events(plane, HP_FLOW_NOT_PROMOTED_EVENT), refused);
	assert_int_equal(open_and_prove(&stage, 30000, 10), 0);
	assert_int_equal(dataplane_flow_events(plane, HP_FLOW_NOT_PROMOTED_EVENT), refused + 10);
	lab_end_windows(stage.lab);
	assert_true(service->motion.flags & HP_MOTION_MOVING);
	lab_sweep(stage.lab);
	lab_end_windows(stage.lab);
	assert_true(service->motion.flags & HP_MOTION_MOVING); /* by what the pass found */
	age(&stage, UINT64_C(7300000000000));
	lab_sweep(stage.lab);
	assert_int_equal(remembered(&stage, DATAPLANE_UNPROVEN), 0);
	lab_sweep(stage.lab);
	lab_end_windows(stage.lab);
	assert_true(service->motion.flags & HP_MOTION_SETTLING);
	stage.lab->keeps_moving = false;
	lab_apply(stage.lab, "services: []\n");
}

/* A backend is drained while another's way is not known yet, for which the next ring waits: a second of a service that is
 * still steady. The one that departs is in the ring all the time, and departs when that has gone. */
static void departures_outlast_a_ring_that_waits(void **state)
{
	static const char *const configs[] = {
		"services: [{vip: 10.2.0.1, port: 80, slots: 1009, backends: [10.3.0.1, 10.3.0.2]}]\n",
		"services: [{vip: 10.2.0.1, port: 80, slots: 1009, "
		"backends: [{address: 10.3.0.1, weight: 0}, 10.3.0.2, 10.3.0.3]}]\n",
	};
	struct lab *lab = *state;
	struct ip drained = lab_ip("10.3.0.1");

	for (int pass = 0; pass < 2; pass++) {
		bool is_over;
		struct err e;

		lab_apply(lab, configs[0]);
		lab_resolve_all(lab);
		lab->keeps_moving = true;
		lab_apply(lab, configs[1]);
		lab->fleet->pass.may_find |= pass; /* as another service's motion has it */
		lab_sweep(lab);
		assert_int_equal(fleet_tick(lab->fleet, &e), 0);
		assert_true(motion_is_steady(&lab->fleet->services->motion));
		lab_resolve_all(lab);
		assert_false(motion_is_steady(&lab->fleet->services->motion));
		fleet_flows_of(lab->fleet, lab->config->services[0], &drained, &is_over);
		assert_false(is_over);
		lab->keeps_moving = false;
		lab_apply(lab, "services: []\n");
	}
	assert_int_equal(lab->fleet->departing, 0);
}

/* Nor is it cut off before that: the ring that waits would make the one that names it `before`. */
static void cuts_wait_for_a_ring_that_waits(void **state)
{
	static const char *const configs[] = {
		"services: [{vip: 10.2.0.1, port: 80, slots: 1009, deadline: 0s, backends: [10.3.0.1, 10.3.0.2]}]\n",
		"services: [{vip: 10.2.0.1, port: 80, slots: 1009, deadline: 0s, backends: [10.3.0.2, 10.3.0.3]}]\n",
	};
	struct stage stage = {.lab = *state, .client = CLIENT4, .vip = "10.2.0.1", .forward = "l2"};
	struct ip gone = lab_ip("10.3.0.1");
	struct lab *lab = *state;
	uint16_t port = 2000;
	struct err e;

	lab_apply(lab, configs[0]);
	lab_resolve_all(lab);
	while (packet(&stage, 's', port) != 1)
		port++;
	lab->keeps_moving = true;
	lab_apply(lab, configs[1]);
	assert_int_equal(fleet_tick(lab->fleet, &e), 0);
	assert_int_equal(fleet_cut(lab->fleet, lab->config->services[0], &gone, &e), -EAGAIN);
	lab_resolve_all(lab);
	assert_int_equal(fleet_tick(lab->fleet, &e), 0);
	assert_in_range(packet(&stage, 'a', port), 2, 3);
	lab->keeps_moving = false;
	lab_apply(lab, "services: []\n");
}

/* Clients with flows find the VIP as long as one of the backends that depart can be reached, though none takes new ones. */
static void vip_stays_up_for_those_who_depart(void **state)
{
	struct stage stage = {.lab = *state, .client = CLIENT4, .vip = "10.2.0.1", .forward = "l2"};
	struct lab *lab = *state;
	struct err e;

	change(&stage, "12");
	lab->keeps_moving = true;
	assert_int_equal(lab->fleet->vips->written, HP_VIP_UP);
	change(&stage, "-");
	assert_int_equal(lab->fleet->vips->written, HP_VIP_UP);
	way(&stage, 1, false);
	assert_int_equal(fleet_tick(lab->fleet, &e), 0);
	assert_int_equal(lab->fleet->vips->written, HP_VIP_UP);
	way(&stage, 2, false);
	assert_int_equal(fleet_tick(lab->fleet, &e), 0);
	assert_int_equal(lab->fleet->vips->written, 0);
	way(&stage, 1, true);
	assert_int_equal(fleet_tick(lab->fleet, &e), 0);
	assert_int_equal(lab->fleet->vips->written, HP_VIP_UP);
	lab_end_windows(lab);
	lab_sweep(lab);
	assert_true(motion_is_steady(&lab->fleet->services->motion));
	assert_int_equal(lab->fleet->vips->written, 0);
	lab->keeps_moving = false;
	lab_apply(lab, "services: []\n");
}

/* A backend whose method has changed departs by the old one. When it is drained as well, both are meant. */
static void cuts_whoever_departs_with_the_address(void **state)
{
	static const char *const configs[] = {
		"services: [{vip: 10.2.0.1, port: 80, slots: 1009, forward: ipip, backends: [10.3.0.1, 10.3.0.2]}]\n",
		"services: [{vip: 10.2.0.1, port: 80, slots: 1009, forward: gue, backends: [10.3.0.1, 10.3.0.2]}]\n",
		("services: [{vip: 10.2.0.1, port: 80, slots: 1009, forward: gue, backends: [{address: 10.3.0.1, weight: 0}, "
		 "10.3.0.2]}]\n"),
	};
	struct lab *lab = *state;
	struct ip ip = lab_ip("10.3.0.1");
	unsigned int found = 0;
	bool is_over;
	struct err e;

	for (int i = 0; i < 3; i++) {
		lab_apply(lab, configs[i]);
		lab_resolve_all(lab);
		lab->keeps_moving = true;
	}
	for (struct fleet_departure *d = lab->fleet->services->departures; d; d = d->next)
		if (ip_equal(&d->backend->identity.address, &ip))
			d->flows = 5;
	assert_int_equal(fleet_flows_of(lab->fleet, lab->config->services[0], &ip, &is_over), 10);
	assert_int_equal(fleet_cut(lab->fleet, lab->config->services[0], &ip, &e), 0);
	for (struct fleet_departure *d = lab->fleet->services->departures; d; d = d->next)
		if (ip_equal(&d->backend->identity.address, &ip)) {
			assert_true(d->is_cut);
			found++;
		}
	assert_int_equal(found, 2);
	lab->keeps_moving = false;
	lab_apply(lab, "services: []\n");
}

/* Where a packet of UDP goes; 0: nowhere. */
static int datagram(struct lab *lab)
{
	struct wire_spec spec = {.from = CLIENT4, .to = "10.2.0.1", .from_port = 40001, .to_port = 53, .protocol = IPPROTO_UDP};
	struct lab_end end;
	struct wire in;

	wire_make(&in, &spec);
	lab_run(lab, &in, &end);
	return end.verdict == HP_FORWARDED ? end.frame.byte[5] : 0;
}

static void serve_udp(struct lab *lab, const char *backend, const char *affinity)
{
	char text[300];

	snprintf(text, sizeof(text), "services: [{vip: 10.2.0.1, port: 53, protocol: udp, slots: 1009, affinity: %s, backends: "
		 "[10.3.0.%s]}]\n", affinity, backend);
	lab_apply(lab, text);
	lab_resolve_all(lab);
}

/* Nor does what was remembered mislead a motion that begins before a sweep has come by. */
static void without_affinity_nothing_remembered_counts(void **state)
{
	struct lab *lab = *state;

	for (int has_other = 0; has_other < 2; has_other++) {
		serve_udp(lab, "1", "flow");
		lab->keeps_moving = true;
		serve_udp(lab, "2", "flow");
		assert_int_equal(datagram(lab), 1);
		serve_udp(lab, has_other ? "3" : "2", "none");
		assert_int_equal(datagram(lab), has_other ? 3 : 2); /* at once */
		serve_udp(lab, "4", "flow");
		assert_int_equal(datagram(lab), has_other ? 3 : 2); /* not 1, where it is still remembered to be */
		lab->keeps_moving = false;
		lab_apply(lab, "services: []\n");
	}
}

/* The same of a service that is taken out of the file and comes back. */
static void a_service_that_comes_back_remembers_nothing(void **state)
{
	struct lab *lab = *state;

	serve_udp(lab, "1", "flow");
	lab->keeps_moving = true;
	serve_udp(lab, "2", "flow");
	assert_int_equal(datagram(lab), 1);
	lab_apply(lab, "services: []\n");
	serve_udp(lab, "3", "flow");
	assert_int_equal(datagram(lab), 3);
	serve_udp(lab, "4", "flow");
	assert_int_equal(datagram(lab), 3);
	lab->keeps_moving = false;
	lab_apply(lab, "services: []\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stories_of_ipv4),
		cmocka_unit_test(stories_of_ipv6),
		cmocka_unit_test(full_table_keeps_services_moving),
		cmocka_unit_test(departures_outlast_a_ring_that_waits),
		cmocka_unit_test(cuts_wait_for_a_ring_that_waits),
		cmocka_unit_test(vip_stays_up_for_those_who_depart),
		cmocka_unit_test(cuts_whoever_departs_with_the_address),
		cmocka_unit_test(without_affinity_nothing_remembered_counts),
		cmocka_unit_test(a_service_that_comes_back_remembers_nothing),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}

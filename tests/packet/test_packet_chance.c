/* The second chance as the director sends it: which packets of a moving service name another backend in their GUE header,
 * whole frames compared with frames composed apart, and what of the header's length the path leaves out. */
#include "packet/lab.h"

struct pair {
	const char *says, *vip, *before, *now;
};

static const struct pair pairs[] = {
	{"IPv4 in IPv4", "10.2.0.4", "10.3.0.4", "10.3.0.14"},
	{"IPv6 in IPv4", "fd00:2::4", "10.3.0.5", "10.3.0.15"},
	{"IPv4 in IPv6", "10.2.0.5", "fd00:3::4", "fd00:3::14"},
	{"IPv6 in IPv6", "fd00:2::5", "fd00:3::5", "fd00:3::15"},
};

static const char *const depths[] = {"", "q", "aq"};

static uint16_t next_port = 61000; /* each packet is of a flow that nobody knows yet */

static int open_all(void **state)
{
	int failed = lab_open(state);

	if (!failed)
		lab_open_capture(*state, "chance");
	return failed;
}

static void serve(struct lab *lab, const struct pair *pair, const char *forward, const char *backend)
{
	char text[1000];

	snprintf(text, sizeof(text),
		 "services:\n"
		 "  - {vip: \"%s\", port: 80, slots: 1009, forward: %s, backends: [\"%s\"]}\n"
		 "  - {vip: \"%s\", port: 80, slots: 1009, protocol: udp, forward: %s, backends: [\"%s\"]}\n",
		 pair->vip, forward, backend, pair->vip, forward, backend);
	lab_apply(lab, text);
	lab_resolve_all(lab);
}

/* A service whose ring has just changed from one backend to the other. */
static void move(struct lab *lab, const struct pair *pair, const char *forward)
{
	lab->keeps_moving = false;
	lab_apply(lab, "services: []\n");
	lab->keeps_moving = true;
	serve(lab, pair, forward, pair->before);
	serve(lab, pair, forward, pair->now);
}

static struct wire_way way_to(const char *backend, uint8_t mac[static 6], const char *tags)
{
	struct wire_way way = {.mac_to = mac, .mac_from = wire_mac_director, .tags = tags, .is_gue = true,
			       .outer_from = wire_is4(backend) ? DIRECTOR4 : DIRECTOR6, .outer_to = backend};

	lab_mac(backend, mac);
	return way;
}

/* TCP flags, and the checksum mended (RFC 1624). */
static void set_flags(struct wire *frame, uint8_t flags)
{
	uint8_t *tcp = frame->byte + frame->l4;
	uint32_t sum = (uint16_t)~wire_get16(tcp + 16) + (uint16_t)~wire_get16(tcp + 12);

	tcp[13] = flags;
	wire_put16(tcp + 16, wire_checksum(sum + wire_get16(tcp + 12)));
}

/* A packet of the client's with these TCP flags, or UDP without any. */
static void make(struct wire *out, const struct pair *pair, uint8_t flags, struct wire_spec more)
{
	more.from = wire_is4(pair->vip) ? CLIENT4 : CLIENT6;
	more.to = pair->vip;
	more.from_port = next_port++;
	more.to_port = 80;
	more.protocol = flags ? IPPROTO_TCP : IPPROTO_UDP;
	wire_make(out, &more);
	if (flags)
		set_flags(out, flags);
}

static void keep(struct lab *lab, const struct lab_end *end, const struct pair *pair, const struct wire_way *way)
{
	bool inner4 = wire_is4(pair->vip), outer4 = wire_is4(way->outer_to);
	const char *client = inner4 ? CLIENT4 : CLIENT6;
	char wanted[520];

	if (inner4 == outer4)
		snprintf(wanted, sizeof(wanted), "%s%s,%s\t%s,%s%s", inner4 ? "" : "\t\t", way->outer_from, client, way->outer_to,
			 pair->vip, inner4 ? "\t\t" : "");
	else if (inner4)
		snprintf(wanted, sizeof(wanted), "%s\t%s\t%s\t%s", client, pair->vip, way->outer_from, way->outer_to);
	else
		snprintf(wanted, sizeof(wanted), "%s\t%s\t%s\t%s", way->outer_from, way->outer_to, client, pair->vip);
	lab_keep(lab, &end->frame, wanted);
}

/* Run a frame that must go to a backend, and name another or none. */
static int try_chance(struct lab *lab, const char *says, const struct pair *pair, const struct wire *in, struct wire_way way,
		      const char *alternate)
{
	struct lab_end end;
	struct wire out;
	char text[200];
	bool is_error = in->byte[in->l3 + (wire_is4(pair->vip) ? 9 : 6)] == (wire_is4(pair->vip) ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	way.alternate = alternate;
	lab_run(lab, in, &end);
	wire_expect(&out, in, &way, &end.frame);
	snprintf(text, sizeof(text), "%s, %s, tags \"%s\"", pair->says, says, way.tags ? way.tags : "");
	if (!is_error) /* whose quote has addresses, too */
		keep(lab, &end, pair, &way);
	return lab_judge(text, &end, &(struct lab_want){XDP_TX, is_error ? HP_ICMP_FORWARDED : HP_FORWARDED, &out});
}

static void what_may_be_another_backends_names_it(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (unsigned int n = 0; n < 4 * 3 * 3; n++) {
		const struct pair *pair = &pairs[n % 4];
		const char *in = depths[n / 4 % 3], *out = depths[n / 12];
		struct wire_spec spec = {.tags = in, .payload = 100};
		uint8_t mac[2][6];
		struct wire_way before = way_to(pair->before, mac[0], out), now = way_to(pair->now, mac[1], out);
		struct adjacency facts;
		struct wire frame;

		move(lab, pair, "gue");
		for (int i = 0; i < 2; i++) {
			facts = lab_facts(lab, i ? pair->now : pair->before);
			lab_tag(&facts, out);
			lab_resolve(lab, i ? pair->now : pair->before, &facts);
		}
		make(&frame, pair, 0x02, spec);
		wrong += try_chance(lab, "a SYN goes to the new one", pair, &frame, now, NULL);
		set_flags(&frame, 0x10);
		wrong += try_chance(lab, "its flow may still be the former one's", pair, &frame, now, pair->before);
		make(&frame, pair, 0x10, spec);
		wrong += try_chance(lab, "an ACK of an unknown flow", pair, &frame, before, pair->now);
		make(&frame, pair, 0x11, spec);
		wrong += try_chance(lab, "a FIN", pair, &frame, before, pair->now);
		make(&frame, pair, 0x04, spec);
		wrong += try_chance(lab, "an RST", pair, &frame, before, pair->now);
		lab_end_windows(lab);
		make(&frame, pair, 0x10, spec);
		wrong += try_chance(lab, "after the window the rings stay known", pair, &frame, now, pair->before);
	}
	assert_int_equal(wrong, 0);
}

/* An error about the answers of a flow, which knows its path's MTU no better than the flow does: quoted is the answer. */
static void make_error(struct wire *out, const struct pair *pair, uint8_t protocol)
{
	bool is4 = wire_is4(pair->vip);
	struct wire_spec answer = {.from = pair->vip, .to = is4 ? CLIENT4 : CLIENT6, .from_port = 80, .to_port = next_port++,
				   .protocol = protocol};
	struct wire_spec error = {.from = is4 ? CLIENT4 : CLIENT6, .to = pair->vip, .rest = 1300,
				  .protocol = is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, .type = is4 ? 3 : 2, .code = is4 ? 4 : 0};
	struct wire quoted;

	wire_make(&quoted, &answer);
	error.quote = quoted.byte + quoted.l3;
	error.payload = quoted.ip_bytes;
	wire_make(out, &error);
}

static void errors_name_it_too(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (unsigned int n = 0; n < 4; n++) {
		const struct pair *pair = &pairs[n];
		uint8_t mac[6];
		struct wire_way before = way_to(pair->before, mac, "");
		struct wire frame;

		move(lab, pair, "gue");
		make_error(&frame, pair, IPPROTO_TCP);
		wrong += try_chance(lab, "an error about an unknown flow", pair, &frame, before, pair->now);
		make_error(&frame, pair, IPPROTO_UDP);
		wrong += try_chance(lab, "one about UDP", pair, &frame, before, NULL);
	}
	assert_int_equal(wrong, 0);
}

/* The path's MTU, to the byte: a packet that just fits with the second chance, one that fits without, one too long. */
static void a_chance_makes_no_packet_too_long(void **state)
{
	static const uint16_t mtus[] = {1280, 1500};
	struct lab *lab = *state;
	int wrong = 0;

	for (unsigned int n = 0; n < 4 * 2; n++) {
		const struct pair *pair = &pairs[n % 4];
		uint32_t outer = wire_is4(pair->before) ? 32 : 52;
		uint32_t most = mtus[n / 4] - outer - (wire_is4(pair->vip) ? 40 : 60);
		struct adjacency facts;
		struct lab_end end;
		struct wire frame;
		uint8_t mac[6];
		struct wire_way before = way_to(pair->before, mac, "");

		move(lab, pair, "gue");
		facts = lab_facts(lab, pair->before);
		facts.mtu = mtus[n / 4];
		lab_resolve(lab, pair->before, &facts);
		make(&frame, pair, 0x10, (struct wire_spec){.payload = most - 20});
		wrong += try_chance(lab, "as long as it may be with a second chance", pair, &frame, before, pair->now);
		make(&frame, pair, 0x10, (struct wire_spec){.payload = most - 19});
		wrong += try_chance(lab, "a byte more goes without", pair, &frame, before, NULL);
		make(&frame, pair, 0x10, (struct wire_spec){.payload = most});
		wrong += try_chance(lab, "as long as it may be", pair, &frame, before, NULL);
		make(&frame, pair, 0x10, (struct wire_spec){.payload = most + 1});
		lab_run(lab, &frame, &end);
		if (end.verdict != HP_TOO_BIG_TOLD)
			wrong += lab_judge("a byte too long", &end, &(struct lab_want){XDP_DROP, HP_TOO_BIG, NULL});
	}
	assert_int_equal(wrong, 0);
}

/* The backend that passes a packet on has no source of the other family, so no such alternate is named. */
static void an_alternate_is_of_the_outer_family(void **state)
{
	static const struct pair across[] = {
		{"from IPv4 to IPv6", "10.2.0.6", "10.3.0.6", "fd00:3::6"},
		{"from IPv6 to IPv4", "fd00:2::6", "fd00:3::7", "10.3.0.7"},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (int i = 0; i < 2; i++) {
		uint8_t mac[6];
		struct wire_way before = way_to(across[i].before, mac, "");
		struct wire frame;

		move(lab, &across[i], "gue");
		make(&frame, &across[i], 0x10, (struct wire_spec){.payload = 9});
		wrong += try_chance(lab, "an unknown flow", &across[i], &frame, before, NULL);
	}
	assert_int_equal(wrong, 0);
}

static void others_have_no_second_chance(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (unsigned int n = 0; n < 4; n++) {
		const struct pair *pair = &pairs[n];
		struct wire frame;
		uint8_t mac[2][6];
		struct wire_way before = way_to(pair->before, mac[0], ""), now = way_to(pair->now, mac[1], "");

		move(lab, pair, "gue");
		make(&frame, pair, 0, (struct wire_spec){.payload = 9});
		wrong += try_chance(lab, "UDP", pair, &frame, before, NULL);
		move(lab, pair, "ipip");
		make(&frame, pair, 0x10, (struct wire_spec){.payload = 9});
		before.is_gue = false;
		wrong += try_chance(lab, "ipip", pair, &frame, before, NULL);
		lab->keeps_moving = false;
		serve(lab, pair, "gue", pair->now);
		lab_apply(lab, "services: []\n");
		serve(lab, pair, "gue", pair->now);
		make(&frame, pair, 0x10, (struct wire_spec){.payload = 9});
		wrong += try_chance(lab, "a service that never changed", pair, &frame, now, NULL);
	}
	assert_int_equal(wrong, 0);
}

static bool is_known(const struct lab *lab, const char *address)
{
	struct ip ip = lab_ip(address);

	for (const struct fleet_backend *b = lab->fleet->backends; b; b = b->hh.next)
		if (ip_equal(&b->identity.address, &ip))
			return true;
	return false;
}

/* A backend that was taken out may still have flows that were silent for longer than the window: they have their second
 * chance until the deadline, and then nothing of it is left. */
static void who_was_taken_out_has_one_until_the_deadline(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;
	struct err e;

	for (unsigned int n = 0; n < 4; n++) {
		const struct pair *pair = &pairs[n];
		uint8_t mac[6];
		struct wire_way now = way_to(pair->now, mac, "");
		struct wire frame;

		move(lab, pair, "gue");
		lab_end_windows(lab);
		lab_sweep(lab);
		lab_sweep(lab);
		assert_int_equal(fleet_tick(lab->fleet, &e), 0);
		assert_int_equal(lab->fleet->unsteady, 0);
		make(&frame, pair, 0x10, (struct wire_spec){.payload = 100});
		wrong += try_chance(lab, "the one that was taken out is named", pair, &frame, now, pair->before);
		assert_true(is_known(lab, pair->before));
		for (struct fleet_service *s = lab->fleet->services; s; s = s->hh.next)
			for (struct fleet_departure *d = s->departures; d; d = d->next)
				d->deadline_s = 1;
		for (int i = 0; i < 3; i++) {
			assert_int_equal(fleet_tick(lab->fleet, &e), 0);
			lab_sweep(lab);
		}
		wrong += try_chance(lab, "and is not any more", pair, &frame, now, NULL);
		assert_false(is_known(lab, pair->before));
		assert_int_equal(lab->fleet->departing, 0);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_may_be_another_backends_names_it),
		cmocka_unit_test(errors_name_it_too),
		cmocka_unit_test(a_chance_makes_no_packet_too_long),
		cmocka_unit_test(an_alternate_is_of_the_outer_family),
		cmocka_unit_test(others_have_no_second_chance),
		cmocka_unit_test(who_was_taken_out_has_one_until_the_deadline),
	};

	return cmocka_run_group_tests(tests, open_all, lab_close);
}

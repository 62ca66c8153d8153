/* Fragments: later ones go where their first one went, or by their source, or nowhere; whole frames compared. */
#include "packet/lab.h"

#include <bpf/bpf.h>

#include "director.skel.h"

#define ID 0x4711
#define MORE WIRE_IP4_MORE
#define SECOND_NS UINT64_C(1000000000)

struct kind {
	const char *says, *forward, *vip, *backends[2];
};

/* Each VIP has UDP port 80 and TCP port 80, by flow. */
static const struct kind kinds[] = {
	{"l2, IPv4", "l2", "10.2.0.1", {"10.3.0.1", "10.3.0.2"}},
	{"l2, IPv6", "l2", "fd00:2::1", {"fd00:3::1", "fd00:3::2"}},
	{"IPv4 in IPv4", "ipip", "10.2.0.2", {"10.3.0.3", "10.3.0.4"}},
	{"IPv6 in IPv4", "ipip", "fd00:2::2", {"10.3.0.3", "10.3.0.4"}},
	{"IPv4 in IPv6", "ipip", "10.2.0.3", {"fd00:3::3", "fd00:3::4"}},
	{"IPv6 in IPv6", "ipip", "fd00:2::3", {"fd00:3::3", "fd00:3::4"}},
	{"GUE, IPv4 in IPv4", "gue", "10.2.0.4", {"10.3.0.5", "10.3.0.6"}},
	{"GUE, IPv6 in IPv6", "gue", "fd00:2::4", {"fd00:3::5", "fd00:3::6"}},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const char *client_of(const struct kind *kind)
{
	return wire_is4(kind->vip) ? CLIENT4 : CLIENT6;
}

/* Have the services' rings hold the backends of these weights. */
static void apply(struct lab *lab, unsigned int first, unsigned int second, const char *hash)
{
	char text[8192] = "services:\n";
	size_t at = strlen(text);

	for (size_t i = 0; i < KINDS; i++)
		for (int p = 0; p < 2; p++)
			at += (size_t)snprintf(text + at, sizeof(text) - at,
					       "- {vip: \"%s\", port: %s, protocol: %s, forward: %s, hash: %s, slots: 1009, "
					       "backends: [{address: \"%s\", weight: %u}, {address: \"%s\", weight: %u}]}\n",
					       kinds[i].vip, !strcmp(hash, "source") ? "any" : "80", p ? "tcp" : "udp",
					       kinds[i].forward, hash, kinds[i].backends[0], first, kinds[i].backends[1], second);
	lab_apply(lab, text);
	lab_resolve_all(lab);
}

static struct wire_spec spec_of(const struct kind *kind, uint16_t port, uint16_t fragment)
{
	bool is4 = wire_is4(kind->vip);

	return (struct wire_spec){.from = client_of(kind), .to = kind->vip, .protocol = IPPROTO_UDP, .from_port = port,
				  .to_port = 80, .payload = 64, .id = ID, .fragment = fragment, .chain = is4 ? NULL : "f"};
}

/* Which of its two backends a forwarded frame goes to, with all that the way there puts in front; 0: neither. */
static int reached(const struct kind *kind, const struct wire *in, const struct lab_end *end)
{
	for (int b = 0; b < 2; b++) {
		struct wire_way way = {.mac_from = wire_mac_director, .tags = "", .is_gue = !strcmp(kind->forward, "gue")};
		struct wire out;
		uint8_t mac[6];

		lab_mac(kind->backends[b], mac);
		way.mac_to = mac;
		if (strcmp(kind->forward, "l2") != 0) {
			way.outer_from = wire_is4(kind->backends[b]) ? DIRECTOR4 : DIRECTOR6;
			way.outer_to = kind->backends[b];
		}
		wire_expect(&out, in, &way, &end->frame);
		if (end->verdict == HP_FORWARDED && lab_same(&out, &end->frame))
			return b + 1;
	}
	return 0;
}

static int try(struct lab *lab, const struct kind *kind, const struct wire_spec *spec, struct lab_end *end)
{
	struct wire in;

	wire_make(&in, spec);
	lab_run(lab, &in, end);
	return reached(kind, &in, end);
}

/* A port of the client whose flow the steady ring gives to a backend, 1 or 2; from one on. */
static uint16_t port_to(struct lab *lab, const struct kind *kind, int backend, uint16_t from)
{
	for (uint16_t port = from;; port++) {
		struct wire_spec spec = spec_of(kind, port, 0);
		struct lab_end end;

		if (try(lab, kind, &spec, &end) == backend)
			return port;
		assert_true(port < from + 100);
	}
}

static int fragments_map(const struct lab *lab)
{
	return bpf_map__fd(lab->plane.live->maps.fragments);
}

/* Time passes for what is known of datagrams. Returns how many there are. */
static unsigned int age(struct lab *lab, uint64_t ns)
{
	static struct hp_fragment_key keys[2 * LAB_FRAGMENTS];
	unsigned int count = 0;
	int fd = fragments_map(lab);

	while (count < 2 * LAB_FRAGMENTS && !bpf_map_get_next_key(fd, count ? &keys[count - 1] : NULL, &keys[count]))
		count++;
	for (unsigned int i = 0; ns && i < count; i++) {
		struct hp_fragment value;

		assert_int_equal(bpf_map_lookup_elem(fd, &keys[i], &value), 0);
		value.first_ns -= ns;
		assert_int_equal(bpf_map_update_elem(fd, &keys[i], &value, BPF_EXIST), 0);
	}
	return count;
}

static void forget(struct lab *lab)
{
	struct hp_fragment_key key;

	while (!bpf_map_get_next_key(fragments_map(lab), NULL, &key))
		bpf_map_delete_elem(fragments_map(lab), &key);
}

/* ---- the flow's backend ------------------------------------------------------------------------------------------------ */

static void later_ones_follow_their_first(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	apply(lab, 1, 1, "flow");
	for (size_t k = 0; k < KINDS; k++)
		for (uint16_t n = 0; n < 40; n++) {
			struct wire_spec first = spec_of(&kinds[k], (uint16_t)(1000 + n), MORE), whole = first;
			uint16_t port = 0;

			first.id = ID + n;
			whole.fragment = 0;
			for (uint16_t offset = 0; offset < 60; offset += 9) {
				struct wire_spec spec = first;
				struct lab_end end, alone;
				int at;

				spec.fragment = offset | (offset < 54 ? MORE : 0);
				spec.from_port = offset ? 80 : first.from_port; /* which are no ports then */
				at = try(lab, &kinds[k], &spec, &end);
				if (!at || at != try(lab, &kinds[k], &whole, &alone)) {
					print_error("    WRONG: %s: offset %u: %s, backend %d\n", kinds[k].says, offset * 8,
						    lab_verdict_name(end.verdict), at);
					wrong++;
				}
				if (!strcmp(kinds[k].forward, "gue")) { /* all by one path */
					uint16_t is = wire_get16(end.frame.byte + (wire_is4(kinds[k].vip) ? 34 : 54));

					assert_true(!port || is == port);
					port = is;
				}
			}
		}
	assert_int_equal(wrong, 0);
}

/* What must be like the first fragment's, and what need not. */
static void only_their_own_follow(void **state)
{
	static const struct {
		const char *says;
		int kind;
		struct wire_spec change;
		bool follows;
	} rows[] = {
		{"the same", 0, {.id = ID}, true},
		{"another ID", 0, {.id = ID + 1}, false},
		{"another source", 0, {.from = "192.168.1.2"}, false},
		{"another VIP", 0, {.to = "10.2.0.2"}, false},
		{"another protocol", 0, {.protocol = IPPROTO_TCP}, false},
		{"options, which need not be copied", 0, {.options = 8}, true},
		{"another TTL, another way", 0, {.ttl = 7}, true},
		{"tagged", 0, {.tags = "q"}, true},
		{"the same", 1, {.id = ID}, true},
		{"an ID that differs in the high half", 1, {.id = ID + 0x10000}, false},
		{"another source", 1, {.from = "fd00:1::2"}, false},
		{"another source, in the first half", 1, {.from = "fd00:0:1::1"}, false},
		{"another VIP", 1, {.to = "fd00:2::2"}, false},
		{"another next header, which is the first one's to say (RFC 8200, 4.5)", 1, {.protocol = IPPROTO_TCP}, true},
		{"behind another header", 1, {.chain = "hf"}, true},
		{"behind options of its own", 1, {.chain = "fd"}, true},
	};
	struct lab *lab = *state;
	int wrong = 0;

	apply(lab, 1, 1, "flow");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct kind *kind = &kinds[rows[i].kind];
		struct wire_spec first = spec_of(kind, 1000, MORE), later = spec_of(kind, 0, 9);
		const struct wire_spec *change = &rows[i].change;
		struct lab_end end;
		int to, at;

		forget(lab);
		to = try(lab, kind, &first, &end);
		later.id = change->id ? change->id : later.id;
		later.from = change->from ? change->from : later.from;
		later.to = change->to ? change->to : later.to;
		later.protocol = change->protocol ? change->protocol : later.protocol;
		later.chain = change->chain ? change->chain : later.chain;
		later.options = change->options;
		later.ttl = change->ttl;
		later.tags = change->tags;
		at = try(lab, kind, &later, &end);
		if (to && at == (rows[i].follows ? to : 0) && (rows[i].follows || end.verdict == HP_FRAGMENT))
			continue;
		print_error("    WRONG: %s: %s: %s, backend %d, the first went to %d\n", kind->says, rows[i].says,
			    lab_verdict_name(end.verdict), at, to);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* ---- stories -------------------------------------------------------------------------------------------------------------- */

/* Words: fN a first fragment of a flow that the ring of both gives to backend N, which gets it; cN one, which clashes. lN a
 * later fragment, which backend N gets; l- one which is dropped. i: from now on the next ID, o: the former one. s, t: two, 31
 * seconds pass. =12, =1, =2: the ring is changed. */
static const struct {
	const char *says, *hash, *words;
} stories[] = {
	{"a later one comes first", "flow", "l- f1 l1 l1"},
	{"the ID is another datagram's", "flow", "f1 i l- f2 l2 o l1 i l2"},
	{"30 seconds later the rest is lost anyway", "flow", "f1 l1 t l-"},
	{"the first one comes twice", "flow", "f1 l1 f1 l1"},
	{"two beginnings of one datagram: the first has it", "flow", "f1 l1 c2 l1 c2 f1 l1"},
	{"an ID that is used again is the new datagram's", "flow", "f1 l1 s f2 l2 c1 l2"},
	{"a datagram stays together while the ring changes", "flow", "f1 =2 l1 l1 i f1 l1 o l1"},
	{"and when it changes back", "flow", "=2 f2 =1 l2 l2 i l-"},
	{"by source, who comes first goes there too", "source", "l1 f1 l1 i l1"},
	{"by source, while the ring changes, with the first one", "source", "f1 =2 l1 i l1 f1 l1"},
};

struct stage {
	struct lab *lab;
	const struct kind *kind;
	const char *says, *hash;
	uint16_t ports[3]; /* of flows of backend 1 and 2 */
	uint32_t id;
	int wrong;
};

static void tell(struct stage *stage, const char *word)
{
	bool is_later = *word == 'l';
	int own = word[1] == '-' ? 0 : word[1] - '0', want = *word == 'c' ? 0 : own, got;
	struct wire_spec spec = spec_of(stage->kind, stage->ports[is_later ? 0 : own], is_later ? 9 : MORE);
	enum hp_verdict verdict = want ? HP_FORWARDED : is_later ? HP_FRAGMENT : HP_FRAGMENT_CLASH;
	struct lab_end end;

	spec.id = stage->id;
	got = try(stage->lab, stage->kind, &spec, &end);
	if (got == want && end.verdict == verdict)
		return;
	print_error("    WRONG: %s (%s): at \"%s\": %s, backend %d\n", stage->says, stage->kind->says, word,
		    lab_verdict_name(end.verdict), got);
	stage->wrong++;
}

static void play(struct stage *stage, const char *word)
{
	switch (*word) {
	case 'i':
		stage->id++;
		break;
	case 'o':
		stage->id--;
		break;
	case 's':
		age(stage->lab, 2 * SECOND_NS);
		break;
	case 't':
		age(stage->lab, 31 * SECOND_NS);
		break;
	case '=':
		apply(stage->lab, strchr(word, '1') != NULL, strchr(word, '2') != NULL, stage->hash);
		break;
	default:
		tell(stage, word);
	}
}

static void stories_come_true(void **state)
{
	struct stage stage = {.lab = *state};

	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]) * KINDS; i++) {
		char words[200], *rest = words, *word;

		stage.says = stories[i / KINDS].says;
		stage.hash = stories[i / KINDS].hash;
		stage.kind = &kinds[i % KINDS];
		stage.id = ID;
		forget(stage.lab);
		stage.lab->keeps_moving = false;
		apply(stage.lab, 1, !strcmp(stage.hash, "flow"), stage.hash);
		if (!strcmp(stage.hash, "flow"))
			for (int b = 1; b < 3; b++)
				stage.ports[b] = port_to(stage.lab, stage.kind, b, 3000);
		stage.lab->keeps_moving = true;
		snprintf(words, sizeof(words), "%s", stories[i / KINDS].words);
		while ((word = strtok_r(rest, " ", &rest)))
			play(&stage, word);
	}
	stage.lab->keeps_moving = false;
	assert_int_equal(stage.wrong, 0);
}

/* ---- what is no part of a datagram of ours -------------------------------------------------------------------------------- */

static void set_length(struct wire *frame, uint32_t ip_bytes, bool is4)
{
	frame->bytes = frame->l3 + ip_bytes;
	frame->ip_bytes = ip_bytes;
	if (!is4) {
		wire_put16(frame->byte + frame->l3 + 4, ip_bytes - 40);
		return;
	}
	wire_put16(frame->byte + frame->l3 + 2, ip_bytes);
	wire_put16(frame->byte + frame->l3 + 10, 0);
	wire_put16(frame->byte + frame->l3 + 10, wire_checksum(wire_sum(0, frame->byte + frame->l3, frame->l4 - frame->l3)));
}

/* Pieces so small that a header of layer 4 could be put together otherwise than it was read (RFC 1858, 3128, 7112). */
static void tiny_fragments_are_dropped(void **state)
{
	static const struct {
		const char *says;
		int kind;
		uint8_t protocol;
		const char *chain;
		uint16_t fragment;
		uint32_t bytes; /* behind the first header of layer 3 */
		uint32_t padding;
		enum hp_verdict verdict;
	} rows[] = {
		{"half of a TCP header", 0, IPPROTO_TCP, NULL, MORE, 8, 10, HP_FRAGMENT_TINY},
		{"all but its last 4 bytes", 0, IPPROTO_TCP, NULL, MORE, 16, 0, HP_FRAGMENT_TINY},
		{"all of it", 0, IPPROTO_TCP, NULL, MORE, 24, 0, HP_FORWARDED},
		{"nothing of it", 0, IPPROTO_TCP, NULL, MORE, 0, 40, HP_FRAGMENT_TINY},
		{"a UDP header", 0, IPPROTO_UDP, NULL, MORE, 8, 0, HP_FORWARDED},
		{"half of it", 0, IPPROTO_UDP, NULL, MORE, 4, 20, HP_FRAGMENT_TINY},
		{"the second 8 bytes of TCP, with other flags", 0, IPPROTO_TCP, NULL, 1 | MORE, 24, 0, HP_FRAGMENT_TINY},
		{"the third", 0, IPPROTO_TCP, NULL, 2, 24, 0, HP_FRAGMENT_TINY},
		{"what follows the header", 0, IPPROTO_TCP, NULL, 3, 24, 0, HP_FRAGMENT},
		{"what follows that of UDP", 0, IPPROTO_UDP, NULL, 1, 24, 0, HP_FRAGMENT},
		{"half of a TCP header", 1, IPPROTO_TCP, "f", MORE, 8 + 8, 10, HP_FRAGMENT_TINY},
		{"all of it", 1, IPPROTO_TCP, "f", MORE, 8 + 24, 0, HP_FORWARDED},
		{"the second 8 bytes of TCP", 1, IPPROTO_TCP, "f", 1, 8 + 24, 0, HP_FRAGMENT_TINY},
		{"options, and no more", 1, IPPROTO_UDP, "fd", MORE, 8 + 8, 0, HP_FRAGMENT_TINY},
		{"half of the options", 1, IPPROTO_UDP, "fD", MORE, 8 + 16, 0, HP_FRAGMENT_TINY},
		{"the fragment header, and no more", 1, IPPROTO_UDP, "fd", MORE, 8, 0, HP_FRAGMENT_TINY},
		{"a fragment header within another", 1, IPPROTO_UDP, "ff", MORE, 8 + 8 + 16, 0, HP_FORWARDED},
		{"later ones that hide their protocol", 1, IPPROTO_UDP, "fd", 9, 8 + 24, 0, HP_FRAGMENT},
		{"later ones of a protocol that we do not serve", 1, IPPROTO_GRE, "f", 9, 8 + 24, 0, HP_VIP_OTHER},
		{"the first of a ping", 0, IPPROTO_ICMP, NULL, MORE, 24, 0, HP_VIP_SILENT},
	};
	struct lab *lab = *state;
	int wrong = 0;

	apply(lab, 1, 1, "flow");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct kind *kind = &kinds[rows[i].kind];
		struct wire_spec spec = spec_of(kind, 1000, rows[i].fragment);
		bool is4 = wire_is4(kind->vip);
		struct lab_end end;
		struct wire in;

		forget(lab);
		spec.protocol = rows[i].protocol;
		spec.chain = rows[i].chain;
		wire_make(&in, &spec);
		set_length(&in, (is4 ? 20 : 40) + rows[i].bytes, is4);
		in.bytes += rows[i].padding;
		lab_run(lab, &in, &end);
		wrong += lab_judge(rows[i].says, &end, &(struct lab_want){
			rows[i].verdict == HP_FORWARDED ? XDP_TX : lab_verdict_action(rows[i].verdict), rows[i].verdict, NULL});
		spec.to = is4 ? "10.2.0.99" : "fd00:2::99";
		spec.from = client_of(kind);
		wire_make(&in, &spec);
		set_length(&in, (is4 ? 20 : 40) + rows[i].bytes, is4);
		wrong += lab_try_pass(lab, rows[i].says, &in, HP_NOT_VIP);
	}
	assert_int_equal(wrong, 0);
}

static void not_ours_pass(void **state)
{
	static const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 1};
	struct lab *lab = *state;
	int wrong = 0;

	apply(lab, 1, 1, "flow");
	for (int k = 0; k < 2; k++)
		for (uint16_t fragment = 0; fragment < 2; fragment++) {
			struct wire_spec spec = spec_of(&kinds[k], 1000, fragment ? 9 : MORE);
			struct lab_end end;
			struct wire in;

			try(lab, &kinds[k], &spec, &end);
			spec.mac_to = group;
			wire_make(&in, &spec);
			wrong += lab_try_pass(lab, "to a group of hosts", &in, HP_NOT_IP);
		}
	lab_apply(lab, "services: []\n");
	for (int k = 0; k < 2; k++) {
		struct wire_spec spec = spec_of(&kinds[k], 1000, 9);
		struct wire in;

		wire_make(&in, &spec);
		wrong += lab_try_pass(lab, "of a VIP that is gone, whose first one went to a backend", &in, HP_NOT_VIP);
	}
	assert_int_equal(wrong, 0);
}

/* ---- the table ---------------------------------------------------------------------------------------------------------- */

/* A number that has become another backend's leads nobody there. */
static void backend_that_is_gone_gets_nothing(void **state)
{
	struct lab *lab = *state;
	struct wire_spec first, later;
	struct lab_end end;

	for (int k = 0; k < 2; k++) {
		struct hp_identity *identity, was;

		apply(lab, 1, 0, "flow");
		first = spec_of(&kinds[k], 1000, MORE);
		later = spec_of(&kinds[k], 1000, 9);
		assert_int_equal(try(lab, &kinds[k], &first, &end), 1);
		for (uint32_t number = 1;; number++) {
			struct ip ip = lab_ip(kinds[k].backends[0]);

			identity = &lab->plane.identities[number];
			if (!memcmp(identity->address, ip.byte, sizeof(ip.byte)))
				break;
		}
		was = *identity;
		identity->address[3] ^= 0x100;
		try(lab, &kinds[k], &later, &end);
		*identity = was;
		assert_int_equal(end.verdict, HP_FRAGMENT);
		assert_int_equal(try(lab, &kinds[k], &later, &end), 1);
		lab_resolve(lab, kinds[k].backends[0], NULL);
		try(lab, &kinds[k], &later, &end);
		assert_int_equal(end.verdict, HP_UNRESOLVED);
	}
}

/* A flood takes the place of other datagrams, and nothing else: flows that a change put at risk stay remembered. */
static void flood_touches_no_flow(void **state)
{
	struct lab *lab = *state;
	const struct kind *kind = &kinds[0];
	uint64_t followed = dataplane_flow_events(&lab->plane, HP_FLOW_FOLLOWED_EVENT);
	unsigned int flows = 0;
	struct lab_end end;

	apply(lab, 1, 0, "flow");
	lab->keeps_moving = true;
	apply(lab, 0, 1, "flow");
	for (uint16_t port = 1000; port < 1100; port++) {
		struct wire_spec spec = spec_of(kind, port, 0);

		assert_int_equal(try(lab, kind, &spec, &end), 1); /* of before */
	}
	for (uint32_t n = 0; n < 20 * LAB_FRAGMENTS; n++) {
		struct wire_spec spec = spec_of(kind, (uint16_t)(2000 + n), n % 2 ? 9 : MORE);
		char from[INET_ADDRSTRLEN];

		snprintf(from, sizeof(from), "192.168.2.%u", n / 2 % 250);
		spec.from = from;
		spec.to_port = 80;
		spec.id = 1 + n / 2;
		spec.protocol = IPPROTO_TCP;
		try(lab, kind, &spec, &end);
		assert_int_equal(end.verdict, HP_FORWARDED);
	}
	assert_in_range(age(lab, 0), 1, LAB_FRAGMENTS);
	assert_int_equal(dataplane_flow_events(&lab->plane, HP_FLOW_FOLLOWED_EVENT) - followed, 10 * LAB_FRAGMENTS);
	for (uint16_t port = 1000; port < 1100; port++) {
		struct wire_spec spec = spec_of(kind, port, 0);

		flows += try(lab, kind, &spec, &end) == 1;
	}
	assert_int_equal(flows, 100);
	lab->keeps_moving = false;
}

/* The twin follows as well, says since when, and writes nothing. */
static int trace(struct lab *lab, const struct wire_spec *spec, struct hp_trace *record)
{
	struct wire frame;
	struct err e;

	wire_make(&frame, spec);
	return dataplane_run(&lab->plane, frame.byte, &frame.bytes, WIRE_ROOM_BYTES, lab->in, record, &e);
}

static void trace_says_whom_it_follows(void **state)
{
	struct lab *lab = *state;

	apply(lab, 1, 1, "flow");
	for (int k = 0; k < 2; k++) {
		struct wire_spec first = spec_of(&kinds[k], 1000, MORE), later = spec_of(&kinds[k], 1000, 9);
		struct hp_trace record;
		struct lab_end end;

		forget(lab);
		assert_int_equal(trace(lab, &first, &record), XDP_TX);
		assert_int_equal(trace(lab, &later, &record), XDP_DROP);
		assert_int_equal(record.verdict, HP_FRAGMENT);
		assert_int_equal(record.first_ns, 0);
		try(lab, &kinds[k], &first, &end);
		age(lab, 5 * SECOND_NS);
		assert_int_equal(trace(lab, &later, &record), XDP_TX);
		assert_int_equal(record.verdict, HP_FORWARDED);
		assert_true(record.backend && record.service == end.service);
		assert_in_range((dataplane_boot_ns() - record.first_ns) / SECOND_NS, 5, 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(later_ones_follow_their_first),
		cmocka_unit_test(only_their_own_follow),
		cmocka_unit_test(stories_come_true),
		cmocka_unit_test(tiny_fragments_are_dropped),
		cmocka_unit_test(not_ours_pass),
		cmocka_unit_test(backend_that_is_gone_gets_nothing),
		cmocka_unit_test(flood_touches_no_flow),
		cmocka_unit_test(trace_says_whom_it_follows),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}

/* Oversize: what is longer than the path to its backend takes. Who is told of it by ICMP, in which words, and how often. */
#include "packet/lab.h"

#include <time.h>

static const struct method_row {
	const char *says, *forward, *vip, *backend;
	uint32_t overhead;
} methods[] = {
	{"l2 with IPv4", "l2", "10.2.0.1", "10.3.0.1", 0},
	{"l2 with IPv6", "l2", "fd00:2::1", "fd00:3::1", 0},
	{"IPv4 in IPv4", "ipip", "10.2.0.2", "10.3.0.2", 20},
	{"IPv6 in IPv4", "ipip", "fd00:2::2", "10.3.0.3", 20},
	{"IPv4 in IPv6", "ipip", "10.2.0.3", "fd00:3::2", 40},
	{"IPv6 in IPv6", "ipip", "fd00:2::3", "fd00:3::3", 40},
	{"GUE, IPv4 in IPv4", "gue", "10.2.0.4", "10.3.0.4", 32},
	{"GUE, IPv6 in IPv4", "gue", "fd00:2::4", "10.3.0.5", 32},
	{"GUE, IPv4 in IPv6", "gue", "10.2.0.5", "fd00:3::4", 52},
	{"GUE, IPv6 in IPv6", "gue", "fd00:2::5", "fd00:3::5", 52},
};

#define METHODS (sizeof(methods) / sizeof(methods[0]))
#define QUOTE4 544
#define QUOTE6 1232

static int open_all(void **state)
{
	char text[8192] = "services:\n";
	size_t at = strlen(text);
	int failed = lab_open(state);

	if (failed)
		return failed;
	lab_open_capture(*state, "oversize");
	for (size_t i = 0; i < METHODS; i++) {
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "  - {vip: \"%s\", port: 80, forward: %s, hash: %s, slots: 1009, "
				       "backends: [{address: \"%s\"}]%s}\n"
				       "  - {vip: \"%s\", port: any, protocol: udp, forward: %s, hash: source, slots: 1009, "
				       "backends: [{address: \"%s\"}]}\n",
				       methods[i].vip, methods[i].forward, i % 2 ? "flow" : "source", methods[i].backend,
				       i == 6 ? ", oversize: drop" : "", methods[i].vip, methods[i].forward, methods[i].backend);
	}
	lab_apply(*state, text);
	lab_resolve_all(*state);
	return 0;
}

static void set_mtu(struct lab *lab, const struct method_row *row, uint16_t mtu)
{
	struct adjacency facts = lab_facts(lab, row->backend);

	facts.mtu = mtu;
	lab_resolve(lab, row->backend, &facts);
}

/* A client that has not been told of anything yet. */
static const char *new_client(bool is4, char text[static 64])
{
	static unsigned int number;

	number++;
	if (is4)
		snprintf(text, 64, "172.16.%u.%u", number >> 8, number & 255);
	else
		snprintf(text, 64, "fd00:1:%x::1", number);
	return text;
}

/* The packet that a row's VIP gets: it fills the IP packet to `bytes`. */
static void make(struct wire *out, const struct method_row *row, uint32_t bytes, struct wire_spec *spec)
{
	spec->to = row->vip;
	spec->from_port = 40000;
	spec->to_port = spec->to_port ? spec->to_port : 80;
	spec->payload = bytes - (wire_is4(row->vip) ? 20 : 40) - wire_upper_bytes(spec->protocol ? spec->protocol : IPPROTO_TCP) -
			spec->options - wire_chain_bytes(spec->chain);
	wire_make(out, spec);
	assert_int_equal(out->ip_bytes, bytes);
}

/* The error that must come back. */
static void expect_error(struct wire *out, const struct wire *in, const struct wire_spec *of, uint32_t mtu)
{
	bool is4 = wire_is4(of->to);
	struct wire_spec spec = {.from = of->to, .to = of->from, .tags = of->tags, .ttl = 64, .fragment = WIRE_IP4_KEEP,
				 .protocol = is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, .type = is4 ? 3 : 2, .code = is4 ? 4 : 0,
				 .rest = mtu, .quote = in->byte + in->l3, .payload = is4 ? QUOTE4 : QUOTE6,
				 .mac_to = wire_mac_router, .mac_from = wire_mac_director};
	uint8_t *ip;

	wire_make(out, &spec);
	ip = out->byte + out->l3;
	if (!is4) {
		ip[3] = 0; /* no flow label */
		return;
	}
	ip[1] = 0xc0;
	wire_put16(ip + 4, 0);
	wire_put16(ip + 10, 0);
	wire_put16(ip + 10, wire_checksum(wire_sum(0, ip, 20)));
}

static void keep(struct lab *lab, const struct lab_end *end, const struct wire_spec *of)
{
	char wanted[320];

	snprintf(wanted, sizeof(wanted), "%s%s,%s\t%s,%s%s", wire_is4(of->to) ? "" : "\t\t", of->to, of->from, of->from, of->to,
		 wire_is4(of->to) ? "\t\t" : "");
	lab_keep(lab, &end->frame, wanted);
}

static int try_told(struct lab *lab, const char *says, const struct wire *in, const struct wire_spec *of, uint32_t mtu)
{
	struct lab_end end;
	struct wire out;

	expect_error(&out, in, of, mtu);
	lab_run(lab, in, &end);
	if (end.verdict == HP_TOO_BIG_TOLD)
		keep(lab, &end, of);
	return lab_judge(says, &end, &(struct lab_want){XDP_TX, HP_TOO_BIG_TOLD, &out});
}

/* Every method x depth of tags x MTU x a byte too much or as much as a frame holds x padding or not. */
static void senders_are_told_what_fits(void **state)
{
	static const char *const depths[] = {"", "q", "aq"};
	static const uint16_t mtus[] = {1380, 1500};
	struct lab *lab = *state;
	int wrong = 0;

	for (unsigned int n = 0; n < METHODS * 3 * 2 * 2 * 2; n++) {
		const struct method_row *row = &methods[n % METHODS];
		uint16_t mtu = mtus[n / METHODS / 3 % 2];
		bool is_long = n / METHODS / 6 % 2, is_padded = n / METHODS / 12;
		char client[64], says[128];
		struct wire_spec spec = {.from = new_client(wire_is4(row->vip), client), .fragment = WIRE_IP4_KEEP,
					 .tags = depths[n / METHODS % 3], .padding = is_padded ? 7 : 0};
		struct wire in;

		set_mtu(lab, row, mtu);
		make(&in, row, is_long ? 3000 : mtu - row->overhead + 1, &spec);
		snprintf(says, sizeof(says), "%s, MTU %u, tags \"%s\"%s%s", row->says, mtu, spec.tags, is_long ? ", long" : "",
			 is_padded ? ", padded" : "");
		wrong += try_told(lab, says, &in, &spec, mtu - row->overhead);
	}
	assert_int_equal(wrong, 0);
}

/* What else may stand in a packet that is too big. */
static void odd_packets_are_quoted_as_they_came(void **state)
{
	static const struct {
		const char *says;
		size_t row;
		struct wire_spec spec;
		bool may_be_cut;
	} rows[] = {
		{"UDP", 2, {.protocol = IPPROTO_UDP}, false},
		{"UDP with IPv6", 5, {.protocol = IPPROTO_UDP}, false},
		{"options", 2, {.options = 40}, false},
		{"extension headers", 5, {.chain = "hdra"}, false},
		{"a first fragment that is not to be cut further", 2, {.fragment = WIRE_IP4_MORE}, false},
		{"a first fragment of IPv6", 5, {.chain = "f", .fragment = WIRE_IP4_MORE}, false},
		{"a TTL of 1", 2, {.ttl = 1}, false},
		{"no DF", 2, {.ttl = 9}, true},
		{"no DF, a first fragment", 2, {.fragment = WIRE_IP4_MORE}, true},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct method_row *row = &methods[rows[i].row];
		struct wire_spec spec = rows[i].spec;
		char client[64];
		struct wire in;

		spec.from = new_client(wire_is4(row->vip), client);
		spec.fragment |= rows[i].may_be_cut ? 0 : WIRE_IP4_KEEP;
		set_mtu(lab, row, 1500);
		make(&in, row, 1499, &spec);
		wrong += try_told(lab, rows[i].says, &in, &spec, 1500 - row->overhead);
	}
	assert_int_equal(wrong, 0);
}

/* What is dropped without a word. */
static void no_error_answers_what_none_may(void **state)
{
	static const struct {
		const char *says;
		size_t row;
		struct wire_spec spec;
	} rows[] = {
		{"no DF, and oversize: drop", 6, {.from = "192.168.7.1", .fragment = 0}},
		{"a first fragment, the same", 6, {.from = "192.168.7.1", .fragment = WIRE_IP4_MORE}},
		{"a later fragment", 2, {.from = "192.168.7.2", .protocol = IPPROTO_UDP, .fragment = WIRE_IP4_KEEP | 100}},
		{"a later fragment, more to come", 2,
		 {.from = "192.168.7.3", .protocol = IPPROTO_UDP, .fragment = WIRE_IP4_KEEP | WIRE_IP4_MORE | 8}},
		{"a later fragment of IPv6", 5, {.from = "fd00:7::1", .protocol = IPPROTO_UDP, .chain = "f", .fragment = 100}},
		{"loopback", 2, {.from = "127.0.0.1", .fragment = WIRE_IP4_KEEP}},
		{"this network", 2, {.from = "0.0.0.0", .fragment = WIRE_IP4_KEEP}},
		{"multicast", 2, {.from = "224.0.0.1", .fragment = WIRE_IP4_KEEP}},
		{"broadcast", 2, {.from = "255.255.255.255", .fragment = WIRE_IP4_KEEP}},
		{"the VIP itself", 2, {.from = "10.2.0.2", .fragment = WIRE_IP4_KEEP}},
		{"IPv6 loopback", 5, {.from = "::1"}},
		{"IPv6 unspecified", 5, {.from = "::"}},
		{"IPv6 multicast", 5, {.from = "ff02::1"}},
		{"the IPv6 VIP itself", 5, {.from = "fd00:2::3"}},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_spec spec = rows[i].spec;
		struct wire in;

		set_mtu(lab, &methods[rows[i].row], 1500);
		make(&in, &methods[rows[i].row], 1499, &spec);
		wrong += lab_try_drop(lab, rows[i].says, &in, HP_TOO_BIG);
	}
	assert_int_equal(wrong, 0);
}

/* ICMP errors that are on their way to a backend, and do not fit. */
static void no_error_answers_an_error(void **state)
{
	static const size_t picked[] = {2, 5};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < 2; i++) {
		const struct method_row *row = &methods[picked[i]];
		bool is4 = wire_is4(row->vip);
		struct wire_spec inner = {.from = row->vip, .to = is4 ? "192.168.7.9" : "fd00:7::9", .from_port = 80,
					  .to_port = 40000, .payload = 1600};
		struct wire quoted, in;
		struct wire_spec error = {.from = is4 ? "192.168.7.8" : "fd00:7::8", .to = row->vip,
					  .protocol = is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, .type = is4 ? 3 : 2,
					  .code = is4 ? 4 : 0, .rest = 1300, .payload = 1440, .fragment = WIRE_IP4_KEEP};

		set_mtu(lab, row, 1480);
		wire_make(&quoted, &inner);
		error.quote = quoted.byte + quoted.l3;
		wire_make(&in, &error);
		wrong += lab_try_drop(lab, row->says, &in, HP_TOO_BIG);
	}
	assert_int_equal(wrong, 0);
}

/* No path may be narrower for IPv6 than 1280: nobody can be told of what is no longer than that, and of what is longer 1280 is
 * said. */
static void ipv6_is_never_told_less_than_1280(void **state)
{
	const struct method_row *row = &methods[5];
	struct lab *lab = *state;
	char client[64];
	struct wire_spec spec = {.from = new_client(false, client)};
	struct wire in;
	int wrong = 0;

	set_mtu(lab, row, 1280);
	make(&in, row, 1241, &spec);
	wrong += lab_try_drop(lab, "a byte too much", &in, HP_TOO_BIG);
	make(&in, row, 1280, &spec);
	wrong += lab_try_drop(lab, "1280", &in, HP_TOO_BIG);
	make(&in, row, 1281, &spec);
	wrong += try_told(lab, "1281", &in, &spec, 1280);
	assert_int_equal(wrong, 0);
}

/* What came back from its backend is no news to its sender. */
static void a_loop_is_told_to_nobody(void **state)
{
	const struct method_row *row = &methods[2];
	struct lab *lab = *state;
	uint8_t mac[6];
	struct wire_spec spec = {.from = "192.168.7.20", .fragment = WIRE_IP4_KEEP, .mac_from = mac};
	struct wire in;

	lab_mac(row->backend, mac);
	set_mtu(lab, row, 1500);
	make(&in, row, 1500, &spec);
	assert_int_equal(lab_try_drop(lab, "back from its backend", &in, HP_LOOPED), 0);
}

/* A service that lives through a change does the same. */
static void a_service_that_moves_tells_too(void **state)
{
	struct lab *lab = *state;
	char client[64];
	int wrong = 0;

	lab->keeps_moving = true;
	for (size_t m = 0; m < METHODS; m++) {
		struct wire_spec spec = {.from = new_client(wire_is4(methods[m].vip), client), .fragment = WIRE_IP4_KEEP};
		struct wire in;

		lab_resolve(lab, methods[m].backend, NULL);
		set_mtu(lab, &methods[m], 1500);
		make(&in, &methods[m], 1501, &spec);
		wrong += try_told(lab, methods[m].says, &in, &spec, 1500 - methods[m].overhead);
	}
	lab->keeps_moving = false;
	lab_rest(lab);
	assert_int_equal(wrong, 0);
}

static enum hp_verdict run_one(struct lab *lab, const struct method_row *row, const char *from)
{
	struct wire_spec spec = {.from = from, .fragment = WIRE_IP4_KEEP};
	struct lab_end end;
	struct wire in;

	make(&in, row, 1501, &spec);
	lab_run(lab, &in, &end);
	return end.verdict;
}

/* One sender is told so often and no more, which is not at the cost of others; and after a while again. Of IPv6 the /64
 * counts. */
static void a_sender_is_told_so_often(void **state)
{
	static const struct {
		size_t row;
		const char *from, *same, *other;
	} rows[] = {
		{2, "192.168.8.1", "192.168.8.1", "192.168.8.2"},
		{5, "fd00:8::1", "fd00:8::2", "fd00:8:0:1::1"},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < 2; i++) {
		const struct method_row *row = &methods[rows[i].row];
		unsigned int told = 0;
		bool is_again = false;

		set_mtu(lab, row, 1500);
		for (int n = 0; n < 200; n++)
			told += run_one(lab, row, rows[i].from) == HP_TOO_BIG_TOLD;
		assert_in_range(told, HP_TELLINGS_OF_ONE, 199);
		assert_int_equal(run_one(lab, row, rows[i].other), HP_TOO_BIG_TOLD);
		for (int n = 0; n < 100 && !is_again; n++) {
			nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
			is_again = run_one(lab, row, rows[i].same) == HP_TOO_BIG_TOLD;
		}
		assert_true(is_again);
	}
}

/* A flood from everywhere is not answered beyond the limit. */
static void all_are_told_so_often(void **state)
{
	struct lab *lab = *state;
	unsigned int told = 0, sent = 0;
	char client[64];

	set_mtu(lab, &methods[2], 1500);
	for (; sent < 20000; sent++)
		told += run_one(lab, &methods[2], new_client(true, client)) == HP_TOO_BIG_TOLD;
	assert_in_range(told, HP_TELLINGS_OF_ALL / 2, sent - 1);
}

/* The twin says what becomes of a packet, takes nothing from anybody, and is limited by nobody. */
static void the_twin_tells_without_end(void **state)
{
	struct lab *lab = *state;
	struct wire_spec spec = {.from = "192.168.9.1", .fragment = WIRE_IP4_KEEP};
	struct hp_trace trace;
	struct wire in, frame;
	struct err e;

	set_mtu(lab, &methods[2], 1500);
	make(&in, &methods[2], 1501, &spec);
	for (int n = 0; n < 100; n++) {
		frame = in;
		assert_int_equal(dataplane_run(&lab->plane, frame.byte, &frame.bytes, WIRE_ROOM_BYTES, lab->in, &trace, &e),
				 XDP_TX);
		assert_int_equal(trace.verdict, HP_TOO_BIG_TOLD);
	}
	assert_int_equal(run_one(lab, &methods[2], "192.168.9.1"), HP_TOO_BIG_TOLD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(senders_are_told_what_fits),
		cmocka_unit_test(odd_packets_are_quoted_as_they_came),
		cmocka_unit_test(no_error_answers_what_none_may),
		cmocka_unit_test(no_error_answers_an_error),
		cmocka_unit_test(ipv6_is_never_told_less_than_1280),
		cmocka_unit_test(a_loop_is_told_to_nobody),
		cmocka_unit_test(a_service_that_moves_tells_too),
		cmocka_unit_test(a_sender_is_told_so_often),
		cmocka_unit_test(the_twin_tells_without_end),
		cmocka_unit_test(all_are_told_so_often),
	};

	return cmocka_run_group_tests(tests, open_all, lab_close);
}

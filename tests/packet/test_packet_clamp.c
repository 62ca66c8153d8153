/* Clamp: the MSS that a client's SYN advertises, lowered where its service says so; and nothing else of any packet. */
#include "packet/lab.h"

#define SYN 0x02
#define ACK 0x10

static const struct service_row {
	const char *says, *forward, *vip, *backend, *mss;
	uint16_t most; /* that a SYN may have */
} services[] = {
	{"l2", "l2", "10.2.0.1", "10.3.0.1", "1200", 1200},
	{"l2 with IPv6", "l2", "fd00:2::1", "fd00:3::1", "1200", 1200},
	{"IPv4 in IPv4, auto", "ipip", "10.2.0.2", "10.3.0.2", "auto", 1440},
	{"IPv6 in IPv6, auto", "ipip", "fd00:2::2", "fd00:3::2", "auto", 1400},
	{"IPv6 in IPv4, auto", "ipip", "fd00:2::3", "10.3.0.3", "auto", 1420},
	{"GUE, auto", "gue", "10.2.0.3", "10.3.0.4", "auto", 1428},
	{"GUE with IPv6", "gue", "fd00:2::4", "fd00:3::4", "1220", 1220},
	{"l2, auto", "l2", "10.2.0.4", "10.3.0.5", "auto", 1460},
};

#define SERVICES (sizeof(services) / sizeof(services[0]))

static int apply(struct lab *lab, const char *mss)
{
	char text[8192] = "services:\n";
	size_t at = strlen(text);

	for (size_t i = 0; i < SERVICES; i++) {
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "  - {vip: \"%s\", port: 80, forward: %s, slots: 1009, backends: [{address: \"%s\"}]",
				       services[i].vip, services[i].forward, services[i].backend);
		if (!mss || *mss)
			at += (size_t)snprintf(text + at, sizeof(text) - at, ", mss: %s", mss ? mss : services[i].mss);
		at += (size_t)snprintf(text + at, sizeof(text) - at, "}\n");
	}
	lab_apply(lab, text);
	lab_resolve_all(lab);
	return 0;
}

static int open_all(void **state)
{
	int failed = lab_open(state);

	return failed ? failed : apply(*state, NULL);
}

/* A segment with these options, a multiple of four bytes of them; what stands behind is its data. */
static void make(struct wire *out, const struct service_row *row, uint8_t flags, const uint8_t *options, uint32_t bytes,
		 struct wire_spec spec)
{
	bool is4 = wire_is4(row->vip);
	uint32_t tcp_bytes, sum;
	uint8_t address[16], *tcp;

	spec.from = is4 ? CLIENT4 : CLIENT6;
	spec.to = row->vip;
	spec.from_port = spec.from_port ? spec.from_port : 40000;
	spec.to_port = 80;
	spec.payload += bytes;
	wire_make(out, &spec);
	tcp = out->byte + out->l4;
	tcp_bytes = 20 + spec.payload;
	tcp[12] = (uint8_t)((20 + bytes) / 4 << 4);
	tcp[13] = flags;
	memcpy(tcp + 20, options, bytes);
	wire_put16(tcp + 16, 0);
	sum = IPPROTO_TCP + tcp_bytes;
	sum = wire_sum(sum, address, wire_put_address(address, spec.from));
	sum = wire_sum(sum, address, wire_put_address(address, spec.to));
	wire_put16(tcp + 16, wire_checksum(wire_sum(sum, tcp, tcp_bytes)));
}

/* The frame must leave as `wanted` does. */
static int try(struct lab *lab, const char *says, const struct service_row *row, const struct wire *in, const struct wire *wanted)
{
	uint8_t mac[6];
	struct wire_way way = {.mac_to = mac, .mac_from = wire_mac_director, .is_gue = !strcmp(row->forward, "gue")};
	struct lab_end end;
	struct wire out;

	lab_mac(row->backend, mac);
	if (strcmp(row->forward, "l2") != 0) {
		way.outer_from = wire_is4(row->backend) ? DIRECTOR4 : DIRECTOR6;
		way.outer_to = row->backend;
	}
	lab_run(lab, in, &end);
	wire_expect(&out, wanted, &way, &end.frame);
	return lab_judge(says, &end, &(struct lab_want){XDP_TX, HP_FORWARDED, &out});
}

/* Options around an MSS of `mss`. */
static const struct options_row {
	const char *says;
	uint8_t option[40];
	uint32_t bytes;
	uint32_t mss_at; /* 0: none that counts */
} options[] = {
	{"an MSS", {2, 4}, 4, 2},
	{"what Linux sends", {2, 4, 0, 0, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7}, 20, 2},
	{"behind others", {4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 3, 3, 7, 1, 2, 4, 0, 0}, 20, 18},
	{"at an odd place", {1, 2, 4, 0, 0, 1, 1, 1}, 8, 3},
	{"at an odd place, behind an option of three bytes", {3, 3, 7, 2, 4, 0, 0, 0}, 8, 5},
	{"behind many that mean nothing", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
					   1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 0, 0}, 40, 38},
	{"in the last place, which is odd", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
					     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 0, 0, 0}, 40, 37},
	{"behind one that is unknown", {254, 6, 1, 2, 3, 4, 2, 4, 0, 0, 0, 0}, 12, 8},
	{"none", {1, 1, 1, 1}, 4, 0},
	{"no options", {0}, 0, 0},
	{"behind the end", {0, 2, 4, 6, 0, 0, 0, 0}, 8, 0},
	{"of a length that it has not", {2, 3, 255, 1}, 4, 0},
	{"behind an option without length", {5, 0, 2, 4, 255, 255, 0, 0}, 8, 0},
	{"behind an option of one byte", {5, 1, 2, 4, 255, 255, 0, 0}, 8, 0},
	{"behind an option that is longer than all", {5, 255, 2, 4, 255, 255, 0, 0}, 8, 0},
	{"cut by the header's end", {1, 2, 4, 255}, 4, 0},
};

/* Every service x options x MSS below, at and above the limit. */
static void a_syn_advertises_no_more(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < SERVICES; i++)
		for (size_t o = 0; o < sizeof(options) / sizeof(options[0]); o++)
			for (int n = 0; n < 5; n++) {
				uint16_t most = services[i].most, mss[] = {536, most, (uint16_t)(most + 1), 8960, 65535};
				struct wire_spec spec = {.payload = n, .tags = n % 2 ? "q" : "", .padding = 3};
				struct wire in, wanted;
				uint8_t bytes[40];
				char says[160];

				memcpy(bytes, options[o].option, sizeof(bytes));
				if (options[o].mss_at)
					wire_put16(bytes + options[o].mss_at, mss[n]);
				make(&in, &services[i], SYN, bytes, options[o].bytes, spec);
				if (options[o].mss_at && mss[n] > most)
					wire_put16(bytes + options[o].mss_at, most);
				make(&wanted, &services[i], SYN, bytes, options[o].bytes, spec);
				snprintf(says, sizeof(says), "%s, %s, MSS %u", services[i].says, options[o].says, mss[n]);
				wrong += try(lab, says, &services[i], &in, &wanted);
			}
	assert_int_equal(wrong, 0);
}

/* What is no SYN of a client, or of no such service. */
static void all_else_stays_as_it_came(void **state)
{
	static const uint8_t large[4] = {2, 4, 0xff, 0xff};
	static const struct {
		const char *says;
		uint8_t flags;
		struct wire_spec spec;
	} rows[] = {
		{"a segment under way", ACK, {.payload = 5}},
		{"SYN and ACK", SYN | ACK, {0}},
		{"RST", 0x04, {0}},
		{"no flags", 0, {0}},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < SERVICES; i++)
		for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
			struct wire in;

			make(&in, &services[i], rows[n].flags, large, sizeof(large), rows[n].spec);
			wrong += try(lab, rows[n].says, &services[i], &in, &in);
		}
	apply(lab, "");
	for (size_t i = 0; i < SERVICES; i++) {
		struct wire in;

		make(&in, &services[i], SYN, large, sizeof(large), (struct wire_spec){0});
		wrong += try(lab, "a service without it", &services[i], &in, &in);
	}
	apply(lab, NULL);
	assert_int_equal(wrong, 0);
}

/* Ways that change are followed by those that say auto; and odd headers in front of TCP do not matter. */
static void auto_follows_the_way(void **state)
{
	static const uint16_t mtus[] = {1280, 1400, 9000};
	static const size_t rows[] = {2, 3, 4, 5, 7};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t m = 0; m < sizeof(mtus) / sizeof(mtus[0]); m++) {
			const struct service_row *row = &services[rows[i]];
			struct adjacency facts = lab_facts(lab, row->backend);
			uint8_t bytes[4] = {2, 4, 0xff, 0xff};
			struct wire_spec spec = {.options = wire_is4(row->vip) ? 12 : 0, .chain = wire_is4(row->vip) ? "" : "hd"};
			struct wire in, wanted;

			facts.mtu = mtus[m];
			lab_resolve(lab, row->backend, &facts);
			make(&in, row, SYN, bytes, sizeof(bytes), spec);
			wire_put16(bytes + 2, row->most - 1500 + mtus[m]);
			make(&wanted, row, SYN, bytes, sizeof(bytes), spec);
			wrong += try(lab, row->says, row, &in, &wanted);
		}
	lab_resolve_all(lab);
	assert_int_equal(wrong, 0);
}

/* While the service lives through a change, and a SYN without a backend. */
static void a_change_makes_no_difference(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	lab->keeps_moving = true;
	for (size_t i = 0; i < SERVICES; i++) {
		uint8_t bytes[4] = {2, 4, 0xff, 0xff};
		struct wire in, wanted;

		make(&in, &services[i], SYN, bytes, sizeof(bytes), (struct wire_spec){.from_port = 40001});
		wire_put16(bytes + 2, services[i].most);
		make(&wanted, &services[i], SYN, bytes, sizeof(bytes), (struct wire_spec){.from_port = 40001});
		lab_resolve(lab, services[i].backend, NULL);
		wrong += lab_try_drop(lab, services[i].says, &in, HP_NO_BACKEND);
		lab_resolve_all(lab);
		wrong += try(lab, services[i].says, &services[i], &in, &wanted);
	}
	lab->keeps_moving = false;
	lab_rest(lab);
	assert_int_equal(wrong, 0);
}

/* Another MSS holds for the next SYN, without another ring. */
static void a_change_of_it_is_taken_over(void **state)
{
	static const char *const texts[] = {"1300", "auto", "256", "65534", ""};
	static const uint16_t mosts[] = {1300, 1460, 256, 65534, 65535};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t n = 0; n < sizeof(texts) / sizeof(texts[0]); n++) {
		uint8_t bytes[4] = {2, 4, 0xff, 0xff};
		struct wire in, wanted;

		apply(lab, texts[n]);
		make(&in, &services[0], SYN, bytes, sizeof(bytes), (struct wire_spec){0});
		wire_put16(bytes + 2, mosts[n]);
		make(&wanted, &services[0], SYN, bytes, sizeof(bytes), (struct wire_spec){0});
		wrong += try(lab, texts[n], &services[0], &in, &wanted);
	}
	apply(lab, NULL);
	assert_int_equal(wrong, 0);
}

/* A checksum that is still to be filled in, as generic XDP sees it of a sender on the same machine: the pseudo-header's sum, to
 * which whoever fills it in adds the option as it leaves here. */
static void a_checksum_to_be_filled_in_is_left(void **state)
{
	static const uint8_t before[] = {2, 4, 0x05, 0xb4}, after[] = {2, 4, 1200 >> 8, 1200 & 0xff};
	struct lab *lab = *state;

	for (size_t i = 0; i < 2; i++) {
		const struct service_row *row = &services[i];
		struct wire in, wanted;
		uint8_t address[16];
		uint32_t sum = IPPROTO_TCP + 24;

		make(&in, row, SYN, before, sizeof(before), (struct wire_spec){0});
		make(&wanted, row, SYN, after, sizeof(after), (struct wire_spec){0});
		sum = wire_sum(sum, address, wire_put_address(address, wire_is4(row->vip) ? CLIENT4 : CLIENT6));
		sum = wire_sum(sum, address, wire_put_address(address, row->vip));
		wire_put16(in.byte + in.l4 + 16, (uint16_t)~wire_checksum(sum));
		wire_put16(wanted.byte + wanted.l4 + 16, (uint16_t)~wire_checksum(sum));
		assert_int_equal(try(lab, row->says, row, &in, &wanted), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_checksum_to_be_filled_in_is_left),
		cmocka_unit_test(a_syn_advertises_no_more),
		cmocka_unit_test(all_else_stays_as_it_came),
		cmocka_unit_test(auto_follows_the_way),
		cmocka_unit_test(a_change_makes_no_difference),
		cmocka_unit_test(a_change_of_it_is_taken_over),
	};

	return cmocka_run_group_tests(tests, open_all, lab_close);
}

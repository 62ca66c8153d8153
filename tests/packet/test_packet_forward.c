/* Forward: every method, family and VLAN depth, whole frames compared with frames composed apart. */
#include "packet/lab.h"

struct method_row {
	const char *says, *forward, *vip, *backend;
};

static const struct method_row methods[] = {
	{"l2 with IPv4", "l2", "10.2.0.1", "10.3.0.1"},
	{"l2 with IPv6", "l2", "fd00:2::1", "fd00:3::1"},
	{"IPv4 in IPv4", "ipip", "10.2.0.2", "10.3.0.2"},
	{"IPv6 in IPv4", "ipip", "fd00:2::2", "10.3.0.3"},
	{"IPv4 in IPv6", "ipip", "10.2.0.3", "fd00:3::2"},
	{"IPv6 in IPv6", "ipip", "fd00:2::3", "fd00:3::3"},
	{"GUE, IPv4 in IPv4", "gue", "10.2.0.4", "10.3.0.4"},
	{"GUE, IPv6 in IPv4", "gue", "fd00:2::4", "10.3.0.5"},
	{"GUE, IPv4 in IPv6", "gue", "10.2.0.5", "fd00:3::4"},
	{"GUE, IPv6 in IPv6", "gue", "fd00:2::5", "fd00:3::5"},
	{"GRE, IPv4 in IPv4", "gre", "10.2.0.6", "10.3.0.6"},
	{"GRE, IPv6 in IPv4", "gre", "fd00:2::6", "10.3.0.7"},
	{"GRE, IPv4 in IPv6", "gre", "10.2.0.7", "fd00:3::6"},
	{"GRE, IPv6 in IPv6", "gre", "fd00:2::7", "fd00:3::7"},
};

#define METHODS (sizeof(methods) / sizeof(methods[0]))

static const char *const depths[] = {"", "q", "aq"};

static int open_all(void **state)
{
	int failed = lab_open(state);

	if (!failed)
		lab_open_capture(*state, "forward");
	return failed;
}

/* A service for TCP port 80 and one for any UDP port at each VIP of the table. */
static void apply_methods(struct lab *lab)
{
	char text[8192] = "services:\n";
	size_t at = strlen(text);

	for (size_t i = 0; i < METHODS; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "  - {vip: \"%s\", port: 80, forward: %s, backends: [{address: \"%s\"}]}\n"
				       "  - {vip: \"%s\", port: any, protocol: udp, forward: %s, "
				       "backends: [{address: \"%s\"}]}\n",
				       methods[i].vip, methods[i].forward, methods[i].backend, methods[i].vip,
				       methods[i].forward, methods[i].backend);
	lab_apply(lab, text);
	lab_resolve_all(lab);
}

static const char *client_of(const char *vip)
{
	return wire_is4(vip) ? CLIENT4 : CLIENT6;
}

/* The way that lab_facts describes. */
static struct wire_way way_of(const struct method_row *row, uint8_t mac[static 6], const char *tags)
{
	struct wire_way way = {.mac_to = mac, .mac_from = wire_mac_director, .tags = tags};

	lab_mac(row->backend, mac);
	way.is_gue = !strcmp(row->forward, "gue");
	way.is_gre = !strcmp(row->forward, "gre");
	if (strcmp(row->forward, "l2") != 0) {
		way.outer_from = wire_is4(row->backend) ? DIRECTOR4 : DIRECTOR6;
		way.outer_to = row->backend;
	}
	return way;
}

static void keep(struct lab *lab, const struct lab_end *end, const struct wire_spec *in, const struct wire_way *way)
{
	char from[2][128] = {"", ""}, to[2][128] = {"", ""}, wanted[520];
	int inner = wire_is4(in->from) ? 0 : 1, outer;

	if (way->outer_to) {
		outer = wire_is4(way->outer_to) ? 0 : 1;
		snprintf(from[outer], sizeof(from[0]), "%s%s", way->outer_from, inner == outer ? "," : "");
		snprintf(to[outer], sizeof(to[0]), "%s%s", way->outer_to, inner == outer ? "," : "");
	}
	strcat(from[inner], in->from);
	strcat(to[inner], in->to);
	snprintf(wanted, sizeof(wanted), "%s\t%s\t%s\t%s", from[0], to[0], from[1], to[1]);
	lab_keep(lab, &end->frame, wanted);
}

/* Every method x depth of tags in x depth of tags out x TCP or UDP x with or without padding. */
static void every_method_at_every_depth(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	apply_methods(lab);
	for (unsigned int n = 0; n < METHODS * 3 * 3 * 2 * 2; n++) {
		const struct method_row *row = &methods[n % METHODS];
		const char *tags_in = depths[n / METHODS % 3], *tags_out = depths[n / METHODS / 3 % 3];
		bool is_udp = n / METHODS / 9 % 2, is_padded = n / METHODS / 18;
		struct adjacency facts = lab_facts(lab, row->backend);
		struct wire_spec spec = {.from = client_of(row->vip), .to = row->vip, .from_port = 40000, .to_port = 80,
					 .protocol = is_udp ? IPPROTO_UDP : IPPROTO_TCP, .payload = is_padded ? 3 : 700,
					 .padding = is_padded ? 15 : 0, .tags = tags_in};
		struct wire in, out;
		struct lab_end end;
		uint8_t mac[6];
		char says[128];
		struct wire_way way = way_of(row, mac, tags_out);

		lab_tag(&facts, tags_out);
		lab_resolve(lab, row->backend, &facts);
		wire_make(&in, &spec);
		snprintf(says, sizeof(says), "%s, %s, tags \"%s\" in and \"%s\" out%s", row->says, is_udp ? "UDP" : "TCP",
			 tags_in, tags_out, is_padded ? ", padded" : "");
		lab_run(lab, &in, &end);
		wire_expect(&out, &in, &way, &end.frame);
		wrong += lab_judge(says, &end, &(struct lab_want){XDP_TX, HP_FORWARDED, &out});
		keep(lab, &end, &spec, &way);
	}
	assert_int_equal(wrong, 0);
}

/* A frame that opens nothing special at a row's VIP, `more` filled in by the caller. */
static void make(struct wire *out, const struct method_row *row, struct wire_spec more)
{
	more.from = more.from ? more.from : client_of(row->vip);
	more.to = row->vip;
	more.from_port = 40000;
	more.to_port = 80;
	wire_make(out, &more);
}

/* Run a frame along the way that lab_facts describes; it must leave whole. */
static int try_forward(struct lab *lab, const char *says, const struct method_row *row, const struct wire *in)
{
	uint8_t mac[6];
	struct wire_way way = way_of(row, mac, "");
	struct lab_end end;
	struct wire out;

	lab_run(lab, in, &end);
	wire_expect(&out, in, &way, &end.frame);
	return lab_judge(says, &end, &(struct lab_want){XDP_TX, HP_FORWARDED, &out});
}

/* What odd but whole packets keep: everything. */
static void packet_stays_as_it_came(void **state)
{
	static const struct {
		const char *says;
		bool is6;
		struct wire_spec spec;
	} rows[] = {
		{"4 bytes of options", false, {.options = 4}},
		{"40 bytes of options", false, {.options = 40}},
		{"TTL 1", false, {.ttl = 1}},
		{"hop limit 1", true, {.ttl = 1}},
		{"every bit of DSCP and ECN", false, {.class = 0xff}},
		{"every bit of DSCP and ECN", true, {.class = 0xff}},
		{"expedited forwarding, ECT(0)", false, {.class = 46 << 2 | 2}},
		{"expedited forwarding, ECT(1)", true, {.class = 46 << 2 | 1}},
		{"congestion experienced", false, {.class = 3, .payload = 1000}},
		{"congestion experienced", true, {.class = 3, .payload = 1000}},
		{"don't fragment", false, {.fragment = WIRE_IP4_KEEP}},
		{"first fragment", false, {.fragment = WIRE_IP4_MORE, .payload = 64}},
		{"first fragment", true, {.chain = "f", .fragment = WIRE_IP4_MORE, .payload = 64}},
		{"atomic fragment", true, {.chain = "f", .payload = 64}},
		{"hop-by-hop options", true, {.chain = "h"}},
		{"AH", true, {.chain = "a"}},
		{"as many extension headers as are followed", true, {.chain = "hdrDad"}},
		{"no payload at all", false, {.padding = 6}},
		{"no payload at all", true, {.padding = 0}},
		{"one odd byte", false, {.payload = 1, .padding = 5}},
		{"one odd byte", true, {.payload = 1}},
		{"a trailer of 100 bytes", false, {.payload = 200, .padding = 100}},
	};
	struct lab *lab = *state;
	int wrong = 0;

	apply_methods(lab);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t m = 0; m < METHODS; m++) {
			char says[128];
			struct wire in;

			if (wire_is4(methods[m].vip) == rows[i].is6)
				continue;
			snprintf(says, sizeof(says), "%s, %s", methods[m].says, rows[i].says);
			make(&in, &methods[m], rows[i].spec);
			wrong += try_forward(lab, says, &methods[m], &in);
		}
	assert_int_equal(wrong, 0);
}

/* A director is no router: whatever is left of a packet's time to live stays, and it goes on. */
static void time_to_live_is_not_spent(void **state)
{
	static const uint8_t ttls[] = {0, 1, 2, 255};
	struct lab *lab = *state;
	int wrong = 0;

	apply_methods(lab);
	for (size_t m = 0; m < METHODS; m++)
		for (size_t i = 0; i < sizeof(ttls); i++) {
			char says[128];
			struct wire in;
			uint8_t *ip;

			make(&in, &methods[m], (struct wire_spec){.payload = 10});
			ip = in.byte + in.l3;
			ip[ip[0] >> 4 == 4 ? 8 : 7] = ttls[i];
			if (ip[0] >> 4 == 4) {
				wire_put16(ip + 10, 0);
				wire_put16(ip + 10, wire_checksum(wire_sum(0, ip, 20)));
			}
			snprintf(says, sizeof(says), "%s, TTL %u", methods[m].says, ttls[i]);
			wrong += try_forward(lab, says, &methods[m], &in);
		}
	assert_int_equal(wrong, 0);
}

/* The path's MTU is what the packet with its outer header may fill, to the byte. (What becomes of a sender that asked not to be
 * cut, as all do of IPv6: see test_packet_oversize.c.) */
static void mtu_is_filled_to_the_byte(void **state)
{
	static const uint16_t mtus[] = {1280, 1492, 1500, 2000};
	static const uint32_t overhead[METHODS] = {0, 0, 20, 20, 40, 40, 32, 32, 52, 52, 24, 24, 44, 44};
	struct lab *lab = *state;
	int wrong = 0;

	apply_methods(lab);
	for (unsigned int n = 0; n < METHODS * 4; n++) {
		const struct method_row *row = &methods[n % METHODS];
		uint16_t mtu = mtus[n / METHODS];
		struct adjacency facts = lab_facts(lab, row->backend);
		uint32_t payload = mtu - overhead[n % METHODS] - (wire_is4(row->vip) ? 40 : 60);
		struct lab_end end;
		char says[128];
		struct wire in;

		facts.mtu = mtu;
		lab_resolve(lab, row->backend, &facts);
		snprintf(says, sizeof(says), "%s, MTU %u", row->says, mtu);
		make(&in, row, (struct wire_spec){.payload = payload, .padding = 4});
		wrong += try_forward(lab, says, row, &in);
		make(&in, row, (struct wire_spec){.payload = payload + 1});
		lab_run(lab, &in, &end);
		if (end.verdict != HP_TOO_BIG_TOLD)
			wrong += lab_judge(says, &end, &(struct lab_want){XDP_DROP, HP_TOO_BIG, NULL});
	}
	assert_int_equal(wrong, 0);
}

/* The outer source of a configured prefix: inside it, varied from flow to flow, the same for a flow. */
static void source_varies_within_its_prefix(void **state)
{
	static const uint8_t prefix4[2] = {10, 9}, prefix6[14] = {0xfd, 0, 0, 9};
	struct lab *lab = *state;

	apply_methods(lab);
	assert_true(prefix_parse(&lab->config->tunnel.source4.prefix, "10.9.0.0/16"));
	assert_true(prefix_parse(&lab->config->tunnel.source6.prefix, "fd00:9::/112"));
	lab->config->tunnel.source4.set = lab->config->tunnel.source6.set = true;
	lab_resolve_all(lab);
	for (size_t m = 2; m < METHODS; m++) {
		bool outer4 = wire_is4(methods[m].backend);
		unsigned int seen[256] = {0}, filled = 0;

		for (uint16_t port = 1; port <= 2048; port++) {
			struct wire_spec spec = {.from = client_of(methods[m].vip), .to = methods[m].vip, .from_port = port,
						 .to_port = 80};
			char source[64];
			struct lab_end end, again;
			uint8_t mac[6];
			struct wire in, out;
			struct wire_way way = way_of(&methods[m], mac, "");
			const uint8_t *at;

			wire_make(&in, &spec);
			lab_run(lab, &in, &end);
			at = end.frame.byte + 14 + (outer4 ? 12 : 8);
			assert_memory_equal(at, outer4 ? prefix4 : prefix6, outer4 ? 2 : 14);
			seen[at[outer4 ? 3 : 15]]++;
			inet_ntop(outer4 ? AF_INET : AF_INET6, at, source, sizeof(source));
			way.outer_from = source;
			wire_expect(&out, &in, &way, &end.frame);
			assert_int_equal(lab_judge(methods[m].says, &end, &(struct lab_want){XDP_TX, HP_FORWARDED, &out}), 0);
			lab_run(lab, &in, &again);
			assert_true(lab_same(&end.frame, &again.frame));
			if (port % 64 == 0)
				keep(lab, &end, &spec, &way);
		}
		for (int i = 0; i < 256; i++)
			filled += seen[i] != 0;
		assert_in_range(filled, 240, 256); /* 8 flows a last byte, if spread evenly */
	}
}

/* The key that is configured stands in every header of GRE, and nothing else changes. */
static void gre_bears_its_key(void **state)
{
	static const uint32_t keys[] = {0x01020304, 0xffffffff};
	struct lab *lab = *state;
	int wrong = 0;

	apply_methods(lab);
	lab->config->tunnel.has_gre_key = true;
	for (size_t k = 0; k < 2; k++) {
		lab->config->tunnel.gre_key = keys[k];
		lab_resolve_all(lab);
		for (unsigned int n = 0; n < METHODS * 3; n++) {
			const struct method_row *row = &methods[n % METHODS];
			struct adjacency facts = lab_facts(lab, row->backend);
			uint8_t mac[6];
			struct wire_way way = way_of(row, mac, depths[n / METHODS]);
			struct lab_end end;
			struct wire in, out;

			lab_tag(&facts, depths[n / METHODS]);
			lab_resolve(lab, row->backend, &facts);
			way.gre_key = keys[k];
			make(&in, row, (struct wire_spec){.payload = 99});
			lab_run(lab, &in, &end);
			wire_expect(&out, &in, &way, &end.frame);
			wrong += lab_judge(row->says, &end, &(struct lab_want){XDP_TX, HP_FORWARDED, &out});
			keep(lab, &end, &(struct wire_spec){.from = client_of(row->vip), .to = row->vip}, &way);
		}
	}
	assert_int_equal(wrong, 0);
}

/* GUE's source port: the same for a flow, spread over its 14 bits by flows, also by those of one backend among many. */
static void gue_spreads_flows(void **state)
{
	struct lab *lab = *state;
	static const char services[] = "services:\n  - {vip: 10.2.0.4, port: 80, slots: 1009, forward: gue, backends: "
				       "[{address: 10.3.0.1, weight: 1}, {address: 10.3.0.2, weight: 99}]}\n";
	static bool seen[2][16384];
	unsigned int flows[2] = {0, 0}, ports[2] = {0, 0};

	lab_apply(lab, services);
	lab_resolve_all(lab);
	memset(seen, 0, sizeof(seen));
	for (uint16_t client = 1; client <= 40000; client++) {
		struct wire_spec spec = {.from = CLIENT4, .to = "10.2.0.4", .from_port = client, .to_port = 80};
		unsigned int backend, port;
		struct lab_end end, again;
		struct wire in;

		wire_make(&in, &spec);
		lab_run(lab, &in, &end);
		lab_run(lab, &in, &again);
		assert_true(lab_same(&end.frame, &again.frame));
		port = wire_get16(end.frame.byte + 34);
		backend = end.frame.byte[33] - 1u;
		assert_in_range(port, 49152, 65535);
		assert_in_range(backend, 0, 1);
		flows[backend]++;
		ports[backend] += !seen[backend][port - 49152];
		seen[backend][port - 49152] = true;
	}
	assert_in_range(ports[1], 14000, 16384);
	assert_in_range(flows[0], 300, 500);
	assert_in_range(ports[0], flows[0] * 95 / 100, flows[0]);
}

static void one_configured_source_is_used_as_it_is(void **state)
{
	struct lab *lab = *state;
	const struct method_row *row = &methods[2];
	uint8_t mac[6];
	struct wire_way way = way_of(row, mac, "");
	struct wire in, out;

	apply_methods(lab);
	assert_true(prefix_parse(&lab->config->tunnel.source4.prefix, "10.9.8.7"));
	lab->config->tunnel.source4.set = true;
	lab_resolve_all(lab);
	make(&in, row, (struct wire_spec){.payload = 10});
	way.outer_from = "10.9.8.7";
	wire_forward(&out, &in, &way);
	assert_int_equal(lab_try(lab, row->says, &in, &(struct lab_want){XDP_TX, HP_FORWARDED, &out}), 0);
}

/* By which interface a packet leaves. */
static void leaves_by_the_port_of_its_backend(void **state)
{
	struct lab *lab = *state;
	const struct {
		const char *says;
		uint32_t in, out;
		int action;
		enum hp_verdict verdict;
	} rows[] = {
		{"by the port that it came in by", lab->in, lab->in, XDP_TX, HP_FORWARDED},
		{"by another", lab->in, lab->out, XDP_REDIRECT, HP_FORWARDED},
		{"in and out by the other", lab->out, lab->out, XDP_TX, HP_FORWARDED},
		{"the port that it came in by takes no redirected packets", lab->out, lab->in, XDP_DROP, HP_NO_PORT},
		{"a port that is gone", lab->in, 4711, XDP_DROP, HP_NO_PORT},
	};
	int wrong = 0;

	apply_methods(lab);
	for (unsigned int n = 0; n < METHODS * 5; n++) {
		const struct method_row *row = &methods[n % METHODS];
		struct adjacency facts = lab_facts(lab, row->backend);
		uint8_t mac[6];
		struct wire_way way = way_of(row, mac, "");
		struct lab_end end;
		struct wire in, out;

		facts.ifindex = rows[n / METHODS].out;
		lab_resolve(lab, row->backend, &facts);
		make(&in, row, (struct wire_spec){.payload = 10});
		lab_run_by(lab, &in, rows[n / METHODS].in, &end);
		wire_expect(&out, &in, &way, &end.frame);
		wrong += lab_judge(rows[n / METHODS].says, &end,
				   &(struct lab_want){rows[n / METHODS].action, rows[n / METHODS].verdict,
						      rows[n / METHODS].verdict == HP_FORWARDED ? &out : NULL});
	}
	assert_int_equal(wrong, 0);
}

/* A frame that its backend sent back is not sent there again. */
static void loop_is_cut(void **state)
{
	static const struct {
		const char *says;
		bool from_backend_mac, from_backend_address, is_routed;
		const char *tags;
		enum hp_verdict verdict;
	} rows[] = {
		{"from the router", false, false, false, "", HP_FORWARDED},
		{"from the backend's MAC, another's packet", true, false, false, "", HP_LOOPED},
		{"the same, tagged", true, false, false, "q", HP_LOOPED},
		{"the same, tagged twice", true, false, false, "aq", HP_LOOPED},
		{"from the backend itself, as a client", true, true, false, "", HP_FORWARDED},
		{"from the backend itself, tagged", true, true, false, "q", HP_FORWARDED},
		{"from the gateway to a routed backend", true, false, true, "", HP_FORWARDED},
	};
	struct lab *lab = *state;
	int wrong = 0;

	apply_methods(lab);
	for (unsigned int n = 0; n < METHODS * 7; n++) {
		const struct method_row *row = &methods[n % METHODS];
		struct adjacency facts = lab_facts(lab, row->backend);
		bool own = rows[n / METHODS].from_backend_address;
		char says[128];
		struct wire in;

		if (own && wire_is4(row->vip) != wire_is4(row->backend))
			continue; /* its address of the VIP's family is not known */
		facts.on_link = !rows[n / METHODS].is_routed;
		lab_resolve(lab, row->backend, &facts);
		make(&in, row, (struct wire_spec){
			.from = own ? row->backend : NULL,
			.mac_from = rows[n / METHODS].from_backend_mac ? facts.mac_destination : NULL,
			.tags = rows[n / METHODS].tags,
		});
		snprintf(says, sizeof(says), "%s, %s", row->says, rows[n / METHODS].says);
		if (rows[n / METHODS].verdict == HP_FORWARDED)
			wrong += try_forward(lab, says, row, &in);
		else
			wrong += lab_try_drop(lab, says, &in, rows[n / METHODS].verdict);
	}
	assert_int_equal(wrong, 0);
}

/* Per service and per backend: the packet, and its IP bytes as they came. */
static void packets_and_bytes_are_counted(void **state)
{
	struct lab *lab = *state;
	struct fleet_backend *backend;
	uint64_t before[2][HP_SERVICE_CELLS], after[2][HP_SERVICE_CELLS];
	struct fleet_identity identity;
	struct lab_end end;
	struct wire in;

	apply_methods(lab);
	memset(&identity, 0, sizeof(identity));
	identity.address = lab_ip(methods[2].backend);
	identity.method = HP_METHOD_IPIP_4_IN_4;
	backend = fleet_backend_find(lab->fleet, &identity);
	assert_non_null(backend);
	make(&in, &methods[2], (struct wire_spec){.payload = 60, .padding = 9, .options = 8});
	lab_run(lab, &in, &end);
	dataplane_service_sum(&lab->plane, end.service, before[0]);
	dataplane_backend_sum(&lab->plane, backend->number, before[1]);
	lab_run(lab, &in, &end);
	dataplane_service_sum(&lab->plane, end.service, after[0]);
	dataplane_backend_sum(&lab->plane, backend->number, after[1]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(after[i][HP_FORWARDED] - before[i][HP_FORWARDED], 1);
		assert_int_equal(after[i][HP_CELL_BYTES] - before[i][HP_CELL_BYTES], in.ip_bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_method_at_every_depth),
		cmocka_unit_test(packet_stays_as_it_came),
		cmocka_unit_test(time_to_live_is_not_spent),
		cmocka_unit_test(mtu_is_filled_to_the_byte),
		cmocka_unit_test(source_varies_within_its_prefix),
		cmocka_unit_test(gre_bears_its_key),
		cmocka_unit_test(gue_spreads_flows),
		cmocka_unit_test(one_configured_source_is_used_as_it_is),
		cmocka_unit_test(leaves_by_the_port_of_its_backend),
		cmocka_unit_test(loop_is_cut),
		cmocka_unit_test(packets_and_bytes_are_counted),
	};

	return cmocka_run_group_tests(tests, open_all, lab_close);
}

/* Service and pick: which service a packet belongs to, which backend its flow gets, and that all directors agree. */
#include "packet/lab.h"

#define MOST_BACKENDS 16

/* Services around one VIP of each family, each with a backend of its own, so that the backend tells the service. */
static const char services[] =
	"services:\n"
	"  - {vip: 10.2.0.1, port: 80, backends: [{address: 10.3.0.1}]}\n"
	"  - {vip: 10.2.0.1, port: any, backends: [{address: 10.3.0.2}]}\n"
	"  - {vip: 10.2.0.1, protocol: udp, port: 80, backends: [{address: 10.3.0.3}]}\n"
	"  - {vip: \"fd00:2::1\", port: 80, backends: [{address: \"fd00:3::4\"}]}\n"
	"  - {vip: \"fd00:2::1\", protocol: udp, port: any, backends: [{address: \"fd00:3::5\"}]}\n"
	"  - {vip: \"fd00:2::1\", protocol: udp, port: 53, backends: [{address: \"fd00:3::6\"}]}\n"
	"  - {vip: 10.2.0.2, port: 80, backends: [{address: 10.3.0.7}]}\n"
	"  - {vip: 10.2.0.5, protocol: udp, port: any, hash: source, backends: [{address: 10.3.0.8}]}\n"
	"  - {vip: \"fd00:2::5\", protocol: udp, port: any, hash: source, backends: [{address: \"fd00:3::9\"}]}\n";

/* The last byte of the address of the backend that an l2 frame goes to. */
static unsigned int backend_of(const struct lab_end *end)
{
	assert_int_equal(end->verdict, HP_FORWARDED);
	return end->frame.byte[5];
}

static void services_are_told_apart(void **state)
{
	static const struct {
		const char *says;
		const char *vip;
		uint8_t protocol;
		uint16_t port;
		unsigned int backend; /* 0: passed */
		enum hp_verdict verdict;
	} rows[] = {
		{"the exact port", VIP4, IPPROTO_TCP, 80, 1, HP_FORWARDED},
		{"any port takes the others", VIP4, IPPROTO_TCP, 81, 2, HP_FORWARDED},
		{"any port takes the first", VIP4, IPPROTO_TCP, 1, 2, HP_FORWARDED},
		{"any port takes the last", VIP4, IPPROTO_TCP, 65535, 2, HP_FORWARDED},
		{"any port takes port 0", VIP4, IPPROTO_TCP, 0, 2, HP_FORWARDED},
		{"the same port of UDP is another service", VIP4, IPPROTO_UDP, 80, 3, HP_FORWARDED},
		{"a UDP port of no service", VIP4, IPPROTO_UDP, 81, 0, HP_VIP_OTHER},
		{"UDP port 0 where no service takes any port", VIP4, IPPROTO_UDP, 0, 0, HP_VIP_OTHER},
		{"IPv6, the exact port", VIP6, IPPROTO_TCP, 80, 4, HP_FORWARDED},
		{"IPv6, a port of no service", VIP6, IPPROTO_TCP, 81, 0, HP_VIP_OTHER},
		{"IPv6, any UDP port", VIP6, IPPROTO_UDP, 80, 5, HP_FORWARDED},
		{"IPv6, the exact UDP port", VIP6, IPPROTO_UDP, 53, 6, HP_FORWARDED},
		{"another VIP, the same port", "10.2.0.2", IPPROTO_TCP, 80, 7, HP_FORWARDED},
		{"another VIP, no port", "10.2.0.2", IPPROTO_TCP, 81, 0, HP_VIP_OTHER},
		{"no VIP beside one", "10.2.0.3", IPPROTO_TCP, 80, 0, HP_NOT_VIP},
		{"no IPv6 VIP beside one", "fd00:2::2", IPPROTO_TCP, 80, 0, HP_NOT_VIP},
		{"a protocol that has no services", VIP4, 132, 80, 0, HP_VIP_OTHER},
		{"another protocol for no VIP", "10.2.0.3", 132, 80, 0, HP_NOT_VIP},
		{"another IPv6 protocol", VIP6, 132, 80, 0, HP_VIP_OTHER},
		{"another IPv6 protocol for no VIP", "fd00:2::2", 132, 80, 0, HP_NOT_VIP},
	};
	struct lab *lab = *state;
	int wrong = 0;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lab_end end;
		struct wire in;

		wire_make(&in, &(struct wire_spec){.from = wire_is4(rows[i].vip) ? CLIENT4 : CLIENT6, .to = rows[i].vip,
						   .protocol = rows[i].protocol, .from_port = 9, .to_port = rows[i].port,
						   .payload = 20});
		if (!rows[i].backend) {
			wrong += lab_try_pass(lab, rows[i].says, &in, rows[i].verdict);
			continue;
		}
		lab_run(lab, &in, &end);
		if (end.verdict == HP_FORWARDED && backend_of(&end) == rows[i].backend)
			continue;
		print_error("    WRONG: %s: %s, backend %u\n", rows[i].says, lab_verdict_name(end.verdict), end.frame.byte[5]);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* A later fragment names no port: only a service of any port that hashes by source can place it. */
static void later_fragments_follow_their_source_or_nothing(void **state)
{
	static const struct {
		const char *says, *vip;
		uint8_t protocol;
		enum hp_verdict verdict;
	} rows[] = {
		{"any port, hash by source", "10.2.0.5", IPPROTO_UDP, HP_FORWARDED},
		{"any port, hash by source, IPv6", "fd00:2::5", IPPROTO_UDP, HP_FORWARDED},
		{"any port, hash by flow", VIP4, IPPROTO_TCP, HP_FRAGMENT},
		{"any port, hash by flow, IPv6", VIP6, IPPROTO_UDP, HP_FRAGMENT},
		{"one port", VIP4, IPPROTO_UDP, HP_FRAGMENT},
		{"a ping's", VIP4, IPPROTO_ICMP, HP_VIP_OTHER},
		{"a tunnel's, IPv6", VIP6, IPPROTO_GRE, HP_VIP_OTHER},
		{"no VIP", "10.2.0.3", IPPROTO_UDP, HP_NOT_VIP},
		{"no VIP, IPv6", "fd00:2::3", IPPROTO_UDP, HP_NOT_VIP},
	};
	struct lab *lab = *state;
	int wrong = 0;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is4 = wire_is4(rows[i].vip);
		struct lab_end end;
		struct wire in;

		wire_make(&in, &(struct wire_spec){.from = is4 ? CLIENT4 : CLIENT6, .to = rows[i].vip, .chain = is4 ? NULL : "f",
						   .protocol = rows[i].protocol, .fragment = 100, .payload = 20});
		lab_run(lab, &in, &end);
		wrong += lab_judge(rows[i].says, &end, &(struct lab_want){
			rows[i].verdict == HP_FORWARDED ? XDP_TX : lab_verdict_action(rows[i].verdict), rows[i].verdict,
			lab_verdict_action(rows[i].verdict) == XDP_PASS ? &in : NULL});
	}
	assert_int_equal(wrong, 0);
}

/* One l2 service on TCP port 80 with `count` backends 10.3.0.1 and up, written from `first` on, of these weights. */
static void apply_ring(struct lab *lab, const char *options, unsigned int count, unsigned int first,
		       const unsigned int *weights)
{
	char text[4096];
	size_t at = (size_t)snprintf(text, sizeof(text), "services:\n  - {vip: %s, port: 80, %s, backends: [", VIP4, options);

	for (unsigned int i = 0; i < count; i++) {
		unsigned int n = (i + first) % count;

		at += (size_t)snprintf(text + at, sizeof(text) - at, "{address: 10.3.0.%u, weight: %u}, ", n + 1,
				       weights ? weights[n] : 1);
	}
	snprintf(text + at, sizeof(text) - at, "]}\n");
	lab_apply(lab, text);
}

/* Flow number n: each has an address and a port of its own. */
static void make_flow(struct wire *out, unsigned int n)
{
	char from[INET_ADDRSTRLEN];

	snprintf(from, sizeof(from), "192.168.%u.%u", n >> 8 & 255, n & 255);
	wire_make(out, &(struct wire_spec){.from = from, .to = VIP4, .from_port = (uint16_t)(1024 + n * 7), .to_port = 80});
}

static unsigned int pick_flow(struct lab *lab, unsigned int n)
{
	struct lab_end end;
	struct wire in;

	make_flow(&in, n);
	lab_run(lab, &in, &end);
	return backend_of(&end);
}

#define FLOWS 6000

static void flows_are_spread_by_weight(void **state)
{
	static const struct {
		const char *says;
		unsigned int count, weights[MOST_BACKENDS];
	} rows[] = {
		{"equal weights", 4, {1, 1, 1, 1}},
		{"one weighs three times as much", 4, {1, 3, 1, 1}},
		{"one of weight 0 gets nothing", 3, {2, 0, 2}},
		{"ten of them", 10, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned int got[MOST_BACKENDS + 1] = {0}, sum = 0;

		apply_ring(lab, "slots: 4099", rows[i].count, 0, rows[i].weights);
		lab_resolve_all(lab);
		for (unsigned int n = 0; n < FLOWS; n++)
			got[pick_flow(lab, n)]++;
		for (unsigned int b = 0; b < rows[i].count; b++)
			sum += rows[i].weights[b];
		for (unsigned int b = 0; b < rows[i].count; b++) {
			unsigned int share = FLOWS * rows[i].weights[b] / sum;

			/* the random spread of so many flows is at most sqrt(share), and five times that is never met */
			if (got[b + 1] * 100 < share * 80 || got[b + 1] * 100 > share * 120)
				fail_msg("%s: backend %u got %u of %u, its share is %u", rows[i].says, b + 1, got[b + 1], FLOWS,
					 share);
		}
	}
}

/* The picks of 500 flows. */
#define PICKS 500
static void pick_all(struct lab *lab, uint8_t picks[static PICKS])
{
	lab_resolve_all(lab);
	for (unsigned int n = 0; n < PICKS; n++)
		picks[n] = (uint8_t)pick_flow(lab, n);
}

static unsigned int differing(const uint8_t *a, const uint8_t *b)
{
	unsigned int count = 0;

	for (unsigned int n = 0; n < PICKS; n++)
		count += a[n] != b[n];
	return count;
}

/* Another director: the same configuration told in another order, loaded after another past. */
static void directors_agree(void **state)
{
	uint8_t here[PICKS], again[PICKS], there[PICKS];
	struct lab *lab = *state, *other;
	void *other_state = NULL;

	apply_ring(lab, "seed: 7", 10, 0, NULL);
	pick_all(lab, here);
	pick_all(lab, again);
	assert_int_equal(differing(here, again), 0);
	assert_int_equal(lab_open_beside(&other_state), 0);
	other = other_state;
	apply_ring(other, "seed: 1", 3, 1, NULL);
	apply_ring(other, "seed: 7", 10, 4, NULL);
	pick_all(other, there);
	assert_int_equal(lab_close(&other_state), 0);
	assert_int_equal(differing(here, there), 0);
}

static void seed_makes_other_picks(void **state)
{
	uint8_t a[PICKS], b[PICKS];
	struct lab *lab = *state;

	apply_ring(lab, "seed: 7", 10, 0, NULL);
	pick_all(lab, a);
	apply_ring(lab, "seed: 8", 10, 0, NULL);
	pick_all(lab, b);
	assert_in_range(differing(a, b), PICKS * 80 / 100, PICKS);
}

/* All but the source: port, payload, tags, TTL, TCP flags, fragments do not matter to a hash by source. */
static void source_hash_follows_the_source(void **state)
{
	struct lab *lab = *state;
	unsigned int used[MOST_BACKENDS + 1] = {0}, backends = 0;

	apply_ring(lab, "hash: source", 10, 0, NULL);
	lab_resolve_all(lab);
	for (unsigned int n = 0; n < 200; n++) {
		unsigned int first = 0;
		char from[INET_ADDRSTRLEN];

		snprintf(from, sizeof(from), "192.168.9.%u", n);
		for (uint16_t port = 1; port < 20; port++) {
			struct lab_end end;
			struct wire in;

			wire_make(&in, &(struct wire_spec){.from = from, .to = VIP4, .from_port = (uint16_t)(port * 3001),
							   .to_port = 80, .payload = port, .ttl = (uint8_t)port});
			lab_run(lab, &in, &end);
			first = first ? first : backend_of(&end);
			assert_int_equal(backend_of(&end), first);
		}
		used[first]++;
	}
	for (unsigned int b = 1; b <= 10; b++)
		backends += used[b] != 0;
	assert_int_equal(backends, 10);
}

/* Everything that is not of the flow: its backend stays. */
static void flow_hash_follows_the_flow(void **state)
{
	struct lab *lab = *state;
	unsigned int used[MOST_BACKENDS + 1] = {0}, backends = 0;

	apply_ring(lab, "hash: flow", 10, 0, NULL);
	lab_resolve_all(lab);
	for (uint16_t port = 1; port < 300; port++) {
		static const struct wire_spec others[] = {
			{.payload = 0}, {.payload = 900}, {.tags = "q"}, {.tags = "aq"}, {.ttl = 3}, {.options = 12},
			{.fragment = WIRE_IP4_MORE, .payload = 8}, {.fragment = WIRE_IP4_KEEP}, {.padding = 6},
		};
		unsigned int first = 0;

		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
			struct wire_spec spec = others[i];
			struct lab_end end;
			struct wire in;

			spec.from = CLIENT4;
			spec.to = VIP4;
			spec.from_port = port;
			spec.to_port = 80;
			spec.id = port;
			wire_make(&in, &spec);
			lab_run(lab, &in, &end);
			first = first ? first : backend_of(&end);
			assert_int_equal(backend_of(&end), first);
		}
		used[first]++;
	}
	for (unsigned int b = 1; b <= 10; b++)
		backends += used[b] != 0;
	assert_int_equal(backends, 10);
}

static void backend_that_is_lost_leaves_the_ring(void **state)
{
	uint8_t all[PICKS], rest[PICKS], back[PICKS];
	struct lab *lab = *state;
	unsigned int moved = 0;

	apply_ring(lab, "seed: 7", 10, 0, NULL);
	pick_all(lab, all);
	lab_resolve(lab, "10.3.0.4", NULL);
	for (unsigned int n = 0; n < PICKS; n++) {
		rest[n] = (uint8_t)pick_flow(lab, n);
		assert_int_not_equal(rest[n], 4);
		moved += all[n] != 4 && rest[n] != all[n];
	}
	assert_in_range(moved, 0, PICKS * 8 / 100); /* Maglev moves a few of the others */
	pick_all(lab, back);
	assert_int_equal(differing(all, back), 0);
}

static void service_without_a_backend_drops_and_says_so(void **state)
{
	static const unsigned int nothing[2] = {0, 0};
	struct lab *lab = *state;
	struct wire in;
	int wrong = 0;

	make_flow(&in, 1);
	apply_ring(lab, "seed: 99", 2, 0, nothing);
	lab_resolve_all(lab);
	wrong += lab_try_drop(lab, "every weight is 0", &in, HP_NO_BACKEND);
	lab_apply(lab, "services:\n  - {vip: 10.2.0.1, port: 80, backends: [{address: 10.3.1.1}]}\n");
	wrong += lab_try_drop(lab, "its backend was never resolved", &in, HP_NO_BACKEND);
	lab_resolve_all(lab);
	wrong += lab_try(lab, "it is resolved", &in, &(struct lab_want){XDP_TX, HP_FORWARDED, NULL});
	lab_resolve(lab, "10.3.1.1", NULL);
	wrong += lab_try_drop(lab, "it is lost", &in, HP_NO_BACKEND);
	lab_apply(lab, "services: []\n");
	wrong += lab_try_pass(lab, "the service is gone, and the VIP with it", &in, HP_NOT_VIP);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(services_are_told_apart),
		cmocka_unit_test(later_fragments_follow_their_source_or_nothing),
		cmocka_unit_test(flows_are_spread_by_weight),
		cmocka_unit_test(directors_agree),
		cmocka_unit_test(seed_makes_other_picks),
		cmocka_unit_test(source_hash_follows_the_source),
		cmocka_unit_test(flow_hash_follows_the_flow),
		cmocka_unit_test(backend_that_is_lost_leaves_the_ring),
		cmocka_unit_test(service_without_a_backend_drops_and_says_so),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}

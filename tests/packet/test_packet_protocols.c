/* Services of every protocol: what has ports and what has none, fragments, errors that quote it, changes. */
#include "packet/lab.h"

#define BACKENDS "[10.3.0.1, 10.3.0.2, 10.3.0.3, 10.3.0.4, 10.3.0.5]"
#define BACKENDS6 "[\"fd00:3::1\", \"fd00:3::2\", \"fd00:3::3\", \"fd00:3::4\", \"fd00:3::5\"]"
#define ESP IPPROTO_ESP
#define SCTP IPPROTO_SCTP

static const char services[] =
	"services:\n"
	"  - {name: all, vip: 10.2.0.1, protocol: any, backends: " BACKENDS "}\n"
	"  - {name: web, vip: 10.2.0.1, port: 80, backends: [10.3.0.9]}\n"
	"  - {name: dns, vip: 10.2.0.1, port: any, protocol: udp, backends: [10.3.0.8]}\n"
	"  - {name: all6, vip: \"fd00:2::1\", protocol: any, backends: " BACKENDS6 "}\n"
	"  - {name: flow, vip: 10.2.0.2, protocol: any, hash: flow, backends: " BACKENDS "}\n"
	"  - {name: flow6, vip: \"fd00:2::2\", protocol: any, hash: flow, backends: " BACKENDS6 "}\n"
	"  - {name: none, vip: 10.2.0.3, port: 80, backends: [10.3.0.9]}\n";

/* The last byte of the backend's address; 0: not sent, and *verdict says why. */
static unsigned int send_to(struct lab *lab, const struct wire_spec *spec, const char **service, enum hp_verdict *verdict)
{
	struct lab_end end;
	struct wire in;

	wire_make(&in, spec);
	lab_run(lab, &in, &end);
	*verdict = end.verdict;
	*service = end.service ? lab->fleet->service_by_number[end.service]->config->name : "";
	if (end.verdict != HP_FORWARDED && end.verdict != HP_ICMP_FORWARDED)
		return 0;
	assert_memory_equal(end.frame.byte + 14, in.byte + 14, in.bytes - 14);
	return end.frame.byte[5];
}

static void protocols_find_their_service(void **state)
{
	static const struct {
		const char *says, *vip;
		struct wire_spec spec;
		const char *service; /* NULL: passed */
		enum hp_verdict verdict;
	} rows[] = {
		{"TCP of a port of its own", "10.2.0.1", {.protocol = IPPROTO_TCP, .to_port = 80}, "web", HP_FORWARDED},
		{"TCP of another", "10.2.0.1", {.protocol = IPPROTO_TCP, .to_port = 81}, "all", HP_FORWARDED},
		{"UDP of any port", "10.2.0.1", {.protocol = IPPROTO_UDP, .to_port = 81}, "dns", HP_FORWARDED},
		{"SCTP", "10.2.0.1", {.protocol = SCTP, .to_port = 80, .payload = 16}, "all", HP_FORWARDED},
		{"SCTP cut short", "10.2.0.1", {.protocol = SCTP, .to_port = 80}, NULL, HP_MALFORMED},
		{"ESP", "10.2.0.1", {.protocol = ESP, .payload = 40}, "all", HP_FORWARDED},
		{"GRE", "10.2.0.1", {.protocol = IPPROTO_GRE, .payload = 40}, "all", HP_FORWARDED},
		{"AH", "10.2.0.1", {.protocol = IPPROTO_AH, .payload = 40}, "all", HP_FORWARDED},
		{"IP in IP", "10.2.0.1", {.protocol = IPPROTO_IPIP, .payload = 40}, "all", HP_FORWARDED},
		{"number 255", "10.2.0.1", {.protocol = 255, .payload = 4}, "all", HP_FORWARDED},
		{"a ping is answered", "10.2.0.1", {.protocol = IPPROTO_ICMP, .type = 8, .payload = 8}, "", HP_ANSWERED_ECHO},
		{"other ICMP", "10.2.0.1", {.protocol = IPPROTO_ICMP, .type = 13, .payload = 12}, NULL, HP_VIP_OTHER},
		{"a later fragment of ICMP", "10.2.0.1", {.protocol = IPPROTO_ICMP, .fragment = 100, .payload = 8}, NULL,
		 HP_VIP_OTHER},
		{"ICMPv6 in IPv4", "10.2.0.1", {.protocol = IPPROTO_ICMPV6, .payload = 8}, NULL, HP_VIP_OTHER},
		{"a later fragment of TCP, by source", "10.2.0.1", {.fragment = 100, .payload = 8}, "all", HP_FORWARDED},
		{"a later fragment of ESP, by source", "10.2.0.1", {.protocol = ESP, .fragment = 100, .payload = 8}, "all",
		 HP_FORWARDED},
		{"a later fragment of ESP, by flow", "10.2.0.2", {.protocol = ESP, .fragment = 100, .payload = 8}, "flow",
		 HP_FORWARDED},
		{"IPv6, TCP", VIP6, {.protocol = IPPROTO_TCP, .to_port = 80}, "all6", HP_FORWARDED},
		{"IPv6, SCTP", VIP6, {.protocol = SCTP, .to_port = 80, .payload = 16}, "all6", HP_FORWARDED},
		{"IPv6, ESP", VIP6, {.protocol = ESP, .payload = 40}, "all6", HP_FORWARDED},
		{"IPv6, ESP behind options", VIP6, {.protocol = ESP, .chain = "h", .payload = 40}, "all6", HP_FORWARDED},
		{"IPv6, a later fragment of GRE, by flow", "fd00:2::2", {.protocol = IPPROTO_GRE, .chain = "f", .fragment = 100,
		 .payload = 8}, "flow6", HP_FORWARDED},
		{"IPv6, other ICMP", VIP6, {.protocol = IPPROTO_ICMPV6, .type = 137, .payload = 32}, NULL, HP_VIP_OTHER},
		{"a VIP without such a service", "10.2.0.3", {.protocol = ESP, .payload = 40}, NULL, HP_VIP_OTHER},
		{"SCTP there", "10.2.0.3", {.protocol = SCTP, .payload = 40}, NULL, HP_VIP_OTHER},
		{"no VIP", "10.2.0.4", {.protocol = ESP, .payload = 40}, NULL, HP_NOT_VIP},
		{"no VIP, SCTP", "10.2.0.4", {.protocol = SCTP, .payload = 40}, NULL, HP_NOT_VIP},
		{"no IPv6 VIP", "fd00:2::4", {.protocol = ESP, .payload = 40}, NULL, HP_NOT_VIP},
	};
	struct lab *lab = *state;
	int wrong = 0;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_spec spec = rows[i].spec;
		enum hp_verdict verdict;
		const char *service;
		struct wire in;

		spec.from = wire_is4(rows[i].vip) ? CLIENT4 : CLIENT6;
		spec.to = rows[i].vip;
		if (!rows[i].service) {
			wire_make(&in, &spec);
			wrong += lab_try_pass(lab, rows[i].says, &in, rows[i].verdict);
			continue;
		}
		send_to(lab, &spec, &service, &verdict);
		if (verdict == rows[i].verdict && !strcmp(service, rows[i].service))
			continue;
		print_error("    WRONG: %s: %s, service %s\n", rows[i].says, lab_verdict_name(verdict), service);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* IKE and ESP, the first fragments and the later ones, the parts of whatever a client does: one backend. */
static void by_source_a_client_has_one_backend(void **state)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, SCTP, ESP, IPPROTO_GRE, IPPROTO_AH};
	struct lab *lab = *state;
	unsigned int seen = 0;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	for (unsigned int n = 0; n < 200; n++) {
		char client[32];
		enum hp_verdict verdict;
		unsigned int first = 0;
		const char *service;

		snprintf(client, sizeof(client), n & 1 ? "192.168.7.%u" : "fd00:7::%x", n);
		for (size_t i = 0; i < sizeof(protocols) * 2; i++) {
			struct wire_spec spec = {.from = client, .to = n & 1 ? VIP4 : VIP6, .protocol = protocols[i / 2],
						 .from_port = (uint16_t)(n + i), .to_port = 4500, .payload = 40,
						 .chain = i & 1 && !(n & 1) ? "f" : NULL, .fragment = i & 1 ? 100 : 0};
			unsigned int backend = send_to(lab, &spec, &service, &verdict);

			if (protocols[i / 2] == IPPROTO_AH && !(n & 1))
				continue; /* an extension header there, and of no length here */
			assert_int_equal(verdict, HP_FORWARDED);
			first = first ? first : backend;
			assert_int_equal(backend, first);
		}
		seen |= 1u << first;
	}
	assert_int_equal(seen, 0x3e);
}

/* An error about what a backend sent finds it, whatever protocol that was. */
static void errors_find_the_backend(void **state)
{
	static const uint8_t protocols[] = {SCTP, ESP, IPPROTO_GRE};
	static const char *const vips[] = {"10.2.0.1", "10.2.0.2", "fd00:2::1", "fd00:2::2"};
	struct lab *lab = *state;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	for (unsigned int n = 0; n < 240; n++) {
		bool is4 = wire_is4(vips[n % 4]);
		uint8_t protocol = protocols[n % 3];
		uint16_t port = (uint16_t)(1000 + n);
		struct wire_spec there = {.from = is4 ? CLIENT4 : CLIENT6, .to = vips[n % 4], .protocol = protocol,
					  .from_port = port, .to_port = 9, .payload = 40};
		struct wire_spec back = {.from = vips[n % 4], .to = there.from, .protocol = protocol, .from_port = 9,
					 .to_port = port, .payload = 40};
		struct wire_spec error = {.from = is4 ? "192.0.2.1" : "2001:db8::1", .to = vips[n % 4],
					  .protocol = is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, .type = is4 ? 3 : 1, .payload = 60};
		enum hp_verdict verdict;
		const char *service;
		unsigned int backend;
		struct wire quoted;

		wire_make(&quoted, &back);
		error.quote = quoted.byte + quoted.l3;
		backend = send_to(lab, &there, &service, &verdict);
		assert_int_equal(verdict, HP_FORWARDED);
		assert_int_equal(send_to(lab, &error, &service, &verdict), backend);
		assert_int_equal(verdict, HP_ICMP_FORWARDED);
	}
}

/* What was under way stays where it was while the service moves, as flows of UDP do. */
static void flows_without_ports_live_through_changes(void **state)
{
	static const uint8_t protocols[] = {ESP, SCTP, IPPROTO_GRE};
	unsigned int was[60], moved = 0;
	struct lab *lab = *state;
	enum hp_verdict verdict;
	const char *service;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	for (int round = 0; round < 3; round++) {
		for (unsigned int n = 0; n < 60; n++) {
			char client[32];
			struct wire_spec spec = {.from = client, .to = "10.2.0.2", .protocol = protocols[n % 3], .from_port = 7,
						 .to_port = 9, .payload = 40};
			unsigned int backend;

			snprintf(client, sizeof(client), "192.168.9.%u", n);
			backend = send_to(lab, &spec, &service, &verdict);
			assert_int_equal(verdict, HP_FORWARDED);
			if (!round)
				was[n] = backend;
			else if (round == 1)
				assert_int_equal(backend, was[n]);
			moved += round == 2 && backend != was[n];
		}
		if (!round) {
			lab->keeps_moving = true;
			lab_apply(lab, "services:\n  - {name: flow, vip: 10.2.0.2, protocol: any, hash: flow, "
				       "backends: [10.3.0.1, 10.3.0.2]}\n");
		} else if (round == 1) {
			lab->keeps_moving = false;
			assert_true(lab->fleet->services->motion.flags & HP_MOTION_MOVING);
			lab_rest(lab);
		}
	}
	assert_true(moved > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protocols_find_their_service),
		cmocka_unit_test(by_source_a_client_has_one_backend),
		cmocka_unit_test(errors_find_the_backend),
		cmocka_unit_test(flows_without_ports_live_through_changes),
	};

	return cmocka_run_group_tests_name("protocols", tests, lab_open, lab_close);
}

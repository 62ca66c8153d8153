/* ICMP errors about a VIP's answers: they follow the flow that they quote, to its very backend, and create nothing. */
#include "packet/lab.h"

#define BACKENDS 8

/* Services that pick among eight backends: l2 and tunnels, both families, by flow and by source. */
static const struct service_row {
	const char *says, *vip, *forward, *hash, *backends;
	uint8_t protocol;
	bool backends4;
} services[] = {
	{"l2", "10.2.0.1", "l2", "flow", "10.3.0.", IPPROTO_TCP, true},
	{"l2 with IPv6", "fd00:2::1", "l2", "flow", "fd00:3::", IPPROTO_TCP, false},
	{"UDP", "10.2.0.1", "l2", "flow", "10.3.0.", IPPROTO_UDP, true},
	{"UDP with IPv6", "fd00:2::1", "l2", "flow", "fd00:3::", IPPROTO_UDP, false},
	{"l2 by source", "10.2.0.2", "l2", "source", "10.3.0.", IPPROTO_TCP, true},
	{"l2 by source with IPv6", "fd00:2::2", "l2", "source", "fd00:3::", IPPROTO_TCP, false},
	{"IPv4 in IPv4", "10.2.0.3", "ipip", "flow", "10.3.0.", IPPROTO_TCP, true},
	{"IPv6 in IPv4", "fd00:2::3", "ipip", "flow", "10.3.0.", IPPROTO_TCP, true},
	{"IPv4 in IPv6", "10.2.0.4", "ipip", "source", "fd00:3::", IPPROTO_UDP, false},
	{"IPv6 in IPv6", "fd00:2::4", "ipip", "flow", "fd00:3::", IPPROTO_UDP, false},
	{"GUE, IPv4 in IPv4", "10.2.0.5", "gue", "flow", "10.3.0.", IPPROTO_TCP, true},
	{"GUE, IPv6 in IPv6", "fd00:2::5", "gue", "source", "fd00:3::", IPPROTO_TCP, false},
};

#define SERVICES (sizeof(services) / sizeof(services[0]))

static int open_with_services(void **state)
{
	char text[16000] = "services:\n";
	size_t at = strlen(text);
	int failed = lab_open(state);

	if (failed)
		return failed;
	for (size_t i = 0; i < SERVICES; i++) {
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "  - vip: \"%s\"\n    port: 80\n    protocol: %s\n    forward: %s\n    hash: %s\n"
				       "    slots: 1009\n    backends:\n",
				       services[i].vip, services[i].protocol == IPPROTO_TCP ? "tcp" : "udp",
				       services[i].forward, services[i].hash);
		for (int b = 1; b <= BACKENDS; b++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "      - address: \"%s%d\"\n",
					       services[i].backends, b);
	}
	lab_apply(*state, text);
	lab_resolve_all(*state);
	return 0;
}

/* The packet that met the error: an answer of the VIP's, going to the client. */
struct quote {
	struct wire whole; /* with a link header, which is not quoted */
	struct wire_spec spec;
};

static void make_quote(struct quote *quote, const struct service_row *row, uint16_t client_port, struct wire_spec more)
{
	more.from = more.from ? more.from : row->vip;
	more.to = more.to ? more.to : wire_is4(row->vip) ? CLIENT4 : CLIENT6;
	more.from_port = more.from_port ? more.from_port : 80;
	more.to_port = client_port;
	more.protocol = more.protocol ? more.protocol : row->protocol;
	more.payload = more.payload ? more.payload : 1200;
	quote->spec = more;
	wire_make(&quote->whole, &more);
}

/* An error from a router on the way, which quotes `bytes` of the packet. */
static void make_error(struct wire *out, const struct service_row *row, const struct quote *quote, uint32_t bytes,
		       struct wire_spec more)
{
	bool is4 = wire_is4(row->vip);

	more.from = more.from ? more.from : is4 ? "192.0.2.1" : "2001:db8::1";
	more.to = more.to ? more.to : row->vip;
	more.protocol = is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	more.type = more.type ? more.type : is4 ? 3 : 2;
	more.code = is4 && more.type == 3 ? 4 : 0;
	more.rest = 1300;
	more.payload = bytes;
	more.quote = quote->whole.byte + quote->whole.l3;
	wire_make(out, &more);
}

/* Where the client's own packet of this flow goes: the backend's last byte. */
static unsigned int backend_of(const struct service_row *row, const struct lab_end *end)
{
	if (!strcmp(row->forward, "l2"))
		return end->frame.byte[5];
	return end->frame.byte[14 + (row->backends4 ? 19 : 39)];
}

static unsigned int pick(struct lab *lab, const struct service_row *row, uint16_t client_port, const char *client)
{
	struct wire_spec spec = {.from = client ? client : wire_is4(row->vip) ? CLIENT4 : CLIENT6, .to = row->vip,
				 .from_port = client_port, .to_port = 80, .protocol = row->protocol};
	struct lab_end end;
	struct wire in;

	wire_make(&in, &spec);
	lab_run(lab, &in, &end);
	assert_int_equal(end.verdict, HP_FORWARDED);
	return backend_of(row, &end);
}

/* The backend that a GUE header names for a second chance, which the services have since their backends became usable one
 * after another; NULL: none. */
static const char *alternate_of(const struct service_row *row, const struct wire *frame, char text[static 64])
{
	const uint8_t *gue = frame->byte + 14 + (row->backends4 ? 20 : 40) + 8;

	if (gue[0] != 5)
		return NULL;
	inet_ntop(row->backends4 ? AF_INET : AF_INET6, gue + (row->backends4 ? 20 : 8), text, 64);
	assert_int_equal(strncmp(text, row->backends, strlen(row->backends)), 0);
	return text;
}

/* The error must go, byte for byte, where the flow goes. */
static int try_follows(struct lab *lab, const char *says, const struct service_row *row, const struct wire *error,
		       unsigned int backend)
{
	char address[64], alternate[64];
	uint8_t mac[6];
	struct wire_way way = {.mac_to = mac, .mac_from = wire_mac_director};
	struct lab_end end;
	struct wire out;

	snprintf(address, sizeof(address), "%s%u", row->backends, backend);
	lab_mac(address, mac);
	if (strcmp(row->forward, "l2")) {
		way.outer_from = row->backends4 ? DIRECTOR4 : DIRECTOR6;
		way.outer_to = address;
	}
	way.is_gue = !strcmp(row->forward, "gue");
	lab_run(lab, error, &end);
	way.alternate = way.is_gue ? alternate_of(row, &end.frame, alternate) : NULL;
	wire_expect(&out, error, &way, &end.frame);
	return lab_judge(says, &end, &(struct lab_want){XDP_TX, HP_ICMP_FORWARDED, &out});
}

/* Every kind of error x every service x twenty clients. */
static void errors_follow_the_flow_that_they_quote(void **state)
{
	static const uint8_t types4[] = {3, 11, 12}, types6[] = {1, 2, 3, 4};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < SERVICES; i++) {
		bool is4 = wire_is4(services[i].vip);
		unsigned int used = 0;

		for (unsigned int n = 0; n < 60; n++) {
			uint8_t type = is4 ? types4[n % 3] : types6[n % 4];
			uint16_t port = (uint16_t)(1000 + n * 977);
			unsigned int backend = pick(lab, &services[i], port, NULL);
			struct wire error;
			struct quote quote;
			char says[128];

			used |= 1u << backend;
			make_quote(&quote, &services[i], port, (struct wire_spec){0});
			make_error(&error, &services[i], &quote, 500, (struct wire_spec){.type = type, .tags = n % 5 ? "" : "q"});
			snprintf(says, sizeof(says), "%s, type %u", services[i].says, type);
			wrong += try_follows(lab, says, &services[i], &error, backend);
		}
		assert_true(!strcmp(services[i].hash, "source") || __builtin_popcount(used) == BACKENDS);
	}
	assert_int_equal(wrong, 0);
}

/* A client of its own for each error, for the services that hash by source. */
static void errors_follow_the_client_where_the_source_is_hashed(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < SERVICES; i++)
		for (unsigned int n = 1; n < 40; n++) {
			struct wire_spec more = {0};
			struct wire error;
			struct quote quote;
			char client[64];

			snprintf(client, sizeof(client), wire_is4(services[i].vip) ? "192.168.7.%u" : "fd00:7::%u", n);
			more.to = client;
			make_quote(&quote, &services[i], 5000, more);
			make_error(&error, &services[i], &quote, 500, (struct wire_spec){0});
			wrong += try_follows(lab, services[i].says, &services[i], &error, pick(lab, &services[i], 5000, client));
		}
	assert_int_equal(wrong, 0);
}

static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};

/* What quotes may look like, for services 0 (IPv4) and 1 (IPv6). */
static void quotes_are_read_through(void **state)
{
	static const struct {
		const char *says;
		bool is6;
		struct wire_spec quote, error;
		uint32_t bytes; /* quoted, from the IP header */
		enum hp_verdict verdict;
	} rows[] = {
		{"the ports and nothing more", false, {0}, {0}, 28, HP_ICMP_FORWARDED},
		{"the ports and nothing more", true, {0}, {0}, 48, HP_ICMP_FORWARDED},
		{"the very ports", false, {0}, {.padding = 10}, 24, HP_ICMP_FORWARDED},
		{"one byte of the ports is missing", false, {0}, {.padding = 10}, 23, HP_MALFORMED},
		{"one byte of the ports is missing", true, {0}, {.padding = 10}, 43, HP_MALFORMED},
		{"one byte of the quoted header is missing", false, {0}, {0}, 19, HP_MALFORMED},
		{"one byte of the quoted header is missing", true, {0}, {0}, 39, HP_MALFORMED},
		{"nothing is quoted", false, {0}, {0}, 0, HP_MALFORMED},
		{"nothing is quoted", true, {0}, {0}, 0, HP_MALFORMED},
		{"a quoted packet with options", false, {.options = 24}, {0}, 100, HP_ICMP_FORWARDED},
		{"an error with options", false, {0}, {.options = 12}, 100, HP_ICMP_FORWARDED},
		{"both with options", false, {.options = 40}, {.options = 40}, 100, HP_ICMP_FORWARDED},
		{"a quoted packet with extension headers", true, {.chain = "hdrD"}, {0}, 200, HP_ICMP_FORWARDED},
		{"an error with extension headers", true, {0}, {.chain = "hD"}, 200, HP_ICMP_FORWARDED},
		{"both, as many as are followed", true, {.chain = "hdraDd"}, {.chain = "hdraDd"}, 300, HP_ICMP_FORWARDED},
		{"a quoted packet with too many", true, {.chain = "hdraDdd"}, {0}, 300, HP_VIP_OTHER},
		{"a first fragment is quoted", false, {.fragment = WIRE_IP4_MORE}, {0}, 100, HP_ICMP_FORWARDED},
		{"a first fragment is quoted", true, {.chain = "f", .fragment = WIRE_IP4_MORE}, {0}, 100, HP_ICMP_FORWARDED},
		{"an atomic fragment is quoted", true, {.chain = "f"}, {0}, 100, HP_ICMP_FORWARDED},
		{"a later fragment is quoted", false, {.fragment = 7}, {0}, 100, HP_VIP_OTHER},
		{"a later fragment is quoted", true, {.chain = "f", .fragment = 7}, {0}, 100, HP_VIP_OTHER},
		{"another packet than the VIP's is quoted", false, {.from = "10.2.0.99"}, {0}, 100, HP_VIP_OTHER},
		{"another VIP's packet is quoted", false, {.from = "10.2.0.2"}, {0}, 100, HP_VIP_OTHER},
		{"another packet than the VIP's is quoted", true, {.from = "fd00:2::99"}, {0}, 100, HP_VIP_OTHER},
		{"the error is not for a VIP", false, {0}, {.to = "10.2.0.99"}, 100, HP_NOT_VIP},
		{"the error is not for a VIP", true, {0}, {.to = "fd00:2::99"}, 100, HP_NOT_VIP},
		{"a port of no service", false, {.from_port = 81}, {0}, 100, HP_VIP_OTHER},
		{"a port of no service", true, {.from_port = 81}, {0}, 100, HP_VIP_OTHER},
		{"an error about an error", false, {.protocol = IPPROTO_ICMP, .type = 3}, {0}, 100, HP_VIP_OTHER},
		{"an error about a ping's answer", true, {.protocol = IPPROTO_ICMPV6, .type = 129}, {0}, 100, HP_VIP_OTHER},
		{"an error by broadcast", false, {0}, {.mac_to = broadcast}, 100, HP_NOT_IP},
		{"a redirect", false, {0}, {.type = 5}, 100, HP_VIP_OTHER},
		{"a source quench", false, {0}, {.type = 4}, 100, HP_VIP_OTHER},
		{"a router solicitation", true, {0}, {.type = 133}, 100, HP_VIP_OTHER},
		{"a redirect", true, {0}, {.type = 137}, 100, HP_VIP_OTHER},
		{"an error of a type unknown", true, {0}, {.type = 100}, 100, HP_VIP_OTHER},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct service_row *row = &services[rows[i].is6 ? 1 : 0];
		struct wire error;
		struct quote quote;

		make_quote(&quote, row, 7777, rows[i].quote);
		make_error(&error, row, &quote, rows[i].bytes, rows[i].error);
		if (rows[i].verdict == HP_ICMP_FORWARDED)
			wrong += try_follows(lab, rows[i].says, row, &error, pick(lab, row, 7777, NULL));
		else
			wrong += lab_try_pass(lab, rows[i].says, &error, rows[i].verdict);
	}
	assert_int_equal(wrong, 0);
}

static void errors_with_broken_quotes_pass(void **state)
{
	static const struct {
		const char *says;
		bool is6;
		unsigned int at; /* from the quoted header */
		uint8_t value;
	} rows[] = {
		{"quoted version 5", false, 0, 0x55},    {"quoted version 6", false, 0, 0x65},
		{"a quoted header of 4 words", false, 0, 0x44}, {"quoted version 4", true, 0, 0x40},
		{"quoted version 0", true, 0, 0x00},
	};
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct service_row *row = &services[rows[i].is6 ? 1 : 0];
		struct wire error;
		struct quote quote;

		make_quote(&quote, row, 7777, (struct wire_spec){0});
		make_error(&error, row, &quote, 100, (struct wire_spec){0});
		error.byte[error.l4 + 8 + rows[i].at] = rows[i].value;
		wrong += lab_try_pass(lab, rows[i].says, &error, HP_MALFORMED);
	}
	assert_int_equal(wrong, 0);
}

/* A frame cut anywhere is not whole, whatever it quotes. */
static void errors_that_are_cut_pass(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (int i = 0; i < 2; i++) {
		struct wire error;
		struct quote quote;

		make_quote(&quote, &services[i], 7777, (struct wire_spec){.chain = i ? "hd" : NULL, .options = i ? 0 : 8});
		make_error(&error, &services[i], &quote, 100, (struct wire_spec){.tags = "q"});
		while (--error.bytes >= 14)
			wrong += lab_try_pass(lab, services[i].says, &error, HP_MALFORMED);
	}
	assert_int_equal(wrong, 0);
}

/* What the backend sends itself is no loop, what it sends back is; too long is too long. */
static void errors_meet_the_loop_guard_and_the_mtu(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < SERVICES; i++) {
		unsigned int backend = pick(lab, &services[i], 7777, NULL);
		struct adjacency facts;
		struct wire error;
		struct quote quote;
		char address[64];
		uint8_t mac[6];

		snprintf(address, sizeof(address), "%s%u", services[i].backends, backend);
		lab_mac(address, mac);
		make_quote(&quote, &services[i], 7777, (struct wire_spec){0});
		make_error(&error, &services[i], &quote, 500, (struct wire_spec){.mac_from = mac});
		wrong += lab_try_drop(lab, "an error that its backend sent back", &error, HP_LOOPED);
		if (wire_is4(address) == wire_is4(services[i].vip)) {
			make_error(&error, &services[i], &quote, 500, (struct wire_spec){.mac_from = mac, .from = address});
			wrong += try_follows(lab, services[i].says, &services[i], &error, backend);
		}
		make_error(&error, &services[i], &quote, 500, (struct wire_spec){0});
		facts = lab_facts(lab, address);
		facts.mtu = 500;
		lab_resolve(lab, address, &facts);
		wrong += lab_try_drop(lab, "an error longer than the path takes", &error, HP_TOO_BIG);
		facts.mtu = 1500;
		lab_resolve(lab, address, &facts);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_follow_the_flow_that_they_quote),
		cmocka_unit_test(errors_follow_the_client_where_the_source_is_hashed),
		cmocka_unit_test(quotes_are_read_through),
		cmocka_unit_test(errors_with_broken_quotes_pass),
		cmocka_unit_test(errors_that_are_cut_pass),
		cmocka_unit_test(errors_meet_the_loop_guard_and_the_mtu),
	};

	return cmocka_run_group_tests(tests, open_with_services, lab_close);
}

/* Answer: ARP, neighbour solicitation and ping for a VIP, the answers composed apart; and all that gets none. */
#include "packet/lab.h"

#define DOWN4 "10.2.0.9" /* VIPs whose service has no usable backend */
#define DOWN6 "fd00:2::9"
#define OTHER4 "10.2.0.77" /* no VIPs */
#define OTHER6 "fd00:2::77"

static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
static const uint8_t all_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t solicited_node[6] = {0x33, 0x33, 0xff, 0, 0, 1};
static const uint8_t asker[6] = {2, 0, 0, 0, 1, 1};

static int open_with_services(void **state)
{
	struct adjacency facts;
	int failed = lab_open(state);

	if (failed)
		return failed;
	lab_open_capture(*state, "answer");
	lab_apply(*state, "services:\n"
			  "  - {vip: 10.2.0.1, port: 80, backends: [{address: 10.3.0.1}]}\n"
			  "  - {vip: 10.2.0.1, port: 81, backends: [{address: 10.3.0.9}]}\n"
			  "  - {vip: 10.2.0.9, port: 80, backends: [{address: 10.3.0.9}]}\n"
			  "  - {vip: \"fd00:2::1\", port: 80, backends: [{address: \"fd00:3::1\"}]}\n"
			  "  - {vip: \"fd00:2::9\", port: 80, backends: [{address: \"fd00:3::9\"}]}\n");
	facts = lab_facts(*state, "10.3.0.1");
	lab_resolve(*state, "10.3.0.1", &facts);
	facts = lab_facts(*state, "fd00:3::1");
	lab_resolve(*state, "fd00:3::1", &facts);
	return 0;
}

/* Run a frame that has to become `answer` by this verdict, or NULL: pass as it came; keep the answer. */
static int try_answer(struct lab *lab, const char *says, const struct wire *in, enum hp_verdict verdict,
		      const struct wire *answer, const char *addresses)
{
	struct lab_end end;

	if (!answer)
		return lab_try_pass(lab, says, in, verdict);
	lab_run(lab, in, &end);
	lab_keep(lab, &end.frame, addresses);
	return lab_judge(says, &end, &(struct lab_want){XDP_TX, verdict, answer});
}

/* ---- ARP -------------------------------------------------------------------------------------------------------- */

struct arp_row {
	const char *says;
	struct wire_arp arp; /* what is NULL is the usual: a broadcast request of the asker for the VIP */
	unsigned int at;     /* not 0: this byte of the ARP header is `value` */
	uint8_t value;
	enum hp_verdict verdict;
};

static const struct arp_row arp_rows[] = {
	{"who has the VIP", {0}, 0, 0, HP_ANSWERED_ARP},
	{"the same, padded", {.padding = 18}, 0, 0, HP_ANSWERED_ARP},
	{"the same, tagged", {.tags = "q"}, 0, 0, HP_ANSWERED_ARP},
	{"the same, tagged twice and padded", {.tags = "aq", .padding = 10}, 0, 0, HP_ANSWERED_ARP},
	{"asked of the director alone", {.mac_to = wire_mac_director}, 0, 0, HP_ANSWERED_ARP},
	{"a probe: is anybody the VIP", {.sender = "0.0.0.0"}, 0, 0, HP_ANSWERED_ARP},
	{"from an unusual station", {.mac_from = wire_mac_router}, 0, 0, HP_ANSWERED_ARP},
	{"the VIP is announced by a request", {.sender = VIP4}, 0, 0, HP_VIP_SILENT},
	{"the VIP is announced by a reply", {.operation = 2, .sender = VIP4}, 0, 0, HP_NOT_VIP},
	{"a reply to the VIP", {.operation = 2}, 0, 0, HP_NOT_VIP},
	{"who has a VIP that is down", {.target = DOWN4}, 0, 0, HP_VIP_SILENT},
	{"who has another address", {.target = OTHER4}, 0, 0, HP_NOT_VIP},
	{"the VIP asks for another address", {.sender = VIP4, .target = OTHER4}, 0, 0, HP_NOT_VIP},
	{"of other hardware", {0}, 1, 6, HP_NOT_VIP},
	{"of another protocol", {0}, 2, 0x86, HP_NOT_VIP},
	{"hardware addresses of 8 bytes", {0}, 4, 8, HP_NOT_VIP},
	{"protocol addresses of 16 bytes", {0}, 5, 16, HP_NOT_VIP},
	{"operation 0", {0}, 7, 0, HP_NOT_VIP},
	{"operation 0x0101", {0}, 6, 1, HP_NOT_VIP},
};

#define ARP_ROWS (sizeof(arp_rows) / sizeof(arp_rows[0]))

static void make_arp(struct wire *in, struct wire *out, const struct arp_row *row)
{
	struct wire_arp arp = row->arp, answer;

	arp.operation = arp.operation ? arp.operation : 1;
	arp.sender = arp.sender ? arp.sender : "10.2.0.254";
	arp.target = arp.target ? arp.target : VIP4;
	arp.mac_sender = asker;
	arp.mac_to = arp.mac_to ? arp.mac_to : broadcast;
	arp.mac_from = arp.mac_from ? arp.mac_from : asker;
	wire_make_arp(in, &arp);
	if (row->at)
		in->byte[in->l3 + row->at] = row->value;
	answer = arp;
	answer.operation = 2;
	answer.sender = arp.target;
	answer.target = arp.sender;
	answer.mac_sender = wire_mac_director;
	answer.mac_target = asker;
	answer.mac_to = arp.mac_from;
	answer.mac_from = wire_mac_director;
	wire_make_arp(out, &answer);
}

static void arp_is_answered_for_a_vip_that_is_up(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < ARP_ROWS; i++) {
		bool answered = arp_rows[i].verdict == HP_ANSWERED_ARP;
		struct wire in, out;

		make_arp(&in, &out, &arp_rows[i]);
		wrong += try_answer(lab, arp_rows[i].says, &in, arp_rows[i].verdict, answered ? &out : NULL, "\t\t\t");
		for (in.bytes = in.l3 + 27; answered && in.bytes >= 14; in.bytes--)
			wrong += lab_try_pass(lab, "the same, cut", &in, HP_MALFORMED);
	}
	assert_int_equal(wrong, 0);
}

/* ---- neighbour solicitation ---------------------------------------------------------------------------------------- */

struct nd_row {
	const char *says;
	const char *target;
	struct wire_spec spec; /* payload: of the message behind the first 8 bytes; 0 is target and MAC option */
	enum hp_verdict verdict;
};

static const struct nd_row nd_rows[] = {
	{"who has the VIP", VIP6, {0}, HP_ANSWERED_ND},
	{"the same, padded", VIP6, {.padding = 8}, HP_ANSWERED_ND},
	{"the same, tagged", VIP6, {.tags = "q"}, HP_ANSWERED_ND},
	{"the same, tagged twice", VIP6, {.tags = "aq"}, HP_ANSWERED_ND},
	{"without the asker's MAC", VIP6, {.payload = 16}, HP_ANSWERED_ND},
	{"without the asker's MAC, padded", VIP6, {.payload = 16, .padding = 5}, HP_ANSWERED_ND},
	{"without the asker's MAC, tagged", VIP6, {.payload = 16, .tags = "q"}, HP_ANSWERED_ND},
	{"with one option more", VIP6, {.payload = 32}, HP_ANSWERED_ND},
	{"with two options more, tagged and padded", VIP6, {.payload = 40, .tags = "q", .padding = 3}, HP_ANSWERED_ND},
	{"asked of the director alone", VIP6, {.mac_to = wire_mac_director, .to = VIP6, .payload = 16}, HP_ANSWERED_ND},
	{"duplicate address detection", VIP6, {.from = "::", .payload = 16}, HP_ANSWERED_ND},
	{"the same with a nonce", VIP6, {.from = "::", .payload = 24}, HP_ANSWERED_ND},
	{"from a link-local address", VIP6, {.from = "fe80::1"}, HP_ANSWERED_ND},
	{"from a multicast address", VIP6, {.from = "ff02::1"}, HP_VIP_SILENT},
	{"from the VIP itself", VIP6, {.from = VIP6}, HP_VIP_SILENT},
	{"hop limit 254: it crossed a router", VIP6, {.ttl = 254}, HP_NOT_VIP},
	{"hop limit 1", VIP6, {.ttl = 1}, HP_NOT_VIP},
	{"a code", VIP6, {.code = 1}, HP_NOT_VIP},
	{"behind hop-by-hop options", VIP6, {.chain = "h"}, HP_NOT_VIP},
	{"an atomic fragment (RFC 6980)", VIP6, {.chain = "f"}, HP_NOT_VIP},
	{"one byte short of a target", VIP6, {.payload = 15, .padding = 20}, HP_MALFORMED},
	{"no target at all", VIP6, {.payload = 1, .padding = 40}, HP_MALFORMED},
	{"who has a VIP that is down", DOWN6, {0}, HP_VIP_SILENT},
	{"who has another address", OTHER6, {0}, HP_NOT_VIP},
	{"an advertisement for the VIP", VIP6, {.type = 136}, HP_NOT_VIP},
	{"an advertisement to the VIP", VIP6, {.type = 136, .to = VIP6}, HP_VIP_OTHER},
};

#define ND_ROWS (sizeof(nd_rows) / sizeof(nd_rows[0]))

/* Target, then options, each of which is whole: MAC addresses (of the kind given) and padding-like nonces. */
static void put_nd(uint8_t body[static 64], const char *target, uint8_t kind, const uint8_t mac[static 6])
{
	memset(body, 0, 64);
	wire_put_address(body, target);
	body[16] = kind;
	body[17] = 1;
	memcpy(body + 18, mac, 6);
	for (int at = 24; at < 64; at += 8) {
		body[at] = 14; /* a nonce (RFC 3971) */
		body[at + 1] = 1;
	}
}

static void make_nd(struct wire *in, struct wire *out, const struct nd_row *row)
{
	struct wire_spec ask = row->spec, answer = {0};
	uint8_t body[64];
	bool no_address;

	put_nd(body, row->target, ask.from && ask.payload == 24 ? 14 : 1, asker);
	ask.protocol = answer.protocol = IPPROTO_ICMPV6;
	ask.type = ask.type ? ask.type : 135;
	ask.from = ask.from ? ask.from : "fd00:2::fe";
	ask.to = ask.to ? ask.to : "ff02::1:ff00:1";
	ask.mac_to = ask.mac_to ? ask.mac_to : solicited_node;
	ask.mac_from = asker;
	ask.ttl = ask.ttl ? ask.ttl : 255;
	ask.payload = ask.payload ? ask.payload : 24;
	ask.quote = body;
	wire_make(in, &ask);
	no_address = !strcmp(ask.from, "::");
	put_nd(body, row->target, 2, wire_mac_director);
	answer.type = 136;
	answer.rest = no_address ? 0x20000000 : 0x60000000;
	answer.from = row->target;
	answer.to = no_address ? "ff02::1" : ask.from;
	answer.mac_to = no_address ? all_nodes : asker;
	answer.mac_from = wire_mac_director;
	answer.ttl = 255;
	answer.payload = 24;
	answer.quote = body;
	answer.tags = ask.tags;
	answer.padding = ask.padding;
	wire_make(out, &answer);
}

/* What pads a frame is not of the packet: only its length is kept. */
static void clear_padding(struct wire *frame)
{
	uint32_t whole = frame->l3 + 40 + wire_get16(frame->byte + frame->l3 + 4);

	memset(frame->byte + whole, 0, frame->bytes - whole);
}

static void solicitation_is_answered_for_a_vip_that_is_up(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < ND_ROWS; i++) {
		const char *from = nd_rows[i].spec.from ? nd_rows[i].spec.from : "fd00:2::fe";
		char addresses[128];
		struct lab_end end;
		struct wire in, out;

		make_nd(&in, &out, &nd_rows[i]);
		if (nd_rows[i].verdict != HP_ANSWERED_ND) {
			wrong += lab_try_pass(lab, nd_rows[i].says, &in, nd_rows[i].verdict);
			continue;
		}
		lab_run(lab, &in, &end);
		end.frame.l3 = out.l3;
		if (end.frame.bytes == out.bytes)
			clear_padding(&end.frame);
		clear_padding(&out);
		snprintf(addresses, sizeof(addresses), "\t\t%s\t%s", VIP6, strcmp(from, "::") ? from : "ff02::1");
		lab_keep(lab, &end.frame, addresses);
		wrong += lab_judge(nd_rows[i].says, &end, &(struct lab_want){XDP_TX, HP_ANSWERED_ND, &out});
		for (in.bytes -= nd_rows[i].spec.padding + 1; in.bytes >= 14; in.bytes--)
			wrong += lab_try_pass(lab, "the same, cut", &in, HP_MALFORMED);
	}
	assert_int_equal(wrong, 0);
}

/* ---- where VIPs are not announced ------------------------------------------------------------------------------------ */

static void nothing_is_announced_where_it_is_not_wanted(void **state)
{
	struct lab *lab = *state;
	static const struct hp_interface quiet = {.mac = {2, 0, 0, 0, 2, 10}}, loud = {.mac = {2, 0, 0, 0, 2, 10}, .announce = 1};
	struct wire arp, nd, out;
	struct lab_end end;
	struct err e;
	int wrong = 0;

	make_arp(&arp, &out, &arp_rows[0]);
	make_nd(&nd, &out, &nd_rows[0]);
	lab_run_by(lab, &arp, lab->out, &end);
	wrong += lab_judge("ARP on a port that is not listed", &end, &(struct lab_want){XDP_PASS, HP_VIP_SILENT, &arp});
	lab_run_by(lab, &nd, lab->out, &end);
	wrong += lab_judge("ND on a port that is not listed", &end, &(struct lab_want){XDP_PASS, HP_VIP_SILENT, &nd});
	assert_int_equal(dataplane_interface_set(&lab->plane, lab->in, &quiet, &e), 0);
	wrong += lab_try_pass(lab, "ARP, announce: none", &arp, HP_VIP_SILENT);
	wrong += lab_try_pass(lab, "ND, announce: none", &nd, HP_VIP_SILENT);
	assert_int_equal(dataplane_interface_set(&lab->plane, lab->in, &loud, &e), 0);
	wrong += lab_try(lab, "ARP, announce: all", &arp, &(struct lab_want){XDP_TX, HP_ANSWERED_ARP, NULL});
	assert_int_equal(wrong, 0);
}

/* ---- ping --------------------------------------------------------------------------------------------------------- */

static const uint8_t zeros[64];

static const struct {
	const char *says;
	bool is6;
	struct wire_spec spec;
	enum hp_verdict verdict;
} echo_rows[] = {
	{"ping", false, {.payload = 56}, HP_ANSWERED_ECHO},
	{"ping", true, {.payload = 56}, HP_ANSWERED_ECHO},
	{"ping without data", false, {.padding = 18}, HP_ANSWERED_ECHO},
	{"ping without data", true, {0}, HP_ANSWERED_ECHO},
	{"ping of one byte", false, {.payload = 1, .padding = 17}, HP_ANSWERED_ECHO},
	{"ping of an odd number of bytes", true, {.payload = 1001}, HP_ANSWERED_ECHO},
	{"ping that fills 1500 bytes", false, {.payload = 1472}, HP_ANSWERED_ECHO},
	{"ping that fills 1500 bytes", true, {.payload = 1452}, HP_ANSWERED_ECHO},
	{"ping of nothing but zeros", false, {.payload = 20, .quote = zeros}, HP_ANSWERED_ECHO},
	{"ping of nothing but zeros", true, {.payload = 20, .quote = zeros}, HP_ANSWERED_ECHO},
	{"ping, tagged", false, {.payload = 56, .tags = "q"}, HP_ANSWERED_ECHO},
	{"ping, tagged twice", true, {.payload = 56, .tags = "aq"}, HP_ANSWERED_ECHO},
	{"ping with TTL 1", false, {.payload = 56, .ttl = 1}, HP_ANSWERED_ECHO},
	{"ping with TTL 255", false, {.payload = 56, .ttl = 255}, HP_ANSWERED_ECHO},
	{"ping with hop limit 1", true, {.payload = 56, .ttl = 1}, HP_ANSWERED_ECHO},
	{"ping not to be fragmented", false, {.payload = 56, .fragment = WIRE_IP4_KEEP}, HP_ANSWERED_ECHO},
	{"first fragment of a ping", false, {.payload = 56, .fragment = WIRE_IP4_MORE}, HP_VIP_SILENT},
	{"first fragment of a ping", true, {.payload = 56, .chain = "f", .fragment = WIRE_IP4_MORE}, HP_VIP_SILENT},
	{"ping with IP options, a source route perhaps", false, {.payload = 56, .options = 8}, HP_VIP_SILENT},
	{"ping with a routing header", true, {.payload = 56, .chain = "r"}, HP_VIP_SILENT},
	{"ping with a hop-by-hop header", true, {.payload = 56, .chain = "h"}, HP_VIP_SILENT},
	{"ping to a VIP that is down", false, {.payload = 56, .to = DOWN4}, HP_VIP_SILENT},
	{"ping to a VIP that is down", true, {.payload = 56, .to = DOWN6}, HP_VIP_SILENT},
	{"ping to another address", false, {.payload = 56, .to = OTHER4}, HP_NOT_VIP},
	{"ping to another address", true, {.payload = 56, .to = OTHER6}, HP_NOT_VIP},
	{"ping by broadcast", false, {.payload = 56, .mac_to = broadcast}, HP_VIP_SILENT},
	{"ping by multicast", true, {.payload = 56, .mac_to = all_nodes}, HP_VIP_SILENT},
	{"ping from a multicast address", false, {.payload = 56, .from = "224.0.0.1"}, HP_VIP_SILENT},
	{"ping from the broadcast address", false, {.payload = 56, .from = "255.255.255.255"}, HP_VIP_SILENT},
	{"ping from no address", false, {.payload = 56, .from = "0.0.0.0"}, HP_VIP_SILENT},
	{"ping from a loopback address", false, {.payload = 56, .from = "127.0.0.1"}, HP_VIP_SILENT},
	{"ping from the VIP itself", false, {.payload = 56, .from = VIP4}, HP_VIP_SILENT},
	{"ping from a multicast address", true, {.payload = 56, .from = "ff02::1"}, HP_VIP_SILENT},
	{"ping from no address", true, {.payload = 56, .from = "::"}, HP_VIP_SILENT},
	{"ping from the loopback address", true, {.payload = 56, .from = "::1"}, HP_VIP_SILENT},
	{"ping from the VIP itself", true, {.payload = 56, .from = VIP6}, HP_VIP_SILENT},
	{"an answer to a ping", false, {.payload = 56, .type = 255}, HP_VIP_OTHER},
	{"an answer to a ping", true, {.payload = 56, .type = 129}, HP_VIP_OTHER},
};

#define ECHO_ROWS (sizeof(echo_rows) / sizeof(echo_rows[0]))

static void make_echo(struct wire *in, struct wire *out, struct wire_spec ask, bool is6)
{
	struct wire_spec answer;

	ask.protocol = is6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	ask.type = ask.type == 255 ? 0 : ask.type ? ask.type : is6 ? 128 : 8;
	ask.from = ask.from ? ask.from : is6 ? CLIENT6 : CLIENT4;
	ask.to = ask.to ? ask.to : is6 ? VIP6 : VIP4;
	ask.mac_to = ask.mac_to ? ask.mac_to : wire_mac_director;
	ask.mac_from = wire_mac_router;
	ask.rest = ask.quote ? 0 : 0x00070001;
	wire_make(in, &ask);
	answer = ask;
	answer.type = is6 ? 129 : 0;
	answer.from = ask.to;
	answer.to = ask.from;
	answer.mac_to = wire_mac_router;
	answer.mac_from = ask.mac_to;
	answer.ttl = 64;
	wire_make(out, &answer);
}

static void ping_is_answered_for_a_vip_that_is_up(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	for (size_t i = 0; i < ECHO_ROWS; i++) {
		struct wire in, out;

		make_echo(&in, &out, echo_rows[i].spec, echo_rows[i].is6);
		wrong += try_answer(lab, echo_rows[i].says, &in, echo_rows[i].verdict,
				    echo_rows[i].verdict == HP_ANSWERED_ECHO ? &out : NULL,
				    echo_rows[i].is6 ? "\t\t" VIP6 "\t" CLIENT6 : VIP4 "\t" CLIENT4 "\t\t");
	}
	assert_int_equal(wrong, 0);
}

/* The checksums are mended, not computed anew: over many identifiers they must come out as good as new. */
static void checksums_of_answers_are_right(void **state)
{
	struct lab *lab = *state;

	for (uint32_t n = 0; n < 8192; n++) {
		struct wire_spec ask = {.from = n % 2 ? CLIENT6 : CLIENT4, .to = n % 2 ? VIP6 : VIP4, .payload = 2,
					.type = n % 2 ? 128 : 8, .protocol = n % 2 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
					.rest = n * 524309u, .ttl = (uint8_t)(n >> 1)};
		struct lab_end end;
		uint32_t sum = 0;
		struct wire in;

		wire_make(&in, &ask);
		lab_run(lab, &in, &end);
		assert_int_equal(end.verdict, HP_ANSWERED_ECHO);
		if (n % 2)
			sum = wire_sum(IPPROTO_ICMPV6 + 10, end.frame.byte + in.l3 + 8, 32);
		else
			assert_int_equal(wire_checksum(wire_sum(0, end.frame.byte + in.l3, 20)), 0);
		assert_int_equal(wire_checksum(wire_sum(sum, end.frame.byte + in.l4, 10)), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp_is_answered_for_a_vip_that_is_up),
		cmocka_unit_test(solicitation_is_answered_for_a_vip_that_is_up),
		cmocka_unit_test(nothing_is_announced_where_it_is_not_wanted),
		cmocka_unit_test(ping_is_answered_for_a_vip_that_is_up),
		cmocka_unit_test(checksums_of_answers_are_right),
	};

	return cmocka_run_group_tests(tests, open_with_services, lab_close);
}

/* Quic: which backend a connection ID leads to, and where packets go whose ID leads nowhere. */
#include "packet/lab.h"

#include <bpf/bpf.h>

#include "director.skel.h"

#define PORT 443
#define HEADER "services:\n- {name: h3, vip: [10.2.0.1, \"fd00:2::1\"], protocol: udp, port: 443, forward: ipip, slots: 101, "
#define THREE                                                                                                              \
	HEADER "hash: quic-cid, backends: [{address: 10.3.0.1, quic_id: 0a01}, {address: 10.3.0.2, quic_id: 0a02}, "       \
	       "{address: 10.3.0.3, quic_id: ff00}]}\n"

static void apply(struct lab *lab, const char *text)
{
	lab_apply(lab, text);
	lab_resolve_all(lab);
	fleet_reclaim(lab->fleet);
}

/* What a client sends: a QUIC packet's first bytes, hexadecimal, from one of its addresses. */
struct sent {
	const char *from;
	uint16_t port;
	const char *quic;
};

/* Returns the last byte of the backend's address, 0 when it was not forwarded. */
static int reached(struct lab *lab, const struct sent *sent)
{
	bool is4 = wire_is4(sent->from);
	struct wire_spec spec = {.from = sent->from, .to = is4 ? VIP4 : VIP6, .from_port = sent->port, .to_port = PORT,
				 .protocol = IPPROTO_UDP, .payload = 60};
	struct lab_end end;
	struct wire in;
	unsigned int byte;

	wire_make(&in, &spec);
	for (size_t i = 0; sent->quic[2 * i]; i++) {
		assert_int_equal(sscanf(sent->quic + 2 * i, "%2x", &byte), 1);
		in.byte[in.l4 + 8 + i] = (uint8_t)byte;
	}
	lab_run(lab, &in, &end);
	return end.verdict == HP_FORWARDED ? end.frame.byte[14 + 19] : 0; /* of the outer IPv4 destination */
}

/* Where the flow goes that names no server. */
static int by_flow(struct lab *lab, const char *from, uint16_t port)
{
	return reached(lab, &(struct sent){from, port, "40ff"});
}

/* From many ports and both families: each packet to the server that is named, or each where its flow goes. */
static void an_id_leads_to_its_server(void **state)
{
	static const struct {
		const char *says, *quic;
		int to; /* 0: where the flow goes */
	} rows[] = {
		{"a short header", "40" "000a02" "0102030405060708", 2},
		{"another server", "40" "000a01" "0102030405060708", 1},
		{"the low bits of the ID's first byte say nothing", "40" "1fff00" "0102030405060708", 3},
		{"bits of the header that are protected", "7f" "000a02" "0102030405060708", 2},
		{"the fixed bit greased", "00" "000a02" "0102030405060708", 2},
		{"a long header: Handshake", "e0" "00000001" "08" "000a02" "0102030405", 2},
		{"a long header: Initial with the server's ID", "c0" "00000001" "08" "000a02" "0102030405", 2},
		{"of version 2", "e0" "6b3343cf" "08" "000a03" "0102030405", 0},
		{"of a version that nobody knows", "c0" "0a1a2a3a" "03" "000a02", 2},
		{"an ID that is no longer than the server's", "c0" "00000001" "03" "000a01", 1},
		{"an ID that is too short for a server's", "c0" "00000001" "02" "000a02", 0},
		{"no ID", "c0" "00000001" "00" "000a02", 0},
		{"an ID of no server", "40" "000a09" "0102030405060708", 0},
		{"another configuration", "40" "200a02" "0102030405060708", 0},
		{"the configuration that says that there is none", "40" "e00a02" "0102030405060708", 0},
	};
	struct lab *lab = *state;

	apply(lab, THREE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (uint16_t port = 1000; port < 1020; port++) {
			const char *from = port & 1 ? CLIENT4 : CLIENT6;
			struct sent sent = {from, port, rows[i].quic};
			int to = rows[i].to ? rows[i].to : by_flow(lab, from, port), got = reached(lab, &sent);

			if (got != to)
				fail_msg("%s, from port %u: to backend %d, not %d", rows[i].says, port, got, to);
		}
}

static void ids_of_all_lengths(void **state)
{
	struct lab *lab = *state;

	for (int bytes = 1; bytes <= 15; bytes++) {
		char text[1024], id[2][31] = {""}, quic[64];

		for (int i = 0; i < bytes; i++) {
			sprintf(id[0] + 2 * i, "%02x", i);
			sprintf(id[1] + 2 * i, "%02x", i == bytes - 1 ? 0xEE : i);
		}
		snprintf(text, sizeof(text), HEADER "hash: quic-cid, quic_rotation: 6, backends: [{address: 10.3.0.1, quic_id: "
			 "\"%s\"}, {address: 10.3.0.2, quic_id: \"%s\"}]}\n", id[0], id[1]);
		apply(lab, text);
		for (int to = 1; to <= 2; to++) {
			snprintf(quic, sizeof(quic), "40c5%s01020304", id[to - 1]);
			for (uint16_t port = 1; port < 9; port++)
				assert_int_equal(reached(lab, &(struct sent){CLIENT4, port, quic}), to);
		}
	}
}

/* A frame that ends within the connection ID, and what is no packet of the service's own. */
static void short_packets_follow_their_flow(void **state)
{
	struct lab *lab = *state;

	apply(lab, THREE);
	for (uint32_t payload = 0; payload < 12; payload++) {
		struct wire_spec spec = {.from = CLIENT4, .to = VIP4, .from_port = 7, .to_port = PORT, .protocol = IPPROTO_UDP,
					 .payload = payload};
		struct lab_end end;
		struct wire in;

		wire_make(&in, &spec);
		for (uint32_t i = 0; i < payload && i < 4; i++)
			in.byte[in.l4 + 8 + i] = (uint8_t[]){0x40, 0x00, 0x0a, 0x02}[i];
		lab_run(lab, &in, &end);
		assert_int_equal(end.verdict, HP_FORWARDED);
	}
}

/* The connection stays with its server when others come, when its own departs, and finds another only when that is dead. */
static void a_change_moves_no_connection(void **state)
{
	static const char one[] = HEADER "hash: quic-cid, backends: [{address: 10.3.0.1, quic_id: 0a01}]}\n";
	struct lab *lab = *state;
	struct sent to2 = {CLIENT4, 5, "40000a0201020304"}, to1 = {CLIENT6, 5, "40000a0101020304"};
	struct sent opens = {CLIENT4, 6, "c0000000010877777777777777"};

	lab->keeps_moving = true;
	apply(lab, THREE);
	for (to2.port = 1; to2.port < 20; to2.port++)
		assert_int_equal(reached(lab, &to2), 2);
	apply(lab, one);
	for (to2.port = 20; to2.port < 40; to2.port++)
		assert_int_equal(reached(lab, &to2), 2);
	for (opens.port = 100; opens.port < 120; opens.port++)
		assert_int_equal(reached(lab, &opens), 1); /* a new connection follows the change at once */
	lab_resolve(lab, "10.3.0.2", NULL);
	for (to2.port = 40; to2.port < 60; to2.port++)
		assert_int_not_equal(reached(lab, &to2), 2);
	assert_int_equal(reached(lab, &to1), 1);
	lab->keeps_moving = false;
	apply(lab, "services: []\n");
	apply(lab, HEADER "backends: [10.3.0.1]}\n");
	assert_int_equal(reached(lab, &to2), 1); /* of a service that looks into none */
}

/* Two services, the same IDs: each leads to its own. */
static void ids_belong_to_their_service(void **state)
{
	struct lab *lab = *state;
	struct sent sent = {CLIENT4, 5, "40000a0101020304"};

	apply(lab, THREE "- {name: other, vip: 10.2.0.2, protocol: udp, port: 443, forward: ipip, hash: quic-cid, backends: "
			 "[{address: 10.3.0.7, quic_id: 0a01}, {address: 10.3.0.8, quic_id: 0a02}]}\n");
	for (sent.port = 1; sent.port < 20; sent.port++)
		assert_int_equal(reached(lab, &sent), 1);
	apply(lab, HEADER "hash: quic-cid, backends: [{address: 10.3.0.1, quic_id: 0a02}, "
			  "{address: 10.3.0.2, quic_id: 0a01}]}\n");
	for (sent.port = 1; sent.port < 20; sent.port++)
		assert_int_equal(reached(lab, &sent), 2);
}

/* The data plane holds the IDs of those who serve, and nobody else's. */
static void ids_go_with_their_servers(void **state)
{
	struct lab *lab = *state;
	struct hp_quic_server key;
	int fd = bpf_map__fd(lab->plane.live->maps.quic_servers);

	apply(lab, THREE);
	assert_int_equal(bpf_map_get_next_key(fd, NULL, &key), 0);
	apply(lab, "services: []\n");
	assert_int_not_equal(bpf_map_get_next_key(fd, NULL, &key), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_leads_to_its_server),	  cmocka_unit_test(ids_of_all_lengths),
		cmocka_unit_test(short_packets_follow_their_flow), cmocka_unit_test(a_change_moves_no_connection),
		cmocka_unit_test(ids_belong_to_their_service),	  cmocka_unit_test(ids_go_with_their_servers),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}

/* The backend's doctor: listeners and the kernel's tunnels, judged without a host. Pure. */
#include <net/if.h>
#include <netinet/in.h>

#include "unit/judged.h"

#include "backend/doctor.h"

#define TCP IPPROTO_TCP
#define UDP IPPROTO_UDP

#define FOUR(address, port, protocol) {address, port, protocol, false, false}
#define SIX(address, port, protocol) {address, port, protocol, true, false}
#define SIX_ONLY(address, port, protocol) {address, port, protocol, true, true}

struct socket_row {
	const char *address;
	uint16_t port;
	uint8_t protocol;
	bool is_six, is_six_only;
};

static const struct {
	const char *what;
	struct socket_row sockets[4];
	const char *found;
} rows[] = {
	{"the VIPs' own sockets", {FOUR("10.2.0.1", 80, TCP), SIX("fd00:2::1", 80, TCP)}, ""},
	{"wildcards of both families", {FOUR("0.0.0.0", 80, TCP), SIX_ONLY("::", 80, TCP)}, ""},
	{"one wildcard for both", {SIX("::", 80, TCP)}, ""},
	{"a wildcard for IPv6 alone", {SIX_ONLY("::", 80, TCP)}, "NOT_LISTENING"},
	{"a wildcard for IPv4 alone", {FOUR("0.0.0.0", 80, TCP)}, "NOT_LISTENING"},
	{"nobody", {{.port = 0}}, "NOT_LISTENING, NOT_LISTENING"},
	{"the own address alone", {FOUR("10.3.0.1", 80, TCP)}, "OWN_ADDRESS_ONLY, NOT_LISTENING, NOT_LISTENING"},
	{"the own address and the VIP", {FOUR("10.3.0.1", 80, TCP), FOUR("10.2.0.1", 80, TCP), SIX("fd00:2::1", 80, TCP)}, ""},
	{"the own address, and the VIP on another port",
	 {FOUR("10.3.0.1", 80, TCP), FOUR("10.2.0.1", 443, TCP), SIX("fd00:2::1", 80, TCP)}, "OWN_ADDRESS_ONLY"},
	{"the own address by TCP, the VIP by UDP",
	 {FOUR("10.3.0.1", 53, TCP), FOUR("10.2.0.1", 53, UDP), SIX("fd00:2::1", 53, UDP)}, "OWN_ADDRESS_ONLY"},
	{"loopback is nobody's business", {FOUR("127.0.0.1", 80, TCP), SIX("::", 22, TCP)}, ""},
	{"UDP on the wildcard", {FOUR("0.0.0.0", 53, UDP), SIX("::", 22, TCP)}, "WRONG_SOURCE"},
	{"two sockets of a port are told once",
	 {FOUR("0.0.0.0", 53, UDP), FOUR("0.0.0.0", 53, UDP), SIX("::", 53, UDP)}, "WRONG_SOURCE"},
	{"a client's UDP socket", {FOUR("0.0.0.0", 40000, UDP), SIX("::", 22, TCP)}, ""},
	{"DHCP", {FOUR("0.0.0.0", 68, UDP), SIX("::", 22, TCP)}, ""},
};

static void put_sockets(const struct socket_row *rows_of, struct listener *list, size_t *count)
{
	*count = 0;
	for (size_t i = 0; i < 4 && rows_of[i].address; i++) {
		struct listener *one = &list[(*count)++];

		*one = (struct listener){.port = rows_of[i].port, .protocol = rows_of[i].protocol, .is_six = rows_of[i].is_six,
					 .is_six_only = rows_of[i].is_six_only};
		assert_true(ip_parse(&one->ip, rows_of[i].address));
	}
}

static void listeners_are_judged(void **state)
{
	static struct setup setup = {.vip_count = 2};
	static const uint16_t ephemeral[2] = {32768, 60999};
	struct look_address own[2] = {{.bits = 24}, {.bits = 64}};

	assert_true(ip_parse(&setup.vips[0].address, "10.2.0.1") && ip_parse(&setup.vips[1].address, "fd00:2::1"));
	assert_true(ip_parse(&own[0].ip, "10.3.0.1") && ip_parse(&own[1].ip, "fd00:3::1"));
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct findings findings = {0};
		struct listener list[4];
		size_t count;

		put_sockets(rows[i].sockets, list, &count);
		doctor_judge_listeners(&setup, list, count, own, 2, ephemeral, &findings);
		assert_judged(rows[i].what, &findings, rows[i].found);
		findings_free(&findings);
	}
}

static const struct {
	const char *what;
	struct setup_map map;
	struct socket_row sockets[4];
	const char *found;
} map_rows[] = {
	{"a server on the wildcard", {TCP, 80, 8080}, {SIX("::", 8080, TCP)}, ""},
	{"one for each VIP", {TCP, 80, 8080}, {FOUR("10.2.0.1", 8080, TCP), SIX("fd00:2::1", 8080, TCP)}, ""},
	{"for one of two VIPs", {TCP, 80, 8080}, {FOUR("10.2.0.1", 8080, TCP)}, "MAP_UNSERVED"},
	{"on the port that clients ask", {TCP, 80, 8080}, {SIX("::", 80, TCP)}, "MAP_UNSERVED, MAP_UNSERVED"},
	{"by the other protocol", {TCP, 80, 8080}, {SIX("::", 8080, UDP)}, "MAP_UNSERVED, MAP_UNSERVED"},
	{"by either of both", {0, 80, 8080}, {SIX("::", 8080, UDP)}, ""},
	{"on the own address", {UDP, 53, 5353}, {FOUR("10.3.0.1", 5353, UDP)}, "MAP_UNSERVED, MAP_UNSERVED"},
};

static void servers_of_maps_are_judged(void **state)
{
	static struct setup setup = {.vip_count = 2, .map_count = 1};

	assert_true(ip_parse(&setup.vips[0].address, "10.2.0.1") && ip_parse(&setup.vips[1].address, "fd00:2::1"));
	for (size_t i = 0; i < COUNT(map_rows); i++) {
		struct findings findings = {0};
		struct listener list[4];
		size_t count;

		put_sockets(map_rows[i].sockets, list, &count);
		setup.maps[0] = map_rows[i].map;
		doctor_judge_maps(&setup, list, count, &findings);
		assert_judged(map_rows[i].what, &findings, map_rows[i].found);
		findings_free(&findings);
	}
}

static void the_kernels_tunnels_are_known(void **state)
{
	struct look_link links[] = {{.name = "tunl0", .kind = "ipip", .flags = IFF_UP},
				    {.name = "sit0", .kind = "sit"},
				    {.name = "ip6tnl0", .kind = "ip6tnl", .flags = IFF_UP},
				    {.name = "gre1", .kind = "gre", .flags = IFF_UP}};
	const struct look look = {.links = links, .link_count = COUNT(links)};
	struct setup_vip four = {.methods = SETUP_IPIP}, six = {.methods = SETUP_IPIP};

	assert_true(ip_parse(&four.address, "10.2.0.1") && ip_parse(&six.address, "fd00:2::1"));
	assert_text("IPv4 in IPv4", doctor_kernel_tunnel(&look, &four, true), "tunl0");
	assert_text("IPv4 in IPv6", doctor_kernel_tunnel(&look, &four, false), "ip6tnl0");
	assert_text("IPv6 in IPv6", doctor_kernel_tunnel(&look, &six, false), "ip6tnl0");
	assert_null(doctor_kernel_tunnel(&look, &six, true)); /* sit0 is down */
	four.methods = six.methods = SETUP_GRE;
	assert_text("GRE, IPv6 in IPv4", doctor_kernel_tunnel(&look, &six, true), "gre1");
	assert_null(doctor_kernel_tunnel(&look, &four, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(listeners_are_judged),
					   cmocka_unit_test(servers_of_maps_are_judged),
					   cmocka_unit_test(the_kernels_tunnels_are_known)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

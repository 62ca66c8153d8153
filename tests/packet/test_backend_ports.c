/* Mapped ports on a backend, TCP: whose listener gets a connection, from which port it answers, and whose it never was. */
#include "ports_lab.h"

#define MPTCP 262

/* ---- a connection --------------------------------------------------------------------------------------------------- */

/* The segment as a director sends it by gue, with another backend that may have its connection: whether it stays here. */
static bool stays(const struct segment *s)
{
	struct frame inner, in = {.bytes = 0}, out;
	uint64_t kept = lab_count(HPB_KEPT);

	make_segment(&inner, s);
	put_link(&in, 0, 0x0800);
	put_ip(&in, "10.2.0.10", "10.3.0.1", IPPROTO_UDP, 0, 8 + 4 + 20 + inner.bytes - ETHER);
	put16(&in, 50000);
	put16(&in, 6080);
	put16(&in, (uint32_t)(8 + 4 + 20 + inner.bytes - ETHER));
	put16(&in, 0);
	put32(&in, s->family == 4 ? 0x05040000 : 0x05290000);
	put32(&in, 0x48010000);
	put(&in, (const uint8_t[12]){[10] = 0xff, 0xff}, 12);
	put_address(&in, "10.3.0.2");
	put(&in, inner.byte + ETHER, inner.bytes - ETHER);
	lab_run(lab->progs.hp_decap, &in, &out);
	return lab_count(HPB_KEPT) > kept;
}

/* Take a connection that has come to the listener; it must be one of the port that was asked. */
static int take(int listener, uint16_t port)
{
	struct pollfd ready = {.fd = listener, .events = POLLIN};
	struct sockaddr_in6 local = {0};
	socklen_t bytes = sizeof(local);
	int fd;

	assert_int_equal(poll(&ready, 1, 2000), 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (void *)&local, &bytes), 0);
	assert_int_equal(ntohs(local.sin6_port), port); /* at the same place for IPv4 */
	return fd;
}

/* A connection from its SYN to its first data, over a server that listens there. */
static void expect_served(const char *says, int family, int listener)
{
	struct segment s;
	int fd;

	print_message("%s (IPv%d)\n", says, family);
	assert_int_equal(open_half(&s, family, ASKED), SYN | ACK);
	send_segment(&s);
	fd = take(listener, ASKED);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(receive_segment(&s), ASKED);
	close(fd);
}

static void expect_refused(const char *says, int family, uint16_t port)
{
	struct segment s;

	print_message("%s (IPv%d)\n", says, family);
	assert_int_equal(open_half(&s, family, port), RST | ACK);
}

static void set_cookies(const char *mode)
{
	int fd = open("/proc/sys/net/ipv4/tcp_syncookies", O_WRONLY | O_CLOEXEC);

	assert_int_equal(write(fd, mode, 1), 1);
	close(fd);
}

/* ---- TCP -------------------------------------------------------------------------------------------------------- */

static void test_listener(void **state)
{
	for (int i = 0; i < 2; i++) {
		int family = families[i], fd;

		expect_refused("nobody listens", family, ASKED);
		fd = listen_at(family, vips[family], SERVED);
		expect_served("on the VIP", family, fd);
		close(fd);
		expect_refused("no longer", family, ASKED);
		fd = listen_at(family, wildcards[family], SERVED);
		expect_served("on the wildcard, started anew", family, fd);
		close(fd);
		fd = listen_at(6, "::", SERVED);
		expect_served("on the wildcard of both families", family, fd);
		expect_refused("a port that is not mapped", family, ASKED + 1);
		close(fd);
		fd = listen_at(family, vips[family], ASKED);
		expect_served("without a server, who listens on the port itself has it", family, fd);
		close(fd);
	}
}

static void test_nearest(void **state)
{
	int wide = serve(4, SOCK_STREAM, 0, wildcards[4], SERVED, true), own = serve(4, SOCK_STREAM, 0, vips[4], SERVED, true);

	expect_served("the VIP's own listener is before that of the wildcard", 4, own);
	close(own);
	expect_served("and when it has gone, that one has it", 4, wide);
	own = serve(4, SOCK_STREAM, 0, vips[4], SERVED, true);
	expect_served("and when it is back, it", 4, own);
	close(own);
	close(wide);
}

static void test_shared(void **state)
{
	for (int i = 0; i < 2; i++) {
		int family = families[i], first, second, fd;
		struct segment s;

		first = serve(family, SOCK_STREAM, 0, wildcards[family], SERVED, true);
		second = serve(family, SOCK_STREAM, 0, wildcards[family], SERVED, true);
		for (int turn = 0; turn < 32; turn++) {
			assert_int_equal(open_half(&s, family, ASKED), SYN | ACK);
			send_segment(&s);
		}
		for (int turn = 0; turn < 2; turn++) {
			struct pollfd ready = {.fd = turn ? second : first, .events = POLLIN};

			for (fd = 0; poll(&ready, 1, fd ? 0 : 2000) == 1;) {
				fd = take(ready.fd, ASKED);
				close(fd);
			}
			assert_int_not_equal(fd, 0);
		}
		close(first);
		expect_served("one of two that share the port is left", family, second);
		close(second);
	}
}

static void test_cookies(void **state)
{
	for (int i = 0; i < 2; i++) {
		int family = families[i], fd = listen_at(family, wildcards[family], SERVED);

		set_cookies("2");
		expect_served("with SYN cookies", family, fd);
		set_cookies("1");
		close(fd);
	}
}

/* A listener that no map takes; as servers in Go make by default. */
static void test_multipath(void **state)
{
	for (int i = 0; i < 2; i++) {
		int family = families[i], fd = serve(family, SOCK_STREAM, MPTCP, wildcards[family], SERVED, false);

		if (fd == -EPROTONOSUPPORT || fd == -ENOPROTOOPT) {
			print_message("this kernel has no MPTCP\n");
			return;
		}
		assert_true(fd >= 0);
		expect_served("by MPTCP", family, fd);
		set_cookies("2");
		expect_served("with SYN cookies", family, fd);
		set_cookies("1");
		close(fd);
		fd = listen_at(family, wildcards[family], SERVED);
		expect_served("and by TCP again", family, fd);
		close(fd);
		expect_refused("and by nobody", family, ASKED);
	}
}

/* Packets by gue that name another backend: those of a mapped port's connections stay, a listener's good cookies too, also of
 * a listener that sk_lookup does not find, and all else leaves. */
static void test_second_chance(void **state)
{
	for (int i = 0; i < 4; i++) {
		int family = families[i & 1], fd, listener;
		bool is_multipath = i & 2;
		struct segment s, other;

		listener = serve(family, SOCK_STREAM, is_multipath ? MPTCP : 0, wildcards[family], SERVED, false);
		if (is_multipath && listener < 0)
			return;
		print_message("%s (IPv%d)\n", is_multipath ? "by MPTCP" : "by TCP", family);
		assert_int_equal(open_half(&s, family, ASKED), SYN | ACK);
		other = s;
		other.client = next_port++;
		assert_true(stays(&s));
		assert_false(stays(&other));
		send_segment(&s);
		fd = take(listener, ASKED);
		assert_true(stays(&s));
		set_cookies("2");
		assert_int_equal(open_half(&s, family, ASKED), SYN | ACK);
		other.ack = s.ack;
		assert_true(stays(&s));
		assert_false(stays(&other));
		set_cookies("1");
		close(fd);
		close(listener);
	}
}

/* ---- ICMP errors ------------------------------------------------------------------------------------------------ */

static int path_mtu(int fd, int family)
{
	socklen_t bytes = sizeof(int);
	int mtu = 0;

	assert_int_equal(getsockopt(fd, family == 4 ? IPPROTO_IP : IPPROTO_IPV6, family == 4 ? IP_MTU : IPV6_MTU, &mtu,
				    &bytes), 0);
	return mtu;
}

/* The kernel believes an error that names bytes under way. */
static void test_errors_tcp(void **state)
{
	for (int i = 0; i < 2; i++) {
		int family = families[i], listener = listen_at(family, wildcards[family], SERVED), fd;
		struct segment s;

		assert_int_equal(open_half(&s, family, ASKED), SYN | ACK);
		send_segment(&s);
		fd = take(listener, ASKED);
		assert_int_equal(path_mtu(fd, family), 1500);
		assert_int_equal(write(fd, "x", 1), 1);
		receive_segment(&s);
		send_too_big(family, IPPROTO_TCP, s.client, s.seq);
		for (int turn = 0; turn < 200 && path_mtu(fd, family) != 1300; turn++)
			usleep(10000);
		assert_int_equal(path_mtu(fd, family), 1300);
		close(fd);
		close(listener);
	}
}

/* ---- others ----------------------------------------------------------------------------------------------------- */

/* Somebody else's program of the same kind, which hands port `port` to the socket in a map of its own. */
static int load_other(uint16_t port, int map)
{
	const struct bpf_insn code[] = {
		{BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0},
		{BPF_LDX | BPF_MEM | BPF_W, 1, 6, offsetof(struct bpf_sk_lookup, local_port), 0},
		{BPF_JMP | BPF_JNE | BPF_K, 1, 0, 16, port},
		{BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0},
		{BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},
		{BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4},
		{BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map},
		{0, 0, 0, 0, 0},
		{BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 9, 0},
		{BPF_ALU64 | BPF_MOV | BPF_X, 7, 0, 0, 0},
		{BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0},
		{BPF_ALU64 | BPF_MOV | BPF_X, 2, 7, 0, 0},
		{BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, BPF_SK_LOOKUP_F_REPLACE},
		{BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_assign},
		{BPF_ALU64 | BPF_MOV | BPF_X, 1, 7, 0, 0},
		{BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_release},
		{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, SK_PASS},
		{BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
		{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, SK_PASS},
		{BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_SK_LOOKUP);

	return bpf_prog_load(BPF_PROG_TYPE_SK_LOOKUP, "other", "GPL", code, sizeof(code) / sizeof(code[0]), &options);
}

static void test_others(void **state)
{
	int map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "other", 4, 8, 1, NULL), program = load_other(ASKED + 1, map), link;
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), own = listen_at(4, "127.0.0.1", 9999), zero = 0, fd, again;
	uint64_t value = (uint64_t)own;
	struct segment s;

	assert_true(map >= 0 && program >= 0);
	assert_int_equal(bpf_map_update_elem(map, &zero, &value, BPF_ANY), 0);
	link = bpf_link_create(program, here, BPF_SK_LOOKUP, NULL);
	assert_true(link >= 0);
	fd = listen_at(4, vips[4], SERVED);
	expect_served("beside another program, the mapped port is ours", 4, fd);
	print_message("and its port is its own\n");
	assert_int_equal(open_half(&s, 4, ASKED + 1), SYN | ACK);
	send_segment(&s);
	again = take(own, ASKED + 1);
	close(again);
	close(fd);
	close(link);
	close(here);
	close(program);
	close(map);
	close(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listener),      cmocka_unit_test(test_nearest),	 cmocka_unit_test(test_shared),
		cmocka_unit_test(test_cookies),	      cmocka_unit_test(test_multipath),	 cmocka_unit_test(test_second_chance),
		cmocka_unit_test(test_errors_tcp),    cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, open_lab, lab_close);
}

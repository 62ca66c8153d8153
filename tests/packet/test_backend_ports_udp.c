/* Mapped ports on a backend, UDP: whose socket gets a datagram, and from which port its answer leaves, in one piece or many. */
#include "ports_lab.h"

#include <linux/errqueue.h>

#define OTHER 8181
#define LONG_BYTES 4000

/* ---- UDP -------------------------------------------------------------------------------------------------------- */

/* Read what the server gets, and answer it with as many bytes. */
static void answer(int fd, const char *wanted, size_t bytes)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	struct sockaddr_storage from;
	socklen_t from_bytes = sizeof(from);
	static char text[LONG_BYTES];
	ssize_t got;

	assert_int_equal(poll(&ready, 1, 2000), 1);
	got = recvfrom(fd, text, sizeof(text), 0, (void *)&from, &from_bytes);
	assert_int_equal(got, strlen(wanted));
	assert_memory_equal(text, wanted, (size_t)got);
	for (size_t i = 0; i < bytes; i++)
		text[i] = (char)(i * 7);
	assert_int_equal(sendto(fd, text, bytes, 0, (void *)&from, from_bytes), bytes);
}

/* A datagram that came in one piece: its source port, and a checksum that holds. */
static void expect_answer(int family, uint16_t client, uint16_t port, size_t bytes)
{
	size_t at = header_of(family), addresses = family == 4 ? 8 : 32;
	struct frame frame;

	receive(&frame, family, IPPROTO_UDP);
	assert_int_equal(get16(&frame, at), port);
	assert_int_equal(get16(&frame, at + 2), client);
	assert_int_equal(get16(&frame, at + 4), 8 + bytes);
	assert_int_equal(fold(sum_bytes(frame.byte + at - addresses, addresses + 8 + bytes,
					IPPROTO_UDP + 8 + (uint32_t)bytes)), 0);
}

static void test_datagrams(void **state)
{
	for (int i = 0; i < 2; i++) {
		int family = families[i], fd = serve(family, SOCK_DGRAM, 0, vips[family], SERVED, false), other;

		send_datagram(family, 3000, ASKED, "to the VIP");
		answer(fd, "to the VIP", 100);
		expect_answer(family, 3000, ASKED, 100);
		send_datagram(family, 3001, ASKED, "odd");
		answer(fd, "odd", 1);
		expect_answer(family, 3001, ASKED, 1);
		close(fd);
		fd = serve(family, SOCK_DGRAM, 0, vips[family], SERVED, false);
		send_datagram(family, 3000, ASKED, "to one started anew");
		answer(fd, "to one started anew", 7);
		expect_answer(family, 3000, ASKED, 7);
		other = serve(family, SOCK_DGRAM, 0, vips[family], OTHER, false);
		send_datagram(family, 3002, OTHER, "to a port that is not mapped");
		answer(other, "to a port that is not mapped", 9);
		expect_answer(family, 3002, OTHER, 9);
		close(other);
		close(fd);
	}
}

/* Servers that share a port, and one that keeps a socket for each client, as QUIC's and DTLS's do. */
static void test_many_sockets(void **state)
{
	for (int i = 0; i < 2; i++) {
		int family = families[i], count = 0, mine;
		int shared[] = {serve(family, SOCK_DGRAM, 0, vips[family], SERVED, true),
				serve(family, SOCK_DGRAM, 0, vips[family], SERVED, true)};
		struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(4001)};
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(4001)};
		char text[64];

		for (uint16_t client = 5000; client < 5064; client++)
			send_datagram(family, client, ASKED, "any");
		for (int turn = 0; turn < 2; turn++) {
			struct pollfd ready = {.fd = shared[turn], .events = POLLIN};
			int before = count;

			while (poll(&ready, 1, 200) == 1 && recv(shared[turn], text, sizeof(text), 0) == 3)
				count++;
			assert_true(count > before);
		}
		assert_int_equal(count, 64);
		close(shared[1]);
		close(shared[0]);
		mine = serve(family, SOCK_DGRAM, 0, vips[family], SERVED, false);
		shared[0] = serve(family, SOCK_DGRAM, 0, wildcards[family], SERVED, false);
		assert_int_equal(inet_pton(family == 4 ? AF_INET : AF_INET6, clients[family],
					   family == 4 ? (void *)&in4.sin_addr : (void *)&in6.sin6_addr), 1);
		assert_int_equal(connect(mine, family == 4 ? (void *)&in4 : (void *)&in6,
					 family == 4 ? sizeof(in4) : sizeof(in6)), 0);
		send_datagram(family, 4000, ASKED, "to anybody");
		send_datagram(family, 4001, ASKED, "to the one that is mine");
		answer(mine, "to the one that is mine", 5);
		expect_answer(family, 4001, ASKED, 5);
		assert_int_equal(recv(shared[0], text, sizeof(text), MSG_DONTWAIT), strlen("to anybody"));
		assert_int_equal(recv(shared[0], text, sizeof(text), MSG_DONTWAIT), -1);
		close(mine);
		close(shared[0]);
	}
}

/* An answer longer than the MTU: the first fragment has the port, and the checksum over all of them holds. */
static void test_fragments(void **state)
{
	for (int i = 0; i < 2; i++) {
		int family = families[i], fd = serve(family, SOCK_DGRAM, 0, vips[family], SERVED, false);
		static uint8_t whole[LONG_BYTES + 64];
		size_t header = header_of(family), addresses = family == 4 ? 8 : 32, got = 0;

		send_datagram(family, 3000, ASKED, "long");
		answer(fd, "long", LONG_BYTES);
		while (got < LONG_BYTES + 8) {
			struct frame frame;
			size_t at, bytes, skip = family == 4 ? 0 : 8;

			receive(&frame, family, family == 4 ? IPPROTO_UDP : IPPROTO_FRAGMENT);
			at = family == 4 ? (get16(&frame, 6) & 0x1fffu) * 8 : get16(&frame, header + 2) & 0xfff8u;
			bytes = frame.bytes - header - skip;
			assert_true(at + bytes <= LONG_BYTES + 8);
			memcpy(whole + addresses + at, frame.byte + header + skip, bytes);
			memcpy(whole, frame.byte + header - addresses, addresses);
			got += bytes;
		}
		assert_int_equal(whole[addresses] << 8 | whole[addresses + 1], ASKED);
		assert_int_equal(fold(sum_bytes(whole, addresses + 8 + LONG_BYTES, IPPROTO_UDP + 8 + LONG_BYTES)), 0);
		close(fd);
	}
}

static void test_errors_udp(void **state)
{
	for (int i = 0; i < 2; i++) {
		int family = families[i], fd = serve(family, SOCK_DGRAM, 0, vips[family], SERVED, false), yes = 1;
		struct pollfd ready = {.fd = fd, .events = POLLERR};
		char control[512], data[2000];
		struct iovec piece = {data, sizeof(data)};
		struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control,
					 .msg_controllen = sizeof(control)};
		struct sock_extended_err *error;

		assert_int_equal(setsockopt(fd, family == 4 ? IPPROTO_IP : IPPROTO_IPV6, family == 4 ? IP_RECVERR : IPV6_RECVERR,
					    &yes, sizeof(yes)), 0);
		send_datagram(family, 3000, ASKED, "hello");
		answer(fd, "hello", 10);
		expect_answer(family, 3000, ASKED, 10);
		send_too_big(family, IPPROTO_UDP, 3000, 1400u << 16);
		assert_int_equal(poll(&ready, 1, 2000), 1);
		assert_true(recvmsg(fd, &message, MSG_ERRQUEUE) >= 0);
		error = (void *)CMSG_DATA(CMSG_FIRSTHDR(&message));
		assert_int_equal(error->ee_errno, EMSGSIZE);
		assert_int_equal(error->ee_info, 1300);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_many_sockets),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_errors_udp),
	};

	return cmocka_run_group_tests(tests, open_lab, lab_close);
}

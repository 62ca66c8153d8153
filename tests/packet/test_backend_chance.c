/* The second chance on a backend: which packets stay and which are passed on, with real sockets of this kernel, whose
 * other end is played by hand through a tun device; what the relay makes of those that leave; and who is dropped. */
#include "backend_lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SYN 0x02
#define RST 0x04
#define FIN 0x01
#define PUSH 0x08
#define ACK 0x10
#define TC_NEXT 0xffffffffu /* TC_ACT_UNSPEC */
#define TC_SHOT 2
#define TC_REDIRECT 7
#define PORT 80
#define LEAVES HPB_COUNTER_COUNT /* an end that no counter of the decapsulation tells */
#define VLAN_KNOWN 7 /* put_link's first tag, of a depth of 1 */

static const char *const senders[] = {[4] = "10.2.0.10", [6] = "fd00:2::a"};
static const char *const own[] = {[4] = "10.3.0.1", [6] = "fd00:3::1"};
static const char *const others[] = {[4] = "10.3.0.2", [6] = "fd00:3::2"};
static const char *const clients[] = {[4] = "192.168.1.1", [6] = "fd00:1::1"};
static const char *const vips[] = {[4] = "10.2.0.1", [6] = "fd00:2::1"};
static const int families[] = {4, 6};

static int tun;

/* ---- the client, by hand ---------------------------------------------------------------------------------------- */

struct segment {
	int family;
	uint16_t port; /* the client's */
	uint32_t seq, ack;
	uint8_t flags;
};

static void put32(struct frame *frame, uint32_t value)
{
	put16(frame, value >> 16);
	put16(frame, value & 0xffff);
}

static uint32_t get32(const struct frame *frame, size_t at)
{
	return (uint32_t)get16(frame, at) << 16 | get16(frame, at + 2);
}

/* An IP packet with the client's segment, checksums right. */
static void put_segment(struct frame *frame, const struct segment *s)
{
	size_t begin = frame->bytes, tcp, address = s->family == 4 ? 4 : 16;

	put_ip(frame, clients[s->family], vips[s->family], IPPROTO_TCP, 0, 20);
	tcp = frame->bytes;
	put16(frame, s->port);
	put16(frame, PORT);
	put32(frame, s->seq);
	put32(frame, s->ack);
	put16(frame, 0x5000u | s->flags);
	put16(frame, 0x2000);
	put32(frame, 0);
	set16(frame, tcp + 16, fold(sum_bytes(frame->byte + begin + (s->family == 4 ? 12 : 8), 2 * address + 20, 20 + 6)));
}

static void send_segment(const struct segment *s)
{
	struct frame frame = {.bytes = 0};

	put_segment(&frame, s);
	assert_int_equal(write(tun, frame.byte, frame.bytes), frame.bytes);
}

/* What the VIP's port sends to the client: the next segment to it; other packets on the device do not count. */
static void receive_segment(struct segment *s)
{
	size_t header = s->family == 4 ? 20 : 40;
	struct frame frame;

	for (;;) {
		struct pollfd ready = {.fd = tun, .events = POLLIN};
		ssize_t got;

		if (poll(&ready, 1, 2000) != 1)
			fail_msg("no segment came for port %u", s->port);
		got = read(tun, frame.byte, sizeof(frame.byte));
		assert_in_range(got, 1, sizeof(frame.byte));
		frame.bytes = (size_t)got;
		if (frame.byte[0] >> 4 == s->family && frame.byte[s->family == 4 ? 9 : 6] == IPPROTO_TCP &&
		    get16(&frame, header + 2) == s->port)
			break;
	}
	s->seq = get32(&frame, header + 4);
	s->ack = get32(&frame, header + 8);
	s->flags = frame.byte[header + 13];
}

/* A SYN, and what comes back; then *s is the segment that would end the handshake. */
static void open_half(struct segment *s)
{
	struct segment answer = *s;

	s->seq = 1000;
	s->flags = SYN;
	send_segment(s);
	receive_segment(&answer);
	assert_int_equal(answer.flags & (SYN | ACK), SYN | ACK);
	s->seq = 1001;
	s->ack = answer.seq + 1;
	s->flags = ACK;
}

/* ---- the server ------------------------------------------------------------------------------------------------- */

static int listen_at(int family, const char *address)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
	assert_int_equal(inet_pton(family == 4 ? AF_INET : AF_INET6, address,
				   family == 4 ? (void *)&in4.sin_addr : (void *)&in6.sin6_addr), 1);
	assert_int_equal(bind(fd, family == 4 ? (void *)&in4 : (void *)&in6, family == 4 ? sizeof(in4) : sizeof(in6)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static void set_cookies(const char *mode)
{
	int fd = open("/proc/sys/net/ipv4/tcp_syncookies", O_WRONLY | O_CLOEXEC);

	assert_int_equal(write(fd, mode, 1), 1);
	close(fd);
}

/* ---- frames from the director ----------------------------------------------------------------------------------- */

struct tunnelled {
	int outer, depth;
	const char *sender, *alternate; /* others than the usual */
	uint8_t hops;
	bool is_plain; /* GUE without a second chance */
	uint16_t fragment;
};

static void put_alternate(struct frame *frame, const char *text)
{
	if (!strchr(text, ':'))
		put(frame, (const uint8_t[12]){[10] = 0xff, 0xff}, 12);
	put_address(frame, text);
}

/* Where the second chance begins in a frame of ours. */
static size_t chance_at(const struct tunnelled *t)
{
	return 14 + 4 * (size_t)t->depth + (t->outer == 4 ? 20 : 40) + 12;
}

static void mend_outer4(struct frame *frame, size_t at)
{
	set16(frame, at + 10, 0);
	set16(frame, at + 10, fold(sum_bytes(frame->byte + at, 20, 0)));
}

/* The inner packet in the director's tunnel. */
static void wrap(struct frame *frame, const struct tunnelled *t, const struct frame *inner)
{
	size_t behind = 12 + (t->is_plain ? 0 : 20) + inner->bytes, begin;

	frame->bytes = 0;
	put_link(frame, t->depth, t->outer == 4 ? 0x0800 : 0x86dd);
	begin = frame->bytes;
	put_ip(frame, t->sender ? t->sender : senders[t->outer], own[t->outer], IPPROTO_UDP, 0, behind);
	if (t->fragment) {
		set16(frame, begin + 6, t->fragment);
		mend_outer4(frame, begin);
	}
	put16(frame, 50000);
	put16(frame, 6080);
	put16(frame, (uint32_t)behind);
	put16(frame, 0);
	put8(frame, t->is_plain ? 0 : 5);
	put8(frame, inner->byte[0] >> 4 == 4 ? 4 : 41);
	put16(frame, 0);
	if (!t->is_plain) {
		put16(frame, 0x4801);
		put16(frame, (uint32_t)t->hops << 8);
		put_alternate(frame, t->alternate ? t->alternate : others[t->outer]);
	}
	put(frame, inner->byte, inner->bytes);
}

/* ---- judging ---------------------------------------------------------------------------------------------------- */

static void expect_same(const struct frame *a, const struct frame *b)
{
	assert_int_equal(a->bytes, b->bytes);
	assert_memory_equal(a->byte, b->byte, a->bytes);
}

/* The frame that must leave: the outer destination is the alternate, the mark says so, and nothing else is other. */
static void turn(struct frame *frame, const struct tunnelled *t, uint8_t hops)
{
	size_t l3 = 14 + 4 * (size_t)t->depth;
	uint8_t address[16];
	size_t bytes = lab_address(t->alternate ? t->alternate : others[t->outer], address);

	memcpy(frame->byte + l3 + (t->outer == 4 ? 16 : 24), address, bytes);
	if (t->outer == 4)
		mend_outer4(frame, l3);
	frame->byte[chance_at(t) + 2] = hops;
}

/* Run the frame through decapsulation. end: HPB_KEPT and HPB_TAKEN_OVER are opened, LEAVES goes through the relay,
 * HPB_FORGED is dropped, any other is left untouched. */
static void run(const char *says, const struct tunnelled *t, const struct frame *inner, enum hpb_counter end)
{
	uint64_t before = end == LEAVES ? 0 : lab_count(end), all = lab_count_all();
	struct frame in, out, left, wanted;
	size_t headers;

	wrap(&in, t, inner);
	print_message("%s (%din%d, %d tags)\n", says, inner->byte[0] >> 4, t->outer, t->depth);
	assert_int_equal(lab_run(lab->progs.hp_decap, &in, &out), end == HPB_FORGED ? 1 : 2);
	if (end != LEAVES)
		assert_int_equal(lab_count(end) - before, 1);
	if (end == HPB_KEPT || end == HPB_TAKEN_OVER) {
		headers = 14 + 4 * (size_t)t->depth;
		assert_int_equal(out.bytes, headers + inner->bytes);
		assert_memory_equal(out.byte + headers, inner->byte, inner->bytes);
		return;
	}
	if (end != LEAVES) {
		if (end != HPB_FORGED)
			expect_same(&out, &in);
		return;
	}
	assert_int_equal(lab_count_all(), all);
	wanted = in;
	turn(&wanted, t, 2);
	expect_same(&out, &wanted);
	if (t->depth)
		return; /* a test run takes no tag off, as the kernel does before the relay */
	before = lab_count(HPB_PASSED_ON);
	assert_int_equal(lab_run(lab->progs.hp_relay, &out, &left), TC_REDIRECT);
	turn(&wanted, t, 1);
	expect_same(&left, &wanted);
	assert_int_equal(lab_count(HPB_PASSED_ON) - before, 1);
}

/* The same for a segment, over both outer families. */
static void run_segment(const char *says, const struct segment *s, enum hpb_counter end)
{
	struct frame inner = {.bytes = 0};

	put_segment(&inner, s);
	for (int i = 0; i < 2; i++)
		run(says, &(struct tunnelled){.outer = families[i]}, &inner, end);
}

/* ---- the tests -------------------------------------------------------------------------------------------------- */

static void test_no_socket(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct segment s = {.family = families[i], .port = 2000, .seq = 1, .ack = 2, .flags = SYN};

		run_segment("a SYN opens here", &s, HPB_KEPT);
		s.flags = SYN | 0xc0;
		run_segment("a SYN with ECN too", &s, HPB_KEPT);
		s.flags = ACK;
		run_segment("an ACK of a connection that is not here", &s, LEAVES);
		s.flags = ACK | PUSH;
		run_segment("data of one", &s, LEAVES);
		s.flags = FIN | ACK;
		run_segment("its end", &s, LEAVES);
		s.flags = RST;
		run_segment("its reset", &s, LEAVES);
		s.flags = SYN | ACK;
		run_segment("a SYN-ACK opens nothing", &s, LEAVES);
	}
}

static void test_connection(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct segment s = {.family = families[i], .port = 3000}, other, answer;
		int listener = listen_at(families[i], vips[families[i]]), server;

		other = (struct segment){.family = families[i], .port = 3001, .seq = 1, .ack = 2, .flags = ACK};
		run_segment("a listener alone has no connection", &other, LEAVES);
		open_half(&s);
		run_segment("the end of a handshake that began here", &s, HPB_KEPT);
		send_segment(&s);
		server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(server >= 0);
		run_segment("an ACK of a connection here", &s, HPB_KEPT);
		s.flags = ACK | PUSH;
		run_segment("its data", &s, HPB_KEPT);
		s.flags = RST;
		run_segment("its reset", &s, HPB_KEPT);
		run_segment("another client's, still", &other, LEAVES);
		close(listener);
		s.flags = ACK;
		run_segment("a connection outlives its listener", &s, HPB_KEPT);
		close(server);
		answer = s;
		receive_segment(&answer);
		s.flags = FIN | ACK;
		s.ack++;
		send_segment(&s);
		receive_segment(&answer);
		s.flags = ACK;
		run_segment("one that has ended, and waits", &s, HPB_KEPT);
	}
}

/* A wildcard that takes both families, and a flood that has this kernel hand out cookies. */
static void test_cookies(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct segment s = {.family = families[i & 1], .port = (uint16_t)(4000 + i)};
		int listener = i & 2 ? listen_at(6, "::") : listen_at(families[i & 1], vips[families[i & 1]]);

		set_cookies("2");
		open_half(&s);
		run_segment("an ACK with a cookie that this host gave out", &s, HPB_KEPT);
		s.ack ^= 0x5a5a5a5a;
		run_segment("one with another number", &s, LEAVES);
		s.ack ^= 0x5a5a5a5a;
		s.port++;
		run_segment("the cookie of another connection", &s, LEAVES);
		s.port--;
		s.flags = RST | ACK;
		run_segment("a reset has no cookie", &s, LEAVES);
		set_cookies("0");
		s.flags = ACK;
		run_segment("cookies are off", &s, LEAVES);
		set_cookies("1");
		close(listener);
	}
}

/* An ICMP error about the VIP's segment to the client, with the usual 8 bytes of it. */
static void put_error(struct frame *frame, int family, uint8_t type, uint16_t client_port)
{
	size_t header = family == 4 ? 20 : 40;

	frame->bytes = 0;
	put_ip(frame, clients[family], vips[family], family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 0, 8 + header + 8);
	put8(frame, type);
	put8(frame, family == 4 ? 4 : 0);
	put16(frame, 0);
	put32(frame, 1300);
	put_ip(frame, vips[family], clients[family], IPPROTO_TCP, 0, 1000);
	put16(frame, PORT);
	put16(frame, client_port);
	put32(frame, 1);
}

static void test_errors(void **state)
{
	for (int i = 0; i < 2; i++) {
		int family = families[i], listener = listen_at(family, vips[family]), server;
		uint8_t too_big = family == 4 ? 3 : 2, echo = family == 4 ? 8 : 128;
		struct segment s = {.family = family, .port = 5000};
		struct frame inner;

		open_half(&s);
		send_segment(&s);
		server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		assert_true(server >= 0);
		put_error(&inner, family, too_big, 5000);
		run("an error about a connection here", &(struct tunnelled){.outer = 4}, &inner, HPB_KEPT);
		put_error(&inner, family, too_big, 5001);
		run("one about a connection that is not", &(struct tunnelled){.outer = 4}, &inner, LEAVES);
		run("over IPv6", &(struct tunnelled){.outer = 6}, &inner, LEAVES);
		put_error(&inner, family, echo, 5001);
		run("a ping is nobody's", &(struct tunnelled){.outer = 6}, &inner, HPB_KEPT);
		put_error(&inner, family, too_big, 5001);
		inner.bytes -= 5;
		set16(&inner, family == 4 ? 2 : 4, (uint32_t)(inner.bytes - (family == 4 ? 0 : 40)));
		run("an error that is cut before the ports", &(struct tunnelled){.outer = 4}, &inner, HPB_KEPT);
		close(server);
		close(listener);
	}
}

static void test_others_stay(void **state)
{
	struct frame inner = {.bytes = 0};
	struct segment s = {.family = 4, .port = 2000, .seq = 1, .ack = 2, .flags = ACK};

	put_ip(&inner, clients[4], vips[4], IPPROTO_UDP, 0, 20);
	for (int i = 0; i < 5; i++)
		put32(&inner, 0x07d00050);
	run("UDP has no connection to look for", &(struct tunnelled){.outer = 4}, &inner, HPB_KEPT);
	inner.bytes = 0;
	put_segment(&inner, &s);
	set16(&inner, 6, 0x2000);
	run("a first fragment stays where the others will", &(struct tunnelled){.outer = 4}, &inner, HPB_KEPT);
	set16(&inner, 6, 0x0010);
	run("a later one", &(struct tunnelled){.outer = 6}, &inner, HPB_KEPT);
	inner.bytes = 0;
	put_ip(&inner, clients[6], vips[6], 60, 0, 28);
	put32(&inner, 0x06000104);
	put32(&inner, 0);
	for (int i = 0; i < 5; i++)
		put32(&inner, 0x07d00050);
	run("what hides behind an extension header", &(struct tunnelled){.outer = 4}, &inner, HPB_KEPT);
	inner.bytes = 0;
	put_ip(&inner, clients[4], vips[4], IPPROTO_TCP, 0, 19);
	for (int i = 0; i < 19; i++)
		put8(&inner, 0x10);
	run("a TCP header that is cut", &(struct tunnelled){.outer = 6}, &inner, HPB_KEPT);
	inner.bytes = 0;
	put_ip(&inner, clients[4], vips[4], IPPROTO_TCP, 10, 20);
	put(&inner, "\x07\xd0\0\x50\0\0\0\1\0\0\0\2\x50\x10\x20\0\0\0\0\0", 20);
	run("IP options hide nothing", &(struct tunnelled){.outer = 4}, &inner, LEAVES);
}

static void test_way(void **state)
{
	struct segment s = {.family = 4, .port = 2000, .seq = 1, .ack = 2, .flags = ACK};
	uint32_t vlan = hpb_vlan(htons(0x8100), VLAN_KNOWN), ifindex = 1;
	struct frame inner = {.bytes = 0};

	put_segment(&inner, &s);
	for (int i = 0; i < 2; i++) {
		int outer = families[i];
		bool is4 = outer == 4;

		run("an alternate that is this backend", &(struct tunnelled){.outer = outer, .alternate = own[outer]}, &inner,
		    HPB_KEPT);
		run("an alternate of another family than the outer header",
		    &(struct tunnelled){.outer = outer, .alternate = others[is4 ? 6 : 4]}, &inner, HPB_KEPT);
		run("a VLAN that has no interface here", &(struct tunnelled){.outer = outer, .depth = 1}, &inner, HPB_KEPT);
		assert_false(bpf_map_update_elem(bpf_map__fd(lab->maps.vlans), &vlan, &ifindex, BPF_ANY));
		run("one that has", &(struct tunnelled){.outer = outer, .depth = 1}, &inner, LEAVES);
		run("two tags are more than the relay sees", &(struct tunnelled){.outer = outer, .depth = 2}, &inner, HPB_KEPT);
		assert_false(bpf_map_delete_elem(bpf_map__fd(lab->maps.vlans), &vlan));
		lab_settings(HPB_TAKES_GUE);
		run("the second chance is off", &(struct tunnelled){.outer = outer}, &inner, HPB_KEPT);
		lab_settings(HPB_TAKES_GUE | HPB_PASSES_ON);
	}
}

/* Once passed on, never again; and the mark of those that leave opens nothing from outside. */
static void test_hops(void **state)
{
	struct segment s = {.family = 6, .port = 2000, .seq = 1, .ack = 2, .flags = ACK};
	struct frame inner = {.bytes = 0};

	put_segment(&inner, &s);
	for (int i = 0; i < 2; i++) {
		const char *stranger = i ? "fd99::1" : "10.9.9.9";
		int outer = families[i];

		run("one that was passed on stays", &(struct tunnelled){.outer = outer, .hops = 1}, &inner, HPB_TAKEN_OVER);
		for (int hops = 2; hops < 256; hops += 127)
			run("the mark of those that leave", &(struct tunnelled){.outer = outer, .hops = (uint8_t)hops}, &inner,
			    HPB_FORGED);
		run("also from a stranger", &(struct tunnelled){.outer = outer, .hops = 2, .sender = stranger}, &inner,
		    HPB_FORGED);
		run("also tagged", &(struct tunnelled){.outer = outer, .hops = 2, .depth = 2}, &inner, HPB_FORGED);
		run("a stranger's is refused, and not passed on",
		    &(struct tunnelled){.outer = outer, .sender = stranger}, &inner, HPB_REFUSED_SENDER);
		run("nor opened when it was passed on", &(struct tunnelled){.outer = outer, .hops = 1, .sender = stranger},
		    &inner, HPB_REFUSED_SENDER);
	}
	inner.bytes = 0;
	s.family = 4;
	put_segment(&inner, &s);
	inner.byte[19] ^= 1;
	run("for an address that is no VIP", &(struct tunnelled){.outer = 4}, &inner, HPB_OTHER_TUNNEL);
	run("nor with the mark", &(struct tunnelled){.outer = 4, .hops = 2}, &inner, HPB_FORGED);
}

/* The relay by itself: it touches nothing but what the XDP program marked. */
static void test_relay(void **state)
{
	struct segment s = {.family = 4, .port = 2000, .seq = 1, .ack = 2, .flags = ACK};
	const struct {
		const char *says;
		struct tunnelled t;
		uint32_t action;
		enum hpb_counter counter; /* HPB_COUNTER_COUNT: none */
	} rows[] = {
		{"fresh from the director", {.outer = 4}, TC_NEXT, HPB_COUNTER_COUNT},
		{"passed on", {.outer = 6, .hops = 1}, TC_NEXT, HPB_COUNTER_COUNT},
		{"without a second chance", {.outer = 4, .is_plain = true}, TC_NEXT, HPB_COUNTER_COUNT},
		{"a mark that is none", {.outer = 4, .hops = 3}, TC_NEXT, HPB_COUNTER_COUNT},
		{"a fragment", {.outer = 4, .hops = 2, .fragment = 0x2000}, TC_NEXT, HPB_COUNTER_COUNT},
		{"marked", {.outer = 4, .hops = 2}, TC_REDIRECT, HPB_PASSED_ON},
		{"marked, IPv6", {.outer = 6, .hops = 2}, TC_REDIRECT, HPB_PASSED_ON},
		{"marked, by a stranger", {.outer = 4, .hops = 2, .sender = "10.9.9.9"}, TC_SHOT, HPB_STRANDED},
	};
	struct frame inner = {.bytes = 0}, in, out;

	put_segment(&inner, &s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t all = lab_count_all();

		print_message("%s\n", rows[i].says);
		wrap(&in, &rows[i].t, &inner);
		assert_int_equal(lab_run(lab->progs.hp_relay, &in, &out), rows[i].action);
		assert_int_equal(lab_count_all() - all, rows[i].counter != HPB_COUNTER_COUNT);
		if (rows[i].action == TC_REDIRECT)
			in.byte[chance_at(&rows[i].t) + 2] = 1;
		expect_same(&out, &in);
	}
	for (size_t bytes = 34; bytes < in.bytes; bytes++) {
		struct frame cut = in;

		cut.bytes = bytes;
		assert_int_not_equal(lab_run(lab->progs.hp_relay, &cut, &out), TC_REDIRECT);
	}
}

/* ---- the host --------------------------------------------------------------------------------------------------- */

/* A namespace with the VIPs on lo, and the way to the clients through a tun device. */
static int open_host(void)
{
	struct ifreq row = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "wire"};

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (tun < 0 || ioctl(tun, TUNSETIFF, &row) < 0)
		return -1;
	return system("ip link set lo up && ip addr add 10.2.0.1/32 dev lo && ip addr add fd00:2::1/128 dev lo nodad && "
		      "ip link set wire up && ip route add default dev wire && ip -6 route add default dev wire");
}

static int open_lab(void **state)
{
	if (open_host() || lab_open(state))
		return -1;
	for (int i = 0; i < 2; i++) {
		lab_vip(vips[families[i]], HPB_VIP_GUE);
		lab_sender(senders[families[i]], families[i] == 4 ? 32 : 128);
	}
	lab_settings(HPB_TAKES_GUE | HPB_PASSES_ON);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_socket), cmocka_unit_test(test_connection), cmocka_unit_test(test_cookies),
		cmocka_unit_test(test_errors),	  cmocka_unit_test(test_others_stay), cmocka_unit_test(test_way),
		cmocka_unit_test(test_hops),	  cmocka_unit_test(test_relay),
	};

	return cmocka_run_group_tests(tests, open_lab, lab_close);
}

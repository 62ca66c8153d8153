/* A bench for mapped ports: clients ask one port, servers listen on another. Real sockets of this kernel, whose other end is
 * played by hand through a tap device, at which the programs hang as halfproxy-backend hangs them. Knows nothing of what is
 * expected, which is the tests' own. */
#ifndef HP_TEST_PORTS_LAB_H
#define HP_TEST_PORTS_LAB_H

#include "backend_lab.h"

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
#define ACK 0x10
#define ASKED 80
#define SERVED 8080
#define ETHER 14

static const char *const clients[] = {[4] = "192.168.1.1", [6] = "fd00:1::1"};
static const char *const vips[] = {[4] = "10.2.0.1", [6] = "fd00:2::1"};
static const char *const wildcards[] = {[4] = "0.0.0.0", [6] = "::"};
static const int families[] = {4, 6};

static int tap;
static uint16_t next_port = 20000; /* of clients */

/* ---- the client, by hand ---------------------------------------------------------------------------------------- */

static inline size_t header_of(int family)
{
	return family == 4 ? 20 : 40;
}

static inline void put32(struct frame *frame, uint32_t value)
{
	put16(frame, value >> 16);
	put16(frame, value & 0xffff);
}

static inline uint32_t get32(const struct frame *frame, size_t at)
{
	return (uint32_t)get16(frame, at) << 16 | get16(frame, at + 2);
}

/* The checksum of what lies behind the IP header that begins at `begin`, into the field at `field` of it. */
static inline void mend(struct frame *frame, int family, size_t begin, uint32_t protocol, size_t field)
{
	size_t at = begin + header_of(family), bytes = frame->bytes - at, addresses = family == 4 ? 8 : 32;

	set16(frame, at + field, fold(sum_bytes(frame->byte + at - addresses, addresses + bytes, protocol + (uint32_t)bytes)));
}

struct segment {
	int family;
	uint16_t client, port; /* port: of the VIP */
	uint32_t seq, ack;
	uint8_t flags;
};

static inline void send_frame(const struct frame *frame)
{
	assert_int_equal(write(tap, frame->byte, frame->bytes), frame->bytes);
}

static inline void begin_frame(struct frame *frame, int family, uint32_t protocol, size_t payload)
{
	frame->bytes = 0;
	put_link(frame, 0, family == 4 ? 0x0800 : 0x86dd);
	put_ip(frame, clients[family], vips[family], protocol, 0, payload);
}

/* A SYN says an MSS of 1440. */
static inline void make_segment(struct frame *frame, const struct segment *s)
{
	bool opens = s->flags == SYN;

	begin_frame(frame, s->family, IPPROTO_TCP, opens ? 24 : 20);
	put16(frame, s->client);
	put16(frame, s->port);
	put32(frame, s->seq);
	put32(frame, s->ack);
	put16(frame, (opens ? 0x6000u : 0x5000u) | s->flags);
	put16(frame, 0x2000);
	put32(frame, 0);
	if (opens)
		put32(frame, 0x02040000 | 1440);
	mend(frame, s->family, ETHER, IPPROTO_TCP, 16);
}

static inline void send_segment(const struct segment *s)
{
	struct frame frame;

	make_segment(&frame, s);
	send_frame(&frame);
}

static inline void send_datagram(int family, uint16_t client, uint16_t port, const char *text)
{
	struct frame frame;

	begin_frame(&frame, family, IPPROTO_UDP, 8 + strlen(text));
	put16(&frame, client);
	put16(&frame, port);
	put16(&frame, (uint32_t)(8 + strlen(text)));
	put16(&frame, 0);
	put(&frame, text, strlen(text));
	mend(&frame, family, ETHER, IPPROTO_UDP, 6);
	send_frame(&frame);
}

/* The next packet of a family and protocol that the VIP sends, its IP header first. */
static inline void receive(struct frame *frame, int family, uint8_t protocol)
{
	for (;;) {
		struct pollfd ready = {.fd = tap, .events = POLLIN};
		uint8_t byte[FRAME_MOST];
		ssize_t got;

		if (poll(&ready, 1, 2000) != 1)
			fail_msg("nothing came of family %d and protocol %d", family, protocol);
		got = read(tap, byte, sizeof(byte));
		assert_in_range(got, ETHER + 1, sizeof(byte));
		frame->bytes = 0;
		put(frame, byte + ETHER, (size_t)got - ETHER);
		if (byte[ETHER] >> 4 == family && frame->byte[family == 4 ? 9 : 6] == protocol)
			return;
	}
}

/* What the VIP says to a client's port; from which port it does. */
static inline uint16_t receive_segment(struct segment *s)
{
	size_t at = header_of(s->family);
	struct frame frame;

	do
		receive(&frame, s->family, IPPROTO_TCP);
	while (get16(&frame, at + 2) != s->client);
	s->seq = get32(&frame, at + 4);
	s->ack = get32(&frame, at + 8);
	s->flags = frame.byte[at + 13];
	return get16(&frame, at);
}

/* A client's SYN; what comes back to it, which must come from the port that it asked. Then *s can end the handshake. */
static inline uint8_t open_half(struct segment *s, int family, uint16_t port)
{
	struct segment answer;

	*s = (struct segment){.family = family, .client = next_port++, .port = port, .seq = 1000, .flags = SYN};
	answer = *s;
	send_segment(s);
	assert_int_equal(receive_segment(&answer), port);
	s->seq = 1001;
	s->ack = answer.seq + 1;
	s->flags = ACK;
	return answer.flags & (SYN | ACK | RST);
}

/* "The VIP's packet to the client, whose second word of its transport header this is, is longer than 1300." */
static inline void send_too_big(int family, uint8_t protocol, uint16_t client, uint32_t word)
{
	size_t header = header_of(family), begin;
	struct frame frame;

	begin_frame(&frame, family, family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, 8 + header + 8);
	begin = frame.bytes - header;
	put8(&frame, family == 4 ? 3 : 2);
	put8(&frame, family == 4 ? 4 : 0);
	put16(&frame, 0);
	put32(&frame, 1300);
	put_ip(&frame, vips[family], clients[family], protocol, 0, 1400);
	put16(&frame, ASKED);
	put16(&frame, client);
	put32(&frame, word);
	if (family == 4)
		set16(&frame, begin + header + 2, fold(sum_bytes(frame.byte + begin + header, 8 + header + 8, 0)));
	else
		mend(&frame, family, begin, IPPROTO_ICMPV6, 2);
	send_frame(&frame);
}

/* ---- the server ------------------------------------------------------------------------------------------------- */

static inline int serve(int family, int type, int protocol, const char *address, uint16_t port, bool shares)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(family == 4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, protocol), yes = 1;

	if (fd < 0)
		return -errno;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, shares ? SO_REUSEPORT : SO_REUSEADDR, &yes, sizeof(yes)), 0);
	assert_int_equal(inet_pton(family == 4 ? AF_INET : AF_INET6, address,
				   family == 4 ? (void *)&in4.sin_addr : (void *)&in6.sin6_addr), 1);
	assert_int_equal(bind(fd, family == 4 ? (void *)&in4 : (void *)&in6, family == 4 ? sizeof(in4) : sizeof(in6)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 128), 0);
	return fd;
}

static inline int listen_at(int family, const char *address, uint16_t port)
{
	return serve(family, SOCK_STREAM, 0, address, port, false);
}

/* ---- the host --------------------------------------------------------------------------------------------------- */

static inline int attach(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("wire"), .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, find, .handle = 1, .priority = 1, .prog_fd = bpf_program__fd(lab->progs.hp_find));
	LIBBPF_OPTS(bpf_tc_opts, answers, .handle = 1, .priority = 1, .prog_fd = bpf_program__fd(lab->progs.hp_answer));
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), code;

	if (bpf_tc_hook_create(&hook) || bpf_tc_attach(&hook, &find))
		return -1;
	hook.attach_point = BPF_TC_EGRESS;
	if (bpf_tc_attach(&hook, &answers))
		return -1;
	code = bpf_link_create(bpf_program__fd(lab->progs.hp_lookup), here, BPF_SK_LOOKUP, NULL);
	close(here);
	return code < 0 ? -1 : 0; /* the link stays until the test ends */
}

/* A namespace with the VIPs on lo, and the way to the clients through a tap device. */
static inline int open_host(void)
{
	struct ifreq row = {.ifr_flags = IFF_TAP | IFF_NO_PI, .ifr_name = "wire"};

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &row) < 0)
		return -1;
	return system("ip link set lo up && ip addr add 10.2.0.1/32 dev lo && ip addr add fd00:2::1/128 dev lo nodad && "
		      "ip link set wire address 02:00:00:00:00:01 up && ip route add default dev wire && "
		      "ip -6 route add default dev wire && "
		      "ip neigh add 192.168.1.1 lladdr 02:00:00:00:00:02 dev wire nud permanent && "
		      "ip neigh add fd00:1::1 lladdr 02:00:00:00:00:02 dev wire nud permanent");
}

static inline void map_port(uint8_t protocol, bool is_answer, uint16_t port, uint32_t other)
{
	struct hpb_port key = {protocol, is_answer, htons(port)};

	assert_false(bpf_map_update_elem(bpf_map__fd(lab->maps.ports), &key, &other, BPF_ANY));
}

static inline int open_lab(void **state)
{
	if (open_host() || lab_open(state) || attach())
		return -1;
	for (int i = 0; i < 2; i++)
		lab_vip(vips[families[i]], HPB_VIP_L2 | HPB_VIP_GUE);
	lab_sender("10.2.0.10", 32);
	lab_settings(HPB_TAKES_GUE | HPB_PASSES_ON);
	map_port(IPPROTO_TCP, false, ASKED, SERVED);
	map_port(IPPROTO_UDP, false, ASKED, SERVED);
	map_port(IPPROTO_UDP, true, SERVED, ASKED);
	return 0;
}

#endif

/* Pings: see ping.h. */
#include "doctor/ping.h"

#include <errno.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define WAIT_MS 300
#define TRIES 2
#define SMALL_BYTES 100
#define PACKET_MOST 65535
#define IP4_BYTES 20
#define IP6_BYTES 40
#define ICMP_BYTES 8

/* One question of a round; its place in the list is the ping's sequence number. */
struct question {
	struct ip ip;
	uint32_t bytes; /* of the IP packet; 0: nothing is asked */
	uint32_t lost;	/* the least that is known to get lost */
	bool is_answered;
};

struct pinging {
	int sockets[2]; /* IPv4, IPv6 */
	uint16_t id;
	struct question *list;
	size_t count;
};

/* ---- sockets -------------------------------------------------------------------------------------------------------------- */

/* DF, and whatever the kernel has learned of the path is not believed: it is what is to be measured. */
static int open_socket(int family)
{
	auto_close int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
				   family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	int probe = family == AF_INET ? IP_PMTUDISC_PROBE : IPV6_PMTUDISC_PROBE, room = 4 << 20;

	if (fd < 0 || (family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof(probe))
					 : setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof(probe))))
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return take_fd(&fd);
}

static uint16_t checksum(const uint8_t *bytes, size_t count)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < count; i += 2)
		sum += (uint32_t)bytes[i] << 8 | (i + 1 < count ? bytes[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The kernel fills in the checksum of ICMPv6 only. */
static void ask(const struct pinging *pinging, size_t index)
{
	const struct question *question = &pinging->list[index];
	bool is4 = ip_is4(&question->ip);
	size_t bytes = question->bytes - (is4 ? IP4_BYTES : IP6_BYTES);
	uint8_t packet[PACKET_MOST] = {is4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST};
	struct sockaddr_in to4 = {.sin_family = AF_INET};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
	uint16_t sum;

	packet[4] = (uint8_t)(pinging->id >> 8);
	packet[5] = (uint8_t)pinging->id;
	packet[6] = (uint8_t)(index >> 8);
	packet[7] = (uint8_t)index;
	sum = is4 ? checksum(packet, bytes) : 0;
	packet[2] = (uint8_t)(sum >> 8);
	packet[3] = (uint8_t)sum;
	memcpy(&to4.sin_addr, ip_bytes4(&question->ip), 4);
	memcpy(&to6.sin6_addr, question->ip.byte, 16);
	/* One that cannot be sent is one that does not arrive. */
	(void)!sendto(pinging->sockets[is4 ? 0 : 1], packet, bytes, 0, is4 ? (void *)&to4 : (void *)&to6,
		      is4 ? sizeof(to4) : sizeof(to6));
}

/* Raw sockets get every ICMP packet of the host; IPv4 ones with their header. */
static void take_answers(struct pinging *pinging, int family)
{
	uint8_t packet[PACKET_MOST];

	for (;;) {
		const uint8_t *icmp = packet;
		ssize_t got = recv(pinging->sockets[family == AF_INET ? 0 : 1], packet, sizeof(packet), 0);
		size_t header = family == AF_INET && got > 0 ? (size_t)(packet[0] & 0xf) * 4 : 0, index;

		if (got < 0)
			return;
		if ((size_t)got < header + ICMP_BYTES)
			continue;
		icmp += header;
		index = (size_t)icmp[6] << 8 | icmp[7];
		if (icmp[0] != (family == AF_INET ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY) || index >= pinging->count ||
		    (icmp[4] << 8 | icmp[5]) != pinging->id)
			continue;
		/* A late answer to the question of an earlier round is as long as that one was. */
		if ((size_t)got - header == pinging->list[index].bytes - (family == AF_INET ? IP4_BYTES : IP6_BYTES))
			pinging->list[index].is_answered = true;
	}
}

/* ---- rounds --------------------------------------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static size_t count_open(const struct pinging *pinging)
{
	size_t open = 0;

	for (size_t i = 0; i < pinging->count; i++)
		open += pinging->list[i].bytes && !pinging->list[i].is_answered;
	return open;
}

static void listen_until(struct pinging *pinging, uint64_t until_ms)
{
	struct pollfd polls[2] = {{.fd = pinging->sockets[0], .events = POLLIN}, {.fd = pinging->sockets[1], .events = POLLIN}};

	for (uint64_t now = now_ms(); now < until_ms && count_open(pinging); now = now_ms()) {
		poll(polls, 2, (int)(until_ms - now));
		take_answers(pinging, AF_INET);
		take_answers(pinging, AF_INET6);
	}
}

/* Ask what is open, again where nothing came. */
static void run_round(struct pinging *pinging)
{
	for (size_t i = 0; i < pinging->count; i++)
		pinging->list[i].is_answered = false;
	for (int try = 0; try < TRIES && count_open(pinging); try++) {
		for (size_t i = 0; i < pinging->count; i++) {
			if (!pinging->list[i].bytes || pinging->list[i].is_answered)
				continue;
			ask(pinging, i);
			take_answers(pinging, ip_is4(&pinging->list[i].ip) ? AF_INET : AF_INET6);
		}
		listen_until(pinging, now_ms() + WAIT_MS);
	}
}

/* Small and full size at once: of each path the questions 2 i and 2 i + 1. */
static void measure_ends(struct pinging *pinging, struct judge_path *paths, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		pinging->list[2 * i] = (struct question){.ip = paths[i].backend, .bytes = SMALL_BYTES};
		pinging->list[2 * i + 1] = (struct question){.ip = paths[i].backend, .bytes = paths[i].mtu};
	}
	run_round(pinging);
	for (size_t i = 0; i < count; i++) {
		bool is_full = pinging->list[2 * i + 1].is_answered;

		paths[i].answers = is_full || pinging->list[2 * i].is_answered;
		paths[i].largest = is_full ? paths[i].mtu : paths[i].answers ? SMALL_BYTES : 0;
		pinging->list[2 * i] = (struct question){.ip = paths[i].backend, .lost = paths[i].mtu};
		pinging->list[2 * i + 1].bytes = 0;
	}
}

/* The next length of a path, by what came of the last one. Returns whether there is one. */
static bool advance(struct question *question, struct judge_path *path)
{
	if (question->bytes && question->is_answered)
		path->largest = question->bytes;
	else if (question->bytes)
		question->lost = question->bytes;
	question->bytes = path->answers ? judge_path_next(path->largest, question->lost) : 0;
	return question->bytes;
}

static void measure(struct pinging *pinging, struct judge_path *paths, size_t count)
{
	bool is_open = true;

	measure_ends(pinging, paths, count);
	while (is_open) {
		is_open = false;
		for (size_t i = 0; i < count; i++)
			is_open |= advance(&pinging->list[2 * i], &paths[i]);
		if (is_open)
			run_round(pinging);
	}
}

int ping_measure(struct judge_path *paths, size_t count, struct err *e)
{
	auto_close int four = open_socket(AF_INET);
	auto_close int six = open_socket(AF_INET6);
	auto_free struct question *list = calloc(2 * count + 1, sizeof(*list));
	struct pinging pinging = {{four, six}, (uint16_t)getpid(), list, 2 * count};

	/* A host without one of the families has no backend of it either, or none that can be reached. */
	if (four < 0 && six < 0)
		return err_set(e, four, "a socket for pings: %s", strerror(-four));
	if (!list || 2 * count > UINT16_MAX)
		return err_set(e, -ENOMEM, "pings to %zu backends: too many", count);
	measure(&pinging, paths, count);
	return 0;
}

/* forge: TCP segments that no socket sent, from whatever source, at a bounded rate. For rig/held.sh.
 *
 *     forge rst VIP PORT SOURCE SOURCE_PORT...      one RST for each port, with a sequence number that is not the flow's
 *     forge syn|ack VIP PORT PREFIX RATE COUNT      so many a second, COUNT in all, each from a source of its own:
 *                                                   PREFIX/16 or, for IPv6, PREFIX/64, filled up at random
 *
 * Raw sockets: routing and neighbours are the host's own. It prints what it sent. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MOST 2000000
#define RATE_MOST 200000

/* Both families' addresses as sixteen bytes; IPv4 is the first four. */
struct segment {
	bool is_six;
	uint8_t source[16], destination[16];
	uint16_t source_port, destination_port; /* host order */
	uint32_t sequence, acknowledged;
	uint8_t flags;
};

static uint32_t any32(void)
{
	static uint64_t state;

	while (!state)
		if (getrandom(&state, sizeof(state), 0) != sizeof(state))
			state = 0;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static uint32_t sum(uint32_t so_far, const void *bytes, size_t count)
{
	const uint8_t *byte = bytes;

	for (size_t i = 0; i < count; i += 2)
		so_far += (uint32_t)byte[i] << 8 | byte[i + 1];
	return so_far;
}

static uint16_t folded(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return htons((uint16_t)~total);
}

static void put_tcp(const struct segment *s, struct tcphdr *tcp)
{
	size_t bytes = s->is_six ? 16 : 4;
	uint32_t pseudo = IPPROTO_TCP + sizeof(*tcp);

	*tcp = (struct tcphdr){ .th_sport = htons(s->source_port), .th_dport = htons(s->destination_port),
				.th_seq = htonl(s->sequence), .th_ack = htonl(s->acknowledged), .th_off = 5,
				.th_flags = s->flags, .th_win = htons(0xffff) };
	pseudo = sum(sum(pseudo, s->source, bytes), s->destination, bytes);
	tcp->th_sum = folded(sum(pseudo, tcp, sizeof(*tcp)));
}

static bool send_segment(int fd, const struct segment *s)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };
	uint8_t packet[sizeof(struct ip6_hdr) + sizeof(struct tcphdr)];
	size_t head = s->is_six ? sizeof(struct ip6_hdr) : sizeof(struct ip);
	struct tcphdr tcp;

	memset(packet, 0, sizeof(packet));
	put_tcp(s, &tcp);
	memcpy(packet + head, &tcp, sizeof(tcp));
	if (s->is_six) {
		struct ip6_hdr ip = { .ip6_flow = htonl(6U << 28), .ip6_plen = htons(sizeof(tcp)), .ip6_nxt = IPPROTO_TCP,
				      .ip6_hlim = 64 };

		memcpy(&ip.ip6_src, s->source, 16);
		memcpy(&ip.ip6_dst, s->destination, 16);
		memcpy(packet, &ip, head);
		memcpy(&to6.sin6_addr, s->destination, 16);
		return sendto(fd, packet, head + sizeof(tcp), 0, (struct sockaddr *)&to6, sizeof(to6)) > 0;
	}
	struct ip ip = { .ip_v = 4, .ip_hl = 5, .ip_len = htons((uint16_t)(head + sizeof(tcp))), .ip_ttl = 64,
			 .ip_p = IPPROTO_TCP };

	memcpy(&ip.ip_src, s->source, 4);
	memcpy(&ip.ip_dst, s->destination, 4);
	memcpy(packet, &ip, head);
	memcpy(&to4.sin_addr, s->destination, 4);
	return sendto(fd, packet, head + sizeof(tcp), 0, (struct sockaddr *)&to4, sizeof(to4)) > 0;
}

static int open_raw(bool is_six)
{
	int yes = 1, fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	if (fd < 0 || (is_six && setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &yes, sizeof(yes)))) {
		perror("forge: raw socket");
		exit(1);
	}
	return fd;
}

static bool read_address(const char *text, bool is_six, uint8_t address[static 16])
{
	return inet_pton(is_six ? AF_INET6 : AF_INET, text, address) == 1;
}

static int resets(int fd, struct segment *s, int count, char **port)
{
	int sent = 0;

	s->flags = TH_RST;
	for (int i = 0; i < count; i++) {
		s->source_port = (uint16_t)atoi(port[i]);
		s->sequence = any32();
		sent += send_segment(fd, s);
	}
	printf("%d resets sent\n", sent);
	return sent == count ? 0 : 1;
}

/* Segments in portions of a millisecond. */
static int flood(int fd, struct segment *s, unsigned int rate, unsigned int count)
{
	unsigned int sent = 0, failed = 0;
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (sent + failed < count) {
		uint64_t due;

		clock_gettime(CLOCK_MONOTONIC, &now);
		due = (uint64_t)((double)rate * ((double)(now.tv_sec - begin.tv_sec) +
						 (double)(now.tv_nsec - begin.tv_nsec) / 1e9)) + 1;
		for (; sent + failed < count && sent + failed < due; ) {
			uint32_t host = any32();

			memcpy(s->source + (s->is_six ? 12 : 2), &host, s->is_six ? 4 : 2);
			s->source_port = (uint16_t)(1024 + any32() % 64000);
			s->sequence = any32();
			s->acknowledged = s->flags & TH_ACK ? any32() : 0;
			if (send_segment(fd, s))
				sent++;
			else
				failed++;
		}
		usleep(1000);
	}
	printf("%u segments sent, %u refused\n", sent, failed);
	return 0;
}

int main(int count, char **word)
{
	struct segment s = { 0 };
	bool is_rst = count >= 6 && !strcmp(word[1], "rst");
	bool is_flood = count == 7 && (!strcmp(word[1], "syn") || !strcmp(word[1], "ack"));

	s.is_six = count >= 6 && strchr(word[2], ':');
	if ((!is_rst && !is_flood) || !read_address(word[2], s.is_six, s.destination) ||
	    !read_address(word[4], s.is_six, s.source) ||
	    (is_flood && (atoi(word[5]) < 1 || atoi(word[5]) > RATE_MOST || atoi(word[6]) < 1 || atoi(word[6]) > COUNT_MOST))) {
		fputs("usage: forge rst VIP PORT SOURCE SOURCE_PORT... | forge syn|ack VIP PORT PREFIX RATE COUNT\n", stderr);
		return 2;
	}
	s.destination_port = (uint16_t)atoi(word[3]);
	if (is_rst)
		return resets(open_raw(s.is_six), &s, count - 5, word + 5);
	s.flags = *word[1] == 's' ? TH_SYN : TH_ACK;
	return flood(open_raw(s.is_six), &s, (unsigned int)atoi(word[5]), (unsigned int)atoi(word[6]));
}

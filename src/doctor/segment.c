/* Asking the segment: see segment.h. */
#include "doctor/segment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/filter.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"

#define ROUNDS 2
#define BURST 64 /* questions in a row, before answers are taken */
#define ARP_BYTES 28
#define ICMP6_SOLICITATION 135
#define ICMP6_ADVERTISEMENT 136
#define IP6_ICMP 58
#define ETHERNET_BYTES 14
#define IP6_BYTES 40
#define ND_BYTES 24

/* ---- frames --------------------------------------------------------------------------------------------------------------- */

static size_t ask_arp(const uint8_t mac[static 6], const struct ip *ip, uint8_t *frame)
{
	/* Ethernet and IPv4, six and four bytes, a request; sender 0.0.0.0 (RFC 5227). */
	static const uint8_t head[] = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};

	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, head, sizeof(head));
	memcpy(frame + 22, mac, 6);
	memset(frame + 28, 0, 10);
	memcpy(frame + 38, ip_bytes4(ip), 4);
	return ETHERNET_BYTES + ARP_BYTES;
}

static uint16_t checksum(const uint8_t *bytes, size_t count, uint32_t sum)
{
	for (size_t i = 0; i + 1 < count; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* From :: to the group of all who may have such an address (RFC 4862, 5.4.2); such a question bears no MAC address inside. */
static size_t ask_nd(const uint8_t mac[static 6], const struct ip *ip, uint8_t *frame)
{
	static const uint8_t group[13] = {0xff, 0x02, [11] = 1, [12] = 0xff};
	uint8_t *header = frame + ETHERNET_BYTES, *icmp = header + IP6_BYTES;
	uint16_t sum;

	memset(frame, 0, ETHERNET_BYTES + IP6_BYTES + ND_BYTES);
	frame[0] = frame[1] = 0x33;
	frame[2] = 0xff;
	memcpy(frame + 3, ip->byte + 13, 3);
	memcpy(frame + 6, mac, 6);
	frame[12] = 0x86;
	frame[13] = 0xdd;
	header[0] = 0x60;
	header[5] = ND_BYTES;
	header[6] = IP6_ICMP;
	header[7] = 255;
	memcpy(header + 24, group, sizeof(group));
	memcpy(header + 37, ip->byte + 13, 3);
	icmp[0] = ICMP6_SOLICITATION;
	memcpy(icmp + 8, ip->byte, 16);
	/* The pseudo header is the two addresses, the length and the protocol. */
	sum = checksum(header + 8, 32 + ND_BYTES, ND_BYTES + IP6_ICMP);
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
	return ETHERNET_BYTES + IP6_BYTES + ND_BYTES;
}

size_t segment_question(const uint8_t mac[static 6], const struct ip *ip, uint8_t frame[static SEGMENT_QUESTION_BYTES])
{
	return ip_is4(ip) ? ask_arp(mac, ip, frame) : ask_nd(mac, ip, frame);
}

/* Of a claim by ARP the sender's own fields count; of an advertisement the MAC address that it came from, as the option that
 * tells one may be left out. */
bool segment_read(const uint8_t *frame, size_t bytes, struct segment_answer *out)
{
	const uint8_t *inner = frame + ETHERNET_BYTES;
	int type = bytes >= ETHERNET_BYTES ? frame[12] << 8 | frame[13] : 0;

	if (type == ETH_P_ARP && bytes >= ETHERNET_BYTES + ARP_BYTES) {
		if (inner[6] || inner[7] != 2)
			return false;
		memcpy(out->mac, inner + 8, 6);
		out->ip = ip_from4(inner + 14);
		return true;
	}
	if (type != ETH_P_IPV6 || bytes < ETHERNET_BYTES + IP6_BYTES + ND_BYTES || inner[6] != IP6_ICMP ||
	    inner[IP6_BYTES] != ICMP6_ADVERTISEMENT)
		return false;
	memcpy(out->mac, frame + 6, 6);
	out->ip = ip_from6(inner + IP6_BYTES + 8);
	return true;
}

/* ---- sockets -------------------------------------------------------------------------------------------------------------- */

/* Of IPv6 only advertisements: a director's other packets are many. */
static int open_socket(uint16_t protocol)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETHERNET_BYTES + 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IP6_ICMP, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETHERNET_BYTES + IP6_BYTES),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP6_ADVERTISEMENT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT16_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
	auto_close int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (protocol == ETH_P_IPV6 && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter))) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return take_fd(&fd);
}

/* What a round knows. */
struct asking {
	int sockets[2]; /* ARP, IPv6 */
	const struct ip *addresses;
	size_t address_count;
	struct segment_answers *out;
};

static bool was_asked(const struct asking *asking, const struct ip *ip)
{
	for (size_t i = 0; i < asking->address_count; i++)
		if (ip_equal(&asking->addresses[i], ip))
			return true;
	return false;
}

static void note(struct segment_answers *out, const struct segment_answer *answer)
{
	struct segment_answer *grown;

	for (size_t i = 0; i < out->count; i++)
		if (!memcmp(&out->list[i], answer, sizeof(*answer)))
			return;
	grown = realloc(out->list, (out->count + 1) * sizeof(*grown));
	if (!grown)
		return;
	out->list = grown;
	out->list[out->count++] = *answer;
}

static void take_answers(struct asking *asking, int fd)
{
	uint8_t frame[256];

	for (;;) {
		struct sockaddr_ll from = {0};
		socklen_t room = sizeof(from);
		struct segment_answer answer;
		ssize_t got = recvfrom(fd, frame, sizeof(frame), 0, (struct sockaddr *)&from, &room);

		if (got < 0)
			return;
		memset(&answer, 0, sizeof(answer));
		answer.ifindex = (uint32_t)from.sll_ifindex;
		if (from.sll_pkttype != PACKET_OUTGOING && segment_read(frame, (size_t)got, &answer) &&
		    was_asked(asking, &answer.ip))
			note(asking->out, &answer);
	}
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void listen_until(struct asking *asking, uint64_t until_ms)
{
	struct pollfd polls[2] = {{.fd = asking->sockets[0], .events = POLLIN}, {.fd = asking->sockets[1], .events = POLLIN}};
	uint64_t now = now_ms();

	do {
		if (poll(polls, 2, until_ms > now ? (int)(until_ms - now) : 0) > 0)
			for (size_t i = 0; i < 2; i++)
				take_answers(asking, polls[i].fd);
		now = now_ms();
	} while (now < until_ms);
}

static void ask_one(struct asking *asking, const struct look_link *link, const struct ip *ip)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)link->ifindex, .sll_halen = 6};
	uint8_t frame[SEGMENT_QUESTION_BYTES];
	size_t bytes = segment_question(link->mac, ip, frame);

	memcpy(to.sll_addr, frame, 6);
	/* A link that takes none is judged elsewhere. */
	(void)!sendto(asking->sockets[ip_is4(ip) ? 0 : 1], frame, bytes, 0, (struct sockaddr *)&to, sizeof(to));
}

static void ask_all(struct asking *asking, const struct look_link *const *links, size_t link_count)
{
	size_t asked = 0;

	for (size_t i = 0; i < link_count; i++)
		for (size_t j = 0; j < asking->address_count; j++) {
			if (!links[i]->is_ethernet || !(links[i]->flags & IFF_UP))
				continue;
			ask_one(asking, links[i], &asking->addresses[j]);
			if (++asked % BURST == 0)
				listen_until(asking, now_ms() + 1);
		}
}

int segment_ask(const struct look_link *const *links, size_t link_count, const struct ip *addresses, size_t address_count,
		struct segment_answers *out, struct err *e)
{
	auto_close int arp = open_socket(ETH_P_ARP);
	auto_close int nd = open_socket(ETH_P_IPV6);
	struct asking asking = {{arp, nd}, addresses, address_count, out};

	*out = (struct segment_answers){0};
	if (arp < 0 || nd < 0)
		return err_set(e, arp < 0 ? arp : nd, "a socket for frames: %s", strerror(arp < 0 ? -arp : -nd));
	for (int round = 0; round < ROUNDS; round++) {
		ask_all(&asking, links, link_count);
		listen_until(&asking, now_ms() + SEGMENT_WAIT_MS / ROUNDS);
	}
	return 0;
}

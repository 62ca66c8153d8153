/* Gratuitous announcements: see gratuitous.h. */
#include "daemon/gratuitous.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#define PACE_MS 10
#define FRAMES_A_PACE 100
#define TIMES 3
#define APART_MS 1000

/* A VIP that is here, in one of two queues, each in the order in which its next turn comes. */
struct claim {
	struct ip vip; /* key */
	bool is_new;   /* in the queue of those, else in that of the others */
	unsigned int left; /* turns as a new one */
	uint64_t due_ms;
	uint64_t kept_in; /* the last gratuitous->round that named it */
	struct claim *prev, *next;
	UT_hash_handle hh;
};

struct gratuitous {
	uv_loop_t *loop;
	uv_timer_t timer;
	int fd;
	struct gratuitous_port ports[GRATUITOUS_PORTS_MOST];
	size_t port_count;
	uint64_t refresh_ms; /* 0: never */
	uint64_t round;
	struct claim *claims;	   /* by VIP */
	struct claim *fresh, *old; /* the queues */
	bool is_closing;
};

/* ---- frames ------------------------------------------------------------------------------------------------------------- */

static size_t put_ethernet(uint8_t *frame, const uint8_t to[static 6], const uint8_t from[static 6], uint16_t type)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	return 14;
}

static size_t put_arp(uint8_t *at, const struct ip *vip, const uint8_t mac[static 6], bool is_reply)
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0}; /* Ethernet, IPv4, their lengths */

	memcpy(at, head, sizeof(head));
	at[7] = is_reply ? 2 : 1;
	memcpy(at + 8, mac, 6);
	memcpy(at + 14, ip_bytes4(vip), 4);
	if (is_reply)
		memcpy(at + 18, mac, 6);
	memcpy(at + 24, ip_bytes4(vip), 4);
	return 28;
}

static uint32_t sum16(uint32_t sum, const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	return sum;
}

/* Not solicited, and to override what the neighbours know. To all nodes; from the VIP, as answers are. */
static size_t put_advertisement(uint8_t *at, const struct ip *vip, const uint8_t mac[static 6])
{
	static const uint8_t head[] = {0x60, 0, 0, 0, 0, 32, 58, 255}, all_nodes[] = {0xff, 2, [15] = 1};
	uint8_t *message = at + 40;
	uint32_t sum;

	memcpy(at, head, sizeof(head));
	memcpy(at + 8, vip->byte, 16);
	memcpy(at + 24, all_nodes, 16);
	message[0] = 136;
	message[4] = 0x20;
	memcpy(message + 8, vip->byte, 16);
	message[24] = 2; /* the target's link-layer address, in units of eight bytes */
	message[25] = 1;
	memcpy(message + 26, mac, 6);
	sum = sum16(32 + 58, at + 8, 32);
	sum = sum16(sum, message, 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	message[2] = (uint8_t)(sum >> 8);
	message[3] = (uint8_t)sum;
	return 72;
}

size_t gratuitous_frame(uint8_t frame[static GRATUITOUS_FRAME_BYTES], const struct ip *vip, const uint8_t mac[static 6],
			bool is_reply)
{
	static const uint8_t everybody[] = {255, 255, 255, 255, 255, 255}, all_nodes[] = {0x33, 0x33, 0, 0, 0, 1};
	size_t bytes;

	memset(frame, 0, GRATUITOUS_FRAME_BYTES);
	if (ip_is4(vip)) {
		bytes = put_ethernet(frame, everybody, mac, ETH_P_ARP);
		return bytes + put_arp(frame + bytes, vip, mac, is_reply);
	}
	bytes = put_ethernet(frame, all_nodes, mac, ETH_P_IPV6);
	return bytes + put_advertisement(frame + bytes, vip, mac);
}

/* A port that takes none now is announced by when it comes up again. */
static unsigned int send_one(const struct gratuitous *gratuitous, const struct ip *vip)
{
	unsigned int forms = ip_is4(vip) ? 2 : 1;
	uint8_t frame[GRATUITOUS_FRAME_BYTES];

	for (size_t i = 0; i < gratuitous->port_count; i++)
		for (unsigned int form = 0; form < forms; form++) {
			const struct gratuitous_port *port = &gratuitous->ports[i];
			const struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)port->ifindex};
			size_t bytes = gratuitous_frame(frame, vip, port->mac, form == 1);

			(void)!sendto(gratuitous->fd, frame, bytes, 0, (const struct sockaddr *)&to, sizeof(to));
		}
	return forms * (unsigned int)gratuitous->port_count;
}

/* ---- turns ------------------------------------------------------------------------------------------------------------- */

static void plan(struct gratuitous *gratuitous)
{
	uint64_t now_ms = uv_now(gratuitous->loop), due_ms = UINT64_MAX;

	if (gratuitous->fresh)
		due_ms = gratuitous->fresh->due_ms;
	if (gratuitous->old && gratuitous->refresh_ms && gratuitous->old->due_ms < due_ms)
		due_ms = gratuitous->old->due_ms;
	if (due_ms == UINT64_MAX || !gratuitous->port_count || gratuitous->is_closing)
		uv_timer_stop(&gratuitous->timer);
	else
		uv_timer_start(&gratuitous->timer, gratuitous->timer.timer_cb,
			       due_ms > now_ms + PACE_MS ? due_ms - now_ms : PACE_MS, 0);
}

static void take_off(struct gratuitous *gratuitous, struct claim *claim)
{
	if (claim->is_new)
		DL_DELETE(gratuitous->fresh, claim);
	else
		DL_DELETE(gratuitous->old, claim);
}

/* Its next turn comes after all others of its queue, which all wait as long, or now. */
static void queue(struct gratuitous *gratuitous, struct claim *claim, uint64_t in_ms)
{
	claim->is_new = claim->left > 0;
	claim->due_ms = uv_now(gratuitous->loop) + in_ms;
	if (!claim->is_new)
		DL_APPEND(gratuitous->old, claim);
	else if (in_ms)
		DL_APPEND(gratuitous->fresh, claim);
	else
		DL_PREPEND(gratuitous->fresh, claim);
}

static unsigned int take_turn(struct gratuitous *gratuitous, struct claim *claim)
{
	unsigned int frames = send_one(gratuitous, &claim->vip);

	take_off(gratuitous, claim);
	claim->left -= claim->left > 0;
	queue(gratuitous, claim, claim->left ? APART_MS : gratuitous->refresh_ms);
	return frames;
}

/* Of those that are refreshed no more at a time than spreads them over the period, if once they came together. */
static void turn(uv_timer_t *timer)
{
	struct gratuitous *gratuitous = timer->data;
	uint64_t now_ms = uv_now(gratuitous->loop);
	uint64_t spread = gratuitous->refresh_ms;
	unsigned int frames = 0;

	while (gratuitous->fresh && gratuitous->fresh->due_ms <= now_ms && frames < FRAMES_A_PACE)
		frames += take_turn(gratuitous, gratuitous->fresh);
	if (spread)
		spread = 1 + HASH_COUNT(gratuitous->claims) * PACE_MS * 5 / 4 / spread;
	for (; spread && gratuitous->old && gratuitous->old->due_ms <= now_ms && frames < FRAMES_A_PACE; spread--)
		frames += take_turn(gratuitous, gratuitous->old);
	plan(gratuitous);
}

static void make_new(struct gratuitous *gratuitous, struct claim *claim)
{
	take_off(gratuitous, claim);
	claim->left = TIMES;
	queue(gratuitous, claim, 0);
}

/* ---- what is here ---------------------------------------------------------------------------------------------------- */

void gratuitous_begin(struct gratuitous *gratuitous)
{
	gratuitous->round++;
}

void gratuitous_keep(struct gratuitous *gratuitous, const struct ip *vip, bool is_new)
{
	struct claim *claim;

	HASH_FIND(hh, gratuitous->claims, vip, sizeof(*vip), claim);
	if (!claim) {
		claim = calloc(1, sizeof(*claim));
		if (!claim)
			return; /* clients that ask are answered all the same */
		claim->vip = *vip;
		HASH_ADD(hh, gratuitous->claims, vip, sizeof(claim->vip), claim);
		queue(gratuitous, claim, gratuitous->refresh_ms);
	}
	claim->kept_in = gratuitous->round;
	if (is_new)
		make_new(gratuitous, claim);
}

void gratuitous_end(struct gratuitous *gratuitous)
{
	struct claim *claim, *next;

	HASH_ITER(hh, gratuitous->claims, claim, next) {
		if (claim->kept_in == gratuitous->round)
			continue;
		take_off(gratuitous, claim);
		HASH_DEL(gratuitous->claims, claim);
		free(claim);
	}
	plan(gratuitous);
}

static bool has_port(const struct gratuitous *gratuitous, const struct gratuitous_port *port)
{
	for (size_t i = 0; i < gratuitous->port_count; i++)
		if (gratuitous->ports[i].ifindex == port->ifindex &&
		    !memcmp(gratuitous->ports[i].mac, port->mac, sizeof(port->mac)))
			return true;
	return false;
}

void gratuitous_by(struct gratuitous *gratuitous, const struct gratuitous_port *ports, size_t count, uint32_t refresh_s)
{
	struct claim *claim, *next;
	bool has_come = false;

	for (size_t i = 0; i < count; i++)
		has_come |= !has_port(gratuitous, &ports[i]);
	gratuitous->port_count = count;
	if (count)
		memcpy(gratuitous->ports, ports, count * sizeof(*ports));
	if (has_come)
		HASH_ITER(hh, gratuitous->claims, claim, next)
			make_new(gratuitous, claim);
	if (gratuitous->refresh_ms != refresh_s * 1000ull) {
		gratuitous->refresh_ms = refresh_s * 1000ull;
		DL_FOREACH(gratuitous->old, claim) /* which stay in order */
			if (claim->due_ms > uv_now(gratuitous->loop) + gratuitous->refresh_ms)
				claim->due_ms = uv_now(gratuitous->loop) + gratuitous->refresh_ms;
	}
	plan(gratuitous);
}

/* ---- life --------------------------------------------------------------------------------------------------------------- */

struct gratuitous *gratuitous_create(uv_loop_t *loop, struct err *e)
{
	struct gratuitous *gratuitous = calloc(1, sizeof(*gratuitous));

	if (!gratuitous) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	/* Protocol 0: nothing is received by it. */
	gratuitous->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (gratuitous->fd < 0) {
		err_set(e, -errno, "a packet socket: %m%s", errno == EPERM ? ": CAP_NET_RAW is missing" : "");
		free(gratuitous);
		return NULL;
	}
	gratuitous->loop = loop;
	uv_timer_init(loop, &gratuitous->timer);
	gratuitous->timer.timer_cb = turn;
	gratuitous->timer.data = gratuitous;
	return gratuitous;
}

static void closed(uv_handle_t *handle)
{
	struct gratuitous *gratuitous = handle->data;
	struct claim *claim, *next;

	HASH_ITER(hh, gratuitous->claims, claim, next) {
		HASH_DEL(gratuitous->claims, claim);
		free(claim);
	}
	close(gratuitous->fd);
	free(gratuitous);
}

void gratuitous_destroy(struct gratuitous *gratuitous)
{
	if (!gratuitous)
		return;
	gratuitous->is_closing = true;
	uv_close((uv_handle_t *)&gratuitous->timer, closed);
}

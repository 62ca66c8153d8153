/* Gratuitous announcements: frames that tell a segment which MAC address has a VIP, without having been asked.
 *
 * For IPv4 an ARP request and an ARP reply of the VIP about itself (RFC 5227, 3), for IPv6 an unsolicited neighbour advertisement
 * (RFC 4861, 7.2.6). A VIP that is new here is announced three times, a second apart, then once each refresh period, so that no
 * switch forgets where it is. At most some 10,000 frames a second. Knows no map and no netlink; single-threaded. */
#ifndef HP_DAEMON_GRATUITOUS_H
#define HP_DAEMON_GRATUITOUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/ip.h"

#define GRATUITOUS_PORTS_MOST 128
#define GRATUITOUS_FRAME_BYTES 86

struct gratuitous;

struct gratuitous_port {
	uint32_t ifindex;
	uint8_t mac[6];
};

/* Open the raw socket, which takes CAP_NET_RAW. loop: borrowed. Returns NULL with *e written. */
struct gratuitous *gratuitous_create(uv_loop_t *loop, struct err *e);

/* Announce no more. Run the loop once afterwards. NULL is fine. */
void gratuitous_destroy(struct gratuitous *gratuitous);

/* By which ports, copied, and how often (0: no more than three times). All VIPs count as new again when a port comes in. */
void gratuitous_by(struct gratuitous *gratuitous, const struct gratuitous_port *ports, size_t count, uint32_t refresh_s);

/* The VIPs that are here are just those named between begin and end. is_new: announce it now, though it may have been here. */
void gratuitous_begin(struct gratuitous *gratuitous);
void gratuitous_keep(struct gratuitous *gratuitous, const struct ip *vip, bool is_new);
void gratuitous_end(struct gratuitous *gratuitous);

/* The frame that announces a VIP by a MAC address. IPv4: the request, or the reply. Returns its length. */
size_t gratuitous_frame(uint8_t frame[static GRATUITOUS_FRAME_BYTES], const struct ip *vip, const uint8_t mac[static 6],
			bool is_reply);

#endif

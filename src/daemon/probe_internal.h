/* What the kinds of probes have in common: a beginning, an end in time, sockets, and what ICMP says of them. For
 * probe_*.c alone; others include probe.h.
 *
 * A kind's own record begins with a struct probe, so that the one is the other. It is finished once, by whatever comes
 * first: an answer, an error, its time. Then everything it holds is let go at once, and its memory when the loop has
 * closed its handles. */
#ifndef HP_DAEMON_PROBE_INTERNAL_H
#define HP_DAEMON_PROBE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "daemon/probe.h"

struct probe_curl;
struct probe_echo;

struct probe_shared {
	uv_loop_t *loop;
	struct probe_curl *curl;    /* made by the first probe of http or https; NULL until then */
	struct probe_echo *echo[2]; /* made by the first probe of icmp, of IPv4 and of IPv6 */
};

/* The part of a kind that the common part calls. */
struct probe_deeds {
	/* The time is over: write the result by probe_say. */
	void (*late)(struct probe *probe);
	/* Let go of sockets, processes and memory, the record itself excepted. */
	void (*release)(struct probe *probe);
};

struct probe {
	struct probe_shared *shared;
	const struct config_health *health;
	const struct probe_target *target;
	const struct probe_deeds *deeds;
	probe_done *done;
	void *context;
	uint64_t begun_ns;
	uv_timer_t timer;
	unsigned int open_handles;
	bool is_last_look;
	struct health_result result;
};

/* Write the common part of a record that is all zeros, and start its time. */
void probe_begin(struct probe *probe, struct probe_shared *shared, const struct config_health *health,
		 const struct probe_target *target, const struct probe_deeds *deeds, probe_done *done, void *context);

/* Put the answer into the result, in words unless it is good; what is not printable ASCII becomes a question mark. */
void probe_say(struct probe *probe, enum health_answer answer, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Release, tell the result, and free. Not from within a kind's start. */
void probe_finish(struct probe *probe);

/* Release and free, telling nobody. Also what a start does that fails. */
void probe_end(struct probe *probe);

/* Begin to watch a descriptor of this probe. Returns 0 or -errno. */
int probe_watch(struct probe *probe, uv_poll_t *poll, int fd, int events, uv_poll_cb ready);

/* Make a timer of this probe, which it starts itself. */
void probe_time(struct probe *probe, uv_timer_t *timer);

/* Close a handle of this probe's own record, which is freed after the last of them. */
void probe_close(struct probe *probe, uv_handle_t *handle);

#define PROBE_TIME_BYTES 24

/* The time that the probe may take: "1 s", "500 ms". Returns text. */
const char *probe_allowed(const struct probe *probe, char text[static PROBE_TIME_BYTES]);

/* ---- sockets: probe_socket.c -------------------------------------------------------------------------------------------- */

/* Write the address and port as the kernel takes them; returns the size. */
socklen_t probe_sockaddr(struct sockaddr_storage *at, const struct ip *address, uint16_t port);

/* The address and, where port is not NULL, the port of a socket address of either family. */
struct ip probe_ip(const struct sockaddr_storage *at, uint16_t *port);

/* A socket of the address's family that does not block, bears the mark, keeps ICMP errors for probe_read_icmp, and ends
 * by RST if it is a stream. Owned by the caller. Returns -errno with *e written on failure. */
int probe_socket(const struct probe_target *target, int type, int protocol, struct err *e);

/* Read the next ICMP error that came about packets of this socket and write it into *result: answer, from, text.
 * quoted   gets the first bytes of the packet's payload, as many as *bytes says; *bytes becomes their number. NULL: not
 * wanted. Returns false, *result untouched, when none waits. */
bool probe_read_icmp(int fd, struct health_result *result, void *quoted, size_t *bytes);

/* Say what the errno of a connection means where no ICMP error says it better. */
void probe_say_error(struct probe *probe, int error);

/* ---- questions by datagram: probe_datagram.c ---------------------------------------------------------------------------- */

/* How a kind judges a datagram: says what it is (probe_say), and returns true where that ends the probe; false:
 * something better may come, and if not, what was said stands. One that came from elsewhere than asked, and would be
 * good, is a stranger's. */
typedef bool probe_judge(struct probe *probe, const uint8_t *bytes, size_t count);

/* Ask by one datagram; the record is a struct probe_datagram. */
struct probe_datagram {
	struct probe probe;
	uv_poll_t poll;
	int fd;
	bool is_heard; /* the result holds something, if not the end */
	probe_judge *judge;
	uint16_t id; /* of a question that has one */
};

struct probe *probe_datagram_start(struct probe_shared *shared, const struct config_health *health,
				   const struct probe_target *target, probe_done *done, void *context,
				   const void *question, size_t bytes, probe_judge *judge, uint16_t id, struct err *e);

/* ---- what is shared ----------------------------------------------------------------------------------------------------- */

void probe_curl_destroy(struct probe_curl *curl);
void probe_echo_destroy(struct probe_echo *echo);

/* ---- the kinds ---------------------------------------------------------------------------------------------------------- */

extern const struct probe_kind probe_tcp, probe_http, probe_https, probe_udp, probe_dns, probe_icmp, probe_script;

#endif

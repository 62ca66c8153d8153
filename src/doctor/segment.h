/* Who on the segment says that an address is his: asked by ARP and neighbour discovery, as a host does that looks whether an
 * address is free, so that nobody learns anything from the question. */
#ifndef HP_DOCTOR_SEGMENT_H
#define HP_DOCTOR_SEGMENT_H

#include "base/err.h"
#include "base/ip.h"
#include "doctor/look.h"

#define SEGMENT_WAIT_MS 500

struct segment_answer {
	struct ip ip;	  /* the address that was claimed */
	uint32_t ifindex; /* where the answer came in */
	uint8_t mac[6];	  /* of who claims it */
};

struct segment_answers {
	struct segment_answer *list; /* each claim once; owned */
	size_t count;
};

/* Ask for every address on every link, twice, and wait SEGMENT_WAIT_MS for answers. Links that carry no Ethernet frames or
 * are down are left out. Needs CAP_NET_RAW. Returns 0 or -errno; *out is empty on failure. */
int segment_ask(const struct look_link *const *links, size_t link_count, const struct ip *addresses, size_t address_count,
		struct segment_answers *out, struct err *e);

/* Whether a frame, as it came, claims an address; who and which. Pure. */
bool segment_read(const uint8_t *frame, size_t bytes, struct segment_answer *out);

#define SEGMENT_QUESTION_BYTES 78

/* Write the question for an address, from a link's MAC address, without telling an address of ours. Returns its length.
 * Pure. */
size_t segment_question(const uint8_t mac[static 6], const struct ip *ip, uint8_t frame[static SEGMENT_QUESTION_BYTES]);

#endif

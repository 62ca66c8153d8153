/* One question to the kernel by netlink, and its answers.
 *
 * A list that changes while the kernel tells it may lack rows: the kernel says so, and it is asked for again. */
#ifndef HP_DOCTOR_NETLINK_H
#define HP_DOCTOR_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>

struct netlink_question {
	int bus;		  /* NETLINK_ROUTE, NETLINK_SOCK_DIAG */
	struct nlmsghdr *message; /* borrowed; with NLM_F_DUMP it is for a list */
	bool is_strict;		  /* the kernel is to heed what the message says of which rows are wanted */
	mnl_cb_t take;		  /* gets each answer; NULL: none is wanted */
	void *context;
	size_t *count; /* of what take has collected: as it was at the beginning when a list is asked for again; may be NULL */
};

/* Returns 0, or -errno: -EINTR when a list changes all the time. */
int netlink_ask(const struct netlink_question *question);

#endif

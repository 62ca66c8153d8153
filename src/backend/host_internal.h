/* What host.c and host_link.c share: a question to rtnetlink. */
#ifndef HP_BACKEND_HOST_INTERNAL_H
#define HP_BACKEND_HOST_INTERNAL_H

#include <libmnl/libmnl.h>

/* Send a request, hand every answer to the callback. Returns 0 or -errno. */
int host_ask(struct nlmsghdr *message, mnl_cb_t callback, void *context);

/* The same for a list that is collected: *count is set back when the kernel has to tell it again. */
int host_ask_list(struct nlmsghdr *message, mnl_cb_t callback, void *context, size_t *count);

/* One that is read whole by the kernel, which else takes some attributes of a dump's request for absent. */
int host_ask_strictly(struct nlmsghdr *message, mnl_cb_t callback, void *context);

/* An attribute behind a message's own header, which has that many bytes; NULL: it has none. */
const struct nlattr *host_find_attribute(const struct nlmsghdr *message, size_t header, uint16_t type);

#endif

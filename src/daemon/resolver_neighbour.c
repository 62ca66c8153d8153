/* Neighbours: those that hosts are reached by are given to the kernel to keep: see resolver.h. */
#include "daemon/resolver_internal.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>

#define USABLE (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)
#define STATIC (NUD_PERMANENT | NUD_NOARP)

bool neighbour_is_usable(const struct neighbour *neighbour)
{
	return (neighbour->state & USABLE) && neighbour->has_mac;
}

static struct neighbour *find(const struct resolver *resolver, const struct neighbour_key *key)
{
	struct neighbour *neighbour;

	HASH_FIND(hh, resolver->neighbours, key, sizeof(*key), neighbour);
	return neighbour;
}

static struct neighbour *add(struct resolver *resolver, const struct neighbour_key *key)
{
	struct neighbour *neighbour = calloc(1, sizeof(*neighbour));

	if (!neighbour)
		return NULL;
	neighbour->key = *key;
	HASH_ADD(hh, resolver->neighbours, key, sizeof(neighbour->key), neighbour);
	return neighbour;
}

static void drop(struct resolver *resolver, struct neighbour *neighbour)
{
	HASH_DEL(resolver->neighbours, neighbour);
	free(neighbour);
}

/* ---- what the kernel says ------------------------------------------------------------------------------------------ */

static bool read_message(const struct nlmsghdr *message, struct neighbour *out)
{
	const struct ndmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	bool is_found = false;

	memset(out, 0, sizeof(*out));
	out->key.ifindex = (uint32_t)info->ndm_ifindex;
	out->state = message->nlmsg_type == RTM_NEWNEIGH ? info->ndm_state : 0;
	out->is_ext_learned = info->ndm_flags & NTF_EXT_LEARNED;
	if ((info->ndm_family != AF_INET && info->ndm_family != AF_INET6) || (info->ndm_flags & NTF_PROXY))
		return false;
	EACH_ATTRIBUTE(attr, message, sizeof(*info)) {
		const void *payload = mnl_attr_get_payload(attr);

		switch (mnl_attr_get_type(attr)) {
		case NDA_DST:
			out->key.address = info->ndm_family == AF_INET ? ip_from4(payload) : ip_from6(payload);
			is_found = true;
			break;
		case NDA_LLADDR:
			out->has_mac = mnl_attr_get_payload_len(attr) == sizeof(out->mac);
			if (out->has_mac)
				memcpy(out->mac, payload, sizeof(out->mac));
			break;
		case NDA_FLAGS_EXT:
			out->is_managed = mnl_attr_get_u32(attr) & NTF_EXT_MANAGED;
			break;
		case NDA_PROTOCOL:
			out->protocol = mnl_attr_get_u8(attr);
			break;
		}
	}
	return is_found;
}

static void mark_hosts(struct resolver *resolver, struct neighbour *neighbour)
{
	struct host *host;

	DL_FOREACH2(neighbour->hosts, host, next_there)
		host_mark(resolver, host);
}

static void learn(struct neighbour *neighbour, const struct neighbour *read)
{
	neighbour->state = read->state;
	neighbour->protocol = read->protocol;
	neighbour->is_ext_learned = read->is_ext_learned;
	neighbour->is_managed = read->is_managed;
	neighbour->has_mac = read->has_mac;
	if (read->has_mac)
		memcpy(neighbour->mac, read->mac, sizeof(neighbour->mac));
}

/* Whether an entry that became so has to be asked for: it was flushed, somebody wrote over it and it is no longer
 * kept, or it fell silent at its MAC address and may answer from another. */
static bool needs_asking(const struct neighbour *neighbour, bool was_usable)
{
	if (neighbour->state & STATIC)
		return false;
	return !neighbour->state || !neighbour->is_ext_learned || (was_usable && (neighbour->state & NUD_FAILED));
}

void neighbour_take(struct resolver *resolver, const struct nlmsghdr *message)
{
	struct neighbour read, *neighbour;
	bool was_usable;

	if (!read_message(message, &read))
		return;
	neighbour = find(resolver, &read.key);
	if (!neighbour)
		return; /* nobody needs it */
	was_usable = neighbour_is_usable(neighbour);
	learn(neighbour, &read);
	neighbour->reading = resolver->reading;
	if (needs_asking(neighbour, was_usable))
		neighbour->is_to_be_asked = true;
	mark_hosts(resolver, neighbour);
}

void neighbour_sweep(struct resolver *resolver)
{
	struct neighbour *neighbour, *next;

	HASH_ITER(hh, resolver->neighbours, neighbour, next) {
		if (neighbour->reading == resolver->reading)
			continue;
		neighbour->state = 0;
		neighbour->has_mac = false;
		neighbour->is_to_be_asked = true;
		mark_hosts(resolver, neighbour);
	}
}

void neighbour_retry(struct resolver *resolver, uint32_t ifindex)
{
	struct neighbour *neighbour, *next;

	HASH_ITER(hh, resolver->neighbours, neighbour, next) {
		if (neighbour->key.ifindex != ifindex || neighbour_is_usable(neighbour))
			continue;
		neighbour->is_to_be_asked = true;
		mark_hosts(resolver, neighbour);
	}
}

/* ---- what the kernel is asked ---------------------------------------------------------------------------------------- */

static struct nlmsghdr *put(char *buffer, uint16_t type, const struct neighbour *neighbour)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	bool is4 = ip_is4(&neighbour->key.address);
	struct ndmsg *info;

	message->nlmsg_type = type;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ndm_family = is4 ? AF_INET : AF_INET6;
	info->ndm_ifindex = (int)neighbour->key.ifindex;
	mnl_attr_put(message, NDA_DST, is4 ? 4 : 16, is4 ? ip_bytes4(&neighbour->key.address) : neighbour->key.address.byte);
	return message;
}

/* Learn what the kernel has for a neighbour. Returns false when it has none. */
static bool look_up(struct resolver *resolver, struct neighbour *neighbour)
{
	char buffer[256];
	struct nlmsghdr *message = put(buffer, RTM_GETNEIGH, neighbour);
	struct neighbour read;

	if (netlink_ask(resolver, message) <= 0)
		return false;
	message = (struct nlmsghdr *)resolver->buffer;
	if (message->nlmsg_type != RTM_NEWNEIGH || !read_message(message, &read))
		return false;
	learn(neighbour, &read);
	return true;
}

/* NTF_MANAGED has the kernel keep the entry fresh, NTF_EXT_LEARNED keeps it out of the garbage collector. Kernels
 * before 5.16 know only the second; there NTF_USE sets the resolving off, and resolver.c asks again in time. */
static void ask_kernel(struct resolver *resolver, struct neighbour *neighbour)
{
	char buffer[256];
	struct nlmsghdr *message = put(buffer, RTM_NEWNEIGH, neighbour);
	struct ndmsg *info = mnl_nlmsg_get_payload(message);

	message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK;
	mnl_attr_put_u8(message, NDA_PROTOCOL, RESOLVER_PROTOCOL);
	info->ndm_flags = NTF_EXT_LEARNED;
	if (resolver->is_managed_refused)
		info->ndm_flags |= NTF_USE;
	else
		mnl_attr_put_u32(message, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	if (!netlink_ask(resolver, message) && (neighbour->state & NUD_FAILED))
		neighbour->state = NUD_INCOMPLETE;
}

/* A kernel that does not know the flag says nothing: the first entry shows whether it was taken. */
static bool is_flag_unknown(struct resolver *resolver, struct neighbour *neighbour)
{
	if (resolver->is_managed_proven || !look_up(resolver, neighbour))
		return false;
	resolver->is_managed_proven = neighbour->is_managed;
	return !neighbour->is_managed;
}

void neighbour_want(struct resolver *resolver, struct neighbour *neighbour)
{
	neighbour->asked_ms = uv_now(resolver->loop);
	neighbour->is_to_be_asked = false;
	if (neighbour->state & STATIC)
		return; /* an operator's */
	ask_kernel(resolver, neighbour);
	if (!resolver->is_managed_refused && is_flag_unknown(resolver, neighbour)) {
		resolver->is_managed_refused = true;
		ask_kernel(resolver, neighbour);
	}
	if (resolver->is_managed_refused)
		resolver_be_patient(resolver);
}

/* Take it out of the kernel again, unless an operator has made it theirs. */
static void forget(struct resolver *resolver, const struct neighbour *neighbour)
{
	char buffer[256];
	struct nlmsghdr *message = put(buffer, RTM_DELNEIGH, neighbour);

	if (neighbour->state & STATIC)
		return;
	message->nlmsg_flags = NLM_F_ACK;
	netlink_ask(resolver, message);
}

static void leave(struct resolver *resolver, struct host *host)
{
	struct neighbour *neighbour = host->neighbour;

	DL_DELETE2(neighbour->hosts, host, prev_there, next_there);
	host->neighbour = NULL;
	if (neighbour->hosts)
		return;
	forget(resolver, neighbour);
	drop(resolver, neighbour);
}

void neighbour_use(struct resolver *resolver, struct host *host, const struct neighbour_key *key)
{
	struct neighbour *neighbour;

	if (host->neighbour && key && !memcmp(&host->neighbour->key, key, sizeof(*key)))
		return;
	neighbour = key ? find(resolver, key) : NULL;
	if (key && !neighbour) {
		neighbour = add(resolver, key);
		if (neighbour) {
			look_up(resolver, neighbour);
			neighbour_want(resolver, neighbour);
		}
	}
	if (host->neighbour)
		leave(resolver, host);
	if (!neighbour)
		return;
	host->neighbour = neighbour;
	DL_APPEND2(neighbour->hosts, host, prev_there, next_there);
}

void neighbour_table_free(struct resolver *resolver)
{
	struct neighbour *neighbour, *next;

	HASH_ITER(hh, resolver->neighbours, neighbour, next)
		drop(resolver, neighbour);
}

/* ---- --unload ---------------------------------------------------------------------------------------------------------- */

struct found {
	struct neighbour *list;
	size_t count;
};

static int collect(const struct nlmsghdr *message, void *context)
{
	struct found *found = context;
	struct neighbour read, *grown;

	if (message->nlmsg_type != RTM_NEWNEIGH || !read_message(message, &read) ||
	    read.protocol != RESOLVER_PROTOCOL)
		return MNL_CB_OK;
	grown = realloc(found->list, (found->count + 1) * sizeof(*grown));
	if (!grown)
		return MNL_CB_ERROR;
	found->list = grown;
	grown[found->count++] = read;
	return MNL_CB_OK;
}

static int collect_all(struct resolver *resolver, uint8_t family, struct found *found)
{
	char request[64];
	struct nlmsghdr *message = mnl_nlmsg_put_header(request);
	struct ndmsg *info;
	int code = 1;

	message->nlmsg_type = RTM_GETNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = ++resolver->sequence;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ndm_family = family;
	if (mnl_socket_sendto(resolver->asker, message, message->nlmsg_len) < 0)
		return -errno;
	while (code > 0) {
		ssize_t got = mnl_socket_recvfrom(resolver->asker, resolver->buffer, sizeof(resolver->buffer));

		code = got < 0 ? -1
			       : mnl_cb_run(resolver->buffer, (size_t)got, message->nlmsg_seq,
					    mnl_socket_get_portid(resolver->asker), collect, found);
	}
	return code < 0 ? -errno : 0;
}

int resolver_forget_neighbours(struct err *e)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	struct found found = {0};
	int code;

	if (!resolver)
		return err_set(e, -ENOMEM, "%m");
	code = netlink_open(resolver, e);
	if (!code)
		code = collect_all(resolver, AF_INET, &found);
	if (!code)
		code = collect_all(resolver, AF_INET6, &found);
	for (size_t i = 0; i < found.count; i++)
		forget(resolver, &found.list[i]);
	if (resolver->listener)
		mnl_socket_close(resolver->listener);
	if (resolver->asker)
		mnl_socket_close(resolver->asker);
	free(found.list);
	free(resolver);
	return code ? err_set(e, code, "removing neighbours: %m") : 0;
}

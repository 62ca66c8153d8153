/* Listeners, as the kernel's socket diagnostics tell them: see listeners.h. /proc/net would not tell whether an IPv6
 * wildcard takes IPv4 as well. */
#include "backend/listeners.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/portmap.h"
#include "base/cleanup.h"
#include "doctor/netlink.h"

#define SHOWN_MOST 64 /* more are more than a line shows */

struct search {
	uint8_t protocol;
	struct listener *found;
	size_t count;
};

static bool is_v6only(const struct nlmsghdr *message)
{
	const char *end = mnl_nlmsg_get_payload_tail(message);
	const struct nlattr *attr = mnl_nlmsg_get_payload_offset(message, sizeof(struct inet_diag_msg));

	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) == INET_DIAG_SKV6ONLY)
			return mnl_attr_get_u8(attr) != 0;
	return false;
}

static int take_socket(const struct nlmsghdr *message, void *context)
{
	const struct inet_diag_msg *diag = mnl_nlmsg_get_payload(message);
	bool is_six = diag->idiag_family == AF_INET6;
	struct search *search = context;

	if (diag->id.idiag_sport && search->count < LISTENERS_MOST)
		search->found[search->count++] = (struct listener){
			.ip = is_six ? ip_from6(diag->id.idiag_src) : ip_from4(diag->id.idiag_src),
			.port = ntohs(diag->id.idiag_sport),
			.protocol = search->protocol,
			.is_six = is_six,
			.is_six_only = is_six && is_v6only(message),
		};
	return MNL_CB_OK;
}

/* Hand every socket of a family that waits for the protocol's packets to take_socket. Returns 0 or -errno. */
static int dump(uint8_t family, struct search *search)
{
	char bytes[128] = "";
	struct nlmsghdr *message = mnl_nlmsg_put_header(bytes);
	struct inet_diag_req_v2 *request;

	message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	message->nlmsg_flags = NLM_F_DUMP;
	request = mnl_nlmsg_put_extra_header(message, sizeof(*request));
	request->sdiag_family = family;
	request->sdiag_protocol = search->protocol;
	request->idiag_states = 1u << (search->protocol == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE);
	return netlink_ask(&(struct netlink_question){
		.bus = NETLINK_SOCK_DIAG, .message = message, .take = take_socket, .context = search, .count = &search->count});
}

int listeners_read(struct listener *list, size_t *count)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct search search = {.found = list};
	int code = 0;

	for (size_t i = 0; !code && i < sizeof(protocols); i++) {
		search.protocol = protocols[i];
		code = dump(AF_INET, &search);
		if (!code)
			code = dump(AF_INET6, &search);
	}
	*count = code ? 0 : search.count;
	return code;
}

bool listener_takes(const struct listener *listener, const struct ip *ip)
{
	if (!ip_is_unspecified(&listener->ip))
		return ip_equal(&listener->ip, ip);
	return listener->is_six ? !ip_is4(ip) || !listener->is_six_only : ip_is4(ip);
}

bool listeners_serve(const struct listener *list, size_t count, const struct setup_map *map, const struct ip *vip)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].port == map->server && portmap_has(map, list[i].protocol) && listener_takes(&list[i], vip))
			return true;
	return false;
}

static bool is_shown(const struct listener *const *shown, size_t count, const struct listener *one)
{
	for (size_t i = 0; i < count; i++)
		if (shown[i]->protocol == one->protocol && shown[i]->port == one->port &&
		    ip_is_unspecified(&shown[i]->ip) == ip_is_unspecified(&one->ip))
			return true;
	return false;
}

int listeners_list(const struct ip *vip, char *out, size_t room)
{
	auto_free struct listener *list = malloc(LISTENERS_MOST * sizeof(*list));
	const struct listener *shown[SHOWN_MOST];
	size_t count = 0, shown_count = 0;
	int code = list ? listeners_read(list, &count) : -ENOMEM;

	out[0] = '\0';
	for (size_t i = 0; i < count && shown_count < SHOWN_MOST; i++) {
		const struct listener *one = &list[i];
		bool is_tcp = one->protocol == IPPROTO_TCP;

		if (!listener_takes(one, vip) || is_shown(shown, shown_count, one))
			continue;
		snprintf(out + strlen(out), room - strlen(out), "%s%s/%u%s", shown_count ? ", " : "", is_tcp ? "tcp" : "udp",
			 one->port, ip_is_unspecified(&one->ip) && !is_tcp
					    ? " (wildcard: must answer from the VIP by IP_PKTINFO)" : "");
		shown[shown_count++] = one;
	}
	return code;
}

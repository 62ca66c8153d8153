/* The host: see host.h. */
#include "backend/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/host_internal.h"
#include "base/cleanup.h"
#include "doctor/netlink.h"

/* ---- rtnetlink -------------------------------------------------------------------------------------------------------- */

int host_ask(struct nlmsghdr *message, mnl_cb_t callback, void *context)
{
	return host_ask_list(message, callback, context, NULL);
}

int host_ask_list(struct nlmsghdr *message, mnl_cb_t callback, void *context, size_t *count)
{
	return netlink_ask(&(struct netlink_question){
		.bus = NETLINK_ROUTE, .message = message, .take = callback, .context = context, .count = count});
}

int host_ask_strictly(struct nlmsghdr *message, mnl_cb_t callback, void *context)
{
	return netlink_ask(&(struct netlink_question){
		.bus = NETLINK_ROUTE, .message = message, .is_strict = true, .take = callback, .context = context});
}

const struct nlattr *host_find_attribute(const struct nlmsghdr *message, size_t header, uint16_t type)
{
	const char *end = mnl_nlmsg_get_payload_tail(message);
	const struct nlattr *attr = mnl_nlmsg_get_payload_offset(message, header);

	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) == type)
			return attr;
	return NULL;
}

static int take_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr = host_find_attribute(message, sizeof(*info), IFA_LOCAL);
	struct host_addresses *out = context;
	struct host_address *row = &out->list[out->count];

	if (!attr)
		attr = host_find_attribute(message, sizeof(*info), IFA_ADDRESS);
	if (!attr || out->count == HOST_ADDRESSES_MOST || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return MNL_CB_OK;
	row->ip = info->ifa_family == AF_INET ? ip_from4(mnl_attr_get_payload(attr)) : ip_from6(mnl_attr_get_payload(attr));
	row->bits = info->ifa_prefixlen;
	row->ifindex = info->ifa_index;
	if (!if_indextoname(info->ifa_index, row->interface))
		snprintf(row->interface, sizeof(row->interface), "?");
	out->count++;
	return MNL_CB_OK;
}

int host_read_addresses(struct host_addresses *out, struct err *e)
{
	char buffer[128];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	int code;

	out->count = 0;
	message->nlmsg_type = RTM_GETADDR;
	message->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(message, sizeof(struct ifaddrmsg));
	code = host_ask_list(message, take_address, out, &out->count);
	return code ? err_set(e, code, "reading addresses: %m") : 0;
}

int host_remove_address(const struct host_address *address, struct err *e)
{
	bool is4 = ip_is4(&address->ip);
	char buffer[256], text[IP_TEXT_BYTES];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *info;
	int code;

	message->nlmsg_type = RTM_DELADDR;
	message->nlmsg_flags = NLM_F_ACK;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifa_family = is4 ? AF_INET : AF_INET6;
	info->ifa_prefixlen = address->bits;
	info->ifa_index = if_nametoindex(address->interface);
	mnl_attr_put(message, IFA_LOCAL, is4 ? 4 : 16, is4 ? ip_bytes4(&address->ip) : address->ip.byte);
	code = host_ask(message, NULL, NULL);
	return code && code != -EADDRNOTAVAIL ? err_set(e, code, "taking %s/%u off %s: %m", ip_format(&address->ip, text),
							address->bits, address->interface) : 0;
}

int host_remove_loopback_address(struct err *e)
{
	static const uint8_t loopback[] = {127, 0, 0, 1};
	const struct host_address address = {.ip = ip_from4(loopback), .bits = 8, .interface = "lo"};

	return host_remove_address(&address, e);
}

static struct nlmsghdr *put_address(char *buffer, uint16_t type, const struct ip *vip)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	bool is4 = ip_is4(vip);
	const void *bytes = is4 ? ip_bytes4(vip) : vip->byte;
	struct ifaddrmsg *info;

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_ACK;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ifa_family = is4 ? AF_INET : AF_INET6;
	info->ifa_prefixlen = is4 ? 32 : 128;
	info->ifa_scope = is4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	info->ifa_index = if_nametoindex("lo");
	mnl_attr_put(message, IFA_LOCAL, is4 ? 4 : 16, bytes);
	mnl_attr_put(message, IFA_ADDRESS, is4 ? 4 : 16, bytes);
	return message;
}

int host_add_vip(const struct ip *vip, struct err *e)
{
	struct ifa_cacheinfo deprecated = {.ifa_prefered = 0, .ifa_valid = UINT32_MAX};
	char buffer[256], text[IP_TEXT_BYTES];
	struct nlmsghdr *message = put_address(buffer, RTM_NEWADDR, vip);
	int code;

	message->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
	if (!ip_is4(vip)) {
		mnl_attr_put_u32(message, IFA_FLAGS, IFA_F_NODAD);
		mnl_attr_put(message, IFA_CACHEINFO, sizeof(deprecated), &deprecated);
	}
	code = host_ask(message, NULL, NULL);
	if (code && code != -EEXIST)
		return err_set(e, code, "putting %s on lo: %m", ip_format(vip, text));
	return 0;
}

int host_remove_vip(const struct ip *vip, struct err *e)
{
	char buffer[256], text[IP_TEXT_BYTES];
	int code = host_ask(put_address(buffer, RTM_DELADDR, vip), NULL, NULL);

	if (code && code != -EADDRNOTAVAIL)
		return err_set(e, code, "taking %s off lo: %m", ip_format(vip, text));
	return 0;
}

static int take_route(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *attr = host_find_attribute(message, sizeof(struct rtmsg), RTA_OIF);
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);

	if (attr && info->rtm_type == RTN_UNICAST)
		*(uint32_t *)context = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

bool host_route_interface(const struct ip *to, char interface[static 16], struct err *e)
{
	char buffer[128], text[IP_TEXT_BYTES];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	bool is4 = ip_is4(to);
	uint32_t ifindex = 0;
	struct rtmsg *info;

	message->nlmsg_type = RTM_GETROUTE;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->rtm_family = is4 ? AF_INET : AF_INET6;
	info->rtm_dst_len = is4 ? 32 : 128;
	mnl_attr_put(message, RTA_DST, is4 ? 4 : 16, is4 ? ip_bytes4(to) : to->byte);
	if (!host_ask(message, take_route, &ifindex) && ifindex && if_indextoname(ifindex, interface))
		return true;
	err_set(e, -ENETUNREACH, "no route leads to %s, so the interface where packets arrive must be named: --interface IF",
		ip_format(to, text));
	return false;
}

struct proxy_search {
	const struct ip *ip;
	uint32_t ifindex;
};

static int take_proxy(const struct nlmsghdr *message, void *context)
{
	const struct ndmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr = host_find_attribute(message, sizeof(*info), NDA_DST);
	struct proxy_search *search = context;

	if (attr && info->ndm_flags & NTF_PROXY && mnl_attr_get_payload_len(attr) == sizeof(search->ip->byte) &&
	    !memcmp(mnl_attr_get_payload(attr), search->ip->byte, sizeof(search->ip->byte)))
		search->ifindex = (uint32_t)info->ndm_ifindex;
	return MNL_CB_OK;
}

bool host_has_proxy(const struct ip *ip, char interface[static 16])
{
	struct proxy_search search = {.ip = ip};
	char buffer[128];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ndmsg *info;

	message->nlmsg_type = RTM_GETNEIGH;
	message->nlmsg_flags = NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->ndm_family = AF_INET6;
	info->ndm_flags = NTF_PROXY;
	return !host_ask(message, take_proxy, &search) && search.ifindex && if_indextoname(search.ifindex, interface);
}

struct qdisc_search {
	const char *kind;
	int ifindex;
	bool is_found;
};

static int take_qdisc(const struct nlmsghdr *message, void *context)
{
	const struct tcmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *kind = host_find_attribute(message, sizeof(*info), TCA_KIND);
	struct qdisc_search *search = context;

	/* The kernel tells those of all interfaces. */
	search->is_found |= kind && info->tcm_ifindex == search->ifindex && !strcmp(mnl_attr_get_str(kind), search->kind);
	return MNL_CB_OK;
}

bool host_has_qdisc(const char *interface, const char *kind)
{
	struct qdisc_search search = {.kind = kind, .ifindex = (int)host_ifindex(interface)};
	char buffer[128];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = RTM_GETQDISC;
	message->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(message, sizeof(struct tcmsg));
	return !host_ask(message, take_qdisc, &search) && search.is_found;
}

static int count_one(const struct nlmsghdr *message, void *context)
{
	/* Each priority comes once without and once with its filters' handles. */
	const struct tcmsg *info = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type == RTM_NEWTFILTER && info->tcm_handle)
		++*(size_t *)context;
	return MNL_CB_OK;
}

size_t host_count_filters(const char *interface)
{
	static const uint32_t parents[] = {TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)};
	size_t count = 0;

	for (size_t i = 0; i < 2; i++) {
		char buffer[128];
		struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
		struct tcmsg *info;

		message->nlmsg_type = RTM_GETTFILTER;
		message->nlmsg_flags = NLM_F_DUMP;
		info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
		info->tcm_ifindex = (int)host_ifindex(interface);
		info->tcm_parent = parents[i];
		host_ask_list(message, count_one, &count, &count);
	}
	return count;
}

/* ---- links -------------------------------------------------------------------------------------------------------------- */

static int link_request(const char *interface, unsigned long request, struct ifreq *row)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(row->ifr_name, sizeof(row->ifr_name), "%s", interface);
	return fd < 0 || ioctl(fd, request, row) < 0 ? -errno : 0;
}

uint32_t host_ifindex(const char *interface)
{
	return if_nametoindex(interface);
}

uint32_t host_mtu(const char *interface)
{
	struct ifreq row = {0};

	return link_request(interface, SIOCGIFMTU, &row) ? 0 : (uint32_t)row.ifr_mtu;
}

bool host_is_up(const char *interface)
{
	struct ifreq row = {0};

	return !link_request(interface, SIOCGIFFLAGS, &row) && (row.ifr_flags & IFF_UP);
}

int host_set_up(const char *interface, bool up, struct err *e)
{
	struct ifreq row = {0};
	int code = link_request(interface, SIOCGIFFLAGS, &row);

	if (!code) {
		row.ifr_flags = (short)(up ? row.ifr_flags | IFF_UP : row.ifr_flags & ~IFF_UP);
		code = link_request(interface, SIOCSIFFLAGS, &row);
	}
	return code ? err_set(e, code, "interface %s %s: %m", interface, up ? "up" : "down") : 0;
}

bool host_is_ethernet(const char *interface)
{
	struct ifreq row = {0};

	return !link_request(interface, SIOCGIFHWADDR, &row) && row.ifr_hwaddr.sa_family == ARPHRD_ETHER;
}

size_t host_read_interfaces(char names[static HOST_INTERFACES_MOST][16])
{
	struct if_nameindex *list = if_nameindex();
	size_t count = 0;

	for (struct if_nameindex *row = list; row && row->if_name && count < HOST_INTERFACES_MOST; row++)
		if (strcmp(row->if_name, "lo") != 0)
			snprintf(names[count++], 16, "%s", row->if_name);
	if (list)
		if_freenameindex(list);
	return count;
}

void host_list_interfaces(char *out, size_t room)
{
	char names[HOST_INTERFACES_MOST][16];
	size_t count = host_read_interfaces(names), at = 0;

	snprintf(out, room, "none");
	for (size_t i = 0; i < count && at < room; i++)
		at += (size_t)snprintf(out + at, room - at, "%s%s", at ? ", " : "", names[i]);
}

/* ---- settings -------------------------------------------------------------------------------------------------------------- */

int host_read_sysctl(const char *path, char *out, size_t room, struct err *e)
{
	char whole[192];
	auto_fclose FILE *file = NULL;

	snprintf(whole, sizeof(whole), "/proc/sys/%s", path);
	file = fopen(whole, "re");
	if (!file || !fgets(out, (int)room, file))
		return err_set(e, errno ? -errno : -EIO, "%s: %m", whole);
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

int host_write_sysctl(const char *path, const char *value, struct err *e)
{
	char whole[192];
	auto_fclose FILE *file = NULL;

	snprintf(whole, sizeof(whole), "/proc/sys/%s", path);
	file = fopen(whole, "we");
	if (!file || fprintf(file, "%s\n", value) < 0 || fflush(file))
		return err_set(e, -errno, "writing %s to %s: %m", value, whole);
	return 0;
}

long host_sysctl_number(const char *path)
{
	char text[32];

	return host_read_sysctl(path, text, sizeof(text), NULL) ? 0 : strtol(text, NULL, 10);
}

bool host_has_sysctl(const char *path)
{
	char whole[192];

	snprintf(whole, sizeof(whole), "/proc/sys/%s", path);
	return access(whole, F_OK) == 0;
}

uint64_t host_namespace(void)
{
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t bytes = sizeof(cookie);
	struct stat st;

	if (fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &bytes))
		return cookie;
	return stat("/proc/self/ns/net", &st) < 0 ? 0 : st.st_ino;
}

void host_read_boot(char *out, size_t room)
{
	if (host_read_sysctl("kernel/random/boot_id", out, room, NULL))
		out[0] = '\0';
}

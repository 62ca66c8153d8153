/* Routes to announced VIPs, in a routing table of their own that routing daemons export: see resolver.h.
 *
 * Unicast, by an interface: a routing daemon may install what it exports, and a blackhole in main would swallow what comes
 * from the VIP to this host. What the kernel has is learned from a dump, which is asked for whenever somebody else may have
 * changed it: of routes of IPv4 that end with their interface the kernel tells nobody. */
#include "daemon/resolver_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ASKED_A_TURN	500 /* some 5 ms */
#define AUDIT_AFTER_MS	20  /* the changes of a moment are looked at together */
#define AUDIT_LEAST_MS	200 /* apart, in a storm of changes */
#define AGAIN_MS	1000
#define ANSWER_WITHIN_S 2
#define READ_TRIES	5

struct vip_route {
	struct ip vip; /* key */
	uint32_t ifindex; /* of the route that the kernel has; 0: none */
	uint64_t announced_in; /* resolver->vips.round that named it last */
	uint32_t reading;      /* resolver->vips.reading that found it */
	bool has_failed;
	UT_hash_handle hh;
};

static struct vip_route *find(const struct resolver *resolver, const struct ip *vip)
{
	struct vip_route *route;

	HASH_FIND(hh, resolver->vips.routes, vip, sizeof(*vip), route);
	return route;
}

static struct vip_route *find_or_add(struct resolver *resolver, const struct ip *vip)
{
	struct vip_route *route = find(resolver, vip);

	if (route)
		return route;
	route = calloc(1, sizeof(*route));
	if (!route)
		return NULL;
	route->vip = *vip;
	HASH_ADD(hh, resolver->vips.routes, vip, sizeof(route->vip), route);
	return route;
}

static uint32_t wanted(const struct resolver *resolver, const struct vip_route *route)
{
	return route->announced_in == resolver->vips.round && resolver->vips.table ? resolver->vips.ifindex : 0;
}

static void work_in(struct resolver *resolver, uint64_t ms)
{
	uv_timer_t *timer = &resolver->vips.work;

	if (resolver->is_closing || (uv_is_active((uv_handle_t *)timer) && uv_timer_get_due_in(timer) <= ms))
		return;
	uv_timer_start(timer, timer->timer_cb, ms, 0);
}

/* ---- what the kernel is asked ------------------------------------------------------------------------------------- */

static struct nlmsghdr *put(char *buffer, uint16_t type, const struct ip *vip, uint32_t table)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	bool is4 = ip_is4(vip);
	struct rtmsg *info;

	message->nlmsg_type = type;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->rtm_family = is4 ? AF_INET : AF_INET6;
	info->rtm_dst_len = is4 ? 32 : 128;
	info->rtm_protocol = RESOLVER_PROTOCOL;
	info->rtm_scope = is4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	info->rtm_type = RTN_UNICAST;
	mnl_attr_put(message, RTA_DST, is4 ? 4 : 16, is4 ? ip_bytes4(vip) : vip->byte);
	mnl_attr_put_u32(message, RTA_TABLE, table);
	return message;
}

/* What is gone already, with its interface, is fine. */
static int take_out(struct resolver *resolver, const struct ip *vip, uint32_t table)
{
	char buffer[256];
	struct nlmsghdr *message = put(buffer, RTM_DELROUTE, vip, table);
	ssize_t code;

	message->nlmsg_flags = NLM_F_ACK;
	code = netlink_ask(resolver, message);
	return code < 0 && code != -ESRCH && code != -ENOENT ? (int)code : 0;
}

static int put_in(struct resolver *resolver, const struct ip *vip)
{
	char buffer[256];
	struct nlmsghdr *message = put(buffer, RTM_NEWROUTE, vip, resolver->vips.table);
	ssize_t code;

	message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK;
	mnl_attr_put_u32(message, RTA_OIF, resolver->vips.ifindex);
	code = netlink_ask(resolver, message);
	return code < 0 ? (int)code : 0;
}

static void note_failure(struct resolver *resolver, const struct vip_route *route, int code)
{
	struct link *link = link_find(resolver, resolver->vips.ifindex);
	char address[IP_TEXT_BYTES];

	err_set(&resolver->vips.error, code, "route to %s by %s in table %u: %s%s", ip_format(&route->vip, address),
		link ? link->name : "an interface that is gone", resolver->vips.table, strerror(-code),
		!ip_is4(&route->vip) && code == -EACCES ? " (IPv6 is disabled there)" : "");
}

/* Returns whether the kernel was asked. */
static bool settle(struct resolver *resolver, struct vip_route *route)
{
	uint32_t ifindex = wanted(resolver, route);
	int code;

	if (route->ifindex == ifindex)
		return false;
	code = ifindex ? put_in(resolver, &route->vip) : take_out(resolver, &route->vip, resolver->vips.table);
	route->has_failed = code != 0;
	if (code)
		note_failure(resolver, route, code);
	else
		route->ifindex = ifindex;
	return true;
}

/* ---- what the kernel has ------------------------------------------------------------------------------------------- */

struct audit {
	struct resolver *resolver;
	struct ip *strays; /* of another table, or by nobody's wish */
	uint32_t *tables;  /* theirs */
	size_t count;
	uint32_t only; /* all but this table are strays'; 0: every table's are */
};

/* A route of ours to a single address, which has no gateway. */
static bool read_route(const struct nlmsghdr *message, struct ip *vip, uint32_t *table, uint32_t *ifindex)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	bool is4 = info->rtm_family == AF_INET, is_whole = false;
	const struct nlattr *attr;

	*table = info->rtm_table;
	*ifindex = 0;
	if (info->rtm_protocol != RESOLVER_PROTOCOL || info->rtm_type != RTN_UNICAST || info->rtm_dst_len != (is4 ? 32 : 128))
		return false;
	EACH_ATTRIBUTE(attr, message, sizeof(*info)) {
		const void *payload = mnl_attr_get_payload(attr);

		switch (mnl_attr_get_type(attr)) {
		case RTA_DST:
			*vip = is4 ? ip_from4(payload) : ip_from6(payload);
			is_whole = true;
			break;
		case RTA_TABLE:
			*table = mnl_attr_get_u32(attr);
			break;
		case RTA_OIF:
			*ifindex = mnl_attr_get_u32(attr);
			break;
		case RTA_GATEWAY:
		case RTA_VIA:
			return false;
		}
	}
	return is_whole;
}

static int note_stray(struct audit *audit, const struct ip *vip, uint32_t table)
{
	struct ip *strays = realloc(audit->strays, (audit->count + 1) * sizeof(*strays));
	uint32_t *tables = realloc(audit->tables, (audit->count + 1) * sizeof(*tables));

	audit->strays = strays ? strays : audit->strays;
	audit->tables = tables ? tables : audit->tables;
	if (!strays || !tables)
		return MNL_CB_ERROR;
	strays[audit->count] = *vip;
	tables[audit->count++] = table;
	return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *message, void *context)
{
	struct audit *audit = context;
	struct vip_route *route;
	uint32_t table, ifindex;
	struct ip vip;

	if (message->nlmsg_type != RTM_NEWROUTE || !read_route(message, &vip, &table, &ifindex))
		return MNL_CB_OK;
	if (!audit->only || table != audit->only)
		return note_stray(audit, &vip, table);
	route = find_or_add(audit->resolver, &vip);
	if (!route)
		return MNL_CB_ERROR;
	route->ifindex = ifindex;
	route->reading = audit->resolver->vips.reading;
	return MNL_CB_OK;
}

/* The kernel leaves what is not asked for out of its answer by itself where it can: there may be a million routes. */
static struct mnl_socket *open_strict(void)
{
	const struct timeval patience = {.tv_sec = ANSWER_WITHIN_S};
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	const int on = 1;

	if (!socket)
		return NULL;
	setsockopt(mnl_socket_get_fd(socket), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID))
		return socket;
	mnl_socket_close(socket);
	return NULL;
}

/* Returns 0, or -1 with errno. */
static int dump_by(struct mnl_socket *socket, struct resolver *resolver, uint8_t family, uint32_t table, struct audit *audit)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(resolver->buffer);
	struct rtmsg *info;
	ssize_t got;
	int code;

	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = ++resolver->sequence;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->rtm_family = family;
	info->rtm_protocol = RESOLVER_PROTOCOL;
	if (table)
		mnl_attr_put_u32(message, RTA_TABLE, table);
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -1;
	do {
		got = mnl_socket_recvfrom(socket, resolver->buffer, sizeof(resolver->buffer));
		code = got < 0 ? -1
			       : mnl_cb_run(resolver->buffer, (size_t)got, resolver->sequence, mnl_socket_get_portid(socket),
					    take_route, audit);
	} while (code > 0);
	return code;
}

/* Routes of our protocol; table 0: of all tables. Each time by a new socket, as one whose answer was broken off would bring the
 * rest of it. A table without a route is none (ENOENT). */
static int dump(struct resolver *resolver, uint8_t family, uint32_t table, struct audit *audit)
{
	int code = -EINTR;

	for (int i = 0; i < READ_TRIES && code == -EINTR; i++) {
		struct mnl_socket *socket = open_strict();

		code = socket && !dump_by(socket, resolver, family, table, audit) ? 0 : -errno;
		if (socket)
			mnl_socket_close(socket);
	}
	return code == -ENOENT ? 0 : code;
}

static int dump_both(struct resolver *resolver, uint32_t table, struct audit *audit)
{
	int code = dump(resolver, AF_INET, table, audit);

	return code ? code : dump(resolver, AF_INET6, table, audit);
}

static void take_out_strays(struct resolver *resolver, struct audit *audit)
{
	for (size_t i = 0; i < audit->count; i++)
		take_out(resolver, &audit->strays[i], audit->tables[i]);
	free(audit->strays);
	free(audit->tables);
}

/* Learn what the kernel has. The first time, and after a change of the table, that is also what a former daemon left in
 * another one. */
static int audit(struct resolver *resolver)
{
	struct audit audit = {.resolver = resolver, .only = resolver->vips.table};
	struct vip_route *route;
	int code = 0;

	resolver->vips.reading++;
	resolver->vips.audited_ms = uv_now(resolver->loop);
	if (resolver->vips.table || resolver->vips.is_table_new)
		code = dump_both(resolver, resolver->vips.is_table_new ? 0 : resolver->vips.table, &audit);
	take_out_strays(resolver, &audit);
	if (code)
		return err_set(&resolver->vips.error, code, "reading the routes of table %u: %s", resolver->vips.table,
			       strerror(-code));
	resolver->vips.is_table_new = false;
	for (route = resolver->vips.routes; route; route = route->hh.next)
		if (route->reading != resolver->vips.reading)
			route->ifindex = 0;
	return 0;
}

/* ---- work ------------------------------------------------------------------------------------------------------------ */

static void drop_unwanted(struct resolver *resolver)
{
	struct vip_route *route, *next;

	HASH_ITER(hh, resolver->vips.routes, route, next)
		if (!route->ifindex && route->announced_in != resolver->vips.round) {
			HASH_DEL(resolver->vips.routes, route);
			free(route);
		}
}

/* What has failed is asked for once in each walk over all, however many turns that takes, and again after a while. */
static void begin_walk(struct resolver *resolver)
{
	resolver->vips.error.text[0] = '\0';
	for (struct vip_route *route = resolver->vips.routes; route; route = route->hh.next)
		route->has_failed = false;
}

static void work(uv_timer_t *timer)
{
	struct resolver *resolver = timer->data;
	unsigned int asked = 0, failed = 0;

	if (!resolver->vips.is_walking)
		begin_walk(resolver);
	if (resolver->vips.is_doubtful) {
		if (audit(resolver)) {
			work_in(resolver, AGAIN_MS);
			return;
		}
		resolver->vips.is_doubtful = false;
	}
	for (struct vip_route *route = resolver->vips.routes; route; route = route->hh.next) {
		resolver->vips.is_walking = asked == ASKED_A_TURN;
		if (resolver->vips.is_walking) {
			work_in(resolver, 0);
			return;
		}
		asked += !route->has_failed && settle(resolver, route);
		failed += route->has_failed;
	}
	resolver->vips.is_walking = false;
	drop_unwanted(resolver);
	if (failed)
		work_in(resolver, AGAIN_MS);
}

void vip_doubt(struct resolver *resolver)
{
	uint64_t since_ms;

	if (!resolver->vips.round)
		return; /* and is doubtful from the first one on */
	since_ms = uv_now(resolver->loop) - resolver->vips.audited_ms;
	resolver->vips.is_doubtful = true;
	work_in(resolver, since_ms < AUDIT_LEAST_MS ? AUDIT_LEAST_MS - since_ms : AUDIT_AFTER_MS);
}

bool vip_take(struct resolver *resolver, const struct nlmsghdr *message)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	uint32_t table = info->rtm_table;
	const struct nlattr *attr;

	EACH_ATTRIBUTE(attr, message, sizeof(*info))
		if (mnl_attr_get_type(attr) == RTA_TABLE)
			table = mnl_attr_get_u32(attr);
	if (!resolver->vips.table || table != resolver->vips.table)
		return false;
	if (message->nlmsg_pid != mnl_socket_get_portid(resolver->asker))
		vip_doubt(resolver);
	return true;
}

void vip_open(struct resolver *resolver)
{
	uv_timer_init(resolver->loop, &resolver->vips.work);
	resolver->vips.work.timer_cb = work;
	resolver->vips.work.data = resolver;
}

void vip_table_free(struct resolver *resolver)
{
	struct vip_route *route, *next;

	HASH_ITER(hh, resolver->vips.routes, route, next) {
		HASH_DEL(resolver->vips.routes, route);
		free(route);
	}
}

/* ---- what is announced ------------------------------------------------------------------------------------------------ */

void resolver_vips_begin(struct resolver *resolver, uint32_t table, uint32_t ifindex)
{
	if (!resolver->vips.round || resolver->vips.table != table) {
		for (struct vip_route *route = resolver->vips.routes; route; route = route->hh.next)
			route->ifindex = 0; /* in the new table there is none yet; those of the old one are strays */
		resolver->vips.table = table;
		resolver->vips.is_table_new = resolver->vips.is_doubtful = true;
	}
	resolver->vips.ifindex = ifindex;
	resolver->vips.round++;
}

bool resolver_vips_add(struct resolver *resolver, const struct ip *vip)
{
	struct vip_route *route = find_or_add(resolver, vip);

	if (route)
		route->announced_in = resolver->vips.round;
	return route != NULL;
}

void resolver_vips_end(struct resolver *resolver)
{
	resolver->vips.is_walking = false; /* something else is wanted */
	work_in(resolver, 0);
}

bool resolver_vips_has(const struct resolver *resolver, const struct ip *vip)
{
	const struct vip_route *route = find(resolver, vip);

	return route && route->ifindex;
}

const char *resolver_vips_error(const struct resolver *resolver)
{
	return resolver->vips.error.text;
}

void resolver_vips_count(const struct resolver *resolver, size_t *announced, size_t *there)
{
	*announced = *there = 0;
	for (const struct vip_route *route = resolver->vips.routes; route; route = route->hh.next) {
		*announced += wanted(resolver, route) != 0;
		*there += route->ifindex != 0;
	}
}

/* ---- --unload ---------------------------------------------------------------------------------------------------------- */

int resolver_forget_vips(struct err *e)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	struct audit audit = {.resolver = resolver};
	int code;

	if (!resolver)
		return err_set(e, -ENOMEM, "%m");
	code = netlink_open(resolver, e);
	if (!code)
		code = dump_both(resolver, 0, &audit);
	take_out_strays(resolver, &audit);
	if (resolver->listener)
		mnl_socket_close(resolver->listener);
	if (resolver->asker)
		mnl_socket_close(resolver->asker);
	free(resolver);
	return code ? err_set(e, code, "removing routes to VIPs: %s", strerror(-code)) : 0;
}

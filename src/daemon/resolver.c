/* Targets and the hosts behind them: when they are asked for, and what they have become: see resolver.h. */
#include "daemon/resolver_internal.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_HOSTS 64
#define BATCHES_A_TURN 40 /* some 2,500 hosts, 10 ms */
#define RESYNC_AFTER_MS 20
#define RESYNC_LEAST_MS 200   /* apart, in a storm of changes */
#define RESYNC_ALWAYS_MS 30000 /* what no notification tells, such as a learned path MTU that expires */
#define PATIENCE_TICK_MS 250
#define ANSWER_WITHIN_MS 3000
#define USE_EVERY_MS 5000 /* kernels without NTF_MANAGED */

/* ---- what a target has become ---------------------------------------------------------------------------------------- */

static void settle(struct resolver *resolver, struct resolver_target *target, enum resolver_state state,
		   const struct adjacency *facts, const char *reason)
{
	const struct link *port = state == RESOLVER_READY ? link_find(resolver, facts->ifindex) : NULL;
	uint32_t generation = port ? port->generation : 0;
	bool is_same = target->is_told && target->state == state && target->port_generation == generation &&
		       (state != RESOLVER_READY || !memcmp(&target->facts, facts, sizeof(*facts))) &&
		       (state != RESOLVER_FAILED || (target->reason && !strcmp(target->reason, reason)));

	if (is_same)
		return;
	target->state = state;
	if (state == RESOLVER_READY)
		target->facts = *facts;
	target->port_generation = generation;
	free(target->reason);
	target->reason = state == RESOLVER_FAILED ? strdup(reason) : NULL;
	target->is_told = true;
	resolver->has_news = true;
	resolver->events.target_changed(resolver->events.context, target, target->user);
}

static void fail(struct resolver *resolver, struct resolver_target *target, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void fail(struct resolver *resolver, struct resolver_target *target, const char *format, ...)
{
	char reason[RESOLVER_REASON_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	settle(resolver, target, RESOLVER_FAILED, NULL, reason);
}

/* The route names no address to send a tunnel from that answers could find: none, or one that is known on its link only. */
static bool lacks_source(const struct resolver *resolver, const struct resolver_target *target, const struct ip *source)
{
	bool is4 = ip_is4(&target->host->address);

	if (target->method == HP_METHOD_L2 || (is4 ? resolver->has_source4 : resolver->has_source6))
		return false;
	return ip_is_unspecified(source) || (!is4 && ip_is_link_local(source) && !ip_is_link_local(&target->host->address));
}

/* Known facts of a way, once its next hop has answered. */
static void arrive(struct resolver *resolver, struct resolver_target *target, const struct adjacency *facts)
{
	const struct host *host = target->host;
	const struct neighbour *neighbour = host->neighbour;
	struct adjacency whole = *facts;
	uint16_t tunnel_mtu = mtu_of(target->host, facts->mtu), least_mtu = adjacency_least_mtu(target->method, facts->mtu);
	char address[IP_TEXT_BYTES], hop[IP_TEXT_BYTES];

	if (target->method == HP_METHOD_L2 && host->route.has_gateway) {
		fail(resolver, target,
		     "%s is reached through the gateway %s, and l2 needs it on the director's own segment: use forward: ipip, "
		     "gue or gre, or give the director a leg there",
		     ip_format(&host->address, address), ip_format(&host->route.gateway, hop));
		return;
	}
	if (lacks_source(resolver, target, &host->route.source)) {
		fail(resolver, target,
		     "the director has no %s address to send tunnels to %s from: give it one, or set tunnel.source%s",
		     ip_is4(&host->address) ? "IPv4" : "global IPv6", ip_format(&host->address, address),
		     ip_is4(&host->address) ? "4" : "6");
		return;
	}
	if (neighbour_is_usable(neighbour)) {
		memcpy(whole.mac_destination, neighbour->mac, sizeof(whole.mac_destination));
		if (target->method != HP_METHOD_L2)
			whole.mtu = tunnel_mtu > least_mtu ? tunnel_mtu : least_mtu;
		settle(resolver, target, RESOLVER_READY, &whole, NULL);
		return;
	}
	if (!(neighbour->state & NUD_FAILED) && uv_now(resolver->loop) - neighbour->asked_ms < ANSWER_WITHIN_MS) {
		settle(resolver, target, RESOLVER_PENDING, NULL, NULL);
		resolver_be_patient(resolver);
		return;
	}
	fail(resolver, target, "%s%s on %s does not answer %s", host->route.has_gateway ? "the gateway " : "",
	     ip_format(&neighbour->key.address, hop), link_find(resolver, host->route.ifindex)->name,
	     ip_is4(&neighbour->key.address) ? "ARP" : "neighbour solicitations");
}

static uint16_t path_mtu(uint32_t link_mtu, uint32_t route_mtu)
{
	uint32_t mtu = route_mtu && route_mtu < link_mtu ? route_mtu : link_mtu;

	return mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
}

void host_evaluate(struct resolver *resolver, struct host *host)
{
	const struct link *egress = host->route.state == ROUTE_FOUND ? link_find(resolver, host->route.ifindex) : NULL;
	char address[IP_TEXT_BYTES], reason[RESOLVER_REASON_BYTES] = "";
	struct adjacency facts;
	struct resolver_target *target, *next;
	bool is_fine = false;
	uint32_t mtu;

	memset(&facts, 0, sizeof(facts));
	ip_format(&host->address, address);
	if (egress)
		is_fine = link_resolve(resolver, egress, &facts, &mtu, reason);
	if (is_fine) {
		facts.mtu = path_mtu(mtu, host->route.mtu);
		facts.on_link = !host->route.has_gateway;
		facts.source = host->route.source;
	}
	DL_FOREACH_SAFE(host->targets, target, next) {
		if (host->route.state == ROUTE_UNKNOWN)
			continue;
		if (host->route.state == ROUTE_REFUSED)
			fail(resolver, target, "%s %s", address, host->route.reason);
		else if (!is_fine)
			fail(resolver, target, "%s: %s", address, egress ? reason : "its interface is gone");
		else if (!host->neighbour)
			fail(resolver, target, "%s: out of memory", address);
		else
			arrive(resolver, target, &facts);
	}
}

/* ---- asking ------------------------------------------------------------------------------------------------------------ */

void host_mark(struct resolver *resolver, struct host *host)
{
	if (host->is_dirty)
		return;
	host->is_dirty = true;
	host->next_dirty = NULL;
	*resolver->dirty_last = host;
	resolver->dirty_last = &host->next_dirty;
	if (!resolver->is_closing && !uv_is_active((uv_handle_t *)&resolver->work))
		uv_timer_start(&resolver->work, resolver->work.timer_cb, 0, 0);
}

static struct host *next_dirty(struct resolver *resolver)
{
	struct host *host = resolver->dirty_first;

	if (!host)
		return NULL;
	resolver->dirty_first = host->next_dirty;
	if (!resolver->dirty_first)
		resolver->dirty_last = &resolver->dirty_first;
	host->is_dirty = false;
	return host;
}

static void find_next_hop(struct resolver *resolver, struct host *host)
{
	struct neighbour_key key;

	memset(&key, 0, sizeof(key));
	key.address = host->route.has_gateway ? host->route.gateway : host->address;
	key.ifindex = host->route.ifindex;
	neighbour_use(resolver, host, host->route.state == ROUTE_FOUND ? &key : NULL);
}

/* A way whose route is known now; one that got no answer is asked for again. */
static void find_way(struct resolver *resolver, struct host *host)
{
	if (host->route.state == ROUTE_UNKNOWN)
		resolver_routes_changed(resolver);
	else
		find_next_hop(resolver, host);
}

/* Routes of those that have none known are asked for together; then each is judged. */
static size_t work_batch(struct resolver *resolver)
{
	struct host *hosts[BATCH_HOSTS], *unknown[BATCH_HOSTS];
	size_t count = 0, asked = 0;

	while (count < BATCH_HOSTS && (hosts[count] = next_dirty(resolver))) {
		if (hosts[count]->route.state == ROUTE_UNKNOWN)
			unknown[asked++] = hosts[count];
		count++;
	}
	if (asked)
		route_ask(resolver, unknown, asked);
	for (size_t i = 0; i < asked; i++)
		find_way(resolver, unknown[i]);
	for (size_t i = 0; i < count; i++) {
		if (hosts[i]->neighbour && hosts[i]->neighbour->is_to_be_asked)
			neighbour_want(resolver, hosts[i]->neighbour);
		host_evaluate(resolver, hosts[i]);
	}
	return count;
}

static void end_of_burst(struct resolver *resolver)
{
	if (resolver->dirty_first || !resolver->has_news)
		return;
	resolver->has_news = false;
	resolver->events.idle(resolver->events.context);
}

static void work(uv_timer_t *timer)
{
	struct resolver *resolver = timer->data;

	for (int i = 0; i < BATCHES_A_TURN; i++)
		if (!work_batch(resolver))
			break;
	if (resolver->dirty_first)
		uv_timer_start(timer, work, 0, 0);
	end_of_burst(resolver);
}

/* Every way is asked for anew; when notifications were lost, after the tables have been read again. */
static void resync(uv_timer_t *timer)
{
	struct resolver *resolver = timer->data;
	bool was_matter_of_course = !resolver->is_resync_due;
	struct host *host, *next;
	struct err e;

	resolver->is_resync_due = false;
	resolver->resynced_ms = uv_now(resolver->loop);
	uv_timer_start(timer, resync, RESYNC_ALWAYS_MS, 0);
	if (was_matter_of_course || resolver->has_lost_news)
		vip_doubt(resolver);
	if (resolver->has_lost_news) {
		resolver->has_lost_news = netlink_read_all(resolver, &e) != 0;
		if (resolver->has_lost_news)
			resolver_routes_changed(resolver);
	}
	HASH_ITER(hh, resolver->hosts, host, next) {
		host->route.state = ROUTE_UNKNOWN;
		host_mark(resolver, host);
	}
	if (resolver->events.surroundings_changed)
		resolver->events.surroundings_changed(resolver->events.context);
	end_of_burst(resolver);
}

/* Routes, rules, addresses or links changed. The changes of a moment are answered together, and in a storm that
 * does not end the ways are asked for now and then. */
void resolver_routes_changed(struct resolver *resolver)
{
	bool is_storm = uv_now(resolver->loop) - resolver->resynced_ms < RESYNC_LEAST_MS;

	if (resolver->is_closing || resolver->is_resync_due)
		return;
	resolver->is_resync_due = true;
	uv_timer_start(&resolver->resync, resync, is_storm ? RESYNC_LEAST_MS : RESYNC_AFTER_MS, 0);
}

/* While somebody waits for a neighbour, or the kernel must be reminded of them. */
static void patience(uv_timer_t *timer)
{
	struct resolver *resolver = timer->data;
	uint64_t now_ms = uv_now(resolver->loop);
	struct neighbour *neighbour, *next;
	bool is_waiting = resolver->is_managed_refused;
	struct host *host;

	HASH_ITER(hh, resolver->neighbours, neighbour, next) {
		if (resolver->is_managed_refused && now_ms - neighbour->asked_ms > USE_EVERY_MS)
			neighbour_want(resolver, neighbour);
		if (neighbour_is_usable(neighbour))
			continue;
		if (now_ms - neighbour->asked_ms < ANSWER_WITHIN_MS + PATIENCE_TICK_MS)
			is_waiting = true;
		DL_FOREACH2(neighbour->hosts, host, next_there)
			host_mark(resolver, host);
	}
	if (!is_waiting)
		uv_timer_stop(timer);
}

void resolver_be_patient(struct resolver *resolver)
{
	if (!resolver->is_closing && !uv_is_active((uv_handle_t *)&resolver->patience))
		uv_timer_start(&resolver->patience, patience, PATIENCE_TICK_MS, PATIENCE_TICK_MS);
}

static void readable(uv_poll_t *poll, int status, int events)
{
	struct resolver *resolver = poll->data;

	(void)events;
	netlink_receive(resolver);
	/* A queue that overran is an error of the socket, and libuv stops watching where it meets one. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, readable);
	if (!resolver->dirty_first)
		end_of_burst(resolver);
}

/* ---- targets ------------------------------------------------------------------------------------------------------------ */

struct resolver_target *resolver_watch(struct resolver *resolver, const struct ip *address, enum hp_method method,
				       void *user)
{
	struct resolver_target *target = calloc(1, sizeof(*target));
	struct host *host;

	if (!target)
		return NULL;
	HASH_FIND(hh, resolver->hosts, address, sizeof(*address), host);
	if (!host) {
		host = calloc(1, sizeof(*host));
		if (!host) {
			free(target);
			return NULL;
		}
		host->address = *address;
		HASH_ADD(hh, resolver->hosts, address, sizeof(host->address), host);
	}
	target->host = host;
	target->method = method;
	target->user = user;
	DL_APPEND(host->targets, target);
	host_mark(resolver, host);
	return target;
}

void resolver_sources(struct resolver *resolver, bool has_source4, bool has_source6)
{
	struct host *host, *next;

	if (resolver->has_source4 == has_source4 && resolver->has_source6 == has_source6)
		return;
	resolver->has_source4 = has_source4;
	resolver->has_source6 = has_source6;
	HASH_ITER(hh, resolver->hosts, host, next)
		host_mark(resolver, host);
}

static void forget_dirty(struct resolver *resolver, struct host *host)
{
	struct host **at = &resolver->dirty_first;

	if (!host->is_dirty)
		return;
	while (*at != host)
		at = &(*at)->next_dirty;
	*at = host->next_dirty;
	if (!*at)
		resolver->dirty_last = at;
}

static void free_target(struct resolver_target *target)
{
	DL_DELETE(target->host->targets, target);
	free(target->reason);
	free(target);
}

void resolver_unwatch(struct resolver *resolver, struct resolver_target *target)
{
	struct host *host = target->host;

	free_target(target);
	if (host->targets)
		return;
	neighbour_use(resolver, host, NULL);
	forget_dirty(resolver, host);
	HASH_DEL(resolver->hosts, host);
	free(host);
}

enum resolver_state resolver_target_state(const struct resolver_target *target)
{
	return target->state;
}

const struct adjacency *resolver_target_facts(const struct resolver_target *target)
{
	return &target->facts;
}

const char *resolver_target_reason(const struct resolver_target *target)
{
	return target->reason ? target->reason : "";
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

static int open_handles(struct resolver *resolver, struct err *e)
{
	int code = uv_poll_init(resolver->loop, &resolver->poll, mnl_socket_get_fd(resolver->listener));

	if (code)
		return err_set(e, code, "rtnetlink in the event loop: %s", uv_strerror(code));
	uv_timer_init(resolver->loop, &resolver->work);
	uv_timer_init(resolver->loop, &resolver->resync);
	uv_timer_init(resolver->loop, &resolver->patience);
	vip_open(resolver);
	mtu_open(resolver);
	resolver->work.timer_cb = work;
	resolver->poll.data = resolver->work.data = resolver->resync.data = resolver->patience.data = resolver;
	resolver->open_handles = 6;
	return uv_poll_start(&resolver->poll, UV_READABLE, readable);
}

static void free_all(struct resolver *resolver)
{
	struct host *host, *next;

	HASH_ITER(hh, resolver->hosts, host, next) {
		HASH_DEL(resolver->hosts, host);
		while (host->targets)
			free_target(host->targets);
		free(host);
	}
	vip_table_free(resolver);
	neighbour_table_free(resolver);
	link_table_free(resolver);
	if (resolver->listener)
		mnl_socket_close(resolver->listener);
	if (resolver->asker)
		mnl_socket_close(resolver->asker);
	free(resolver);
}

static void handle_closed(uv_handle_t *handle)
{
	struct resolver *resolver = handle->data;

	if (!--resolver->open_handles)
		free_all(resolver);
}

struct resolver *resolver_create(uv_loop_t *loop, const struct resolver_events *events, struct err *e)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	if (!resolver) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	resolver->loop = loop;
	resolver->dirty_last = &resolver->dirty_first;
	resolver->is_closing = true; /* nobody is told what is there at the start */
	if (netlink_open(resolver, e) || netlink_read_all(resolver, e)) {
		free_all(resolver);
		return NULL;
	}
	if (open_handles(resolver, e)) {
		free_all(resolver);
		return NULL;
	}
	resolver->events = *events;
	resolver->is_closing = false;
	resolver->has_news = false;
	uv_timer_start(&resolver->resync, resync, RESYNC_ALWAYS_MS, 0);
	return resolver;
}

void resolver_destroy(struct resolver *resolver)
{
	resolver->is_closing = true;
	uv_close((uv_handle_t *)&resolver->poll, handle_closed);
	uv_close((uv_handle_t *)&resolver->work, handle_closed);
	uv_close((uv_handle_t *)&resolver->resync, handle_closed);
	uv_close((uv_handle_t *)&resolver->patience, handle_closed);
	uv_close((uv_handle_t *)&resolver->vips.work, handle_closed);
	uv_close((uv_handle_t *)&resolver->forget_mtu, handle_closed);
}

/* Path MTUs that routers told of, for as long as they hold: see resolver.h.
 *
 * The kernel learns none for tunnels' packets, which it does not send. A path may get wider, and nobody tells: after the time
 * that the kernel gives its own (mtu_expires) the route's MTU is tried again. */
#include "daemon/resolver_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/path_mtu.h"

#define EXPIRES_S 600 /* where the kernel does not say */

/* Seconds that what was learned of a family holds. */
static uint64_t expires_s(bool is4)
{
	FILE *file = fopen(is4 ? "/proc/sys/net/ipv4/route/mtu_expires" : "/proc/sys/net/ipv6/route/mtu_expires", "re");
	unsigned int seconds = EXPIRES_S;

	if (!file)
		return seconds;
	if (fscanf(file, "%u", &seconds) != 1 || !seconds)
		seconds = EXPIRES_S;
	fclose(file);
	return seconds;
}

uint16_t mtu_of(struct host *host, uint16_t route_mtu)
{
	host->route_mtu = route_mtu;
	return host->learned.mtu && host->learned.mtu < route_mtu ? host->learned.mtu : route_mtu;
}

static void tell(const struct resolver *resolver, const struct host *host, uint16_t was)
{
	struct resolver_mtu now = {.mtu = host->route_mtu, .route_mtu = host->route_mtu};

	if (host->learned.mtu)
		now = (struct resolver_mtu){host->learned.mtu, host->route_mtu, host->learned.from, 0,
					    (host->learned.until_ms - host->learned.at_ms) / 1000};
	resolver->events.mtu_changed(resolver->events.context, &host->address, was, &now);
}

static void forget(uv_timer_t *timer)
{
	struct resolver *resolver = timer->data;
	uint64_t now_ms = uv_now(resolver->loop), next_ms = 0;
	struct host *host, *next;

	HASH_ITER(hh, resolver->hosts, host, next) {
		uint16_t was = host->learned.mtu;

		if (!was)
			continue;
		if (host->learned.until_ms <= now_ms) {
			host->learned.mtu = 0;
			host_mark(resolver, host);
			tell(resolver, host, was);
		} else if (!next_ms || host->learned.until_ms < next_ms) {
			next_ms = host->learned.until_ms;
		}
	}
	if (next_ms)
		uv_timer_start(timer, forget, next_ms - now_ms, 0);
}

void mtu_open(struct resolver *resolver)
{
	uv_timer_init(resolver->loop, &resolver->forget_mtu);
	resolver->forget_mtu.timer_cb = forget;
	resolver->forget_mtu.data = resolver;
}

void resolver_learn_mtu(struct resolver *resolver, const struct icmp_quote *quote, const struct ip *from)
{
	uint64_t now_ms = uv_now(resolver->loop), ms = expires_s(ip_is4(&quote->destination)) * 1000;
	struct host *host;
	uint16_t was, mtu;

	HASH_FIND(hh, resolver->hosts, &quote->destination, sizeof(quote->destination), host);
	if (!host || !host->route_mtu)
		return;
	was = mtu_of(host, host->route_mtu);
	mtu = path_mtu_judge(quote, was);
	if (!mtu)
		return;
	host->learned = (struct learned_mtu){mtu, *from, now_ms, now_ms + ms};
	host_mark(resolver, host);
	if (!uv_is_active((uv_handle_t *)&resolver->forget_mtu) || uv_timer_get_due_in(&resolver->forget_mtu) > ms)
		uv_timer_start(&resolver->forget_mtu, forget, ms, 0);
	tell(resolver, host, was);
}

bool resolver_target_mtu(const struct resolver *resolver, const struct resolver_target *target, struct resolver_mtu *out)
{
	const struct host *host = target->host;
	uint64_t now_ms = uv_now(resolver->loop);

	if (target->method == HP_METHOD_L2 || !host->learned.mtu || host->learned.mtu >= host->route_mtu)
		return false;
	*out = (struct resolver_mtu){
		.mtu = host->learned.mtu,
		.route_mtu = host->route_mtu,
		.from = host->learned.from,
		.age_s = (now_ms - host->learned.at_ms) / 1000,
		.left_s = host->learned.until_ms > now_ms ? (host->learned.until_ms - now_ms) / 1000 : 0,
	};
	return true;
}

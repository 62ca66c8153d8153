/* Why a check fails, from what the director has: where an inquest asks, what is known without asking, and who is told. */
#include "daemon/director_internal.h"

#include <errno.h>

#include "base/log.h"

#define LOOPS_EVERY_MS 10000

static const struct fleet_backend *backend_of(const struct director *director, const struct check *check)
{
	return director->fleet ? director->fleet->by_number[check_key(check)->number] : NULL;
}

/* The longest packet for a VIP that the way to the backend takes; 0: no way. */
static uint32_t room_of(const struct director *director, const struct fleet_backend *backend)
{
	const struct hp_adjacency *adjacency = backend ? &director->plane.adjacencies[backend->way] : NULL;

	return adjacency && backend->way ? (uint32_t)adjacency->mtu - adjacency->outer_bytes : 0;
}

/* Over IPv4 a tunnel's own packets are refused aloud. The question comes from the address that the route prefers, as do probes,
 * unless the tunnel has a fixed source. */
static bool asks_gue(const struct director *director, const struct fleet_backend *backend)
{
	const struct config_source *source = &director->running->tunnel.source6;

	return (backend->identity.method == HP_METHOD_GUE_4_IN_6 || backend->identity.method == HP_METHOD_GUE_6_IN_6) &&
	       (!source->set || source->prefix.bits < 128);
}

static bool describe(void *context, const struct check *check, struct inquest_case *out)
{
	const struct director *director = context;
	const struct check_key *key = check_key(check);
	const struct fleet_backend *backend = backend_of(director, check);

	*out = (struct inquest_case){
		.vip = key->vip,
		.backend = key->backend,
		.port = key->port,
		.method = "",
		.health = check_policy(check),
	};
	if (!key->number)
		return true;
	if (!backend)
		return false;
	out->method = config_forward_name(adjacency_forward((enum hp_method)backend->identity.method));
	out->mark = backend->way ? probe_way_mark(director->probe_way, key->number) : 0;
	out->mtu = room_of(director, backend);
	out->asks_gue = asks_gue(director, backend);
	return true;
}

static uint64_t looped(void *context, const struct check *check)
{
	const struct director *director = context;
	uint64_t count = 0;

	/* A check of the own address speaks for every method that leads there. */
	for (uint32_t method = HP_METHOD_NONE + 1; director->fleet && method < HP_METHOD_COUNT; method++) {
		struct fleet_identity identity = {check_key(check)->backend, method};
		const struct fleet_backend *backend = fleet_backend_find(director->fleet, &identity);
		uint64_t cell[HP_BACKEND_CELLS];

		if (!backend)
			continue;
		dataplane_backend_sum(&director->plane, backend->number, cell);
		count += cell[HP_LOOPED];
	}
	return count;
}

/* What ICMP has said of tunnels to the backend since the check began to go wrong. */
static void recall_icmp(const struct director *director, const struct check *check, struct verdict_evidence *evidence)
{
	static const enum verdict_icmp kinds[ICMP_ERROR_COUNT] = {
		[ICMP_ERROR_NO_PROTOCOL] = VERDICT_NO_PROTOCOL, [ICMP_ERROR_NO_PORT] = VERDICT_NO_PORT,
		[ICMP_ERROR_NO_HOST] = VERDICT_NO_HOST,		[ICMP_ERROR_PROHIBITED] = VERDICT_PROHIBITED,
		[ICMP_ERROR_TOO_BIG] = VERDICT_TOO_BIG,		[ICMP_ERROR_EXPIRED] = VERDICT_NO_HOST,
	};
	const struct config_health *health = check_policy(check);
	uint64_t now = uv_now(director->loop), ms = check_age_ms(director->probes, check);
	struct icmp_evidence_item item;

	ms += (uint64_t)health->interval_ms * health->fall + health->timeout_ms;
	if (!icmp_evidence_of(director->icmp, &check_key(check)->backend, now > ms ? now - ms : 0, &item))
		return;
	evidence->icmp = kinds[item.error];
	evidence->icmp_from = item.from;
}

static void recall(void *context, const struct check *check, struct verdict_evidence *evidence)
{
	const struct director *director = context;
	const struct fleet_backend *backend = backend_of(director, check);

	evidence->is_unresolved = backend && backend->target && !backend->way &&
				  resolver_target_state(backend->target) == RESOLVER_FAILED;
	if (backend && backend->way)
		evidence->probe_source = ip_from6(director->plane.adjacencies[backend->way].own);
	evidence->is_vip_local = resolver_is_local(director->resolver, &check_key(check)->vip);
	if (backend && backend->identity.method != HP_METHOD_L2)
		recall_icmp(director, check, evidence);
}

static void told(void *context, const struct check *check, const struct verdict *verdict)
{
	const struct director *director = context;
	const struct check_key *key = check_key(check);
	char backend[IP_TEXT_BYTES], vip[IP_TEXT_BYTES], words[FLAPS_KEY_BYTES];

	if (verdict->cause == CAUSE_NONE || director->burst_failing > DIRECTOR_BURST_LOGGED)
		return;
	flaps_log_more(director->flaps, director_check_words(check, words), LOG_WARNING,
		       "cause backend=%s vip=%s cause=%s certain=%s text=\"%s\"", ip_format(&key->backend, backend),
		       key->number ? ip_format(&key->vip, vip) : "-", cause_text(verdict->cause)->name,
		       verdict->is_certain ? "yes" : "no", verdict->text);
}

static bool is_own(void *context, const struct ip *address)
{
	const struct director *director = context;

	return resolver_is_local(director->resolver, address);
}

static bool is_tunnelled_to(void *context, const struct ip *address)
{
	const struct director *director = context;

	for (uint32_t method = HP_METHOD_L2 + 1; method < HP_METHOD_COUNT; method++) {
		struct fleet_identity identity = {*address, method};

		if (fleet_backend_find(director->fleet, &identity))
			return true;
	}
	return false;
}

/* Whether an outer packet from there to that backend is one of this host's. */
static bool is_sent_by_us(const struct director *director, const struct icmp_quote *quote)
{
	for (uint32_t method = HP_METHOD_L2 + 1; method < HP_METHOD_COUNT; method++) {
		struct fleet_identity identity = {quote->destination, method};
		const struct fleet_backend *backend = fleet_backend_find(director->fleet, &identity);

		if (backend && backend->way && adjacency_sends_from(&director->plane.adjacencies[backend->way], &quote->source))
			return true;
	}
	return false;
}

static void heard(void *context, const struct icmp_quote *quote, const struct ip *from)
{
	const struct director *director = context;

	if (quote->error == ICMP_ERROR_TOO_BIG && is_sent_by_us(director, quote))
		resolver_learn_mtu(director->resolver, quote, from);
}

/* Without what is said by ICMP, verdicts on backends are less certain, and paths' MTUs are those of routes. */
void director_hear_icmp(struct director *director)
{
	const struct icmp_evidence_hooks hooks = {director, is_tunnelled_to, heard};
	struct err e;

	director->icmp = icmp_evidence_open(director->loop, &hooks, &e);
	if (!director->icmp)
		log_event(LOG_WARNING, "icmp_unheard error=\"%s\"", e.text);
}

/* Whoever asks, and whether anybody checks the backend or not. */
static void tell_looped(void *context, uint32_t number, uint64_t packets)
{
	const struct director *director = context;
	const struct fleet_backend *backend = director->fleet->by_number[number];
	char address[IP_TEXT_BYTES];

	if (backend)
		log_event(LOG_WARNING,
			  "vip_missing backend=%s packets=%llu text=\"packets for a VIP came back: it lacks the VIP\"",
			  ip_format(&backend->identity.address, address), (unsigned long long)packets);
}

void director_watch_loops(struct director *director)
{
	uint64_t now = uv_now(director->loop);

	if (now < director->loops_ms)
		return;
	director->loops_ms = now + LOOPS_EVERY_MS;
	rates_each_looped(director->rates, tell_looped, director);
}

int director_open_diagnoses(struct director *director, struct err *e)
{
	const struct diagnoses_events events = {director, describe, looped, recall, told};

	director->inquests = inquests_create(director->loop, probes_shared(director->probes), is_own, director);
	director->diagnoses = director->inquests ? diagnoses_create(director->loop, director->inquests, &events) : NULL;
	return director->diagnoses ? 0 : err_set(e, -ENOMEM, "%m");
}

void director_close_diagnoses(struct director *director)
{
	diagnoses_destroy(director->diagnoses);
	inquests_destroy(director->inquests);
	icmp_evidence_close(director->icmp);
	director->icmp = NULL;
	director->diagnoses = NULL;
	director->inquests = NULL;
}

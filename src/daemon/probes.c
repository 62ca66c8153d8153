/* Checks and when they ask: see probes.h. How a question is asked is in probe_*.c, what answers mean in core/health.c. */
#include "daemon/probes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uthash.h>

#include "daemon/probe.h"

#define FIRST_A_MS 5  /* so many new checks begin in each millisecond */
#define BEGIN_A_MS 20 /* so many probes may: after a standstill all are due, and a burst would lose packets of its own */
#define PENDING_MS 20 /* until it is looked again whether a way is known */
#define SPARE_US   100000
#define BUSY_MOST  3  /* answers in a row that may be missed since this host was busy, until they count */

/* A health that checks have, once for all that are equal. */
struct policy {
	uint64_t hash; /* key */
	struct config_health *health;
	unsigned int references;
	UT_hash_handle hh;
};

struct place {
	struct check_key key;
	const struct policy *policy;
};

struct check {
	struct place place; /* key */
	struct probes *probes;
	struct policy *policy;
	unsigned int references;
	struct health health;
	uint64_t since_ms;
	struct health_result last, own;
	bool has_own; /* own holds something */
	unsigned int busy; /* answers in a row that were missed since this host was busy */
	enum check_reach reach;
	struct probe_target target, own_target;
	struct config_health own_policy; /* how the own address is asked */
	struct probe *probe, *own_probe; /* under way; NULL: not */
	uv_timer_t timer;
	UT_hash_handle hh;
};

struct probes {
	uv_loop_t *loop; /* borrowed */
	struct probes_events events;
	struct probe_shared *shared;
	struct check *checks;
	struct policy *policies;
	uint64_t random;
	uint64_t first_ms; /* when the next new check may begin, and how many do then */
	unsigned int first_count;
	uint64_t begun_ms; /* when the last probe began, and how many did then */
	unsigned int begun_count;
	struct probes_facts facts;
};

/* ---- policies ------------------------------------------------------------------------------------------------------------ */

static uint64_t add_bytes(uint64_t hash, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
	return hash * 0x100000001b3;
}

static uint64_t hash_of(const struct config_health *health)
{
	const char *const texts[] = {health->path, health->host, health->send, health->expect, health->name};
	const uint32_t numbers[] = {health->type, health->port, health->interval_ms, health->timeout_ms, health->fall};
	uint64_t hash = add_bytes(0xcbf29ce484222325, (const char *)numbers, sizeof(numbers));

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		hash = add_bytes(hash, texts[i], texts[i] ? strlen(texts[i]) : 0);
	return hash;
}

static struct policy *policy_take(struct probes *probes, struct config_health *health)
{
	uint64_t hash = hash_of(health);
	struct policy *policy;

	for (;; hash++) {
		HASH_FIND(hh, probes->policies, &hash, sizeof(hash), policy);
		if (!policy)
			break;
		if (config_health_equal(policy->health, health)) {
			policy->references++;
			return policy;
		}
	}
	policy = calloc(1, sizeof(*policy));
	if (!policy)
		return NULL;
	policy->hash = hash;
	policy->health = config_health_hold(health);
	policy->references = 1;
	HASH_ADD(hh, probes->policies, hash, sizeof(policy->hash), policy);
	return policy;
}

static void policy_drop(struct probes *probes, struct policy *policy)
{
	if (--policy->references)
		return;
	HASH_DEL(probes->policies, policy);
	config_health_drop(policy->health);
	free(policy);
}

/* ---- asking ------------------------------------------------------------------------------------------------------------ */

static void begin(uv_timer_t *timer);

static void schedule(struct check *check)
{
	uint64_t now = uv_now(check->probes->loop), due = check->health.due_ms;

	uv_timer_start(&check->timer, begin, due > now ? due - now : 0, 0);
}

static void tell(struct check *check, bool is_state)
{
	check->probes->events.changed(check->probes->events.context, check, is_state);
}

static void set_reach(struct check *check, enum check_reach reach)
{
	bool has_changed = check->reach != reach;

	check->reach = reach;
	if (has_changed)
		tell(check, false);
}

/* ---- the own address, when the check fails by silence ---------------------------------------------------------------- */

static void own_ask(struct check *check, enum config_probe type);

static void own_done(void *context, const struct health_result *result)
{
	struct check *check = context;

	check->own_probe = NULL;
	check->probes->facts.running--;
	check->own = *result;
	check->has_own = true;
	if (result->answer != HEALTH_LOCAL && !health_is_silence(result->answer))
		set_reach(check, CHECK_REACH_YES);
	else if (check->own_policy.type == CONFIG_PROBE_TCP)
		own_ask(check, CONFIG_PROBE_ICMP);
	else if (result->answer != HEALTH_LOCAL)
		set_reach(check, CHECK_REACH_NO);
}

static void own_ask(struct check *check, enum config_probe type)
{
	struct err e;

	check->own_policy = (struct config_health){.type = type, .timeout_ms = check->policy->health->timeout_ms};
	check->own_probe = probe_kinds[type]->start(check->probes->shared, &check->own_policy, &check->own_target, own_done,
						    check, &e);
	check->probes->facts.begun += check->own_probe != NULL;
	check->probes->facts.running += check->own_probe != NULL;
}

static void own_end(struct check *check)
{
	if (!check->own_probe)
		return;
	probe_kinds[check->own_policy.type]->end(check->own_probe);
	check->own_probe = NULL;
	check->probes->facts.running--;
}

/* What the answer says of the backend's address. */
static void follow_reach(struct check *check)
{
	if (!health_is_silence(check->last.answer)) {
		own_end(check);
		check->has_own = false;
		if (check->last.answer != HEALTH_LOCAL)
			set_reach(check, CHECK_REACH_YES);
	} else if (check->health.state == HEALTH_STATE_FAILING && !check->own_probe) {
		own_ask(check, check->own_target.port ? CONFIG_PROBE_TCP : CONFIG_PROBE_ICMP);
	}
}

/* ---- a probe --------------------------------------------------------------------------------------------------------- */

/* Checks that this host cannot ask for. */
static void count_local(struct check *check, int by)
{
	struct probes_facts *facts = &check->probes->facts;

	if (!check->health.is_answered || check->last.answer != HEALTH_LOCAL)
		return;
	facts->local += (uint64_t)by;
	if (by > 0)
		memcpy(facts->local_text, check->last.text, sizeof(facts->local_text));
}

static void take(struct check *check, const struct health_result *result)
{
	const struct probes_events *events = &check->probes->events;
	bool has_changed, has_begun = !check->health.is_answered && check->health.state != HEALTH_STATE_UNKNOWN;
	uint64_t now = uv_now(check->probes->loop);

	count_local(check, -1);
	check->last = *result;
	has_changed = health_feed(&check->health, check->policy->health, result->answer, now);
	count_local(check, 1);
	if (has_changed)
		check->since_ms = now;
	schedule(check);
	if (has_changed)
		tell(check, true);
	else if (has_begun && events->stayed)
		events->stayed(events->context, check);
	follow_reach(check);
}

/* Whether it was waited for an answer much longer than there was time for: then this host stood still, and packets may have
 * been lost here. */
static bool was_busy(const struct check *check, const struct health_result *result)
{
	uint64_t timeout_us = check->policy->health->timeout_ms * (uint64_t)1000;
	uint64_t spare_us = timeout_us / 2 > SPARE_US ? timeout_us / 2 : SPARE_US;

	return (result->answer == HEALTH_SILENT || result->answer == HEALTH_SLOW) && result->took_us > timeout_us + spare_us;
}

static void done(void *context, const struct health_result *result)
{
	struct check *check = context;
	struct health_result missed = *result;

	check->probe = NULL;
	check->probes->facts.running--;
	uv_update_time(check->probes->loop);
	check->busy = was_busy(check, result) ? check->busy + 1 : 0;
	if (check->busy && check->busy <= BUSY_MOST) {
		missed.answer = HEALTH_LOCAL;
		snprintf(missed.text, sizeof(missed.text), "this host was too busy: it came to look after %u ms, not %u",
			 result->took_us / 1000, check->policy->health->timeout_ms);
	}
	take(check, &missed);
}

static void count_lateness(struct probes *probes, const struct check *check)
{
	uint64_t now = uv_now(probes->loop);
	uint64_t late = now > check->health.due_ms ? now - check->health.due_ms : 0;

	probes->facts.begun++;
	probes->facts.late_ms += late;
	if (late > probes->facts.latest_ms)
		probes->facts.latest_ms = late > UINT32_MAX ? UINT32_MAX : (uint32_t)late;
}

/* It is not asked at all: this host cannot, or it is known that nobody would hear it. */
static void cannot(struct check *check, enum health_answer answer, const struct err *e)
{
	struct health_result result = {.answer = answer};

	snprintf(result.text, sizeof(result.text), "%.*s", (int)sizeof(result.text) - 1, e->text);
	for (char *c = result.text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?'; /* as in every answer: half a character of a file's name is no text to those who are told */
	take(check, &result);
}

/* How long a probe that is due has to wait for those that are in the same millisecond. */
static uint64_t crowd_ms(struct probes *probes)
{
	uint64_t now = uv_now(probes->loop);

	if (probes->begun_ms != now)
		probes->begun_count = 0;
	probes->begun_ms = now;
	return probes->begun_count++ / BEGIN_A_MS;
}

static enum check_way way_of(struct check *check, struct err *e)
{
	const struct probes_events *events = &check->probes->events;

	return check->place.key.number ? events->way(events->context, &check->place.key, &check->target.mark, e)
				       : CHECK_WAY_OPEN;
}

static void begin(uv_timer_t *timer)
{
	struct check *check = timer->data;
	struct probes *probes = check->probes;
	const struct config_health *health = check->policy->health;
	uint64_t wait_ms = crowd_ms(probes);
	struct err e = {0};

	if (wait_ms) {
		uv_timer_start(&check->timer, begin, wait_ms, 0);
		return;
	}
	switch (way_of(check, &e)) {
	case CHECK_WAY_OPEN:
		break;
	case CHECK_WAY_PENDING:
		check->health.due_ms = uv_now(probes->loop) + PENDING_MS;
		schedule(check);
		return;
	case CHECK_WAY_LOST:
		cannot(check, HEALTH_NO_HOST, &e);
		return;
	case CHECK_WAY_CLOSED:
		cannot(check, HEALTH_LOCAL, &e);
		return;
	}
	count_lateness(probes, check);
	check->probe = probe_kinds[health->type]->start(probes->shared, health, &check->target, done, check, &e);
	if (check->probe)
		probes->facts.running++;
	else
		cannot(check, HEALTH_LOCAL, &e);
}

/* ---- checks that come and go --------------------------------------------------------------------------------------- */

static uint32_t draw(struct probes *probes, uint32_t below)
{
	uint64_t word = probes->random += 0x9e3779b97f4a7c15;

	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
	word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
	return below ? (uint32_t)((word ^ (word >> 31)) % below) : 0;
}

/* Many that come in one do not all begin in one. */
static uint64_t first_due(struct probes *probes)
{
	uint64_t now = uv_now(probes->loop);

	if (probes->first_ms < now) {
		probes->first_ms = now;
		probes->first_count = 0;
	}
	if (++probes->first_count > FIRST_A_MS) {
		probes->first_ms++;
		probes->first_count = 1;
	}
	return probes->first_ms;
}

static struct place place_of(const struct check_key *key, const struct policy *policy)
{
	struct place place;

	memset(&place, 0, sizeof(place));
	place.key.vip = key->vip;
	place.key.backend = key->backend;
	place.key.number = key->number;
	place.key.port = key->port;
	place.policy = policy;
	return place;
}

static struct check *make(struct probes *probes, struct policy *policy, const struct place *place, enum health_state state)
{
	struct check *check = calloc(1, sizeof(*check));
	const struct check_key *key = &place->key;

	if (!check)
		return NULL;
	uv_update_time(probes->loop);
	check->place = *place;
	check->probes = probes;
	check->policy = policy;
	check->since_ms = uv_now(probes->loop);
	check->target = (struct probe_target){.address = key->number ? key->vip : key->backend, .backend = key->backend,
					      .port = key->port};
	check->own_target = (struct probe_target){.address = key->backend, .backend = key->backend, .port = key->port};
	health_begin(&check->health, state, first_due(probes), draw(probes, policy->health->interval_ms));
	uv_timer_init(probes->loop, &check->timer);
	check->timer.data = check;
	HASH_ADD(hh, probes->checks, place, sizeof(check->place), check);
	probes->facts.checks++;
	schedule(check);
	return check;
}

struct check *probes_take(struct probes *probes, struct config_health *health, const struct check_key *key,
			  enum health_state state)
{
	struct policy *policy = policy_take(probes, health);
	struct place place;
	struct check *check;

	if (!policy)
		return NULL;
	place = place_of(key, policy);
	HASH_FIND(hh, probes->checks, &place, sizeof(place), check);
	if (check)
		policy_drop(probes, policy);
	else
		check = make(probes, policy, &place, state);
	if (!check) {
		policy_drop(probes, policy);
		return NULL;
	}
	check->references++;
	return check;
}

static void closed(uv_handle_t *timer)
{
	free(timer->data);
}

void probes_drop(struct probes *probes, struct check *check)
{
	if (--check->references)
		return;
	if (probes->events.ended)
		probes->events.ended(probes->events.context, check);
	if (check->probe) {
		probe_kinds[check->policy->health->type]->end(check->probe);
		probes->facts.running--;
	}
	own_end(check);
	count_local(check, -1);
	HASH_DEL(probes->checks, check);
	probes->facts.checks--;
	policy_drop(probes, check->policy);
	uv_close((uv_handle_t *)&check->timer, closed);
}

struct probes *probes_create(uv_loop_t *loop, const struct probes_events *events)
{
	struct probes *probes = calloc(1, sizeof(*probes));

	if (!probes)
		return NULL;
	probes->loop = loop;
	probes->events = *events;
	probes->shared = probe_shared_create(loop);
	if (getrandom(&probes->random, sizeof(probes->random), 0) != sizeof(probes->random))
		probes->random = uv_hrtime();
	if (probes->shared)
		return probes;
	free(probes);
	return NULL;
}

void probes_destroy(struct probes *probes)
{
	struct check *check, *next;

	if (!probes)
		return;
	HASH_ITER(hh, probes->checks, check, next) {
		check->references = 1;
		probes_drop(probes, check);
	}
	probe_shared_destroy(probes->shared);
	free(probes);
}

struct probe_shared *probes_shared(const struct probes *probes)
{
	return probes->shared;
}

/* ---- what is asked of them ------------------------------------------------------------------------------------------- */

const struct health *check_health(const struct check *check)
{
	return &check->health;
}

const struct config_health *check_policy(const struct check *check)
{
	return check->policy->health;
}

const struct check_key *check_key(const struct check *check)
{
	return &check->place.key;
}

enum check_reach check_reach(const struct check *check)
{
	return check->reach;
}

const struct health_result *check_last(const struct check *check)
{
	return check->health.is_answered ? &check->last : NULL;
}

const struct health_result *check_own(const struct check *check)
{
	return check->has_own ? &check->own : NULL;
}

uint64_t check_age_ms(const struct probes *probes, const struct check *check)
{
	uint64_t now = uv_now(probes->loop);

	return now > check->since_ms ? now - check->since_ms : 0;
}

void probes_facts(const struct probes *probes, struct probes_facts *out)
{
	*out = probes->facts;
}

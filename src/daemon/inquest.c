/* Inquests: see inquest.h. */
#include "daemon/inquest.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "abi.h"
#include "base/log.h"
#include "daemon/tap.h"

#define AT_A_TIME 32
#define PATIENCE_LEAST_MS 250u
#define PATIENCE_MOST_MS 2000u
#define PORT_FIRST 20000u
#define PORT_COUNT 12000u
#define HEADERS4 28u /* of IPv4 and ICMP */
#define HEADERS6 48u

/* What is asked. */
enum part_id {
	OWN_PORT,
	OWN_ECHO,
	VIP_ECHO,
	AGAIN,
	GUE,
	FULL, /* only when VIP_ECHO has been answered */
	PART_COUNT,
};

struct part {
	struct inquest *inquest;
	struct probe *probe; /* NULL: not under way */
	const struct probe_kind *kind;
	struct config_health health;
	struct probe_target target;
	struct health_result result;
	bool is_heard; /* result holds */
};

struct inquest {
	struct inquests *house;
	struct inquest *next, **at; /* in the house's list */
	struct inquest_case subject;
	inquest_done *done;
	void *context;
	bool is_begun;
	unsigned int under_way; /* parts */
	struct part part[PART_COUNT];
	struct tap *tap;
	bool answer_arrived;
	uv_idle_t turn; /* begins, and ends what had nothing to ask, from the loop */
};

struct inquests {
	uv_loop_t *loop;
	struct probe_shared *shared;
	bool (*is_own)(void *context, const struct ip *address);
	void *context;
	struct inquest *first, **last; /* in the order in which they came */
	unsigned int running;
};

static void ask_next(struct inquests *house);

static bool is_udp(const struct config_health *health)
{
	return health->type == CONFIG_PROBE_UDP || health->type == CONFIG_PROBE_DNS;
}

/* ---- an end ---------------------------------------------------------------------------------------------------------- */

static void freed(uv_handle_t *handle)
{
	free(handle->data);
}

static void let_go(struct inquest *inquest)
{
	struct inquests *house = inquest->house;

	for (int i = 0; i < PART_COUNT; i++)
		if (inquest->part[i].probe)
			inquest->part[i].kind->end(inquest->part[i].probe);
	tap_close(inquest->tap);
	config_health_drop((struct config_health *)inquest->subject.health);
	*inquest->at = inquest->next;
	if (inquest->next)
		inquest->next->at = inquest->at;
	else
		house->last = inquest->at;
	house->running -= inquest->is_begun;
	uv_close((uv_handle_t *)&inquest->turn, freed);
}

void inquest_end(struct inquest *inquest)
{
	struct inquests *house = inquest->house;

	let_go(inquest);
	ask_next(house);
}

/* Whether somebody spoke: an answer of any kind but that of this host or of a router on the way. */
static enum verdict_known known(const struct part *part)
{
	if (!part->is_heard || part->result.answer == HEALTH_LOCAL)
		return VERDICT_UNKNOWN;
	switch (part->result.answer) {
	case HEALTH_SILENT:
		return VERDICT_SILENT;
	case HEALTH_NO_HOST:
	case HEALTH_PROHIBITED:
	case HEALTH_TOO_BIG:
		return ip_equal(&part->result.from, &part->target.backend) ? VERDICT_ANSWERS : VERDICT_SILENT;
	default:
		return VERDICT_ANSWERS;
	}
}

/* Of two questions to the same address one answer is enough. */
static enum verdict_known either(enum verdict_known a, enum verdict_known b)
{
	if (a == VERDICT_ANSWERS || b == VERDICT_ANSWERS)
		return VERDICT_ANSWERS;
	return a == VERDICT_SILENT || b == VERDICT_SILENT ? VERDICT_SILENT : VERDICT_UNKNOWN;
}

/* A ping that is answered by the VIP; one that a stranger or a router answers is not. */
static enum verdict_known pinged(const struct part *part)
{
	if (!part->is_heard || part->result.answer == HEALTH_LOCAL)
		return VERDICT_UNKNOWN;
	return part->result.answer == HEALTH_GOOD ? VERDICT_ANSWERS : VERDICT_SILENT;
}

struct verdict_evidence inquest_evidence(const struct inquest_case *subject)
{
	return (struct verdict_evidence){
		.vip = subject->vip,
		.backend = subject->backend,
		.method = subject->method,
		.port = subject->port,
		.is_via_backend = subject->health->via_backend,
		.is_udp = is_udp(subject->health),
		.is_script = subject->health->type == CONFIG_PROBE_SCRIPT,
		.result = subject->result,
		.timeout_ms = subject->health->timeout_ms,
	};
}

static void tell(struct inquest *inquest)
{
	struct verdict_evidence evidence = inquest_evidence(&inquest->subject);
	struct inquests *house = inquest->house;
	inquest_done *done = inquest->done;
	void *context = inquest->context;

	evidence.own = either(known(&inquest->part[OWN_PORT]), known(&inquest->part[OWN_ECHO]));
	evidence.own_accepts = pinged(&inquest->part[OWN_PORT]) == VERDICT_ANSWERS;
	evidence.echo = pinged(&inquest->part[VIP_ECHO]);
	evidence.full = pinged(&inquest->part[FULL]);
	evidence.answer_arrived = inquest->answer_arrived;
	/* What has passed a tunnel belies this: an older program there leaves the question to its kernel. */
	if (inquest->part[GUE].is_heard && inquest->part[GUE].result.answer == HEALTH_REFUSED &&
	    evidence.echo != VERDICT_ANSWERS) {
		evidence.icmp = VERDICT_NO_PORT;
		evidence.icmp_from = evidence.backend;
	}
	let_go(inquest);
	done(context, &evidence);
	ask_next(house);
}

/* ---- the parts ---------------------------------------------------------------------------------------------------------- */

static void part_done(void *context, const struct health_result *result);

/* What this host cannot ask stays unknown. */
static void ask(struct inquest *inquest, enum part_id id, const struct probe_target *target)
{
	struct part *part = &inquest->part[id];
	struct err e;

	part->inquest = inquest;
	part->kind = probe_kinds[part->health.type];
	part->target = *target;
	part->probe = part->kind->start(inquest->house->shared, &part->health, &part->target, part_done, part, &e);
	inquest->under_way += part->probe != NULL;
	if (!part->probe)
		log_event(LOG_DEBUG, "inquest_lacks question=%s error=\"%s\"", part->kind->name, e.text);
}

static void ask_full(struct inquest *inquest)
{
	const struct inquest_case *subject = &inquest->subject;
	uint32_t headers = ip_is4(&subject->vip) ? HEADERS4 : HEADERS6;
	struct part *part = &inquest->part[FULL];

	if (subject->mtu <= headers)
		return;
	part->health = inquest->part[VIP_ECHO].health;
	part->health.send_bytes = subject->mtu - headers;
	ask(inquest, FULL, &inquest->part[VIP_ECHO].target);
}

static void part_done(void *context, const struct health_result *result)
{
	struct part *part = context;
	struct inquest *inquest = part->inquest;

	part->probe = NULL;
	part->result = *result;
	part->is_heard = true;
	inquest->under_way--;
	if (part == &inquest->part[VIP_ECHO] && result->answer == HEALTH_GOOD)
		ask_full(inquest);
	if (part == &inquest->part[AGAIN] && inquest->tap)
		inquest->answer_arrived = result->answer == HEALTH_SILENT && tap_has_seen(inquest->tap);
	if (!inquest->under_way)
		tell(inquest);
}

/* A question of the plain kind, with as much patience as the check has, within bounds. */
static void plain(struct inquest *inquest, enum part_id id, enum config_probe type)
{
	const struct config_health *health = inquest->subject.health;
	uint32_t ms = health->timeout_ms;

	ms = ms < PATIENCE_LEAST_MS ? PATIENCE_LEAST_MS : ms > PATIENCE_MOST_MS ? PATIENCE_MOST_MS : ms;
	inquest->part[id].health = (struct config_health){.type = type, .timeout_ms = ms, .interval_ms = ms};
}

/* A port that answers to this one question go to, and no other's; outside of those that the kernel hands out by default. */
static uint16_t draw_port(void)
{
	uint16_t word = 0;

	if (getrandom(&word, sizeof(word), GRND_NONBLOCK) != sizeof(word))
		word = (uint16_t)uv_hrtime();
	return (uint16_t)(PORT_FIRST + word % PORT_COUNT);
}

/* Silence at the VIP is asked for once more, while the tap looks who comes. TCP answers before whatever speaks through it. */
static void ask_again(struct inquest *inquest, const struct probe_target *vip)
{
	const struct config_health *health = inquest->subject.health;
	struct probe_target target = *vip;
	struct tap_wish wish = {
		.from = vip->address,
		.protocol = is_udp(health) ? IPPROTO_UDP : IPPROTO_TCP,
		.port = vip->port,
		.to_port = draw_port(),
		.is_own = inquest->house->is_own,
		.context = inquest->house->context,
	};
	struct err e;

	if (health->type == CONFIG_PROBE_ICMP || health->type == CONFIG_PROBE_SCRIPT || !vip->port)
		return;
	target.from_port = wish.to_port;
	inquest->tap = tap_open(inquest->house->loop, &wish, &e);
	if (!inquest->tap)
		log_event(LOG_DEBUG, "inquest_lacks question=tap error=\"%s\"", e.text);
	if (is_udp(health))
		inquest->part[AGAIN].health = *health;
	else
		plain(inquest, AGAIN, CONFIG_PROBE_TCP);
	ask(inquest, AGAIN, &target);
}

/* Over IPv6, Linux drops a datagram without a checksum in silence, unless a tunnel takes it; this one has a checksum. */
static void ask_gue(struct inquest *inquest)
{
	static struct hp_gue question = {.form = HP_GUE_CONTROL, .protocol = HP_GUE_QUESTION};
	const struct ip *backend = &inquest->subject.backend;
	struct probe_target target = {.address = *backend, .backend = *backend, .port = HP_GUE_PORT};

	plain(inquest, GUE, CONFIG_PROBE_UDP);
	inquest->part[GUE].health.send = (char *)&question;
	inquest->part[GUE].health.send_bytes = sizeof(question);
	ask(inquest, GUE, &target);
}

static void begin(struct inquest *inquest)
{
	const struct inquest_case *subject = &inquest->subject;
	struct probe_target own = {.address = subject->backend, .backend = subject->backend, .port = subject->port};
	struct probe_target vip = {subject->vip, subject->backend, subject->port, subject->mark, 0};

	plain(inquest, OWN_ECHO, CONFIG_PROBE_ICMP);
	ask(inquest, OWN_ECHO, &own);
	if (subject->health->via_backend)
		return;
	if (subject->port) {
		plain(inquest, OWN_PORT, CONFIG_PROBE_TCP);
		ask(inquest, OWN_PORT, &own);
	}
	if (!subject->mark)
		return;
	if (subject->result.answer == HEALTH_SILENT)
		ask_again(inquest, &vip);
	if (subject->result.answer == HEALTH_SILENT && subject->asks_gue)
		ask_gue(inquest);
	plain(inquest, VIP_ECHO, CONFIG_PROBE_ICMP);
	ask(inquest, VIP_ECHO, &vip);
}

/* ---- turns -------------------------------------------------------------------------------------------------------------- */

static void take_turn(uv_idle_t *turn)
{
	struct inquest *inquest = turn->data;

	uv_idle_stop(turn);
	begin(inquest);
	if (!inquest->under_way)
		tell(inquest);
}

static void ask_next(struct inquests *house)
{
	for (struct inquest *i = house->first; i && house->running < AT_A_TIME; i = i->next) {
		if (i->is_begun)
			continue;
		i->is_begun = true;
		house->running++;
		uv_idle_start(&i->turn, take_turn);
	}
}

struct inquest *inquest_begin(struct inquests *inquests, const struct inquest_case *subject, inquest_done *done, void *context)
{
	struct inquest *inquest = calloc(1, sizeof(*inquest));

	if (!inquest)
		return NULL;
	inquest->house = inquests;
	inquest->subject = *subject;
	config_health_hold((struct config_health *)subject->health);
	inquest->done = done;
	inquest->context = context;
	uv_idle_init(inquests->loop, &inquest->turn);
	inquest->turn.data = inquest;
	inquest->at = inquests->last;
	*inquests->last = inquest;
	inquests->last = &inquest->next;
	ask_next(inquests);
	return inquest;
}

struct inquests *inquests_create(uv_loop_t *loop, struct probe_shared *shared,
				 bool (*is_own)(void *context, const struct ip *address), void *context)
{
	struct inquests *inquests = calloc(1, sizeof(*inquests));

	if (!inquests)
		return NULL;
	inquests->loop = loop;
	inquests->shared = shared;
	inquests->is_own = is_own;
	inquests->context = context;
	inquests->last = &inquests->first;
	return inquests;
}

void inquests_destroy(struct inquests *inquests)
{
	if (!inquests)
		return;
	while (inquests->first)
		let_go(inquests->first);
	free(inquests);
}

/* Diagnoses: see diagnoses.h. */
#include "daemon/diagnoses.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define LOOK_MS 1000u	       /* while it fails: has the answer changed */
#define AGAIN_MS 2000u	       /* the same answer may have another cause by now: first so long after, then twice that */
#define AGAIN_MOST_MS 32000u   /* and so on up to this, as whoever mends one thing wants to be told of the next */
#define FIRST_MS 1000u	       /* after it came up */
#define WELL_MS 300000u	       /* while it is up */
#define SPREAD_MS 4096u	       /* by the address of the check, so that many are not asked about in one moment */

struct diagnosis {
	const struct check *check; /* key */
	struct diagnoses *diagnoses;
	struct inquest *inquest; /* under way; NULL: none */
	uv_timer_t timer;
	uint64_t looped;   /* packets that had come back when it was last well, or first looked at */
	uint64_t asked_ms; /* when the last inquest began */
	uint64_t again_ms; /* so long after it the next one begins, while it fails */
	struct health_result judged; /* the answer that the last one was about */
	struct verdict verdict;
	UT_hash_handle hh;
};

struct diagnoses {
	uv_loop_t *loop;
	struct inquests *inquests;
	struct diagnoses_events events;
	struct diagnosis *list;
};

static void look(uv_timer_t *timer);

static bool fails(const struct diagnosis *diagnosis)
{
	return check_health(diagnosis->check)->state == HEALTH_STATE_FAILING;
}

/* ---- verdicts ------------------------------------------------------------------------------------------------------------ */

static void judge(struct diagnosis *diagnosis, struct verdict_evidence *evidence)
{
	const struct diagnoses_events *events = &diagnosis->diagnoses->events;
	struct verdict verdict;

	evidence->came_back = events->looped(events->context, diagnosis->check) != diagnosis->looped;
	events->recall(events->context, diagnosis->check, evidence);
	verdict_judge(evidence, &verdict);
	if (verdict.cause == diagnosis->verdict.cause && !strcmp(verdict.text, diagnosis->verdict.text))
		return;
	diagnosis->verdict = verdict;
	events->told(events->context, diagnosis->check, &diagnosis->verdict);
}

static void inquest_over(void *context, const struct verdict_evidence *evidence)
{
	struct diagnosis *diagnosis = context;
	struct verdict_evidence more = *evidence;

	diagnosis->inquest = NULL;
	/* While it asked, the state may have changed: what was asked about is over. */
	if (fails(diagnosis) == (more.result.answer != HEALTH_GOOD))
		judge(diagnosis, &more);
}

static void ask(struct diagnosis *diagnosis)
{
	struct diagnoses *diagnoses = diagnosis->diagnoses;
	const struct health_result *last = check_last(diagnosis->check);
	struct inquest_case subject = {0};

	if (diagnosis->inquest || !last || !diagnoses->events.describe(diagnoses->events.context, diagnosis->check, &subject))
		return;
	subject.result = diagnosis->judged = *last;
	diagnosis->asked_ms = uv_now(diagnoses->loop);
	diagnosis->inquest = inquest_begin(diagnoses->inquests, &subject, inquest_over, diagnosis);
}

/* By the answer alone. */
static void judge_at_once(struct diagnosis *diagnosis)
{
	struct diagnoses *diagnoses = diagnosis->diagnoses;
	const struct health_result *last = check_last(diagnosis->check);
	struct inquest_case subject = {0};
	struct verdict_evidence evidence;

	if (!last || !diagnoses->events.describe(diagnoses->events.context, diagnosis->check, &subject))
		return;
	subject.result = *last;
	evidence = inquest_evidence(&subject);
	judge(diagnosis, &evidence);
}

/* ---- when ------------------------------------------------------------------------------------------------------------------ */

static void look_after(struct diagnosis *diagnosis, uint64_t ms)
{
	if (!fails(diagnosis))
		ms += ((uintptr_t)diagnosis->check >> 6) % SPREAD_MS;
	uv_timer_start(&diagnosis->timer, look, ms, 0);
}

static bool is_another(const struct health_result *a, const struct health_result *b)
{
	return a->answer != b->answer || strcmp(a->text, b->text) != 0;
}

static void look(uv_timer_t *timer)
{
	struct diagnosis *diagnosis = timer->data;
	const struct health_result *last = check_last(diagnosis->check);
	uint64_t age_ms = uv_now(diagnosis->diagnoses->loop) - diagnosis->asked_ms;

	if (!fails(diagnosis)) {
		diagnosis->looped = diagnosis->diagnoses->events.looped(diagnosis->diagnoses->events.context, diagnosis->check);
		ask(diagnosis);
	} else if (last && is_another(last, &diagnosis->judged)) {
		ask(diagnosis);
	} else if (last && age_ms >= diagnosis->again_ms) {
		diagnosis->again_ms = diagnosis->again_ms * 2 > AGAIN_MOST_MS ? AGAIN_MOST_MS : diagnosis->again_ms * 2;
		ask(diagnosis);
	}
	look_after(diagnosis, fails(diagnosis) ? LOOK_MS : WELL_MS);
}

static struct diagnosis *find(const struct diagnoses *diagnoses, const struct check *check)
{
	struct diagnosis *diagnosis;

	HASH_FIND_PTR(diagnoses->list, &check, diagnosis);
	return diagnosis;
}

static struct diagnosis *make(struct diagnoses *diagnoses, const struct check *check)
{
	struct diagnosis *diagnosis = calloc(1, sizeof(*diagnosis));

	if (!diagnosis)
		return NULL;
	diagnosis->check = check;
	diagnosis->diagnoses = diagnoses;
	uv_timer_init(diagnoses->loop, &diagnosis->timer);
	diagnosis->timer.data = diagnosis;
	diagnosis->looped = diagnoses->events.looped(diagnoses->events.context, check);
	HASH_ADD_PTR(diagnoses->list, check, diagnosis);
	return diagnosis;
}

void diagnoses_follow(struct diagnoses *diagnoses, const struct check *check)
{
	struct diagnosis *diagnosis = find(diagnoses, check);

	if (!diagnosis)
		diagnosis = make(diagnoses, check);
	if (!diagnosis)
		return;
	if (diagnosis->inquest)
		inquest_end(diagnosis->inquest);
	diagnosis->inquest = NULL;
	diagnosis->again_ms = AGAIN_MS;
	if (fails(diagnosis)) {
		judge_at_once(diagnosis);
		ask(diagnosis);
		look_after(diagnosis, LOOK_MS);
	} else {
		memset(&diagnosis->verdict, 0, sizeof(diagnosis->verdict));
		look_after(diagnosis, FIRST_MS);
	}
}

static void closed(uv_handle_t *timer)
{
	free(timer->data);
}

static void end(struct diagnosis *diagnosis)
{
	if (diagnosis->inquest)
		inquest_end(diagnosis->inquest);
	HASH_DEL(diagnosis->diagnoses->list, diagnosis);
	uv_close((uv_handle_t *)&diagnosis->timer, closed);
}

void diagnoses_forget(struct diagnoses *diagnoses, const struct check *check)
{
	struct diagnosis *diagnosis = find(diagnoses, check);

	if (diagnosis)
		end(diagnosis);
}

const struct verdict *diagnoses_of(const struct diagnoses *diagnoses, const struct check *check)
{
	const struct diagnosis *diagnosis = find(diagnoses, check);

	return diagnosis && diagnosis->verdict.cause != CAUSE_NONE ? &diagnosis->verdict : NULL;
}

struct diagnoses *diagnoses_create(uv_loop_t *loop, struct inquests *inquests, const struct diagnoses_events *events)
{
	struct diagnoses *diagnoses = calloc(1, sizeof(*diagnoses));

	if (!diagnoses)
		return NULL;
	diagnoses->loop = loop;
	diagnoses->inquests = inquests;
	diagnoses->events = *events;
	return diagnoses;
}

void diagnoses_destroy(struct diagnoses *diagnoses)
{
	struct diagnosis *diagnosis, *next;

	if (!diagnoses)
		return;
	HASH_ITER(hh, diagnoses->list, diagnosis, next)
		end(diagnosis);
	free(diagnoses);
}

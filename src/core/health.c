/* Answers, and the state that they make of a backend: see health.h. */
#include "core/health.h"

const char *health_answer_name(enum health_answer answer)
{
	static const char *const names[HEALTH_ANSWER_COUNT] = {
#define X(name, word, text) [HEALTH_##name] = word,
		HEALTH_ANSWERS(X)
#undef X
	};

	return answer < HEALTH_ANSWER_COUNT ? names[answer] : "";
}

const char *health_answer_text(enum health_answer answer)
{
	static const char *const texts[HEALTH_ANSWER_COUNT] = {
#define X(name, word, text) [HEALTH_##name] = text,
		HEALTH_ANSWERS(X)
#undef X
	};

	return answer < HEALTH_ANSWER_COUNT ? texts[answer] : "";
}

bool health_is_silence(enum health_answer answer)
{
	return answer == HEALTH_SILENT || answer == HEALTH_NO_HOST;
}

const char *health_state_name(enum health_state state)
{
	switch (state) {
	case HEALTH_STATE_UNKNOWN:
		return "unknown";
	case HEALTH_STATE_UP:
		return "up";
	case HEALTH_STATE_FAILING:
		return "failing";
	}
	return "";
}

void health_begin(struct health *health, enum health_state state, uint64_t due_ms, uint32_t phase_ms)
{
	*health = (struct health){.state = state, .due_ms = due_ms, .phase_ms = phase_ms};
}

/* Count an answer. Returns the state that it makes. */
static enum health_state judge(struct health *health, const struct config_health *policy, enum health_answer answer)
{
	bool is_good = answer == HEALTH_GOOD;

	switch (health->state) {
	case HEALTH_STATE_UNKNOWN:
		health->streak = is_good ? 0 : health->streak + 1;
		if (is_good)
			return HEALTH_STATE_UP;
		return health->streak >= policy->fall ? HEALTH_STATE_FAILING : HEALTH_STATE_UNKNOWN;
	case HEALTH_STATE_UP:
		if (answer != HEALTH_LOCAL)
			health->streak = is_good ? 0 : health->streak + 1;
		return health->streak >= policy->fall ? HEALTH_STATE_FAILING : HEALTH_STATE_UP;
	case HEALTH_STATE_FAILING:
		if (answer != HEALTH_LOCAL)
			health->streak = is_good ? health->streak + 1 : 0;
		return health->streak >= policy->rise ? HEALTH_STATE_UP : HEALTH_STATE_FAILING;
	}
	return health->state;
}

/* From the beginning of the probe that ended to that of the next. */
static uint32_t gap(struct health *health, const struct config_health *policy, enum health_answer answer)
{
	uint32_t gap_ms = policy->interval_ms;
	bool is_sure = !health->streak && health->state != HEALTH_STATE_UNKNOWN &&
		       (answer != HEALTH_LOCAL || health->state == HEALTH_STATE_FAILING);

	if (!is_sure)
		return policy->doubt_ms;
	if (health->phase_ms < gap_ms)
		gap_ms -= health->phase_ms;
	health->phase_ms = 0;
	return gap_ms;
}

bool health_feed(struct health *health, const struct config_health *policy, enum health_answer answer, uint64_t now_ms)
{
	enum health_state former = health->state;

	health->state = judge(health, policy, answer);
	health->is_answered = true;
	if (health->state != former)
		health->streak = 0;
	health->due_ms += gap(health, policy, answer);
	if (health->due_ms < now_ms)
		health->due_ms = now_ms;
	return health->state != former;
}

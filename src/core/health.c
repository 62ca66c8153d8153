/* What comes of asking a backend how it is: see health.h. */
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

/* What comes of asking a backend how it is: answers, and the state that they make of it.
 *
 * Pure: time is passed in, in milliseconds of a clock that never goes back. The list of answers is the one place that
 * names them: enum, names and texts come from it. */
#ifndef HP_CORE_HEALTH_H
#define HP_CORE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "core/config.h"

/* What came of a probe, from best to vaguest. */
#define HEALTH_ANSWERS(X)                                                           \
	X(GOOD, "good", "the answer is as expected")                                \
	X(WRONG, "wrong", "an answer came that is not as expected")                 \
	X(CERTIFICATE, "certificate", "the certificate does not hold")              \
	X(SLOW, "slow", "an answer began and was not complete in time")             \
	X(RESET, "reset", "the connection was accepted and then cut off")           \
	X(REFUSED, "refused", "RST, or ICMP port unreachable")                      \
	X(STRANGER, "stranger", "the answer came from another address")             \
	X(NO_PROTOCOL, "no_protocol", "ICMP protocol unreachable")                  \
	X(NO_HOST, "no_host", "ICMP host or network unreachable, or time exceeded") \
	X(PROHIBITED, "prohibited", "ICMP administratively prohibited")             \
	X(TOO_BIG, "too_big", "ICMP fragmentation needed, or packet too big")       \
	X(LOCAL, "local", "this host could not send it")                            \
	X(SILENT, "silent", "nothing came in time")

enum health_answer {
#define X(name, word, text) HEALTH_##name,
	HEALTH_ANSWERS(X)
#undef X
	HEALTH_ANSWER_COUNT,
};

#define HEALTH_TEXT_BYTES 256

struct health_result {
	enum health_answer answer;
	uint32_t took_us;
	struct ip from; /* STRANGER, and answers by ICMP: who sent it; else zeros */
	char text[HEALTH_TEXT_BYTES]; /* in words, for people: "HTTP 503", "certificate expired 2026-01-02"; empty when good */
};

/* The answer's word, as in reports, and what it says. */
const char *health_answer_name(enum health_answer answer);
const char *health_answer_text(enum health_answer answer);

enum health_state {
	HEALTH_STATE_UNKNOWN, /* until its first good answer, or `fall` others */
	HEALTH_STATE_UP,
	HEALTH_STATE_FAILING,
};

/* A check's state, and when to ask next.
 *
 * From the moment a backend stops to answer until it fails is at most interval x fall + timeout, as long as probes begin
 * when they are due: a probe that was under way ends in time, the next begins within the interval, and in doubt the
 * others follow by `doubt` or, where that is longer, when the one before has ended by its timeout; neither is longer
 * than the interval. */
struct health {
	enum health_state state;
	bool is_answered;  /* a probe has ended since it began */
	uint32_t streak;   /* answers in a row that speak against the state */
	uint32_t phase_ms; /* to be taken off one interval, so that many checks do not beat together */
	uint64_t due_ms;   /* when the next probe is due to begin */
};

/* Begin in a state that is known, or HEALTH_STATE_UNKNOWN, with the first probe at due_ms.
 *
 * phase_ms  drawn at random, below the interval: shortens the first one, and only that. */
void health_begin(struct health *health, enum health_state state, uint64_t due_ms, uint32_t phase_ms);

/* The probe that was due has ended. Returns whether the state is another one now.
 *
 * HEALTH_LOCAL says nothing of the backend: it changes nothing, but that a backend which was never known does not wait
 * for ever: there it counts as any bad answer. */
bool health_feed(struct health *health, const struct config_health *policy, enum health_answer answer, uint64_t now_ms);

/* Whether an answer is that of nobody: nothing came, or a router says that there is no host. */
bool health_is_silence(enum health_answer answer);

const char *health_state_name(enum health_state state);

#endif

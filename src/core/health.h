/* What comes of asking a backend how it is.
 *
 * The list of answers is the one place that names them: enum, names and texts come from it. */
#ifndef HP_CORE_HEALTH_H
#define HP_CORE_HEALTH_H

#include <stdint.h>

#include "base/ip.h"

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

#define HEALTH_TEXT_BYTES 120

struct health_result {
	enum health_answer answer;
	uint32_t took_us;
	struct ip from; /* STRANGER, and answers by ICMP: who sent it; else zeros */
	char text[HEALTH_TEXT_BYTES]; /* in words, for people: "HTTP 503", "certificate expired 2026-01-02"; empty when good */
};

/* The answer's word, as in reports, and what it says. */
const char *health_answer_name(enum health_answer answer);
const char *health_answer_text(enum health_answer answer);

#endif

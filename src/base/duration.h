/* Durations as people write them: 500ms, 1.5s, 10m, 2h, 30d. Talks to nobody. */
#ifndef HP_BASE_DURATION_H
#define HP_BASE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#define DURATION_SECOND_US 1000000ull
#define DURATION_MS_US	   1000ull
#define DURATION_TEXT_BYTES 24

/* A number, which may have a fraction, and ms, s, m, h or d, in microseconds; UINT64_MAX for what is longer. Returns
 * false, *us untouched, when it is none, or when its fraction is finer than a microsecond. */
bool duration_parse(uint64_t *us, const char *text);

/* Whole seconds by the largest unit that says them exactly: 90s, 2m, 1d. Returns text. */
const char *duration_format(uint64_t seconds, char text[static DURATION_TEXT_BYTES]);

#define DURATION_ROUGH_BYTES 32

/* Whole seconds by their two largest units, for what is left of a time: 59m 59s, 1d 1h. Returns text. */
const char *duration_rough(uint64_t seconds, char text[static DURATION_ROUGH_BYTES]);

/* Milliseconds the same way, and as such where they are no whole seconds: 250ms, 1500ms, 2s. Returns text. */
const char *duration_format_ms(uint64_t ms, char text[static DURATION_TEXT_BYTES]);

#endif

/* What changes again and again, and what of it the log is spared.
 *
 * Whatever can change has a key, the words that name it in the log: "backend=10.3.0.1 asked=10.2.0.1:80". One that changes
 * more than FLAPS_MOST times within a minute flaps: from then on its changes are counted, a line a minute says how many there
 * were, and when it has come to rest the last one is told. Time is passed in. */
#ifndef HP_DAEMON_FLAPS_H
#define HP_DAEMON_FLAPS_H

#include <stdbool.h>
#include <stdint.h>

#define FLAPS_MOST	  6 /* changes within a minute that are told one by one */
#define FLAPS_REST	  2 /* so many within a minute, or fewer, end it */
#define FLAPS_MS	  60000
#define FLAPS_KEY_BYTES	  160

struct flaps;

/* Owned by the caller; NULL: no memory. */
struct flaps *flaps_create(void);
void flaps_destroy(struct flaps *flaps); /* NULL is fine */

/* Count a change and log it, as log_event does, unless what the key names flaps.
 *
 * is_spared  the log is spared this one for another reason: it is counted, and told only if it is the last of one that flaps. */
void flaps_log(struct flaps *flaps, uint64_t now_ms, const char *key, bool is_spared, int level, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/* Log what goes with the last change and is no change itself; it is kept with it in the same way. */
void flaps_log_more(struct flaps *flaps, const char *key, int level, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* How many changes of it were told last, of up to a minute; 0: it does not flap. */
unsigned int flaps_of(const struct flaps *flaps, const char *key);

/* Whether anything flaps. */
bool flaps_any(const struct flaps *flaps);

/* Tell of those whose minute is over. To be called each second or so. */
void flaps_tick(struct flaps *flaps, uint64_t now_ms);

#endif

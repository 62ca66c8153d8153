/* The log: one line an event on stderr, `<LEVEL>event key=value ...`, the level in the form that
 * journald reads from a service's stderr (sd-daemon(3)).
 *
 * Only a boundary logs (main loop, API handler): everything below returns a struct err. */
#ifndef HP_BASE_LOG_H
#define HP_BASE_LOG_H

#include <syslog.h>

/* Write one event.
 *
 * level   LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO or LOG_DEBUG of syslog.h.
 * format  `event key=%s key="%s"`: a value that may hold a space stands in double quotes; such quotes within a value
 *         become single ones, and a line break or another control character a blank, so that an event stays one line
 *         that can be taken apart.
 * On a terminal the level is written as a word. Events above the level of log_set_level are not written. */
void log_event(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The least important level that is still written; LOG_INFO at the start. */
void log_set_level(int level);

#endif

/* The log: see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 2048

static int most_verbose = LOG_INFO;

static const char *const level_words[] = {
	[LOG_EMERG] = "emergency", [LOG_ALERT] = "alert",   [LOG_CRIT] = "critical", [LOG_ERR] = "error",
	[LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info",     [LOG_DEBUG] = "debug",
};

void log_set_level(int level)
{
	most_verbose = level;
}

void log_event(int level, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list args;

	if (level > most_verbose)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%s: %s\n", level_words[level & LOG_PRIMASK], line);
	else
		fprintf(stderr, "<%d>%s\n", level & LOG_PRIMASK, line);
}

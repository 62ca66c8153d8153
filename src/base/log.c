/* The log: see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
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

/* Whether a value ends here: at the end, or before another key=. */
static bool ends_value(const char *next)
{
	size_t letters = *next == ' ' ? strspn(next + 1, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;

	return !*next || (letters && next[1 + letters] == '=');
}

static void make_one_line(char *line)
{
	bool is_quoted = false;

	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < ' ')
			*c = ' ';
		if (*c != '"')
			continue;
		if (!is_quoted && c > line && c[-1] == '=')
			is_quoted = true;
		else if (is_quoted && ends_value(c + 1))
			is_quoted = false;
		else
			*c = '\'';
	}
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
	make_one_line(line);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%s: %s\n", level_words[level & LOG_PRIMASK], line);
	else
		fprintf(stderr, "<%d>%s\n", level & LOG_PRIMASK, line);
}

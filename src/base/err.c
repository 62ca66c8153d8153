/* An error's sentence: see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *format, ...)
{
	va_list args;

	if (!e)
		return code;
	va_start(args, format);
	errno = code < 0 ? -code : code;
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return code;
}

int err_add(struct err *e, int code, const char *format, ...)
{
	char old[ERR_TEXT_BYTES];
	va_list args;
	int written;

	if (!e)
		return code;
	memcpy(old, e->text, sizeof(old));
	va_start(args, format);
	errno = code < 0 ? -code : code;
	written = vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	if (written >= 0 && (size_t)written + 2 < sizeof(e->text)) {
		size_t room = sizeof(e->text) - (size_t)written - 2;

		memcpy(e->text + written, ": ", 2);
		memcpy(e->text + written + 2, old, room);
		e->text[sizeof(e->text) - 1] = '\0';
	}
	return code;
}

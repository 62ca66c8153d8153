/* Durations: see duration.h. */
#include "base/duration.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	uint64_t us;
} units[] = {
	{"ms", 1000},
	{"s", DURATION_SECOND_US},
	{"m", 60 * DURATION_SECOND_US},
	{"h", 3600 * DURATION_SECOND_US},
	{"d", 86400 * DURATION_SECOND_US},
};

#define DIGITS "0123456789"
#define UNITS  (sizeof(units) / sizeof(units[0]))

/* What the digits behind the point are worth. Returns false when one of them is too fine. */
static bool read_fraction(const char *digits, size_t count, uint64_t unit, uint64_t *us)
{
	uint64_t worth = unit;

	for (size_t i = 0; i < count; i++) {
		bool is_exact = worth % 10 == 0;

		worth /= 10;
		if (digits[i] != '0' && !is_exact)
			return false;
		*us += (uint64_t)(digits[i] - '0') * worth;
	}
	return true;
}

bool duration_parse(uint64_t *us, const char *text)
{
	size_t whole = strspn(text, DIGITS), fine = text[whole] == '.' ? strspn(text + whole + 1, DIGITS) : 0;
	const char *name = text + whole + (text[whole] == '.') + fine;
	uint64_t unit = 0, fraction = 0;
	unsigned long long number;

	for (size_t i = 0; i < UNITS; i++)
		if (!strcmp(name, units[i].name))
			unit = units[i].us;
	if (!whole || !unit || (text[whole] == '.' && !fine) || !read_fraction(text + whole + 1, fine, unit, &fraction))
		return false;
	errno = 0;
	number = strtoull(text, NULL, 10);
	*us = errno || number > (UINT64_MAX - fraction) / unit ? UINT64_MAX : number * unit + fraction;
	return true;
}

const char *duration_format(uint64_t seconds, char text[static DURATION_TEXT_BYTES])
{
	size_t unit = UNITS - 1;

	while (unit > 1 && (!seconds || seconds % (units[unit].us / DURATION_SECOND_US)))
		unit--;
	snprintf(text, DURATION_TEXT_BYTES, "%llu%s", (unsigned long long)(seconds / (units[unit].us / DURATION_SECOND_US)),
		 units[unit].name);
	return text;
}

const char *duration_rough(uint64_t seconds, char text[static DURATION_ROUGH_BYTES])
{
	size_t unit = UNITS - 1;
	uint64_t first, second;

	while (unit > 2 && seconds < units[unit].us / DURATION_SECOND_US)
		unit--;
	first = units[unit].us / DURATION_SECOND_US;
	second = units[unit - 1].us / DURATION_SECOND_US;
	if (seconds < first)
		snprintf(text, DURATION_ROUGH_BYTES, "%llus", (unsigned long long)seconds);
	else if (seconds % first / second)
		snprintf(text, DURATION_ROUGH_BYTES, "%llu%s %llu%s", (unsigned long long)(seconds / first), units[unit].name,
			 (unsigned long long)(seconds % first / second), units[unit - 1].name);
	else
		snprintf(text, DURATION_ROUGH_BYTES, "%llu%s", (unsigned long long)(seconds / first), units[unit].name);
	return text;
}

const char *duration_format_ms(uint64_t ms, char text[static DURATION_TEXT_BYTES])
{
	if (ms % 1000 == 0)
		return duration_format(ms / 1000, text);
	snprintf(text, DURATION_TEXT_BYTES, "%llums", (unsigned long long)ms);
	return text;
}

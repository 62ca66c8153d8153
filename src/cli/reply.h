/* Values out of the daemon's replies; what is missing, or of another type, is empty or 0. */
#ifndef HP_CLI_REPLY_H
#define HP_CLI_REPLY_H

#include <jansson.h>
#include <stdint.h>

#define REPLY_EACH(list, i, row) json_array_foreach((json_t *)(list), i, row)

static inline const char *reply_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static inline double reply_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* Whole seconds; 0 for what is below. */
static inline uint64_t reply_seconds(const json_t *object, const char *key)
{
	double seconds = reply_number(object, key);

	if (!(seconds > 0))
		return 0;
	return seconds < 1e15 ? (uint64_t)seconds : (uint64_t)1e15;
}

#endif

/* Values out of the daemon's replies; what is missing, or of another type, is empty or 0. */
#ifndef HP_CLI_REPLY_H
#define HP_CLI_REPLY_H

#include <jansson.h>

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

#endif

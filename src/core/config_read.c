/* Reading a tree by tables, and the values in it: see config_read.h. */
#include "core/config_read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/nearest.h"
#include "core/ring.h"

#define PATH_MOST 1024

/* ---- problems --------------------------------------------------------------------------------------------------- */

void config_error(struct config_reader *reader, const struct yaml_node *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	problems_add_list(reader->problems, PROBLEM_ERROR, at->line, at->column, format, args);
	va_end(args);
}

void config_warning(struct config_reader *reader, const struct yaml_node *at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	problems_add_list(reader->problems, PROBLEM_WARNING, at->line, at->column, format, args);
	va_end(args);
}

/* ---- mappings by tables -------------------------------------------------------------------------------------------- */

static void list_names(const struct config_option *options, size_t count, char *out, size_t room)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < count && at < room; i++)
		if (options[i].read)
			at += (size_t)snprintf(out + at, room - at, "%s%s", at ? ", " : "", options[i].name);
}

static void unknown_key(struct config_reader *reader, const struct yaml_node *key, const struct config_option *options,
			size_t count, const char *what)
{
	const char *names[CONFIG_OPTIONS_MOST + 1] = {NULL};
	size_t named = 0;
	char all[300];
	const char *near;

	for (size_t i = 0; i < count; i++)
		if (options[i].read)
			names[named++] = options[i].name;
	near = nearest_word(key->text, names);
	list_names(options, count, all, sizeof(all));
	if (near)
		config_error(reader, key, "%s has no key \"%s\": did you mean \"%s\"?", what, key->text, near);
	else
		config_error(reader, key, "%s has no key \"%s\": its keys are %s", what, key->text, all);
}

static const struct config_option *find_option(const struct config_option *options, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

static void report_missing(struct config_reader *reader, const struct yaml_node *map, const struct config_option *options,
			   size_t count, const struct yaml_node *const *seen, const char *what)
{
	for (size_t i = 0; i < count; i++)
		if (options[i].is_required && !seen[i])
			config_error(reader, map, "%s lacks \"%s\": %s", what, options[i].name, options[i].help);
}

/* Read a mapping by its table. `what` names it in messages. */
void config_read_map(struct config_reader *reader, const struct yaml_node *map, const struct config_option *options,
		     size_t count, void *target, const char *what)
{
	const struct yaml_node *seen[CONFIG_OPTIONS_MOST] = {NULL};

	if (map->kind != YAML_MAP) {
		config_error(reader, map, "%s must be a mapping (key: value), not %s", what, yaml_kind_name(map->kind));
		return;
	}
	for (const struct yaml_node *key = map->first; key; key = key->next->next) {
		const struct config_option *option;

		if (key->kind != YAML_SCALAR) {
			config_error(reader, key, "a key must be a word, not %s", yaml_kind_name(key->kind));
			continue;
		}
		option = find_option(options, count, key->text);
		if (!option) {
			unknown_key(reader, key, options, count, what);
			continue;
		}
		if (!option->read) {
			config_error(reader, key, "%s has no key \"%s\": %s", what, key->text, option->help);
			continue;
		}
		if (seen[option - options]) {
			config_error(reader, key, "\"%s\" stands here twice: it is also on line %u", key->text,
				     seen[option - options]->line);
			continue;
		}
		seen[option - options] = key;
		option->read(reader, key->next, target);
	}
	report_missing(reader, map, options, count, seen, what);
}

/* ---- values ---------------------------------------------------------------------------------------------------------- */

bool config_read_is_empty(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && !node->is_quoted &&
	       (!node->text[0] || !strcmp(node->text, "~") || !strcmp(node->text, "null"));
}

const char *config_read_word(struct config_reader *reader, const struct yaml_node *value, const char *what)
{
	if (value->kind != YAML_SCALAR)
		config_error(reader, value, "%s must be a single value, not %s", what, yaml_kind_name(value->kind));
	else if (config_read_is_empty(value))
		config_error(reader, value, "%s has no value", what);
	else
		return value->text;
	return NULL;
}

/* A whole number, decimal or 0x hexadecimal. */
bool config_read_number(struct config_reader *reader, const struct yaml_node *value, uint64_t low, uint64_t high,
			const char *what, uint64_t *out)
{
	const char *text = config_read_word(reader, value, what);
	unsigned long long number;
	char *end;

	if (!text)
		return false;
	errno = 0;
	number = strtoull(text, &end, strncmp(text, "0x", 2) ? 10 : 16);
	if (text[0] < '0' || text[0] > '9' || *end) {
		config_error(reader, value, "%s must be a whole number from %llu to %llu, not \"%s\"", what,
			     (unsigned long long)low, (unsigned long long)high, text);
		return false;
	}
	if (errno || number < low || number > high) {
		config_error(reader, value, "%s %s is out of range: %llu to %llu", what, text, (unsigned long long)low,
			     (unsigned long long)high);
		return false;
	}
	*out = number;
	return true;
}

/* The kernel's own tables: linux/rtnetlink.h, enum rt_class_t. */
bool config_read_table(struct config_reader *reader, const struct yaml_node *value, uint32_t low, const char *what,
		       const char *otherwise, uint32_t *out)
{
	uint64_t number;

	if (!config_read_number(reader, value, low, UINT32_MAX, what, &number))
		return false;
	if (number >= 253 && number <= 255) {
		config_error(reader, value, "%s %u is the kernel's table \"%s\": choose %s", what, (uint32_t)number,
			     number == 253 ? "default" : number == 254 ? "main" : "local", otherwise);
		return false;
	}
	*out = (uint32_t)number;
	return true;
}

/* A bare number is the usual mistake. */
static void no_duration(struct config_reader *reader, const struct yaml_node *value, const char *what, const char *text)
{
	size_t digits = strspn(text, "0123456789.");

	if (text[0] >= '0' && text[0] <= '9' && !text[digits] && text[digits - 1] != '.' && strtod(text, NULL) > 0 &&
	    strchr(text, '.') == strrchr(text, '.'))
		config_error(reader, value, "%s \"%s\" is not a duration, as it lacks a unit: did you mean %ss? (ms, s, m, h, d)",
			     what, text, text);
	else
		config_error(reader, value, "%s \"%s\" is not a duration: a number and ms, s, m, h or d, such as 2s", what,
			     text);
}

bool config_read_seconds(struct config_reader *reader, const struct yaml_node *value, uint32_t low, uint32_t high,
			 const char *what, uint32_t *out)
{
	const char *text = config_read_word(reader, value, what);
	char least[DURATION_TEXT_BYTES], most[DURATION_TEXT_BYTES];
	uint64_t us = 0;

	if (!text)
		return false;
	if (!duration_parse(&us, text) && (low || strcmp(text, "0") != 0)) {
		no_duration(reader, value, what, text);
		return false;
	}
	if (us < low * DURATION_SECOND_US || us > high * DURATION_SECOND_US) {
		config_error(reader, value, "%s %s is out of range: %s to %s", what, text, duration_format(low, least),
			     duration_format(high, most));
		return false;
	}
	if (us % DURATION_SECOND_US) {
		config_error(reader, value, "%s %s is not a whole number of seconds", what, text);
		return false;
	}
	*out = (uint32_t)(us / DURATION_SECOND_US);
	return true;
}

bool config_read_ms(struct config_reader *reader, const struct yaml_node *value, uint32_t low_ms, uint32_t high_ms,
		    const char *what, uint32_t *out)
{
	const char *text = config_read_word(reader, value, what);
	char least[DURATION_TEXT_BYTES], most[DURATION_TEXT_BYTES];
	uint64_t us;

	if (!text)
		return false;
	if (!duration_parse(&us, text)) {
		no_duration(reader, value, what, text);
		return false;
	}
	if (us < low_ms * DURATION_MS_US || us > high_ms * DURATION_MS_US) {
		config_error(reader, value, "%s %s is out of range: %s to %s", what, text, duration_format_ms(low_ms, least),
			     duration_format_ms(high_ms, most));
		return false;
	}
	if (us % DURATION_MS_US) {
		config_error(reader, value, "%s %s is not a whole number of milliseconds", what, text);
		return false;
	}
	*out = (uint32_t)(us / DURATION_MS_US);
	return true;
}

/* One of a list of words (ended by NULL). */
bool config_read_choice(struct config_reader *reader, const struct yaml_node *value, const struct config_word *words,
			const char *what, int *out)
{
	const char *text = config_read_word(reader, value, what);
	const char *names[CONFIG_OPTIONS_MOST + 1] = {NULL};
	char all[200] = "";
	size_t at = 0, count = 0;
	const char *near;

	if (!text)
		return false;
	for (const struct config_word *word = words; word->text; word++) {
		if (word->value >= 0) {
			at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", at ? ", " : "", word->text);
			names[count++] = word->text;
		}
		if (strcmp(word->text, text) != 0)
			continue;
		*out = word->value;
		if (word->value >= 0)
			return true;
		config_error(reader, value, "%s \"%s\" is not in this version of halfproxy: it knows %s", what, text, all);
		return false;
	}
	for (const struct config_word *word = words; word->text; word++)
		if (word->value < 0 && !strcmp(word->text, text))
			return false;
	near = nearest_word(text, names);
	config_error(reader, value, "%s must be one of %s, not \"%s\"%s%s%s", what, all, text,
		     near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return false;
}

static bool looks_like_host_name(const char *text)
{
	return strspn(text, "0123456789.:abcdefABCDEF/") != strlen(text) && !strchr(text, ':');
}

/* An address that a service or a backend may have. */
bool config_read_address(struct config_reader *reader, const struct yaml_node *value, const char *what, struct ip *out)
{
	const char *text = config_read_word(reader, value, what);
	uint8_t broadcast[4] = {255, 255, 255, 255};
	const char *wrong = NULL;
	struct ip ip;

	if (!text)
		return false;
	if (!ip_parse(&ip, text)) {
		if (strchr(text, '/'))
			config_error(reader, value, "%s \"%s\" has a prefix length: write the address alone (this version "
						    "serves single addresses)", what, text);
		else if (looks_like_host_name(text))
			config_error(reader, value, "%s \"%s\" is a name: write its address, as names are not looked up",
				     what, text);
		else
			config_error(reader, value, "%s \"%s\" is not an IPv4 or IPv6 address, such as 10.2.0.1 or 2001:db8::1 "
						    "(no leading zeros)", what, text);
		return false;
	}
	if (ip_is_unspecified(&ip))
		wrong = "is the unspecified address";
	else if (ip_is_multicast(&ip))
		wrong = "is a multicast address";
	else if (ip_is_loopback(&ip))
		wrong = "is a loopback address";
	else if (ip_is_link_local(&ip))
		wrong = "is a link-local address, which no router forwards";
	else if (ip_is4(&ip) && !memcmp(ip_bytes4(&ip), broadcast, 4))
		wrong = "is the broadcast address";
	else if (ip_is4(&ip) && ip_bytes4(&ip)[0] >= 240)
		wrong = "is of the reserved class E";
	else if (ip_is4(&ip) && ip_bytes4(&ip)[0] == 0)
		wrong = "is of the network 0.0.0.0/8, which is no host's";
	if (wrong) {
		config_error(reader, value, "%s %s %s: a unicast address is needed", what, text, wrong);
		return false;
	}
	*out = ip;
	return true;
}

void *config_read_grow(void *list, size_t count, size_t size)
{
	/* Powers of two: grown only when count is one. */
	if (count && (count & (count - 1)))
		return list;
	list = realloc(list, (count ? count * 2 : 1) * size);
	if (!list)
		abort();
	return list;
}

char *config_read_copy(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

bool config_has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			return true;
	return false;
}

bool config_read_name(struct config_reader *reader, const struct yaml_node *value, const char *what, char **out)
{
	const char *text = config_read_word(reader, value, what);

	if (!text)
		return false;
	if (config_has_control(text) || strchr(text, ' ')) {
		config_error(reader, value, "%s \"%s\" must not hold blanks or control characters", what, text);
		return false;
	}
	if (!text[0] || strlen(text) > 63) {
		config_error(reader, value, "%s has %zu bytes: 1 to 63", what, strlen(text));
		return false;
	}
	free(*out);
	*out = config_read_copy(text);
	return true;
}

bool config_read_path(struct config_reader *reader, const struct yaml_node *value, const char *what, char **out)
{
	const char *text = config_read_word(reader, value, what);

	if (!text)
		return false;
	if (text[0] != '/' || strlen(text) >= PATH_MOST || config_has_control(text)) {
		config_error(reader, value, "%s \"%s\" must be an absolute path (/...) of less than %d bytes", what, text,
			     PATH_MOST);
		return false;
	}
	free(*out);
	*out = config_read_copy(text);
	return true;
}

void config_read_slots(struct config_reader *reader, const struct yaml_node *value, uint32_t *out)
{
	uint64_t number;

	if (value->kind == YAML_SCALAR && !strcmp(value->text, "auto")) {
		*out = CONFIG_SLOTS_AUTO;
		return;
	}
	if (!config_read_number(reader, value, RING_SIZE_LEAST, RING_SIZE_MOST, "slots (`auto`, or a prime)", &number))
		return;
	if (!ring_size_valid(number)) {
		config_error(reader, value, "slots %llu is no prime, which a Maglev ring needs: %u is one, or write auto",
			     (unsigned long long)number, ring_size_near(number));
		return;
	}
	*out = (uint32_t)number;
}

/* How the configuration's text is read: mappings by tables of options, and the kinds of values that options have.
 *
 * Knows no option by name: those are in config_schema*.c. Every function notes what is
 * wrong with a value, at its place, and goes on; outputs are untouched then. Out of memory ends the program. */
#ifndef HP_CORE_CONFIG_READ_H
#define HP_CORE_CONFIG_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "core/config_schema.h"

#define CONFIG_OPTIONS_MOST 32

struct config_option {
	const char *name;
	/* Read a value into the target, which the table's owner knows; notes what is wrong with it. NULL: there is no such key,
	 * though people look for one, and `help` says why. */
	void (*read)(struct config_reader *reader, const struct yaml_node *value, void *target);
	bool is_required;
	const char *help;
};

struct config_word {
	const char *text;
	int value; /* negative: known, but not in this version */
};

/* Read a mapping by its table. `what` names it in messages. */
void config_read_map(struct config_reader *reader, const struct yaml_node *map, const struct config_option *options,
		     size_t count, void *target, const char *what);

#define CONFIG_READ_MAP(reader, map, options, target, what) \
	config_read_map(reader, map, options, sizeof(options) / sizeof((options)[0]), target, what)

/* Whether there is no value: nothing, ~ or null. */
bool config_read_is_empty(const struct yaml_node *node);

/* A single value's text, or NULL. */
const char *config_read_word(struct config_reader *reader, const struct yaml_node *value, const char *what);

/* A whole number, decimal or 0x hexadecimal. */
bool config_read_number(struct config_reader *reader, const struct yaml_node *value, uint64_t low, uint64_t high,
			const char *what, uint64_t *out);

/* The number of a routing table that is not one of the kernel's own; `otherwise` is what else to write, in words. */
bool config_read_table(struct config_reader *reader, const struct yaml_node *value, uint32_t low, const char *what,
		       const char *otherwise, uint32_t *out);

/* A duration of whole seconds. */
bool config_read_seconds(struct config_reader *reader, const struct yaml_node *value, uint32_t low, uint32_t high,
			 const char *what, uint32_t *out);

/* A duration of whole milliseconds. */
bool config_read_ms(struct config_reader *reader, const struct yaml_node *value, uint32_t low_ms, uint32_t high_ms,
		    const char *what, uint32_t *out);

/* One of a list of words (ended by NULL). */
bool config_read_choice(struct config_reader *reader, const struct yaml_node *value, const struct config_word *words,
			const char *what, int *out);

/* An address that a service or a backend may have: a unicast one, not of this host alone. */
bool config_read_address(struct config_reader *reader, const struct yaml_node *value, const char *what, struct ip *out);

/* Whether a text holds control characters. */
bool config_has_control(const char *text);

/* A name of 1 to 63 bytes without blanks and control characters. *out is freed and becomes the caller's. */
bool config_read_name(struct config_reader *reader, const struct yaml_node *value, const char *what, char **out);

/* A path of a file, absolute. *out is freed and becomes the caller's. */
bool config_read_path(struct config_reader *reader, const struct yaml_node *value, const char *what, char **out);

/* A ring's size: `auto`, or a prime. */
void config_read_slots(struct config_reader *reader, const struct yaml_node *value, uint32_t *out);

/* Room for one more row in a list that holds `count`; a text of its own. */
void *config_read_grow(void *list, size_t count, size_t size);
char *config_read_copy(const char *text);

#endif

/* A YAML text as a tree of nodes that know their place, for whoever gives them a meaning.
 *
 * One document; anchors, aliases and tags are refused, as a configuration is better read without them. */
#ifndef HP_CORE_YAML_TREE_H
#define HP_CORE_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config_parse.h"

enum yaml_kind {
	YAML_SCALAR,
	YAML_LIST,
	YAML_MAP, /* children: key, value, key, value */
};

struct yaml_node {
	enum yaml_kind kind;
	uint32_t line, column; /* from 1 */
	bool is_quoted;
	const char *text; /* of a scalar, zero-terminated; NULL otherwise */
	struct yaml_node *first, *next;
};

struct yaml_tree;

/* Read a text. Returns the tree, owned by the caller, its root NULL for an empty text; or NULL with a problem
 * added. */
struct yaml_tree *yaml_tree_read(const char *text, size_t bytes, struct problems *problems);
void yaml_tree_free(struct yaml_tree *tree);
const struct yaml_node *yaml_tree_root(const struct yaml_tree *tree);

/* "a list", "a mapping" or "a value", for messages. */
const char *yaml_kind_name(enum yaml_kind kind);

#endif

/* The configuration's options as tables, and the reader that walks a tree by them.
 *
 * An option is one row; what it means alone stands in its row, what options mean together in config_check.c, and how
 * rows and values are read in config_read.h. */
#ifndef HP_CORE_CONFIG_SCHEMA_H
#define HP_CORE_CONFIG_SCHEMA_H

#include "core/config.h"
#include "core/config_parse.h"
#include "core/guard.h"
#include "core/yaml_tree.h"

#define CONFIG_SLOTS_AUTO 0

/* Where the parts of a service's health stand in the text. */
struct config_health_draft {
	const struct yaml_node *at, *path, *host, *port, *status, *send, *expect, *name, *record, *command, *ca, *certificate,
		*key, *verify, *doubt, *timeout;
	bool has_type;
};

/* A service's prefixes while they are read: those of both lists, and where each stands. */
struct config_guard_rule {
	struct guard_rule rule;
	const struct yaml_node *at;
};

struct config_guard_draft {
	struct config_guard_rule *rules; /* owned, until they are checked */
	size_t count;
};

/* A service while it is read: what it becomes, and where its parts stand in the text. */
struct config_draft {
	struct config_service *service;
	const struct yaml_node *at, *name, *group, *vip, *port, *hash, *slots, *window, *affinity, *backends, *mss,
		*oversize, *min_up, *when_all_down, *fallback, *on_down, *quic_rotation;
	struct config_backend *fallbacks; /* behind the backends in the end */
	struct config_health_draft health;
	struct config_guard_draft guard;
	const struct yaml_node *limit;
	bool has_seed;
	bool is_key_wrong; /* protocol or port: the mistake is noted, and which flows are meant is unknown */
};

struct config_reader {
	struct problems *problems;
	const struct config_host *host; /* NULL: not asked */
	struct config *config;
	struct config_draft *drafts; /* one for each service */
	size_t draft_count;
	uint32_t slots; /* the file's default; CONFIG_SLOTS_AUTO */
	uint64_t seed;
	const struct yaml_node *interfaces, *services, *limits, *probes, *probes_mark, *announce; /* where they stand */
};

/* Read the whole tree: every option's own mistakes are noted. */
void config_read(struct config_reader *reader, const struct yaml_node *root);

/* The option `services`, a row of the top level's table. */
void config_schema_services(struct config_reader *reader, const struct yaml_node *value, void *target);

/* The option `port` of a service; the target is its draft. */
void config_schema_port(struct config_reader *reader, const struct yaml_node *value, void *target);

/* The option `health` of a service; the target is its draft. */
void config_schema_health(struct config_reader *reader, const struct yaml_node *value, void *target);

/* Judge that no two services serve the same. */
void config_check_keys(struct config_reader *reader);

/* Judge services of one group beside each other, and join their checks. After all else is filled in. */
void config_check_groups(struct config_reader *reader);

/* Judge a service's health, and what follows from backends being up or not. */
void config_check_health(struct config_reader *reader, struct config_draft *draft);

/* The options `allow`, `deny` and `limit` of a service, the same; and what they mean together. */
void config_schema_allow(struct config_reader *reader, const struct yaml_node *value, void *target);
void config_schema_deny(struct config_reader *reader, const struct yaml_node *value, void *target);
void config_schema_limit(struct config_reader *reader, const struct yaml_node *value, void *target);
void config_check_guard(struct config_reader *reader, struct config_draft *draft);

/* The option `announce`, the same. */
void config_schema_announce(struct config_reader *reader, const struct yaml_node *value, void *target);

/* Judge what options mean together, and fill in what follows from others. */
void config_check(struct config_reader *reader);

/* Note an error at a node. */
void config_error(struct config_reader *reader, const struct yaml_node *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void config_warning(struct config_reader *reader, const struct yaml_node *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif

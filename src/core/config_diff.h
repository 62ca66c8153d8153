/* What changing from one configuration to another means, in words. Pure. */
#ifndef HP_CORE_CONFIG_DIFF_H
#define HP_CORE_CONFIG_DIFF_H

#include <stddef.h>

#include "core/config.h"

enum config_change_kind {
	CONFIG_ADD,
	CONFIG_REMOVE,
	CONFIG_CHANGE,
};

struct config_change {
	enum config_change_kind kind;
	char *service; /* its name, or "interfaces", "tunnel", "limits", "probes", "api" */
	char *text;
};

struct config_changes {
	struct config_change *list;
	size_t count;
};

/* List the differences. former may be NULL: everything is added. Services are matched by name; the order of
 * services and backends means nothing. *changes must be empty. Returns 0 or -ENOMEM. */
int config_diff(const struct config *former, const struct config *next, struct config_changes *changes);
/* One more change of a service, which comes with no configuration. Without memory the process ends. */
void config_changes_add(struct config_changes *changes, const char *service, const char *text);
void config_changes_free(struct config_changes *changes);
const char *config_change_name(enum config_change_kind kind);

#endif

/* The options of `announce`: how the world learns where VIPs are: see config_schema.h. */
#include "core/config_schema.h"

#include <string.h>

#include "core/config_read.h"

#define WARMUP_MOST_S  3600
#define REFRESH_MOST_S 86400

static void read_table(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_announce *announce = target;

	if (value->kind == YAML_SCALAR && !strcmp(value->text, "none"))
		announce->table = 0;
	else
		config_read_table(reader, value, 0, "announce.table", "a number that nobody uses, such as 248, or none",
				  &announce->table);
}

static void read_warmup(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_announce *announce = target;

	config_read_seconds(reader, value, 0, WARMUP_MOST_S, "announce.warmup", &announce->warmup_s);
}

static void read_refresh(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_announce *announce = target;

	config_read_seconds(reader, value, 0, REFRESH_MOST_S, "announce.refresh", &announce->refresh_s);
}

static void read_start(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"active", 0}, {"standby", 1}, {NULL, 0}};
	struct config_announce *announce = target;
	int choice;

	if (config_read_choice(reader, value, words, "announce.start", &choice))
		announce->starts_standby = choice;
}

static const struct config_option announce_options[] = {
	{"table", read_table, false, "the routing table that live VIPs are kept in as routes; none keeps none"},
	{"warmup", read_warmup, false, "how long a VIP waits, at most, for its first probes before it is announced"},
	{"refresh", read_refresh, false, "how often each VIP is announced by gratuitous ARP or ND; 0 is never"},
	{"start", read_start, false, "active or standby: what a director is that has not been told"},
};

void config_schema_announce(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	(void)target;
	reader->announce = value;
	CONFIG_READ_MAP(reader, value, announce_options, &reader->config->announce, "announce");
}

/* The options of a service that say who may use it: see config_schema.h. */
#include <stdlib.h>
#include <string.h>

#include "core/config_read.h"
#include "core/guard.h"

/* ---- prefixes ----------------------------------------------------------------------------------------------------------- */

/* A prefix whose host bits are not zero: what else may have been meant. */
static bool note_host_bits(struct config_reader *reader, const struct yaml_node *value, const char *what, const char *text)
{
	char address[IP_TEXT_BYTES], *end, clean[PREFIX_TEXT_BYTES];
	const char *slash = strchr(text, '/');
	struct prefix meant = {.bits = 0};
	unsigned long bits;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return false;
	snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
	bits = strtoul(slash + 1, &end, 10);
	if (slash[1] < '0' || slash[1] > '9' || *end || !ip_parse(&meant.ip, address))
		return false;
	if (bits > (ip_is4(&meant.ip) ? 32u : 128u)) {
		config_error(reader, value, "%s %s: a prefix of %s has 0 to %u bits", what, text,
			     ip_is4(&meant.ip) ? "IPv4" : "IPv6", ip_is4(&meant.ip) ? 32 : 128);
		return true;
	}
	meant.bits = (uint8_t)bits;
	ip_clear_host(&meant.ip, meant.bits);
	config_error(reader, value,
		     "%s %s has bits behind its first %lu: write %s, which holds that address, or %s/%u for it alone", what, text,
		     bits, prefix_format(&meant, clean), address, ip_is4(&meant.ip) ? 32 : 128);
	return true;
}

static bool read_prefix(struct config_reader *reader, const struct yaml_node *value, const char *what, struct prefix *out)
{
	const char *text = config_read_word(reader, value, what);

	if (!text)
		return false;
	if (prefix_parse(out, text))
		return true;
	if (!note_host_bits(reader, value, what, text))
		config_error(reader, value, "%s \"%s\" is not a prefix or an address, such as 192.0.2.0/24 or 2001:db8::/32",
			     what, text);
	return false;
}

static void add_rule(struct config_reader *reader, const struct yaml_node *value, bool denies, struct config_guard_draft *draft)
{
	struct config_guard_rule *row;
	struct prefix prefix;

	if (!read_prefix(reader, value, denies ? "deny" : "allow", &prefix))
		return;
	draft->rules = config_read_grow(draft->rules, draft->count, sizeof(*draft->rules));
	row = &draft->rules[draft->count++];
	*row = (struct config_guard_rule){{prefix, denies}, value};
}

static void read_list(struct config_reader *reader, const struct yaml_node *value, bool denies, struct config_guard_draft *draft)
{
	if (value->kind != YAML_LIST) {
		add_rule(reader, value, denies, draft);
		return;
	}
	if (!value->first)
		config_error(reader, value, "%s is an empty list: name at least one prefix, or leave it out",
			     denies ? "deny" : "allow");
	for (const struct yaml_node *node = value->first; node; node = node->next)
		add_rule(reader, node, denies, draft);
}

void config_schema_allow(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	read_list(reader, value, false, &draft->guard);
}

void config_schema_deny(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	read_list(reader, value, true, &draft->guard);
}

/* ---- limit ----------------------------------------------------------------------------------------------------- */

#define NEW_FLOWS_MOST 1000000
#define PER_MOST_S     3600

static void read_new_flows(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_limit *limit = target;
	uint64_t number;

	if (config_read_number(reader, value, 1, NEW_FLOWS_MOST, "limit.new_flows", &number))
		limit->new_flows = (uint32_t)number;
}

static void read_per(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_limit *limit = target;

	config_read_seconds(reader, value, 1, PER_MOST_S, "limit.per", &limit->per_s);
}

static void read_burst(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_limit *limit = target;
	uint64_t number;

	if (config_read_number(reader, value, 1, NEW_FLOWS_MOST, "limit.burst", &number))
		limit->burst = (uint32_t)number;
}

static const struct config_option limit_options[] = {
	{"new_flows", read_new_flows, true, "how many flows a client may open within `per`"},
	{"per", read_per, false, "a duration; 1s by default"},
	{"burst", read_burst, false, "how many it may open at once, after a pause; new_flows by default"},
};

void config_schema_limit(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	struct config_limit *limit = &draft->service->limit;

	draft->limit = value;
	*limit = (struct config_limit){.per_s = 1};
	if (value->kind == YAML_MAP)
		CONFIG_READ_MAP(reader, value, limit_options, limit, "limit");
	else
		config_error(reader, value, "limit must be a mapping, such as {new_flows: 100, per: 1s}, not %s",
			     yaml_kind_name(value->kind));
	if (!limit->burst)
		limit->burst = limit->new_flows;
}

/* Nobody can tell which packet of UDP opens a flow; where none belongs to one, each does. */
static void check_limit(struct config_reader *reader, const struct config_draft *draft)
{
	const struct config_service *service = draft->service;

	if (!draft->limit || draft->is_key_wrong || service->protocol == 6 || service->affinity == CONFIG_AFFINITY_NONE)
		return;
	config_error(reader, draft->limit,
		     "limit is for protocol: tcp, where a SYN opens a flow, or for udp with affinity: none, where each packet "
		     "counts as one");
}

/* ---- what they mean together -------------------------------------------------------------------------------- */

/* By prefix, and then by place in the text. */
static int compare(const void *a, const void *b)
{
	const struct config_guard_rule *one = a, *other = b;
	int order = guard_rule_compare(&one->rule, &other->rule);

	if (order)
		return order;
	if (one->at->line != other->at->line)
		return one->at->line < other->at->line ? -1 : 1;
	return one->at->column < other->at->column ? -1 : one->at->column > other->at->column;
}

static void check_twice(struct config_reader *reader, const struct config_guard_rule *first,
			const struct config_guard_rule *second)
{
	char prefix[PREFIX_TEXT_BYTES];

	prefix_format(&second->rule.prefix, prefix);
	if (first->rule.denies == second->rule.denies)
		config_error(reader, second->at, "%s is listed twice: it is also on line %u", prefix, first->at->line);
	else
		config_error(reader, second->at,
			     "%s is denied and allowed (line %u): it must be one, as of two prefixes the longer judges", prefix,
			     first->at->line);
}

static bool has_family(const struct config_service *service, bool is4)
{
	for (size_t i = 0; i < service->vip_count; i++)
		if (ip_is4(&service->vips[i]) == is4)
			return true;
	return !service->vip_count;
}

/* Once for each family. */
static void check_families(struct config_reader *reader, const struct config_draft *draft)
{
	bool is_noted[2] = {false, false};

	for (size_t i = 0; i < draft->guard.count; i++) {
		const struct config_guard_rule *row = &draft->guard.rules[i];
		bool is4 = ip_is4(&row->rule.prefix.ip);
		char prefix[PREFIX_TEXT_BYTES];

		if (is_noted[is4] || has_family(draft->service, is4))
			continue;
		is_noted[is4] = true;
		config_error(reader, row->at, "%s is of %s, and no VIP of the service is: nobody of it could ask",
			     prefix_format(&row->rule.prefix, prefix), is4 ? "IPv4" : "IPv6");
	}
}

/* A list of those who may leaves out the family that it does not name. */
static void check_allowed(struct config_reader *reader, const struct config_draft *draft)
{
	bool allows[2] = {false, false};

	for (size_t i = 0; i < draft->guard.count; i++)
		if (!draft->guard.rules[i].rule.denies)
			allows[ip_is4(&draft->guard.rules[i].rule.prefix.ip)] = true;
	for (int is4 = 0; is4 < 2; is4++)
		if (allows[!is4] && !allows[is4] && has_family(draft->service, is4))
			config_warning(reader, draft->at,
				       "allow names no %s prefix: nobody may use the service's VIPs of that family",
				       is4 ? "IPv4" : "IPv6");
}

void config_check_guard(struct config_reader *reader, struct config_draft *draft)
{
	struct config_guard_draft *guard = &draft->guard;
	struct guard_rule *rules = calloc(guard->count + 1, sizeof(*rules));

	if (!rules)
		abort();
	check_limit(reader, draft);
	check_families(reader, draft);
	check_allowed(reader, draft);
	if (guard->count)
		qsort(guard->rules, guard->count, sizeof(*guard->rules), compare);
	for (size_t i = 0; i < guard->count; i++) {
		rules[i] = guard->rules[i].rule;
		if (i && !guard_rule_compare(&rules[i - 1], &rules[i]))
			check_twice(reader, &guard->rules[i - 1], &guard->rules[i]);
	}
	if (guard->count && !(draft->service->guard = guard_make(rules, guard->count)))
		abort();
	free(rules);
	free(guard->rules);
	guard->rules = NULL;
}

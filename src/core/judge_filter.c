/* Packet filters as nft tells them: see judge_filter.h. */
#include "core/judge_filter.h"

#include <stdio.h>
#include <string.h>

#define VIPS_MOST 256

/* ---- what a rule says ---------------------------------------------------------------------------------------------------- */

static bool is_key(const json_t *expression, const char *kind, const char *key)
{
	const char *text = json_string_value(json_object_get(json_object_get(expression, kind), "key"));

	return text && !strcmp(text, key);
}

/* A word, or a list or set with that word in it. */
static bool has_word(const json_t *value, const char *word)
{
	const json_t *list = json_is_object(value) ? json_object_get(value, "set") : value, *row;
	size_t i;

	if (json_is_string(list))
		return !strcmp(json_string_value(list), word);
	json_array_foreach((json_t *)list, i, row)
		if (json_is_string(row) && !strcmp(json_string_value(row), word))
			return true;
	return false;
}

static bool is_drop(const json_t *statement)
{
	return json_object_get(statement, "drop") || json_object_get(statement, "reject");
}

/* ct state vmap { invalid : drop } */
static bool is_map_of_drop(const json_t *statement)
{
	const json_t *map = json_object_get(statement, "vmap"), *row;
	size_t i;

	if (!is_key(json_object_get(map, "key"), "ct", "state"))
		return false;
	json_array_foreach(json_object_get(json_object_get(map, "data"), "set"), i, row)
		if (has_word(json_array_get(row, 0), "invalid") && is_drop(json_array_get(row, 1)))
			return true;
	return false;
}

static bool is_match_of_invalid(const json_t *statement)
{
	const json_t *match = json_object_get(statement, "match");
	const char *op = json_string_value(json_object_get(match, "op"));

	return op && strcmp(op, "!=") != 0 && is_key(json_object_get(match, "left"), "ct", "state") &&
	       has_word(json_object_get(match, "right"), "invalid");
}

static bool drops_invalid(const json_t *rule)
{
	const json_t *statement;
	bool is_invalid = false;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, statement) {
		if (is_map_of_drop(statement) || (is_invalid && is_drop(statement)))
			return true;
		is_invalid |= is_match_of_invalid(statement);
	}
	return false;
}

/* ---- what passes before --------------------------------------------------------------------------------------------------- */

/* An address, {"prefix": {"addr": A, "len": N}}, or a list or set of those. A named set's members are elsewhere, and it counts
 * as one that does not hold the address. */
static bool holds(const json_t *value, const struct ip *ip)
{
	const json_t *list = json_is_object(value) ? json_object_get(value, "set") : value;
	const json_t *range = json_object_get(value, "prefix"), *row;
	struct prefix prefix = {0};
	struct ip one;
	size_t i;

	if (json_is_string(value))
		return ip_parse(&one, json_string_value(value)) && ip_equal(&one, ip);
	if (range && json_is_string(json_object_get(range, "addr"))) {
		prefix.bits = (uint8_t)json_integer_value(json_object_get(range, "len"));
		return ip_parse(&prefix.ip, json_string_value(json_object_get(range, "addr"))) && ip_in_prefix(ip, &prefix);
	}
	json_array_foreach((json_t *)list, i, row)
		if (holds(row, ip))
			return true;
	return false;
}

static bool is_match_of_vip(const json_t *statement, const struct ip *vip)
{
	const json_t *match = json_object_get(statement, "match");
	const char *op = json_string_value(json_object_get(match, "op"));
	const json_t *payload = json_object_get(json_object_get(match, "left"), "payload");
	const char *protocol = json_string_value(json_object_get(payload, "protocol"));
	const char *field = json_string_value(json_object_get(payload, "field"));

	return op && !strcmp(op, "==") && protocol && field && !strcmp(protocol, ip_is4(vip) ? "ip" : "ip6") &&
	       (!strcmp(field, "daddr") || !strcmp(field, "saddr")) && holds(json_object_get(match, "right"), vip);
}

/* Whether a rule lets the VIP's packets pass: it accepts and asks for nothing but the VIP and, maybe, the state. */
static bool lets_pass(const json_t *rule, const struct ip *vip)
{
	const json_t *statement;
	bool is_vip = false;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, statement) {
		if (json_object_get(statement, "accept"))
			return is_vip;
		if (is_match_of_vip(statement, vip))
			is_vip = true;
		else if (json_object_get(statement, "match") && !is_match_of_invalid(statement))
			return false;
	}
	return false;
}

/* ---- marks --------------------------------------------------------------------------------------------------------------- */

static bool sets_mark(const json_t *rule)
{
	const json_t *statement;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, statement)
		if (is_key(json_object_get(json_object_get(statement, "mangle"), "key"), "meta", "mark"))
			return true;
	return false;
}

/* What a match says of a probe's mark: that it is one, that it is none, or nothing. */
static int judge_mark(const json_t *statement, uint32_t mark, uint32_t mask)
{
	const json_t *match = json_object_get(statement, "match"), *left = json_object_get(match, "left");
	const json_t *right = json_object_get(match, "right"), *masked = json_object_get(left, "&");
	const json_t *prefix = json_object_get(right, "prefix");
	const char *op = json_string_value(json_object_get(match, "op"));
	uint32_t asked_mask = UINT32_MAX, asked;
	bool is_ours;

	if (masked) {
		asked_mask = (uint32_t)json_integer_value(json_array_get(masked, 1));
		left = json_array_get(masked, 0);
	}
	if (!op || !is_key(left, "meta", "mark") || (!prefix && !json_is_integer(right)))
		return 0;
	asked = (uint32_t)json_integer_value(prefix ? json_object_get(prefix, "addr") : right);
	if (prefix)
		asked_mask = ~(uint32_t)((1ull << (32 - json_integer_value(json_object_get(prefix, "len")) % 33)) - 1);
	if ((asked ^ mark) & (asked_mask & mask))
		return !strcmp(op, "!=") ? 0 : -1;
	is_ours = asked_mask == mask && asked == mark;
	if (!is_ours)
		return 0;
	return !strcmp(op, "!=") ? -1 : 1;
}

/* Whether a rule concerns probes: 1 them alone, 0 them among others, -1 not at all. */
static int concerns_probes(const json_t *rule, const struct judge_filter *what, bool *is_narrow)
{
	const json_t *statement;
	int sum = 0;
	size_t i;

	*is_narrow = false;
	json_array_foreach(json_object_get(rule, "expr"), i, statement) {
		int one = judge_mark(statement, what->mark, what->mask);

		if (one < 0)
			return -1;
		sum |= one;
		*is_narrow |= !one && json_object_get(statement, "match");
	}
	return sum;
}

static bool is_accepted(const json_t *rule)
{
	const json_t *statement;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, statement)
		if (json_object_get(statement, "accept") || json_object_get(statement, "return"))
			return true;
	return false;
}

/* ---- chains --------------------------------------------------------------------------------------------------------------- */

/* One chain while its rules are gone through. */
struct chain {
	const json_t *row;	   /* what nft says of it */
	const char *hook;	   /* "": no packet comes to it by itself */
	bool has_passed[VIPS_MOST]; /* the VIP's packets do not get further */
	bool has_marks_passed;
	bool is_told[2];	   /* one item for each kind and chain */
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static bool is_in(const struct chain *chain, const json_t *rule)
{
	return !strcmp(text_of(chain->row, "family"), text_of(rule, "family")) &&
	       !strcmp(text_of(chain->row, "table"), text_of(rule, "table")) &&
	       !strcmp(text_of(chain->row, "name"), text_of(rule, "chain"));
}

static bool takes_family(const struct chain *chain, const struct ip *ip)
{
	const char *family = text_of(chain->row, "family");

	return !strcmp(family, "inet") || !strcmp(family, "netdev") || !strcmp(family, ip_is4(ip) ? "ip" : "ip6");
}

static bool is_name(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";

	return *text && strspn(text, plain) == strlen(text);
}

/* An order to insert a rule into the chain; false where its names could mean something else to a shell. */
static bool put_insert(const struct chain *chain, const char *rule, char *out, size_t room)
{
	const char *family = text_of(chain->row, "family"), *table = text_of(chain->row, "table");
	const char *name = text_of(chain->row, "name");
	size_t at = strlen(out);

	if (!is_name(family) || !is_name(table) || !is_name(name))
		return false;
	snprintf(out + at, room - at, "%snft insert rule %s %s %s %s", at ? " && " : "", family, table, name, rule);
	return strlen(out) < room - 1;
}

/* What is to pass there is asked for by one address or the other, by the way that packets go in this chain. */
static void put_pass(const struct judge_filter *what, const struct chain *chain, struct finding *item)
{
	bool is_out = !strcmp(chain->hook, "output") || !strcmp(chain->hook, "postrouting");
	bool is_both = !strcmp(chain->hook, "forward") || !*chain->hook;
	bool is_source = is_out != what->is_director;
	char command[CAUSE_COMMAND_BYTES] = "", rule[160], text[IP_TEXT_BYTES];
	bool is_whole = true;

	for (size_t i = 0; i < what->vip_count && i < VIPS_MOST; i++)
		for (int side = 0; side < 2; side++) {
			const struct ip *vip = &what->vips[i];

			if (!takes_family(chain, vip) || chain->has_passed[i] || (!is_both && side != is_source))
				continue;
			snprintf(rule, sizeof(rule), "%s %s %s ct state invalid accept", ip_is4(vip) ? "ip" : "ip6",
				 side ? "saddr" : "daddr", ip_format(vip, text));
			is_whole &= put_insert(chain, rule, command, sizeof(command));
		}
	if (is_whole && *command)
		finding_command(item, (const char *const[]){"command", command, NULL});
}

static void tell_invalid(const struct judge_filter *what, struct chain *chain, const json_t *rule, struct findings *findings)
{
	struct finding *item;

	item = findings_add(findings, FINDING_WARNING, CAUSE_HALF_OPEN_DROPPED, "packet filter",
			    "a rule drops what connection tracking calls invalid, which packets of the VIP are where it sees one "
			    "direction only");
	finding_evidence(item, "nft, table %s %s, chain %s%s%s, rule %lld", text_of(rule, "family"), text_of(rule, "table"),
			text_of(rule, "chain"), *chain->hook ? " at " : "", chain->hook,
			(long long)json_integer_value(json_object_get(rule, "handle")));
	put_pass(what, chain, item);
}

static void tell_mark(const struct judge_filter *what, struct chain *chain, const json_t *rule, struct findings *findings)
{
	char command[CAUSE_COMMAND_BYTES] = "", pass[96];
	struct finding *item;

	item = findings_add(findings, FINDING_WRONG, CAUSE_MARK_OVERWRITTEN, "packet filter",
			    "a rule sets the mark of outgoing packets, also of probes, whose mark leads them to their backend");
	finding_evidence(item, "nft, table %s %s, chain %s%s%s, rule %lld", text_of(rule, "family"), text_of(rule, "table"),
			text_of(rule, "chain"), *chain->hook ? " at " : "", chain->hook,
			(long long)json_integer_value(json_object_get(rule, "handle")));
	/* nft writes such a mask as a prefix, and reads both. */
	snprintf(pass, sizeof(pass), "'meta mark & 0x%08x == 0x%08x accept'", what->mask, what->mark);
	if (put_insert(chain, pass, command, sizeof(command)))
		finding_command(item, (const char *const[]){"command", command, NULL});
}

/* Whether any VIP's packets still get this far. */
static bool is_reached(const struct judge_filter *what, const struct chain *chain)
{
	for (size_t i = 0; i < what->vip_count && i < VIPS_MOST; i++)
		if (takes_family(chain, &what->vips[i]) && !chain->has_passed[i])
			return true;
	return false;
}

static bool sees_outgoing(const struct chain *chain)
{
	return !strcmp(chain->hook, "output") || !strcmp(chain->hook, "postrouting") || !strcmp(chain->hook, "egress") ||
	       !*chain->hook;
}

static int judge_one(const struct judge_filter *what, struct chain *chain, const json_t *rule, struct findings *findings)
{
	bool is_narrow;
	int found = 0, concerns = concerns_probes(rule, what, &is_narrow);

	for (size_t i = 0; i < what->vip_count && i < VIPS_MOST; i++)
		chain->has_passed[i] |= lets_pass(rule, &what->vips[i]);
	chain->has_marks_passed |= concerns == 1 && !is_narrow && is_accepted(rule);
	if (!chain->is_told[0] && drops_invalid(rule) && is_reached(what, chain)) {
		tell_invalid(what, chain, rule, findings);
		chain->is_told[0] = true;
		found++;
	}
	if (what->is_director && !chain->is_told[1] && sees_outgoing(chain) && concerns >= 0 && !chain->has_marks_passed &&
	    sets_mark(rule)) {
		tell_mark(what, chain, rule, findings);
		chain->is_told[1] = true;
		found++;
	}
	return found;
}

int judge_nft(const struct judge_filter *what, const json_t *ruleset, struct findings *findings)
{
	const json_t *list = json_object_get(ruleset, "nftables"), *row, *rule;
	size_t i, j;
	int found = 0;

	if (!json_is_array(list))
		return -1;
	json_array_foreach((json_t *)list, i, row) {
		struct chain chain = {.row = json_object_get(row, "chain")};

		if (!chain.row)
			continue;
		chain.hook = text_of(chain.row, "hook");
		json_array_foreach((json_t *)list, j, rule)
			if (is_in(&chain, json_object_get(rule, "rule")))
				found += judge_one(what, &chain, json_object_get(rule, "rule"), findings);
	}
	return found;
}

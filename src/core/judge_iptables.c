/* Packet filters as iptables-save tells them, and routing rules: see judge_filter.h. */
#include <stdio.h>
#include <string.h>

#include "core/judge_filter.h"

#define LINE_MOST 1024
#define TABLE_LOCAL 255

/* ---- iptables -------------------------------------------------------------------------------------------------------------- */

static bool has(const char *line, const char *piece)
{
	return strstr(line, piece) != NULL;
}

static bool drops_invalid(const char *line)
{
	const char *state = strstr(line, "state ");

	if (!state || has(line, "! --ctstate") || has(line, "! --state"))
		return false;
	return (has(line, "--ctstate ") || has(line, "--state ")) && has(state, "INVALID") &&
	       (has(line, "-j DROP") || has(line, "-j REJECT"));
}

static bool sets_mark(const char *line)
{
	return has(line, "-j MARK ") || has(line, "-j CONNMARK --restore-mark");
}

/* What lets all packets of the address pass, or all marked ones. */
static bool lets_pass(const char *line, const struct ip *vip)
{
	char text[IP_TEXT_BYTES], source[64], to[64];
	int bits = ip_is4(vip) ? 32 : 128;

	ip_format(vip, text);
	snprintf(source, sizeof(source), "-s %s/%d ", text, bits);
	snprintf(to, sizeof(to), "-d %s/%d ", text, bits);
	return (has(line, source) || has(line, to)) && has(line, "-j ACCEPT") && !has(line, " -p ") && !has(line, " -i ") &&
	       !has(line, " -o ");
}

static bool lets_marks_pass(const char *line, const struct judge_filter *what)
{
	char mark[64];

	snprintf(mark, sizeof(mark), "--mark 0x%x/0x%x ", what->mark, what->mask);
	return has(line, mark) && (has(line, "-j ACCEPT") || has(line, "-j RETURN")) && !has(line, "!");
}

/* Where the walk through the text is. */
struct walk {
	const char *command;
	char table[32], chain[64];
	char lines[LINE_MOST]; /* the one at hand */
};

static bool is_plain(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

	return *text && strspn(text, plain) == strlen(text);
}

/* Whether an earlier line of the same chain lets it pass. vip NULL: marked packets. */
static bool has_passed(const struct judge_filter *what, const char *text, const char *until, const struct walk *walk,
		       const struct ip *vip)
{
	char head[80], line[LINE_MOST];
	bool is_table = false;

	snprintf(head, sizeof(head), "-A %s ", walk->chain);
	while (text < until) {
		size_t length = strcspn(text, "\n");

		snprintf(line, sizeof(line), "%.*s ", (int)length, text);
		if (*line == '*')
			is_table = !strncmp(line + 1, walk->table, strlen(walk->table));
		else if (is_table && !strncmp(line, head, strlen(head)) &&
			 (vip ? lets_pass(line, vip) : lets_marks_pass(line, what)))
			return true;
		text += length + (text[length] == '\n');
	}
	return false;
}

static void tell_invalid(const struct judge_filter *what, const struct walk *walk, const struct ip *vip,
	struct findings *findings)
{
	bool is_out = !strcmp(walk->chain, "OUTPUT") || !strcmp(walk->chain, "POSTROUTING");
	char command[CAUSE_COMMAND_BYTES], text[IP_TEXT_BYTES];
	struct finding *item;

	item = findings_add(findings, FINDING_WARNING, CAUSE_HALF_OPEN_DROPPED, "packet filter",
			    "a rule drops what connection tracking calls invalid, which packets of %s are where it sees one "
			    "direction only", ip_format(vip, text));
	finding_evidence(item, "%s -t %s: %s", walk->command, walk->table, walk->lines);
	snprintf(command, sizeof(command), "%s -t %s -I %s %s %s -m conntrack --ctstate INVALID -j ACCEPT", walk->command,
		 walk->table, walk->chain, is_out != what->is_director ? "-s" : "-d", text);
	if (is_plain(walk->table) && is_plain(walk->chain))
		finding_command(item, (const char *const[]){"command", command, NULL});
}

static void tell_mark(const struct judge_filter *what, const struct walk *walk, struct findings *findings)
{
	char command[CAUSE_COMMAND_BYTES];
	struct finding *item;

	item = findings_add(findings, FINDING_WRONG, CAUSE_MARK_OVERWRITTEN, "packet filter",
			    "a rule sets the mark of outgoing packets, also of probes, whose mark leads them to their backend");
	finding_evidence(item, "%s -t %s: %s", walk->command, walk->table, walk->lines);
	snprintf(command, sizeof(command), "%s -t %s -I %s -m mark --mark 0x%x/0x%x -j ACCEPT", walk->command, walk->table,
		 walk->chain, what->mark, what->mask);
	if (is_plain(walk->table) && is_plain(walk->chain))
		finding_command(item, (const char *const[]){"command", command, NULL});
}

static bool is_incoming(const char *chain)
{
	return !strcmp(chain, "INPUT") || !strcmp(chain, "PREROUTING") || !strcmp(chain, "FORWARD");
}

static int judge_line(const struct judge_filter *what, const char *text, const char *at, const struct walk *walk,
		      struct findings *findings)
{
	bool is4 = !strcmp(walk->command, "iptables");
	int found = 0;

	for (size_t i = 0; drops_invalid(walk->lines) && i < what->vip_count; i++)
		if (ip_is4(&what->vips[i]) == is4 && !has_passed(what, text, at, walk, &what->vips[i])) {
			tell_invalid(what, walk, &what->vips[i], findings);
			found++;
		}
	if (what->is_director && sets_mark(walk->lines) && !is_incoming(walk->chain) &&
	    !has_passed(what, text, at, walk, NULL)) {
		tell_mark(what, walk, findings);
		found++;
	}
	return found;
}

int judge_iptables(const struct judge_filter *what, const char *command, const char *text, struct findings *findings)
{
	struct walk walk = {.command = command};
	int found = 0;

	for (const char *at = text; *at;) {
		size_t length = strcspn(at, "\n");

		snprintf(walk.lines, sizeof(walk.lines), "%.*s", (int)length, at);
		if (*at == '*')
			sscanf(at, "*%31[^ \n]", walk.table);
		else if (sscanf(at, "-A %63[^ \n]", walk.chain) == 1)
			found += judge_line(what, text, at, &walk, findings);
		at += length + (at[length] == '\n');
	}
	return found;
}

/* ---- routing rules ------------------------------------------------------------------------------------------------------- */

static bool is_ours(const struct judge_rule *rule, uint32_t mark, uint32_t mask)
{
	return rule->mark == mark && rule->mask == mask && rule->is_lookup;
}

/* Whether some probe's mark meets the rule. */
static bool meets(const struct judge_rule *rule, uint32_t mark, uint32_t mask)
{
	return !rule->has_selector && !((rule->mark ^ mark) & rule->mask & mask) && rule->table != TABLE_LOCAL;
}

void judge_rules(const struct judge_rule *rules, size_t count, uint32_t mark, uint32_t mask, struct findings *findings)
{
	size_t found = 0, wrong = 0;

	for (size_t i = 0; i < count; i++) {
		if (!is_ours(&rules[i], mark, mask))
			continue;
		found++;
		for (size_t j = 0; j < count; j++) {
			struct finding *item;

			if (rules[j].family != rules[i].family || rules[j].priority >= rules[i].priority ||
			    !meets(&rules[j], mark, mask))
				continue;
			item = findings_add(findings, FINDING_WRONG, CAUSE_RULE_BEFORE, "routing rules",
					    "a rule takes probes before the one that leads them to their backend");
			finding_evidence(item, "rule %u leads to table %u, ours is rule %u", rules[j].priority, rules[j].table,
					rules[i].priority);
			wrong++;
		}
	}
	if (!found)
		findings_ok(findings, "routing rules", "there is none for probes (mark 0x%x/0x%x)", mark, mask);
	else if (!wrong)
		findings_ok(findings, "routing rules", "nothing stands before the one for probes (mark 0x%x/0x%x)", mark, mask);
}

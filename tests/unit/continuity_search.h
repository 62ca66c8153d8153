/* Two ways through the world of continuity_world.h: all short sequences of actions, and many long random ones.
 *
 * The exhaustive one goes breadth first over distinct worlds, so what it finds is a shortest sequence. The random one
 * then takes away from a failing sequence whatever is not needed to fail. */
#ifndef HP_TEST_CONTINUITY_SEARCH_H
#define HP_TEST_CONTINUITY_SEARCH_H

#include "continuity_actions.h"

#define SEARCH_ACTIONS 128
#define SEARCH_WORLDS  (1u << 20)
#define SEARCH_LONG    300

struct search_node {
	struct world world;
	struct action action;
	uint32_t parent;
};

struct search {
	struct search_node *nodes;
	uint32_t *table; /* by hash: node + 1, or 0 */
	uint32_t count, mask;
	struct action list[SEARCH_ACTIONS];
	unsigned int actions;
};

/* The sequence that failed, and why; of length 0: none did. */
struct finding {
	struct action actions[SEARCH_LONG];
	uint32_t length;
	const char *what;
};

static void print_finding(const struct finding *finding)
{
	print_message("%s: %s:\n", scene->name, finding->what);
	for (uint32_t i = 0; i < finding->length; i++)
		print_action(finding->actions[i]);
}

/* ---- all short sequences ------------------------------------------------------------------------------------------ */

static unsigned int add(struct action *list, unsigned int n, enum action_kind kind, unsigned int a, unsigned int b)
{
	assert_true(n < SEARCH_ACTIONS);
	list[n] = (struct action){(uint8_t)kind, (uint8_t)a, (uint8_t)b};
	return n + 1;
}

/* Every action of a scene without rings. */
static unsigned int all_actions(struct action *list)
{
	unsigned int n = 0, codes = 1;

	for (unsigned int f = 0; f < scene->flows; f++) {
		for (unsigned int kind = SYN; kind <= ICMP_ERROR; kind++)
			if (!scene->is_udp || kind == ACK || kind == ICMP_ERROR)
				n = add(list, n, (enum action_kind)kind, f, 0);
		codes *= scene->backends;
	}
	for (unsigned int code = 0; code < codes; code++)
		for (unsigned int kind = CHANGE; kind <= (code < 2 ? SPLIT : CHANGE); kind++)
			n = add(list, n, (enum action_kind)kind, code, 0);
	for (unsigned int b = 1; b <= scene->backends; b++)
		for (unsigned int kind = DIE; kind <= ADD; kind++)
			for (unsigned int all = 0; all < (kind == RETURN || kind == ADD ? 2 : 1); all++)
				n = add(list, n, (enum action_kind)kind, b, all);
	for (unsigned int kind = END_WINDOW; kind <= FILL; kind++)
		n = add(list, n, (enum action_kind)kind, 0, 0);
	for (unsigned int i = 0; i < COUNT(action_ticks); i++)
		if (action_ticks[i] != 30 * TICKS && action_ticks[i] != WINDOW_S * TICKS)
			n = add(list, n, WAIT, i, 0);
	return scene->has_chance ? add(list, n, WIPE, 0, 0) : n;
}

static uint32_t hash_of(const struct world *w)
{
	const uint8_t *byte = (const uint8_t *)w;
	uint64_t hash = sizeof(*w);

	for (size_t i = 0; i + 8 <= sizeof(*w); i += 8) {
		uint64_t word;

		memcpy(&word, byte + i, 8);
		hash = hp_mix(hash ^ word) + i;
	}
	for (size_t i = sizeof(*w) / 8 * 8; i < sizeof(*w); i++)
		hash = hp_mix(hash ^ byte[i]);
	return (uint32_t)hash;
}

/* Take a world in, unless it is there. */
static void visit_world(struct search *s, const struct world *w, struct action action, uint32_t parent)
{
	uint32_t at = hash_of(w) & s->mask;

	while (s->table[at]) {
		if (!memcmp(&s->nodes[s->table[at] - 1].world, w, sizeof(*w)))
			return;
		at = (at + 1) & s->mask;
	}
	assert_true(s->count < SEARCH_WORLDS);
	s->nodes[s->count] = (struct search_node){*w, action, parent};
	s->table[at] = ++s->count;
}

static void retrace(const struct search *s, uint32_t node, struct action last, struct finding *finding)
{
	uint32_t length = 1;

	for (uint32_t i = node; i; i = s->nodes[i].parent)
		length++;
	finding->length = length;
	finding->what = breach;
	finding->actions[--length] = last;
	for (uint32_t i = node; i; i = s->nodes[i].parent)
		finding->actions[--length] = s->nodes[i].action;
}

static bool expand(struct search *s, uint32_t node, bool is_last, struct finding *finding)
{
	for (unsigned int i = 0; i < s->actions; i++) {
		struct world w = s->nodes[node].world;

		breach = NULL;
		act(&w, s->list[i]);
		if (breach) {
			retrace(s, node, s->list[i], finding);
			return true;
		}
		if (!is_last)
			visit_world(s, &w, s->list[i], node);
	}
	return false;
}

/* All sequences of up to `depth` actions. Returns whether one fails. */
static bool search_all(unsigned int depth, struct finding *finding)
{
	struct search s = {.nodes = malloc(SEARCH_WORLDS * sizeof(*s.nodes)), .mask = 2 * SEARCH_WORLDS - 1};
	struct world first = world_new();
	bool found = false;

	s.table = calloc(s.mask + 1, sizeof(*s.table));
	assert_non_null(s.nodes);
	assert_non_null(s.table);
	s.actions = all_actions(s.list);
	*finding = (struct finding){.length = 0};
	visit_world(&s, &first, (struct action){0}, 0);
	for (uint32_t level = 1, node = 0; level <= depth && !found; level++)
		for (uint32_t end = s.count; node < end && !found; node++)
			found = expand(&s, node, level == depth, finding);
	if (!mutant)
		print_message("%s: all sequences of %u actions of %u kinds, over %u worlds\n", scene->name, depth, s.actions,
			      s.count);
	free(s.nodes);
	free(s.table);
	return found;
}

/* ---- long random ones ---------------------------------------------------------------------------------------------- */

static uint64_t random_state;

static unsigned int below(unsigned int n)
{
	random_state += 0x9e3779b97f4a7c15ULL;
	return (unsigned int)((hp_mix(random_state) >> 32) % n);
}

/* Of a hundred: packets 60, time 12, the daemon 12, changes 14, the rest. */
static struct action random_action(void)
{
	static const uint8_t packets[] = {SYN, SYN, ACK, ACK, ACK, ACK, ACK, FIN, RESET, FORGED_RESET, ICMP_ERROR};
	static const uint8_t others[] = {FLOOD, FLOOD, FILL, RESTART, CHANGE_AT_ONCE, KILLED_IN_CHANGE, SPLIT, WIPE};
	unsigned int dice = below(100);
	enum action_kind kind;

	if (dice < 60)
		return (struct action){packets[below(COUNT(packets))], (uint8_t)below(scene->flows), 0};
	if (dice < 72)
		return (struct action){WAIT, (uint8_t)below(COUNT(action_ticks)), 0};
	if (dice < 84)
		return (struct action){dice < 76 ? END_WINDOW : SWEEP, 0, 0};
	kind = (enum action_kind)(dice < 98 ? CHANGE + below(BACK - CHANGE + 1) : others[below(COUNT(others))]);
	if (kind > CHANGE && kind < DIE && below(4))
		kind = CHANGE;
	if (kind == WIPE && !scene->has_chance)
		kind = RESTART;
	if (kind == RESIZE)
		return (struct action){RESIZE, (uint8_t)below(COUNT(action_sizes)), 0};
	if (kind >= DIE && kind <= UNDRAIN)
		return (struct action){(uint8_t)kind, (uint8_t)(1 + below(scene->backends)), (uint8_t)below(4)};
	return (struct action){(uint8_t)kind, (uint8_t)below(3), 0};
}

/* When nobody speaks any more, the service comes to rest. */
static void check_end(struct world *w)
{
	static const struct action last[] = {{WAIT, COUNT(action_ticks) - 1, 0}, {END_WINDOW, 0, 0}, {SWEEP, 0, 0}, {SWEEP, 0, 0},
					     {SWEEP, 0, 0}};

	w->is_full = 0;
	w->is_sweeping = 0;
	for (unsigned int i = 0; i < COUNT(last); i++)
		act(w, last[i]);
	for (unsigned int i = 0; i < COUNT(last); i++)
		act(w, last[i]);
	if (!is_steady(w))
		breached("a service does not come to rest");
}

/* Run a sequence; returns the length of what it took to fail, or 0. */
static uint32_t run(const struct action *actions, uint32_t length, bool to_its_end)
{
	struct world w = world_new();

	breach = NULL;
	for (uint32_t i = 0; i < length; i++) {
		act(&w, actions[i]);
		if (breach)
			return i + 1;
	}
	if (to_its_end)
		check_end(&w);
	return breach ? length : 0;
}

/* Take away what is not needed, in ever smaller pieces. */
static void shrink(struct finding *finding)
{
	for (uint32_t piece = finding->length / 2; piece; piece = piece > 1 ? piece / 2 : 0) {
		for (uint32_t at = 0; at + piece <= finding->length;) {
			struct action rest[SEARCH_LONG];
			uint32_t length = finding->length - piece, failed;

			memcpy(rest, finding->actions, at * sizeof(rest[0]));
			memcpy(rest + at, finding->actions + at + piece, (length - at) * sizeof(rest[0]));
			failed = length ? run(rest, length, true) : 0;
			if (!failed) {
				at += piece;
				continue;
			}
			memcpy(finding->actions, rest, failed * sizeof(rest[0]));
			finding->length = failed;
			finding->what = breach;
		}
	}
}

/* Random sequences of a seed. Returns whether one fails; *finding is then its shrunken form. */
static bool search_random(uint64_t seed, unsigned int sequences, struct finding *finding)
{
	*finding = (struct finding){.length = 0};
	for (unsigned int i = 0; i < sequences; i++) {
		random_state = hp_mix(seed + i);
		for (uint32_t j = 0; j < SEARCH_LONG; j++)
			finding->actions[j] = random_action();
		finding->length = run(finding->actions, SEARCH_LONG, true);
		if (!finding->length)
			continue;
		finding->what = breach;
		if (!mutant) {
			shrink(finding);
			print_message("seed %llu\n", (unsigned long long)(seed + i));
		}
		return true;
	}
	return false;
}

#endif

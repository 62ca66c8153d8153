/* What is compared: see schemes.h. */
#include "schemes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"

#define NS_A_MS 1000000ULL

const char *const scheme_names[SCHEMES] = {
	"hash mod n", "Maglev", "LRU, flows alive", "LRU, 10 x alive", "LRU, same promise", "JET", "ours", "ours, 2nd chance",
};

static const enum flow_way ways[SCHEMES] = {WAY_MODULO, WAY_RING, WAY_RING, WAY_RING, WAY_RING, WAY_JET, WAY_RING, WAY_RING};

/* A packet on its way through the schemes. */
struct moment {
	struct flow *flows;
	uint32_t number; /* 0: a stranger's */
	uint32_t hash;
	int kind;
	uint32_t now_ms;
	uint32_t slot;
	uint32_t found[FLOW_WAYS];
	bool is_unsafe;
};

void schemes_init(struct schemes *schemes, const struct site *site, uint32_t window_s)
{
	memset(schemes, 0, sizeof(*schemes));
	schemes->site = site;
	schemes->window_ms = window_s * 1000;
	for (int i = 0; i < SCHEMES; i++)
		schemes->tables[i] =
			(struct table){.scheme = (enum scheme_kind)i, .fresh_most = UINT32_MAX, .kept_most = UINT32_MAX};
	for (int i = 0; i < 2; i++) {
		schemes->ours[i].before = calloc(site->size, sizeof(uint32_t));
		schemes->ours[i].has_chance = i == 1;
		if (!schemes->ours[i].before) {
			perror("halfproxy-simulate: rings");
			exit(1);
		}
	}
}

void schemes_destroy(struct schemes *schemes)
{
	for (int i = 0; i < SCHEMES; i++)
		table_destroy(&schemes->tables[i]);
	for (int i = 0; i < 2; i++)
		free(schemes->ours[i].before);
}

static struct entry *entry_of(struct table *table, const struct moment *m)
{
	uint32_t number = m->number ? m->flows[m->number].entry[table->scheme] : 0;

	return number ? &table->entries[number] : NULL;
}

static uint32_t number_of(const struct table *table, const struct entry *entry)
{
	return (uint32_t)(entry - table->entries);
}

static struct entry *remember(struct table *table, const struct moment *m, uint32_t backend)
{
	uint32_t number = table_add(table, m->flows, m->number, backend, m->now_ms);

	return &table->entries[number];
}

/* katran: a SYN goes by the ring and is remembered; whatever else is looked up, and remembered if it was not there. */
static uint32_t through_lru(struct schemes *schemes, struct table *table, const struct moment *m)
{
	struct entry *entry = entry_of(table, m);

	if (!entry || !site_lives(schemes->site, entry->backend)) {
		if (entry)
			table_remove(table, m->flows, number_of(table, entry));
		remember(table, m, m->found[WAY_RING]);
		return m->found[WAY_RING];
	}
	entry->seen_ms = m->now_ms;
	table_touch(table, number_of(table, entry));
	return entry->backend;
}

/* JET: what is tracked goes where it went; whatever else by the hash, and it is tracked when its slot is unsafe. */
static uint32_t through_jet(struct schemes *schemes, struct table *table, const struct moment *m)
{
	struct entry *entry = entry_of(table, m);

	if (entry && !site_lives(schemes->site, entry->backend)) {
		table_remove(table, m->flows, number_of(table, entry));
		entry = NULL;
	}
	if (!entry && m->is_unsafe)
		entry = remember(table, m, m->found[WAY_JET]);
	if (!entry)
		return m->found[WAY_JET];
	entry->seen_ms = m->now_ms;
	entry->marks |= m->kind == HP_PACKET_FIN ? HP_FLOW_FIN : 0;
	table_touch(table, number_of(table, entry));
	return entry->backend;
}

static struct hp_situation situation(const struct schemes *schemes, const struct ours *ours, const struct moment *m,
				     const struct entry *entry)
{
	struct hp_situation s = {
		.motion = ours->motion.flags,
		.now = m->found[WAY_RING],
		.before = ours->has_before ? ours->before[m->slot] : 0,
		.kind = (__u8)m->kind,
	};

	s.before_lives = site_lives(schemes->site, s.before);
	if (entry) {
		s.is_known = 1;
		s.known = entry->backend;
		s.known_lives = site_lives(schemes->site, entry->backend);
		s.is_unproven = !entry->is_kept;
		s.marks = entry->marks;
		s.age_ns = (m->now_ms - entry->since_ms) * NS_A_MS;
	}
	return s;
}

static void deed(struct table *table, const struct moment *m, struct entry *entry, const struct hp_choice *choice)
{
	switch ((enum hp_deed)choice->deed) {
	case HP_DEED_NONE:
		break;
	case HP_DEED_REMEMBER:
		if (entry)
			table_remove(table, m->flows, number_of(table, entry));
		entry = remember(table, m, choice->backend);
		entry->marks = (uint8_t)choice->marks;
		break;
	case HP_DEED_PROMOTE:
		table_keep(table, number_of(table, entry));
		entry->seen_ms = m->now_ms;
		entry->marks = (uint8_t)choice->marks;
		break;
	case HP_DEED_REFRESH:
		entry->seen_ms = m->now_ms;
		entry->marks = (uint8_t)choice->marks;
		break;
	case HP_DEED_MARK:
		entry->marks = (uint8_t)choice->marks;
		break;
	case HP_DEED_FORGET:
		table_remove(table, m->flows, number_of(table, entry));
		break;
	}
}

/* As the director's program: a steady service asks nobody, nor does one without need where its rings agree. */
static uint32_t through_ours(struct schemes *schemes, struct table *table, const struct ours *ours, const struct moment *m)
{
	struct hp_situation s = situation(schemes, ours, m, NULL);
	struct hp_choice choice;
	struct entry *entry;

	if (motion_is_steady(&ours->motion) || (s.now == s.before && !(s.motion & HP_MOTION_ASKS)))
		return s.now;
	entry = entry_of(table, m);
	if (entry)
		table_touch(table, number_of(table, entry));
	s = situation(schemes, ours, m, entry);
	choice = hp_rule(&s);
	deed(table, m, entry, &choice);
	return choice.backend;
}

static uint32_t through(struct schemes *schemes, enum scheme_kind kind, const struct moment *m)
{
	struct table *table = &schemes->tables[kind];

	switch (kind) {
	case SCHEME_MODULO:
	case SCHEME_MAGLEV:
		return m->found[ways[kind]];
	case SCHEME_LRU_ALIVE:
	case SCHEME_LRU_TEN:
	case SCHEME_LRU_WINDOW:
		return through_lru(schemes, table, m);
	case SCHEME_JET:
		return through_jet(schemes, table, m);
	case SCHEME_OURS:
	case SCHEME_CHANCE:
		return through_ours(schemes, table, &schemes->ours[kind - SCHEME_OURS], m);
	case SCHEMES:
		break;
	}
	return 0;
}

static bool is_passed_on(struct schemes *schemes, enum scheme_kind kind, const struct moment *m, uint32_t picked, uint32_t home)
{
	const struct ours *ours = &schemes->ours[1];
	uint32_t before;

	if (kind != SCHEME_CHANCE)
		return false;
	before = ours->has_before ? ours->before[m->slot] : 0;
	if (hp_rule_alternate(picked, m->found[WAY_RING], before, site_lives(schemes->site, before)) != home)
		return false;
	schemes->passed_on++;
	return true;
}

static enum silence silence_of(const struct schemes *schemes, uint32_t silent_ms)
{
	if (silent_ms > schemes->window_ms)
		return SILENT_LONGER;
	if (silent_ms < 1000)
		return SILENT_SECOND;
	if (silent_ms < 60 * 1000)
		return SILENT_MINUTE;
	return silent_ms < 3600 * 1000 ? SILENT_HOUR : SILENT_WINDOW;
}

static void judge(struct schemes *schemes, enum scheme_kind kind, const struct moment *m, uint32_t picked)
{
	struct flow *flow = &m->flows[m->number];
	uint32_t home = flow->home[ways[kind]];

	if (picked == home || is_passed_on(schemes, kind, m, picked, home))
		return;
	flow->done |= (uint8_t)(1u << kind);
	if (site_lives(schemes->site, home))
		schemes->broken[kind][silence_of(schemes, m->now_ms - flow->last_ms)]++;
}

static void find(const struct schemes *schemes, struct moment *m)
{
	const struct site *site = schemes->site;
	uint32_t jet;

	m->slot = hp_slot(m->hash, site->size);
	jet = site->jet[m->slot];
	m->found[WAY_MODULO] = site->modulo[m->hash % site->modulo_count];
	m->found[WAY_RING] = site->ring[m->slot];
	m->found[WAY_JET] = jet & ~SITE_UNSAFE;
	m->is_unsafe = jet & SITE_UNSAFE;
}

void schemes_packet(struct schemes *schemes, struct flow *flows, uint32_t number, int kind, uint32_t now_ms)
{
	struct flow *flow = &flows[number];
	struct moment m = {.flows = flows, .number = number, .hash = flow->hash, .kind = kind, .now_ms = now_ms};

	find(schemes, &m);
	for (int way = 0; kind == HP_PACKET_OPENING && way < FLOW_WAYS; way++)
		flow->home[way] = (uint16_t)m.found[way];
	for (int i = 0; i < SCHEMES; i++)
		if (!(flow->done >> i & 1))
			judge(schemes, (enum scheme_kind)i, &m, through(schemes, (enum scheme_kind)i, &m));
	flow->last_ms = now_ms;
}

void schemes_flood(struct schemes *schemes, struct flow *flows, uint32_t hash, uint32_t now_ms)
{
	struct moment m = {.flows = flows, .hash = hash, .kind = HP_PACKET_OPENING, .now_ms = now_ms};

	find(schemes, &m);
	for (int i = SCHEME_LRU_ALIVE; i < SCHEMES; i++)
		through(schemes, (enum scheme_kind)i, &m);
}

void schemes_before_change(struct schemes *schemes, uint32_t now_ms)
{
	const struct site *site = schemes->site;

	for (int i = 0; i < 2; i++) {
		struct ours *ours = &schemes->ours[i];
		enum motion_before what = motion_change(&ours->motion, true, schemes->window_ms / 1000, now_ms / 1000);

		if (what == MOTION_TAKE)
			memcpy(ours->before, site->ring, site->size * sizeof(*site->ring));
		ours->has_before = what != MOTION_DROP;
	}
}

void schemes_after_change(struct schemes *schemes)
{
	const struct ours *ours = &schemes->ours[0];
	uint32_t differ = 0;

	for (uint32_t i = 0; i < schemes->site->size; i++)
		differ += ours->before[i] != schemes->site->ring[i];
	if ((double)differ / schemes->site->size > schemes->differ)
		schemes->differ = (double)differ / schemes->site->size;
}

void schemes_give_up(struct schemes *schemes, struct flow *flows, uint32_t backend)
{
	for (int i = 0; i < 2; i++) {
		struct table *table = &schemes->tables[SCHEME_OURS + i];

		for (uint32_t n = 1; n <= table->used; n++)
			if (table->entries[n].backend == backend)
				table_remove(table, flows, n);
		for (uint32_t slot = 0; slot < schemes->site->size; slot++)
			if (schemes->ours[i].before[slot] == backend)
				schemes->ours[i].before[slot] = 0;
	}
}

void schemes_forget(struct schemes *schemes, const struct flow *flow)
{
	for (int i = 0; i < SCHEMES; i++)
		if (flow->entry[i])
			schemes->tables[i].entries[flow->entry[i]].flow = 0;
}

/* Who has been silent for longer than the window, or is closing and silent for a minute. */
static void sweep(struct schemes *schemes, struct table *table, struct flow *flows, uint32_t now_ms)
{
	for (uint32_t n = 1; n <= table->used; n++) {
		const struct entry *entry = &table->entries[n];
		uint32_t silent_ms = now_ms - entry->seen_ms;

		if (entry->backend && (silent_ms > schemes->window_ms ||
				       (entry->marks & HP_FLOW_CLOSING && silent_ms * NS_A_MS > HP_CLOSING_NS)))
			table_remove(table, flows, n);
	}
}

void schemes_sweep(struct schemes *schemes, struct flow *flows, uint32_t now_ms)
{
	struct table *lru = &schemes->tables[SCHEME_LRU_WINDOW];

	while (lru->oldest && now_ms - lru->entries[lru->oldest].seen_ms > schemes->window_ms)
		table_remove(lru, flows, lru->oldest);
	sweep(schemes, &schemes->tables[SCHEME_JET], flows, now_ms);
	for (int i = 0; i < 2; i++) {
		struct table *table = &schemes->tables[SCHEME_OURS + i];
		struct ours *ours = &schemes->ours[i];

		motion_end_window(&ours->motion, table->kept >= table->kept_most, now_ms / 1000);
		sweep(schemes, table, flows, now_ms);
		if (ours->motion.flags & HP_MOTION_SETTLING && !table->fresh && !table->kept &&
		    motion_rest(&ours->motion, ours->has_chance) == MOTION_DROP)
			ours->has_before = false;
	}
}

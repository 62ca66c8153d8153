/* A small world of flows, backends and one service, run by the real rules: bpf/rules.h and src/core/motion.h.
 *
 * What is modelled is what stands between the rules: the two tables of remembered flows, the daemon that sweeps them and
 * ends the window, backends that die and return. Beside it stands the truth about every flow, which no director knows,
 * and judge() holds each packet against one sentence: no packet of a flow reaches another living backend than its opening
 * packet did. What the manual excepts stands in excused(), is_reopened(), and nowhere else.
 *
 * A world holds ages, not times, so that equal worlds are equal bytes and can be searched (continuity_search.h). */
#ifndef HP_TEST_CONTINUITY_WORLD_H
#define HP_TEST_CONTINUITY_WORLD_H

#include "unit.h"

#include "core/motion.h"
#include "rules.h"

#define WORLD_FLOWS    8
#define WORLD_BACKENDS 4  /* numbers 1 to 4 */
#define TICKS	       2  /* a second */
#define WINDOW_S       100
#define SILENT	       (WINDOW_S * TICKS + 1) /* ages end here: longer than the window */
#define CLOSED	       (60 * TICKS + 1)
#define NOW_S	       1000 /* always */

/* What the search runs on. */
struct scene {
	const char *name;
	uint8_t flows, backends;
	uint8_t unproven_most, flows_most; /* sizes of the tables */
	bool is_udp;
	bool has_chance; /* gue with a second chance */
	bool has_rings;	 /* rings are built from a configuration; else a change names each flow's backend */
	uint8_t depth;	 /* of the search without rings: actions */
};

static const struct scene *scene;

/* Ways to be wrong on purpose, to see that they are found. */
enum mutant {
	NO_MUTANT,
	/* rules.h */
	UNKNOWN_TO_NOW,
	UNKNOWN_NOT_REMEMBERED,
	UNKNOWN_TO_DEAD,
	UNKNOWN_REMEMBERED_BY_RST,
	UNKNOWN_REMEMBERED_BY_ERROR,
	FIN_NOT_REMEMBERED,
	SETTLING_TO_BEFORE,
	SETTLING_REMEMBERS,
	OPENING_TO_BEFORE,
	OPENING_NOT_REMEMBERED,
	OPENING_ALWAYS_REMEMBERED,
	OPENING_KEEPS_OLD_ENTRY,
	OPENING_MOVES_LIVE_FLOW,
	OPENING_FOLLOWS_CLOSING_FLOW,
	OPENING_FOLLOWS_DEAD_BACKEND,
	KNOWN_TO_DEAD,
	KNOWN_MOVED_WHEN_DEAD,
	KNOWN_NOT_REFRESHED,
	RST_FORGETS,
	RST_NEVER_REVIVED,
	FIN_NOT_MARKED,
	NEVER_PROMOTED,
	PROMOTED_AT_ONCE,
	EITHER_NOT_REMEMBERED,
	ALTERNATE_ALWAYS_NOW,
	ALTERNATE_NOW_FIRST,
	/* motion.c */
	CHANGE_TAKES_WHILE_MOVING,
	CHANGE_KEEPS_WHILE_SETTLING,
	CHANGE_NEVER_ASKS,
	CHANGE_KEEPS_WINDOW,
	WINDOW_ROUNDED_DOWN,
	SETTLING_FORGETS_TO_ASK,
	SPLIT_STARTS_STEADY,
	SPLIT_NEVER_ASKS,
	SPLIT_TAKES_NOW,
	FULL_TABLE_ENDS_WINDOW,
	/* the tables and the daemon, as motion.h wants them */
	OLD_ENTRY_STAYS_PROVEN,
	SWEPT_PROVEN_FIRST,
	REST_AFTER_HALF_A_PASS,
	REST_AFTER_EARLY_PASS,
	SWEPT_EARLY,
	ZERO_WINDOW_KEEPS_FLOWS,
	DEADLINE_KEEPS_BEFORE,
	PUBLISHED_BEFORE_UNTIL,
	MUTANTS
};

static enum mutant mutant;

enum world_truth {
	TRUTH_FIN = 1,	    /* the client has sent its FIN */
	TRUTH_RST = 2,	    /* an RST, real or forged, since its last packet */
	TRUTH_LOST = 4,	    /* broken, and excused */
	TRUTH_ADRIFT = 8,   /* what was remembered of it was lost, and excused */
	TRUTH_CHANGED = 16, /* a ring has changed since its last packet */
	TRUTH_PROVEN = 32,  /* a packet but SYN or RST came a second after it was remembered, and there was room */
};

struct truth {
	uint8_t home;	/* the backend that its opening packet reached; 0: there is no flow */
	uint8_t silent; /* ticks since its last packet; an RST and an ICMP error are none */
	uint8_t marks;	/* enum world_truth */
};

struct entry {
	uint8_t backend; /* 0: no entry */
	uint8_t marks;	 /* HP_FLOW_* */
	uint8_t since;	 /* ages in ticks */
	uint8_t seen;
	uint8_t rank; /* of unproven: 1 is the least recently used */
};

/* What rings are built from. */
struct world_setting {
	uint8_t weight[WORLD_BACKENDS + 1];
	uint8_t is_drained[WORLD_BACKENDS + 1];
	uint8_t seed, size;
};

struct world {
	uint8_t moving, settling, asks; /* as the service's record has them */
	uint8_t left_s;			/* of the window */
	uint8_t half;			/* ticks since the last whole second */
	uint8_t has_ring;
	uint8_t now[WORLD_FLOWS], before[WORLD_FLOWS]; /* what the rings say for each flow */
	uint8_t is_dead[WORLD_BACKENDS + 1];
	uint8_t is_removed[WORLD_BACKENDS + 1];
	uint8_t deadline[WORLD_BACKENDS + 1]; /* ticks until a removed backend is given up; 0: it is, or is not removed */
	uint8_t is_sweeping, sweep_counts, sweep_found;
	uint8_t is_full; /* strangers fill the table of proven flows */
	struct entry proven[WORLD_FLOWS], unproven[WORLD_FLOWS];
	struct truth truth[WORLD_FLOWS];
	struct world_setting setting, former;
};

/* What was found wrong, first; NULL: nothing. */
static const char *breach;

static void breached(const char *what)
{
	if (!breach)
		breach = what;
}

static bool is(enum mutant m)
{
	return mutant == m;
}

static bool lives(const struct world *w, uint8_t backend)
{
	return backend && !w->is_dead[backend] && (!w->is_removed[backend] || w->deadline[backend]);
}

static bool is_given_up(const struct world *w, uint8_t backend)
{
	return w->is_removed[backend] && !w->deadline[backend];
}

static bool is_steady(const struct world *w)
{
	return !w->moving && !w->settling;
}

/* ---- the tables ----------------------------------------------------------------------------------------------- */

static unsigned int count(const struct entry *table)
{
	unsigned int n = 0;

	for (unsigned int f = 0; f < scene->flows; f++)
		n += table[f].backend != 0;
	return n;
}

static void drop_unproven(struct world *w, unsigned int f)
{
	uint8_t rank = w->unproven[f].rank;

	w->unproven[f] = (struct entry){0};
	for (unsigned int g = 0; g < scene->flows; g++)
		if (rank && w->unproven[g].rank > rank)
			w->unproven[g].rank--;
}

static void drop(struct world *w, unsigned int f)
{
	w->proven[f] = (struct entry){0};
	drop_unproven(w, f);
}

/* What makes an entry of the table of unproven flows the most recently used. */
static void touch(struct world *w, unsigned int f)
{
	struct entry entry = w->unproven[f];

	drop_unproven(w, f);
	entry.rank = (uint8_t)(count(w->unproven) + 1);
	w->unproven[f] = entry;
}

/* A stranger wants the place of the least recently used. */
static void evict(struct world *w)
{
	for (unsigned int f = 0; f < scene->flows; f++) {
		if (w->unproven[f].rank != 1)
			continue;
		if (w->truth[f].marks & TRUTH_PROVEN)
			breached("a proven flow was evicted");
		w->truth[f].marks |= TRUTH_ADRIFT;
		drop_unproven(w, f);
		return;
	}
}

static void remember(struct world *w, unsigned int f, uint32_t backend, uint32_t marks)
{
	if (!is(OLD_ENTRY_STAYS_PROVEN))
		w->proven[f] = (struct entry){0};
	drop_unproven(w, f);
	while (count(w->unproven) >= scene->unproven_most)
		evict(w);
	w->unproven[f] = (struct entry){.backend = (uint8_t)backend, .marks = (uint8_t)marks};
	w->truth[f].marks &= (uint8_t)~TRUTH_PROVEN;
	touch(w, f);
}

static bool is_full(const struct world *w)
{
	return w->is_full || count(w->proven) >= scene->flows_most;
}

static struct entry *find(struct world *w, unsigned int f)
{
	if (w->proven[f].backend)
		return &w->proven[f];
	if (!w->unproven[f].backend)
		return NULL;
	touch(w, f);
	return &w->unproven[f];
}

static void promote(struct world *w, unsigned int f)
{
	if (is_full(w))
		return;
	w->proven[f] = w->unproven[f];
	w->proven[f].rank = 0;
	drop_unproven(w, f);
}

/* ---- a packet through the rules ---------------------------------------------------------------------------------- */

static struct hp_situation situation(struct world *w, unsigned int f, enum hp_packet_kind kind, const struct entry *entry)
{
	struct hp_situation s = {
		.motion = (w->moving ? HP_MOTION_MOVING : 0) | (w->settling ? HP_MOTION_SETTLING : 0) |
			  (w->asks ? HP_MOTION_ASKS : 0),
		.now = w->now[f],
		.before = w->before[f],
		.before_lives = lives(w, w->before[f]),
		.kind = (__u8)kind,
	};

	if (entry) {
		s.is_known = 1;
		s.known = entry->backend;
		s.known_lives = lives(w, entry->backend);
		s.marks = entry->marks;
		s.is_unproven = entry == &w->unproven[f];
		s.age_ns = entry->since * (1000000000ULL / TICKS);
	}
	return s;
}

#include "continuity_mutants.h"

/* Do what the choice says, and see that nothing is remembered that need not be. */
static void deed(struct world *w, unsigned int f, const struct hp_situation *s, struct entry *entry,
		 const struct hp_choice *choice)
{
	bool is_late = entry && entry->since >= TICKS;
	bool proves = s->kind != HP_PACKET_RST && s->kind != HP_PACKET_OPENING;

	if (entry && !s->known_lives && s->kind != HP_PACKET_OPENING && choice->deed != HP_DEED_NONE)
		breached("what is remembered of a flow changed while its backend was dead");
	if (s->kind == HP_PACKET_FIN && choice->deed != HP_DEED_NONE && !(choice->marks & HP_FLOW_FIN))
		breached("a FIN was not marked");
	switch ((enum hp_deed)choice->deed) {
	case HP_DEED_NONE:
		break;
	case HP_DEED_REMEMBER:
		if (!w->moving || s->now == s->before || s->kind == HP_PACKET_RST || s->kind == HP_PACKET_ABOUT)
			breached("remembered without need");
		remember(w, f, choice->backend, choice->marks);
		break;
	case HP_DEED_REFRESH:
	case HP_DEED_PROMOTE:
		entry->seen = 0;
		entry->marks = (uint8_t)choice->marks;
		if (is_late && proves && !is_full(w))
			w->truth[f].marks |= TRUTH_PROVEN;
		if (choice->deed == HP_DEED_PROMOTE && !(is_late && proves))
			breached("promoted before its time");
		if (choice->deed == HP_DEED_PROMOTE)
			promote(w, f);
		break;
	case HP_DEED_MARK:
		entry->marks = (uint8_t)choice->marks;
		break;
	case HP_DEED_FORGET:
		drop(w, f);
		break;
	}
}

/* As the program does it: a steady service asks nobody, and where rings agree nobody is asked without need. */
static uint32_t pass(struct world *w, unsigned int f, struct hp_situation *s)
{
	struct entry *entry;
	struct hp_choice choice;

	*s = situation(w, f, (enum hp_packet_kind)s->kind, NULL);
	if (is_steady(w) || (s->now == s->before && !w->asks))
		return s->now;
	entry = find(w, f);
	*s = situation(w, f, (enum hp_packet_kind)s->kind, entry);
	choice = choose(s);
	deed(w, f, s, entry, &choice);
	return choice.backend;
}

/* ---- the truth --------------------------------------------------------------------------------------------------- */

static bool counts(uint8_t kind)
{
	return kind != HP_PACKET_RST && kind != HP_PACKET_ABOUT;
}

/* Whether what the director knows leads the flow's next packet home. */
static bool is_held(const struct world *w, unsigned int f)
{
	uint8_t home = w->truth[f].home;

	if (w->proven[f].backend || w->unproven[f].backend)
		return (w->proven[f].backend ? w->proven[f].backend : w->unproven[f].backend) == home;
	return (w->moving ? w->before[f] : w->now[f]) == home;
}

/* Whether this packet opens a flow: by the truth, or by what the manual says of a SYN. */
static bool is_reopened(const struct world *w, const struct truth *t, const struct hp_situation *s)
{
	if (scene->is_udp)
		return s->kind != HP_PACKET_ABOUT && (!t->home || t->silent >= SILENT);
	if (s->kind != HP_PACKET_OPENING)
		return false;
	if (!lives(w, t->home) || t->marks & (TRUTH_LOST | TRUTH_FIN))
		return true;
	if (s->is_known)
		return t->marks & TRUTH_RST && s->marks & HP_FLOW_CLOSING; /* a SYN on a closing flow is a new opening */
	return t->marks & TRUTH_CHANGED; /* a SYN sent before and again after a change */
}

/* What the manual says may be lost. */
static bool excused(const struct truth *t)
{
	if (t->silent >= SILENT)
		return true;
	if (t->marks & (TRUTH_FIN | TRUTH_RST) && t->silent >= CLOSED)
		return true;
	return t->marks & TRUTH_ADRIFT; /* evicted before its proof */
}

static void open_flow(struct truth *t, uint32_t got, const struct hp_situation *s)
{
	bool follows = s->is_known && s->known_lives && !(s->marks & HP_FLOW_CLOSING);

	if (!scene->is_udp && !follows && got != s->now)
		breached("a new flow was not sent to where new flows go");
	*t = (struct truth){.home = (uint8_t)got, .marks = t->marks & TRUTH_PROVEN};
	if (scene->is_udp && s->is_known && !s->known_lives)
		t->marks |= TRUTH_LOST; /* nobody can tell it from the former flow, whose backend is dead */
}

/* With a second chance a backend without the socket passes a packet under way on to the other that the rings name. */
static bool has_chance(const struct world *w, unsigned int f, const struct hp_situation *s, uint32_t got)
{
	uint8_t home = w->truth[f].home;
	uint32_t other = alternate(got, w->now[f], w->before[f], lives(w, w->before[f]));

	if (!scene->has_chance || !got || s->kind == HP_PACKET_OPENING)
		return false;
	if (other != home && (home == w->before[f] || (home == w->now[f] && got == w->before[f])))
		breached("the second chance misses the flow's backend");
	return other == home;
}

static void spoke(struct world *w, unsigned int f, const struct hp_situation *s)
{
	struct truth *t = &w->truth[f];

	if (!counts(s->kind))
		return;
	if (excused(t))
		t->marks |= TRUTH_ADRIFT;
	if (is_held(w, f))
		t->marks &= (uint8_t)~TRUTH_ADRIFT;
	t->marks &= (uint8_t)~(TRUTH_RST | TRUTH_CHANGED);
	if (s->kind == HP_PACKET_FIN)
		t->marks |= TRUTH_FIN;
	t->silent = 0;
}

static void judge(struct world *w, unsigned int f, const struct hp_situation *s, uint32_t got)
{
	struct truth *t = &w->truth[f];

	if (got && !lives(w, (uint8_t)got))
		breached("a packet was sent to a dead backend");
	if (is_reopened(w, t, s)) {
		open_flow(t, got, s);
		return;
	}
	if (!t->home || t->marks & TRUTH_LOST) {
		if (counts(s->kind))
			t->silent = 0;
		return;
	}
	if (got == t->home || (lives(w, t->home) && has_chance(w, f, s, got))) {
		spoke(w, f, s);
		return;
	}
	if (lives(w, t->home) && !excused(t))
		breached("a packet of a flow reached another backend than its opening packet");
	if (counts(s->kind)) {
		t->marks |= TRUTH_LOST;
		t->silent = 0;
	}
}

static void packet(struct world *w, unsigned int f, enum hp_packet_kind kind)
{
	struct hp_situation s = {.kind = (__u8)kind};
	uint32_t got = pass(w, f, &s);

	judge(w, f, &s, got);
}

/* The client gives up: its RST has to reach the backend, and what still comes is of no flow. */
static void reset(struct world *w, unsigned int f)
{
	packet(w, f, HP_PACKET_RST);
	w->truth[f] = (struct truth){0};
}

static void forge_reset(struct world *w, unsigned int f)
{
	packet(w, f, HP_PACKET_RST);
	if (w->truth[f].home)
		w->truth[f].marks |= TRUTH_RST;
}

#endif

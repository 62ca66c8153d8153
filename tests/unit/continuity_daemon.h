/* The daemon of the world of continuity_world.h, and its clock: changes, the window's end, sweeps, deadlines. What it must
 * do beside calling motion.h is what motion.h asks of its caller. */
#ifndef HP_TEST_CONTINUITY_DAEMON_H
#define HP_TEST_CONTINUITY_DAEMON_H

#include "continuity_world.h"

/* ---- the daemon -------------------------------------------------------------------------------------------------- */

static struct motion motion_of(const struct world *w)
{
	return (struct motion){
		.flags = (w->moving ? HP_MOTION_MOVING : 0) | (w->settling ? HP_MOTION_SETTLING : 0) |
			 (w->asks ? HP_MOTION_ASKS : 0),
		.until_s = w->moving ? (uint64_t)(NOW_S + w->left_s) : 0,
	};
}

static void set_motion(struct world *w, const struct motion *motion)
{
	w->moving = !!(motion->flags & HP_MOTION_MOVING);
	w->settling = !!(motion->flags & HP_MOTION_SETTLING);
	w->asks = !!(motion->flags & HP_MOTION_ASKS);
	w->left_s = w->moving ? (uint8_t)(motion->until_s - NOW_S) : 0;
	w->sweep_counts = is(REST_AFTER_EARLY_PASS) ? w->sweep_counts : 0;
}

static void set_now(struct world *w, const uint8_t *now)
{
	memcpy(w->now, now, sizeof(w->now));
	w->has_ring = now[0] != 0;
	for (unsigned int f = 0; f < scene->flows; f++)
		if (w->truth[f].home)
			w->truth[f].marks |= TRUTH_CHANGED;
}

static void set_before(struct world *w, enum motion_before what)
{
	if (what == MOTION_TAKE)
		memcpy(w->before, w->now, sizeof(w->before));
	else if (what == MOTION_DROP)
		memset(w->before, 0, sizeof(w->before));
}

static void change(struct world *w, const uint8_t *now)
{
	struct motion motion = motion_of(w);

	set_before(w, change_motion(w, &motion, WINDOW_S));
	set_motion(w, &motion);
	set_now(w, now);
}

/* Nothing is lived through: what was remembered is dropped before the ring is published. */
static void change_at_once(struct world *w, const uint8_t *now)
{
	struct motion motion = motion_of(w);

	set_before(w, change_motion(w, &motion, 0));
	set_motion(w, &motion);
	set_now(w, now);
	for (unsigned int f = 0; f < scene->flows; f++) {
		if (!is(ZERO_WINDOW_KEEPS_FLOWS))
			drop(w, f);
		if (w->truth[f].home != w->now[f])
			w->truth[f].marks |= TRUTH_LOST;
	}
}

/* The daemon is killed between the two writes of a change: the window's end, then the service's record. */
static void killed_in_change(struct world *w, const uint8_t *now)
{
	struct motion motion = motion_of(w);
	enum motion_before what = change_motion(w, &motion, WINDOW_S);
	uint8_t left_s = w->left_s;

	if (is(PUBLISHED_BEFORE_UNTIL)) {
		set_before(w, what);
		set_motion(w, &motion);
		set_now(w, now);
		w->left_s = left_s;
	} else if (w->moving) {
		w->left_s = (uint8_t)(motion.until_s - NOW_S);
	}
	w->is_sweeping = 0;
}

/* Our port leaves a service of any port, and becomes one with a ring of its own. */
static void split(struct world *w, const uint8_t *now)
{
	struct motion former = motion_of(w), motion;

	if (!w->moving || is(SPLIT_TAKES_NOW))
		memcpy(w->before, w->now, sizeof(w->before));
	split_motion(&motion, &former);
	set_motion(w, &motion);
	set_now(w, now);
	w->is_sweeping = 0;
}

static void end_window(struct world *w)
{
	struct motion motion = motion_of(w);

	if (!motion_end_window(&motion, is_full(w) && !is(FULL_TABLE_ENDS_WINDOW), NOW_S))
		return;
	if (is_full(w))
		breached("the window ended while the table of flows was full");
	if (is(SETTLING_FORGETS_TO_ASK))
		motion.flags &= ~HP_MOTION_ASKS;
	set_motion(w, &motion);
}

static void rest(struct world *w)
{
	struct motion motion = motion_of(w);

	set_before(w, motion_rest(&motion, scene->has_chance));
	set_motion(w, &motion);
}

static bool is_over(const struct entry *entry)
{
	uint8_t closed = is(SWEPT_EARLY) ? CLOSED / 2 : CLOSED;

	return entry->seen >= SILENT || (entry->marks & HP_FLOW_CLOSING && entry->seen >= closed);
}

static void visit(struct world *w, struct entry *table)
{
	for (unsigned int f = 0; f < scene->flows; f++) {
		if (!table[f].backend)
			continue;
		if (!is_over(&table[f]))
			w->sweep_found = 1;
		else if (table == w->unproven)
			drop_unproven(w, f);
		else
			table[f] = (struct entry){0};
	}
}

/* Half a pass: the unproven flows, then the others, since a flow goes from there to here. */
static void sweep(struct world *w)
{
	bool is_first = !w->is_sweeping;

	if (is_first) {
		w->sweep_counts = w->settling || is(REST_AFTER_EARLY_PASS);
		w->sweep_found = 0;
	}
	visit(w, is_first != is(SWEPT_PROVEN_FIRST) ? w->unproven : w->proven);
	w->is_sweeping = is_first;
	if ((is_first && !is(REST_AFTER_HALF_A_PASS)) || !w->settling || !w->sweep_counts || w->sweep_found)
		return;
	rest(w);
}

/* The deadline of a removed backend: its flows are given up. */
static void give_up(struct world *w, uint8_t backend)
{
	for (unsigned int f = 0; f < scene->flows; f++) {
		if (w->proven[f].backend == backend)
			w->proven[f] = (struct entry){0};
		if (w->unproven[f].backend == backend)
			drop_unproven(w, f);
		if (w->before[f] == backend && !is(DEADLINE_KEEPS_BEFORE))
			w->before[f] = 0;
		if (w->truth[f].home == backend)
			w->truth[f].marks |= TRUTH_LOST;
	}
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static uint8_t older(uint8_t age, uint8_t ticks, uint8_t most)
{
	return (uint8_t)(age + ticks > most ? most : age + ticks);
}

static void pass_time(struct world *w, uint8_t ticks)
{
	uint8_t seconds = (uint8_t)((w->half + ticks) / TICKS);

	w->half = (uint8_t)((w->half + ticks) % TICKS);
	w->left_s = (uint8_t)(w->left_s > seconds ? w->left_s - seconds : 0);
	for (unsigned int f = 0; f < scene->flows; f++) {
		for (int i = 0; i < 2; i++) {
			struct entry *entry = i ? &w->proven[f] : &w->unproven[f];

			if (!entry->backend)
				continue;
			entry->since = older(entry->since, ticks, TICKS);
			entry->seen = older(entry->seen, ticks, SILENT);
		}
		if (w->truth[f].home)
			w->truth[f].silent = older(w->truth[f].silent, ticks, SILENT);
	}
	for (uint8_t b = 1; b <= scene->backends; b++) {
		if (!w->deadline[b])
			continue;
		w->deadline[b] = (uint8_t)(w->deadline[b] > ticks ? w->deadline[b] - ticks : 0);
		if (!w->deadline[b])
			give_up(w, b);
	}
}

/* What must hold between packets. */
static void check_rest(const struct world *w)
{
	for (unsigned int f = 0; f < scene->flows; f++)
		if (is_given_up(w, w->before[f]) || is_given_up(w, w->proven[f].backend) ||
		    is_given_up(w, w->unproven[f].backend))
			breached("a backend that was given up is still named");
	for (unsigned int f = 0; is_steady(w) && f < scene->flows; f++)
		if (w->proven[f].backend || w->unproven[f].backend)
			breached("a flow is remembered of a steady service");
}

#endif

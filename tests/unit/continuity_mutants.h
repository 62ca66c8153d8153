/* The rules as the world of continuity_world.h asks them, and what each mutant makes of them. Without a mutant every
 * function here is the rule itself. */
#ifndef HP_TEST_CONTINUITY_MUTANTS_H
#define HP_TEST_CONTINUITY_MUTANTS_H

static const char *const mutant_names[MUTANTS] = {
	[UNKNOWN_TO_NOW] = "an unknown flow under way goes to now",
	[UNKNOWN_NOT_REMEMBERED] = "an unknown flow under way is not remembered",
	[UNKNOWN_TO_DEAD] = "an unknown flow under way goes to its dead backend",
	[UNKNOWN_REMEMBERED_BY_RST] = "an RST has an unknown flow remembered",
	[UNKNOWN_REMEMBERED_BY_ERROR] = "an ICMP error has an unknown flow remembered",
	[FIN_NOT_REMEMBERED] = "a FIN does not have an unknown flow remembered",
	[SETTLING_TO_BEFORE] = "an unknown flow of a settling service goes to before",
	[SETTLING_REMEMBERS] = "a settling service remembers openings",
	[OPENING_TO_BEFORE] = "a new flow goes to before",
	[OPENING_NOT_REMEMBERED] = "a new flow is not remembered",
	[OPENING_ALWAYS_REMEMBERED] = "a new flow is remembered where rings agree",
	[OPENING_KEEPS_OLD_ENTRY] = "a new flow that needs no memory leaves the old entry",
	[OPENING_MOVES_LIVE_FLOW] = "a SYN on a live flow opens it anew",
	[OPENING_FOLLOWS_CLOSING_FLOW] = "a SYN on a closing flow follows it",
	[OPENING_FOLLOWS_DEAD_BACKEND] = "a SYN follows a flow of a dead backend",
	[KNOWN_TO_DEAD] = "a remembered flow goes to its dead backend",
	[KNOWN_MOVED_WHEN_DEAD] = "a flow of a dead backend is opened anew by what is under way",
	[KNOWN_NOT_REFRESHED] = "a packet does not refresh",
	[RST_FORGETS] = "an RST has the flow forgotten",
	[RST_NEVER_REVIVED] = "what follows an RST does not revive the flow",
	[FIN_NOT_MARKED] = "a FIN is not marked",
	[NEVER_PROMOTED] = "no flow is proven",
	[PROMOTED_AT_ONCE] = "a flow is proven by its second packet, however soon",
	[EITHER_NOT_REMEMBERED] = "a UDP flow that finds its backend dead is not remembered",
	[ALTERNATE_ALWAYS_NOW] = "the second chance is always now",
	[ALTERNATE_NOW_FIRST] = "the second chance of a flow remembered from an earlier motion is now",
	[CHANGE_TAKES_WHILE_MOVING] = "a second change takes the first's ring as before",
	[CHANGE_KEEPS_WHILE_SETTLING] = "a change while settling keeps before",
	[CHANGE_NEVER_ASKS] = "a second change does not ask where rings agree",
	[CHANGE_KEEPS_WINDOW] = "a second change does not start the window anew",
	[WINDOW_ROUNDED_DOWN] = "the window ends within the second before its end",
	[SETTLING_FORGETS_TO_ASK] = "a settling service no longer asks where rings agree",
	[SPLIT_STARTS_STEADY] = "a port split off starts steady",
	[SPLIT_NEVER_ASKS] = "a port split off a moving service does not ask where rings agree",
	[SPLIT_TAKES_NOW] = "a port split off a moving service takes its now as before",
	[FULL_TABLE_ENDS_WINDOW] = "a full table does not hold the window open",
	[OLD_ENTRY_STAYS_PROVEN] = "a proven flow opened anew stays proven, and is found first",
	[SWEPT_PROVEN_FIRST] = "a sweep visits proven flows first, and misses who is promoted meanwhile",
	[REST_AFTER_HALF_A_PASS] = "a service rests after half a pass",
	[REST_AFTER_EARLY_PASS] = "a service rests after a pass that began before it settled",
	[SWEPT_EARLY] = "a closing flow is forgotten after half its time",
	[ZERO_WINDOW_KEEPS_FLOWS] = "a change with no window keeps what was remembered",
	[DEADLINE_KEEPS_BEFORE] = "a backend that is given up stays in before, and lives again when it is added again",
	[PUBLISHED_BEFORE_UNTIL] = "the service's record is written before its window's end",
};

/* What of the situation a mutant sees wrongly. */
static void tamper_situation(struct hp_situation *s)
{
	bool is_opening = s->kind == HP_PACKET_OPENING;

	if (is(SETTLING_TO_BEFORE) && !is_opening && !s->is_known)
		s->motion |= HP_MOTION_MOVING;
	if (is(SETTLING_REMEMBERS) && is_opening)
		s->motion |= HP_MOTION_MOVING;
	if (is(UNKNOWN_TO_DEAD))
		s->before_lives = 1;
	if (is(UNKNOWN_REMEMBERED_BY_RST) && s->kind == HP_PACKET_RST && !s->is_known)
		s->kind = HP_PACKET_UNDER_WAY;
	if (is(UNKNOWN_REMEMBERED_BY_ERROR) && s->kind == HP_PACKET_ABOUT && !s->is_known)
		s->kind = HP_PACKET_UNDER_WAY;
	if (is(KNOWN_TO_DEAD) && !is_opening)
		s->known_lives = 1;
	if (is(OPENING_FOLLOWS_CLOSING_FLOW) && is_opening)
		s->marks = 0;
	if (is(OPENING_FOLLOWS_DEAD_BACKEND) && is_opening)
		s->known_lives = 1;
	if (is(OPENING_MOVES_LIVE_FLOW) && is_opening)
		s->is_known = 0;
	if (is(KNOWN_MOVED_WHEN_DEAD) && s->is_known && !s->known_lives && s->kind == HP_PACKET_UNDER_WAY)
		s->kind = HP_PACKET_OPENING;
	if (is(FIN_NOT_MARKED) && s->kind == HP_PACKET_FIN)
		s->kind = HP_PACKET_UNDER_WAY;
	if (is(EITHER_NOT_REMEMBERED) && s->kind == HP_PACKET_EITHER)
		s->kind = HP_PACKET_UNDER_WAY;
	if (is(PROMOTED_AT_ONCE))
		s->age_ns = HP_PROVEN_AFTER_NS;
}

static void tamper_choice(const struct hp_situation *s, struct hp_choice *choice)
{
	bool is_opening = choice->marks == HP_FLOW_OPENED && choice->deed != HP_DEED_REFRESH;

	if (is(UNKNOWN_TO_NOW) && !s->is_known)
		choice->backend = s->now;
	if (is(UNKNOWN_NOT_REMEMBERED) && !s->is_known && !is_opening)
		choice->deed = HP_DEED_NONE;
	if (is(FIN_NOT_REMEMBERED) && !s->is_known && s->kind == HP_PACKET_FIN)
		choice->deed = HP_DEED_NONE;
	if (is(OPENING_TO_BEFORE) && s->kind == HP_PACKET_OPENING && !s->is_known && s->before_lives)
		choice->backend = s->before;
	if (is(OPENING_NOT_REMEMBERED) && choice->deed == HP_DEED_REMEMBER && is_opening)
		choice->deed = HP_DEED_NONE;
	if (is(OPENING_ALWAYS_REMEMBERED) && is_opening && choice->backend)
		choice->deed = HP_DEED_REMEMBER;
	if (is(OPENING_KEEPS_OLD_ENTRY) && choice->deed == HP_DEED_FORGET)
		choice->deed = HP_DEED_NONE;
	if (is(KNOWN_NOT_REFRESHED) && (choice->deed == HP_DEED_REFRESH || choice->deed == HP_DEED_PROMOTE))
		choice->deed = HP_DEED_MARK;
	if (is(RST_FORGETS) && s->is_known && s->kind == HP_PACKET_RST)
		choice->deed = HP_DEED_FORGET;
	if (is(RST_NEVER_REVIVED) && s->is_known)
		choice->marks |= s->marks & HP_FLOW_RST;
	if (is(NEVER_PROMOTED) && choice->deed == HP_DEED_PROMOTE)
		choice->deed = HP_DEED_REFRESH;
}

static struct hp_choice choose(const struct hp_situation *given)
{
	struct hp_situation s = *given;
	struct hp_choice choice;

	tamper_situation(&s);
	choice = hp_rule(&s);
	tamper_choice(&s, &choice);
	return choice;
}

static uint32_t alternate(uint32_t picked, uint32_t now, uint32_t before, bool before_lives)
{
	if (is(ALTERNATE_ALWAYS_NOW) || (is(ALTERNATE_NOW_FIRST) && picked != now))
		return now;
	return hp_rule_alternate(picked, now, before, before_lives);
}

static enum motion_before change_motion(const struct world *w, struct motion *motion, uint32_t window_s)
{
	struct motion former = *motion;
	enum motion_before what = motion_change(motion, w->has_ring, window_s, NOW_S);

	if (is(CHANGE_TAKES_WHILE_MOVING) && window_s)
		what = MOTION_TAKE;
	if (is(CHANGE_KEEPS_WHILE_SETTLING) && former.flags & HP_MOTION_SETTLING)
		what = MOTION_KEEP;
	if (is(CHANGE_NEVER_ASKS))
		motion->flags &= ~HP_MOTION_ASKS;
	if (is(CHANGE_KEEPS_WINDOW) && former.flags & HP_MOTION_MOVING && window_s)
		motion->until_s = former.until_s;
	if (is(WINDOW_ROUNDED_DOWN) && motion->until_s)
		motion->until_s = NOW_S + window_s;
	return what;
}

static void split_motion(struct motion *motion, const struct motion *former)
{
	motion_split(motion, former, WINDOW_S, NOW_S);
	if (is(SPLIT_STARTS_STEADY))
		*motion = (struct motion){0};
	if (is(SPLIT_NEVER_ASKS))
		motion->flags &= ~HP_MOTION_ASKS;
}

#endif

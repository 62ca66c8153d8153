/* Motion: see motion.h. */
#include "core/motion.h"

#include "abi.h"

/* Now may be all but a second later than now_s says, and a flow may be silent for all of the window. */
static void begin(struct motion *motion, uint32_t flags, uint32_t window_s, uint64_t now_s)
{
	motion->flags = HP_MOTION_MOVING | flags;
	motion->until_s = now_s + window_s + 1;
}

enum motion_before motion_change(struct motion *motion, bool had_ring, uint32_t window_s, uint64_t now_s)
{
	uint32_t former = motion->flags;

	if (!window_s || (!former && !had_ring)) {
		*motion = (struct motion){0};
		return MOTION_DROP;
	}
	begin(motion, former ? HP_MOTION_ASKS : 0, window_s, now_s);
	return former & HP_MOTION_MOVING ? MOTION_KEEP : MOTION_TAKE;
}

void motion_split(struct motion *motion, const struct motion *former, uint32_t window_s, uint64_t now_s)
{
	*motion = (struct motion){0};
	if (window_s)
		begin(motion, former->flags ? HP_MOTION_ASKS : 0, window_s, now_s);
}

bool motion_end_window(struct motion *motion, bool table_is_full, uint64_t now_s)
{
	if (!(motion->flags & HP_MOTION_MOVING) || table_is_full || now_s < motion->until_s)
		return false;
	motion->flags = HP_MOTION_SETTLING | (motion->flags & HP_MOTION_ASKS);
	motion->until_s = 0;
	return true;
}

enum motion_before motion_rest(struct motion *motion, bool keeps_before)
{
	*motion = (struct motion){0};
	return keeps_before ? MOTION_KEEP : MOTION_DROP;
}

const char *motion_name(const struct motion *motion)
{
	if (motion->flags & HP_MOTION_MOVING)
		return "moving";
	return motion->flags & HP_MOTION_SETTLING ? "settling" : "steady";
}

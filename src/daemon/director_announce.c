/* What operators, and keepalived, say of this director as a whole: in maintenance or not, active or standby: see director.h. */
#include "daemon/director_internal.h"

#include <errno.h>

#include "base/log.h"

/* Who had answered before goes on; a director that begins anew is what its file says. */
static enum state_role first_role(const struct director *director, const struct config *config)
{
	if (director->is_adopting || !config->announce.starts_standby)
		return STATE_ROLE_ACTIVE;
	return STATE_ROLE_STANDBY;
}

static void tell_announcer(struct director *director)
{
	const struct state *state = &director->state;

	announcer_set(director->announcer, state->is_maintenance, state->role == STATE_ROLE_STANDBY);
}

int director_announce_open(struct director *director, const struct config *config, struct err *e)
{
	struct state *state = &director->state;

	if (state->role == STATE_ROLE_NONE)
		state->role = first_role(director, config);
	fleet_silence(director->fleet, state->role == STATE_ROLE_STANDBY);
	director->announcer = announcer_create(director->loop, director->fleet, director->resolver, director->ports,
					       director->is_adopting);
	if (!director->announcer)
		return err_set(e, -ENOMEM, "%m");
	tell_announcer(director);
	return 0;
}

void director_maintenance(struct director *director, bool is_on)
{
	director->state.is_maintenance = is_on;
	director_save(director);
	tell_announcer(director);
	announcer_follow(director->announcer);
	log_event(LOG_NOTICE, "maintenance state=%s", is_on ? "on" : "off");
}

void director_role(struct director *director, enum state_role role)
{
	enum state_role was = director->state.role;

	director->state.role = role;
	fleet_silence(director->fleet, role == STATE_ROLE_STANDBY);
	if (role == STATE_ROLE_ACTIVE)
		announcer_tell_again(director->announcer);
	tell_announcer(director);
	announcer_follow(director->announcer);
	director_save(director);
	log_event(LOG_NOTICE, "role role=%s was=%s", state_role_name(role), state_role_name(was));
}

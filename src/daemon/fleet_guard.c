/* Sets of prefixes of the fleet, shared by services with equal lists: see fleet.h. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct guard_fingerprint fingerprint_of(const struct guard_row *rows, size_t count)
{
	struct guard_fingerprint fingerprint = {{0, 0}, 0};

	for (size_t i = 0; i < count; i++)
		guard_fingerprint_add(&fingerprint, &rows[i]);
	return fingerprint;
}

/* ---- taking and dropping ------------------------------------------------------------------------------------------------- */

static void free_guard(struct fleet_guard *guard)
{
	free(guard->rows);
	free(guard);
}

/* Written where no packet looks: no service names the number yet. */
static int write_rows(struct fleet *fleet, struct fleet_guard *guard, struct err *e)
{
	int code;

	for (size_t i = 0; i < guard->count; i++)
		guard->rows[i].key.set = hp_guard_set(guard->number, guard->rows[i].key.set & 1);
	code = dataplane_guard_write(fleet->plane, guard->rows, guard->count, e);
	if (code != -ENOSPC || !fleet->retired_guards)
		return code;
	fleet_reclaim(fleet);
	return dataplane_guard_write(fleet->plane, guard->rows, guard->count, e);
}

/* Give a set that is new a number, and write it. */
static int begin(struct fleet *fleet, struct fleet_guard *guard, struct err *e)
{
	int code;

	guard->number = fleet_take(fleet, &fleet->guard_numbers, 1);
	if (!guard->number)
		return err_set(e, -ENOSPC, "no room for another list of allow and deny: raise limits.prefixes, then restart the "
					   "daemon");
	code = write_rows(fleet, guard, e);
	if (code)
		extents_retire(&fleet->guard_numbers, guard->number, 1);
	return code;
}

int fleet_guard_take(struct fleet *fleet, const struct guard *guard, struct fleet_guard **out, struct err *e)
{
	struct fleet_guard *made, *found;
	int code;

	*out = NULL;
	if (!guard)
		return 0;
	made = calloc(1, sizeof(*made));
	if (!made || !(made->rows = calloc(guard_rows_most(guard), sizeof(*made->rows)))) {
		free(made);
		return err_set(e, -ENOMEM, "%m");
	}
	made->count = guard_rows(guard, 0, made->rows);
	made->fingerprint = fingerprint_of(made->rows, made->count);
	HASH_FIND(hh, fleet->guards, &made->fingerprint, sizeof(made->fingerprint), found);
	code = found ? 0 : begin(fleet, made, e);
	if (code || found)
		free_guard(made);
	if (code)
		return code;
	if (!found) {
		HASH_ADD(hh, fleet->guards, fingerprint, sizeof(made->fingerprint), made);
		fleet->prefixes += made->count;
	}
	*out = found ? found : made;
	(*out)->references++;
	return 0;
}

static void retire(struct fleet *fleet, struct fleet_guard *guard)
{
	HASH_DEL(fleet->guards, guard);
	guard->next = fleet->retired_guards;
	fleet->retired_guards = guard;
}

void fleet_guard_drop(struct fleet *fleet, struct fleet_guard *guard)
{
	if (guard && !--guard->references)
		retire(fleet, guard);
}

void fleet_guards_reclaim(struct fleet *fleet)
{
	while (fleet->retired_guards) {
		struct fleet_guard *guard = fleet->retired_guards;

		fleet->retired_guards = guard->next;
		fleet->prefixes -= guard->count;
		dataplane_guard_erase(fleet->plane, guard->rows, guard->count);
		extents_retire(&fleet->guard_numbers, guard->number, 1);
		free_guard(guard);
	}
}

/* ---- adoption ------------------------------------------------------------------------------------------------- */

/* Sets by number while they are read. */
struct reading {
	struct fleet *fleet;
	struct fleet_guard **by_number;
};

static int read_row(void *context, const struct guard_row *row)
{
	struct reading *reading = context;
	uint32_t number = row->key.set >> 1;
	struct fleet_guard *guard;

	if (!number || number >= reading->fleet->guard_numbers.limit)
		return 0;
	guard = reading->by_number[number];
	if (!guard) {
		guard = reading->by_number[number] = calloc(1, sizeof(*guard));
		if (!guard)
			return -ENOMEM;
		guard->number = number;
	}
	if (guard->count == guard->room) {
		size_t room = guard->room ? guard->room * 2 : 8;
		struct guard_row *grown = realloc(guard->rows, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		guard->rows = grown;
		guard->room = room;
	}
	guard->rows[guard->count++] = *row;
	return 0;
}

/* A set that another equals was being written when the daemon was killed, or taken away: who is named by a service is seen
 * later, so both are kept until then. */
static void adopt(struct fleet *fleet, struct fleet_guard *guard)
{
	extents_take_at(&fleet->guard_numbers, guard->number, 1);
	guard->fingerprint = fingerprint_of(guard->rows, guard->count);
	HASH_ADD(hh, fleet->guards, fingerprint, sizeof(guard->fingerprint), guard);
	fleet->prefixes += guard->count;
}

int fleet_guards_adopt(struct fleet *fleet, struct err *e)
{
	struct reading reading = {.fleet = fleet};
	int code;

	reading.by_number = calloc(fleet->guard_numbers.limit, sizeof(struct fleet_guard *));
	if (!reading.by_number)
		return err_set(e, -ENOMEM, "%m");
	code = dataplane_guards_each(fleet->plane, read_row, &reading, e);
	for (uint32_t number = 0; number < fleet->guard_numbers.limit; number++) {
		if (!reading.by_number[number])
			continue;
		if (code)
			free_guard(reading.by_number[number]);
		else
			adopt(fleet, reading.by_number[number]);
	}
	free(reading.by_number);
	return code == -ENOMEM ? err_set(e, code, "%m") : code;
}

void fleet_guards_settle(struct fleet *fleet)
{
	struct fleet_guard *guard, *next;

	HASH_ITER(hh, fleet->guards, guard, next)
		if (!guard->references)
			retire(fleet, guard);
}

void fleet_guards_forget(struct fleet *fleet)
{
	struct fleet_guard *guard, *next;

	HASH_ITER(hh, fleet->guards, guard, next) {
		HASH_DEL(fleet->guards, guard);
		free_guard(guard);
	}
	while ((guard = fleet->retired_guards)) {
		fleet->retired_guards = guard->next;
		free_guard(guard);
	}
}

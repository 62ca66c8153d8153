/* Sets of prefixes in the data plane: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "director.skel.h"

#define ROWS_A_STEP 1024u

static int guards_fd(const struct dataplane *plane)
{
	return bpf_map__fd(plane->live->maps.guards);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

static int no_room(struct err *e, int code, size_t count)
{
	if (code == -ENOSPC)
		return err_set(e, code, "no room for %zu more prefixes of allow and deny: raise limits.prefixes, then restart "
					"the daemon", count);
	return err_set(e, code, "writing %zu prefixes: %m", count);
}

/* A batch wants keys and values apart. */
static int write_step(int fd, const struct guard_row *rows, uint32_t count)
{
	struct hp_guard_key keys[ROWS_A_STEP];
	uint32_t values[ROWS_A_STEP];

	for (uint32_t i = 0; i < count; i++) {
		keys[i] = rows[i].key;
		values[i] = rows[i].value;
	}
	return bpf_map_update_batch(fd, keys, values, &count, NULL);
}

static int write_rows(int fd, const struct guard_row *rows, size_t count)
{
	int code = 0;

	for (size_t at = 0; !code && at < count; at += ROWS_A_STEP)
		code = write_step(fd, rows + at, count - at < ROWS_A_STEP ? (uint32_t)(count - at) : ROWS_A_STEP);
	return code;
}

int dataplane_guard_write(struct dataplane *plane, const struct guard_row *rows, size_t count, struct err *e)
{
	int code = write_rows(guards_fd(plane), rows, count);

	if (!code)
		return 0;
	no_room(e, code, count);
	dataplane_guard_erase(plane, rows, count);
	return code;
}

void dataplane_guard_erase(struct dataplane *plane, const struct guard_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bpf_map_delete_elem(guards_fd(plane), &rows[i].key);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

struct batch {
	struct hp_guard_key keys[ROWS_A_STEP], mark;
	uint32_t values[ROWS_A_STEP];
	uint32_t count;
	bool is_begun, is_last;
};

static int read_step(int fd, struct batch *batch, struct err *e)
{
	struct hp_guard_key next;
	int code;

	batch->count = ROWS_A_STEP;
	code = bpf_map_lookup_batch(fd, batch->is_begun ? &batch->mark : NULL, &next, batch->keys, batch->values, &batch->count,
				    NULL);
	if (code && code != -ENOENT)
		return err_set(e, code, "reading the prefixes of allow and deny: %m");
	batch->is_last = code == -ENOENT;
	batch->is_begun = true;
	batch->mark = next;
	return 0;
}

static int each_row(int fd, int (*each)(void *context, const struct guard_row *row), void *context, struct err *e)
{
	auto_free struct batch *batch = calloc(1, sizeof(*batch));
	int code = batch ? 0 : err_set(e, -ENOMEM, "%m");

	while (!code && !batch->is_last) {
		code = read_step(fd, batch, e);
		for (uint32_t i = 0; !code && i < batch->count; i++)
			code = each(context, &(struct guard_row){batch->keys[i], batch->values[i]});
	}
	return code;
}

int dataplane_guards_each(struct dataplane *plane, int (*each)(void *context, const struct guard_row *row), void *context,
			  struct err *e)
{
	return each_row(guards_fd(plane), each, context, e);
}

static int count_row(void *context, const struct guard_row *row)
{
	++*(uint32_t *)context;
	return 0;
}

int dataplane_guards_count(int fd, uint32_t *count, struct err *e)
{
	uint32_t rows = 0;
	int code = each_row(fd, count_row, &rows, e);

	if (!code)
		*count = rows;
	return code;
}

static int copy_row(void *context, const struct guard_row *row)
{
	return bpf_map_update_elem(*(int *)context, &row->key, &row->value, BPF_ANY) ? -errno : 0;
}

int dataplane_guards_copy(int from, int to, struct err *e)
{
	int code = each_row(from, copy_row, &to, e);

	return code ? err_set(e, code, "taking over the prefixes of allow and deny: %m; raise limits.prefixes") : 0;
}

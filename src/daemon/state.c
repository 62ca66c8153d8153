/* Files that outlive the daemon: see state.h. */
#include "daemon/state.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"

#define PATH_BYTES 320

uint64_t state_boot_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec;
}

void state_text_free(struct state_text *text)
{
	free(text->bytes);
	*text = (struct state_text){0};
}

uint64_t state_text_hash(const struct state_text *text)
{
	return XXH3_64bits(text->bytes ? text->bytes : "", text->count);
}

int state_read_file(const char *path, struct state_text *text, struct err *e)
{
	auto_fclose FILE *file = fopen(path, "re");
	auto_free char *bytes = NULL;
	size_t count = 0, room = 65536;

	if (!file)
		return err_set(e, -errno, "%s: %m", path);
	for (;;) {
		char *grown = realloc(bytes, room + 1);

		if (!grown)
			return err_set(e, -ENOMEM, "%s: %m", path);
		bytes = grown;
		count += fread(bytes + count, 1, room - count, file);
		if (ferror(file))
			return err_set(e, errno ? -errno : -EIO, "%s: %m", path);
		if (count < room)
			break;
		if (count > STATE_FILE_MOST_BYTES)
			return err_set(e, -EFBIG, "%s is longer than %u bytes", path, STATE_FILE_MOST_BYTES);
		room *= 2;
	}
	bytes[count] = '\0';
	text->count = count;
	text->bytes = take_ptr(bytes);
	return 0;
}

static void path_of(const struct state *state, const char *name, char path[static PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "%s/%s", state->folder, name);
}

static void remove_files(const struct state *state)
{
	static const char *const names[] = {"state.json",     "running.yaml",	  "previous.yaml",
					    "state.json.new", "running.yaml.new", "previous.yaml.new"};
	char path[PATH_BYTES];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(state, names[i], path);
		unlink(path);
	}
}

/* Written beside and renamed: a reader, also the daemon after a crash, sees the old file or the new one. */
static int write_file(const struct state *state, const char *name, const char *bytes, size_t count, struct err *e)
{
	char path[PATH_BYTES], beside[PATH_BYTES + 8];
	auto_close int fd = -1;

	path_of(state, name, path);
	snprintf(beside, sizeof(beside), "%s.new", path);
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, -errno, "%s: %m", beside);
	for (size_t at = 0; at < count;) {
		ssize_t written = write(fd, bytes + at, count - at);

		if (written < 0) {
			err_set(e, -errno, "%s: %m", beside);
			unlink(beside);
			return -EIO;
		}
		at += (size_t)written;
	}
	if (rename(beside, path) < 0)
		return err_set(e, -errno, "%s: %m", path);
	return 0;
}

/* Notes in the state how much of the path was there. */
static int make_folders(struct state *state, struct err *e)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s", state->folder);
	for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		if (!mkdir(path, 0755)) {
			if (!state->made_from)
				state->made_from = strlen(path);
		} else if (errno != EEXIST) {
			return err_set(e, -errno, "state folder %s: %m", path);
		}
		if (!slash)
			break;
		*slash = '/';
	}
	if (access(state->folder, W_OK | X_OK) < 0)
		return err_set(e, -errno, "state folder %s: %m: halfproxyd keeps there what must outlive it", state->folder);
	return 0;
}

void state_take_back(const struct state *state)
{
	char path[PATH_BYTES];

	if (!state->folder[0])
		return;
	if (state->is_new)
		remove_files(state);
	snprintf(path, sizeof(path), "%s", state->folder);
	while (state->made_from && strlen(path) >= state->made_from && !rmdir(path))
		*strrchr(path, '/') = '\0';
}

static const char *const drains[] = {[STATE_DRAIN_ON] = "draining", [STATE_DRAIN_EMPTY] = "empty", [STATE_DRAIN_CUT] = "cut"};

const char *state_drain_name(enum state_drain drain)
{
	return drains[drain];
}

static enum state_drain drain_named(const char *name)
{
	for (size_t i = STATE_DRAIN_ON; name && i < sizeof(drains) / sizeof(drains[0]); i++)
		if (!strcmp(drains[i], name))
			return (enum state_drain)i;
	return STATE_DRAIN_NONE;
}

const char *state_role_name(enum state_role role)
{
	static const char *const names[] = {[STATE_ROLE_ACTIVE] = "active", [STATE_ROLE_STANDBY] = "standby"};

	return names[role];
}

enum state_role state_role_named(const char *name)
{
	for (enum state_role role = STATE_ROLE_ACTIVE; role <= STATE_ROLE_STANDBY; role++)
		if (!strcmp(state_role_name(role), name))
			return role;
	return STATE_ROLE_NONE;
}

/* A time on the boot clock; 0 for what is none. */
static uint64_t read_time(const json_t *row, const char *key)
{
	json_int_t seconds = json_integer_value(json_object_get(row, key));

	return seconds > 0 ? (uint64_t)seconds : 0;
}

/* Versions that knew no drains wrote a weight alone. */
static void read_override(struct state *state, const json_t *row)
{
	const char *service = json_string_value(json_object_get(row, "service"));
	const char *address = json_string_value(json_object_get(row, "backend"));
	json_int_t weight = json_integer_value(json_object_get(row, "weight"));
	struct state_override *override;
	struct ip backend;

	if (!service || !address || weight < 0 || weight > UINT16_MAX || !ip_parse(&backend, address))
		return;
	override = state_override_take(state, service, &backend);
	if (!override)
		return;
	override->has_weight = json_is_integer(json_object_get(row, "weight"));
	override->weight = (uint32_t)weight;
	override->drain = drain_named(json_string_value(json_object_get(row, "drain")));
	if (!override->drain)
		return;
	override->since_s = read_time(row, "since_s");
	override->deadline_s = read_time(row, "deadline_s");
}

static void read_overrides(struct state *state, const json_t *list)
{
	const json_t *row;
	size_t i;

	json_array_foreach(list, i, row)
		read_override(state, row);
	state_override_trim(state);
}

static void read_marks(struct state *state)
{
	char path[PATH_BYTES];
	const char *role;
	json_t *marks;

	path_of(state, "state.json", path);
	marks = json_load_file(path, 0, NULL);
	if (!marks)
		return;
	role = json_string_value(json_object_get(marks, "role"));
	state->file_hash = (uint64_t)json_integer_value(json_object_get(marks, "file_hash"));
	state->is_file = json_is_true(json_object_get(marks, "is_file"));
	state->confirm_by_s = (uint64_t)json_integer_value(json_object_get(marks, "confirm_by_s"));
	state->role = role ? state_role_named(role) : STATE_ROLE_NONE;
	state->is_maintenance = json_is_true(json_object_get(marks, "maintenance"));
	read_overrides(state, json_object_get(marks, "overrides"));
	json_decref(marks);
}

int state_open(struct state *state, const char *folder, struct err *e)
{
	char path[PATH_BYTES];
	int code;

	memset(state, 0, sizeof(*state));
	if (snprintf(state->folder, sizeof(state->folder), "%s", folder) >= (int)sizeof(state->folder))
		return err_set(e, -ENAMETOOLONG, "state folder %s: %m", folder);
	if (!folder[0])
		return err_set(e, -EINVAL, "state folder: a path is needed");
	code = make_folders(state, e);
	if (code)
		return code;
	path_of(state, "state.json", path);
	state->is_new = access(path, F_OK) < 0;
	read_marks(state);
	path_of(state, "running.yaml", path);
	state_read_file(path, &state->running, NULL);
	path_of(state, "previous.yaml", path);
	state_read_file(path, &state->previous, NULL);
	return 0;
}

void state_close(struct state *state)
{
	state_text_free(&state->running);
	state_text_free(&state->previous);
	for (size_t i = 0; i < state->override_count; i++)
		free(state->overrides[i].service);
	free(state->overrides);
	memset(state, 0, sizeof(*state));
}

void state_remove(const char *folder)
{
	struct state state = {0};

	snprintf(state.folder, sizeof(state.folder), "%s", folder);
	remove_files(&state);
	rmdir(folder);
}

int state_save(const struct state *state, struct err *e)
{
	json_t *overrides = json_array();
	json_t *marks = json_pack("{s:I, s:b, s:I, s:s?, s:b, s:o}", "file_hash", (json_int_t)state->file_hash, "is_file",
				  state->is_file, "confirm_by_s", (json_int_t)state->confirm_by_s, "role",
				  state_role_name(state->role), "maintenance", state->is_maintenance, "overrides", overrides);
	auto_free char *text = NULL;

	for (size_t i = 0; i < state->override_count; i++) {
		const struct state_override *row = &state->overrides[i];
		char address[IP_TEXT_BYTES];

		json_array_append_new(
			overrides, json_pack("{s:s, s:s, s:o, s:s?, s:I, s:I}", "service", row->service, "backend",
					     ip_format(&row->backend, address), "weight",
					     row->has_weight ? json_integer(row->weight) : json_null(), "drain",
					     state_drain_name(row->drain), "since_s", (json_int_t)row->since_s, "deadline_s",
					     (json_int_t)row->deadline_s));
	}
	text = json_dumps(marks, JSON_INDENT(1));
	json_decref(marks);
	if (!text)
		return err_set(e, -ENOMEM, "%m");
	return write_file(state, "state.json", text, strlen(text), e);
}

int state_advance(struct state *state, struct state_text *text, struct err *e)
{
	struct state_text former = state->running;
	int code = 0;

	if (former.bytes)
		code = write_file(state, "previous.yaml", former.bytes, former.count, e);
	if (!code)
		code = write_file(state, "running.yaml", text->bytes, text->count, e);
	if (former.bytes) {
		state_text_free(&state->previous);
		state->previous = former;
	}
	state->running = *text;
	*text = (struct state_text){0};
	return code;
}

struct state_override *state_override_find(const struct state *state, const char *service, const struct ip *backend)
{
	for (size_t i = 0; i < state->override_count; i++)
		if (!strcmp(state->overrides[i].service, service) && ip_equal(&state->overrides[i].backend, backend))
			return &state->overrides[i];
	return NULL;
}

struct state_override *state_override_take(struct state *state, const char *service, const struct ip *backend)
{
	struct state_override *row = state_override_find(state, service, backend), *grown;

	if (row)
		return row;
	grown = realloc(state->overrides, (state->override_count + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	state->overrides = grown;
	row = &grown[state->override_count];
	*row = (struct state_override){.service = strdup(service), .backend = *backend};
	if (!row->service)
		return NULL;
	state->override_count++;
	return row;
}

/* Keep the rows that `is_kept` says; returns how many went. */
static size_t keep(struct state *state, bool (*is_kept)(const struct state_override *row, const char *service),
		   const char *service)
{
	size_t kept = 0, dropped;

	for (size_t i = 0; i < state->override_count; i++) {
		if (is_kept(&state->overrides[i], service))
			state->overrides[kept++] = state->overrides[i];
		else
			free(state->overrides[i].service);
	}
	dropped = state->override_count - kept;
	state->override_count = kept;
	return dropped;
}

static bool says_something(const struct state_override *row, const char *service)
{
	(void)service;
	return row->has_weight || row->drain;
}

void state_override_trim(struct state *state)
{
	keep(state, says_something, NULL);
}

static bool is_of_another(const struct state_override *row, const char *service)
{
	return strcmp(row->service, service) != 0;
}

size_t state_override_drop(struct state *state, const char *service)
{
	return keep(state, is_of_another, service);
}

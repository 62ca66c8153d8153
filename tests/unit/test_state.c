/* What outlives the daemon: saved and loaded, damaged, replaced whole. Writes files in a folder of its own below /tmp. */
#include "unit/unit.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/state.h"

static char folder[64], inner[80];

static int make_folder(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/test_state.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(inner, sizeof(inner), "%s/run/it", folder);
	return 0;
}

static int remove_folder(void **state)
{
	char text[160];

	for (const char *name = "run/it/state.json\0run/it/running.yaml\0run/it/previous.yaml\0run/it/running.yaml.new\0"
				"run/it/state.json.new\0run/it\0run\0"; *name; name += strlen(name) + 1) {
		snprintf(text, sizeof(text), "%s/%s", folder, name);
		remove(text);
	}
	return rmdir(folder);
}

static struct state_text text_of(const char *text)
{
	return (struct state_text){strdup(text), strlen(text)};
}

static void write_text(const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", inner, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void assert_state_text(const struct state_text *text, const char *expected)
{
	assert_int_equal(text->count, strlen(expected));
	assert_memory_equal(text->bytes, expected, text->count);
}

static void set_weight(struct state *state, const char *service, const struct ip *backend, uint32_t weight)
{
	struct state_override *row = state_override_take(state, service, backend);

	assert_non_null(row);
	row->has_weight = true;
	row->weight = weight;
}

static void assert_override(const struct state_override *row, struct state_override expected)
{
	assert_string_equal(row->service, expected.service);
	assert_true(ip_equal(&row->backend, &expected.backend));
	assert_int_equal(row->has_weight, expected.has_weight);
	assert_int_equal(row->weight, expected.weight);
	assert_int_equal(row->drain, expected.drain);
	assert_int_equal(row->since_s, expected.since_s);
	assert_int_equal(row->deadline_s, expected.deadline_s);
}

static void everything_comes_back(void **state)
{
	struct state saved, loaded;
	struct state_text first = text_of("first"), second = text_of("second\n");
	struct state_override *row;
	struct ip backend;
	struct err e;

	assert_true(ip_parse(&backend, "2001:db8::1"));
	assert_int_equal(state_open(&saved, inner, &e), 0);
	assert_null(saved.running.bytes);
	assert_int_equal(saved.override_count, 0);
	saved.file_hash = 0xfedcba9876543210u;
	saved.is_file = true;
	saved.confirm_by_s = 123456789;
	saved.role = STATE_ROLE_STANDBY;
	saved.is_maintenance = true;
	set_weight(&saved, "caf\xc3\xa9 \"quoted\"", &backend, 65535);
	row = state_override_take(&saved, "drained", &backend);
	*row = (struct state_override){row->service, backend, .drain = STATE_DRAIN_ON, .since_s = 5000000000,
					 .deadline_s = 5000000600};
	row = state_override_take(&saved, "both", &backend);
	*row = (struct state_override){row->service, backend, true, 7, STATE_DRAIN_CUT, 11, 12};
	assert_int_equal(state_advance(&saved, &first, &e), 0);
	assert_null(first.bytes);
	assert_int_equal(state_advance(&saved, &second, &e), 0);
	assert_int_equal(state_save(&saved, &e), 0);
	state_close(&saved);

	assert_int_equal(state_open(&loaded, inner, &e), 0);
	assert_int_equal(loaded.file_hash, 0xfedcba9876543210u);
	assert_true(loaded.is_file);
	assert_int_equal(loaded.confirm_by_s, 123456789);
	assert_int_equal(loaded.role, STATE_ROLE_STANDBY);
	assert_true(loaded.is_maintenance);
	assert_state_text(&loaded.running, "second\n");
	assert_state_text(&loaded.previous, "first");
	assert_int_equal(loaded.override_count, 3);
	assert_override(&loaded.overrides[0], (struct state_override){"caf\xc3\xa9 \"quoted\"", backend, true, .weight = 65535});
	assert_override(&loaded.overrides[1], (struct state_override){"drained", backend, .drain = STATE_DRAIN_ON,
								      .since_s = 5000000000, .deadline_s = 5000000600});
	assert_override(&loaded.overrides[2], (struct state_override){"both", backend, true, 7, STATE_DRAIN_CUT, 11, 12});
	state_close(&loaded);
}

static const struct {
	const char *what, *marks;
	size_t overrides; /* that come back */
} damage_rows[] = {
	{"an empty file", "", 0},
	{"a file cut short", "{\"file_hash\": 12, \"overr", 0},
	{"no JSON", "hello", 0},
	{"a list", "[1, 2]", 0},
	{"other types", "{\"file_hash\": \"x\", \"is_file\": 3, \"confirm_by_s\": [], \"overrides\": {\"a\": 1}}", 0},
	{"an override without a service", "{\"overrides\": [{\"backend\": \"10.3.0.1\", \"weight\": 1}]}", 0},
	{"an override with a bad address", "{\"overrides\": [{\"service\": \"a\", \"backend\": \"10.3\", \"weight\": 1}]}", 0},
	{"a weight out of range", "{\"overrides\": [{\"service\": \"a\", \"backend\": \"10.3.0.1\", \"weight\": 65536}]}", 0},
	{"a negative weight", "{\"overrides\": [{\"service\": \"a\", \"backend\": \"10.3.0.1\", \"weight\": -1}]}", 0},
	{"a good override between bad ones",
	 "{\"overrides\": [1, {\"service\": \"a\", \"backend\": \"10.3.0.1\", \"weight\": 7}, null]}", 1},
	{"one override twice", "{\"overrides\": [{\"service\": \"a\", \"backend\": \"10.3.0.1\", \"weight\": 7}, "
			       "{\"service\": \"a\", \"backend\": \"10.3.0.1\", \"weight\": 8}]}", 1},
	{"an override that says nothing", "{\"overrides\": [{\"service\": \"a\", \"backend\": \"10.3.0.1\"}, "
					  "{\"service\": \"b\", \"backend\": \"10.3.0.1\", \"weight\": null, "
					  "\"drain\": null, \"deadline_s\": 5}]}", 0},
	{"a drain that is no word", "{\"overrides\": [{\"service\": \"a\", \"backend\": \"10.3.0.1\", \"drain\": 1}]}", 0},
	{"a drain of an unknown kind", "{\"overrides\": [{\"service\": \"a\", \"backend\": \"10.3.0.1\", \"drain\": \"\"}]}", 0},
	{"a role that is none", "{\"role\": \"master\", \"maintenance\": 1}", 0},
	{"a role that is no word", "{\"role\": 1, \"maintenance\": \"on\"}", 0},
	{"a drain alone", "{\"overrides\": [{\"service\": \"a\", \"backend\": \"10.3.0.1\", \"drain\": \"empty\"}]}", 1},
};

/* What was written before there were drains, and times that are none. */
static void former_files_are_read(void **state)
{
	struct state opened;
	struct ip backend;
	struct err e;

	assert_true(ip_parse(&backend, "10.3.0.1"));
	assert_int_equal(state_open(&opened, inner, &e), 0);
	state_close(&opened);
	write_text("state.json", "{\"overrides\": [{\"service\": \"a\", \"backend\": \"10.3.0.1\", \"weight\": 0}, "
				 "{\"service\": \"b\", \"backend\": \"10.3.0.1\", \"drain\": \"draining\", \"since_s\": -1, "
				 "\"deadline_s\": \"x\"}]}");
	assert_int_equal(state_open(&opened, inner, &e), 0);
	assert_int_equal(opened.override_count, 2);
	assert_override(&opened.overrides[0], (struct state_override){"a", backend, .has_weight = true});
	assert_override(&opened.overrides[1], (struct state_override){"b", backend, .drain = STATE_DRAIN_ON});
	state_close(&opened);
}

static void damage_counts_as_absence(void **state)
{
	for (size_t i = 0; i < COUNT(damage_rows); i++) {
		struct state opened;
		struct err e;

		assert_int_equal(state_open(&opened, inner, &e), 0);
		state_close(&opened);
		write_text("state.json", damage_rows[i].marks);
		assert_int_equal(state_open(&opened, inner, &e), 0);
		if (opened.override_count != damage_rows[i].overrides)
			fail_msg("%s: %zu overrides", damage_rows[i].what, opened.override_count);
		assert_int_equal(opened.confirm_by_s, 0);
		assert_int_equal(opened.role, STATE_ROLE_NONE);
		assert_false(opened.is_maintenance);
		assert_false(opened.is_file);
		state_close(&opened);
	}
}

/* Folders stand where the new files would be written: the old ones stay. */
static void a_failed_write_leaves_the_old_file(void **state)
{
	struct state opened;
	struct state_text first = text_of("first"), second = text_of("second");
	char beside[160];
	struct err e;

	assert_int_equal(state_open(&opened, inner, &e), 0);
	assert_int_equal(state_advance(&opened, &first, &e), 0);
	snprintf(beside, sizeof(beside), "%s/running.yaml.new", inner);
	assert_int_equal(mkdir(beside, 0755), 0);
	assert_true(state_advance(&opened, &second, &e) < 0);
	assert_holds("the file is named", e.text, "running.yaml.new");
	state_close(&opened);
	assert_int_equal(state_open(&opened, inner, &e), 0);
	assert_state_text(&opened.running, "first");
	state_close(&opened);
}

static void overrides_are_set_replaced_and_dropped(void **state)
{
	struct state opened;
	struct ip a, b;
	struct err e;

	assert_true(ip_parse(&a, "10.3.0.1") && ip_parse(&b, "10.3.0.2"));
	assert_int_equal(state_open(&opened, inner, &e), 0);
	assert_int_equal(state_override_drop(&opened, "web"), 0);
	assert_null(state_override_find(&opened, "web", &a));
	set_weight(&opened, "web", &a, 1);
	set_weight(&opened, "dns", &a, 2);
	set_weight(&opened, "web", &b, 3);
	set_weight(&opened, "web", &a, 4);
	assert_int_equal(opened.override_count, 3);
	assert_int_equal(opened.overrides[0].weight, 4);
	assert_ptr_equal(state_override_find(&opened, "web", &b), &opened.overrides[2]);
	assert_null(state_override_find(&opened, "dns", &b));
	assert_non_null(state_override_take(&opened, "new", &b));
	assert_int_equal(opened.override_count, 4);
	opened.overrides[0].drain = STATE_DRAIN_EMPTY;
	opened.overrides[0].has_weight = false;
	state_override_trim(&opened);
	assert_int_equal(opened.override_count, 3);
	assert_null(state_override_find(&opened, "new", &b));
	assert_int_equal(state_override_drop(&opened, "we"), 0);
	assert_int_equal(state_override_drop(&opened, "web"), 2);
	assert_int_equal(opened.override_count, 1);
	assert_string_equal(opened.overrides[0].service, "dns");
	assert_int_equal(state_override_drop(&opened, "dns"), 1);
	assert_int_equal(opened.override_count, 0);
	state_close(&opened);
}

static void what_is_removed_is_gone(void **state)
{
	struct state opened;
	struct state_text first = text_of("first");
	struct err e;

	assert_int_equal(state_open(&opened, inner, &e), 0);
	assert_int_equal(state_advance(&opened, &first, &e), 0);
	assert_int_equal(state_save(&opened, &e), 0);
	state_close(&opened);
	state_remove(inner);
	assert_int_equal(access(inner, F_OK), -1);
	state_remove(inner);
}

static void a_file_is_read_whole(void **state)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 1000000};
	struct state_text text, other;
	struct state opened;
	char path[160];
	struct err e;

	assert_int_equal(state_open(&opened, inner, &e), 0);
	snprintf(path, sizeof(path), "%s/running.yaml", inner);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		FILE *file = fopen(path, "w");

		for (size_t at = 0; at < sizes[i]; at++)
			fputc((int)(at % 251), file);
		fclose(file);
		assert_int_equal(state_read_file(path, &text, &e), 0);
		assert_int_equal(text.count, sizes[i]);
		for (size_t at = 0; at < sizes[i]; at++)
			assert_int_equal((uint8_t)text.bytes[at], at % 251);
		assert_int_equal(text.bytes[sizes[i]], 0);
		other = (struct state_text){text.bytes, text.count};
		assert_int_equal(state_text_hash(&text), state_text_hash(&other));
		other.count = 0;
		assert_true(!sizes[i] || state_text_hash(&text) != state_text_hash(&other));
		state_text_free(&text);
	}
	assert_int_equal(state_read_file("/proc/none", &text, &e), -ENOENT);
	assert_string_equal(e.text, "/proc/none: No such file or directory");
	assert_int_equal(state_read_file(folder, &text, &e), -EISDIR);
	state_close(&opened);
}

static void a_folder_that_cannot_be_is_an_error(void **state)
{
	struct state opened;
	struct err e;

	assert_true(state_open(&opened, "/proc/none/it", &e) < 0);
	assert_holds("the folder is named", e.text, "state folder /proc/none");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_comes_back),	       TEST(damage_counts_as_absence), TEST(former_files_are_read),
		TEST(a_failed_write_leaves_the_old_file),
		TEST(overrides_are_set_replaced_and_dropped), TEST(what_is_removed_is_gone),  TEST(a_file_is_read_whole),
		TEST(a_folder_that_cannot_be_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

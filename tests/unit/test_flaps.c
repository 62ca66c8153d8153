/* What flaps: what of its changes is told, what is counted, and what comes last. Time is passed in. */
#include "unit/unit.h"

#include <unistd.h>

#include "base/log.h"
#include "daemon/flaps.h"

#define WEB   "backend=10.3.0.1 asked=10.2.0.1:80"
#define OTHER "backend=10.3.0.2 asked=10.2.0.1:80"

static FILE *file;
static int kept;

static void listen_to_log(void)
{
	file = tmpfile();
	assert_non_null(file);
	kept = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
}

static const char *heard(void)
{
	static char text[8192];
	size_t count;

	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(file);
	count = fread(text, 1, sizeof(text) - 1, file);
	text[count] = '\0';
	fclose(file);
	return text;
}

/* Change so often, each so many milliseconds after the one before; returns when the last was. */
static uint64_t change(struct flaps *flaps, const char *key, uint64_t now_ms, int count, uint64_t each_ms)
{
	for (int i = 0; i < count; i++)
		flaps_log(flaps, now_ms + (uint64_t)i * each_ms, key, false, LOG_NOTICE, "change %s number=%d", key, i);
	return now_ms + (uint64_t)(count - 1) * each_ms;
}

static void what_changes_now_and_then_is_told(void **state)
{
	struct flaps *flaps = flaps_create();
	const char *text;

	(void)state;
	listen_to_log();
	change(flaps, WEB, 1000, 6, 1000);
	change(flaps, WEB, 62000, 6, 1000);
	change(flaps, OTHER, 62000, 6, 1000);
	assert_int_equal(flaps_of(flaps, WEB), 0);
	assert_false(flaps_any(flaps));
	flaps_tick(flaps, 200000);
	text = heard();
	assert_null(strstr(text, "flapping"));
	for (int i = 0; i < 18; i++)
		text = strchr(text, '\n') + 1;
	assert_string_equal(text, "");
	flaps_destroy(flaps);
}

static void what_flaps_is_counted(void **state)
{
	struct flaps *flaps = flaps_create();

	(void)state;
	listen_to_log();
	change(flaps, WEB, 0, 8, 1000);
	assert_int_equal(flaps_of(flaps, WEB), 7);
	assert_int_equal(flaps_of(flaps, OTHER), 0);
	flaps_tick(flaps, 65999);
	change(flaps, OTHER, 65999, 1, 1);
	change(flaps, WEB, 65999, 11, 0);
	flaps_tick(flaps, 66000);
	assert_int_equal(flaps_of(flaps, WEB), 12);
	assert_text("told", heard(),
		    "<5>change " WEB " number=0\n<5>change " WEB " number=1\n<5>change " WEB " number=2\n<5>change " WEB
		    " number=3\n<5>change " WEB " number=4\n<5>change " WEB " number=5\n"
		    "<4>flapping " WEB " changes=7 within_s=6\n<5>change " OTHER " number=0\n"
		    "<4>flapping " WEB " changes=12 within_s=60\n");
	flaps_destroy(flaps);
}

static void what_comes_to_rest_is_told_last(void **state)
{
	struct flaps *flaps = flaps_create();

	(void)state;
	change(flaps, WEB, 0, 7, 1000);
	listen_to_log();
	change(flaps, WEB, 7000, 1, 0);
	flaps_log_more(flaps, WEB, LOG_WARNING, "cause of=the former");
	flaps_log(flaps, 8000, WEB, false, LOG_WARNING, "fails %s", WEB);
	flaps_log_more(flaps, WEB, LOG_WARNING, "cause first=yes");
	flaps_log_more(flaps, WEB, LOG_WARNING, "cause last=yes");
	flaps_log_more(flaps, OTHER, LOG_WARNING, "cause other=yes");
	flaps_tick(flaps, 66000);
	assert_int_equal(flaps_of(flaps, WEB), 0);
	assert_false(flaps_any(flaps));
	flaps_tick(flaps, 130000);
	assert_text("told", heard(), "<4>cause other=yes\n<5>flapping_ended " WEB "\n<4>fails " WEB "\n<4>cause last=yes\n");
	flaps_destroy(flaps);
}

static void what_the_log_is_spared_is_counted(void **state)
{
	struct flaps *flaps = flaps_create();

	(void)state;
	listen_to_log();
	for (uint64_t i = 0; i < 7; i++)
		flaps_log(flaps, i, WEB, true, LOG_NOTICE, "change");
	assert_int_equal(flaps_of(flaps, WEB), 7);
	flaps_tick(flaps, 60006);
	assert_text("told", heard(), "<4>flapping " WEB " changes=7 within_s=1\n<5>flapping_ended " WEB "\n<5>change\n");
	flaps_destroy(flaps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changes_now_and_then_is_told),
		cmocka_unit_test(what_flaps_is_counted),
		cmocka_unit_test(what_comes_to_rest_is_told_last),
		cmocka_unit_test(what_the_log_is_spared_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

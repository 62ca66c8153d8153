/* Errors on their way up, and the log's one line an event. Pure, but for a file in place of stderr. */
#include "unit/unit.h"

#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

static void an_error_is_a_code_and_a_sentence(void **state)
{
	struct err e;

	assert_int_equal(err_set(&e, -ENOENT, "file %s: %m", "a"), -ENOENT);
	assert_string_equal(e.text, "file a: No such file or directory");
	assert_int_equal(err_set(&e, EACCES, "%m"), EACCES);
	assert_string_equal(e.text, "Permission denied");
	assert_int_equal(err_set(NULL, -EINVAL, "nobody listens"), -EINVAL);
	assert_int_equal(err_add(NULL, -EINVAL, "nobody listens"), -EINVAL);
}

static void a_caller_that_knows_more_puts_it_in_front(void **state)
{
	struct err e;

	err_set(&e, -EINVAL, "weight 70000 is above 65535");
	assert_int_equal(err_add(&e, -EINVAL, "service %s", "web"), -EINVAL);
	assert_string_equal(e.text, "service web: weight 70000 is above 65535");
	err_add(&e, -ENOENT, "%m");
	assert_string_equal(e.text, "No such file or directory: service web: weight 70000 is above 65535");
}

static void a_long_text_is_cut_and_ends(void **state)
{
	char longer[2 * ERR_TEXT_BYTES];
	struct err e;

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	for (size_t length = ERR_TEXT_BYTES - 4; length < ERR_TEXT_BYTES + 4; length++) {
		err_set(&e, -EINVAL, "%.*s", (int)length, longer);
		assert_int_equal(strlen(e.text), length < ERR_TEXT_BYTES ? length : ERR_TEXT_BYTES - 1);
		err_add(&e, -EINVAL, "in front");
		assert_int_equal(strncmp(e.text, "in front: xxx", 13), 0);
		assert_int_equal(strlen(e.text), ERR_TEXT_BYTES - 1);
		err_set(&e, -EINVAL, "old");
		err_add(&e, -EINVAL, "%.*s", (int)length, longer);
		assert_true(strlen(e.text) < ERR_TEXT_BYTES);
	}
}

/* What log_event writes to stderr meanwhile. */
static char *logged(int level, const char *value)
{
	static char text[8192];
	FILE *file = tmpfile();
	int kept = dup(STDERR_FILENO);
	size_t count;

	assert_non_null(file);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	log_event(level, "event key=%s", value);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(file);
	count = fread(text, 1, sizeof(text) - 1, file);
	text[count] = '\0';
	fclose(file);
	return text;
}

static void an_event_is_one_line_with_its_level(void **state)
{
	char longer[4096];

	assert_string_equal(logged(LOG_ERR, "a"), "<3>event key=a\n");
	assert_string_equal(logged(LOG_INFO, "a"), "<6>event key=a\n");
	assert_string_equal(logged(LOG_ERR, "a\nb\tc\x1b[31m"), "<3>event key=a b c [31m\n");
	assert_string_equal(logged(LOG_ERR, "caf\xc3\xa9"), "<3>event key=caf\xc3\xa9\n");
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(logged(LOG_ERR, longer)[strlen(logged(LOG_ERR, longer)) - 1], '\n');
}

static void what_is_too_verbose_is_not_written(void **state)
{
	assert_string_equal(logged(LOG_DEBUG, "a"), "");
	log_set_level(LOG_DEBUG);
	assert_string_equal(logged(LOG_DEBUG, "a"), "<7>event key=a\n");
	log_set_level(LOG_ERR);
	assert_string_equal(logged(LOG_WARNING, "a"), "");
	log_set_level(LOG_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_is_a_code_and_a_sentence),
		cmocka_unit_test(a_caller_that_knows_more_puts_it_in_front),
		cmocka_unit_test(a_long_text_is_cut_and_ends),
		cmocka_unit_test(an_event_is_one_line_with_its_level),
		cmocka_unit_test(what_is_too_verbose_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

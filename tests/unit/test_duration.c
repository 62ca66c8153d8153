/* Durations as people write them and as they are shown. Pure. */
#include "unit/unit.h"

#include "base/duration.h"

static const struct {
	const char *text;
	uint64_t us; /* UINT64_MAX - 1: refused */
} parse_rows[] = {
#define REFUSED (UINT64_MAX - 1)
	{"0s", 0},
	{"1ms", 1000},
	{"1s", 1000000},
	{"1m", 60000000},
	{"1h", 3600000000},
	{"1d", 86400000000},
	{"007s", 7000000},
	{"1.5s", 1500000},
	{"0.1s", 100000},
	{"1.000001s", 1000001},
	{"1.0000010s", 1000001},
	{"0.5ms", 500},
	{"0.001ms", 1},
	{"1.1m", 66000000},
	{"0.000000000000000000000000s", 0},
	{"99999999999999999999999d", UINT64_MAX},
	{"18446744073709551615s", UINT64_MAX},
	{"1.0000001s", REFUSED},
	{"0.0001ms", REFUSED},
	{"", REFUSED},
	{"s", REFUSED},
	{"1", REFUSED},
	{"0", REFUSED},
	{"1.s", REFUSED},
	{".5s", REFUSED},
	{"1..5s", REFUSED},
	{"1.5.5s", REFUSED},
	{"-1s", REFUSED},
	{"+1s", REFUSED},
	{" 1s", REFUSED},
	{"1 s", REFUSED},
	{"1s ", REFUSED},
	{"1S", REFUSED},
	{"1w", REFUSED},
	{"1ss", REFUSED},
	{"1h30m", REFUSED},
	{"0x10s", REFUSED},
	{"1e3s", REFUSED},
	{"1,5s", REFUSED},
};

static void durations_are_read(void **state)
{
	for (size_t i = 0; i < COUNT(parse_rows); i++) {
		uint64_t us = REFUSED;
		bool fine = duration_parse(&us, parse_rows[i].text);

		if (us != parse_rows[i].us || fine != (parse_rows[i].us != REFUSED))
			fail_msg("\"%s\" gave %llu", parse_rows[i].text, (unsigned long long)us);
	}
}

static const struct {
	uint64_t seconds;
	const char *text;
} format_rows[] = {
	{0, "0s"},     {1, "1s"},      {59, "59s"},    {60, "1m"},    {90, "90s"},
	{120, "2m"},   {3600, "1h"},   {5400, "90m"},  {7200, "2h"},  {86399, "86399s"},
	{86400, "1d"}, {90000, "25h"}, {172800, "2d"}, {UINT64_MAX, "18446744073709551615s"},
};

static void durations_are_shown(void **state)
{
	char text[DURATION_TEXT_BYTES];

	for (size_t i = 0; i < COUNT(format_rows); i++)
		assert_text("a duration", duration_format(format_rows[i].seconds, text), format_rows[i].text);
}

static const struct {
	uint64_t seconds;
	const char *text;
} rough_rows[] = {
	{0, "0s"},	 {59, "59s"},	  {60, "1m"},	    {61, "1m 1s"},     {3599, "59m 59s"}, {3600, "1h"},
	{3659, "1h"},	 {7199, "1h 59m"}, {86399, "23h 59m"}, {86400, "1d"},  {90000, "1d 1h"},  {2592000, "30d"},
	{UINT64_MAX, "213503982334601d 7h"},
};

static void durations_are_shown_roughly(void **state)
{
	for (size_t i = 0; i < COUNT(rough_rows); i++) {
		char text[DURATION_ROUGH_BYTES];

		assert_text("a time", duration_rough(rough_rows[i].seconds, text), rough_rows[i].text);
	}
}

static const struct {
	uint64_t ms;
	const char *text;
} ms_rows[] = {
	{0, "0s"}, {1, "1ms"}, {250, "250ms"}, {999, "999ms"}, {1000, "1s"}, {1500, "1500ms"}, {60000, "1m"}, {60001, "60001ms"},
};

static void milliseconds_are_shown(void **state)
{
	char text[DURATION_TEXT_BYTES];

	for (size_t i = 0; i < COUNT(ms_rows); i++)
		assert_text("milliseconds", duration_format_ms(ms_rows[i].ms, text), ms_rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_read),
		cmocka_unit_test(durations_are_shown),
		cmocka_unit_test(durations_are_shown_roughly),
		cmocka_unit_test(milliseconds_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

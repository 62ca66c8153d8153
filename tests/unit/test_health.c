/* A check's state and times: what answers make of it, and when it asks next. Pure. */
#include "unit/unit.h"

#include "core/health.h"

#define INTERVAL 2000u
#define DOUBT	 500u
#define TIMEOUT	 1000u

/* Answers: g good, b bad, l local. States after each: U up, F failing, ? unknown. */
static const struct {
	const char *what;
	enum health_state state;
	uint32_t rise, fall;
	const char *answers, *states;
} state_rows[] = {
	{"the first good answer is enough", HEALTH_STATE_UNKNOWN, 3, 3, "g", "U"},
	{"an unknown one is not failing at once", HEALTH_STATE_UNKNOWN, 2, 3, "bbg", "??U"},
	{"an unknown one fails in the end", HEALTH_STATE_UNKNOWN, 2, 3, "bbbgg", "??FFU"},
	{"one bad probe is forgiven", HEALTH_STATE_UP, 1, 2, "bgbg", "UUUU"},
	{"bad ones in a row are not", HEALTH_STATE_UP, 1, 2, "bgbb", "UUUF"},
	{"the third of three", HEALTH_STATE_UP, 2, 3, "bbbb", "UUFF"},
	{"fall of one", HEALTH_STATE_UP, 1, 1, "gbg", "UFU"},
	{"one good answer does not raise", HEALTH_STATE_FAILING, 2, 1, "gbgb", "FFFF"},
	{"good ones in a row do", HEALTH_STATE_FAILING, 2, 1, "gbgg", "FFFU"},
	{"a flapping one stays as it is", HEALTH_STATE_UP, 2, 2, "bgbgbgbb", "UUUUUUUF"},
	{"and stays failing", HEALTH_STATE_FAILING, 2, 2, "gbgbgbgg", "FFFFFFFU"},
	{"what this host cannot ask fails nobody", HEALTH_STATE_UP, 1, 2, "llllll", "UUUUUU"},
	{"nor does it forgive", HEALTH_STATE_UP, 1, 2, "blllb", "UUUUF"},
	{"nor raise", HEALTH_STATE_FAILING, 2, 2, "glg", "FFU"},
	{"but one that was never known does not wait for ever", HEALTH_STATE_UNKNOWN, 1, 3, "lll", "??F"},
};

static enum health_answer answer_of(char letter)
{
	return letter == 'g' ? HEALTH_GOOD : letter == 'l' ? HEALTH_LOCAL : HEALTH_SILENT;
}

static char letter_of(enum health_state state)
{
	return "?UF"[state];
}

static void answers_make_the_state(void **state)
{
	for (size_t i = 0; i < COUNT(state_rows); i++) {
		struct config_health policy = {.rise = state_rows[i].rise, .fall = state_rows[i].fall, .interval_ms = INTERVAL,
					       .doubt_ms = DOUBT, .timeout_ms = TIMEOUT};
		char states[20] = "";
		struct health health;

		health_begin(&health, state_rows[i].state, 0, 0);
		for (size_t a = 0; state_rows[i].answers[a]; a++) {
			enum health_state former = health.state;
			bool changed = health_feed(&health, &policy, answer_of(state_rows[i].answers[a]), health.due_ms);

			assert_int_equal(changed, health.state != former);
			states[a] = letter_of(health.state);
		}
		assert_text(state_rows[i].what, states, state_rows[i].states);
	}
}

/* When probes begin, each taking no time but those marked: t takes the timeout, L is as l. Rise 2, fall 3. */
static const struct {
	const char *what;
	enum health_state state;
	uint32_t phase_ms;
	const char *answers;
	uint64_t begins[8];
} time_rows[] = {
	{"the interval while up", HEALTH_STATE_UP, 0, "ggg", {0, 2000, 4000, 6000}},
	{"once a phase", HEALTH_STATE_UP, 300, "ggg", {0, 1700, 3700, 5700}},
	{"the phase of the last moment", HEALTH_STATE_UNKNOWN, 1999, "ggg", {0, 1, 2001, 4001}},
	{"in doubt no phase", HEALTH_STATE_UP, 300, "bgg", {0, 500, 2200, 4200}},
	{"doubt after a bad answer", HEALTH_STATE_UP, 0, "gbg", {0, 2000, 2500, 4500}},
	{"until it fails, then the interval", HEALTH_STATE_UP, 0, "bbbb", {0, 500, 1000, 3000, 5000}},
	{"doubt while it rises", HEALTH_STATE_FAILING, 0, "bggg", {0, 2000, 2500, 4500, 6500}},
	{"doubt while unknown", HEALTH_STATE_UNKNOWN, 0, "bg", {0, 500, 2500}},
	{"one that ends late is followed at once", HEALTH_STATE_UP, 0, "ttt", {0, 1000, 2000, 4000}},
	{"soon again where this host could not ask", HEALTH_STATE_UP, 0, "lg", {0, 500, 2500}},
	{"but not for one that fails", HEALTH_STATE_FAILING, 0, "lb", {0, 2000, 4000}},
};

static void probes_begin_when_they_are_due(void **state)
{
	const struct config_health policy = {.rise = 2, .fall = 3, .interval_ms = INTERVAL, .doubt_ms = DOUBT,
					     .timeout_ms = TIMEOUT};

	for (size_t i = 0; i < COUNT(time_rows); i++) {
		struct health health;

		health_begin(&health, time_rows[i].state, 0, time_rows[i].phase_ms);
		for (size_t a = 0; time_rows[i].answers[a]; a++) {
			char letter = time_rows[i].answers[a];

			if (health.due_ms != time_rows[i].begins[a])
				fail_msg("%s: probe %zu at %llu", time_rows[i].what, a, (unsigned long long)health.due_ms);
			health_feed(&health, &policy, answer_of(letter), health.due_ms + (letter == 't' ? TIMEOUT : 0));
		}
		if (health.due_ms != time_rows[i].begins[strlen(time_rows[i].answers)])
			fail_msg("%s: the next at %llu", time_rows[i].what, (unsigned long long)health.due_ms);
	}
}

/* How long it takes until a backend fails that stops to answer at `stops_ms`; good probes take `took_ms`. */
static uint64_t time_to_fail(const struct config_health *policy, uint64_t stops_ms, uint32_t took_ms, uint32_t phase_ms)
{
	struct health health;

	health_begin(&health, HEALTH_STATE_UP, 0, phase_ms);
	for (;;) {
		bool is_good = health.due_ms + took_ms < stops_ms;
		uint64_t ends_ms = health.due_ms + (is_good ? took_ms : policy->timeout_ms);

		if (health_feed(&health, policy, is_good ? HEALTH_GOOD : HEALTH_SILENT, ends_ms))
			return ends_ms - stops_ms;
	}
}

/* Whenever it stops, and whatever the policy. */
static void a_backend_fails_in_the_time_that_is_promised(void **state)
{
	static const struct config_health policies[] = {
		{.interval_ms = 2000, .doubt_ms = 500, .timeout_ms = 1000, .rise = 2, .fall = 3},
		{.interval_ms = 2000, .doubt_ms = 2000, .timeout_ms = 2000, .rise = 1, .fall = 3},
		{.interval_ms = 2000, .doubt_ms = 10, .timeout_ms = 2000, .rise = 1, .fall = 5},
		{.interval_ms = 100, .doubt_ms = 100, .timeout_ms = 1, .rise = 1, .fall = 7},
		{.interval_ms = 50, .doubt_ms = 12, .timeout_ms = 50, .rise = 1, .fall = 1},
	};

	for (size_t p = 0; p < COUNT(policies); p++) {
		const struct config_health *policy = &policies[p];
		uint64_t most = (uint64_t)policy->interval_ms * policy->fall + policy->timeout_ms;

		for (uint64_t stops_ms = 1; stops_ms < 3 * policy->interval_ms; stops_ms++)
			for (uint32_t part = 0; part < 4; part++) {
				uint64_t took = time_to_fail(policy, stops_ms, policy->timeout_ms * part / 4,
							     policy->interval_ms * part / 5);

				if (took > most)
					fail_msg("policy %zu, stops at %llu: %llu ms", p, (unsigned long long)stops_ms,
						 (unsigned long long)took);
			}
	}
}

static void answers_and_states_have_names(void **state)
{
	for (enum health_answer a = 0; a < HEALTH_ANSWER_COUNT; a++) {
		assert_true(health_answer_name(a)[0]);
		assert_true(health_answer_text(a)[0]);
	}
	assert_string_equal(health_answer_name(HEALTH_NO_PROTOCOL), "no_protocol");
	assert_string_equal(health_state_name(HEALTH_STATE_FAILING), "failing");
	assert_true(health_is_silence(HEALTH_SILENT) && health_is_silence(HEALTH_NO_HOST));
	assert_false(health_is_silence(HEALTH_REFUSED) || health_is_silence(HEALTH_SLOW) || health_is_silence(HEALTH_LOCAL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_make_the_state),
		cmocka_unit_test(probes_begin_when_they_are_due),
		cmocka_unit_test(a_backend_fails_in_the_time_that_is_promised),
		cmocka_unit_test(answers_and_states_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

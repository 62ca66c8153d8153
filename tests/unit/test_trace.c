/* What a trace tells of continuity: each row a record of the program's twin; and its reasons held against the rules. Pure. */
#include "unit/unit.h"

#include "base/cleanup.h"
#include "daemon/trace_internal.h"
#include "rules.h"

#define SECOND 1000000000ull

/* Backends 1 and 2, by ipip; 3 by gue. */
static struct fleet_backend backends[4] = {
	{.number = 0},
	{.number = 1, .identity.method = HP_METHOD_IPIP_4_IN_4},
	{.number = 2, .identity.method = HP_METHOD_IPIP_4_IN_4},
	{.number = 3, .identity.method = HP_METHOD_GUE_4_IN_4},
};
static struct fleet_backend *by_number[5] = {NULL, &backends[1], &backends[2], &backends[3], NULL};
static struct dataplane plane = {.limits.backends = 5};
static const struct fleet fleet = {.plane = &plane, .by_number = by_number};
static const struct fleet_service service = {.motion = {HP_MOTION_MOVING, 1090}};

static json_t *told(const struct hp_trace *record, bool has_chance, json_t *steps)
{
	struct trace_walk walk = {&fleet, &service, record, has_chance, 1000 * SECOND, NULL};

	return trace_continuity(&walk, steps);
}

#define KNOWN .since_ns = 995 * SECOND, .seen_ns = 999 * SECOND + SECOND / 2

static const struct {
	const char *what;
	struct hp_trace record;
	bool has_chance;
	const char *text, *rule, *writes;
} rows[] = {
	{"rings that agree", {.motion = HP_MOTION_MOVING, .now = 1, .before = 1, .before_lives = 1, .backend = 1}, false,
	 "moving for another 90s: the ring says 10.3.0.1, before the change it said 10.3.0.1\n"
	 "the ring says the same as before, so nothing needs to be remembered: 10.3.0.1\n", "agree", "nothing"},
	{"a remembered flow",
	 {.motion = HP_MOTION_MOVING, .now = 2, .before = 1, .before_lives = 1, .asked = 1, .known = 1, .known_lives = 1, KNOWN,
	  .is_unproven = 1, .deed = HP_DEED_PROMOTE, .backend = 1}, false,
	 "moving for another 90s: the ring says 10.3.0.2, before the change it said 10.3.0.1\n"
	 "the tables of flows are asked, as the rings differ\n"
	 "the flow is remembered with 10.3.0.1 for 5.0 s, met under way; not yet proven, silent for 0.5 s\n"
	 "a remembered flow goes to its backend: 10.3.0.1; such a packet would prove the flow\n", "remembered", "promote"},
	{"an opening packet",
	 {.motion = HP_MOTION_MOVING, .now = 2, .before = 1, .before_lives = 1, .asked = 1, .kind = HP_PACKET_OPENING,
	  .deed = HP_DEED_REMEMBER, .backend = 2}, false,
	 "moving for another 90s: the ring says 10.3.0.2, before the change it said 10.3.0.1\n"
	 "the tables of flows are asked, as the rings differ\n"
	 "the flow is not remembered\n"
	 "an opening packet goes where the ring says: 10.3.0.2; such a packet would have the flow remembered so, not yet "
	 "proven\n", "opening", "remember"},
	{"an opening packet of a flow that closes",
	 {.motion = HP_MOTION_SETTLING, .now = 2, .before = 1, .before_lives = 1, .asked = 1, .kind = HP_PACKET_OPENING,
	  .known = 1, .known_lives = 1, KNOWN, .marks = HP_FLOW_OPENED | HP_FLOW_FIN | HP_FLOW_RST, .deed = HP_DEED_FORGET,
	  .backend = 2}, false,
	 "settling: the ring says 10.3.0.2, before the change it said 10.3.0.1\n"
	 "the tables of flows are asked, as the rings differ\n"
	 "the flow is remembered with 10.3.0.1 for 5.0 s, since it was opened; proven, silent for 0.5 s; closing, by a FIN; "
	 "closing, by an RST\n"
	 "an opening packet goes where the ring says: 10.3.0.2; such a packet would have what is remembered forgotten\n",
	 "opening", "forget"},
	{"a dead backend, and a service that asks",
	 {.motion = HP_MOTION_SETTLING | HP_MOTION_ASKS, .now = 2, .before = 2, .before_lives = 1, .asked = 1, .known = 1, KNOWN,
	  .backend = 2}, false,
	 "settling: the ring says 10.3.0.2, before the change it said 10.3.0.2\n"
	 "the tables of flows are asked, as flows from an earlier change may be remembered where the rings agree\n"
	 "the flow is remembered with 10.3.0.1, which is dead, for 5.0 s, met under way; proven, silent for 0.5 s\n"
	 "the backend of the remembered flow is dead, so it goes where the ring says: 10.3.0.2; such a packet writes "
	 "nothing\n", "stranded", "nothing"},
	{"a flow from before a dead backend",
	 {.motion = HP_MOTION_MOVING, .before = 1, .asked = 1}, false,
	 "moving for another 90s: the ring says none, before the change it said 10.3.0.1, which is dead\n"
	 "the tables of flows are asked, as the rings differ\n"
	 "the flow is not remembered\n"
	 "a flow that is not remembered may be from before the change, but has no living backend there, so it goes where the "
	 "ring says: none; such a packet writes nothing\n", "lost", "nothing"},
	{"an unknown flow by gue",
	 {.motion = HP_MOTION_MOVING, .now = 2, .before = 3, .before_lives = 1, .asked = 1, .deed = HP_DEED_REMEMBER,
	  .backend = 3, .alternate = 2}, true,
	 "moving for another 90s: the ring says 10.3.0.2, before the change it said 10.3.0.3\n"
	 "the tables of flows are asked, as the rings differ\n"
	 "the flow is not remembered\n"
	 "a flow that is not remembered may be from before the change, and goes where the ring said then: 10.3.0.3; such a "
	 "packet would have the flow remembered so, not yet proven\n"
	 "gue names 10.3.0.2 for a second chance\n", "before", "remember"},
	{"a steady service by gue, without room",
	 {.now = 3, .before = 2, .before_lives = 1, .backend = 3, .alternate = 2}, false,
	 "steady: the ring says 10.3.0.3, before the change it said 10.3.0.2\n"
	 "a steady service's packets go where the ring says: 10.3.0.3\n"
	 "gue names no second chance at 10.3.0.2: it is of another family, or the path's MTU leaves no room\n", "steady",
	 "nothing"},
	{"numbers of no backend", {.motion = HP_MOTION_SETTLING, .now = 4, .before = 99, .before_lives = 1, .asked = 1}, false,
	 "settling: the ring says none, before the change it said none\n"
	 "the tables of flows are asked, as the rings differ\n"
	 "the flow is not remembered\n"
	 "since the window is over, a flow that is not remembered goes where the ring says: none; such a packet writes "
	 "nothing\n", "late", "nothing"},
};

static void continuity_is_told(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *steps = json_array(), *body = told(&rows[i].record, rows[i].has_chance, steps), *step;
		char text[2048] = "";
		size_t at;

		json_array_foreach(steps, at, step) {
			assert_text(rows[i].what, json_string_value(json_object_get(step, "step")), "continuity");
			strcat(strcat(text, json_string_value(json_object_get(step, "text"))), "\n");
		}
		assert_text(rows[i].what, text, rows[i].text);
		assert_text(rows[i].what, json_string_value(json_object_get(body, "rule")), rows[i].rule);
		assert_text(rows[i].what, json_string_value(json_object_get(body, "writes")), rows[i].writes);
		json_decref(steps);
		json_decref(body);
	}
}

static void assert_json(const char *what, json_t *body, const char *expected)
{
	auto_free char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);

	for (char *c = text; *c; c++)
		if (*c == '"')
			*c = '\'';
	assert_text(what, text, expected);
	json_decref(body);
}

static void continuity_is_told_to_programs(void **state)
{
	json_t *steps = json_array();

	assert_json("steady", told(&(struct hp_trace){.backend = 1}, false, steps), "null");
	assert_int_equal(json_array_size(steps), 0);
	assert_json("remembered", told(&rows[1].record, false, steps),
		    "{'state':'moving','left_s':90,'waits_for_room':false,'asks':false,'packet':'under_way',"
		    "'now':'10.3.0.2','before':'10.3.0.1',"
		    "'before_lives':true,'asked':true,'remembered':{'backend':'10.3.0.1','lives':true,'opened':false,"
		    "'proven':false,'fin':false,'rst':false,'age_s':5.0,'silent_s':0.5},'rule':'remembered','writes':'promote',"
		    "'alternate':null}");
	assert_json("a second chance", told(&rows[6].record, true, steps),
		    "{'state':'moving','left_s':90,'waits_for_room':false,'asks':false,'packet':'under_way',"
		    "'now':'10.3.0.2','before':'10.3.0.3',"
		    "'before_lives':true,'asked':true,'remembered':null,'rule':'before','writes':'remember',"
		    "'alternate':'10.3.0.2'}");
	assert_json("numbers of no backend", told(&rows[8].record, false, steps),
		    "{'state':'settling','left_s':null,'waits_for_room':false,'asks':false,'packet':'under_way',"
		    "'now':null,'before':null,"
		    "'before_lives':true,'asked':true,'remembered':null,'rule':'late','writes':'nothing','alternate':null}");
	json_decref(steps);
}

/* ---- who may use a service ---------------------------------------------------------------------------------------------- */

#define MINUTE (60 * SECOND)

static void the_guard_is_told(void **state)
{
	static const struct {
		const char *source;
		struct hp_trace record;
		const char *text, *body;
	} told_rows[] = {
		{"192.0.2.7", {.verdict = HP_FORWARDED}, "", "null"},
		{"192.0.2.7", {.guard = HP_GUARD_LISTED | HP_GUARD_DENIES | 24, .verdict = HP_DENIED},
		 "guard: 192.0.2.0/24 of deny is the longest prefix that holds the source\n",
		 "{'denied':true,'prefix':'192.0.2.0/24','limit':null}"},
		{"2001:db8::7", {.guard = HP_GUARD_LISTED | 33, .verdict = HP_FORWARDED},
		 "guard: 2001:db8::/33 of allow is the longest prefix that holds the source\n",
		 "{'denied':false,'prefix':'2001:db8::/33','limit':null}"},
		{"192.0.2.7", {.guard = HP_GUARD_REST, .verdict = HP_FORWARDED},
		 "guard: no prefix of allow or deny holds the source, so it may\n",
		 "{'denied':false,'prefix':null,'limit':null}"},
		{"192.0.2.7", {.guard = HP_GUARD_REST | HP_GUARD_DENIES, .verdict = HP_DENIED},
		 "guard: no prefix of allow or deny holds the source, and whom allow does not name may not\n",
		 "{'denied':true,'prefix':null,'limit':null}"},
		{"192.0.2.7", {.counts = 1, .verdict = HP_FORWARDED},
		 "limit: it opens a flow, of which the source may open 3 now, and 6 in 1m\n",
		 "{'denied':false,'prefix':null,'limit':{'reached':false,'wait_ms':0}}"},
		{"192.0.2.7", {.counts = 1, .owed_ns = 20 * SECOND, .verdict = HP_FORWARDED},
		 "limit: it opens a flow, of which the source may open 1 now, and 6 in 1m\n",
		 "{'denied':false,'prefix':null,'limit':{'reached':false,'wait_ms':0}}"},
		{"192.0.2.7", {.guard = HP_GUARD_REST, .counts = 1, .owed_ns = 27 * SECOND - 1, .verdict = HP_LIMITED},
		 "guard: no prefix of allow or deny holds the source, so it may\n"
		 "limit: the source has opened all that it may, 6 in 1m and 3 at once: another in 7s\n",
		 "{'denied':false,'prefix':null,'limit':{'reached':true,'wait_ms':7000}}"},
	};
	static struct config_service config = {.limit = {6, 60, 3}};
	static struct hp_terms terms[2] = {[1] = {.limit = 1, .cost_ns = MINUTE / 6, .burst_ns = MINUTE / 6 * 2}};
	static const struct fleet_service web = {.number = 1, .config = &config};

	plane.terms = terms;
	for (size_t i = 0; i < COUNT(told_rows); i++) {
		struct trace_walk walk = {.fleet = &fleet, .service = &web, .record = &told_rows[i].record};
		json_t *steps = json_array(), *step;
		struct ip source;
		char text[1024] = "";
		size_t at;

		assert_true(ip_parse(&source, told_rows[i].source));
		walk.source = &source;
		assert_json(told_rows[i].text, trace_guard(&walk, steps), told_rows[i].body);
		json_array_foreach(steps, at, step) {
			strcat(strcat(text, json_string_value(json_object_get(step, "step"))), ": ");
			strcat(strcat(text, json_string_value(json_object_get(step, "text"))), "\n");
		}
		assert_text("the guard", text, told_rows[i].text);
		json_decref(steps);
	}
}

/* ---- the reasons against the rules ------------------------------------------------------------------------------------- */

/* The backend that a reason leads to. */
static uint32_t reasoned(const struct hp_trace *record, const char *rule)
{
	if (!strcmp(rule, "remembered"))
		return record->known;
	return !strcmp(rule, "before") ? record->before : record->now;
}

static void judge(const struct hp_situation *s)
{
	struct hp_choice choice = hp_rule(s);
	struct hp_trace record = {
		.motion = s->motion, .now = s->now, .before = s->before, .before_lives = s->before_lives, .asked = 1,
		.known = s->is_known ? s->known : 0, .known_lives = s->known_lives, .is_unproven = s->is_unproven,
		.marks = s->marks, .kind = s->kind, .deed = choice.deed, .backend = choice.backend,
	};
	json_t *steps = json_array(), *body = told(&record, false, steps);
	const char *rule = json_string_value(json_object_get(body, "rule"));

	if (reasoned(&record, rule) != choice.backend)
		fail_msg("motion %x now %u before %u%s kind %u known %u%s marks %u: %s, but the rules say %u", s->motion, s->now,
			 s->before, s->before_lives ? "" : " dead", s->kind, record.known, s->known_lives ? "" : " dead",
			 s->marks, rule, choice.backend);
	json_decref(steps);
	json_decref(body);
}

static void reasons_agree_with_the_rules(void **state)
{
	static const uint32_t motions[] = {HP_MOTION_MOVING, HP_MOTION_SETTLING, HP_MOTION_MOVING | HP_MOTION_ASKS};
	static const uint32_t marks[] = {0, HP_FLOW_OPENED, HP_FLOW_FIN, HP_FLOW_OPENED | HP_FLOW_RST};

	for (unsigned int n = 0; n < 3 * 4 * 4 * 2 * 6 * 4 * 2 * 2 * 4; n++) {
		unsigned int rest = n;
		struct hp_situation s = {.motion = motions[rest % 3]};

		s.now = (rest /= 3) % 4;
		s.before = (rest /= 4) % 4;
		s.before_lives = (rest /= 4) % 2;
		s.kind = (uint8_t)((rest /= 2) % 6);
		s.known = (rest /= 6) % 4;
		s.is_known = s.known != 0;
		s.known_lives = (rest /= 4) % 2;
		s.is_unproven = (rest /= 2) % 2;
		s.marks = s.is_known ? marks[(rest /= 2) % 4] : 0;
		judge(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(continuity_is_told),
		cmocka_unit_test(continuity_is_told_to_programs),
		cmocka_unit_test(the_guard_is_told),
		cmocka_unit_test(reasons_agree_with_the_rules),
	};

	for (unsigned int number = 1; number < COUNT(backends); number++)
		backends[number].identity.address = ip_from4((const uint8_t[4]){10, 3, 0, (uint8_t)number});
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Findings: levels, statuses and both printed forms. Pure. */
#include "unit/unit.h"

#include "core/findings.h"

static char *printed(const struct findings *findings)
{
	char *out = NULL;
	size_t bytes;
	FILE *file = open_memstream(&out, &bytes);

	findings_print(findings, file);
	fclose(file);
	return out;
}

static void right_doubtful_and_wrong_are_told(void **state)
{
	struct findings findings = {0};
	struct finding *item;
	char *text;

	assert_int_equal(findings_status(&findings), 0);
	findings_ok(&findings, "vip", "%s is there", "10.2.0.1");
	assert_int_equal(findings_status(&findings), 0);
	findings_add(&findings, FINDING_WARNING, CAUSE_NOT_LISTENING, "listeners", "nothing listens");
	assert_int_equal(findings_status(&findings), 1);
	item = findings_add(&findings, FINDING_WARNING, CAUSE_NOT_LISTENING, "backend", "nor there");
	finding_mend(item, "on %s: listen", "b1");
	item = findings_add(&findings, FINDING_WRONG, CAUSE_INTERFACE_DOWN, "interface", "eth0 is down");
	finding_evidence(item, "flags %x", 0x10);
	finding_command(item, (const char *const[]){"if", "eth0", NULL});
	assert_int_equal(findings_status(&findings), 2);
	text = printed(&findings);
	assert_text("all of it", text,
		    "ok       vip              10.2.0.1 is there\n"
		    "warning  listeners        nothing listens [NOT_LISTENING]\n"
		    "                          mend it: start the service, and have it listen on the VIP or on all addresses\n"
		    "warning  backend          nor there [NOT_LISTENING]\n"
		    "                          mend it: on b1: listen\n"
		    "WRONG    interface        eth0 is down [INTERFACE_DOWN]\n"
		    "                          seen: flags 10\n"
		    "                          mend it: ip link set dev eth0 up\n"
		    "1 wrong, 2 warnings, 1 ok\n");
	free(text);
	findings_free(&findings);
}

static void json_has_every_field(void **state)
{
	struct findings findings = {0};
	json_t *body, *items;
	char *text;

	finding_sysctl(findings_add(&findings, FINDING_WARNING, CAUSE_JIT_OFF, "compiler", "off \xff"), "net/core/x", "1");
	body = findings_json(&findings, NULL);
	items = json_object_get(body, "items");
	text = json_dumps(items, JSON_COMPACT);
	assert_text("an item", text,
		    "[{\"level\":\"warning\",\"id\":\"JIT_OFF\",\"item\":\"compiler\",\"text\":\"(not UTF-8)\",\"evidence\":\"\","
		    "\"mend\":\"switch the compiler on\",\"command\":\"sysctl -w 'net/core/x=1'\",\"safe\":true}]");
	free(text);
	assert_true(json_is_false(json_object_get(body, "ok")));
	assert_int_equal(json_integer_value(json_object_get(body, "warnings")), 1);
	assert_int_equal(json_integer_value(json_object_get(body, "wrong")), 0);
	assert_int_equal(json_array_size(json_object_get(body, "fixed")), 0);
	json_decref(body);
	findings_free(&findings);
}

/* A name of an interface may hold what a terminal obeys, and texts may be longer than their place. */
static void texts_are_tamed(void **state)
{
	struct findings findings = {0};
	char longest[5000];
	char *text;

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	findings_ok(&findings, "a\033[31m", "%s", "line\nbreak\x7f");
	text = printed(&findings);
	assert_text("no control character", text, "ok       a?[31m           line?break?\n0 wrong, 0 warnings, 1 ok\n");
	free(text);
	for (int i = 0; i < 1000; i++)
		finding_evidence(findings_add(&findings, FINDING_OK, CAUSE_NONE, longest, "%s", longest), "%s", longest);
	assert_int_equal(findings_count(&findings, FINDING_OK), 1001);
	assert_false(findings.is_cut);
	findings_free(&findings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(right_doubtful_and_wrong_are_told),
					   cmocka_unit_test(json_has_every_field), cmocka_unit_test(texts_are_tamed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

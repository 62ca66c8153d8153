/* What a judging function found, as one text: "WARNING NAME, WRONG NAME", in its order; "" when all is right. */
#ifndef HP_UNIT_JUDGED_H
#define HP_UNIT_JUDGED_H

#include "core/findings.h"
#include "unit/unit.h"

static inline void assert_judged(const char *what, const struct findings *findings, const char *expected)
{
	char text[1024] = "";

	for (size_t i = 0; i < findings->count; i++)
		if (findings->items[i].level != FINDING_OK)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s%s", *text ? ", " : "",
				 findings->items[i].level == FINDING_WRONG ? "WRONG " : "",
				 cause_text(findings->items[i].cause)->name);
	assert_text(what, text, expected);
}

#endif

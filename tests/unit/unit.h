/* What every unit test needs: cmocka with the headers that it wants before it, and rows of tables. */
#ifndef HP_UNIT_H
#define HP_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* A piece of text that must stand in another; what is the row's sentence. */
static inline void assert_holds(const char *what, const char *text, const char *piece)
{
	if (!text || !strstr(text, piece))
		fail_msg("%s: \"%s\" lacks \"%s\"", what, text ? text : "(none)", piece);
}

static inline void assert_text(const char *what, const char *text, const char *expected)
{
	if (!text || strcmp(text, expected) != 0)
		fail_msg("%s:\ngot:\n%s\nexpected:\n%s", what, text ? text : "(none)", expected);
}

#endif

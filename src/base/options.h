/* What is wrong with an option, in words: for programs that read theirs by getopt_long. */
#ifndef HP_BASE_OPTIONS_H
#define HP_BASE_OPTIONS_H

#include <getopt.h>
#include <stddef.h>

/* What getopt_long, told by a colon in front of its short options to say nothing itself, has just refused: an option that
 * there is not, with the nearest one of `rows`; one that may be several; one without its value, or with one that it does
 * not take.
 *
 * option  what it returned: '?' or ':'; optind and optopt are as it left them.
 * Writes one sentence that begins with the program's name and ends without a line break. */
void options_mistake(const char *program, char *const *argv, const struct option *rows, int option, char *sentence,
		     size_t room);

#endif

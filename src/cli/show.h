/* What the API answers, as tables and sentences for people. --json prints the answer itself instead. */
#ifndef HP_CLI_SHOW_H
#define HP_CLI_SHOW_H

#include <jansson.h>
#include <stdio.h>

void show_status(FILE *out, const json_t *body);
void show_trace(FILE *out, const json_t *body);
void show_changes(FILE *out, const json_t *body);

/* 1234567 as 1.2M; in steps of 1000. */
const char *show_amount(double amount, char text[static 16]);

#endif

/* The commands that people type: each a row with its arguments, its help and its function. */
#ifndef HP_CLI_COMMAND_H
#define HP_CLI_COMMAND_H

#include <stdbool.h>

struct command_call {
	const char *socket;
	bool is_json;
	const char *confirm; /* of --confirm, NULL none */
	const char *protocol; /* of --protocol, NULL none */
	const char *deadline; /* of --deadline, NULL none */
	bool is_waiting;      /* --wait */
	const char *limit;    /* of --limit, NULL none */
	const char *reason;   /* of --reason, NULL none */
	bool is_under_way;    /* --under-way */
	bool is_fixing;	      /* --fix */
	int argc; /* behind the command's name */
	char **argv;
};

struct command {
	const char *name, *arguments, *help;
	int least, most; /* arguments */
	/* Returns the exit status: 0 done, 1 refused (for diff: there are differences), 2 could not be asked. Of doctor: see
	 * cli/doctor.h. */
	int (*run)(const struct command_call *call);
};

/* The table, ended by a row without a name. */
extern const struct command command_table[];

/* "60s", "10m", "1h" or a bare number of seconds. Returns 0 for what is none, or longer than `most`. */
unsigned long command_seconds(const char *text, unsigned long most);

/* ADDRESS, ADDRESS:PORT, [ADDRESS6] or [ADDRESS6]:PORT. port is -1 when none is given. Returns false for what is
 * none; address needs 64 bytes. */
bool command_endpoint(const char *text, char *address, int *port);

#endif

/* halfproxy: the command that people type. Finds the command's row and calls it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/options.h"
#include "cli/command.h"
#include "core/config.h"

#define NAMES_MOST 32

static void usage(FILE *out)
{
	fprintf(out, "usage: halfproxy [--socket PATH] [--json] COMMAND [ARGUMENTS]\n\n");
	for (const struct command *row = command_table; row->name; row++)
		fprintf(out, "  %-11s %-50s %s\n", row->name, row->arguments, row->help);
	fprintf(out, "\n"
		     "  --socket PATH  the daemon's API socket; else $HALFPROXY_SOCKET, else " CONFIG_API_SOCKET "\n"
		     "  --json         print JSON\n"
		     "  --version      print the version\n");
}

static const struct command *find(const char *name)
{
	const char *names[NAMES_MOST + 1] = {NULL};
	const char *near;
	size_t count = 0;

	for (const struct command *row = command_table; row->name && count < NAMES_MOST; row++) {
		if (!strcmp(row->name, name))
			return row;
		names[count++] = row->name;
	}
	near = nearest_word(name, names);
	if (near)
		fprintf(stderr, "halfproxy: there is no command \"%s\": did you mean \"%s\"?\n", name, near);
	else
		fprintf(stderr, "halfproxy: there is no command \"%s\"; `halfproxy help` lists them\n", name);
	return NULL;
}

/* Options may stand before and behind the command. Returns -1 to go on, or the exit status. */
static int read_options(int argc, char **argv, struct command_call *call)
{
	static const struct option rows[] = {{"socket", required_argument, NULL, 's'},
					     {"json", no_argument, NULL, 'j'},
					     {"confirm", required_argument, NULL, 'c'},
					     {"deadline", required_argument, NULL, 'd'},
					     {"limit", required_argument, NULL, 'l'},
					     {"reason", required_argument, NULL, 'r'},
					     {"wait", no_argument, NULL, 'w'},
					     {"protocol", required_argument, NULL, 'p'},
					     {"under-way", no_argument, NULL, 'u'},
					     {"fix", no_argument, NULL, 'f'},
					     {"version", no_argument, NULL, 'V'},
					     {"help", no_argument, NULL, 'h'},
					     {NULL, 0, NULL, 0}};
	char mistake[512];
	int option;

	while ((option = getopt_long(argc, argv, ":s:p:Vh0123456789", rows, NULL)) != -1) {
		switch (option) {
		case 's':
			call->socket = optarg;
			break;
		case 'j':
			call->is_json = true;
			break;
		case 'c':
			call->confirm = optarg;
			break;
		case 'd':
			call->deadline = optarg;
			break;
		case 'l':
			call->limit = optarg;
			break;
		case 'r':
			call->reason = optarg;
			break;
		case 'w':
			call->is_waiting = true;
			break;
		case 'p':
			call->protocol = optarg;
			break;
		case 'u':
			call->is_under_way = true;
			break;
		case 'f':
			call->is_fixing = true;
			break;
		case 'V':
			puts("halfproxy " HP_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			if (option >= '0' && option <= '9')
				snprintf(mistake, sizeof(mistake), "halfproxy: \"-%c\" is no option, and no number here is "
					 "negative", option);
			else
				options_mistake("halfproxy", argv, rows, option, mistake, sizeof(mistake));
			fprintf(stderr, "%s\n", mistake);
			return 2;
		}
	}
	return -1;
}

/* Whether the command takes the options that were given, which is: whether its usage names them; says so if not. An
 * option without effect would be believed: a drain with --confirm taken back by itself. */
static bool takes_options(const struct command *command, const struct command_call *call)
{
	const struct {
		const char *name;
		bool is_given;
	} rows[] = {{"--confirm", call->confirm},	{"--deadline", call->deadline}, {"--limit", call->limit},
		    {"--reason", call->reason},
		    {"--wait", call->is_waiting},	{"--protocol", call->protocol}, {"--under-way", call->is_under_way},
		    {"--fix", call->is_fixing}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!rows[i].is_given || strstr(command->arguments, rows[i].name))
			continue;
		fprintf(stderr, "halfproxy: %s does not belong to %s\nusage: halfproxy %s %s\n", rows[i].name, command->name,
			command->name, command->arguments);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	const char *from_environment = getenv("HALFPROXY_SOCKET");
	struct command_call call = {.socket = from_environment ? from_environment : CONFIG_API_SOCKET};
	const struct command *command;
	int code = read_options(argc, argv, &call);

	if (code >= 0)
		return code;
	if (optind == argc || !strcmp(argv[optind], "help")) {
		usage(optind == argc ? stderr : stdout);
		return optind == argc ? 2 : 0;
	}
	if (!strcmp(argv[optind], "version")) {
		puts("halfproxy " HP_VERSION);
		return 0;
	}
	command = find(argv[optind]);
	if (!command)
		return 2;
	call.argc = argc - optind - 1;
	call.argv = argv + optind + 1;
	if (call.argc < command->least || call.argc > command->most) {
		fprintf(stderr, "usage: halfproxy %s %s\n", command->name, command->arguments);
		return 2;
	}
	return takes_options(command, &call) ? command->run(&call) : 2;
}
